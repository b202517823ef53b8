"""What workers write: tags, tails, files, floods; and our own log when nobody reads it."""
import json
import os
import re
import signal

import pytest

from harness import call, read_file, rpc, steps


def logs(h, query=""):
    return [json.loads(line) for line in h.api.request("GET", "/v1/logs" + query)[1].splitlines()]


# --- captured ---

def test_lines_are_tagged(handover):
    h = handover()
    h.pool("api", steps("say:to stdout", "err:to stderr", "part:cut ", "say:and joined", "ready"), workers=2)
    h.start()
    h.good_reload()
    for slot in (0, 1):
        for generation in (1, 2):
            pid = h.wait_log(rf"slot {slot} generation {generation} pid (\d+) started")[1]
            for text in ("to stdout", "to stderr", "cut and joined"):
                h.wait_log(rf"(?m)^api\[{slot}\] g{generation} pid {pid}: {text}$")


def test_control_characters_and_broken_utf8_are_made_visible(handover):
    h = handover()
    h.pool("api", f"sh -c 'printf \"a\\033[31mb\\001\\377c\\303\\244\\n\"; exec {steps('ready')}'")
    h.start()
    h.wait_log(r"(?m)^api\[0\] g1 pid \d+: a\\x1b\[31mb\\x01\\xffcä$")


def test_an_unfinished_line_is_told_at_the_end(handover):
    h = handover()
    h.pool("api", steps("part:last words", "exit:1"))
    h.end_early(code=1)
    assert re.search(r"(?m)^api\[0\] g1 pid \d+: last words$", h.log)
    assert "its last output: last words" in h.log


def test_the_tail_in_a_report_is_the_last_lines(handover):
    h = handover()
    h.pool("api", steps("ready"))
    h.start()
    h.pool("api", steps(*[f"say:line {n}" for n in range(200)], "exit:1"))
    h.write()
    lines = h.bad_reload()["lines"]
    assert lines == [f"line {n}" for n in range(200 - len(lines), 200)] and 5 <= len(lines) <= 100


def test_a_reader_of_logs_gets_what_is_kept_also_of_those_that_are_gone(handover):
    h = handover()
    h.pool("api", steps("say:hello from %n/%g", "ready"), workers=2)
    h.pool("other", steps("say:not this one", "ready"))
    h.start()
    old = h.pids("api")
    h.good_reload(pool="api", wait="drained")
    lines = logs(h, "?pool=api")
    assert {(line["line"], line["gone"]) for line in lines} == {("hello from 0/1", True), ("hello from 1/1", True),
                                                                ("hello from 0/2", False), ("hello from 1/2", False)}
    assert {line["pid"] for line in lines if line["gone"]} == set(old)
    assert [line["line"] for line in logs(h, "?pool=api&slot=1") if not line["gone"]] == ["hello from 1/2"]
    assert len(logs(h)) == 5


def test_a_tail_keeps_the_last_16_kib(handover):
    h = handover()
    h.pool("api", steps("flood:200000", "say:the end", "ready"))
    h.start()
    h.wait(lambda: logs(h)[-1]["line"] == "the end", "the last line")
    size = sum(len(line["line"]) + 1 for line in logs(h))
    assert 12 * 1024 <= size <= 16 * 1024


# --- floods and endless lines ---

def test_a_flood_harms_nobody(handover):
    h = handover()
    port = h.socket("web")
    h.pool("loud", steps("ready", "flood:20000000", "say:flooded"), workers=2)
    h.pool("api", rpc(), sockets="web")
    h.start()
    for n in range(50):
        assert call(port, "add", a=n, b=1)["sum"] == n + 1
        assert h.status()["state"] == "running"
    h.wait(lambda: all(any(line["line"] == "flooded" for line in logs(h, f"?pool=loud&slot={n}")) for n in (0, 1)), "the end of the flood")


def test_a_line_without_end_is_told_in_pieces(handover):
    h = handover()
    h.pool("api", steps("long-line:1000000", "say:", "say:the end", "ready"))
    h.start()
    h.wait_log(r"(?m)^api\[0\] g1 pid \d+: the end$")
    pieces = re.findall(r"(?m)^api\[0\] g1 pid \d+: (x+)$", h.log)
    assert sum(map(len, pieces)) == 1000000 and max(map(len, pieces)) <= 4000
    with open(f"/proc/{h.pid}/status", encoding="utf-8") as file:
        assert int(re.search(r"VmRSS:\s+(\d+)", file.read())[1]) < 300 * 1024, "in KiB, sanitizers included"


def test_closed_pipes_are_no_end(handover):
    h = handover()
    port = h.socket("web")
    h.pool("api", f"sh -c 'exec {rpc()} >&- 2>&-'", sockets="web")
    h.pool("early", steps("close:1", "close:2", "ready"))
    h.start()
    assert call(port, "add", a=1, b=2)["sum"] == 3
    assert len(h.pids()) == 2 and h.count_log(" error ") == 0


def test_our_own_log_is_never_waited_for(handover):
    """Standard error is a pipe that nobody reads, and two workers flood it: everything else goes on, and drops are told."""
    h = handover()
    port = h.socket("web")
    h.pool("loud", steps("ready", "flood:3000000", "say:flooded"), workers=2)
    h.pool("api", rpc(), sockets="web")
    read_end, write_end = os.pipe()
    h.launch(stderr=write_end)
    os.close(write_end)
    h.wait(lambda: os.path.exists(h.control), "the control socket")
    h.wait(lambda: h.status()["state"] == "running", "the start")
    h.wait(lambda: all(any(line["line"] == "flooded" for line in logs(h, f"?pool=loud&slot={n}")) for n in (0, 1)), "the end of the flood")
    assert call(port, "add", a=1, b=2)["sum"] == 3
    h.good_reload(wait="drained")
    text = b""
    os.set_blocking(read_end, False)

    def read_on():
        nonlocal text
        try:
            text += os.read(read_end, 1 << 20)
        except BlockingIOError:
            pass
        return re.search(rb"warning pool loud slot 0: \d+ lines dropped: standard error was not read fast enough", text)
    h.wait(read_on, "the drops to be told")
    assert b"reload 2 committed" in text, "our own lines have a reserve"
    h.stop()
    os.close(read_end)


def test_a_reader_that_goes_away_ends_nothing(handover):
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc(), sockets="web")
    read_end, write_end = os.pipe()
    h.launch(stderr=write_end, stdout=write_end)
    os.close(write_end)
    os.close(read_end)
    h.wait(lambda: os.path.exists(h.control), "the control socket")
    h.wait(lambda: h.status()["state"] == "running", "the start")
    h.good_reload()
    assert call(port, "add", a=1, b=2)["sum"] == 3


# --- other places ---

def test_files_and_logrotate(handover):
    h = handover()
    out, err = h.path("out.log"), h.path("err.log")
    h.pool("api", steps("say:one", "err:oops", "say-on:USR1:again", "ready"), workers=2, stdout=f"file:{out}", stderr=f"file:{err}")
    h.start()
    h.wait(lambda: read_file(out).count(b"one\n") == 2 and read_file(err).count(b"oops\n") == 2, "the lines")
    assert "one" not in h.log
    os.rename(out, out + ".1")
    h.signal(signal.SIGUSR1)
    h.wait_log(f"opened {out} anew")
    h.wait_log(f"opened {err} anew")
    for pid in h.pids():
        os.kill(pid, signal.SIGUSR1)
    h.wait(lambda: read_file(out).count(b"again\n") == 2, "the lines in the new file")
    assert read_file(out + ".1") == b"one\n" * 2
    assert [line["line"] for line in logs(h, "?slot=0")] == ["one", "oops", "again"], "kept for reports as well"


def test_a_file_is_appended_to_and_shared(handover):
    h = handover()
    out = h.path("out.log")
    with open(out, "w", encoding="utf-8") as file:
        file.write("before\n")
    h.pool("a", steps("say:from a", "ready"), stdout=f"file:{out}")
    h.pool("b", steps("err:from b", "ready"), stdout=f"file:{out}")
    h.start()
    h.wait(lambda: sorted(read_file(out).splitlines()) == [b"before", b"from a", b"from b"], "the lines")
    assert sum(os.path.realpath(f"/proc/{h.pid}/fd/{fd}") == out for fd in os.listdir(f"/proc/{h.pid}/fd")) == 1


def test_a_file_that_cannot_be_opened_anew_is_kept(handover):
    h = handover()
    os.mkdir(h.path("logs"))
    out = h.path("logs/out.log")
    h.pool("api", steps("say:one", "say-on:USR1:again", "ready"), stdout=f"file:{out}")
    h.start()
    h.wait(lambda: read_file(out) == b"one\n", "the line")
    os.rename(h.path("logs"), h.path("moved"))
    h.signal(signal.SIGUSR1)
    h.wait_log(f"error cannot open {out} anew: No such file or directory; output goes on into the file that was open")
    os.kill(h.pids()[0], signal.SIGUSR1)
    h.wait(lambda: read_file(h.path("moved/out.log")) == b"one\nagain\n", "the line in the old file")


def test_null(handover):
    h = handover()
    h.pool("api", steps(f"dump:{h.path('dump')}", "say:unheard", "err:unheard", "ready"), stdout="null")
    h.start()
    fds = h.json_of("dump")["fds"]
    assert (fds["1"]["target"], fds["2"]["target"]) == ("/dev/null", "/dev/null")
    assert "unheard" not in h.log and logs(h) == []


def test_inherit_and_separate_streams(handover):
    h = handover()
    h.pool("api", steps(f"dump:{h.path('dump')}", "say:as it is", "err:captured", "ready"), stdout="inherit", stderr="capture")
    h.start()
    h.wait_log(r"(?m)^as it is$")
    h.wait_log(r"(?m)^api\[0\] g1 pid \d+: captured$")
    assert h.json_of("dump")["fds"]["1"]["target"] == h.log_path


# --- the log itself ---

def test_the_log_as_json(handover):
    h = handover()
    h.supervisor(log_format="json")
    h.pool("api", steps('say:with "quotes" and \\', "part:\x09tab", "say:", "ready"))
    h.start()
    h.good_reload(wait="drained")
    h.stop()
    lines = [json.loads(line) for line in h.log.splitlines()]
    assert all({"time", "level", "message"} <= set(line) for line in lines)
    output = [line for line in lines if line.get("event") == "worker-output"]
    assert [line["message"] for line in output if line["generation"] == 1] == ['with "quotes" and \\', "\ttab"]
    assert all((line["pool"], line["slot"]) == ("api", 0) and line["pid"] > 0 for line in output)
    events = [line.get("event") for line in lines]
    for event in ("worker-started", "worker-ready", "reload-started", "worker-draining", "worker-exited", "reload-committed",
                  "instance-ready", "instance-stopping", "instance-stopped"):
        assert event in events, event


def test_the_format_of_the_log_can_be_changed_by_a_reload(handover):
    h = handover()
    h.pool("api", steps("say:hello", "ready"))
    h.start()
    h.supervisor(log_format="json", log_level="debug")
    h.write()
    h.good_reload()
    since = h.mark()
    h.good_reload()
    assert all(json.loads(line) for line in h.log[since:].splitlines())


@pytest.mark.parametrize("level, most", [("error", 0), ("warning", 0), ("notice", 8)])
def test_log_levels(handover, level, most):
    h = handover()
    h.supervisor(log_level=level)
    h.pool("api", steps("ready"), workers=4)
    h.launch()
    h.wait(lambda: os.path.exists(h.control), "the control socket")
    h.wait(lambda: h.status()["state"] == "running", "the start")
    h.stop()
    assert len(h.log.splitlines()) <= most


def test_lines_for_the_journal_have_no_time_but_a_level(handover):
    h = handover()
    h.pool("api", steps("say:hello", "ready"))
    h.write()
    with open(h.log_path, "ab") as log:
        st = os.fstat(log.fileno())
    h.start(env=h.environment(JOURNAL_STREAM=f"{st.st_dev}:{st.st_ino}"))
    assert re.search(r"(?m)^<5>instance \S+ is ready", h.log) and not re.search(r"(?m)^\d{4}-", h.log)
