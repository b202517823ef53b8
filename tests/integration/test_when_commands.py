"""What happens when the workers' command is wrong or ends, at the start and at a reload: see docs/what-happens-when.md."""
import os
import re
import socket

import pytest

from harness import rpc, steps
from when import (STILL, check_reload_refused, check_start_refused, no_loss_and_no_leak, nothing_stays, said, without_time)

NOBODY = {"user": 65534, "group": 65534, "extra_groups": []}
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ARM = 0xb7 if os.uname().machine != "aarch64" else 0x3e  # another machine than this one


def program(data, mode=0o755):
    """Keys of a pool whose command is this file, once it is there."""
    def make(h):
        with open(h.path("worker"), "wb") as file:
            file.write(data)
        os.chmod(h.path("worker"), mode)
        return {"command": h.path("worker")}
    return make


def foreign_program():
    with open("/bin/true", "rb") as file:
        data = bytearray(file.read())
    data[18:20] = ARM.to_bytes(2, "little")
    return bytes(data)


def keys(**of):
    return lambda h: of


# --- what is found when the configuration is checked ---

WORKER = "command: cannot execute '{place}/worker': "
CHECKED = {
    "missing": (keys(command="/no/such/worker"), "command: cannot execute '/no/such/worker': no such file"),
    "missing in PATH": (keys(command="no-such-worker"), f"command: cannot execute 'no-such-worker': no such command in PATH ({PATH})"),
    "not executable": (program(b"#!/bin/sh\n", 0o644), WORKER + "it is not marked as executable (mode 0644)"),
    "a directory": (keys(command="/tmp"), "command: cannot execute '/tmp': it is a directory"),
    "wrong architecture": (program(foreign_program()), WORKER + "it is a program for another kind of machine"),
    "cut short": (program(foreign_program()[:32]), WORKER + "it is a program that was cut short"),
    "a script without #!": (program(b"exec sleep 100\n"), WORKER + "it is no program; a script needs a first line such as #!/bin/sh"),
    "empty": (program(b""), WORKER + "it is empty"),
    "no interpreter": (program(b"#!/no/such/python\n"),
                       WORKER + "'/no/such/python', the interpreter in its first line, cannot be executed: No such file or directory"),
    "DOS line ends": (program(b"#!/bin/sh\r\nexec sleep 100\r\n"),
                      WORKER + "its first line ends with a carriage return, so that its interpreter is not found; save it with Unix line ends"),
    "unknown user": (keys(user="no-such-user"), "user: there is no user 'no-such-user'"),
    "unknown group": (keys(group="no-such-group"), "group: there is no group 'no-such-group'"),
    "missing working directory": (keys(working_directory="/no/such"), "working_directory: '/no/such': No such file or directory"),
    "working directory that is a file": (keys(working_directory="/etc/passwd"), "working_directory: '/etc/passwd' is no directory"),
}


def line_of(h, key):
    return 1 + h.text().splitlines().index(next(line for line in h.text().splitlines() if line.startswith(f"{key} = ")))


@pytest.mark.parametrize("make, text", CHECKED.values(), ids=CHECKED.keys())
def test_a_command_that_cannot_be_run_at_the_start(handover, make, text):
    h = handover()
    h.pool("api", steps("ready"))
    h.section("pool:api", **make(h))
    h.write()
    check_start_refused(h, said(h, f"{{config}}:{line_of(h, text.split(':')[0])}: [pool:api] {text}\n"
                                   "handoverd: not started: 1 mistake in the configuration\n"))


@pytest.mark.parametrize("make, text", CHECKED.values(), ids=CHECKED.keys())
def test_a_command_that_cannot_be_run_at_a_reload(handover, make, text):
    h = handover()
    port = serve(h)
    with no_loss_and_no_leak(h, port):
        h.section("pool:api", **make(h))
        h.write()
        check_reload_refused(h, said(h, f"{{config}}:{line_of(h, text.split(':')[0])}: [pool:api] {text}\n"))


def serve(h, **more):
    port = h.socket("web")
    h.pool("api", rpc("--version", 1), sockets="web", workers=2, stop_timeout="200ms")
    h.start(**more)
    return port


RIGHTS = {
    "user": ({"user": "daemon"}, "user: only root may start workers as 'daemon', and we are uid 65534"),
    "group": ({"group": "daemon"}, "group: only root may start workers in the group 'daemon', and we are uid 65534"),
}


@pytest.mark.needs_root
@pytest.mark.parametrize("change, text", RIGHTS.values(), ids=RIGHTS.keys())
def test_no_right_to_change_user_at_the_start(handover, change, text):
    h = handover()
    os.chmod(h.place, 0o777)
    h.pool("api", steps("ready"), **change)
    h.write()
    check_start_refused(h, said(h, f"{{config}}:4: [pool:api] {text}\nhandoverd: not started: 1 mistake in the configuration\n"), **NOBODY)


@pytest.mark.needs_root
@pytest.mark.parametrize("change, text", RIGHTS.values(), ids=RIGHTS.keys())
def test_no_right_to_change_user_at_a_reload(handover, change, text):
    h = handover()
    os.chmod(h.place, 0o777)
    port = serve(h, **NOBODY)
    with no_loss_and_no_leak(h, port):
        h.section("pool:api", **change)
        h.write()
        check_reload_refused(h, said(h, f"{{config}}:9: [pool:api] {text}\n"))


@pytest.mark.needs_root
def test_a_user_who_may_not_execute_the_command(handover):
    """The check can only warn, for access lists may say otherwise; exec knows."""
    h = handover()
    port = serve(h)
    with no_loss_and_no_leak(h, port):
        h.section("pool:api", **program(b"#!/bin/sh\n", 0o700)(h), user="nobody")
        h.write()
        check_reload_fails(h, "pool api slot <slot> generation 2 cannot be started: cannot execute {place}/worker: Permission denied",
                           "{config}:4: warning: [pool:api] command: the user 'nobody' may not execute '{place}/worker', by its mode\n")


# --- commands that run, and do not serve ---

TIME = r"[\d.]+ m?u?s"
NOT_READY = "pool api slot <slot> generation <generation> pid <pid> "
ENDS = {
    "exits at once": (rpc("--exit-at-start", 3), {}, NOT_READY + "exited with code 3, <time> after its start, before it was ready",
                      "rpc-worker: cannot open database: connection refused"),
    "exits with 0 at once": (steps("exit:0"), {}, NOT_READY + "exited with code 0, <time> after its start, before it was ready", None),
    "killed at once": (rpc("--die-at-start", "KILL"), {}, NOT_READY + "killed by SIGKILL, <time> after its start, before it was ready", None),
    "crashes at once": (rpc("--die-at-start", "SEGV"), {"limit_core": 0},
                        NOT_READY + "killed by SIGSEGV, <time> after its start, before it was ready", None),
    "never ready": (steps("notify:STATUS=waiting for the database", "exit-on:TERM:0"), {"start_timeout": "100ms"},
                    NOT_READY + 'was not ready within 100 ms (start_timeout), its status: "waiting for the database"', None),
    "never ready, ignores SIGTERM": (steps("ignore:TERM"), {"start_timeout": "100ms", "drain_timeout": "50ms", "stop_timeout": "50ms"},
                                     NOT_READY + "was not ready within 100 ms (start_timeout)", None),
    "says that it stops": (steps("notify:STOPPING=1", "exit-on:TERM:0"), {"drain_timeout": "100ms"}, NOT_READY + "said by itself that it stops", None),
}


def pattern(h, text):
    words = {"<slot>": "[01]", "<generation>": r"\d+", "<pid>": r"\d+", "<time>": TIME}
    text = re.escape(said(h, text))
    for word, regex in words.items():
        text = text.replace(word, regex)
    return text


def check_reload_fails(h, reason, before=""):
    """`handover reload` ends with these sentences, and the log has them too."""
    old, since = h.pids(), h.mark()
    done = h.cli("reload")
    end = pattern(h, before) + pattern(h, f"handover: reload <generation> failed: {reason}; {STILL}\n")
    assert done.returncode == 1 and re.fullmatch(end, done.stderr), done
    message = re.search(r"handover: (reload \d+ failed: .*\n)", done.stderr)[1]
    assert "error " + message in without_time(h.log[since:]), h.log[since:]
    assert h.pids() == old


@pytest.mark.parametrize("command, more, text, last", ENDS.values(), ids=ENDS.keys())
def test_a_command_that_does_not_serve_at_the_start(handover, command, more, text, last):
    h = handover()
    h.pool("api", command, workers=2, **more)
    with nothing_stays(h):
        h.end_early(code=1)
    log = without_time(h.log)
    assert re.search(rf"^error start 1 failed: {pattern(h, text)}(?=[;\n])", log, re.M), log
    if last:
        assert f"error   its last output: {last}\n" in log


@pytest.mark.parametrize("command, more, text, last", ENDS.values(), ids=ENDS.keys())
def test_a_command_that_does_not_serve_at_a_reload(handover, command, more, text, last):
    h = handover()
    port = serve(h)
    with no_loss_and_no_leak(h, port):
        h.section("pool:api", command=command, **more)
        h.write()
        check_reload_fails(h, text, f"last output of {NOT_READY.strip()}:\n    {last}\n" if last else "")
        h.section("pool:api", command=rpc("--version", 1), **{key: None for key in more})
        h.write()


# --- READY that comes twice, or from somebody else ---

def side_of(h, *before):
    """A second pool, ready as soon as a file is there; the first one has the load."""
    h.pool("side", steps(f"dump:{h.path('dump')}", f"await:{h.path('go')}", *before, "ready", "exit-on:TERM:0"))
    create(h.path("go"))


def create(path):
    with open(path, "w", encoding="utf-8"):
        pass


def test_ready_twice(handover):
    """The second one says nothing new."""
    h = handover()
    h.pool("side", steps("ready", "ready", "ready", "say:said", "exit-on:TERM:0"))
    port = serve(h)
    with no_loss_and_no_leak(h, port):
        since = h.mark()
        result = h.good_reload(pool="side", wait="drained")
        assert result["message"] == f"reload {result['id']} committed: pool side: generation 2 serves with 1 worker"
        h.wait_log(r"side\[0\] g2 pid \d+: said", since=since)
        log = without_time(h.log[since:])
        assert len(re.findall(r"pool side slot 0 generation 2 pid \d+ is ready after", log)) == 1
        assert " warning " not in log


def test_ready_from_a_stranger(handover):
    """It is the worker that gets ready, and nobody else for it."""
    h = handover()
    side_of(h)
    port = serve(h)
    for name in ("go", "dump"):
        os.unlink(h.path(name))
    with no_loss_and_no_leak(h, port):
        since = h.mark()
        with h.api.lines("POST", "/v1/reload", pool="side", progress=True) as lines:
            address = next(item.split("=", 1)[1] for item in h.json_of("dump")["env"] if item.startswith("NOTIFY_SOCKET="))
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
                stranger.sendto(b"READY=1", "\0" + address[1:])
            text = h.wait_log(rf"warning (pool side slot 0 generation 2 pid \d+: ignoring a message .*)", since=since)[1]
            assert re.fullmatch(rf"pool side slot 0 generation 2 pid \d+: ignoring a message to its NOTIFY_SOCKET from pid {os.getpid()} "
                                rf"uid {os.getuid()}, which is not that worker \(1 so far\)", text)
            assert h.status()["reload"] is not None and not h.count_log("is ready after", since)
            create(h.path("go"))
            assert lines.until(event="result")["result"] == "committed"
    assert h.count_log("ignoring a message") == 1
