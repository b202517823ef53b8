"""What workers write: floods, endless lines, closed pipes, files, a standard error that nobody reads."""
import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

import harness
from harness import steps, wait_until, read_file


def pool(it, *words, **keys):
    it.pool("api", steps(*words, "ready", "exit-on:TERM:0"), **keys)


def logs(it, query=""):
    code, text = it.api.request("GET", "/v1/logs" + query)
    assert code == 200, text
    return [json.loads(line) for line in text.splitlines()]


def ticks(pid):
    return sum(map(int, read_file(f"/proc/{pid}/stat").decode().rpartition(")")[2].split()[11:13]))


def test_tags(handover):
    it = handover()
    it.pool("api", "sh -c 'printf \"hello there\\n\"; echo oops >&2; printf \"\\033[31mred\\007\\n\\ntab\\there\\r\\n\\302\\233c1\\n\"; "
            f"exec {steps('part:unfinished', 'ready', 'exit-on:TERM:0')}'", workers=2)
    it.start()
    pids = it.pids()
    for slot in (0, 1):
        tag = re.escape(f"api[{slot}] g1 pid {pids[slot]}: ")
        it.wait_log(f"(?m)^{tag}hello there$")
        it.wait_log(f"(?m)^{tag}oops$")
        it.wait_log(f"(?m)^{tag}" + re.escape("\\x1b[31mred\\x07") + "$")
        assert re.search(f"(?m)^{tag}$", it.log)
        assert re.search(f"(?m)^{tag}tab\there$", it.log)
        assert re.search(f"(?m)^{tag}" + re.escape("\\xc2\\x9bc1") + "$", it.log)
    assert "unfinished" not in it.log
    it.stop()
    assert re.search(r"(?m)^api\[0\] g1 pid \d+: unfinished$", it.log)


def test_json(handover):
    it = handover()
    it.supervisor(log_format="json")
    it.pool("api", f"sh -c 'printf \"a\\377\\033b\\n\"; exec {harness.STEP_WORKER} ready exit-on:TERM:0'")
    it.launch()
    it.wait_log('instance-ready')
    for line in it.log.splitlines():
        json.loads(line)
    line = next(json.loads(line) for line in it.log.splitlines() if "worker-output" in line)
    assert line["pool"] == "api" and line["slot"] == 0 and line["message"] == "a\ufffd\x1bb"
    # the sentence names the worker, the members do as well
    ready = next(json.loads(line) for line in it.log.splitlines() if "worker-ready" in line)
    assert ready["pool"] == "api" and ready["pid"] == it.pids()[0]


def test_order_of_both_outputs(handover):
    it = handover()
    pool(it, *[w for n in range(50) for w in (f"say:o{n}", f"err:e{n}")])
    it.start()
    it.wait_log("e49")
    words = re.findall(r"api\[0\] g1 pid \d+: ([oe]\d+)", it.log)
    assert words == [w for n in range(50) for w in (f"o{n}", f"e{n}")]


def test_long_lines(handover):
    it = handover()
    pool(it, "say:" + "x" * 10000, "long-line:3000000", "say:after")
    it.start()
    it.wait_log("after")
    sizes = [len(m) for m in re.findall(r"pid \d+: (x+)$", it.log, re.M)]
    assert sizes[:3] == [4000, 4000, 2000], sizes[:5]
    assert max(len(line) for line in it.log.splitlines()) < 4100


def test_utf8_is_not_cut(handover):
    it = handover()
    pool(it, "say:" + "a" + "\u20ac" * 3000)
    it.start()
    it.wait_log("\u20ac\n")
    assert "\\x" not in it.log
    assert it.log.count("\u20ac") == 3000


def test_closed_pipes(handover):
    it = handover()
    pool(it, "say:bye", "close:1", "close:2", workers=5)
    it.start()
    it.wait_log("bye", count=5)
    before = ticks(it.pid)
    time.sleep(1)
    assert ticks(it.pid) - before <= 2


def test_last_words_of_a_crash(handover):
    it = handover()
    pool(it)
    it.start()
    it.pool("api", steps(*[f"say:line {n}" for n in range(30)], "part:the last", "exit:3"))
    it.write()
    result = it.bad_reload()
    assert result["lines"] == [f"line {n}" for n in range(23, 30)] + ["the last"], result
    assert result["worker"]["pool"] == "api"
    gone = [line for line in logs(it) if line["gone"]]
    assert [line["line"] for line in gone][-1] == "the last"
    assert all(re.fullmatch(r"2\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"]) for line in gone)


def test_tails(handover):
    it = handover()
    pool(it, "flood:100000", "say:the end", workers=2)
    it.start()
    it.wait_log("the end", count=2)
    lines = logs(it, "?slot=1")
    assert {line["slot"] for line in lines} == {1} and lines[-1]["line"].endswith("the end")
    size = sum(len(line["line"]) + 9 for line in lines)
    assert 14000 < size <= 16384, size


def test_follow(handover):
    it = handover()
    pool(it, "say:early", "say-on:USR1:late", workers=2)
    it.start()
    with it.api.lines("GET", "/v1/logs?follow=1&pool=api&slot=1") as lines:
        assert lines.next()["line"] == "early"
        it.api.post("/v1/pools/api/signal", signal="USR1", slot=0)
        it.api.post("/v1/pools/api/signal", signal="USR1", slot=1)
        late = lines.next()
        assert (late["line"], late["slot"], late["gone"]) == ("late", 1, False)


def test_nobody_reads(handover):
    """Standard error is a pipe that nobody reads: workers are not held up, the master neither; drops are told."""
    it = handover()
    it.write()
    pool(it, "flood:3000000", "say:flooded", "create:" + it.path("through"), workers=2)
    read, write = os.pipe()
    it.launch(stderr=write)
    os.close(write)
    wait_until(lambda: os.path.exists(it.path("through")), "the workers")
    wait_until(lambda: it.pids(), "the workers to serve")
    before = ticks(it.pid)
    time.sleep(1)
    assert ticks(it.pid) - before <= 2, "it is busy waiting"
    flags = fcntl.fcntl(read, fcntl.F_GETFL)
    data = []

    def drain():
        while True:
            piece = os.read(read, 65536)
            if not piece:
                return
            data.append(piece)
    thread = threading.Thread(target=drain)
    thread.start()
    wait_until(lambda: len(re.findall(rb"pool api slot \d: (\d+) lines dropped", b"".join(data))) == 2, "drops to be told", 15)
    it.stop()
    thread.join()
    os.close(read)
    text = b"".join(data).decode()
    told = {int(slot): int(n) for slot, n in re.findall(r"pool api slot (\d): (\d+) lines dropped", text)}
    lines = len(re.findall(r"(?m)^api\[\d\] g1 pid", text))
    assert 900_000 < len(text) < 1_200_000
    assert "handoverd" not in text
    total = sum(told.values()) + lines
    assert total == expected_lines(), (total, told, lines)
    assert not flags & os.O_NONBLOCK


def expected_lines():
    out = subprocess.run([harness.STEP_WORKER, "flood:3000000", "exit:0"], capture_output=True, check=False).stdout
    return 2 * (out.count(b"\n") + 1)


def test_the_end_does_not_wait_for_a_reader(handover):
    it = handover()
    pool(it, "flood:3000000", "create:" + it.path("through"))
    read, write = os.pipe()
    it.launch(stderr=write)
    os.close(write)
    wait_until(lambda: os.path.exists(it.path("through")), "the worker")
    wait_until(lambda: it.pids(), "the worker to serve")
    start = time.monotonic()
    it.stop()
    assert time.monotonic() - start < 3
    os.close(read)


def test_reader_gone(handover):
    it = handover()
    pool(it, "flood:300000", "say-on:USR1:x")
    read, write = os.pipe()
    it.launch(stderr=write)
    os.close(write)
    os.close(read)
    it.wait(lambda: os.path.exists(it.control) and it.pids(), "it to serve")
    it.api.post("/v1/pools/api/signal", signal="USR1")
    assert it.status()["ready"]


def test_a_socket_as_stderr(handover):
    it = handover()
    pool(it, "flood:3000000", "say:flooded", workers=1)
    ours, theirs = socket.socketpair()
    it.launch(stderr=theirs)
    theirs.close()
    it.wait(lambda: os.path.exists(it.control) and it.pids(), "it to serve")
    before = ticks(it.pid)
    time.sleep(0.5)
    assert ticks(it.pid) - before <= 1
    data = []

    def drain():
        while True:
            piece = ours.recv(65536)
            if not piece:
                return
            data.append(piece)
    thread = threading.Thread(target=drain)
    thread.start()
    it.stop()
    thread.join()
    assert b"ready after" in b"".join(data)


def test_shared_stderr_stays_blocking(handover):
    it = handover()
    pool(it, "say:x")
    read, write = os.pipe()
    it.launch(stderr=write)
    it.wait(lambda: os.path.exists(it.control) and it.pids(), "it to serve")
    assert not fcntl.fcntl(write, fcntl.F_GETFL) & os.O_NONBLOCK
    os.close(write)
    it.stop()
    os.close(read)


def test_full_stderr_file(handover):
    it = handover()
    pool(it, "flood:300000", "say-on:USR1:x")
    with open("/dev/full", "wb") as full:
        it.launch(stderr=full)
    it.wait(lambda: os.path.exists(it.control) and it.pids(), "it to serve")


# --- files ---

def test_file_and_rotation(handover):
    it = handover()
    out = it.path("out.log")
    it.pool("api", "sh -c 'printf \"first \\033\\n\"; "
            f"exec {steps('err:errline', 'say-on:USR1:more', 'ready', 'exit-on:TERM:0')}'", workers=2, stdout="file:" + out, stderr="capture")
    it.start()
    it.wait_log("errline", count=2)
    wait_until(lambda: read_file(out) == b"first \x1b\n" * 2, "the file")
    assert os.stat(out).st_mode & 0o777 == 0o640
    assert "first" not in it.log
    os.rename(out, out + ".1")
    it.api.post("/v1/pools/api/signal", signal="USR1")
    wait_until(lambda: read_file(out + ".1").count(b"more\n") == 2, "the old file")
    it.signal(signal.SIGUSR1)
    wait_until(lambda: os.path.exists(out), "the new file")
    it.api.post("/v1/pools/api/signal", signal="USR1")
    wait_until(lambda: read_file(out) == b"more\n" * 2, "the new file's lines")
    assert read_file(out + ".1").count(b"more\n") == 2
    assert [line["line"] for line in logs(it, "?slot=0")].count("more") == 2


def test_file_that_cannot_be_opened(handover):
    it = handover()
    it.pool("api", steps("ready", "exit-on:TERM:0"), stdout="file:" + it.path("nosuch/out.log"))
    it.launch()
    it.process.wait(harness.PATIENCE)
    it.expected_exit = it.process.returncode
    assert it.process.returncode in (1, 78)
    assert "nosuch" in it.log


def test_reopen_fails(handover):
    it = handover()
    os.mkdir(it.path("d"))
    out = it.path("d/out.log")
    pool(it, "say-on:USR1:more", stdout="file:" + out)
    it.start()
    os.rename(it.path("d"), it.path("e"))
    it.signal(signal.SIGUSR1)
    it.wait_log("cannot open .*d/out.log anew: No such file or directory; output goes on into the file that was open")
    it.api.post("/v1/pools/api/signal", signal="USR1")
    wait_until(lambda: read_file(it.path("e/out.log")) == b"more\n", "the old file")


def test_full_disk(handover):
    it = handover()
    pool(it, "flood:200000", "say-on:USR1:more", stdout="file:/dev/full", workers=2)
    it.start()
    it.wait_log("cannot write to /dev/full: No space left on device; \\d+ lines")
    for _ in range(20):
        it.api.post("/v1/pools/api/signal", signal="USR1")
    time.sleep(0.5)
    assert it.count_log("cannot write to") == 1
    text = it.api.request("GET", "/metrics")[1]
    assert int(re.search(r"(?m)^handover_output_dropped_lines_total (\d+)", text)[1]) > 1000


def test_fifo_without_reader(handover):
    it = handover()
    os.mkfifo(it.path("fifo"))
    pool(it, stdout="file:" + it.path("fifo"))
    it.launch()
    it.process.wait(harness.PATIENCE)
    it.expected_exit = it.process.returncode
    assert "No such device or address" in it.log or "fifo" in it.log


def test_null_and_inherit(handover):
    it = handover()
    pool(it, "say:nothing", "err:straight", stdout="null", stderr="inherit")
    it.start()
    it.wait_log("(?m)^straight$")
    assert "nothing" not in it.log


def test_a_flood_delays_nobody(handover):
    it = handover()
    it.pool("flood", "yes 0123456789", ready="delay:10ms", workers=8, drain_timeout="1s")
    read, write = os.pipe()
    it.launch(stderr=write)
    os.close(write)
    it.wait(lambda: os.path.exists(it.control) and len(it.pids()) == 8, "it to serve")
    worst = 0
    for _ in range(50):
        start = time.monotonic()
        it.status()
        worst = max(worst, time.monotonic() - start)
    print(f"worst {worst * 1000:.1f} ms")
    print(it.api.request("GET", "/metrics")[1])
    assert worst < 2
    it.stop()
    os.close(read)
    it.expected_exit = None


def test_descriptors_do_not_leak(handover):
    it = handover()
    pool(it, "say:x", workers=3)
    it.start()
    it.wait_log("x", count=3)
    time.sleep(0.5)
    before = len(os.listdir(f"/proc/{it.pid}/fd"))
    for _ in range(5):
        it.good_reload(wait="drained")
    time.sleep(0.5)
    assert len(os.listdir(f"/proc/{it.pid}/fd")) <= before
    assert len([line for line in logs(it) if line["gone"]]) == 15


def test_many_gone(handover):
    it = handover()
    pool(it, "say:x", workers=40)
    it.start()
    it.good_reload(wait="drained")
    it.good_reload(wait="drained")
    gone = [line for line in logs(it) if line["gone"]]
    assert len(gone) == 16


def test_last_lines_of_many(handover):
    """A full pipe of short lines is read to its end when the worker ends."""
    it = handover()
    pool(it)
    it.start()
    script = it.path("w.sh")
    with open(script, "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\nkill -STOP $PPID\n(sleep 0.3; kill -CONT $PPID) >/dev/null 2>&1 &\nyes '' | head -c 65000\nprintf 'last'\nexit 4\n")
    os.chmod(script, 0o755)
    it.pool("api", script)
    it.write()
    result = it.bad_reload()
    assert result["lines"][-1] == "last", result["lines"]
