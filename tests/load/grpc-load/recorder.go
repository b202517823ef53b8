package main

import (
	"sync"
	"time"

	"google.golang.org/grpc/codes"
)

// maxRecords bounds the memory for records; calls beyond it are not made.
const maxRecords = 5e6

// record is what one call was, and what came of it.
type record struct {
	stream     string
	phase      int   // index into recorder.phases
	window     bool  // it was meant to start inside a reload window
	intended   int64 // when it was meant to start; this and the next two are usec()
	sent       int64
	ended      int64
	service    int64 // how long it asked the worker to take, microseconds
	pid        int   // the worker that had it, 0 when no worker ever said so
	generation int   // of that worker, or -1
	code       codes.Code
	cause      string // why it failed; "" for a right answer
}

func (r *record) answered() bool { return r.cause == "" }

// latency is how long the call took from its intended start, less what it asked for, in milliseconds.
func (r *record) latency() float64 {
	return float64(r.ended-r.intended-r.service) / 1000
}

// kill is a worker's death by somebody's hand.
type kill struct {
	pid   int
	at    int64 // usec()
	exact bool  // at is the moment of the kill, and not of the news of it
}

// recorder collects records.
type recorder struct {
	mu       sync.Mutex
	phases   []string
	window   bool
	done     []*record
	kills    []kill
	inFlight int
}

func newRecorder() *recorder {
	return &recorder{phases: []string{"start"}}
}

// begin opens the record of a call.
func (l *recorder) begin(stream string, intended time.Time, service time.Duration) *record {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inFlight++
	return &record{
		stream:     stream,
		phase:      len(l.phases) - 1,
		window:     l.window,
		intended:   usec(intended),
		sent:       usec(time.Now()),
		service:    service.Microseconds(),
		generation: -1,
	}
}

// end closes it.
func (l *recorder) end(r *record) {
	r.ended = usec(time.Now())
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inFlight--
	l.done = append(l.done, r)
}

// busy says whether there is no room for another call.
func (l *recorder) busy(limit int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.inFlight >= limit || len(l.done) >= maxRecords
}

func (l *recorder) startPhase(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.phases = append(l.phases, name)
}

func (l *recorder) setWindow(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.window = on
}

func (l *recorder) addKill(k kill) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kills = append(l.kills, k)
}

// snapshot is what a recorder holds at one moment.
type snapshot struct {
	phases   []string
	records  []*record // of the calls that have ended
	kills    []kill
	inFlight int
}

func (l *recorder) snapshot() snapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	return snapshot{
		phases:   append([]string(nil), l.phases...),
		records:  append([]*record(nil), l.done...),
		kills:    append([]kill(nil), l.kills...),
		inFlight: l.inFlight,
	}
}
