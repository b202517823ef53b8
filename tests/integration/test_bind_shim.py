"""bind_shim = yes: servers that bind their sockets themselves, through reloads."""
import os
import shlex
import shutil
import socket
import subprocess

import pytest

import harness
from harness import connect

RELOADS = 6
PYTHON = "/usr/bin/python3"
WORKER = os.path.join(harness.ROOT, "tests/workers/binding-worker.py")
GRPCIO_LOAD = os.path.join(harness.ROOT, "tests/load/grpcio-load.py")


def binding(kind, *addresses):
    return shlex.join([PYTHON, WORKER, kind, *addresses])


def pool(h, kind, *addresses, **keys):
    keys = {"sockets": "web", "bind_shim": "yes", "drain_timeout": "8s", "workers": 2, **keys}
    h.pool("api", binding(kind, *addresses), **keys)


def through_reloads(h, *options, target, reloads=RELOADS, program=None):
    """Load through reloads, each with another version: nothing fails, nobody is killed, the socket needs no mending."""
    load = h.load(*options, target=target, program=program)
    load.wait_answered(50)
    for n in range(reloads):
        h.pool("api", environment=f"VERSION={n + 2}")
        h.write()
        h.good_reload(wait="drained")
        load.wait_answered(20)
    code, summary, printed = load.finish()
    total = summary.get("total", summary)
    assert code == 0 and total["failed"] == 0, printed + str(summary) + h.tell()
    assert total.get("killed", 0) == 0, printed + h.tell()
    generations = summary.get("generations") or {g for phase in summary["phases"] for g in phase["generations"]}
    assert {1, reloads + 1} <= set(generations), printed
    assert "SIGKILL" not in h.log and h.status()["sockets"][0]["mended"] == 0, h.tell()
    return total


@pytest.mark.parametrize("kind", ["standard", "blocking", "several", "forking", "executing"])
def test_servers_of_all_kinds(handover, record_property, kind):
    h = handover()
    port = h.socket("web")
    pool(h, kind, f"127.0.0.1:{port}")
    h.start()
    total = through_reloads(h, "--new", "60", "--slow", "5,100,400", target=f"127.0.0.1:{port}")
    record_property("load", f"bind shim, {kind}: {RELOADS} reloads, {total['sent']} sent, {total['failed']} failed")


def test_grpcio(handover, record_property):
    h = handover()
    port = h.ports.take()
    h.socket("web", f"tcp://0.0.0.0:{port}")
    pool(h, "grpcio", f"[::]:{port}")
    h.start()
    total = through_reloads(h, target=f"127.0.0.1:{port}", program=GRPCIO_LOAD)
    record_property("load", f"bind shim, grpcio: {RELOADS} reloads, {total['sent']} calls, {total['failed']} not OK")


def test_without_it_such_a_server_cannot_start(handover):
    h = handover()
    port = h.socket("web")
    pool(h, "blocking", f"127.0.0.1:{port}", bind_shim=None, workers=1)
    h.end_early(code=1)
    assert "OSError: [Errno 98] Address already in use" in h.log


# --- shutdown() ---

@pytest.mark.parametrize("kind", ["grpcio", "blocking"])
def test_no_shutdown_reaches_the_socket(handover, kind):
    """The kernel sees none of the worker's shutdown() calls on the socket; then 1,000 connections, all of which succeed."""
    assert shutil.which("strace"), "strace is missing: packaging/install-deps test"
    h = handover()
    port = h.socket("web", backlog=1024)
    traces = []

    def traced(n):
        traces.append(h.path(f"trace-{n}"))
        h.pool("api", shlex.join(["strace", "-D", "-f", "-qq", "-yy", "-e", "trace=shutdown,listen,execve", "-o", traces[-1]])
               + " " + binding(kind, f"127.0.0.1:{port}"))
    pool(h, kind, f"127.0.0.1:{port}", workers=1)
    traced(1)
    h.start()
    for n in (2, 3):
        traced(n)
        h.write()
        h.good_reload(wait="drained")
    for path in traces[:2]:
        trace = harness.read_file(path).decode()
        assert "execve(" in trace, "it was traced"
        listening = [line for line in trace.splitlines() if "shutdown(" in line and f":{port}]" in line and "->" not in line]
        assert listening == [] and "listen(" not in trace, trace
    for _ in range(1000):
        connect(port, timeout=10).close()
    assert h.status()["sockets"][0]["mended"] == 0 and "SIGKILL" not in h.log, h.tell()
    if kind == "blocking":
        assert harness.call(port, "add", a=1, b=2)["sum"] == 3


COUNTER = """
#include <dlfcn.h>
#include <stdlib.h>
#include <stdio.h>
#include <fcntl.h>
#include <unistd.h>
static void say(const char *what)
{
	int fd = open(getenv("COUNTER"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	dprintf(fd, "%d %s\\n", (int)getpid(), what);
	close(fd);
}
int shutdown(int fd, int how)
{
	say("shutdown");
	return ((int (*)(int, int))dlsym(RTLD_NEXT, "shutdown"))(fd, how);
}
int listen(int fd, int n)
{
	say("listen");
	return ((int (*)(int, int))dlsym(RTLD_NEXT, "listen"))(fd, n);
}
__attribute__((constructor)) static void start(void)
{
	say("loaded");
}
"""


@pytest.mark.parametrize("how", ["environment", "inherited"])
def test_the_users_own_preload_is_kept_behind_it(handover, how):
    """It sees what the shim lets through, which is nothing that would harm the socket."""
    h = handover()
    with open(h.path("counter.c"), "w", encoding="utf-8") as file:
        file.write(COUNTER)
    subprocess.run(["cc", "-D_GNU_SOURCE", "-shared", "-fPIC", "-o", h.path("counter.so"), h.path("counter.c")], check=True)
    port = h.socket("web")
    own = {"LD_PRELOAD": h.path("counter.so"), "COUNTER": h.path("count")}
    pool(h, "blocking", f"127.0.0.1:{port}", workers=1)
    if how == "environment":
        h.pool("api", environment=" ".join(f"{k}={v}" for k, v in own.items()))
        h.start()
    else:
        h.start(env=h.environment(ASAN_OPTIONS="verify_asan_link_order=0", **own))  # handoverd itself loads it, too
    worker = h.pids("api")[0]
    variables = harness.read_file(f"/proc/{worker}/environ").split(b"\0")
    library = os.path.join(os.path.realpath(harness.BUILD), "libhandover-bind.so")
    assert f"LD_PRELOAD={library}:{h.path('counter.so')}".encode() in variables
    assert harness.call(port, "add", a=1, b=2)["sum"] == 3
    h.good_reload(wait="drained")
    seen = [line.split()[1] for line in harness.read_file(h.path("count")).splitlines() if int(line.split()[0]) == worker]
    # a connection is closed without shutdown() by this server
    assert seen == [b"loaded"], seen


# --- addresses ---

def test_localhost_and_all_addresses(handover):
    """[::] and 0.0.0.0 on one dual-stack socket; the server binds both, as nginx and node do."""
    h = handover()
    port = h.ports.take()
    h.socket("web", f"tcp://[::]:{port}", ipv6_only="no")
    pool(h, "several", f"0.0.0.0:{port}", f"[::]:{port}", workers=1)
    h.start()
    h.good_reload(wait="drained")
    assert harness.call(port, "add", a=1, b=2)["generation"] == 2
    with socket.create_connection(("::1", port), 5) as sock:
        body = b'{"jsonrpc":"2.0","id":1,"method":"add","params":{"a":1,"b":2}}'
        sock.sendall(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        assert b'"sum": 3' in sock.makefile("rb").read()


def test_two_sockets_each_its_own(handover):
    h = handover()
    web, other = h.socket("web"), h.socket("other")
    pool(h, "several", f"127.0.0.1:{other}", f"[::]:{web}", sockets="web other", workers=1)
    h.start()
    for port in (web, other):
        assert harness.call(port, "add", a=1, b=2)["sum"] == 3
    h.good_reload(wait="drained")
    for port in (web, other):
        assert harness.call(port, "add", a=1, b=2)["generation"] == 2


def test_an_address_that_was_not_given_is_named(handover):
    """It binds that one itself; the next worker cannot, and the log says why. The old one goes on."""
    h = handover()
    port, other = h.socket("web"), h.ports.take()
    pool(h, "blocking", f"127.0.0.1:{other}", workers=1, reuseport="no")
    h.section("pool:api", reuseport=None)
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", other))
        taken.listen()
        h.pool("api", on_start_failure="retry")
        h.launch()
        h.wait_log(rf"libhandover-bind: pid \d+: 127\.0\.0\.1:{other} is in use, and is none of the sockets that this worker was "
                   rf"given \(127\.0\.0\.1:{port}\): see the keys listen and sockets")


def test_unix_sockets_and_their_files(handover):
    """The server deletes the file before it binds, and when it ends: it is not its own to delete."""
    h = handover()
    path = h.path("web.sock")
    h.socket("web", f"unix:{path}")
    os.symlink(h.place, h.path("way"))
    pool(h, "blocking", h.path("way/web.sock"))
    h.start()
    inode = os.stat(path).st_ino
    through_reloads(h, "--new", "50", target=f"unix:{path}", reloads=3)
    assert os.stat(path).st_ino == inode
    h.stop()
    assert not os.path.exists(path)


def test_udp(handover):
    h = handover()
    port = h.ports.take()
    h.socket("web", f"udp://127.0.0.1:{port}")
    pool(h, "udp", f"127.0.0.1:{port}", workers=1)
    h.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(harness.PATIENCE)
        sock.connect(("127.0.0.1", port))
        for generation in (b"1", b"2"):
            sock.send(b"hello")
            assert sock.recv(100) == b"hello " + generation
            if generation == b"1":
                h.good_reload(wait="drained")


def test_the_server_sees_its_socket_as_it_left_it(handover):
    """O_NONBLOCK is never cleared, and not seen where it was not set; close-on-exec stays as it was."""
    h = handover()
    port = h.socket("web")
    pool(h, "flags", f"127.0.0.1:{port}", workers=1)
    h.start()
    h.wait_log("flags True False True False True False")
    with open(f"/proc/{h.pid}/fdinfo/{listener_of(h.pid, port)}", encoding="utf-8") as file:
        flags = int(next(line.split()[1] for line in file if line.startswith("flags:")), 8)
    assert flags & os.O_NONBLOCK
    assert harness.call(port, "add", a=1, b=2)["sum"] == 3


def listener_of(pid, port):
    """The descriptor by which a process holds the listening socket of a port."""
    with open("/proc/net/tcp", encoding="utf-8") as file:
        rows = [line.split() for line in file.readlines()[1:]]
    inode = next(row[9] for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "0A")
    for fd in os.listdir(f"/proc/{pid}/fd"):
        if os.readlink(f"/proc/{pid}/fd/{fd}") == f"socket:[{inode}]":
            return fd
    raise AssertionError(f"pid {pid} does not hold port {port}")


def test_a_probe_is_not_given_the_sockets(handover):
    h = handover()
    port = h.socket("web")
    probe = h.path("probe")
    with open(probe, "w", encoding="utf-8") as file:
        file.write(f"#!/bin/sh\nenv >{h.path('probed')}\n")
    os.chmod(probe, 0o755)
    pool(h, "blocking", f"127.0.0.1:{port}", ready=f"exec:{probe}", workers=1)
    h.start()
    assert b"HANDOVER_WORKER_PID=" in harness.read_file(h.path("probed"))
    assert b"HANDOVER_BIND=" not in harness.read_file(h.path("probed"))


# --- refusals ---

def test_refused_at_the_start_in_a_check_and_at_a_reload(handover):
    h = handover()
    port = h.socket("web")
    with open(h.path("static.c"), "w", encoding="utf-8") as file:
        file.write("int main(void) { return 0; }\n")
    static = h.path("static")
    subprocess.run(["cc", "-static", "-o", static, h.path("static.c")], check=True)
    why = (f"[pool:api] bind_shim: is of no use with '{static}': it is linked statically, and such programs load no libraries; "
           "let it take its sockets from LISTEN_FDS")
    pool(h, "blocking", f"127.0.0.1:{port}", workers=1)
    h.start()
    pids = h.pids("api")
    h.pool("api", static)
    h.write()
    assert why in str(h.bad_reload())
    assert h.pids("api") == pids and harness.call(port, "add", a=1, b=2)["sum"] == 3
    other = handover()
    other.socket("web")
    other.pool("api", static, sockets="web", bind_shim="yes")
    checked = other.run_only("--check", other.config)
    assert checked.returncode == 78 and why in checked.stderr
    other.end_early(code=78)
    assert why in other.log
