package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"
)

// maxInFlight bounds how many calls are open at a time. Those above it are counted as failed, not made.
const maxInFlight = 20000

// load is all streams of load together.
type load struct {
	options options
	log     *recorder
	calls   sync.WaitGroup // all but hangs
	hangs   sync.WaitGroup
	hanging context.Context // of the calls that are never answered
	release context.CancelFunc
	idle    *channels // for hangs
}

// run sends what the options ask for until it is told to stop or the time is over, and waits for the answers.
func run(options options, log *recorder) error {
	streams, err := newStreams(options)
	if err != nil {
		return err
	}
	idle, err := newChannels(options, 1, dial)
	if err != nil {
		return err
	}
	l := &load{options: options, log: log, idle: idle}
	l.hanging, l.release = context.WithCancel(context.Background())
	sending, stop := context.WithCancel(context.Background())
	defer stop()
	if options.duration > 0 {
		sending, stop = context.WithTimeout(sending, options.duration)
		defer stop()
	}
	sending, stop = signal.NotifyContext(sending, os.Interrupt, syscall.SIGTERM)
	defer stop()
	go l.obey(os.Stdin, stop)

	var senders sync.WaitGroup
	for _, s := range streams {
		senders.Add(1)
		go func(s *stream) {
			defer senders.Done()
			l.send(sending, s)
		}(s)
	}
	senders.Wait()
	<-sending.Done()
	l.calls.Wait() // each has its deadline
	l.release()
	l.hangs.Wait()
	return nil
}

// send starts the stream's calls at their times. When it is late, it catches up at once.
func (l *load) send(ctx context.Context, s *stream) {
	start := time.Now()
	for n := int64(0); ; n++ {
		due := start.Add(time.Duration(float64(n) / s.rate * float64(time.Second)))
		if !sleepUntil(ctx, due) {
			return
		}
		l.start(s, n, due)
	}
}

func (l *load) start(s *stream, n int64, due time.Time) {
	job := s.next(n)
	full := l.log.busy(maxInFlight)
	r := l.log.begin(s.name, due, job.service())
	if full {
		r.code = codes.ResourceExhausted
		r.cause = "not sent: too many calls are in flight"
		l.log.end(r)
		return
	}
	l.calls.Add(1)
	go func() {
		defer l.calls.Done()
		defer l.log.end(r)
		ctx, cancel := context.WithTimeout(context.Background(), l.options.timeout)
		defer cancel()
		job.do(ctx, r)
	}()
}

// hang makes one call that is never answered, and prints who has it.
func (l *load) hang() {
	r := l.log.begin("hang", time.Now(), 0)
	l.hangs.Add(1)
	go func() {
		defer l.hangs.Done()
		defer l.log.end(r)
		hang(l.hanging, l.idle.at(0), r)
	}()
}

// sleepUntil returns false when ctx ends first.
func sleepUntil(ctx context.Context, due time.Time) bool {
	wait := time.Until(due)
	if wait <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
