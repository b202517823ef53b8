package handover

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// maxStoredName bounds the names of descriptors that are kept.
const maxStoredName = 255

// stored is a descriptor that a former worker had kept for us.
type stored struct {
	name string
	fd   int
}

// Store has the supervisor keep a copy of c (an *os.File, a *net.TCPConn) for the next worker in this one's place: after
// a reload, a restart or a crash. Several may have one name; one that is kept already is not kept twice. How many there
// can be says fd_store_max of the pool: what is more is dropped, and told of in the supervisor's log. A connection that
// is kept does not end for its peer when it is closed here: use CloseWrite, or Unstore, before.
func (w *Worker) Store(name string, c syscall.Conn) error {
	if err := checkStoredName(name); err != nil {
		return err
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Control(func(fd uintptr) { sent = w.notify.sendWith(int(fd), "FDSTORE=1", "FDNAME="+name) })
	if err != nil {
		return err
	}
	return sent
}

// Unstore ends the keeping of what has that name.
func (w *Worker) Unstore(name string) error {
	if err := checkStoredName(name); err != nil {
		return err
	}
	return w.notify.send("FDSTOREREMOVE=1", "FDNAME="+name)
}

// Stored returns what former workers had kept under that name, once: it is the caller's from then on, and still kept.
// net.FileConn makes a connection of a file.
func (w *Worker) Stored(name string) []*os.File {
	s := w.sockets
	s.mu.Lock()
	defer s.mu.Unlock()
	var files []*os.File
	var rest []stored
	for _, each := range s.stored {
		if each.name == name {
			files = append(files, os.NewFile(uintptr(each.fd), name))
		} else {
			rest = append(rest, each)
		}
	}
	s.stored = rest
	return files
}

func checkStoredName(name string) error {
	if name == "" || len(name) > maxStoredName {
		return fmt.Errorf("%q is no name of 1 to %d characters", name, maxStoredName)
	}
	if i := strings.IndexFunc(name, func(r rune) bool { return r < ' ' || r > '~' || r == ':' }); i >= 0 {
		return fmt.Errorf("%q is not made of printable ASCII without colons", name)
	}
	return nil
}

// storedCount returns how many of the descriptors that were handed over are no sockets, but were kept for us.
func storedCount(all int) int {
	n, err := strconv.Atoi(os.Getenv("HANDOVER_STORED"))
	if err != nil || n < 0 {
		return 0
	}
	if n > all {
		return all
	}
	return n
}
