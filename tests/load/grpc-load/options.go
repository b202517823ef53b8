package main

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// options are the command line. A stream of load whose rate is 0 does not run.
type options struct {
	target       string
	duration     time.Duration // 0: until "quit"
	timeout      time.Duration
	waitForReady bool
	json         string
	records      string
	unaryNew     numberList
	pickFirst    numberList
	roundRobin   numberList
	slow         numberList
	streams      numberList
}

func parseOptions() options {
	o := options{
		unaryNew:   numberList{names: "RATE"},
		pickFirst:  numberList{names: "RATE,CONNS"},
		roundRobin: numberList{names: "RATE,CONNS"},
		slow:       numberList{names: "RATE,MIN_MS,MAX_MS"},
		streams:    numberList{names: "RATE,MSGS,MS"},
	}
	flag.StringVar(&o.target, "target", "", "`HOST:PORT` to call")
	flag.DurationVar(&o.duration, "duration", 0, "how long to send (default: until \"quit\" or the end of stdin)")
	flag.DurationVar(&o.timeout, "timeout", 20*time.Second, "deadline of each call")
	flag.BoolVar(&o.waitForReady, "wait-for-ready", false, "let calls wait for a connection instead of failing")
	flag.StringVar(&o.json, "json", "", "write the summary to this `file`")
	flag.StringVar(&o.records, "records", "", "write one line per call to this `file` (CSV)")
	flag.Var(&o.unaryNew, "unary-new", "`RATE`: calls a second, a new connection for each")
	flag.Var(&o.pickFirst, "pick-first", "`RATE,CONNS`: calls on long-lived connections")
	flag.Var(&o.roundRobin, "round-robin", "`RATE,CHANNELS`: calls over round_robin channels that watch the server's health")
	flag.Var(&o.slow, "slow", "`RATE,MIN_MS,MAX_MS`: calls that take so long")
	flag.Var(&o.streams, "streams", "`RATE,MSGS,MS`: server streams of so many messages, one each so many ms")
	flag.Usage = usage
	flag.Parse()
	if problem := o.problem(); problem != "" {
		fmt.Fprintf(os.Stderr, "grpc-load: %s; see --help\n", problem)
		os.Exit(2)
	}
	return o
}

func (o *options) problem() string {
	switch {
	case flag.NArg() > 0:
		return fmt.Sprintf("unknown argument %q", flag.Arg(0))
	case o.target == "":
		return "--target is missing"
	case o.duration < 0 || o.timeout <= 0:
		return "--duration and --timeout want positive times"
	case o.slow.set() && o.slow.values[1] > o.slow.values[2]:
		return "--slow: MIN_MS is larger than MAX_MS"
	case !o.unaryNew.set() && !o.pickFirst.set() && !o.roundRobin.set() && !o.slow.set() && !o.streams.set():
		return "no stream of load is asked for"
	}
	return ""
}

func usage() {
	fmt.Fprintf(os.Stderr, "usage: grpc-load --target HOST:PORT OPTION...\n\n")
	flag.PrintDefaults()
	fmt.Fprintf(os.Stderr, `
commands on stdin:
  phase NAME                   a row of its own in the table, from now on
  window on|off                a reload begins, ends
  killed PID [MONOTONIC_USEC]  this worker was killed: calls that were inside are no failures
  hang                         one call that is never answered
  stats                        one line of JSON: the counts so far
  quit                         stop sending, wait for what is in flight, print the table

exit status: 0 all calls answered or killed with their worker, 1 some failed or none was answered, 2 usage
`)
}

// maxNumber bounds what the options may ask for.
const maxNumber = 1e6

// numberList is an option's value: numbers separated by commas, each positive; rates may have a fraction.
type numberList struct {
	names  string
	values []float64
}

func (l *numberList) set() bool { return len(l.values) > 0 }

func (l *numberList) rate() float64 { return l.values[0] }

func (l *numberList) whole(i int) int64 { return int64(l.values[i]) }

func (l *numberList) String() string { return "" }

func (l *numberList) Set(text string) error {
	fields := strings.Split(text, ",")
	if len(fields) != strings.Count(l.names, ",")+1 {
		return fmt.Errorf("want %s", l.names)
	}
	var values []float64
	for i, field := range fields {
		value, err := strconv.ParseFloat(field, 64)
		if err != nil || !(value > 0 && value <= maxNumber) || i > 0 && value != float64(int64(value)) {
			return fmt.Errorf("want %s, positive numbers up to %.0f", l.names, maxNumber)
		}
		values = append(values, value)
	}
	l.values = values
	return nil
}
