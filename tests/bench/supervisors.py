"""What is measured: handoverd, and the baselines it is compared with. Each runs the same worker program and is started,
told and watched in the same way."""
import contextlib
import mmap
import os
import re
import shutil
import signal
import socket
import struct
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("BUILD", os.path.join(ROOT, "build", "plain"))
PATIENCE = 60  # seconds: a wait that takes longer is an error


def program(name):
    return os.path.join(BUILD, name)


def now():
    """Nanoseconds, of the clock that workers use."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def wait_until(condition, what, every=0.002):
    end = time.monotonic() + PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise RuntimeError(f"waited {PATIENCE} s in vain for {what}")
        time.sleep(every)


class Stamps:
    """The file that workers write their times into: see stamps.h."""
    HEAD, RECORD, MOST = 32, 32, 65535

    def __init__(self, path):
        self.path = path
        with open(path, "wb") as file:
            file.truncate(self.HEAD + self.RECORD * self.MOST)
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 0)

    def count(self):
        return struct.unpack_from("=I", self.map, 0)[0]

    def get(self, n):
        """(first instruction, ready, pid), or None while it is being written."""
        first, ready, pid = struct.unpack_from("=QQi", self.map, self.HEAD + n * self.RECORD)
        return (first, ready, pid) if first else None

    def wait(self, n):
        """The records, once there are n of them."""
        wait_until(lambda: self.count() >= n, f"{n} starts of workers, not {self.count()}")
        return [wait_until(lambda n=i: self.get(n), "a worker's record", every=0.0005) for i in range(n)]


class Notify:
    """The service manager's end of NOTIFY_SOCKET."""

    def __init__(self):
        self.address = "@handover-bench-%d-%d" % (os.getpid(), now())
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + self.address[1:])

    def receive(self, patience):
        """A message, or b"" if none came in time."""
        self.socket.settimeout(patience)
        with contextlib.suppress(BlockingIOError, TimeoutError):
            return self.socket.recv(4096)
        return b""


class Supervisor:
    """One that runs. Its times: `began` is the moment before exec."""
    name = "?"

    def __init__(self, workers, port=None, command=None):
        self.workers, self.port = workers, port
        self.place = tempfile.mkdtemp(prefix="handover-bench-", dir="/dev/shm")
        self.stamps = Stamps(os.path.join(self.place, "stamps"))
        self.notify = Notify()
        self.pid = 0
        self.command = command or [program("bench/idle"), self.stamps.path]

    def arguments(self):
        raise NotImplementedError

    def start(self, wait=True):
        log = os.path.join(self.place, "log")
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        arguments = self.arguments()
        environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "NOTIFY_SOCKET": self.notify.address}
        actions = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0), (os.POSIX_SPAWN_OPEN, 1, log, flags, 0o644),
                   (os.POSIX_SPAWN_DUP2, 1, 2)]
        self.began = now()
        self.pid = os.posix_spawn(arguments[0], arguments, environment, file_actions=actions)
        self.ready = self.wait_ready() if wait else None
        return self

    def wait_ready(self):
        """When READY=1 came."""
        end = time.monotonic() + PATIENCE
        while b"READY=1" not in self.notify.receive(0.5):
            if self.has_ended() or time.monotonic() > end:
                raise RuntimeError(f"{self.name} does not get ready:\n{self.log()[-2000:]}")
        return now()

    def log(self):
        with open(os.path.join(self.place, "log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def signal(self, number):
        os.kill(self.pid, number)

    def reload(self):
        """Tells it to. When it was told."""
        while self.notify.receive(0):  # handoverd says READY=1 twice at its start
            pass
        began = now()
        self.signal(signal.SIGHUP)
        return began

    def has_ended(self):
        if self.pid and os.waitpid(self.pid, os.WNOHANG)[0]:
            self.pid = 0
        return not self.pid

    def stop(self):
        """Nanoseconds from SIGTERM to its end."""
        began = now()
        self.signal(signal.SIGTERM)
        _, status = os.waitpid(self.pid, 0)
        took = now() - began
        self.pid = 0
        if status != 0:
            raise RuntimeError(f"{self.name} ended with status {status}:\n{self.log()[-2000:]}")
        return took

    def children(self):
        with open(f"/proc/{self.pid}/task/{self.pid}/children", encoding="ascii") as file:
            return [int(pid) for pid in file.read().split()]

    def _state(self):
        with open(f"/proc/{self.pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(") ")[2][0]

    def wait_children(self, n):
        wait_until(lambda: len(self.children()) == n, f"{n} children of {self.name}")

    def memory(self):
        """(PSS, anonymous part of it) in KiB."""
        with open(f"/proc/{self.pid}/smaps_rollup", encoding="ascii") as file:
            fields = dict(re.findall(r"^(\w+): +(\d+) kB$", file.read(), re.MULTILINE))
        return int(fields["Pss"]), int(fields["Pss_Anon"])

    def switches(self):
        with open(f"/proc/{self.pid}/status", encoding="utf-8") as file:
            return sum(map(int, re.findall(r"ctxt_switches:\s+(\d+)", file.read())))

    def cpu(self):
        """Nanoseconds on a processor so far."""
        with open(f"/proc/{self.pid}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[0])

    def close(self):
        if self.pid:
            self.signal(signal.SIGSTOP)  # or it would start others in their place
            wait_until(lambda: self._state() in "TZ", "it to stand still")
            workers = self.children()
            self.signal(signal.SIGKILL)
            os.waitpid(self.pid, 0)
            for pid in workers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.notify.socket.close()
        self.stamps.map.close()
        shutil.rmtree(self.place)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Ours(Supervisor):
    name = "handoverd"

    def __init__(self, workers, port=None, command=None, supervisor="", pool=""):
        super().__init__(workers, port, command)
        self.more = supervisor, pool
        self.control = os.path.join(self.place, "run", "control.sock")

    def arguments(self):
        path = os.path.join(self.place, "bench.ini")
        supervisor, pool = self.more
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"[supervisor]\n{supervisor}\n[pool:bench]\ncommand = {' '.join(self.command)}\n"
                       f"workers = {self.workers}\nready = notify\nstart_timeout = {PATIENCE}s\n{pool}\n")
            if self.port:
                file.write(f"sockets = rpc\n[socket:rpc]\nlisten = tcp://127.0.0.1:{self.port}\n")
        return [program("handoverd"), "--runtime-dir", os.path.join(self.place, "run"), path]

    def status(self):
        """Nanoseconds that GET /v1/status takes, with the connection; None: nobody is there."""
        began, size = now(), 0
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(PATIENCE)
            try:
                sock.connect(self.control)
                sock.sendall(b"GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                while part := sock.recv(1 << 18):
                    size += len(part)
            except (FileNotFoundError, ConnectionError):
                return None
        return now() - began if size else None


class Bare(Supervisor):
    """A loop of fork, exec and waitpid."""
    name, how = "fork/exec loop", "fork"

    def arguments(self):
        return [program("bench/bare"), self.how, str(self.workers), *self.command]


class BareSpawn(Bare):
    name, how = "posix_spawn loop", "posix_spawn"


class Hold(Supervisor):
    """Holds a socket, starts new workers, ends old ones."""
    name = "hold-socket loop"

    def arguments(self):
        return [program("bench/hold"), str(self.port), str(self.workers), *self.command]


def free_port():
    """A port below the range of outgoing connections."""
    for port in range(20000 + os.getpid() % 10000, 32000):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    raise RuntimeError("there is no free port")
