"""What the load clients and the kernel say about a soak, as rows for its table."""
import bisect
import csv
import math
import os
import re

import harness

# KiB that the master may have more at the end: for each pool tails of logs, versions, incidents, and what malloc keeps; and
# of that nothing more once half of a long soak is over
NOT_A_MEMORY_LEAK = 1024
NOT_A_LATE_LEAK = 1024
VERSIONS_HELD = 3  # of each pool: the one that serves, and keep_generations before it


BLAME_USEC = 1_500_000  # a request that was lost with a killed worker ends no further from the kill than that


class Request:
    """One request of a load client."""
    __slots__ = ("pool", "stream", "at", "latency", "outcome", "pid", "cause", "ended")

    def __init__(self, pool, row):
        self.pool, self.stream, self.pid, self.cause = pool, row["stream"], int(row["pid"]), row["cause"]
        self.at = int(row["intended_usec"])
        if "outcome" in row:  # rpc-load
            self.outcome = row["outcome"]
            self.ended = self.at + int(row["latency_usec"])
            self.latency = int(row["latency_usec"]) - int(row["asked_usec"])
        else:
            self.outcome = row["result"]
            self.ended = int(row["ended_usec"])
            self.latency = self.ended - self.at - int(row["service_usec"])


def read_requests(pool, path):
    with open(path, encoding="utf-8", newline="") as file:
        return [Request(pool, row) for row in csv.DictReader(file)]


def percentile(values, percent):
    """In milliseconds, by the nearest rank; None where there is nothing to rank."""
    if not values:
        return None
    return sorted(values)[math.ceil(percent / 100 * len(values)) - 1] / 1000


class Windows:
    """The times from the request for a reload to its result."""

    def __init__(self):
        self.list = []

    def add(self, begin, end):
        self.list.append((begin, end))

    def merged(self):
        merged = []
        for begin, end in sorted(self.list):
            if merged and begin <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((begin, end))
        return merged

    def splitter(self):
        """A function that says of a moment whether it is inside."""
        merged = self.merged()
        begins = [begin for begin, _ in merged]

        def is_inside(at):
            n = bisect.bisect_right(begins, at) - 1
            return n >= 0 and at <= merged[n][1]
        return is_inside


class Rest:
    """The master when nothing happens: what it holds."""

    def __init__(self, handover):
        self.pid = handover.pid
        directory = f"/proc/{self.pid}/fd"
        held = [fd for fd in os.listdir(directory) if self._is_held(fd)]
        self.held = len(held)
        self.descriptors = sorted(re.sub(r"\d+", "N", self._target(directory, fd)) for fd in os.listdir(directory) if fd not in held)
        rollup = harness.read_file(f"/proc/{self.pid}/smaps_rollup").decode()
        self.pss, self.rss = (int(re.search(rf"^{name}:\s+(\d+) kB", rollup, re.M)[1]) for name in ("Pss", "Rss"))
        self.processes = sorted(harness.processes_of(handover.name))
        self.zombies = [child for child in harness.children_of(self.pid)
                        if (harness.process_stat(child) or "?")[0] == "Z"]

    def _is_held(self, fd):
        try:
            return harness.is_held(self.pid, fd)
        except FileNotFoundError:
            return False

    @staticmethod
    def _target(directory, fd):
        try:
            return os.readlink(f"{directory}/{fd}")
        except FileNotFoundError:
            return "gone meanwhile"


def compare_rests(before, after, pools):
    """What is more at the end than at the start, in words."""
    problems = []
    if len(after.descriptors) > len(before.descriptors):
        left = list(after.descriptors)
        for target in before.descriptors:
            if target in left:
                left.remove(target)
        problems.append(f"{len(after.descriptors) - len(before.descriptors)} descriptors leaked: {', '.join(left)}")
    if len(after.processes) > len(before.processes):
        problems.append(f"{len(after.processes) - len(before.processes)} processes are left over")
    if after.zombies:
        problems.append(f"zombies: {after.zombies}")
    if after.held > before.held * VERSIONS_HELD:
        problems.append(f"versions hold {after.held} descriptors, and held {before.held} when there was one of each pool")
    if after.pss > before.pss + NOT_A_MEMORY_LEAK * pools and not harness.SANITIZED:
        problems.append(f"the master has grown from {before.pss} to {after.pss} KiB (PSS)")
    return problems


def compare_late(halfway, after):
    """Whether memory still grows in the second half, in words. KiB PSS; None: it was too short for that."""
    if halfway is None or harness.SANITIZED or after.pss <= halfway + NOT_A_LATE_LEAK:
        return []
    return [f"the master has grown from {halfway} KiB at half-time to {after.pss} KiB (PSS)"]


def table(rows, indent="  "):
    """Columns side by side; numbers to the right."""
    texts = [["-" if cell is None else f"{cell:.1f}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    widths = [max(len(row[n]) for row in texts) for n in range(len(texts[0]))]
    right = [all(not isinstance(row[n], str) for row in rows[1:]) for n in range(len(texts[0]))]
    return [indent + "  ".join(text.rjust(width) if is_right else text.ljust(width)
                               for text, width, is_right in zip(row, widths, right)).rstrip() for row in texts]


def request_rows(requests, windows, steady_until):
    """Rows by pool and stream, and one of all together."""
    is_inside = windows.splitter()
    groups = {}
    for request in requests:
        groups.setdefault((request.pool, request.stream), []).append(request)
    rows = [("pool", "kind of load", "sent", "answered", "failed", "killed", "p50 ms", "p99 steady", "p99 outside",
             "p99 inside", "max ms")]
    for (pool, stream), group in [*sorted(groups.items()), (("all", ""), requests)]:
        good = [r for r in group if r.outcome == "answered"]
        late = [r for r in good if r.at >= steady_until]
        count = [sum(r.outcome == outcome for r in group) for outcome in ("answered", "failed", "killed")]
        rows.append((pool, stream, len(group), *count, percentile([r.latency for r in good], 50),
                     percentile([r.latency for r in good if r.at < steady_until], 99),
                     percentile([r.latency for r in late if not is_inside(r.at)], 99),
                     percentile([r.latency for r in late if is_inside(r.at)], 99),
                     percentile([r.latency for r in good], 100)))
    return rows


def killed_rows(requests, kills):
    """The requests that were lost with a worker that was killed: how many, why, which pids."""
    groups = {}
    for request in requests:
        if request.outcome == "killed":
            pid, why = find_kill(request, kills)
            group = groups.setdefault((request.pool, why, request.cause), {})
            group[pid] = group.get(pid, 0) + 1
    rows = [("requests", "pool", "its worker", "what the client saw", "pids (requests)")]
    for (pool, why, cause), pids in sorted(groups.items()):
        rows.append((sum(pids.values()), pool, why, cause, " ".join(f"{pid}({n})" for pid, n in sorted(pids.items()))))
    return rows


def find_kill(request, kills):
    """(pid, why) of the kill that took the request; by its time where its worker was not known. None if there is none near."""
    near = [kill for kill in kills if kill[0] == request.pool and abs(kill[2] - request.ended) <= BLAME_USEC]
    own = [kill for kill in near if request.pid in (0, kill[1])]
    if not own:
        return None
    _, pid, _, why = min(own, key=lambda kill: abs(kill[2] - request.ended))
    return pid, why


def check_killed(requests, kills):
    """Load clients go by the pid alone, and pids come again: what has no kill near its end has failed."""
    for request in requests:
        if request.outcome == "killed" and find_kill(request, kills) is None:
            request.outcome = "failed"
