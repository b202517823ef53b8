"""The journal: what our log and the workers' output look like there, and what happens when it does not listen."""
import contextlib
import json
import os
import re
import signal
import subprocess

import pytest

from harness import call, rpc, steps
from service import journal, systemctl

CATALOG = "/usr/lib/systemd/catalog/handover.catalog"


def entries(*arguments, namespace=None):
    """Entries as journalctl has them. A value that is no text is a list of bytes there."""
    lines = journal("-o", "json", "--all", *arguments, namespace=namespace).splitlines()
    return [{key: bytes(value) if isinstance(value, list) and isinstance(value[0], int) else value
             for key, value in json.loads(line).items()} for line in lines]


def of(h, *matches):
    return entries(f"HANDOVER_INSTANCE={h.name}", *matches, namespace=h.namespace)


def wait_entries(h, *matches, n=1):
    return h.wait(lambda: (lambda found: found if len(found) >= n else None)(of(h, *matches)), f"{n} entries with {matches}")


def logs(h, *arguments):
    return subprocess.run(["handover", "-i", h.name, "logs", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=True)


# --- our own log ---

def test_fields_of_events(service):
    h = service()
    h.pool("api", steps("ready"), workers=2)
    h.start()
    pids = h.pids()
    ready = wait_entries(h, "HANDOVER_EVENT=worker-ready", n=2)
    assert sorted(int(entry["HANDOVER_WORKER_PID"]) for entry in ready) == sorted(pids)
    entry = min(ready, key=lambda entry: entry["HANDOVER_SLOT"])
    assert entry["PRIORITY"] == "6" and entry["SYSLOG_IDENTIFIER"] == "handoverd" and entry["_PID"] == str(h.pid)
    assert entry["HANDOVER_POOL"] == "api" and entry["HANDOVER_SLOT"] == "0" and entry["HANDOVER_GENERATION"] == "1"
    assert entry["_TRANSPORT"] == "journal" and entry["_SYSTEMD_UNIT"] == h.unit
    assert re.fullmatch(r"pool api slot 0 generation 1 pid \d+ is ready after .*", entry["MESSAGE"])
    instance = wait_entries(h, "HANDOVER_EVENT=instance-ready")[0]
    assert instance["PRIORITY"] == "5" and "HANDOVER_SLOT" not in instance and "HANDOVER_WORKER_PID" not in instance
    assert instance["MESSAGE_ID"] != entry["MESSAGE_ID"] and len(entry["MESSAGE_ID"]) == 32
    # the line that an operator types
    assert "is ready after" in journal("-u", h.unit, "HANDOVER_POOL=api")
    os.kill(pids[0], 9)
    crash = wait_entries(h, "HANDOVER_EVENT=worker-crashed")[0]
    assert crash["PRIORITY"] == "3" and crash["HANDOVER_WORKER_PID"] == str(pids[0]) and crash["HANDOVER_POOL"] == "api"


def test_an_incident_is_one_entry_with_all_that_is_known(service):
    h = service()
    h.pool("api", steps("ready", "ignore:TERM", "say:before", "say-on:USR2:dumped"), drain_timeout="50ms", dump_signal="SIGUSR2",
           dump_timeout="300ms")
    h.start()
    [pid] = h.pids()
    assert h.systemctl("reload").returncode == 0
    [entry] = wait_entries(h, "HANDOVER_EVENT=worker-incident")
    assert {key: entry[key] for key in ("PRIORITY", "HANDOVER_INCIDENT", "HANDOVER_POOL", "HANDOVER_SLOT", "HANDOVER_GENERATION",
                                        "HANDOVER_WORKER_PID", "HANDOVER_EXIT", "HANDOVER_ENDED_BY", "HANDOVER_REASON",
                                        "HANDOVER_STARTED_FOR")} == {
        "PRIORITY": "5", "HANDOVER_INCIDENT": "overdue", "HANDOVER_POOL": "api", "HANDOVER_SLOT": "0", "HANDOVER_GENERATION": "1",
        "HANDOVER_WORKER_PID": str(pid), "HANDOVER_EXIT": "killed by SIGKILL", "HANDOVER_REASON": "reload",
        "HANDOVER_ENDED_BY": "handoverd: SIGKILL when its time was over", "HANDOVER_STARTED_FOR": "start of the instance"}
    assert entry["HANDOVER_OUTPUT"] == "before\n" and entry["HANDOVER_DUMP"] == "dumped\n"
    subprocess.run(["journalctl", "--update-catalog"], stdin=subprocess.DEVNULL, check=True)
    assert f"handover -i {h.name} why api/0" in journal("-x", "-u", h.unit, "HANDOVER_EVENT=worker-incident")
    # the service's own ExecReload= asked for it
    reload = h.api.get("/v1/history")["history"][-1]
    assert (reload["kind"], reload["result"], reload["unit"]) == ("reload", "committed", h.unit)


def test_a_message_with_newlines_is_one_entry(service):
    h = service()
    h.pool("api", steps("notify:READY=1|STATUS=one\\x0atwo\\x1b[31m"), workers=1)
    h.supervisor(log_level="debug")
    h.start()
    of_status = wait_entries(h, "HANDOVER_EVENT=worker-status")
    assert len(of_status) == 1 and of_status[0]["HANDOVER_POOL"] == "api"
    assert all("HANDOVER_INSTANCE" in entry for entry in entries("-u", h.unit, "_COMM=handoverd", "_TRANSPORT=journal"))


def test_the_catalog_explains(service):
    done = subprocess.run(["journalctl", "--update-catalog"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and (done.stdout + done.stderr).strip() == "", done
    numbers = re.findall("^-- ([0-9a-f]{32})$", open(CATALOG, encoding="utf-8").read(), re.M)
    listed = journal("--list-catalog", *numbers).splitlines()
    assert len(numbers) > 20 and len(listed) == len(numbers)
    assert all(re.match(r"[0-9a-f]{32} handover: .{20}", line) for line in listed), listed
    h = service()
    h.pool("api", steps("ready"))
    h.start()
    h.pool("api", steps("exit:3"))
    h.write()
    assert h.systemctl("reload").returncode == 1
    wait_entries(h, "HANDOVER_EVENT=reload-failed")
    shown = journal("-x", "-u", h.unit, "HANDOVER_EVENT=reload-failed")
    assert f"A change of {h.name} has failed; the version before it serves on" in shown
    assert f"handover -i {h.name} reload" in shown, "fields are filled in"


def test_log_format(service):
    """text and json go to standard error, as they were told to; a reload changes that."""
    h = service()
    h.pool("api", steps("ready"))
    h.supervisor(log_format="text")
    h.start()
    assert h.wait(lambda: entries("-u", h.unit, "-t", "handoverd", "_TRANSPORT=stdout"), "lines by standard error")
    assert not of(h)
    assert {entry["PRIORITY"] for entry in entries("-u", h.unit, "_TRANSPORT=stdout", f"_PID={h.pid}")} >= {"5", "6"}
    h.supervisor(log_format="json")
    h.write()
    assert h.systemctl("reload").returncode == 0
    h.supervisor(log_format="auto")
    h.write()
    assert h.systemctl("reload").returncode == 0
    objects = [json.loads(entry["MESSAGE"]) for entry in entries("-u", h.unit, "_TRANSPORT=stdout", f"_PID={h.pid}")
               if entry["MESSAGE"].startswith("{")]
    assert {"reload-started", "worker-ready"} <= {found.get("event") for found in objects}
    assert wait_entries(h, "HANDOVER_EVENT=reload-committed")


def test_forced_where_standard_error_is_elsewhere(service):
    h = service()
    h.pool("api", steps("ready", "say:forced"))
    h.supervisor(log_format="journal")
    h.override(StandardError="null")
    h.start()
    assert wait_entries(h, "HANDOVER_EVENT=instance-ready") and wait_entries(h, "MESSAGE=forced")
    h.stop()
    h.supervisor(log_format="auto")
    h.start()
    assert len(of(h, "HANDOVER_EVENT=instance-ready")) == 1


# --- output of workers ---

def test_output_of_workers(service):
    h = service()
    h.pool("api", steps("say:plain", "err:<3>it failed", "say:<9>odd", "say:a\tb", "ready"), workers=1)
    h.start()
    found = wait_entries(h, "HANDOVER_EVENT=worker-output", n=4)
    pid = str(h.pids()[0])
    assert [(entry["MESSAGE"], entry["PRIORITY"]) for entry in found] == [
        ("plain", "6"), ("it failed", "3"), ("<9>odd", "6"), ("a\tb", "6")]
    for entry in found:
        assert entry["SYSLOG_IDENTIFIER"] == "api" and entry["HANDOVER_POOL"] == "api" and entry["HANDOVER_SLOT"] == "0"
        assert entry["HANDOVER_GENERATION"] == "1" and entry["HANDOVER_WORKER_PID"] == pid and "MESSAGE_ID" not in entry
    assert [entry["MESSAGE"] for entry in entries("-u", h.unit, "-p", "err", "-t", "api")] == ["it failed"]
    assert "it failed" in logs(h).stdout and "journalctl" not in logs(h).stderr


def test_any_bytes_of_workers(service):
    h = service()
    script = r"printf 'nul\000byte\n\033[31mred\n\377\376\nMESSAGE=x\nPRIORITY\n'; exec " + steps("long-line:9000", "ready")
    h.pool("api", f"sh -c {json.dumps(script)}", workers=1)
    h.start()
    h.stop()  # tells the line without an end
    found = [entry["MESSAGE"] for entry in of(h, "HANDOVER_EVENT=worker-output")]
    found = [text if isinstance(text, bytes) else text.encode() for text in found]
    assert found[:5] == [b"nul\0byte", b"\x1b[31mred", b"\xff\xfe", b"MESSAGE=x", b"PRIORITY"]
    assert sum(map(len, found[5:])) == 9000 and max(map(len, found[5:])) <= 4000


def test_straight_into_the_journal(service):
    h = service()
    h.pool("api", steps("say:plain", "err:<3>it failed", f"dump:{h.path('dump')}", "ready"), workers=1, stdout="journal")
    h.pool("other", steps("say:captured", "ready"), workers=1)
    h.start()
    found = h.wait(lambda: (lambda f: f if len(f) == 2 else None)(entries("-u", h.unit, "-t", "api")), "both lines")
    assert [(entry["MESSAGE"], entry["PRIORITY"], entry["_TRANSPORT"]) for entry in found] == [
        ("plain", "6", "stdout"), ("it failed", "3", "stdout")]
    pid = h.pids("api")[0]
    assert all(entry["_PID"] == str(pid) and "HANDOVER_POOL" not in entry for entry in found)
    stream = os.stat(f"/proc/{pid}/fd/2")
    environment = open(f"/proc/{pid}/environ", encoding="utf-8").read().split("\0")
    assert f"JOURNAL_STREAM={stream.st_dev}:{stream.st_ino}" in environment
    assert os.stat(f"/proc/{pid}/fd/1").st_ino == stream.st_ino
    for arguments in [], ["api"]:
        shown = logs(h, *arguments)
        hint = re.search(r"pool api writes straight into the journal; to see it: (journalctl .*)", shown.stderr)
        assert hint and "plain" not in shown.stdout and "it failed" not in shown.stdout
        assert "it failed" in subprocess.run(hint[1].split(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                             check=True).stdout
    shown = logs(h, "other")
    assert "journal" not in shown.stderr and "captured" in shown.stdout
    # a failed reload cannot show its last lines, and says where they are
    h.pool("api", steps("say:cannot open database", "exit:3"))
    h.write()
    assert h.systemctl("reload").returncode == 1
    h.wait_log(rf"went straight into the journal: journalctl -u {re.escape(h.unit)} -t api")
    assert h.wait(lambda: "cannot open database" in journal("-u", h.unit, "-t", "api"), "the worker's last line")


def test_one_of_both_straight(service):
    h = service()
    h.pool("api", steps("say:captured", "err:straight", "ready"), workers=1, stderr="journal")
    h.start()
    assert wait_entries(h, "MESSAGE=captured")
    assert h.wait(lambda: entries("-u", h.unit, "MESSAGE=straight", "_TRANSPORT=stdout"), "the line of standard error")
    assert "captured" in logs(h).stdout


# --- a journal that does not listen ---

@pytest.fixture(name="own")
def fixture_own(service):
    """A service with a journald of its own (LogNamespace=), which is the test's to stop and to restart."""
    h = service()
    h.namespace = re.sub("[^a-z0-9]", "x", h.name)
    h.override(LogNamespace=h.namespace)
    yield h
    systemctl("stop", journald_of(h), f"systemd-journald@{h.namespace}.socket")


def journald_of(h):
    return f"systemd-journald@{h.namespace}.service"


@contextlib.contextmanager
def stopped(h):
    pid = int(systemctl("show", "--property", "MainPID", "--value", journald_of(h)).stdout)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def noisy(h, **more):
    """A pool whose worker writes, when told to, more than the socket and our queue hold."""
    h.pool("noisy", steps("ready", f"await:{h.path('go')}", "flood:4000000", f"create:{h.path('done')}"), workers=1, **more)


def make_noise(h):
    with open(h.path("go"), "w", encoding="ascii"):
        pass
    h.wait(lambda: os.path.exists(h.path("done")), "a worker to get rid of its output")


@pytest.mark.parametrize("stdout", ["capture", "journal"])
def test_a_journald_that_is_stopped_stops_nobody(own, stdout):
    """The master serves, reloads and answers; afterwards it says how much was lost."""
    h = own
    port = h.socket("web")
    h.pool("api", rpc(), sockets="web", workers=1, stdout=stdout)
    noisy(h)
    h.start()
    with stopped(h):
        make_noise(h)
        assert call(port, "info")["generation"] == 1
        h.pool("noisy", steps("ready"))
        h.write()
        assert subprocess.run(["handover", "-i", h.name, "reload", "--quiet"], stdin=subprocess.DEVNULL, timeout=30,
                              check=False).returncode == 0
        assert call(port, "info")["generation"] == 2
    dropped = h.wait(lambda: re.search(r"pool noisy slot 0: (\d+) lines dropped: the journal was not read fast enough", h.log),
                     "the count of what was dropped", timeout=30)
    assert int(dropped[1]) > 1000
    # our own log had room behind the flood
    assert wait_entries(h, "HANDOVER_EVENT=reload-committed") and "entries of the log were dropped" not in h.log


def test_what_is_lost_of_our_own_log_is_counted(own):
    h = own
    noisy(h)
    h.start()
    with stopped(h):
        make_noise(h)
        for n in range(400):
            assert h.api.post("/v1/out-of-service", on=n % 2 == 0)[0] == 200
    lost = h.wait(lambda: re.search(r"(\d+) entries of the log were dropped: the journal did not take them", h.log), "the count")
    assert len(of(h, "HANDOVER_EVENT=out-of-service")) + int(lost[1]) == 400


def test_a_stop_does_not_wait_for_a_stopped_journald(own):
    h = own
    noisy(h)
    h.start()
    with stopped(h):
        make_noise(h)
        h.stop()
    assert h.log


def test_the_last_words_of_a_worker_are_the_units(own):
    """journald reads them when the worker is gone, and with it what journald would have asked for its unit."""
    h = own
    h.pool("api", steps("ready"), workers=1, stdout="journal")
    h.start()
    h.pool("api", steps("say:cannot open database", "exit:3"))
    h.write()
    with stopped(h):
        assert h.systemctl("reload").returncode == 1
    h.wait(lambda: "cannot open database" in h.journal("-t", "api"), "the worker's last line")


def test_without_the_journals_sockets(service):
    """Standard error still leads to the journal, but nothing else does: all goes that way, priorities included."""
    h = service()
    h.pool("api", steps("say:captured", "ready"), workers=1)
    h.pool("straight", steps("say:not straight", "ready"), workers=1, stdout="journal")
    h.override(TemporaryFileSystem="/run/systemd/journal")
    h.start()
    h.wait_log(r"cannot reach the journal at /run/systemd/journal/socket: No such file or directory; the log goes to standard error")
    h.wait_log(r"\[pool:straight\] stdout: there is no journal at /run/systemd/journal/stdout .*output will be captured instead")
    h.wait_log(r"pool straight slot 0: cannot connect its output to the journal .*; it passes through the instance instead")
    h.wait_log(r"api\[0\] g1 pid \d+: captured")
    h.wait_log(r"straight\[0\] g1 pid \d+: not straight")
    found = entries("-u", h.unit, f"_PID={h.pid}")
    assert {entry["_TRANSPORT"] for entry in found} == {"stdout"}
    assert {"4", "5", "6"} <= {entry["PRIORITY"] for entry in found}


def test_a_restarted_journald_is_found_again(own):
    h = own
    h.pool("api", steps("ready", f"await:{h.path('go')}", "say:afterwards"), workers=1)
    h.pool("straight", steps("ready", f"await:{h.path('go')}", "say:straight afterwards"), workers=1, stdout="journal")
    h.start()
    systemctl("restart", journald_of(h), check=True)
    with open(h.path("go"), "w", encoding="ascii"):
        pass
    assert wait_entries(h, "MESSAGE=afterwards")
    assert h.wait(lambda: h.journal("MESSAGE=straight afterwards"), "the line of the other")


# --- the last word ---

@pytest.mark.parametrize("late", [False, True])
def test_the_reason_stands_last(own, late):
    """What `handover reload` says stands behind all that the instance said of it, also when journald is late with reading.
    (Half a second later the instance says it once more: see test_truth.py.)"""
    h = own
    h.pool("api", steps("exit-on:TERM:0", "ready"), workers=1)  # no other has to go
    h.start()
    h.pool("api", steps("say:cannot open database", "exit:3"))
    h.write()
    with stopped(h) if late else contextlib.nullcontext():
        assert h.systemctl("reload").returncode == 1
    lines = h.wait(lambda: (lambda told: told if "handover: reload 2 failed" in told else None)(h.log), "the reason").splitlines()
    reason = r"reload 2 failed: pool api slot \d generation 2 pid \d+ exited with code 3, .*"
    if "handover: " not in lines[-1]:  # already said once more
        assert re.fullmatch(reason, lines.pop())
    assert re.fullmatch(f"handover: {reason}", lines[-1]), lines
    assert [line for line in lines if re.fullmatch(reason, line)]
    assert "cannot open database" in lines[-2]
    told = entries("MESSAGE=" + lines[-1], namespace=h.namespace)
    assert told[0]["SYSLOG_IDENTIFIER"] == "handover" and told[0]["PRIORITY"] == "5"
