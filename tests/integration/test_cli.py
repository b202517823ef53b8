"""`handover` against instances that really run: what it shows, what it changes, and its exit codes."""
import json
import os
import re
import signal

import pytest

import cli_tools
from cli_tools import Running
from harness import call, is_alive, rpc, slow_calls, steps
from screen import Terminal


def create(path):
    with open(path, "w", encoding="utf-8"):
        pass


def ran(done, code=0):
    assert done.returncode == code, f"exit code {done.returncode}, and not {code}: {done.stdout!r} {done.stderr!r}"
    return done


@pytest.fixture(name="two")
def fixture_two(handover):
    h = handover()
    h.pool("api", steps("exit-on:TERM:0", "notify:READY=1|STATUS=at work"), workers=2)
    h.start()
    return h


def running(h, *arguments):
    return Running("-c", h.control, *arguments)


# --- looking ---

def test_status_table(handover):
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc(), sockets="web", workers=2)
    h.pool("job", steps("ready", "sleep:1"))
    h.start()
    [slow] = slow_calls(h, port)
    text = ran(h.cli("status")).stdout
    assert text.splitlines()[0].startswith(f"{h.name} ") and "running" in text.splitlines()[0]
    for worker in h.workers():
        assert re.search(rf"(?m)^ *{worker['pool']} +{worker['slot']} +1 +{worker['pid']} +serving ", text), text
    assert "serving on web, version 1" in text
    verbose = ran(h.cli("status", "-v")).stdout
    assert f"127.0.0.1:{port}" in verbose
    assert slow.answer()["sum"] == 3


def test_status_json_is_the_apis(two):
    shown = json.loads(ran(two.cli("status", "--json")).stdout)
    assert [(w["slot"], w["pid"], w["status"]) for w in shown["workers"]] == [
        (w["slot"], w["pid"], "at work") for w in two.workers()]


def test_status_shows_the_reload_that_runs_and_the_failure_of_the_last_one(two):
    h = two
    h.pool("api", steps(f"await:{h.path('go')}", "ready"))
    h.write()
    with running(h, "reload") as reload:
        reload.wait_for("reload 2 begins")
        h.wait(lambda: len(h.workers("api", "starting")) == 2, "the new workers")
        text = ran(h.cli("status")).stdout
        assert "reload 2" in text and text.count("starting") >= 2
        create(h.path("go"))
        code, out, _ = reload.finish()
        assert code == 0 and "reload 2 committed" in out
    assert "reload" not in ran(h.cli("status")).stdout
    h.pool("api", steps("exit:3"))
    h.write()
    ran(h.cli("reload"), 1)
    assert re.search(r"(?m)^last failure .*reload 3 failed: .* exited with code 3", ran(h.cli("status")).stdout)


def test_the_instance_by_name_directory_and_environment(two):
    for arguments, env in ((["-c", two.control], {}), (["-c", two.runtime_dir], {})):
        done = cli_tools.run(*arguments, "status", env=cli_tools.environment(**env))
        assert done.returncode == 0 and two.name in done.stdout


def test_no_instance_there(handover):
    h = handover()
    assert ran(h.cli("status"), 3).stderr.startswith("handover: ")
    h.pool("api", steps("ready"))
    h.start()
    h.stop()
    assert "no instance" in ran(h.cli("status"), 3).stderr


def test_a_socket_that_a_killed_instance_left_over(handover):
    h = handover()
    h.pool("api", steps("ready"))
    h.start()
    h.expected_exit = -signal.SIGKILL
    h.process.kill()
    h.process.wait()
    assert os.path.exists(h.control)
    assert "left over from an earlier run" in ran(h.cli("status"), 3).stderr


# --- reload ---

def test_reload_in_a_pipe(two):
    done = ran(two.cli("reload"))
    lines = done.stdout.splitlines()
    assert lines[-1] == "reload 2 committed: pool api: generation 2 serves with 2 workers" and done.stderr == ""
    assert sum("is ready after" in line for line in lines) == 2
    assert ran(two.cli("reload", "-q")).stdout == ""
    result = json.loads(ran(two.cli("reload", "--json", "--wait=drained")).stdout)
    assert result["result"] == "committed" and len(two.workers()) == 2


def test_reload_that_fails(two):
    two.pool("api", steps("err:cannot open the database", "exit:3"))
    two.write()
    done = ran(two.cli("reload"), 1)
    assert "cannot open the database" in done.stderr
    assert re.search(r"handover: reload 2 failed: pool api slot \d generation 2 pid \d+ exited with code 3, .*still serving: pool api "
                     r"generation 1 with 2 of 2 workers$", done.stderr.strip())
    assert json.loads(ran(two.cli("reload", "--json"), 1).stdout)["result"] == "failed"


def test_reload_of_a_wrong_configuration(two):
    two.write(two.text() + "wrkers = 3\n")
    done = ran(two.cli("reload"), 78)
    assert re.search(rf"(?m)^{re.escape(two.config)}:\d+: \[pool:api\] wrkers: unknown key; did you mean 'workers'\?$", done.stderr)
    assert two.pool_status("api")["generation"] == 1


def test_reload_changed_and_reload_of_a_pool(two):
    assert "nothing had changed" in ran(two.cli("reload", "--changed")).stdout
    assert "generation 2 serves" in ran(two.cli("reload", "api")).stdout
    done = ran(two.cli("reload", "apo"), 1)
    assert "no pool 'apo'" in done.stderr


def test_reload_that_times_out_goes_on(two):
    h = two
    h.pool("api", steps(f"await:{h.path('go')}", "ready"))
    h.write()
    done = ran(h.cli("reload", "--timeout", "300ms"), 4)
    assert "timed out after 300 ms" in done.stderr
    assert h.status()["reload"]["id"] == 2
    create(h.path("go"))
    h.wait_log("reload 2 committed")


@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM", "SIGKILL", "timeout"])
def test_abort_on_disconnect(two, how):
    h = two
    before = sorted(h.pids())
    h.pool("api", steps(f"await:{h.path('go')}", "ready"))
    h.write()
    more = ["--timeout", "500ms"] if how == "timeout" else []
    with running(h, "reload", "--abort-on-disconnect", *more) as reload:
        reload.wait_for("reload 2 begins")
        h.wait(lambda: len(h.workers("api", "starting")) == 2, "the new workers")
        if how != "timeout":
            reload.process.send_signal(getattr(signal, how))
        code, _, _ = reload.finish()
        assert code == {"SIGINT": 130, "SIGTERM": 143, "SIGKILL": -9, "timeout": 4}[how]
    h.wait_log("reload 2 aborted: its caller went away")
    assert sorted(h.wait_serving("api", 2)) == before
    assert h.count_log("generation 2 .* is ready") == 0


def test_reload_on_a_terminal(two):
    with Terminal([cli_tools.HANDOVER, "-c", two.control, "reload"], env=cli_tools.environment()) as terminal:
        assert terminal.finish() == 0
        assert "reload 2 committed" in terminal.screen.text(), terminal.screen.text()


# --- the rest ---

def test_restart_and_scale(two):
    h = two
    before = {w["slot"]: w["pid"] for w in h.workers()}
    assert "slot 1 has a new worker" in ran(h.cli("restart", "api/1", "--wait=drained")).stdout
    after = {w["slot"]: w["pid"] for w in h.workers()}
    assert after[0] == before[0] and after[1] != before[1]
    assert "generation 2 serves with 2 workers" in ran(h.cli("restart", "api", "--wait=drained")).stdout
    assert "pool api: 5 workers" in ran(h.cli("scale", "api", "5")).stdout
    h.wait_serving("api", 5)
    done = ran(h.cli("reload"))
    assert "was scaled to 5 workers by hand, and is set back to 2 as configured" in done.stdout
    assert ran(h.cli("scale", "api", "0"), 1).stderr and ran(h.cli("restart", "api/7"), 1).stderr


def test_logs(handover):
    h = handover()
    h.pool("api", steps("say:hello from %n", "say-on:USR1:a signal", "ready"), workers=2)
    h.start()
    h.wait_log("hello from", count=2)
    text = ran(h.cli("logs")).stdout
    assert "hello from 0" in text and "hello from 1" in text
    assert "hello from 0" not in ran(h.cli("logs", "api/1")).stdout
    with running(h, "logs", "api/1", "-f") as follow:
        follow.wait_for("hello from 1")
        ran(h.cli("signal", "api", "USR1"))
        follow.wait_for("a signal")
        assert h.count_log(r"api\[1\] \S+ pid \d+: a signal") <= 1
        follow.process.send_signal(signal.SIGINT)
        follow.finish()


def test_events(two):
    with running(two, "events", "-f") as events:
        two.wait(lambda: two.status()["state"] == "running", "an answer")
        with running(two, "events", "--json") as machine:
            # both are listening once they tell of something: ask until they do
            def told():
                two.api.post("/v1/out-of-service", on=not two.status()["out_of_service"])
                return two.count_log("out of service by") > 5
            two.wait(told, "some events")
            events.wait_for("out of service")
            machine.wait_for('"event":"out-of-service"')
            two.stop()
            assert events.finish()[0] == 0 and machine.finish()[0] == 0
            assert "has stopped" in events.data.decode() or events.process.returncode == 0


def test_signal_dump_and_out_of_service(handover):
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc(), sockets="web", dump_signal="SIGQUIT")
    h.start()
    assert str(h.pids()[0]) in ran(h.cli("dump", "api")).stdout
    h.wait_log(r"api\[0\] .*in flight")
    ran(h.cli("out-of-service", "on"))
    assert h.api.request("GET", "/readyz") == (503, "out of service\n")
    ran(h.cli("out-of-service", "off"))
    assert h.api.request("GET", "/readyz")[0] == 200
    assert call(port, "add", a=1, b=2)["sum"] == 3
    ran(h.cli("signal", "api/0", "SIGKILL"))
    h.wait(lambda: h.pool_status("api")["restarts"] == 1 and h.pids(), "the restart")
    assert ran(h.cli("signal", "web", "SIGTERM"), 1).stderr


def test_check_of_the_running_instance(two):
    ran(two.cli("check"))
    two.write(two.text() + "wrkers = 3\n")
    assert "did you mean 'workers'?" in ran(two.cli("check"), 78).stderr
    ran(two.cli("status"))


def test_stop_waits_for_the_end(two):
    workers = two.pids()
    done = ran(two.cli("stop"))
    assert two.process.wait(5) == 0 and not any(map(is_alive, workers))
    assert two.name in done.stdout or done.stdout == ""
    ran(two.cli("stop"), 3)


def test_stop_now_while_a_stop_goes_on(handover):
    h = handover()
    h.pool("api", steps("ignore:TERM", "ready"), stop_timeout="1h")
    h.start()
    with running(h, "stop") as stop:
        h.wait(lambda: h.workers("api", "draining"), "the drain")
        ran(h.cli("stop", "--now"))
        assert stop.finish()[0] == 0
    h.wait_exit(0)


def test_stop_that_times_out(handover):
    h = handover()
    h.pool("api", steps("ignore:TERM", "ready"), stop_timeout="1h")
    h.start()
    ran(h.cli("stop", "--timeout", "300ms"), 4)
    assert h.status()["state"] == "stopping"
    ran(h.cli("stop", "--now"))
    h.wait_exit(0)
