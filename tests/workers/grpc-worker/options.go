package main

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// options say what the worker is, and how it is to misbehave.
type options struct {
	version          string
	startDelay       delay
	exitAtStart      int
	neverReady       bool
	stubborn         bool
	wrongAnswerAfter int64
	single           bool
	drainSignal      drainSignal
}

func parseOptions() options {
	o := options{drainSignal: drainSignal(syscall.SIGTERM)}
	flag.StringVar(&o.version, "version", "1", "what the replies give as the version")
	flag.Var(&o.startDelay, "start-delay", "how long to warm up before being ready (300ms, 2s; a bare number is ms)")
	flag.IntVar(&o.exitAtStart, "exit-at-start", -1, "exit at once with this code")
	flag.BoolVar(&o.neverReady, "never-ready", false, "run, but never serve and never say READY=1")
	flag.BoolVar(&o.stubborn, "stubborn", false, "drain without any limit")
	flag.Int64Var(&o.wrongAnswerAfter, "wrong-answer-after", -1, "after this many unary replies, give one wrong one")
	flag.BoolVar(&o.single, "single", false, "have one gRPC server, whose connections all hear GOAWAY at once")
	flag.Var(&o.drainSignal, "drain-signal", "the signal that starts the drain")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "grpc-worker: unknown argument %q\n", flag.Arg(0))
		os.Exit(2)
	}
	return o
}

// delay is a duration that may be given as a bare number of milliseconds.
type delay time.Duration

func (d *delay) String() string { return time.Duration(*d).String() }

func (d *delay) Set(text string) error {
	if _, err := strconv.ParseUint(text, 10, 31); err == nil {
		text += "ms"
	}
	parsed, err := time.ParseDuration(text)
	if err == nil && parsed < 0 {
		err = fmt.Errorf("it is negative")
	}
	*d = delay(parsed)
	return err
}

// drainSignal is a signal given by its name (SIGTERM, TERM) or number.
type drainSignal syscall.Signal

func (s drainSignal) signal() syscall.Signal { return syscall.Signal(s) }

func (s *drainSignal) String() string { return unix.SignalName(syscall.Signal(*s)) }

func (s *drainSignal) Set(text string) error {
	number := unix.SignalNum("SIG" + strings.TrimPrefix(strings.ToUpper(text), "SIG"))
	if n, err := strconv.Atoi(text); err == nil {
		number = syscall.Signal(n)
	}
	if number <= 0 || number > 64 {
		return fmt.Errorf("there is no such signal")
	}
	*s = drainSignal(number)
	return nil
}
