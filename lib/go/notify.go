package handover

import (
	"net"
	"strings"
	"syscall"
	"time"
)

// sendTimeout bounds how long a supervisor that does not read may hold us up.
const sendTimeout = time.Second

// notifier talks to the supervisor by the protocol of sd_notify(3).
type notifier struct {
	conn *net.UnixConn // nil: nobody wants to know
}

// newNotifier connects to the socket that NOTIFY_SOCKET names: a path, or an abstract name after "@".
func newNotifier(address string) (*notifier, error) {
	if address == "" {
		return &notifier{}, nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Net: "unixgram", Name: address})
	if err != nil {
		return nil, err
	}
	return &notifier{conn: conn}, nil
}

// send sends the assignments as one datagram.
func (n *notifier) send(assignments ...string) error { return n.sendWith(-1, assignments...) }

// sendWith sends them with a descriptor, unless that is negative.
func (n *notifier) sendWith(fd int, assignments ...string) error {
	if n.conn == nil {
		return nil
	}
	if err := n.conn.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return err
	}
	text := []byte(strings.Join(assignments, "\n"))
	if fd < 0 {
		_, err := n.conn.Write(text)
		return err
	}
	// WriteMsgUnix refuses a socket that is connected.
	raw, err := n.conn.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Write(func(to uintptr) bool {
		sent = syscall.Sendmsg(int(to), text, syscall.UnixRights(fd), nil, syscall.MSG_NOSIGNAL)
		return sent != syscall.EAGAIN && sent != syscall.EINTR
	})
	if err != nil {
		return err
	}
	return sent
}
