package main

import "sort"

// tallies are all the rows of a summary in the making.
type tallies struct {
	total    tally
	window   windowTally
	phases   []tally
	streams  map[string]*tally
	windows  map[string]*windowTally
	failures map[failure]int
}

// summarize adds up the records of a run that is over.
func summarize(log snapshot) *summary {
	t := &tallies{
		phases:   make([]tally, len(log.phases)),
		streams:  make(map[string]*tally),
		windows:  make(map[string]*windowTally),
		failures: make(map[failure]int),
	}
	for _, r := range log.records {
		t.add(r, log.kills, log.phases[r.phase])
	}
	s := &summary{
		Streams:  make(map[string]streamNumbers),
		Window:   t.window.numbers(),
		Failures: t.sortedFailures(),
		Total:    t.total.numbers(),
	}
	for i := range t.phases {
		if i == 0 && t.phases[i].count.Sent == 0 {
			continue // nothing was sent before the first phase that somebody named
		}
		s.Phases = append(s.Phases, phaseNumbers{log.phases[i], t.phases[i].numbers()})
	}
	for name := range t.streams {
		s.Streams[name] = streamNumbers{t.streams[name].numbers(), t.windows[name].numbers()}
	}
	return s
}

func (t *tallies) add(r *record, kills []kill, phase string) {
	if t.streams[r.stream] == nil {
		t.streams[r.stream] = new(tally)
		t.windows[r.stream] = new(windowTally)
	}
	t.total.add(r, kills)
	t.window.add(r, kills)
	t.phases[r.phase].add(r, kills)
	t.streams[r.stream].add(r, kills)
	t.windows[r.stream].add(r, kills)
	if !r.answered() && !wasKilled(r, kills) {
		t.failures[failure{Phase: phase, Stream: r.stream, Cause: r.cause, Pid: r.pid}]++
	}
}

// sortedFailures puts the largest groups first.
func (t *tallies) sortedFailures() []failure {
	list := make([]failure, 0, len(t.failures))
	for group, count := range t.failures {
		group.Count = count
		list = append(list, group)
	}
	sort.Slice(list, func(i, j int) bool {
		a, b := list[i], list[j]
		if a.Count != b.Count {
			return a.Count > b.Count
		}
		return a.Phase+a.Stream+a.Cause < b.Phase+b.Stream+b.Cause
	})
	return list
}
