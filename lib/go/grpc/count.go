package handovergrpc

import (
	"context"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"

	"handover/go"
)

// Count returns the options of a server whose calls are counted as in flight, and named when a drain has to cut them
// off.
func Count(w *handover.Worker) []grpc.ServerOption {
	c := counter{w}
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(c.unary), grpc.ChainStreamInterceptor(c.stream)}
}

type counter struct{ worker *handover.Worker }

// begin does not count a health watch, because nobody waits for its end.
func (c counter) begin(ctx context.Context, method string) func() {
	name := method
	if p, ok := peer.FromContext(ctx); ok {
		name += " from " + p.Addr.String()
	}
	if strings.HasPrefix(method, "/grpc.health.") {
		return c.worker.BeginUncounted(name)
	}
	return c.worker.Begin(name)
}

func (c counter) unary(ctx context.Context, req interface{}, info *grpc.UnaryServerInfo,
	handler grpc.UnaryHandler) (interface{}, error) {
	defer c.begin(ctx, info.FullMethod)()
	return handler(ctx, req)
}

func (c counter) stream(srv interface{}, stream grpc.ServerStream, info *grpc.StreamServerInfo,
	handler grpc.StreamHandler) error {
	defer c.begin(stream.Context(), info.FullMethod)()
	return handler(srv, stream)
}
