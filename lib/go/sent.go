package handover

import (
	"fmt"
	"net"
	"sync"
	"syscall"
)

// sentSockets are those that come over the channel: the set that we have, and who serves it.
type sentSockets struct {
	mu     sync.Mutex
	come   bool
	set    []*sentSocket
	owners []*shared
	tell   []func(names []string)
}

type sentSocket struct {
	name  string
	inode uint64 // what it is: the same socket comes again with another descriptor
	l     *listener
	owner *shared // nil: nobody has asked for it
}

// listener returns the sockets of that name, or all that nobody has asked for; also before they have come.
func (s *sentSockets) listener(name string) (net.Listener, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, owner := range s.owners {
		if owner.name == name && name != "" {
			return nil, fmt.Errorf("socket %q is in use already", name)
		} else if owner.name == name {
			return nil, fmt.Errorf("all sockets are in use already")
		}
	}
	owner := newShared(name)
	if s.come && !s.deal(owner) && name != "" {
		return nil, s.missing(name)
	}
	s.owners = append(s.owners, owner)
	return owner, nil
}

// deal gives an owner what is his, and says whether there was any.
func (s *sentSockets) deal(owner *shared) bool {
	any := false
	for _, each := range s.set {
		if each.owner == nil && (owner.name == "" || owner.name == each.name) {
			each.owner = owner
			owner.add(each.l)
			any = true
		}
	}
	return any
}

func (s *sentSockets) missing(name string) error {
	return fmt.Errorf("there is no socket %q; there are: %s", name, fmt.Sprint(s.names()))
}

func (s *sentSockets) names() []string {
	names := []string{}
	for _, each := range s.set {
		names = append(names, each.name)
	}
	return names
}

// receive takes a set over, with the descriptors, and returns when we have let go of what is not in it.
func (s *sentSockets) receive(names []string, files []int) error {
	if len(names) != len(files) {
		closeAll(files)
		return fmt.Errorf("%d sockets with %d names", len(files), len(names))
	}
	s.mu.Lock()
	former := s.set
	s.set = nil
	var failed error
	for i, name := range names {
		each, err := s.keep(former, name, files[i])
		if err != nil {
			failed = err
			continue
		}
		s.set = append(s.set, each)
	}
	gone := without(former, s.set)
	s.come = true
	for _, owner := range s.owners {
		if owner.name != "" {
			s.deal(owner)
		}
	}
	for _, owner := range s.owners {
		if owner.name == "" {
			s.deal(owner)
		} else if !s.has(owner.name) && !hasName(former, owner.name) {
			owner.fail(s.missing(owner.name))
		}
	}
	tell, present := append([]func([]string){}, s.tell...), s.names()
	s.mu.Unlock()
	for _, each := range tell {
		each(present)
	}
	letGo(gone)
	return failed
}

// keep finds out whether we have that socket already, or makes a listener of it.
func (s *sentSockets) keep(former []*sentSocket, name string, fd int) (*sentSocket, error) {
	var stat syscall.Stat_t
	if err := syscall.Fstat(fd, &stat); err != nil {
		syscall.Close(fd)
		return nil, err
	}
	for _, each := range former {
		if each.name == name && each.inode == stat.Ino {
			syscall.Close(fd)
			return each, nil
		}
	}
	l, err := newListener(fd, name)
	if err != nil {
		syscall.Close(fd)
		return nil, fmt.Errorf("socket %q: %w", name, err)
	}
	return &sentSocket{name: name, inode: stat.Ino, l: l}, nil
}

func (s *sentSockets) has(name string) bool { return hasName(s.set, name) }

func hasName(set []*sentSocket, name string) bool {
	for _, each := range set {
		if each.name == name {
			return true
		}
	}
	return false
}

// without returns those of a that are not in b.
func without(a, b []*sentSocket) []*sentSocket {
	var rest []*sentSocket
	for _, each := range a {
		found := false
		for _, other := range b {
			found = found || each == other
		}
		if !found {
			rest = append(rest, each)
		}
	}
	return rest
}

// letGo closes them, all at the same time, when their queues are empty.
func letGo(gone []*sentSocket) {
	var closing sync.WaitGroup
	for _, each := range gone {
		if each.owner == nil {
			each.l.Close()
			continue
		}
		closing.Add(1)
		go func(each *sentSocket) {
			defer closing.Done()
			each.owner.drop(each.l)
		}(each)
	}
	closing.Wait()
}
