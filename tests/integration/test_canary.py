"""Canaries: the first workers of a new version serve beside the old ones and are judged, by what they do, by a command, and
by a person, before any old worker goes. (What becomes of bad ones: test_when_canary.py.)"""
import re
import signal

import promtext
from canary_cases import check, held, two_versions
from harness import PATIENCE, STEP_WORKER, call, in_background, rpc, steps
from when import no_loss


def test_a_good_one_is_promoted_by_itself(handover):
    h = handover()
    old = two_versions(h, steps("exit-on:TERM:0", "ready"))
    with h.api.lines("POST", "/v1/reload", progress=True) as lines:
        serving = lines.until(event="canary-serving")
        assert serving["message"] == "pool api: 1 canary of generation 2 serves beside generation 1, judged for 50 ms"
        lines.until(event="canary-good", pool="api", generation=2)
        assert lines.until(event="result")["result"] == "committed"
    starts = re.findall(r"starting (\d) workers? of generation 2 from slot (\d) on", h.log)
    assert starts == [("1", "0"), ("2", "1")]
    assert not set(old) & set(h.pids("api")) and len(h.pids("api")) == 3


def test_so_many_percent_of_them(handover):
    h = handover()
    h.pool("api", steps("exit-on:TERM:0", "ready"), workers=4, canary="30%", canary_time=0)  # rounded up: 2
    h.start()
    h.good_reload()
    assert re.findall(r"starting (\d) workers? of generation 2 from slot (\d) on", h.log) == [("2", "0"), ("2", "2")]


def test_a_command_that_agrees_knows_whom_it_judges(handover):
    h = handover()
    two_versions(h, steps("exit-on:TERM:0", "ready"), canary=2, canary_check=check(h, 'echo "$@" > "$0.args"'))
    h.good_reload()
    with open(h.path("env"), encoding="utf-8") as file:
        env = dict(line.rstrip("\n").partition("=")[::2] for line in file if "=" in line)
    pids = [m for m in re.findall(r"slot [01] generation 2 pid (\d+) started", h.log)]
    assert (env["HANDOVER_POOL"], env["HANDOVER_GENERATION"], env["HANDOVER_OLD_GENERATION"]) == ("api", "2", "1")
    assert sorted(env["HANDOVER_CANARY_PIDS"].split()) == sorted(pids)
    assert "NOTIFY_SOCKET" not in env and "LISTEN_FDS" not in env
    with open(h.path("check.sh.args"), encoding="utf-8") as file:
        assert file.read() == "api 2\n"


def test_promoted_and_aborted_under_load(handover):
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc("--version", 1), sockets="web", workers=3, canary=1, canary_time="100ms", canary_hold="yes")
    h.start()
    with no_loss(h, port) as load:
        for decision, version in (("abort", 2), ("promote", 3)):
            h.pool("api", rpc("--version", version))
            h.write()
            assert h.reload()[1]["result"] == "held"
            load.wait_answered(30)
            done = h.cli(decision)
            assert done.returncode == 0, done
            h.wait_serving("api", 3, generation=1 if decision == "abort" else 3)
    assert {call(port, "info")["version"] for _ in range(8)} == {"3"}


def test_the_way_back_is_not_judged(handover):
    """It has served before, and whoever goes back is in a hurry. While a reload is held, nothing is planned."""
    h = handover()
    h.pool("api", steps("exit-on:TERM:0", "ready"), workers=3, canary=1, canary_time="1h", canary_hold="yes")
    h.start()
    h.pool("api", steps("exit-on:TERM:0", "ready", "sleep:1"), canary_time=0)
    h.write()
    assert h.reload()[1]["result"] == "held"
    done = h.cli("plan")
    assert (done.returncode, done.stderr) == (1, "handover: a reload is held: promote or abort it first\n")
    assert h.cli("promote").returncode == 0
    done = h.cli("rollback")
    assert done.returncode == 0 and "rollback 3 committed: pool api: generation 3 serves with 3 workers" in done.stderr + done.stdout
    assert h.count_log("canary of generation 3") == 0


def test_what_is_said_of_it_meanwhile(handover):
    h = handover()
    old, canary = held(h)
    reload = h.status()["reload"]
    assert (reload["state"], reload["pools"]) == ("held", [{"name": "api", "generation": 2, "state": "gated", "ready": 1, "total": 3}])
    assert 0 <= reload["held_s"] < PATIENCE and re.fullmatch(r"\d{4}-.*Z", reload["held_until"])
    shown = h.cli("status").stdout
    assert re.search(r"(?m)^reload 2 +held for \S+ \S+: api 1/3 ready; promote or abort before [\d :-]+; asked by uid \d+ pid \d+$", shown), shown
    assert promtext.parse(h.api.request("GET", "/metrics")[1])["handover_reload_held"].value() == 1
    assert re.search(r"(?m)^ *2 \S+ +reload +held ", h.cli("history").stdout)
    # whoever asks for something else is told, and does not wait
    for path, word in (("/v1/reload", "reload"), ("/v1/pools/api/restart", "restart")):
        code, result = h.api.post(path)
        assert (code, result["result"]) == (409, "refused")
        assert re.match(word + r" refused: reload 2 is held; promote or abort it first, or wait until \d\d:\d\d", result["message"])
    done = h.cli("scale", "api", "5")
    assert done.returncode == 1 and "scale refused: reload 2 is held" in done.stderr
    h.signal(signal.SIGHUP)
    h.wait_log("reload asked for by SIGHUP, refused: a reload is held, to be promoted or aborted")
    assert sorted(h.pids("api")) == sorted(old + [canary]) and h.status()["queued"] == 0
    done = h.cli("promote", "--wait=drained")
    assert done.returncode == 0 and "reload 2 committed: pool api: generation 2 serves with 3 workers" in done.stdout
    assert canary in h.pids("api") and not set(old) & {w["pid"] for w in h.workers()}


def test_a_reload_that_runs_can_be_aborted(handover):
    h = handover()
    h.pool("api", steps("exit-on:TERM:0", "ready"), workers=2, max_surge=1)
    h.start()
    other = h.pids("api")[1]
    h.pool("api", f"sh -c 'test $HANDOVER_SLOT = 0 && exec {STEP_WORKER} exit-on:TERM:0 ready; exec {STEP_WORKER} exit-on:TERM:0 sleep:100000'")
    h.write()
    asked = in_background(h.reload)
    h.wait_log(r"slot 1 generation 2 pid \d+ started")
    done = h.cli("abort")
    assert done.returncode == 0 and re.search(r"^reload 2 aborted: by uid \d+ pid \d+; still serving: pool api generation 1 with "
                                              r"\d of 2 workers \(being restored\)$", done.stdout, re.M), done
    code, result = asked.result(PATIENCE)
    assert (code, result["result"]) == (409, "aborted")
    h.wait_serving("api", 2, generation=1)
    assert other in h.pids("api") and h.count_log("reload 2 is aborted by uid") == 1
    reason = h.status()["pools"][0]["failed"][-1]["reason"]
    assert re.fullmatch(r"reload 2 was aborted \(uid \d+ pid \d+\)", reason), reason
    refused = h.cli("abort")
    assert (refused.returncode, refused.stderr) == (1, "handover: abort refused: no reload runs or is held\n")
    h.wait_log(r"abort asked for by uid \d+ pid \d+, refused: no reload runs or is held")
