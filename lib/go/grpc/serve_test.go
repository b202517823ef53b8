package handovergrpc

import (
	"testing"
	"time"
)

func TestTimesLeaveMostToCalls(t *testing.T) {
	for stop := 5 * time.Millisecond; stop < time.Hour; stop = stop * 5 / 4 {
		times := timesOf(stop)
		if times.settle+times.quiet+times.spread > stop*2/3 {
			t.Errorf("%s: %s for handshakes, %s and %s leave too little for calls", stop,
				times.settle, times.quiet, times.spread)
		}
	}
}
