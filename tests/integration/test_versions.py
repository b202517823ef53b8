"""A generation is what was on disk when it began; the way back; and versions that failed."""
import contextlib
import os
import re
import shutil
import signal

import promtext
from harness import RPC_WORKER, STEP_WORKER, call, is_held, processes_of, read_file, steps

FAST = {"restart_delay": "10ms", "restart_delay_max": "10ms", "crash_loop_after": 1000}


def program(h, name, source=STEP_WORKER):
    """A program of our own, to be replaced."""
    path = h.path(name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    shutil.copy(source, path)
    return path


def script(h, name, text, interpreter="/bin/sh"):
    path = h.path(name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(f"#!{interpreter}\n{text}")
    os.chmod(path + ".new", 0o755)
    os.rename(path + ".new", path)
    return path


def waiting_script(h, name, marker, interpreter="/bin/sh"):
    """Runs on in its interpreter, which can be looked at then, and can say what it is."""
    return script(h, name, f"marker={marker}\ntouch $1/$marker.$$\ntrap 'exit 0' TERM\nwhile :; do sleep 0.02; done\n", interpreter)


def overwrite(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def inode(path):
    found = os.stat(path)
    return found.st_dev, found.st_ino


def runs(pid):
    return inode(f"/proc/{pid}/exe")


def crash(h, pool):
    """Kills its only worker; returns the successor's pid."""
    [old] = h.pids(pool)
    os.kill(old, signal.SIGKILL)
    return h.wait(lambda: next((pid for pid in h.pids(pool) if pid != old), None), f"the successor of {old}")


def marks(h, marker):
    return {int(name.rpartition(".")[2]) for name in os.listdir(h.path(".")) if name.startswith(marker + ".")}


def on_disk(h, pool="api"):
    return h.pool_status(pool)["version"]["on_disk"]


# --- what a crash starts ---

def renamed(h, name):
    new = program(h, name + ".new", "/bin/false")
    os.rename(new, h.path(name))


def switched(h, name):
    program(h, "releases/2/" + name, "/bin/false")
    os.symlink("releases/2", h.path("next"))
    os.rename(h.path("next"), h.path("current"))


def deleted_release(h, name):
    switched(h, name)
    shutil.rmtree(h.path("releases/1"))


def test_fifty_crashes(handover):
    """Ten each of what can be done to a program or a script; the program that runs stays the same."""
    h = handover()
    os.makedirs(h.path("releases/1"))
    os.symlink("releases/1", h.path("current"))
    interpreter = program(h, "interpreter", "/bin/sh")
    held = {}
    for name, done in (("renamed", renamed), ("deleted", lambda h, name: os.unlink(h.path(name)))):
        h.pool(name, f"{program(h, name)} exit-on:TERM:0 ready", **FAST)
        held[name] = (inode(h.path(name)), done)
    program(h, "releases/1/switched")
    h.pool("switched", f"{h.path('current/switched')} exit-on:TERM:0 ready", working_directory=h.path("current"), **FAST)
    held["switched"] = (inode(h.path("releases/1/switched")), deleted_release)
    for name, done in (("script", lambda h, name: waiting_script(h, name, "surprise")),
                       ("upgraded", lambda h, name: os.replace(program(h, "other", "/bin/false"), interpreter))):
        waiting_script(h, name, name, interpreter)
        h.pool(name, f"{h.path(name)} {h.path('.')}", ready="delay:1ms", **FAST)
        held[name] = (inode(interpreter), done)
    h.start()
    for n in range(10):
        for name, (file, done) in held.items():
            if n == 3:
                done(h, name)
            pid = crash(h, name)
            h.wait(lambda pid=pid: runs(pid) == file, f"{name}: the program that runs to be the one that was held")
            if name in ("script", "upgraded"):
                h.wait(lambda pid=pid, name=name: pid in marks(h, name), "the script to say what it is")
    assert not marks(h, "surprise")
    assert f"{interpreter} is replaced" in on_disk(h, "upgraded")
    by_descriptor = read_file(f"/proc/{h.pids('script')[0]}/cmdline").split(b"\0")
    assert by_descriptor[0] == interpreter.encode() and re.fullmatch(rb"/dev/fd/\d+", by_descriptor[1])
    assert h.count_log("is no longer what it runs: starting it from what is held open") == 5 * 7


def test_a_script_that_was_written_over(handover):
    h = handover()
    path = waiting_script(h, "script", "first")
    h.pool("api", f"{path} {h.path('.')}", ready="delay:1ms", min_ready="100ms", **FAST)
    h.start()
    assert on_disk(h) is None
    overwrite(path, f"#!/bin/sh\ntouch {h.path('surprise.1')}\nexit 3\n")
    for _ in range(5):
        pid = crash(h, "api")
        h.wait(lambda pid=pid: pid in marks(h, "first"), "the first one to run again")
    assert not marks(h, "surprise")
    assert "changed in place" in on_disk(h)
    assert h.count_log(r"what it runs was written over in place \(.*\): it is started from the copy that was kept") == 5
    status = h.cli("status", "-v").stdout
    assert re.search(rf"on disk +pool api: another version than generation 1 runs: {path} is changed in place", status)
    assert re.search(rf"not held +pool api: .*: other files that {path} loads", status)
    os.utime(path)
    h.bad_reload()  # it exits with 3
    assert h.pids("api") == [pid]


def test_a_program_that_was_written_over(handover):
    """It is gone: so nobody is started while others serve; and then from what is there."""
    h = handover()
    path = program(h, "env", "/usr/bin/env")  # which goes on as another program: it can be written to
    h.pool("api", f"{path} {steps('exit-on:TERM:0', 'ready')}", workers=2, **FAST)
    h.start()
    overwrite(path, f"#!/bin/sh\nexport SECOND=1\nexec \"$@\"\n")
    first, second = h.pids("api")
    os.kill(first, signal.SIGKILL)
    h.wait_log(rf"cannot be started: {path} was written over in place, so that what generation 1 ran is gone; a reload starts what is there now")
    assert h.pids("api") == [second]
    since = h.mark()
    os.kill(second, signal.SIGKILL)
    h.wait_log("no worker of the pool serves, so that it is started from what is there now", since=since)
    h.wait(lambda: h.pids("api"), "somebody to serve again")
    assert b"SECOND=1" in read_file(f"/proc/{h.pids('api')[0]}/environ").split(b"\0")
    h.good_reload()
    h.wait_serving("api", 2)
    assert on_disk(h) is None


def test_touch_changes_nothing(handover):
    h = handover()
    path = program(h, "program")
    h.pool("api", f"{path} exit-on:TERM:0 ready", **FAST)
    h.start()
    os.utime(path, (1, 1))
    if h.pool_status("api")["version"]["build_id"] is not None:
        assert runs(crash(h, "api")) == inode(path)
        assert not h.count_log("written over")


def test_a_restart_keeps_the_version(handover):
    """No file is read: not the program's either, nor those of the environment."""
    h = handover()
    path = program(h, "program")
    overwrite(h.path("env"), "X=1\n")
    h.pool("api", f"{path} exit-on:TERM:0 ready", workers=2, environment_file=h.path("env"))
    h.start()
    file = inode(path)
    renamed(h, "program")
    overwrite(h.path("env"), "X=2\n")
    code, answer = h.api.post("/v1/pools/api/restart", wait="drained")
    assert code == 200, answer
    pids = h.wait_serving("api", 2, generation=2)
    assert {runs(pid) for pid in pids} == {file}
    assert all(b"X=1" in read_file(f"/proc/{pid}/environ").split(b"\0") for pid in pids)
    assert "replaced" in on_disk(h)


def test_a_crash_during_and_after_a_failed_reload(handover):
    h = handover()
    path = program(h, "program")
    h.pool("api", f"{path} exit-on:TERM:0 ready", workers=2, start_timeout="300ms", **FAST)
    h.start()
    file = inode(path)
    script(h, "program", "sleep 100\n")  # never ready
    h.signal(signal.SIGHUP)
    h.wait_log(r"generation 2 pid \d+ started")
    old = [w["pid"] for w in h.workers("api", "serving")]
    os.kill(old[0], signal.SIGKILL)
    h.wait_log("reload 2 failed: .*was not ready within 300 ms")
    pids = h.wait_serving("api", 2, generation=1)
    os.kill(old[1], signal.SIGKILL)
    h.wait(lambda: old[1] not in h.pids("api") and len(h.pids("api")) == 2, "the successor")
    pids = h.wait_serving("api", 2, generation=1)
    assert {runs(pid) for pid in pids} == {file}


# --- rollback ---

def version(h, n, **keys):
    h.pool("api", steps("exit-on:TERM:0", "ready"), environment=f"V={n}", workers=2, **keys)
    h.write()


def serves(h):
    """The version that both of them are."""
    found = {re.search(rb"\0V=(\d+)\0", read_file(f"/proc/{pid}/environ")).group(1) for pid in h.wait_serving("api", 2)}
    assert len(found) == 1
    return int(found.pop())


def test_rollback_under_load(handover):
    """The program behind the command was replaced and is broken by now: what served before is started all the same."""
    h = handover()
    port = h.socket("web")
    path = program(h, "program", RPC_WORKER)
    h.pool("api", f"{path} --version 1", sockets="web", workers=2)
    h.start()
    first = inode(path)
    os.rename(program(h, "program.new", RPC_WORKER), path)
    h.pool("api", f"{path} --version 2", sockets="web", workers=2)
    h.write()
    load = h.load("--new", 100, "--keepalive", "100,4", target=f"127.0.0.1:{port}")
    load.wait_answered(50)
    h.good_reload(wait="drained")
    assert call(port, "info")["version"] == "2"
    os.unlink(path)
    done = h.cli("rollback", "--wait=drained")
    assert done.returncode == 0, done
    assert "pool api: back to what generation 1 ran" in done.stdout + done.stderr
    load.wait_answered(50)
    code, summary, printed = load.finish()
    assert code == 0 and summary["total"]["failed"] == 0, printed + h.tell()
    assert call(port, "info")["version"] == "1"
    assert {runs(pid) for pid in h.wait_serving("api", 2, generation=3)} == {first}
    assert runs(crash_one(h)) == first


def crash_one(h):
    old = h.pids("api")
    os.kill(old[0], signal.SIGKILL)
    return h.wait(lambda: next((pid for pid in h.pids("api") if pid not in old), None), "the successor")


def test_rollback_goes_back_and_back(handover):
    h = handover()
    version(h, 1, keep_generations=2)
    h.start()
    for n in (2, 3, 4):
        version(h, n, keep_generations=2)
        h.good_reload(wait="drained")
        h.good_reload(wait="drained")  # the same once more is nothing to go back to
    assert [v["generation"] for v in h.pool_status("api")["previous"]] == [5, 3]
    for n in (3, 2):
        assert h.api.post("/v1/rollback", pool="api", wait="drained")[0] == 200
        assert serves(h) == n
    code, answer = h.api.post("/v1/rollback")
    assert code == 409 and "rollback 10 failed: no pool has another version to go back to: none served before, or none is kept (keep_generations)" in answer["message"]
    code, answer = h.api.post("/v1/rollback", pool="api")
    assert code == 409 and "pool api has no other version to go back to" in answer["message"]
    code, answer = h.api.post("/v1/rollback", pool="apy")
    assert code == 409 and "there is no pool 'apy'" in answer["message"]
    # what was left is not taken up again unasked, although it is what the configuration says
    assert "environment changed" in on_disk(h)
    version(h, 2, keep_generations=2)
    assert on_disk(h) is None
    version(h, 4, keep_generations=2)
    answer = h.bad_reload(changed=True)
    assert re.search(r"pool api: the version on disk failed .* ago: generation 7 was rolled back \(uid 0 pid \d+\)", answer["message"])
    assert serves(h) == 2
    answer = h.good_reload(wait="drained")
    assert any("trying a version again that failed" in remark for remark in answer["remarks"])
    assert serves(h) == 4 and on_disk(h) is None
    assert [f for f in h.pool_status("api")["failed"] if "generation 7" in f["reason"]] == []


def test_a_reload_of_one_pool_is_what_is_on_disk(handover):
    """The instance's configuration is that of the last full reload, and older."""
    h = handover()
    version(h, 1)
    h.start()
    version(h, 2)
    h.good_reload(pool="api")
    assert on_disk(h) is None


def test_nothing_is_kept(handover):
    h = handover()
    version(h, 1, keep_generations=0)
    h.start()
    version(h, 2, keep_generations=0)
    h.good_reload(wait="drained")
    assert h.pool_status("api")["previous"] == []
    done = h.cli("rollback", "api")
    assert done.returncode == 1 and "none is kept (keep_generations)" in done.stderr


def held_by(pid):
    n = 0
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            n += bool(is_held(pid, fd))
    return n


def test_what_versions_hold_is_bounded(handover):
    """Programs of the running version and of two before it, however many reloads there were; and none of failed ones."""
    h = handover()
    path = program(h, "step")
    h.pool("api", f"{path} exit-on:TERM:0 ready", keep_generations=2)
    h.start()
    for n in range(8):
        shutil.copy(STEP_WORKER, path + ".new")
        os.rename(path + ".new", path)
        h.good_reload(wait="drained")
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write("#!/bin/false\n")
        os.chmod(path + ".new", 0o755)
        os.rename(path + ".new", path)
        assert h.cli("reload").returncode == 1
        h.wait(lambda: held_by(h.pid) == min(n + 2, 3), "what a failed version held to be closed")


def test_rollback_without_its_socket(handover):
    """The former version had a socket that is closed: it cannot be what it was."""
    h = handover()
    h.socket("web")
    h.socket("more")
    h.pool("api", steps("exit-on:TERM:0", "ready"), sockets="web more")
    h.start()
    h.pool("api", steps("exit-on:TERM:0", "ready"), sockets="web")
    del h.sections["socket:more"]
    h.write()
    h.good_reload(wait="drained")
    code, answer = h.api.post("/v1/rollback")
    assert code == 409 and "rollback 3 failed: pool api: generation 1 cannot be started again: socket 'more' is not open" in answer["message"], answer
    assert h.wait_serving("api", 1, generation=2)


def test_a_rollback_that_fails(handover):
    h = handover()
    flag = h.path("flag")
    overwrite(flag, "")
    h.pool("api", steps("exit-on:TERM:0", f"exit-unless:{flag}:1", "ready"), environment="V=1", workers=2)
    h.start()
    version(h, 2)
    h.good_reload(wait="drained")
    os.unlink(flag)
    code, answer = h.api.post("/v1/rollback")
    assert code == 409 and re.match(r"rollback 3 failed: pool api slot \d generation 3 pid \d+ exited with code 1", answer["message"])
    assert serves(h) == 2
    assert len(h.pool_status("api")["previous"]) == 1  # it may be tried again
    overwrite(flag, "")
    code, answer = h.api.post("/v1/rollback", wait="drained")
    assert code == 200 and "which failed" in str(answer["remarks"])
    assert serves(h) == 1


# --- a memory for failures ---

def failed_versions(h):
    return promtext.parse(read_metrics(h))["handover_pool_failed_versions"].value(pool="api")


def read_metrics(h):
    connection = h.api.connection()
    with contextlib.closing(connection):
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()


def test_a_version_that_failed(handover):
    h = handover()
    h.pool("api", steps("ready"))
    h.start()
    assert failed_versions(h) == 0
    h.pool("api", steps("exit:5"))
    h.write()
    first = h.bad_reload(changed=True)
    assert "exited with code 5" in first["message"]
    [failed] = h.pool_status("api")["failed"]
    assert failed["times"] == 1 and STEP_WORKER in failed["version"] and "exited with code 5" in failed["reason"]
    assert failed_versions(h) == 1
    h.wait_log("pool api: this version is remembered as failed")
    since = h.mark()
    refused = h.bad_reload(changed=True)
    assert re.search(r"pool api: the version on disk failed .* ago: pool api slot 0 generation 2 .*exited with code 5.*; `handover reload` "
                     r"without --changed tries it again", refused["message"])
    assert not h.count_log("generation 3", since=since)
    again = h.bad_reload()
    assert any(re.match(r"pool api: trying a version again that failed .* ago: ", remark) for remark in again["remarks"])
    [failed] = h.pool_status("api")["failed"]
    assert failed["times"] == 2
    assert re.search(r"failed +pool api: .* at .*: pool api slot 0 generation 3 .*exited with code 5", h.cli("status", "-v").stdout)
    # another one is no matter of that
    h.pool("api", steps("ready", "sleep:1"))
    h.write()
    h.good_reload(changed=True)


def test_a_version_that_failed_and_serves_now(handover):
    h = handover()
    flag = h.path("flag")
    h.pool("api", steps("ready"))
    h.start()
    h.pool("api", steps(f"exit-unless:{flag}:1", "ready"))
    h.write()
    h.bad_reload()
    assert len(h.pool_status("api")["failed"]) == 1
    overwrite(flag, "")
    h.good_reload()
    assert h.pool_status("api")["failed"] == []


def test_a_new_pool_that_failed(handover):
    h = handover()
    h.pool("api", steps("ready"))
    h.start()
    h.pool("new", steps("exit:5"))
    h.write()
    h.bad_reload(changed=True)
    h.wait_log("pool new is gone")
    assert "pool new: the version on disk failed" in h.bad_reload(changed=True)["message"]
    assert any("pool new: trying a version again" in remark for remark in h.bad_reload()["remarks"])


def test_only_the_culprit_is_remembered(handover):
    h = handover()
    h.pool("api", steps("ready"))
    h.pool("other", steps("ready"))
    h.start()
    h.pool("api", steps("exit:5"))
    h.pool("other", steps("ready", "sleep:1"))
    h.write()
    h.bad_reload()
    assert len(h.pool_status("api")["failed"]) == 1 and h.pool_status("other")["failed"] == []


def test_a_canary_that_was_found_bad(handover):
    h = handover()
    h.pool("api", steps("exit-on:TERM:0", "ready"), workers=2, canary=1, canary_time="10ms", canary_check="exec:/bin/false")
    h.start()
    version(h, 2)
    h.bad_reload()
    [failed] = h.pool_status("api")["failed"]
    assert "canary_check" in failed["reason"]
    h.pool("api", canary_check="exec:/bin/true", canary_hold="yes")
    h.write()
    assert h.reload()[1]["result"] == "held"
    assert h.api.post("/v1/reload/abort")[0] == 200
    assert any(re.fullmatch(r"reload \d+ was aborted \(uid 0 pid \d+\)", failed["reason"]) for failed in h.pool_status("api")["failed"])
    assert "pool api: the version on disk failed" in h.bad_reload(changed=True)["message"]


def test_the_memory_is_bounded(handover):
    h = handover()
    h.pool("api", steps("ready"))
    h.start()
    for n in range(35):
        h.pool("api", steps(f"exit:{n + 1}"))
        h.write()
        h.bad_reload()
    failed = h.pool_status("api")["failed"]
    assert len(failed) == 32
    assert not any(f"code {n}," in f["reason"] for f in failed for n in (1, 2, 3))
    assert processes_of(h.name)
