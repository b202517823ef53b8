"""live = http:, grpc, tcp, exec: a worker that serves and fails it is dumped and replaced; nobody else is asked."""
import os
import re
import signal
import time

import pytest

import harness
import promtext
from harness import call, probed, rpc

SOON = {"live_interval": "100ms", "live_timeout": "200ms"}  # margins for a busy machine come from live_failures


def say(path, word):
    """What workers answer from now on."""
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(word)
    os.rename(path + ".new", path)


def asked(path):
    """(time, pid) of each question so far."""
    try:
        with open(path, encoding="utf-8") as file:
            return [(float(when), int(pid)) for when, pid in (line.split() for line in file)]
    except FileNotFoundError:
        return []


def incident_of(h, pid):
    return h.wait(lambda: next((one for one in h.api.get("/v1/why")["incidents"] if one["pid"] == pid), None), "its incident")


@pytest.mark.parametrize("word, told", [
    ("503", "http:/healthz answered 503 Service Unavailable"),
    ("hang", "http:/healthz had no answer within 200 ms"),
    ("close", "http:/healthz closed the connection without an answer"),
    ("garbage", r"http:/healthz answered something that is no HTTP/1\.1"),
])
def test_replaced(handover, word, told):
    """Dumped, killed if need be, replaced; said in the log, in the incident, in the metrics; the other one is left alone."""
    h = handover()
    h.pool("api", probed("--ready", "--file", h.path("word-%n")), workers=2, live="http:/healthz", live_failures=2, **SOON)
    h.start()
    first, second = (w["pid"] for w in h.workers("api"))
    say(h.path("word-1"), word)
    h.wait_log(rf"slot 1 generation 1 pid {second} failed its liveness probe \(1 of 2\): {told}")
    h.wait_log(rf"slot 1 generation 1 pid {second} fails its liveness probe 2 times in a row: {told}: SIGABRT now, SIGKILL in 500 ms")
    say(h.path("word-1"), "good")
    h.wait_log(rf"pid {second} killed by SIGABRT, .* after it was told to go \(liveness\)")
    h.wait(lambda: len(h.pids("api", "serving")) == 2 and second not in h.pids(), "its successor")
    assert first in h.pids() and h.pool_status("api")["restarts"] == 1
    incident = incident_of(h, second)
    assert incident["kind"] == "not-live" and incident["pid"] == second
    assert re.match(f"failed its liveness probe 2 times in a row: {told}: SIGABRT; killed by SIGABRT", incident["message"])
    if word == "503":
        seen = promtext.parse(h.api.request("GET", "/metrics")[1])
        assert seen["handover_worker_restarts_total"].value(pool="api", reason="liveness") == 1
        assert seen["handover_probe_failures_total"].value(pool="api", probe="live") == 2


def test_one_failure_is_forgiven(handover):
    h = handover()
    h.pool("api", probed("--ready", "--answers", "good", "503", "good", "503", "good"), live="http:/healthz", live_failures=2, **SOON)
    h.start()
    pids = h.pids()
    h.wait_log("passes its liveness probe again", count=2)
    assert h.count_log(r"failed its liveness probe \(1 of 2\)") == 2
    assert h.pids() == pids and h.workers()[0]["probe_failure"] is None


def test_the_failure_is_in_the_status(handover):
    h = handover()
    h.pool("api", probed("--ready", "--answers", "503"), live="http:/healthz", live_failures=1000, **SOON)
    h.start()
    h.wait(lambda: h.workers()[0]["probe_failure"] == "http:/healthz answered 503 Service Unavailable", "the failure")
    assert "http:/healthz answered 503 Service Unavailable" in h.cli("status").stdout


def test_a_stopped_worker(handover):
    """It cannot say that it hangs; its calls are lost, and those of others are not."""
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc(), sockets="web", workers=2, live="http:/healthz", live_failures=2, dump_signal="SIGQUIT", **SOON)
    h.start()
    stopped = h.pids()[0]
    os.kill(stopped, signal.SIGSTOP)
    h.wait_log(rf"pid {stopped} fails its liveness probe 2 times in a row: http:/healthz had no answer within 200 ms.*: SIGQUIT now")
    h.wait(lambda: len(h.pids("api", "serving")) == 2 and stopped not in h.pids(), "its successor")
    assert call(port, "add", a=1, b=2)["sum"] == 3
    assert incident_of(h, stopped)["threads"], "what it was doing"


def test_grpc_go(handover):
    h = handover()
    h.socket("grpc")
    h.pool("api", os.path.join(harness.BUILD, "grpc-worker"), sockets="grpc", live="grpc:handover.test.Echo", live_failures=2, dump_signal="SIGQUIT", **SOON)
    h.start()
    pid = h.pids()[0]
    os.kill(pid, signal.SIGSTOP)
    h.wait_log(rf"pid {pid} fails its liveness probe 2 times in a row: grpc:handover.test.Echo had no answer within 200 ms")
    h.wait(lambda: h.pids("api", "serving") not in ([], [pid]), "its successor")
    h.good_reload(wait="drained")


def test_a_command(handover):
    h = handover()
    ill = h.path("ill")
    h.pool("api", rpc(), sockets="web", live=f"exec:/usr/bin/test ! -e {ill}-%n", workers=2, live_failures=2, **SOON)
    h.socket("web")
    h.start()
    pid = h.workers()[1]["pid"]
    say(f"{ill}-1", "")
    h.wait_log(rf"pid {pid} fails its liveness probe 2 times in a row: the last run of its live command exited with code 1")
    os.unlink(f"{ill}-1")
    h.wait(lambda: len(h.pids("api", "serving")) == 2 and pid not in h.pids(), "its successor")


def test_a_port_of_its_own(handover):
    """Closed by the worker, who lives on."""
    h = handover()
    port = h.ports.take()
    h.pool("api", probed("--ready", "--listen", f"127.0.0.1:{port}", "--until", h.path("end")), live="tcp",
           probe_address=f"127.0.0.1:{port}", live_failures=2, **SOON)
    h.start()
    pid = h.pids()[0]
    say(h.path("end"), "")
    h.wait_log(rf"pid {pid} fails its liveness probe 2 times in a row: tcp was refused the connection")
    os.unlink(h.path("end"))
    h.wait(lambda: h.pids("api", "serving") not in ([], [pid]), "its successor")


def test_who_drains_is_not_asked(handover):
    h = handover()
    h.pool("api", probed("--ready", "--linger", 1, "--times", h.path("times"), "--file", h.path("word")), live="http:/healthz",
           live_failures=1, **{**SOON, "live_timeout": "2s"})
    h.start()
    old = h.pids()[0]
    h.wait(lambda: len(asked(h.path("times"))) >= 3, "questions")
    h.good_reload()
    drains = time.monotonic() + 0.2  # what was under way has been answered
    say(h.path("word"), "good")
    h.wait_gone(old)
    h.wait(lambda: any(pid != old for _, pid in asked(h.path("times"))), "questions to the new one")
    assert not [when for when, pid in asked(h.path("times")) if pid == old and when > drains]
    assert h.count_log("liveness") == 0


def test_a_stop_is_not_hindered(handover):
    """From the first moment of a lame duck a health service says that it goes."""
    h = handover()
    h.section("supervisor", lame_duck="700ms")
    h.pool("api", probed("--ready", "--times", h.path("times"), "--file", h.path("word")), live="http:/healthz", live_failures=1, **SOON)
    h.start()
    h.wait(lambda: len(asked(h.path("times"))) >= 2, "questions")
    h.signal(signal.SIGTERM)
    h.wait_log("lame duck: not ready any more, workers serve on for 700 ms")
    say(h.path("word"), "503")
    begun = len(asked(h.path("times")))
    h.wait_exit(0)
    assert len(asked(h.path("times"))) <= begun + 1 and h.count_log("liveness") == 0


def test_spread_over_the_interval(handover):
    """Twenty that begin to serve together; and the times drift."""
    h = handover()
    h.pool("api", probed("--ready", "--times", h.path("times")), live="http:/healthz", live_interval="1s", workers=20)
    h.start()
    h.wait(lambda: len({pid for _, pid in asked(h.path("times"))}) == 20, "a question to each")
    h.wait(lambda: len(asked(h.path("times"))) >= 40, "more questions")
    first = {}
    for when, pid in asked(h.path("times")):
        first.setdefault(pid, []).append(when)
    begins = sorted(times[0] for times in first.values())
    assert begins[-1] - begins[0] > 0.5, begins
    pauses = [b - a for times in first.values() for a, b in zip(times, times[1:])]
    assert min(pauses) >= 0.85 and max(pauses) - min(pauses) > 0.02, pauses


def test_a_version_that_is_not_live_fails_its_reload(handover):
    """It is ready, and found out while it is watched (min_ready): the old one goes on."""
    h = handover()
    h.pool("api", probed("--ready"), live="http:/healthz", live_failures=2, min_ready="1500ms", **SOON)
    h.start()
    old = h.pids()
    h.pool("api", probed("--ready", "--answers", "503"))
    h.write()
    message = h.bad_reload()["message"]
    assert "fails its liveness probe 2 times in a row: http:/healthz answered 503 Service Unavailable; still serving" in message
    assert h.wait_serving("api", 1, generation=1) == old


def test_numbers_change_without_new_workers(handover):
    h = handover()
    h.pool("api", probed("--ready", "--times", h.path("times")), live="http:/healthz", live_interval="200ms")
    h.start()
    pids = h.pids()
    h.wait(lambda: asked(h.path("times")), "a question")
    h.pool("api", live_interval="1h")
    h.write()
    assert h.good_reload(changed=True)["remarks"] == ["pool api: live_interval changed"]
    time.sleep(0.3)  # the one that was to come with the old interval
    n = len(asked(h.path("times")))
    time.sleep(0.5)
    assert len(asked(h.path("times"))) == n and h.pids() == pids


def test_handoff_channel(handover):
    """Who waits for its sockets is not asked; who has them is."""
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc("--ill-if", h.path("ill")), sockets="web", handoff="channel", live="http:/healthz", live_failures=2, **SOON)
    h.start()
    pid = h.pids()[0]
    say(h.path("ill"), "")
    h.wait_log(rf"pid {pid} fails its liveness probe 2 times in a row: http:/healthz answered 503")
    os.unlink(h.path("ill"))
    h.wait(lambda: h.pids("api", "serving") not in ([], [pid]), "its successor")
    assert call(port, "add", a=1, b=2)["sum"] == 3


def test_without_it_the_master_sleeps(handover):
    """Asked until it is ready, and never again."""
    h = handover()
    h.pool("api", probed("--times", h.path("times")), ready="http:/healthz")
    h.start()

    def switches():
        with open(f"/proc/{h.pid}/status", encoding="utf-8") as file:
            return int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", file.read(), re.M)[1])
    harness.wait_until(lambda: [switches(), time.sleep(0.3)][0] == switches(), "a quiet master")
    before = switches()
    time.sleep(1)
    assert switches() == before
    assert len(asked(h.path("times"))) == 1
