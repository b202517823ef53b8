"""Budgets against the limits that systemd has for the unit: looked up where there is somebody to ask."""
import re
import subprocess

from harness import steps
from service import no_daemon_reload


def check(h):
    h.write()
    with no_daemon_reload():  # which may take longer than a check waits for an answer
        return subprocess.run(["/usr/bin/handover", "check", h.config], capture_output=True, text=True, check=False)


def test_check_tells_the_limits_of_the_unit(service):
    h = service()
    h.pool("api", steps("exit-on:TERM:0", "ready"), stop_timeout="100s")
    h.override(TimeoutStopSec="10s", TimeoutStartSec="11s")
    done = check(h)
    assert done.returncode == 0 and done.stderr == ""
    assert (f"{h.unit}: TimeoutStartSec=11 s, TimeoutStopSec=10 s; more is asked for while a start, a reload or a stop goes on\n"
            in done.stdout)


def test_budgets_that_cannot_fit(service):
    h = service()
    h.pool("api", steps("exit-on:TERM:0", "ready"), stop_timeout="20s", start_timeout="15s")
    h.override(Type="exec", NotifyAccess="none", WatchdogSec="0", TimeoutStopSec="10s", TimeoutStartSec="16s", FileDescriptorStoreMax="0",
               ExecReload="")
    said = [rf"ini:\d+: warning: \[pool:api\] stop_timeout: a stop may take 20 s, but systemd gives {h.unit} TimeoutStopSec=10 s, and "
            r"NotifyAccess=none keeps us from asking for more: set NotifyAccess=main or TimeoutStopSec=22s there",
            rf"ini:\d+: warning: \[pool:api\] start_timeout: a start may take 15 s, but systemd gives {h.unit} TimeoutStartSec=16 s, and "
            r"NotifyAccess=none keeps us from asking for more: set NotifyAccess=main or TimeoutStartSec=17s there"]
    done = check(h)
    assert done.returncode == 0
    for pattern in said:
        assert re.search(pattern, done.stderr), done.stderr
    h.start()
    for pattern in said:
        h.wait_log(pattern)


def test_a_store_that_is_too_small(service):
    h = service()
    h.socket("a")
    h.socket("b")
    h.pool("api", steps("exit-on:TERM:0", "ready"), sockets="a b")
    h.override(FileDescriptorStoreMax="1")
    assert re.search(rf"\[socket:b\] listen: there are 2 sockets of our own, and {h.unit} has FileDescriptorStoreMax=1: clients are "
                     "refused while the master is restarted; set FileDescriptorStoreMax=2 or more there", check(h).stderr)


def test_a_configuration_that_is_not_in_its_place_yet(service):
    h = service()
    h.pool("api", steps("ready"))
    copy = h.path("other.ini")
    with open(copy, "w", encoding="utf-8") as file:
        file.write(h.text())
    done = subprocess.run(["/usr/bin/handover", "check", copy], capture_output=True, text=True, check=False)
    assert "handover@other.service: TimeoutStartSec=" in done.stdout, "a template has all names"
