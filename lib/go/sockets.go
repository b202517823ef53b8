package handover

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// firstDescriptor is where the handed-over descriptors begin, by the convention of sd_listen_fds(3).
const firstDescriptor = 3

// maxSockets bounds what LISTEN_FDS may claim.
const maxSockets = 1024

// sockets are those that were handed over and are not in use yet.
type sockets struct {
	given  bool         // by a supervisor
	sent   *sentSockets // they come over the channel; nil: they do not
	mu     sync.Mutex
	free   []socket
	opened []string // the names of those in use
	stored []stored
}

type socket struct {
	name string
	open func() (net.Listener, error)
}

// newSockets knows the sockets that the environment announces. Where it announces none, those that are to be made by
// hand take their place.
func newSockets(byHand []address) (*sockets, error) {
	s := &sockets{}
	if os.Getenv("HANDOVER_HANDOFF") == "channel" && os.Getenv("HANDOVER_CHANNEL") != "" {
		s.sent = &sentSockets{} // what there is beside them, like a probe socket, is inherited all the same
	}
	if os.Getenv("LISTEN_FDS") == "" && s.sent != nil {
		return s, nil
	}
	if os.Getenv("LISTEN_FDS") == "" {
		for _, a := range byHand {
			a := a
			s.free = append(s.free, socket{a.name, func() (net.Listener, error) { return net.Listen(a.network, a.address) }})
		}
		return s, nil
	}
	names, err := announcedSockets()
	if err != nil {
		return nil, err
	}
	s.given = true
	listening := len(names) - storedCount(len(names))
	for i, name := range names {
		fd, name := firstDescriptor+i, name
		syscall.CloseOnExec(fd)
		if i >= listening {
			s.stored = append(s.stored, stored{name, fd})
			continue
		}
		s.free = append(s.free, socket{name, func() (net.Listener, error) {
			l, err := newListener(fd, name)
			if err != nil {
				return nil, fmt.Errorf("socket %q (descriptor %d): %w", name, fd, err)
			}
			return l, nil
		}})
	}
	return s, nil
}

// announcedSockets returns the name of each handed-over descriptor, in their order.
func announcedSockets() ([]string, error) {
	pid, fds := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS")
	if pid != strconv.Itoa(os.Getpid()) {
		return nil, fmt.Errorf("LISTEN_PID is %q, we are %d: the sockets are meant for another process "+
			"(a shell that starts us must do so by exec)", pid, os.Getpid())
	}
	count, err := strconv.Atoi(fds)
	if err != nil || count < 1 || count > maxSockets {
		return nil, fmt.Errorf("LISTEN_FDS is %q: not a number from 1 to %d", fds, maxSockets)
	}
	list, set := os.LookupEnv("LISTEN_FDNAMES")
	if !set {
		return make([]string, count), nil
	}
	names := strings.Split(list, ":")
	if len(names) != count {
		return nil, fmt.Errorf("LISTEN_FDNAMES %q has %d names for LISTEN_FDS=%d", list, len(names), count)
	}
	return names, nil
}

// Listener returns the listening socket of that name. The caller serves it, and closes it when the drain starts,
// before clients hear that they are to go. (Servers that ServeHTTP or the gRPC package runs need no such call.)
//
// With handoff = channel the sockets come after READY=1. What is returned then accepts from them once they are here, and
// goes along when a reload moves that name to another address, takes it away, or brings it back.
func (w *Worker) Listener(name string) (net.Listener, error) {
	s := w.sockets
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, each := range s.free {
		if each.name == name {
			l, err := each.open()
			if err == nil {
				s.free = append(s.free[:i], s.free[i+1:]...)
				s.opened = append(s.opened, name)
			}
			return l, err
		}
	}
	if s.sent != nil {
		return s.sent.listener(name)
	}
	return nil, s.missing(name)
}

// Listeners returns the sockets of these names, or, without a name, all that are not in use yet; with handoff = channel,
// one listener for all of them, those that come with later reloads included.
func (w *Worker) Listeners(names ...string) ([]net.Listener, error) {
	if len(names) == 0 {
		names = w.sockets.unused()
		if w.sockets.sent != nil {
			names = append(names, "")
		}
	}
	if len(names) == 0 {
		return nil, w.sockets.missing("")
	}
	var listeners []net.Listener
	for _, name := range names {
		l, err := w.Listener(name)
		if err != nil {
			for _, each := range listeners {
				each.Close()
			}
			return nil, err
		}
		listeners = append(listeners, l)
	}
	return listeners, nil
}

// OnSockets sets a function that is called with the names of all sockets whenever a set of them has come: with
// handoff = channel, after READY=1 and after reloads that change it. A name that is new, and that no Listeners() without
// names serves already, can be served from then on. It must not wait for anything.
func (w *Worker) OnSockets(f func(names []string)) {
	if s := w.sockets.sent; s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.tell = append(s.tell, f)
	}
}

func (s *sockets) unused() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for _, each := range s.free {
		names = append(names, each.name)
	}
	return names
}

// missing says why there is no socket of that name.
func (s *sockets) missing(name string) error {
	for _, each := range s.opened {
		if each == name {
			return fmt.Errorf("socket %q is in use already", name)
		}
	}
	var has []string
	for _, each := range s.free {
		has = append(has, each.name)
	}
	switch all := strings.Join(append(has, s.opened...), " "); {
	case !s.given && all == "":
		return fmt.Errorf("LISTEN_FDS is not set: no supervisor has given us a listening socket")
	case name == "":
		return fmt.Errorf("all sockets are in use already: %s", all)
	default:
		return fmt.Errorf("there is no socket %q; there are: %s", name, all)
	}
}

// checkListening finds out whether fd is a stream socket that listens.
func checkListening(fd int) error {
	kind, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_TYPE)
	if err != nil {
		return err
	}
	listening, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN)
	if err != nil {
		return err
	}
	if kind != syscall.SOCK_STREAM || listening == 0 {
		return fmt.Errorf("is not a listening stream socket")
	}
	return nil
}

// localAddr returns the address that fd is bound to.
func localAddr(fd int) (net.Addr, error) {
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		return nil, err
	}
	switch sa := sa.(type) {
	case *syscall.SockaddrInet4:
		return &net.TCPAddr{IP: append(net.IP(nil), sa.Addr[:]...), Port: sa.Port}, nil
	case *syscall.SockaddrInet6:
		return &net.TCPAddr{IP: append(net.IP(nil), sa.Addr[:]...), Port: sa.Port}, nil
	case *syscall.SockaddrUnix:
		return &net.UnixAddr{Net: "unix", Name: sa.Name}, nil
	}
	return nil, fmt.Errorf("has an address of an unknown family")
}
