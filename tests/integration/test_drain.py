"""How workers leave: drains, budgets, escalation to the whole process tree, lame duck, and the ways to stop."""
import os
import re
import signal
import socket
import time

import pytest

from harness import Call, call, connect, is_alive, is_refused, processes_of, read_file, rpc, slow_calls, steps


def in_flight(h, n, pool="api"):
    """Waits until the master knows of n requests in flight."""
    h.wait(lambda: sum(w["inflight"] or 0 for w in h.workers(pool)) == n, f"{n} requests in flight")


def milliseconds(text):
    """'200 ms' or '1.2 s' of the log."""
    number, unit = text.split()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


# --- budget, dump, kill ---

def test_a_request_that_hangs_ends_with_a_dump_and_a_kill(handover):
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc("--stubborn"), sockets="web", drain_timeout="600ms", dump_signal="SIGQUIT", dump_timeout="500ms")
    h.start()
    pid = h.pids()[0]
    hanging = Call(port, "hang")
    in_flight(h, 1)
    h.good_reload(wait="drained")
    assert hanging.is_cut() and not is_alive(pid)
    who = rf"pool api slot 0 generation 1 pid {pid}"
    h.wait_log(rf"{who} drains and has 600 ms for 1 request in flight")
    dumped = h.wait_log(rf'warning {who} has not ended within its ([\d.]+ m?s) \(reload\), 1 request in flight, '
                        r'its status: "draining: [^"]*hang[^"]*": SIGQUIT now, SIGKILL in 500 ms')
    killed = h.wait_log(rf'warning {who} is still there 500 ms after the dump signal, 1 request in flight, its status: "draining: '
                        r'[^"]*hang[^"]*": SIGKILL to it and all its processes')
    assert re.search(rf"api\[0\] g1 pid {pid}: .*hang", h.log[dumped.end():killed.start()]), "its dump"
    left = h.wait_log(rf"{who} killed by SIGKILL, ([\d.]+ m?s) after it was told to go \(reload\)")
    assert 600 <= milliseconds(dumped[1]) and 1100 <= milliseconds(left[1])
    assert call(port, "add", a=1, b=2)["sum"] == 3


def test_a_worker_that_ignores_its_signal(handover):
    h = handover()
    h.pool("api", steps("ignore:TERM", "ready"), workers=2, drain_timeout="150ms", stop_timeout="100ms")
    h.start()
    old = h.pids()
    h.good_reload(wait="drained")
    assert not any(map(is_alive, old))
    for pid in old:
        took = re.findall(rf"pid {pid} has not ended within its ([\d.]+ m?s) \(reload\): SIGKILL to it", h.log)
        assert len(took) == 1 and 150 <= milliseconds(took[0])
    h.stop()
    took = re.findall(r"has not ended within its ([\d.]+ m?s) \(stop\): SIGKILL to it", h.log)
    assert len(took) == 2 and 100 <= min(map(milliseconds, took))


def test_a_dump_that_ends_the_worker_needs_no_kill(handover):
    h = handover()
    h.pool("api", steps("ignore:TERM", "say-on:USR1:dumped", "exit-on:QUIT:0", "ready"), drain_timeout="100ms", dump_signal="SIGQUIT",
           dump_timeout="1h")
    h.start()
    h.good_reload(wait="drained")
    assert h.count_log(": SIGQUIT now, SIGKILL in 1 h") == 1 and h.count_log("SIGKILL to it") == 0


def test_requests_in_flight_are_finished(handover):
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc(), sockets="web", workers=2, drain_timeout="20s")
    h.start()
    slow = slow_calls(h, port, 8)
    h.good_reload(wait="drained")
    assert [c.answer()["sum"] for c in slow] == [3] * 8
    assert h.count_log("SIGKILL") == 0


@pytest.mark.parametrize("most, least, limit", [("0", 0, 30), ("20s", 30, 50)])
def test_an_extension_is_granted_up_to_its_limit(handover, most, least, limit):
    h = handover()
    h.pool("api", steps("notify-on:TERM:EXTEND_TIMEOUT_USEC=3600000000|STATUS=asked for more", "ready"), drain_timeout="30s",
           drain_extend_max=most, stop_timeout="50ms")
    h.start()
    h.good_reload()
    [worker] = h.wait(lambda: [w for w in h.workers("api", "draining") if w["status"] == "asked for more"], "its wish")
    assert least < worker["deadline_s"] <= limit
    h.api.post("/v1/stop", now=True)  # the next one would ask for more, too
    h.wait_exit()


def test_an_extension_is_used_and_its_end_is_the_end(handover):
    h = handover()
    h.pool("long", steps("notify-on:TERM:EXTEND_TIMEOUT_USEC=20000000|STATUS=finishing", "ready", f"await:{h.path('go')}", "exit:0"),
           drain_timeout="500ms", drain_extend_max="20s", stop_timeout="50ms")
    h.pool("short", steps("notify-on:TERM:EXTEND_TIMEOUT_USEC=20000000", "ready"), drain_timeout="500ms", drain_extend_max="700ms",
           stop_timeout="50ms")
    h.start()
    long, short = h.pids("long")[0], h.pids("short")[0]
    h.good_reload()
    took = milliseconds(h.wait_log(rf"pid {short} has not ended within its ([\d.]+ m?s) \(reload\)")[1])
    assert 1200 <= took and is_alive(long)
    with open(h.path("go"), "w", encoding="utf-8"):
        pass
    h.wait_log(rf"info pool long slot 0 generation 1 pid {long} exited with code 0, .* after it was told to go \(reload\)")
    os.unlink(h.path("go"))


def test_the_drain_signal_and_its_value(handover):
    h = handover()
    h.pool("api", steps("ignore:TERM", "value-on:USR2", "ready"), drain_signal="SIGUSR2", drain_timeout="7s", stop_timeout="3s")
    h.start()
    h.good_reload(wait="drained")
    h.stop()
    assert re.findall(r"api\[0\] g(\d) pid \d+: value (\d+)", h.log) == [("1", "7000"), ("2", "3000")]


def test_a_stopped_process_gets_its_signal_too(handover):
    h = handover()
    h.pool("api", steps("exit-on:TERM:0", "ready"))
    h.start()
    os.kill(h.pids()[0], signal.SIGSTOP)
    h.good_reload(wait="drained")
    assert h.count_log("exited with code 0, .* after it was told to go") == 1


@pytest.mark.parametrize("end, keys, level", [
    ("exit-on:TERM:0", {}, "info"), ("sleep:0", {}, "info"), ("exit-on:TERM:143", {}, "info"), ("exit-on:TERM:7", {}, "warning"),
    ("exit-on:TERM:7", {"success_codes": "5 7"}, "info"), ("exit-on:TERM:130", {}, "warning"),
])
def test_ways_to_end_that_are_in_order(handover, end, keys, level):
    h = handover()
    h.pool("api", steps(end, "ready"), **keys)
    h.start()
    h.good_reload(wait="drained")
    assert h.count_log(rf"{level} pool api slot 0 generation 1 pid \d+ (exited with code \d+|killed by SIGTERM), .* after it was told") == 1


# --- the whole tree ---

@pytest.mark.parametrize("leak", ["--leak-child", "--leak-daemon"])
@pytest.mark.parametrize("how", ["reload", "crash", "stop"])
def test_what_a_worker_leaves_behind_is_killed(handover, leak, how):
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc(leak), sockets="web")
    h.start()
    worker = h.pids()[0]
    [leaked] = h.wait(lambda: [pid for pid in processes_of(h.name) if pid != worker], "the leak")
    if how == "reload":
        h.good_reload(wait="drained")
    elif how == "crash":
        os.kill(worker, signal.SIGKILL)
    else:
        h.stop()
    if how == "stop":
        assert not is_alive(leaked)
    else:
        h.wait_gone(leaked)
        h.wait(lambda: len(processes_of(h.name)) == 2, "the successor, with a leak of its own")
        assert call(port, "add", a=1, b=2)["sum"] == 3
    if leak == "--leak-daemon":
        assert h.count_log(rf"pool api slot 0 generation 1 left process {leaked} behind: killing it") == 1


def test_an_escalation_kills_children_too(handover):
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc("--leak-child", "--leak-daemon", "--ignore-term"), sockets="web", drain_timeout="100ms", stop_timeout="100ms")
    h.start()
    old = h.wait(lambda: len(processes_of(h.name)) == 3 and processes_of(h.name), "the leaks")
    h.good_reload(wait="drained")
    h.wait_gone(*old)
    assert call(port, "add", a=1, b=2)["sum"] == 3


def test_children_of_others_are_left_alone(handover):
    """A leak dies with its own worker, and not with that worker's sibling."""
    h = handover()
    h.socket("web")
    h.pool("api", rpc("--leak-daemon"), sockets="web", workers=2)
    h.start()
    h.wait(lambda: len(processes_of(h.name)) == 4, "the leaks")
    environments = {pid: read_file(f"/proc/{pid}/environ") for pid in processes_of(h.name)}
    os.kill(next(w["pid"] for w in h.workers() if w["slot"] == 0), signal.SIGKILL)
    h.wait_log("left process \\d+ behind")
    h.wait(lambda: len(processes_of(h.name)) == 4, "the successor and its leak")
    for pid, environment in environments.items():
        assert is_alive(pid) == (b"HANDOVER_SLOT=1" in environment)


# --- stops ---

def test_lame_duck_serves_and_says_so(handover):
    h = handover()
    port = h.socket("web")
    h.supervisor(lame_duck="1h")
    h.pool("api", rpc(), sockets="web")
    h.start()
    h.signal(signal.SIGTERM)
    h.wait_log("lame duck: not ready any more, workers serve on for 1 h")
    assert h.status()["state"] == "lame-duck" and not h.status()["ready"]
    assert h.api.request("GET", "/readyz") == (503, "stopping (lame duck)\n")
    assert call(port, "add", a=1, b=2)["sum"] == 3, "workers serve on"
    assert h.api.post("/v1/stop", now=True)[0] == 202
    h.wait_exit()


def test_lame_duck_has_its_time(handover):
    h = handover()
    h.supervisor(lame_duck="300ms")
    h.pool("api", steps("ready"))
    h.start()
    h.stop()
    begin, end = [float(m) for m in re.findall(r"T\S+:(\d+\.\d+)\S+ (?:notice lame duck|info workers are told to stop)", h.log)]
    assert 0.299 <= round((end - begin) % 60, 3)  # the log has milliseconds


def test_a_stop_that_was_not_ready_has_no_lame_duck(handover):
    h = handover()
    h.supervisor(lame_duck="1h")
    h.pool("api", steps())
    h.launch()
    h.wait_log("started")
    h.stop()


def refusal_takes(h, target, hung):
    """Stops an instance whose only worker hangs: how many seconds until new clients are turned away?"""
    h.pool("api", rpc("--stubborn") if hung == "blocked" else steps("ignore:TERM", "ready"), sockets="web", stop_timeout="1h")
    h.start()
    pid = h.pids()[0]
    if hung == "blocked":
        busy = Call(target, "block", ms=60000)
        in_flight(h, 1)
    waiting = connect(target)  # in the queue of a worker that will never take it
    waiting.sendall(b"GET / HTTP/1.0\r\n\r\n")
    h.signal(signal.SIGTERM)
    begin = time.monotonic()
    h.wait(lambda: is_refused(target), "new clients to be refused")
    seconds = time.monotonic() - begin
    assert h.process.poll() is None and is_alive(pid), "while the worker hangs on"
    if not isinstance(target, int):
        h.api.post("/v1/stop", now=True)  # who waits in the queue of a Unix socket is let go with the last worker
    with waiting:
        try:
            assert waiting.recv(1) == b"", "nobody is left waiting"
        except ConnectionError:
            pass
    if isinstance(target, int):
        assert is_alive(pid)
        h.api.post("/v1/stop", now=True)
    if hung == "blocked":
        busy.close()
    h.wait_exit()
    return seconds


@pytest.mark.parametrize("kind", ["tcp", "unix"])
@pytest.mark.parametrize("hung", ["deaf", "blocked"])
def test_new_clients_are_refused_within_a_second_although_a_worker_hangs(handover, kind, hung):
    for attempt in range(3):  # the second may be exceeded by a machine that is busy with something else
        h = handover()
        target = h.socket("web") if kind == "tcp" else h.path("api.sock")
        if kind == "unix":
            h.socket("web", f"unix:{target}")
        seconds = refusal_takes(h, target, hung)
        if seconds < 1:
            return
    pytest.fail(f"it took {seconds} s, at attempt {attempt + 1}")


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_queued_clients_are_not_lost_at_a_stop(handover, kind):
    h = handover()
    target = h.socket("web") if kind == "tcp" else h.path("api.sock")
    if kind == "unix":
        h.socket("web", f"unix:{target}")
    h.pool("api", rpc(), sockets="web")
    h.start()
    pid = h.pids()[0]
    os.kill(pid, signal.SIGSTOP)
    queued = [Call(target, "add", a=n, b=1) for n in range(20)]
    assert h.status()["sockets"][0]["queue"] == 20, "they wait to be accepted"
    h.signal(signal.SIGTERM)
    h.wait_log("stopping")
    os.kill(pid, signal.SIGCONT)
    assert [c.answer()["sum"] for c in queued] == [n + 1 for n in range(20)]
    h.wait_exit()


def test_a_stop_under_load_refuses_and_cuts_nobody(handover):
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc(), sockets="web", workers=2)
    h.start()
    load = h.load("--new", 200, "--slow", "20,100,300", target=f"127.0.0.1:{port}")
    load.wait_answered(100)
    h.stop()
    _, summary, printed = load.finish()
    causes = {f["cause"] for f in summary["failures"]}
    assert all("refused" in cause for cause in causes), printed


def test_ctrl_c_once_is_an_orderly_stop(handover):
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc(), sockets="web", stop_timeout="20s")
    h.start()
    [slow] = slow_calls(h, port)
    h.signal(signal.SIGINT)
    assert slow.answer()["sum"] == 3
    h.wait_exit(0)
    assert h.count_log(r"stopping \(SIGINT\)") == 1 and h.count_log("SIGKILL") == 0


def test_ctrl_c_twice_skips_the_rest_of_the_budgets(handover):
    h = handover()
    h.supervisor(lame_duck="1h")
    h.pool("api", steps("ignore:TERM", "ready"), workers=2, stop_timeout="1h")
    h.start()
    h.signal(signal.SIGINT)
    h.wait_log(r"stopping \(SIGINT\)")
    h.signal(signal.SIGINT)
    h.wait_exit(0)
    assert h.count_log(r"stopping at once \(SIGINT\): workers are killed") == 1


def test_a_repeated_sigterm_is_only_logged(handover):
    h = handover()
    h.pool("api", steps("say-on:TERM:heard", "ready", f"await:{h.path('go')}", "exit:0"), stop_timeout="1h")
    h.start()
    h.signal(signal.SIGTERM)
    h.wait_log("heard")
    for n in range(1, 4):
        h.signal(signal.SIGTERM)
        h.wait_log("SIGTERM: already stopping", count=n)
    with open(h.path("go"), "w", encoding="utf-8"):
        pass
    h.wait_exit(0)
    assert h.count_log(": heard") == 1 and h.count_log("SIGKILL") == 0


def test_sigquit_stops_too_and_a_sighup_while_stopping_does_nothing(handover):
    h = handover()
    h.pool("api", steps("say-on:TERM:heard", "ready", f"await:{h.path('go')}", "exit:0"), stop_timeout="1h")
    h.start()
    h.signal(signal.SIGQUIT)
    h.wait_log("heard")
    h.signal(signal.SIGHUP)
    h.signal(signal.SIGUSR1)
    code, result = h.reload()
    assert code == 503 and result["result"] == "refused" and "the instance stops" in result["message"]
    with open(h.path("go"), "w", encoding="utf-8"):
        pass
    h.wait_exit(0)
    assert h.count_log("generation 2") == 0


def test_a_stop_cuts_longer_drains_to_its_own_budget(handover):
    h = handover()
    h.pool("api", steps("ignore:TERM", "ready"), drain_timeout="1h", stop_timeout="200ms")
    h.start()
    h.good_reload()
    h.stop()
    assert h.count_log(r"\(stop\): SIGKILL to it") == 2


def test_a_longer_stop_timeout_is_respected(handover):
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc("--stubborn"), sockets="web", drain_timeout="50ms", stop_timeout="20s")
    h.start()
    [slow] = slow_calls(h, port)
    h.signal(signal.SIGTERM)
    assert slow.answer()["sum"] == 3
    h.wait_exit(0)


def test_all_pools_drain_at_once(handover):
    h = handover()
    for name in "abcdef":
        h.pool(name, steps("ignore:TERM", "ready"), stop_timeout="300ms")
    h.start()
    since = h.mark()
    h.stop()
    order = re.findall("drains and has|SIGKILL to it", h.log[since:])
    assert order == ["drains and has"] * 6 + ["SIGKILL to it"] * 6


def test_a_udp_socket_is_closed_at_the_end(handover):
    h = handover()
    port = h.ports.take()
    h.socket("dns", f"udp://127.0.0.1:{port}")
    h.pool("api", steps("ready"), sockets="dns")
    h.start()
    h.stop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", port))
