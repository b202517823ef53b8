package handover

import (
	"net"
	"sync"
	"time"
)

// handTime is how long somebody who has closed a listener may take to fetch what was accepted before.
const handTime = time.Second

// shared is what Listener returns where sockets come over the channel: later, and perhaps others in the course of
// time. It accepts from all that it has at the moment.
type shared struct {
	name  string // "": all that nobody else has asked for
	conns chan net.Conn
	quit  chan struct{} // closed by Close
	ended chan struct{} // closed when nothing more comes

	mu     sync.Mutex
	has    []*pump
	begun  bool // Accept was called
	closed bool
	err    error // why nothing comes any more
	pumps  sync.WaitGroup
}

// pump accepts from one socket.
type pump struct {
	*listener
	running bool
	done    chan struct{}
}

func newShared(name string) *shared {
	return &shared{name: name, conns: make(chan net.Conn), quit: make(chan struct{}), ended: make(chan struct{})}
}

// add takes the listener over.
func (s *shared) add(l *listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		l.Close()
		return
	}
	p := &pump{listener: l, done: make(chan struct{})}
	s.has = append(s.has, p)
	if s.begun {
		s.start(p)
	}
}

func (s *shared) start(p *pump) {
	p.running = true
	s.pumps.Add(1)
	go s.run(p)
}

// drop accepts whoever is in the queue, and lets go of the socket.
func (s *shared) drop(l *listener) {
	s.mu.Lock()
	var gone *pump
	for i, p := range s.has {
		if p.listener == l {
			gone = p
			s.has = append(s.has[:i:i], s.has[i+1:]...)
			break
		}
	}
	s.mu.Unlock()
	if gone == nil {
		return
	}
	gone.leave()
	if !gone.running {
		gone.Close()
		return
	}
	select {
	case <-gone.done:
	case <-time.After(handTime):
	}
}

func (s *shared) run(p *pump) {
	defer s.pumps.Done()
	defer close(p.done)
	for {
		conn, err := p.Accept()
		if err == nil {
			s.hand(conn)
			continue
		}
		if p.isLeaving() {
			for _, conn := range p.rest() {
				s.hand(conn)
			}
			p.Close()
		} else if !p.isClosed() {
			s.fail(err)
		}
		return
	}
}

// hand gives it to whoever calls Accept, who does so until it returns an error.
func (s *shared) hand(conn net.Conn) {
	select {
	case s.conns <- conn:
		return
	case <-s.quit:
	}
	select {
	case s.conns <- conn:
	case <-time.After(handTime):
		conn.Close()
	}
}

// Accept waits for the sockets, and then for connections. After Close it returns what was accepted before, and then
// errors.
func (s *shared) Accept() (net.Conn, error) {
	s.mu.Lock()
	if !s.begun {
		s.begun = true
		for _, p := range s.has {
			s.start(p)
		}
	}
	s.mu.Unlock()
	select {
	case conn := <-s.conns:
		return conn, nil
	case <-s.ended:
		s.mu.Lock()
		defer s.mu.Unlock()
		addr := s.addr()
		return nil, &net.OpError{Op: "accept", Net: addr.Network(), Addr: addr, Err: s.err}
	}
}

// Close ends accepting, also from what might come later.
func (s *shared) Close() error {
	if !s.end(net.ErrClosed) {
		return net.ErrClosed
	}
	return nil
}

// fail has Accept return that error.
func (s *shared) fail(err error) { s.end(err) }

func (s *shared) end(err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.closed, s.err = true, err
	for _, p := range s.has {
		p.Close()
	}
	close(s.quit)
	go func() {
		s.pumps.Wait()
		close(s.ended)
	}()
	return true
}

// Addr returns the address of the first of its sockets, and before they have come only its name.
func (s *shared) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr()
}

func (s *shared) addr() net.Addr {
	if len(s.has) > 0 {
		return s.has[0].Addr()
	}
	return unsent(s.name)
}

// unsent is the address of a socket that has not come yet.
type unsent string

func (unsent) Network() string  { return "handover" }
func (u unsent) String() string { return "socket " + string(u) }
