"""What happens when an address cannot be had, at the start and at a reload, and when sockets change: see
docs/what-happens-when.md."""
import contextlib
import os
import shutil
import signal
import socket
import tempfile
import time

import pytest

from harness import call, is_refused, processes_of, read_file, rpc, slow_calls, steps, wait_until
from when import STILL, check_reload_refused, check_start_refused, no_loss_and_no_leak, said, without_time

NOBODY = {"user": 65534, "group": 65534, "extra_groups": []}


def my_name():
    with open("/proc/self/comm", encoding="utf-8") as file:
        return file.read().strip()


def listen_on(port, kind=socket.SOCK_STREAM):
    other = socket.socket(socket.AF_INET, kind)
    other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    other.bind(("127.0.0.1", port))
    if kind == socket.SOCK_STREAM:
        other.listen()
    return other


def in_use(h, ends):
    port = h.ports.take()
    ends.enter_context(listen_on(port))
    return f"tcp://127.0.0.1:{port}", f"cannot bind tcp 127.0.0.1:{port}: address in use by {my_name()} (pid {os.getpid()})"


def in_use_udp(h, ends):
    port = h.ports.take()
    ends.enter_context(listen_on(port, socket.SOCK_DGRAM))
    return f"udp://127.0.0.1:{port}", f"cannot bind udp 127.0.0.1:{port}: address in use by {my_name()} (pid {os.getpid()})"


def in_use_unix(h, ends):
    path = h.path("api.sock")
    other = ends.enter_context(socket.socket(socket.AF_UNIX))
    other.bind(path)
    other.listen()
    ends.callback(os.unlink, path)
    return f"unix:{path}", f"cannot bind unix {path}: address in use by {my_name()} (pid {os.getpid()})"


def not_local(h, ends):
    return ("tcp://192.0.2.1:8080", "cannot bind tcp 192.0.2.1:8080: 192.0.2.1 is not an address of this machine; set freebind = yes if it "
                                    "comes later")


def not_known(h, ends):
    return "tcp://no.such.host.invalid:8080", ("cannot bind tcp no.such.host.invalid:8080: no address is known for no.such.host.invalid: Name "
                                               "or service not known; names are looked up in /etc/hosts only")


# what is found when the sockets are opened: name: what makes it so, and gives the address and the sentence
OPENED = {"in use": in_use, "in use, UDP": in_use_udp, "a path that a living process serves": in_use_unix,
          "not local": not_local, "no such name": not_known}


def test_no_name_server_is_asked(handover):
    """It could take a minute to answer, and the master would wait for it at a reload."""
    assert shutil.which("strace"), "strace is missing: packaging/install-deps test"
    h = handover()
    h.socket("web", "tcp://no.such.host.invalid:8080")
    h.pool("api", steps("ready"))
    strace = ["strace", "-D", "-qq", "-e", "trace=openat,connect,sendto,sendmmsg", "-o", h.path("trace")]
    h.end_early(code=1, wrapper=strace, env=h.environment(ASAN_OPTIONS="detect_leaks=0"))  # that does not work when traced
    trace = read_file(h.path("trace")).decode()
    assert '"/etc/hosts"' in trace
    assert "htons(53)" not in trace and "nscd" not in trace and "/etc/resolv.conf" not in trace.split('"/etc/hosts"')[1], trace


@pytest.mark.parametrize("make", OPENED.values(), ids=OPENED.keys())
def test_an_address_that_cannot_be_had_at_the_start(handover, make):
    h = handover()
    with contextlib.ExitStack() as ends:
        listen, text = make(h, ends)
        first = h.socket("first")
        h.socket("web", listen)
        h.pool("api", steps("ready"), sockets="first web")
        h.write()
        check_start_refused(h, f"error cannot start: socket web: {text}\n", code=1)
    assert is_refused(first)


@pytest.mark.parametrize("make", OPENED.values(), ids=OPENED.keys())
def test_an_address_that_cannot_be_had_at_a_reload(handover, make):
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc(), sockets="web", workers=2, stop_timeout="200ms")
    h.start()
    old = h.pids()
    with contextlib.ExitStack() as ends, no_loss_and_no_leak(h, port):
        listen, text = make(h, ends)
        good = h.socket("good")
        h.socket("more", listen)
        h.pool("api", sockets="web good more")
        h.write()
        check_reload_failed(h, f"socket more: {text}")
        assert is_refused(good), "what was opened for it is closed again"
        assert h.pids() == old


def check_reload_failed(h, reason):
    """`handover reload` says exactly this, and so does the log."""
    since = h.mark()
    done = h.cli("reload")
    message = f"reload {h.status()['last_reload']['id']} failed: {reason}; {STILL}"
    assert (done.returncode, done.stderr) == (1, f"handover: {message}\n"), done
    assert f"error {message}\n" in without_time(h.log[since:])


# --- what is found when the configuration is checked ---

def a_file(h, ends):
    with open(h.path("api.sock"), "w", encoding="utf-8") as file:
        file.write("precious")
    return "unix:{place}/api.sock", "'{place}/api.sock' exists and is no socket; it will not be touched"


def a_directory(h, ends):
    os.mkdir(h.path("api.sock"))
    return "unix:{place}/api.sock", "'{place}/api.sock' exists and is no socket; it will not be touched"


def too_long(h, ends):
    path = h.path("x" * (120 - len(h.place) - 1))
    return f"unix:{path}", "the path has 120 bytes; the kernel takes 107"


def no_directory(h, ends):
    return "unix:{place}/no/api.sock", "the directory '{place}/no/': No such file or directory"


def port_0(h, ends):
    return "tcp://127.0.0.1:0", "port 0 is refused: it would be a different one after each start"


CHECKED = {"a file": a_file, "a directory": a_directory, "too long": too_long, "in a missing directory": no_directory,
           "port 0": port_0}


@pytest.mark.parametrize("make", CHECKED.values(), ids=CHECKED.keys())
def test_an_address_that_cannot_be_right_at_the_start(handover, make):
    h = handover()
    with contextlib.ExitStack() as ends:
        listen, text = make(h, ends)
        h.socket("web", said(h, listen))
        h.pool("api", steps("ready"), sockets="web")
        h.write()
        check_start_refused(h, said(h, "{config}:2: [socket:web] listen: " + text + "\n"
                                       "handoverd: not started: 1 mistake in the configuration\n"))
        check_untouched(h, make)


@pytest.mark.parametrize("make", CHECKED.values(), ids=CHECKED.keys())
def test_an_address_that_cannot_be_right_at_a_reload(handover, make):
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc(), sockets="web", workers=2, stop_timeout="200ms")
    h.start()
    with contextlib.ExitStack() as ends, no_loss_and_no_leak(h, port):
        listen, text = make(h, ends)
        pool = h.sections.pop("pool:api")
        h.socket("more", said(h, listen))
        h.pool("api", **{**pool, "sockets": "web more"})
        h.write()
        check_reload_refused(h, said(h, "{config}:4: [socket:more] listen: " + text + "\n"))
        check_untouched(h, make)


def check_untouched(h, make):
    if make is a_file:
        with open(h.path("api.sock"), encoding="utf-8") as file:
            assert file.read() == "precious"
    elif make is a_directory:
        os.rmdir(h.path("api.sock"))


# --- without the right to it ---

def run_as_nobody(h):
    os.chmod(h.place, 0o777)
    return NOBODY


def privileged(h):
    return "tcp://127.0.0.1:81", 1, ("error cannot start: socket web: cannot bind tcp 127.0.0.1:81: permission denied: ports below 1024 need "
                                     "root or CAP_NET_BIND_SERVICE\n")


def closed_directory(h):
    os.mkdir(h.path("closed"), 0o755)
    return "unix:{place}/closed/api.sock", 78, ("{config}:2: [socket:web] listen: no socket can be made in '{place}/closed/': Permission denied\n"
                                                "handoverd: not started: 1 mistake in the configuration\n")


@pytest.mark.needs_root
@pytest.mark.parametrize("make", [privileged, closed_directory])
def test_an_address_without_the_right_at_the_start(handover, make):
    h = handover()
    listen, code, text = make(h)
    h.socket("web", said(h, listen))
    h.pool("api", steps("ready"), sockets="web")
    h.write()
    check_start_refused(h, said(h, text), code, **run_as_nobody(h))


@pytest.mark.needs_root
def test_an_address_without_the_right_at_a_reload(handover):
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc(), sockets="web", workers=2, stop_timeout="200ms")
    h.start(**run_as_nobody(h))
    with no_loss_and_no_leak(h, port):
        h.socket("more", "tcp://127.0.0.1:81")
        h.pool("api", sockets="web more")
        h.write()
        check_reload_failed(h, "socket more: cannot bind tcp 127.0.0.1:81: permission denied: ports below 1024 need root or "
                               "CAP_NET_BIND_SERVICE")


# --- what is no hindrance ---

def test_an_address_that_is_not_local_yet_with_freebind(handover):
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc(), sockets="web", workers=2, stop_timeout="200ms")
    h.start()
    with no_loss_and_no_leak(h, port) as case:
        case.more_descriptors = 1
        later = h.ports.take()
        h.socket("later", f"tcp://192.0.2.1:{later}", freebind="yes")
        h.pool("api", sockets="web later")
        h.write()
        h.good_reload(wait="drained")
        assert f"info socket later: listening on tcp 192.0.2.1:{later}\n" in without_time(h.log)


def test_an_address_of_another_instance(handover):
    one, two = handover("one"), handover("two")
    port = one.socket("web")
    one.pool("api", rpc(), sockets="web", workers=2, stop_timeout="200ms")
    one.start()
    two.socket("web", f"tcp://127.0.0.1:{port}")
    two.pool("api", rpc(), sockets="web")
    two.write()
    with no_loss_and_no_leak(one, port):
        check_start_refused(two, f"error cannot start: socket web: cannot bind tcp 127.0.0.1:{port}: address in use by handoverd "
                                 f"(pid {one.pid})\n", code=1)


def test_a_path_left_over_from_a_killed_master(handover):
    """All is as the kernel left it: runtime directory, lock, control socket, socket. The next one takes it all over."""
    h = handover()
    path = h.path("api.sock")
    h.socket("web", f"unix:{path}")
    h.pool("api", rpc(), sockets="web", workers=2, stop_timeout="200ms")
    h.start()
    h.process.kill()
    h.process.wait()
    for pid in processes_of(h.name):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not processes_of(h.name), "the workers' end")
    left = h.cli("status")
    assert (left.returncode, left.stderr) == (3, said(h, "handover: instance {place}/run/control.sock does not run: nobody listens on "
                                                         "{place}/run/control.sock, which is left over from an earlier run\n"))
    h.process, since = None, h.mark()
    h.launch()
    h.wait_log("is ready: 2 workers serve", since=since)
    assert " error " not in h.log[since:] and " warning " not in h.log[since:]
    with no_loss_and_no_leak(h, path):
        h.good_reload(wait="drained")
    assert [name for name in os.listdir(h.place) if name.startswith("api.sock")] == ["api.sock"]


# --- sockets that change ---

def test_sockets_that_come_go_and_move(handover):
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc(), sockets="web", workers=2, stop_timeout="200ms")
    h.start()
    path = h.path("more.sock")
    with no_loss_and_no_leak(h, port):
        first = h.socket("more")
        h.pool("api", sockets="web more")
        h.write()
        h.good_reload(wait="drained")
        assert call(first, "add", a=1, b=2)["sum"] == 3
        h.socket("more", f"unix:{path}")
        h.write()
        h.good_reload(wait="drained")
        assert call(path, "add", a=1, b=2)["sum"] == 3
        h.wait(lambda: is_refused(first), "the first address to be closed")
        h.sections.pop("socket:more")
        h.pool("api", sockets="web")
        h.write()
        h.good_reload(wait="drained")
        h.wait(lambda: not os.path.exists(path), "the second address to be closed")
        h.wait(lambda: len(h.status()["sockets"]) == 1, "the end of the sockets")
    log = without_time(h.log)
    for line in (f"info socket more: listening on tcp 127.0.0.1:{first}", f"info socket more: listening on unix {path}",
                 f"notice socket more (tcp 127.0.0.1:{first}) is no longer configured: closing it",
                 f"notice socket more (unix {path}) is no longer configured: closing it"):
        assert log.count(line + "\n") == 1, line



# --- the file of a Unix socket that is being served ---

def serve_at(h, path):
    h.socket("web", f"unix:{path}")
    h.pool("api", rpc(), sockets="web", workers=2)
    h.start()
    return h.pids()


def kept_by(h):
    return os.listdir(os.path.join(h.runtime_dir, "kept"))


@pytest.mark.parametrize("take", [os.unlink, lambda path: os.rename(path, f"{path}.{time.monotonic_ns()}")], ids=["deleted", "moved"])
def test_the_file_of_a_unix_socket_is_taken_away(handover, take):
    """The same socket is there again, with its queue; whoever is connected notices nothing. Also the second time."""
    h = handover()
    path = h.path("api.sock")
    workers = serve_at(h, path)
    inode = os.stat(path).st_ino
    for times in (1, 2):
        (slow,) = slow_calls(h, path)
        take(path)
        h.wait_log(said(h, "warning socket web: its file {place}/api.sock was deleted; it is back, and nobody who had connected noticed"),
                   count=times)
        assert os.stat(path).st_ino == inode
        assert call(path, "add", a=2, b=2)["sum"] == 4
        assert slow.answer()["sum"] == 3
    assert h.pids() == workers and h.status()["sockets"][0]["mended"] == 0
    shutil.rmtree(os.path.join(h.runtime_dir, "kept"))
    h.wait(lambda: os.path.exists(os.path.join(h.runtime_dir, "kept")) and len(kept_by(h)) == 1, "the second name to be back")
    h.good_reload(wait="drained")
    take(path)
    h.wait_log("it is back", count=3)
    h.stop()
    assert not os.path.exists(path) and not os.path.exists(h.runtime_dir)
    for name in os.listdir(h.place):
        if name.startswith("api.sock."):
            os.unlink(h.path(name))


def test_the_file_of_a_unix_socket_is_deleted_on_another_file_system(handover):
    """No second name keeps it: a new socket, and workers that have it."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
        h = handover()
        path = os.path.join(place, "api.sock")
        assert os.stat(place).st_dev != os.stat(h.place).st_dev, "the test needs two file systems"
        workers = serve_at(h, path)
        (slow,) = slow_calls(h, path)
        os.unlink(path)
        h.wait_log(f"warning socket web: its file {path} was deleted; there is a new one, the pools that use it are being restarted")
        h.wait_log("restart 2 committed")
        assert slow.answer()["sum"] == 3
        assert call(path, "add", a=1, b=2)["sum"] == 3
        assert not set(h.pids()) & set(workers)
        h.stop()


def test_another_file_in_the_place_of_a_unix_socket(handover):
    """It is somebody else's, and stays; when it is moved away, a reload brings ours back."""
    h = handover()
    path = h.path("api.sock")
    serve_at(h, path)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path + ".new")
        os.rename(path + ".new", path)
        h.wait_log(said(h, "error socket web: somebody has put another file at {place}/api.sock, which is left alone: new clients do not "
                           "reach this instance there; move it away and reload"))
    os.unlink(path)
    h.good_reload(wait="drained")
    h.wait_log("it is back")
    assert call(path, "add", a=1, b=2)["sum"] == 3
    assert h.count_log("somebody has put another file") == 1


def test_the_directory_of_a_unix_socket_is_deleted(handover):
    h = handover()
    folder = h.path("folder")
    os.mkdir(folder)
    path = os.path.join(folder, "api.sock")
    workers = serve_at(h, path)
    os.rename(folder, folder + ".away")
    shutil.rmtree(folder + ".away")
    h.wait_log(f"error socket web: its file {path} was deleted and cannot be made anew: No such file or directory; trying again every second")
    os.mkdir(folder)
    h.wait_log("it is back")
    assert call(path, "add", a=1, b=2)["sum"] == 3
    assert h.pids() == workers and h.count_log("cannot be made anew") == 1
