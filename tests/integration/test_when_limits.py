"""What happens when something is used up (docs/what-happens-when.md, Limits): descriptors, processes, memory, disks."""
import contextlib
import mmap
import os
import re
import resource
import signal
import socket
import struct
import subprocess

import pytest

import cli_tools
from harness import BUILD, PATIENCE, VARIANT, read_file, rpc, steps
from when import no_leak, no_loss, no_loss_and_no_leak, nothing_stays
from when_cases import create, kill, pattern_of, preload_environment, says, serving, wait_quiet

NOBODYS_UID = 54321  # no account, no processes: RLIMIT_NPROC counts by user


def limit(h, what, soft):
    """Lowers (or raises) the master's own limit; returns the former one."""
    former = resource.prlimit(h.pid, what)
    resource.prlimit(h.pid, what, (soft, former[1]))
    return former[0]


def limit_processes(h, soft):
    """The same by the user itself: not every root may do that to others."""
    subprocess.run(["prlimit", "--pid", str(h.pid), f"--nproc={soft}:"], check=True, user=NOBODYS_UID, group=NOBODYS_UID, extra_groups=[])


def limit_with_free(h, free):
    """The limit with which so many descriptors can still be opened: it counts numbers, and there may be gaps."""
    used = set(map(int, os.listdir(f"/proc/{h.pid}/fd")))
    return next(n for n in range(1000) if n - len([fd for fd in used if fd < n]) == free and n not in used)


# --- descriptors ---

def test_too_few_descriptors_for_a_reload(handover):
    """The real hard limit; found before anything is touched."""
    h = handover()
    port = serving(h)
    h.start(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (260, 260)))
    with no_loss_and_no_leak(h, port):
        h.pool("api", workers=12)
        h.write()
        h.bad_reload()
        says(h, "reload 2 failed: 296 descriptors may be needed at once, but only 260 are allowed (RLIMIT_NOFILE, LimitNOFILE=); still "
                "serving: pool api generation 1 with 2 of 2 workers")
        h.pool("api", workers=2)
        h.write()
        h.good_reload(wait="drained")


@pytest.mark.parametrize("left, what", [(0, ""), (1, "cannot make a pipe for output: "), (2, "cannot make a pipe for output: "),
                                        (3, "cannot duplicate a worker's output: ")])
def test_descriptors_are_used_up_during_a_reload(handover, left, what):
    h = handover()
    go = h.path("go")
    port = serving(h, max_surge=1, keep_generations=0)  # what it keeps for a rollback is no leak
    alone = "env -u HANDOVER_CHANNEL"  # its channel and its page would take what is left, at some moment
    h.pool("api", f"{alone} {rpc()}")
    h.start()
    h.pool("api", f"sh -c 'test $HANDOVER_SLOT = 0 && while ! test -e {go}; do sleep 0.01; done; exec {alone} {rpc('--version', 2)}'")
    h.write()
    with no_loss_and_no_leak(h, port):
        h.signal(signal.SIGHUP)
        h.wait_log(r"pool api slot 0 generation 2 pid \d+ started")
        former = limit(h, resource.RLIMIT_NOFILE, limit_with_free(h, left))
        create(go)
        said = ("reload 2 failed: pool api slot 1 generation 2 cannot be started: Too many open files; still serving: pool api "
                "generation 1 with 2 of 2 workers (being restored)")
        says(h, said.replace("Too many", what + "Too many"))
        limit(h, resource.RLIMIT_NOFILE, former)
        h.wait_serving("api", 2, generation=1)
        h.good_reload(wait="drained")


def test_descriptors_are_used_up_during_a_crash(handover):
    """Tried again, and not given up: it recovers without a restart of the master."""
    h = handover()
    port = serving(h, restart_delay="50ms", restart_delay_max="200ms")
    h.start()
    [victim, survivor] = h.pids("api")
    with no_loss_and_no_leak(h, port) as case:
        former = limit(h, resource.RLIMIT_NOFILE, 6)
        kill(case.load, victim)
        says(h, "pool api slot <slot> generation 1 cannot be started: Too many open files", count=2)
        says(h, "pool api slot <slot>: <n> crashes in a row, next start in <time>")
        limit(h, resource.RLIMIT_NOFILE, former)
        h.wait_serving("api", 2)
    assert survivor in h.pids("api")


def descriptors(h):
    return set(map(int, os.listdir(f"/proc/{h.pid}/fd")))


def connected(path):
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    return connection


@pytest.mark.parametrize("free", [4, 12, 40])
def test_many_crash_while_descriptors_are_short(handover, free):
    """For a moment each start takes more than its worker keeps: then fewer are on their way at once, and none fails."""
    h = handover()
    h.pool("api", steps("ready", "exit-on:TERM:0"), workers=25, max_surge=1)
    h.start(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (500, 500)))  # so none is parked above the others
    h.good_reload(wait="drained")  # one by one, into the gaps of the first
    victims = h.pids("api")
    with contextlib.ExitStack() as connections:
        numbers = max(descriptors(h)) + 1
        gaps = numbers - len(descriptors(h))
        for _ in range(gaps - free):
            connections.enter_context(connected(h.control))
        numbers += max(0, free - gaps)
        limit(h, resource.RLIMIT_NOFILE, numbers)
        # an answered question may have had one while they were counted
        h.wait(lambda: numbers - len(descriptors(h)) in (free, free + 1), f"{free} descriptors to be free")
        since = h.mark()
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        h.wait_log(r"pool api slot \d+ generation 2 pid \d+ is ready", count=25, since=since)
        assert not h.count_log("cannot|Too many open files")
    limit(h, resource.RLIMIT_NOFILE, 500)
    assert not set(victims) & set(h.wait_serving("api", 25, generation=2))


# --- processes ---

@pytest.mark.needs_root
def test_the_process_table_is_full(handover):
    """RLIMIT_NPROC of an unprivileged user: a reload fails, and a crashed worker is tried again."""
    h = handover()
    os.chmod(h.place, 0o777)
    port = serving(h, restart_delay="50ms", restart_delay_max="200ms")
    h.start(user=NOBODYS_UID, group=NOBODYS_UID, extra_groups=[])
    with no_loss_and_no_leak(h, port) as case:
        limit_processes(h, 3)
        h.bad_reload()
        says(h, "reload 2 failed: pool api slot 0 generation 2 cannot be started: cannot create a process for <path>: Resource temporarily unavailable; "
                "still serving: pool api generation 1 with 2 of 2 workers")
        limit_processes(h, 1)
        since = h.mark()
        kill(case.load, h.pids("api")[0])
        says(h, "pool api slot <slot> generation 1 cannot be started: cannot create a process for <path>: Resource temporarily unavailable", 2, since)
        limit_processes(h, resource.getrlimit(resource.RLIMIT_NPROC)[0])
        h.wait_serving("api", 2)
        h.good_reload(wait="drained")


# --- memory ---

SCARCE_MEMORY = r'''
/* Allocations of the master fail at random while a file says how often; its workers' do not. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static struct {
	unsigned one_in; /* 0: none fails */
	unsigned seed;
	unsigned failed;
} * volatile control;

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("SCARCE");
	int fd = path != NULL && getenv("HANDOVER_POOL") == NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *map = fd >= 0 ? mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;

	if (fd >= 0)
		close(fd);
	if (map != MAP_FAILED)
		control = map;
}

static int is_out(void)
{
	if (control == NULL || control->one_in == 0)
		return 0;
	control->seed = control->seed * 1664525u + 1013904223u;
	if ((control->seed >> 8) % control->one_in != 0)
		return 0;
	control->failed++;
	errno = ENOMEM;
	return 1;
}

/* What comes next: the C library, or a sanitizer, which then sees what the failures lead to. */
#define NEXT(function) ((__typeof__(&(function)))dlsym(RTLD_NEXT, #function))

void *malloc(size_t size)
{
	static __typeof__(&malloc) next;

	if (next == NULL)
		next = NEXT(malloc);
	return is_out() ? NULL : next(size);
}

void *calloc(size_t n, size_t size)
{
	static __typeof__(&calloc) next;

	if (next == NULL)
		next = NEXT(calloc);
	return is_out() ? NULL : next(n, size);
}

void *realloc(void *old, size_t size)
{
	static __typeof__(&realloc) next;

	if (next == NULL)
		next = NEXT(realloc);
	return is_out() ? NULL : next(old, size);
}
'''


class Memory:
    """What the library above shares with us."""

    def __init__(self, h):
        path = h.path("scarce")
        with open(path, "wb") as file:
            file.write(bytes(4096))
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 4096)
        os.chmod(path, 0o666)
        self.environment = preload_environment(h, "scarce.so", SCARCE_MEMORY, SCARCE=path)

    def fail(self, one_in, seed):
        self.map[4:8] = struct.pack("I", seed)
        self.map[:4] = struct.pack("I", one_in)

    def is_back(self):
        self.map[:4] = bytes(4)

    def failed(self):
        return struct.unpack("I", self.map[8:12])[0]


def shortage(h, memory):
    """Asks for reloads until some allocations have failed."""
    before = memory.failed()

    def some_failed():
        h.signal(signal.SIGHUP)
        return memory.failed() >= before + 3
    h.wait(some_failed, "allocations to fail")


@pytest.mark.skipif("clang-asan" in BUILD + VARIANT, reason="its allocator is in the program itself, where nothing comes before it; VARIANT=asan runs it")
@pytest.mark.parametrize("one_in", [3, 20, 150])
def test_memory_is_short(handover, one_in):
    """Reloads, crashes and questions while one allocation of so many fails: the master survives all of it, says so, and serves as
    before when there is memory again."""
    h = handover()
    port = serving(h, restart_delay="20ms", restart_delay_max="50ms", start_timeout="1s", max_processes=40)
    memory = Memory(h)
    h.start(env=memory.environment)
    h.good_reload(wait="drained")
    with no_leak(h) as case:
        case.memory_tolerance = 1 << 20
        with no_loss(h, port) as case.load:
            for n in range(8):
                [victim, _] = h.pids("api")
                memory.fail(one_in, 1000 * one_in + n)
                shortage(h, memory)
                if n % 4 == 3:
                    kill(case.load, victim)
                    shortage(h, memory)
                memory.is_back()
                wait_quiet(h)
                h.wait(lambda: len(h.pids("api")) == 2, "two workers to serve")
            h.good_reload(wait="drained")
            h.wait(lambda: len(h.workers()) == 2, "the old ones to be gone")
    assert re.search(r"(?m) error .*(out of memory|Cannot allocate memory)", h.log)


# --- disks ---

def mounted(command):
    """Runs handoverd in a mount namespace of its own, in which the command was run first."""
    return ["unshare", "-m", "--propagation", "private", "sh", "-c", command + ' && exec "$@"', "sh"]


def seen_from(h, path):
    return f"/proc/{h.pid}/root{path}"


def cli_inside(h, *arguments):
    """The command line, where the instance's mounts are."""
    command = ["nsenter", "-t", str(h.pid), "-m", cli_tools.HANDOVER, "-c", h.control, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=h.environment(), timeout=PATIENCE, check=False)


@pytest.mark.needs_root
def test_the_disk_of_the_log_files_is_full(handover):
    h = handover()
    os.mkdir(h.path("logs"))
    path = h.path("logs/out.log")
    port = serving(h)
    h.pool("chatty", steps("flood:100000", "say-on:USR1:more", "exit-on:TERM:0", "ready"), stdout="file:" + path)
    h.start(wrapper=mounted(f"mount -t tmpfs -o size=16k none {h.path('logs')}"))
    with no_loss_and_no_leak(h, port):
        says(h, f"cannot write to {path}: No space left on device; <n> lines of workers' output were dropped so far, trying again with each "
                "new line")
        h.good_reload(wait="drained")
        os.truncate(seen_from(h, path), 0)
        h.wait(lambda: (os.kill(h.pids("chatty")[0], signal.SIGUSR1), read_file(seen_from(h, path)).endswith(b"more\n"))[1],
               "lines to be written again")
    assert h.count_log("cannot write") == 1, "once a minute"


@pytest.mark.needs_root
def test_the_disk_of_the_runtime_directory_is_full(handover):
    """Nothing but a pid for people is written there."""
    h = handover()
    place = h.runtime_dir
    os.mkdir(place)
    port = serving(h)
    h.start(wrapper=mounted(f"mount -t tmpfs -o size=8k none {place} && {{ head -c 9000 /dev/zero >{place}/full 2>/dev/null || true; }}"))
    says(h, f"cannot write {place}/lock: No space left on device, going on")
    h.runtime_dir = seen_from(h, place)
    with no_loss_and_no_leak(h, port):
        done = cli_inside(h, "reload", "--wait=drained")
        assert done.returncode == 0 and "reload 2 committed: pool api: generation 2 serves with 2 workers" in done.stdout, done
    h.stop()


@pytest.mark.needs_root
def test_the_runtime_directory_cannot_be_made(handover):
    """No inode is left for it."""
    h = handover()
    os.mkdir(h.path("small"))
    h.runtime_options = ["--runtime-dir", h.path("small/run")]
    serving(h)
    with nothing_stays(h):
        h.end_early(code=1, wrapper=mounted(f"mount -t tmpfs -o nr_inodes=1 none {h.path('small')}"))
    says_at_the_end(h, f"cannot make the runtime directory {h.path('small/run')}: No space left on device (--runtime-dir chooses another)")


@pytest.mark.needs_root
@pytest.mark.parametrize("there", [False, True], ids=["empty", "with our directory"])
def test_run_is_read_only(handover, there):
    h = handover()
    h.runtime_options = []
    serving(h)
    with nothing_stays(h):
        h.end_early(code=1, wrapper=mounted(f"mount -t tmpfs none /run && {'mkdir -p /run/handover/' + h.name if there else 'true'} && "
                                            "mount -o remount,ro /run"))
    says_at_the_end(h, f"cannot open /run/handover/{h.name}/lock: Read-only file system" if there else
                    f"cannot make the runtime directory /run/handover/{h.name}: Read-only file system (--runtime-dir chooses another)")


def says_at_the_end(h, text):
    assert re.search(pattern_of(text), h.log), h.tell()
