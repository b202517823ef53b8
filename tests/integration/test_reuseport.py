"""reuseport = yes: each slot has a TCP socket of its own, all at one address; new connections are kept away from slots without a
worker, and nobody who waits in a queue is lost."""
import collections
import contextlib
import os
import re
import shlex
import signal
import socket
import sys

import pytest

from harness import Call, call, is_refused, rpc, steps


# Says its slot to each client, and leaves at once when it is told to go, whoever waits in its queue.
HASTY = """
import os, select, signal, socket
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
    notify.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"].replace("@", chr(0), 1))
listener = socket.socket(fileno=3)
while True:
    select.select([listener], [], [])
    try:
        client = listener.accept()[0]
    except BlockingIOError:
        continue
    client.sendall(os.environ["HANDOVER_SLOT"].encode())
    client.close()
"""


def slots(port, n=60):
    return collections.Counter(call(port, "info")["slot"] for _ in range(n))


def sockets(h, name="web"):
    return sorted(s["slot"] for s in h.status()["sockets"] if s["name"] == name)


def test_none_is_lost_through_reloads_and_scaling(handover, record_property):
    h = handover()
    port = h.socket("web", reuseport="yes")
    h.pool("api", rpc(), sockets="web", workers=2)
    h.start()
    loads = [h.load("--new", 300, "--keepalive", "20,2", target=f"127.0.0.1:{port}") for _ in range(2)]
    for load in loads:
        load.wait_answered(20)
    for _ in range(2):
        h.good_reload()
    for _ in range(3):
        assert h.cli("scale", "api", "4").returncode == 0
        h.wait_serving("api", 4)
        assert set(slots(port)) == {0, 1, 2, 3} and sockets(h) == [0, 1, 2, 3]
        assert h.cli("scale", "api", "2").returncode == 0
        assert set(slots(port)) == {0, 1}, "the slots that go get no new connections at once"
        h.wait(lambda: sockets(h) == [0, 1], "their sockets to be closed")
    assert h.cli("restart", "api").returncode == 0
    for load in loads:
        load.wait_answered(20)
        code, summary, printed = load.finish()
        assert code == 0 and summary["total"]["failed"] == 0, printed
    record_property("load", "2 loads through 2 reloads, a restart, and scaling 2 -> 4 -> 2 three times: 0 failed")


def test_a_slot_whose_worker_has_crashed_gets_no_new_connections(handover):
    h = handover()
    port = h.socket("web", reuseport="yes")
    h.pool("api", rpc(), sockets="web", workers=2, restart_delay="1500ms", restart_delay_max="1500ms")
    h.start()
    for n in (1, 2):  # after the first the next one starts at once
        h.wait_serving("api", 2)
        os.kill(next(w["pid"] for w in h.workers() if w["slot"] == 1), signal.SIGKILL)
        h.wait_log(r"slot 1 generation 1 pid \d+ killed by SIGKILL", count=n)
    h.wait_log(r"slot 1: 2 crashes in a row, next start in ")
    assert slots(port) == {0: 60}
    h.wait_serving("api", 2)
    assert set(slots(port)) == {0, 1}


def test_those_who_wait_at_a_crashed_worker_are_served_by_its_successor(handover):
    h = handover()
    port = h.socket("web", reuseport="yes")
    h.pool("api", rpc(), sockets="web", workers=2, restart_delay="300ms", restart_delay_max="300ms")
    h.start()
    pids = {w["slot"]: w["pid"] for w in h.workers()}
    os.kill(pids[1], signal.SIGSTOP)  # it accepts nobody, and nobody knows
    waiting = [Call(port, "info") for _ in range(24)]
    os.kill(pids[1], signal.SIGKILL)
    answers = collections.Counter(w.answer()["slot"] for w in waiting)
    assert set(answers) == {0, 1} and sum(answers.values()) == 24
    h.wait_serving("api", 2)


def test_those_who_wait_at_a_slot_that_goes(handover):
    """They are accepted before the slot's worker is told to drain."""
    h = handover()
    port = h.socket("web", reuseport="yes")
    h.pool("api", rpc(), sockets="web", workers=2)
    h.start()
    pid = next(w["pid"] for w in h.workers() if w["slot"] == 1)
    os.kill(pid, signal.SIGSTOP)
    try:
        waiting = [Call(port, "info") for _ in range(24)]
        assert h.cli("scale", "api", "1").returncode == 0
        assert slots(port, 20) == {0: 20}
    finally:
        os.kill(pid, signal.SIGCONT)
    answers = collections.Counter(w.answer()["slot"] for w in waiting)
    assert set(answers) == {0, 1} and sum(answers.values()) == 24
    h.wait(lambda: sockets(h) == [0], "its socket to be closed")
    h.wait_serving("api", 1)


def test_a_worker_that_leaves_at_once_has_accepted_them_before(handover):
    h = handover()
    port = h.socket("web", reuseport="yes")
    h.pool("api", shlex.join([sys.executable, "-c", f"exec({HASTY!r})"]), sockets="web", workers=2)
    h.start()
    pid = next(w["pid"] for w in h.workers() if w["slot"] == 1)
    with contextlib.ExitStack() as stack:
        os.kill(pid, signal.SIGSTOP)
        try:
            clients = [stack.enter_context(socket.create_connection(("127.0.0.1", port), 20)) for _ in range(30)]
            assert h.cli("scale", "api", "1").returncode == 0
            clients += [stack.enter_context(socket.create_connection(("127.0.0.1", port), 20)) for _ in range(10)]
        finally:
            os.kill(pid, signal.SIGCONT)
        said = [client.recv(1) for client in clients]
    assert set(said[:30]) == {b"0", b"1"} and set(said[30:]) == {b"0"}
    h.wait_serving("api", 1)


def test_a_worker_that_accepts_nobody_is_told_to_drain_all_the_same(handover):
    h = handover()
    port = h.socket("web", reuseport="yes")
    h.pool("api", steps("exit-on:TERM:0", "ready"), sockets="web", workers=2)
    h.start()
    with contextlib.ExitStack() as stack:
        for _ in range(30):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        assert h.cli("scale", "api", "1").returncode == 0
        h.wait_log(r"warning pool api slot 1 generation 1 pid \d+ has accepted nobody who waits at its slot for 2\S* s"
                   "; it is told to drain all the same, and who still waits there when it ends is lost")
        h.wait_serving("api", 1)


def test_a_shutdown_by_one_worker(handover):
    """It ends one slot's socket; the others take its connections until it listens again, and then their places are others."""
    h = handover()
    port = h.socket("web", reuseport="yes")
    h.pool("api", rpc("--shutdown-listener-on-drain"), sockets="web", workers=3)
    h.start()
    assert set(slots(port)) == {0, 1, 2}
    for slot in (0, 1):
        assert h.cli("restart", f"api/{slot}").returncode == 0
        h.wait_log(r"warning socket web \(tcp 127\.0\.0\.1:\d+\) was shut down by .*; it listens again")
        h.wait_serving("api", 3)
        assert set(slots(port, 90)) == {0, 1, 2}
    assert h.cli("scale", "api", "1").returncode == 0
    assert slots(port) == {0: 60}
    h.wait(lambda: sockets(h) == [0], "the others to be closed")
    assert slots(port) == {0: 60}


def test_shutdowns_of_several_at_once(handover):
    """Which of them was the first decides about the places of the others, and nobody can tell: nothing is steered any more."""
    h = handover()
    port = h.socket("web", reuseport="yes")
    h.pool("api", steps("exit-on:TERM:0", "ready", f"await:{h.path('go')}-%n", "shutdown:3", f"dump:{h.path('done')}-%n"),
           sockets="web", workers=4)
    h.start()
    h.process.send_signal(signal.SIGSTOP)
    try:
        for slot in (0, 1):
            with open(h.path(f"go-{slot}"), "w", encoding="utf-8"):
                pass
        h.wait(lambda: all(os.path.exists(h.path(f"done-{slot}")) for slot in (0, 1)), "both to be shut down")
    finally:
        h.process.send_signal(signal.SIGCONT)
    h.wait_log(r"warning socket web: 2 of its slots' sockets were shut down at once: from now on new connections are not kept away from slots "
               "without a worker, until the instance is restarted")
    h.wait_log(r"warning socket web \(tcp 127\.0\.0\.1:\d+\) was shut down by .*; it listens again", count=2)
    h.pool("api", rpc())
    h.write()
    h.good_reload(wait="drained")
    assert set(slots(port, 120)) == {0, 1, 2, 3}


def test_what_cannot_be(handover):
    h = handover()
    port = h.socket("web", reuseport="yes")
    h.pool("api", rpc(), sockets="web", workers=2)
    h.start()
    with socket.socket() as other, pytest.raises(OSError):
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
    h.section("socket:web", reuseport="no")
    h.write()
    assert "socket web: 'reuseport' cannot be changed while the socket is open; it takes a restart of the instance" in h.bad_reload()["message"]
    plan = h.cli("plan")
    assert plan.returncode == 1 and "'reuseport' cannot be changed while the socket is open" in plan.stdout + plan.stderr
    h.section("socket:web", reuseport="yes")
    h.pool("api", workers=4)
    h.write()
    assert h.cli("plan").stdout.startswith("socket web/2: is opened\nsocket web/3: is opened\n")
    assert sockets(h) == [0, 1] and set(slots(port)) == {0, 1}
    answer = h.cli("exec", "--socket", "web/0", "--", "true")
    assert answer.returncode != 0 and "has reuseport = yes" in answer.stdout + answer.stderr


def test_an_address_that_somebody_shares_already(handover):
    """With SO_REUSEPORT another program of the same user could be at the port: the first of ours must find it free."""
    h = handover()
    port = h.socket("web", reuseport="yes")
    h.pool("api", rpc(), sockets="web", workers=2)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        h.write()
        check = h.run_only("--check", h.config, write=False)
        assert check.returncode == 78 and f"[socket:web] listen: cannot bind tcp 127.0.0.1:{port}: address in use" in check.stderr
    assert "a socket there for each of 2 slots (reuseport)" in h.run_only("--check", h.config, write=False).stdout
    h.start()
    assert set(slots(port)) == {0, 1}


def test_a_stop_refuses_and_answers(handover):
    h = handover()
    h.supervisor(lame_duck="0")
    port = h.socket("web", reuseport="yes")
    h.pool("api", rpc(), sockets="web", workers=2)
    h.start()
    slow = [Call(port, "work", ms=300, a=1, b=2) for _ in range(6)]
    h.wait(lambda: sum(w["inflight"] or 0 for w in h.workers()) == 6, "them to be in flight")
    h.stop()
    assert [s.answer()["sum"] for s in slow] == [3] * 6
    assert is_refused(port)


def test_removed_and_back(handover):
    h = handover()
    port = h.socket("web", reuseport="yes")
    other = h.socket("other")
    h.pool("api", rpc(), sockets="web other", workers=2)
    h.start()
    h.pool("api", sockets="other")
    del h.sections["socket:web"]
    h.write()
    h.good_reload(wait="drained")
    h.wait(lambda: is_refused(port), "it to be closed")
    assert sockets(h) == []
    h.section("socket:web", listen=f"tcp://127.0.0.1:{port}", reuseport="yes")
    h.pool("api", sockets="web other")
    h.write()
    h.good_reload(wait="drained")
    assert set(slots(port)) == {0, 1} and call(other, "info")["slot"] in (0, 1)


def test_metrics_tell_the_slot(handover):
    h = handover()
    port = h.socket("web", reuseport="yes")
    h.pool("api", rpc(), sockets="web", workers=2)
    h.start()
    text = h.api.request("GET", "/metrics")[1]
    assert re.search(rf'handover_socket_mended_total\{{socket="web",slot="1",address="tcp 127.0.0.1:{port}"\}} 0', text)
