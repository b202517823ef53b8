"""What the tests of workers, timing and limits in docs/what-happens-when.md share: exact sentences of the log, a worker that
misbehaves, and preloaded libraries."""
import contextlib
import os
import re
import signal
import subprocess

import harness
from harness import rpc

# Placeholders, as the table has them.
PLACES = {"<pid>": r"\d+", "<time>": r"[\d.]+ (?:us|ms|s|min|h)", "<n>": r"\d+", "<slot>": r"\d+", "<generation>": r"\d+",
          "<requests>": r"\d+ requests?", "<port>": r"\d+", "<path>": r"\S+", "<name>": r"\S+", "<uid>": r"\d+"}


def pattern_of(text):
    """A whole line of the log with this sentence."""
    pattern = re.escape(text)
    for place, regex in PLACES.items():
        pattern = pattern.replace(place, f"(?:{regex})")
    return rf"(?m)^\S+ (?:debug|info|notice|warning|error) +{pattern}$"


def says(h, text, count=1, since=0):
    """Waits until the log has that sentence (count times); returns the match."""
    return h.wait_log(pattern_of(text), count, since)


def kill(load, pid):
    """SIGKILL, of which the load is told. The time is that of its end: until then it may have taken another request in."""
    os.kill(pid, signal.SIGKILL)
    harness.wait_until(lambda: not harness.is_alive(pid), f"the end of {pid}", every=0.001)
    load.tell(f"killed {pid} {harness.monotonic_usec()}")


def is_quiet(h):
    """By one answer: what is queued may begin between two."""
    status = h.status()
    return status["reload"] is None and not status["queued"]


def wait_quiet(h):
    """Waits until no reload runs or waits, also of the SIGHUPs that were sent before."""
    h.status()  # a signal may be heard just behind the request that came after it, but not behind a second one
    h.wait(lambda: is_quiet(h), "the last reload's end")


def times_said(h, text, since=0):
    return h.count_log(pattern_of(text), since)


def create(path):
    with open(path, "w", encoding="utf-8"):
        pass


def serving(h, workers=2, **keys):
    """A pool `api` that serves, on a port that is returned."""
    port = h.socket("web")
    h.pool("api", rpc("--version", 1), sockets="web", workers=workers, **{"drain_timeout": "10s", **keys})
    return port


# A worker for what step-worker cannot do.
BAD_WORKER = r'''
import array, fcntl, os, signal, socket, sys, time
notify_socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
address = os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1)
signal.signal(signal.SIGTERM, signal.SIG_DFL)

def notify(data, to=address, flags=0):
    notify_socket.sendto(data, flags, to)

def leave_a_child_in_a_group_of_its_own():
    try:
        os.setpgid(0, 0)
    except PermissionError:
        pass # the leader of a session cannot; its children can
    if os.fork() == 0:
        os.setpgid(0, 0)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)
    notify(b"READY=1")

def close_all_before_ready():
    os.closerange(0, 4096)

def close_all():
    notify(b"READY=1")
    os.closerange(0, 4096)

def make_it_block():
    fcntl.fcntl(3, fcntl.F_SETFL, fcntl.fcntl(3, fcntl.F_GETFL) & ~os.O_NONBLOCK)
    notify(b"READY=1")

def garbage():
    SO_SNDBUFFORCE = 32
    try:
        notify_socket.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 4 << 20)
    except PermissionError:
        pass
    for data in (b"", b"\0" * 100, b"READY=1\0READY=1", os.urandom(4096), b"A" * 150000, b"=\n" * 3000):
        notify(data)
    try:
        notify(b"READY=1\n" + b"x" * (1 << 20))
    except OSError:
        pass # without root the kernel itself refuses a datagram of that size
    reader, writer = os.pipe()
    notify_socket.sendmsg([b"FDSTORE=1"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [reader] * 200))], 0, address)
    print("all of it was sent", flush=True)
    while not os.path.exists(sys.argv[2]):
        time.sleep(0.005)
    notify(b"READY=1")

def flood_notify():
    notify(b"READY=1")
    for n in range(100000):
        try:
            notify(b"STATUS=%d" % (n % 7), flags=socket.MSG_DONTWAIT)
        except BlockingIOError:
            pass
    print("100000 times", flush=True)

def spoof():
    notify(b"READY=1")
    with open(sys.argv[2]) as file:
        other = file.read().replace("@", "\0", 1)
    for n in range(20):
        notify(b"STOPPING=1\nWATCHDOG=trigger\nSTATUS=forged", other)

globals()[sys.argv[1]]()
while True:
    signal.pause()
'''


def bad(h, *words):
    """The command of a worker that does what the named function above does."""
    path = h.path("bad.py")
    with open(path, "w", encoding="utf-8") as file:
        file.write(BAD_WORKER)
    return " ".join(["/usr/bin/python3", "-I", "-S", path, *map(str, words)])


def build_preload(h, name, source):
    """A library for LD_PRELOAD."""
    path = h.path(name)
    with open(path + ".c", "w", encoding="utf-8") as file:
        file.write(source)
    subprocess.run(["cc", "-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", "-o", path,
                    path + ".c", "-ldl"], check=True)
    return path


def preload_environment(h, name, source, **more):
    """The environment in which handoverd runs with that library. AddressSanitizer wants to be loaded first, but works behind it."""
    options = ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0"]))
    return h.environment(LD_PRELOAD=build_preload(h, name, source), ASAN_OPTIONS=options, **more)


@contextlib.contextmanager
def keepalive_load(h, port):
    """Calls over connections that exist already: for cases in which new ones may be refused for a moment."""
    load = h.load("--keepalive", "100,4", target=f"127.0.0.1:{port}")
    load.wait_answered(10)
    yield load
    load.wait_answered(10)
    code, summary, printed = load.finish()
    assert code == 0 and summary["total"]["failed"] == 0, printed + h.tell()


def ticks(pid):
    """Hundredths of a second of CPU that a process has used."""
    return sum(map(int, harness.read_file(f"/proc/{pid}/stat").decode().rpartition(")")[2].split()[11:13]))


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))
