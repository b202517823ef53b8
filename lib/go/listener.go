package handover

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// acceptPause is how long we leave connections to others when we are out of descriptors or memory.
const acceptPause = time.Second

// listener accepts from a socket whose open file description other processes accept from as well.
//
// net.FileListener is not used: before Go 1.21 it makes the description blocking for a moment, and a sibling that
// is in accept at that moment stays there, out of reach of its own Close, until some later connection comes, which
// it then throws away.
type listener struct {
	file   *os.File
	raw    syscall.RawConn
	addr   net.Addr
	closed chan struct{}
	once   sync.Once
	left   chan struct{} // closed by leave
	leaves sync.Once
}

func newListener(fd int, name string) (*listener, error) {
	if err := checkListening(fd); err != nil {
		return nil, err
	}
	addr, err := localAddr(fd)
	if err != nil {
		return nil, err
	}
	// Only a descriptor that is non-blocking already is given to the poller by NewFile. No later call clears the
	// flag as long as nobody asks the file for Fd().
	if err := syscall.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), name)
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, err
	}
	return &listener{file: file, raw: raw, addr: addr, closed: make(chan struct{}), left: make(chan struct{})}, nil
}

// Accept waits for a connection. After Close it returns one that it already had in its hands, and then errors.
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.accept()
		if err == nil {
			return conn, nil
		}
		if l.isClosed() {
			err = net.ErrClosed // the file has a word of its own for it
		}
		if !isShortage(err) {
			return nil, &net.OpError{Op: "accept", Net: l.addr.Network(), Addr: l.addr, Err: err}
		}
		fmt.Fprintf(os.Stderr, "handover: accept on %s: %v; trying again in %s\n", l.addr, err, acceptPause)
		select {
		case <-l.closed:
		case <-l.left:
		case <-time.After(acceptPause):
		}
	}
}

func (l *listener) accept() (net.Conn, error) {
	var fd int
	var failed error
	err := l.raw.Read(func(socket uintptr) bool {
		fd, failed = acceptOne(int(socket))
		return failed != syscall.EAGAIN
	})
	if err != nil {
		return nil, err
	}
	if failed != nil {
		return nil, os.NewSyscallError("accept4", failed)
	}
	return connFromDescriptor(fd)
}

// Close ends accepting. The socket itself, with all that is queued in it, stays with its other holders.
func (l *listener) Close() error {
	err := net.ErrClosed
	l.once.Do(func() {
		close(l.closed)
		err = l.file.Close()
	})
	return err
}

func (l *listener) isClosed() bool { return isOver(l.closed) }

// leave ends Accept, and has its caller fetch the rest.
func (l *listener) leave() {
	l.leaves.Do(func() {
		close(l.left)
		l.file.SetReadDeadline(time.Unix(1, 0))
	})
}

func (l *listener) isLeaving() bool { return isOver(l.left) }

// rest accepts whoever is in the queue now.
func (l *listener) rest() []net.Conn {
	var conns []net.Conn
	l.raw.Control(func(socket uintptr) {
		for {
			fd, err := acceptOne(int(socket))
			if err != nil {
				return
			}
			if conn, err := connFromDescriptor(fd); err == nil {
				conns = append(conns, conn)
			}
		}
	})
	return conns
}

func isOver(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Addr returns the address that the socket is bound to.
func (l *listener) Addr() net.Addr { return l.addr }

// isShortage says whether an error of accept may pass by itself.
func isShortage(err error) bool {
	for _, shortage := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, shortage) {
			return true
		}
	}
	return false
}

func acceptOne(socket int) (int, error) {
	for {
		fd, _, err := syscall.Accept4(socket, syscall.SOCK_CLOEXEC)
		if err != syscall.EINTR && err != syscall.ECONNABORTED {
			return fd, err
		}
	}
}

// connFromDescriptor takes fd over, in any case. The description is nobody else's, so FileConn may do what it likes.
func connFromDescriptor(fd int) (net.Conn, error) {
	file := os.NewFile(uintptr(fd), "connection")
	defer file.Close()
	return net.FileConn(file)
}
