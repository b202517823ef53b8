"""Reloads: what is replaced and what is not, what a failure leaves as it was, and who is told what."""
import contextlib
import os
import re
import shutil
import signal
import socket

import pytest

from harness import (RPC_WORKER, STEP_WORKER, call, connect, in_background, is_alive, is_refused, rpc, slow_calls, steps,
                     wait_until)


def create(path):
    with open(path, "w", encoding="utf-8"):
        pass


@contextlib.contextmanager
def without_a_loss(h, target):
    """Load on the target from before to after; not one request may fail."""
    load = h.load("--new", 100, "--keepalive", "100,4", target=target)
    load.wait_answered(20)
    yield load
    load.wait_answered(20)
    code, summary, printed = load.finish()
    assert code == 0 and summary["total"]["failed"] == 0, printed + h.tell()


# --- what a reload replaces ---

def test_a_reload_replaces_every_worker(handover):
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc("--version", 1), sockets="web", workers=2)
    h.start()
    old = h.pids()
    h.pool("api", rpc("--version", 2))
    h.write()
    with without_a_loss(h, f"127.0.0.1:{port}"):
        result = h.good_reload()
        assert result["message"] == "reload 2 committed: pool api: generation 2 serves with 2 workers"
        assert (result["kind"], result["id"]) == ("reload", 2) and result["by"].endswith(f"pid {os.getpid()}")
        new = h.wait_serving("api", 2, generation=2)
    assert not set(old) & set(new) and not any(map(is_alive, old))
    assert call(port, "info")["version"] == "2"
    assert h.status()["last_reload"]["result"] == "committed"


def test_sighup(handover):
    h = handover()
    h.pool("api", steps("ready"))
    h.start()
    h.signal(signal.SIGHUP)
    h.wait_log(r"reload 2 committed: pool api: generation 2")
    assert h.count_log(r"reload 2 begins \(SIGHUP\)") == 1


def test_many_sighups_are_few_reloads(handover):
    h = handover()
    h.pool("api", steps(f"exit-if:{h.path('no')}:1", f"await:{h.path('go')}", "ready"))
    create(h.path("go"))
    h.start()
    os.unlink(h.path("go"))
    for n in range(20):
        h.signal(signal.SIGHUP)
        h.wait(lambda: h.count_log("SIGHUP") > n, "the signal to be noticed")
    create(h.path("go"))
    h.wait_log("reload 3 committed")
    assert h.reload()[1]["id"] == 4, "one that ran, and one for all that came meanwhile"


def test_a_reload_takes_no_longer_than_its_workers(handover):
    """New workers of all pools start side by side: none is ready before the last one is started."""
    h = handover()
    create(h.path("go-1"))
    for name in "abcd":
        h.pool(name, steps(f"await:{h.path('go')}-%g", "ready"), workers=2)
    h.start()
    reload = in_background(h.good_reload)
    h.wait_log(r"generation 2 pid \d+ started", count=8)
    create(h.path("go-2"))
    assert reload.result()["result"] == "committed"


def test_twenty_reloads_leave_nothing_behind(handover):
    h = handover()
    port = h.socket("web")
    h.pool("api", steps("exit-on:TERM:0", "ready"), sockets="web", workers=3)
    h.start()
    h.good_reload(wait="drained")
    h.wait(lambda: len(h.workers()) == 3, "the old ones to be gone")
    before = len(os.listdir(f"/proc/{h.pid}/fd"))
    for n in range(20):
        assert h.good_reload(wait="drained")["id"] == n + 3
    h.wait_serving("api", 3, generation=22)
    h.wait(lambda: len(os.listdir(f"/proc/{h.pid}/fd")) <= before, "no more descriptors than before")
    connect(port).close()


# --- reload --changed ---

def test_changed_with_nothing_changed(handover):
    h = handover()
    h.socket("web")
    h.pool("api", rpc(), sockets="web", workers=2)
    h.start()
    old = sorted(h.pids())
    assert h.good_reload(changed=True)["message"] == "reload 2 committed: nothing had changed, nothing was touched"
    assert sorted(h.pids()) == old


@pytest.mark.parametrize("how", ["touched", "replaced", "replaced behind a link"])
def test_changed_notices_the_executable(handover, how):
    h = handover()
    program, link = h.path("worker"), h.path("link")
    shutil.copy(STEP_WORKER, program)
    os.symlink(program, link)
    h.pool("api", f"{link if 'link' in how else program} ready", workers=2)
    h.pool("other", steps("ready"))
    h.start()
    other = h.pids("other")
    if how == "touched":
        os.utime(program, (1, 1))
    else:
        shutil.copy(STEP_WORKER, h.path("new"))
        os.rename(h.path("new"), program)
    result = h.good_reload(changed=True)
    assert result["message"] == "reload 2 committed: pool api: generation 2 serves with 2 workers"
    assert result["remarks"] == [f"pool api: executable {'changed in place' if how == 'touched' else 'replaced'}"]
    h.wait_serving("api", 2, generation=2)
    assert h.pids("other") == other
    assert "nothing was touched" in h.good_reload(changed=True)["message"]


def test_changed_budgets_leave_workers_and_count_at_once(handover):
    h = handover()
    h.pool("api", steps("ignore:TERM", "ready"), drain_timeout="1h", stop_timeout="1h")
    h.start()
    old = h.pids()
    h.pool("api", drain_timeout="200ms", stop_timeout="200ms")
    h.write()
    result = h.good_reload(changed=True)
    assert result["message"] == "reload 2 committed: pool api: new settings, the workers stay"
    assert result["remarks"] == ["pool api: drain_timeout changed, stop_timeout changed"]
    assert h.pids() == old
    h.good_reload(wait="drained")
    assert h.count_log("has not ended within its [0-9.]+ m?s .reload.: SIGKILL") == 1
    h.stop()


def test_changed_number_of_workers(handover):
    h = handover()
    h.pool("api", steps("ready"), workers=2)
    h.start()
    old = set(h.pids())
    for n in (5, 1, 3):
        h.pool("api", workers=n)
        h.write()
        assert h.good_reload(changed=True)["message"].endswith(f": pool api: {n} worker{'s' if n > 1 else ''}")
        now = set(h.wait_serving("api", n, generation=1))
        assert now & old and (now <= old or old <= now), "those that can stay do"
        old = now
    assert h.pool_status("api")["configured"] == 3


def test_changed_only_rolls_the_pool_that_differs(handover):
    h = handover()
    h.pool("a", steps("ready"))
    h.pool("b", steps("ready"), environment="X=1")
    h.start()
    a = h.pids("a")
    h.pool("b", environment="X=2")
    h.write()
    result = h.good_reload(changed=True)
    assert result["message"] == "reload 2 committed: pool b: generation 2 serves with 1 worker"
    assert result["remarks"] == ["pool b: environment changed"]
    assert h.pids("a") == a


def test_another_way_of_writing_the_same_is_no_change(handover):
    h = handover()
    h.pool("api", steps("ready"), drain_timeout="6s", environment="A=1 B=2", success_codes="3 SIGHUP", limit_core="1M")
    h.start()
    old = h.pids()
    h.pool("api", drain_timeout="6000ms", environment=["A=1", "B=2"], success_codes="HUP, 3", limit_core="1024K")
    h.write()
    assert "nothing was touched" in h.good_reload(changed=True)["message"]
    assert h.pids() == old


def test_dropins_are_read_anew(handover):
    h = handover()
    h.pool("api", steps("ready"))
    h.start()
    os.mkdir(h.config + ".d")
    with open(h.config + ".d/10-more.ini", "w", encoding="utf-8") as file:
        file.write("[pool:api]\nworkers = 3\n")
    h.good_reload()
    h.wait_serving("api", 3)


# --- reload POOL ---

def test_reload_of_one_pool_says_what_else_differs(handover):
    h = handover()
    h.socket("web")
    for name in "abcd":
        h.pool(name, steps("ready"))
    h.start()
    others = {name: h.pids(name) for name in "bcd"}
    h.pool("b", workers=2)
    h.pool("c", steps("ready", "sleep:1"))
    h.pool("e", steps("ready"))
    del h.sections["pool:d"]
    h.write()
    result = h.good_reload(pool="a")
    assert result["message"] == "reload 2 committed: pool a: generation 2 serves with 1 worker"
    assert sorted(result["remarks"]) == [
        "pool b: differs on disk and was not touched: workers changed",
        "pool c: differs on disk and was not touched: command changed",
        "pool d: is no longer on disk and was not touched; a full reload removes it",
        "pool e: is new on disk and was not touched"]
    assert {name: h.pids(name) for name in "bcd"} == others and not h.pids("e")
    assert "pool e: generation 1 serves with 1 worker" in h.good_reload(pool="e")["message"]
    assert h.pids("e") and {name: h.pids(name) for name in "bcd"} == others


def test_reload_of_a_pool_that_is_not_there(handover):
    h = handover()
    h.pool("api", steps("ready"))
    h.start()
    code, answer = h.reload(pool="web")
    assert code in (404, 409) and "no pool 'web'" in answer.get("error", answer.get("message", ""))


# --- what fails, changes nothing ---

def check_unchanged(h, port, old, generation=1):
    """The old workers serve on, and a crash brings the old version back."""
    assert sorted(h.wait_serving("api", len(old))) == sorted(old)
    assert call(port, "info")["version"] == "1"
    victim = call(port, "info")["pid"]
    os.kill(victim, signal.SIGKILL)
    h.wait(lambda: victim not in h.pids("api") and len(h.pids("api")) == len(old), "its successor")
    h.wait_serving("api", len(old), generation=generation)
    assert {call(port, "info")["version"] for _ in range(8)} == {"1"}


@pytest.fixture(name="serving")
def fixture_serving(handover):
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc("--version", 1), sockets="web", workers=2)
    h.start()
    return h, port, h.pids()


def test_a_configuration_with_mistakes(serving):
    h, port, old = serving
    h.write(h.text() + "drain_timout = 3s\nworkers = many\n")
    with without_a_loss(h, f"127.0.0.1:{port}"):
        code, result = h.reload()
    assert (code, result["result"]) == (422, "failed")
    assert re.fullmatch(rf"reload 2 failed: the configuration has 2 mistakes, the first: {re.escape(h.config)}:\d+: \[pool:api\] "
                        "drain_timout: .*; still serving: pool api generation 1 with 2 of 2 workers", result["message"])
    assert [(p["file"], p["warning"]) for p in result["problems"]] == [(h.config, False)] * 2
    assert "did you mean 'drain_timeout'?" in result["problems"][0]["text"] and result["problems"][0]["line"] > 0
    assert h.count_log(rf"error +{re.escape(h.config)}:\d+: \[pool:api\] drain_timout") == 1
    check_unchanged(h, port, old)


BAD_VERSIONS = {
    "missing": ({"command": "/no/such/program"}, r"the configuration has 1 mistake", None),
    "exits at once": ({"command": rpc("--version", 2, "--exit-at-start", 3)},
                      r"pool api slot \d generation 2 pid \d+ exited with code 3, .* after its start, before it was ready",
                      "rpc-worker: cannot open database: connection refused"),
    "dies": ({"command": rpc("--die-at-start", "ABRT")}, r"killed by SIGABRT.* before it was ready", None),
    "never ready": ({"command": rpc("--version", 2, "--never-ready"), "start_timeout": "200ms"},
                    r"was not ready within 200 ms \(start_timeout\)", None),
    "hangs and ignores SIGTERM": ({"command": steps("say:stuck", "notify:STATUS=hanging", "ignore:TERM"), "start_timeout": "700ms",
                                   "drain_timeout": "100ms"}, r'was not ready within 700 ms .*its status: "hanging"', "stuck"),
    "ready and then gone": ({"command": steps("ready", "sleep:100", "err:boom", "exit:4"), "min_ready": "5s"},
                            r"exited with code 4, .* after its start, [\d.]+ ms after it was ready", "boom"),
    "says that it stops": ({"command": steps("notify:STOPPING=1", "sleep:100000"), "drain_timeout": "100ms"}, r"said by itself that it stops", None),
    "no such user": ({"user": "no-such-user"}, r"the configuration has 1 mistake", None),
}


@pytest.mark.parametrize("keys, said, last_line", BAD_VERSIONS.values(), ids=BAD_VERSIONS.keys())
def test_a_bad_version(serving, keys, said, last_line):
    h, port, old = serving
    h.section("pool:api", **keys)
    h.write()
    with without_a_loss(h, f"127.0.0.1:{port}"):
        result = h.bad_reload()
        assert re.search(rf"reload 2 failed: .*{said}", result["message"]), result["message"]
        assert "still serving: pool api generation 1 with 2 of 2 workers" in result["message"]
        if last_line:
            assert result["lines"][-1] == last_line and result["worker"]["generation"] == 2
        else:
            assert result["lines"] == []
    assert result["message"] in h.log
    check_unchanged(h, port, old)
    status = h.status()
    assert status["last_reload"]["message"] == result["message"] and status["reload"] is None
    # and the next good one is as if nothing had been
    h.section("pool:api", user=None, start_timeout=None, min_ready=None, drain_timeout=None, command=rpc("--version", 3))
    h.write()
    h.good_reload(wait="drained")
    assert call(port, "info")["version"] == "3"


def test_a_version_that_cannot_be_executed(handover):
    """The check before a reload cannot see everything; exec can: somebody still writes the file."""
    h = handover()
    program = h.path("worker")
    shutil.copy(STEP_WORKER, program)
    h.pool("api", f"{program} ready", workers=2)
    h.start()
    old = h.pids()
    shutil.copy(STEP_WORKER, h.path("new"))
    with open(h.path("new"), "ab"):
        os.rename(h.path("new"), program)
        result = h.bad_reload()
    assert re.search(rf"slot [01] generation 2 cannot be started: cannot execute {program}: Text file busy", result["message"])
    assert h.wait_serving("api", 2) == old
    assert h.good_reload()["result"] == "committed"


def test_no_pool_is_touched_when_another_one_fails(handover):
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc("--version", 1), sockets="web", workers=2)
    h.pool("good", steps("ready"), workers=2)
    h.start()
    old, good, since = h.pids("api"), h.pids("good"), h.mark()
    h.pool("api", rpc("--version", 2))
    h.pool("good", steps("ready", "sleep:1"))
    h.pool("new", steps("sleep:200", "exit:1"))
    h.write()
    with without_a_loss(h, f"127.0.0.1:{port}"):
        result = h.bad_reload()
    assert "pool new slot 0 generation 1" in result["message"]
    assert h.wait_serving("api", 2) == old and h.wait_serving("good", 2) == good
    for pid in old + good:
        assert f"pid {pid} drains" not in h.log[since:]
    assert h.count_log(r"pool (api|good) slot \d generation 2 pid \d+ is ready", since) == 4, "they were ready, and let go"
    h.wait(lambda: [p["name"] for p in h.status()["pools"]] == ["api", "good"], "the new pool to be gone")
    assert call(port, "info")["version"] == "1"


def second_slot_fails(code=3):
    return f"sh -c 'test $HANDOVER_SLOT = 1 && exit {code}; exec {RPC_WORKER} --version 2'"


def test_undo_after_the_first_batch(handover):
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc("--version", 1), sockets="web", workers=3, max_surge=1)
    h.start()
    old = {w["slot"]: w["pid"] for w in h.workers()}
    h.pool("api", second_slot_fails())
    h.write()
    with without_a_loss(h, f"127.0.0.1:{port}"):
        result = h.bad_reload()
        assert re.search(r"pool api slot 1 generation 2 pid \d+ exited with code 3", result["message"])
        assert re.search(r"still serving: pool api generation 1 with \d of 3 workers \(being restored\)", result["message"])
        h.wait_serving("api", 3, generation=1)
    new = {w["slot"]: w["pid"] for w in h.workers()}
    assert new[0] != old[0], "the first batch was replaced, and put back"
    assert (new[1], new[2]) == (old[1], old[2])
    assert {call(port, "info")["version"] for _ in range(8)} == {"1"}
    assert h.pool_status("api")["state"] == "serving"


def test_a_worker_that_dies_behind_the_cursor_undoes_all(handover):
    """Slot 0 is new and serves, slot 1 is on its way: then the new one of slot 0 dies."""
    h = handover()
    go = h.path("go")
    h.pool("api", steps("ready"), workers=2, max_surge=1)
    h.start()
    old = {w["slot"]: w["pid"] for w in h.workers()}
    h.pool("api", f"sh -c 'test $HANDOVER_SLOT = 1 && exec {STEP_WORKER} await:{go} ready; exec {STEP_WORKER} ready'")
    h.write()
    future = in_background(h.reload)
    first = int(h.wait_log(r"pool api slot 0 generation 2 pid (\d+) is ready")[1])
    h.wait_log(r"pool api slot 1 generation 2 pid \d+ started")
    os.kill(first, signal.SIGKILL)
    code, result = future.result(30)
    assert code == 409 and re.search(rf"pid {first} killed by SIGKILL, .* after it was ready", result["message"])
    h.wait_serving("api", 2, generation=1)
    assert old[1] in h.pids() and old[0] not in h.pids()


def test_an_old_worker_that_dies_meanwhile_does_not_end_a_reload(handover):
    h = handover()
    h.pool("api", steps(f"exit-if:{h.path('x')}:1", "ready"), workers=2)
    h.start()
    old = h.pids()
    h.pool("api", steps(f"await:{h.path('go')}", "ready"))
    h.write()
    future = in_background(h.reload)
    h.wait_log(r"generation 2 pid \d+ started", count=2)
    os.kill(old[0], signal.SIGKILL)
    h.wait_log(rf"pid {old[0]} killed by SIGKILL after it had served")
    create(h.path("go"))
    code, result = future.result(30)
    assert code == 200, result
    h.wait_serving("api", 2, generation=2)


# --- batches, min_ready, room ---

def test_max_surge_limits_how_many_are_new_at_a_time(handover):
    h = handover()
    h.pool("api", steps("exit-on:TERM:0", "ready"), workers=5, max_surge="30%")  # rounded up: 2
    h.start()
    since = h.mark()
    h.good_reload(wait="drained")
    assert re.findall(r"starting (\d) workers? of generation 2 from slot (\d)", h.log[since:]) == [("2", "0"), ("2", "2"), ("1", "4")]
    live = 5
    for word in re.findall(r"generation [12] pid \d+ (started|drains)", h.log[since:]):
        live += 1 if word == "started" else -1
        assert 5 <= live <= 7, "never fewer than the pool's size, never more than it and max_surge"


def test_min_ready_is_waited_for(handover):
    h = handover()
    h.pool("api", steps("ready"), workers=2, max_surge=1, min_ready="150ms")
    h.start()
    result = h.good_reload()
    assert 2 * 150 <= result["duration_ms"]


def drains_until_told(h):
    """A worker that goes on until the file of its generation is there, whoever tells it to stop."""
    return steps("ignore:TERM", "ready", f"await:{h.path('end')}-%g", "exit:0")


def test_max_processes_makes_a_reload_wait_for_drains(handover):
    h = handover()
    h.pool("api", drains_until_told(h), workers=2, max_processes=4, drain_timeout="1h", stop_timeout="50ms")
    h.start()
    h.good_reload()
    second = in_background(h.good_reload, wait="drained")
    h.wait(lambda: h.status()["reload"] and h.status()["reload"]["pools"][0]["state"] == "waiting", "it to wait for room")
    assert len(h.workers("api", "draining")) == len(h.workers("api", "serving")) == 2
    create(h.path("end-1"))
    h.wait_log("reload 3 committed")
    assert not second.done() and h.count_log("SIGKILL") == 0
    create(h.path("end-2"))
    assert second.result()["result"] == "committed"
    h.wait_serving("api", 2, generation=3)


def test_progress_timeout_ends_a_reload_without_room(handover):
    h = handover()
    h.pool("api", steps("ignore:TERM", "ready"), workers=2, max_processes=4, drain_timeout="1h", stop_timeout="50ms",
           start_timeout="100ms", progress_timeout="300ms")
    h.start()
    h.good_reload()
    serving = h.pids("api")
    result = h.bad_reload()
    assert "pool api got no further for 300 ms (progress_timeout): max_processes = 4 leaves no room" in result["message"]
    assert h.pids("api") == serving


# --- queueing, joining, waiting, giving up ---

def test_requests_that_come_meanwhile_wait_and_join(handover):
    h = handover()
    h.pool("a", steps(f"await:{h.path('go')}", "ready"))
    h.pool("b", steps("ready"))
    create(h.path("go"))
    h.start()
    os.unlink(h.path("go"))
    first = in_background(h.reload)
    h.wait_log("reload 2 begins")
    same = [in_background(h.reload) for _ in range(3)]
    other = in_background(h.reload, pool="b")
    h.wait(lambda: h.status()["queued"] == 4, "four to be queued")
    assert h.status()["reload"]["id"] == 2
    create(h.path("go"))
    assert first.result(30)[1]["id"] == 2
    results = [future.result(30)[1] for future in same]
    joint = results[0]["id"]
    assert {result["id"] for result in results} == {joint} and {joint, other.result(30)[1]["id"]} == {3, 4}
    assert h.status()["queued"] == 0
    assert h.count_log("reload . begins") == 3


def test_a_queued_request_gets_the_result_of_its_own_reload(handover):
    h = handover()
    h.pool("api", steps(f"await:{h.path('go')}", "ready"))
    create(h.path("go"))
    h.start()
    os.unlink(h.path("go"))
    first = in_background(h.reload)
    h.wait_log("reload 2 begins")
    h.pool("api", steps("exit:9"))
    h.write()  # after the first has read it, and before the second does
    second = in_background(h.reload)
    h.wait(lambda: h.status()["queued"] == 1, "the second to be queued")
    create(h.path("go"))
    assert first.result(30)[0] == 200
    code, result = second.result(30)
    assert code == 409 and "exited with code 9" in result["message"]
    h.wait_serving("api", 1, generation=2)


def test_wait_drained(handover):
    h = handover()
    h.pool("api", drains_until_told(h), workers=2, drain_timeout="1h", stop_timeout="50ms")
    h.start()
    old = h.pids()
    drained = in_background(h.reload, wait="drained")
    h.wait_log("reload 2 committed")
    assert all(map(is_alive, old)) and not drained.done()
    create(h.path("end-1"))
    code, result = drained.result(30)
    assert code == 200 and result["result"] == "committed"
    assert not any(map(is_alive, old))


def test_a_caller_that_goes_away_does_not_stop_a_reload(handover):
    h = handover()
    h.pool("api", steps(f"await:{h.path('go')}", "ready"))
    create(h.path("go"))
    h.start()
    os.unlink(h.path("go"))
    with h.api.lines("POST", "/v1/reload", progress=True) as lines:
        lines.until(event="worker-started")
    h.wait_log("went away; it goes on without")
    create(h.path("go"))
    h.wait_log("reload 2 committed")


def test_abort_on_disconnect(handover):
    h = handover()
    h.pool("api", steps(f"await:{h.path('go')}", "ready"), workers=2)
    create(h.path("go"))
    h.start()
    old = h.pids()
    os.unlink(h.path("go"))
    with h.api.lines("POST", "/v1/reload", progress=True, abort_on_disconnect=True) as lines:
        lines.until(event="worker-started")
    h.wait_log("reload 2 aborted: its caller went away; still serving: pool api generation 1 with 2 of 2 workers")
    assert sorted(h.wait_serving("api", 2)) == sorted(old)
    create(h.path("go"))
    assert h.good_reload()["id"] == 3


def test_abort_after_the_first_batch_is_undone(handover):
    h = handover()
    h.pool("api", steps("ready"), workers=2, max_surge=1)
    h.start()
    h.pool("api", f"sh -c 'test $HANDOVER_SLOT = 1 && exec {STEP_WORKER}; exec {STEP_WORKER} ready'")
    h.write()
    with h.api.lines("POST", "/v1/reload", progress=True, abort_on_disconnect=True) as lines:
        lines.until(event="worker-started", slot=1)
    h.wait_log("reload 2 aborted")
    h.wait_serving("api", 2, generation=1)


def test_a_joint_reload_is_only_aborted_when_all_are_gone(handover):
    h = handover()
    h.pool("api", steps(f"await:{h.path('go')}", "ready"))
    create(h.path("go"))
    h.start()
    os.unlink(h.path("go"))
    first = in_background(h.reload)
    h.wait_log("reload 2 begins")
    lines = h.api.lines("POST", "/v1/reload", progress=True, abort_on_disconnect=True)
    other = in_background(h.reload)
    h.wait(lambda: h.status()["queued"] == 2, "two to be queued")
    lines.close()
    h.wait(lambda: h.status()["queued"] == 1, "one of them to be gone")
    create(h.path("go"))
    assert first.result(30)[0] == 200 and other.result(30)[1]["id"] == 3
    assert not h.count_log("aborted")


def test_a_stop_ends_a_running_reload_and_those_that_wait(handover):
    h = handover()
    h.pool("api", steps(f"await:{h.path('go')}", "ready"), workers=2)
    create(h.path("go"))
    h.start()
    os.unlink(h.path("go"))
    running = in_background(h.reload)
    h.wait_log("reload 2 begins")
    waiting = in_background(h.reload)
    h.wait(lambda: h.status()["queued"] == 1, "one to be queued")
    h.stop()
    for future in (running, waiting):
        code, result = future.result(30)
        assert code in (409, 503) and result["result"] in ("refused", "failed") and "the instance stops" in result["message"], result


# --- sockets ---

def test_sockets_are_added_and_removed(handover):
    h = handover()
    one = h.socket("one")
    h.pool("api", rpc(), sockets="one", workers=2)
    h.start()
    two = h.socket("two")
    h.pool("api", sockets="one two")
    h.write()
    with without_a_loss(h, f"127.0.0.1:{one}"):
        h.good_reload()
        assert call(two, "add", a=1, b=2)["sum"] == 3
        del h.sections["socket:two"]
        h.pool("api", sockets="one")
        h.write()
        h.good_reload()
        h.wait(lambda: is_refused(two), "the second socket to be closed")
    assert [s["name"] for s in h.status()["sockets"]] == ["one"]


def test_another_port(handover):
    h = handover()
    old = h.socket("web")
    h.pool("api", rpc("--version", 1), sockets="web")
    h.start()
    [slow] = slow_calls(h, old)
    new = h.socket("web")
    h.write()
    result = h.good_reload(changed=True)
    assert "pool api: generation 2" in result["message"] and result["remarks"] == ["pool api: sockets changed"]
    assert call(new, "add", a=1, b=2)["sum"] == 3
    assert slow.answer()["sum"] == 3
    h.wait(lambda: is_refused(old), "the old port to be closed")


def test_a_socket_is_kept_by_its_address_whatever_its_name(handover):
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc(), sockets="web")
    h.start()
    h.section("socket:renamed", **h.sections.pop("socket:web"), backlog=77)
    h.pool("api", sockets="renamed")
    h.write()
    with without_a_loss(h, f"127.0.0.1:{port}"):
        h.good_reload(wait="drained")
        assert call(port, "info")["sockets"] == "renamed"
    assert [(s["name"], s["queue_limit"]) for s in h.status()["sockets"]] == [("renamed", 77)]


def test_a_unix_socket_keeps_its_file_and_takes_a_new_mode(handover):
    h = handover()
    path = h.path("api.sock")
    h.socket("web", f"unix:{path}", mode="0600")
    h.pool("api", rpc(), sockets="web")
    h.start()
    inode = os.stat(path).st_ino
    h.section("socket:web", mode="0666")
    h.write()
    with without_a_loss(h, f"unix:{path}"):
        h.good_reload()
    assert (os.stat(path).st_ino, os.stat(path).st_mode & 0o777) == (inode, 0o666)


def test_a_new_address_in_use_changes_nothing(serving):
    h, port, old = serving
    good, bad = h.socket("good"), h.socket("bad")
    h.pool("api", rpc("--version", 2), sockets="web good bad")
    h.write()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", bad))
        other.listen()
        result = h.bad_reload()
    assert re.search(rf"socket bad: cannot bind tcp 127\.0\.0\.1:{bad}: address in use by \S+ \(pid {os.getpid()}\)", result["message"])
    assert is_refused(good), "those that were opened are closed again"
    check_unchanged(h, port, old)


def test_what_an_open_socket_cannot_change_is_refused(serving):
    h, port, old = serving
    h.section("socket:web", ipv6_only="yes")
    h.write()
    result = h.bad_reload()
    assert "ipv6_only" in result["message"] + str(result["problems"])
    check_unchanged(h, port, old)


def test_two_sockets_exchange_their_names(handover):
    h = handover()
    one, two = h.socket("one"), h.socket("two")
    h.pool("a", rpc("--version", "a"), sockets="one")
    h.pool("b", rpc("--version", "b"), sockets="two")
    h.start()
    h.section("socket:one", listen=f"tcp://127.0.0.1:{two}")
    h.section("socket:two", listen=f"tcp://127.0.0.1:{one}")
    h.write()
    h.good_reload(wait="drained")
    assert (call(one, "info")["version"], call(two, "info")["version"]) == ("b", "a")


# --- pools, scale, the supervisor's own keys ---

def test_pools_are_added_and_removed(handover):
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc(), sockets="web")
    h.start()
    api = h.pids("api")
    h.pool("more", steps("ready"), workers=2)
    h.write()
    assert "pool more: generation 1 serves with 2 workers" in h.good_reload(changed=True)["message"]
    more = h.pids("more")
    del h.sections["pool:more"]
    h.write()
    assert "pool more: removed" in h.good_reload(changed=True)["message"]
    h.wait_gone(*more)
    h.wait(lambda: [p["name"] for p in h.status()["pools"]] == ["api"], "the pool to be gone")
    assert h.pids("api") == api and call(port, "add", a=1, b=2)["sum"] == 3


def test_a_pool_that_comes_back_while_it_still_drains(handover):
    h = handover()
    h.pool("api", steps("ready"))
    h.pool("more", steps("ignore:TERM", "ready"), drain_timeout="1h", stop_timeout="50ms")
    h.start()
    old = h.pids("more")
    more = h.sections.pop("pool:more")
    h.write()
    h.good_reload()
    h.section("pool:more", **{**more, "command": steps("ready")})
    h.write()
    h.good_reload()
    new = h.pids("more")
    assert len(new) == 1 and new != old and is_alive(old[0])


def test_scale_by_hand_is_taken_back_and_said(handover):
    h = handover()
    h.pool("api", steps("ready"), workers=2)
    h.start()
    assert h.api.post("/v1/pools/api/scale", workers=5)[0] == 200
    h.wait_serving("api", 5)
    result = h.good_reload(changed=True)
    assert result["remarks"] == ["pool api: was scaled to 5 workers by hand, and is set back to 2 as configured"]
    h.wait_serving("api", 2)
    assert h.good_reload()["remarks"] == []


def test_log_level_and_lame_duck_take_effect(handover):
    h = handover()
    h.pool("api", steps("ready"))
    h.start()
    h.supervisor(log_level="warning", lame_duck="1h")
    h.write()
    h.good_reload()
    since = h.mark()
    h.good_reload()
    assert h.log[since:] == ""
    h.signal(signal.SIGTERM)
    h.wait(lambda: h.status()["state"] == "lame-duck", "the lame duck")
    h.api.post("/v1/stop", now=True)
    h.wait_exit()


def test_status_listen_can_be_added_moved_and_removed(handover):
    h = handover()
    h.pool("api", steps("ready"))
    h.start()
    one, two = h.ports.take(), h.ports.take()

    def set_to(port):
        h.supervisor(status_listen=port and f"127.0.0.1:{port}")
        h.write()
        h.good_reload()
    set_to(one)
    connect(one).close()
    set_to(two)
    connect(two).close()
    wait_until(lambda: is_refused(one), "the old address to be closed")
    set_to(None)
    wait_until(lambda: is_refused(two), "the address to be closed")
