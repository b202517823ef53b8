package handover

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestAnnouncedSockets(t *testing.T) {
	us := fmt.Sprint(os.Getpid())
	for _, test := range []struct{ pid, fds, names, want string }{
		{us, "1", "grpc", "[grpc]"},
		{us, "2", "grpc:admin", "[grpc admin]"},
		{us, "2", "-", "[ ]"},
		{us, "2", "grpc", `LISTEN_FDNAMES "grpc" has 1 names for LISTEN_FDS=2`},
		{us, "0", "-", `LISTEN_FDS is "0"`},
		{us, "x", "-", `LISTEN_FDS is "x"`},
		{us, "99999999", "-", `LISTEN_FDS is "99999999"`},
		{"1", "1", "grpc", `LISTEN_PID is "1"`},
		{"", "1", "grpc", `LISTEN_PID is ""`},
	} {
		t.Run(test.pid+test.fds+test.names, func(t *testing.T) {
			t.Setenv("LISTEN_PID", test.pid)
			t.Setenv("LISTEN_FDS", test.fds)
			t.Setenv("LISTEN_FDNAMES", test.names)
			if test.names == "-" {
				os.Unsetenv("LISTEN_FDNAMES")
			}
			names, err := announcedSockets()
			if got := fmt.Sprint(names); err == nil && got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if err != nil && !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// byHand makes a worker with sockets of its own.
func byHand(t *testing.T, names ...string) *Worker {
	t.Setenv("LISTEN_FDS", "")
	var list []address
	for _, name := range names {
		list = append(list, address{name, "tcp", "127.0.0.1:0"})
	}
	s, err := newSockets(list)
	if err != nil {
		t.Fatal(err)
	}
	return newWorker(options{}, &notifier{}, s)
}

func TestSocketsAreGivenOnce(t *testing.T) {
	w := byHand(t, "grpc", "admin", "admin")
	for _, test := range []struct{ name, want string }{
		{"web", `there is no socket "web"; there are: grpc admin admin`},
		{"admin", ""}, {"admin", ""}, {"admin", `socket "admin" is in use already`},
	} {
		l, err := w.Listener(test.name)
		if got := fmt.Sprint(err); err != nil && got != test.want || err == nil && test.want != "" {
			t.Errorf("%s: %v", test.name, err)
		}
		if err == nil {
			defer l.Close()
		}
	}
	rest, err := w.Listeners()
	if err != nil || len(rest) != 1 {
		t.Fatalf("the rest: %v, %v", rest, err)
	}
	rest[0].Close()
	if _, err := w.Listeners(); err == nil {
		t.Error("one socket was given twice")
	}
	if _, err := byHand(t).Listeners(); fmt.Sprint(err) != "LISTEN_FDS is not set: no supervisor has given us a listening socket" {
		t.Error(err)
	}
}
