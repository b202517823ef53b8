package main

import (
	"testing"
	"time"
)

func TestDrainLimits(t *testing.T) {
	for budget := 10 * time.Millisecond; budget < time.Hour; budget = budget * 5 / 4 {
		l := drainLimits(budget)
		if !(0 < l.stop && l.stop < l.exit && l.exit < budget && l.stop <= budget*8/10) {
			t.Errorf("%s: stop at %s, exit at %s", budget, l.stop, l.exit)
		}
		if budget > 2*reserve && l.exit != budget-reserve {
			t.Errorf("%s: exit at %s", budget, l.exit)
		}
		if l.settle+l.quiet+l.spread > l.stop*2/3 {
			t.Errorf("%s: %s for handshakes, %s and %s leave too little of %s for calls", budget,
				l.settle, l.quiet, l.spread, l.stop)
		}
	}
	if l := drainLimits(6 * time.Second); l.stop != 4800*time.Millisecond || l.exit != 5800*time.Millisecond {
		t.Errorf("6 s: stop at %s, exit at %s", l.stop, l.exit)
	}
}

func TestDrainBudget(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"": defaultBudget, "2500000": 2500 * time.Millisecond, "0": defaultBudget, "-1": defaultBudget,
		"x": defaultBudget, "99999999999999999999": defaultBudget, "9223372036854775807": defaultBudget,
	} {
		t.Setenv("HANDOVER_DRAIN_TIMEOUT_USEC", value)
		if got := drainBudget(); got != want {
			t.Errorf("%q: got %s, want %s", value, got, want)
		}
	}
}
