"""What is going on, since when."""
import contextlib
import threading
import time

MAX_NAMED = 20  # of what had not finished


class Ledger:
    """Thread-safe."""

    def __init__(self, on_change=lambda: None):
        self.on_change = on_change
        self.ended = threading.Condition()
        self.live = {}  # key: (name, start, whether it counts)
        self.counted = 0
        self.page = None  # where the supervisor looks
        self.last_end = time.monotonic()

    def begin(self, name, counts=True):
        key = object()
        with self.ended:
            self.live[key] = (name, time.monotonic(), counts)
            self.counted += counts
            self._show()
        self.on_change()
        return key

    def end(self, key):
        with self.ended:
            if key not in self.live:
                return
            self.counted -= self.live.pop(key)[2]
            self._show()
            self.last_end = time.monotonic()
            self.ended.notify_all()
        self.on_change()

    def _show(self):
        if self.page:
            self.page.set(self.counted)

    @contextlib.contextmanager
    def entry(self, name, counts=True):
        key = self.begin(name, counts)
        try:
            yield
        finally:
            self.end(key)

    def wait(self):
        """Returns when nothing is going on."""
        with self.ended:
            self.ended.wait_for(lambda: not self.live)

    def wait_quiet(self, quiet):
        """Returns when nothing was going on for so long, from now on."""
        since = time.monotonic()
        while True:
            with self.ended:
                self.ended.wait_for(lambda: not self.live)
                rest = max(since, self.last_end) + quiet - time.monotonic()
            if rest <= 0:
                return
            time.sleep(rest)

    def unfinished(self):
        """Names, the oldest first."""
        with self.ended:
            all_of_it = sorted(self.live.values(), key=lambda each: each[1])
        now = time.monotonic()
        names = [f"{name} for {now - start:.1f} s" for name, start, _ in all_of_it[:MAX_NAMED]]
        if len(all_of_it) > MAX_NAMED:
            names.append(f"and {len(all_of_it) - MAX_NAMED} more")
        return names
