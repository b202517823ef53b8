"""What happens when canaries are bad, or the person who is to decide about them is elsewhere: see docs/what-happens-when.md."""
import json
import os
import re
import signal

import promtext
from canary_cases import check, held, two_versions, untouched
from harness import PATIENCE, STEP_WORKER, in_background, steps


def test_one_that_crashes(handover):
    h = handover()
    old = two_versions(h, steps("ready", "sleep:20", "exit:3"), canary_time="10s", stop_timeout="1s")
    h.pool("other", steps("exit-on:TERM:0", "ready"))
    h.write()
    result = h.bad_reload()
    assert re.match(r"reload 2 failed: pool api slot 0 generation 2 pid \d+, a canary, exited with code 3, .* after it was ready; "
                    r"still serving: pool api generation 1 with 3 of 3 workers", result["message"])
    untouched(h, old)
    assert h.count_log(r"pool api slot \d generation 2 pid \d+ started") == 1, "no other was ever started"
    h.wait(lambda: not h.workers("other"), "the pool that was to be added to go")


def test_one_that_hangs(handover):
    h = handover()
    h.pool("api", steps("exit-on:TERM:0", "notify-every:50:WATCHDOG=1", "ready"), workers=2, watchdog="300ms", canary=1,
           canary_time="20s")
    h.pool("api", f"sh -c 'exec {STEP_WORKER} exit-on:TERM:0 ready notify-every:50:WATCHDOG=1'")
    h.start()
    old = h.pids()
    h.pool("api", steps("ready"))
    h.write()
    assert re.search(r"pid \d+, a canary, hangs: its watchdog was not fed for 300 ms", h.bad_reload()["message"])
    untouched(h, old)


def test_a_command_that_says_no(handover):
    h = handover()
    old = two_versions(h, steps("exit-on:TERM:0", "ready"), canary_check=check(h, "echo 4 % of the calls fail; exit 7"))
    result = h.bad_reload()
    assert result["message"] == ("reload 2 failed: pool api generation 2: canary_check exited with code 7; still serving: pool api "
                                 "generation 1 with 3 of 3 workers")
    assert result["lines"] == ["4 % of the calls fail"]
    untouched(h, old)
    metrics = promtext.parse(h.api.request("GET", "/metrics")[1])
    assert metrics["handover_canaries_total"].value(pool="api", result="bad") == 1
    assert metrics["handover_canaries_total"].value(pool="api", result="good") == 0


def test_a_command_that_hangs_is_ended(handover):
    h = handover()
    old = two_versions(h, steps("exit-on:TERM:0", "ready"), canary_check=check(h, f"echo $$ > {h.path('pid')}; sleep 1000 & wait"),
                       canary_check_timeout="300ms")
    result = h.bad_reload()
    assert "pool api generation 2: canary_check has not ended within 300 ms (canary_check_timeout)" in result["message"]
    untouched(h, old)
    with open(h.path("pid"), encoding="utf-8") as file:
        h.wait_gone(int(file.read()))


def test_a_command_that_cannot_be_run(handover):
    """It was there when the configuration was read."""
    h = handover()
    old = two_versions(h, steps("exit-on:TERM:0", "ready"), canary_time="500ms", canary_check=check(h, "exit 0"))
    asked = in_background(h.bad_reload)
    h.wait_log("canary of generation 2 serves")
    os.unlink(h.path("check.sh"))
    assert "canary_check cannot be run: No such file or directory" in asked.result(PATIENCE)["message"]
    untouched(h, old)


def test_held_and_forgotten(handover):
    h = handover()
    old, _ = held(h, canary_hold_timeout="300ms")
    h.wait_log("reload 2 aborted: nobody has promoted it within 300 ms \\(canary_hold_timeout\\); still serving: pool api generation 1")
    untouched(h, old)
    assert h.status()["last_reload"]["result"] == "aborted"
    done = h.cli("promote")
    assert (done.returncode, done.stderr) == (1, "handover: promote refused: no reload is held\n")
    done = h.cli("abort", "--json")
    assert done.returncode == 1 and json.loads(done.stdout)["message"] == "abort refused: no reload runs or is held"
    assert h.api.post("/v1/reload/promote")[0] == 409


def test_those_that_waited_behind_it_are_refused(handover):
    h = handover()
    two_versions(h, steps("exit-on:TERM:0", "ready"), canary_hold="yes", canary_check=check(h, f"while ! test -e {h.path('go')}; do sleep 0.02; done"))
    first = in_background(h.reload)
    h.wait(lambda: h.status()["reload"] and h.status()["reload"]["pools"][0]["state"] == "checking", "the command to run")
    second = in_background(h.reload, changed=True)
    h.signal(signal.SIGHUP)
    h.wait(lambda: h.status()["queued"] == 2, "both to wait")
    with open(h.path("go"), "w", encoding="utf-8"):
        pass
    assert first.result(PATIENCE)[1]["result"] == "held"
    code, result = second.result(PATIENCE)
    assert (code, result["result"]) == (409, "refused") and "reload 2 is held" in result["message"]
    h.wait_log("reload asked for by SIGHUP, refused")
    assert h.api.post("/v1/reload/abort")[1]["result"] == "aborted"
    assert h.status()["queued"] == 0 and h.status()["reload"] is None


def test_old_workers_that_die_meanwhile_come_back(handover):
    """From the old version; the canary is not to blame, and a person still decides."""
    h = handover()
    old, canary = held(h)
    os.kill(old[0], signal.SIGKILL)
    os.kill(old[-1], signal.SIGKILL)
    h.wait_log("generation 1 pid \\d+ killed by SIGKILL", count=2)
    h.wait_serving("api", 4)
    assert sorted(w["generation"] for w in h.workers("api", "serving")) == [1, 1, 1, 2]
    assert h.status()["reload"]["state"] == "held"
    code, result = h.api.post("/v1/reload/promote")
    assert code == 200 and canary in h.pids("api"), result


def test_a_canary_that_dies_meanwhile_takes_all_pools_back(handover):
    h = handover()
    h.pool("web", steps("exit-on:TERM:0", "ready"))
    old, canary = held(h)
    web = [w["pid"] for w in h.workers("web") if w["generation"] == 1]
    assert len(h.pids("web")) == 2, "its new worker waits beside the old one"
    os.kill(canary, signal.SIGKILL)
    h.wait_log(rf"reload 2 failed: pool api slot 0 generation 2 pid {canary}, a canary, killed by SIGKILL")
    untouched(h, old)
    h.wait(lambda: h.pids("web") == web and len(h.workers("web")) == 1, "the other pool to be as before")


def test_a_stop_ends_it(handover):
    h = handover()
    held(h)
    h.stop()
    assert "reload 2 failed: the instance stops" in h.log
