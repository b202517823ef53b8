"""Reads the instance's events all the time, and keeps what is to be explained at the end of a soak."""
import contextlib
import datetime
import json
import threading
import time

import harness

NOTABLE = {"worker-crashed", "worker-dumping", "worker-killed", "worker-start-failed", "crash-loop", "orphan-killed",
           "socket-dead", "socket-mended"}


def monotonic_of(text):
    """Wall-clock time of an event, as microseconds of CLOCK_MONOTONIC."""
    then = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=datetime.timezone.utc)
    return harness.monotonic_usec() - int((time.time() - then.timestamp()) * 1e6)


class Watch:
    """Events as they come, from a thread of its own. `on_kill` is called with the pool, the pid and the time (monotonic
    microseconds) of each worker that the instance itself dumps or kills."""

    def __init__(self, control, on_kill):
        self.on_kill = on_kill
        self.news = threading.Condition()
        self.events = []
        self.ended = False
        self.connection = harness.UnixConnection(control, timeout=None)
        self.connection.request("GET", "/v1/events")
        self.stream = self.connection.getresponse()
        assert self.stream.status == 200, self.stream.read()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        with contextlib.suppress(OSError, ValueError):  # closed under us at the end
            for line in self.stream:
                if line.startswith(b"data:"):
                    self._take(json.loads(line[5:]))
        with self.news:
            self.ended = True
            self.news.notify_all()

    def _take(self, event):
        event["at"] = monotonic_of(event["time"])
        if event["event"] in ("worker-dumping", "worker-killed"):
            self.on_kill(event["pool"], event["pid"], event["at"])
        with self.news:
            self.events.append(event)
            self.news.notify_all()

    def mark(self):
        with self.news:
            return len(self.events)

    def _find(self, since, members):
        for event in self.events[since:]:
            if all(event.get(key) == value for key, value in members.items()):
                return event
        return None

    def wait(self, since, timeout=harness.PATIENCE, **members):
        """The first event after the mark that has these members."""
        with self.news:
            found = self.news.wait_for(lambda: self._find(since, members) or self.ended, timeout)
            found = self._find(since, members)
        assert found, f"waited in vain for an event with {members}" + (": the events have ended" if self.ended else "")
        return found

    def all(self, *names):
        with self.news:
            return [event for event in self.events if event["event"] in names]

    def around(self, at, pool, usec=1_500_000):
        """Sentences about the pool, or about none, near a moment."""
        with self.news:
            return [f"{(event['at'] - at) / 1e3:+8.0f} ms {event['message']}" for event in self.events
                    if abs(event["at"] - at) <= usec and event.get("pool") in (None, pool)]

    def drains(self):
        """Events of workers that were told to go and went."""
        return [event for event in self.all("worker-exited") if event.get("reason")]

    def unexplained(self, excuses):
        """Notable events that none of the excuses covers: functions from an event to whether they do."""
        return [event for event in self.all(*NOTABLE) if not any(excuse(event) for excuse in excuses)]
