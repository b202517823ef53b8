"""What docs/deploying.md tells to do, done under load: releases behind a link, releases in a drop-in, a tool that runs
again and again, and the way back."""
import json
import os
import shutil

from harness import RPC_WORKER, call


def release(h, number, good=True):
    """A release directory with a program of its own."""
    place = h.path(f"releases/{number}")
    os.makedirs(place)
    if good:
        shutil.copy(RPC_WORKER, f"{place}/api")
        with open(f"{place}/api", "ab") as file:
            file.write(b"\n" * number)  # another program
    else:
        with open(f"{place}/api", "w", encoding="ascii") as file:
            file.write("#!/bin/sh\necho cannot open database\nexit 3\n")
        os.chmod(f"{place}/api", 0o755)


def switch(h, number):
    os.symlink(f"releases/{number}", h.path("current.new"))
    os.rename(h.path("current.new"), h.path("current"))


def runs(h):
    """The releases of the workers that serve."""
    return {os.path.basename(os.path.dirname(os.readlink(f"/proc/{pid}/exe"))) for pid in h.pids()}


def start(h, command):
    port = h.socket("web")
    h.pool("api", command, sockets="web", workers=2, drain_timeout="3s")
    h.start()
    load = h.load("--new", 100, "--keepalive", "30,3", "--slow", "5,100,300", target=f"127.0.0.1:{port}")
    load.wait_answered(50)
    return port, load


def finish(h, load):
    load.wait_answered(50)
    code, summary, printed = load.finish()
    assert code == 0 and summary["total"]["failed"] == 0, printed + h.tell()


def test_releases_behind_a_link(handover):
    h = handover()
    release(h, 1)
    release(h, 2)
    release(h, 3, good=False)
    switch(h, 1)
    port, load = start(h, h.path("current/api"))
    switch(h, 2)
    assert h.cli("reload").returncode == 0 and runs(h) == {"2"}
    switch(h, 3)
    done = h.cli("reload", "--abort-on-disconnect")
    assert done.returncode == 1 and "exited with code 3" in done.stderr.splitlines()[-1] and runs(h) == {"2"}
    switch(h, 2)  # back, so that a crash finds what serves
    victim = h.pids()[0]
    os.kill(victim, 9)
    h.wait(lambda: victim not in h.pids(), "the worker's end to be noticed")
    h.wait_serving("api", 2)
    assert runs(h) == {"2"}
    switch(h, 1)
    assert h.cli("reload", "--changed").returncode == 0 and runs(h) == {"1"}
    assert call(port, "info")["generation"] >= 3
    load.wait_answered(20)
    load.kill()  # a worker was killed under it


def test_releases_in_a_drop_in(handover):
    h = handover()
    release(h, 1)
    release(h, 2)
    os.mkdir(h.config + ".d")

    def choose(number):
        with open(h.config + ".d/new", "w", encoding="ascii") as file:
            file.write(f"[pool:api]\ncommand = {h.path(f'releases/{number}/api')}\n")
        os.rename(h.config + ".d/new", h.config + ".d/release.ini")
    choose(1)
    _, load = start(h, "/bin/false")
    choose(2)
    assert h.cli("reload").returncode == 0 and runs(h) == {"2"}
    choose(3)  # which was never copied
    done = h.cli("reload")
    assert done.returncode == 78 and "releases/3/api" in done.stderr and runs(h) == {"2"}
    choose(1)
    assert h.cli("reload").returncode == 0 and runs(h) == {"1"}
    finish(h, load)


def test_a_tool_that_runs_again_and_again(handover):
    h = handover()
    release(h, 1)
    _, load = start(h, h.path("releases/1/api"))
    command = ("reload", "--changed", "--timeout", "5min", "--abort-on-disconnect", "--json")
    before = h.pids()
    for _ in range(3):
        done = h.cli(*command)
        assert done.returncode == 0 and "nothing was touched" in json.loads(done.stdout)["message"] and h.pids() == before
    shutil.copy(RPC_WORKER, h.path("releases/1/api.new"))
    os.rename(h.path("releases/1/api.new"), h.path("releases/1/api"))
    done = h.cli(*command)
    assert done.returncode == 0 and "nothing was touched" not in done.stdout and not set(h.pids()) & set(before)
    assert "nothing was touched" in h.cli(*command).stdout
    finish(h, load)
