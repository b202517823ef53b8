// Package handover makes a server a worker of handoverd: it takes its listening sockets from the supervisor, says
// when it is ready, and at a drain refuses the new, lets the old finish, within a limit.
//
//	w, err := handover.New()
//	...
//	err = w.ServeHTTP(&http.Server{Handler: handler})
//	...
//	os.Exit(w.Run())
//
// For gRPC see the package handover/go/grpc. Everything of a Worker may be used by several goroutines at a time.
package handover

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// reportInterval is the least time between two reports of the number of calls in flight.
const reportInterval = 200 * time.Millisecond

// Server is something that takes connections: what ServeHTTP and the gRPC package register.
type Server interface {
	// Start begins to accept, and returns.
	Start()
	// Drain stops accepting, and returns when everything that was accepted has finished. It may hang.
	Drain(Limits)
	// Stop cuts off what is left. It may hang.
	Stop()
}

// Worker is this process under its supervisor. A process has one.
type Worker struct {
	options options
	notify  *notifier
	channel *channel // nil: there is none
	sockets *sockets
	calls   *ledger // in flight
	tasks   *ledger // started by Go
	ctx     context.Context
	cancel  context.CancelFunc
	cut     chan struct{} // closed when what has not finished is cut off
	told    chan struct{} // closed when that has been said
	exit    func(int)

	mu      sync.Mutex
	servers []Server
	closers []closer
	closing string // what is being closed
	onStop  []func()
	stops   bool // onStop has been called
	ready   bool
	cutter  *time.Timer
	status  int
	end     ending
}

// ending is what is known of a drain once it has begun.
type ending struct {
	begun  bool
	start  time.Time
	reason Reason
	limits Limits
}

type options struct {
	signals   []os.Signal
	budget    time.Duration
	unbounded bool
	byHand    []address
}

type address struct{ name, network, address string }

// Option changes what New makes.
type Option func(*options)

// DrainSignals sets the signals that start the drain, instead of SIGTERM and SIGINT: those that the pool has as its
// drain_signal.
func DrainSignals(signals ...os.Signal) Option {
	return func(o *options) { o.signals = signals }
}

// ByHand makes a socket of that name where the program runs without a supervisor that hands one over.
func ByHand(name, network, addr string) Option {
	return func(o *options) { o.byHand = append(o.byHand, address{name, network, addr}) }
}

// Unbounded lets a drain take as long as it takes. The supervisor's own limit remains, with what it can do and we
// cannot: dump_signal = SIGQUIT has Go print where every goroutine hangs.
func Unbounded() Option {
	return func(o *options) { o.unbounded = true }
}

// New takes what the supervisor has given to this process. From then on a drain signal starts the drain.
func New(set ...Option) (*Worker, error) {
	o := options{
		signals: []os.Signal{syscall.SIGTERM, syscall.SIGINT},
		budget:  budgetOf(os.Getenv("HANDOVER_DRAIN_TIMEOUT_USEC")),
	}
	for _, each := range set {
		each(&o)
	}
	// Before all that can take time or fail: a signal that comes early is a drain, too.
	drain := make(chan os.Signal, 1)
	signal.Notify(drain, o.signals...)
	notify, err := newNotifier(os.Getenv("NOTIFY_SOCKET"))
	if err != nil {
		return nil, fmt.Errorf("NOTIFY_SOCKET: %w", err)
	}
	sockets, err := newSockets(o.byHand)
	if err != nil {
		return nil, err
	}
	w := newWorker(o, notify, sockets)
	if path := os.Getenv("HANDOVER_CHANNEL"); path != "" {
		w.open(path)
	}
	go func() {
		<-drain
		w.signalled()
	}()
	return w, nil
}

// open connects to the channel. Calls are counted in a page then, which the supervisor reads without our doing anything.
func (w *Worker) open(path string) {
	var file *os.File
	if p := newPage(); p != nil {
		w.calls.page, file = p, p.file
	}
	w.channel = newChannel(path, file, w.hear)
}

// hear heeds a message of the channel.
func (w *Worker) hear(m message, files []int) {
	if m.Kind == "sockets" && w.sockets.sent != nil {
		if err := w.sockets.sent.receive(m.Names, files); err != nil {
			w.complain(fmt.Sprintf("sockets that the supervisor has sent: %v", err))
			return
		}
		if m.Set != 0 {
			w.channel.say(message{Kind: "accepting", Set: m.Set})
		}
		return
	}
	closeAll(files)
	switch m.Kind {
	case "lameduck":
		w.tellStop()
	case "drain":
		left, err := untilMonotonic(m.Deadline)
		if err != nil || m.Deadline == 0 {
			left = w.options.budget
		}
		w.begin(noticeOf(reasonOf(m.Reason), left))
	}
}

func newWorker(o options, notify *notifier, sockets *sockets) *Worker {
	w := &Worker{
		options: o,
		notify:  notify,
		sockets: sockets,
		calls:   newLedger(),
		tasks:   newLedger(),
		cut:     make(chan struct{}),
		told:    make(chan struct{}),
		exit:    os.Exit,
	}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	return w
}

// Context ends when the drain starts: what waits for work or makes some up should end then. Work in hand may go on
// until Deadline.
func (w *Worker) Context() context.Context { return w.ctx }

// Deadline returns the time at which what has not finished is cut off. It is false before the drain, and where the
// drain is unbounded.
func (w *Worker) Deadline() (time.Time, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.end.begun || w.options.unbounded {
		return time.Time{}, false
	}
	return w.end.start.Add(w.end.limits.Stop), true
}

// Register adds a server. It starts to accept with Ready.
func (w *Worker) Register(s Server) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.servers = append(w.servers, s)
}

// Ready starts the servers and says READY=1, once: further calls do nothing. Where the drain has begun before, it
// does nothing either.
func (w *Worker) Ready() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ready || w.end.begun {
		return nil
	}
	w.ready = true
	for _, each := range w.servers {
		each.Start()
	}
	if err := w.notify.send("READY=1"); err != nil {
		return fmt.Errorf("NOTIFY_SOCKET: READY=1 could not be sent: %w", err)
	}
	if w.channel != nil {
		w.channel.sayReady()
	}
	if w.calls.page == nil {
		go w.report()
	}
	return nil
}

// Run says that we are ready, waits for the drain, carries it out and returns the exit status for os.Exit: 0, or 143
// when something had to be cut off, or 1 after a failure.
func (w *Worker) Run() int {
	if err := w.Ready(); err != nil {
		w.Fail(err)
	}
	<-w.ctx.Done()
	w.finish()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status
}

// Fail starts a drain because of an error that the worker cannot go on with. Run then returns 1.
func (w *Worker) Fail(err error) {
	w.complain(fmt.Sprintf("%v; draining", err))
	w.mu.Lock()
	w.status = 1
	w.mu.Unlock()
	w.begin(notice{reason: Failure, budget: w.options.budget})
}

// Status sets the text that `handover status` shows.
func (w *Worker) Status(text string) { w.say("STATUS=" + text) }

// Notify sends assignments as sd_notify(3) does, like WATCHDOG=1.
func (w *Worker) Notify(assignments ...string) error { return w.notify.send(assignments...) }

// report tells the supervisor how many calls are in flight: when that has changed, and not too often.
func (w *Worker) report() {
	deaf := false
	for range w.calls.changed {
		err := w.notify.send(fmt.Sprintf("X_HANDOVER_INFLIGHT=%d", w.calls.inFlight()))
		if err != nil && !deaf {
			w.complain(fmt.Sprintf("NOTIFY_SOCKET: %v; serving on", err))
		}
		deaf = err != nil
		time.Sleep(reportInterval)
	}
}

// say sends to the supervisor; that it does not listen is no reason to change the course of anything.
func (w *Worker) say(assignments ...string) {
	if err := w.notify.send(assignments...); err != nil {
		w.complain(fmt.Sprintf("NOTIFY_SOCKET: %v; going on", err))
	}
}

func (w *Worker) complain(text string) {
	fmt.Fprintf(os.Stderr, "%s: %s\n", filepath.Base(os.Args[0]), text)
}
