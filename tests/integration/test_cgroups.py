"""A cgroup for each worker: what ends with it, what is told of it, and that nothing is touched which is not ours."""
import os
import re
import signal
import subprocess

import pytest

import cgroup_place
import harness
import promtext
from harness import steps

STRAY = """#!/bin/sh
# leaves a process behind that nobody can find by its parent, its session or its environment
(setsid env -i sh -c 'echo $$ >"$1.new"; mv "$1.new" "$1"; exec sleep 1000' sh "$1" &)
while [ ! -e "$1" ]; do sleep 0.01; done
shift
exec "$@"
"""


@pytest.fixture(name="place")
def fixture_place():
    why = cgroup_place.why_not()
    if why:
        pytest.skip(f"NOT RUN: {why}")
    place = cgroup_place.Place()
    yield place
    left = [name for name in place.groups() if name != "master"]
    place.remove()
    assert not os.path.exists(place.path)
    assert left == []


@pytest.fixture(name="handover")
def fixture_handover(place, handover):  # so that it ends before the place is looked at
    del place
    return handover


def needs(controller):
    return pytest.mark.skipif(controller not in cgroup_place.controllers(),
                              reason=f"NOT RUN: cgroup v2 has no {controller} controller here")


def stray(h, *command):
    """A command that leaves a process behind, and the file that will have its pid."""
    with open(h.path("stray"), "w", encoding="utf-8") as file:
        file.write(STRAY)
    os.chmod(h.path("stray"), 0o755)
    return f"{h.path('stray')} {h.path('stray.pid')} " + " ".join(command)


def stray_pid(h):
    pid = int(h.wait(lambda: harness.read_file(h.path("stray.pid")), "the process that is left behind"))
    os.unlink(h.path("stray.pid"))
    return pid


def test_each_worker_has_one(handover, place):
    h = handover()
    h.supervisor(status_listen=f"127.0.0.1:{h.ports.take()}")
    h.pool("api", steps("ready"), workers=2)
    h.pool("api.v-2", steps("ready"))
    h.start(wrapper=place.wrapper)
    workers = h.workers()
    assert sorted((w["pool"], w["slot"], w["cgroup"]) for w in workers) == [
        ("api", 0, "api.0.1"), ("api", 1, "api.1.1"), ("api.v-2", 0, "api.v-2.0.1")]
    assert place.groups() == ["api.0.1", "api.1.1", "api.v-2.0.1", "master"]
    for worker in workers:
        assert cgroup_place.of_process(worker["pid"]) == worker["cgroup"]
        assert place.pids(worker["cgroup"]) == [worker["pid"]]
    assert place.pids("master") == [h.pid] and place.pids(".") == []
    there = [name for name in ("memory", "pids", "cpu") if name in cgroup_place.controllers()]
    lacks = [name for name in ("memory", "pids", "cpu") if name not in there]
    missing = f"{', '.join(lacks)} (no such controller)" if lacks else ""
    assert h.status()["cgroups"] == {"path": place.path, "controllers": there, "missing": missing}
    h.wait_log(re.escape(f"each worker gets a cgroup of its own below {place.path}, with "
                         + (", ".join(there) or "no controller") + (f"; missing: {missing}" if missing else "")))
    h.good_reload()
    h.wait_serving("api", 2, generation=2)
    h.wait_serving("api.v-2", 1, generation=2)
    assert place.groups() == ["api.0.2", "api.1.2", "api.v-2.0.2", "master"]
    h.stop()
    assert place.groups() == ["master"]


def test_figures(handover, place):
    h = handover()
    h.pool("api", f"sh -c 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; exec {steps('ready', 'exit-on:TERM:0')}'", workers=2)
    h.start(wrapper=place.wrapper)
    before = sum(w["cpu_s"] for w in h.workers())
    assert all(w["cpu_s"] > 0 for w in h.workers())
    for worker in h.workers():
        assert (worker["memory_bytes"] is not None) == ("memory" in cgroup_place.controllers())
        assert (worker["tasks"] is not None) == ("pids" in cgroup_place.controllers())
    h.good_reload()
    h.wait_serving("api", 2, generation=2)
    # the time of those that are gone counts on: a counter never falls
    text = h.api.request("GET", "/metrics")[1]
    promtext.parse(text)
    total = float(re.search(r'handover_pool_cpu_seconds_total\{pool="api"\} ([0-9.]+)', text)[1])
    assert total > before
    assert ("handover_pool_memory_bytes" in text) == ("memory" in cgroup_place.controllers())
    assert ("handover_pool_tasks" in text) == ("pids" in cgroup_place.controllers())
    table = h.cli("status", "-v").stdout
    assert "CPU" in table and f"one for each worker below {place.path}" in table
    assert ("MEMORY" in table) == ("memory" in cgroup_place.controllers())


@pytest.mark.parametrize("way", ["exits", "crashes", "is drained", "is killed at the end of its budget"])
def test_nothing_outlives_its_worker(handover, place, way):
    h = handover()
    worker = {"exits": steps("ready", "exit-on:TERM:0", f"await:{h.path('go')}", "exit:0"),
              "crashes": steps("ready", "exit-on:TERM:0", f"await:{h.path('go')}", "die:SEGV"),
              "is drained": steps("ready", "exit-on:TERM:0"),
              "is killed at the end of its budget": steps("ready", "ignore:TERM")}[way]
    h.pool("api", stray(h, worker), drain_timeout="50ms", limit_core=0)
    h.start(wrapper=place.wrapper)
    pid, old = h.pids()[0], stray_pid(h)
    assert set(place.pids("api.0.1")) == {pid, old}
    if way in ("exits", "crashes"):
        with open(h.path("go"), "w", encoding="utf-8"):
            pass
    else:
        h.good_reload()
    h.wait_gone(pid, old)
    if way == "is killed at the end of its budget":
        h.wait_log(f"pid {pid} has not ended within .*: SIGKILL to it and all its processes")
    else:
        h.wait_log(f"pool api slot 0 generation 1 left process {old} behind: killing it")
        assert h.count_log(f"left process {old} behind") == 1
    if os.path.exists(h.path("go")):
        os.unlink(h.path("go"))
    h.wait(lambda: len([g for g in place.groups() if g != "master"]) == 1, "the old worker's cgroup to be removed")


def test_a_worker_that_made_cgroups_below_its_own(handover, place):
    h = handover()
    h.pool("api", f"sh -c 'mkdir -p {place.path}/api.0.1/a/b; exec {steps('ready', 'exit-on:TERM:0')}'")
    h.start(wrapper=place.wrapper)
    assert os.path.isdir(f"{place.path}/api.0.1/a/b")
    h.stop()
    assert place.groups() == ["master"]


def test_a_start_that_fails_leaves_none(handover, place):
    h = handover()
    os.mkdir(h.path("closed"), 0o700)  # the last step but one: the process is in its cgroup by then
    h.pool("api", steps("ready"), user="nobody", working_directory=h.path("closed"))
    h.end_early(wrapper=place.wrapper, code=1)
    h.wait_log("pool api slot 0 generation 1 cannot be started: cannot change directory to")
    assert place.groups() == ["master"]


def test_no_room_for_another_cgroup(handover, place):
    h = handover()
    place.write("cgroup.max.descendants", "2")  # the master's and one more
    h.pool("api", steps("ready", "exit-on:TERM:0"), workers=2)
    h.start(wrapper=place.wrapper)
    assert [w["cgroup"] for w in h.workers()] == ["api.0.1", None]
    assert place.pids("master") == [h.pid, h.pids()[1]]
    h.wait_log(re.escape(f"pool api slot 1 generation 1: cannot make a cgroup in {place.path}: Resource temporarily unavailable; "
                         "it starts without one, and without the limits that need one"))


def test_a_cgroup_that_cannot_be_joined(handover, place):
    h = handover()
    h.pool("api", steps("ready", "exit-on:TERM:0"))
    h.start(wrapper=(*place.wrapper, "setpriv", "--bounding-set", "-dac_override", "--inh-caps", "-dac_override"))
    os.chown(f"{place.path}/cgroup.procs", 65534, 65534)  # who may not write here may move nobody below it
    h.good_reload()
    h.wait_serving("api", 1, generation=2)
    assert [w["cgroup"] for w in h.workers()] == [None]
    h.wait_log("pool api slot 0 generation 2: cannot join its cgroup: Permission denied; it starts without one, and without the "
               "limits that need one")
    h.wait(lambda: place.groups() == ["master"], "both cgroups to be removed")


def test_what_an_earlier_run_has_left(handover, place):
    for name in ("api.0.1", "api.1.1", "api.1.7-3", "other"):
        os.mkdir(f"{place.path}/{name}")
    with subprocess.Popen(["sh", "-c", f'echo $$ >{place.path}/api.1.1/cgroup.procs; echo; exec sleep 1000'],
                          stdout=subprocess.PIPE) as sleeper:
        sleeper.stdout.readline()
        h = handover()
        h.pool("api", steps("ready"), workers=2)
        h.start(wrapper=place.wrapper)
        assert sorted(w["cgroup"] for w in h.workers()) == ["api.0.1", "api.1.1-2"]
        h.wait_log(f"the cgroup {place.path}/api.1.1 of an earlier run still has processes: leaving them alone")
        assert place.groups() == ["api.0.1", "api.1.1", "api.1.1-2", "master", "other"]
        h.stop()
        assert sleeper.poll() is None
        sleeper.kill()
    os.rmdir(f"{place.path}/api.1.1")
    os.rmdir(f"{place.path}/other")


def test_a_helper_with_a_session_of_its_own_may_speak_for_its_worker(handover, place):
    h = handover()
    h.pool("api", f"sh -c 'setsid {steps('ready')} & exec sleep 1000'", drain_signal="SIGINT", drain_timeout="10ms")
    h.start(wrapper=place.wrapper)
    assert h.count_log("ignoring a message") == 0


@pytest.mark.parametrize("missing", ["mark", "main process"])
def test_what_is_not_ours_is_not_touched(handover, place, missing):
    h = handover()
    why = f"{place.path} is not delegated (Delegate=yes in the unit does that)"
    env = h.environment()
    if missing == "mark":
        os.removexattr(place.path, "user.delegate")
    else:
        env["PID"] = "1"
        why = f"{place.path} is delegated to process 1, and we are not that (let a wrapper `exec`)"
    h.pool("api", steps("ready"), memory_max="64M")
    h.start(wrapper=place.wrapper, env=env)
    assert place.groups() == [] and sorted(place.pids(".")) == sorted([h.pid, *h.pids()])
    assert h.count_log("cgroups of their own") == 0  # no service manager runs us: nobody expects any
    h.wait_log(re.escape(f"{h.config}:4: warning: [pool:api] memory_max: has no effect: {why}"))
    assert h.status()["cgroups"] == {"path": None, "controllers": [], "missing": why}
    assert [w["cgroup"] for w in h.workers()] == [None]
    table = h.cli("status", "-v").stdout
    assert "MEMORY" not in table and f"none: {why}" in table
    assert [p["text"] for p in h.good_reload()["problems"]] == [f"[pool:api] memory_max: has no effect: {why}"]


@pytest.mark.skipif("memory" in cgroup_place.controllers(), reason="NOT RUN: cgroup v2 has a memory controller here")
def test_a_limit_without_its_controller(handover, place):
    h = handover()
    h.pool("api", steps("ready"), memory_max="64M")
    h.start(wrapper=place.wrapper)
    said = f"[pool:api] memory_max: has no effect: there is no memory controller in {place.path}"
    h.wait_log(re.escape(f"{h.config}:4: warning: {said}"))
    assert h.workers()[0]["cgroup"] == "api.0.1"
    assert [p["text"] for p in h.good_reload()["problems"]] == [said]
    assert f"warning: {said}" in h.cli("check", h.config).stderr


@needs("memory")
def test_out_of_memory_is_named(handover, place):
    h = handover()
    h.pool("api", f"sh -c 'x=$(head -c 200M /dev/zero | tr \"\\0\" x); exec {steps('ready')}'", memory_max="32M")
    h.end_early(wrapper=place.wrapper, code=1)
    h.wait_log(r"was killed by the kernel: out of memory in its cgroup \(memory_max = 32M\)")


@needs("memory")
def test_out_of_memory_of_a_worker_that_serves(handover, place):
    h = handover()
    h.pool("api", f"sh -c '{steps('ready')} & while [ ! -e {h.path('go')} ]; do sleep 0.01; done; rm {h.path('go')}; "
                  "exec python3 -c \"x = bytearray(200 << 20)\"'", memory_max="64M", restart_delay="10ms")
    h.start(wrapper=place.wrapper)
    pid = h.pids()[0]
    with open(h.path("go"), "w", encoding="utf-8"):
        pass
    h.wait_log(rf"pid {pid} was killed by the kernel: out of memory in its cgroup \(memory_max = 64M\) after it had served for ")
    assert 'handover_oom_kills_total{pool="api"} 1' in h.api.request("GET", "/metrics")[1]
    incident = h.api.get("/v1/why")["incidents"][0]
    assert (incident["kind"], incident["pid"], incident["ended_by"]) == ("out-of-memory", pid, "the kernel: out of memory")
    # the next one dies of something else: that is not claimed to be the kernel's doing
    h.wait(lambda: h.pids() and h.pids() != [pid], "its successor")
    os.kill(h.pids()[0], signal.SIGKILL)
    incident = h.wait(lambda: (h.api.get("/v1/why")["incidents"][1:] or [None])[0], "its end")
    assert incident["ended_by"] == ("not handoverd, and not the kernel for want of memory: another process; "
                                    "the kernel does not tell who sends a signal")


@needs("pids")
def test_tasks_max(handover, place):
    h = handover()
    h.pool("api", steps("ready"), tasks_max=7)
    h.start(wrapper=place.wrapper)
    assert place.read("api.0.1/pids.max") == "7\n"
    assert h.workers()[0]["tasks"] == 1


@needs("cpu")
def test_cpu_weight(handover, place):
    h = handover()
    h.pool("api", steps("ready"), cpu_weight=200)
    h.start(wrapper=place.wrapper)
    assert place.read("api.0.1/cpu.weight") == "200\n"
