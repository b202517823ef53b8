"""The command line alone, against a server that plays an instance: choice, queries, streams, mistakes of users."""
import json
import os
import re
import socket
import subprocess

import pytest

from cli_tools import HANDOVER, ROOT, Place, Running, environment, run, shared_places
from fake_api import FakeApi, Hang, Raw, Stream, event, result, status
from screen import Terminal

COMMANDS = ["status", "why", "history", "list", "logs", "events", "reload", "restart", "scale", "stop",
            "out-of-service", "signal", "dump", "check", "help", "plan", "sockets", "exec"]
NOBODY = 65534


@pytest.fixture(name="place")
def fixture_place():
    with shared_places(), Place() as path:
        yield path


@pytest.fixture(name="api")
def fixture_api(place):
    with FakeApi(place) as api:
        yield api


def as_user(place, **changes):
    """How to run as an ordinary user whose runtime directory is `place`."""
    more = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    return {"env": environment(XDG_RUNTIME_DIR=place, **changes), **more}


def open_to_all(*apis):
    for api in apis:
        os.chmod(api.socket, 0o666)


# --- help and usage ---

def test_help_shows_all_commands_and_fits_a_terminal():
    overview = run("--help")
    assert overview.returncode == 0 and overview.stderr == ""
    assert run("help").stdout == overview.stdout
    for command in COMMANDS:
        assert re.search(rf"^  {command} ", overview.stdout, re.M), command
        about = run("help", command)
        assert about.returncode == 0 and f"handover help {command}" not in about.stderr
        assert about.stdout == run(command, "--help").stdout == run(command, "-h").stdout
        assert re.search(rf"^  handover (-\S+ )?{command}", about.stdout, re.M), f"no example for {command}"
        for line in (overview.stdout + about.stdout).splitlines():
            assert len(line) <= 80, line


@pytest.mark.parametrize("arguments, said", [
    ([], "which command"),
    (["relaod"], "did you mean 'reload'?"),
    (["xyzzy"], "handover help"),
    (["help", "statu"], "did you mean 'status'?"),
    (["status", "--jsn"], "did you mean --json?"),
    (["status", "--frobnicate"], "no option --frobnicate"),
    (["status", "-z"], "no option -z"),
    (["status", "--json=1"], "--json takes no argument"),
    (["status", "--changed"], "status takes no option --changed"),
    (["status", "more"], "status does not take 'more'"),
    (["status", "--timeout", "5"], "--timeout 5: say the unit as well, as in 5s"),
    (["status", "--timeout", "soon"], "not a duration"),
    (["status", "--timeout"], "--timeout=TIME"),
    (["status", "-i"], "-i NAME"),
    (["status", "-i", "a", "-c", "/b"], "give one of them"),
    (["status", "-i", "/run/x.sock"], "-c /run/x.sock"),
    (["reload", "--wait=done"], "'committed' or 'drained'"),
    (["restart"], "restart needs POOL[/SLOT]"),
    (["scale", "api"], "scale needs POOL N"),
])
def test_wrong_usage(arguments, said):
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr and done.stderr.startswith("handover: ") and done.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments, said", [
    (["scale", "api", "many"], "'many' is no number"),
    (["scale", "api", "-1"], "no option -1"),
    (["scale", "api/2", "3"], "whole pool: write 'api'"),
    (["reload", "api/2"], "whole pool"),
    (["restart", "api/two"], "as in api/0"),
    (["restart", "api/"], "as in api/0"),
    (["restart", ".."], "no name of a pool"),
    (["restart", "a b"], "no name of a pool"),
    (["signal", "api", "SIGFOO"], "no signal 'SIGFOO'"),
    (["out-of-service", "maybe"], "'on' or 'off'"),
])
def test_wrong_operands_reach_no_instance(api, arguments, said):
    done = run("-c", api.socket, *arguments)
    assert done.returncode == 2 and said in done.stderr
    assert api.requests == []


def test_options_may_stand_anywhere(api):
    for env in (environment(), environment(POSIXLY_CORRECT="1")):
        for order in (["-c", api.socket, "status", "--json"], ["--json", "status", f"--socket={api.socket}"],
                      ["status", "--json", "-c" + api.socket], ["-c", api.socket, "--json", "--", "status"]):
            assert json.loads(run(*order, env=env).stdout)["instance"] == "payments", order


def test_version():
    assert re.fullmatch(r"handover \d+\.\d+\.\d+\n", run("--version").stdout)


# --- which instance ---

def test_no_instance(place):
    done = run("status", **as_user(place))
    assert done.returncode == 3
    assert "no instance runs here" in done.stderr and f"{place}/handover" in done.stderr and "/run/handover" in done.stderr


def test_the_only_instance_needs_no_option(place):
    with FakeApi(place + "/handover") as api:
        open_to_all(api)
        assert run("status", **as_user(place)).stdout.startswith("payments ")


def test_a_stale_socket_is_no_instance(place):
    os.makedirs(place + "/handover/old")
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(place + "/handover/old/control.sock")
    open_mode = place + "/handover/old/control.sock"
    os.chmod(open_mode, 0o666)
    done = run("status", **as_user(place))
    assert (done.returncode, "no instance runs here" in done.stderr) == (3, True)
    done = run("-i", "old", "status", **as_user(place))
    assert done.returncode == 3 and "left over" in done.stderr
    with FakeApi(place + "/handover") as api:
        open_to_all(api)
        assert run("status", **as_user(place)).returncode == 0
        listed = run("list", "--json", **as_user(place))
        assert [item["instance"] for item in json.loads(listed.stdout)] == ["payments"]


def test_several_instances(place):
    with FakeApi(place + "/handover", "payments") as one, FakeApi(place + "/handover", "search") as two:
        open_to_all(one, two)
        done = run("status", **as_user(place))
        assert done.returncode == 2 and "payments, search" in done.stderr and "-i NAME" in done.stderr
        for more, env in ((["-i", "search"], {}), ([], {"HANDOVER_INSTANCE": "search"}),
                          (["-i", "search"], {"HANDOVER_INSTANCE": "payments"}), (["-c", two.socket], {}),
                          (["-c", two.directory], {"HANDOVER_INSTANCE": "payments"})):
            done = run(*more, "status", **as_user(place, **env))
            assert done.stdout.startswith("search "), (more, env, done)
        done = run("status", "-i", "serach", **as_user(place))
        assert done.returncode == 3 and "did you mean 'search'?" in done.stderr
        done = run("status", "-i", "other", **as_user(place))
        assert done.returncode == 3 and "there is: payments, search" in done.stderr


def test_list(place):
    with FakeApi(place + "/handover", "payments") as one, \
         FakeApi(place + "/handover", "search", {("GET", "/v1/status"): Hang()}) as two:
        open_to_all(one, two)
        done = run("list", "--timeout", "500ms", **as_user(place))
        lines = done.stdout.splitlines()
        assert done.returncode == 0 and len(lines) == 3
        assert lines[0].split() == ["INSTANCE", "PID", "STATE", "UP", "CONFIG", "SOCKET"]
        assert lines[1].split()[:3] == ["payments", "4200", "running"] and lines[1].endswith(one.socket)
        assert lines[2].split()[0] == "search" and "hangs" in lines[2]
    done = run("list", **as_user(place))
    assert (done.returncode, done.stdout) == (0, "") and "no instance runs here" in done.stderr


@pytest.mark.needs_root
def test_no_permission_says_which_group_may(place):
    with FakeApi(place + "/handover") as api:
        os.chown(api.socket, 0, 1)
        os.chmod(api.socket, 0o660)
        done = run("status", **as_user(place))
        assert done.returncode == 1
        assert "root and the members of group daemon may" in done.stderr and "operator_group" in done.stderr
        assert "not permitted" in run("list", **as_user(place)).stdout
        os.chmod(api.socket, 0o600)
        done = run("-c", api.socket, "status", **as_user(place))
        assert done.returncode == 1 and "only root may" in done.stderr
        os.chmod(api.socket, 0o666)
        os.chmod(api.directory, 0o750)
        done = run("-c", api.socket, "status", **as_user(place))
        assert done.returncode == 1 and "no permission" in done.stderr


def test_socket_paths_that_cannot_be(place):
    assert run("-c", place + "/none.sock", "status").returncode == 3
    done = run("-c", place + "/" + "x" * 200, "status")
    assert done.returncode == 2 and "too long" in done.stderr


# --- answers that are none ---

def test_an_instance_that_hangs_times_out(api):
    api.routes["GET", "/v1/status"] = Hang()
    done = run("-c", api.socket, "status", "--timeout", "300ms")
    assert done.returncode == 4 and "did not answer within 300 ms" in done.stderr


def test_a_full_accept_queue_times_out(place):
    with socket.socket(socket.AF_UNIX) as deaf, socket.socket(socket.AF_UNIX) as filler:
        deaf.bind(place + "/control.sock")
        deaf.listen(0)
        filler.connect(place + "/control.sock")
        done = run("-c", place + "/control.sock", "status")
        assert done.returncode == 4 and "takes no connections" in done.stderr


@pytest.mark.parametrize("answer, said", [
    (Raw(b""), "ended the connection before its answer was complete"),
    (Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"), "ended the connection before"),
    (Raw(b"SSH-2.0-OpenSSH_9.2\r\n"), "does not answer as an instance does"),
    (Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), "cannot be understood"),
    ((200, []), "cannot be understood"),
    ((500, {}), "HTTP status 500"),
    ((403, {"error": "this socket is for \x1b[31mreading"}), "this socket is for ^[[31mreading"),
])
def test_answers_that_are_none(api, answer, said):
    api.routes["GET", "/v1/status"] = answer
    done = run("-c", api.socket, "status")
    assert done.returncode == 1 and said in done.stderr and done.stdout == ""


# --- status ---

def rows(text):
    """The table of workers as lists of words."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("POOL"))
    return [line.split(None, 8) for line in lines[start:]]


def test_status_table_in_a_pipe(api):
    done = run("-c", api.socket, "status")
    assert done.returncode == 0 and "\x1b" not in done.stdout
    head = done.stdout.split("\n\n")[0]
    assert "payments        running, ready\n" in head
    assert "2026-11-23 08:00:00 (1 min 33 s), pid 4200" in head and "/etc/handover/payments.ini" in head
    assert rows(done.stdout) == [
        ["POOL", "SLOT", "GEN", "PID", "STATE", "SINCE", "RESTARTS", "IN-FLIGHT", "STATUS"],
        ["api", "0", "3", "4711", "serving", "12s", "0", "12", "Serving"],
        ["api", "1", "3", "4712", "serving", "1h6min", "2", "-", "-"],
        ["api", "1", "2", "4600", "draining", "1.5s", "0", "1", "4.5 s left: reload; finishing"]]
    for word in ("SOCKET", "degraded", "out of service", "reload 7"):
        assert word not in done.stdout


def test_status_shows_what_workers_use_where_cgroups_tell(api):
    item = status(cgroups={"path": "/sys/fs/cgroup/x", "controllers": ["pids", "memory"],
                           "missing": "cpu (no such controller)"})
    item["workers"][0].update(cgroup="api.0.3", memory_bytes=18350080, tasks=9, cpu_s=1.204)
    item["workers"][1].update(cgroup="api.1.3", memory_bytes=None, tasks=None, cpu_s=754.0)
    api.routes["GET", "/v1/status"] = item
    done = run("-c", api.socket, "status", "-v")
    assert [row[8:] for row in (line.split(None, 10) for line in done.stdout.split("\n\n")[1].splitlines())] == [
        ["MEMORY", "CPU", "STATUS"], ["17.5M", "1.2s", "Serving"], ["-", "12min34s", "-"], ["-", "-", "4.5 s left: reload; finishing"]]
    assert "cgroups         one for each worker below /sys/fs/cgroup/x; missing: cpu (no such controller)\n" in done.stdout
    item["cgroups"]["controllers"] = []
    api.routes["GET", "/v1/status"] = item
    done = run("-c", api.socket, "status")
    assert "MEMORY" not in done.stdout and "CPU" in done.stdout and "cgroups" not in done.stdout
    item["cgroups"].update(path=None, missing="/sys/fs/cgroup/x is not delegated")
    api.routes["GET", "/v1/status"] = item
    done = run("-c", api.socket, "status", "-v")
    assert "CPU" not in done.stdout and "cgroups         none: /sys/fs/cgroup/x is not delegated\n" in done.stdout


def test_status_sockets_and_pools(api):
    done = run("-c", api.socket, "status", "--sockets")
    assert re.search(r"^grpc +tcp 0\.0\.0\.0:9000 +3 +4096 +1$", done.stdout, re.M)
    assert re.search(r"^gossip +udp 0\.0\.0\.0:9001 +- +- +0$", done.stdout, re.M)
    assert "WORKERS" not in done.stdout
    done = run("-c", api.socket, "status", "-v")
    assert "SOCKET " in done.stdout and "pid 4200, version 0.1.0\n" in done.stdout
    assert re.search(r"^api +serving +3 +2 +2 +2 +0 +1 +2 +yes +no$", done.stdout, re.M)


def test_status_json_is_what_the_api_says(api):
    done = run("-c", api.socket, "status", "--json")
    assert json.loads(done.stdout) == status(instance="payments") and done.stdout.count("\n") == 1


def test_status_says_what_is_wrong(api):
    item = status(state="running", ready=False, reason="pool api: 0 of 1 serving", degraded=True, out_of_service=True,
                  queued=2)
    item["pools"][0].update(degraded=True, ready=False)
    item["workers"] = [{"pool": "api", "slot": 0, "generation": 3, "pid": None, "state": "waiting", "since_s": 2.0,
                        "restarts": 9, "inflight": None, "status": "", "reason": "exited with status 1",
                        "deadline_s": 28.4}]
    item["reload"] = {"id": 8, "kind": "reload", "by": "uid 0 pid 4242", "state": "rolling", "elapsed_s": 3.21,
                      "pools": [{"name": "api", "generation": 4, "state": "starting", "ready": 1, "total": 2}]}
    item["last_reload"] = result("failed", message="reload 7 failed: pool api slot 0 died; generation 3 goes on serving",
                                 finished="2026-11-23T07:00:00.000Z", lines=["panic: no config", "exit"],
                                 worker={"pool": "api", "slot": 0, "generation": 4, "pid": 5120},
                                 problems=[{"file": "/etc/p.ini", "line": 4, "warning": False, "text": "[pool:api] x: bad"}])
    api.routes["GET", "/v1/status"] = item
    text = run("-c", api.socket, "status").stdout
    assert "running, not ready: pool api: 0 of 1 serving\n" in text
    assert re.search(rf"^degraded +pool api: slot 0 exited with status 1; see `handover -c {api.socket} why api`$", text, re.M)
    assert f"`handover -c {api.socket} out-of-service off`" in text
    assert re.search(r"^reload 8 +rolling for 3\.2 s: api 1/2 ready; asked by uid 0 pid 4242; 2 more waiting$", text, re.M)
    assert re.search(r"^last failure +2026-11-23 07:00:00: reload 7 failed: pool api slot 0 died; generation 3 goes", text, re.M)
    assert "    panic: no config\n" in text and "pool api slot 0 generation 4 pid 5120" in text
    assert "/etc/p.ini:4: [pool:api] x: bad\n" in text
    assert rows(text)[1] == ["api", "0", "3", "-", "waiting", "2s", "9", "-", "starts again in 28 s: exited with status 1"]


def test_status_on_a_terminal(api):
    item = status()
    item["workers"][0]["status"] = "evil \x1b[2J\x07\x9b31m‮ and " + "long " * 40
    api.routes["GET", "/v1/status"] = item
    argv = [HANDOVER, "-c", api.socket, "status"]
    with Terminal(argv, environment(), columns=90) as terminal:
        assert terminal.finish() == 0
        screen = terminal.screen
    assert screen.coloured and not screen.wrapped and screen.strange == []
    assert "evil ^[[2J^G<U+009B>" in screen.text() and b"\x1b[2J" not in terminal.raw
    with Terminal(argv, environment(NO_COLOR="1"), columns=200) as terminal:
        assert terminal.finish() == 0
        assert not terminal.screen.coloured and "<U+202E> and long" in terminal.screen.text()
    with Terminal(argv, environment(TERM="dumb")) as terminal:
        assert terminal.finish() == 0 and b"\x1b" not in terminal.raw


def test_status_of_thousands_of_workers(api):
    worker = status()["workers"][0]
    api.routes["GET", "/v1/status"] = status(workers=[{**worker, "slot": i} for i in range(5000)])
    done = run("-c", api.socket, "status")
    assert done.returncode == 0 and len(rows(done.stdout)) == 5001 and rows(done.stdout)[-1][1] == "4999"


def test_status_of_another_version(api):
    api.routes["GET", "/v1/status"] = {"instance": "payments", "state": 5, "workers": [{"pool": "api"}, 7], "pools": None}
    done = run("-c", api.socket, "status")
    assert done.returncode == 0 and ["api"] + ["-"] * 5 + ["0", "-", "-"] in rows(done.stdout)


def test_a_reload_that_went_well_is_told_on_request(api):
    api.routes["GET", "/v1/status"] = status(last_reload=result(finished="2026-11-23T07:00:00.000Z"))
    assert "reload 7 committed" not in run("-c", api.socket, "status").stdout
    assert re.search(r"^last reload +2026-11-23 07:00:00: reload 7 committed", run("-c", api.socket, "status", "-v").stdout, re.M)


# --- output that cannot be written ---

def test_a_full_disk_is_a_failure(api):
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([HANDOVER, "-c", api.socket, "status"], stdout=full, stderr=subprocess.PIPE, text=True,
                              env=environment(), timeout=30, check=False)
    assert done.returncode == 1 and "No space left" in done.stderr


def test_closed_standard_files_do_no_harm(api):
    stream = Stream("text/event-stream")
    api.routes["GET", "/v1/events"] = stream
    with subprocess.Popen(["/bin/sh", "-c", 'exec "$0" -c "$1" events <&- >&- 2>&-', HANDOVER, api.socket],
                          env=environment()) as running:
        api.wait_for_request("GET", "/v1/events")
        # text for people must not get into what takes the number of a closed file
        assert [os.readlink(f"/proc/{running.pid}/fd/{fd}") for fd in range(3)] == ["/dev/null"] * 3
        stream.push_event(event("instance-stopped", "bye")).end()
        assert running.wait(15) == 0


def test_a_reader_that_goes_away_ends_a_stream_quietly(api):
    stream = Stream("text/event-stream")
    api.routes["GET", "/v1/events"] = stream
    with Running("-c", api.socket, "events") as running:
        stream.push_event(event("worker-ready", "first"))
        running.wait_for("first")
        running.process.stdout.close()
        while not stream.client_gone.wait(0.05):
            stream.push_event(event("worker-ready", "more"))
        assert running.process.wait(15) == 0
        assert running.process.stderr.read() == b""


# --- logs and events ---

def log(line, slot=0, **more):
    return {"time": "2026-11-23T08:00:00.120Z", "pool": "api", "slot": slot, "generation": 3, "pid": 4711, "line": line,
            "gone": False, **more}


def test_logs_show_what_is_kept(api):
    stream = Stream().push(log("hello"), log("\x1b[31mred\x1b[0m\tü\0z", slot=1, gone=True)).end()
    api.routes["GET", "/v1/logs"] = stream
    done = subprocess.run([HANDOVER, "-c", api.socket, "logs"], capture_output=True, env=environment(), timeout=30, check=False)
    assert done.returncode == 0
    # in a pipe a worker's bytes are its own
    assert done.stdout == (b"2026-11-23 08:00:00.120 api/0 gen 3 pid 4711: hello\n"
                           b"2026-11-23 08:00:00.120 api/1 gen 3 pid 4711 (gone): \x1b[31mred\x1b[0m\t\xc3\xbc\0z\n")
    with Terminal([HANDOVER, "-c", api.socket, "logs"], environment(NO_COLOR="1")) as terminal:
        assert terminal.finish() == 0
        assert b"\x1b" not in terminal.raw and b"^[[31mred^[[0m\t\xc3\xbc^@z" in terminal.raw
    done = run("-c", api.socket, "logs", "--json")
    assert [json.loads(line)["line"] for line in done.stdout.splitlines()] == ["hello", "\x1b[31mred\x1b[0m\tü\0z"]
    api.routes["GET", "/v1/logs"] = Stream().push(log("a\x7f\x9b1mb\x7f")).end()
    with Terminal([HANDOVER, "-c", api.socket, "logs", "--json"], environment(NO_COLOR="1")) as terminal:
        assert terminal.finish() == 0
        assert b"\x7f" not in terminal.raw and rb'a\u007f\u009B1mb\u007f' in terminal.raw


def test_lines_without_end_are_refused(api):
    api.routes["GET", "/v1/logs"] = Stream().push(log("fine")).push_bytes(b'"' + b"x" * 5_000_000).end()
    done = run("-c", api.socket, "logs")
    assert done.returncode == 1 and done.stdout.endswith(": fine\n") and "too large" in done.stderr


@pytest.mark.parametrize("arguments, path", [
    ([], "/v1/logs"),
    (["api"], "/v1/logs?pool=api"),
    (["api/2"], "/v1/logs?pool=api&slot=2"),
    (["-f"], "/v1/logs?follow=1"),
    (["api/2", "--follow"], "/v1/logs?pool=api&slot=2&follow=1"),
])
def test_logs_ask_for_what_was_named(api, arguments, path):
    api.routes["GET", path] = Stream().push(log("x")).end()
    done = run("-c", api.socket, "logs", *arguments)
    assert done.stdout.endswith(": x\n") and api.requests == [("GET", path, None)]


def test_logs_follow_flushes_each_line_and_copes_with_pieces(api):
    stream = Stream()
    api.routes["GET", "/v1/logs?follow=1"] = stream
    with Running("-c", api.socket, "logs", "-f") as running:
        text = json.dumps(log("in pieces")).encode()
        for i in range(0, len(text), 7):
            stream.push_bytes(text[i:i + 7])
        stream.push_bytes(b"\r\n" + json.dumps(log("second")).encode() + b"\n" + json.dumps(log("third")).encode()[:9])
        running.wait_for("second")
        assert b"in pieces\n" in running.data and b"third" not in running.data
        stream.push_bytes(json.dumps(log("third")).encode()[9:]).end()
        code, out, err = running.finish()
    assert code == 0 and out.endswith("third\n") and "has ended the stream" in err


@pytest.mark.parametrize("arguments, path", [
    ([], "/v1/why"), (["api"], "/v1/why?pool=api"), (["api/2"], "/v1/why?pool=api&slot=2"), (["4711"], "/v1/why?pid=4711"),
    (["4711/0"], "/v1/why?pool=4711&slot=0"),
])
def test_why_asks_for_what_was_named(api, arguments, path):
    api.routes["GET", path] = {"since": "2026-11-23T08:00:00.000Z", "dropped": 3, "incidents": []}
    done = run("-c", api.socket, "why", *arguments)
    assert done.returncode == 0 and api.requests == [("GET", path, None)]
    assert re.fullmatch(r"no incident of (any pool|pool api|pool api slot 2|pid 4711|pool 4711 slot 0) is known any more, "
                        r"since 2026-11-23 08:00:00\n", done.stdout)


def test_the_past_of_another_version(api):
    for answer in ({}, {"incidents": [{}, 7, {"threads": [{}, 1], "dump": 3, "lines": [1], "drain": {"reason": "stop"}}], "history": [{}, 7], "queued": [1]},
                   {"incidents": 3, "history": {}, "queued": None}):
        api.routes["GET", "/v1/why"] = api.routes["GET", "/v1/history"] = answer
        for command in ("why", "history"):
            for option in ((), ("-v",), ("--json",)):
                done = run("-c", api.socket, command, *option)
                assert done.returncode == 0 and done.stderr == "", done


def test_unknown_pool_is_the_apis_sentence(api):
    api.routes["GET", "/v1/logs?pool=apii"] = (404, {"error": "there is no pool 'apii'; did you mean 'api'?"})
    done = run("-c", api.socket, "logs", "apii")
    assert (done.returncode, done.stderr) == (1, "handover: there is no pool 'apii'; did you mean 'api'?\n")


def test_events(api):
    stream = Stream("text/event-stream; charset=utf-8")
    api.routes["GET", "/v1/events"] = stream
    with Running("-c", api.socket, "events", "-f") as running:
        stream.push_bytes(b": a comment\r\n\r\nretry: 5\n").push_event(event("worker-ready", "pool api slot 2 is \x1bready"))
        running.wait_for("2026-11-23 08:00:00.123 worker-ready         pool api slot 2 is ^[ready\n")
        # a JSON text may be spread over data lines
        stream.push_bytes(b'event: x\ndata: {"event": "scaled",\ndata:"message": "two lines"}\n\n')
        running.wait_for("two lines")
        stream.push_event(event("instance-stopped", "bye")).cut()
        code, _, err = running.finish()
    assert code == 0 and "it stops" in err


def test_events_of_an_instance_that_breaks_off(api):
    api.routes["GET", "/v1/events"] = Stream("text/event-stream").push_event(event("worker-ready", "x")).cut()
    done = run("-c", api.socket, "events", "--json")
    assert done.returncode == 1 and json.loads(done.stdout)["message"] == "x" and "ended the connection" in done.stderr


def test_events_for_a_limited_time(api):
    api.routes["GET", "/v1/events"] = Stream("text/event-stream").push_event(event("worker-ready", "x"))
    assert run("-c", api.socket, "events", "--timeout", "300ms").returncode == 4


# --- small commands ---

def test_signal_and_dump(api):
    api.routes["POST", "/v1/pools/api/signal"] = {"signalled": [4711, 4712]}
    api.routes["POST", "/v1/pools/api/dump"] = {"signalled": [4711]}
    assert run("-c", api.socket, "signal", "api", "USR1").stdout == "sent SIGUSR1 to pid 4711, 4712\n"
    assert run("-c", api.socket, "signal", "api/1", "10", "-q").stdout == ""
    done = run("-c", api.socket, "dump", "api/0")
    assert "pid 4711" in done.stdout and f"handover -c {api.socket} logs api/0" in done.stdout
    assert json.loads(run("-c", api.socket, "dump", "api", "--json").stdout) == {"signalled": [4711]}
    assert api.posts() == [("POST", "/v1/pools/api/signal", {"signal": "SIGUSR1"}),
                           ("POST", "/v1/pools/api/signal", {"signal": "SIGUSR1", "slot": 1}),
                           ("POST", "/v1/pools/api/dump", {"slot": 0}), ("POST", "/v1/pools/api/dump", {})]
    api.routes["POST", "/v1/pools/api/signal"] = {"signalled": []}
    assert run("-c", api.socket, "signal", "api", "HUP").returncode == 1
    api.routes["POST", "/v1/pools/api/dump"] = (400, {"error": "pool api has no dump_signal"})
    done = run("-c", api.socket, "dump", "api", "--json")
    assert done.returncode == 1 and json.loads(done.stdout)["error"] in done.stderr


def test_out_of_service(api):
    api.routes["POST", "/v1/out-of-service"] = lambda body: {"out_of_service": body["on"]}
    assert "is out of service" in run("-c", api.socket, "out-of-service", "on").stdout
    assert "is back in service" in run("-c", api.socket, "out-of-service", "off").stdout
    assert json.loads(run("-c", api.socket, "out-of-service", "on", "--json").stdout) == {"out_of_service": True}
    assert [body for _, _, body in api.posts()] == [{"on": True}, {"on": False}, {"on": True}]


# --- check ---

GOOD = "[pool:api]\ncommand = /bin/true\nready = delay:1s\n"


def test_check_tells_all_mistakes(place):
    path = place + "/bad.ini"
    with open(path, "w", encoding="ascii") as file:
        file.write("[pool:api]\ncommand = /bin/true\nredy = notify\nworkers = many\n")
    done = run("check", path)
    assert done.returncode == 78 and done.stdout == ""
    assert f"{path}:3:" in done.stderr and f"{path}:4:" in done.stderr and "did you mean 'ready'?" in done.stderr
    assert run("check", place + "/none.ini").returncode == 78


def test_check_syntax_leaves_the_world_out(place):
    path = place + "/other.ini"
    with open(path, "w", encoding="ascii") as file:
        file.write(GOOD.replace("/bin/true", "/nowhere/program"))
    assert run("check", "--syntax", path).returncode == 0
    done = run("check", path)
    assert done.returncode == 78 and "/nowhere/program" in done.stderr and f"{path}:2:" in done.stderr


def test_check_without_file_takes_that_of_the_instance(place):
    path = place + "/payments.ini"
    with open(path, "w", encoding="ascii") as file:
        file.write(GOOD)
    with FakeApi(place, routes={("GET", "/v1/status"): status(config=path)}) as api:
        done = run("-c", api.socket, "check")
        assert done.returncode == 0 and path in done.stdout and done.stderr == ""
    done = run("check", **as_user(place))
    assert done.returncode == 3 and "handover check FILE" in done.stderr


def test_check_takes_the_instances_own_addresses_for_no_conflict(place):
    path = place + "/payments.ini"
    with socket.socket() as held, FakeApi(place) as api:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for port in range(21000, 21200):
            try:
                held.bind(("127.0.0.1", port))
                break
            except OSError:
                continue
        held.listen()
        with open(path, "w", encoding="ascii") as file:
            file.write(f"[socket:a]\nlisten = tcp://127.0.0.1:{port}\n" + GOOD + "sockets = a\n")
        # this process plays the instance: it holds both the control socket and the address
        assert run("check", path, "-c", api.socket).returncode == 0
        done = run("check", path)
        assert done.returncode == 78 and f"{port}" in done.stderr


# --- what is written about it ---

def options_of(command):
    return set(re.findall(r"^ +(?:-\w, )?--([a-z-]+)", run("help", command).stdout, re.M))


def test_man_page_and_completions_know_all():
    with open(ROOT + "/packaging/man/handover.1", encoding="utf-8") as file:
        page = file.read()
    texts = []
    for name in ("handover.bash", "_handover", "handover.fish"):
        with open(f"{ROOT}/packaging/completions/{name}", encoding="utf-8") as file:
            texts.append((name, file.read()))
    for command in COMMANDS:
        assert re.search(rf"^\.It (?:Xo\n\.)?Ic {command}\b", page, re.M), f"man page: {command}"
        for option in options_of(command):
            assert re.search(rf"(Fl|,|\|) -{option}\b", page), f"man page: --{option}"
            for name, text in texts:
                assert re.search(rf"(--|-l |'){option}\b", text), f"{name}: --{option}"
        for name, text in texts:
            assert re.search(rf"\b{command}\b", text), f"{name}: {command}"


def test_man_page_is_clean():
    done = subprocess.run(["mandoc", "-T", "lint", ROOT + "/packaging/man/handover.1"], capture_output=True, text=True,
                          timeout=30, check=False)
    # whether other pages are installed on this machine says nothing about this one
    assert [line for line in done.stdout.splitlines() if "referenced manual not found" not in line] == []


def complete(line, env):
    """What bash offers for the last word of the line; "=" is a word of its own, as COMP_WORDBREAKS has it."""
    words = re.findall(r"=|[^\s=]+", line) + ([""] if line.endswith(" ") else [])
    script = (f'source {ROOT}/packaging/completions/handover.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
              '_handover; printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(["bash", "--norc", "-c", script, "-", *words], capture_output=True, text=True, env=env, timeout=30,
                          check=True)
    assert done.stderr == ""
    return sorted(word for word in done.stdout.splitlines() if word)


def test_bash_completion(place):
    with FakeApi(place + "/handover") as api, FakeApi(place + "/handover", "search"):
        env = environment(XDG_RUNTIME_DIR=place, PATH=os.path.dirname(HANDOVER) + ":/usr/bin:/bin",
                          HANDOVER_INSTANCE="payments")
        chosen = f"handover -c {api.socket}"
        assert complete("handover re", env) == ["reload", "restart"]
        assert complete("handover st", env) == ["status", "stop"]
        assert "--wait=" in complete("handover reload --w", env)
        assert complete("handover reload --changed --wait=", env) == ["committed", "drained"]
        assert "--changed" not in complete("handover status --", env)
        assert complete(f"{chosen} reload ", env) == ["api"]
        assert complete(f"{chosen} logs a", env) == ["api", "api/0", "api/1"]
        assert complete(f"{chosen} restart api/", env) == ["api/0", "api/1"]
        assert complete("handover out-of-service o", env) == ["off", "on"]
        assert "SIGTERM" in complete("handover signal api SIGT", env)
        assert set(complete("handover help s", env)) == {"scale", "signal", "sockets", "status", "stop"}
        assert {"payments", "search"} <= set(complete("handover -i ", env))
