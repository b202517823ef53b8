"""handoff = channel: a reload that only changes the sockets of a pool tells its workers, and replaces none."""
import concurrent.futures
import os
import re
import shlex
import signal

import pytest

from harness import call, is_refused, rpc
from test_channel import channel_pool, notes, touch, worker


def pool(h, sockets, command=None, **keys):
    h.pool("api", command or rpc(), **{"handoff": "channel", "workers": 2, "drain_timeout": "3s", **keys, "sockets": sockets})


def told(h, sockets, **sections):
    """Reloads with these sockets of the pool; the same workers have them."""
    pids = h.pids()
    for name, listen in sections.items():
        h.section(f"socket:{name}", listen=listen)
    h.section("pool:api", sockets=sockets)
    h.write()
    answer = h.good_reload(changed=True)
    assert "pool api: other sockets, the workers stay" in answer["message"], answer
    assert h.pids() == pids
    h.wait(lambda: all(w["sockets"] == re.split("[, ]+", sockets) for w in h.workers()), "the workers' sockets")
    return answer


def tcp(port):
    return f"tcp://127.0.0.1:{port}"


def test_one_comes_and_goes_and_moves(handover):
    """Added, moved to another address under its name, taken away: the same two workers through all of it, with a load that loses nothing."""
    h = handover()
    port, second, third = h.socket("web"), h.ports.take(), h.ports.take()
    pool(h, "web")
    h.start()
    assert [w["sockets"] for w in h.workers()] == [["web"]] * 2
    load = h.load("--new", 100, "--keepalive", "50,4", target=f"127.0.0.1:{port}")
    load.wait_answered(20)
    for _ in range(2):
        answer = told(h, "web admin", admin=tcp(second))
        assert answer["remarks"] == ["pool api: sockets changed"], answer
        assert call(second, "add", a=1, b=2)["sum"] == 3
        told(h, "admin, web", admin=tcp(third))
        assert call(third, "add", a=1, b=2)["sum"] == 3
        h.wait(lambda: is_refused(second), "the former address to be closed")
        del h.sections["socket:admin"]
        told(h, "web")
        h.wait(lambda: is_refused(third), "it to be closed")
        load.wait_answered(20)
    code, summary, printed = load.finish()
    assert code == 0 and summary["total"]["failed"] == 0, printed + h.tell()
    assert not h.count_log("has let go") and h.count_log("api slot . generation 2") == 0
    h.good_reload()  # without --changed: who knows what else has changed
    assert h.pool_status("api")["generation"] == 2


def test_after_settings_took_effect_at_once(handover):
    """Workers that a reload has left alone are the same generation still, and are told of the next sockets like any other."""
    h = handover()
    port, second = h.socket("web"), h.ports.take()
    pool(h, "web")
    h.start()
    pool(h, "web", drain_timeout="4s")
    h.write()
    assert "pool api: new settings, the workers stay" in h.good_reload(changed=True)["message"]
    told(h, "web admin", admin=tcp(second))
    assert call(second, "add", a=1, b=2)["sum"] == 3
    del h.sections["socket:admin"]
    told(h, "web")
    h.wait(lambda: is_refused(second), "it to be closed")
    assert call(port, "add", a=1, b=2)["sum"] == 3
    assert not h.count_log("accept: Invalid argument"), h.log


def test_who_is_in_the_queue_of_one_that_goes_is_served(handover):
    h = handover()
    port, second = h.socket("web"), h.socket("admin")
    pool(h, "web admin")
    h.start()
    load = h.load("--slow", "60,100,300", target=f"127.0.0.1:{second}")
    load.wait_answered(40)
    load.tell("quit")  # sends no more, waits for what is in flight
    del h.sections["socket:admin"]
    told(h, "web")
    code, summary, printed = load.finish_told()
    assert code == 0 and summary["total"]["failed"] == 0, printed + h.tell()
    h.wait(lambda: is_refused(second), "it to be closed")
    assert call(port, "add", a=1, b=2)["sum"] == 3


def test_who_does_not_answer_is_replaced(handover):
    """An older library, or one that talks over the channel by itself: as with any other change."""
    h = handover()
    port, second = h.socket("web"), h.socket("admin")
    channel_pool(h)
    h.start()
    h.pool("api", sockets="web admin")
    h.write()
    answer = h.good_reload(changed=True)
    assert re.fullmatch(r"pool api: sockets changed; slot 0 pid \d+ does not answer over its channel: replacing the workers", answer["remarks"][0])
    assert "generation 2 serves" in answer["message"]
    assert call(port, "add", a=1, b=2)["sum"] == call(second, "add", a=1, b=2)["sum"] == 3


@pytest.mark.parametrize("keys, why", [({"command": rpc("--version", 2)}, "command changed, sockets changed"), ({"workers": 3}, "sockets changed, workers changed"),
                                       ({"handoff": "inherit"}, "handoff changed, sockets changed")])
def test_what_needs_new_processes_replaces_them(handover, keys, why):
    h = handover()
    h.socket("web")
    second = h.socket("admin")
    pool(h, "web")
    h.start()
    pool(h, "web admin", **keys)
    h.write()
    answer = h.good_reload(changed=True)
    assert "generation 2 serves" in answer["message"] and sorted(answer["remarks"][0].removeprefix("pool api: ").split(", ")) == why.split(", "), answer
    assert call(second, "add", a=1, b=2)["sum"] == 3


ANSWERING = ("connect", "hello", "ready", "sockets", "accepting")


def silent(h, *last, **keys):
    """Two workers that will answer; the one in slot 1 does something else when it is told of other sockets."""
    ports = h.socket("web"), h.ports.take()
    for name, steps in (("good", ("serve",)), ("bad", last)):
        with open(h.path(name), "w", encoding="utf-8") as script:
            script.write(f"#!/bin/sh\nexec {worker(h, *ANSWERING, *steps)}\n")
        os.chmod(h.path(name), 0o755)
    h.pool("api", shlex.join(["sh", "-c", f"test $HANDOVER_SLOT = 0 && exec {h.path('good')}; exec {h.path('bad')}"]), sockets="web",
           workers=2, **{"handoff": "channel", "start_timeout": "700ms", **keys})
    h.start()
    h.section("socket:admin", listen=tcp(ports[1]))
    h.section("pool:api", sockets="web admin")
    h.write()
    return ports


def test_silence_fails_the_reload(handover):
    """Nothing has changed then: who has taken them is told of the former ones again, and the new one is closed."""
    h = handover()
    port, second = silent(h, "serve:silently")
    old = h.pids()
    answer = h.bad_reload(changed=True)
    assert re.search(r"pool api slot 1 generation 1 pid \d+ was sent other sockets and has not said within 700 ms \(start_timeout\) that it accepts on "
                     r"them; a reload of the whole pool replaces it; still serving: pool api generation 1 with 2 of 2 workers", answer["message"]), answer
    h.wait(lambda: is_refused(second), "the new one to be closed")
    h.wait_log(r"socket admin \(tcp 127.0.0.1:\d+\) is not wanted after all: closing it")
    assert h.pids() == old and call(port, "add", a=1, b=2)["sum"] == 3
    assert [n["message"]["names"] for n in notes(h, "sockets", slot=0)] == [["web"], ["web", "admin"], ["web"]]
    assert [w["sockets"] for w in h.workers()] == [["web"]] * 2
    h.wait_log(r"warning socket admin: pool api slot 1 generation 1 pid \d+ has not said that it has let go of it; shutting it down all the same")
    h.good_reload()  # replaces them
    assert call(second, "add", a=1, b=2)["sum"] == 3


@pytest.mark.parametrize("last, said", [(("hear", "exit:3"), "exited with code 3"), (("hear", "close", "hang"), "was sent other sockets and has not said")])
def test_the_end_in_the_middle_fails_the_reload(handover, last, said):
    h = handover()
    port, second = silent(h, *last, drain_timeout="200ms")
    answer = h.bad_reload(changed=True)
    assert said in answer["message"]
    h.wait(lambda: is_refused(second), "the new one to be closed")
    h.wait_serving("api", 2)
    assert call(port, "add", a=1, b=2)["sum"] == 3
    assert [w["sockets"] for w in h.workers()] == [["web"]] * 2


def test_without_a_channel_they_are_replaced(handover):
    h = handover()
    _, second = silent(h, "close", "hang", drain_timeout="200ms")
    with open(h.path("bad"), "w", encoding="utf-8") as script:
        script.write(f"#!/bin/sh\nexec {h.path('good')}\n")
    answer = h.good_reload(changed=True)
    assert re.fullmatch(r"pool api: sockets changed; slot 1 pid \d+ has no channel now: replacing the workers", answer["remarks"][0]), answer
    assert call(second, "add", a=1, b=2)["sum"] == 3


def test_told_behind_the_others(handover):
    """Another pool that fails to start leaves the workers with what they had: they were not even told."""
    h = handover()
    port, flag = h.socket("web"), h.path("go")
    h.pool("api", worker(h, *ANSWERING, "serve"), sockets="web", handoff="channel")
    h.start()
    h.section("socket:admin", listen=tcp(h.ports.take()))
    h.section("pool:api", sockets="web admin")
    h.pool("bad", f"sh -c 'while ! test -e {flag}; do sleep 0.01; done; exit 3'")
    h.write()
    with concurrent.futures.ThreadPoolExecutor() as beside:
        reload = beside.submit(h.bad_reload, changed=True)
        h.wait(lambda: h.pids("bad", "starting"), "the other pool to start")
        assert len(notes(h, "sockets")) == 1
        touch(flag)
        assert "exited with code 3" in reload.result()["message"]
    assert len(notes(h, "sockets")) == 1 and call(port, "add", a=1, b=2)["sum"] == 3


def test_a_worker_that_starts_meanwhile_has_them_all(handover):
    """It is sent what is committed at that moment."""
    h = handover()
    h.socket("web")
    second = h.ports.take()
    pool(h, "web", rpc("--start-delay", 300), restart_delay="100ms")
    h.start()
    os.kill(h.pids()[1], signal.SIGKILL)
    h.wait(lambda: len(h.pids()) == 1, "its end")
    h.section("socket:admin", listen=tcp(second))
    h.section("pool:api", sockets="web admin")
    h.write()
    h.good_reload(changed=True)
    h.wait(lambda: [w["sockets"] for w in h.workers() if w["state"] == "serving"] == [["web", "admin"]] * 2, "all to have them")
    assert call(second, "add", a=1, b=2)["sum"] == 3
