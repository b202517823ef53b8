// Package handovergrpc runs gRPC servers as workers of handoverd.
//
//	w, err := handover.New()
//	...
//	err = handovergrpc.Serve(w, func(options ...grpc.ServerOption) *grpc.Server {
//		server := grpc.NewServer(options...)
//		...
//		return server
//	})
//	...
//	os.Exit(w.Run())
package handovergrpc

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"

	"handover/go"
)

const (
	// settleLimit is how long connections may take over their handshake, once we drain.
	settleLimit = time.Second
	// quietTime is how long an accepted connection is left in peace before it hears GOAWAY.
	quietTime = 100 * time.Millisecond
	// spreadTime is the time over which all connections are told to go.
	spreadTime = 250 * time.Millisecond
)

// Serve serves the sockets of these names, or, without a name, all that are not in use yet. It returns at once; it
// starts to accept with Ready, or Run of the worker.
//
// build is called several times, and returns each time a new server with the same services and these options (those
// of Count). Connections are dealt among the servers, because one server tells all its connections to go in the same
// millisecond: see ServeOne.
func Serve(w *handover.Worker, build func(options ...grpc.ServerOption) *grpc.Server, sockets ...string) error {
	var each []*grpc.Server
	for i := 0; i < rounds; i++ {
		each = append(each, build(Count(w)...))
	}
	return register(w, each, sockets)
}

// ServeOne is Serve for a server that exists. To have its calls counted and named, make it with Count's options.
//
// At a drain all its clients hear GOAWAY at once. Calls that wait for ready bear that, and so do those of one
// connection; a call of a client with several connections to us may be refused by two of them in a row, and old
// client libraries (grpc-go 1.33) then let it fail.
func ServeOne(w *handover.Worker, server *grpc.Server, sockets ...string) error {
	return register(w, []*grpc.Server{server}, sockets)
}

// Health makes the health service say NOT_SERVING at the first moment of a stop. At a reload it goes on saying
// SERVING: a client that is still connected here would fail its calls instead of moving over, as GOAWAY makes it do.
func Health(w *handover.Worker, server *health.Server) {
	w.OnStop(server.Shutdown)
}

func register(w *handover.Worker, each []*grpc.Server, sockets []string) error {
	listeners, err := w.Listeners(sockets...)
	if err != nil {
		return err
	}
	w.Register(&server{worker: w, listeners: listeners, conns: newConnections(), servers: newServers(each)})
	return nil
}

// server is what the worker starts, drains and stops.
type server struct {
	worker    *handover.Worker
	listeners []net.Listener
	conns     *connections
	servers   *servers
	accepting sync.WaitGroup // the accept loops
}

func (s *server) Start() {
	s.servers.start()
	for _, each := range s.listeners {
		s.accepting.Add(1)
		go s.accept(each)
	}
}

// accept takes connections until the listener is closed.
func (s *server) accept(l net.Listener) {
	defer s.accepting.Done()
	for {
		conn, err := l.Accept()
		if err != nil {
			if s.worker.Context().Err() == nil {
				s.worker.Fail(fmt.Errorf("%s: accepting ended: %w", l.Addr(), err))
			}
			return
		}
		s.servers.deal(s.conns.add(conn))
	}
}

// times are those of a drain before calls are waited for.
type times struct {
	settle time.Duration // for the handshakes
	quiet  time.Duration // after them
	spread time.Duration // between the first GOAWAY and the last
}

func timesOf(stop time.Duration) times {
	return times{
		settle: shorter(settleLimit, stop/4),
		quiet:  shorter(quietTime, stop/8),
		spread: shorter(spreadTime, stop/4),
	}
}

func shorter(a, b time.Duration) time.Duration {
	if a < b {
		return a
	}
	return b
}

// Drain takes as long as it takes.
//
// The order matters. Accepting ends first, and what is queued in the sockets is left to those who share them; then
// the connections that we did accept become usable; only then are their clients told to go elsewhere, a few at a
// time, and not in step with a worker of another slot that drains beside us.
func (s *server) Drain(l handover.Limits) {
	t := timesOf(l.Stop)
	for _, each := range s.listeners {
		each.Close()
	}
	s.accepting.Wait()
	if silent := s.conns.settleAll(t.quiet, t.settle); silent > 0 {
		fmt.Fprintf(os.Stderr, "handover: closed %d connections that had not finished their handshake\n", silent)
	}
	pause := t.spread / rounds
	time.Sleep(pause * time.Duration(slot()*618%1000) / 1000) // multiples of the golden ratio never bunch
	s.servers.gracefulStop(pause)
}

// Stop cuts everything off.
func (s *server) Stop() { s.servers.stop() }

// slot returns our place in the pool; 0 where the supervisor has not said.
func slot() uint64 {
	number, err := strconv.ParseUint(os.Getenv("HANDOVER_SLOT"), 10, 31)
	if err != nil {
		return 0
	}
	return number
}
