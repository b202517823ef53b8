"""A soak: one master under load all the time, N reloads mixed at random with whatever can go wrong, and a table of what
became of it. Exit status 1 if a request failed outside of a worker that the soak killed, if descriptors, processes or
memory leaked, or if an action had another result than it must have."""
import argparse
import collections
import os
import shutil
import signal
import sys
import time

os.environ.setdefault("BUILD", "build/" + os.environ.get("VARIANT", "plain"))
sys.path[1:1] = [os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "integration")]

import harness  # noqa: E402
import soak_actions  # noqa: E402
import soak_figures  # noqa: E402
import soak_plan  # noqa: E402
import soak_service  # noqa: E402

STEADY_SECONDS = 2
LONG = 200  # so many reloads, and at half of them all memory that stays is there
WRONG_MAX = 10  # so many wrong results, and there is no use in going on


def parse_arguments():
    parser = argparse.ArgumentParser(description="Soaks handoverd: reloads under load, mixed with faults.")
    parser.add_argument("n", type=int, help="number of reloads")
    parser.add_argument("--seed", type=int, default=None, help="repeats the choice of actions of an earlier soak")
    parser.add_argument("--pause", type=float, default=0.4, help="seconds between actions, on average")
    parser.add_argument("--mixed", action="store_true", help="with pools in Go, Python and Node, over the channel and through the shim, too")
    parser.add_argument("--keep", help="directory for the log and all records, if something is wrong")
    return parser.parse_args()


class Soak:
    def __init__(self, options):
        self.seed = options.seed if options.seed is not None else int.from_bytes(os.urandom(3), "big")
        self.n, self.pause, self.keep = options.n, options.pause, options.keep
        self.again = f"make soak N={self.n} SEED={self.seed}" + (" MIXED=1" if options.mixed else "")
        self.service = soak_service.Service(self.seed, options.mixed)
        self.results = collections.OrderedDict()  # name -> counts of results
        self.wrong = []
        self.halfway = None  # memory of the master at half-time of a long soak
        self.begin = time.monotonic()

    def say(self, text):
        print(f"[{time.monotonic() - self.begin:7.1f} s] {text}", flush=True)

    def run(self):
        """The exit status."""
        self.say(f"soak: {self.n} reloads, seed {self.seed} ({self.again})")
        problems = ["it was interrupted"]
        try:
            problems = self._run()
        except (soak_service.Wrong, AssertionError, OSError) as error:
            problems = [*self.wrong, f"it did not come to its end: {str(error) or repr(error)}"]
        finally:
            if problems:
                self._keep()
            problems = self.service.h.end() + problems
        for problem in problems:
            print(f"WRONG: {problem}")
        print("soak: " + (f"{len(problems)} things are wrong" if problems else "all as it must be") + f", seed {self.seed}")
        return 1 if problems else 0

    def _run(self):
        service = self.service
        service.start()
        before = service.come_to_rest()
        service.start_load()
        time.sleep(STEADY_SECONDS)  # to have something to compare with
        steady_until = harness.monotonic_usec()
        self.begin_steps = time.monotonic()
        self._do(soak_plan.make(self.seed, self.n))
        self.seconds = time.monotonic() - self.begin_steps
        self.wrong += soak_actions.check_hung(service)
        requests, printed = service.finish_load()
        after = service.come_to_rest()
        service.h.stop()
        return self._judge(requests, printed, steady_until, before, after)

    def _do(self, steps):
        done = 0
        for step in steps:
            self._step(step)
            done += step.is_reload
            if done == self.n // 2 and self.n >= LONG:
                self.halfway = soak_figures.Rest(self.service.h).pss
            if step.is_reload and done % 50 == 0:
                self.say(f"{done} of {self.n} reloads, {len(self.wrong)} wrong results, "
                         f"master {soak_figures.Rest(self.service.h).pss} KiB PSS")
            if len(self.wrong) >= WRONG_MAX:
                self.say("too many wrong results: not going on")
                return
            time.sleep(step.random.uniform(0, 2 * self.pause))

    def _step(self, step):
        counts = self.results.setdefault(step.name, collections.Counter())
        try:
            result = step.action(self.service, step.random, step.version)
            self.service.settle()
        except (soak_service.Wrong, AssertionError, OSError, LookupError, ValueError) as error:  # or there is nobody where one must be
            result = "WRONG"
            text = str(error).splitlines()[0] if str(error) else repr(error)
            self.wrong.append(f"step {step.number}, {step.name}: {text}")
            self.say(self.wrong[-1])
        counts[result] += 1

    def _judge(self, requests, printed, steady_until, before, after):
        service = self.service
        soak_figures.check_killed(requests, service.kills)
        failed = [request for request in requests if request.outcome == "failed"]
        unexplained = service.watch.unexplained(service.excuses)
        problems = list(self.wrong)
        problems += [self._tell_failure(request) for request in failed]
        problems += [f"unexplained: {event['time']} {event['message']}" for event in unexplained]
        problems += soak_figures.compare_rests(before, after, len(soak_service.POOLS))
        problems += soak_figures.compare_late(self.halfway, after)
        if not requests or any(not any(r.pool == pool and r.outcome == "answered" for r in requests) for pool in printed):
            problems.append("a load client had no answer at all")
        self._print(requests, steady_until, before, after)
        return problems

    def _tell_failure(self, request):
        near = self.service.watch.around(request.ended, request.pool)
        return "\n    ".join([f"request failed: pool {request.pool}, {request.stream}, pid {request.pid}, due at {request.at}, ended "
                              f"{(request.ended - request.at) / 1e3:.1f} ms later: {request.cause}; about that time:", *near])

    def _print(self, requests, steady_until, before, after):
        service = self.service
        print(f"\nsoak: seed {self.seed}, {self.n} reloads in {self.seconds:.0f} s, one master, {len(requests)} requests\n\nWhat was done:")
        rows = [("times", "action", "result")]
        order = [name for name, _, _ in soak_plan.RELOADS + soak_plan.BETWEEN]
        for name in sorted(self.results, key=order.index):
            counts = self.results[name]
            rows.append((sum(counts.values()), name, ", ".join(f"{n} {result}" for result, n in sorted(counts.items()))))
        print("\n".join(soak_figures.table(rows)))
        transactions = service.watch.all("reload-committed", "reload-failed")
        print(f"\nTransactions that the master carried out: {len(transactions)}, of which "
              f"{sum(e['event'] == 'reload-committed' for e in transactions)} committed; workers started: "
              f"{len(service.watch.all('worker-started'))}, crashed: {len(service.watch.all('worker-crashed'))}")
        print("\nRequests (latency from when a request was due, without the time that it asked for; steady: before the first "
              "reload; inside: between the request for a reload and its result):")
        print("\n".join(soak_figures.table(soak_figures.request_rows(requests, service.windows, steady_until))))
        rows = soak_figures.killed_rows(requests, service.kills)
        print(f"\nLost with workers that the soak killed ({len(service.kills)} kills):")
        print("\n".join(soak_figures.table(rows)) if len(rows) > 1 else "  none")
        self._print_rest(before, after)

    def _print_rest(self, before, after):
        drains = self.service.watch.drains()
        print(f"\nDrains, each with a budget of {soak_service.DRAIN_SECONDS} s, and {soak_service.DUMP_SECONDS} s for a dump:")
        rows = [("", "drains", "longest ms", "of")]
        for what, events in (("all", drains), ("without a hang", [e for e in drains if not self.service.is_hung(e["pid"])])):
            longest = max(events, key=lambda event: event["after_ms"])
            rows.append((what, len(events), longest["after_ms"], f"pool {longest['pool']} pid {longest['pid']}"))
        print("\n".join(soak_figures.table(rows)))
        print("\nThe master at rest:")
        rows = [("", "start", "end")]
        rows += [("descriptors", len(before.descriptors), len(after.descriptors)), ("held by versions", before.held, after.held), ("PSS KiB", before.pss, after.pss),
                 ("RSS KiB", before.rss, after.rss), ("workers' processes", len(before.processes), len(after.processes)),
                 ("zombies", len(before.zombies), len(after.zombies))]
        print("\n".join(soak_figures.table(rows)) + "\n")

    def _keep(self):
        if not self.keep:
            return
        shutil.rmtree(self.keep, ignore_errors=True)
        os.makedirs(self.keep)
        for name in os.listdir(self.service.h.place):
            path = self.service.h.path(name)
            if name == "log" or name.startswith(("records-", "load-")) and os.path.isfile(path):
                shutil.copy(path, self.keep)
        self.say(f"its log and the records of all requests are kept in {self.keep}")


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):  # so that nothing is left behind
        signal.signal(number, lambda *_: sys.exit(130))
    sys.exit(Soak(parse_arguments()).run())
