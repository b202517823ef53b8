"""handover why: what is known of workers that ended, and what is not claimed."""
import json
import os
import re
import shutil
import signal
import subprocess

import pytest

import cli_tools
import harness
from harness import STEP_WORKER, process_stat, read_file, steps, wait_until

# hangs in a handler; its dump is Python's own
HANGS = """
import faulthandler, os, signal, socket, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
faulthandler.register(signal.SIGQUIT, all_threads=True)
def handle_request():
    while True:
        time.sleep(1000)
print("serving", flush=True)
print("one request came", flush=True)
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.sendto(b"READY=1\\nSTATUS=in trouble\\nX_HANDOVER_INFLIGHT=3", os.environ["NOTIFY_SOCKET"].replace("@", "\\0", 1))
handle_request()
"""


def create(path):
    with open(path, "w", encoding="utf-8"):
        pass


def incidents(h, **query):
    words = "&".join(f"{name}={value}" for name, value in query.items())
    return h.api.get("/v1/why" + (f"?{words}" if words else ""))["incidents"]


def wait_incident(h, n=1, **query):
    """Waits for the n-th one."""
    return h.wait(lambda: len(incidents(h, **query)) >= n and incidents(h, **query)[n - 1], f"incident {n}")


def last_of(h, **members):
    """Waits for an incident with these members."""
    return h.wait(lambda: next((i for i in incidents(h) if all(i[k] == v for k, v in members.items())), None), f"an incident {members}")


# --- ends ---

def test_ends_that_nobody_asked_for(handover):
    """A pool for each kind of end, in one instance."""
    h = handover()
    go = h.path("go")
    ends = {"code": "exit:7", "segv": "die:SEGV", "abort": "die:ABRT", "clean": "exit:0"}
    for name, end in ends.items():
        h.pool(name, steps("ready", "say:the last line", f"await:{go}", end), restart="never", limit_core=0)
    h.pool("killed", steps("ready"), restart="never")
    h.pool("asked", steps("ready"), restart="never")
    h.start()
    assert incidents(h) == []
    assert re.match(r"no incident of any pool is known, since \d{4}", h.cli("why").stdout)
    started = {w["pool"]: w["pid"] for w in h.workers()}
    create(go)
    os.kill(started["killed"], signal.SIGKILL)
    assert h.cli("signal", "asked/0", "KILL").returncode == 0
    found = {i["pool"]: i for i in h.wait(lambda: len(incidents(h)) == 6 and incidents(h), "six incidents")}
    assert {pool: i["pid"] for pool, i in found.items()} == started
    assert {pool: (i["kind"], i["exit"], i["exit_code"], i["signal"]) for pool, i in found.items()} == {
        "code": ("crashed", "exited with code 7", 7, None),
        "segv": ("crashed", "killed by SIGSEGV", None, "SIGSEGV"),
        "abort": ("crashed", "killed by SIGABRT", None, "SIGABRT"),
        "clean": ("exited", "exited with code 0", 0, None),
        "killed": ("crashed", "killed by SIGKILL", None, "SIGKILL"),
        "asked": ("crashed", "killed by SIGKILL", None, "SIGKILL")}
    assert found["code"]["ended_by"] == found["clean"]["ended_by"] == "itself"
    assert found["segv"]["ended_by"] == ("itself, most likely: SIGSEGV is a fault of the program; whether somebody sent the signal, "
                                         "the kernel does not tell")
    assert found["abort"]["ended_by"].startswith("itself, most likely: abort() is an assertion or a runtime that gave up")
    assert found["killed"]["ended_by"].startswith("not handoverd")
    assert found["killed"]["ended_by"].endswith("the kernel does not tell who sends a signal")
    assert re.fullmatch(rf"SIGKILL \S+ \S+ before, sent for uid {os.geteuid()} pid \d+ \(handover signal, handover dump\)", found["asked"]["ended_by"])
    for incident in found.values():
        assert incident["started_for"] == "start of the instance" and incident["executable"] == STEP_WORKER
        assert incident["up_s"] >= incident["served_s"] >= 0 and incident["time"] > incident["started"]
        assert incident["drain"] is None and incident["dump"] is None and incident["threads"] == []
        assert "after it had served for" in incident["message"]
    assert found["code"]["lines"] == ["the last line"] and found["killed"]["lines"] == []
    # the metrics count the same
    text = h.api.request("GET", "/metrics")[1]
    for pool, incident in found.items():
        reason = "renewal" if incident["kind"] == "exited" else "crash"
        assert f'handover_worker_restarts_total{{pool="{pool}",reason="{reason}"}} 1' in text


def test_a_start_that_fails_and_what_follows_it(handover):
    h = handover()
    program = h.path("program")
    shutil.copy(STEP_WORKER, program)
    h.pool("api", f"{program} ready", restart_delay="10ms", restart_delay_max="10ms", crash_loop_after=1000)
    h.start()
    [pid] = h.pids()
    os.chmod(program, 0o644)
    os.kill(pid, signal.SIGKILL)
    failed = wait_incident(h, 2)
    assert (failed["kind"], failed["pid"], failed["started"], failed["exit"]) == ("start-failed", None, None, None)
    assert failed["message"] == f"could not be started: cannot execute {program}: Permission denied (the file is not marked as executable)"
    assert failed["started_for"] == "in place of the one of incident 1"
    os.chmod(program, 0o755)
    h.wait(h.pids, "a worker that serves")
    os.kill(h.pids()[0], signal.SIGKILL)
    before, last = h.wait(lambda: incidents(h)[-1]["kind"] == "crashed" and incidents(h)[-2:], "the next crash")
    assert before["kind"] == "start-failed" and last["started_for"] == f"in place of the one of incident {before['id']}"


def test_a_bad_version_and_a_bad_drain(handover):
    h = handover()
    h.pool("api", steps("ready", "exit-on:TERM:3"), start_timeout="30s")
    h.start()
    h.pool("new", steps("say:no database", "exit:4"))
    h.write()
    h.bad_reload()
    # a pool that was not to be: its worker's end is known all the same
    crashed = wait_incident(h, pool="new")
    assert (crashed["kind"], crashed["started_for"], crashed["served_s"], crashed["lines"]) == ("crashed", "reload 2", None, ["no database"])
    assert "before it was ready, " in crashed["message"]
    h.section("pool:new", command=steps("ignore:TERM"), start_timeout="50ms", drain_timeout="10ms")
    h.write()
    h.bad_reload()
    late = last_of(h, kind="not-ready")
    assert late["message"] == "was not ready within 50 ms (start_timeout): SIGKILL; killed by SIGKILL"
    assert late["drain"]["reason"] == "not ready in time" and late["started_for"] == "reload 3" and late["threads"][0]["tid"] == late["pid"]
    # one that goes when it is told to: what it was doing is what it did when its time was up
    h.section("pool:new", command=steps("sleep:1000000"), drain_timeout="1h")
    h.write()
    h.bad_reload()
    late = last_of(h, kind="not-ready", started_for="reload 4")
    assert late["message"] == "was not ready within 50 ms (start_timeout): killed by SIGTERM"
    assert late["ended_by"] == "handoverd: SIGTERM, the drain signal" and "sleep" in late["threads"][0]["syscall"]
    del h.sections["pool:new"]
    h.write()
    h.good_reload(wait="drained")
    bad = last_of(h, kind="failed-drain", generation=1)
    assert re.fullmatch(r"exited with code 3, \S+ \S+ after it was told to go \(reload\)", bad["message"])
    assert bad["drain"]["reason"] == "reload" and bad["drain"]["budget_s"] >= bad["drain"]["took_s"] >= 0
    assert not h.cli("why", "new").stdout.startswith("no incident")


def test_no_incident_where_all_went_well(handover):
    h = handover()
    h.pool("api", steps("ready", "exit-on:TERM:0"), workers=2)
    h.pool("dies", steps("ready"))  # of the drain signal: that is how it goes
    h.start()
    h.good_reload(wait="drained")
    assert h.api.post("/v1/pools/api/scale", workers=1, wait="drained")[0] == 200
    assert incidents(h) == []
    h.stop()
    assert h.count_log("incident") == 0


@pytest.mark.parametrize("draining", [False, True])
def test_stop_now_takes_the_budget_away(handover, draining):
    h = handover()
    h.pool("api", steps("ready", "ignore:TERM"), workers=2, stop_timeout="1h")
    h.start()
    if draining:
        h.signal(signal.SIGTERM)
        h.wait(lambda: len(h.workers("api", "draining")) == 2, "the drains")
    h.cli("stop", "--now")
    h.wait_exit(0)
    assert h.count_log(r"notice incident \d \(killed\) of pool api slot \d generation 1 pid \d+: had to go at once \(stop\): SIGKILL; "
                       r"killed by SIGKILL\n") == 2, h.log


# --- hangs ---

def test_a_hang_in_a_handler_with_its_dump(handover):
    h = handover()
    with open(h.path("hangs.py"), "w", encoding="utf-8") as file:
        file.write(HANGS)
    h.pool("api", f"/usr/bin/python3 {h.path('hangs.py')}", drain_timeout="50ms", dump_signal="SIGQUIT", dump_timeout="300ms")
    h.start()
    [pid] = h.pids()
    h.wait(lambda: h.workers()[0]["status"] == "in trouble", "its status")
    with h.api.lines("GET", "/v1/events") as events:
        h.good_reload(wait="drained")
        event = events.until(event="worker-incident")
    [incident] = incidents(h)
    assert (event["id"], event["kind"], event["pid"], event["by"]) == (1, "overdue", pid, incident["ended_by"])
    assert incident["message"] == "had not ended within its 50 ms (reload): SIGQUIT, then SIGKILL; killed by SIGKILL"
    assert incident["ended_by"] == "handoverd: SIGKILL when its time was over"
    assert incident["status"] == "in trouble"
    drain = incident["drain"]
    assert (drain["reason"], drain["budget_s"], drain["inflight"]) == ("reload", 0.05, 3) and drain["took_s"] >= 0.35
    assert incident["lines"] == ["serving", "one request came"], "before the dump"
    assert incident["dump"]["signal"] == "SIGQUIT" and not incident["dump"]["cut"]
    dump = "\n".join(incident["dump"]["lines"])
    assert "most recent call first" in dump and "in handle_request" in dump
    [thread] = incident["threads"]
    assert (thread["tid"], thread["name"], thread["state"]) == (pid, "python3", "S") and "sleep" in thread["syscall"]
    shown = h.cli("why", "api/0").stdout
    for text in (f"incident 1 (overdue) of pool api slot 0 generation 1 pid {pid}: had not ended", "reload; it had 50 ms for 3 requests in flight",
                 "its dump (what it wrote after SIGQUIT):", "in handle_request", "output before its dump:\n    serving\n", "its status     in trouble",
                 f"was doing      python3 {pid}, state S, "):
        assert text in shown, shown
    assert h.cli("why", "api").stdout == h.cli("why", pid).stdout == shown


def reads_a_fifo(h, **keys):
    """A pool whose worker waits in the kernel for a line that nobody writes."""
    os.mkfifo(h.path("fifo"))
    h.pool("api", f"sh -c 'trap \"\" TERM; exec 9<>{h.path('fifo')}; read line <&9'", ready="delay:1ms", drain_timeout="10ms", **keys)


def test_one_that_waits_in_the_kernel(handover):
    h = handover()
    reads_a_fifo(h)
    h.start()
    [pid] = h.pids()
    wait_until(lambda: read_file(f"/proc/{pid}/wchan") not in (b"", b"0") and (process_stat(pid) or "?")[0] == "S", "it to wait")
    waits_in = read_file(f"/proc/{pid}/wchan").decode()
    stack = read_file(f"/proc/{pid}/stack").decode()
    h.good_reload(wait="drained")
    [incident] = incidents(h)
    [thread] = incident["threads"]
    assert thread["syscall"] == f"read of descriptor 0 ({h.path('fifo')})"
    assert thread["wchan"] == waits_in and thread["state"] == "S"
    assert thread["stack"] == [line.split("] ")[1] for line in stack.splitlines()][:12]
    if not stack:
        assert "kernel stacks: " in incident["threads_missing"]
    assert h.count_log(re.escape(f"notice incident 1 (overdue) of pool api slot 0 generation 1 pid {pid}: had not ended within its 10 ms (reload): "
                                 f"SIGKILL; killed by SIGKILL; it was in state S, read of descriptor 0 ({h.path('fifo')}), waiting in {waits_in}")) == 1
    assert f"read of descriptor 0 ({h.path('fifo')}), waits in {waits_in}" in h.cli("why", "api/0").stdout


@pytest.mark.needs_root
def test_a_stack_that_may_not_be_read(handover):
    h = handover()
    reads_a_fifo(h)
    h.start(wrapper=("setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"))
    h.good_reload(wait="drained")
    [incident] = incidents(h)
    assert incident["threads"][0]["stack"] == [] and incident["threads"][0]["syscall"] != ""
    assert re.fullmatch(r"kernel stacks: (Operation not permitted|Permission denied) \(needs CAP_SYS_ADMIN\)", incident["threads_missing"])
    assert "not seen       kernel stacks: " in h.cli("why", "api").stdout


def test_a_watchdog(handover):
    h = handover()
    h.pool("api", steps("say-on:ABRT:dumped", "say:stuck", "ready"), watchdog="100ms", dump_timeout="200ms", restart="never")
    h.start()
    incident = wait_incident(h)
    assert incident["kind"] == "hung"
    assert incident["message"] == "hung: its watchdog was not fed for 100 ms: SIGABRT, then SIGKILL; killed by SIGKILL"
    assert incident["drain"] is None, "nobody had told it to go"
    assert incident["lines"] == ["stuck"] and incident["dump"] == {"signal": "SIGABRT", "lines": ["dumped"], "cut": False}
    assert incident["threads"][0]["name"] == "step-worker"
    assert 'handover_worker_restarts_total{pool="api",reason="hang"} 1' in h.api.request("GET", "/metrics")[1]


def test_the_dump_signal_ends_it(handover):
    h = handover()
    h.pool("api", steps("ready", "ignore:TERM"), drain_timeout="10ms", dump_signal="SIGUSR2", dump_timeout="1h")
    h.start()
    h.good_reload(wait="drained")
    [incident] = incidents(h)
    assert incident["ended_by"] == "handoverd: SIGUSR2, the dump signal, when its time was over"
    assert incident["message"] == "had not ended within its 10 ms (reload): SIGUSR2; killed by SIGUSR2"
    assert incident["dump"]["lines"] == [] and "it wrote nothing after SIGUSR2" in h.cli("why", "api").stdout


def script(h, text):
    """A command that runs these lines of a shell."""
    with open(h.path("script"), "w", encoding="utf-8") as file:
        file.write(text)
    return f"sh {h.path('script')}"


def test_a_dump_that_is_too_long(handover):
    h = handover()
    h.pool("api", script(h, "trap '' TERM\ntrap 'i=0; while [ $i -lt 1000 ]; do echo a line of a long dump; i=$((i+1)); done' QUIT\n"
                            "while :; do sleep 0.01; done\n"),
           ready="delay:1ms", drain_timeout="50ms", dump_signal="SIGQUIT", dump_timeout="400ms")
    h.start()
    h.good_reload(wait="drained")
    dump = incidents(h)[0]["dump"]
    assert dump["cut"] and dump["lines"][0] == "a line of a long dump"
    assert 8000 < len("\n".join(dump["lines"])) <= 8192
    assert "its dump (what it wrote after SIGQUIT; the rest is in the log):" in h.cli("why", "api").stdout


# --- memory ---

def test_the_last_twenty_of_a_pool(handover):
    h = handover()
    h.pool("api", steps("ready", f"exit-unless:{h.path('stay')}:5"), restart_delay="10ms", restart_delay_max="10ms", crash_loop_after=1000,
           on_start_failure="retry")
    h.pool("web", steps("ready", f"await:{h.path('stay')}", "exit:0"), restart="never")
    h.launch()
    h.wait(lambda: os.path.exists(h.control) and len(incidents(h, pool="api")) >= 20 and incidents(h, pool="api")[-1]["id"] >= 25, "25 crashes")
    create(h.path("stay"))
    h.wait(lambda: len(incidents(h, pool="web")) == 1 and h.pids("api"), "its end, and a worker that stays")
    answer = h.api.get("/v1/why?pool=api")
    ids = [i["id"] for i in answer["incidents"]]
    assert len(ids) == 20 and ids == sorted(ids) and answer["dropped"] >= 5
    assert len(incidents(h)) == 21 and incidents(h, slot=7) == []
    [web] = incidents(h, pool="web")
    assert incidents(h, pid=web["pid"]) == [web]
    assert len([line for line in h.cli("why", "api").stdout.splitlines() if " api/0 " in line]) == 20
    assert h.cli("why", "-v", "api").stdout.count("ended by       itself") == 20
    assert h.cli("why", "elsewhere").stderr == "handover: there is no pool 'elsewhere'; `handover status -v` lists them\n"
    assert json.loads(h.cli("why", "--json").stdout) == h.api.get("/v1/why")
    assert len(h.cli("why", "--json").stdout.splitlines()) == 1


@pytest.mark.needs_root
def test_a_pid_that_is_used_again(handover):
    """In a PID namespace of its own nobody else takes the number."""
    h = handover()
    h.pool("api", steps("ready", f"await:{h.path('go')}", "exit:3"), restart_delay="1h", restart_delay_max="1h")
    h.start(wrapper=["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"])
    init = h.wait(lambda: harness.children_of(h.pid), "process 1")[0]
    [pid] = h.pids()
    subprocess.run(["nsenter", "-t", str(init), "-p", "-m", "sh", "-c", f"echo {pid - 1} >/proc/sys/kernel/ns_last_pid"], check=True)
    create(h.path("go"))
    wait_incident(h, 2)
    first, second = incidents(h, pid=pid)
    assert first["pid"] == second["pid"] == pid and first["started"] < second["started"]
    assert (first["started_for"], second["started_for"]) == ("start of the instance", "in place of the one of incident 1")
    os.kill(init, signal.SIGTERM)
    h.wait_exit(0)


def test_who_may_ask_and_for_what(handover):
    h = handover()
    port = h.ports.take()
    h.supervisor(status_listen=f"127.0.0.1:{port}")
    h.pool("api", steps("ready"))
    h.start()
    # output may be confidential: it is not for the TCP port
    assert harness.Api(port).request("GET", "/v1/why")[0] == 404
    assert harness.Api(port).request("GET", "/v1/history")[0] == 200
    for query, said in (("slot=x", "'slot' must be the number of a slot, from 0"), ("pid=0", "'pid' must be the number of a process, from 1"),
                        ("pool=apj", "there is no pool 'apj'; did you mean 'api'?"), ("pidd=1", "unknown parameter 'pidd'; did you mean 'pid'?")):
        code, text = h.api.request("GET", f"/v1/why?{query}")
        assert code in (400, 404) and json.loads(text)["error"] == said
    assert h.api.request("POST", "/v1/why", {})[0] == 405
    assert h.cli("why", "api/x").returncode == 2 and h.cli("why", "apj").returncode == 1
    assert h.cli("why", "4194303").stdout.startswith("no incident of pid 4194303 is known, since ")
    assert h.cli("why", "api/0").stdout.startswith("no incident of pool api slot 0 is known, since ")


def test_what_workers_write_cannot_steer_a_terminal(handover):
    h = handover()
    h.pool("api", script(h, "printf '\\033[31mred\\007\\n'\n" + steps("exit:1")),
           restart="never", on_start_failure="retry")
    h.launch()
    h.wait(lambda: os.path.exists(h.control) and incidents(h), "its end")
    with cli_tools.Place():
        shown = subprocess.run(["script", "-qec", f"{cli_tools.HANDOVER} -c {h.control} why", "/dev/null"], stdin=subprocess.DEVNULL,
                               capture_output=True, timeout=30, env=cli_tools.environment(NO_COLOR="1"), check=True).stdout.decode()
    assert "^[[31mred^G" in shown and "\x1b[31m" not in shown and "\x07" not in shown
