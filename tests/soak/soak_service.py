"""The instance under soak: its pools, what each of them must run now, and the load on it."""
import collections
import contextlib
import json
import os
import shlex
import shutil
import time

import harness
import soak_figures
import soak_watch

GRPC_WORKER = os.path.join(harness.BUILD, "grpc-worker")
GRPC_LOAD = os.path.join(harness.BUILD, "grpc-load")
DRAIN_SECONDS = 3
DUMP_SECONDS = 0.3
SLOW = "100,600"  # milliseconds: well within a drain
ROUNDING = 2000  # microseconds: events have their time in milliseconds
POOLS = {"web": 3, "local": 2, "grpc": 2, "batch": 2, "channel": 2}  # and how many workers each has
# Workers of other kinds beside them (--mixed): how many, their command, keys of their pools, and connections that are kept
LIBRARIES = os.path.join(harness.ROOT, "lib")
BINDING = os.path.join(harness.ROOT, "tests/workers/binding-worker.py")
MIXED = {
    "go": (2, [os.path.join(harness.BUILD, "go-http")], {"handoff": "channel"}, True),
    "python": (2, ["/usr/bin/python3", f"{LIBRARIES}/python/examples/http_worker.py"], {"handoff": "channel"}, True),
    "asyncio": (1, ["/usr/bin/python3", f"{LIBRARIES}/python/examples/asyncio_worker.py"], {}, True),
    "node": (1, ["/usr/bin/node", f"{LIBRARIES}/node/examples/http-worker.js"], {}, True),
    "shim": (2, ["/usr/bin/python3", BINDING, "standard", "@ADDRESS@"], {"bind_shim": "yes"}, False),
}
BUDGET = {"drain_timeout": f"{DRAIN_SECONDS}s", "stop_timeout": f"{DRAIN_SECONDS}s", "start_timeout": "20s", "restart_delay": "50ms",
          "restart_delay_max": "500ms", "restart_reset": "200ms", "limit_core": 0}
LIVE = {"ready": "http:/healthz", "live": "http:/healthz", "live_interval": "100ms", "live_timeout": "1s", "live_failures": 3}


class Wrong(Exception):
    """An action had another result than it must have."""


class Service:
    """One master with five pools: C workers on TCP, on a Unix socket with probes, and over the channel from a script, grpc-go
    workers, and workers without sockets whose start can be held up, and with it every reload. Mixed: and with pools in other
    languages, and by other ways."""

    def __init__(self, seed, mixed=False):
        self.seed = seed
        self.mixed = MIXED if mixed else {}
        POOLS.update({pool: size for pool, (size, *_) in self.mixed.items()})
        self.h = harness.Handover("soak")
        self.gate = self.h.path("gate")
        self.program = self.h.path("rpc-worker")  # a copy, which can be replaced
        self.script = self.h.path("start")  # the same of pool channel, which can be written over
        self.script_mark = 0
        self.kills = []  # (pool, pid, usec, why)
        self.doomed = {}  # why the instance must dump this pid, which is no hang
        self.hung = []  # (pool, pid, mark of the watch) of workers that must be dumped
        self.excuses = []
        self.windows = soak_figures.Windows()
        self.running = {pool: "v1" for pool in POOLS}  # the version that must serve
        self.wanted = dict(self.running)  # the version that the file has
        self.commands = {}  # by pool and version: some have options of their own
        self.sizes = dict(POOLS)
        self.loads = {}
        self.watch = None
        self._configure()

    # configuration

    def _configure(self):
        h = self.h
        shutil.copy(harness.RPC_WORKER, self.program)
        self.open_gate()
        self.write_script()
        self.ports = {"web": h.socket("web", backlog=1024), "grpc": h.socket("grpc", backlog=1024),
                      "channel": h.socket("channel", backlog=1024), "more": h.ports.take()}
        self.local = h.path("local.sock")
        h.socket("local", f"unix:{self.local}")
        for pool in self.mixed:
            self.ports[pool] = h.socket(pool, backlog=1024)
        for pool, size in POOLS.items():
            h.pool(pool, self.command(pool, "v1"), workers=size, **BUDGET, **({"sockets": pool} if pool != "batch" else {}))
        h.pool("local", max_surge=1, **LIVE)
        h.pool("channel", handoff="channel")
        for pool, (_, _, keys, _) in self.mixed.items():
            h.pool(pool, **keys)
        for pool in ("web", "grpc"):
            h.pool(pool, dump_signal="SIGQUIT", dump_timeout=f"{int(DUMP_SECONDS * 1000)}ms")

    def command(self, pool, version, *options):
        """A good version, or with options a bad one."""
        if pool == "batch":
            return harness.steps("exit-on:TERM:0", f"say:{version}", *options, f"await:{self.gate}", "ready")
        if pool in self.mixed:  # the version is a word that only the C worker knows, and that can be seen from outside
            _, words, _, _ = self.mixed[pool]
            return shlex.join([word.replace("@ADDRESS@", f"127.0.0.1:{self.ports[pool]}") for word in words] + [version])
        program = {"web": [harness.RPC_WORKER, "--stubborn"], "local": [self.program, "--ill-if", f"{self.h.path('ill')}-%n"],
                   "grpc": [GRPC_WORKER], "channel": [self.script]}[pool]
        return shlex.join([*program, "--version", version, *map(str, options)])

    def want(self, version, *pools, options=None):
        """Puts a version of these pools into the file: a new one, or one that was there before, as it was."""
        for pool in pools:
            self.wanted[pool] = version
            if options is not None or (pool, version) not in self.commands:
                self.commands[pool, version] = self.command(pool, version, *(options or ()))
            self.h.pool(pool, self.commands[pool, version])
        self.h.write()

    @contextlib.contextmanager
    def file_with(self, **sections):
        """A configuration file for a while: keys of sections, and back to what it was. 'pool__web' is [pool:web]."""
        before = {title: dict(keys) for title, keys in self.h.sections.items()}
        for name, keys in sections.items():
            self.h.section(name.replace("__", ":"), **keys)
        self.h.write()
        try:
            yield
        finally:
            self.h.sections = before
            self.h.write()

    def close_gate(self):
        os.unlink(self.gate)

    def open_gate(self):
        with open(self.gate, "w", encoding="utf-8"):
            pass

    def replace_program(self):
        """By a copy of it: another file."""
        shutil.copy(harness.RPC_WORKER, self.program + ".new")
        os.rename(self.program + ".new", self.program)

    def write_script(self, last=None):
        """The script of pool channel, written over in place: with a new mark, or with another last line."""
        self.script_mark += 1
        with open(self.script, "w", encoding="utf-8") as file:
            file.write(f'#!/bin/sh\nexport SCRIPT_MARK={self.script_mark}\n' + (last or f'exec {harness.RPC_WORKER} "$@"\n'))
        os.chmod(self.script, 0o755)

    def make_ill(self, slot):
        with open(self.h.path(f"ill-{slot}"), "w", encoding="utf-8"):
            pass

    def make_well(self, slot):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.h.path(f"ill-{slot}"))

    # running

    def start(self):
        self.h.start()
        self.watch = soak_watch.Watch(self.h.control, self._on_kill)
        self.settle()

    def start_load(self):
        h = self.h
        kinds = {"web": (harness.RPC_LOAD, f"127.0.0.1:{self.ports['web']}",
                         ("--new", 25, "--keepalive", "25,4", "--slow", f"4,{SLOW}")),
                 "local": (harness.RPC_LOAD, f"unix:{self.local}", ("--new", 20, "--keepalive", "15,3", "--slow", f"3,{SLOW}")),
                 "channel": (harness.RPC_LOAD, f"127.0.0.1:{self.ports['channel']}", ("--new", 10, "--keepalive", "10,2", "--slow", f"2,{SLOW}")),
                 "grpc": (GRPC_LOAD, f"127.0.0.1:{self.ports['grpc']}",
                          ("--unary-new", 8, "--pick-first", "20,3", "--round-robin", "20,3", "--slow", f"3,{SLOW}",
                           "--streams", "2,10,40"))}
        for pool, (_, _, _, keeps) in self.mixed.items():
            kinds[pool] = (harness.RPC_LOAD, f"127.0.0.1:{self.ports[pool]}",
                           ("--new", 10, "--slow", f"2,{SLOW}", *(("--keepalive", "10,2") if keeps else ())))
        for pool, (program, target, options) in kinds.items():
            self.loads[pool] = h.load(*options, "--records", self.records(pool), target=target, program=program)

    def records(self, pool):
        return self.h.path(f"records-{pool}.csv")

    def finish_load(self):
        """All requests; and what the clients printed, by pool."""
        requests, printed = [], {}
        for load in self.loads.values():
            load.tell("quit")
        for pool, load in self.loads.items():
            _, summary, printed[pool] = load.finish_told()
            own = soak_figures.read_requests(pool, self.records(pool))
            if len(own) != summary["total"]["sent"]:
                raise Wrong(f"the client of pool {pool} has sent {summary['total']['sent']} requests and recorded {len(own)}")
            requests += own
        return requests, printed

    def _tell_kill(self, pool, pid, at, why):
        self.kills.append((pool, pid, at, why))
        if pool in self.loads:
            self.loads[pool].tell(f"killed {pid} {at}")

    def _on_kill(self, pool, pid, at):
        if self.is_hung(pid):
            self._tell_kill(pool, pid, at, "hung in its drain, dumped and killed")
        elif pid in self.doomed:
            self._tell_kill(pool, pid, at, self.doomed[pid])

    def is_hung(self, pid):
        return any(pid == each for _, each, _ in self.hung)

    def excuse(self, matches, begin, seconds):
        """Events of this kind are no news from this moment on (monotonic microseconds), for so long: pids come again."""
        self.excuses.append(lambda event: begin <= event["at"] <= begin + seconds * 1_000_000 and matches(event))

    def kill(self, pool, pid, why):
        """SIGKILL, told to the load client with its time. Returns whether it was still there."""
        now = harness.monotonic_usec()
        self.excuse(lambda event: event["event"] == "worker-crashed" and event["pid"] == pid, now - ROUNDING, 5)
        self._tell_kill(pool, pid, now, why)
        try:
            os.kill(pid, 9)
        except ProcessLookupError:
            return False
        return True

    def hang(self, pool):
        """A request that is never answered: its worker will have to be killed."""
        load, mark, now = self.loads[pool], self.watch.mark(), harness.monotonic_usec()
        before = len(load.output)
        load.tell("hang")
        pid = harness.wait_until(lambda: self._hang_pid(load.output[before:]), f"a worker of pool {pool} to take a request that hangs")
        self.hung.append((pool, pid, mark))
        self.excuse(lambda event: event["event"] in ("worker-dumping", "worker-killed") and event["pid"] == pid, now, 30)

    def expect_dump(self, pool, pid, why):
        """The instance will dump this worker, and kill it if need be; the requests that it has are lost."""
        self.doomed[pid] = why
        self.excuse(lambda event: event["event"] in ("worker-dumping", "worker-killed", "worker-crashed") and event["pool"] == pool
                    and event["pid"] == pid, harness.monotonic_usec() - ROUNDING, 30)

    @staticmethod
    def _hang_pid(lines):
        for line in lines:
            if line.startswith(b"hang pid="):
                return int(line.partition(b"=")[2])
            if line.startswith(b"{") and json.loads(line).get("event") == "accepted":
                return json.loads(line)["pid"]
        return None

    # what must be

    def committed(self, *pools, scaled_back=True):
        """A transaction over these pools has succeeded."""
        for pool in pools or POOLS:
            self.running[pool] = self.wanted[pool]
            if scaled_back:
                self.sizes[pool] = POOLS[pool]

    def _unsettled(self):
        """Why it is not as it must be, or None."""
        workers = collections.defaultdict(list)
        for worker in self.h.workers():
            if worker["state"] == "serving":
                workers[worker["pool"]].append(worker)
            elif worker["state"] == "starting":
                return f"pool {worker['pool']} slot {worker['slot']} pid {worker['pid']} is still starting"
        for pool, size in self.sizes.items():
            pids = [worker["pid"] for worker in workers[pool]]
            if len(pids) != size:
                return f"pool {pool} serves with {len(pids)} workers, and not {size}"
            for pid in pids:
                words = harness.read_file(f"/proc/{pid}/cmdline").decode().split("\0")
                if self.running[pool] not in words and f"say:{self.running[pool]}" not in words:
                    return f"pool {pool} pid {pid} runs {words}, and not {self.running[pool]}"
        return None

    def settle(self, timeout=harness.PATIENCE):
        """Waits until every pool serves with the right version and number of workers."""
        end = time.monotonic() + timeout
        while True:
            why = self._unsettled()
            if why is None:
                return
            if self.h.process.poll() is not None:
                raise Wrong(f"handoverd has ended with code {self.h.process.returncode}")
            if time.monotonic() > end:
                raise Wrong(f"waited {timeout} s in vain: {why}")
            time.sleep(0.02)

    def come_to_rest(self):
        """All drains are over, nothing but serving workers is left."""
        self.h.good_reload(wait="drained")
        self.committed()
        self.settle()
        self.h.wait(lambda: len(harness.processes_of(self.h.name)) == len(self.h.workers()) == sum(self.sizes.values()),
                    "only serving workers to be left")
        time.sleep(0.5)  # what closes connections lazily has had its time
        return soak_figures.Rest(self.h)
