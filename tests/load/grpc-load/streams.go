package main

import (
	"math/rand"
	"time"

	"google.golang.org/grpc"

	"handover/tests/grpc/echo"
)

const (
	// maxDelayMs is what calls on long-lived connections ask for at most: they are to be quick, but not so quick
	// that none is ever in flight when a worker drains.
	maxDelayMs = 5
	// ownConnections is how many long-lived connections slow calls and streams have each.
	ownConnections = 4
)

// stream is one stream of load: calls of one kind at a fixed rate.
type stream struct {
	name string
	rate float64
	next func(n int64) job // only the stream's sender calls it
}

// job is one call that is to be made.
type job struct {
	options options
	channel *grpc.ClientConn // nil: a new one for this call
	request *echo.Request
}

// service is how long the call asks the worker to take.
func (j *job) service() time.Duration {
	times := j.request.Messages
	if times == 0 {
		times = 1
	}
	return time.Duration(times*j.request.DelayMs) * time.Millisecond
}

// newStreams makes the streams that the options ask for, with their connections.
func newStreams(o options) ([]*stream, error) {
	builders := []struct {
		wanted *numberList
		build  func(options, *numberList) (*stream, error)
	}{
		{&o.unaryNew, newUnaryNew},
		{&o.pickFirst, newPickFirst},
		{&o.roundRobin, newRoundRobin},
		{&o.slow, newSlow},
		{&o.streams, newServerStreams},
	}
	var streams []*stream
	for _, builder := range builders {
		if !builder.wanted.set() {
			continue
		}
		s, err := builder.build(o, builder.wanted)
		if err != nil {
			return nil, err
		}
		s.rate = builder.wanted.rate()
		streams = append(streams, s)
	}
	return streams, nil
}

func newUnaryNew(options options, _ *numberList) (*stream, error) {
	return &stream{name: "unary-new", next: func(n int64) job {
		return job{options: options, request: &echo.Request{Number: n}}
	}}, nil
}

func newPickFirst(options options, wanted *numberList) (*stream, error) {
	conns, err := newChannels(options, int(wanted.whole(1)), dial)
	return &stream{name: "pick-first", next: func(n int64) job {
		return job{channel: conns.at(n), request: quickRequest(n)}
	}}, err
}

func newRoundRobin(options options, wanted *numberList) (*stream, error) {
	conns, err := newChannels(options, int(wanted.whole(1)), dialRoundRobin)
	return &stream{name: "round-robin", next: func(n int64) job {
		return job{channel: conns.at(n), request: quickRequest(n)}
	}}, err
}

func newSlow(options options, wanted *numberList) (*stream, error) {
	conns, err := newChannels(options, ownConnections, dial)
	shortest, longest := wanted.whole(1), wanted.whole(2)
	return &stream{name: "slow", next: func(n int64) job {
		delay := shortest + rand.Int63n(longest-shortest+1)
		return job{channel: conns.at(n), request: &echo.Request{Number: n, DelayMs: delay}}
	}}, err
}

func newServerStreams(options options, wanted *numberList) (*stream, error) {
	conns, err := newChannels(options, ownConnections, dial)
	messages, delay := wanted.whole(1), wanted.whole(2)
	return &stream{name: "streams", next: func(n int64) job {
		return job{channel: conns.at(n), request: &echo.Request{Number: n, DelayMs: delay, Messages: messages}}
	}}, err
}

func quickRequest(n int64) *echo.Request {
	return &echo.Request{Number: n, DelayMs: rand.Int63n(maxDelayMs + 1)}
}
