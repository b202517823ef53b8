// grpc-worker is a gRPC server that lives under a supervisor: it is given its listening sockets (LISTEN_FDS), says
// when it is ready (NOTIFY_SOCKET), and drains within its budget (HANDOVER_DRAIN_TIMEOUT_USEC). Its options let
// tests make it misbehave.
package main

import (
	"fmt"
	"os"
)

func main() {
	options := parseOptions()
	if options.exitAtStart >= 0 {
		fmt.Fprintf(os.Stderr, "grpc-worker: version %s exits at start with code %d, as it was told to\n",
			options.version, options.exitAtStart)
		os.Exit(options.exitAtStart)
	}
	status, err := run(options)
	if err != nil {
		fmt.Fprintf(os.Stderr, "grpc-worker: %v\n", err)
		status = 1
	}
	os.Exit(status)
}
