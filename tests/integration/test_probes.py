"""ready = http:, grpc, tcp: each worker is asked over a socket of its own, or at its own port; and never another one."""
import os
import re
import shlex
import socket

import pytest

import harness
from harness import ROOT, call, probed, rpc


def worker(name, *words):
    return shlex.join(["/usr/bin/python3", os.path.join(ROOT, "tests/workers", name), *map(str, words)])


@pytest.fixture(name="paths")
def fixture_paths(tmp_path):
    """Where workers bind: what they leave there is theirs."""
    return tmp_path


def failure_of(h, pool="api"):
    workers = h.workers(pool)
    return workers[0]["probe_failure"] if workers else None


def ready_after(h):
    """How long each worker took, in seconds."""
    return [float(took) * {"us": 1e-6, "ms": 1e-3, "s": 1}[unit] for took, unit in re.findall(r"is ready after ([\d.]+) (us|ms|s)\b", h.log)]


def is_told(h, pattern):
    """It starts, and its worker fails its probe in this way."""
    h.launch()
    h.wait(lambda: os.path.exists(h.control), "the control socket")
    h.wait(lambda: re.fullmatch(pattern, failure_of(h) or ""), f"a probe to fail: {pattern}")
    assert h.workers()[0]["state"] == "starting"


# --- over the probe socket ---

@pytest.mark.parametrize("answers, failures", [(["good"], 0), (["redirect"], 0), (["slow"], 0), (["503", "close", "garbage", "good"], 3)],
                         ids=["good", "redirect", "slow", "good at last"])
def test_http_good(handover, answers, failures):
    h = handover()
    h.pool("api", probed("--answers", *answers), ready="http:/healthz", workers=2)
    h.start()
    # between two questions: 100, 200, 400 ms
    assert min(ready_after(h)) >= [0, 0.1, 0.3, 0.7][failures]
    assert [w["probe_failure"] for w in h.workers()] == [None, None]


@pytest.mark.parametrize("words, told", [
    (["--answers", "503"], "http:/healthz answered 503 Service Unavailable"),
    (["--answers", "close"], r"http:/healthz closed the connection without an answer"),
    (["--answers", "garbage"], r"http:/healthz answered something that is no HTTP/1\.1"),
    (["--answers", "headers"], "http:/healthz answered with more than 16 KiB and no end"),
    (["--answers", "hang"], "http:/healthz had no answer within 200 ms"),
    (["--answers", "none"], "http:/healthz had no answer within 200 ms"),
    (["--close"], "http:/healthz finds nobody: the worker has closed its probe socket"),
], ids=["503", "closes", "garbage", "endless headers", "hangs", "does not accept", "closed its socket"])
def test_http_bad(handover, words, told):
    h = handover()
    h.pool("api", probed(*words), ready="http:/healthz", probe_timeout="200ms", drain_timeout="1s")
    is_told(h, told)


def test_a_failed_reload_says_what_the_probe_said(handover):
    """And the last failure is in the status meanwhile."""
    h = handover()
    h.pool("api", probed(), ready="http:/healthz")
    h.start()
    pids = h.pids()
    h.pool("api", probed("--answers", "503"), start_timeout="1s")
    h.write()
    reload = harness.in_background(h.bad_reload)
    h.wait(lambda: "http:/healthz answered 503 Service Unavailable" in [w["probe_failure"] for w in h.workers()], "its failure")
    assert "left; http:/healthz answered 503 Service Unavailable" in h.cli("status").stdout
    result = reload.result()
    assert "was not ready within 1 s (start_timeout)" + "; http:/healthz answered 503 Service Unavailable" in result["message"]
    assert "was not ready in time (http:/healthz answered 503 Service Unavailable): it is told to stop" in h.log
    assert h.wait_serving("api", 1) == pids


def test_the_question_waits_until_the_worker_serves(handover):
    """It is in the worker's own queue: no time is lost between its first accept and its being ready."""
    h = handover()
    h.pool("api", probed("--delay", 0.5, "--times", h.path("times")), ready="http:/healthz", probe_timeout="1min")
    h.start()
    assert min(ready_after(h)) >= 0.5
    assert harness.read_file(h.path("times")).count(b"\n") == 1, "the first question was answered"


def test_one_socket_each_and_nobody_else_can_reach_it(handover):
    """It stands behind the pool's sockets, has no name in the file system, and is gone with its worker."""
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc(), sockets="web", ready="http:/healthz", workers=2)
    h.start()
    assert call(port, "add", a=1, b=2)["sum"] == 3
    assert sorted(os.listdir(h.runtime_dir)) == ["channel.sock", "control.sock", "lock", "sockets.sock"]
    assert h.count_log("rpc-worker: serving on web probe") == 2

    def probe_sockets():
        with open("/proc/net/unix", encoding="utf-8") as table:
            return [line for line in table if line.rstrip().endswith(f"{h.runtime_dir}/probe.sock")]
    assert len(probe_sockets()) == 2
    before = len(os.listdir(f"/proc/{h.pid}/fd"))
    for _ in range(3):
        h.good_reload(wait="drained")
    h.wait_serving("api", 2, generation=4)
    assert len(probe_sockets()) == 2
    h.wait(lambda: len(os.listdir(f"/proc/{h.pid}/fd")) <= before, "no more descriptors than before")


def test_what_is_left_of_a_killed_master_is_no_obstacle(handover):
    h = handover()
    os.makedirs(h.runtime_dir)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(f"{h.runtime_dir}/probe.sock")
        h.pool("api", rpc(), ready="http:/healthz")
        h.section("pool:api", sockets="web")
        h.socket("web")
        h.start()
    assert not os.path.exists(f"{h.runtime_dir}/probe.sock")


def test_a_deleted_runtime_directory_takes_no_probe_away(handover):
    """A worker that is asked for long is still reached."""
    h = handover()
    h.pool("api", probed("--file", h.path("word"), "--answers", "503"), ready="http:/healthz")
    h.launch()
    h.wait(lambda: os.path.exists(h.control), "the control socket")
    h.wait(lambda: h.workers() and failure_of(h), "a question")
    for name in os.listdir(h.runtime_dir):
        os.unlink(f"{h.runtime_dir}/{name}")
    os.rmdir(h.runtime_dir)
    with open(h.path("word"), "w", encoding="utf-8") as file:
        file.write("good")
    h.wait_log("is ready: 1 worker")


def test_handoff_channel(handover):
    """It is asked before it gets its sockets."""
    h = handover()
    port, ill = h.socket("web"), h.path("ill")
    h.pool("api", rpc("--ill-if", ill), sockets="web", handoff="channel", ready="http:/healthz", workers=2)
    h.start()
    assert call(port, "add", a=1, b=2)["sum"] == 3
    old = h.pids()
    with open(ill, "w", encoding="utf-8"):
        pass
    reload = harness.in_background(h.good_reload)
    h.wait(lambda: sum("503" in (w["probe_failure"] or "") for w in h.workers()) == 2, "two that are asked in vain")
    assert {call(port, "info")["pid"] for _ in range(10)} <= set(old)
    os.unlink(ill)
    reload.result()
    h.wait_serving("api", 2, generation=2)
    assert call(port, "add", a=1, b=2)["generation"] == 2


def test_many_at_once(handover):
    """More than are asked at the same time; each of them in its turn."""
    h = handover()
    h.pool("api", rpc(), ready="http:/healthz", workers=300, sockets="web", start_timeout="60s")
    h.socket("web")
    h.start()
    assert h.count_log("is ready after") == 300


def test_gunicorn_serves_on_it_by_itself(handover):
    """It takes all descriptors that it is given."""
    h = handover()
    with open(h.path("app.py"), "w", encoding="utf-8") as file:
        file.write("def app(environ, start):\n    start('204 No Content', [])\n    return []\n")
    h.socket("web")
    h.pool("api", f"/usr/bin/gunicorn --chdir {h.place} app:app", sockets="web", ready="http:/")
    h.start()
    h.good_reload(wait="drained")


# --- at the worker's own port ---

def test_own_port_needs_no_socket(handover):
    """With SO_REUSEPORT two of a slot can live at once; each is found."""
    h = handover()
    port = h.ports.take()
    h.pool("api", probed("--listen", f"127.0.0.1:{port}", "--shared"), ready="http:/healthz", probe_address=f"127.0.0.1:{port}")
    h.start()
    old = h.pids()
    h.good_reload(wait="drained")
    assert h.wait_serving("api", 1, generation=2) != old


def test_an_old_worker_does_not_answer_for_a_new_one(handover):
    """The new one listens at the same port, and is ill: it is never taken for its predecessor, which is well."""
    h = handover()
    port = h.ports.take()
    h.pool("api", probed("--listen", f"127.0.0.1:{port}", "--shared"), ready="http:/healthz", probe_address=f"127.0.0.1:{port}")
    h.start()
    old = h.pids()
    h.pool("api", probed("--listen", f"127.0.0.1:{port}", "--shared", "--answers", "503"), start_timeout="1500ms")
    h.write()
    message = h.bad_reload()["message"]
    assert re.search(r"http:/healthz (answered 503 Service Unavailable|found another process there than the worker)", message)
    assert h.wait_serving("api", 1, generation=1) == old


@pytest.mark.parametrize("kind", ["http:/healthz", "tcp"])
def test_somebody_else_listens_there(handover, kind):
    h = handover()
    with socket.create_server(("127.0.0.1", h.ports.take())) as other:
        address = "127.0.0.1:%d" % other.getsockname()[1]
        other.listen(50)
        h.pool("api", harness.steps(), ready=kind, probe_address=address, start_timeout="500ms", probe_timeout="100ms")
        h.launch()
        other.settimeout(harness.PATIENCE)
        with other.accept()[0]:
            h.wait_exit(1)
    assert re.search(rf"not ready within 500 ms \(start_timeout\); {kind} (found another process there than the worker|"
                     "was not accepted within 100 ms)", h.log), h.log


def test_a_child_of_the_worker_answers(handover):
    h = handover()
    port = h.ports.take()
    h.pool("api", probed("--listen", f"127.0.0.1:{port}", "--child"), ready="http:/healthz", probe_address=f"127.0.0.1:{port}",
           drain_timeout="1s")
    h.start()


@pytest.mark.parametrize("kind", ["http:/healthz", "tcp"])
def test_a_path_of_its_own(handover, paths, kind):
    """%n is the slot, %g the generation."""
    h = handover()
    h.pool("api", probed("--listen", f"unix:{paths}/%n-%g.sock"), ready=kind, workers=2, probe_address=f"unix:{paths}/%n-%g.sock")
    h.start()
    h.good_reload(wait="drained")
    assert os.path.exists(f"{paths}/1-2.sock")


def test_tcp(handover):
    """Not before it accepts: that it is bound is not enough."""
    h = handover()
    port = h.ports.take()
    h.pool("api", probed("--listen", f"127.0.0.1:{port}", "--delay", 0.4), ready="tcp", probe_address=f"127.0.0.1:{port}")
    h.start()
    assert min(ready_after(h)) >= 0.4


def test_nobody_listens(handover):
    h = handover()
    h.pool("api", harness.steps(), ready="tcp", probe_address=f"127.0.0.1:{h.ports.take()}", start_timeout="300ms")
    h.end_early(code=1)
    assert "not ready within 300 ms (start_timeout); tcp was refused the connection" in h.log


def test_a_change_of_the_address_needs_new_workers(handover):
    h = handover()
    ports = h.ports.take(), h.ports.take()
    h.pool("api", probed("--listen", f"127.0.0.1:{ports[0]}", "--shared"), ready="http:/x", probe_address=f"127.0.0.1:{ports[0]}")
    h.start()
    h.pool("api", probed("--listen", f"127.0.0.1:{ports[1]}", "--shared"), probe_address=f"127.0.0.1:{ports[1]}")
    h.write()
    assert h.good_reload(changed=True)["remarks"] == ["pool api: command changed, probe_address changed"]
    h.wait_serving("api", 1, generation=2)


# --- gRPC ---

def grpc_go(*words):
    return shlex.join([os.path.join(harness.BUILD, "grpc-worker"), *words])


@pytest.mark.parametrize("service", ["", ":handover.test.Echo"], ids=["server", "service"])
def test_grpc_go(handover, service):
    h = handover()
    h.socket("grpc")
    h.pool("api", grpc_go(), sockets="grpc", ready=f"grpc{service}", workers=2)
    h.start()
    h.good_reload(wait="drained")
    assert h.wait_serving("api", 2, generation=2)


def test_grpc_go_unknown_service(handover):
    h = handover()
    h.socket("grpc")
    h.pool("api", grpc_go(), sockets="grpc", ready="grpc:no.Such", drain_timeout="1s")
    is_told(h, "grpc:no.Such answered NOT_FOUND: unknown service")


@pytest.mark.parametrize("words, ready, told", [
    ([], "grpc", None),
    (["--status", "a.B=SERVING"], "grpc:a.B", None),
    (["--status", "a.B=NOT_SERVING"], "grpc:a.B", "grpc:a.B answered NOT_SERVING"),
    (["--status", "a.B=SERVING"], "grpc", "grpc answered NOT_FOUND: unknown service"),
    (["--no-health"], "grpc", "grpc answered UNIMPLEMENTED: it has no grpc.health.v1.Health"),
], ids=["server", "service", "not serving", "unknown", "no health service"])
def test_grpcio(handover, paths, words, ready, told):
    h = handover()
    address = f"unix:{paths}/%n-%g.sock"
    h.pool("api", worker("health-worker.py", "--listen", address, *words), ready=ready, probe_address=address, drain_timeout="1s")
    if told is None:
        h.start()
    else:
        is_told(h, told)


@pytest.mark.parametrize("answers, told", [
    ("good", "answered something that is no HTTP/2"), ("garbage", "answered something that is no HTTP/2"),
    ("close", "closed the connection without an answer"), ("hang", "had no answer within 200 ms"),
])
def test_grpc_of_a_server_that_speaks_none(handover, answers, told):
    h = handover()
    h.pool("api", probed("--answers", answers), ready="grpc", probe_timeout="200ms", drain_timeout="1s")
    is_told(h, f"grpc {told}")


# --- refused ---

@pytest.mark.parametrize("keys, told", [
    ({"ready": "tcp"}, "ready: tcp would prove nothing: the probe socket takes connections before the worker does anything; use "
                       "http:/PATH or grpc, or say in probe_address where the server listens by itself"),
    ({"ready": "http:/x", "workers": 2, "probe_address": "127.0.0.1:29100"},
     "probe_address: 127.0.0.1:29100 is the same for all workers, so any of them might answer: put %n, the slot, into it, or leave "
     "it out to ask each worker over a probe socket of its own"),
    ({"ready": "http:/x", "workers": 3, "probe_address": "127.0.0.1:2910%n", "listen": "tcp://*:29102"},
     "probe_address: 127.0.0.1:2910%n is [socket:web], where others may answer; leave it out to ask each worker over a probe "
     "socket of its own, or give each a port of its own (%n)"),
    ({"ready": "notify", "probe_address": "127.0.0.1:29100"}, "probe_address: nothing is asked there: neither ready nor live is tcp, http or grpc"),
    ({"ready": "http:/x", "bind_shim": "yes"},
     "ready: a server that binds its addresses itself (bind_shim) does not serve on the probe socket: say in probe_address where it "
     "can be asked, or use exec"),
])
def test_refused(handover, keys, told):
    h = handover()
    h.section("socket:web", listen=keys.pop("listen", f"tcp://127.0.0.1:{h.ports.take()}"))
    h.pool("api", rpc(), sockets="web", **keys)
    done = h.run_only("--check", h.config)
    assert done.returncode == 78
    assert f"[pool:api] {told}\n" in done.stderr, done.stderr
