package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// obey carries out the commands that come in, until the end of input. That ends the load as "quit" does, unless a
// duration was given.
func (l *load) obey(input io.Reader, quit func()) {
	lines := bufio.NewScanner(input) // which refuses lines above 64 KiB
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) == 0 {
			continue
		}
		if words[0] == "quit" {
			quit()
			continue // news of a kill may still come
		}
		if err := l.command(words[0], words[1:]); err != nil {
			fmt.Fprintf(os.Stderr, "grpc-load: %q: %v, ignoring it\n", lines.Text(), err)
		}
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintf(os.Stderr, "grpc-load: reading commands: %v\n", err)
	}
	if l.options.duration == 0 {
		quit()
	}
}

func (l *load) command(name string, arguments []string) error {
	argument := strings.Join(arguments, " ")
	switch name {
	case "phase":
		if argument == "" {
			return fmt.Errorf("want a name")
		}
		l.log.startPhase(argument)
	case "window":
		if argument != "on" && argument != "off" {
			return fmt.Errorf("want on or off")
		}
		l.log.setWindow(argument == "on")
	case "killed":
		return l.killed(arguments)
	case "hang":
		l.hang()
	case "stats":
		return l.stats(os.Stdout)
	default:
		return fmt.Errorf("unknown command")
	}
	return nil
}

func (l *load) killed(arguments []string) error {
	k := kill{at: usec(time.Now())}
	if len(arguments) < 1 || len(arguments) > 2 {
		return fmt.Errorf("want PID [MONOTONIC_USEC]")
	}
	pid, err := strconv.Atoi(arguments[0])
	if err != nil || pid <= 0 {
		return fmt.Errorf("want a PID")
	}
	k.pid = pid
	if len(arguments) == 2 {
		if k.at, err = strconv.ParseInt(arguments[1], 10, 64); err != nil {
			return fmt.Errorf("want microseconds of CLOCK_MONOTONIC")
		}
		k.exact = true
	}
	l.log.addKill(k)
	return nil
}

// stats prints the counts so far.
func (l *load) stats(out io.Writer) error {
	now := l.log.snapshot()
	t := tally{}
	for _, r := range now.records {
		t.add(r, now.kills)
	}
	return json.NewEncoder(out).Encode(struct {
		numbers
		InFlight int `json:"in_flight"`
	}{t.numbers(), now.inFlight})
}
