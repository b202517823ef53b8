"""handover plan: what it says is what reload --changed then does, worker by worker and socket by socket; and it does
nothing."""
import json
import os
import random
import re
import shutil
import socket

import pytest

from harness import STEP_WORKER, is_refused, rpc, steps
from test_channel import channel_pool
from test_when_config import POOL, POOL_REPLACE, SOCKET, SUPERVISOR

SEED = int(os.environ.get("HANDOVER_SEED", random.randrange(1 << 30)))
ROUNDS = 50


def plan(h):
    return h.api.get("/v1/plan")


def pool_of(told, name):
    return next(p for p in told["pools"] if p["name"] == name)


def socket_of(told, name):
    return next(s for s in told["sockets"] if s["name"] == name)


def facts(h):
    """All that a reload could change."""
    status = h.status()
    for worker in status["workers"]:
        for key in ("since_s", "memory_bytes", "cpu_s", "tasks", "inflight"):
            worker.pop(key, None)
    return {"workers": status["workers"], "pools": status["pools"], "last_reload": status["last_reload"],
            "sockets": [{k: s[k] for k in ("name", "address", "inode", "pools")} for s in status["sockets"]],
            "files": sorted(os.listdir(h.place))}


class Edits:
    """Things that people change, one after the other. Each gives a way back, for those that cannot be."""

    def __init__(self, h, chance):
        self.h, self.chance, self.n = h, chance, 0
        self.ports = []

    def pools(self):
        return [title[5:] for title in self.h.sections if title.startswith("pool:")]

    def pool(self):
        return self.chance.choice(self.pools())

    def number(self):
        self.n += 1
        return self.n

    def workers(self):
        self.h.pool(self.pool(), workers=self.chance.randint(1, 4))

    def budget(self):
        self.h.pool(self.pool(), **{self.chance.choice(["drain_timeout", "start_timeout"]): f"{self.chance.randint(3, 20)}s"})

    def command(self):
        self.h.pool(self.pool(), self.command_text())

    def command_text(self):
        return f"{self.h.path('program')} exit-on:TERM:0 ready sleep:{self.number()}"

    def environment(self):
        self.h.pool(self.pool(), environment=f"LEVEL={self.chance.randint(1, 3)}")

    def file(self):
        with open(self.h.path("env"), "w", encoding="utf-8") as file:
            file.write(f"NUMBER={self.number()}\n")

    def program(self):
        shutil.copy(STEP_WORKER, self.h.path("program.new"))
        os.rename(self.h.path("program.new"), self.h.path("program"))

    def add_pool(self):
        if len(self.pools()) < 5:
            self.h.pool(f"p{self.number()}", self.command_text(), workers=1)

    def remove_pool(self):
        if len(self.pools()) > 2:
            del self.h.sections[f"pool:{self.pool()}"]

    def socket(self):
        name = f"s{self.number()}"
        self.h.socket(name)
        self.use(name)

    def unix_socket(self):
        name = f"u{self.number()}"
        self.h.socket(name, f"unix:{self.h.path(name + '.sock')}")
        self.use(name)

    def use(self, name):
        title = f"pool:{self.pool()}"
        self.h.section(title, sockets=" ".join([self.h.sections[title].get("sockets", ""), name]).strip())

    def remove_socket(self):
        titles = [title for title in self.h.sections if title.startswith("socket:")]
        if len(titles) > 1:
            title = self.chance.choice(titles)
            del self.h.sections[title]
            for pool in self.pools():
                names = self.h.sections[f"pool:{pool}"].get("sockets", "").split()
                left = " ".join(n for n in names if n != title[7:])
                self.h.section(f"pool:{pool}", sockets=left or None)

    def move_socket(self):
        self.h.section(self.a_socket(), listen=f"tcp://127.0.0.1:{self.h.ports.take()}")

    def backlog(self):
        self.h.section(self.a_socket(), backlog=self.chance.randint(100, 200))

    def a_socket(self):
        return self.chance.choice([title for title in self.h.sections if title.startswith("socket:")])

    def level(self):
        self.h.supervisor(log_level=self.chance.choice(["info", "debug"]))

    def scale(self):
        self.h.api.post(f"/v1/pools/{self.running()}/scale", workers=self.chance.randint(1, 4), wait="drained")

    def running(self):
        return self.chance.choice([p["name"] for p in self.h.status()["pools"] if p["state"] != "retiring"])

    GOOD = ["workers", "budget", "command", "environment", "file", "program", "add_pool", "remove_pool", "socket", "unix_socket",
            "remove_socket", "move_socket", "backlog", "level", "scale"]

    def bad_key(self):
        self.h.pool(self.pool(), drain_timout="3s")

    def bad_program(self):
        self.h.pool(self.pool(), "/nowhere/to/be/found")

    def bad_user(self):
        self.h.pool(self.pool(), user="nobody-of-that-name")

    def bad_environment(self):
        self.h.pool(self.pool(), environment_file="/nowhere/env")

    def bad_budget(self):
        self.h.pool(self.pool(), workers=4, max_processes=2)

    def bad_address(self):
        self.h.socket("taken", f"tcp://127.0.0.1:{self.taken}")
        self.use("taken")

    def bad_path(self):
        self.h.socket("blocked", f"unix:{self.h.path('program')}")
        self.use("blocked")

    def bad_option(self):
        runs = {f"socket:{s['name']}": s["address"].replace("tcp ", "tcp://") for s in self.h.status()["sockets"]}
        titles = [title for title, address in runs.items() if self.h.sections.get(title, {}).get("listen") == address]
        if titles:
            self.h.section(self.chance.choice(titles), freebind="yes")
        else:
            self.bad_key()

    BAD = ["bad_key", "bad_program", "bad_user", "bad_environment", "bad_budget", "bad_address", "bad_path", "bad_option"]


def copy_of(sections):
    return {title: dict(keys) for title, keys in sections.items()}


def compare(h, told, before, note):
    """The reload, and whether it did what was told."""
    h.good_reload(changed=True, wait="drained")
    after = facts(h)
    pids = {w["pid"] for w in before["workers"]}, {w["pid"] for w in after["workers"]}
    leaving = {pid for p in told["pools"] for pid in p["leaving"]}
    assert leaving == pids[0] - pids[1], f"{note}: told {leaving}, went {pids[0] - pids[1]}: {told}"
    names = {p["name"]: p for p in before["pools"]}, {p["name"]: p for p in after["pools"]}
    told_pools = {p["name"]: p for p in told["pools"]}
    assert {n for n, p in told_pools.items() if p["action"] == "add"} == set(names[1]) - set(names[0]), note
    assert {n for n, p in told_pools.items() if p["action"] == "remove"} == set(names[0]) - set(names[1]), note
    for name, pool in told_pools.items():
        if pool["action"] == "remove":
            continue
        assert pool["workers_then"] == names[1][name]["workers"], f"{note}: {pool}"
        if pool["action"] != "add":
            rolled = names[0][name]["generation"] != names[1][name]["generation"]
            assert rolled == (pool["action"] == "replace"), f"{note}: {pool}"
    inodes = {s["inode"] for s in before["sockets"]}, {s["inode"] for s in after["sockets"]}
    kept = {s["inode"] for s in before["sockets"]
            if any(t["address"] == s["address"] and t["action"] in ("keep", "update") for t in told["sockets"])}
    assert kept == inodes[0] & inodes[1], f"{note}: {told['sockets']}"
    opened = sum(t["action"] == "open" for t in told["sockets"])
    assert opened == len(inodes[1] - inodes[0]), f"{note}: {told['sockets']}"
    if told["would"] == "nothing":
        assert before == {**after, "last_reload": before["last_reload"]}, note


def refuse(h, told, before, note):
    """The reload, which fails with the reason that was told."""
    assert told["would"] == "fail", f"{note}: {told}"
    result = h.bad_reload(changed=True)
    assert told["message"] in result["message"], f"{note}: {told['message']!r} and {result['message']!r}"
    assert told["problems"] == result["problems"], note
    after = facts(h)
    assert {**before, "last_reload": None} == {**after, "last_reload": None}, note


def test_what_a_plan_says_is_what_a_reload_does(handover, record_property):
    h = handover()
    chance = random.Random(SEED)
    edits = Edits(h, chance)
    edits.program()
    edits.file()
    edits.taken = h.ports.take()
    h.socket("web")
    h.socket("admin")
    h.pool("api", edits.command_text(), sockets="web admin", workers=2, environment_file=h.path("env"))
    h.pool("side", edits.command_text(), workers=2)
    h.start()
    seen = set()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of an earlier test may linger
        other.bind(("127.0.0.1", edits.taken))
        other.listen()
        for n in range(ROUNDS):
            good = copy_of(h.sections)
            which = [chance.choice(Edits.GOOD) for _ in range(chance.randint(0, 3))]
            if chance.random() < 0.2:
                which.append(chance.choice(Edits.BAD))
            note = f"seed {SEED}, round {n}: {which}"
            for name in which:
                getattr(edits, name)()
            h.write()
            before = facts(h)
            told = plan(h)
            assert plan(h) == told, f"{note}: asked again"
            assert facts(h) == before, f"{note}: a plan does nothing"
            seen.add(told["would"])
            if which and which[-1] in Edits.BAD:
                refuse(h, told, before, note)
                h.sections = good
                h.write()
            else:
                compare(h, told, before, note)
    assert seen == {"nothing", "change", "fail"}
    h.good_reload(changed=True, wait="drained")  # what was scaled before an edit that was refused
    assert plan(h)["would"] == "nothing"


def test_every_key(handover):
    """The plan knows what each key means: no worker is touched, or all of the pool are."""
    h = handover()
    path = h.path("web.sock")
    h.socket("web", f"unix:{path}")
    h.socket("other")
    h.pool("api", rpc(), sockets="web", workers=2)
    h.pool("side", rpc(), sockets="other", workers=2)
    h.start()
    with open(h.path("env"), "w", encoding="utf-8") as file:
        file.write("X=1\n")
    pids = h.pids("api")
    for title, keys in (("supervisor", SUPERVISOR), ("socket:web", SOCKET), ("pool:api", {**POOL, "workers": 3, **POOL_REPLACE})):
        for key, value in keys.items():
            before = h.sections.get(title, {}).get(key)
            h.section(title, **{key: value.format(port=h.ports.take(), place=h.place) if isinstance(value, str) else value})
            h.write()
            told = plan(h)
            h.section(title, **{key: before})
            if told["would"] == "fail" and os.geteuid() != 0:
                continue
            pool = pool_of(told, "api")
            action = {**dict.fromkeys(POOL, "update"), "workers": "scale", **dict.fromkeys(POOL_REPLACE, "replace")}.get(key, "keep") \
                if title == "pool:api" else "keep"
            assert told["would"] == "change" and pool["action"] == action, f"{key}: {told}"
            assert sorted(pool["leaving"]) == (sorted(pids) if action == "replace" else []), key
            assert pool_of(told, "side")["action"] == "keep"
            whose = {"supervisor": told["supervisor"], "socket:web": socket_of(told, "web")["changes"],
                     "pool:api": pool["changes"]}[title]
            assert key in {c["what"] for c in whose}, f"{key}: {told}"
    h.write()
    assert plan(h)["would"] == "nothing" and h.pids("api") == pids


@pytest.mark.parametrize("step, action", [
    (("connect", "hello", "ready", "sockets", "accepting", "serve"), "sockets"),
    (("connect", "ready", "sockets", "serve"), "replace")])
def test_workers_that_are_told_of_other_sockets(handover, step, action):
    """With handoff = channel other sockets replace nobody, if the workers say when they have them."""
    h = handover()
    h.socket("web")
    channel_pool(h, *step, workers=2)
    h.start()
    pids = h.pids()
    h.socket("more")
    h.pool("api", sockets="web more")
    h.write()
    told = plan(h)
    h.good_reload(changed=True, wait="drained")
    assert pool_of(told, "api")["action"] == action, told
    assert pool_of(told, "api")["leaving"] == (pids if action == "replace" else [])
    assert (h.pids() == pids) == (action == "sockets")
    if action == "replace":
        assert "does not answer over its channel: replacing the workers" in told["remarks"][0]


# --- what a person sees ---

def test_what_a_person_sees(handover):
    h = handover()
    port = h.socket("web")
    shutil.copy(STEP_WORKER, h.path("program"))
    h.pool("api", f"{h.path('program')} ready", sockets="web", workers=2, environment="TOKEN=old")
    h.pool("side", steps("ready"), workers=4)
    h.start()
    done = h.cli("plan")
    assert (done.returncode, done.stdout, done.stderr) == (0, "nothing to do: what runs is what is on disk\n", "")
    assert h.cli("plan", "-v").stdout == ("socket web: nothing differs\npool api: nothing differs\npool side: nothing differs\n"
                                          "nothing to do: what runs is what is on disk\n")
    new = h.socket("new")
    shutil.copy(STEP_WORKER, h.path("program.new"))
    os.rename(h.path("program.new"), h.path("program"))
    h.section("socket:web", backlog=77)
    h.supervisor(log_level="debug")
    h.pool("api", f"{h.path('program')} exit-on:TERM:0 ready", environment="TOKEN=secret", sockets="web new")
    h.pool("side", workers=6, drain_timeout="8s")
    h.pool("more", steps("ready"))
    h.write()
    done = h.cli("plan")
    assert done.returncode == 10 and done.stderr == "", done
    for line in (r"socket new: is opened",
                 r"socket web: backlog changed \(4096 -> 77\): it stays open",
                 r"pool api: all 2 workers are replaced: command changed \(\S+ ready -> \S+ exit-on:TERM:0 ready\), sockets changed "
                 r"\(web -> web new\), environment changed: TOKEN, executable replaced \(.+ -> .+\)",
                 r"pool side: workers 4 -> 6, drain_timeout changed \(6s -> 8s\), stop_timeout changed \(6s -> 8s\): no other worker is "
                 "touched",
                 r"pool more: is new: 1 workers are started",
                 r"supervisor: log_level changed \(info -> debug\): takes effect at once"):
        assert re.search(f"^{line}$", done.stdout, re.M), f"{line} in {done.stdout}"
    assert "secret" not in done.stdout + h.cli("plan", "--json").stdout, "values of the environment are nobody's business"
    assert json.loads(h.cli("plan", "--json").stdout)["would"] == "change"
    assert is_refused(new) and not is_refused(port)
    h.pool("more", "/nowhere/more")
    h.write()
    done = h.cli("plan")
    assert done.returncode == 1 and done.stderr.startswith("handover: reload --changed would fail: the configuration has 1 mistake: "), done
    assert "[pool:more] command: cannot execute '/nowhere/more'" in done.stderr


def test_a_version_that_failed_before(handover):
    """reload --changed refuses it, and so does the plan, in the same words."""
    h = handover()
    shutil.copy(STEP_WORKER, h.path("program"))
    h.pool("api", f"{h.path('program')} ready", drain_timeout="5s")
    h.start()
    h.pool("api", f"{h.path('program')} exit:3", drain_timeout="4s")
    h.write()
    told = pool_of(plan(h), "api")
    assert re.fullmatch(r"all 1 workers are replaced: command changed \(.* -> .*\), drain_timeout changed \(5s -> 4s\), "
                        r"stop_timeout changed \(5s -> 4s\)", told["message"]), "what matters most comes first"
    h.bad_reload(changed=True)
    told = plan(h)
    assert told["would"] == "fail" and "the version on disk failed" in told["message"], told
    assert told["message"] in h.bad_reload(changed=True)["message"]


def test_a_plan_while_something_else_runs(handover):
    h = handover()
    h.pool("api", steps(f"await:{h.path('go')}", "ready"))
    h.launch()
    h.wait_log("pid \\d+ started")
    h.wait(lambda: os.path.exists(h.control), "the control socket")
    code, text = h.api.request("GET", "/v1/plan")
    assert code == 503 and json.loads(text)["error"] == "the start is not through: ask again when it is"
    with open(h.path("go"), "w", encoding="utf-8"):
        pass
    h.wait_log("is ready: ")
    os.unlink(h.path("go"))
    with h.api.lines("POST", "/v1/reload", progress=True) as lines:
        lines.until(event="reload-started")
        done = h.cli("plan")
        assert done.returncode == 1 and "a reload runs: ask again when it is through" in done.stderr, done
        with open(h.path("go"), "w", encoding="utf-8"):
            pass
        assert lines.rest()[-1]["result"] == "committed"
    assert h.cli("plan").returncode == 0


def test_files_are_not_touched(handover):
    """What a plan looks at stays as it is: a left-over socket, a path that is free."""
    h = handover()
    h.pool("api", steps("ready"))
    h.start()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(h.path("dead.sock"))
    inode = os.stat(h.path("dead.sock")).st_ino
    h.socket("dead", f"unix:{h.path('dead.sock')}")
    h.socket("fresh", f"unix:{h.path('fresh.sock')}")
    h.pool("api", sockets="dead fresh")
    h.write()
    told = plan(h)
    assert {s["action"] for s in told["sockets"]} == {"open"} and told["would"] == "change"
    assert os.stat(h.path("dead.sock")).st_ino == inode and not os.path.exists(h.path("fresh.sock"))
    h.good_reload(changed=True)


@pytest.mark.parametrize("kind", ["there", "gone"])
def test_a_socket_of_another_instance_is_not_asked_for(handover, kind):
    a = handover("giver")
    a.socket("web")
    a.pool("api", rpc(), sockets="web")
    a.start()
    h = handover("taker")
    h.pool("api", steps("ready"))
    h.start()
    if kind == "gone":
        a.stop()
    h.socket("front", f"handover:{a.runtime_dir}/web")
    h.pool("api", sockets="front")
    h.write()
    told = plan(h)
    if kind == "gone":
        assert told["would"] == "fail" and "does not run: nobody answers at" in told["message"]
    else:
        assert socket_of(told, "front")["action"] == "take"
        assert a.status()["sockets"][0]["given"] == 0
