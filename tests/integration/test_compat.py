"""compat: workers that were written for other supervisors, unchanged: small ones that are strict. Real servers are in tests/servers."""
import os
import shlex

import pytest

import harness

RELOADS = 3
PYTHON = "/usr/bin/python3"
WORKER = os.path.join(harness.ROOT, "tests/workers/compat-worker.py")


def worker(kind):
    return shlex.join([PYTHON, WORKER, kind])


def pool(h, kind, compat, **keys):
    h.pool("api", worker(kind), compat=compat, **{"sockets": "web", "workers": 2, "drain_timeout": "5s", "start_timeout": "20s", **keys})


def check_ends(h):
    """All workers ended by themselves, with status 0: they got the signal that they wait for."""
    assert "SIGKILL" not in h.log and h.count_log("exited with code [1-9]") == 0, h.tell()


@pytest.mark.parametrize("kind, compat, ready", [
    ("server_starter", "server-starter", "notify"),
    ("einhorn", "einhorn", None),
    ("s6", "s6:9", None),
    ("nginx", "nginx", "notify"),
    ("unicorn", "unicorn", "notify"),
    ("einhorn", "einhorn", "einhorn"),
])
def test_strict_workers_through_reloads(handover, kind, compat, ready):
    h = handover()
    port = h.socket("web")
    pool(h, kind, compat, ready=ready)
    h.start()
    load = h.load("--new", "60", target=f"127.0.0.1:{port}")
    load.wait_answered(30)
    for _ in range(RELOADS):
        h.good_reload(wait="drained")
        load.wait_answered(10)
    code, summary, printed = load.finish()
    assert code == 0 and summary["total"]["failed"] == 0, printed + h.tell()
    h.stop()
    check_ends(h)


def test_server_starters_names_of_addresses(handover):
    h = handover()
    ports = [h.ports.take() for _ in range(4)]
    h.socket("all", f"tcp://0.0.0.0:{ports[0]}")
    h.socket("one", f"tcp://127.0.0.1:{ports[1]}")
    h.socket("six", f"tcp://[::1]:{ports[2]}")
    h.socket("any", f"tcp://[::]:{ports[3]}")
    h.socket("udp", f"udp://127.0.0.1:{ports[3]}")
    h.socket("unix", f"unix:{h.path('s')}")
    pool(h, "server_starter", "server-starter", ready="notify", workers=1, sockets="all one udp six any unix")
    h.pool("bare", worker("server_starter_without"), compat="server-starter", sockets=None)
    h.start()
    names = [str(ports[0]), f"127.0.0.1:{ports[1]}", f"[::1]:{ports[2]}", f"[::]:{ports[3]}", h.path("s")]
    assert "addresses " + " ".join(sorted(names)) in h.log
    h.stop()
    check_ends(h)


def test_einhorns_worker_without_an_acknowledgement_is_not_ready(handover):
    """One for another pid, and what is no command, count for nothing: said once, and the old workers serve on."""
    h = handover()
    port = h.socket("web")
    pool(h, "einhorn", "einhorn", ready=None)
    h.start()
    pids = h.pids("api")
    h.pool("api", worker("einhorn_mute"), start_timeout="500ms", workers=2)
    h.write()
    assert "start_timeout" in str(h.bad_reload())
    assert h.count_log("ignoring what it says on its einhorn socket: it acknowledges for another pid than its own") >= 1
    assert h.pids("api") == pids and harness.call(port, "add", a=1, b=2)["sum"] == 3


def test_the_descriptor_for_the_acknowledgement_keeps_clear_of_the_ready_pipe(handover):
    h = handover()
    h.pool("api", harness.steps(f"dump:{h.path('dump')}", "write:4:hello", "exit-on:TERM:0"), sockets="web", compat="einhorn s6:4",
           ready=None, drain_signal="TERM")
    h.socket("web")
    h.start()
    env = dict(item.split("=", 1) for item in h.json_of("dump")["env"])
    assert (env["EINHORN_SOCK_FD"], env["EINHORN_FDS"]) == ("5", "3")
