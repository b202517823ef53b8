"""bench.py - what handoverd costs, as ratios to baselines of our own that run in turns with it: see tests/bench/README.md.
`make bench` builds what this needs."""
import argparse
import json
import os
import platform
import resource
import sys
import time

from measures import Bench
from supervisors import BUILD

MOST_WORKERS = 5000


def most_workers():
    """As many as descriptors allow: handoverd wants four for each (one of them for a moment), and some for the rest."""
    return min(MOST_WORKERS, (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 256) // 4)


def parts(bench, quick):
    """(name, function that yields rows)"""
    return [
        ("start", lambda: bench.starts(100)),
        ("start", lambda: bench.starts(1000)),
        ("kill", lambda: bench.replacements(10, 10 if quick else 40)),
        ("kill", lambda: bench.replacements(1000, 10 if quick else 40)),
        ("reload", lambda: bench.reloads([1, 10, 100, 1000])),
        ("requests", lambda: bench.requests(3 if quick else 5)),
        ("memory", lambda: bench.memory([1, 10, 100, 1000, most_workers()])),
        ("memory", lambda: bench.memory_after_reloads(100, 10)),
        ("idle", lambda: bench.idle([10, 1000], 2 if quick else 10)),
        ("status", lambda: bench.status(1000)),
        ("core", lambda: bench.core(1000, 10000)),
        ("inflight", lambda: bench.inflight(1000000 if quick else 10000000)),
    ]


def number(value):
    if value is None:
        return "-"
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def line(row):
    met = {None: "", True: "yes", False: "NO"}[row.met]
    ratio = "-" if row.ratio is None else f"{row.ratio:.2f}"
    base = number(row.baseline) + (f" ({row.against})" if row.against else "")
    return f"{row.name:<74} {number(row.ours):>8} {row.unit:<4} {base:<32} {ratio:>6}  {row.goal:<17} {met}"


def head():
    return f"{'what':<74} {'ours':>8} {'':<4} {'baseline':<32} {'ratio':>6}  {'goal':<17} met?"


def say(text):
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()


def machine():
    return {"processors": os.cpu_count(), "kernel": platform.release(), "load": os.getloadavg()[0], "build": BUILD,
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds: to try it, not to quote it")
    parser.add_argument("--rounds", type=int, help="rounds of each measurement (default: 5, with --quick 2)")
    parser.add_argument("--only", action="append", metavar="PART", help="start, kill, reload, requests, memory, idle, status, "
                        "core or inflight; may be repeated")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    parser.add_argument("--realtime", action="store_true", help="run everything with SCHED_RR (root): on a machine with other "
                        "work; such figures leave out what the scheduler does")
    options = parser.parse_args()
    bench = Bench(options.rounds or (2 if options.quick else 5), options.quick, say)
    before = machine()
    if options.realtime:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    if before["load"] > 0.5 * before["processors"]:
        print(f"note: this machine has other work (load {before['load']:.1f} on {before['processors']} processors)")
    print(head(), flush=True)
    rows = []
    for name, run in parts(bench, options.quick):
        if options.only and name not in options.only:
            continue
        for row in run():
            say("")
            print(line(row), flush=True)
            rows.append(row)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"machine": before, "rounds": bench.rounds, "realtime": options.realtime,
                       "rows": [row._asdict() for row in rows]}, file, indent=1)
    missed = [row.name for row in rows if row.met is False]
    print(f"\n{sum(row.met is True for row in rows)} goals met, {len(missed)} missed")
    for name in missed:
        print(f"  missed: {name}")


if __name__ == "__main__":
    main()
