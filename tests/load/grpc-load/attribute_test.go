package main

import (
	"testing"

	"google.golang.org/grpc/codes"
)

func TestWasKilled(t *testing.T) {
	const at = int64(50e6)
	exact := kill{pid: 7, at: at, exact: true}
	news := kill{pid: 7, at: at}
	for _, test := range []struct {
		name        string
		kill        kill
		pid         int
		sent, ended int64
		code        codes.Code
		want        bool
	}{
		{"inside the worker", exact, 7, at - 5e6, at + 1e3, codes.Unavailable, true},
		{"inside, and noticed late", exact, 7, at - 5e6, at + 9e6, codes.Unavailable, true},
		{"inside, but failed before", exact, 7, at - 5e6, at - 2e5, codes.Unavailable, false},
		{"inside, the news came later", news, 7, at - 5e6, at - 9e5, codes.Unavailable, true},
		{"inside, long before the news", news, 7, at - 5e6, at - 2e6, codes.Unavailable, false},
		{"inside another worker", exact, 8, at - 5e6, at + 1e3, codes.Unavailable, false},
		{"unknown, in flight", exact, 0, at - 1e3, at + 1e3, codes.Unavailable, true},
		{"unknown, sent down a broken connection", exact, 0, at + 1e3, at + 2e3, codes.Unavailable, true},
		{"unknown, sent later", exact, 0, at + 2e5, at + 3e5, codes.Unavailable, false},
		{"unknown, failed too late", exact, 0, at - 1e3, at + 2e6, codes.Unavailable, false},
		{"a wrong answer", exact, 7, at - 5e6, at + 1e3, codes.OK, false},
		{"a deadline", exact, 7, at - 5e6, at + 1e3, codes.DeadlineExceeded, false},
	} {
		r := &record{pid: test.pid, sent: test.sent, ended: test.ended, code: test.code, cause: "x"}
		if got := wasKilled(r, []kill{{pid: 99, at: 1, exact: true}, test.kill}); got != test.want {
			t.Errorf("%s: got %v", test.name, got)
		}
	}
	if wasKilled(&record{pid: 7, code: codes.Unavailable, cause: "x"}, nil) {
		t.Error("nobody was killed")
	}
}

func TestWithoutPorts(t *testing.T) {
	got := withoutPorts("read tcp 127.0.0.1:4711->[::1]:9000: reset")
	if got != "read tcp ADDRESS->ADDRESS: reset" {
		t.Error(got)
	}
}
