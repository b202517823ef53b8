"""max_unavailable: rollouts in pools that have no room for one worker more. Old workers go first, so many at a time, and
their successors start when they have gone."""
import re

import pytest

from harness import RPC_WORKER, call, in_background, rpc, steps
from when import no_loss


def moves(h, since):
    """(how many processes there are, how many serve) after each move in the log, counted from those before it."""
    processes = serving = len(h.workers("api"))
    for word in re.findall(r"pool api slot \d+ generation \d+ pid \d+ (started|is ready|drains|exited|killed)", h.log[since:]):
        processes += {"started": 1, "exited": -1, "killed": -1}.get(word, 0)
        serving += {"is ready": 1, "drains": -1}.get(word, 0)
        yield processes, serving


def check_limits(found, workers, surge, unavailable):
    found = list(found)
    assert found, "nothing moved"
    assert all(serving >= workers - unavailable for _, serving in found), found
    assert min(serving for _, serving in found) == workers - unavailable, "it did not use what it may"
    assert all(processes <= workers + surge for processes, _ in found), found


def test_one_fewer_at_a_time_under_load(handover):
    """Never one process more than configured, never more than one worker less; and then a version that fails halfway."""
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc("--version", 1), sockets="web", workers=3, max_surge=0, max_unavailable=1, max_processes=3)
    h.start()
    with no_loss(h, port):
        since = h.mark()
        h.pool("api", rpc("--version", 2))
        h.write()
        h.good_reload(wait="drained")
        check_limits(moves(h, since), 3, 0, 1)
        since = h.mark()
        h.pool("api", f"sh -c 'test $HANDOVER_SLOT = 2 && exit 3; exec {RPC_WORKER} --version 3'")
        h.write()
        result = h.bad_reload()
        assert re.search(r"pool api slot 2 generation 3 pid \d+ exited with code 3", result["message"])
        h.wait_serving("api", 3, generation=2)
        assert h.log[since:].count("drains") == 5, "three made way for the new version, two of that for the old one"
    assert {call(port, "info")["version"] for _ in range(8)} == {"2"}
    assert h.pool_status("api")["state"] == "serving"


def test_both_limits_together(handover):
    """The first new one starts beside the old ones; from then on one more and one fewer at a time."""
    h = handover()
    h.pool("api", steps("exit-on:TERM:0", "ready"), workers=5, max_surge=1, max_unavailable="39%")  # rounded down: 1
    h.start()
    since = h.mark()
    h.good_reload(wait="drained")
    batches = re.findall(r"starting (\d) workers? of generation 2 from slot (\d) on(, 1 of them when the old one has gone)?", h.log[since:])
    first = ", 1 of them when the old one has gone"
    assert batches == [("1", "0", ""), ("2", "1", first), ("2", "3", first)]


def test_the_first_that_fails_gives_its_slot_back(handover):
    h = handover()
    h.pool("api", steps("exit-on:TERM:0", "ready"), workers=2, max_surge=0, max_unavailable=1)
    h.start()
    [_, other] = sorted(h.workers(), key=lambda w: w["slot"])
    h.pool("api", steps("exit:3"))
    h.write()
    result = h.bad_reload()
    assert "slot 0 generation 2" in result["message"] and "still serving: pool api generation 1 with 1 of 2 workers" in result["message"]
    h.wait_serving("api", 2, generation=1)
    assert other["pid"] in h.pids(), "the other one never noticed"


@pytest.mark.parametrize("others", ["serve", "fail"])
def test_it_drains_as_late_as_possible(handover, others):
    """Nobody goes before the first new workers of the pools that have a surge serve; if those fail, nobody ever does."""
    h = handover()
    go = h.path("go")
    h.pool("api", steps("exit-on:TERM:0", "ready"), workers=2, max_surge=0, max_unavailable=2)
    h.pool("gate", steps("ready"))
    h.start()
    old = h.pids("api")
    h.pool("gate", steps(f"await:{go}", "ready" if others == "serve" else "exit:1"))
    h.write()
    asked = in_background(h.reload)
    h.wait_log(r"pool gate slot 0 generation 2 pid \d+ started")
    h.wait(lambda: h.status()["reload"]["pools"][0]["state"] == "gated", "the pool to wait for the other one")
    assert h.pids("api") == old and not h.workers("api", "draining")
    with open(go, "w", encoding="utf-8"):
        pass
    code, result = asked.result(30)
    assert code == (200 if others == "serve" else 409), result
    if others == "fail":
        assert h.pids("api") == old and not re.search("pool api .* drains", h.log)
