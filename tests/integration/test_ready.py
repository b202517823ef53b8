"""When a worker counts as ready: notify, delay, fd:N, exec:CMD; time-outs and their extension; who is believed."""
import os
import re
import shlex
import socket

import pytest

from harness import is_alive, process_stat, read_file, rpc, steps


def notify(address, text):
    """A message from this process, a stranger, to a worker's NOTIFY_SOCKET."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(text if isinstance(text, bytes) else text.encode(), address.replace("@", "\0", 1))


def notify_socket_of(h, dump="dump"):
    return next(item.split("=", 1)[1] for item in h.json_of(dump)["env"] if item.startswith("NOTIFY_SOCKET="))


def script(h, name, text):
    with open(h.path(name), "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\n" + text)
    os.chmod(h.path(name), 0o755)
    return h.path(name)


# --- notify ---

def test_not_ready_until_the_worker_says_so(handover):
    h = handover()
    flag = h.path("go")
    h.pool("api", steps("notify:STATUS=warming up", f"await:{flag}", "ready"), workers=2)
    h.launch()
    h.wait(lambda: os.path.exists(h.control), "the control socket")
    h.wait(lambda: [w["status"] for w in h.workers("api", "starting")] == ["warming up"] * 2, "workers that warm up")
    assert h.status()["state"] == "starting" and not h.status()["ready"]
    with open(flag, "w", encoding="utf-8"):
        pass
    h.wait_log("is ready: 2 workers serve")
    assert len(h.workers("api", "serving")) == 2


def test_ready_twice_is_ready_once(handover):
    h = handover()
    h.pool("api", steps("ready", "ready", "notify:READY=1|STATUS=again"))
    h.start()
    h.wait(lambda: h.workers()[0]["status"] == "again", "its status")
    assert h.count_log("is ready after") == 1


def test_ready_from_a_stranger_is_ignored_and_logged_once(handover):
    h = handover()
    flag = h.path("go")
    h.pool("api", steps(f"dump:{h.path('dump')}", f"await:{flag}", "ready"))
    h.launch()
    address = notify_socket_of(h)
    for _ in range(50):
        notify(address, "READY=1\nSTATUS=forged")
    h.wait_log(rf"ignoring a message to its NOTIFY_SOCKET from pid {os.getpid()} uid {os.getuid()}, which is not that worker")
    assert h.workers()[0]["state"] == "starting" and not h.workers()[0]["status"]
    with open(flag, "w", encoding="utf-8"):
        pass
    h.wait_log("is ready: 1 worker")
    assert h.count_log("ignoring a message") == 1, "at most once a minute"


def test_a_helper_that_is_gone_already_is_believed(handover):
    h = handover()
    h.pool("api", steps("helper-notify:STATUS=by a helper|READY=1"))
    h.start()
    h.wait(lambda: h.workers()[0]["status"] == "by a helper", "its status")


def test_systemd_notify_works_and_is_not_kept_waiting(handover):
    """systemd-notify asks for BARRIER=1 behind its message, and waits for the answer."""
    h = handover()
    h.pool("api", script(h, "worker", f"systemd-notify --ready --status='from a shell' && touch {h.path('done')}\nexec sleep 1000\n"))
    h.start()
    h.wait(lambda: os.path.exists(h.path("done")), "the end of systemd-notify")
    assert h.workers()[0]["status"] == "from a shell"


@pytest.mark.parametrize("text", [b"", b"\0", b"READY", b"=1", b"\xff" * 1000, b"A" * 60000, b"READY=1\0", b"\n" * 5000,
                                  b"READY=11\nWATCHDOG_USEC=99999999999999999999999999\nMAINPID=-1\nEXTEND_TIMEOUT_USEC=x"])
def test_malformed_messages_do_nothing(handover, text):
    """From a stranger; what a worker itself may send is test_worker_messages_that_are_odd's."""
    h = handover()
    h.pool("api", steps(f"dump:{h.path('dump')}", f"await:{h.path('go')}", "ready"))
    h.launch()
    notify(notify_socket_of(h), text)
    with open(h.path("go"), "w", encoding="utf-8"):
        pass
    h.wait_log("is ready: 1 worker")


def test_worker_messages_that_are_odd(handover):
    h = handover()
    h.pool("api", steps("notify:", "notify:READY", "notify:READY=yes", "notify:=1", "notify:ready=1", "notify:" + "x" * 20000,
                        r"notify:STATUS=a\x07b\x1b[31m", "notify:X_HANDOVER_INFLIGHT=many", f"await:{h.path('go')}",
                        "notify:WHAT=ever|READY=1|X_HANDOVER_INFLIGHT=3"))
    h.launch()
    h.wait(lambda: os.path.exists(h.control), "the control socket")
    h.wait(lambda: h.workers()[0]["status"], "its status")
    assert h.workers()[0]["status"] == "a b [31m"
    assert h.workers()[0]["state"] == "starting"
    with open(h.path("go"), "w", encoding="utf-8"):
        pass
    h.wait_log("is ready: 1 worker")
    assert h.workers()[0]["inflight"] == 3


# --- the other ways ---

def test_ready_by_delay(handover):
    h = handover()
    h.pool("api", steps(), ready="delay:250ms")
    h.start()
    milliseconds = float(re.search(r"is ready after ([\d.]+) ms", h.log)[1])
    assert 250 <= milliseconds


def test_a_worker_that_ends_within_its_delay_is_a_failure(handover):
    h = handover()
    h.pool("api", steps("sleep:50", "exit:0"), ready="delay:10s")
    h.end_early(code=1)
    assert re.search(r"start 1 failed: .* exited with code 0, .* before it was ready", h.log)


def test_ready_by_descriptor(handover):
    h = handover()
    h.socket("web")
    h.pool("api", rpc("--ready-fd", 4), sockets="web", ready="fd:4", workers=2)
    h.start()


def test_a_descriptor_needs_a_newline(handover):
    h = handover()
    h.pool("api", script(h, "worker", f"printf almost >&5\nwhile ! test -e {h.path('go')}; do sleep 0.02; done\n"
                         "printf ' there\\n' >&5\nexec sleep 1000\n"), ready="fd:5")
    h.launch()
    h.wait_log("started")
    assert h.count_log("is ready after") == 0
    with open(h.path("go"), "w", encoding="utf-8"):
        pass
    h.wait_log("is ready: 1 worker")


def test_notify_does_not_count_where_readiness_is_another(handover):
    h = handover()
    h.pool("api", steps("ready", f"await:{h.path('go')}", "write:5:"), ready="fd:5")
    h.launch()
    h.wait_log("started")
    h.wait(lambda: os.path.exists(h.control), "the control socket")
    assert h.workers()[0]["state"] == "starting"
    with open(h.path("go"), "w", encoding="utf-8"):
        pass
    h.wait_log("is ready: 1 worker")


def test_ready_by_command_which_is_repeated(handover):
    h = handover()
    probe = script(h, "probe", f'echo run >>{h.path("runs")}\necho "$HANDOVER_WORKER_PID $HANDOVER_SLOT $1" >{h.path("seen")}\n'
                               f'test "$(wc -l <{h.path("runs")})" -ge 3\n')
    h.pool("api", steps(), ready=f"exec:{probe} %p-%n")
    h.start()
    assert read_file(h.path("runs")) == b"run\n" * 3
    assert read_file(h.path("seen")).decode().split() == [str(h.pids()[0]), "0", "api-0"]


def test_ready_by_command_is_given_nothing_of_the_workers(handover):
    h = handover()
    h.socket("web")
    h.pool("api", steps("sleep:100000"), sockets="web", watchdog="100s", ready=f"exec:{steps('dump:' + h.path('dump'), 'exit:0')}")
    h.start()
    dump = h.json_of("dump")
    assert sorted(dump["fds"]) == ["0", "1", "2"] and {fd["target"] for fd in dump["fds"].values()} == {"/dev/null"}
    names = {item.partition("=")[0] for item in dump["env"]}
    assert {"HANDOVER_SLOT", "HANDOVER_WORKER_PID"} <= names
    assert not [name for name in names if name.startswith(("LISTEN_", "NOTIFY_", "WATCHDOG_"))]


def test_a_ready_command_that_never_succeeds(handover):
    h = handover()
    h.pool("api", steps(), ready="exec:" + script(h, "probe", "exit 7\n"), start_timeout="1s")
    h.end_early(code=1)
    assert "was not ready within 1 s (start_timeout); the last run of its ready command exited with code 7" in h.log


def test_a_ready_command_that_hangs_is_killed_with_all_it_started(handover):
    h = handover()
    probe = script(h, "probe", f"sleep 1000 &\necho $$ $! >{h.path('pids')}\nwait\n")
    h.pool("api", steps(), ready=f"exec:{probe}", start_timeout="1s")
    h.launch()
    pids = [int(pid) for pid in h.wait(lambda: read_file(h.path("pids")).endswith(b"\n") and read_file(h.path("pids")),
                                       "the probe").split()]
    assert all(map(is_alive, pids))
    h.wait_exit(1)
    assert not any(map(is_alive, pids))
    assert "was not ready within 1 s" in h.log


def test_a_ready_command_is_killed_at_its_own_time_out_and_run_again(handover):
    """The first run hangs; the second one says yes. The run's time-out is a fixed 5 s."""
    h = handover()
    probe = script(h, "probe", f"test -e {h.path('second')} && exit 0\ntouch {h.path('second')}\nexec sleep 1000\n")
    h.pool("api", steps(), ready=f"exec:{probe}")
    h.start()
    seconds = float(re.search(r"is ready after ([\d.]+) s", h.log)[1])
    assert seconds >= 5


def test_a_ready_command_that_is_missing(handover):
    h = handover()
    h.pool("api", steps(), ready="exec:/no/such/probe")
    h.end_early(code=78)
    assert re.search(r"ready: cannot execute '/no/such/probe': no such file", h.log)


def test_ready_commands_of_many_workers_at_once_leave_no_zombies(handover):
    h = handover()
    h.pool("api", steps(), workers=20, ready="exec:" + shlex.quote("/bin/true"))
    h.start()
    assert h.count_log("is ready after") == 20
    h.wait(lambda: all(process_stat(pid) != "Z" for pid in h.pids()), "no zombies")


# --- start_timeout and its extension ---

def test_start_timeout_can_be_extended(handover):
    h = handover()
    h.pool("api", steps("notify:EXTEND_TIMEOUT_USEC=30000000", "sleep:1200", "ready"), start_timeout="1s")
    h.start()


def test_extension_ends(handover):
    h = handover()
    h.pool("api", steps("notify:EXTEND_TIMEOUT_USEC=300000"), start_timeout="50ms")
    h.end_early(code=1)
    assert "was not ready" in h.log


def test_a_late_worker_tells_what_it_was_doing(handover):
    h = handover()
    h.pool("api", steps("notify:STATUS=loading the table", "say:loading", "sleep:100000"), start_timeout="700ms")
    h.end_early(code=1)
    assert re.search(r'was not ready within 700 ms \(start_timeout\), its status: "loading the table"', h.log)
    assert "its last output: loading" in h.log


def test_stopping_before_ready_is_a_failure(handover):
    h = handover()
    h.pool("api", steps("notify:STOPPING=1", "sleep:100", "exit:0"))
    h.end_early(code=1)
    assert "said by itself that it stops" in h.log


def test_the_last_words_of_a_worker_are_heard(handover):
    """STOPPING sent just before the end, behind so many messages that its reading pauses: no crash all the same."""
    h = handover()
    flag = h.path("go")
    h.pool("api", steps("ready", f"await:{flag}", *["notify:X=1"] * 258, "notify:STOPPING=1", "exit:3"), workers=3, restart="never")
    h.start()
    with open(flag, "w", encoding="utf-8"):
        pass
    h.wait(lambda: not h.workers(), "all to be gone")
    assert h.count_log("says that it stops|stops by its own wish|own wish") >= 3 and h.count_log("exited with code 3 after it had served") == 0
