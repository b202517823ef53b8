"""handoverd as process 1 of a container: in a PID namespace of its own it reaps whatever is left to it, and stops as told."""
import os
import signal
import subprocess
import sys

import pytest

from harness import call, children_of, is_alive, process_stat, read_file, rpc, steps

pytestmark = pytest.mark.needs_root
UNSHARE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]


def inside(h):
    """The pid, as we see it, of the process that is 1 in there."""
    return h.wait(lambda: children_of(h.pid), "process 1")[0]


def namespace_pid(pid):
    """What a process that we see by this pid calls itself."""
    line = next(line for line in read_file(f"/proc/{pid}/status").decode().splitlines() if line.startswith("NSpid:"))
    return int(line.split()[-1])


def end(h, init, code=0):
    os.kill(init, signal.SIGTERM)
    h.wait_exit(code)


def test_process_1_serves_reloads_and_stops(handover):
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc(), sockets="web", workers=2)
    h.start(wrapper=UNSHARE)
    init = inside(h)
    assert namespace_pid(init) == 1 and h.status()["pid"] == 1
    before = h.pids()
    h.good_reload(wait="drained")
    assert not set(before) & set(h.pids()) and call(port, "add", a=1, b=2)["sum"] == 3
    end(h, init)


def test_process_1_reaps_orphans_that_are_not_its_own(handover):
    h = handover()
    h.pool("api", steps("ready"))
    h.start(wrapper=UNSHARE)
    init = inside(h)
    # something that somebody starts in the container, such as a shell by `docker exec`: its orphans come to process 1
    script = ("import os, sys, time\n"
              "for n in range(20):\n"
              "    if os.fork() == 0:\n"
              "        if os.fork() == 0:\n"
              "            time.sleep(0.02 * (n % 3)); os._exit(n)\n"
              "        os._exit(0)\n"
              "    os.wait()\n"
              "if os.fork() == 0:\n"
              "    if os.fork() == 0:\n"
              f"        os.setsid(); open({h.path('orphan')!r}, 'w').write(str(os.getppid()))\n"
              "        os.execv('/bin/sleep', ['sleep', '1000'])\n"
              "    os._exit(0)\n"
              "os.wait()\n")
    subprocess.run(["nsenter", "--target", str(init), "--pid", "--mount", sys.executable, "-c", script], check=True, timeout=30,
                   env=h.environment())

    def settled():
        stats = {pid: process_stat(pid) for pid in children_of(init)}
        return len(stats) == 2 and all(stat and stat[0] != "Z" for stat in stats.values()) and stats
    children = h.wait(settled, "all orphans but one to be reaped: the worker and the one that runs are left")
    stranger = next(pid for pid in children if b"sleep" in read_file(f"/proc/{pid}/cmdline"))
    h.good_reload(wait="drained")
    assert is_alive(stranger), "what is not ours is left alone"
    end(h, init)
    assert not is_alive(stranger), "a container ends with its process 1"


def test_process_1_kills_what_workers_leave_behind(handover):
    h = handover()
    h.socket("web")
    h.pool("api", rpc("--leak-daemon", "--leak-child"), sockets="web")
    h.start(wrapper=UNSHARE)
    init = inside(h)
    h.wait(lambda: len(children_of(init)) == 2, "the daemon")
    before = children_of(init)
    h.good_reload(wait="drained")
    h.wait_gone(*before)
    h.wait(lambda: all((process_stat(pid) or "?")[0] != "Z" for pid in children_of(init)), "no zombies")
    end(h, init)


def test_process_1_survives_signals_that_it_has_no_use_for(handover):
    h = handover()
    h.pool("api", steps("ready"))
    h.start(wrapper=UNSHARE)
    init = inside(h)
    for number in (signal.SIGUSR2, signal.SIGPIPE, signal.SIGALRM, signal.SIGWINCH, signal.SIGHUP, signal.SIGUSR1):
        os.kill(init, number)
    h.wait_log("reload 2 committed")
    end(h, init)


def test_ctrl_c_in_a_container(handover):
    h = handover()
    h.pool("api", steps("ignore:TERM", "ready"), stop_timeout="1h")
    h.start(wrapper=UNSHARE)
    init = inside(h)
    os.kill(init, signal.SIGINT)
    h.wait_log("workers are told to stop")
    os.kill(init, signal.SIGINT)
    h.wait_exit(0)
