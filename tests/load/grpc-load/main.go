// grpc-load calls a gRPC server at fixed rates, whether it answers or not, and counts what came of every call.
//
// Latency is measured from the moment at which a call was meant to start, so that a stall is seen in all calls that
// it held up. There is no retry policy and, unless asked for, no waiting for a connection: what a plain grpc-go
// client would report as an error counts as one.
package main

import (
	"fmt"
	"os"
)

func main() {
	options := parseOptions()
	recorder := newRecorder()
	if err := run(options, recorder); err != nil {
		fmt.Fprintf(os.Stderr, "grpc-load: %v\n", err)
		os.Exit(1)
	}
	log := recorder.snapshot()
	summary := summarize(log)
	if err := report(options, log, summary); err != nil {
		fmt.Fprintf(os.Stderr, "grpc-load: %v\n", err)
		os.Exit(1)
	}
	if summary.Total.Answered == 0 {
		fmt.Fprintf(os.Stderr, "grpc-load: no call was answered\n")
	}
	if summary.Total.Failed > 0 || summary.Total.Answered == 0 {
		os.Exit(1)
	}
}
