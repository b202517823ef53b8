package main

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
)

// maxNamed is how many unfinished calls a report names.
const maxNamed = 20

// calls knows which calls are in flight.
type calls struct {
	header  metadata.MD   // the initial metadata of every call
	changed chan struct{} // holds one token when the number has changed since somebody last looked

	mu      sync.Mutex
	live    map[*call]struct{}
	counted int // those that somebody waits for: a health watch is none
}

type call struct {
	method string
	peer   string
	start  time.Time
}

func newCalls(header metadata.MD) *calls {
	return &calls{header: header, changed: make(chan struct{}, 1), live: make(map[*call]struct{})}
}

func (c *calls) begin(ctx context.Context, method string) *call {
	begun := &call{method: method, peer: "unknown", start: time.Now()}
	if p, ok := peer.FromContext(ctx); ok {
		begun.peer = p.Addr.String()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live[begun] = struct{}{}
	c.count(begun, 1)
	return begun
}

func (c *calls) end(ended *call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.live, ended)
	c.count(ended, -1)
}

func (c *calls) count(which *call, difference int) {
	if strings.HasPrefix(which.method, "/grpc.health.") {
		return
	}
	c.counted += difference
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

func (c *calls) inFlight() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counted
}

// unfinished describes the calls that are in flight, the oldest first.
func (c *calls) unfinished() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []*call
	for each := range c.live {
		list = append(list, each)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].start.Before(list[j].start) })
	var text []string
	for i, each := range list {
		if i == maxNamed {
			text = append(text, fmt.Sprintf("and %d more", len(list)-maxNamed))
			break
		}
		text = append(text, fmt.Sprintf("%s from %s for %.1f s", each.method, each.peer,
			time.Since(each.start).Seconds()))
	}
	if len(text) == 0 {
		return "no call, but a connection that its client keeps, or an accept on a socket that was made blocking"
	}
	return strings.Join(text, "; ")
}

// unary and stream are the server's interceptors. The initial metadata goes out before the call is worked on, so
// that a client knows who has its call even when we die over it.

func (c *calls) unary(ctx context.Context, req interface{}, info *grpc.UnaryServerInfo,
	handler grpc.UnaryHandler) (interface{}, error) {
	defer c.end(c.begin(ctx, info.FullMethod))
	if err := grpc.SendHeader(ctx, c.header); err != nil {
		return nil, err
	}
	return handler(ctx, req)
}

func (c *calls) stream(srv interface{}, stream grpc.ServerStream, info *grpc.StreamServerInfo,
	handler grpc.StreamHandler) error {
	defer c.end(c.begin(stream.Context(), info.FullMethod))
	if err := stream.SendHeader(c.header); err != nil {
		return err
	}
	return handler(srv, stream)
}
