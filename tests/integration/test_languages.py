"""The example worker of each language package, under load: reloads lose nothing, and what never ends is cut off by the
worker itself, named, and nothing else with it."""
import os
import re
import shlex

import pytest

import harness
from harness import Call, is_alive, slow_calls

EXAMPLES = {
    "go": [os.path.join(harness.BUILD, "go-http")],
    "python": ["/usr/bin/python3", os.path.join(harness.ROOT, "lib/python/examples/http_worker.py")],
    "asyncio": ["/usr/bin/python3", os.path.join(harness.ROOT, "lib/python/examples/asyncio_worker.py")],
}
RELOADS = 4


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
    load = h.load("--new", 60, "--keepalive", "60,8", "--slow", "10,100,600", target=f"127.0.0.1:{port}")
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


def test_what_never_ends_is_cut_off(service):
    """Beside it, a call that ends is answered, and the other worker has nothing to do with it."""
    h, port = service
    h.pool("api", drain_timeout="3s")
    h.start()
    hanging = Call(port, "hang")
    [guilty] = h.wait(lambda: [w["pid"] for w in h.workers() if w["inflight"] == 1], "the call to hang")
    [other] = [pid for pid in h.pids() if pid != guilty]
    calls = slow_calls(h, port, 10, ms=1500, beside=1)  # longer than a start takes
    h.good_reload()
    answers = [c.answer() for c in calls]
    assert {a["sum"] for a in answers} == {3} and {a["pid"] for a in answers} <= {guilty, other}
    h.wait_log(rf"generation 1 pid {other} exited with code 0, .* after it was told to go")
    assert is_alive(guilty), "it has 80 % of its budget"
    assert hanging.is_cut()
    h.wait_log(rf"info pool api slot \d generation 1 pid {guilty} exited with code 143, .* after it was told to go")
    assert h.count_log("SIGKILL") == 0
    told = h.wait_log(r"stopping hard after 2\.4\S* of a budget of 3\S*, not finished: (.*)")[1]
    assert re.search(r"^\S.* for \d+\.\d s$", told), told


def test_a_stop_answers_what_is_in_flight(service):
    h, port = service
    h.start()
    calls = slow_calls(h, port, 4)
    h.signal(harness.signal.SIGTERM)
    assert [c.answer()["sum"] for c in calls] == [3] * 4
    h.wait_exit()
    assert h.count_log(r"exited with code 0, .* after it was told to go \(stop\)") == 2
