"""Sockets that several processes share: a worker's shutdown() is noticed at once and mended, whoever did it."""
import os
import re
import socket

import pytest

from harness import call, connect, is_refused, monotonic_usec, rpc, steps, wait_until


def connects(target, n):
    """So many connections, one after the other; how many microseconds the slowest one took."""
    slowest = 0
    for _ in range(n):
        begin = monotonic_usec()
        connect(target, timeout=10).close()
        slowest = max(slowest, monotonic_usec() - begin)
    return slowest


def mended(h, name="web"):
    return next(s["mended"] for s in h.status()["sockets"] if s["name"] == name)


def test_a_shutdown_of_a_tcp_socket_is_mended_and_the_culprit_named(handover, record_property):
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc("--shutdown-listener-on-drain"), sockets="web", workers=2)
    h.start()
    workers = {w["pid"]: w for w in h.workers()}
    h.good_reload(wait="drained")
    line = h.wait_log(rf"warning socket web \(tcp 127\.0\.0\.1:{port}\) was shut down by pool api slot \d generation 1 pid (\d+), which "
                      r"(drains|has just ended); it listens again \(\d+ times so far\)")
    assert int(line[1]) in workers
    assert mended(h) >= 1
    record_property("load", f"slowest of 1,000 connects after a mended shutdown(): {connects(port, 1000) / 1000:.1f} ms")
    assert {call(port, "add", a=n, b=1)["sum"] for n in range(100)} == set(range(1, 101))
    assert h.pool_status("api")["generation"] == 2, "TCP needs no new workers"


def test_a_shutdown_of_a_unix_socket_gives_a_new_one_and_new_workers(handover, record_property):
    h = handover()
    path = h.path("api.sock")
    h.socket("web", f"unix:{path}", mode="0640")
    h.socket("other")
    h.pool("api", steps("exit-on:TERM:0", "ready", f"await:{h.path('go')}", "shutdown:3"), sockets="web", workers=2)
    h.pool("rpc", rpc(), sockets="web")
    h.pool("apart", steps("ready"), sockets="other")
    h.start()
    apart, old = h.pids("apart"), h.pids("rpc")
    before = os.stat(path)
    with open(h.path("go"), "w", encoding="utf-8"):
        pass
    h.wait_log(rf"warning socket web \(unix {re.escape(path)}\) was shut down by one of its workers; it listens again, the pools that use it "
               "are being restarted")
    os.unlink(h.path("go"))
    h.wait(lambda: h.pids("rpc") and not set(old) & set(h.pids("rpc")), "new workers")
    h.wait_log(r"restart \d committed: pool rpc")
    after = os.stat(path)  # a number may be used again
    assert (after.st_ino, after.st_ctime_ns) != (before.st_ino, before.st_ctime_ns) and after.st_mode & 0o777 == 0o640
    assert sorted(name for name in os.listdir(h.place) if "sock" in name) == ["api.sock"], "nothing temporary is left"
    assert h.pids("apart") == apart
    record_property("load", f"slowest of 1,000 connects after a replaced Unix socket: {connects(path, 1000) / 1000:.1f} ms")
    h.stop()
    assert not os.path.exists(path)


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_shutdown_at_a_stop_is_not_mended(handover, kind):
    h = handover()
    target = h.socket("web") if kind == "tcp" else h.path("api.sock")
    if kind == "unix":
        h.socket("web", f"unix:{target}")
    h.pool("api", rpc("--shutdown-listener-on-drain"), sockets="web", workers=2)
    h.start()
    h.stop()
    assert h.count_log("was shut down by") == 0 and h.count_log("generation 2") == 0
    assert is_refused(target)


def test_a_shutdown_again_and_again_is_no_busy_loop(handover):
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc(), sockets="web")
    h.pool("bad", steps("ready", f"await:{h.path('go')}", *["shutdown:3", "sleep:1"] * 200, f"create:{h.path('done')}"), sockets="web")
    h.start()
    with open(h.path("go"), "w", encoding="utf-8"):
        pass
    h.wait(lambda: os.path.exists(h.path("done")), "the last shutdown")
    before = mended(h)
    assert 1 <= before < 200
    h.wait(lambda: not is_refused(port), "the socket to listen again")
    wait_until(lambda: connect(port).close() or True, "a connection")
    assert h.count_log("was shut down by") == mended(h)


def test_a_shutdown_of_a_udp_socket_is_no_business_of_ours(handover):
    h = handover()
    port = h.ports.take()
    h.socket("dns", f"udp://127.0.0.1:{port}")
    h.pool("api", steps("ready", "shutdown:3"), sockets="dns")
    h.start()
    assert h.good_reload()["result"] == "committed"
    assert h.count_log("was shut down by") == 0


def test_the_path_of_somebody_else_is_not_removed(handover):
    """A Unix socket that was bound anew under our path by another process stays."""
    h = handover()
    path = h.path("api.sock")
    h.socket("web", f"unix:{path}")
    h.pool("api", rpc(), sockets="web")
    h.start()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path + ".new")
        other.listen()
        os.rename(path + ".new", path)
        h.stop()
        assert os.path.exists(path)
        connect(path).close()
    os.unlink(path)


def test_a_socket_that_no_pool_uses_is_open_and_queues(handover):
    h = handover()
    port = h.socket("later")
    h.pool("api", steps("ready"))
    h.start()
    early = connect(port)
    early.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    h.pool("api", rpc(), sockets="later")
    h.write()
    h.good_reload()
    assert early.recv(4) == b"HTTP", "who came too early is served after all"
    early.close()
