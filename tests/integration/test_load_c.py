"""Reloads under load with the C worker: new connections, long-lived ones, and slow requests in flight. No request may be
lost, and the latency inside the reload windows is shown beside the steady one, so that a stall cannot hide."""
from harness import rpc

RELOADS = 12


def reload_under(h, load, change):
    """Reloads, each with a new version, each in a window; between them the load goes on as before."""
    load.tell("phase steady")
    load.wait_answered(200)
    load.tell("phase reloads")
    for n in range(RELOADS):
        change(n + 2)
        h.write()
        with load.window():
            h.good_reload(wait="drained")
        load.wait_answered(20)


def show(record_property, name, summary):
    inside, outside = summary["total"]["inside_windows"], summary["total"]["outside_windows"]
    record_property("load", f"{name}: {RELOADS} reloads, {summary['total']['sent']} sent, "
                            f"{summary['total']['failed']} failed; p99 {outside['p99_ms']:.1f} ms outside, "
                            f"{inside['p99_ms']:.1f} ms inside reload windows, "
                            f"max {outside['max_ms']:.1f} and {inside['max_ms']:.1f}")


def check(h, load, record_property, name):
    code, summary, printed = load.finish()
    show(record_property, name, summary)
    assert code == 0 and summary["total"]["failed"] == 0, printed + h.tell()
    assert summary["total"]["killed"] == 0, printed + h.tell()
    generations = [g for phase in summary["phases"] for g in phase["generations"]]
    assert {1, RELOADS + 1} <= set(generations), printed


def test_all_kinds_of_load_at_once(handover, record_property):
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc("--version", 1), sockets="web", workers=4, drain_timeout="4s")
    h.start()
    load = h.load("--new", 150, "--keepalive", "100,8", "--slow", "15,300,1000", target=f"127.0.0.1:{port}")
    reload_under(h, load, lambda n: h.pool("api", rpc("--version", n)))
    check(h, load, record_property, "C worker, TCP, all kinds")


def test_one_at_a_time_over_a_unix_socket(handover, record_property):
    h = handover()
    path = h.path("web.sock")
    h.socket("web", f"unix:{path}")
    h.pool("api", rpc("--version", 1), sockets="web", workers=3, drain_timeout="4s", max_surge=1)
    h.start()
    load = h.load("--new", 150, "--keepalive", "50,4", "--slow", "5,300,600", target=f"unix:{path}")
    reload_under(h, load, lambda n: h.pool("api", rpc("--version", n)))
    check(h, load, record_property, "C worker, Unix, max_surge = 1")


def test_sockets_over_the_channel(handover, record_property):
    """New workers get their sockets when all of them are ready, from the supervisor, in the middle of the load."""
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc("--version", 1), sockets="web", workers=4, drain_timeout="4s", handoff="channel")
    h.start()
    load = h.load("--new", 150, "--keepalive", "100,8", "--slow", "15,300,1000", target=f"127.0.0.1:{port}")
    reload_under(h, load, lambda n: h.pool("api", rpc("--version", n)))
    check(h, load, record_property, "C worker, TCP, handoff = channel, all kinds")
    h.wait_log("is ready and waits for its sockets", 4 * (RELOADS + 1))


def test_a_stop_loses_nobody_who_was_let_in(handover):
    """What was accepted, or waits in the queue, at the moment of the stop is answered; who comes later is refused."""
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc(), sockets="web", workers=2, drain_timeout="4s")
    h.start()
    load = h.load("--slow", "40,300,900", target=f"127.0.0.1:{port}")
    load.wait_answered(40)
    load.tell("quit")  # sends no more, waits for what is in flight
    h.stop()
    code, summary, printed = load.finish_told()
    assert code == 0 and summary["total"]["failed"] == 0, printed + h.tell()
