package main

import (
	"testing"

	"google.golang.org/grpc/codes"
)

func TestPercentile(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(i + 1)
	}
	for _, test := range []struct {
		sorted        []float64
		percent, want float64
	}{
		{nil, 99, 0},
		{[]float64{4}, 1, 4},
		{[]float64{4}, 100, 4},
		{[]float64{1, 2, 3}, 50, 2},
		{hundred, 50, 50},
		{hundred, 99, 99},
		{hundred, 100, 100},
	} {
		if got := percentile(test.sorted, test.percent); got != test.want {
			t.Errorf("%v of %v: got %v, want %v", test.percent, test.sorted, got, test.want)
		}
	}
}

func TestRanges(t *testing.T) {
	for want, numbers := range map[string][]int{
		"": nil, "4": {4}, "1-3": {1, 2, 3}, "1,3": {1, 3}, "1-2,5,7-9": {1, 2, 5, 7, 8, 9},
	} {
		if got := ranges(numbers); got != want {
			t.Errorf("%v: got %q, want %q", numbers, got, want)
		}
	}
}

func TestSummarize(t *testing.T) {
	log := snapshot{
		phases: []string{"start", "steady", "reload"},
		kills:  []kill{{pid: 7, at: 10000, exact: true}},
		records: []*record{
			{stream: "a", phase: 1, intended: 1000, ended: 3000, generation: 1, pid: 6},
			{stream: "a", phase: 2, window: true, intended: 1000, ended: 9000, service: 2000, generation: 2, pid: 8},
			{stream: "b", phase: 2, sent: 9000, ended: 11000, generation: 1, pid: 7, code: codes.Unavailable, cause: "k"},
			{stream: "b", phase: 2, sent: 9000, ended: 11000, generation: -1, code: codes.Internal, cause: "f"},
			{stream: "b", phase: 2, sent: 9500, ended: 12000, generation: -1, code: codes.Internal, cause: "f"},
		},
	}
	s := summarize(log)
	if len(s.Phases) != 2 || s.Phases[0].Name != "steady" || s.Phases[1].Name != "reload" {
		t.Fatalf("phases: %+v", s.Phases)
	}
	reload := s.Phases[1].numbers
	if reload.Sent != 4 || reload.Answered != 1 || reload.Killed != 1 || reload.Failed != 2 {
		t.Errorf("counts: %+v", reload)
	}
	if reload.Max != 6 || s.Window.Inside.P99 != 6 || s.Window.Outside.P99 != 2 || s.Total.P50 != 2 {
		t.Errorf("latencies: %+v %+v", reload, s.Window)
	}
	if ranges(s.Total.Generations) != "1-2" {
		t.Errorf("generations: %v", s.Total.Generations)
	}
	want := failure{Phase: "reload", Stream: "b", Cause: "f", Count: 2}
	if len(s.Failures) != 1 || s.Failures[0] != want {
		t.Errorf("failures: %+v", s.Failures)
	}
	if s.Streams["b"].Sent != 3 || s.Streams["a"].Window.Inside.Sent != 1 {
		t.Errorf("streams: %+v", s.Streams)
	}
}

func TestNumberList(t *testing.T) {
	for text, good := range map[string]bool{
		"10,2": true, "0.5,2": true, "10": false, "10,2,3": false, "0,2": false, "-1,2": false,
		"10,2.5": false, "x,2": false, "NaN,2": false, "Inf,2": false, "1e9,2": false, "": false,
	} {
		list := numberList{names: "RATE,CONNS"}
		if err := list.Set(text); (err == nil) != good || list.set() != good {
			t.Errorf("%q: %v", text, err)
		}
	}
}
