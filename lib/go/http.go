package handover

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// keepAlive is how long a drain leaves connections on which nothing happens: a request may be on its way already.
// The answer to it says that it was the last one.
const keepAlive = 500 * time.Millisecond

// ServeHTTP lets server serve the sockets of these names, or, without a name, all that are not in use yet: with TLS
// where its TLSConfig is set. It returns at once; the server starts to accept with Ready, or Run.
//
// Its Handler and ConnState are replaced by ones that count, and call what was there before.
func (w *Worker) ServeHTTP(server *http.Server, sockets ...string) error {
	listeners, err := w.Listeners(sockets...)
	if err != nil {
		return err
	}
	s := &httpServer{worker: w, server: server, listeners: listeners, fresh: make(map[net.Conn]struct{}),
		draining: make(chan struct{}), tls: server.TLSConfig != nil, next: server.Handler, state: server.ConnState}
	s.ended = sync.NewCond(&s.mu)
	if s.next == nil {
		s.next = http.DefaultServeMux
	}
	server.Handler, server.ConnState = http.HandlerFunc(s.handle), s.note
	w.Register(s)
	return nil
}

type httpServer struct {
	worker    *Worker
	server    *http.Server
	listeners []net.Listener
	tls       bool // Serve sets a TLSConfig of its own
	next      http.Handler
	state     func(net.Conn, http.ConnState)
	accepting sync.WaitGroup
	draining  chan struct{} // closed at a drain

	mu     sync.Mutex
	ended  *sync.Cond
	active int
	last   time.Time             // when the last request ended
	fresh  map[net.Conn]struct{} // connections without a request so far
}

func (s *httpServer) Start() {
	for _, each := range s.listeners {
		s.accepting.Add(1)
		go s.serve(each)
	}
}

func (s *httpServer) serve(l net.Listener) {
	defer s.accepting.Done()
	var err error
	if s.tls {
		err = s.server.ServeTLS(l, "", "")
	} else {
		err = s.server.Serve(l)
	}
	if !errors.Is(err, net.ErrClosed) && !errors.Is(err, http.ErrServerClosed) {
		s.worker.Fail(err)
	}
}

func (s *httpServer) handle(rw http.ResponseWriter, r *http.Request) {
	defer s.worker.Begin(r.Method + " " + r.URL.Path + " from " + r.RemoteAddr)()
	s.count(1)
	defer s.count(-1)
	select {
	case <-s.draining:
		rw.Header().Set("Connection", "close") // HTTP/2 has GOAWAY follow
	default:
	}
	s.next.ServeHTTP(rw, r)
}

func (s *httpServer) count(difference int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active += difference
	if difference < 0 {
		s.last = time.Now()
		s.ended.Broadcast()
	}
}

func (s *httpServer) note(conn net.Conn, state http.ConnState) {
	s.mu.Lock()
	if state == http.StateNew {
		s.fresh[conn] = struct{}{}
	} else {
		delete(s.fresh, conn)
	}
	s.mu.Unlock()
	if s.state != nil {
		s.state(conn, state)
	}
}

// Drain stops accepting first; what is queued in the sockets is left to those who share them. Connections may then
// bring what was on its way. http.Server.Shutdown, which closes idle ones at once, comes when nothing comes any more.
func (s *httpServer) Drain(l Limits) {
	for _, each := range s.listeners {
		each.Close()
	}
	s.accepting.Wait()
	close(s.draining)
	s.waitQuiet(time.Now(), shorter(keepAlive, l.Stop/8))
	s.closeFresh()
	s.server.Shutdown(context.Background())
}

// waitQuiet waits until there was no request for that long.
func (s *httpServer) waitQuiet(since time.Time, quiet time.Duration) {
	for {
		s.mu.Lock()
		for s.active > 0 {
			s.ended.Wait()
		}
		if s.last.After(since) {
			since = s.last
		}
		s.mu.Unlock()
		rest := quiet - time.Since(since)
		if rest <= 0 {
			return
		}
		time.Sleep(rest)
	}
}

// closeFresh closes what has brought no request at all, because Shutdown would wait some seconds for it.
func (s *httpServer) closeFresh() {
	s.mu.Lock()
	var fresh []net.Conn
	for conn := range s.fresh {
		fresh = append(fresh, conn)
	}
	s.mu.Unlock()
	for _, conn := range fresh {
		conn.Close()
	}
}

// Stop closes all connections. A handler sees it by the context of its request.
func (s *httpServer) Stop() { s.server.Close() }
