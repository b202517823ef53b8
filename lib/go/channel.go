package handover

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

const (
	// The pause between two attempts to connect: twice as long each time.
	minConnectPause = 50 * time.Millisecond
	maxConnectPause = 2 * time.Second
	// lastedTime is how long a connection lasts that was no refusal: the next attempt is made soon.
	lastedTime = 5 * time.Second
	// againPause is how long a message waits that came without its descriptors, because we have none left.
	againPause = 100 * time.Millisecond
)

// channel is the connection to the supervisor over which it says more than a signal can, and gives us sockets. It is
// made again whenever it ends: a new supervisor has taken over.
type channel struct {
	path   string
	page   *os.File // nil: there is none
	handle func(m message, files []int)
	quit   chan struct{} // closed by last
	once   sync.Once

	mu    sync.Mutex
	conn  *net.UnixConn // nil: not connected
	ready bool
}

// newChannel connects at once, so that the supervisor knows of us before it hears READY=1. handle is called for each
// message, from one goroutine; the descriptors are its to close.
func newChannel(path string, page *os.File, handle func(m message, files []int)) *channel {
	c := &channel{path: path, page: page, handle: handle, quit: make(chan struct{})}
	c.connect()
	go c.run()
	return c
}

// last has it not connect again: a new supervisor would have nothing to say to us.
func (c *channel) last() { c.once.Do(func() { close(c.quit) }) }

// connected says whether somebody is there who would tell us more than a signal does.
func (c *channel) connected() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn != nil
}

func (c *channel) run() {
	pause := minConnectPause
	for !isOver(c.quit) {
		begun := time.Now()
		c.read()
		if time.Since(begun) >= lastedTime {
			pause = minConnectPause
		}
		select {
		case <-c.quit:
			return
		case <-time.After(pause):
		}
		if pause *= 2; pause > maxConnectPause {
			pause = maxConnectPause
		}
		c.connect()
	}
}

// connect says everything that the supervisor has to know of us.
func (c *channel) connect() {
	conn, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Net: "unixpacket", Name: c.path})
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if isOver(c.quit) {
		conn.Close()
		return
	}
	c.conn = conn
	c.send(message{Kind: "hello", Answers: true})
	c.sendPage()
	if c.ready {
		c.send(message{Kind: "ready"})
	}
}

// send is called with the lock held. What is lost with the connection is said again over the next one.
func (c *channel) send(m message, files ...int) {
	if c.conn == nil {
		return
	}
	var rights []byte
	if len(files) > 0 {
		rights = syscall.UnixRights(files...)
	}
	c.conn.SetWriteDeadline(time.Now().Add(sendTimeout))
	c.conn.WriteMsgUnix(m.text(), rights, nil)
}

func (c *channel) say(m message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.send(m)
}

// sayReady is for a supervisor that takes over: this one hears READY=1.
func (c *channel) sayReady() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ready = true
}

func (c *channel) sendPage() {
	if c.page != nil {
		c.send(message{Kind: "inflight"}, int(c.page.Fd()))
	}
}

// read handles messages until the connection ends.
func (c *channel) read() {
	c.mu.Lock()
	conn := c.conn
	c.mu.Unlock()
	if conn == nil {
		return
	}
	data, oob := make([]byte, maxMessage), make([]byte, syscall.CmsgSpace(maxDescriptors*4))
	for {
		n, oobn, flags, _, err := conn.ReadMsgUnix(data, oob)
		if err != nil || n == 0 {
			break
		}
		c.received(data[:n], descriptorsIn(oob[:oobn]), flags)
	}
	conn.Close()
	c.mu.Lock()
	c.conn = nil
	c.mu.Unlock()
}

func (c *channel) received(data []byte, files []int, flags int) {
	m, understood := parseMessage(data)
	switch {
	case !understood || flags&syscall.MSG_TRUNC != 0:
		closeAll(files)
	case m.Kind == "sockets" && flags&syscall.MSG_CTRUNC != 0:
		closeAll(files)
		time.Sleep(againPause)
		c.say(message{Kind: "again", Set: m.Set})
	case m.Kind == "inflight":
		closeAll(files)
		c.mu.Lock()
		c.sendPage()
		c.mu.Unlock()
	default:
		c.handle(m, files)
	}
}

func closeAll(files []int) {
	for _, fd := range files {
		syscall.Close(fd)
	}
}

// descriptorsIn returns what came with a message; they are close-on-exec.
func descriptorsIn(oob []byte) []int {
	var files []int
	list, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	for i := range list {
		if some, err := syscall.ParseUnixRights(&list[i]); err == nil {
			files = append(files, some...)
		}
	}
	return files
}

var errNoClock = errors.New("CLOCK_MONOTONIC cannot be read")

// untilMonotonic returns the time until that moment of CLOCK_MONOTONIC, in microseconds: the supervisor's clock.
func untilMonotonic(usec uint64) (time.Duration, error) {
	const clockMonotonic = 1
	var now syscall.Timespec
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&now)), 0); errno != 0 {
		return 0, errNoClock
	}
	left := int64(usec) - now.Nano()/1000
	if usec > 1<<62 || left < 0 {
		left = 0
	}
	return time.Duration(left) * time.Microsecond, nil
}
