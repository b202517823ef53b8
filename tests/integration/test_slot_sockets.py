"""`%n` in listen: each slot has a socket of its own, which belongs to the instance. Predecessor and successor share it."""
import os
import re
import socket
import sys
import time

import pytest

from harness import ROOT, Call, call, is_refused, rpc, steps

CHANNEL_WORKER = os.path.join(ROOT, "tests/workers/channel-worker.py")


def ports(h, n):
    """The first of n ports in a row."""
    row = [h.ports.take()]
    while len(row) < n:
        port = h.ports.take()
        row = [*row, port] if port == row[-1] + 1 else [port]
    return row[0]


def sockets(h, name="own"):
    return {s["slot"]: s["address"] for s in h.status()["sockets"] if s["name"] == name}


def environment(h, slot):
    return dict(item.split("=", 1) for item in h.json_of(f"env-{slot}")["env"])


def slot_of(target):
    return call(target, "info")["slot"]


def test_none_is_lost_through_reloads_and_scaling(handover, record_property):
    h = handover()
    first = ports(h, 4)
    shared = h.socket("web")
    h.socket("own", f"tcp://127.0.0.1:{first}+%n")
    h.pool("api", rpc(), sockets="web, own", workers=2)
    h.start()
    targets = [shared, first, first + 1]
    loads = [h.load("--new", 60, "--keepalive", "20,2", target=f"127.0.0.1:{port}") for port in targets]
    for load in loads:
        load.wait_answered(20)
    for _ in range(2):
        h.good_reload()
    assert is_refused(first + 2)
    assert h.cli("scale", "api", "4").returncode == 0
    assert [slot_of(first + n) for n in range(4)] == [0, 1, 2, 3]
    h.good_reload(changed=False, pool="api")  # takes the scaling back: its config says 2
    assert h.wait(lambda: sockets(h) == {n: f"tcp 127.0.0.1:{first + n}" for n in range(2)}, "two of them")
    assert h.cli("scale", "api", "4").returncode == 0
    assert h.cli("restart", "api").returncode == 0
    assert [slot_of(first + n) for n in range(4)] == [0, 1, 2, 3]
    assert h.cli("scale", "api", "2").returncode == 0
    h.wait(lambda: is_refused(first + 2) and is_refused(first + 3), "no more clients for slots that are gone")
    for load in loads:
        load.wait_answered(20)
        code, summary, printed = load.finish()
        assert code == 0 and summary["total"]["failed"] == 0, printed
    record_property("load", f"{len(loads)} addresses, two of them slots' own, through 3 reloads, a restart and scaling 2 -> 4 -> 2, twice: 0 failed")


def test_names_paths_and_numbers(handover):
    h = handover()
    h.socket("own", f"unix:{h.path('own-%n.sock')}", mode="0640")
    h.pool("api", steps(f"dump:{h.path('env')}-%n", "exit-on:TERM:0", "ready"), sockets="own", workers=3)
    h.start()
    for n in range(3):
        env = environment(h, n)
        assert env["LISTEN_FDNAMES"] == "own" and env["LISTEN_FDS"] == "1"
        assert os.stat(h.path(f"own-{n}.sock")).st_mode & 0o777 == 0o640
    assert sockets(h) == {n: f"unix {h.path(f'own-{n}.sock')}" for n in range(3)}
    table = h.cli("status", "--sockets").stdout
    assert re.search(r"^own/0 ", table, re.M) and re.search(r"^own/2 ", table, re.M)
    h.stop()
    assert not [name for name in os.listdir(h.place) if name.endswith(".sock")]


def test_those_who_wait_are_served_by_the_successor(handover):
    """While a slot is empty its clients queue, and nobody else can have them."""
    h = handover()
    h.socket("own", f"unix:{h.path('own-%n.sock')}")
    h.pool("api", rpc(), sockets="own", workers=2, restart_delay="300ms", restart_delay_max="300ms")
    h.start()
    path = h.path("own-1.sock")
    for _ in range(2):
        pid = call(path, "info")["pid"]
        with pytest.raises(Exception):
            call(path, "exit", code=3)
        h.wait_gone(pid)
        waiting = [Call(path, "info") for _ in range(3)]
        assert {w.answer()["slot"] for w in waiting} == {1}
        assert slot_of(h.path("own-0.sock")) == 0


def test_the_last_of_a_slot_serves_those_who_wait(handover):
    """Scaled down while its worker is slow: who had connected before is answered, new ones are refused."""
    h = handover()
    first = ports(h, 2)
    h.socket("own", f"tcp://127.0.0.1:{first}+%n")
    h.pool("api", rpc(), sockets="own", workers=2)
    h.start()
    slow = Call(first + 1, "work", ms=700, a=1, b=2)
    h.wait(lambda: any(w["inflight"] for w in h.workers()), "it to be in flight")
    assert h.cli("scale", "api", "1").returncode == 0
    h.wait(lambda: is_refused(first + 1), "new ones to be refused")
    assert slow.answer()["sum"] == 3
    assert slot_of(first) == 0
    h.wait_log(rf"socket own \(tcp 127\.0\.0\.1:{first + 1}\) is of a slot that is no longer there: closing it")


def test_those_who_wait_at_a_slot_that_goes(handover):
    """Its worker has not come to accept them yet: nobody else can, so the socket stays until it has, or has ended."""
    h = handover()
    notes = h.path("notes")
    first = ports(h, 2)
    h.socket("own", f"tcp://127.0.0.1:{first}+%n")
    h.pool("api", f"{sys.executable} {CHANNEL_WORKER} {notes} connect ready sockets await:{h.path('go')} serve", sockets="own", workers=2,
           handoff="channel", drain_timeout="20s")
    h.start()
    waiting = [Call(first + 1, "add", a=n, b=1) for n in range(3)]
    assert h.cli("scale", "api", "1").returncode == 0
    time.sleep(0.6)  # more than a socket of a slot without workers is kept
    with open(h.path("go"), "w", encoding="utf-8"):
        pass
    assert [w.answer()["sum"] for w in waiting] == [1, 2, 3]
    h.wait(lambda: is_refused(first + 1), "it to be closed")


def test_back_before_the_last_worker_has_gone(handover):
    h = handover()
    first = ports(h, 2)
    h.socket("own", f"tcp://127.0.0.1:{first}+%n")
    h.socket("path", f"unix:{h.path('own-%n.sock')}")
    h.pool("api", rpc(), sockets="own path", workers=2, drain_timeout="20s", stop_timeout="2s")
    h.start()
    stays = Call(first + 1, "work", ms=2500, a=1, b=2)
    h.wait(lambda: any(w["inflight"] for w in h.workers()), "it to be in flight")
    for _ in range(3):
        assert h.cli("scale", "api", "1").returncode == 0
        assert h.cli("scale", "api", "2").returncode == 0
    assert slot_of(first + 1) == 1 and slot_of(h.path("own-1.sock")) == 1
    assert stays.answer()["sum"] == 3


def test_scaling_where_there_is_no_address(handover):
    h = handover()
    first = ports(h, 3)
    h.socket("own", f"tcp://127.0.0.1:{first}+%n")
    h.socket("path", f"unix:{h.path('own-%n.sock')}")
    h.pool("api", rpc(), sockets="own path", workers=1)
    h.start()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", first + 2))
        other.listen()
        answer = h.cli("scale", "api", "3")
        assert answer.returncode == 1
        assert re.search(rf"pool api cannot have 3 workers: socket own: cannot bind tcp 127\.0\.0\.1:{first + 2}: address in use",
                         answer.stdout + answer.stderr)
        assert sockets(h) == {0: f"tcp 127.0.0.1:{first}"} and len(h.pids()) == 1
        assert is_refused(first + 1) and not os.path.exists(h.path("own-1.sock"))
        h.pool("api", workers=3)
        h.write()
        assert f"127.0.0.1:{first + 2}: address in use" in h.bad_reload()["message"]
        check = h.cli("check", h.config)
        assert check.returncode == 78 and f"[socket:own] listen: cannot bind tcp 127.0.0.1:{first + 2}" in check.stderr
        assert f"127.0.0.1:{first}:" not in check.stderr and "own-0" not in check.stderr, "what the instance has is no conflict"
    assert h.cli("scale", "api", "3").returncode == 0
    assert [slot_of(first + n) for n in range(3)] == [0, 1, 2]
    assert h.cli("check", h.config).returncode == 0


def test_a_reload_that_fails_leaves_nothing_behind(handover):
    h = handover()
    first = ports(h, 4)
    h.socket("own", f"tcp://127.0.0.1:{first}+%n")
    h.pool("api", rpc(), sockets="own", workers=2)
    h.start()
    h.pool("api", rpc("--exit-at-start", 3), workers=4)
    h.write()
    h.bad_reload()
    assert set(sockets(h)) == {0, 1}
    assert is_refused(first + 2) and is_refused(first + 3)
    assert [slot_of(first + n) for n in range(2)] == [0, 1]
    h.pool("api", rpc(), workers=3)
    h.write()
    h.good_reload()
    assert [slot_of(first + n) for n in range(3)] == [0, 1, 2]


def test_another_first_port_keeps_what_both_have(handover):
    """9101+%n after 9100+%n: slot 0 goes on with what was slot 1's, and with its queue."""
    h = handover()
    first = ports(h, 3)
    h.socket("own", f"tcp://127.0.0.1:{first}+%n")
    h.pool("api", rpc(), sockets="own", workers=2)
    h.start()
    h.socket("own", f"tcp://127.0.0.1:{first + 1}+%n")
    h.write()
    h.good_reload(wait="drained")
    h.wait(lambda: is_refused(first), "the first to be closed")
    assert sockets(h) == {n: f"tcp 127.0.0.1:{first + 1 + n}" for n in range(2)}
    assert [slot_of(first + 1 + n) for n in range(2)] == [0, 1]
    h.socket("own", f"tcp://127.0.0.1:{first + 1}")  # and shared by all
    h.write()
    h.good_reload(wait="drained")
    assert sockets(h) == {None: f"tcp 127.0.0.1:{first + 1}"}
    assert slot_of(first + 1) in (0, 1)
    h.wait(lambda: is_refused(first + 2), "the second to be closed")


def test_two_pools_share_those_of_a_slot(handover):
    h = handover()
    first = ports(h, 3)
    h.socket("own", f"tcp://127.0.0.1:{first}+%n")
    h.pool("api", rpc(), sockets="own", workers=1)
    h.pool("more", rpc(), sockets="own", workers=3)
    h.start()
    assert set(sockets(h)) == {0, 1, 2}
    assert h.cli("scale", "more", "2").returncode == 0
    h.wait(lambda: set(sockets(h)) == {0, 1}, "slot 2 to go")
    h.section("pool:more", command=None, ready=None, sockets=None, workers=None)
    del h.sections["pool:more"]
    h.write()
    h.good_reload(wait="drained")
    h.wait(lambda: set(sockets(h)) == {0}, "only slot 0 to be left")
    assert slot_of(first) == 0 and is_refused(first + 1)


def test_over_the_channel(handover):
    h = handover()
    notes = h.path("notes")
    h.socket("own", f"unix:{h.path('own-%n.sock')}")
    h.pool("api", f"{sys.executable} {CHANNEL_WORKER} {notes} connect ready sockets serve", sockets="own", workers=2, handoff="channel")
    h.start()
    pids = {w["slot"]: w["pid"] for w in h.workers()}
    for slot in (0, 1):
        assert call(h.path(f"own-{slot}.sock"), "add", a=1, b=2)["pid"] == pids[slot]
    h.good_reload(wait="drained")
    assert call(h.path("own-1.sock"), "add", a=1, b=2)["pid"] == next(w["pid"] for w in h.workers() if w["slot"] == 1)


def test_the_variables_of_other_supervisors(handover):
    h = handover()
    first = ports(h, 2)
    h.socket("own", f"tcp://127.0.0.1:{first}+%n")
    h.pool("api", steps(f"dump:{h.path('env')}-%n", "exit-on:TERM:0", "ready"), sockets="own", workers=2, compat="server-starter nginx",
           drain_signal="SIGTERM")
    h.start()
    for slot in (0, 1):
        env = environment(h, slot)
        assert env["SERVER_STARTER_PORT"] == f"127.0.0.1:{first + slot}=3" and env["NGINX"] == "3;"


def test_a_shutdown_concerns_its_slot_only(handover):
    h = handover()
    h.socket("own", f"unix:{h.path('own-%n.sock')}")
    h.pool("api", steps("exit-on:TERM:0", "ready", f"await:{h.path('go')}-%n", "shutdown:3"), sockets="own", workers=2)
    h.start()
    before = {w["slot"]: w["pid"] for w in h.workers()}
    with open(h.path("go-1"), "w", encoding="utf-8"):
        pass
    h.wait_log(r"warning socket own \(unix \S+own-1\.sock\) was shut down by one of its workers; it listens again, the workers of its slot are "
               "being restarted")
    os.unlink(h.path("go-1"))
    h.wait(lambda: {w["slot"]: w["pid"] for w in h.workers(state="serving")}.get(1, before[1]) != before[1], "another worker of slot 1")
    h.wait_serving("api", 2)
    assert next(w["pid"] for w in h.workers() if w["slot"] == 0) == before[0]
    h.wait(lambda: not is_refused(h.path("own-1.sock")), "the one of slot 1 to listen")


def test_a_stop_refuses_at_all_of_them(handover):
    h = handover()
    first = ports(h, 2)
    h.supervisor(lame_duck="0")
    h.socket("own", f"tcp://127.0.0.1:{first}+%n")
    h.pool("api", rpc(), sockets="own", workers=2)
    h.start()
    slow = Call(first + 1, "work", ms=300, a=1, b=2)
    h.wait(lambda: any(w["inflight"] for w in h.workers()), "it to be in flight")
    h.stop()
    assert slow.answer()["sum"] == 3
    assert is_refused(first) and is_refused(first + 1)


def test_metrics_tell_the_slot(handover):
    h = handover()
    h.socket("own", f"unix:{h.path('own-%n.sock')}")
    h.pool("api", rpc(), sockets="own", workers=2)
    h.start()
    text = h.api.request("GET", "/metrics")[1]
    assert re.search(r'handover_socket_mended_total\{socket="own",slot="1",address="unix [^"]*own-1.sock"\} 0', text)
