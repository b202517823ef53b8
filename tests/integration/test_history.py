"""handover history: what was asked for, by whom, and what became of it."""
import json
import os
import re
import signal

import cli_tools
from harness import connect, in_background, steps


def create(path):
    with open(path, "w", encoding="utf-8"):
        pass


def history(h):
    return h.api.get("/v1/history")["history"]


def last(h):
    return history(h)[-1]


def me():
    return f"uid {os.geteuid()} pid {os.getpid()}"


def test_the_start_a_reload_a_restart_and_a_scaling(handover):
    h = handover()
    h.pool("api", f"sh -c 'test $HANDOVER_SLOT = 1 && sleep 0.15; exec {steps('ready', 'exit-on:TERM:0')}'", workers=3)
    h.pool("web", steps("ready"), workers=1)
    h.start()
    h.good_reload(wait="drained")
    h.api.post("/v1/pools/api/restart", slot=2, wait="drained")
    h.api.post("/v1/pools/web/scale", workers=2)
    h.good_reload(pool="web", wait="drained")
    h.good_reload(changed=True)
    records = history(h)
    assert [(r["id"], r["kind"], r["what"], r["result"], r["callers"]) for r in records] == [
        (1, "start", "all pools", "committed", 0), (2, "reload", "all pools", "committed", 1),
        (3, "restart", "pool api slot 2", "committed", 1), (4, "scale", "pool web to 2 workers", "committed", 1),
        (5, "reload", "pool web", "committed", 1), (6, "reload", "what has changed", "committed", 1)]
    assert [r["by"] for r in records] == ["start"] + [me()] * 5
    assert [r["told_to_go"] for r in records] == [0, 4, 1, 0, 2, 0] and not any(r["draining"] for r in records)
    assert [r["drain_ms"] is None for r in records] == [True, False, False, True, False, True]
    reload = records[1]
    assert reload["message"] == ("reload 2 committed: pool api: generation 2 serves with 3 workers; pool web: generation 2 serves with 1 worker")
    assert reload["ready_ms"] >= 150 and abs(reload["duration_ms"] - reload["prepare_ms"] - reload["ready_ms"]) <= 1
    slowest = reload["slowest_start"]
    assert (slowest["pool"], slowest["slot"], slowest["generation"]) == ("api", 1, 2) and slowest["ms"] >= 150
    assert reload["slowest_drain"]["generation"] == 1 and reload["slowest_drain"]["ms"] <= reload["drain_ms"] + 1
    assert records[5]["slowest_start"] is None and records[5]["slowest_drain"] is None
    table = h.cli("history").stdout.splitlines()
    assert table[0].split() == ["ID", "ASKED", "KIND", "RESULT", "WAITED", "PREPARE", "READY", "DRAIN", "SLOWEST-START", "SLOWEST-DRAIN",
                                "QUEUE-MAX", "WHAT", "BY"]
    assert re.match(rf" *2 \S+ +reload +committed +- +\S+ +\S+ +\S+ api/1:\S+ +(api|web)/\d:\S+ +- +all pools +{me()}$", table[2]), table[2]
    assert len(table) == 7
    assert "\n" + reload["message"] in h.cli("history", "-v").stdout
    assert json.loads(h.cli("history", "--json").stdout)["history"] == records


def test_those_that_failed_and_the_one_that_was_given_up(handover):
    h = handover()
    gate = h.path("gate")
    h.pool("api", steps("ready"))
    h.start()
    h.pool("api", steps("exit:3"))
    h.write()
    h.bad_reload()
    good = h.sections["pool:api"]
    h.write("[pool:api]\nworkrs = 1\n")
    h.bad_reload()
    h.sections["pool:api"] = {**good, "command": steps(f"await:{gate}", "ready")}
    h.write()
    with cli_tools.Running("-c", h.control, "reload", "--abort-on-disconnect") as running:
        h.wait(lambda: last(h)["id"] == 4 and last(h)["result"] == "running" and h.workers("api", "starting"), "the reload to run")
        shown = h.cli("history").stdout.splitlines()[4]
        assert re.match(r" *4 \S+ +reload +running +- +\S+ +\S+ +- ", shown), shown
        running.process.kill()
    h.wait(lambda: last(h)["result"] == "aborted", "it to be given up")
    of_worker, of_file, given_up = history(h)[1:]
    assert of_worker["result"] == "failed" and of_worker["prepare_ms"] is not None and of_worker["ready_ms"] is not None
    assert "exited with code 3, " in of_worker["message"] and "still serving: pool api generation 1 with 1 of 1 worker" in of_worker["message"]
    assert of_file["result"] == "failed" and of_file["prepare_ms"] is None and of_file["ready_ms"] is None
    assert "the configuration has " in of_file["message"]
    assert given_up["message"].startswith("reload 4 aborted: its caller went away")
    shown = h.cli("history").stdout
    for record in (of_worker, of_file, given_up):
        assert "\n" + record["message"] + "\n" in shown
    assert "start 1 committed" not in shown


def test_those_that_wait_for_the_one_that_runs(handover):
    h = handover()
    gate = h.path("gate")
    create(gate)
    h.pool("api", steps(f"await:{gate}", "ready"))
    h.start()
    os.unlink(gate)
    h.signal(signal.SIGHUP)
    h.wait(lambda: last(h)["result"] == "running", "the reload to run")
    with cli_tools.Running("-c", h.control, "reload") as one, cli_tools.Running("-c", h.control, "reload") as two, \
            cli_tools.Running("-c", h.control, "scale", "api", "2") as three:
        answer = h.wait(lambda: len(h.api.get("/v1/history")["queued"]) == 3 and h.api.get("/v1/history"), "three to wait")
        assert sorted((q["kind"], q["what"]) for q in answer["queued"]) == [
            ("reload", "all pools"), ("reload", "all pools"), ("scale", "pool api to 2 workers")]
        assert (answer["history"][-1]["by"], answer["history"][-1]["kind"]) == ("SIGHUP", "reload")
        assert h.cli("history").stdout.count("\nqueued: reload of all pools, asked for by uid ") == 2
        create(gate)
        assert [command.finish()[0] for command in (one, two, three)] == [0, 0, 0]
        pids = {one.process.pid, two.process.pid}
    records = {r["id"]: r for r in history(h)}
    assert {(r["kind"], r["callers"]) for r in records.values()} == {("start", 0), ("reload", 1), ("reload", 2), ("scale", 1)}
    joined = next(r for r in records.values() if r["callers"] == 2)
    assert int(joined["by"].split()[-1]) in pids and joined["waited_ms"] > 0
    assert h.api.get("/v1/history")["queued"] == []


def test_a_drain_that_goes_on_and_the_queue(handover):
    h = handover()
    port = h.socket("web")
    gate = h.path("gate")
    create(gate)
    h.pool("api", steps("ready"), sockets="web")  # never accepts
    h.pool("slow", steps("ready", "ignore:TERM", f"await:{h.path('go')}", "exit:0"), drain_timeout="1h")
    h.pool("gate", steps(f"await:{gate}", "ready"))
    h.start()
    os.unlink(gate)
    reload = in_background(h.good_reload)
    h.wait(lambda: last(h)["result"] == "running" and h.workers("gate", "starting"), "the reload to run")
    assert last(h)["queue_max"]["waiting"] == 0
    waiting = [connect(port) for _ in range(3)]
    create(gate)
    reload.result()
    record = last(h)
    assert (record["result"], record["told_to_go"], record["drain_ms"]) == ("committed", 3, None) and record["draining"] >= 1
    assert record["queue_max"]["socket"] == "web" and record["queue_max"]["waiting"] == 3
    assert f"web:3/{record['queue_max']['limit']}" in h.cli("history").stdout
    more = connect(port)
    create(h.path("go"))
    record = h.wait(lambda: last(h)["draining"] == 0 and last(h), "the drain to end")
    assert record["drain_ms"] >= record["slowest_drain"]["ms"] - 1 and record["slowest_drain"]["pool"] == "slow"
    assert record["queue_max"]["waiting"] == 4, "drains belong to it"
    for sock in (*waiting, more):
        sock.close()


def test_fifty_are_kept(handover):
    h = handover()
    h.pool("api", steps("ready"))
    h.start()
    for _ in range(54):
        assert h.api.post("/v1/pools/api/scale", workers=1)[0] == 200
    answer = h.api.get("/v1/history")
    assert [r["id"] for r in answer["history"]] == list(range(6, 56)) and answer["dropped"] == 5
    assert h.api.request("GET", "/v1/history?n=1")[0] == 400
    assert h.api.request("POST", "/v1/history", {})[0] == 405
