"""What happens when somebody makes trouble at the control socket, or starts the same instance twice: see
docs/what-happens-when.md."""
import contextlib
import errno
import os
import random
import resource
import shutil
import signal
import socket
import stat
import subprocess
import time

import pytest

import harness
from harness import is_alive, processes_of, rpc, steps
from when import descriptors, no_loss_and_no_leak, said, without_time

PLACES = 64  # of connections, at each door
NOT_MINE = ("handover: no permission to connect to {place}/run/control.sock: only root may (you are nobody); 'operator_group' in the "
            "configuration names a group that may as well\n")


def serve(h, **more):
    port = h.socket("web")
    h.pool("api", rpc("--version", 1), sockets="web", workers=2, stop_timeout="200ms")
    h.start(**more)
    return port


def dial(path, blocking=True):
    sock = socket.socket(socket.AF_UNIX)
    sock.setblocking(blocking)
    if blocking:
        sock.settimeout(10)
    sock.connect(path)
    return sock


def answer_of(sock):
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := sock.recv(65536):
            data += piece
    return data.decode()


def check_it_works(h):
    """`handover status` and `handover reload` of people who have done nothing wrong."""
    assert h.cli("status").returncode == 0
    assert h.good_reload(wait="drained")


# --- clients ---

HANGING = {"says nothing": b"", "half a request": b"POST /v1/reload HTTP/1.1\r\nContent-Length: 500\r\n\r\n{\"wait\":"}


@pytest.mark.parametrize("text", HANGING.values(), ids=HANGING.keys())
def test_clients_that_hang(handover, text):
    """They take all places; whoever comes then gets one after a second, and they are cut off."""
    h = handover()
    port = serve(h)
    with no_loss_and_no_leak(h, port), contextlib.ExitStack() as ends:
        hanging = [ends.enter_context(dial(h.control)) for _ in range(PLACES)]
        for sock in hanging:
            sock.sendall(text)
        begin = time.monotonic()
        done = h.cli("status")
        assert done.returncode == 0 and done.stdout.startswith(f"{h.name} ")
        assert time.monotonic() - begin < 8, "ten seconds are what a client has who is in nobody's way"
        assert [answer_of(sock) for sock in hanging] == [""] * PLACES


BAD_REQUEST = "<H1>Bad Request</H1>"
TOO_LARGE = "<H1>Request Entity Too Large</H1>"
HEAD = b"POST /v1/reload HTTP/1.1\r\nHost: x\r\n"
RUBBISH = {
    "bytes": (random.Random(3).randbytes(4000) + b"\r\n\r\n", "400 Bad Request", BAD_REQUEST),
    "words": (b"reload please\r\n\r\n", "400 Bad Request", BAD_REQUEST),
    "no JSON": (HEAD + b"Content-Length: 5\r\n\r\n{\"a\":", "400 Bad Request",
                '{"error":"the body is no JSON: line 1, column 5: unexpected token near end of file"}\n'),
    "no such path": (b"POST /v1/relaod HTTP/1.1\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", "404 Not Found", "/v1/relaod"),
    "no such member": (HEAD + b"Content-Length: 16\r\nConnection: close\r\n\r\n{\"chnaged\":true}", "400 Bad Request",
                       "unknown member 'chnaged'; did you mean 'changed'?"),
}


@pytest.mark.parametrize("text, status, words", RUBBISH.values(), ids=RUBBISH.keys())
def test_a_client_that_sends_rubbish(handover, text, status, words):
    h = handover()
    port = serve(h)
    with no_loss_and_no_leak(h, port), dial(h.control) as sock:
        sock.sendall(text)
        sock.shutdown(socket.SHUT_WR)
        answer = answer_of(sock)
        assert answer.startswith(f"HTTP/1.1 {status}\r\n") and words in answer, answer
        assert h.status()["last_reload"] is None
        assert h.cli("status").returncode == 0


GIB = {
    "body": (HEAD + b"Content-Length: 1073741824\r\n\r\n", b"x" * 65536, "413 Request Entity Too Large", TOO_LARGE),
    "pieces": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65536 + b"\r\n", "413 Request Entity Too Large", TOO_LARGE),
    "one header": (HEAD + b"X: ", b"x" * 65536, "400 Bad Request", BAD_REQUEST),
    "one line": (b"", b"x" * 65536, "400 Bad Request", BAD_REQUEST),
}


@pytest.mark.parametrize("head, piece, status, words", GIB.values(), ids=GIB.keys())
def test_a_client_that_sends_a_gigabyte(handover, head, piece, status, words):
    h = handover()
    port = serve(h)
    with no_loss_and_no_leak(h, port), dial(h.control) as sock:
        sent = 0
        with contextlib.suppress(ConnectionError):
            sock.sendall(head)
            while sent < 1 << 30:
                sock.sendall(piece)
                sent += len(piece)
        assert sent < 1 << 20, "nobody takes that much"
        answer = answer_of(sock)
        assert answer.startswith(f"HTTP/1.1 {status}\r\n") and words in answer, answer
        assert h.cli("status").returncode == 0


def flood(ends, connect):
    """Ten thousand; gives those that came in, or at least to the queue."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard >= 10500, "the test itself needs descriptors"
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    ends.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
    came = []
    for _ in range(10000):
        with contextlib.suppress(BlockingIOError):
            came.append(ends.enter_context(connect()))
    return came


def test_10000_connections_to_the_control_socket(handover):
    """Who may use it can also fill it: `handover` says that it was not answered, signals still work, and all is well when
    they are gone."""
    h = handover()
    port = serve(h)
    with no_loss_and_no_leak(h, port) as case:
        case.memory_tolerance = 1 << 20  # as below
        before = len(descriptors(h.pid))
        with contextlib.ExitStack() as ends:
            came = flood(ends, lambda: dial(h.control, blocking=False))
            assert PLACES < len(came) < 10000
            done = h.cli("status", "--timeout", "300ms")
            assert (done.returncode, done.stderr) == (4, said(h, "handover: timed out: instance {place}/run/control.sock did not answer "
                                                                 "within 300 ms\n"))
            assert len(descriptors(h.pid)) <= before + PLACES
            h.signal(signal.SIGHUP)
            h.wait_log("reload 2 committed")
        check_it_works(h)


def test_10000_connections_to_status_listen(handover):
    """They have a door of their own: nothing of it is noticed at the control socket."""
    h = handover()
    status = h.ports.take()
    h.supervisor(status_listen=f"127.0.0.1:{status}")
    port = serve(h)

    def connect():
        sock = socket.socket()
        sock.setblocking(False)
        assert sock.connect_ex(("127.0.0.1", status)) in (0, errno.EINPROGRESS)
        return sock
    with no_loss_and_no_leak(h, port) as case:
        case.memory_tolerance = 1 << 20  # sixty-four at once leave holes of 400 KiB; further floods fill them (844 KiB after six)
        before = len(descriptors(h.pid))
        with contextlib.ExitStack() as ends:
            assert len(flood(ends, connect)) == 10000
            check_it_works(h)
            assert len(descriptors(h.pid)) <= before + PLACES + 8, "eight for workers that come and go"
        assert harness.Api(status).request("GET", "/readyz") == (200, "ok\n")


# --- who may ---

def as_nobody(h, *arguments):
    return subprocess.run([os.path.join(harness.BUILD, "handover"), "-c", h.control, *arguments], user=65534, group=65534, extra_groups=[],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, env=h.environment(), timeout=30, check=False)


@pytest.mark.needs_root
def test_a_user_without_the_right_to_connect(handover):
    h = handover()
    port = serve(h)
    with no_loss_and_no_leak(h, port):
        for command in ("status", "reload", "stop"):
            done = as_nobody(h, command)
            assert (done.returncode, done.stdout, done.stderr) == (1, "", said(h, NOT_MINE))


@pytest.mark.needs_root
def test_a_user_without_the_right_to_change(handover):
    """Somebody has opened the socket's mode; it is still asked who it is."""
    h = handover()
    port = serve(h)
    os.chmod(h.control, 0o666)
    with no_loss_and_no_leak(h, port):
        for command in (["reload"], ["stop"], ["scale", "api", "3"], ["restart", "api"], ["out-of-service", "on"]):
            done = as_nobody(h, *command)
            assert (done.returncode, done.stderr) == (1, "handover: uid 65534 may not change anything here: root, the instance's own user and "
                                                         "members of operator_group may\n"), done
        assert as_nobody(h, "status").returncode == 0
    assert h.count_log(r"warning a change was refused: uid 65534 pid \d+ is neither root, nor our own user, nor in operator_group\n") == 5


# --- two instances, and what is left of one ---

def second_of(h):
    """Another handoverd for the same file, and what it says."""
    done = h.run_only("--runtime-dir", h.runtime_dir, h.config, write=False)
    return done.returncode, without_time(done.stderr)


def test_a_second_instance_of_that_name(handover):
    h = handover()
    port = serve(h)
    old = h.pids()
    with no_loss_and_no_leak(h, port):
        assert second_of(h) == (1, said(h, "error an instance '{name}' runs already (pid {pid}, runtime directory {place}/run): leaving it "
                                           "alone\n"))
        check_unharmed(h, old)


def check_unharmed(h, old):
    assert h.cli("status").returncode == 0
    assert h.pids() == old


def test_a_second_instance_when_the_lock_was_deleted(handover):
    """The lock tells of the first one no more; its control socket does."""
    h = handover()
    port = serve(h)
    old = h.pids()
    with no_loss_and_no_leak(h, port):
        os.unlink(os.path.join(h.runtime_dir, "lock"))
        h.wait_log(said(h, "warning {place}/run/lock was deleted: made anew"))
        assert second_of(h) == (1, said(h, "error an instance '{name}' runs already (pid {pid}, runtime directory {place}/run): leaving it "
                                           "alone\n"))
        check_unharmed(h, old)


def test_a_second_instance_that_the_lock_does_not_stop(handover):
    """Deleted, and the first one has not noticed yet: it is stopped (SIGSTOP)."""
    h = handover()
    port = serve(h)
    old = h.pids()
    with no_loss_and_no_leak(h, port):
        h.signal(signal.SIGSTOP)
        os.unlink(os.path.join(h.runtime_dir, "lock"))
        assert second_of(h) == (1, said(h, "error cannot open the control socket or status_listen: another instance answers at "
                                           "{place}/run/control.sock: Address already in use\n"))
        h.signal(signal.SIGCONT)
        h.wait_log(said(h, "warning {place}/run/lock was deleted: made anew"))
        check_unharmed(h, old)


def test_a_stale_control_socket_is_taken_over(handover):
    h = handover()
    port = serve(h)
    h.process.kill()
    h.process.wait()
    for pid in processes_of(h.name):
        os.kill(pid, signal.SIGKILL)
    harness.wait_until(lambda: not processes_of(h.name), "the workers' end")
    done = h.cli("reload")
    assert (done.returncode, done.stderr) == (3, said(h, "handover: instance {place}/run/control.sock does not run: nobody listens on "
                                                         "{place}/run/control.sock, which is left over from an earlier run\n"))
    inode = os.stat(h.control).st_ino
    h.process, since = None, h.mark()
    h.launch()
    h.wait_log("is ready: 2 workers serve", since=since)
    assert os.stat(h.control).st_ino != inode
    with no_loss_and_no_leak(h, port):
        check_it_works(h)


# --- the runtime directory deleted under us ---

def move_away(path):
    os.rename(path, path + ".away")


AWAY = {
    "the directory": (lambda h: shutil.rmtree(h.runtime_dir), "run"),
    "the directory, moved": (lambda h: move_away(h.runtime_dir), "run"),
    "the control socket": (lambda h: os.unlink(h.control), "run/control.sock"),
}


@pytest.mark.parametrize("spoil, what", AWAY.values(), ids=AWAY.keys())
def test_the_runtime_directory_deleted(handover, spoil, what):
    h = handover()
    port = serve(h)
    old = h.pids()
    mode = stat.S_IMODE(os.stat(h.control).st_mode)
    with no_loss_and_no_leak(h, port):
        spoil(h)
        h.wait_log(said(h, "warning {place}/" + what + " was deleted: made anew\n"))
        check_unharmed(h, old)
        assert stat.S_IMODE(os.stat(h.control).st_mode) == mode
        check_it_works(h)
        assert second_of(h)[0] == 1
    if os.path.exists(h.runtime_dir + ".away"):
        shutil.rmtree(h.runtime_dir + ".away")
    assert all(map(is_alive, h.pids()))


@pytest.mark.needs_root
def test_the_runtime_directory_deleted_and_not_ours_to_make(handover):
    """It is tried until somebody gives us the right to it."""
    h = handover()
    os.chmod(h.place, 0o777)
    port = serve(h, user=65534, group=65534, extra_groups=[])
    with no_loss_and_no_leak(h, port):
        os.chmod(h.place, 0o755)
        shutil.rmtree(h.runtime_dir)
        h.wait_log(said(h, "error {place}/run was deleted and cannot be made anew: Permission denied; trying again every second\n"))
        done = h.cli("status")
        assert (done.returncode, done.stderr) == (3, said(h, "handover: no instance there: {place}/run/control.sock does not exist\n"))
        os.chmod(h.place, 0o777)
        h.wait_log(said(h, "warning {place}/run was deleted: made anew\n"))
        check_it_works(h)
    assert h.count_log("was deleted") == 2


def test_the_runtime_directory_deleted_while_a_reload_is_waited_for(handover):
    """Who has a connection keeps it, and gets his answer."""
    h = handover()
    port = serve(h)
    h.pool("side", steps(f"await:{h.path('go')}", "ready", "exit-on:TERM:0"))
    h.write()
    with no_loss_and_no_leak(h, port) as case:
        case.more_processes, case.more_descriptors = 1, 3
        with h.api.lines("POST", "/v1/reload", changed=True, progress=True) as lines:
            lines.until(event="worker-started")
            shutil.rmtree(h.runtime_dir)
            h.wait_log("was deleted: made anew")
            with open(h.path("go"), "w", encoding="utf-8"):
                pass
            assert lines.until(event="result")["result"] == "committed"
