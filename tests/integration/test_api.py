"""The API of a running instance, as docs/api.md describes it."""
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys

import pytest

import promtext
from harness import ROOT, RPC_WORKER, Api, Call, UnixConnection, call, connect, is_refused, rpc, slow_calls, steps, wait_until


def create(path):
    with open(path, "w", encoding="utf-8"):
        pass


@pytest.fixture(name="two")
def fixture_two(handover):
    """An instance with a pool of two."""
    h = handover()
    h.pool("api", steps("exit-on:TERM:0", "ready"), workers=2)
    h.start()
    return h


# --- status ---

def test_status(handover):
    h = handover()
    port = h.socket("web", backlog=77)
    h.socket("local", f"unix:{h.path('api.sock')}")
    h.socket("dns", f"udp://127.0.0.1:{h.ports.take()}")
    h.pool("api", rpc("--version", "x y"), sockets="web local dns", workers=2)
    h.start()
    [slow] = slow_calls(h, port)
    status = h.status()
    expected = {"instance": h.name, "pid": h.pid, "state": "running", "config": h.config, "ready": True, "reason": "", "degraded": False,
                "out_of_service": False, "reload": None, "queued": 0, "last_reload": None}
    assert {key: status[key] for key in expected} == expected
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", status["since"]) and 0 < status["uptime_s"] < 100
    assert sorted((s["name"], s["address"], s["queue"], s["queue_limit"], s["mended"]) for s in status["sockets"]) == [
        ("dns", f"udp 127.0.0.1:{h.sections['socket:dns']['listen'].rpartition(':')[2]}", None, None, 0),
        ("local", f"unix {h.path('api.sock')}", 0, 4096, 0), ("web", f"tcp 127.0.0.1:{port}", 0, 77, 0)]
    pool = status["pools"][0]
    version = pool.pop("version")
    of_it = os.stat(RPC_WORKER)
    assert (version["path"], version["inode"], version["size"]) == (os.path.realpath(RPC_WORKER), of_it.st_ino, of_it.st_size)
    assert (version["generation"], version["held"], version["not_held"], version["on_disk"]) == (1, True, None, None)
    assert (pool.pop("previous"), pool.pop("failed")) == ([], [])
    assert status["pools"] == [{"name": "api", "state": "serving", "generation": 1, "workers": 2, "configured": 2, "serving": 2,
                                "starting": 0, "draining": 0, "restarts": 0, "degraded": False, "ready": True, "reason": ""}]
    for slot, worker in enumerate(status["workers"]):
        assert worker.pop("since_s") >= 0 and worker.pop("inflight") in (None, 0, 1) and worker.pop("pid") in h.pids()
        assert worker == {"pool": "api", "slot": slot, "generation": 1, "state": "serving", "restarts": 0, "reason": "",
                          "status": "serving on web local, version x y", "deadline_s": None, "probe_failure": None, "cgroup": None, "memory_bytes": None,
                          "tasks": None, "cpu_s": None, "sockets": ["web", "local", "dns"]}  # for nothing is delegated to a test
    assert status["cgroups"]["path"] is None and status["cgroups"]["missing"]
    assert slow.answer()["sum"] == 3


def test_status_of_a_reload_that_runs(two):
    h = two
    h.pool("api", steps(f"await:{h.path('go')}", "ready"))
    h.write()
    with h.api.lines("POST", "/v1/reload", progress=True, changed=True) as lines:
        lines.until(event="worker-started", slot=1)
        status = h.status()
        reload = status["reload"]
        assert 0 <= reload.pop("elapsed_s") < 100 and reload.pop("by").startswith("uid ")
        assert reload == {"id": 2, "kind": "reload", "state": "rolling",
                          "pools": [{"name": "api", "generation": 2, "state": "starting", "ready": 0, "total": 2}]}
        assert status["pools"][0]["state"] == "rolling" and status["pools"][0]["starting"] == 2
        create(h.path("go"))
        assert lines.rest()[-1]["result"] == "committed"
    last = h.status()["last_reload"]
    assert (last["id"], last["result"], last["remarks"]) == (2, "committed", ["pool api: command changed"])


# --- health ---

def ready(h, path="/readyz"):
    code, text = h.api.request("GET", path)
    assert text.endswith("\n") and text.count("\n") == 1
    return code, text.strip()


def test_livez_and_readyz(handover):
    h = handover()
    h.pool("api", steps(f"await:{h.path('go')}", "ready"), workers=2)
    h.pool("other", steps("ready"), ready_workers=0)
    h.launch()
    h.wait(lambda: os.path.exists(h.control), "the control socket")
    assert h.api.request("GET", "/livez") == (200, "ok\n")
    assert ready(h) == (503, "starting")
    create(h.path("go"))
    h.wait_log("is ready: 3 workers")
    assert ready(h) == ready(h, "/readyz/api") == ready(h, "/readyz/other") == (200, "ok")
    code, text = h.api.request("GET", "/readyz/apii")
    assert code == 404 and "did you mean 'api'?" in json.loads(text)["error"]


@pytest.mark.parametrize("needed, with_one", [("1", True), ("2", False), ("50%", True), ("51%", False), ("0", True)])
def test_ready_workers(handover, needed, with_one):
    h = handover()
    bad = h.path("bad")
    h.pool("api", f"sh -c 'test $HANDOVER_SLOT = 1 && test -e {bad} && exit 3; exec {steps('ready')}'", workers=2, ready_workers=needed,
           restart_delay="1h", restart_delay_max="1h")
    h.start()
    create(bad)
    os.kill(next(w["pid"] for w in h.workers() if w["slot"] == 1), signal.SIGKILL)
    h.wait_log("2 crashes in a row")
    assert ready(h)[0] == ready(h, "/readyz/api")[0] == (200 if with_one else 503)
    if not with_one:
        assert ready(h)[1] == "pool api: 1 of 2 workers serve, 2 needed"
    assert h.status()["ready"] is with_one


def test_out_of_service(two):
    h = two
    for on in (True, True, False):
        assert h.api.post("/v1/out-of-service", on=on) == (200, {"out_of_service": on})
        assert h.status()["out_of_service"] is on
        assert ready(h) == ((503, "out of service") if on else (200, "ok"))
    assert h.count_log(r"out of service by uid \d+ pid \d+") == 1 and h.count_log("in service again by uid") == 1
    assert len(h.pids()) == 2, "workers serve on"


# --- metrics ---

def metrics(h):
    code, text = h.api.request("GET", "/metrics")
    assert code == 200 and h.api.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return promtext.parse(text)


def test_metrics(handover):
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc("--stubborn"), sockets="web", workers=2, drain_timeout="300ms", dump_signal="SIGQUIT", dump_timeout="50ms")
    h.pool("other", steps("ready"))
    h.start()
    page = metrics(h)
    assert page["handover_workers"].value(pool="api", state="serving") == 2
    assert page["handover_workers"].value(pool="api", state="draining") == 0
    assert page["handover_info"].samples and page["handover_ready"].value() == 1
    assert page["handover_socket_queue_limit"].value(socket="web", address=f"tcp 127.0.0.1:{port}") == 4096
    assert "handover_last_reload_success" not in page, "there was none"
    # a crash, a hang with dump and kill, a good reload, a bad one
    os.kill(h.pids("api")[0], signal.SIGKILL)
    h.wait(lambda: h.pool_status("api")["restarts"] == 1 and len(h.pids("api")) == 2, "the restart")
    hanging = Call(port, "hang")
    h.wait(lambda: sum(w["inflight"] or 0 for w in h.workers("api")) == 1, "the request to be in flight")
    h.good_reload(wait="drained")
    assert hanging.is_cut()
    assert metrics(h)["handover_worker_restarts_total"].value(pool="api", reason="crash") == 1
    h.pool("api", steps("exit:1"))
    h.write()
    h.bad_reload()
    page = metrics(h)
    assert page["handover_escalations_total"].value(pool="api", stage="dump") == 1
    assert page["handover_escalations_total"].value(pool="api", stage="kill") == 1
    assert page["handover_reloads_total"].value(result="committed") == 1
    assert page["handover_reloads_total"].value(result="failed") == 1
    assert page["handover_last_reload_success"].value() == 0
    assert page["handover_last_reload_timestamp_seconds"].value() > 1.7e9
    assert page["handover_drain_seconds"].value("_count", pool="api") >= 2
    assert page["handover_drain_seconds"].value("_bucket", pool="api", le="0.1") < page["handover_drain_seconds"].value("_count", pool="api")
    assert page["handover_pool_generation"].value(pool="api") == 2


def test_the_queue_of_a_socket_is_told(handover):
    h = handover()
    port = h.socket("web")
    h.socket("local", f"unix:{h.path('a.sock')}")
    h.pool("api", steps("ready"), sockets="web local")  # which accepts nothing
    h.start()
    clients = [connect(port) for _ in range(3)] + [connect(h.path("a.sock")) for _ in range(2)]
    h.wait(lambda: {s["name"]: s["queue"] for s in h.status()["sockets"]} == {"web": 3, "local": 2}, "the queues")
    queue = metrics(h)["handover_socket_queue"]
    assert sorted(queue.samples.values()) == [2, 3]
    for client in clients:
        client.close()


# --- scale, restart, signal, dump ---

def test_scale(two):
    h = two
    before = h.pids()
    code, result = h.api.post("/v1/pools/api/scale", workers=4)
    assert (code, result["result"], result["kind"]) == (200, "committed", "scale")
    assert result["message"] == "scale 2 committed: pool api: 4 workers"
    assert set(before) < set(h.wait_serving("api", 4, generation=1))
    pool = h.pool_status("api")
    assert (pool["workers"], pool["configured"]) == (4, 2)
    assert h.api.post("/v1/pools/api/scale", workers=1, wait="drained")[0] == 200
    assert len(h.workers()) == 1 and h.pids()[0] in before
    os.kill(h.pids()[0], signal.SIGKILL)
    h.wait(lambda: [pid for pid in h.pids() if pid not in before], "the restart")
    assert len(h.workers()) == 1


def test_scale_that_fails_takes_back_what_it_began(handover):
    h = handover()
    h.pool("api", f"sh -c 'test $HANDOVER_SLOT = 3 && exit 5; exec {steps('ready')}'", workers=2)
    h.start()
    before = sorted(h.pids())
    code, result = h.api.post("/v1/pools/api/scale", workers=4)
    assert code == 409 and "slot 3 generation 1" in result["message"] and "exited with code 5" in result["message"]
    assert sorted(h.wait_serving("api", 2)) == before
    assert h.pool_status("api")["workers"] == 2


def test_restart_rolls_with_what_runs_and_reads_no_file(two):
    h = two
    before = h.pids()
    h.write("this is no configuration\n")
    code, result = h.api.post("/v1/pools/api/restart")
    assert code == 200 and result["message"] == "restart 2 committed: pool api: generation 2 serves with 2 workers"
    assert not set(before) & set(h.wait_serving("api", 2, generation=2))


def test_restart_keeps_what_was_scaled(two):
    h = two
    assert h.api.post("/v1/pools/api/scale", workers=3)[0] == 200
    assert h.api.post("/v1/pools/api/restart", wait="drained")[0] == 200
    h.wait_serving("api", 3, generation=2)


def test_restart_of_one_slot(two):
    h = two
    before = {w["slot"]: w["pid"] for w in h.workers()}
    code, result = h.api.post("/v1/pools/api/restart", slot=1, wait="drained")
    assert code == 200 and result["message"] == "restart 2 committed: pool api: slot 1 has a new worker"
    after = {w["slot"]: w["pid"] for w in h.workers()}
    assert after[0] == before[0] and after[1] != before[1] and h.pool_status("api")["generation"] == 1


def test_signals(handover):
    h = handover()
    h.pool("api", steps("say-on:USR1:heard", "ready"), workers=2)
    h.start()
    code, answer = h.api.post("/v1/pools/api/signal", signal="SIGUSR1")
    assert code == 200 and sorted(answer["signalled"]) == sorted(h.pids())
    h.wait_log(": heard", count=2)
    pid = next(w["pid"] for w in h.workers() if w["slot"] == 1)
    for name in ("USR1", "10"):
        assert h.api.post("/v1/pools/api/signal", signal=name, slot=1) == (200, {"signalled": [pid]})
    h.wait_log(r"api\[1\] \S+ pid \d+: heard", count=2)
    assert h.count_log(rf"pid {pid} gets .* from uid \d+ pid \d+") == 3


def test_dump(handover):
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc(), sockets="web", workers=2, dump_signal="SIGQUIT")
    h.pool("none", steps("ready"))
    h.start()
    code, answer = h.api.post("/v1/pools/api/dump", slot=0)
    assert code == 200 and answer["signalled"] == [next(w["pid"] for w in h.workers("api") if w["slot"] == 0)]
    h.wait_log(r"api\[0\] g1 pid \d+: .*in flight")
    assert call(port, "add", a=1, b=2)["sum"] == 3 and len(h.pids("api")) == 2
    code, answer = h.api.post("/v1/pools/none/dump")
    assert code == 400 and "has no dump signal" in answer["error"]


# --- streams ---

def test_progress_of_a_reload(two):
    h = two
    with h.api.lines("POST", "/v1/reload", progress=True, wait="drained") as lines:
        seen = lines.rest()
    names = [item["event"] for item in seen]
    assert names[-1] == "result" and names.count("result") == 1
    assert seen[-1]["result"] == "committed" and seen[-1]["message"].startswith("reload 2 committed")
    order = [names.index(name) for name in ("reload-started", "rollout-batch", "worker-started", "worker-ready", "worker-draining",
                                            "reload-committed", "reload-drained", "result")]
    assert order == sorted(order), names
    draining = next(item for item in seen if item["event"] == "worker-draining")
    assert (draining["reason"], draining["deadline_ms"], draining["pool"]) == ("reload", 6000, "api") and draining["pid"] > 0
    exited = next(item for item in seen if item["event"] == "worker-exited")
    assert exited["exit"] == "exited with code 0" and exited["after_ms"] >= 0
    for item in seen[:-1]:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", item["time"]) and item["level"] and item["message"] in h.log


def test_events(two):
    h = two
    with h.api.lines("GET", "/v1/events") as lines:
        h.wait(lambda: h.status()["state"] == "running", "an answer, with the stream open")
        os.kill(h.pids()[0], signal.SIGKILL)
        crashed = lines.until(event="worker-crashed")
        assert (crashed["pool"], crashed["exit"], crashed["level"]) == ("api", "killed by SIGKILL", "error")
        lines.until(event="worker-ready", slot=crashed["slot"])
        h.api.post("/v1/out-of-service", on=True)
        assert lines.until(event="out-of-service")["by"].startswith("uid ")
        h.signal(signal.SIGTERM)
        for name in ("instance-stopping", "worker-draining", "worker-exited", "instance-stopped"):
            lines.until(event=name)
        assert lines.next() is None
    h.wait_exit()


def test_logs_followed(handover):
    h = handover()
    h.pool("api", steps("say:kept %n", "say-on:USR1:came %n", "ready"), workers=2)
    h.pool("other", steps("say:not asked for", "say-on:USR1:neither", "ready"))
    h.start()
    h.wait_log(r"not asked for")
    h.wait_log(r": kept \d", count=2)
    with h.api.lines("GET", "/v1/logs?pool=api&slot=1&follow=1") as lines:
        first = lines.next()
        assert (first["line"], first["pool"], first["slot"], first["generation"], first["gone"]) == ("kept 1", "api", 1, 1, False)
        for pid in h.pids():
            os.kill(pid, signal.SIGUSR1)
        assert lines.next()["line"] == "came 1"
        h.good_reload(pool="api", wait="drained")
        assert (lines.until(generation=2))["line"] == "kept 1"
    assert [line["line"] for line in lines.seen] == ["kept 1", "came 1", "kept 1"]


def test_a_reader_of_events_who_falls_asleep_is_dropped(handover):
    h = handover()
    h.pool("api", steps("ready", *["say:x"] * 3), restart="never")
    h.start()
    reader = UnixConnection(h.control)
    reader.request("GET", "/v1/logs?follow=1")
    reader.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    h.pool("loud", steps("ready", "flood:4000000", "say:flooded"))
    h.write()
    h.good_reload(changed=True)
    h.wait(lambda: any(json.loads(line)["line"] == "flooded" for line in h.api.request("GET", "/v1/logs?pool=loud")[1].splitlines()),
           "the end of the flood")
    received = 0
    with contextlib.suppress(ConnectionError):
        while chunk := reader.sock.recv(65536):
            received += len(chunk)
    assert received < 2_000_000, "it ends early"
    reader.close()


# --- stop ---

def test_stop(two):
    code, answer = two.api.post("/v1/stop")
    assert code == 202 and answer["instance"] == two.name
    two.wait_exit(0)
    assert two.count_log(r"stopping \(uid \d+ pid \d+\)") == 1


def test_stop_now(handover):
    h = handover()
    h.supervisor(lame_duck="1h")
    h.pool("api", steps("ignore:TERM", "ready"), stop_timeout="1h")
    h.start()
    assert h.api.post("/v1/stop")[0] == 202
    h.wait(lambda: h.status()["state"] == "lame-duck", "the lame duck")
    assert h.api.post("/v1/stop", now=True)[0] == 202
    h.wait_exit(0)


def test_stop_with_progress(two):
    with two.api.lines("POST", "/v1/stop", progress=True) as lines:
        names = [item["event"] for item in lines.rest()]
    assert names[0] == "instance-stopping" and names[-1] == "instance-stopped" and names.count("worker-exited") == 2
    two.wait_exit(0)


# --- mistakes of those who ask ---

@pytest.mark.parametrize("method, path, body, code, said", [
    ("GET", "/v1/statsu", None, 404, "did you mean /v1/status?"),
    ("GET", "/", None, 404, "try GET /v1/status"),
    ("GET", "/v1/reload", None, 405, "this takes POST"),
    ("POST", "/v1/status", None, 405, "this takes GET"),
    ("DELETE", "/v1/status", None, 405, "this takes GET"),
    ("POST", "/v1/reload", {"chnaged": True}, 400, "did you mean 'changed'?"),
    ("POST", "/v1/reload", {"changed": 1}, 400, "'changed' must be true or false"),
    ("POST", "/v1/reload", {"wait": "long"}, 400, "'wait' must be \"committed\" or \"drained\""),
    ("POST", "/v1/reload", '{"pool": "api", "pool": "web"}', 400, "the body is no JSON"),
    ("POST", "/v1/reload", "[]", 400, "must be a JSON object"),
    ("POST", "/v1/reload", "{", 400, "the body is no JSON: line 1"),
    ("POST", "/v1/stop", {"now": True, "slot": 1}, 400, "unknown member 'slot'"),
    ("POST", "/v1/pools/apo/restart", {}, 404, "there is no pool 'apo'; did you mean 'api'?"),
    ("POST", "/v1/pools/api/restart", {"slot": 2}, 404, "has no slot 2: its slots are 0 to 1"),
    ("POST", "/v1/pools/api/restart", {"slot": -1}, 400, "'slot' must be"),
    ("POST", "/v1/pools/api/scale", {}, 400, "'workers' is missing"),
    ("POST", "/v1/pools/api/scale", {"workers": 0}, 400, "'workers' must be a number of workers"),
    ("POST", "/v1/pools/api/scale", {"workers": "3"}, 400, "'workers' must be a number of workers"),
    ("POST", "/v1/pools/api/signal", {"signal": "SIGFOO"}, 400, "'SIGFOO' is no signal"),
    ("POST", "/v1/pools/api/signal", {}, 400, "'signal' is missing"),
    ("POST", "/v1/out-of-service", {"on": "yes"}, 400, "'on' must be true or false"),
    ("GET", "/v1/logs?pol=api", None, 400, "did you mean 'pool'?"),
    ("GET", "/v1/logs?pool=apu", None, 404, "there is no pool 'apu'"),
    ("GET", "/v1/logs?slot=x", None, 400, "'slot' must be"),
])
def test_mistakes(two, method, path, body, code, said):
    before = sorted(two.pids())
    got, text = two.api.request(method, path, body)
    assert got == code and said in json.loads(text)["error"]
    if code == 405:
        assert two.api.headers["Allow"] in ("POST", "GET, HEAD")
    assert sorted(two.pids()) == before and two.status()["last_reload"] is None


def test_scale_beyond_the_limits(handover):
    h = handover()
    h.pool("api", steps("ready"), max_processes=6)
    h.start()
    code, result = h.api.post("/v1/pools/api/scale", workers=6)
    assert code == 409 and "leave no room for a reload within max_processes = 6" in result["message"]
    assert len(h.pids()) == 1


def test_requests_that_are_no_http_or_too_long(two):
    for text in (b"\n\n\n", b"GET\r\n\r\n", b"\0" * 1000, b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 100000 + b"\r\n\r\n",
                 b"POST /v1/reload HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", b"POST /v1/reload HTTP/1.1\r\nContent-Length: -1\r\n\r\n{}",
                 b"GET /%00%ff/../.. HTTP/1.1\r\n\r\n", b"GET /v1/logs?%%%%=&&& HTTP/1.0\r\n\r\n"):
        with connect(two.control) as sock:
            with contextlib.suppress(ConnectionError):
                sock.sendall(text)
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(65536):
                    pass
    assert two.status()["last_reload"] is None and len(two.pids()) == 2


def test_head(two):
    assert two.api.request("HEAD", "/v1/status") == (200, "")
    assert two.api.request("HEAD", "/readyz") == (200, "")


def test_clients_that_hold_connections_do_not_shut_others_out(two):
    idle = [connect(two.control) for _ in range(100)]
    assert two.status()["state"] == "running"
    for sock in idle:
        sock.close()
    assert two.good_reload()["result"] == "committed"


# --- who may ---

def test_the_log_says_who_asked(two):
    two.good_reload()
    assert two.count_log(rf"reload asked for by uid {os.geteuid()} pid {os.getpid()}") == 1


def test_status_listen_only_tells(handover):
    h = handover()
    port = h.ports.take()
    h.supervisor(status_listen=f"127.0.0.1:{port}")
    h.pool("api", steps("ready"))
    h.start()
    tcp = Api(port)
    assert tcp.request("GET", "/livez")[0] == 200 and tcp.get("/v1/status")["instance"] == h.name
    promtext.parse(tcp.request("GET", "/metrics")[1])
    for path in ("/v1/reload", "/v1/stop", "/v1/pools/api/restart", "/v1/out-of-service"):
        code, text = tcp.request("POST", path, {})
        assert code == 403 and "changes are made over control.sock" in text
    assert tcp.request("GET", "/v1/logs")[0] == 404, "what workers write stays on the machine"
    h.stop()
    wait_until(lambda: is_refused(port), "the port to be closed")


def test_status_listen_in_use(handover):
    h = handover()
    port = h.ports.take()
    h.supervisor(status_listen=f"127.0.0.1:{port}")
    h.pool("api", steps("ready"))
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        h.end_early(code=1)
    assert re.search(rf"status_listen.*127\.0\.0\.1:{port}: address in use by \S+ \(pid {os.getpid()}\)", h.log)
    assert "started" not in h.log


ASK_AS = """
import os, sys
sys.path.insert(0, sys.argv[3]); import harness, encodings.idna  # while we may still read them
os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[1]))
try:
    print(*harness.Api(sys.argv[4]).request("POST", "/v1/reload", {}))
except OSError as error:
    print(type(error).__name__)
"""


def ask_as(h, uid, gid):
    done = subprocess.run([sys.executable, "-c", ASK_AS, str(uid), str(gid), os.path.join(ROOT, "tests/integration"), h.control],
                          capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


@pytest.mark.needs_root
def test_nobody_else_may_change_anything(two):
    assert os.stat(two.control).st_mode & 0o777 == 0o600
    assert ask_as(two, 65534, 65534) == "PermissionError\n"
    os.chmod(two.control, 0o666)  # even then
    answer = ask_as(two, 65534, 65534)
    assert answer.startswith("403 ") and "uid 65534 may not change anything here" in answer
    assert two.count_log("a change was refused: uid 65534") == 1 and two.status()["last_reload"] is None


@pytest.mark.needs_root
def test_operator_group(handover):
    h = handover()
    h.supervisor(operator_group="daemon")
    h.pool("api", steps("ready"))
    h.start()
    st = os.stat(h.control)
    assert (st.st_gid, st.st_mode & 0o777) == (1, 0o660)
    assert ask_as(h, 65534, 1).startswith("200 ")
    assert ask_as(h, 65534, 65534) == "PermissionError\n"
    assert h.count_log("reload asked for by uid 65534 pid") == 1
