"""Three stories for each server of the table: reloads under load; what is in flight at a reload; and what never ends."""
import os
import re

import pytest

import harness
from table import SERVERS

RELOADS = 4
PAGE = os.path.join(harness.ROOT, "packaging/man/handover.ini.5")


def snippets():
    """The configurations of "SERVERS" in handover.ini(5), by their titles."""
    with open(PAGE, encoding="utf-8") as file:
        section = re.search(r"^\.Sh SERVERS\n(.*?)^\.Sh ", file.read(), re.M | re.S).group(1)
    items = re.findall(r"^\.It (.*?)\n.*?^\.Bd [^\n]*\n(.*?)^\.Ed$", section, re.M | re.S)
    return {title: dict(line.replace("\\e", "\\").split(" = ", 1) for line in text.splitlines()) for title, text in items}


def prepare(handover, server, **keys):
    """An instance with one pool of that server, as the page has it."""
    h = handover(server.name)
    h.port = h.socket("web", backlog=1024)
    pool = dict(snippets()[server.item])
    for key, value in pool.items():
        for word, ours in server.words.items():
            value = value.replace(word, ours.format(port=h.port, place=h.place))
        pool[key] = value
    if server.files:
        server.files(h)
    h.pool("api", **{"sockets": "web", "workers": 2, "start_timeout": "30s", **pool, **server.keys, **keys})
    return h


@pytest.fixture(name="server", params=SERVERS, ids=lambda server: server.name)
def fixture_server(request):
    return request.param


def test_reloads_under_load(handover, server, record_property):
    h = prepare(handover, server, drain_timeout="8s")
    h.start()
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
    generations = summary.get("generations") or [g for phase in summary["phases"] for g in phase["generations"]]
    assert not server.reports or {1, RELOADS + 1} <= set(generations), printed
    assert h.count_log("SIGKILL|stopping hard") == 0 and h.status()["sockets"][0]["mended"] == 0, h.tell()
    assert h.count_log(r"after it was told to go \(reload\)") == 2 * RELOADS, h.tell()


def test_what_is_in_flight_at_a_reload(handover, server):
    """It is answered by who has it, and the next one by the successor."""
    h = prepare(handover, server, drain_timeout="8s")
    h.start()
    old = h.pids()
    slow = server.client.slow(h)
    h.good_reload()
    new = h.pids()
    assert not set(old) & set(new)
    # accepting may end a moment after the reload
    h.wait(lambda: server.client.ask(h) in new, "an answer of the new workers")
    assert slow.pid() in old
    h.wait_serving("api", 2, generation=2)
    assert h.count_log("SIGKILL|stopping hard") == 0, h.tell()


def test_what_never_ends(handover, server):
    """It is killed at the end of its budget, and named; the other worker ends by itself, and the new ones serve."""
    h = prepare(handover, server, drain_timeout="2s")
    h.start()
    old = h.pids()
    hanging = server.client.hang(h)
    h.good_reload()
    server.client.ask(h)
    assert hanging.is_cut()
    h.wait_serving("api", 2, generation=2)
    if server.cut == "worker":
        h.wait_log(r"stopping hard after 1\.6\S* of a budget of 2\S*, not finished: \S.* for \d+\.\d s")
        guilty = int(h.wait_log(r"pool api slot \d generation 1 pid (\d+) exited with code 143, .* after it was told to go")[1])
        assert h.count_log("SIGKILL") == 0, h.tell()
    else:
        guilty = int(h.wait_log(r"pool api slot \d generation 1 pid (\d+) .*: SIGKILL to it and all its processes")[1])
    [other] = set(old) - {guilty}
    h.wait_log(rf"info pool api slot \d generation 1 pid {other} exited with code \d+, .* after it was told to go")
    assert h.count_log("SIGKILL to it|stopping hard") == 1 and server.client.ask(h), h.tell()
