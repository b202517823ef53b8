"""A restart of the master refuses nobody, a stop refuses everybody soon, and systemd's time-outs never cut what our own
budgets allow."""
import os
import signal
import time

import pytest

from harness import call, in_background, is_refused, rpc, steps, wait_until
from service import no_daemon_reload


def serving(service, workers=2, **pool):
    h = service()
    port = h.socket("web")
    h.pool("api", rpc(), sockets="web", workers=workers, **{"drain_timeout": "3s", **pool})
    h.start()
    return h, port


# --- nobody is refused ---

def causes(summary):
    """How many requests failed, by cause."""
    found = {}
    for failure in summary["failures"]:
        found[failure["cause"]] = found.get(failure["cause"], 0) + failure["count"]
    return found


def count(found, *words):
    return sum(n for cause, n in found.items() if any(word in cause.lower() for word in words))


def test_twenty_restarts_refuse_nobody(service, record_property):
    """Every request is on a new connection, or has been let in: each one is answered."""
    h, port = serving(service)
    load = h.load("--new", 150, "--slow", "10,50,200", target=f"127.0.0.1:{port}")
    load.wait_answered(50)
    for _ in range(20):
        h.systemctl("restart", check=True)
        load.wait_answered(10)
    code, summary, printed = load.finish()
    found = causes(summary)
    record_property("load", f"20 restarts: {summary['total']['sent']} sent, failed: {found or 'none'}, "
                            f"max {summary['total']['outside_windows']['max_ms']:.0f} ms")
    assert count(found, "refused") == 0, printed + h.tell()
    assert code == 0 and summary["total"]["failed"] == 0, printed + h.tell()


def test_a_killed_master_refuses_nobody(service, record_property):
    """systemd kills the workers of a master that was killed: what they were doing is reset, which is counted apart. Who
    waits in the queue is served by the next."""
    h, port = serving(service)
    load = h.load("--new", 150, "--slow", "20,100,300", target=f"127.0.0.1:{port}")
    load.wait_answered(50)
    for _ in range(5):
        master = h.pid
        os.kill(master, signal.SIGKILL)
        h.wait(lambda old=master: h.pid not in (0, old) and h.state == "active", "the next master")
        load.wait_answered(50)
    _, summary, printed = load.finish()
    found = causes(summary)
    record_property("load", f"5 times kill -9 of the master: {summary['total']['sent']} sent, failed: {found or 'none'}")
    assert count(found, "refused") == 0, printed + h.tell()
    assert count(found, "timed out", "timeout") == 0, printed + h.tell()
    # what the workers had in their hands at the moment of a kill: four slow requests, and what was accepted just now
    cut = count(found, "reset", "closed")
    assert cut == summary["total"]["failed"] and 0 < cut <= 5 * 20, printed + h.tell()


def test_a_master_that_hangs_is_replaced(service):
    h, port = serving(service)
    h.systemctl("stop")
    h.override(WatchdogSec=2)
    h.systemctl("start", check=True)
    master = h.pid
    os.kill(master, signal.SIGSTOP)
    h.wait(lambda: h.pid not in (0, master) and h.state == "active", "the next master")
    assert "Watchdog timeout" in h.log
    assert call(port, "add", a=1, b=2)["sum"] == 3


def test_a_master_that_works_is_not_taken_for_hung(service):
    h, port = serving(service)
    h.systemctl("stop")
    h.override(WatchdogSec=1)
    h.systemctl("start", check=True)
    master = h.pid
    until = time.monotonic() + 4  # long enough for four time-outs
    while time.monotonic() < until:
        assert h.systemctl("reload").returncode == 0
    assert h.pid == master and h.show("NRestarts") == "0" and call(port, "add", a=1, b=2)["sum"] == 3


# --- a stop ---

def test_new_clients_are_refused_after_a_stop(service):
    h, port = serving(service)
    stop = in_background(h.systemctl, "stop")
    began = time.monotonic()
    wait_until(lambda: is_refused(port), "new clients to be refused", 5, h.tell)
    took = time.monotonic() - began
    assert stop.result().returncode == 0 and took < 2, f"took {took} s"
    assert is_refused(port) and h.show("NFileDescriptorStore") == "0"


@pytest.mark.parametrize("how", ["stopped", "hangs"])
def test_a_worker_that_does_not_go_leaves_no_client_hanging(service, how):
    """It has its budget, and systemctl waits for that; new clients do not. (Who is stopped is continued with the drain.)"""
    h = service()
    port = h.socket("web")
    h.pool("api", rpc(), sockets="web", drain_timeout="5s")
    h.pool("other", steps("ignore:TERM", "ready"), sockets="web", drain_timeout="3s")
    h.start()
    if how == "stopped":
        os.kill(h.pids("api")[0], signal.SIGSTOP)
    stop = in_background(h.systemctl, "stop")
    h.wait_log("stopping")
    began = time.monotonic()
    wait_until(lambda: is_refused(port), "new clients to be refused", 3, h.tell)
    took = time.monotonic() - began
    assert not stop.done() and took < 1, f"took {took} s"
    assert stop.result().returncode == 0 and is_refused(port)


# --- time-outs ---

def test_a_long_reload_under_a_short_time_out(service):
    h, port = serving(service)
    h.override(TimeoutStartSec=2)
    h.pool("api", f"sh -c 'sleep 6; exec {rpc('--version', 2)}'")
    h.write()
    began = time.monotonic()
    with no_daemon_reload():
        assert h.systemctl("reload").returncode == 0, h.tell()
    assert time.monotonic() - began > 6 and call(port, "info")["version"] == "2"


def test_a_long_start_under_a_short_time_out(service):
    h = service()
    h.override(TimeoutStartSec=1)
    h.pool("api", steps("sleep:4000", "ready"))
    with no_daemon_reload():
        h.start()
    assert h.state == "active" and h.show("NRestarts") == "0"


def test_a_long_drain_under_a_short_time_out(service):
    h = service()
    h.override(TimeoutStopSec=1)
    h.pool("api", steps("ready", "ignore:TERM"), drain_timeout="4s")
    h.start()
    began = time.monotonic()
    with no_daemon_reload():
        h.stop()
    assert time.monotonic() - began > 4 and h.show("Result") == "success"


def test_a_master_that_hangs_while_it_starts_gets_no_more_time(service):
    h = service()
    h.may_fail = True
    h.override(TimeoutStartSec=1, Restart="no")
    h.pool("api", steps("sleep:100000"), start_timeout="60s")
    h.launch()
    h.wait(lambda: os.path.exists(h.control) and h.workers("api", "starting"), "the workers to start")
    os.kill(h.pid, signal.SIGSTOP)
    h.wait_state("failed")
    assert h.show("Result") == "timeout"
