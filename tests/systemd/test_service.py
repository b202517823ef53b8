"""What `systemctl` does with handover@NAME: start, stop, reload, restart, and what it shows."""
import os
import re

import pytest

from harness import call, is_refused, rpc, steps
from service import systemctl


def serving(service, workers=2, **pool):
    h = service()
    port = h.socket("web")
    h.pool("api", rpc(), sockets="web", workers=workers, **pool)
    h.start()
    return h, port


def test_start_reload_restart_stop(service):
    h, port = serving(service)
    assert h.state == "active" and call(port, "info")["generation"] == 1
    first = h.pid
    assert h.systemctl("reload").returncode == 0
    assert h.pid == first and call(port, "info")["generation"] == 2
    assert h.systemctl("restart").returncode == 0
    assert h.pid != first and call(port, "info")["generation"] == 1
    h.stop()
    assert is_refused(port) and not os.path.exists(h.runtime_dir)


def test_start_waits_until_all_pools_serve(service):
    h = service()
    h.pool("slow", steps(f"await:{h.path('go')}", "ready"))
    h.pool("fast", steps("ready"))
    h.launch()
    h.wait(lambda: os.path.exists(h.control) and h.workers("fast", "serving"), "the fast pool to serve")
    assert h.state == "activating"
    with open(h.path("go"), "w", encoding="ascii"):
        pass
    h.wait_state("active")


def test_status_shows_what_serves(service):
    h, _ = serving(service)
    h.wait(lambda: re.search(r"Status: \"2 workers serving", h.status_text()), "the status line")


def test_a_reload_that_is_held(service):
    """It has its answer, and systemd knows of no reload any more; the status line says what is to be done."""
    h, port = serving(service, canary=1, canary_time="50ms", canary_hold="yes", canary_hold_timeout="30min")
    assert h.systemctl("reload").returncode == 0 and h.state == "active"
    h.wait(lambda: re.search(r'Status: "3 workers serving, generation 1; reload 2 is held: promote or abort before \d\d:\d\d"',
                             h.status_text()), "the status line")
    assert h.systemctl("reload").returncode == 1
    h.wait(lambda: "handover: reload refused: reload 2 is held; promote or abort it first" in h.status_text(), "the reason")
    assert h.cli("promote").returncode == 0 and h.state == "active" and call(port, "info")["generation"] == 2


def test_a_wrong_configuration_fails_the_start_for_good(service):
    h = service()
    h.may_fail = True
    h.pool("api", steps("ready"), workerz=3)
    h.write()
    assert h.systemctl("start").returncode != 0
    h.wait_state("failed")
    assert h.show("NRestarts") == "0" and h.show("ExecMainStatus") == "78"
    assert re.search(r"ini:\d+: \[pool:api\] workerz: .*did you mean", h.status_text()), h.status_text()


def test_a_crashed_master_is_started_again(service):
    h, port = serving(service)
    first = h.pid
    os.kill(first, 9)
    h.wait(lambda: h.pid not in (0, first) and h.state == "active", "a new master")
    assert call(port, "info")["generation"] == 1


def test_type_notify_reload(service):
    """Where people prefer it: systemd sends SIGHUP and waits for RELOADING=1, then READY=1."""
    version = systemctl("--version").stdout.split()[1]
    if int(version) < 253:
        pytest.skip(f"NOT RUN: Type=notify-reload is of systemd 253, and this is {version}")
    h = service()
    h.override(Type="notify-reload", ExecReload="")
    port = h.socket("web")
    h.pool("api", rpc(), sockets="web", workers=2)
    h.start()
    assert h.systemctl("reload").returncode == 0 and call(port, "info")["generation"] == 2
