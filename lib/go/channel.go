package handover

import (
	"encoding/json"
	"net"
	"os"
	"syscall"
	"time"
	"unsafe"
)

const (
	// maxMessage and maxDescriptors bound what the supervisor sends at a time: see handover-worker(7).
	maxMessage     = 16384
	maxDescriptors = 253
	// A supervisor that is gone may be about to come back. The pause doubles from the first to the second of these.
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
	// messageTime is how long a signal waits for the message that says more.
	messageTime = 200 * time.Millisecond
)

// message is what is said over HANDOVER_CHANNEL, in both directions.
type message struct {
	Version  int      `json:"version"`
	Kind     string   `json:"kind"`
	Names    []string `json:"names,omitempty"`
	Reason   string   `json:"reason,omitempty"`
	Deadline uint64   `json:"deadline_usec,omitempty"` // of CLOCK_MONOTONIC
}

// listen hears what the supervisor says, until the drain. When the connection ends, a new supervisor may take over.
func (w *Worker) listen(path string) {
	pause := firstPause
	for w.ctx.Err() == nil {
		began := time.Now()
		conn, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Net: "unixpacket", Name: path})
		if err == nil {
			w.introduce(conn)
			w.hear(conn)
			conn.Close()
		}
		if time.Since(began) > lastPause {
			pause = firstPause
		}
		select {
		case <-w.ctx.Done():
		case <-time.After(pause):
		}
		if pause *= 2; pause > lastPause {
			pause = lastPause
		}
	}
}

// introduce tells a supervisor that has taken over what its predecessor knew. One that is gone again is noticed by hear.
func (w *Worker) introduce(conn *net.UnixConn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ready {
		conn.SetWriteDeadline(time.Now().Add(sendTimeout))
		conn.Write([]byte(`{"version":1,"kind":"ready"}`))
	}
}

// hear reads until the connection ends.
func (w *Worker) hear(conn *net.UnixConn) {
	data, control := make([]byte, maxMessage), make([]byte, syscall.CmsgSpace(4*maxDescriptors))
	for {
		n, more, flags, _, err := conn.ReadMsgUnix(data, control)
		if err != nil || n == 0 {
			return
		}
		descriptors := descriptorsOf(control[:more])
		var said message
		whole := flags&(syscall.MSG_TRUNC|syscall.MSG_CTRUNC) == 0
		if !whole || json.Unmarshal(data[:n], &said) != nil || said.Version != 1 {
			said.Kind = "" // not for us to understand
		}
		w.understand(said, descriptors)
	}
}

// descriptorsOf returns those that came along, which are ours from then on.
func descriptorsOf(control []byte) (all []int) {
	parts, err := syscall.ParseSocketControlMessage(control)
	if err != nil {
		return nil
	}
	for i := range parts {
		some, err := syscall.ParseUnixRights(&parts[i])
		if err != nil {
			continue
		}
		for _, fd := range some {
			syscall.CloseOnExec(fd)
		}
		all = append(all, some...)
	}
	return all
}

func (w *Worker) understand(said message, descriptors []int) {
	if said.Kind == "sockets" && len(said.Names) == len(descriptors) {
		w.sockets.arrive(said.Names, descriptors)
		return
	}
	for _, fd := range descriptors {
		syscall.Close(fd)
	}
	switch said.Kind {
	case "lameduck":
		w.tellStop()
	case "drain":
		w.begin(notice{reasonOf(said.Reason), timeUntil(said.Deadline)})
	}
}

// reasonOf knows that after all but these somebody serves on the same sockets.
func reasonOf(word string) Reason {
	switch word {
	case "stop", "removed":
		return Stop
	case "reload", "restart", "recycle", "scale", "undo":
		return Reload
	}
	return Unknown
}

// timeUntil returns the time that is left until a moment of CLOCK_MONOTONIC, by which the supervisor reckons.
func timeUntil(usec uint64) time.Duration {
	const clockMonotonic = 1
	var now syscall.Timespec
	_, _, failed := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&now)), 0)
	left := time.Duration(usec)*time.Microsecond - time.Duration(now.Nano())
	if failed != 0 || usec > 1<<62/1000 || left > 24*time.Hour {
		return defaultBudget
	}
	return longer(left, 0)
}

// channelPath returns the supervisor's channel, and whether sockets come over it.
func channelPath() (path string, sockets bool) {
	path = os.Getenv("HANDOVER_CHANNEL")
	return path, path != "" && os.Getenv("HANDOVER_HANDOFF") == "channel"
}
