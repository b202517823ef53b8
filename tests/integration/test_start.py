"""Starting an instance: what serves, and what is said when it cannot be."""
import os
import re
import signal
import socket

import pytest

import cli_tools
from harness import STEP_WORKER, call, connect, in_background, is_alive, is_refused, processes_of, read_file, rpc, steps, wait_until


def only_errors(log):
    return [line for line in log.splitlines() if " error " in line]


# --- good starts ---

def test_a_good_start_serves_and_stops(handover):
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc("--version", "7"), sockets="web", workers=2)
    h.start()
    result = call(port, "add", a=2, b=3)
    assert (result["sum"], result["version"], result["generation"]) == (5, "7", 1)
    assert sorted(w["slot"] for w in h.workers()) == [0, 1]
    assert len(processes_of(h.name)) == 2 and sorted(processes_of(h.name)) == sorted(h.pids())
    h.stop()
    assert is_refused(port)
    assert not only_errors(h.log)
    assert "has stopped" in h.log.splitlines()[-1]


@pytest.mark.parametrize("listen, dial", [
    ("tcp://127.0.0.1:{port}", ("127.0.0.1",)),
    ("tcp://0.0.0.0:{port}", ("127.0.0.1",)),
    ("tcp://[::1]:{port}", ("::1",)),
    ("tcp://localhost:{port}", ("127.0.0.1",)),
    ("tcp://*:{port}", ("127.0.0.1", "::1")),
    ("tcp://[::]:{port}", ("::1",)),
])
def test_tcp_addresses(handover, listen, dial):
    h = handover()
    port = h.ports.take()
    h.socket("web", listen.format(port=port))
    h.pool("api", rpc(), sockets="web")
    h.start()
    for host in dial:
        with socket.create_connection((host, port), 10) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert sock.recv(4) == b"HTTP"


def test_ipv6_only_leaves_ipv4_to_others(handover):
    h = handover()
    port = h.ports.take()
    h.socket("six", f"tcp://[::]:{port}", ipv6_only="yes")
    h.socket("four", f"tcp://0.0.0.0:{port}")
    h.pool("v6", rpc("--version", "six"), sockets="six")
    h.pool("v4", rpc("--version", "four"), sockets="four")
    h.start()
    assert call(port, "info")["version"] == "four"


def test_unix_socket_with_mode(handover):
    h = handover()
    path = h.path("api.sock")
    h.socket("web", f"unix:{path}", mode="0600")
    h.pool("api", rpc(), sockets="web")
    h.start()
    assert os.stat(path).st_mode & 0o7777 == 0o600
    assert call(path, "add", a=1, b=1)["sum"] == 2
    h.stop()
    assert not os.path.exists(path)


@pytest.mark.needs_root
def test_unix_socket_with_owner_and_group(handover):
    h = handover()
    h.socket("web", f"unix:{h.path('api.sock')}", owner="nobody", group="daemon")
    h.pool("api", rpc(), sockets="web")
    h.start()
    st = os.stat(h.path("api.sock"))
    assert (st.st_uid, st.st_gid, st.st_mode & 0o777) == (65534, 1, 0o660)


def test_unix_socket_that_nobody_serves_any_more_is_replaced(handover):
    h = handover()
    path = h.path("api.sock")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    h.socket("web", f"unix:{path}")
    h.pool("api", rpc(), sockets="web")
    h.start()
    assert call(path, "add", a=1, b=1)["sum"] == 2


def test_unix_path_that_is_a_file_is_not_touched(handover):
    h = handover()
    path = h.path("api.sock")
    with open(path, "w", encoding="utf-8") as file:
        file.write("precious")
    h.socket("web", f"unix:{path}")
    h.pool("api", rpc(), sockets="web")
    h.end_early(code=78)
    assert re.search(r"listen: .*api\.sock.* exists and is no socket", h.log)
    with open(path, encoding="utf-8") as file:
        assert file.read() == "precious"


def test_udp_socket(handover):
    h = handover()
    port = h.ports.take()
    h.socket("dns", f"udp://127.0.0.1:{port}")
    h.pool("api", steps(f"dump:{h.path('dump')}", "ready"), sockets="dns")
    h.start()
    fd = h.json_of("dump")["fds"]["3"]
    assert (fd["domain"], fd["type"], fd["listens"]) == (socket.AF_INET, socket.SOCK_DGRAM, 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, pytest.raises(OSError):
        probe.bind(("127.0.0.1", port))


def test_two_pools_and_a_pool_without_sockets(handover):
    h = handover()
    one, two = h.socket("one"), h.socket("two")
    h.pool("a", rpc("--version", "a"), sockets="one, two", workers=2)
    h.pool("b", rpc("--version", "b"), sockets="two")
    h.pool("c", steps("ready"))
    h.start()
    assert call(one, "info")["version"] == "a"
    assert sorted(call(one, "info")["sockets"].split()) == ["one", "two"]
    assert call(two, "info")["version"] in "ab"
    assert len(h.pids()) == 4


def test_workers_auto_is_the_number_of_cpus(handover):
    h = handover()
    h.pool("api", steps("ready"), workers="auto")
    h.launch(wrapper=["taskset", "-c", str(min(os.sched_getaffinity(0)))])
    h.wait_log("is ready: 1 worker")


# --- configurations that are wrong ---

def test_all_mistakes_at_once_and_exit_code_78(handover):
    h = handover()
    h.write("[supervisor]\n"
            "lame_duk = 2s\n"
            "[socket:web]\n"
            "listen = tcp://127.0.0.1:0\n"
            "[pool:api]\n"
            "command = /bin/true\n"
            "sockets = web, wep\n"
            "ready = soon\n"
            "drain_timeout = 6\n"
            "workers = 0\n"
            "[poool:x]\n")
    h.end_early(code=78, write=False)
    for line, said in {2: r"lame_duk: unknown key; did you mean 'lame_duck'\?", 4: "listen: .*port", 7: "sockets: .*wep",
                       8: "ready: .*soon", 9: "drain_timeout: .*unit", 10: "workers: ", 11: r"poool:x.*did you mean"}.items():
        assert re.search(rf"^{re.escape(h.config)}:{line}: .*{said}", h.log, re.M), f"line {line}: {said}\n{h.log}"
    assert re.search(r"not started: 7 mistakes", h.log)


@pytest.mark.parametrize("keys, said", [
    ({"command": "/usr/bin/apii"}, r":\d+: \[pool:api\] command: cannot execute '/usr/bin/apii': no such file"),
    ({"command": "no-such-command-anywhere"}, r"command: cannot execute 'no-such-command-anywhere'.*PATH"),
    ({"command": "/etc/passwd"}, r"command: cannot execute '/etc/passwd': it is not marked as executable"),
    ({"command": "/tmp"}, r"command: cannot execute '/tmp': it is a directory"),
    ({"user": "no-such-user"}, r"user: there is no user 'no-such-user'"),
    ({"group": "no-such-group"}, r"group: there is no group 'no-such-group'"),
    ({"working_directory": "/no/such/directory"}, r"working_directory: '/no/such/directory': No such file"),
    ({"environment_file": "/no/such/file"}, r"environment_file: .*/no/such/file"),
    ({"environment": "LISTEN_FDS=3"}, r"environment: LISTEN_FDS is set by handover itself"),
    ({"stdout": "file:/no/such/directory/log"}, r"stdout: .*/no/such/directory"),
    ({"sockets": "nothing"}, r"sockets: .*nothing"),
    ({"ready": "fd:3", "sockets": "web"}, r"ready: .*3"),
    ({"ready": None}, r"ready: .*say how a worker becomes ready"),
    ({"restart": "sometimes"}, r"restart: .*sometimes"),
    ({"drain_signal": "SIGFOO"}, r"drain_signal: .*SIGFOO"),
])
def test_mistakes_at_the_start(handover, keys, said):
    h = handover()
    h.socket("web")
    h.pool("api", steps("ready"))
    h.section("pool:api", **keys)
    h.end_early(code=78)
    assert re.search(rf"^{re.escape(h.config)}:\d+: ", h.log, re.M) and re.search(said, h.log), h.log
    assert "1 mistake in" in h.log


def test_a_configuration_that_is_not_there(handover):
    h = handover()
    h.end_early(code=78, write=False)
    assert h.config in h.log and "No such file" in h.log


def test_usage(handover):
    h = handover()
    for options in ([], ["--frobnicate", h.config], [h.config, h.config]):
        done = h.run_only(*options, write=False)
        assert done.returncode == 2 and "handoverd --help" in done.stderr
    assert re.match(r"handoverd \d+\.\d+\.\d+\n$", h.run_only("--version", write=False).stdout)
    assert "Usage: handoverd" in h.run_only("--help", write=False).stdout
    assert re.search(r"^pool:NAME +drain_timeout +duration +6s$", h.run_only("--list-keys", write=False).stdout, re.M)


# --- --check and --syntax ---

def test_check_looks_at_the_world_and_syntax_does_not(handover):
    h = handover()
    h.socket("web")
    h.pool("api", "/usr/bin/no-such-program", sockets="web", user="no-such-user")
    done = h.run_only("--check", h.config)
    assert done.returncode == 78 and "no-such-program" in done.stderr and "no-such-user" in done.stderr
    assert h.run_only("--syntax", h.config).returncode == 0
    h.pool("api", steps("ready"), user=None, drain_timout="1s")
    for option in ("--check", "--syntax"):
        done = h.run_only(option, h.config)
        assert done.returncode == 78 and "did you mean 'drain_timeout'?" in done.stderr
    h.pool("api", drain_timout=None)
    assert h.run_only("--check", h.config).returncode == 0
    assert cli_tools.run("check", h.config).returncode == 0


def test_check_says_who_holds_an_address(handover):
    h = handover()
    port = h.socket("web")
    h.pool("api", steps("ready"), sockets="web")
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        done = h.run_only("--check", h.config)
        assert done.returncode == 78 and "address in use" in done.stderr and f"pid {os.getpid()}" in done.stderr


def test_check_knows_the_addresses_of_the_running_instance(handover):
    h = handover()
    h.socket("web")
    h.socket("local", f"unix:{h.path('api.sock')}")
    h.pool("api", rpc(), sockets="web local")
    h.start()
    done = h.cli("check", h.config)
    assert done.returncode == 0, done.stderr


# --- workers that cannot serve ---

START_FAILURES = {
    "exits at once": (rpc("--exit-at-start", 3), {}, r"exited with code 3, .* before it was ready"),
    "exits with 0": (steps("exit:0"), {}, r"exited with code 0, .* before it was ready"),
    "dies at once": (rpc("--die-at-start", "SEGV"), {}, r"killed by SIGSEGV.* before it was ready"),
    "killed at once": (rpc("--die-at-start", "KILL"), {}, r"killed by SIGKILL.* before it was ready"),
    "never ready": (rpc("--never-ready"), {"start_timeout": "200ms"}, r"was not ready within 200 ms \(start_timeout\)"),
    "never ready, ignores SIGTERM": (steps("ignore:TERM"), {"start_timeout": "100ms", "stop_timeout": "100ms",
                                                            "drain_timeout": "100ms"},
                                     r"was not ready within 100 ms \(start_timeout\)"),
    "ready pipe closed": (steps("close:9", "exit-on:TERM:0"), {"ready": "fd:9", "start_timeout": "200ms"},
                          r"was not ready within 200 ms"),
}


@pytest.mark.parametrize("command, keys, said", START_FAILURES.values(), ids=START_FAILURES.keys())
def test_a_pool_that_does_not_get_ready_ends_the_instance(handover, command, keys, said):
    h = handover()
    port = h.socket("web")
    h.pool("good", steps("ready"))
    h.pool("api", command, sockets="web", workers=2, **keys)
    h.end_early(code=1)
    assert re.search(rf" error .*start 1 failed: pool api slot \d generation 1 pid \d+ .*{said}", h.log), h.log
    if "--exit-at-start" in command:
        assert re.search("its last output: rpc-worker: cannot open database", h.log)
    assert is_refused(port)


def test_exec_that_fails_names_stage_path_and_reason(handover):
    h = handover()
    program = h.path("worker")
    with open(program, "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\nexec sleep 100\n")
    os.chmod(program, 0o755)
    h.pool("api", program, ready="delay:0", restart_delay="50ms", crash_loop_after=100)
    h.start()
    h.wait(lambda: read_file(f"/proc/{h.pids()[0]}/comm") == b"sleep\n", "the shell to be through with the script")
    os.chmod(program, 0o644)
    os.kill(h.pids()[0], signal.SIGKILL)
    h.wait_log(rf"cannot be started: cannot execute {program}: Permission denied \(the file is not marked as executable\)")
    h.wait(lambda: h.pool_status("api")["serving"] == 0, "nobody to serve")
    os.chmod(program, 0o755)
    h.wait(lambda: h.pool_status("api")["serving"] == 1, "the restart")


def test_on_start_failure_retry_goes_on_trying(handover):
    h = handover()
    port = h.socket("web")
    flag = h.path("dependency")
    h.pool("api", steps(f"exit-unless:{flag}:1", "ready"), sockets="web", on_start_failure="retry", restart_delay="50ms")
    h.pool("good", steps("ready"))
    h.launch()
    h.wait_log(r"pool api slot 0 .* exited with code 1 before it was ready", count=2)
    assert not h.count_log("instance .* is ready")
    assert h.status()["state"] == "starting"
    connect(port).close()  # its socket is open, and its clients wait
    with open(flag, "w", encoding="utf-8"):
        pass
    h.wait_log("is ready: 2 workers serve")


def test_stop_during_the_start(handover):
    h = handover()
    h.pool("api", steps("exit-on:TERM:0"), workers=3)
    h.launch()
    h.wait_log("pid [0-9]+ started", count=3)
    h.stop()
    assert "start_timeout" not in h.log


# --- addresses in use, second instances ---

def test_address_in_use_names_the_holder(handover):
    h = handover()
    port = h.socket("web")
    first = h.socket("other")
    h.pool("api", steps("ready"), sockets="web")
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        h.end_early(code=1)
    assert re.search(rf"socket web: cannot bind tcp 127\.0\.0\.1:{port}: address in use by \S+ \(pid {os.getpid()}\)", h.log)
    assert is_refused(first) and "started" not in h.log, "all or nothing, and before any worker"


def test_address_in_use_by_another_instance(handover):
    one, two = handover("one"), handover("two")
    port = one.socket("web")
    one.pool("api", rpc(), sockets="web")
    one.start()
    two.socket("web", f"tcp://127.0.0.1:{port}")
    two.pool("api", rpc(), sockets="web")
    two.end_early(code=1)
    holder = re.search(r"address in use by (\S+) \(pid (\d+)(.*)\)", two.log)
    assert int(holder[2]) in (one.pid, *one.pids()), holder[0]
    assert call(port, "add", a=1, b=2)["sum"] == 3


def test_unix_address_in_use_names_the_holder(handover):
    h = handover()
    path = h.path("api.sock")
    h.socket("web", f"unix:{path}")
    h.pool("api", steps("ready"), sockets="web")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        other.listen()
        h.launch()
        assert h.process.wait(30) in (1, 78)
        h.expected_exit = h.process.returncode
        assert re.search(rf"api\.sock.* in use by \S+ \(pid {os.getpid()}\)", h.log), h.log
        connect(path).close()
    os.unlink(path)


def test_a_second_instance_of_the_same_name_is_refused(handover):
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc(), sockets="web", workers=2)
    h.start()
    before = sorted(h.pids())
    done = h.run_only("--runtime-dir", h.runtime_dir, h.config)
    assert done.returncode == 1
    assert re.search(rf"an instance '{h.name}' runs already \(pid {h.pid}, runtime directory {h.runtime_dir}\)", done.stderr)
    assert sorted(h.pids()) == before and all(map(is_alive, before))
    assert call(port, "add", a=1, b=2)["sum"] == 3
    assert h.cli("status").returncode == 0


def test_a_second_instance_is_refused_with_unix_sockets_too(handover):
    h = handover()
    path = h.path("api.sock")
    h.socket("web", f"unix:{path}")
    h.pool("api", rpc(), sockets="web")
    h.start()
    done = h.run_only("--runtime-dir", h.runtime_dir, h.config)
    assert done.returncode == 1, done.stderr
    assert f"runs already (pid {h.pid}" in done.stderr
    assert call(path, "add", a=1, b=2)["sum"] == 3


def test_what_a_killed_master_left_behind_is_no_hindrance(handover):
    h = handover()
    path = h.path("api.sock")
    h.socket("web", f"unix:{path}")
    h.pool("api", steps("ready"), sockets="web")
    h.start()
    workers = h.pids()
    h.process.kill()
    h.process.wait()
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not processes_of(h.name), "the workers' end")
    assert os.path.exists(h.control) and os.path.exists(path)
    h.process = None
    since = h.mark()
    h.launch()
    h.wait_log("is ready", since=since)
    connect(path).close()


def test_the_runtime_directory_by_environment(handover):
    h = handover()
    h.pool("api", steps("ready"))
    h.runtime_options = []
    h.start(env=h.environment(RUNTIME_DIRECTORY=h.runtime_dir + ":/elsewhere"))  # a service manager may give several
    assert h.status()["instance"] == h.name


def test_a_step_worker_that_knows_no_step_says_so(handover):
    """The tests' own tool: a misspelt step must not pass for a worker that waits."""
    h = handover()
    h.pool("api", f"{STEP_WORKER} raedy")
    h.end_early(code=1)
    assert "step-worker: raedy: Invalid argument" in h.log


# --- workers that hang before their program runs ---

HOLD_CHDIR = os.path.join(os.path.dirname(STEP_WORKER), "hold-chdir")


def test_starts_that_hang_hold_up_no_others(handover):
    """Their directory is on a network file system that is dead, and they are more than may be on their way at once."""
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc(), sockets="web")
    os.mkdir(h.path("dead"))
    h.start(wrapper=(HOLD_CHDIR, h.path("dead")))
    h.pool("hung", steps("ready"), workers=70, working_directory=h.path("dead"), start_timeout="3s", drain_timeout="300ms")
    h.write()
    result = in_background(h.reload)
    h.wait(lambda: len(h.pids("hung", "starting")) == 70, "all of them to be on their way")
    crashed = h.pids("api", "serving")[0]
    os.kill(crashed, signal.SIGKILL)
    h.wait(lambda: any(w["pid"] != crashed and w["generation"] == 1 for w in h.workers("api", "serving")), "the successor of the crashed one")
    assert call(port, "add", a=2, b=3)["sum"] == 5
    assert not result.done()
    code, body = result.result()
    assert code == 409 and re.match(r"reload 2 failed: pool hung slot \d+ generation 1 pid \d+ was not ready within 3 s \(start_timeout\)",
                                        body["message"]), body
    h.wait(lambda: not h.workers("hung"), "the end of those that hang")
    h.stop()


def test_a_stop_while_starts_hang(handover):
    h = handover()
    h.pool("api", steps("ready"))
    os.mkdir(h.path("dead"))
    h.pool("hung", steps("ready"), workers=3, working_directory=h.path("dead"), start_timeout="60s", stop_timeout="300ms")
    h.launch(wrapper=(HOLD_CHDIR, h.path("dead")))
    h.wait(lambda: os.path.exists(h.control) and len(h.pids("hung", "starting")) == 3, "them to be on their way")
    h.stop()


@pytest.mark.needs_root
def test_the_oom_score_of_workers_is_not_the_masters(handover):
    h = handover()
    ours = read_file("/proc/self/oom_score_adj")
    h.pool("one", steps("ready"), workers=5, oom_score_adj=500)
    h.pool("two", steps("ready"), workers=5, oom_score_adj=700)
    h.pool("api", steps("ready"), workers=5)
    h.start()
    for _ in range(3):
        h.good_reload()
        for pool, score in (("one", b"500\n"), ("two", b"700\n"), ("api", ours)):
            assert {read_file(f"/proc/{pid}/oom_score_adj") for pid in h.pids(pool)} == {score}
        assert read_file(f"/proc/{h.pid}/oom_score_adj") == ours
