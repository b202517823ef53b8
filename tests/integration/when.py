"""For the tests of docs/what-happens-when.md: light load while something goes wrong, and counts before and after."""
import contextlib
import os
import re
import time

import harness
from harness import read_file, wait_until

MEMORY_TOLERANCE = 512 * 1024  # allocators keep some; a leak that matters is met again in the soak, a thousand times


def target_of(port_or_path):
    return f"127.0.0.1:{port_or_path}" if isinstance(port_or_path, int) else f"unix:{port_or_path}"


def descriptors(pid):
    """What each descriptor is: {number: target}. Without those that versions hold."""
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            if not harness.is_held(pid, name):
                found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
    return found


def memory(pid):
    """What it has for itself, in bytes. (The proportional size grows when another process with the same libraries ends.)"""
    return int(re.search(rb"^Anonymous:\s+(\d+) kB", read_file(f"/proc/{pid}/smaps_rollup"), re.M)[1]) * 1024


def files_below(folder):
    return sorted(os.path.relpath(os.path.join(at, name), folder)
                  for at, folders, names in os.walk(folder) for name in folders + names)


class Counts:
    """What an instance holds now."""

    def __init__(self, h):
        self.descriptors = descriptors(h.pid)
        self.processes = len(harness.processes_of(h.name))
        self.files = files_below(h.runtime_dir)

    def as_words(self):
        return f"{len(self.descriptors)} descriptors {self.descriptors}, {self.processes} processes, files {self.files}"


class Case:
    """What a test says to no_loss_and_no_leak() while the case runs."""

    def __init__(self, load):
        self.load = load
        self.more_descriptors = 0  # that the case opens for good, such as a socket that was added
        self.more_processes = 0
        self.new_files = []  # in the runtime directory
        self.memory_tolerance = MEMORY_TOLERANCE
        self.summary = None  # of the load, afterwards


def check_nothing_leaks(h, before, case):
    def as_before():
        now = Counts(h)
        return (len(now.descriptors) == len(before.descriptors) + case.more_descriptors
                and now.processes == before.processes + case.more_processes
                and now.files == sorted([*before.files, *case.new_files]))
    wait_until(as_before, "the counts to be as before", 10,
               lambda: f"before: {before.as_words()}\nafter: {Counts(h).as_words()}\nlog: {h.log[-3000:]}")


def quiet_counts(h):
    """What it holds when nobody asks it anything: the end of a request is seen a moment after its answer."""
    last, since = Counts(h), time.monotonic()
    while time.monotonic() - since < 0.05:
        time.sleep(0.01)
        now = Counts(h)
        if now.as_words() != last.as_words():
            last, since = now, time.monotonic()
    return last


@contextlib.contextmanager
def no_leak(h):
    """Counts descriptors of the master, its processes, its memory, and files in the runtime directory before and after."""
    before, memory_before = quiet_counts(h), memory(h.pid)
    case = Case(None)
    yield case
    check_nothing_leaks(h, before, case)
    if not harness.SANITIZED:
        grown = memory(h.pid) - memory_before
        assert grown <= case.memory_tolerance, f"the master has grown by {grown} bytes\n{h.tell()}"


@contextlib.contextmanager
def no_loss(h, target):
    """Light load on the port or path from before to after; not one call may fail. One that was inside a worker which the
    test itself killed (and said so: load.tell("killed PID USEC")) counts as killed, not as failed."""
    load = h.load("--new", 100, "--keepalive", "50,4", target=target_of(target))
    load.wait_answered(10)
    yield load
    load.wait_answered(10)
    code, summary, printed = load.finish()
    assert code == 0 and summary["total"]["failed"] == 0, printed + h.tell()
    load.summary = summary


@contextlib.contextmanager
def no_loss_and_no_leak(h, target):
    """Both. The case that it gives has the load, and what the test expects to be more afterwards."""
    with no_leak(h) as case:
        with no_loss(h, target) as case.load:
            yield case
        case.summary = case.load.summary


@contextlib.contextmanager
def nothing_stays(h):
    """For an instance that ends, or is refused, before it serves: no process, no file, no socket of it is left."""
    files = files_below(h.place)
    yield
    assert not harness.processes_of(h.name), h.tell()
    mine = {os.path.basename(h.log_path), os.path.basename(h.config)}
    assert [f for f in files_below(h.place) if f not in files and f not in mine] == [], h.tell()


def said(h, text, **more):
    """A text of the list with this instance's file, directory and so on in it."""
    return text.format(config=h.config, place=h.place, pid=h.pid if h.process else None, name=h.name, **more)


def check_start_refused(h, text, code=78, **more):
    """Starts it, and it ends with exactly this on its standard error, and with nothing left."""
    with nothing_stays(h):
        h.end_early(code=code, write=False, **more)
    assert without_time(h.log) == text, f"it said:\n{without_time(h.log)}and not:\n{text}"


def without_time(log):
    return re.sub(r"(?m)^\d{4}-\d\d-\d\dT\S+ ", "", log)


STILL = "still serving: pool api generation 1 with 2 of 2 workers"


def check_reload_refused(h, text, problems=1):
    """`handover reload` says exactly this, and so does the log; the old workers are the same."""
    old, since = h.pids(), h.mark()
    done = h.cli("reload")
    number = h.status()["last_reload"]["id"]
    first = next(line for line in text.splitlines() if not re.search(r"^[^ ]*: warning: ", line))
    message = (f"reload {number} failed: the configuration has {problems} mistake{'s, the first' if problems > 1 else ''}: {first}; {STILL}")
    assert (done.returncode, done.stderr) == (78, f"{text}handover: {message}\n"), done
    log = without_time(h.log[since:])
    assert f"error {message}\n" + "".join(f"error   {line}\n" for line in text.splitlines()) in log, log
    assert h.pids() == old
