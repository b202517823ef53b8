package handovergrpc

import (
	"net"
	"sync"
	"time"
)

// connections knows which accepted connections are still shaking hands.
//
// Its reason is the moment at which GracefulStop may be called. GracefulStop closes a connection that was accepted
// but not looked at yet, and says GOAWAY at once on one that is in the middle of its handshake; a client that hears
// GOAWAY before it has taken the connection into use reports the connection attempt as failed, and with it the call
// that waits for it. So connections must be past their handshake first, and nothing new may come in.
type connections struct {
	mu      sync.Mutex
	shaking map[*conn]struct{}
	last    time.Time     // when the last handshake ended
	empty   chan struct{} // closed when shaking gets empty; nil unless somebody waits
}

func newConnections() *connections {
	return &connections{shaking: make(map[*conn]struct{})}
}

func (c *connections) add(accepted net.Conn) net.Conn {
	added := &conn{Conn: accepted, owner: c}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shaking[added] = struct{}{}
	return added
}

func (c *connections) settle(done *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, there := c.shaking[done]; !there {
		return
	}
	delete(c.shaking, done)
	c.last = time.Now()
	if len(c.shaking) == 0 && c.empty != nil {
		close(c.empty)
		c.empty = nil
	}
}

// settleAll waits, once nothing is accepted any more, until all handshakes are over, and then until quiet has
// passed since the last one and since the call. Connections that have not finished theirs after limit are closed,
// because GracefulStop would wait two minutes for each of them; it returns how many those were.
func (c *connections) settleAll(quiet, limit time.Duration) int {
	since := time.Now()
	select {
	case <-c.waitEmpty():
	case <-time.After(limit):
	}
	c.mu.Lock()
	if c.last.After(since) {
		since = c.last
	}
	silent := c.shaking
	c.shaking = make(map[*conn]struct{})
	c.mu.Unlock()

	for each := range silent {
		each.Close()
	}
	time.Sleep(quiet - time.Since(since))
	return len(silent)
}

func (c *connections) waitEmpty() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	empty := make(chan struct{})
	if len(c.shaking) == 0 {
		close(empty)
	} else {
		c.empty = empty
	}
	return empty
}

// conn watches what the client sends until its handshake is over.
type conn struct {
	net.Conn
	owner *connections
	hello handshake
	over  bool // only Read uses it, which the server never calls twice at a time
}

func (c *conn) Read(buffer []byte) (int, error) {
	n, err := c.Conn.Read(buffer)
	if !c.over && (err != nil || c.hello.feed(buffer[:n])) {
		c.over = true
		c.owner.settle(c)
	}
	return n, err
}

func (c *conn) Close() error {
	c.owner.settle(c)
	return c.Conn.Close()
}
