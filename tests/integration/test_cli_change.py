"""The command line alone: changes with their progress, results, interruptions and exit statuses."""
import json
import os
import signal
import subprocess

import pytest

from cli_tools import HANDOVER, Place, Running, environment, run
from fake_api import FakeApi, FakeProcess, Hang, Stream, event, result, status
from screen import Terminal


@pytest.fixture(name="place")
def fixture_place():
    with Place() as path:
        yield path


@pytest.fixture(name="api")
def fixture_api(place):
    with FakeApi(place) as api:
        yield api


def answered(item):
    return Stream().push({**item, "event": "result"}).end()


FAILED = result("failed", message="reload 7 failed: pool api slot 0 ended with status 1; generation 3 goes on serving",
                lines=["starting", "panic: cannot \x1b]0;open /etc/api.toml"],
                worker={"pool": "api", "slot": 0, "generation": 4, "pid": 5120})
WRONG = result("failed", message="reload 7 failed: the configuration is wrong; nothing has changed",
               problems=[{"file": "/etc/p.ini", "line": 12, "warning": False, "text": "[pool:api] workes: unknown key"},
                         {"file": "/etc/p.ini", "line": 0, "warning": True, "text": "the budgets are long"}])


# --- what is asked ---

@pytest.mark.parametrize("arguments, path, body", [
    (["reload"], "/v1/reload", {}),
    (["reload", "api"], "/v1/reload", {"pool": "api"}),
    (["reload", "--changed", "--wait=drained"], "/v1/reload", {"changed": True, "wait": "drained"}),
    (["reload", "--wait", "committed", "--abort-on-disconnect"], "/v1/reload",
     {"wait": "committed", "abort_on_disconnect": True}),
    (["restart", "api"], "/v1/pools/api/restart", {}),
    (["restart", "api/2", "--wait=drained"], "/v1/pools/api/restart", {"slot": 2, "wait": "drained"}),
    (["scale", "api", "0"], "/v1/pools/api/scale", {"workers": 0}),
    (["scale", "a.b-c_d", "12", "--abort-on-disconnect"], "/v1/pools/a.b-c_d/scale",
     {"workers": 12, "abort_on_disconnect": True}),
])
def test_what_is_asked(api, arguments, path, body):
    api.routes["POST", path] = lambda _: answered(result())
    done = run("-c", api.socket, *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (0, result()["message"] + "\n", "")
    assert api.requests == [("POST", path, {**body, "progress": True})]
    api.routes["POST", path] = lambda _: (200, result())
    assert json.loads(run(*arguments, "--json", "-c", api.socket).stdout) == result()
    assert api.requests[1] == ("POST", path, body)


# --- how it ended ---

def test_success_with_remarks(api):
    api.routes["POST", "/v1/reload"] = lambda _: answered(result(
        remarks=["pool web: 'workers' differs on disk and was not touched"],
        problems=[{"file": "p.ini", "line": 3, "warning": True, "text": "port below 1024"}]))
    done = run("-c", api.socket, "reload")
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.splitlines()[1:] == ["note: pool web: 'workers' differs on disk and was not touched",
                                            "p.ini:3: warning: port below 1024"]
    done = run("-c", api.socket, "reload", "-q")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_failure_tells_the_workers_last_words_and_then_the_reason(api):
    api.routes["POST", "/v1/reload"] = lambda _: answered(FAILED)
    for more in ([], ["-q"]):
        done = run("-c", api.socket, "reload", *more)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.splitlines() == [
            "last output of pool api slot 0 generation 4 pid 5120:",
            "    starting",
            "    panic: cannot ^[]0;open /etc/api.toml",
            "handover: reload 7 failed: pool api slot 0 ended with status 1; generation 3 goes on serving"]


def test_wrong_configuration(api):
    for answer in (lambda _: answered(WRONG), lambda _: (422, WRONG)):
        api.routes["POST", "/v1/reload"] = answer
        done = run("-c", api.socket, "reload")
        assert done.returncode == 78
        assert done.stderr.splitlines() == [
            "/etc/p.ini:12: [pool:api] workes: unknown key", "/etc/p.ini: warning: the budgets are long",
            "handover: reload 7 failed: the configuration is wrong; nothing has changed"]
        done = run("-c", api.socket, "reload", "--json")
        assert done.returncode == 78 and json.loads(done.stdout)["problems"] == WRONG["problems"]
    api.routes["POST", "/v1/reload"] = (422, result("failed"))
    assert run("-c", api.socket, "reload").returncode == 78
    api.routes["POST", "/v1/reload"] = (409, result("failed", problems=WRONG["problems"][1:]))
    assert run("-c", api.socket, "reload").returncode == 1, "a warning is no reason to fail"


@pytest.mark.parametrize("answer, said", [
    ((503, result("refused", message="reload refused: the instance is stopping")), "the instance is stopping"),
    ((409, result("aborted", message="reload 7 aborted: its caller went away")), "its caller went away"),
    ((409, FAILED), "generation 3 goes on serving"),
    ((404, {"error": "there is no pool 'api'"}), "there is no pool 'api'"),
    ((400, {"error": "unknown member 'progress'"}), "unknown member"),
    ((200, {}), "nothing was heard of how the reload ended"),
    ((413, {"nothing": "of use"}), "HTTP status 413"),
])
def test_refusals(api, answer, said):
    api.routes["POST", "/v1/reload"] = answer
    done = run("-c", api.socket, "reload")
    assert done.returncode == 1 and said in done.stderr and done.stdout == ""
    done = run("-c", api.socket, "reload", "--json")
    assert done.returncode == 1
    if answer[1].get("result") or answer[1].get("error"):
        assert json.loads(done.stdout) == answer[1]


def test_an_instance_that_dies_during_a_reload(api):
    api.routes["POST", "/v1/reload"] = Stream().push(event("reload-started", "reload 7 starts")).cut()
    done = run("-c", api.socket, "reload")
    assert done.returncode == 1 and done.stdout == "reload 7 starts\n"
    assert "ended the connection" in done.stderr and "nothing was heard of how the reload ended" in done.stderr
    assert f"`handover -c {api.socket} status`" in done.stderr


# --- progress in a pipe ---

LIFE = [event("reload-queued", "reload 7 waits for reload 6", id=7), event("reload-started", "reload 7 starts", id=7),
        event("worker-started", "slot 0 started"), event("worker-ready", "slot 0 is \x1b[1mready"),
        event("worker-crashed", "slot 1 crashed", level="warning"), event("worker-draining", "old slot 0 drains"),
        event("worker-exited", "old slot 0 has gone"), event("reload-committed", "reload 7 committed", id=7)]


def test_plain_lines_come_one_by_one(api):
    stream = Stream()
    api.routes["POST", "/v1/reload"] = stream
    with Running("-c", api.socket, "reload") as running:
        stream.push(*LIFE[:4])
        running.wait_for("slot 0 is ^[[1mready\n")
        assert running.process.poll() is None
        stream.push(*LIFE[4:], {**result(), "event": "result"}).end()
        code, out, err = running.finish()
    assert (code, err) == (0, "")
    assert out.splitlines() == ["reload 7 waits for reload 6", "reload 7 starts", "slot 0 is ^[[1mready", "slot 1 crashed",
                                result()["message"]]
    assert [r for r in api.requests if r[0] == "GET"] == [], "nobody needs a status for plain lines"


def test_plain_lines_tell_of_those_that_are_waited_for(api):
    api.routes["POST", "/v1/reload"] = lambda _: Stream().push(*LIFE, {**result(), "event": "result"}).end()
    assert "old slot 0 has gone\n" in run("-c", api.socket, "reload", "--wait=drained").stdout
    told = [item["message"].replace("\x1b", "^[") for item in LIFE[:-1]] + [result()["message"]]
    assert run("-c", api.socket, "reload", "--verbose").stdout.splitlines() == told


def test_a_reader_that_goes_away_does_not_end_a_reload(api):
    stream = Stream().push(LIFE[1])
    api.routes["POST", "/v1/reload"] = stream
    with Running("-c", api.socket, "reload", "--abort-on-disconnect") as running:
        running.wait_for("starts")
        running.process.stdout.close()
        for _ in range(20):
            stream.push(LIFE[3])
        stream.push({**FAILED, "event": "result"}).end()
        assert running.process.wait(15) == 1
        assert "generation 3 goes on serving" in running.process.stderr.read().decode()


# --- Ctrl-C and time-outs ---

@pytest.mark.parametrize("arguments, said", [
    ([], "the reload goes on without being watched; see `handover"),
    (["--abort-on-disconnect"], "undoes the reload, and what ran before goes on serving"),
])
def test_ctrl_c_says_what_becomes_of_the_reload(api, arguments, said):
    stream = Stream().push(LIFE[1])
    api.routes["POST", "/v1/reload"] = stream
    with Running("-c", api.socket, "reload", *arguments) as running:
        running.wait_for("starts")
        running.process.send_signal(signal.SIGINT)
        code, _, err = running.finish()
    assert code == 130 and "interrupted by SIGINT" in err and said in err and err.count("\n") == 1
    assert stream.client_gone.wait(10)


def test_a_service_manager_that_gives_up(api):
    api.routes["POST", "/v1/reload"] = Stream().push(LIFE[1])
    with Running("-c", api.socket, "reload", "--abort-on-disconnect") as running:
        running.wait_for("starts")
        running.process.terminate()
        code, _, err = running.finish()
    assert code == 143 and "interrupted by SIGTERM" in err


def test_timeouts_of_changes(api):
    api.routes["POST", "/v1/reload"] = Stream().push(LIFE[1])
    done = run("-c", api.socket, "reload", "--timeout", "300ms")
    assert done.returncode == 4 and "timed out after 300 ms: the reload goes on without being watched" in done.stderr
    api.routes["POST", "/v1/pools/api/restart"] = Hang()
    done = run("-c", api.socket, "restart", "api/1", "--timeout", "300ms")
    assert done.returncode == 4
    assert "has not answered yet, the restart of pool api slot 1 may still be done" in done.stderr
    done = run("-c", api.socket, "restart", "api/1", "--timeout", "300ms", "--json")
    assert done.returncode == 4 and done.stdout == "" and "timed out" in done.stderr


# --- the view in place ---

def rolling(ready, state="rolling", **pool):
    item = status()
    item["pools"] = [{**item["pools"][0], **pool}, {**item["pools"][0], "name": "web", "draining": 0}]
    item["reload"] = {"id": 7, "kind": "reload", "by": "uid 0 pid 1", "state": state, "elapsed_s": 1.0,
                      "pools": [{"name": "api", "generation": 4, "state": "starting", "ready": ready, "total": 4},
                                {"name": "web", "generation": 9, "state": "starting", "ready": 2, "total": 2}]}
    return item


def bars(screen):
    """The pool lines of the view."""
    return [line for line in screen.splitlines() if line.startswith("  ")]


@pytest.mark.parametrize("columns", [24, 40, 80, 200])
def test_live_view(api, columns):
    stream = Stream()
    api.routes["POST", "/v1/reload"] = stream
    api.routes["GET", "/v1/status"] = lambda _: rolling(1, starting=3, draining=0)
    with Terminal([HANDOVER, "-c", api.socket, "reload"], environment(), columns=columns) as terminal:
        stream.push(LIFE[1])
        terminal.wait_for("1/4 ready", "2/2 ready", "reload (7): rolling")
        if columns >= 80:
            assert "█" in bars(terminal.screen.text())[0] and "░" in bars(terminal.screen.text())[0]
            assert "gen 4" in terminal.screen.text() and "3 starting" in terminal.screen.text()
        api.routes["GET", "/v1/status"] = lambda _: rolling(3, starting=1, draining=2)
        stream.push(LIFE[3])
        terminal.wait_for("3/4 ready")
        # what no event tells is seen a little later
        api.routes["GET", "/v1/status"] = lambda _: rolling(3, "settling", starting=1, draining=2)
        terminal.wait_for("reload (7): settling")
        api.routes["GET", "/v1/status"] = lambda _: rolling(3, starting=1, draining=2)
        terminal.wait_for("reload (7): rolling")
        stream.push(event("worker-crashed", "bad \x1b[2Jthing", level="warning"))
        text = terminal.wait_for("bad ^[[2Jthing", "3/4 ready")
        assert text.index("thing") < text.index("reload (7)") and text.count("3/4") == 1 and text.count("rolling") == 1
        stream.push({**result(), "event": "result"}).end()
        assert terminal.finish() == 0
        screen = terminal.screen
    left = screen.text().replace("\n", "")
    assert left == "bad ^[[2Jthing" + result()["message"].replace("\n", ""), screen.text()
    assert screen.coloured and screen.strange == []


def test_live_view_never_wraps_and_redraws_only_what_changed(api):
    stream = Stream().push(LIFE[1])
    api.routes["POST", "/v1/reload"] = stream
    api.routes["GET", "/v1/status"] = lambda _: rolling(1, starting=3, draining=11)
    with Terminal([HANDOVER, "-c", api.socket, "reload"], environment(), columns=30) as terminal:
        terminal.wait_for("1/4 ready")
        terminal.wait_for("1.5 s")
        assert not terminal.screen.wrapped
        frames = terminal.raw.count(b"\x1b[J")
        terminal.wait_for("2.5 s")
        # the time is shown in half seconds: between them nothing is written
        assert terminal.raw.count(b"\x1b[J") - frames <= 4
        os.kill(terminal.pid, signal.SIGKILL)


def test_more_pools_than_lines(api):
    item = rolling(1)
    pool = item["reload"]["pools"][0]
    item["reload"]["pools"] = [{**pool, "name": f"pool{i}"} for i in range(40)]
    stream = Stream().push(LIFE[1])
    api.routes["POST", "/v1/reload"] = stream
    api.routes["GET", "/v1/status"] = item
    with Terminal([HANDOVER, "-c", api.socket, "reload"], environment(), rows=10) as terminal:
        text = terminal.wait_for("and 34 more pools: 34/136 ready")
        assert len(text.splitlines()) <= 9
        stream.push({**result(), "event": "result"}).end()
        assert terminal.finish() == 0
        assert terminal.screen.text().strip() == result()["message"]


@pytest.mark.parametrize("env, bar, coloured", [
    ({"NO_COLOR": "1"}, "█", False), ({"LC_ALL": "C"}, "#", True), ({"NO_COLOR": ""}, "█", True)])
def test_live_view_honours_the_users_wishes(api, env, bar, coloured):
    stream = Stream().push(LIFE[1], event("worker-crashed", "größe", level="warning"))
    api.routes["POST", "/v1/reload"] = stream
    api.routes["GET", "/v1/status"] = lambda _: rolling(1)
    with Terminal([HANDOVER, "-c", api.socket, "reload"], environment(**env)) as terminal:
        text = terminal.wait_for("1/4 ready", "größe" if bar == "█" else "gr??e")
        assert bar in text
        if bar == "#":
            assert all(byte < 128 for byte in terminal.raw)
        stream.push({**FAILED, "event": "result"}).end()
        assert terminal.finish() == 1
        assert terminal.screen.coloured == coloured and "goes on serving" in terminal.screen.text().replace("\n", "")


def test_dumb_terminals_get_plain_lines(api):
    api.routes["POST", "/v1/reload"] = Stream().push(*LIFE, {**result(), "event": "result"}).end()
    with Terminal([HANDOVER, "-c", api.socket, "reload"], environment(TERM="dumb")) as terminal:
        assert terminal.finish() == 0
        assert b"\x1b" not in terminal.raw and "reload 7 starts" in terminal.screen.text()


def test_ctrl_c_on_a_terminal_cleans_up(api):
    stream = Stream().push(LIFE[1])
    api.routes["POST", "/v1/reload"] = stream
    api.routes["GET", "/v1/status"] = lambda _: rolling(1 if stream.begun.wait(15) else 0)  # the reload is answered first
    with Terminal([HANDOVER, "-c", api.socket, "reload"], environment(), columns=200) as terminal:
        terminal.wait_for("1/4 ready")
        terminal.type(b"\x03")
        assert terminal.finish() == 130
        text = terminal.screen.text()
    assert "1/4 ready" not in text and "the reload goes on without being watched" in text


# --- stop ---

def test_stop_waits_until_the_process_is_gone(place):
    stream = Stream(code=202).push(event("instance-stopping", "payments stops"))
    with FakeProcess(place, routes=lambda: {("POST", "/v1/stop"): stream}) as process:
        with Running("-c", process.socket, "stop") as running:
            running.wait_for("payments stops")
            assert running.process.poll() is None
            process.finish()
            code, out, err = running.finish()
    assert (code, err) == (0, "") and f"instance {process.socket} has stopped after" in out


def test_stop_of_a_process_that_closes_first_and_ends_later(place):
    stream = Stream(code=202).push(event("instance-stopping", "payments stops")).end()
    with FakeProcess(place, routes=lambda: {("POST", "/v1/stop"): stream}) as process:
        with Running("-c", process.socket, "stop", "--json", "--now") as running:
            with pytest.raises(subprocess.TimeoutExpired):
                running.process.wait(0.5)
            process.finish()
            code, out, _ = running.finish()
    told = json.loads(out)
    assert code == 0 and (told["result"], told["instance"], told["pid"]) == ("stopped", process.socket, process.pid)


def test_stop_of_an_instance_that_somebody_starts_again(place):
    stream = Stream(code=202).push(event("instance-stopping", "payments stops")).end()
    with FakeProcess(place, routes=lambda: {("POST", "/v1/stop"): stream}) as process:
        with Running("-c", process.socket, "stop") as running:
            running.wait_for("payments stops")
            os.unlink(process.socket)
            with FakeApi(place):
                process.finish()
                code, out, _ = running.finish()
    assert code == 0 and f"started again by somebody, as pid {os.getpid()}" in out


def test_stop_that_does_not_end(api):
    api.routes["POST", "/v1/stop"] = lambda _: Stream(code=202).push(event("instance-stopping", "payments stops"))
    done = run("-c", api.socket, "stop", "--timeout", "400ms")
    assert done.returncode == 4 and "the stop goes on without being watched" in done.stderr
    assert f"`handover -c {api.socket} stop --now`" in done.stderr
    assert api.posts() == [("POST", "/v1/stop", {"progress": True})]
    # here the connection ends, but this process, which plays the instance, does not
    api.routes["POST", "/v1/stop"] = lambda _: Stream(code=202).end()
    done = run("-c", api.socket, "stop", "--now", "--timeout", "400ms")
    assert done.returncode == 4 and f"pid {os.getpid()} has not ended" in done.stderr
    assert api.posts()[1] == ("POST", "/v1/stop", {"now": True, "progress": True})


def test_stop_that_is_refused(api):
    api.routes["POST", "/v1/stop"] = (403, {"error": "not for you"})
    done = run("-c", api.socket, "stop")
    assert (done.returncode, done.stderr) == (1, "handover: not for you\n")


def test_ctrl_c_during_a_stop(api):
    api.routes["POST", "/v1/stop"] = Stream(code=202).push(event("instance-stopping", "payments stops"))
    with Running("-c", api.socket, "stop") as running:
        running.wait_for("payments stops")
        running.process.send_signal(signal.SIGINT)
        code, _, err = running.finish()
    assert code == 130 and "the stop goes on without being watched" in err


def test_stop_on_a_terminal_counts_those_that_have_gone(api):
    stream = Stream(code=202).push(event("instance-stopping", "payments stops"))
    api.routes["POST", "/v1/stop"] = stream
    item = status(state="lame-duck")
    api.routes["GET", "/v1/status"] = lambda _: item
    with Terminal([HANDOVER, "-c", api.socket, "stop"], environment()) as terminal:
        terminal.wait_for("0/3 gone", "stop: lame-duck")
        item = status(state="stopping")
        item["pools"][0].update(serving=0, draining=2)
        stream.push(event("worker-exited", "x"))
        terminal.wait_for("1/3 gone", "2 draining", "stop: stopping")
        os.kill(terminal.pid, signal.SIGKILL)
