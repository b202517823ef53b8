package handover

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// defaultBudget is the time for a drain when the supervisor has named none.
	defaultBudget = 6 * time.Second
	// reserve is the part of the budget that we leave to the supervisor, for noticing that we are gone.
	reserve = 200 * time.Millisecond
	// cutStatus is the exit status when something was cut off: what a shell gives for death by SIGTERM.
	cutStatus = 128 + 15
	// signalPause is how long a drain signal waits for the message that says why; it was sent before the signal.
	signalPause = 100 * time.Millisecond
)

// Reason is why a drain has begun.
type Reason int

// The reasons. A signal of a supervisor has none, where no channel says more: most are reloads, and a reload it is taken for.
const (
	Unknown Reason = iota
	Reload         // a successor serves on the same sockets
	Stop           // nobody will
	Failure        // of our own: see Fail
)

// notice is what is said to us when a drain begins: by a signal, or by the channel, which knows the reason and the time
// left.
type notice struct {
	reason Reason
	budget time.Duration
	spent  time.Duration // of it, on the way to us
}

// noticeOf takes budgets of a second and more for multiples of 100 ms, as people write them: what is missing has been
// spent.
func noticeOf(reason Reason, left time.Duration) notice {
	const step = 100 * time.Millisecond
	budget := left
	if left > time.Second-step {
		budget = (left + step - 1) / step * step
	}
	return notice{reason: reason, budget: budget, spent: budget - left}
}

// reasonOfSignal knows that without a supervisor there is no successor.
func (w *Worker) reasonOfSignal() Reason {
	if w.notify.conn == nil {
		return Stop
	}
	return Unknown
}

// signalled begins the drain, if the channel has not done it: what it says counts more.
func (w *Worker) signalled() {
	if w.channel != nil && w.channel.connected() {
		select {
		case <-w.ctx.Done():
			return
		case <-time.After(signalPause):
		}
	}
	w.begin(notice{reason: w.reasonOfSignal(), budget: w.options.budget})
}

// tellStop calls what is to know of a stop, once.
func (w *Worker) tellStop() {
	w.mu.Lock()
	onStop := w.onStop
	if w.stops {
		onStop = nil
	}
	w.stops = true
	w.mu.Unlock()
	for _, f := range onStop {
		f()
	}
}

// Limits are the times of a drain, all from its start.
type Limits struct {
	Budget time.Duration // what the supervisor gives
	Stop   time.Duration // until what has not finished is cut off
	Exit   time.Duration // until the process ends, come what may
}

// limitsOf divides the budget. Of a very small one, half is kept as the reserve.
func limitsOf(budget time.Duration) Limits {
	exit := longer(budget-reserve, budget/2)
	return Limits{Budget: budget, Stop: shorter(budget*8/10, exit*9/10), Exit: exit}
}

func longer(a, b time.Duration) time.Duration {
	if a > b {
		return a
	}
	return b
}

func shorter(a, b time.Duration) time.Duration {
	if a < b {
		return a
	}
	return b
}

func budgetOf(text string) time.Duration {
	microseconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || microseconds <= 0 || microseconds > int64(24*time.Hour/time.Microsecond) {
		return defaultBudget
	}
	return time.Duration(microseconds) * time.Microsecond
}

// Reason returns why we drain; Unknown before that.
func (w *Worker) Reason() Reason {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.end.reason
}

// begin starts the drain and its clocks. Only the first notice counts.
//
// The clocks run from here, and not from Run: a worker that is told to go while it warms up is bounded as well.
func (w *Worker) begin(n notice) {
	w.mu.Lock()
	if w.end.begun {
		w.mu.Unlock()
		return
	}
	w.end = ending{begun: true, start: time.Now().Add(-n.spent), reason: n.reason, limits: limitsOf(n.budget)}
	if !w.options.unbounded {
		// This one does nothing else, because all the rest can hang: Stop, and a write to stderr as well.
		time.AfterFunc(w.end.limits.Exit-n.spent, func() { w.exit(cutStatus) })
		w.cutter = time.AfterFunc(w.end.limits.Stop-n.spent, w.cutOff)
	}
	w.mu.Unlock()

	if n.reason == Stop {
		w.tellStop()
	}
	if w.channel != nil {
		w.channel.last()
	}
	w.cancel()
	w.say("STOPPING=1", fmt.Sprintf("STATUS=draining, %d calls in flight", w.calls.inFlight()))
}

// OnStop sets a function that is called at the first moment of a stop (its lame duck), before anything is refused: the place to say
// NOT_SERVING to a load balancer. At a reload it is not called, because there is a successor: clients that are still
// connected here would fail their calls instead of moving over. It must not wait for anything.
func (w *Worker) OnStop(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.onStop = append(w.onStop, f)
}

// finish drains the servers, waits for the tasks, and closes what is to be closed.
func (w *Worker) finish() {
	worked := make(chan struct{})
	go func() {
		defer close(worked)
		w.drainServers()
		w.tasks.wait()
	}()
	select {
	case <-worked:
	case <-w.cut:
		l := w.limits()
		select {
		case <-worked: // Stop has helped
		case <-time.After((l.Exit - l.Stop) / 2):
		}
	}
	w.closeAll()
	w.mu.Lock()
	inTime := w.cutter == nil || w.cutter.Stop()
	w.mu.Unlock()
	if !inTime {
		<-w.told
	}
}

func (w *Worker) limits() Limits {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.end.limits
}

func (w *Worker) registered() []Server {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]Server(nil), w.servers...)
}

func (w *Worker) drainServers() {
	l := w.limits()
	var draining sync.WaitGroup
	for _, each := range w.registered() {
		draining.Add(1)
		go func(s Server) {
			defer draining.Done()
			s.Drain(l)
		}(each)
	}
	draining.Wait()
}

// cutOff comes when most of the budget is gone: it says what has not finished, and stops it hard.
func (w *Worker) cutOff() {
	unfinished, l := w.unfinished(), w.limits()
	w.mu.Lock()
	if w.status == 0 {
		w.status = cutStatus
	}
	w.mu.Unlock()
	go func() {
		defer close(w.told)
		w.complain(fmt.Sprintf("stopping hard after %s of a budget of %s, not finished: %s", l.Stop, l.Budget, unfinished))
		w.say("STATUS=stopping hard, not finished: " + unfinished)
	}()
	for _, each := range w.registered() {
		go each.Stop()
	}
	close(w.cut)
}

// unfinished names what is in the way of a drain's end.
func (w *Worker) unfinished() string {
	list := append(w.calls.unfinished(), w.tasks.unfinished()...)
	w.mu.Lock()
	if w.closing != "" {
		list = append(list, "closing "+w.closing)
	}
	w.mu.Unlock()
	if len(list) == 0 {
		return "no call, but a connection that its client keeps"
	}
	return strings.Join(list, "; ")
}
