"""Workers that end without having been told to: restarts, backoff, crash loops, watchdogs."""
import os
import re
import signal

import pytest

from harness import Call, call, is_alive, is_refused, rpc, steps
from when_cases import kill


def create(path):
    with open(path, "w", encoding="utf-8"):
        pass


def kill_all(h, pool=None):
    for pid in h.pids(pool):
        os.kill(pid, signal.SIGKILL)


def delays(log):
    """The waits that the log announces, in milliseconds."""
    return [float(number) * {"ms": 1, "s": 1000}[unit] for number, unit in re.findall(r"next start in ([\d.]+) (m?s)", log)]


# --- restarts ---

def test_the_first_restart_is_immediate_and_in_the_same_slot(handover):
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc(), sockets="web", workers=3)
    h.start()
    before = {w["slot"]: w["pid"] for w in h.workers()}
    os.kill(before[1], signal.SIGKILL)
    h.wait(lambda: h.pool_status("api")["restarts"] == 1 and len(h.pids()) == 3, "the restart")
    after = {w["slot"]: w["pid"] for w in h.workers()}
    assert after[1] != before[1] and (after[0], after[2]) == (before[0], before[2])
    assert [w["restarts"] for w in sorted(h.workers(), key=lambda w: w["slot"])] == [0, 1, 0]
    assert h.count_log(rf"error pool api slot 1 generation 1 pid {before[1]} killed by SIGKILL after it had served for") == 1
    assert h.count_log("pool api slot 1: starting another worker now") == 1
    assert call(port, "add", a=1, b=2)["sum"] == 3


def test_a_kill_under_load_costs_only_what_was_inside(handover):
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc(), sockets="web", workers=2)
    h.start()
    load = h.load("--new", 200, "--keepalive", "100,4", target=f"127.0.0.1:{port}")
    load.wait_answered(50)
    for pid in h.pids():
        kill(load, pid)
        h.wait(lambda gone=pid: gone not in h.pids() and len(h.pids()) == 2, "the restart")
        load.wait_answered(50)
    code, summary, printed = load.finish()
    assert code == 0 and summary["total"]["failed"] == 0, printed + h.tell()


def test_backoff_doubles_up_to_its_limit_with_jitter(handover):
    h = handover()
    h.pool("api", steps(f"exit-if:{h.path('bad')}:1", "ready"), restart_delay="40ms", restart_delay_max="200ms", crash_loop_after=1000)
    h.start()
    create(h.path("bad"))
    kill_all(h)
    h.wait_log("7 crashes in a row")
    waits = delays(h.log)[:6]
    assert h.count_log("starting another worker now") == 1
    for wait, middle in zip(waits, (40, 80, 160, 200, 200, 200)):
        assert 0.75 * middle - 1 <= wait <= 1.25 * middle + 1, waits
    assert len(set(waits[3:])) > 1, f"no jitter: {waits}"
    os.unlink(h.path("bad"))
    h.wait(lambda: len(h.pids()) == 1, "the recovery")


def test_crash_loop_degrades_and_recovers(handover):
    h = handover()
    bad = h.path("bad")
    h.pool("api", f"sh -c 'test $HANDOVER_SLOT = 1 && test -e {bad} && exit 3; exec {steps('ready')}'", workers=2, restart_delay="20ms",
           restart_delay_max="150ms", crash_loop_after=4, restart_reset="200ms")
    h.start()
    create(bad)
    os.kill(next(w["pid"] for w in h.workers() if w["slot"] == 1), signal.SIGKILL)
    h.wait_log("error pool api slot 1 crashed 4 times in a row: the instance is degraded; retrying at the slowest pace, for ever")
    status = h.status()
    assert status["degraded"] and status["pools"][0]["degraded"] and status["state"] == "running"
    assert [w["state"] for w in sorted(status["workers"], key=lambda w: w["slot"])][0] == "serving"
    h.wait_log("8 crashes in a row")
    assert h.count_log("times in a row: the instance is degraded") == 1, "said once"
    os.unlink(bad)
    h.wait_log("pool api slot 1 has recovered")
    assert not h.status()["degraded"] and len(h.pids()) == 2


def test_a_slot_without_process_is_shown_as_waiting(handover):
    h = handover()
    h.pool("api", steps(f"exit-if:{h.path('bad')}:1", "ready"), restart_delay="1h", restart_delay_max="1h")
    h.start()
    create(h.path("bad"))
    kill_all(h)
    h.wait_log("2 crashes in a row, next start in")
    [worker] = h.status()["workers"]
    assert (worker["state"], worker["pid"]) == ("waiting", None) and 2000 < worker["deadline_s"] <= 4500


@pytest.mark.parametrize("policy", ["stop-pool", "exit"])
def test_on_crash_loop(handover, policy):
    h = handover()
    port = h.socket("web")
    h.pool("api", steps(f"exit-if:{h.path('bad')}:1", "ready"), workers=2, restart_delay="20ms", crash_loop_after=3, on_crash_loop=policy)
    h.pool("good", rpc(), sockets="web")
    h.start()
    create(h.path("bad"))
    os.kill(h.pids("api")[0], signal.SIGKILL)
    if policy == "exit":
        h.wait_exit(1)
        assert "stopping the instance (on_crash_loop = exit)" in h.log and is_refused(port)
        return
    h.wait_log(r"3 times in a row: the instance is degraded; stopping the pool \(on_crash_loop = stop-pool\)")
    h.wait(lambda: h.pool_status("api")["state"] == "stopped" and not h.workers("api"), "the pool to be stopped")
    assert h.status()["degraded"] and not h.status()["ready"]
    assert call(port, "add", a=1, b=2)["sum"] == 3, "the other pool serves on"
    os.unlink(h.path("bad"))
    h.good_reload()
    h.wait_serving("api", 2)
    assert not h.status()["degraded"] and h.status()["ready"]


# --- policies ---

@pytest.mark.parametrize("restart, end, keys, again", [
    ("always", "exit:0", {}, True), ("always", "exit:1", {}, True),
    ("on-failure", "exit:0", {}, False), ("on-failure", "exit:1", {}, True), ("on-failure", "die:SEGV", {}, True),
    ("on-failure", "exit:42", {"success_codes": "42"}, False), ("on-failure", "die:USR1", {"success_codes": "42 SIGUSR1"}, False),
    ("on-failure", "exit:0", {"success_codes": "42"}, False), ("on-failure", "die:TERM", {}, True),
    ("never", "exit:0", {}, False), ("never", "exit:1", {}, False), ("never", "die:KILL", {}, False),
])
def test_restart_policies(handover, restart, end, keys, again):
    h = handover()
    # the first one ends when it is told to; those after it stay
    h.pool("api", f"sh -c 'test -e {h.path('once')} && exec {steps('ready')}; touch {h.path('once')}; "
           f"exec {steps('ready', 'await:' + h.path('go'), end)}'", restart=restart, **keys)
    h.start()
    first = h.pids()[0]
    create(h.path("go"))
    h.wait_gone(first)
    if again:
        h.wait(lambda: h.pids() and h.pids() != [first], "the restart")
        return
    h.wait_log("pool api slot 0 stays empty, as `restart` wants it; a reload or restart fills it")
    assert h.workers() == [] and h.pool_status("api")["serving"] == 0
    assert h.api.post("/v1/pools/api/restart")[0] == 200
    assert len(h.pids()) == 1


@pytest.mark.parametrize("end, words, level", [
    ("exit:3", "exited with code 3", "error"), ("die:TERM", "killed by SIGTERM", "error"), ("die:KILL", "killed by SIGKILL", "error"),
    ("die:USR2", "killed by SIGUSR2", "error"), ("exit:0", "exited with code 0", "notice"),
])
def test_exit_reasons_in_words(handover, end, words, level):
    h = handover()
    h.pool("api", steps("ready", f"await:{h.path('go')}", end))
    h.start()
    create(h.path("go"))
    h.wait_log(rf"{level} pool api slot 0 generation 1 pid \d+ {words} after it had served for [\d.]+ (?:us|ms|s)")
    os.unlink(h.path("go"))


@pytest.mark.parametrize("limit, words", [("infinity", "killed by SIGSEGV (core dumped)"), ("0", "killed by SIGSEGV after")])
def test_core_dumps_are_said(handover, limit, words):
    h = handover()
    h.pool("api", steps("ready", f"await:{h.path('go')}", "die:SEGV"), limit_core=limit, working_directory=h.place, crash_loop_after=1,
           restart="never")
    h.start()
    create(h.path("go"))
    h.wait_log(re.escape(words))


def test_a_worker_that_renews_itself_is_no_crash(handover):
    """STOPPING=1 by its own wish: a successor at once, while it finishes what it has."""
    h = handover()
    h.pool("api", steps("notify-on:USR1:STOPPING=1", "exit-on:USR2:0", "ready"))
    h.start()
    old = h.pids()[0]
    h.wait(lambda: h.workers()[0]["since_s"] > 1, "more than a second of service: less than that would count as a crash")
    os.kill(old, signal.SIGUSR1)
    h.wait_log(rf"pid {old} stops by its own wish and has 6 s")
    h.wait(lambda: h.workers("api", "serving"), "a successor beside it")
    assert is_alive(old)
    os.kill(old, signal.SIGUSR2)
    h.wait_log(rf"info pool api slot 0 generation 1 pid {old} exited with code 0, .* \(own wish\)")
    assert h.count_log("starting another worker now") == 1 and h.count_log("in a row") == 0


# --- watchdogs ---

def test_a_watchdog_that_is_fed(handover):
    h = handover()
    h.pool("api", steps("ready", "notify-every:50:WATCHDOG=1"), watchdog="1500ms")
    port = h.socket("web")
    h.pool("rpc", rpc(), sockets="web", watchdog="1500ms")
    h.start()
    pids = h.pids()
    h.wait(lambda: min(w["since_s"] for w in h.workers()) > 3.2, "two intervals")
    assert h.pids() == pids and h.count_log("hangs") == 0
    assert call(port, "add", a=1, b=2)["sum"] == 3


@pytest.mark.parametrize("command, keys, log", [
    (["ready"], {}, r"SIGABRT now, SIGKILL in 500 ms"),
    (["ready", "notify:WATCHDOG=1"], {"dump_signal": "SIGQUIT"}, "SIGQUIT now, SIGKILL in 500 ms"),
    (["ignore:ABRT", "ready"], {"dump_timeout": "100ms"},
     r"still there 100 ms after the dump signal: SIGKILL to it and all its processes"),
])
def test_a_watchdog_that_is_not_fed(handover, command, keys, log):
    h = handover()
    h.pool("api", steps(*command), watchdog="200ms", **keys)
    h.start()
    old = h.pids()[0]
    h.wait_log(rf"warning pool api slot 0 generation 1 pid {old} hangs: its watchdog was not fed for 200 ms")
    h.wait_log(log)
    h.wait(lambda: not is_alive(old) and h.pids() and h.pids() != [old], "the restart")
    h.wait_log(rf"pid {old} killed by SIG(ABRT|QUIT|KILL)( \(core dumped\))?, .* after it was told to go \(watchdog\)")


def test_a_process_that_is_stopped_is_a_hang(handover):
    h = handover()
    h.pool("api", steps("ready", "notify-every:50:WATCHDOG=1"), watchdog="300ms", dump_timeout="50ms")
    h.start()
    old = h.pids()[0]
    os.kill(old, signal.SIGSTOP)
    h.wait_log(rf"pid {old} hangs")
    h.wait(lambda: not is_alive(old) and h.pids(), "the restart")


def test_a_worker_can_pull_the_trigger_and_set_the_interval(handover):
    h = handover()
    h.pool("api", steps("ready", f"await:{h.path('go')}", "notify:WATCHDOG=trigger"))
    h.pool("own", steps("ready", f"await:{h.path('go')}", "notify:WATCHDOG_USEC=150000"), watchdog="1h")
    h.start()
    api, own = h.pids("api")[0], h.pids("own")[0]
    create(h.path("go"))
    h.wait_log(rf"pid {api} .*SIGABRT now")
    h.wait_log(rf"pid {own} hangs: .*SIGABRT now")
    os.unlink(h.path("go"))
    h.wait_gone(api, own)


def test_a_hung_request_loop_is_noticed(handover):
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc(), sockets="web", workers=2, watchdog="1s", dump_timeout="50ms")
    h.start()
    stuck = Call(port, "block", ms=60000)
    h.wait_log("hangs: its watchdog was not fed for 1 s, 1 request in flight")
    assert stuck.is_cut()
    h.wait(lambda: len(h.pids()) == 2, "the restart")
