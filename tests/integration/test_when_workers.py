"""What happens when a worker misbehaves (docs/what-happens-when.md, Workers). Beside each culprit a good pool serves on the
same socket, under load."""
import contextlib
import os
import re
import signal
import time

from harness import Call, call, is_alive, is_refused, processes_of, process_stat, rpc, steps, wait_until
from when import no_leak, no_loss_and_no_leak
from when_cases import bad, create, keepalive_load, pattern_of, says, serving, ticks, times_said


def with_a_bad_one(h, command, **keys):
    """A pool that serves, and a pool `bad` that holds the same socket. Returns the port."""
    port = serving(h)
    h.pool("bad", command, sockets="web", **keys)
    return port


def is_stopped(pid):
    return (process_stat(pid) or "?")[0] == "T"


# --- those that do not go ---

def test_ignores_sigterm(handover):
    h = handover()
    port = with_a_bad_one(h, steps("ignore:TERM", "ready"), drain_timeout="150ms", stop_timeout="150ms")
    h.start()
    [pid] = h.pids("bad")
    with no_loss_and_no_leak(h, port):
        h.good_reload(wait="drained")
    who = f"pool bad slot 0 generation 1 pid {pid}"
    says(h, f"{who} has not ended within its <time> (reload): SIGKILL to it and all its processes")
    says(h, f"{who} killed by SIGKILL, <time> after it was told to go (reload)")


def test_stops_itself_and_drains_all_the_same(handover):
    """With what it had accepted: SIGCONT goes behind the drain signal."""
    h = handover()
    port = serving(h, workers=1)
    h.start()
    [pid] = h.pids("api")
    with no_loss_and_no_leak(h, port):
        os.kill(pid, signal.SIGSTOP)  # as raise(SIGSTOP) does
        wait_until(lambda: is_stopped(pid), "the worker to be stopped")
        h.good_reload(wait="drained")
    says(h, f"pool api slot 0 generation 1 pid {pid} exited with code 0, <time> after it was told to go (reload)")


def test_stops_itself_under_a_watchdog(handover):
    h = handover()
    port = with_a_bad_one(h, steps("ready", f"exit-if:{h.path('second')}:0", "notify-every:50:WATCHDOG=1"), watchdog="300ms",
                          dump_timeout="50ms")
    h.start()
    [pid] = h.pids("bad")
    with no_loss_and_no_leak(h, port):
        os.kill(pid, signal.SIGSTOP)
        says(h, f"pool bad slot 0 generation 1 pid {pid} hangs: its watchdog was not fed for 300 ms: SIGABRT now, SIGKILL in 50 ms")
        says(h, f"pool bad slot 0 generation 1 pid {pid} killed by SIGABRT, <time> after it was told to go (watchdog)")
        h.wait(lambda: h.pids("bad") and h.pids("bad") != [pid], "its successor")


# --- what they leave behind ---

def test_forks_a_child_that_holds_the_socket(handover):
    """It is in the worker's process group, and ends with it: it is told of only if SIGKILL took a moment."""
    h = handover()
    port = with_a_bad_one(h, rpc("--leak-child"))
    h.start()
    h.wait(lambda: len(processes_of(h.name)) == 4, "the child")
    before = processes_of(h.name)
    with no_loss_and_no_leak(h, port):
        h.good_reload(wait="drained")
        h.wait_gone(*before)
    assert times_said(h, "pool bad slot 0 generation 1 left process <pid> behind: killing it") == h.count_log("left process")
    h.stop()
    assert is_refused(port), "nobody holds the socket any more"


def test_double_forks_a_daemon(handover):
    h = handover()
    port = with_a_bad_one(h, rpc("--leak-daemon"))
    h.start()
    h.wait(lambda: len(processes_of(h.name)) == 4, "the daemon")
    before = processes_of(h.name)
    with no_loss_and_no_leak(h, port):
        h.good_reload(wait="drained")
        says(h, "pool bad slot 0 generation 1 left process <pid> behind: killing it")
        h.wait_gone(*before)


def test_changes_its_process_group(handover):
    h = handover()
    port = with_a_bad_one(h, bad(h, "leave_a_child_in_a_group_of_its_own"))
    h.start()
    h.wait(lambda: len(processes_of(h.name)) == 4, "the child")
    before = processes_of(h.name)
    with no_loss_and_no_leak(h, port):
        h.good_reload(wait="drained")
        says(h, "pool bad slot 0 generation 1 left process <pid> behind: killing it")
        h.wait_gone(*before)


# --- what they do to descriptors ---

def test_closes_all_descriptors(handover):
    h = handover()
    port = with_a_bad_one(h, bad(h, "close_all"))
    h.start()
    [pid] = h.pids("bad")
    wait_until(lambda: not os.listdir(f"/proc/{pid}/fd"), "all to be closed")
    before = ticks(h.pid)
    with no_loss_and_no_leak(h, port):
        h.good_reload(wait="drained")
        [pid_2] = h.pids("bad")
        wait_until(lambda: not os.listdir(f"/proc/{pid_2}/fd"), "all to be closed")
    assert ticks(h.pid) - before < 50, "it is busy with descriptors that have ended"
    says(h, f"pool bad slot 0 generation 1 pid {pid} killed by SIGTERM, <time> after it was told to go (reload)")


def test_closes_all_descriptors_before_it_is_ready(handover):
    h = handover()
    port = with_a_bad_one(h, steps("ready"))
    h.start()
    with no_loss_and_no_leak(h, port):
        h.pool("bad", bad(h, "close_all_before_ready"), start_timeout="300ms")
        h.write()
        h.bad_reload()
        says(h, "reload 2 failed: pool bad slot 0 generation 2 pid <pid> was not ready within 300 ms (start_timeout); still "
                "serving: pool api generation 1 with 2 of 2 workers, pool bad generation 1 with 1 of 1 worker")


def test_shuts_down_the_shared_socket(handover):
    """Connections that exist are served on; those in the queue at that moment are lost, which only the worker's doing is."""
    h = handover()
    port = with_a_bad_one(h, steps(f"exit-if:{h.path('once')}:0", "ready", f"await:{h.path('go')}", "shutdown:3",
                                   f"create:{h.path('done')}"), restart="never")
    h.start()
    with keepalive_load(h, port):
        create(h.path("go"))
        says(h, f"socket web (tcp 127.0.0.1:{port}) was shut down by one of its workers; it listens again (1 times so far)")
        for n in range(20):
            assert call(port, "add", a=n, b=1)["sum"] == n + 1
    os.unlink(h.path("go"))


def test_shuts_down_a_unix_socket(handover):
    """A new one takes its place, and the pools that use it get new workers: they hold the dead one."""
    h = handover()
    path = h.path("web.sock")
    h.socket("web", f"unix:{path}")
    h.pool("api", rpc(), sockets="web", workers=2)
    h.pool("bad", steps("ready", f"await:{h.path('go')}", "shutdown:3"), sockets="web")
    h.start()
    load = h.load("--keepalive", "100,4", target=f"unix:{path}")
    load.wait_answered(10)
    create(h.path("go"))
    says(h, f"socket web (unix {path}) was shut down by one of its workers; it listens again, the pools that use it are being "
            "restarted (1 times so far)")
    os.unlink(h.path("go"))
    says(h, "restart <n> committed: pool api: generation 2 serves with 2 workers")
    load.wait_answered(10)
    code, summary, printed = load.finish()
    assert code == 0 and summary["total"]["failed"] == 0, printed + h.tell()
    assert call(path, "add", a=1, b=2)["sum"] == 3


def test_makes_the_shared_socket_block(handover):
    """All workers share the flag: whoever accepts until there is nothing left hangs there. Nothing but their watchdog can end
    that; those that come after them do not inherit it."""
    h = handover()
    port = serving(h, watchdog="300ms", dump_timeout="50ms")
    h.pool("bad", bad(h, "make_it_block"), sockets="web")
    h.start()
    hanging = [Call(port, "add", a=n, b=1) for n in range(4)]
    with no_leak(h):
        h.wait_log(r"warning pool api slot \d generation 1 pid \d+ hangs: its watchdog was not fed for 300 ms.*: SIGABRT now, SIGKILL "
                   "in 50 ms")
        says(h, "socket web: a worker had cleared O_NONBLOCK, which all of its workers share; it is set again")
        h.wait(lambda: h.pool_status("api")["restarts"] >= 1 and len(h.pids("api")) == 2, "its successor")
    for each in hanging:
        each.close()
    with no_loss_and_no_leak(h, port):
        h.pool("bad", steps(f"dump:{h.path('dump')}", "ready"))
        h.write()
        h.good_reload(wait="drained")
    assert h.json_of("dump")["fds"]["3"]["flags"] & os.O_NONBLOCK


# --- what they say ---

def test_sends_garbage_foreign_and_huge_datagrams(handover):
    h = handover()
    port = with_a_bad_one(h, steps("ready"))
    h.start()
    h.pool("bad", bad(h, "garbage", h.path("go")))
    h.write()
    with no_loss_and_no_leak(h, port):
        load = h.api.lines("POST", "/v1/reload", progress=True)
        with load:
            h.wait_log("all of it was sent")
            says(h, "pool bad slot 0 generation 2 pid <pid>: ignoring a malformed message to its NOTIFY_SOCKET (too long, empty, "
                    "or with a NUL byte; 1 so far)")
            assert [w["state"] for w in h.workers("bad") if w["generation"] == 2] == ["starting"]
            create(h.path("go"))
            load.rest()
        h.wait_serving("bad", 1, generation=2)
    assert times_said(h, "pool bad slot 0 generation 2 pid <pid>: ignoring a malformed message to its NOTIFY_SOCKET (too long, "
                         "empty, or with a NUL byte; <n> so far)") == 1, "at most once a minute"


def test_floods_its_notify_socket(handover):
    """It waits in its own sendmsg() while the master reads at most 256 in 100 ms; nobody else does."""
    h = handover()
    port = with_a_bad_one(h, steps("ready"))
    h.start()
    h.pool("bad", bad(h, "flood_notify"))
    h.write()
    with no_loss_and_no_leak(h, port) as case:
        h.good_reload()
        before, begin = ticks(h.pid), time.monotonic()
        h.wait_log("bad.0. g2 pid \\d+: 100000 times")
        used, took = (ticks(h.pid) - before) / 100, time.monotonic() - begin
        assert used < 0.25 * took + 0.1, f"{used} s of CPU in {took} s"
        h.good_reload(wait="drained")
    assert case.summary["total"]["failed"] == 0
    assert h.count_log("warning") == 0


def test_spoofs_another_worker(handover):
    h = handover()
    port = serving(h)
    h.pool("good", steps(f"dump:{h.path('dump')}", "ready"))
    h.start()
    address = next(item.split("=", 1)[1] for item in h.json_of("dump")["env"] if item.startswith("NOTIFY_SOCKET="))
    with open(h.path("address"), "w", encoding="utf-8") as file:
        file.write(address)
    [good] = h.pids("good")
    h.pool("bad", bad(h, "spoof", h.path("address")))
    h.write()
    with no_loss_and_no_leak(h, port) as case:
        case.more_processes, case.more_descriptors = 1, 3
        h.good_reload(changed=True)
        [culprit] = h.pids("bad")
        says(h, f"pool good slot 0 generation 1 pid {good}: ignoring a message to its NOTIFY_SOCKET from pid {culprit} uid "
                f"{os.geteuid()}, which is not that worker (1 so far)")
    assert h.pids("good") == [good] and not next(w for w in h.workers("good"))["status"]


def test_floods_stdout(handover):
    """Our standard error is a pipe that nobody reads."""
    h = handover()
    port = with_a_bad_one(h, steps("ready"))
    reader, writer = os.pipe()
    h.launch(stderr=writer)
    os.close(writer)
    h.wait(lambda: os.path.exists(h.control) and len(h.pids()) == 3, "it to serve")
    with no_loss_and_no_leak(h, port) as case:
        case.memory_tolerance = 2 << 20  # of what waits for a reader at most 1 MiB
        h.pool("bad", steps("flood:4000000", "ready"))
        h.write()
        h.good_reload(wait="drained")
    os.kill(h.pids("bad")[0], signal.SIGKILL)  # told every 10 s, and at its end
    text = b""
    os.set_blocking(reader, False)
    wanted = pattern_of("pool bad slot 0: <n> lines dropped: standard error was not read fast enough").encode()

    def read():
        nonlocal text
        with contextlib.suppress(BlockingIOError):
            text += os.read(reader, 1 << 20)
        return re.search(wanted, text)
    wait_until(read, "drops to be told")
    h.wait(lambda: len(h.pids("bad")) == 1, "its successor")
    os.close(reader)


# --- those that go in the middle of it ---

def test_exits_while_it_is_drained(handover):
    h = handover()
    port = with_a_bad_one(h, steps("ignore:TERM", "ready"), drain_timeout="1h", stop_timeout="100ms")
    h.start()
    [pid] = h.pids("bad")
    with no_loss_and_no_leak(h, port):
        h.good_reload()
        h.wait(lambda: h.workers("bad", "draining"), "the drain")
        os.kill(pid, signal.SIGSEGV)
        says(h, f"pool bad slot 0 generation 1 pid {pid} killed by SIGSEGV, <time> after it was told to go (reload)")
        h.wait_serving("bad", 1, generation=2)
    assert h.count_log("starting another worker") == 0, "its successor serves already"


def test_exits_while_it_is_dumped(handover):
    h = handover()
    port = with_a_bad_one(h, steps("ignore:TERM", "exit-on:QUIT:3", "ready"), drain_timeout="100ms", stop_timeout="100ms",
                          dump_signal="SIGQUIT", dump_timeout="1h")
    h.start()
    [pid] = h.pids("bad")
    with no_loss_and_no_leak(h, port):
        h.good_reload(wait="drained")
    says(h, f"pool bad slot 0 generation 1 pid {pid} has not ended within its <time> (reload): SIGQUIT now, SIGKILL in 1 h")
    says(h, f"pool bad slot 0 generation 1 pid {pid} exited with code 3, <time> after it was told to go (reload)")


def test_exits_in_the_moment_in_which_it_is_killed(handover):
    """The end of the budget and the end of the worker are found at once: by a master that was not running meanwhile."""
    h = handover()
    port = with_a_bad_one(h, steps("ignore:TERM", "exit-on:USR1:0", "ready"), drain_timeout="1s", stop_timeout="100ms")
    h.start()
    [pid] = h.pids("bad")
    with no_loss_and_no_leak(h, port):
        h.good_reload()
        h.signal(signal.SIGSTOP)
        wait_until(lambda: is_stopped(h.pid), "the master to be stopped")
        os.kill(pid, signal.SIGUSR1)
        wait_until(lambda: not is_alive(pid), "the worker's end")
        time.sleep(1.05)  # its budget: nothing else can be waited for
        h.signal(signal.SIGCONT)
        says(h, f"pool bad slot 0 generation 1 pid {pid} exited with code 0, <time> after it was told to go (reload)")
    assert h.count_log("SIGKILL") == 0
