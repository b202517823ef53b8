// grpc is a complete worker: a gRPC server with the health service.
package main

import (
	"log"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"handover/go"
	"handover/go/grpc"
)

func main() {
	w, err := handover.New(handover.ByHand("grpc", "tcp", "127.0.0.1:9000"))
	if err != nil {
		log.Fatal(err)
	}
	status := health.NewServer()
	handovergrpc.Health(w, status)
	err = handovergrpc.Serve(w, func(options ...grpc.ServerOption) *grpc.Server {
		server := grpc.NewServer(options...)
		healthpb.RegisterHealthServer(server, status) // and your services
		return server
	})
	if err != nil {
		log.Fatal(err)
	}
	os.Exit(w.Run())
}
