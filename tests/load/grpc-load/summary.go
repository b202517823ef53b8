package main

import (
	"math"
	"sort"
)

// summary is what --json writes.
type summary struct {
	Phases   []phaseNumbers           `json:"phases"`
	Streams  map[string]streamNumbers `json:"streams"`
	Window   windowNumbers            `json:"window"`
	Failures []failure                `json:"failures"`
	Total    numbers                  `json:"total"`
}

// numbers are counts of calls, and the latency of those that were answered.
type numbers struct {
	Sent        int     `json:"sent"`
	Answered    int     `json:"answered"`
	Failed      int     `json:"failed"`
	Killed      int     `json:"killed"`
	P50         float64 `json:"p50_ms"`
	P99         float64 `json:"p99_ms"`
	Max         float64 `json:"max_ms"`
	Generations []int   `json:"generations"`
}

type phaseNumbers struct {
	Name string `json:"name"`
	numbers
}

type streamNumbers struct {
	numbers
	Window windowNumbers `json:"window"`
}

// windowNumbers compare the calls that were meant to start inside reload windows with the others.
type windowNumbers struct {
	Inside  latencies `json:"inside"`
	Outside latencies `json:"outside"`
}

type latencies struct {
	Sent int     `json:"sent"`
	P50  float64 `json:"p50_ms"`
	P99  float64 `json:"p99_ms"`
	Max  float64 `json:"max_ms"`
}

// failure is a group of failed calls; those that were killed are not among them.
type failure struct {
	Phase  string `json:"phase"`
	Stream string `json:"stream"`
	Cause  string `json:"cause"`
	Count  int    `json:"count"`
	Pid    int    `json:"pid"`
}

// tally adds records up.
type tally struct {
	count       numbers
	latency     []float64
	generations map[int]bool
}

func (t *tally) add(r *record, kills []kill) {
	t.count.Sent++
	if r.generation >= 0 {
		if t.generations == nil {
			t.generations = make(map[int]bool)
		}
		t.generations[r.generation] = true
	}
	switch {
	case r.answered():
		t.count.Answered++
		t.latency = append(t.latency, r.latency())
	case wasKilled(r, kills):
		t.count.Killed++
	default:
		t.count.Failed++
	}
}

func (t *tally) numbers() numbers {
	n := t.count
	l := t.latencies()
	n.P50, n.P99, n.Max = l.P50, l.P99, l.Max
	n.Generations = make([]int, 0, len(t.generations))
	for generation := range t.generations {
		n.Generations = append(n.Generations, generation)
	}
	sort.Ints(n.Generations)
	return n
}

func (t *tally) latencies() latencies {
	sort.Float64s(t.latency)
	return latencies{
		Sent: t.count.Sent,
		P50:  percentile(t.latency, 50),
		P99:  percentile(t.latency, 99),
		Max:  percentile(t.latency, 100),
	}
}

// percentile takes the nearest rank; 0 when there is nothing to rank.
func percentile(sorted []float64, percent float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(percent / 100 * float64(len(sorted))))
	return sorted[rank-1]
}

// windowTally keeps the two sides apart.
type windowTally struct {
	inside, outside tally
}

func (t *windowTally) add(r *record, kills []kill) {
	if r.window {
		t.inside.add(r, kills)
	} else {
		t.outside.add(r, kills)
	}
}

func (t *windowTally) numbers() windowNumbers {
	return windowNumbers{Inside: t.inside.latencies(), Outside: t.outside.latencies()}
}
