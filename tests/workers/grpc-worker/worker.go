package main

import (
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"handover/tests/grpc/echo"
)

// reportInterval is the least time between two reports of the number of calls in flight.
const reportInterval = 200 * time.Millisecond

// acceptPause is how long we leave connections to others when we are out of descriptors.
const acceptPause = time.Second

// worker is the server and all that its drain has to deal with.
type worker struct {
	options   options
	slot      int64
	servers   *servers
	listeners []*listener
	conns     *connections
	calls     *calls
	notify    *notifier
	accepting sync.WaitGroup // the accept loops
	failed    chan error     // an accept loop that ended by itself
}

// run is the worker's life; it returns its exit status.
func run(options options) (int, error) {
	drain := make(chan os.Signal, 1)
	signal.Notify(drain, syscall.Signal(options.drainSignal))
	w, err := newWorker(options)
	if err != nil {
		return 0, err
	}
	if w.warmUp(drain) {
		if options.stubborn {
			select {}
		}
		return 0, nil
	}
	if err := w.serve(); err != nil {
		return 0, err
	}
	select {
	case err := <-w.failed:
		fmt.Fprintf(os.Stderr, "grpc-worker: %v; draining\n", err)
		w.drain()
		return 1, nil
	case <-drain:
		return w.drain(), nil
	}
}

func newWorker(options options) (*worker, error) {
	notify, err := newNotifier(os.Getenv("NOTIFY_SOCKET"))
	if err != nil {
		return nil, fmt.Errorf("NOTIFY_SOCKET: %w", err)
	}
	conns := newConnections()
	listeners, err := inheritSockets(conns)
	if err != nil {
		return nil, err
	}
	service := newService(options)
	calls := newCalls(service.header())
	return &worker{
		options:   options,
		slot:      service.identity.Slot,
		servers:   newServers(func() *grpc.Server { return newServer(service, calls) }),
		listeners: listeners,
		conns:     conns,
		calls:     calls,
		notify:    notify,
		failed:    make(chan error, len(listeners)),
	}, nil
}

func newServer(service *service, calls *calls) *grpc.Server {
	server := grpc.NewServer(grpc.UnaryInterceptor(calls.unary), grpc.StreamInterceptor(calls.stream))
	echo.Register(server, service)
	status := health.NewServer()
	status.SetServingStatus(echo.ServiceName, healthpb.HealthCheckResponse_SERVING)
	healthpb.RegisterHealthServer(server, status)
	return server
}

// warmUp takes the time that it was told to take. It returns true when the drain came first.
func (w *worker) warmUp(drain <-chan os.Signal) bool {
	if w.options.neverReady {
		<-drain
		return true
	}
	select {
	case <-drain:
		return true
	case <-time.After(time.Duration(w.options.startDelay)):
		return false
	}
}

// serve starts accepting and says so.
func (w *worker) serve() error {
	for _, l := range w.listeners {
		w.accepting.Add(1)
		go w.accept(l)
	}
	if err := w.notify.send("READY=1", "STATUS=serving version "+w.options.version); err != nil {
		return fmt.Errorf("NOTIFY_SOCKET: READY=1 could not be sent: %w", err)
	}
	go w.report()
	return nil
}

// accept takes connections until the listener is closed.
func (w *worker) accept(l *listener) {
	defer w.accepting.Done()
	for {
		conn, err := l.Accept()
		if err == nil {
			w.servers.deal(conn)
			continue
		}
		if !isShortage(err) {
			w.failed <- fmt.Errorf("%s: accepting ended: %w", l.Addr(), err)
			return
		}
		fmt.Fprintf(os.Stderr, "grpc-worker: %v; trying again in %s\n", err, acceptPause)
		time.Sleep(acceptPause)
	}
}

// report tells the supervisor how many calls are in flight: when that has changed, and not too often.
func (w *worker) report() {
	deaf := false
	for range w.calls.changed {
		err := w.notify.send(fmt.Sprintf("X_HANDOVER_INFLIGHT=%d", w.calls.inFlight()))
		if err != nil && !deaf {
			fmt.Fprintf(os.Stderr, "grpc-worker: NOTIFY_SOCKET: %v; serving on\n", err)
		}
		deaf = err != nil
		time.Sleep(reportInterval)
	}
}
