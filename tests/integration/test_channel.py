"""handoff = channel: sockets over channel.sock once a worker is ready, and what else is said there."""
import contextlib
import json
import os
import re
import resource
import shlex
import signal
import socket
import threading

import pytest

from when import quiet_counts
from harness import ROOT, call, in_background, is_refused, rpc, wait_until


def worker(h, *step):
    return shlex.join(["/usr/bin/python3", os.path.join(ROOT, "tests/workers/channel-worker.py"), h.path("notes"), *step])


def notes(h, what=None, **more):
    """What the workers have noted so far, the oldest first."""
    try:
        with open(h.path("notes"), encoding="utf-8") as file:
            all_notes = [json.loads(line) for line in file]
    except FileNotFoundError:
        all_notes = []
    return [n for n in all_notes if (what is None or n["what"] == what) and all(n[key] == value for key, value in more.items())]


def channel_pool(h, *step, **keys):
    h.pool("api", worker(h, *(step or ("connect", "ready", "sockets", "serve"))), handoff="channel", **{"sockets": "web", **keys})


def test_sockets_come_when_all_are_ready(handover):
    """Nobody accepts before it was sent its sockets, and nobody is sent them before the last of the batch is ready."""
    h = handover()
    port, flag = h.socket("web"), h.path("go")
    channel_pool(h, workers=3)
    h.start()
    assert call(port, "add", a=1, b=2)["sum"] == 3
    channel_pool(h, "connect", "ready", "sockets", "serve", workers=3)
    h.section("pool:api", command=worker(h, "connect", f"await:{flag}-%n", "ready", "sockets", "serve"))
    h.write()
    h.signal(signal.SIGHUP)
    for slot in (0, 1):
        with open(f"{flag}-{slot}", "w", encoding="utf-8"):
            pass
    h.wait(lambda: len(h.pids("api", "held")) == 2, "two to be held")
    assert [call(port, "add", a=1, b=2)["generation"] for _ in range(20)] == [1] * 20
    assert h.pool_status("api")["starting"] == 3 and not notes(h, "sockets", generation=2)
    with open(f"{flag}-2", "w", encoding="utf-8"):
        pass
    h.wait_log("reload 2 committed")
    h.wait(lambda: {call(port, "add", a=1, b=2)["generation"] for _ in range(20)} == {2}, "the new ones alone")
    sent = {n["pid"]: n["at"] for n in notes(h, "sockets")}
    assert len(sent) == 6 and all(n["at"] >= sent[n["pid"]] for n in notes(h, "accepted"))
    h.wait_log("is ready and waits for its sockets", 6)


def test_nobody_accepts_before_it_has_its_sockets_under_load(handover):
    """By the workers' own clocks, through reloads under load: not one accept before `sockets` was sent."""
    h = handover()
    port = h.socket("web")
    channel_pool(h, workers=2)
    h.start()
    through = threading.Event()

    def ask():
        answered = 0
        while not through.is_set():
            assert call(port, "add", a=1, b=2)["sum"] == 3
            answered += 1
        return answered
    clients = [in_background(ask) for _ in range(3)]
    for n in range(2, 5):
        h.good_reload(wait="drained")
        h.wait(lambda: len({m["pid"] for m in notes(h, "accepted", generation=n)}) == 2, "both new ones to be asked")
    through.set()
    assert sum(client.result(30) for client in clients) > 50
    sent = {n["pid"]: n["at"] for n in notes(h, "sockets")}
    accepted = notes(h, "accepted")
    assert len(sent) == 8 and len(accepted) > 50, (len(sent), len(accepted))
    assert all(n["at"] >= sent[n["pid"]] for n in accepted)


def touch(path):
    with open(path, "w", encoding="utf-8"):
        pass


def test_the_old_ones_serve_until_the_new_ones_accept(handover):
    """A worker that says so is waited for: its predecessor is told to drain when it has said that it accepts, and not before."""
    h = handover()
    port, flag = h.socket("web"), h.path("go")
    channel_pool(h, workers=2)
    h.start()
    h.section("pool:api", command=worker(h, "connect", "hello", "ready", "sockets", f"await:{flag}-%n", "accepting", "serve"))
    h.write()
    h.signal(signal.SIGHUP)
    h.wait(lambda: len(notes(h, "sockets", generation=2)) == 2, "the new ones to have their sockets")
    touch(f"{flag}-0")
    h.wait(lambda: sorted(w["state"] for w in h.workers("api")) == ["held", "serving", "serving", "serving"], "the first one's word")
    assert [call(port, "add", a=1, b=2)["sum"] for _ in range(20)] == [3] * 20
    assert not notes(h, "drain") and not h.count_log("reload 2 committed")
    touch(f"{flag}-1")
    h.wait_log("reload 2 committed")
    h.wait(lambda: len(notes(h, "drain", generation=1)) == 2, "the old ones to be told")


def test_a_word_that_never_comes(handover):
    """It said that it would answer, and does not: the reload fails within start_timeout, and the old one serves on."""
    h = handover()
    port = h.socket("web")
    channel_pool(h)
    h.start()
    old = h.pids()
    h.section("pool:api", command=worker(h, "connect", "hello", "ready", "sockets", "listen"), start_timeout="300ms", drain_timeout="200ms")
    h.write()
    said = h.bad_reload()["message"]
    assert re.search(r"pool api slot 0 generation 2 pid \d+ was sent its sockets and has not said within 300 ms \(start_timeout\) that it accepts",
                     said), said
    h.wait_log(r"pool api slot 0 generation 2 pid \d+ does not accept on the sockets that it was sent: it is told to stop")
    assert h.pids() == old and call(port, "add", a=1, b=2)["sum"] == 3


@pytest.mark.parametrize("answer", ['{"version": 1, "kind": "accepting", "set": 2}', '{"version": 1, "kind": "accepting"}',
                                    '{"version": 1, "kind": "again", "set": 7}'])
def test_an_answer_to_something_else(handover, answer):
    """Only the answer to the last set counts."""
    h = handover()
    port = h.socket("web")
    channel_pool(h, "connect", "hello", "ready", f"say:{answer}", "sockets", f"say:{answer}", "page:3", "accepting", "serve")
    h.start()
    assert call(port, "add", a=1, b=2)["sum"] == 3 and len(notes(h, "sockets")) == 1


def test_sockets_are_sent_again_to_who_could_not_take_them(handover):
    h = handover()
    port = h.socket("web")
    channel_pool(h, "connect", "hello", "ready", "sockets", 'say:{"version": 1, "kind": "again", "set": 1}', "hear", "accepting", "serve")
    h.start()
    assert call(port, "add", a=1, b=2)["sum"] == 3
    assert [(n["fds"], n["message"]["set"]) for n in notes(h, "sockets")] == [(1, 1), (1, 1)]
    h.wait_log(r"pool api slot 0 generation 1 pid \d+ had no descriptors left for its sockets: sending them again \(1 so far\)")


@contextlib.contextmanager
def no_descriptors(h):
    """The master can open none for a while."""
    former = resource.prlimit(h.pid, resource.RLIMIT_NOFILE)
    h.status()  # its connection is closed before we count
    resource.prlimit(h.pid, resource.RLIMIT_NOFILE, (3, former[1]))
    yield
    resource.prlimit(h.pid, resource.RLIMIT_NOFILE, former)


def test_a_master_without_descriptors(handover):
    """Whoever wants to connect waits, and a page is asked for again: said once, not with each attempt."""
    h = handover()
    port, flag = h.socket("web"), h.path("go")
    channel_pool(h, "connect", "ready", "sockets", f"await:{flag}", "page:7", "serve")
    h.start()
    with no_descriptors(h), socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        touch(flag)
        h.wait_log(r"pool api slot 0 generation 1 pid \d+: its page of counters cannot be taken: out of descriptors; asking for it again every second")
        sock.connect(h.path("run/channel.sock"))
        h.wait_log("channel.sock: cannot accept: Too many open files; trying again every 100 ms")
        h.wait(lambda: notes(h, "inflight"), "it to be asked for its page")
        assert h.count_log("channel.sock: cannot accept") == h.count_log("its page of counters") == 1  # a second and ten attempts later
    h.wait(lambda: h.workers()[0]["inflight"] == 7, "its page")
    h.wait_log(f"channel.sock: turning pid {os.getpid()} ")
    assert call(port, "add", a=1, b=2)["sum"] == 3


def test_a_worker_that_crashed_is_given_them_at_once(handover):
    h = handover()
    port = h.socket("web")
    channel_pool(h, workers=2)
    h.start()
    h.wait(lambda: len(notes(h, "sockets")) == 2, "both to have them")
    killed = h.pids()[0]
    os.kill(killed, signal.SIGKILL)
    h.wait(lambda: len(set(h.pids()) - {killed}) == 2, "its successor")
    h.wait(lambda: len(notes(h, "sockets")) == 3, "the successor to have them")
    assert call(port, "add", a=1, b=2)["sum"] == 3


def test_none_is_lost_through_reloads(handover):
    h = handover()
    port = h.socket("web")
    channel_pool(h, workers=2)
    h.start()
    answered = 0
    for generation in range(2, 7):
        h.signal(signal.SIGHUP)
        while not h.count_log(rf"reload {generation} committed"):
            assert call(port, "add", a=answered, b=1)["sum"] == answered + 1
            answered += 1
    assert answered > 0


def test_why_and_until_when(handover):
    h = handover()
    h.supervisor(lame_duck="300ms")
    h.socket("web")
    channel_pool(h, drain_timeout="5s", stop_timeout="3s")
    h.start()
    h.good_reload(wait="drained")
    drain = notes(h, "drain", generation=1)
    assert len(drain) == 1 and drain[0]["message"]["reason"] == "reload"
    assert 4.5 < drain[0]["message"]["deadline_usec"] / 1e6 - drain[0]["at"] <= 5
    h.stop()
    lame, drain = notes(h, "lameduck", generation=2), notes(h, "drain", generation=2)
    assert len(lame) == 1 and len(drain) == 1
    assert lame[0]["at"] < drain[0]["at"] and drain[0]["message"]["reason"] == "stop"
    assert 0 < lame[0]["message"]["deadline_usec"] / 1e6 - lame[0]["at"] <= 0.3
    assert 2.5 < drain[0]["message"]["deadline_usec"] / 1e6 - drain[0]["at"] <= 3


def test_a_channel_beside_inheritance(handover):
    h = handover()
    h.socket("web")
    h.pool("api", worker(h, "connect", "page:7", "say:" + '{"version": 1, "kind": "status", "text": "warm"}', "ready", "listen"), sockets="web")
    h.start()
    row = h.wait(lambda: next((w for w in h.workers() if w["inflight"] == 7 and w["status"] == "warm"), None), "status and page")
    assert row["state"] == "serving" and not notes(h, "sockets")
    h.signal(signal.SIGTERM)
    h.wait(lambda: notes(h, "drain"), "why")
    os.kill(row["pid"], signal.SIGKILL)
    h.wait_exit(0)


def test_ready_without_a_channel_waits_for_it(handover):
    h = handover()
    h.socket("web")
    flag = h.path("go")
    channel_pool(h, "notify:READY=1", f"await:{flag}", "connect", "sockets", "serve")
    h.launch()
    h.wait_log("pid \\d+ started")
    with open(flag, "w", encoding="utf-8"):
        pass
    h.wait_log("is ready: 1 workers? serve")


def test_never_connected_is_not_ready_in_time(handover):
    h = handover()
    h.socket("web")
    channel_pool(h, "notify:READY=1", "hang", start_timeout="500ms", drain_timeout="100ms")
    h.end_early(code=1)
    assert re.search("was not ready within 500 ms", h.log), h.log


@pytest.mark.parametrize("what", ["not json", '{"version": 2, "kind": "ready"}', '{"version": 1}', "[1]", '{"version": 1, "kind": "inflight"}',
                                  "x" * 20000])
def test_rubbish_is_ignored_and_told_of(handover, what):
    h = handover()
    port = h.socket("web")
    channel_pool(h, "connect", f"say:{what}", "ready", "sockets", "serve")
    h.start()
    why = {"n": "no JSON object", "[": "no JSON object", "x": "it is too long, or has several descriptors"}.get(what[0])
    why = why or {'{"version": 2, "kind": "ready"}': 'no "version": 1', '{"version": 1}': 'no "kind"'}.get(what, '"inflight" without a page of counters')
    h.wait_log(rf"warning pool api slot 0 generation 1 pid \d+: ignoring a message over its channel that cannot be understood: {re.escape(why)} \(1 so far\)")
    assert call(port, "add", a=1, b=2)["sum"] == 3


def test_descriptors_that_nobody_asked_for_do_not_leak(handover):
    h = handover()
    h.socket("web")
    h.pool("api", worker(h, "connect", "ready", *['send-fd:{"version": 1, "kind": "status", "text": "x"}'] * 50, "listen"), sockets="web")
    h.start()
    h.wait(lambda: h.workers()[0]["status"] == "x", "its status")
    wait_until(lambda: sum(os.readlink(f"/proc/{h.pid}/fd/{fd}") == "/dev/null" for fd in os.listdir(f"/proc/{h.pid}/fd")) <= 2,
               "no descriptors of the worker's /dev/null to be left")


@pytest.mark.parametrize("step", ["exit:1", "close", "hang"])
@pytest.mark.parametrize("before", [["connect"], ["connect", "ready"], ["connect", "ready", "sockets"]])
def test_the_end_at_every_step(handover, before, step):
    """A new version whose workers end, close or hang at each step: the old one serves on."""
    h = handover()
    port = h.socket("web")
    channel_pool(h, start_timeout="1s", drain_timeout="200ms", min_ready="300ms")
    h.start()
    old, had = h.pids(), quiet_counts(h).descriptors
    h.section("pool:api", command=worker(h, *before, step, "hang"))
    h.write()
    if step != "exit:1" and "ready" in before:
        h.reload()  # a worker that says that it is ready is believed
    else:
        h.bad_reload()
        assert h.pids() == old and call(port, "add", a=1, b=2)["sum"] == 3
        h.wait(lambda: len(h.workers()) == 1, "the new one to be gone")
        assert len(quiet_counts(h).descriptors) == len(had)


@pytest.mark.parametrize("keys, each", [({}, 5), ({"handoff": "channel"}, 5), ({"stderr": "null"}, 5), ({"stderr": "file:%s"}, 6),
                                        ({"compat": "einhorn"}, 6)])
def test_what_a_worker_costs(handover, keys, each):
    """In descriptors of the master; `check` counts the same (tests/unit/test_check.c)."""
    h = handover()
    h.socket("web")
    h.pool("api", rpc(), sockets="web", workers=1, **{key: value.replace("%s", h.path("errors")) for key, value in keys.items()})
    h.start()
    h.wait(lambda: [w["inflight"] for w in h.workers()] == [0], "its page")
    before = len(quiet_counts(h).descriptors)
    h.cli("scale", "api", "4")
    h.wait(lambda: [w["inflight"] for w in h.workers()] == [0] * 4, "their pages")
    assert len(quiet_counts(h).descriptors) == before + 3 * each


@pytest.mark.parametrize("steps", [["connect"], ["connect", "hello"], ["connect", "hello", "ready"], ["connect", "hello", "ready", "sockets"],
                                   ["connect", "hello", "ready", "sockets", "accepting"]], ids=" ".join)
def test_killed_before_during_and_after_the_message(handover, steps):
    """Also while the descriptors wait in its queue: nothing of them is left with the master, and the port is free at the end."""
    h = handover()
    port, flag = h.socket("web"), h.path("go")
    channel_pool(h)
    h.start()
    old, had = h.pids(), quiet_counts(h).descriptors
    h.section("pool:api", command=worker(h, *steps, f"note:{flag}", "hang"), min_ready="1h", progress_timeout="2h")
    h.write()
    h.signal(signal.SIGHUP)
    here = h.wait(lambda: notes(h, flag), "it to come so far")[0]["pid"]
    if "ready" in steps:
        h.wait_log(rf"pid {here} is ready and waits for its sockets")
    os.kill(here, signal.SIGKILL)
    h.wait_log(rf"reload 2 failed: pool api slot 0 generation 2 pid {here} killed by SIGKILL")
    assert h.pids() == old and call(port, "add", a=1, b=2)["sum"] == 3
    assert len(quiet_counts(h).descriptors) == len(had)
    h.stop()
    assert is_refused(port)


def test_a_stranger_is_turned_away(handover):
    h = handover()
    h.socket("web")
    channel_pool(h)
    h.start()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.connect(h.path("run/channel.sock"))
        sock.settimeout(10)
        assert sock.recv(1) == b""
    h.wait_log(rf"channel.sock: turning pid {os.getpid()} uid {os.getuid()} away, which is no worker of ours")


def test_channel_sock_is_made_anew(handover):
    h = handover()
    h.socket("web")
    channel_pool(h)
    h.start()
    os.unlink(h.path("run/channel.sock"))
    h.wait_log("channel.sock was deleted: made anew")
    h.good_reload(wait="drained")


def test_a_delay_cannot_tell(handover):
    h = handover()
    h.socket("web")
    h.pool("api", rpc(), handoff="channel", ready="delay:1s", sockets="web")
    h.end_early(code=78)
    assert ("[pool:api] ready: with handoff = channel a worker gets its sockets once it is ready, which a delay cannot tell: use notify, fd or "
            "exec") in h.log


def test_a_change_of_the_handoff_needs_new_workers(handover):
    h = handover()
    port = h.socket("web")
    channel_pool(h)
    h.start()
    h.pool("api", rpc(), handoff="inherit")
    h.write()
    assert "handoff changed" in str(h.good_reload(changed=True, wait="drained")) or h.count_log("handoff")
    assert call(port, "info")["generation"] == 2
