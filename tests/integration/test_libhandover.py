"""libhandover as it is installed: the example of handover-worker(7), built by pkg-config, serves through reloads."""
import os
import socket
import subprocess
import sys
import threading

import pytest

import worker_example
from harness import BUILD, ROOT, Call, connect, is_refused, rpc, slow_calls

VARIANT = os.environ.get("VARIANT", "plain")
COMPILER = ["clang" if "clang" in VARIANT else "gcc", *(["-fsanitize=address,undefined"] if "asan" in VARIANT else [])]


def page():
    with open(os.path.join(ROOT, "packaging/man/handover-worker.7"), encoding="utf-8") as file:
        return file.read()


@pytest.fixture(name="server", scope="module", params=["shared", "static"])
def fixture_server(request, tmp_path_factory):
    """The example as a program, against the installed library."""
    place = str(tmp_path_factory.mktemp("libhandover"))
    subprocess.run(["make", "-s", "install", f"BUILD={BUILD}", f"VARIANT={VARIANT}", f"DESTDIR={place}", "PREFIX=/usr"], cwd=ROOT, check=True,
                   stdout=subprocess.DEVNULL)
    os.chmod(place, 0o755)
    pkg_config = ["pkg-config", "--cflags", "--libs", *(["--static"] if request.param == "static" else []), "libhandover"]
    flags = subprocess.run(pkg_config, check=True, stdout=subprocess.PIPE, text=True, env={
        **os.environ, "PKG_CONFIG_SYSROOT_DIR": place, "PKG_CONFIG_LIBDIR": f"{place}/usr/lib/pkgconfig"}).stdout.split()
    if request.param == "static":
        flags = ["-l:libhandover.a" if flag == "-lhandover" else flag for flag in flags]
    else:
        flags.append(f"-Wl,-rpath,{place}/usr/lib")
    server = worker_example.build(page(), f"{place}/server", flags, COMPILER)
    assert ("libhandover.so.0" in worker_example.linked(server)) == (request.param == "shared")
    return server


def ask(port):
    with connect(port) as sock:
        return sock.recv(100)


@pytest.mark.parametrize("handoff", ["inherit", "channel"])
def test_the_example(handover, server, handoff):
    h = handover()
    port = h.socket("web")
    h.pool("api", server, sockets="web", workers=2, handoff=handoff, drain_timeout="5s")
    h.start()
    answered, stop = [], threading.Event()

    def ask_on():
        while not stop.is_set():
            answered.append(ask(port))

    asking = threading.Thread(target=ask_on)
    asking.start()
    try:
        for _ in range(5):
            seen = len(answered)
            h.good_reload(wait="drained")
            h.wait(lambda seen=seen: len(answered) > seen + 10, "more to be asked")
    finally:
        stop.set()
        asking.join()
    assert set(answered) == {worker_example.ANSWER}
    h.wait(lambda: [(w["inflight"], w["status"]) for w in h.workers("api")] == [(0, "serving")] * 2, "pages and status")
    assert not h.count_log("SIGKILL"), h.tell()
    h.stop()
    assert is_refused(port)


def test_without_a_supervisor(server):
    """All calls do nothing: it finds no socket, and says so."""
    ended = worker_example.run_alone(server)
    assert ended.returncode == 1 and ended.stderr == worker_example.REFUSAL


@pytest.mark.parametrize("handoff", ["inherit", "channel"])
def test_why_and_until_when(handover, handoff):
    """A worker with an event loop hears it before its signal: of the lame duck, of the reason, and of the budget of a stop, which is not
    that of a reload."""
    h = handover()
    h.supervisor(lame_duck="200ms")
    port = h.socket("web")
    h.pool("api", rpc(), sockets="web", handoff=handoff, drain_timeout="10s", stop_timeout="1s")
    h.start()
    h.good_reload(wait="drained")
    h.wait_log("rpc-worker: reload: draining, 0 in flight")
    assert not h.count_log("lame duck: serving on")
    calls = slow_calls(h, port, ms=60000)
    h.stop()
    assert calls[0].is_cut()
    h.wait_log("rpc-worker: lame duck: serving on")
    h.wait_log("rpc-worker: stop: draining, 1 in flight")
    h.wait_log(r"rpc-worker: 0.8 s of the 1.0 s for a drain are over with 1 in flight: work \(\d+ ms\); exiting without an answer")


def test_in_flight_of_a_worker_that_blocks(handover):
    """The master sees it without a word of the worker's."""
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc(), sockets="web")
    h.start()
    blocked = Call(port, "block", ms=1500)
    row = h.wait(lambda: next((w for w in h.workers() if w["inflight"] == 1), None), "the call to be counted")
    assert row["state"] == "serving"
    assert blocked.answer()["pid"] == row["pid"]
    h.wait(lambda: h.workers()[0]["inflight"] == 0, "its end")


BEQUEATH = """import os, sys
os.dup2(int(sys.argv[1]), 3)
os.execve(sys.argv[2], sys.argv[2:], {**os.environ, "LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "web"})"""


def test_a_socket_by_systemd_s_protocol(server, tmp_path):
    """Nothing of handoverd's is needed for LISTEN_FDS."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "sock"))
        listener.listen()
        with subprocess.Popen([sys.executable, "-c", BEQUEATH, str(listener.fileno()), server], pass_fds=[listener.fileno()]) as process:
            try:
                assert ask(str(tmp_path / "sock")) == worker_example.ANSWER
                process.terminate()
                assert process.wait(30) == 0
            finally:
                process.kill()
