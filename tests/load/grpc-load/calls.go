package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"handover/tests/grpc/echo"
)

// do makes the call and notes its result in r.
func (j *job) do(ctx context.Context, r *record) {
	channel := j.channel
	if channel == nil {
		var err error
		if channel, err = dial(j.options); err != nil {
			fail(r, err)
			return
		}
		defer channel.Close()
	}
	if j.request.Messages > 0 {
		receive(ctx, channel, j.request, r)
	} else {
		ask(ctx, channel, j.request, r)
	}
}

func ask(ctx context.Context, channel *grpc.ClientConn, request *echo.Request, r *record) {
	var header metadata.MD
	reply, err := echo.Unary(ctx, channel, request, grpc.Header(&header))
	identify(r, header)
	if err != nil {
		fail(r, err)
		return
	}
	check(r, reply, request.Number+1)
}

func receive(ctx context.Context, channel *grpc.ClientConn, request *echo.Request, r *record) {
	stream, err := echo.Open(ctx, channel, echo.ServerStreamMethod, request)
	if err != nil {
		fail(r, err)
		return
	}
	received := int64(0)
	for {
		reply, err := stream.Recv()
		if received == 0 {
			header, _ := stream.Header() // its error is Recv's as well
			identify(r, header)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			fail(r, err)
			return
		}
		received++
		if check(r, reply, request.Number+received); !r.answered() {
			return
		}
	}
	if received != request.Messages {
		r.cause = "wrong answer: the stream ended early, with status OK"
	}
}

// hang calls what never answers. It prints the worker's pid as soon as that is known.
func hang(ctx context.Context, channel *grpc.ClientConn, r *record) {
	stream, err := echo.Open(ctx, channel, echo.HangMethod, &echo.Request{})
	if err != nil {
		fail(r, err)
		return
	}
	if header, err := stream.Header(); err == nil {
		identify(r, header)
		fmt.Fprintf(os.Stdout, "hang pid=%d\n", r.pid)
	}
	if _, err = stream.Recv(); err == nil || err == io.EOF {
		r.cause = "wrong answer: a call that hangs was answered"
		return
	}
	fail(r, err)
}

// identify notes which worker has the call, from its initial metadata.
func identify(r *record, header metadata.MD) {
	if values := header.Get(echo.PidKey); len(values) > 0 {
		r.pid, _ = strconv.Atoi(values[0]) // 0, unknown, for nonsense
	}
	if values := header.Get(echo.GenerationKey); len(values) > 0 {
		if generation, err := strconv.Atoi(values[0]); err == nil {
			r.generation = generation
		}
	}
}

func check(r *record, reply *echo.Reply, want int64) {
	switch {
	case reply.Number != want:
		r.cause = "wrong answer: another number"
	case int(reply.Pid) != r.pid || int(reply.Generation) != r.generation:
		r.cause = "wrong answer: header and reply name different workers"
	}
}

func fail(r *record, err error) {
	st := status.Convert(err)
	r.code = st.Code()
	r.cause = fmt.Sprintf("%s: %s", st.Code(), withoutPorts(st.Message()))
}
