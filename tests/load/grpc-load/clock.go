package main

import (
	"time"

	"golang.org/x/sys/unix"
)

// Times are microseconds of CLOCK_MONOTONIC, which "killed" gives as well.
var (
	clockStart = time.Now()
	clockBase  = readMonotonic()
)

func readMonotonic() int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		panic(err) // every Linux has this clock
	}
	return now.Nano() / 1000
}

// usec returns a moment as microseconds of CLOCK_MONOTONIC.
func usec(at time.Time) int64 {
	return clockBase + at.Sub(clockStart).Microseconds()
}
