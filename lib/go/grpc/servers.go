package handovergrpc

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
)

// rounds is how many servers Serve has, and so in how many steps its connections are told to go.
const rounds = 10

// servers are several gRPC servers with the same services, among which the connections are dealt.
//
// With a single one, GracefulStop says GOAWAY on all connections in the same millisecond. A call that a client has
// just given to one of them is then moved, by the client library, to another one, which is leaving as well; and as
// the library moves a call once only (grpc-go 1.33), the call fails. Going in steps, the other connection is still
// there, or the one after it.
type servers struct {
	each    []*grpc.Server
	intakes []*intake
	dealt   uint32
}

func newServers(each []*grpc.Server) *servers {
	s := &servers{each: each}
	for range each {
		s.intakes = append(s.intakes, newIntake())
	}
	return s
}

func (s *servers) start() {
	for i, server := range s.each {
		go server.Serve(s.intakes[i]) // which ends when the server is stopped, and not before
	}
}

// deal gives the connection to the next server.
func (s *servers) deal(conn net.Conn) {
	n := atomic.AddUint32(&s.dealt, 1)
	s.intakes[n%uint32(len(s.each))].conns <- conn
}

// gracefulStop starts to stop one server after the other, and returns when all their calls and connections have
// ended. Nothing may be dealt any more.
func (s *servers) gracefulStop(pause time.Duration) {
	var stopping sync.WaitGroup
	for i, server := range s.each {
		if i > 0 {
			time.Sleep(pause)
		}
		stopping.Add(1)
		go func(server *grpc.Server) {
			defer stopping.Done()
			server.GracefulStop()
		}(server)
	}
	stopping.Wait()
}

// stop cuts everything off.
func (s *servers) stop() {
	for _, server := range s.each {
		server.Stop()
	}
}

// intake is what one server takes for its listener.
type intake struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newIntake() *intake {
	return &intake{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (in *intake) Accept() (net.Conn, error) {
	select {
	case conn := <-in.conns:
		return conn, nil
	case <-in.closed:
		return nil, net.ErrClosed
	}
}

func (in *intake) Close() error {
	in.once.Do(func() { close(in.closed) })
	return nil
}

func (in *intake) Addr() net.Addr { return &net.UnixAddr{} }
