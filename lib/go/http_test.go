package handover

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"
)

// serveHTTP lets a worker serve, and returns it with its address and what will be its status.
func serveHTTP(t *testing.T, handler http.HandlerFunc) (*Worker, string, chan int) {
	w := byHand(t, "http")
	listeners, err := w.Listeners()
	if err != nil {
		t.Fatal(err)
	}
	addr := listeners[0].Addr().String()
	w.sockets.free = []socket{{name: "http", open: func() (net.Listener, error) { return listeners[0], nil }}}
	if err := w.ServeHTTP(&http.Server{Handler: handler}, "http"); err != nil {
		t.Fatal(err)
	}
	if err := w.Ready(); err != nil {
		t.Fatal(err)
	}
	status := make(chan int, 1)
	go func() { status <- w.Run() }()
	return w, addr, status
}

type client struct {
	t *testing.T
	net.Conn
	in *bufio.Reader
}

func dial(t *testing.T, addr string) *client {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	t.Cleanup(func() { conn.Close() })
	return &client{t, conn, bufio.NewReader(conn)}
}

func (c *client) send() { io.WriteString(c, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n") }

// receive returns whether the answer says that it is the last one.
func (c *client) receive() bool {
	response, err := http.ReadResponse(c.in, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != nil || string(body) != "ok" {
		c.t.Fatalf("%q, %v", body, err)
	}
	return response.Close
}

func (c *client) isClosed() bool {
	_, err := c.in.ReadByte()
	return err == io.EOF || errors.Is(err, syscall.ECONNRESET)
}

func TestADrainAnswersWhatIsOnItsWay(t *testing.T) {
	slow, began := make(chan struct{}), make(chan struct{}, 3)
	w, addr, status := serveHTTP(t, func(rw http.ResponseWriter, r *http.Request) {
		began <- struct{}{}
		if r.Header.Get("Slow") != "" {
			<-slow
		}
		io.WriteString(rw, "ok")
	})
	idle, fresh, inFlight := dial(t, addr), dial(t, addr), dial(t, addr)
	idle.send()
	if idle.receive() {
		t.Error("closed before the drain")
	}
	io.WriteString(inFlight, "GET /x HTTP/1.1\r\nHost: x\r\nSlow: 1\r\n\r\n")
	<-began
	<-began
	w.begin(notice{reason: Reload, budget: time.Hour})
	draining := w.registered()[0].(*httpServer).draining
	<-draining
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("it still accepts")
	}
	idle.send()
	if !idle.receive() || !idle.isClosed() {
		t.Error("the answer on an idle connection does not say that it was the last")
	}
	select {
	case <-status:
		t.Fatal("ended with a request in flight")
	default:
	}
	close(slow)
	inFlight.receive()
	if !inFlight.isClosed() || !fresh.isClosed() {
		t.Error("connections are left")
	}
	if got := <-status; got != 0 {
		t.Errorf("status %d", got)
	}
}

func TestAnIdleConnectionIsKeptForAMoment(t *testing.T) {
	w, addr, status := serveHTTP(t, func(rw http.ResponseWriter, _ *http.Request) { io.WriteString(rw, "ok") })
	idle := dial(t, addr)
	idle.send()
	idle.receive()
	w.begin(notice{reason: Reload, budget: time.Hour})
	<-w.registered()[0].(*httpServer).draining
	time.Sleep(20 * time.Millisecond) // its request was on its way for so long
	idle.send()
	if !idle.receive() {
		t.Error("the answer does not say that it was the last")
	}
	if got := <-status; got != 0 {
		t.Errorf("status %d", got)
	}
}

func TestAHandlerThatHangsIsCutOff(t *testing.T) {
	began := make(chan struct{})
	w, addr, status := serveHTTP(t, func(http.ResponseWriter, *http.Request) {
		close(began)
		select {}
	})
	w.exit = func(int) {}
	c := dial(t, addr)
	c.send()
	<-began
	w.begin(notice{reason: Reload, budget: 300 * time.Millisecond})
	if !c.isClosed() {
		t.Error("the connection is left")
	}
	if got := <-status; got != cutStatus {
		t.Errorf("status %d", got)
	}
}

func TestAListenerThatFailsEndsTheWorker(t *testing.T) {
	w, _, status := serveHTTP(t, nil)
	s := w.registered()[0].(*httpServer)
	w.options.budget = time.Hour
	s.accepting.Add(1)
	go s.serve(failing{s.listeners[0]})
	if got := <-status; got != 1 {
		t.Errorf("status %d", got)
	}
}

type failing struct{ net.Listener }

func (failing) Accept() (net.Conn, error) { return nil, os.NewSyscallError("accept4", syscall.EINVAL) }

// The socket stays non-blocking, and open for those who share it.
func TestAListenerLeavesTheSocketToOthers(t *testing.T) {
	own, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	raw, err := own.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var fd int
	raw.Control(func(socket uintptr) { fd, err = syscall.Dup(int(socket)) })
	if err != nil {
		t.Fatal(err)
	}
	shared, err := newListener(fd, "shared")
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan error)
	go func() { _, err := shared.Accept(); accepted <- err }()
	dial(t, own.Addr().String())
	if err := <-accepted; err != nil {
		t.Error(err)
	}
	go func() { _, err := shared.Accept(); accepted <- err }()
	if err := shared.Close(); err != nil {
		t.Error(err)
	}
	if err := <-accepted; !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept ended with %v", err)
	}
	dial(t, own.Addr().String())
	if _, err := own.Accept(); err != nil {
		t.Errorf("the other holder cannot accept: %v", err)
	}
}
