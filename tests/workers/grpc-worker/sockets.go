package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// firstDescriptor is where the handed-over descriptors begin, by the convention of sd_listen_fds(3).
const firstDescriptor = 3

// maxSockets bounds what LISTEN_FDS may claim.
const maxSockets = 1024

// inheritSockets takes the listening sockets that the environment announces. All connections that they accept are
// registered with conns.
func inheritSockets(conns *connections) ([]*listener, error) {
	names, err := announcedSockets()
	if err != nil {
		return nil, err
	}
	var listeners []*listener
	for i, name := range names {
		l, err := newListener(firstDescriptor+i, name, conns)
		if err != nil {
			return nil, fmt.Errorf("socket %q (descriptor %d): %w", name, firstDescriptor+i, err)
		}
		listeners = append(listeners, l)
	}
	return listeners, nil
}

// announcedSockets returns the name of each handed-over descriptor, in their order.
func announcedSockets() ([]string, error) {
	pid, fds := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS")
	if fds == "" {
		return nil, fmt.Errorf("LISTEN_FDS is not set: no supervisor has given us a listening socket")
	}
	if pid != strconv.Itoa(os.Getpid()) {
		return nil, fmt.Errorf("LISTEN_PID is %q, we are %d: the sockets are meant for another process", pid, os.Getpid())
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
