"""What a soak does about versions, beside what soak_actions.py has: there and back, what is foretold, what a crash starts
when the disk holds something else, and workers that live and are not well."""
import json
import os
import signal

import harness
from soak_actions import MISTAKES, must, must_commit, must_fail, pick_pools, reload
from soak_service import POOLS


# --- reloads ---

def rollback(s, random, version):
    """Back to the version before; the one that was left is not taken up again unless somebody says so."""
    pool = random.choice(sorted(POOLS))
    former = s.running[pool]
    s.want(version, pool)
    must_commit(reload(s, pool=pool))
    s.committed(pool)
    done = s.h.cli("rollback", pool, timeout=harness.PATIENCE)
    must(done.returncode == 0 and f"pool {pool}: back to what generation " in done.stdout + done.stderr,
         f"handover rollback: {done.returncode} {done.stdout} {done.stderr}")
    s.running[pool] = former
    s.settle()
    must_fail(reload(s, changed=True), 409, rf"pool {pool}: the version on disk failed .* was rolled back")
    result = must_commit(reload(s, pool=pool))
    must(any("trying a version again that failed" in remark for remark in result["remarks"]), f"not said that it failed: {result}")
    s.committed(pool)
    return "back, refused, tried again"


def plan(s):
    """What reload --changed would do now, and the exit code that says so."""
    done = s.h.cli("plan", "--json")
    told = json.loads(done.stdout)
    code = {"nothing": 0, "change": 10, "fail": 1}[told["would"]]
    must(done.returncode == code, f"handover plan: it would {told['would']}, and the exit code is {done.returncode}")
    return told


def plan_and_reload(s, random, version):
    """What the plan says is what reload --changed then does."""
    scaled = s.sizes != POOLS
    changed = random.choice((set(), set(pick_pools(random))))
    s.want(version, *changed)
    told, old = plan(s), set(s.h.pids())
    must(told["would"] == ("change" if changed or scaled else "nothing"), f"{sorted(changed)} changed, scaled: {scaled}, and told: {told}")
    replaced = {pool["name"] for pool in told["pools"] if pool["action"] == "replace"}
    must(replaced == changed, f"{sorted(changed)} changed, and told: {told}")
    must_commit(reload(s, changed=True))
    s.committed()
    s.settle()
    leaving = {pid for pool in told["pools"] for pid in pool["leaving"]}
    must(old - set(s.h.pids()) == leaving, f"told that {leaving} go, and {old - set(s.h.pids())} went")
    again = plan(s)
    must(again["would"] == "nothing", f"there is something left to do: {again}")
    return "as told: " + told["would"]


def plan_that_fails(s, random, _version):
    """A plan that finds what is wrong says what the reload says."""
    change, _ = random.choice(MISTAKES)
    s.h.write(change(s.h.text()))
    try:
        told, (_, result) = plan(s), reload(s, changed=True)
    finally:
        s.h.write()
    must(told["would"] == "fail" and result["result"] == "failed", f"told {told['would']}, and it {result['result']}")
    must(told["problems"] == result["problems"], f"told {told['problems']}, and refused for {result['problems']}")
    return "as told: fail"


def other_sockets(s, _random, _version):
    """A pool with a channel gets another socket and loses it again, and keeps its processes."""
    if s.sizes["channel"] != POOLS["channel"]:  # another number of workers needs other processes
        must_commit(reload(s, changed=True))
        s.committed()
        s.settle()
    pids, port = s.h.pids("channel"), s.ports["more"]
    with s.file_with(socket__more={"listen": f"tcp://127.0.0.1:{port}"}, pool__channel={"sockets": "channel more"}):
        must_commit(reload(s, changed=True))
        s.committed()
        must(s.h.pids("channel") == pids, f"told of another socket, and {pids} became {s.h.pids('channel')}")
        must(harness.call(port, "info")["pid"] in pids, "somebody else answers at the new address")
    must_commit(reload(s, changed=True))
    must(s.h.pids("channel") == pids, f"told that a socket goes, and {pids} became {s.h.pids('channel')}")
    s.h.wait(lambda: harness.is_refused(port), "the address to be closed")
    s.h.wait(lambda: all(worker["sockets"] == ["channel"] for worker in s.h.workers("channel", "serving")), "all to have let go of it")
    return "added, removed, same workers"


# --- what a crash starts ---

def inode(path):
    found = os.stat(path)
    return found.st_dev, found.st_ino


def crash(s, pool, pid, why):
    """Kills a worker, and waits for its successor."""
    since = s.watch.mark()
    must(s.kill(pool, pid, why), "the worker was gone before it was killed")
    s.watch.wait(since, event="worker-crashed", pool=pool, pid=pid)
    s.settle()


def crash_pinned(s, random, pool, what):
    """Kills a worker of a pool whose program on disk is another one by now: its successor is what it was."""
    old = s.h.pids(pool)
    held, pid = inode(f"/proc/{old[0]}/exe"), random.choice(old)
    crash(s, pool, pid, f"kill -9, its program {what}")
    new = next(iter(set(s.h.pids(pool)) - set(old)), None)
    must(new is not None, f"pid {pid} of pool {pool} has no successor")
    must(inode(f"/proc/{new}/exe") == held, f"pid {new} runs {os.readlink(f'/proc/{new}/exe')}, and not what pid {pid} ran")
    return new


def crash_replaced(s, random, _version):
    """Its executable was replaced by another file, which must not be run before a reload; or it was deleted."""
    deleted = random.random() < 0.5
    ran = inode(s.program)
    if deleted:
        os.unlink(s.program)
    else:
        s.replace_program()
    try:
        crash_pinned(s, random, "local", "deleted" if deleted else "replaced")
        must(s.h.pool_status("local")["version"]["on_disk"] is not None, "not said that the disk holds something else")
    finally:
        s.replace_program()
    must_commit(reload(s, changed=True))
    s.committed()
    s.settle()
    for pid in s.h.pids("local"):
        must(inode(f"/proc/{pid}/exe") == inode(s.program) != ran, f"after a reload pid {pid} runs {os.readlink(f'/proc/{pid}/exe')}")
    return f"{'deleted' if deleted else 'replaced'}, the same one again"


def crash_written_over(s, random, _version):
    """A script was written over in place: the crashed worker starts from the copy that was kept."""
    before = s.script_mark
    s.write_script("exit 7\n")
    try:
        pid = crash_pinned(s, random, "channel", "written over")
        must(mark_of(pid) == before, f"pid {pid} was started from a script with mark {mark_of(pid)}, and not {before}")
        told = s.h.pool_status("channel")["version"]["on_disk"]
        must(told is not None and "changed in place" in told, f"not said that the script was written over: {told}")
    finally:
        s.write_script()
    must_commit(reload(s, changed=True))
    s.committed()
    s.settle()
    must(all(mark_of(pid) == s.script_mark for pid in s.h.pids("channel")), "after a reload the former script is run")
    return "written over, the same one again"


def mark_of(pid):
    words = harness.read_file(f"/proc/{pid}/environ").split(b"\0")
    return next((int(word.partition(b"=")[2]) for word in words if word.startswith(b"SCRIPT_MARK=")), None)


# --- between reloads ---

def why_it_ended(s, random, _version):
    """The last incident of the pool is the crash that was just made."""
    worker = random.choice(s.h.workers(state="serving"))
    pool, slot, pid = worker["pool"], worker["slot"], worker["pid"]
    crash(s, pool, pid, "kill -9")
    for operand in (pool, f"{pool}/{slot}", pid):
        done = s.h.cli("why", operand)
        must(done.returncode == 0 and f"(crashed) of pool {pool} slot {slot} generation {worker['generation']} pid {pid}: killed by SIGKILL" in done.stdout,
             f"handover why {operand}: {done.returncode} {done.stdout} {done.stderr}")
    return "the last incident"


def is_ill(s, random, _version):
    """A worker serves, and answers its liveness probe with an error, or nothing at all: dumped, and replaced."""
    worker = random.choice(s.h.workers("local", "serving"))
    slot, pid, since = worker["slot"], worker["pid"], s.watch.mark()
    others = set(s.h.pids("local")) - {pid}
    stopped = random.random() < 0.25
    s.expect_dump("local", pid, "fails its liveness probe, dumped")
    if stopped:
        os.kill(pid, signal.SIGSTOP)
    else:
        s.make_ill(slot)
    try:
        event = s.watch.wait(since, event="worker-dumping", pool="local")
        must(event["pid"] == pid and "fails its liveness probe" in event["message"], f"another one, or for something else: {event['message']}")
    finally:
        s.make_well(slot)
    s.watch.wait(since, event="worker-exited", pool="local", pid=pid)
    s.settle()
    must(others <= set(s.h.pids("local")) and pid not in s.h.pids("local"), f"{pid} was ill, and {s.h.pids('local')} serve beside {others}")
    incidents = s.h.api.get(f"/v1/why?pid={pid}")["incidents"]
    must(any(one["kind"] == "not-live" and ("had no answer" if stopped else "answered 503") in one["message"] for one in incidents),
         f"no incident says that pid {pid} was not live: {incidents}")
    return "stopped, replaced" if stopped else "503, replaced"
