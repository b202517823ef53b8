"""What is measured, and how. Each function yields rows; rounds of ours and of the baseline take turns, so that whatever
else the machine does falls on both."""
import collections
import contextlib
import csv
import os
import signal
import socket
import statistics
import subprocess
import time

from supervisors import Bare, BareSpawn, Hold, Ours, free_port, now, program, wait_until

Row = collections.namedtuple("Row", "name unit ours baseline against ratio goal met", defaults=(None, "", None, "", None))
MS, US = 1e6, 1e3


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))]


def compare(name, unit, ours, baseline, against, most=None, goal=""):
    """A row of rounds: medians, and the median of what each round's pair was to the other."""
    ratio = statistics.median(a / b for a, b in zip(ours, baseline))
    return Row(name, unit, statistics.median(ours), statistics.median(baseline), against, ratio,
               goal or (f"<= {most} x" if most else ""), ratio <= most if most else None)


class Bench:
    def __init__(self, rounds, quick=False, say=lambda text: None):
        self.rounds, self.quick, self.say = rounds, quick, say

    def turns(self, *kinds):
        """Rounds in which each kind has its turn; the order changes, so that none is always the first."""
        for n in range(self.rounds):
            yield from (kinds if n % 2 == 0 else reversed(kinds))

    # ---- starting and stopping ----

    def _start_and_stop(self, kind, n, figures):
        with kind(n) as supervisor:
            supervisor.start()
            first = [stamp[0] for stamp in supervisor.stamps.wait(n)]
            figures["all"].append((max(first) - supervisor.began) / MS)
            figures["loop"].append((max(first) - min(first)) / MS)
            figures["ready"].append((supervisor.ready - supervisor.began) / MS)
            figures["stop"].append(supervisor.stop() / MS)

    def starts(self, n):
        figures = {kind: collections.defaultdict(list) for kind in (Ours, Bare, BareSpawn)}
        for kind in self.turns(Ours, Bare, BareSpawn):
            self.say(f"start and stop of {n} workers: {kind.name}")
            self._start_and_stop(kind, n, figures[kind])
        ours, bare, spawn = figures.values()
        goal = 1.3 if n >= 1000 else None
        yield compare(f"start {n}: exec to the last one's first instruction", "ms", ours["all"], bare["all"], Bare.name, goal)
        yield compare(f"start {n}: the same", "ms", ours["all"], spawn["all"], BareSpawn.name)
        yield compare(f"start {n}: first worker to last, without its own start-up", "ms", ours["loop"], bare["loop"], Bare.name)
        yield compare(f"start {n}: exec to all are ready", "ms", ours["ready"], bare["ready"], Bare.name)
        yield compare(f"stop {n}: SIGTERM to its end", "ms", ours["stop"], bare["stop"], Bare.name, goal)

    # ---- a worker that is killed ----

    @staticmethod
    def _replace(supervisor, alive):
        """Kills one; the time until its replacement's first instruction."""
        n = supervisor.stamps.count()
        victim = alive.popleft()
        killed = now()
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: supervisor.stamps.count() > n, "a replacement", every=0.0005)
        first, _, pid = wait_until(lambda: supervisor.stamps.get(n), "its record", every=0.0005)
        alive.append(pid)
        return first - killed

    def replacements(self, n, kills):
        times = {Ours: [], Bare: []}
        medians = {Ours: [], Bare: []}
        with Ours(n, pool="restart_reset = 10ms") as ours, Bare(n) as bare:
            alive = {}
            for supervisor in (ours, bare):
                supervisor.start()
                alive[supervisor] = collections.deque(stamp[2] for stamp in supervisor.stamps.wait(n))
            for supervisor in self.turns(ours, bare):
                self.say(f"kill -9 of one of {n} workers: {supervisor.name}")
                some = []
                for _ in range(kills):
                    some.append(self._replace(supervisor, alive[supervisor]) / US)
                    time.sleep(0.012 + 0.02 / n)  # past restart_reset: each kill is a first one
                times[type(supervisor)] += some
                medians[type(supervisor)].append(statistics.median(some))
        yield compare(f"kill -9 to its replacement's first instruction, {n} workers: median", "us", medians[Ours], medians[Bare],
                      Bare.name, 2)
        yield compare(f"kill -9 to its replacement's first instruction, {n} workers: p99", "us", [percentile(times[Ours], 0.99)],
                      [percentile(times[Bare], 0.99)], Bare.name)

    # ---- reloads ----

    @staticmethod
    def _reload(supervisor):
        """(command to the new generation's first answer without that worker's own boot, command to its end)"""
        began = supervisor.reload()
        while True:
            with socket.create_connection(("127.0.0.1", supervisor.port), 30) as sock:
                words = sock.makefile().readline().split()
            if words and int(words[0]) > began:
                answered = now()
                break
        ready = supervisor.wait_ready()
        supervisor.wait_children(supervisor.workers)
        return answered - began - (int(words[1]) - int(words[0])), ready - began

    def _reloads_of(self, n):
        answers, ends = {Ours: [], Hold: []}, {Ours: [], Hold: []}
        with Ours(n, free_port()) as ours:
            ours.start()
            with Hold(n, free_port()) as hold:
                hold.start()
                for supervisor in self.turns(ours, hold):
                    self.say(f"reload of {n} workers: {supervisor.name}")
                    answer, end = self._reload(supervisor)
                    answers[type(supervisor)].append(answer / MS)
                    ends[type(supervisor)].append(end / MS)
        return answers, ends

    def reloads(self, sizes):
        cost = {}
        for n in sizes:
            answers, ends = self._reloads_of(n)
            cost[n] = statistics.median(ends[Ours]) / n
            yield compare(f"reload {n}: command to the first new answer, without its boot", "ms", answers[Ours], answers[Hold],
                          Hold.name)
            yield compare(f"reload {n}: command to all new ones serve", "ms", ends[Ours], ends[Hold], Hold.name)
        few, many = sizes[-2:]
        ratio = cost[many] / cost[few]
        yield Row(f"reload: cost of a worker, of {many} and of {few}", "ms", cost[many], cost[few], f"of {few}", ratio,
                  "linear: <= 1.3 x", ratio <= 1.3)

    # ---- requests ----

    @staticmethod
    def _answered(path):
        """Latencies in ms: {in a window?: [...]}; and how many requests were not answered."""
        inside, bad = {True: [], False: []}, 0
        with open(path, encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row["outcome"] != "answered":
                    bad += 1
                    continue
                inside[row["window"] == "1"].append((int(row["latency_usec"]) - int(row["asked_usec"])) / 1000)
        return inside, bad

    def _requests_of(self, supervisor, seconds):
        path = os.path.join(supervisor.place, "records.csv")
        load = subprocess.Popen([program("rpc-load"), "--target", f"127.0.0.1:{supervisor.port}", "--new", "300",
                                 "--keepalive", "150,10", "--slow", "5,100,300", "--records", path], stdin=subprocess.PIPE,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(0.5)
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                load.stdin.write(b"window on\n")
                load.stdin.flush()
                supervisor.reload()
                supervisor.wait_ready()
                supervisor.wait_children(supervisor.workers)
                load.stdin.write(b"window off\n")
                load.stdin.flush()
                time.sleep(0.4)
            load.communicate(b"quit\n", 30)
        finally:
            if load.poll() is None:
                load.kill()
                load.wait()
        return self._answered(path)

    def requests(self, seconds):
        figures = {kind: collections.defaultdict(list) for kind in (Ours, Hold)}
        failed = {Ours: 0, Hold: 0}
        for kind in self.turns(Ours, Hold):
            self.say(f"requests, between and during reloads: {kind.name}")
            with kind(4, free_port(), [program("rpc-worker")]) as supervisor:
                supervisor.start()
                inside, bad = self._requests_of(supervisor, seconds)
            failed[kind] += bad
            for window in (False, True):
                for what, share in (("p50", 0.5), ("p99", 0.99), ("max", 1)):
                    figures[kind][window, what].append(percentile(inside[window], share))
        ours, hold = figures[Ours], figures[Hold]
        for window, words in ((False, "between reloads"), (True, "during reloads")):
            for what in ("p50", "p99", "max"):
                yield compare(f"requests {words}: {what}", "ms", ours[window, what], hold[window, what], Hold.name)
        yield compare("requests: p99 during reloads", "ms", ours[True, "p99"], ours[False, "p99"], "between them", 1.1)
        yield compare(f"requests: p99 during reloads of the {Hold.name}", "ms", hold[True, "p99"], hold[False, "p99"],
                      "between them")
        yield Row("requests that failed", "", failed[Ours], failed[Hold], Hold.name, None, "0", failed[Ours] == 0)

    # ---- memory, and rest ----

    def memory(self, sizes):
        private = {}
        for n in sizes:
            self.say(f"memory with {n} workers")
            with Ours(n, pool="max_surge = 1") as ours:  # descriptors must do for one more only
                ours.start()
                time.sleep(0.2)
                pss, private[n] = ours.memory()
            goal = 2560 if n == 10 else None
            yield Row(f"memory with {n} workers{', as many as descriptors allow' if n == sizes[-1] else ''}: PSS", "KiB", pss,
                      goal=f"<= {goal} KiB" if goal else "", met=pss <= goal if goal else None)
        for few, many in ((10, 1000), (1000, sizes[-1])):
            each = (private[many] - private[few]) / (many - few)
            yield Row(f"memory of each further worker, from {few} to {many} (anonymous)", "KiB", each, goal="<= 2 KiB",
                      met=each <= 2)

    def memory_after_reloads(self, n, reloads):
        self.say(f"memory after {reloads} reloads of {n} workers")
        with Ours(n) as ours:
            ours.start()
            time.sleep(0.2)
            before = ours.memory()[0]
            for _ in range(reloads):
                ours.reload()
                ours.wait_ready()
                ours.wait_children(n)
            time.sleep(0.2)
            after = ours.memory()[0]
        yield Row(f"memory with {n} workers after {reloads} reloads: PSS", "KiB", after, before, "before them", after / before)

    def idle(self, sizes, seconds):
        with contextlib.ExitStack() as stack:
            all_of_them = [stack.enter_context(Ours(n)).start() for n in sizes]
            time.sleep(1)
            before = [(each.switches(), each.cpu()) for each in all_of_them]
            self.say(f"masters at rest for {seconds} s")
            time.sleep(seconds)
            after = [(each.switches(), each.cpu()) for each in all_of_them]
        for n, first, last in zip(sizes, before, after):
            switches = last[0] - first[0]
            yield Row(f"idle master of {n} workers: context switches in {seconds} s", "", switches, goal="0", met=switches == 0)
            yield Row(f"idle master of {n} workers: CPU in {seconds} s", "us", (last[1] - first[1]) / US)

    # ---- the API ----

    @staticmethod
    def _ask_until(ours, condition):
        """Times of `status`, one after the other, until the condition holds or nobody answers."""
        times = []
        while not condition():
            took = ours.status()
            if took is None and times:
                break
            if took is not None:
                times.append(took / MS)
        return times

    def status(self, n):
        rest, start, stop = [], [], []
        ended = False
        for _ in range(self.rounds):
            self.say(f"`status` while {n} workers start and drain")
            with Ours(n) as ours:
                ours.start(wait=False)
                start += self._ask_until(ours, lambda ours=ours: ours.stamps.count() == n)
                ours.wait_ready()
                rest += [ours.status() / MS for _ in range(30)]
                ours.signal(signal.SIGTERM)
                stop += self._ask_until(ours, ours.has_ended)
                ended = wait_until(ours.has_ended, "its end")
        for words, times in (("start", start), ("drain", stop if ended else [])):
            for what, share in (("p50", 0.5), ("p99", 0.99), ("max", 1)):
                yield compare(f"status while {n} workers {words}: {what} of {len(times)}", "ms", [percentile(times, share)],
                              [percentile(rest, share)], "the same at rest")

    # ---- the core alone ----

    def core(self, few, many):
        costs = {few: [], many: []}
        for n in self.turns(few, many):
            self.say(f"the core alone with {n} workers")
            text = subprocess.run([program("bench/core"), str(n)], check=True, stdout=subprocess.PIPE, text=True).stdout
            costs[n].append([float(word) / 1000 for word in text.split()])
        for i, what in enumerate(("start", "reload", "stop")):
            yield compare(f"core alone, {what}: cost of a worker, of {many} and of {few}", "us", [c[i] for c in costs[many]],
                          [c[i] for c in costs[few]], f"of {few}", 2, "linear: <= 2 x")

    # ---- libhandover ----

    def inflight(self, pairs):
        costs = []
        for _ in range(self.rounds):
            self.say("counting what is in flight")
            text = subprocess.run([program("bench/inflight"), str(pairs)], check=True, stdout=subprocess.PIPE, text=True).stdout
            costs.append([float(word) for word in text.split()])
        pair, increment, in_threads, unsupervised = zip(*costs)
        yield compare("libhandover: begin and end of a request", "ns", pair, increment, "an atomic increment", 3)
        yield compare("libhandover: the same in 8 threads at once", "ns", in_threads, pair, "in one", 1.3)
        yield compare("libhandover: the same where nobody supervises", "ns", unsupervised, increment, "an atomic increment")
