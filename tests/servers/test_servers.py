"""Three stories for each server of the table: reloads under load; what is in flight at a reload; and what never ends."""
import os
import time

import pytest

import page
from table import SERVERS

RELOADS = 4
CORE = os.environ.get("SERVERS") == "core"


def prepare(handover, server, **keys):
    """An instance with one pool of that server, as the page has it."""
    h = handover(server.name)
    h.port = h.socket("web", backlog=1024)
    if server.files:
        server.files(h, handover)
    pool = page.snippet(server.item)
    for word, ours in server.words.items():
        assert word in str(pool), f"{word!r} is not in handover.ini(5), {server.item}: {pool}"
        for key, value in pool.items():
            pool[key] = value.replace(word, ours.replace("@PORT@", str(h.port)).replace("@PLACE@", h.place))
    h.section("pool:api", **{"sockets": "web", "workers": 2, "start_timeout": "30s", **pool, **server.keys, **keys})
    h.start()
    return h


@pytest.fixture(name="server", params=[server for server in SERVERS if server.core or not CORE], ids=lambda server: server.name)
def fixture_server(request):
    return request.param


def test_reloads_under_load(handover, server, record_property):
    h = prepare(handover, server, drain_timeout="8s")
    load = server.client.load(h)
    load.wait_answered(50)
    for _ in range(RELOADS):
        with load.window():
            h.good_reload(wait="drained")
        load.wait_answered(20)
    code, summary, printed = load.finish()
    total = summary.get("total", summary)
    record_property("load", f"{server.name}: {RELOADS} reloads, {total['sent']} sent, {total['failed']} failed")
    assert code == 0 and total["failed"] == 0, printed + str(summary) + h.tell()
    if server.reports:
        assert {1, RELOADS + 1} <= set(summary.get("generations") or [g for phase in summary["phases"] for g in phase["generations"]])
    assert h.count_log("SIGKILL|stopping hard") == 0 and h.status()["sockets"][0]["mended"] == 0, h.tell()
    assert h.count_log(r"after it was told to go \(reload\)") == 2 * RELOADS, h.tell()


def test_what_is_in_flight_at_a_reload(handover, server):
    """It is answered by who has it, and the next one by the successor."""
    h = prepare(handover, server, drain_timeout="8s")
    started = time.monotonic()
    h.good_reload()
    took = time.monotonic() - started
    old = h.wait_serving("api", 2, generation=2)
    slow = server.client.slow(h, ms=int(1000 + 1300 * took))
    h.good_reload()
    new = h.pids()
    assert not set(old) & set(new)
    if server.reports:  # accepting may end a moment after the reload
        h.wait(lambda: server.client.ask(h) in new, "an answer of the new workers")
    pid = slow.pid()
    assert not server.reports or pid in old
    h.wait_serving("api", 2, generation=3)
    assert h.count_log("SIGKILL|stopping hard") == 0, h.tell()


def test_what_never_ends(handover, server):
    """It is killed at the end of its budget, and named; the other worker ends by itself, and the new ones serve."""
    h = prepare(handover, server, drain_timeout="4s")
    old = h.pids()
    hanging = server.client.hang(h)
    h.good_reload()
    server.client.ask(h)
    assert hanging.is_cut()
    h.wait_serving("api", 2, generation=2)
    if server.cut == "worker":
        named = "stopping hard after 3\\.2\\S* of a budget of 4\\S*, not finished: \\S.* for \\d+\\.\\d s|3.2 s of the 4.0 s .* in flight: hang"
        guilty = int(h.wait_log(rf"g1 pid (\d+): \S+: ({named})")[1])
        h.wait_log(rf"pool api slot \d generation 1 pid {guilty} exited with code (143|0), .* after it was told to go")
    else:
        guilty = int(h.wait_log(r"pool api slot \d generation 1 pid (\d+) .*: SIGKILL to it and all its processes")[1])
    [other] = set(old) - {guilty}
    h.wait_log(rf"info pool api slot \d generation 1 pid {other} \S.*, .* after it was told to go \(reload\)")
    assert h.count_log("SIGKILL to it|stopping hard|are over with") == 1, h.tell()
    assert server.client.ask(h)
