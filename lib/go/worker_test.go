package handover

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// supervisor is the other end of NOTIFY_SOCKET.
type supervisor struct {
	t    *testing.T
	conn *net.UnixConn
	told string
}

// supervised makes a worker that has a supervisor, and cannot end the test's process.
func supervised(t *testing.T) (*Worker, *supervisor, chan int) {
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	notify, err := newNotifier(path)
	if err != nil {
		t.Fatal(err)
	}
	return bounded(newWorker(options{}, notify, &sockets{}), &supervisor{t: t, conn: conn})
}

func bounded(w *Worker, s *supervisor) (*Worker, *supervisor, chan int) {
	exited := make(chan int, 1)
	w.exit = func(status int) { exited <- status }
	return w, s, exited
}

// waitFor reads until it has been told the text.
func (s *supervisor) waitFor(text string) {
	buffer := make([]byte, 65536)
	for !strings.Contains(s.told, text) {
		s.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		n, err := s.conn.Read(buffer)
		if err != nil {
			s.t.Fatalf("not told %q, but %q: %v", text, s.told, err)
		}
		s.told += string(buffer[:n]) + "\n"
	}
}

// record notes what happens in which order.
type record struct {
	mu    sync.Mutex
	order []string
}

func (r *record) note(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.order = append(r.order, what)
}

type fakeServer struct {
	*record
	hang chan struct{}
}

func (s *fakeServer) Start() { s.note("start") }
func (s *fakeServer) Stop()  { close(s.hang) }
func (s *fakeServer) Drain(Limits) {
	if s.hang != nil {
		<-s.hang
	}
	s.note("drained")
}

const long = time.Hour

func TestAWholeLife(t *testing.T) {
	w, super, _ := supervised(t)
	r := &record{}
	w.Register(&fakeServer{record: r})
	w.OnClose("database", func() error { r.note("close database"); return nil })
	w.OnClose("cache", func() error { r.note("close cache"); return errors.New("told only") })
	w.OnStop(func() { t.Error("a reload is taken for a stop") })
	w.Go("mail", func(ctx context.Context) {
		<-ctx.Done()
		r.note("mailed")
	})
	status := make(chan int)
	go func() { status <- w.Run() }()
	super.waitFor("READY=1")
	if _, known := w.Deadline(); known || w.Context().Err() != nil {
		t.Error("it drains already")
	}
	end := w.Begin("call")
	super.waitFor("X_HANDOVER_INFLIGHT=1")
	end()
	super.waitFor("X_HANDOVER_INFLIGHT=0")
	w.begin(notice{reason: w.reasonOfSignal(), budget: long})
	w.begin(notice{reason: Stop, budget: time.Millisecond}) // is not heard any more
	if got := <-status; got != 0 {
		t.Errorf("status %d", got)
	}
	super.waitFor("STOPPING=1")
	got := strings.Join(r.order, ", ")
	if got != "start, drained, mailed, close cache, close database" && got != "start, mailed, drained, close cache, close database" {
		t.Errorf("order: %s", got)
	}
	if deadline, known := w.Deadline(); !known || time.Until(deadline) > long*8/10 || time.Until(deadline) < long/2 {
		t.Errorf("deadline %s", deadline)
	}
}

func TestWhatDoesNotFinishIsCutOffAndNamed(t *testing.T) {
	w, super, exited := supervised(t)
	r := &record{}
	w.Register(&fakeServer{record: r, hang: make(chan struct{})})
	w.OnClose("database", func() error { r.note("closed"); return nil })
	w.Go("import", func(context.Context) { select {} })
	w.Begin("/a.B/C from 1.2.3.4:5")
	w.begin(notice{reason: Reload, budget: 300 * time.Millisecond})
	if got := w.Run(); got != cutStatus {
		t.Errorf("status %d", got)
	}
	super.waitFor("not finished: /a.B/C from 1.2.3.4:5 for 0.")
	if !strings.Contains(super.told, "; import for 0.") {
		t.Errorf("told %q", super.told)
	}
	if got := strings.Join(r.order, ", "); got != "drained, closed" {
		t.Errorf("order: %s", got)
	}
	if got := <-exited; got != cutStatus {
		t.Errorf("exit with %d", got)
	}
}

func TestTheEndComesAlthoughClosingHangs(t *testing.T) {
	w, super, exited := supervised(t)
	w.OnClose("database", func() error { select {} })
	w.begin(notice{reason: Reload, budget: 100 * time.Millisecond})
	go w.Run()
	super.waitFor("not finished: closing database")
	if got := <-exited; got != cutStatus {
		t.Errorf("exit with %d", got)
	}
}

func TestADrainBeforeReadyStartsNothing(t *testing.T) {
	w, _, _ := supervised(t)
	r := &record{}
	w.Register(&fakeServer{record: r})
	w.begin(notice{reason: Reload, budget: long})
	if got := w.Run(); got != 0 || strings.Join(r.order, ", ") != "drained" {
		t.Errorf("status %d, order: %v", got, r.order)
	}
}

func TestAFailureDrainsAndIsTold(t *testing.T) {
	w, _, _ := supervised(t)
	w.options.budget = long
	w.Fail(errors.New("the queue is gone"))
	if got := w.Run(); got != 1 || w.Reason() != Failure {
		t.Errorf("status %d, reason %d", got, w.Reason())
	}
}

func TestAnUnboundedDrainHasNoLimit(t *testing.T) {
	w, super, exited := supervised(t)
	w.options.unbounded = true
	hang := make(chan struct{})
	w.Go("import", func(context.Context) { <-hang })
	w.begin(notice{reason: Reload, budget: time.Millisecond})
	status := make(chan int)
	go func() { status <- w.Run() }()
	super.waitFor("STOPPING=1")
	select {
	case <-status:
		t.Fatal("it has ended")
	case <-exited:
		t.Fatal("it has exited")
	case <-time.After(50 * time.Millisecond):
	}
	close(hang)
	if got := <-status; got != 0 {
		t.Errorf("status %d", got)
	}
}

func TestWithoutASupervisorASignalIsAStop(t *testing.T) {
	w := newWorker(options{}, &notifier{}, &sockets{})
	stopped := false
	w.OnStop(func() { stopped = w.Context().Err() == nil })
	w.begin(notice{reason: w.reasonOfSignal(), budget: long})
	if got := w.Run(); got != 0 || !stopped || w.Reason() != Stop {
		t.Errorf("status %d, told before the drain: %t", got, stopped)
	}
}

func TestManyUnfinishedOnesAreNotAllNamed(t *testing.T) {
	l := newLedger()
	for i := 0; i < maxNamed+3; i++ {
		l.begin(&entry{name: "x", uncounted: i%2 == 0})
	}
	list := l.unfinished()
	if len(list) != maxNamed+1 || list[maxNamed] != "and 3 more" {
		t.Errorf("%q", list)
	}
	if l.inFlight() != (maxNamed+3)/2 {
		t.Errorf("%d in flight", l.inFlight())
	}
}
