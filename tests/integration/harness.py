"""Instances of handoverd for tests: each with its own directory, configuration and ports, and with what must be true at
its end, whatever the test was about."""
import concurrent.futures
import contextlib
import http.client
import json
import os
import re
import select
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import time

import cli_tools

ROOT = cli_tools.ROOT
VARIANT = os.environ.get("VARIANT", "plain")
BUILD = cli_tools.BUILD
HANDOVERD = os.path.join(BUILD, "handoverd")
RPC_WORKER = os.path.join(BUILD, "rpc-worker")
RPC_LOAD = os.path.join(BUILD, "rpc-load")
STEP_WORKER = os.path.join(BUILD, "step-worker")
SANITIZED = "asan" in VARIANT or "asan" in os.path.basename(BUILD)
PATIENCE = 60 if SANITIZED else 30  # seconds until a wait counts as failed; nothing waits that long in a good run


def wait_until(condition, what, timeout=PATIENCE, tell=lambda: "", every=0.01):
    """Waits until condition() is true and returns its value; fails with `what`, and with what tell() adds."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout} s in vain: {what}\n{tell()}")
        time.sleep(every)


# --- ports ---

class Ports:
    """Ports below the range of outgoing connections. A port is ours while we hold the abstract Unix socket that is named
    after it, which the kernel takes back by itself: so runs beside each other never get the same one."""
    FIRST, LAST = 20000, 32000

    def __init__(self):
        self.locks = []
        self.next = self.FIRST + os.getpid() * 37 % (self.LAST - self.FIRST)

    def _try(self, port):
        lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            lock.bind(f"\0handover-test-port-{port}")
            for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    with socket.socket(family, kind) as probe:
                        if family == socket.AF_INET6:
                            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                        probe.bind((address, port))  # also without SO_REUSEADDR: an earlier test's connections are gone
        except OSError:
            lock.close()
            return False
        self.locks.append(lock)
        return True

    def take(self):
        for _ in range(self.FIRST, self.LAST):
            port, self.next = self.next, self.next + 1
            if self.next >= self.LAST:
                self.next = self.FIRST
            if self._try(port):
                return port
        raise AssertionError("there is no free port")

    def close(self):
        for lock in self.locks:
            lock.close()


# --- the API, and workers' JSON-RPC ---

class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=PATIENCE):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Lines:
    """An answer that comes line by line: objects of JSON, or server-sent events. A context manager."""

    def __init__(self, connection, response):
        self.connection, self.response, self.seen = connection, response, []

    def next(self):
        """The next object, or None at the end."""
        while True:
            line = self.response.readline()
            if not line:
                return None
            line = line.strip()
            if line.startswith(b"data:"):
                line = line[5:].strip()
            if line.startswith(b"{"):
                self.seen.append(json.loads(line))
                return self.seen[-1]

    def until(self, **members):
        """The next object with these members."""
        while True:
            item = self.next()
            assert item is not None, f"ended without {members}: {self.seen}"
            if all(item.get(k) == v for k, v in members.items()):
                return item

    def rest(self):
        while self.next() is not None:
            pass
        return self.seen

    def close(self):
        self.response.close()
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Api:
    """At the path of control.sock, or at a port."""

    def __init__(self, address):
        self.address = address
        self.headers = None  # of the last answer

    def connection(self):
        if isinstance(self.address, int):
            return http.client.HTTPConnection("127.0.0.1", self.address, timeout=PATIENCE)
        return UnixConnection(self.address)

    def request(self, method, path, body=None):
        """(status, text); a body may be text, or what becomes JSON."""
        with contextlib.closing(self.connection()) as connection:
            connection.request(method, path, body=body if body is None or isinstance(body, str) else json.dumps(body))
            response = connection.getresponse()
            self.headers = response.headers
            return response.status, response.read().decode()

    def get(self, path):
        code, text = self.request("GET", path)
        assert code == 200, f"GET {path}: {code} {text}"
        return json.loads(text)

    def post(self, path, **body):
        """(status, object)"""
        code, text = self.request("POST", path, body)
        return code, json.loads(text)

    def lines(self, method, path, **body):
        connection = self.connection()
        connection.request(method, path, body=json.dumps(body) if body else None)
        response = connection.getresponse()
        assert response.status in (200, 202), f"{method} {path}: {response.status} {response.read()}"
        return Lines(connection, response)


def connect(address, timeout=PATIENCE):
    """A connection to a port, or to the path of a Unix socket."""
    if isinstance(address, int):
        return socket.create_connection(("127.0.0.1", address), timeout)
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(timeout)
    try:
        sock.connect(address)
    except OSError:
        sock.close()
        raise
    return sock


class Call:
    """One JSON-RPC request on a connection of its own, sent at once and answered when it is."""

    def __init__(self, address, method, **params):
        self.sock = connect(address)
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        self.sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    def answer(self):
        """The result; an exception where there is none."""
        with self.sock:
            response = http.client.HTTPResponse(self.sock)
            response.begin()
            data = json.loads(response.read())
        assert "result" in data, data
        return data["result"]

    def is_cut(self):
        """Whether the connection ends without an answer. Waits for one or the other."""
        with self.sock:
            try:
                return self.sock.recv(1) == b""
            except ConnectionError:
                return True

    def close(self):
        self.sock.close()


def call(address, method, **params):
    return Call(address, method, **params).answer()


def slow_calls(handover, address, n=1, ms=400, beside=0):
    """So many calls that are in flight now, and will be answered with 3; the master knows of them, and of others beside
    them. On a machine that is slow enough to miss that moment they are made anew, and take longer."""
    while True:
        calls = [Call(address, "work", ms=ms, a=1, b=2) for _ in range(n)]
        socks = [c.sock for c in calls]
        while not select.select(socks, [], [], 0)[0]:
            if sum(w["inflight"] or 0 for w in handover.workers()) == n + beside:
                return calls
            time.sleep(0.01)
        assert [c.answer()["sum"] for c in calls] == [3] * n
        handover.wait(lambda: sum(w["inflight"] or 0 for w in handover.workers()) == beside, "nothing to be in flight")
        ms *= 3


def is_refused(address):
    """Whether a new client is turned away at once."""
    try:
        connect(address, timeout=0.5).close()
    except (ConnectionRefusedError, FileNotFoundError):
        return True
    except OSError:  # neither in nor out: it would have to wait
        return False
    return False


# --- processes ---

def read_file(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def is_held(pid, name):
    """A program, the copy of a script, or a directory of a version, held for a crash or a rollback: as many as test_versions.py says."""
    if os.readlink(f"/proc/{pid}/fd/{name}").startswith("/memfd:handover-script"):
        return True
    with open(f"/proc/{pid}/fdinfo/{name}", encoding="ascii") as file:
        flags = int(re.search(r"^flags:\s+(\d+)", file.read(), re.M)[1], 8)
    return flags & os.O_PATH and not stat.S_ISSOCK(os.stat(f"/proc/{pid}/fd/{name}").st_mode)


def processes_of(instance):
    """Pids of the processes that were started below this instance."""
    mark = b"HANDOVER_INSTANCE=" + instance.encode()
    return [int(pid) for pid in os.listdir("/proc")
            if pid.isdigit() and mark in read_file(f"/proc/{pid}/environ").split(b"\0")]


def process_stat(pid):
    """(state, ppid), or None if it is gone."""
    text = read_file(f"/proc/{pid}/stat").decode(errors="replace")
    fields = text.rpartition(")")[2].split()
    return (fields[0], int(fields[1])) if fields else None


def is_alive(pid):
    state = process_stat(pid)
    return state is not None and state[0] not in "ZX"


def children_of(pid):
    return [int(child) for child in os.listdir("/proc") if child.isdigit() and (process_stat(child) or (0, 0))[1] == pid]


def in_background(function, *arguments, **more):
    """Calls it in a thread of its own; gives a future."""
    pool = concurrent.futures.ThreadPoolExecutor(1)
    future = pool.submit(function, *arguments, **more)
    pool.shutdown(wait=False)
    return future


def monotonic_usec():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


# --- commands of workers ---

def rpc(*options):
    return shlex.join([RPC_WORKER, *map(str, options)])


def steps(*words):
    """A worker that does these steps: see tests/workers/step-worker.c."""
    return shlex.join([STEP_WORKER, *map(str, words)])


def probed(*words):
    """A server that is asked whether it is well: see tests/workers/probed-worker.py."""
    return shlex.join(["/usr/bin/python3", os.path.join(ROOT, "tests/workers/probed-worker.py"), *map(str, words)])


# --- instances ---

class Handover:
    counter = 0

    def __init__(self, name=None):
        Handover.counter += 1
        # unique on this machine: what is left of an instance is found by its name
        self.name = f"{name or 'it'}-{os.getpid()}-{Handover.counter}"
        self.place = tempfile.mkdtemp(prefix="handover-it-")
        os.chmod(self.place, 0o755)  # workers of other users must get in
        self.runtime_dir = self.path("run")
        self.runtime_options = ["--runtime-dir", self.runtime_dir]
        self.control = self.path("run/control.sock")
        self.config = self.path(f"{self.name}.ini")
        self.log_path = self.path("log")
        self.sections = {}
        self.ports = Ports()
        self.process = None
        self.expected_exit = 0  # at the end of the test; None: it does not matter
        self.api = Api(self.control)
        self.loads = []

    def path(self, name):
        return os.path.join(self.place, name)

    # configuration

    def section(self, title, **keys):
        """Sets keys of a section; None takes one out. A list stands for a key that is repeated."""
        section = self.sections.setdefault(title, {})
        for key, value in keys.items():
            if value is None:
                section.pop(key, None)
            else:
                section[key] = value

    def supervisor(self, **keys):
        self.section("supervisor", **keys)

    def socket(self, name, listen=None, **keys):
        """A socket on a port of its own, which is returned; or on `listen`."""
        port = None
        if listen is None:
            port = self.ports.take()
            listen = f"tcp://127.0.0.1:{port}"
        self.section(f"socket:{name}", listen=listen, **keys)
        return port

    def pool(self, name, command=None, **keys):
        """Sets keys of a pool; a new one is ready by `notify`."""
        title = f"pool:{name}"
        if title not in self.sections:
            keys = {"ready": "notify", **keys}
        self.section(title, **({"command": command} if command else {}), **keys)

    def text(self):
        lines = []
        for title, keys in self.sections.items():
            lines.append(f"[{title}]")
            for key, value in keys.items():
                for one in value if isinstance(value, list) else [value]:
                    lines.append(f"{key} = {one}")
        return "\n".join(lines) + "\n"

    def write(self, text=None):
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(self.text() if text is None else text)

    def write_file(self, name, text):
        """A file in its place."""
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    # running it

    def environment(self, **changes):
        return cli_tools.environment(PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", **changes)

    def launch(self, *options, env=None, write=True, wrapper=(), **more):
        """Starts it and waits for nothing."""
        assert self.process is None, "it runs already"
        if write:
            self.write()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([*wrapper, HANDOVERD, *self.runtime_options, *options, self.config],
                                            stdin=subprocess.DEVNULL, **{"stdout": log, "stderr": log, **more},
                                            env=env or self.environment(), start_new_session=True)
        self.pid = self.process.pid
        return self

    def start(self, *options, **more):
        """Starts it and waits until all pools serve."""
        self.launch(*options, **more)
        self.wait_log(r"instance \S+ is ready: \d+ workers? serve")
        return self

    def end_early(self, *options, code, **more):
        """Starts it and waits for its end with this exit code."""
        self.launch(*options, **more)
        self.wait_exit(code)

    def run_only(self, *options, write=True):
        """Runs handoverd to its end, apart from what is started here: for --check."""
        if write:
            self.write()
        return subprocess.run([HANDOVERD, *options], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=PATIENCE, env=self.environment(), check=False)

    def signal(self, number):
        self.process.send_signal(number)

    def wait_exit(self, code=0, timeout=PATIENCE):
        try:
            got = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"handoverd still runs after {timeout} s\n{self.tell()}") from None
        assert got == code, f"exit code {got}, and not {code}\n{self.tell()}"
        self.expected_exit = code

    def stop(self, code=0):
        self.signal(signal.SIGTERM)
        self.wait_exit(code)

    # looking at it

    @property
    def log(self):
        return read_file(self.log_path).decode(errors="replace")

    def tell(self):
        lines = self.log.splitlines()
        head = f"--- log of {self.name}" + (f" (the last 80 of {len(lines)} lines)" if len(lines) > 80 else "")
        return "\n".join([head + ":", *lines[-80:], "--- end of the log"])

    def mark(self):
        """Where the log ends now: for wait_log(since=)."""
        return len(self.log)

    def wait(self, condition, what, timeout=PATIENCE):
        """wait_until(), which also fails when handoverd is gone."""
        def look():
            ended = self.process.poll() is not None
            value = condition()
            if not value and ended:
                raise AssertionError(f"handoverd has ended with code {self.process.returncode}, waiting for: {what}\n"
                                     f"{self.tell()}")
            return value
        return wait_until(look, what, timeout, self.tell)

    def wait_log(self, pattern, count=1, since=0):
        """Waits until the log has the pattern (count times); returns the last match."""
        found = re.compile(pattern)

        def look():
            matches = list(found.finditer(self.log, since))
            return matches[count - 1] if len(matches) >= count else None
        return self.wait(look, f"the log to say {pattern!r}" + (f" {count} times" if count > 1 else ""))

    def count_log(self, pattern, since=0):
        return len(re.findall(pattern, self.log[since:]))

    def status(self):
        return self.api.get("/v1/status")

    def workers(self, pool=None, state=None):
        """Workers that have a process, as the API tells."""
        return [w for w in self.status()["workers"] if w["pid"] is not None
                and (pool is None or w["pool"] == pool) and (state is None or w["state"] == state)]

    def pids(self, pool=None, state="serving"):
        return [w["pid"] for w in self.workers(pool, state)]

    def pool_status(self, name):
        return next(p for p in self.status()["pools"] if p["name"] == name)

    def wait_serving(self, pool, n, generation=None):
        """Waits until exactly n workers serve (of that generation) and no others are left; returns their pids."""
        def look():
            all_of_it = self.workers(pool)
            good = [w for w in all_of_it if w["state"] == "serving" and generation in (None, w["generation"])]
            return [w["pid"] for w in good] if len(good) == len(all_of_it) == n else None
        return self.wait(look, f"{n} workers of pool {pool}" + (f" generation {generation}" if generation else ""))

    def wait_gone(self, *pids):
        self.wait(lambda: not any(map(is_alive, pids)), f"the end of {pids}")

    def json_of(self, path):
        """Waits for a file that a worker dumps."""
        return json.loads(self.wait(lambda: read_file(self.path(path)), f"a worker to write {path}"))

    # asking it

    def reload(self, **body):
        """(status, result)"""
        return self.api.post("/v1/reload", **body)

    def good_reload(self, **body):
        code, result = self.reload(**body)
        assert code == 200 and result["result"] == "committed", f"{code} {result}\n{self.tell()}"
        return result

    def bad_reload(self, **body):
        code, result = self.reload(**body)
        assert code in (409, 422) and result["result"] == "failed", f"{code} {result}\n{self.tell()}"
        return result

    def cli(self, *arguments, **more):
        return cli_tools.run("-c", self.control, *arguments, **more)

    def load(self, *options, target=None, program=None):
        load = Load(self, program or RPC_LOAD, target, options)
        self.loads.append(load)
        return load

    # the end

    def _stop_at_end(self, problems):
        if self.process is None:
            return
        if self.process.poll() is None:
            try:
                wait_until(lambda: not self._zombies(), "zombies to be reaped", 5)
            except AssertionError:
                problems.append(f"zombies are left: {self._zombies()}")
            self.process.terminate()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                problems.append("it did not stop after SIGTERM")
                self.process.kill()
                self.process.wait()
        if self.expected_exit is not None and self.process.returncode != self.expected_exit:
            problems.append(f"exit code {self.process.returncode}, and not {self.expected_exit}")

    def _zombies(self):
        return [pid for pid in children_of(self.pid) if (process_stat(pid) or "?")[0] == "Z"]

    def _check_rest(self, problems):
        orderly = self.process is not None and self.process.returncode >= 0
        left = processes_of(self.name)
        if left and orderly:
            # one that has SIGKILL may need a moment to be gone
            with contextlib.suppress(AssertionError):
                wait_until(lambda: not processes_of(self.name), "", 2)
        left = processes_of(self.name)
        for pid in left:
            command = read_file(f"/proc/{pid}/cmdline").replace(b"\0", b" ").decode(errors="replace")
            if orderly:
                problems.append(f"process {pid} is left: {command}")
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not orderly:
            return
        if os.path.exists(self.runtime_dir):
            problems.append(f"the runtime directory is left, with {os.listdir(self.runtime_dir)}")
        for name in os.listdir(self.place):
            if stat.S_ISSOCK(os.lstat(self.path(name)).st_mode):
                problems.append(f"the socket {name} is left")

    def end(self):
        """Ends whatever is left. Returns what was wrong, in words."""
        problems = []
        for load in self.loads:
            load.kill()
        self._stop_at_end(problems)
        self._check_rest(problems)
        for word in ("Sanitizer", "runtime error:", "Assertion"):
            if word in self.log:
                problems.append(f"the log has the word {word!r}")
        if problems:
            problems = [f"{self.name}: " + "; ".join(problems) + "\n" + self.tell()]
        self.ports.close()
        shutil.rmtree(self.place, ignore_errors=True)
        return problems


# --- load ---

class Load:
    """A load client that is under way; it is told what happens, and says in the end what became of each request."""

    def __init__(self, handover, program, target, options):
        self.handover = handover
        Handover.counter += 1
        self.summary_path = handover.path(f"load-{Handover.counter}.json")
        self.errors = open(handover.path(f"load-{Handover.counter}.err"), "w+b")
        self.process = subprocess.Popen([program, "--target", str(target), "--json", self.summary_path, *map(str, options)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, bufsize=0,
                                        env=handover.environment(), start_new_session=True)
        self.output = []
        self.reader = threading.Thread(target=lambda: self.output.extend(self.process.stdout), daemon=True)
        self.reader.start()

    def tell(self, line):
        self.process.stdin.write(line.encode() + b"\n")

    def answered(self):
        """How many were answered so far."""
        before = len(self.output)
        self.tell("stats")
        wait_until(lambda: any(b"answered" in line for line in self.output[before:]), "the load client's figures")
        return next(json.loads(line)["answered"] for line in self.output[before:] if b"answered" in line)

    def wait_answered(self, n):
        """Waits until n more were answered."""
        goal = self.answered() + n
        wait_until(lambda: self.answered() >= goal, f"{n} more answers", tell=self.handover.tell, every=0.05)

    @contextlib.contextmanager
    def window(self):
        self.tell("window on")
        try:
            yield
        finally:
            self.tell("window off")

    def finish(self):
        """(exit status, summary, what it printed)"""
        self.tell("quit")
        return self.finish_told()

    def finish_told(self):
        """The same for one that was told to quit before."""
        self.process.stdin.close()
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the load client does not end\n{self.handover.tell()}") from None
        self.reader.join(PATIENCE)
        self.errors.seek(0)
        printed = b"".join(self.output).decode() + self.errors.read().decode()
        with open(self.summary_path, encoding="utf-8") as file:
            return code, json.load(file), printed

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.reader.join(PATIENCE)
        self.process.stdin.close()
        self.process.stdout.close()
        self.errors.close()
