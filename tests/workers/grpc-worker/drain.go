package main

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

const (
	// defaultBudget is the time for a drain when the supervisor has named none.
	defaultBudget = 6 * time.Second
	// reserve is the part of the budget that we leave to the supervisor, for noticing that we are gone.
	reserve = 200 * time.Millisecond
	// settleLimit is how long connections may take over their handshake, once we drain.
	settleLimit = time.Second
	// quietTime is how long an accepted connection is left in peace before it hears GOAWAY.
	quietTime = 100 * time.Millisecond
	// spreadTime is the time over which all connections are told to go.
	spreadTime = 250 * time.Millisecond
	// cutStatus is the exit status when calls were cut off: what a shell gives for death by SIGTERM.
	cutStatus = 128 + 15
)

// limits are the times of a drain.
type limits struct {
	budget time.Duration
	settle time.Duration // for the handshakes
	quiet  time.Duration // after them
	spread time.Duration // between the first GOAWAY and the last
	stop   time.Duration // from the start until we stop hard
	exit   time.Duration // from the start until we exit, come what may
}

// drainLimits divides the budget. Of a very small one, half is kept as the reserve.
func drainLimits(budget time.Duration) limits {
	exit := longer(budget-reserve, budget/2)
	stop := shorter(budget*8/10, exit*9/10)
	return limits{
		budget: budget,
		settle: shorter(settleLimit, stop/4),
		quiet:  shorter(quietTime, stop/8),
		spread: shorter(spreadTime, stop/4),
		stop:   stop,
		exit:   exit,
	}
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

func drainBudget() time.Duration {
	microseconds, err := strconv.ParseInt(os.Getenv("HANDOVER_DRAIN_TIMEOUT_USEC"), 10, 64)
	if err != nil || microseconds <= 0 || microseconds > int64(24*time.Hour/time.Microsecond) {
		return defaultBudget
	}
	return time.Duration(microseconds) * time.Microsecond
}

// drain finishes what is in flight, within the budget, and returns the exit status.
//
// The health service goes on saying SERVING: a successor serves on the same socket, and a health-checking client
// that is still connected here would fail its calls instead of moving over, as GOAWAY makes it do.
func (w *worker) drain() int {
	l := drainLimits(drainBudget())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.drainGracefully(l)
	}()
	go w.say("STOPPING=1", fmt.Sprintf("STATUS=draining, %d calls in flight", w.calls.inFlight()))
	if w.options.stubborn {
		<-done
		return 0
	}
	// This one does nothing else, because all that follows can hang: Stop, and a write to stderr as well.
	time.AfterFunc(l.exit, func() { os.Exit(cutStatus) })
	select {
	case <-done:
		return 0
	case <-time.After(l.stop):
	}
	told := make(chan struct{})
	go func(unfinished string) {
		defer close(told)
		w.complain(l, unfinished)
	}(w.calls.unfinished())
	w.servers.stop()
	<-told
	return cutStatus
}

// drainGracefully takes as long as it takes.
//
// The order matters. Accepting ends first, and what is queued in the sockets is left to those who share them; then
// the connections that we did accept become usable; only then are their clients told to go elsewhere, a few at a
// time, and not in step with a worker of another slot that drains beside us.
func (w *worker) drainGracefully(l limits) {
	for _, each := range w.listeners {
		each.Close()
	}
	w.accepting.Wait()
	if silent := w.conns.settleAll(l.quiet, l.settle); silent > 0 {
		fmt.Fprintf(os.Stderr, "grpc-worker: closed %d connections that had not finished their handshake\n", silent)
	}
	pause := l.spread / rounds
	time.Sleep(pause * time.Duration(w.slot*618%1000) / 1000) // multiples of the golden ratio never bunch
	w.servers.gracefulStop(pause)
}

// complain says on stderr and to the supervisor what has not finished.
func (w *worker) complain(l limits, unfinished string) {
	fmt.Fprintf(os.Stderr, "grpc-worker: stopping hard after %s of a budget of %s, not finished: %s\n",
		l.stop, l.budget, unfinished)
	w.say("STATUS=stopping hard, not finished: " + unfinished)
}

// say sends to the supervisor; that it does not listen is no reason to change the course of a drain.
func (w *worker) say(assignments ...string) {
	if err := w.notify.send(assignments...); err != nil {
		fmt.Fprintf(os.Stderr, "grpc-worker: NOTIFY_SOCKET: %v, draining on\n", err)
	}
}
