"""A reload that fails: `systemctl reload` fails, `systemctl status` says why, and nobody else notices. Each while a load
runs, of which no call may fail."""
import contextlib
import os
import re
import shutil
import signal
import socket

import pytest

from harness import STEP_WORKER, in_background, rpc, steps, wait_until
from service import systemctl

STILL = "; still serving: pool api generation 1 with 2 of 2 workers"


@contextlib.contextmanager
def serving(service, **pool):
    """A service under load. At the end the same workers serve, and no call has failed."""
    h = service()
    port = h.socket("web")
    h.pool("api", rpc(), sockets="web", workers=2, **pool)
    h.start()
    master, workers = h.pid, sorted(h.pids())
    load = h.load("--new", 100, "--keepalive", "50,4", "--slow", "5,100,300", target=f"127.0.0.1:{port}")
    load.wait_answered(50)
    yield h
    load.wait_answered(50)
    assert h.state == "active" and h.pid == master and h.wait_serving("api", 2, 1)
    assert sorted(h.pids()) == workers
    code, summary, printed = load.finish()
    assert code == 0 and summary["total"]["failed"] == 0, printed + h.tell()


def is_shown(h, line):
    """Whether `systemctl status` has this line in what it shows of the journal."""
    shown = [re.sub(r"^\w+ \d+ [\d:]+ \S+ [^:]+: ", "", text) for text in h.status_text().splitlines()]
    return any(re.fullmatch(line, text) for text in shown)


def fails(h, reason):
    """Reloads, in vain. The reason is a pattern for the whole sentence."""
    h.write()
    done = h.systemctl("reload")
    assert done.returncode == 1 and "failed" in done.stderr, done
    told = f"reload 2 failed: {reason}{re.escape(STILL)}"
    # what the operator sees next; the journal may be a moment behind
    h.wait(lambda: is_shown(h, "handover: " + told), f"systemctl status to show {told}", timeout=5)
    # and when all is over, systemd's own words as well, the last line
    h.wait(lambda: re.fullmatch(told, h.last_line()), f"the last line of systemctl status to say {told}", timeout=10)
    assert re.search(rf'^ *Status: ".*{told}"$', h.status_text(), re.M), h.status_text()
    assert re.search("^" + told + "$", h.log, re.M), "the master's own words are in the journal"


def test_a_wrong_configuration(service):
    with serving(service) as h:
        h.pool("api", workerz=3, drain_timeout="6 parsecs")
        fails(h, rf"the configuration has 2 mistakes, the first: {h.config}:\d+: \[pool:api\] workerz: .*did you mean 'workers'\?")
        # all of them stand above it
        text = h.status_text()
        assert re.search(r"ini:\d+: \[pool:api\] drain_timeout: ", text), text


def test_a_socket_that_cannot_be_bound(service):
    with serving(service) as h, socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", h.ports.take()))
        other.listen()
        port = other.getsockname()[1]
        h.socket("more", f"tcp://127.0.0.1:{port}")
        h.pool("api", sockets="web more")
        fails(h, rf".*127\.0\.0\.1:{port}.*pid {os.getpid()}.*")


def test_a_worker_that_cannot_be_executed(service):
    with serving(service) as h:
        path = h.path("api")
        shutil.copy(STEP_WORKER, path)
        h.pool("api", f"{path} ready")
        with open(path, "ab"):  # somebody still copies it: the check beforehand cannot see that, exec can
            fails(h, rf"pool api slot [01] generation 2 cannot be started: cannot execute {path}: Text file busy.*")


def test_a_worker_that_dies(service):
    with serving(service) as h:
        h.pool("api", steps("say:cannot open database", "exit:3"))
        fails(h, r"pool api slot \d generation 2 pid \d+ exited with code 3, [\d.]+ [mu]s after its start, before it was ready")
        assert "cannot open database" in h.status_text()


def test_a_worker_that_is_not_ready_in_time(service):
    with serving(service) as h:
        h.pool("api", steps("notify:STATUS=waits for the database"), start_timeout="1s")
        fails(h, r"pool api slot \d generation 2 pid \d+ was not ready within 1 s \(start_timeout\).*")


# --- systemd gives up ---

def begun(h):
    """A reload that will be long, and has begun."""
    h.pool("api", steps(f"await:{h.path('go')}", "ready"), start_timeout="60s")
    h.write()
    reload = in_background(h.systemctl, "reload")
    h.wait(lambda: h.workers("api", "starting"), "the reload to begin")
    return reload


def let_go(h):
    with open(h.path("go"), "w", encoding="ascii"):
        pass


def undone(h):
    h.wait_log(r"reload 2 aborted: its caller went away" + re.escape(STILL))
    let_go(h)  # too late
    assert h.wait_serving("api", 2, 1)
    h.wait(lambda: re.match("reload 2 aborted: its caller went away", h.last_line()), "the last line to say why", timeout=10)
    assert re.search(r'Status: ".*reload 2 aborted: its caller went away', h.status_text()), h.status_text()


def test_the_waiting_command_is_killed(service):
    """As systemd does it, with the signal that it uses."""
    with serving(service) as h:
        reload = begun(h)
        systemctl("kill", "--kill-who=control", h.unit, check=True)
        assert reload.result().returncode == 1
        undone(h)


def test_systemd_gives_up_on_a_master_that_does_not_answer(service):
    """TimeoutStartSec also bounds a reload. A stopped master asks for no more time, and finds nothing committed later."""
    with serving(service, drain_timeout="3s") as h:
        h.override(TimeoutStartSec=2)
        reload = begun(h)
        master = h.pid
        os.kill(master, signal.SIGSTOP)
        try:
            assert reload.result().returncode == 1
            wait_until(lambda: "timed out" in h.log.lower(), "systemd to have given up", tell=h.tell)
            let_go(h)  # the new workers say READY=1, which the master reads together with the end of its caller
            wait_until(lambda: h.state == "active", "the unit to be active", tell=h.tell)
        finally:
            os.kill(master, signal.SIGCONT)
        h.wait_log(r"reload 2 aborted: its caller went away|reload 2 committed")
        assert "committed: pool api: generation 2" not in h.log, h.tell()
        assert h.wait_serving("api", 2, 1)


@pytest.mark.parametrize("after", ["a failed reload", "an aborted reload"])
def test_the_next_reload_succeeds(service, after):
    h = service()
    h.pool("api", steps("exit-on:TERM:0", "ready"), workers=2)
    h.start()
    if after == "a failed reload":
        h.pool("api", steps("exit:3"))
        h.write()
        assert h.systemctl("reload").returncode == 1
    else:
        reload = begun(h)
        systemctl("kill", "--kill-who=control", h.unit, check=True)
        assert reload.result().returncode == 1
    h.pool("api", steps("exit-on:TERM:0", "ready"))
    h.write()
    assert h.systemctl("reload").returncode == 0, h.tell()
    h.wait(lambda: re.search(r'Status: "2 workers serving', h.status_text()) and "failed" not in
           re.search("Status: .*", h.status_text())[0], "a status that forgets the failure")
