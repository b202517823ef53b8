"""The example worker of each language package, under load: reloads lose nothing, and what never ends is cut off by the
worker itself, named, and nothing else with it."""
import os
import re
import shlex

import pytest

import harness
from harness import Call, call, slow_calls

EXAMPLES = {
    "go": [os.path.join(harness.BUILD, "go-http")],
    "python": ["/usr/bin/python3", os.path.join(harness.ROOT, "lib/python/examples/http_worker.py")],
    "asyncio": ["/usr/bin/python3", os.path.join(harness.ROOT, "lib/python/examples/asyncio_worker.py")],
    "node": ["/usr/bin/node", os.path.join(harness.ROOT, "lib/node/examples/http-worker.js")],
}
RELOADS = 3


@pytest.fixture(name="service", params=EXAMPLES)
def fixture_service(request, handover):
    """(instance, port) with one pool of that language's example."""
    h = handover(request.param)
    port = h.socket("rpc", backlog=1024)
    h.pool("api", shlex.join(EXAMPLES[request.param]), sockets="rpc", workers=2)
    return h, port


def test_reloads_lose_nothing(service, record_property):
    h, port = service
    h.pool("api", drain_timeout="6s")
    h.start()
    load = h.load("--new", 60, "--keepalive", "60,8", "--slow", "10,300,1500", target=f"127.0.0.1:{port}")
    load.wait_answered(100)
    for _ in range(RELOADS):
        with load.window():
            h.good_reload(wait="drained")
        load.wait_answered(20)
    code, summary, printed = load.finish()
    inside, outside = summary["total"]["inside_windows"], summary["total"]["outside_windows"]
    record_property("load", f"{h.name}: {RELOADS} reloads, {summary['total']['sent']} sent, {summary['total']['failed']} failed; "
                            f"p99 {outside['p99_ms']:.1f} ms outside, {inside['p99_ms']:.1f} ms inside reload windows")
    assert code == 0 and summary["total"]["failed"] == 0, printed + h.tell()
    generations = [g for phase in summary["phases"] for g in phase["generations"]]
    assert {1, RELOADS + 1} <= set(generations), printed
    ended = r"exited with code 0, .* after it was told to go \(reload\)"
    assert h.count_log(ended) == 2 * RELOADS and h.count_log("stopping hard|SIGKILL") == 0, h.tell()


def calls_under_way(h, port, n, ms, beside=0):
    """So many calls, accepted and not answered yet. Node's workers do not tell how many they have."""
    if not h.name.startswith("node"):
        return slow_calls(h, port, n, ms, beside)
    calls = [Call(port, "work", ms=ms, a=1, b=2) for _ in range(n)]
    h.wait(lambda: h.status()["sockets"][0]["queue"] == 0, "the calls to be accepted")
    return calls


def test_what_never_ends_is_cut_off(service):
    """Beside it, a call that ends is answered, and the other worker has nothing to do with it."""
    h, port = service
    h.pool("api", drain_timeout="3s")
    h.start()
    pids = h.pids()
    hanging = Call(port, "hang")
    if not h.name.startswith("node"):
        h.wait(lambda: sum(w["inflight"] or 0 for w in h.workers()) == 1, "the call to hang")
    calls = calls_under_way(h, port, 10, ms=1500, beside=1)  # longer than a start takes
    h.good_reload()
    answers = [c.answer() for c in calls]
    assert {a["sum"] for a in answers} == {3} and {a["pid"] for a in answers} <= set(pids)
    assert hanging.is_cut()
    told = h.wait_log(r"g1 pid (\d+): \S+: stopping hard after 2\.4\S* of a budget of 3\S*, not finished: (.*)")
    assert re.search(r"^\S.* for \d+\.\d s$", told[2]), told[0]
    guilty = int(told[1])
    h.wait_log(rf"info pool api slot \d generation 1 pid {guilty} exited with code 143, .* after it was told to go")
    [other] = set(pids) - {guilty}
    h.wait_log(rf"info pool api slot \d generation 1 pid {other} exited with code 0, .* after it was told to go")
    assert h.count_log("SIGKILL") == 0 and h.count_log("stopping hard") == 1


def test_a_stop_answers_what_is_in_flight(service):
    h, port = service
    h.start()
    calls = calls_under_way(h, port, 4, ms=1000)
    h.signal(harness.signal.SIGTERM)
    assert [c.answer()["sum"] for c in calls] == [3] * 4
    h.wait_exit()
    assert h.count_log(r"exited with code 0, .* after it was told to go \(stop\)") == 2


def test_asked_over_the_probe_socket(service):
    """They serve on it what they serve on the others; and a reload leaves none of them waiting for it."""
    h, port = service
    h.pool("api", ready="http:/healthz", drain_timeout="6s")
    h.start()
    assert call(port, "work", ms=0, a=1, b=2)["sum"] == 3
    h.good_reload(wait="drained")
    h.wait_serving("api", 2, generation=2)
    assert h.count_log(r"exited with code 0, .* after it was told to go \(reload\)") == 2 and h.count_log("SIGKILL") == 0
