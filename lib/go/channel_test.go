package handover

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// master is the other end of HANDOVER_CHANNEL.
type master struct {
	t        *testing.T
	listener *net.UnixListener
	conn     *net.UnixConn
}

// channelled makes a worker to which sockets come over the channel, and lets it connect.
func channelled(t *testing.T) (*Worker, *master) {
	path := filepath.Join(t.TempDir(), "channel")
	listener, err := net.ListenUnix("unixpacket", &net.UnixAddr{Net: "unixpacket", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	t.Setenv("LISTEN_FDS", "")
	t.Setenv("HANDOVER_CHANNEL", path)
	t.Setenv("HANDOVER_HANDOFF", "channel")
	s, err := newSockets(nil)
	if err != nil {
		t.Fatal(err)
	}
	w, _, _ := bounded(newWorker(options{}, &notifier{}, s), nil)
	t.Cleanup(w.cancel)
	go w.listen(path)
	m := &master{t: t, listener: listener}
	m.accept()
	return w, m
}

func (m *master) accept() {
	m.listener.SetDeadline(time.Now().Add(20 * time.Second))
	conn, err := m.listener.AcceptUnix()
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { conn.Close() })
	m.conn = conn
}

func (m *master) say(text string, sockets ...*net.TCPListener) {
	var fds []int
	for _, each := range sockets {
		raw, err := each.SyscallConn() // File() would make it blocking
		if err != nil {
			m.t.Fatal(err)
		}
		raw.Control(func(fd uintptr) { fds = append(fds, int(fd)) })
	}
	if _, _, err := m.conn.WriteMsgUnix([]byte(text), syscall.UnixRights(fds...), nil); err != nil {
		m.t.Fatal(err)
	}
}

func (m *master) sendSockets(names string, sockets ...*net.TCPListener) {
	m.say(fmt.Sprintf(`{"version":1,"kind":"sockets","names":["%s"]}`, strings.ReplaceAll(names, " ", `","`)), sockets...)
}

func tcp(t *testing.T) *net.TCPListener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.(*net.TCPListener)
}

// greet accepts for ever, and greets with that name.
func greet(l net.Listener, name string) chan error {
	ended := make(chan error, 1)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				ended <- err
				return
			}
			io.WriteString(conn, name)
			conn.Close()
		}
	}()
	return ended
}

// expect connects, and is greeted with that name by whoever serves.
func expect(t *testing.T, socket *net.TCPListener, name string) {
	t.Helper()
	conn, err := net.Dial("tcp", socket.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	if said, err := io.ReadAll(conn); err != nil || string(said) != name {
		t.Fatalf("greeted with %q (%v), want %q", said, err, name)
	}
}

func listenerOf(t *testing.T, w *Worker, names ...string) net.Listener {
	t.Helper()
	all, err := w.Listeners(names...)
	if err != nil || len(all) != 1 {
		t.Fatalf("%v %v", all, err)
	}
	return all[0]
}

func TestSocketsThatComeLater(t *testing.T) {
	w, m := channelled(t)
	web, admin, more, other := tcp(t), tcp(t), tcp(t), tcp(t)
	named, rest := listenerOf(t, w, "admin"), listenerOf(t, w)
	namedEnded, restEnded := greet(named, "named"), greet(rest, "rest")
	m.say(`{"version":1,"kind":"something new"}`, web)
	m.say(`{"version":2,"kind":"sockets","names":["web"]}`, web)
	m.say(`rubbish`)
	m.sendSockets("web admin", web, admin)
	expect(t, web, "rest")
	expect(t, admin, "named")

	// another set: one that stays, one that comes, one with another address, and one that goes
	m.sendSockets("more web admin", more, web, other)
	expect(t, more, "rest")
	expect(t, web, "rest")
	expect(t, other, "named")
	m.sendSockets("web", web)
	expect(t, web, "rest")
	waitFor(t, func() bool {
		w.sockets.mu.Lock()
		defer w.sockets.mu.Unlock()
		return len(named.(lateHandle).late.inner) == 0
	})

	// a new supervisor
	m.conn.Close()
	m.accept()
	m.sendSockets("web more", web, more)
	expect(t, more, "rest")

	for listener, ended := range map[net.Listener]chan error{named: namedEnded, rest: restEnded} {
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
		if err := listener.Close(); err == nil {
			t.Error("closed twice")
		}
		if err := <-ended; !strings.Contains(err.Error(), "use of closed") {
			t.Error(err)
		}
	}
}

func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited in vain")
		}
	}
}

func TestASocketThatDoesNotCome(t *testing.T) {
	w, m := channelled(t)
	ended := greet(listenerOf(t, w, "admin"), "named")
	m.sendSockets("web", tcp(t))
	if err := <-ended; err.Error() != `there is no socket "admin"; there are: web` {
		t.Error(err)
	}
	// what nobody had asked for waits
	if _, err := w.Listener("web"); err != nil {
		t.Error(err)
	}
	if _, err := w.Listener("web"); err == nil || err.Error() != `socket "web" is in use already` {
		t.Error(err)
	}
}

func TestClosedBeforeSocketsCome(t *testing.T) {
	w, m := channelled(t)
	late, web := listenerOf(t, w), tcp(t)
	ended := greet(late, "late")
	late.Close()
	if err := <-ended; !strings.Contains(err.Error(), "use of closed") {
		t.Error(err)
	}
	m.sendSockets("web", web)
	l, err := func() (net.Listener, error) {
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
			if l, err := w.Listener("web"); err == nil || time.Now().After(end) {
				return l, err
			}
		}
	}()
	if err != nil {
		t.Fatal(err)
	}
	greet(l, "asked for")
	expect(t, web, "asked for")
}

func deadlineIn(d time.Duration) uint64 {
	var now syscall.Timespec
	syscall.Syscall(syscall.SYS_CLOCK_GETTIME, 1, uintptr(unsafe.Pointer(&now)), 0)
	return uint64((time.Duration(now.Nano()) + d) / time.Microsecond)
}

func TestWhyAndUntilWhen(t *testing.T) {
	for _, test := range []struct {
		word string
		want Reason
	}{{"stop", Stop}, {"removed", Stop}, {"reload", Reload}, {"scale", Reload}, {"a new word", Unknown}} {
		w, m := channelled(t)
		stops := 0
		w.OnStop(func() { stops++ })
		m.say(fmt.Sprintf(`{"version":1,"kind":"drain","reason":"%s","deadline_usec":%d}`, test.word, deadlineIn(10*time.Second)))
		<-w.Context().Done()
		if w.Reason() != test.want || stops != map[bool]int{true: 1}[test.want == Stop] {
			t.Errorf("%s: reason %d, %d stops", test.word, w.Reason(), stops)
		}
		if budget := w.limits().Budget; budget > 10*time.Second || budget < 5*time.Second {
			t.Errorf("%s: budget %s", test.word, budget)
		}
	}
}

func TestALameDuckComesBeforeTheDrain(t *testing.T) {
	w, m := channelled(t)
	stops := make(chan struct{}, 2)
	w.OnStop(func() { stops <- struct{}{} })
	m.say(fmt.Sprintf(`{"version":1,"kind":"lameduck","deadline_usec":%d}`, deadlineIn(time.Second)))
	<-stops
	if w.Context().Err() != nil {
		t.Error("it drains")
	}
	m.say(fmt.Sprintf(`{"version":1,"kind":"drain","reason":"stop","deadline_usec":%d}`, deadlineIn(time.Second)))
	<-w.Context().Done()
	if len(stops) != 0 {
		t.Error("told twice")
	}
}

func TestDeadlinesThatMakeNoSense(t *testing.T) {
	for usec, want := range map[uint64]time.Duration{0: 0, 1: 0, 1 << 63: defaultBudget, deadlineIn(48 * time.Hour): defaultBudget} {
		if got := timeUntil(usec); got != want {
			t.Errorf("%d: %s, want %s", usec, got, want)
		}
	}
}
