"""docs/on-call.md is held against a real instance: each command of the page is run in its order, and has to say what the page
shows. Numbers, times and widths of columns may differ; a line "..." stands for any lines, and at a line's end for the rest."""
import os
import re
import signal

import pytest

from cli_tools import ROOT, run
from harness import wait_until

PAGE = os.path.join(ROOT, "docs/on-call.md")
PROGRAM = """#!/usr/bin/python3
import faulthandler, os, signal, socket, sys, time
if os.environ["HANDOVER_POOL"] == "mail" and os.path.exists(PLACE + "/broken"):
    sys.exit("mail: cannot open the database: connection refused")
if [os.environ["HANDOVER_" + name] for name in ("POOL", "SLOT", "GENERATION")] == ["api", "0", "1"]:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
faulthandler.register(signal.SIGQUIT)
def query_database():
    time.sleep(100000)
def handle_request():
    query_database()
print(os.environ["HANDOVER_POOL"] + ": serving", flush=True)
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.sendto(b"READY=1\\nX_HANDOVER_INFLIGHT=1", os.environ["NOTIFY_SOCKET"].replace("@", "\\0", 1))
handle_request()
"""
UNIT = r"(?:us|ms|s|min|h)(?![a-z])"
DURATION = rf"\d+ (?:h|min) \d+ {UNIT}|\d[\d.]* ?{UNIT}(?:\d+{UNIT})*"
TIME = r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?"


def blocks(text):
    """(command, the lines that it shows) of each block of the page."""
    for block in re.findall(r"^```\n\$ (.*?)^```$", text, re.M | re.S):
        command, _, shown = block.partition("\n")
        yield command, shown.splitlines()


def plain(line):
    """What of a line has to be the same each time."""
    line = " ".join(line.split())
    for pattern, word in ((TIME, "TIME"), (DURATION, "DURATION"), (r"0x[0-9a-f]+", "HEX"), (r"\d+", "#"),
                          (r"\w+/#:DURATION", "SLOWEST")):
        line = re.sub(pattern, word, line)
    return line


def pattern_of(lines):
    """A pattern for all lines that a block shows."""
    parts = []
    for line in lines:
        if line.strip() == "...":
            parts.append(r"(?:.*\n)*?")
        elif line.endswith(" ..."):
            parts.append(re.escape(plain(line[:-3])) + r"(?: .*)?\n")
        else:
            parts.append(re.escape(plain(line)) + r"\n")
    return "".join(parts)


def create(path):
    with open(path, "w", encoding="utf-8"):
        pass


class Night:
    """What has happened before somebody was called, and what happens between the commands."""

    def __init__(self, h):
        self.h = h
        for name in ("api", "mail"):
            with open(h.path(name), "w", encoding="utf-8") as file:
                file.write(PROGRAM.replace("PLACE", repr(h.place)))
            os.chmod(h.path(name), 0o755)
        h.runtime_dir = h.path("handover/payments")
        os.mkdir(h.path("handover"))
        h.runtime_options = ["--runtime-dir", h.runtime_dir]
        h.control = h.api.address = f"{h.runtime_dir}/control.sock"
        h.socket("grpc")
        h.pool("api", h.path("api"), sockets="grpc", workers=2, drain_timeout="100ms", dump_signal="SIGQUIT", dump_timeout="300ms")
        h.pool("mail", h.path("mail"), restart_delay="10ms", restart_delay_max="1h", crash_loop_after=3)
        h.start()
        h.good_reload(pool="api", wait="drained")
        create(h.path("broken"))
        h.bad_reload()
        h.wait(lambda: len(h.workers()) == 3, "the failed reload's workers to be gone")
        os.kill(h.pids("mail")[0], signal.SIGKILL)
        h.wait(lambda: h.status()["degraded"], "the crash loop")

    def before(self, command):
        if command == "handover logs api/1":
            wait_until(lambda: "query_database" in self.run("handover logs api/1"), "the dump to be written")
        if command == "handover reload":
            os.unlink(self.h.path("broken"))

    def run(self, command):
        done = run("-c", self.h.control, *command.split()[1:])
        text = done.stdout + done.stderr
        for ours, pages in ((f"handover -c {self.h.control} ", "handover "), (self.h.config, "/etc/handover/payments.ini"), (self.h.path("api"), "/usr/local/bin/api"),
                            (self.h.path("mail"), "/usr/local/bin/mail"), (self.h.name, "payments")):
            text = text.replace(ours, pages)
        return text


@pytest.fixture(name="page")
def fixture_page():
    with open(PAGE, encoding="utf-8") as file:
        return file.read()


def test_each_command_says_what_the_page_shows(handover, page):
    night = Night(handover("payments"))
    shown = list(blocks(page))
    assert len(shown) == page.count("\n```\n$ ") and len(shown) >= 9
    assert {"status", "why", "history", "logs", "dump", "restart", "out-of-service", "reload"} <= {command.split()[1] for command, _ in shown}
    for command, lines in shown:
        night.before(command)
        said = night.run(command)
        assert re.fullmatch(pattern_of(lines), "".join(plain(line) + "\n" for line in said.splitlines())), \
            f"$ {command}\n{said}\n--- and the page:\n" + "\n".join(lines)


def test_commands_within_sentences_exist(page):
    overview = run("help").stdout
    for command in set(re.findall(r"`handover ([a-z-]+)", page)):
        assert re.search(rf"^  {command} ", overview, re.M), command


def test_the_comparison_itself():
    """It fails when it should."""
    said = "payments up 3 s since 2026-11-23 14:00:00, pid 17\nsecond line\n"
    for good in (["payments up 1h6min since 2025-01-01 00:00:00, pid 4242", "second   line"], ["...", "second line"], ["..."],
                 ["payments up ...", "second line"]):
        assert re.fullmatch(pattern_of(good), "".join(plain(line) + "\n" for line in said.splitlines())), good
    for bad in (["payments up 3 s since 2026-11-23 14:00:00, pid 17"], ["...", "another line"], ["payments up 3 s", "..."], [], ["payments down ...", "second line"]):
        assert not re.fullmatch(pattern_of(bad), "".join(plain(line) + "\n" for line in said.splitlines())), bad
