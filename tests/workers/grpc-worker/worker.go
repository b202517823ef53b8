package main

import (
	"context"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	"handover/go"
	"handover/go/grpc"
	"handover/tests/grpc/echo"
)

// run is the worker's life; it returns its exit status.
func run(options options) (int, error) {
	set := []handover.Option{handover.DrainSignals(os.Signal(options.drainSignal.signal()))}
	if options.stubborn {
		set = append(set, handover.Unbounded())
	}
	w, err := handover.New(set...)
	if err != nil {
		return 0, err
	}
	service := newService(options)
	build := func(counted ...grpc.ServerOption) *grpc.Server { return newServer(w, service, counted) }
	if err := serve(w, build, options.single); err != nil {
		return 0, err
	}
	if warmUp(w.Context(), options) && options.stubborn {
		select {}
	}
	if w.Context().Err() == nil {
		w.Status("serving version " + options.version)
	}
	return w.Run(), nil
}

func serve(w *handover.Worker, build func(...grpc.ServerOption) *grpc.Server, single bool) error {
	if single {
		return handovergrpc.ServeOne(w, build(handovergrpc.Count(w)...))
	}
	return handovergrpc.Serve(w, build)
}

func newServer(w *handover.Worker, service *service, counted []grpc.ServerOption) *grpc.Server {
	header := service.header()
	server := grpc.NewServer(append(counted, grpc.ChainUnaryInterceptor(announceUnary(header)),
		grpc.ChainStreamInterceptor(announceStream(header)))...)
	echo.Register(server, service)
	status := health.NewServer()
	status.SetServingStatus(echo.ServiceName, healthpb.HealthCheckResponse_SERVING)
	healthpb.RegisterHealthServer(server, status)
	handovergrpc.Health(w, status)
	return server
}

// The initial metadata goes out before the call is worked on, so that a client knows who has its call even when we
// die over it.

func announceUnary(header metadata.MD) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req interface{}, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (interface{}, error) {
		if err := grpc.SendHeader(ctx, header); err != nil {
			return nil, err
		}
		return handler(ctx, req)
	}
}

func announceStream(header metadata.MD) grpc.StreamServerInterceptor {
	return func(srv interface{}, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		if err := stream.SendHeader(header); err != nil {
			return err
		}
		return handler(srv, stream)
	}
}

// warmUp takes the time that it was told to take. It returns true when the drain came first.
func warmUp(drain context.Context, options options) bool {
	if options.neverReady {
		<-drain.Done()
		return true
	}
	select {
	case <-drain.Done():
		return true
	case <-time.After(time.Duration(options.startDelay)):
		return false
	}
}
