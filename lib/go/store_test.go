package handover

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	master, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	n, err := newNotifier(path)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorker(options{}, n, &sockets{})
	ours, theirs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	if err := w.Store("a b", theirs); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	text, oob := make([]byte, 256), make([]byte, 256)
	length, oobLength, _, _, err := master.ReadMsgUnix(text, oob)
	if err != nil || string(text[:length]) != "FDSTORE=1\nFDNAME=a b" {
		t.Fatalf("%q, %v", text[:length], err)
	}
	messages, err := syscall.ParseSocketControlMessage(oob[:oobLength])
	if err != nil || len(messages) != 1 {
		t.Fatalf("%d messages, %v", len(messages), err)
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		t.Fatalf("%v, %v", fds, err)
	}
	// What the next worker would find.
	w.sockets.stored = []stored{{"other", 0}, {"a b", fds[0]}}
	files := w.Stored("a b")
	if len(files) != 1 || len(w.Stored("a b")) != 0 || len(w.sockets.stored) != 1 {
		t.Fatalf("%v", files)
	}
	fmt.Fprint(files[0], "kept")
	files[0].Close()
	if data, err := io.ReadAll(ours); err != nil || string(data) != "kept" {
		t.Errorf("%q, %v", data, err)
	}
	if err := w.Unstore("a b"); err != nil {
		t.Fatal(err)
	}
	if length, err := master.Read(text); err != nil || string(text[:length]) != "FDSTOREREMOVE=1\nFDNAME=a b" {
		t.Errorf("%q, %v", text[:length], err)
	}
	for _, name := range []string{"", "a:b", "a\nREADY=1", "ä", strings.Repeat("x", 256)} {
		if w.Store(name, ours) == nil || w.Unstore(name) == nil {
			t.Errorf("%q was taken for a name", name)
		}
	}
}

func TestStoredAreNoSockets(t *testing.T) {
	for _, test := range []struct{ set, want string }{{"", "0"}, {"2", "2"}, {"9", "3"}, {"-1", "0"}, {"x", "0"}} {
		t.Setenv("HANDOVER_STORED", test.set)
		if got := fmt.Sprint(storedCount(3)); got != test.want {
			t.Errorf("%q: %s, want %s", test.set, got, test.want)
		}
	}
}
