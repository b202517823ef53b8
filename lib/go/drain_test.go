package handover

import (
	"testing"
	"time"
)

func TestLimits(t *testing.T) {
	for budget := 10 * time.Millisecond; budget < time.Hour; budget = budget * 5 / 4 {
		l := limitsOf(budget)
		if !(0 < l.Stop && l.Stop < l.Exit && l.Exit < budget && l.Stop <= budget*8/10) {
			t.Errorf("%s: stop at %s, exit at %s", budget, l.Stop, l.Exit)
		}
		if budget > 2*reserve && l.Exit != budget-reserve {
			t.Errorf("%s: exit at %s", budget, l.Exit)
		}
	}
	if l := limitsOf(6 * time.Second); l.Stop != 4800*time.Millisecond || l.Exit != 5800*time.Millisecond {
		t.Errorf("6 s: stop at %s, exit at %s", l.Stop, l.Exit)
	}
}

func TestBudget(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"": defaultBudget, "2500000": 2500 * time.Millisecond, "0": defaultBudget, "-1": defaultBudget,
		"x": defaultBudget, "99999999999999999999": defaultBudget, "9223372036854775807": defaultBudget,
	} {
		if got := budgetOf(value); got != want {
			t.Errorf("%q: got %s, want %s", value, got, want)
		}
	}
}

func TestBudgetsAsPeopleWriteThem(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct{ left, budget time.Duration }{
		{2994 * ms, 3000 * ms}, {3000 * ms, 3000 * ms}, {2900 * ms, 2900 * ms}, {991 * ms, 1000 * ms}, {300 * ms, 300 * ms}, {295 * ms, 295 * ms}, {0, 0},
	} {
		n := noticeOf(Reload, test.left)
		if n.budget != test.budget || n.budget-n.spent != test.left {
			t.Errorf("%v left: %+v", test.left, n)
		}
	}
}
