package handover

import (
	"fmt"
	"sort"
	"sync"
	"time"
)

// maxNamed is how many unfinished things a report names.
const maxNamed = 20

// ledger knows what is going on, since when.
type ledger struct {
	page    *page         // nil: nobody looks at it
	changed chan struct{} // holds one token when the number has changed since somebody last looked

	mu      sync.Mutex
	ended   *sync.Cond
	live    map[*entry]struct{}
	counted int
}

type entry struct {
	name      string
	uncounted bool
	start     time.Time
}

func newLedger() *ledger {
	l := &ledger{changed: make(chan struct{}, 1), live: make(map[*entry]struct{})}
	l.ended = sync.NewCond(&l.mu)
	return l
}

func (l *ledger) begin(begun *entry) {
	begun.start = time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.live[begun] = struct{}{}
	l.count(begun, 1)
}

func (l *ledger) end(ended *entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, there := l.live[ended]; !there {
		return
	}
	delete(l.live, ended)
	l.count(ended, -1)
	l.ended.Broadcast()
}

func (l *ledger) count(which *entry, difference int) {
	if which.uncounted {
		return
	}
	l.counted += difference
	l.page.add(difference)
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

func (l *ledger) inFlight() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counted
}

// wait returns when nothing is going on.
func (l *ledger) wait() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.live) > 0 {
		l.ended.Wait()
	}
}

// unfinished describes what is going on, the oldest first.
func (l *ledger) unfinished() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []*entry
	for each := range l.live {
		list = append(list, each)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].start.Before(list[j].start) })
	var text []string
	for i, each := range list {
		if i == maxNamed {
			text = append(text, fmt.Sprintf("and %d more", len(list)-maxNamed))
			break
		}
		text = append(text, fmt.Sprintf("%s for %.1f s", each.name, time.Since(each.start).Seconds()))
	}
	return text
}
