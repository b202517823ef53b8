"""What happens when things happen at the same time, or at the wrong one (docs/what-happens-when.md, Timing)."""
import concurrent.futures
import mmap
import os
import re
import signal
import struct
import time

import pytest

import cli_tools
from harness import PATIENCE, STEP_WORKER, Call, call, is_alive, process_stat, rpc, steps, wait_until
from when import no_leak, no_loss, no_loss_and_no_leak, nothing_stays
from when_cases import create, kill, preload_environment, says, serving, wait_quiet


def gated(h, name="gate", **keys):
    """A pool whose workers get ready only while the file `go` is there."""
    h.pool(name, steps(f"await:{h.path('go')}", "ready"), **keys)


def close_gate(h):
    os.unlink(h.path("go"))


def open_gate(h):
    create(h.path("go"))


def start_gated(h, **keys):
    """Serves on a port, and has a pool that can hold up a reload."""
    port = serving(h, **keys)
    gated(h)
    open_gate(h)
    h.start()
    close_gate(h)
    return port


def in_background(function, *arguments, **more):
    pool = concurrent.futures.ThreadPoolExecutor(1)
    future = pool.submit(function, *arguments, **more)
    pool.shutdown(wait=False)
    return future


# --- reload during ... ---

def test_reload_during_a_reload(handover):
    h = handover()
    port = start_gated(h)
    with no_loss_and_no_leak(h, port):
        first = in_background(h.reload)
        h.wait_log("reload 2 begins")
        second = in_background(h.reload)
        says(h, "reload asked for by uid <uid> pid <pid>, waits for the one that runs")
        third = in_background(h.reload)
        says(h, "reload asked for by uid <uid> pid <pid>, joins the one that waits")
        open_gate(h)
        assert [f.result(PATIENCE)[1]["id"] for f in (first, second, third)] == [2, 3, 3]
        h.wait_serving("api", 2, generation=3)


def test_reload_during_the_start(handover):
    h = handover()
    port = serving(h)
    gated(h)
    h.launch()
    h.wait(lambda: os.path.exists(h.control), "the control socket")
    with no_loss(h, port):
        asked = in_background(h.reload)
        says(h, "reload asked for by uid <uid> pid <pid>, waits for the one that runs")
        open_gate(h)
        assert asked.result(PATIENCE)[1]["id"] == 2
    says(h, "reload 2 committed: pool api: generation 2 serves with 2 workers; pool gate: generation 2 serves with 1 worker")


def test_reload_during_a_stop(handover):
    """In the lame duck, when all still serve."""
    h = handover()
    h.supervisor(lame_duck="1h")
    port = serving(h)
    h.start()
    with no_loss(h, port):
        h.signal(signal.SIGTERM)
        h.wait_log("lame duck")
        code, result = h.reload()
        assert (code, result["result"]) == (503, "refused")
        assert result["message"] == "reload refused: the instance stops"
        says(h, "reload asked for by uid <uid> pid <pid>, refused: the instance stops")
        h.signal(signal.SIGHUP)
        says(h, "reload asked for by SIGHUP, refused: the instance stops")
        done = h.cli("reload")
        assert (done.returncode, done.stderr.count("reload refused: the instance stops")) == (1, 1), done
    for n in (1, 2):
        h.signal(signal.SIGINT)
        h.wait_log(r"\(SIGINT\)", count=n)
    h.wait_exit(0)
    says(h, "pool api slot 0 generation 1 pid <pid> has to go at once (stop), <requests> in flight, its status: \"serving on web, version "
            "1\": SIGKILL to it and all its processes")
    assert h.count_log("begins") == 0


# --- stop during ... ---

def test_stop_during_the_start(handover):
    h = handover()
    port = serving(h)
    gated(h)
    h.launch()
    h.wait_log("pool gate slot 0 generation 1 pid [0-9]+ started")
    waiting = Call(port, "work", ms=300, a=1, b=2)
    h.wait(lambda: sum(w["inflight"] or 0 for w in h.workers("api")) == 1, "the call to be in flight")
    with nothing_stays(h):
        h.stop()
    assert waiting.answer()["sum"] == 3
    says(h, "stopping (SIGTERM)")
    says(h, "start 1 failed: the instance stops")
    says(h, f"instance {h.name} has stopped")


def test_stop_during_a_reload(handover):
    h = handover()
    port = start_gated(h)
    waiting = Call(port, "work", ms=300, a=1, b=2)
    h.wait(lambda: sum(w["inflight"] or 0 for w in h.workers("api")) == 1, "the call to be in flight")
    asked = in_background(h.reload)
    h.wait_log("pool gate slot 0 generation 2 pid [0-9]+ started")
    with nothing_stays(h):
        h.stop()
    assert waiting.answer()["sum"] == 3
    assert asked.result(PATIENCE)[1]["message"] == "reload 2 failed: the instance stops"
    says(h, "reload 2 failed: the instance stops")


# --- a crash at every stage of a reload ---

def test_crash_of_an_old_worker_while_new_ones_start(handover):
    h = handover()
    port = start_gated(h)
    [victim, _] = h.pids("api")
    with no_loss_and_no_leak(h, port) as case:
        asked = in_background(h.reload)
        h.wait_log("pool gate slot 0 generation 2 pid [0-9]+ started")
        kill(case.load, victim)
        says(h, f"pool api slot <slot> generation 1 pid {victim} killed by SIGKILL after it had served for <time>")
        open_gate(h)
        assert asked.result(PATIENCE)[1]["result"] == "committed"
        h.wait_serving("api", 2, generation=2)


def test_crash_of_a_new_worker_before_it_is_ready(handover):
    h = handover()
    port = start_gated(h)
    with no_loss_and_no_leak(h, port) as case:
        asked = in_background(h.reload)
        victim = int(h.wait_log(r"pool gate slot 0 generation 2 pid (\d+) started")[1])
        kill(case.load, victim)
        message = asked.result(PATIENCE)[1]["message"]
        says(h, f"reload 2 failed: pool gate slot 0 generation 2 pid {victim} killed by SIGKILL, <time> after its start, before it was "
                "ready; still serving: pool api generation 1 with 2 of 2 workers, pool gate generation 1 with 1 of 1 worker")
        assert message in h.log
        h.wait_serving("api", 2, generation=1)


def test_crash_of_a_new_worker_that_was_ready(handover):
    """Before the old ones are told to go: they serve on."""
    h = handover()
    port = start_gated(h)
    with no_loss_and_no_leak(h, port) as case:
        asked = in_background(h.reload)
        victim = int(h.wait_log(r"pool api slot 0 generation 2 pid (\d+) is ready")[1])
        kill(case.load, victim)
        assert asked.result(PATIENCE)[1]["result"] == "failed"
        says(h, f"reload 2 failed: pool api slot 0 generation 2 pid {victim} killed by SIGKILL, <time> after its start, <time> after it was "
                "ready; still serving: pool api generation 1 with 2 of 2 workers, pool gate generation 1 with 1 of 1 worker")
        h.wait_serving("api", 2, generation=1)


def test_crash_of_a_new_worker_between_two_batches(handover):
    """What had been replaced is started again from the old version."""
    h = handover()
    go = h.path("go")
    port = serving(h, max_surge=1)
    h.start()
    second_waits = f"sh -c 'test $HANDOVER_SLOT = 1 && while ! test -e {go}; do sleep 0.01; done; exec {rpc('--version', 2)}'"
    h.pool("api", second_waits)
    h.write()
    with no_loss_and_no_leak(h, port) as case:
        asked = in_background(h.reload)
        victim = int(h.wait_log(r"pool api slot 0 generation 2 pid (\d+) is ready")[1])
        h.wait_log(r"pool api slot 1 generation 2 pid \d+ started")
        kill(case.load, victim)
        assert asked.result(PATIENCE)[1]["result"] == "failed"
        says(h, f"reload 2 failed: pool api slot 0 generation 2 pid {victim} killed by SIGKILL, <time> after its start, <time> after it was "
                "ready; still serving: pool api generation 1 with 1 of 2 workers")
        h.wait_serving("api", 2, generation=1)
    assert {call(port, "info")["version"] for _ in range(8)} == {"1"}


def test_crash_of_a_new_worker_after_the_commit(handover):
    """An ordinary restart, of the new version, while the old ones drain."""
    h = handover()
    port = serving(h)
    h.start()
    slow = Call(port, "work", ms=600, a=1, b=2)
    h.wait(lambda: sum(w["inflight"] or 0 for w in h.workers("api")) == 1, "the call to be in flight")
    h.pool("api", rpc("--version", 2))
    h.write()
    with no_leak(h) as case:
        case.more_descriptors = 0
        with no_loss(h, port) as case.load:
            h.good_reload()
            [victim, _] = h.pids("api")
            kill(case.load, victim)
            says(h, f"pool api slot <slot> generation 2 pid {victim} killed by SIGKILL after it had served for <time>")
            assert slow.answer()["sum"] == 3
            h.wait_serving("api", 2, generation=2)
    assert {call(port, "info")["version"] for _ in range(8)} == {"2"}


def test_crash_while_the_old_version_is_restored(handover):
    """A worker of the old version that is to come back dies first: it is started once more."""
    h = handover()
    port = serving(h, max_surge=1)
    once, back = h.path("once"), h.path("back")
    h.pool("api", f"sh -c 'test -e {back} && rm {back} && exit 5; exec {rpc('--version', 1)}'")
    h.start()
    h.pool("api", f"sh -c 'test $HANDOVER_SLOT = 1 && touch {back} && exit 3; exec {rpc('--version', 2)}'")
    h.write()
    with no_loss_and_no_leak(h, port):
        h.bad_reload()
        says(h, "reload 2 failed: pool api slot 1 generation 2 pid <pid> exited with code 3, <time> after its start, before it was ready; "
                "still serving: pool api generation 1 with 2 of 2 workers (being restored)")
        says(h, "pool api slot 0 generation 1 pid <pid> exited with code 5 before it was ready, <time> after its start")
        h.wait_serving("api", 2, generation=1)
    assert not os.path.exists(once) and {call(port, "info")["version"] for _ in range(8)} == {"1"}


def test_a_drain_outlasts_the_patience_of_a_reload(handover):
    """At progress_timeout; nobody is killed for it, and the slot gets the old version when it is empty."""
    h = handover()
    end, begun = h.path("end"), h.path("begun")
    asks = f"notify-on:TERM:EXTEND_TIMEOUT_USEC=3600000000 ready await:{end} exit:0"
    h.pool("api", f"sh -c 'test -e {begun} && exec {STEP_WORKER} ready; touch {begun}; exec {STEP_WORKER} {asks}'",
           max_surge=0, max_unavailable=1, drain_timeout="200ms", drain_extend_max="1h", start_timeout="5s", progress_timeout="5s")
    h.start()
    h.pool("api", steps("ready"), start_timeout="100ms", progress_timeout="300ms")
    h.write()
    result = h.bad_reload()
    assert result["message"] == (
        "reload 2 failed: pool api got no further for 300 ms (progress_timeout): a worker that has to go before its successor can start "
        "(max_unavailable) still drains; still serving: pool api generation 1 with 0 of 1 worker (being restored)")
    assert len(h.workers("api", "draining")) == len(h.workers("api")) == 1 and h.count_log("SIGKILL") == 0
    create(end)
    h.wait_serving("api", 1, generation=1)


# --- others at the same time ---

def test_scale_during_a_reload(handover):
    h = handover()
    port = start_gated(h)
    with no_loss_and_no_leak(h, port) as case:
        case.more_processes, case.more_descriptors = 1, 5  # pidfd, notifications, output, channel, page
        asked = in_background(h.reload)
        h.wait_log("reload 2 begins")
        scaled = in_background(h.api.post, "/v1/pools/api/scale", workers=3)
        says(h, "scale of pool api asked for by uid <uid> pid <pid>, waits for the one that runs")
        open_gate(h)
        assert asked.result(PATIENCE)[1]["id"] == 2 and scaled.result(PATIENCE)[1]["id"] == 3
        says(h, "scale 3 committed: pool api: 3 workers")
        h.wait_serving("api", 3, generation=2)


def test_a_thousand_sighups_in_a_second(handover):
    h = handover()
    port = start_gated(h)
    with no_loss_and_no_leak(h, port) as case:
        case.memory_tolerance = 2 << 20
        h.signal(signal.SIGHUP)
        h.wait_log("reload 2 begins")
        for _ in range(999):
            h.signal(signal.SIGHUP)
        # the kernel makes few of them; behind a request that comes after them, all that are left were heard
        says(h, "reload asked for by SIGHUP, waits for the one that runs")
        h.status()
        open_gate(h)
        wait_quiet(h)
        last = h.status()["last_reload"]
        assert last["result"] == "committed" and last["id"] == 3, "one that ran, and one for all that came meanwhile"
        h.wait_serving("api", 2)


@pytest.mark.parametrize("how", ["goes on", "aborts"])
def test_the_caller_of_a_reload_is_killed(handover, how):
    h = handover()
    port = start_gated(h)
    with no_loss_and_no_leak(h, port):
        options = ["--abort-on-disconnect"] if how == "aborts" else []
        with cli_tools.Running("-c", h.control, "reload", *options) as command:
            h.wait_log("pool gate slot 0 generation 2 pid [0-9]+ started")
            command.process.kill()
            command.process.wait()
            caller = str(command.process.pid)
        if how == "aborts":
            says(h, f"reload: the caller (uid <uid> pid {caller}) went away, and it was to be ended in that case")
            says(h, "reload 2 aborted: its caller went away; still serving: pool api generation 1 with 2 of 2 workers, pool gate "
                    "generation 1 with 1 of 1 worker")
            h.wait_serving("api", 2, generation=1)
        else:
            says(h, f"reload: the caller (uid <uid> pid {caller}) went away; it goes on without")
            open_gate(h)
            says(h, "reload 2 committed: pool api: generation 2 serves with 2 workers; pool gate: generation 2 serves with 1 worker")
            h.wait_serving("api", 2, generation=2)


# --- clocks ---

JUMPING_CLOCK = r'''
/* The wall clock as it would be after somebody had set it: by the seconds in a file. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile const long *jump;

__attribute__((constructor)) static void begin(void)
{
	int fd = open(getenv("JUMP"), O_RDONLY | O_CLOEXEC);

	jump = mmap(NULL, sizeof(*jump), PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
	int (*real)(clockid_t, struct timespec *) = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	int r = real(id, ts);

	if (jump != NULL && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) /* it is asked before begin(), too */
		ts->tv_sec += *jump;
	return r;
}

time_t time(time_t *ret)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	if (ret != NULL)
		*ret = ts.tv_sec;
	return ts.tv_sec;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	struct timespec ts;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &ts);
	tv->tv_sec = ts.tv_sec;
	tv->tv_usec = ts.tv_nsec / 1000;
	return 0;
}
'''


class Clock:
    def __init__(self, h):
        self.path = h.path("jump")
        with open(self.path, "wb") as file:
            file.write(bytes(4096))
        with open(self.path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 4096)
        self.environment = preload_environment(h, "clock.so", JUMPING_CLOCK, JUMP=self.path)

    def jump(self, years):
        self.map[:8] = struct.pack("l", years * 366 * 86400)


@pytest.mark.parametrize("years", [10, -10])
def test_the_clock_jumps(handover, years):
    """All budgets run on the monotonic clock; only what people read shows the other one."""
    h = handover()
    port = serving(h)
    h.pool("slow", steps("ignore:TERM", "ready"), drain_timeout="600ms", stop_timeout="100ms", watchdog="1h")
    clock = Clock(h)
    h.start(env=clock.environment)
    year = time.gmtime().tm_year
    [pid] = h.pids("slow")
    with no_loss_and_no_leak(h, port):
        h.good_reload()
        clock.jump(years)
        assert is_alive(pid)
        took = says(h, f"pool slow slot 0 generation 1 pid {pid} has not ended within its <time> (reload): SIGKILL to it and all its "
                       "processes")
        assert 600 <= float(re.search(r"within its ([\d.]+) ms", took[0])[1]) < 3000
        h.good_reload(wait="drained")
        assert abs(int(took[0][:4]) - year - years) <= 1, "the log follows the wall clock"
        assert all(0 <= w["since_s"] < 60 for w in h.workers())
        clock.jump(0)


def test_the_master_is_suspended_for_longer_than_all_time_outs(handover):
    """As a machine that sleeps, or a debugger: what workers said and did meanwhile counts, and nobody is killed for the time."""
    h = handover()
    port = serving(h, watchdog="600ms")
    h.pool("many", steps("ready", "notify-every:50:WATCHDOG=1"), workers=40, watchdog="600ms", stop_timeout="300ms", start_timeout="10s")
    h.pool("late", steps(f"await:{h.path('go')}", "ready"), start_timeout="1s")
    open_gate(h)
    h.start()
    close_gate(h)
    many = sorted(h.pids("many"))
    with no_loss_and_no_leak(h, port):
        asked = in_background(h.reload, pool="late")
        h.wait_log("pool late slot 0 generation 2 pid [0-9]+ started")
        h.signal(signal.SIGSTOP)
        wait_until(lambda: (process_stat(h.pid) or "?")[0] == "T", "the master to be stopped")
        open_gate(h)
        time.sleep(1.2)  # longer than all of them
        h.signal(signal.SIGCONT)
        assert asked.result(PATIENCE)[1]["message"] == "reload 2 committed: pool late: generation 2 serves with 1 worker"
        says(h, "reload 2 committed: pool late: generation 2 serves with 1 worker")
        h.wait(lambda: len(h.workers("late")) == 1, "the old one to be gone")
    assert sorted(h.pids("many")) == many
    assert h.count_log("warning|error") == 0
