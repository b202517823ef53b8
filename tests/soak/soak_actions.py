"""What a soak does to the instance: each action checks its own result, and raises Wrong where that is not as it must be."""
import contextlib
import os
import re
import signal
import socket
import threading
import time

import harness
from soak_service import DRAIN_SECONDS, DUMP_SECONDS, POOLS, Wrong

PATIENCE = harness.PATIENCE


def must(condition, what):
    if not condition:
        raise Wrong(what)


class Asking(threading.Thread):
    """A request for a reload that is under way."""

    def __init__(self, s, **body):
        super().__init__(daemon=True)
        self.s, self.body, self.answer = s, body, None
        self.start()

    def run(self):
        self.answer = self.s.h.reload(**self.body)

    def result(self):
        self.join(PATIENCE)
        must(self.answer is not None, f"no result of a reload within {PATIENCE} s")
        return self.answer


@contextlib.contextmanager
def window(s):
    begin = harness.monotonic_usec()
    try:
        yield
    finally:
        s.windows.add(begin, harness.monotonic_usec())


def reload(s, **body):
    with window(s):
        return s.h.reload(**body)


def must_commit(answer):
    code, result = answer
    must(code == 200 and result.get("result") == "committed", f"not committed: {code} {result}")
    return result


def must_fail(answer, code, pattern):
    got, result = answer
    must(got == code and result.get("result") == "failed", f"not failed with {code}: {got} {result}")
    must(re.search(pattern, result["message"]), f"failed with another message than {pattern!r}: {result['message']}")
    return result


def pick_pools(random):
    return random.sample(sorted(POOLS), random.randint(1, len(POOLS)))


# --- reloads that must succeed ---

def reload_all(s, random, version):
    s.want(version, *pick_pools(random))
    must_commit(reload(s))
    s.committed()
    return "committed"


def reload_drained(s, random, version):
    old = [worker["pid"] for worker in s.h.workers(state="serving")]
    s.want(version, *pick_pools(random))
    since = s.watch.mark()
    result = must_commit(reload(s, wait="drained"))
    s.committed()
    must(not any(map(harness.is_alive, old)), f"drained, and old workers are still there: {old}")
    s.watch.wait(since, event="reload-drained", id=result["id"])
    return "committed"


def reload_pool(s, random, version):
    pool = random.choice(sorted(POOLS))
    others = {other: sorted(s.h.pids(other)) for other in POOLS if other != pool}
    s.want(version, pool)
    result = must_commit(reload(s, pool=pool))
    s.committed(pool)
    for other, pids in others.items():
        must(sorted(s.h.pids(other)) == pids, f"pool {other} was touched by a reload of pool {pool}: {result['message']}")
    return "committed"


def reload_changed(s, random, version):
    pool = random.choice(sorted(POOLS))
    others = {other: set(s.h.pids(other)) for other in POOLS if other != pool and s.sizes[other] == POOLS[other]}
    s.want(version, pool)
    must_commit(reload(s, changed=True))
    s.committed()
    for other, pids in others.items():
        must(set(s.h.pids(other)) == pids, f"pool {other} was touched by a reload --changed of pool {pool}")
    return "committed"


def reload_changed_nothing(s, _random, _version):
    result = must_commit(reload(s, changed=True))
    scaled = s.sizes != POOLS
    must(scaled != ("nothing was touched" in result["message"]), f"{'scaled by hand' if scaled else 'nothing had changed'}, and: {result}")
    s.committed()
    return "committed, only scaled back" if scaled else "committed, nothing touched"


def reload_changed_program(s, _random, _version):
    """The executable behind an unchanged command is replaced."""
    old = set(s.h.pids("local"))
    s.replace_program()
    result = must_commit(reload(s, changed=True))
    s.committed()
    must("pool local: executable replaced" in result["remarks"], f"not noticed: {result}")
    must(not old & set(s.h.pids("local")), "workers of the old executable serve on")
    return "committed"


def reload_flood(s, random, version):
    """The new version writes much more than anybody reads."""
    pool = random.choice(("web", "local", "batch"))
    s.want(version, pool, options=(f"flood:{512 << 10}",) if pool == "batch" else ("--flood-output", 512 << 10))
    must_commit(reload(s))
    s.committed()
    return "committed"


def reload_by_sighup(s, random, version):
    s.want(version, *pick_pools(random))
    times, since = random.randint(1, 5), s.watch.mark()
    with window(s):
        for _ in range(times):
            s.h.signal(signal.SIGHUP)
        s.watch.wait(since, event="reload-committed", by="SIGHUP")
        s.h.wait(lambda: (lambda now: now["reload"] is None and now["queued"] == 0)(s.h.status()), "all reloads to be over")
    s.committed()
    return "committed"


def reload_by_command(s, random, version):
    s.want(version, *pick_pools(random))
    with window(s):
        done = s.h.cli("reload", timeout=PATIENCE)
    must(done.returncode == 0 and "committed" in done.stdout + done.stderr,
         f"handover reload: {done.returncode} {done.stdout} {done.stderr}")
    s.committed()
    return "committed"


@contextlib.contextmanager
def held_up(s):
    """New workers of pool batch do not get ready meanwhile, and no reload goes on."""
    s.close_gate()
    try:
        yield
    finally:
        s.open_gate()


def begin_held_up(s, version, **body):
    """A reload that has started its workers, all but those of pool batch ready. Returns it and its first event."""
    since = s.watch.mark()
    asking = Asking(s, **body)
    number = s.watch.wait(since, event="reload-started")["id"]
    for pool in POOLS:
        s.watch.wait(since, event="worker-ready" if pool != "batch" else "worker-started", pool=pool)
    must(asking.is_alive(), f"reload {number} to version {version} ended before its workers were ready: {asking.answer}")
    return asking, number, since


def reload_queued(s, random, version):
    s.want(version, *pick_pools(random))
    with window(s), held_up(s):
        first, number, _ = begin_held_up(s, version)
        same = [Asking(s) for _ in range(random.randint(2, 4))]
        other = Asking(s, pool="local")
        s.h.wait(lambda: s.h.status()["queued"] == len(same) + 1, "all to be queued")
        s.open_gate()
        must(must_commit(first.result())["id"] == number, "the first has the result of another")
        joint = {must_commit(asking.result())["id"] for asking in same}
        alone = must_commit(other.result())["id"]
    must(len(joint) == 1 and joint | {alone} == {number + 1, number + 2}, f"{joint} and {alone} after {number}")
    s.committed()
    return "committed, joined"


def reload_caller_gone(s, random, version):
    s.want(version, *pick_pools(random))
    with window(s), held_up(s):
        since = s.watch.mark()
        with s.h.api.lines("POST", "/v1/reload", progress=True) as lines:
            lines.until(event="worker-started", pool="batch")
        s.open_gate()
        s.watch.wait(since, event="reload-committed", kind="reload")
    s.committed()
    return "committed all the same"


def reload_old_worker_dies(s, random, version):
    """A worker of the generation that is being replaced is killed while its successors are ready."""
    s.want(version, *pick_pools(random))
    pool = random.choice(("web", "grpc"))
    old = s.h.pids(pool)
    with window(s), held_up(s):
        asking, _, _ = begin_held_up(s, version)
        s.kill(pool, random.choice(old), "kill -9 of an old one in a reload")
        s.open_gate()
        must_commit(asking.result())
    s.committed()
    return "committed"


def reload_hang(s, random, version):
    """A worker that has a request without end is drained by the reload: dump, then SIGKILL."""
    pool = random.choice(("web", "grpc"))
    if pool == "grpc":  # which would cut its calls itself, ahead of the master
        s.want(version, pool, options=["--stubborn"])
        must_commit(s.h.reload(pool=pool, wait="drained"))  # no older one can take it
        s.committed(pool)
    s.hang(pool)
    s.want(version, *pick_pools(random), pool, options=())
    must_commit(reload(s))
    s.committed()
    return "committed"


# --- reloads that must fail ---

def excuse_generation(s, result, pool, since):
    """What happens to workers of the failed generation is no news, from here to the end of their budgets."""
    generation = result["worker"]["generation"]
    s.excuse(lambda event: event.get("pool") == pool and event.get("generation") == generation, since, 15)


def bad_version(pattern, keys=None, **options):
    """An action: one pool gets a version that fails in this way, by these options of each pool's worker."""
    def action(s, random, version):
        pool, since = random.choice(sorted(options)), harness.monotonic_usec()
        with s.file_with(**{f"pool__{pool}": {"command": s.command(pool, version, *options[pool]), **(keys or {})}}):
            result = must_fail(reload(s), 409, rf"pool {pool} slot \d+ generation \d+ pid \d+ {pattern}")
        must(result["worker"]["pool"] == pool, f"another worker is blamed: {result}")
        excuse_generation(s, result, pool, since)
        return "failed, old ones serve on"
    return action


reload_exits = bad_version(r"exited with code 3\b", web=["--exit-at-start", 3], local=["--exit-at-start", 3],
                           grpc=["--exit-at-start", 3], batch=["exit:3"])
reload_dies = bad_version(r"killed by SIGABRT\b", web=["--die-at-start", "ABRT"], local=["--die-at-start", "ABRT"], batch=["die:ABRT"])
reload_never_ready = bad_version(r"was not ready within 400 ms\b", {"start_timeout": "400ms"}, web=["--never-ready"],
                                 local=["--never-ready"], grpc=["--never-ready"], batch=["await:/nowhere"])
reload_hangs_at_start = bad_version(r"was not ready within 300 ms", {"start_timeout": "300ms", "drain_timeout": "200ms"},
                                    batch=["ignore:TERM", "await:/nowhere"])
reload_dies_when_ready = bad_version(r"exited with code 4\b.* after it was ready", {"min_ready": "5s"},
                                     batch=["ready", "sleep:100", "exit:4"])


MISTAKES = [
    (lambda text: text.replace("[pool:web]", "[pool:web]\ndrain_timout = 3s"), "did you mean 'drain_timeout'"),
    (lambda text: text.replace("[pool:web]", "[pool:web]\nnice = very"), "nice"),
    (lambda text: text.replace("[pool:grpc]", "[pol:grpc]"), "pol"),
    (lambda text: text.replace("sockets = web", "sockets = wbe"), "wbe"),
    (lambda text: text.replace("[socket:grpc]", "[socket:grpc"), "socket"),
    (lambda text: text.replace("ready = notify", "ready = notfy", 1), "notfy"),
    (lambda text: "\x7fELF\x01\x02" + text, ""),
]


def reload_mistake(s, random, _version):
    change, word = random.choice(MISTAKES)
    s.h.write(change(s.h.text()))
    try:
        result = must_fail(reload(s, changed=random.random() < 0.5), 422, r"the configuration has \d+ mistake")
    finally:
        s.h.write()
    must(any(word in problem["text"] for problem in result["problems"]), f"no problem names {word!r}: {result['problems']}")
    return "refused with 422"


def reload_address_in_use(s, _random, _version):
    port = s.h.ports.take()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        with s.file_with(socket__extra={"listen": f"tcp://127.0.0.1:{port}"}, pool__web={"sockets": "web extra"}):
            must_fail(reload(s), 409, rf"socket extra: cannot bind tcp 127\.0\.0\.1:{port}: address in use")
    return "failed, old ones serve on"


def reload_new_worker_dies(s, random, version):
    """One of the new workers is killed, before it is ready or after."""
    pool = random.choice(sorted(POOLS))
    before = dict(s.wanted)
    s.want(version, *pick_pools(random))
    with window(s), held_up(s):
        asking, _, since = begin_held_up(s, version)
        pid = s.watch.wait(since, event="worker-started", pool=pool)["pid"]
        s.kill(pool, pid, "kill -9 of a new one in a reload")
        must_fail(asking.result(), 409, rf"pool {pool} slot \d+ generation \d+ pid {pid} killed by SIGKILL\b")
    restore(s, before)
    return "failed, old ones serve on"


def restore(s, wanted):
    """Takes versions out of the file again that did not come to serve."""
    for pool, version in wanted.items():
        s.want(version, pool)


def reload_aborted(s, random, version):
    before = dict(s.wanted)
    s.want(version, *pick_pools(random))
    since = s.watch.mark()
    with window(s), held_up(s):
        with s.h.api.lines("POST", "/v1/reload", progress=True, abort_on_disconnect=True) as lines:
            lines.until(event="worker-started", pool="batch")
        ended = s.watch.wait(since, event="reload-failed")
    must("aborted: its caller went away" in ended["message"], ended["message"])
    restore(s, before)
    return "aborted, old ones serve on"


def held(s, random, version):
    """A reload whose canary is good, and serves beside the old ones: what it said."""
    pool = random.choice(("web", "local", "grpc", "channel"))
    s.want(version, *{pool, *pick_pools(random)})
    with s.file_with(**{f"pool__{pool}": {"canary": 1, "canary_time": "50ms", "canary_hold": "yes"}}):
        code, result = reload(s)
    must((code, result.get("result")) == (200, "held"), f"not held: {code} {result}")
    s.loads[pool].wait_answered(20)
    return result


def reload_promoted(s, random, version):
    held(s, random, version)
    with window(s):
        must_commit(s.h.api.post("/v1/reload/promote"))
    must_commit(reload(s, changed=True))  # the file is without a canary by now
    s.committed()
    return "held, promoted"


def reload_held_and_aborted(s, random, version):
    before = dict(s.wanted)
    held(s, random, version)
    code, refused = s.h.reload()
    must((code, refused["result"]) == (409, "refused"), f"not refused while one is held: {code} {refused}")
    with window(s):
        code, result = s.h.api.post("/v1/reload/abort")
    must((code, result["result"]) == (200, "aborted"), f"not aborted: {code} {result}")
    restore(s, before)
    return "held, aborted, old ones serve on"


# --- between reloads ---

def crash(s, random, _version):
    pool = random.choice(sorted(POOLS))
    must(s.kill(pool, random.choice(s.h.pids(pool)), "kill -9"), "the worker was gone before it was killed")
    return "started again"


def crash_draining(s, random, _version):
    """A worker is killed that was just told to go."""
    pool = random.choice(("web", "local", "grpc", "channel"))
    old = s.h.pids(pool)
    must(s.h.api.post(f"/v1/pools/{pool}/restart", slot=random.randrange(s.sizes[pool]))[0] == 200, "not restarted")
    [pid] = set(old) - set(s.h.pids(pool))
    time.sleep(random.uniform(0, 0.4))
    return "gone" if s.kill(pool, pid, "kill -9 in its drain") else "was gone already"


def scale(s, random, _version):
    pool, n = random.choice(sorted(POOLS)), random.randint(1, 5)
    code, result = s.h.api.post(f"/v1/pools/{pool}/scale", workers=n)
    must(code == 200, f"{code} {result}")
    s.sizes[pool] = n
    return "done"


def restart_pool(s, random, _version):
    pool = random.choice(sorted(POOLS))
    old = set(s.h.pids(pool))
    with window(s):
        code, result = s.h.api.post(f"/v1/pools/{pool}/restart")
    must(code == 200 and not old & set(s.h.pids(pool)), f"{code} {result}")
    return "done"


def restart_slot(s, random, _version):
    pool = random.choice(sorted(POOLS))
    old = set(s.h.pids(pool))
    with window(s):
        code, result = s.h.api.post(f"/v1/pools/{pool}/restart", slot=random.randrange(s.sizes[pool]))
    must(code == 200 and len(old & set(s.h.pids(pool))) == s.sizes[pool] - 1, f"{code} {result}")
    return "done"


def out_of_service(s, random, _version):
    must(s.h.api.post("/v1/out-of-service", on=True) == (200, {"out_of_service": True}), "not taken out of service")
    must(s.h.api.request("GET", "/readyz")[0] == 503, "out of service, and still ready")
    time.sleep(random.uniform(0, 0.3))
    must(s.h.api.post("/v1/out-of-service", on=False) == (200, {"out_of_service": False}), "not put back into service")
    s.h.wait(lambda: s.h.api.request("GET", "/readyz")[0] == 200, "readiness")
    return "503, then 200"


def dump(s, _random, _version):
    code, result = s.h.api.post("/v1/pools/web/dump")
    must(code == 200 and set(s.h.pids("web")) <= set(result["signalled"]), f"{code} {result}")
    return "done"


def check_hung(s):
    """Every worker that hung in its drain was dumped and killed, and nobody else was (which the watch finds out)."""
    wrong = []
    for pool, pid, mark in s.hung:
        try:
            s.watch.wait(mark, event="worker-dumping", pool=pool, pid=pid, timeout=DRAIN_SECONDS + DUMP_SECONDS + 10)
            if pool == "web":  # Go ends by itself when it has dumped
                s.watch.wait(mark, event="worker-killed", pool=pool, pid=pid)
            s.watch.wait(mark, event="worker-exited", pool=pool, pid=pid)
        except AssertionError as error:
            wrong.append(f"hung worker {pid} of pool {pool}: {error}")
    return wrong
