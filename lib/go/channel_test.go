package handover

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// master is the other end of HANDOVER_CHANNEL.
type master struct {
	t    *testing.T
	path string
	l    *net.UnixListener
	conn *net.UnixConn
	page *os.File
}

func newMaster(t *testing.T) *master {
	m := &master{t: t, path: filepath.Join(t.TempDir(), "channel.sock")}
	m.listen()
	return m
}

func (m *master) listen() {
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Net: "unixpacket", Name: m.path})
	if err != nil {
		m.t.Fatal(err)
	}
	m.l = l
	m.t.Cleanup(func() { l.Close() })
}

// accept takes a worker in, which says what it can do, and sends its page.
func (m *master) accept() {
	m.l.SetDeadline(time.Now().Add(20 * time.Second))
	conn, err := m.l.AcceptUnix()
	if err != nil {
		m.t.Fatal(err)
	}
	m.conn = conn
	m.t.Cleanup(func() { conn.Close() })
	m.expect(`{"version":1,"kind":"hello","answers":true}`)
	m.expect(`{"version":1,"kind":"inflight"}`)
}

func (m *master) hear() string {
	data, oob := make([]byte, maxMessage), make([]byte, 64)
	m.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	n, oobn, _, _, err := m.conn.ReadMsgUnix(data, oob)
	if err != nil {
		m.t.Fatal(err)
	}
	if files := descriptorsIn(oob[:oobn]); len(files) == 1 {
		m.page = os.NewFile(uintptr(files[0]), "page")
	}
	return string(data[:n])
}

func (m *master) expect(want string) {
	m.t.Helper()
	if got := m.hear(); got != want {
		m.t.Fatalf("it says %s, and not %s", got, want)
	}
}

func (m *master) say(text string, files ...*os.File) {
	var fds []int
	for _, each := range files {
		raw, err := each.SyscallConn() // Fd() would make the socket block, for all of its holders
		if err != nil {
			m.t.Fatal(err)
		}
		raw.Control(func(fd uintptr) { fds = append(fds, int(fd)) })
	}
	if _, _, err := m.conn.WriteMsgUnix([]byte(text), syscall.UnixRights(fds...), nil); err != nil {
		m.t.Fatal(err)
	}
}

func (m *master) inflight() int64 {
	data := make([]byte, 128)
	if _, err := m.page.ReadAt(data, 0); err != nil || string(data[:8]) != "HANDOVER" || data[8] != 1 {
		m.t.Fatalf("page %q: %v", data, err)
	}
	return int64(binary.LittleEndian.Uint64(data[64:]))
}

// listening makes a socket, and returns its address and a descriptor of its.
func listening(t *testing.T) (string, *os.File) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	t.Cleanup(func() { file.Close() })
	return l.Addr().String(), file
}

// channelled makes a worker whose sockets come over the channel.
func channelled(t *testing.T) (*Worker, *supervisor, *master, chan int) {
	w, super, exited := supervised(t)
	w.sockets.sent = &sentSockets{}
	w.options.budget = long
	m := newMaster(t)
	w.open(m.path)
	m.accept()
	return w, super, m, exited
}

func knock(t *testing.T, addr string) net.Conn {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// accepted expects a connection from that client.
func accepted(t *testing.T, l net.Listener, client net.Conn) {
	t.Helper()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if conn.RemoteAddr().String() != client.LocalAddr().String() {
		t.Fatalf("accepted %s, and not %s", conn.RemoteAddr(), client.LocalAddr())
	}
}

func TestSocketsComeAndGo(t *testing.T) {
	w, _, m, _ := channelled(t)
	told := make(chan string, 10)
	w.OnSockets(func(names []string) { told <- fmt.Sprint(names) })
	web, err := w.Listener("web")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Listener("web"); fmt.Sprint(err) != `socket "web" is in use already` {
		t.Error(err)
	}
	if got := web.Addr().String(); got != "socket web" {
		t.Error(got)
	}
	addr, file := listening(t)
	second, admin := listening(t)
	early := knock(t, addr)
	m.say(`{"version":1,"kind":"sockets","names":["web"],"set":1}`, file)
	m.expect(`{"version":1,"kind":"accepting","set":1}`)
	accepted(t, web, early)
	if web.Addr().String() != addr {
		t.Error(web.Addr())
	}
	// one more, for whoever serves the rest
	rest, err := w.Listeners()
	if err != nil || len(rest) != 1 {
		t.Fatal(rest, err)
	}
	m.say(`{"version":1,"kind":"sockets","names":["web","admin"],"set":2}`, file, admin)
	m.expect(`{"version":1,"kind":"accepting","set":2}`)
	accepted(t, rest[0], knock(t, second))
	accepted(t, web, knock(t, addr))
	// it moves: both are served until the former one is left out, and who is in its queue then is served, too
	third, moved := listening(t)
	m.say(`{"version":1,"kind":"sockets","names":["admin","web","admin"],"set":3}`, admin, file, moved)
	m.expect(`{"version":1,"kind":"accepting","set":3}`)
	accepted(t, rest[0], knock(t, third))
	queued := knock(t, second)
	m.say(`{"version":1,"kind":"sockets","names":["web","admin"],"set":4}`, file, moved)
	accepted(t, rest[0], queued)
	m.expect(`{"version":1,"kind":"accepting","set":4}`)
	accepted(t, rest[0], knock(t, third))
	for _, want := range []string{"[web]", "[web admin]", "[admin web admin]", "[web admin]"} {
		if got := <-told; got != want {
			t.Errorf("told %s, not %s", got, want)
		}
	}
	web.Close()
	if _, err := web.Accept(); !strings.HasSuffix(fmt.Sprint(err), "use of closed network connection") {
		t.Error(err)
	}
}

func TestASocketThatIsNotThere(t *testing.T) {
	w, _, m, _ := channelled(t)
	l, err := w.Listener("wbe")
	if err != nil {
		t.Fatal(err)
	}
	_, file := listening(t)
	m.say(`{"version":1,"kind":"sockets","names":["web"],"set":1}`, file)
	if _, err := l.Accept(); !strings.HasSuffix(fmt.Sprint(err), `there is no socket "wbe"; there are: [web]`) {
		t.Error(err)
	}
	if _, err := w.Listener("w"); fmt.Sprint(err) != `there is no socket "w"; there are: [web]` {
		t.Error(err)
	}
}

func TestRubbishIsDroppedWithItsDescriptors(t *testing.T) {
	w, _, m, _ := channelled(t)
	_, file := listening(t)
	before := openFiles(t)
	for _, text := range []string{"rubbish", "{}", `{"version":2,"kind":"sockets","names":["web"],"set":9}`, `{"version":1,"kind":"drink"}`,
		`{"version":1,"kind":"sockets","names":["web","x"],"set":9}`} {
		m.say(text, file)
	}
	m.say(`{"version":1,"kind":"inflight"}`)
	m.expect(`{"version":1,"kind":"inflight"}`)
	m.page.Close()
	if after := openFiles(t); after != before {
		t.Errorf("%d descriptors, before it was %d", after, before)
	}
	if w.Context().Err() != nil {
		t.Error("it drains")
	}
}

func openFiles(t *testing.T) int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func TestInFlightInThePage(t *testing.T) {
	w, _, m, _ := channelled(t)
	end := w.Begin("call")
	if got := m.inflight(); got != 1 {
		t.Error(got)
	}
	w.BeginUncounted("watch")
	end()
	end()
	if got := m.inflight(); got != 0 {
		t.Error(got)
	}
}

func monotonic(after time.Duration) uint64 {
	var now syscall.Timespec
	syscall.Syscall(syscall.SYS_CLOCK_GETTIME, 1, uintptr(unsafe.Pointer(&now)), 0)
	return uint64((now.Nano() + int64(after)) / 1000)
}

func TestWhyAndUntilWhen(t *testing.T) {
	for _, test := range []struct {
		word  string
		stops int
		want  Reason
	}{{"reload", 0, Reload}, {"restart", 0, Reload}, {"scale", 0, Reload}, {"undo", 0, Reload}, {"stop", 1, Stop}, {"removed", 1, Stop}, {"whim", 0, Unknown}} {
		t.Run(test.word, func(t *testing.T) {
			w, super, m, _ := channelled(t)
			stops := 0
			w.OnStop(func() { stops++ })
			m.say(fmt.Sprintf(`{"version":1,"kind":"drain","reason":"%s","deadline_usec":%d}`, test.word, monotonic(time.Minute)))
			<-w.Context().Done()
			super.waitFor("STOPPING=1")
			if deadline, _ := w.Deadline(); w.Reason() != test.want || time.Until(deadline) > 48*time.Second || time.Until(deadline) < 40*time.Second {
				t.Errorf("%v until %v", w.Reason(), time.Until(deadline))
			}
			if stops != test.stops {
				t.Errorf("OnStop was called %d times", stops)
			}
			w.signalled() // comes behind, and changes nothing
		})
	}
}

func TestLameDuck(t *testing.T) {
	w, _, m, _ := channelled(t)
	stops := make(chan bool, 2)
	w.OnStop(func() { stops <- w.Context().Err() == nil })
	m.say(`{"version":1,"kind":"lameduck","deadline_usec":1}`)
	if serves := <-stops; !serves {
		t.Error("it drains already")
	}
	m.say(fmt.Sprintf(`{"version":1,"kind":"drain","reason":"stop","deadline_usec":%d}`, monotonic(time.Minute)))
	<-w.Context().Done()
	if len(stops) != 0 {
		t.Error("OnStop was called twice")
	}
}

func TestASignalWithoutAWord(t *testing.T) {
	w, _, _, _ := channelled(t)
	w.signalled()
	if w.Context().Err() == nil || w.Reason() != Unknown {
		t.Error(w.Reason())
	}
}

// A new supervisor: the worker connects to it, and says again what the former one knew.
func TestAnotherMaster(t *testing.T) {
	w, super, m, _ := channelled(t)
	if err := w.Ready(); err != nil {
		t.Fatal(err)
	}
	super.waitFor("READY=1")
	w.Begin("call")
	for i := 0; i < 2; i++ {
		m.l.Close()
		m.conn.Close()
		m.listen()
		m.accept()
		m.expect(`{"version":1,"kind":"ready"}`)
		if got := m.inflight(); got != 1 {
			t.Error(got)
		}
	}
	m.say(fmt.Sprintf(`{"version":1,"kind":"drain","reason":"reload","deadline_usec":%d}`, monotonic(time.Minute)))
	<-w.Context().Done()
}

// Out of descriptors it asks again, until it has some.
func TestOutOfDescriptors(t *testing.T) {
	w, _, m, _ := channelled(t)
	l, _ := w.Listener("web")
	addr, file := listening(t)
	var before, low syscall.Rlimit
	syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before)
	low = before
	low.Cur = 3
	syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low)
	m.say(`{"version":1,"kind":"sockets","names":["web"],"set":1}`, file)
	m.expect(`{"version":1,"kind":"again","set":1}`)
	syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before)
	m.say(`{"version":1,"kind":"sockets","names":["web"],"set":1}`, file)
	m.expect(`{"version":1,"kind":"accepting","set":1}`)
	accepted(t, l, knock(t, addr))
}
