package main

import (
	"regexp"

	"google.golang.org/grpc/codes"
)

// How far apart, in microseconds, a kill and the failure that it caused may seem to be.
const (
	exactTolerance = 100e3 // somebody took the time beside the kill
	newsTolerance  = 1e6   // the news of it came later than the failure
	unknownLimit   = 1e6   // a call of which nobody knows who had it fails soon after the kill
)

// wasKilled decides whether a failed call was inside a worker that was killed. A wrong answer never is excused.
func wasKilled(r *record, kills []kill) bool {
	if r.code != codes.Unavailable {
		return false
	}
	for _, k := range kills {
		earliest := k.at - newsTolerance
		if k.exact {
			earliest = k.at - exactTolerance
		}
		if r.ended < earliest {
			continue
		}
		if r.pid == k.pid {
			return true
		}
		// A connection takes a moment to break: calls go down it still.
		if r.pid == 0 && r.sent <= k.at+exactTolerance && r.ended <= k.at+unknownLimit {
			return true
		}
	}
	return false
}

var ports = regexp.MustCompile(`(\d+\.\d+\.\d+\.\d+|\[[0-9a-f:]+\]):\d+`)

// withoutPorts makes error messages the same that differ in the address only.
func withoutPorts(message string) string {
	return ports.ReplaceAllString(message, "ADDRESS")
}
