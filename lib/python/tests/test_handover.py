"""What handover does, without a supervisor and without asyncio's loop or real signals where that can be."""
import asyncio
import http.client
import http.server
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import handover  # noqa: E402
import handover.aio  # noqa: E402
from handover.drain import CUT_STATUS, DEFAULT_BUDGET, budget_of  # noqa: E402
from handover.ledger import Ledger  # noqa: E402
from handover.sockets import SocketError, Sockets, announced, stored_count  # noqa: E402

LONG = 3600
PATIENCE = 20


@pytest.mark.parametrize("budget", [0.01 * 1.5**n for n in range(32)])
def test_limits(budget):
    limits = handover.Limits(budget)
    assert 0 < limits.stop < limits.exit < budget and limits.stop <= budget * 0.8
    assert limits.quiet <= limits.stop / 8
    assert budget < 0.41 or limits.exit == budget - 0.2


@pytest.mark.parametrize("text, seconds", [
    ("2500000", 2.5), ("6000000", 6.0), (None, DEFAULT_BUDGET), ("", DEFAULT_BUDGET), ("0", DEFAULT_BUDGET), ("-1", DEFAULT_BUDGET),
    ("x", DEFAULT_BUDGET), ("²", DEFAULT_BUDGET), ("9" * 20, DEFAULT_BUDGET)])
def test_budget(text, seconds):
    assert budget_of(text) == seconds


US = "this process"  # whose pid differs between those who run the tests side by side


@pytest.mark.parametrize("pid, fds, names, result", [
    (US, "1", "grpc", ["grpc"]), (US, "2", "grpc:admin", ["grpc", "admin"]), (US, "2", None, ["", ""]),
    (US, "2", "grpc", "LISTEN_FDNAMES 'grpc' has 1 names for LISTEN_FDS=2"), (US, "0", None, "LISTEN_FDS is '0'"),
    (US, "x", None, "LISTEN_FDS is 'x'"), (US, "99999999", None, "LISTEN_FDS is '99999999'"),
    ("1", "1", "grpc", "LISTEN_PID is '1'"), (None, "1", "grpc", "LISTEN_PID is None")])
def test_announced_sockets(pid, fds, names, result):
    environment = {k: v for k, v in (("LISTEN_PID", str(os.getpid()) if pid == US else pid), ("LISTEN_FDS", fds), ("LISTEN_FDNAMES", names)) if v is not None}
    if isinstance(result, list):
        assert announced(environment) == result
    else:
        with pytest.raises(SocketError, match="^" + result):
            announced(environment)


def test_sockets_are_given_once():
    sockets = Sockets({}, {"grpc": ("127.0.0.1", 0), "admin": ("127.0.0.1", 0)})
    with pytest.raises(SocketError, match="there is no socket 'web'; there are: grpc admin"):
        sockets.take("web")
    with pytest.raises(SocketError, match="say which socket: there are grpc admin"):
        sockets.take()
    with sockets.take("grpc"), sockets.take() as admin:
        assert not admin.getblocking() and admin.getsockname()[1] > 0
        with pytest.raises(SocketError, match="socket 'admin' is in use already"):
            sockets.take("admin")
        with pytest.raises(SocketError, match="all sockets are in use already: grpc admin"):
            sockets.take()
    with pytest.raises(SocketError, match="LISTEN_FDS is not set"):
        Sockets({}, {}).take("grpc")
    with pytest.raises(SocketError, match="HANDOVER_CHANNEL is not set"):
        Sockets({"HANDOVER_HANDOFF": "channel"}, {"grpc": ("127.0.0.1", 0)}).take("grpc")


def test_what_is_kept(tmp_path):
    """It is sent with its name, and the next worker finds it behind its sockets."""
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as master, tempfile.TemporaryFile() as file:
        master.bind(path)
        worker = handover.Worker(environment={"NOTIFY_SOCKET": path})
        worker.store("a b", file)
        text, (fd,), _, _ = socket.recv_fds(master, 256, 4)
        assert text == b"FDSTORE=1\nFDNAME=a b" and os.path.sameopenfile(fd, file.fileno())
        os.close(fd)
        worker.store("a b", file.fileno())
        for fd in socket.recv_fds(master, 256, 4)[1]:
            os.close(fd)
        worker.unstore("a b")
        assert master.recv(256) == b"FDSTOREREMOVE=1\nFDNAME=a b"
        for name in ("", "a:b", "a\nREADY=1", "\u00e4", "x" * 256):
            with pytest.raises(ValueError):
                worker.store(name, file)
            with pytest.raises(ValueError):
                worker.unstore(name)
    assert [stored_count({"HANDOVER_STORED": text}) for text in ("", "2", "-1", "x")] == [0, 2, 0, 0] and stored_count({}) == 0
    sockets = Sockets({}, {})
    sockets.kept = [(7, "a"), (8, "b"), (9, "a")]
    assert (sockets.take_stored("a"), sockets.take_stored("a"), sockets.kept) == ([7, 9], [], [(8, "b")])


def test_many_unfinished_ones_are_not_all_named():
    ledger = Ledger()
    keys = [ledger.begin("x", counts=n % 2 == 0) for n in range(23)]
    assert ledger.counted == 12 and len(ledger.unfinished()) == 21 and ledger.unfinished()[-1] == "and 3 more"
    for key in keys + keys:
        ledger.end(key)
    ledger.wait()
    assert ledger.counted == 0


class Supervisor:
    """The other end of NOTIFY_SOCKET; and the exit that a worker in a test must not take."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(path)
        self.sock.settimeout(PATIENCE)
        self.told = ""
        self.exits, self.exited = [], threading.Event()
        self.options = {"environment": {"NOTIFY_SOCKET": path}, "drain_signals": (), "end": self.exit}

    def exit(self, status):
        self.exits.append(status)
        self.exited.set()

    def wait_for(self, text):
        while text not in self.told:
            self.told += self.sock.recv(65536).decode() + "\n"


@pytest.fixture(name="supervisor")
def fixture_supervisor(tmp_path):
    supervisor = Supervisor(str(tmp_path / "notify"))
    yield supervisor
    supervisor.sock.close()


class Running(threading.Thread):
    """worker.run() in a thread."""

    def __init__(self, worker):
        super().__init__(daemon=True)
        self.worker = worker
        self.start()

    def run(self):
        self.status = self.worker.run()

    def end(self):
        self.join(PATIENCE)
        return self.status


ANOTHER_THREAD = """
import signal, sys, threading, time
sys.path.insert(0, sys.argv[1])
import handover

def take():
    time.sleep(0.3)
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
    threading.Event().wait()

worker = handover.Worker()
threading.Thread(target=take, daemon=True).start()
sys.exit(worker.run())
"""


def test_a_signal_that_another_thread_takes():
    """The main thread hears of it all the same."""
    package = str(pathlib.Path(__file__).resolve().parent.parent)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HANDOVER_", "NOTIFY_", "LISTEN_"))}
    done = subprocess.run([sys.executable, "-c", ANOTHER_THREAD, package], env=environment, timeout=PATIENCE, check=False)
    assert done.returncode == 0


def test_a_whole_life(supervisor):
    worker = handover.Worker(**supervisor.options)
    order = []
    worker.go("mail", lambda: worker.began.wait() and order.append("mailed"))
    worker.on_close("database", lambda: order.append("close database"))
    worker.on_close("cache", lambda: order.append("close cache") or 1 / 0)
    worker.on_stop(lambda: order.append("a reload is taken for a stop"))
    running = Running(worker)
    supervisor.wait_for("READY=1")
    assert worker.deadline() is None and not worker.draining
    with worker.call("call"):
        supervisor.wait_for("X_HANDOVER_INFLIGHT=1")
    supervisor.wait_for("X_HANDOVER_INFLIGHT=0")
    worker.begin(worker.reason_of_signal(), LONG)
    worker.begin(handover.STOP, 0.001)  # is not heard any more
    assert running.end() == 0
    supervisor.wait_for("STOPPING=1")
    assert order == ["mailed", "close cache", "close database"]
    assert LONG / 2 < worker.deadline() - time.monotonic() < LONG * 0.8


def test_what_does_not_finish_is_cut_off_and_named(supervisor, capsys):
    worker = handover.Worker(**supervisor.options)
    stopped, closed = threading.Event(), []
    worker.add(lambda: None, lambda limits: stopped.wait(), stopped.set)
    worker.on_close("database", lambda: closed.append(True))
    worker.go("import", threading.Event().wait)
    worker.calls.begin("GET /x")
    worker.begin(handover.RELOAD, 0.3)
    assert Running(worker).end() == CUT_STATUS and closed and stopped.is_set()
    supervisor.wait_for("not finished: GET /x for 0.")
    assert "stopping hard after 0.135s of a budget of 0.3s, not finished: GET /x for 0." in capsys.readouterr().err
    assert supervisor.exited.wait(PATIENCE) and supervisor.exits == [CUT_STATUS]


def test_the_end_comes_although_closing_hangs(supervisor):
    worker = handover.Worker(**supervisor.options)
    worker.on_close("database", threading.Event().wait)
    worker.begin(handover.RELOAD, 0.2)
    Running(worker)
    supervisor.wait_for("not finished: closing database")
    assert supervisor.exited.wait(PATIENCE)


def test_a_program_that_does_not_end_after_its_drain_is_named(supervisor):
    worker = handover.Worker(**supervisor.options)
    hang = threading.Event()
    threading.Thread(target=hang.wait, name="somebody-else").start()
    try:
        worker.begin(handover.RELOAD, 0.3)
        assert Running(worker).end() == 0
        supervisor.wait_for("not finished: the program after its drain, with the threads somebody-else")
        assert supervisor.exited.wait(PATIENCE) and supervisor.exits == [CUT_STATUS]
    finally:
        hang.set()


def test_a_failure_drains_and_is_told(supervisor, capsys):
    worker = handover.Worker(**supervisor.options)
    worker.budget = LONG
    worker.fail("the queue is gone")
    assert Running(worker).end() == 1 and worker.reason == handover.FAILURE
    assert "the queue is gone; draining" in capsys.readouterr().err


def test_without_a_supervisor_a_signal_is_a_stop():
    worker = handover.Worker(environment={}, drain_signals=(), end=lambda status: None)
    stopped = []
    worker.on_stop(lambda: stopped.append(worker.began.is_set()))
    worker.begin(worker.reason_of_signal(), LONG)
    assert Running(worker).end() == 0 and stopped == [False]


# --- HTTP ---

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/wait":
            self.server.worker.waits.set()
            self.server.worker.go_on.wait()
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


@pytest.fixture(name="serving")
def fixture_serving(supervisor):
    """(worker, its thread, its port)"""
    worker = handover.Worker(**supervisor.options, by_hand={"http": ("127.0.0.1", 0)})
    worker.go_on, worker.waits = threading.Event(), threading.Event()
    sockets = []
    take, worker.socket = worker.socket, lambda name: sockets.append(take(name)) or sockets[0]
    worker.serve_http(Handler)
    port = sockets[0].getsockname()[1]
    running = Running(worker)
    supervisor.wait_for("READY=1")
    return worker, running, port


def get(connection, path="/"):
    connection.request("GET", path)
    response = connection.getresponse()
    assert response.read() == b"ok"
    return response


def test_a_drain_answers_what_is_on_its_way(serving):
    worker, running, port = serving
    idle, waiting, fresh = [http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE) for _ in range(3)]
    fresh.connect()
    assert not get(idle).will_close
    waiting.request("GET", "/wait")
    assert worker.waits.wait(PATIENCE), "all three are accepted"
    worker.begin(handover.RELOAD, LONG)
    assert get(idle).will_close, "the answer says that it was the last"
    assert running.is_alive()
    worker.go_on.set()
    assert waiting.getresponse().read() == b"ok"
    assert running.end() == 0
    assert fresh.sock.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_an_idle_connection_is_kept_for_a_moment(serving):
    worker, running, port = serving
    idle = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    get(idle)
    worker.begin(handover.RELOAD, LONG)
    time.sleep(0.02)  # its request was on its way for so long
    assert get(idle).will_close
    assert running.end() == 0


# --- asyncio ---

def test_asyncio(supervisor):
    order = []

    async def mail(worker):
        await worker.began.wait()
        order.append("mailed")

    async def close():
        order.append("closed")

    async def main():
        worker = handover.aio.Worker(**supervisor.options)
        worker.go("mail", mail(worker))
        worker.on_close("database", close)
        silent = worker.next(asyncio.Event().wait())
        worker.loop.call_later(0.05, worker.begin, handover.RELOAD, LONG)
        status, request = await asyncio.gather(worker.run(), silent)
        return status, request, await worker.next(asyncio.sleep(0, "late"))

    status, request, _ = asyncio.run(main())
    assert (status, request, order) == (0, None, ["mailed", "closed"])
    supervisor.wait_for("STOPPING=1")


def test_asyncio_cuts_off_what_does_not_finish(supervisor):
    async def main():
        worker = handover.aio.Worker(**supervisor.options)
        worker.go("import", asyncio.Event().wait())
        worker.begin(handover.RELOAD, 0.3)
        return await worker.run()

    assert asyncio.run(main()) == CUT_STATUS
    supervisor.wait_for("not finished: import for 0.")
