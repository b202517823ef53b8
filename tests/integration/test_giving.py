"""sockets.sock: an instance's listening sockets for other programs and for other instances."""
import contextlib
import json
import os
import re
import signal
import socket
import subprocess

import pytest

import cli_tools
from harness import STEP_WORKER, Call, call, is_refused, monotonic_usec, read_file, rpc
from test_manager import Manager


def giver(handover, kind="tcp", command=None, **keys):
    """An instance with a socket `web`, and where that is."""
    a = handover("giver")
    if kind == "tcp":
        port = a.socket("web")
        target, address = port, f"127.0.0.1:{port}"
    else:
        target = a.path("web.sock")
        address = f"unix:{target}"
        a.socket("web", address)
    a.pool("api", command or rpc("--version", 1), sockets="web", **{"workers": 2, "drain_timeout": "4s", **keys})
    a.start()
    return a, target, address


def taker(handover, a, command=None, **keys):
    b = handover("taker")
    b.socket("front", f"handover:{a.runtime_dir}/web")
    b.pool("api", command or rpc("--version", 2), sockets="front", **{"workers": 2, **keys})
    return b


def sock(h, name="web"):
    return next(s for s in h.status()["sockets"] if s["name"] == name)


def inode(path):
    return os.stat(path).st_ino


# --- from one instance to another ---

@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_service_moves_to_another_instance_under_load(handover, kind, record_property):
    a, target, address = giver(handover, kind)
    b = taker(handover, a)
    load = a.load("--new", 150, "--keepalive", "50,8", "--slow", "10,300,900", target=address)
    load.wait_answered(100)
    b.start()
    assert [i["pid"] for i in sock(a)["instances"]] == [b.pid] and sock(b, "front")["source"].startswith("handover:")
    load.wait_answered(100)
    with load.window():
        a.stop()
    assert f"socket web is instance {b.name}'s from now on (pid {b.pid}): only our copy is closed" in a.log
    load.wait_answered(100)
    code, summary, printed = load.finish()
    record_property("load", f"moved to another instance, {kind}: {summary['total']['sent']} sent, "
                            f"{summary['total']['failed']} failed")
    assert code == 0 and summary["total"]["failed"] == 0, printed + a.tell() + b.tell()
    assert {call(target, "info")["pid"] for _ in range(20)} <= set(b.pids())
    b.wait(lambda: sock(b, "front")["source"] == "own", "the socket to be the other's own")
    b.stop()
    assert is_refused(target) and not (kind == "unix" and os.path.exists(target)), "whose it is now unlinks it"


def test_the_address_itself_may_be_written_when_it_has_moved(handover):
    a, port, _ = giver(handover)
    b = taker(handover, a).start()
    a.stop()
    pids, held = b.pids(), sock(b, "front")["inode"]
    b.socket("front", f"tcp://127.0.0.1:{port}")
    b.write()
    result = b.good_reload(changed=True)
    assert b.pids() == pids and sock(b, "front")["inode"] == held, result
    assert call(port, "info")["pid"] in pids


def test_a_taker_that_ends_leaves_the_socket_as_it_was(handover):
    a, port, _ = giver(handover)
    b = taker(handover, a).start()
    b.stop()
    assert not is_refused(port) and call(port, "info")["pid"] in a.pids()
    a.wait_log("socket web: instance taker.* holds it no longer")
    a.stop()
    assert is_refused(port), "nobody else holds it any more: a stop refuses"


def test_a_taker_that_is_killed_is_noticed(handover):
    a, port, _ = giver(handover)
    b = taker(handover, a).start()
    b.expected_exit = None
    b.process.kill()
    b.process.wait()
    a.wait(lambda: sock(a)["instances"] == [], "the holder to be gone")
    a.wait(lambda: f"socket web: instance {b.name} (pid {b.pid}) holds it no longer" in a.log, "that to be told")
    a.stop()


def test_workers_that_shut_down_what_another_instance_holds(handover):
    """What the workers of the instance that stops do to it is mended by the one that goes on."""
    a, port, _ = giver(handover, command=rpc("--shutdown-listener-on-drain"))
    b = taker(handover, a).start()
    a.stop()
    b.wait_log(r"socket front .* was shut down by .*; it listens again")
    b.wait(lambda: not is_refused(port), "clients to be served")
    assert {call(port, "info")["pid"] for _ in range(20)} <= set(b.pids())


def test_workers_that_shut_down_while_both_run(handover):
    """One of the two mends it, and both serve."""
    a, port, _ = giver(handover, command=rpc("--shutdown-listener-on-drain"))
    b = taker(handover, a).start()
    a.good_reload(wait="drained")
    assert a.count_log("it listens again") >= 1 and b.count_log("it listens again") == 0
    both = set(a.pids()) | set(b.pids())
    a.wait(lambda: call(port, "info")["pid"] in a.pids(), "the one to serve")
    a.wait(lambda: call(port, "info")["pid"] in b.pids(), "the other to serve")
    assert {call(port, "info")["pid"] for _ in range(20)} <= both


def test_a_unix_socket_that_is_replaced_reaches_the_other_instance(handover):
    a, path, _ = giver(handover, "unix", command=rpc("--shutdown-listener-on-drain"))
    b = taker(handover, a).start()
    old, file = b.pids(), inode(path)
    a.good_reload(wait="drained")
    b.wait_log("instance .* has replaced it")
    b.wait(lambda: b.pids() and not set(old) & set(b.pids()), "new workers")
    a.wait(lambda: call(path, "info")["pid"] in b.pids(), "the other instance to serve at the new one")
    assert inode(path) != file


def test_what_is_taken_out_of_the_configuration_is_left_to_the_other(handover):
    a, port, _ = giver(handover)
    a.socket("other")
    b = taker(handover, a).start()
    del a.sections["socket:web"]
    a.pool("api", sockets="other")
    a.write()
    a.good_reload(wait="drained")
    a.wait_log("socket web .* is no longer configured: closing our copy, others hold it too")
    b.wait_log("it is our own from now on")
    assert {call(port, "info")["pid"] for _ in range(20)} <= set(b.pids())


def test_a_reload_takes_a_socket_and_keeps_it(handover):
    a, port, _ = giver(handover)
    b = handover("taker")
    b.socket("own")
    b.pool("api", rpc("--version", 2), sockets="own")
    b.start()
    b.socket("front", f"handover:{a.runtime_dir}/web")
    b.pool("api", sockets="own front")
    b.write()
    b.good_reload(wait="drained")
    held = sock(b, "front")["inode"]
    b.wait(lambda: call(port, "info")["pid"] in b.pids(), "the other instance to serve")
    b.good_reload(wait="drained")
    assert sock(b, "front")["inode"] == held and sock(a)["given"] == 1
    # and gives it back
    del b.sections["socket:front"]
    b.pool("api", sockets="own")
    b.write()
    b.good_reload(wait="drained")
    a.wait(lambda: sock(a)["instances"] == [], "the holder to be gone")
    assert {call(port, "info")["pid"] for _ in range(20)} <= set(a.pids())


def test_an_instance_that_hangs_does_not_make_us_wait(handover):
    a, _, _ = giver(handover)
    b = handover("taker")
    b.socket("own")
    b.pool("api", rpc(), sockets="own")
    b.start()
    b.socket("front", f"handover:{a.runtime_dir}/web")
    b.pool("api", sockets="own front")
    b.write()
    os.kill(a.pid, signal.SIGSTOP)
    try:
        slowest = 0
        with b.api.lines("POST", "/v1/reload", progress=True) as lines:
            b.wait(lambda: (b.status()["reload"] or {}).get("state") == "preparing", "the reload to wait")
            for _ in range(20):
                begin = monotonic_usec()
                b.status()
                slowest = max(slowest, monotonic_usec() - begin)
            assert b.status()["reload"]["state"] == "preparing"
            result = lines.rest()[-1]
    finally:
        os.kill(a.pid, signal.SIGCONT)
    assert result["result"] == "failed" and "has not answered within 2 s" in result["message"], result
    assert slowest < 1_500_000, "the master answers meanwhile"
    assert [s["name"] for s in b.status()["sockets"]] == ["own"]


def test_a_stop_while_another_instance_is_asked(handover):
    a, _, _ = giver(handover)
    b = handover("taker")
    b.socket("own")
    b.pool("api", rpc(), sockets="own")
    b.start()
    b.socket("front", f"handover:{a.runtime_dir}/web")
    b.pool("api", sockets="own front")
    b.write()
    os.kill(a.pid, signal.SIGSTOP)
    try:
        with b.api.lines("POST", "/v1/reload", progress=True):
            b.wait(lambda: (b.status()["reload"] or {}).get("state") == "preparing", "the reload to wait")
            b.stop()
    finally:
        os.kill(a.pid, signal.SIGCONT)


@pytest.mark.parametrize("listen, said", [
    ("handover:{a}/wbe", r"instance giver\S* has no socket 'wbe'; did you mean 'web'\?"),
    ("handover:nobody-there/web", r"instance nobody-there does not run: nobody answers at \S+/nobody-there/sockets.sock"),
])
def test_what_cannot_be_taken(handover, listen, said):
    a, _, _ = giver(handover)
    b = handover("taker")
    b.socket("front", listen.format(a=a.runtime_dir))
    b.pool("api", rpc(), sockets="front")
    b.end_early(code=1)
    assert re.search("cannot start: socket front: " + said, b.log), b.log


def test_an_instance_cannot_take_from_itself_nor_from_one_that_has_taken(handover):
    a, _, _ = giver(handover)
    b = taker(handover, a).start()
    c = handover("third")
    c.socket("front", f"handover:{b.runtime_dir}/front")
    c.pool("api", rpc(), sockets="front")
    c.end_early(code=1)
    assert (f"socket front of instance {b.name} was itself taken over (handover:{a.runtime_dir}/web): take it from there"
            in c.log)
    d = handover("self")
    d.socket("front", f"handover:{d.name}/front")
    d.pool("api", rpc(), sockets="front")
    d.end_early(code=78)
    assert f"listen: this is instance {d.name} itself" in d.log


def test_an_instance_that_crashed_is_told_again_who_holds_its_socket(handover):
    """systemd has kept its sockets; its stop must not end what the other one serves."""
    a = handover("giver")
    manager = Manager(a)
    port = a.socket("web")
    a.pool("api", rpc("--version", 1), sockets="web")
    a.start(env=manager.env)
    a.wait(lambda: manager.hear_all() and "own.web" in manager.store, "the socket to be stored")
    b = taker(handover, a).start()
    workers = a.pids()
    a.process.kill()
    a.process.wait()
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    b.wait_log(r"socket front: instance \S+, which it was taken from, is gone")
    a.process = None
    a.start(**manager.giving_back())
    b.wait_log(r"socket front: instance \S+ is back")
    assert [i["pid"] for i in sock(a)["instances"]] == [b.pid]
    a.stop()  # here it looks like a restart: the store keeps the socket
    assert {call(port, "info")["pid"] for _ in range(20)} <= set(b.pids())
    assert sock(b, "front")["source"].startswith("handover:")
    b.stop()
    assert not is_refused(port), "it is still in the store"
    manager.close()


def test_instances_beside_each_other_need_no_path(handover):
    a, port, _ = giver(handover)
    b = handover("taker")
    b.runtime_dir = os.path.join(a.place, "beside")  # where that of `a` is, too
    b.runtime_options = ["--runtime-dir", b.runtime_dir]
    b.control = b.api.address = os.path.join(b.runtime_dir, "control.sock")
    b.socket("front", "handover:run/web")
    b.pool("api", rpc("--version", 2), sockets="front")
    b.start()
    a.wait(lambda: call(port, "info")["pid"] in b.pids(), "the other instance to serve")
    b.stop()


def test_what_a_check_says(handover):
    a, _, _ = giver(handover, workers=1)
    b = taker(handover, a)
    b.write()
    checked = b.run_only("--check", b.config)
    assert (checked.returncode, checked.stderr) == (0, ""), checked
    a.stop()
    checked = b.run_only("--check", b.config)
    assert checked.returncode == 0 and "does not run here: a start will fail until it does" in checked.stderr, checked


# --- to any program ---

@contextlib.contextmanager
def copy(a, *arguments, **more):
    """A program that `handover exec` has become; its standard streams are pipes."""
    process = subprocess.Popen([cli_tools.HANDOVER, "-c", a.control, "exec", *map(str, arguments)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **{"env": a.environment(), **more})
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def rpc_copy(a, *options, **more):
    return copy(a, *options, "--", *rpc("--version", 99).split(), **more)


def answers(target):
    """Which versions answer there."""
    return {call(target, "info")["version"] for _ in range(20)}


def test_a_debug_copy_serves_beside_the_pool(handover):
    a, port, _ = giver(handover)
    with rpc_copy(a, "--socket", "web") as process:
        a.wait(lambda: "99" in map(str, answers(port)), "the copy to serve")
        table = a.cli("sockets").stdout
        assert re.search(rf"web +tcp +127.0.0.1:{port} +own +\d+ +\d+ +1 +master {a.pid}, api \d+ \d+, "
                         rf"foreign: rpc-worker {process.pid}", table), table
        a.wait_log(rf"notice socket web given to uid {os.geteuid()} pid {process.pid} "
                   rf"\(handover exec \S*rpc-worker --version 99\)")
        told = json.loads(a.cli("sockets", "--json").stdout)[0]
        assert told["given"] == 1 and told["pools"] == ["api"] and told["instances"] == []
        assert {(p["role"], p.get("pool")) for p in told["processes"]} == {
            ("master", None), ("worker", "api"), ("other", None)}
        assert 'handover_socket_given_total{socket="web"' in a.api.request("GET", "/metrics")[1]
    a.wait(lambda: {"1"} == set(map(str, answers(port))), "the pool to serve alone")
    with rpc_copy(a, "--socket", "web"):
        a.wait(lambda: "99" in map(str, answers(port)), "the copy to serve")
        a.stop()
        assert is_refused(port), "a stop refuses, whoever else holds it"


def test_a_program_that_goes_on_without_the_instance(handover):
    a, port, _ = giver(handover)
    with rpc_copy(a, "--move", "--socket", "web"):
        a.wait(lambda: "99" in map(str, answers(port)), "the other program to serve")
        a.wait_log(r"socket web given to .*: a stop of this instance leaves it open")
        assert sock(a)["moved"]
        a.stop()
        assert set(map(str, answers(port))) == {"99"}


def test_what_the_program_is_given(handover):
    a = handover()
    a.socket("web")
    a.socket("admin", f"unix:{a.path('admin.sock')}")
    a.pool("api", rpc(), sockets="web admin")
    a.start()
    env = a.environment(HANDOVER_POOL="api", HANDOVER_SLOT="0", NOTIFY_SOCKET="/nowhere", LISTEN_PIDFDID="7", KEPT="yes")
    out = a.path("given.json")
    with open("/dev/null", "rb") as extra, copy(
            a, "--socket", "admin", "--socket", "web", STEP_WORKER, "say:here", "err:there", f"dump:{out}", "exit:7",
            env=env, pass_fds=[extra.fileno()]) as process:
        said = process.communicate(timeout=30)
    assert said == ("here\n", "there\n") and process.returncode == 7
    with open(out, encoding="utf-8") as file:
        given = json.load(file)
    names = dict(variable.split("=", 1) for variable in given["env"])
    assert names["LISTEN_FDS"] == "2" and names["LISTEN_FDNAMES"] == "admin:web" and names["KEPT"] == "yes"
    assert names["LISTEN_PID"] == str(process.pid)
    assert not [name for name in names if name.startswith("HANDOVER_") or name in ("NOTIFY_SOCKET", "LISTEN_PIDFDID")]
    assert sorted(map(int, given["fds"])) == [0, 1, 2, 3, 4], given["fds"]
    links = {f"socket:[{s['inode']}]" for s in a.status()["sockets"]}
    for pid in a.pids():
        fds = [fd for fd in os.listdir(f"/proc/{pid}/fd") if os.readlink(f"/proc/{pid}/fd/{fd}") in links]
        flags = [re.search(rb"flags:\s+(\d+)", read_file(f"/proc/{pid}/fdinfo/{fd}"))[1] for fd in fds]
        assert len(fds) == 2 and all(int(f, 8) & os.O_NONBLOCK for f in flags)


def test_a_copy_that_shuts_the_socket_down(handover):
    a, port, _ = giver(handover)
    with copy(a, "--socket", "web", "--", STEP_WORKER, "shutdown:3", "exit:0") as process:
        assert process.wait(30) == 0
    a.wait_log(r"socket web \(tcp \S+\) was shut down by one of its workers, or pid \d+ \(handover exec \S*step-worker.*\), "
               "which was given it; it listens again")
    assert call(port, "info")["pid"] in a.pids()


def test_a_socket_of_one_slot(handover):
    a = handover()
    port = a.ports.take()
    a.socket("own", f"tcp://127.0.0.1:{port}+%n")
    a.pool("api", rpc("--version", 1), sockets="own", workers=2)
    a.start()
    refused = a.cli("exec", "--socket", "nothing", "--", "true")
    assert refused.returncode == 1 and refused.stderr.endswith("has no socket 'nothing'; it has: own\n"), refused
    refused = a.cli("exec", "--socket", "own", "--", "true")
    assert refused.returncode == 1 and "there is a socket 'own' for each slot: say which, as in own/0" in refused.stderr, refused
    with rpc_copy(a, "--socket", "own/0"):
        a.wait(lambda: "99" in map(str, answers(port)), "the copy to serve")
    assert re.search(r"^own/0 +tcp ", a.cli("sockets").stdout, re.M)


@pytest.mark.parametrize("arguments, code, said", [
    (["--socket", "wbe", "--", "true"], 1, "has no socket 'wbe'; did you mean 'web'?"),
    (["--", "true"], 2, "which socket? --socket NAME"),
    (["--socket", "web"], 2, "exec needs COMMAND"),
    (["--socket", "web", "--", "/nowhere/x"], 127, "cannot execute '/nowhere/x': No such file or directory"),
    (["--socket", "web", "--", "/etc/passwd"], 126, "cannot execute '/etc/passwd': Permission denied"),
    (["--json", "--socket", "web", "--", "true"], 2, "exec takes no option --json"),
])
def test_what_cannot_be_given(handover, arguments, code, said):
    a, _, _ = giver(handover, workers=1)
    ran = a.cli("exec", *arguments)
    assert (ran.returncode, ran.stdout) == (code, "") and said in ran.stderr, ran


# --- who may ---

@pytest.mark.needs_root
def test_only_those_who_may_reload_may_take(handover):
    a, _, _ = giver(handover, workers=1)
    path = os.path.join(a.runtime_dir, "sockets.sock")
    assert os.stat(path).st_mode & 0o777 == 0o600
    as_nobody = {"user": 65534, "group": 65534, "extra_groups": []}
    ran = a.cli("exec", "--socket", "web", "--", "true", **as_nobody)
    assert ran.returncode == 1 and "no permission to connect" in ran.stderr, ran
    os.chmod(path, 0o666)
    os.chmod(a.control, 0o666)
    ran = a.cli("exec", "--socket", "web", "--", "true", **as_nobody)
    assert ran.returncode == 1 and "uid 65534 may not take sockets here" in ran.stderr, ran
    a.wait_log("sockets.sock: uid 65534 pid .* was refused")
    a.supervisor(operator_group="nogroup")
    a.write()
    a.good_reload(changed=True)
    assert os.stat(path).st_mode & 0o777 == 0o660 and os.stat(path).st_gid == 65534
    assert a.cli("exec", "--socket", "web", "--", "true", **as_nobody).returncode == 0


def seqpacket(a):
    sock_ = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock_.settimeout(30)
    sock_.connect(os.path.join(a.runtime_dir, "sockets.sock"))
    return sock_


def test_rubbish_and_silence(handover):
    a, _, _ = giver(handover, workers=1)
    for text in (b"x", b"{}", b'{"version": 1, "kind": "take"}', b"y" * 20000):
        with seqpacket(a) as client:
            client.send(text)
            answer = json.loads(client.recv(4096))
            assert answer["kind"] == "refused" and "the message cannot be understood: " in answer["error"], answer
    silent = [seqpacket(a) for _ in range(30)]  # more than may be connected at once
    begin = monotonic_usec()
    silent[0].close()
    assert a.cli("exec", "--socket", "web", "--", "true").returncode == 0
    assert monotonic_usec() - begin < 20_000_000
    for client in silent:
        client.close()
    assert sock(a)["given"] == 1


def test_a_stop_gives_nothing_any_more(handover):
    a, port, _ = giver(handover, workers=1, drain_timeout="3s")
    busy = Call(port, "work", ms=1500, a=1, b=2)  # keeps the instance there
    a.wait(lambda: sum(w["inflight"] or 0 for w in a.workers()) == 1, "the call to be in flight")
    with seqpacket(a) as client:
        a.signal(signal.SIGTERM)
        a.wait_log("workers are told to stop")
        client.send(json.dumps({"version": 1, "kind": "take", "names": ["web"], "for": "exec", "who": "x"}).encode())
        assert "is stopping" in json.loads(client.recv(4096))["error"]
    busy.answer()
    a.wait_exit(0)


def test_sockets_sock_is_made_anew(handover):
    a, _, _ = giver(handover, workers=1)
    os.unlink(os.path.join(a.runtime_dir, "sockets.sock"))
    a.wait_log(r"/sockets.sock was deleted: made anew")
    assert a.cli("exec", "--socket", "web", "--", "true").returncode == 0
