package handover

import (
	"net"
	"syscall"
)

// lateListener is a listener whose sockets come after READY=1, over the channel: one of that name, or all that nobody has
// asked for by name. A later message may replace them. All but Accept is done under the lock of the sockets.
type lateListener struct {
	name      string // empty: all
	inner     map[string]net.Listener
	accepting int // from how many of them
	closed    bool
	conns     chan net.Conn
	failed    chan error
	done      chan struct{} // closed when nothing will come any more
}

func newLateListener(name string) *lateListener {
	return &lateListener{name: name, inner: make(map[string]net.Listener), conns: make(chan net.Conn),
		failed: make(chan error, 1), done: make(chan struct{})}
}

// lateHandle is what a server has of it.
type lateHandle struct {
	late    *lateListener
	sockets *sockets
}

// Accept waits for a socket, and then for a connection. After Close it returns what was in our hands, and then errors.
func (h lateHandle) Accept() (net.Conn, error) {
	select {
	case conn := <-h.late.conns:
		return conn, nil
	case err := <-h.late.failed:
		return nil, err
	case <-h.late.done:
		return nil, &net.OpError{Op: "accept", Net: "handover", Addr: h.Addr(), Err: net.ErrClosed}
	}
}

// Close ends accepting.
func (h lateHandle) Close() error {
	h.sockets.mu.Lock()
	defer h.sockets.mu.Unlock()
	if h.late.closed {
		return net.ErrClosed
	}
	h.late.closed = true
	for name := range h.late.inner {
		h.late.drop(name)
	}
	if h.late.accepting == 0 {
		close(h.late.done)
	}
	return nil
}

// Addr returns a name in the place of an address: there may be none yet, or several.
func (h lateHandle) Addr() net.Addr {
	if h.late.name == "" {
		return lateAddr("all sockets")
	}
	return lateAddr("socket " + h.late.name)
}

type lateAddr string

func (lateAddr) Network() string  { return "handover" }
func (a lateAddr) String() string { return string(a) }

func (l *lateListener) drop(name string) {
	l.inner[name].Close()
	delete(l.inner, name)
}

func (l *lateListener) fail(err error) {
	select {
	case l.failed <- err:
	default: // the first one says it
	}
}

// feed accepts from one of the sockets until it is closed.
func (s *sockets) feed(l *lateListener, inner net.Listener) {
	for {
		conn, err := inner.Accept()
		if err != nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, each := range l.inner {
				if each == inner {
					l.fail(err) // nobody has closed it
				}
			}
			if l.accepting--; l.accepting == 0 && l.closed {
				close(l.done)
			}
			return
		}
		l.conns <- conn
	}
}

// arrive takes a set of sockets over. What we have of them already stays as it is, and what is not of the set is closed.
func (s *sockets) arrive(names []string, descriptors []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	set := make(map[string]int)
	for i, name := range names {
		if _, twice := set[name]; twice || !s.late || checkListening(descriptors[i]) != nil {
			syscall.Close(descriptors[i]) // inherited ones are not replaced
			continue
		}
		set[name] = descriptors[i]
	}
	if !s.late {
		return
	}
	s.forget(set)
	for name, fd := range set {
		s.keep(name, fd)
	}
	if s.came {
		return
	}
	s.came = true
	for _, l := range s.waiting {
		if l.name != "" && len(l.inner) == 0 && !l.closed {
			l.fail(s.missing(l.name)) // one that a later set takes away is no mistake of the program's
		}
	}
}

// forget closes what is not in the set, or is another socket there; what we have is taken out of the set.
func (s *sockets) forget(set map[string]int) {
	known := func(name string, has string) bool {
		fd, there := set[name]
		if !there {
			return false
		}
		addr, err := localAddr(fd)
		if err != nil || addr.String() != has {
			return false
		}
		syscall.Close(fd)
		delete(set, name)
		return true
	}
	for _, l := range s.waiting {
		for name, inner := range l.inner {
			if !known(name, inner.Addr().String()) {
				l.drop(name)
			}
		}
	}
	var free []socket
	for _, each := range s.free {
		if each.sent == nil || known(each.name, each.sent.Addr().String()) {
			free = append(free, each)
		} else {
			each.sent.Close()
		}
	}
	s.free = free
}

// keep gives a socket to who has asked for it, or has it wait for that.
func (s *sockets) keep(name string, fd int) {
	sent, err := newListener(fd, name)
	if err != nil {
		syscall.Close(fd)
		return
	}
	for _, wanted := range []string{name, ""} {
		for _, l := range s.waiting {
			if l.name == wanted && !l.closed {
				l.inner[name] = sent
				l.accepting++
				go s.feed(l, sent)
				return
			}
		}
	}
	s.free = append(s.free, socket{name: name, open: func() (net.Listener, error) { return sent, nil }, sent: sent})
}

// wait returns a listener for what comes later.
func (s *sockets) wait(name string) net.Listener {
	l := newLateListener(name)
	s.waiting = append(s.waiting, l)
	return lateHandle{l, s}
}
