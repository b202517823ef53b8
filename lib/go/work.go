package handover

import "context"

// Begin notes that a call is in flight, until the returned function is called. Its name is for the report of what
// had not finished. `handover status` shows how many there are.
func (w *Worker) Begin(name string) (end func()) {
	return w.track(&entry{name: name})
}

// BeginUncounted is Begin for what nobody waits for, like a watch of the health service: it is named, but does not
// count.
func (w *Worker) BeginUncounted(name string) (end func()) {
	return w.track(&entry{name: name, uncounted: true})
}

func (w *Worker) track(begun *entry) func() {
	w.calls.begin(begun)
	return func() { w.calls.end(begun) }
}

// Go runs f, background work that must finish, in a goroutine. A drain waits for it, within its limits. The context
// ends when the drain starts.
func (w *Worker) Go(name string, f func(ctx context.Context)) {
	task := &entry{name: name}
	w.tasks.begin(task)
	go func() {
		defer w.tasks.end(task)
		f(w.ctx)
	}()
}

// closer is a resource.
type closer struct {
	name  string
	close func() error
}

// OnClose sets what closes a resource: it is called when all calls and background work have ended, or have been cut
// off. The last one that was set is called first.
func (w *Worker) OnClose(name string, f func() error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closers = append(w.closers, closer{name, f})
}

func (w *Worker) closeAll() {
	for {
		last, there := w.nextCloser()
		if !there {
			return
		}
		if err := last.close(); err != nil {
			w.complain("closing " + last.name + ": " + err.Error() + "; going on")
		}
	}
}

func (w *Worker) nextCloser() (closer, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(w.closers)
	if n == 0 {
		w.closing = ""
		return closer{}, false
	}
	last := w.closers[n-1]
	w.closers = w.closers[:n-1]
	w.closing = last.name
	return last, true
}
