"""handoff = channel with the example worker of each language package that can take descriptors: Node's standard library cannot."""
import shlex

import pytest

from harness import call, is_refused, slow_calls
from test_languages import EXAMPLES

LANGUAGES = [language for language in EXAMPLES if language != "node"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_reloads_and_other_sockets_lose_nothing(handover, language, record_property):
    """Reloads that replace the workers; then a socket that comes, moves and goes, for the same two workers."""
    h = handover(language)
    port, second, third = h.socket("rpc", backlog=1024), h.ports.take(), h.ports.take()
    h.pool("api", shlex.join(EXAMPLES[language]), sockets="rpc", workers=2, handoff="channel", drain_timeout="6s")
    h.start()
    load = h.load("--new", 60, "--keepalive", "60,8", "--slow", "10,300,1500", target=f"127.0.0.1:{port}")
    load.wait_answered(100)
    for _ in range(2):
        with load.window():
            h.good_reload(wait="drained")
        load.wait_answered(20)
    pids = h.pids()
    for names, listen in (("rpc admin", second), ("rpc admin", third), ("rpc", None)):
        h.section("socket:admin", listen=f"tcp://127.0.0.1:{listen}") if listen else h.sections.pop("socket:admin")
        h.section("pool:api", sockets=names)
        h.write()
        with load.window():
            assert "pool api: other sockets, the workers stay" in h.good_reload(changed=True)["message"]
        if listen:
            assert call(listen, "add", a=1, b=2)["sum"] == 3
        load.wait_answered(20)
    h.wait(lambda: is_refused(second) and is_refused(third), "the former addresses to be closed")
    assert h.pids() == pids and [w["sockets"] for w in h.workers("api", "serving")] == [["rpc"]] * 2
    code, summary, printed = load.finish()
    inside, outside = summary["total"]["inside_windows"], summary["total"]["outside_windows"]
    record_property("load", f"{language}, handoff = channel: 2 reloads and 3 changes of sockets, {summary['total']['sent']} sent, "
                            f"{summary['total']['failed']} failed; p99 {outside['p99_ms']:.1f} ms outside, {inside['p99_ms']:.1f} ms inside reload windows")
    assert code == 0 and summary["total"]["failed"] == 0, printed + h.tell()
    h.wait_log("is ready and waits for its sockets", 6)
    assert h.count_log("stopping hard|SIGKILL|has let go") == 0, h.tell()
    # what is in flight is counted in a page; the budget is that of a stop
    h.wait(lambda: [w["inflight"] for w in h.workers()] == [0, 0], "nothing to be in flight")
    calls = slow_calls(h, port, 2, ms=600)
    assert sum(w["inflight"] for w in h.workers()) == 2
    h.stop()
    assert [c.answer()["sum"] for c in calls] == [3, 3]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_budget_of_a_stop(handover, language):
    """It is not that of a reload, and the channel tells which it is."""
    h = handover(language)
    port = h.socket("rpc")
    h.pool("api", shlex.join(EXAMPLES[language]), sockets="rpc", drain_timeout="30s", stop_timeout="1s")
    h.start()
    slow_calls(h, port, 1, ms=60000)
    h.stop()
    h.wait_log(r"stopping hard after (0\.72s|720ms) of a budget of 1s, not finished: ")
    assert h.count_log("SIGKILL") == 0
