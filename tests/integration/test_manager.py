"""What a service manager gives us and hears of us, played by the test: sockets, notifications, an ordinary user."""
import contextlib
import os
import re
import signal
import socket

import pytest

from harness import Call, call, is_alive, is_refused, read_file, rpc, steps, wait_until


# --- sockets that are passed ---

@contextlib.contextmanager
def passed(h, *names):
    """Listening sockets on ports, and how to start an instance that is given them."""
    with contextlib.ExitStack() as stack:
        socks, moves = [], []
        for n, _ in enumerate(names):
            sock = stack.enter_context(socket.socket())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", h.ports.take()))
            sock.listen(50)
            moves.append(f"{3 + n}<&{sock.fileno() + 100}")
            os.dup2(sock.fileno(), sock.fileno() + 100)
            stack.callback(os.close, sock.fileno() + 100)
            socks.append(sock)
        script = (f"exec {' '.join(moves)}; LISTEN_PID=$$ LISTEN_FDS={len(names)} LISTEN_FDNAMES={':'.join(names)} "
                  'exec "$0" "$@"')
        yield [sock.getsockname()[1] for sock in socks], {
            "wrapper": ["bash", "-c", script], "pass_fds": [sock.fileno() + 100 for sock in socks]}


def test_sockets_of_the_service_manager(handover):
    h = handover()
    h.socket("grpc", "systemd:front")
    h.socket("admin", "systemd:back")
    h.pool("api", rpc(), sockets="admin grpc", workers=2)
    with passed(h, "front", "back") as ((front, back), how):
        h.start(**how)
        for port in (front, back):
            assert sorted(call(port, "info")["sockets"].split()) == ["admin", "grpc"]
        h.good_reload(wait="drained")
        assert call(front, "info")["generation"] == 2
        h.stop()
        assert not is_refused(front), "it queues until the next start: it is not ours to shut down"
        assert not is_refused(back)


def test_a_socket_that_was_not_passed(handover):
    h = handover()
    h.socket("web", "systemd:nowhere")
    h.pool("api", rpc(), sockets="web")
    h.end_early(code=1)
    assert re.search("socket web: .*no socket named 'nowhere'.* service manager", h.log)


def test_a_socket_of_another_name_was_passed(handover):
    h = handover()
    h.socket("web", "systemd:frnt")
    h.pool("api", rpc(), sockets="web")
    with passed(h, "front", "back") as (_, how):
        h.end_early(code=1, **how)
    assert "socket web: no socket named 'frnt' was passed to us by the service manager; what was passed: 'front', 'back'" in h.log


def test_a_name_that_was_passed_twice(handover):
    h = handover()
    h.socket("web", "systemd:front")
    h.pool("api", rpc(), sockets="web")
    with passed(h, "front", "front") as (_, how):
        h.end_early(code=1, **how)
    assert ("socket web: 2 sockets named 'front' were passed to us by the service manager (descriptor 3, descriptor 4): which one "
            "is meant?") in h.log


def test_names_that_do_not_fit_the_sockets(handover):
    h = handover()
    h.socket("web", "systemd:front")
    h.pool("api", rpc(), sockets="web")
    with passed(h, "front") as (_, how):
        how["wrapper"][2] = how["wrapper"][2].replace("LISTEN_FDS=1", "LISTEN_FDS=2")
        h.end_early(code=1, **how)
    assert "cannot use the sockets of the service manager (LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES): Invalid argument" in h.log


def test_a_passed_socket_that_is_let_go_can_be_had_again(handover):
    h = handover()
    h.socket("web", "systemd:front")
    h.pool("api", rpc(), sockets="web")
    with passed(h, "front") as ((front,), how):
        h.start(**how)
        h.section("socket:web", listen=f"tcp://127.0.0.1:{h.ports.take()}")
        h.write()
        h.good_reload(wait="drained")
        h.wait_log("socket web .* is no longer configured: leaving it to the service manager")
        waiting = Call(front, "info")
        h.section("socket:web", listen="systemd:front")
        h.write()
        h.good_reload()
        assert waiting.answer()["generation"] == 3


def test_a_passed_socket_that_no_configuration_names_stays_with_us(handover):
    h = handover()
    h.socket("grpc", "systemd:front")
    h.pool("api", steps(f"dump:{h.path('dump')}", "ready"), sockets="grpc")
    with passed(h, "front", "spare") as ((front, spare), how):
        h.start(**how)
        assert sorted(h.json_of("dump")["fds"]) == ["0", "1", "2", "3"]
        assert not is_refused(front) and not is_refused(spare)
        h.wait_log("warning socket 'spare' was passed to us by the service manager, and no \\[socket:\\] section has "
                   "listen = systemd:spare: who connects to it is not answered")


# --- notifications ---

class Manager:
    def __init__(self, h):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(h.path("manager"))
        self.sock.settimeout(30)
        self.heard, self.store = [], {}
        self.env = h.environment(NOTIFY_SOCKET=h.path("manager"))
        self.path = h.path("manager")

    def hear(self):
        data, fds, _, _ = socket.recv_fds(self.sock, 65536, 4)
        message = dict(line.split("=", 1) for line in data.decode().splitlines())
        if "FDSTORE" in message:
            assert len(fds) == 1 and message["FDPOLL"] == "0", message
            self.store.setdefault(message["FDNAME"], []).extend(fds)
        elif "FDSTOREREMOVE" in message:
            for fd in self.store.pop(message["FDNAME"]):
                os.close(fd)
        self.heard.append(message)
        return message

    def hear_all(self):
        """What has been said so far."""
        self.sock.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                self.hear()
        self.sock.settimeout(30)
        return self.heard

    def giving_back(self):
        """How to start an instance that is given what is in the store."""
        names, numbers = zip(*[(name, fd) for name, fds in sorted(self.store.items()) for fd in fds])
        for number in numbers:
            os.set_inheritable(number, True)
        moves = " ".join(f"{3 + n}<&{number} {number}<&-" for n, number in enumerate(numbers))
        script = f'exec {moves}; LISTEN_PID=$$ LISTEN_FDS={len(names)} LISTEN_FDNAMES={":".join(names)} exec "$0" "$@"'
        return {"wrapper": ["bash", "-c", script], "pass_fds": numbers, "env": self.env}

    def hear_until(self, key):
        while True:
            message = self.hear()
            if key in message:
                return message

    def hear_status(self, pattern):
        while True:
            status = self.hear_until("STATUS")["STATUS"]
            if re.fullmatch(pattern, status):
                return status

    def close(self):
        self.sock.close()
        os.unlink(self.path)
        for fd in sum(self.store.values(), []):
            os.close(fd)


@pytest.fixture(name="manager")
def fixture_manager(handover):
    h = handover()
    manager = Manager(h)
    yield h, manager
    manager.close()


def test_notifications(handover):
    h = handover()
    manager = Manager(h)
    h.pool("api", steps("exit-on:TERM:0", "ready"), workers=2)
    h.start(env=manager.env)
    message = manager.hear_until("READY")
    assert message["READY"] == "1" and message["STATUS"].startswith("2 workers serving")
    h.good_reload()
    message = manager.hear_until("RELOADING")
    assert message["RELOADING"] == "1" and int(message["MONOTONIC_USEC"]) > 0
    assert manager.hear_until("READY")["READY"] == "1"
    h.pool("api", steps("exit:3"))
    h.write()
    h.bad_reload()
    manager.hear_until("RELOADING")
    message = manager.hear_until("READY")
    assert "reload 3 failed" in message["STATUS"] and "exited with code 3" in message["STATUS"]
    h.signal(signal.SIGTERM)
    assert manager.hear_until("STOPPING")["STOPPING"] == "1"
    h.wait_exit(0)
    manager.close()


def test_ready_is_not_said_before_it_is_true(handover):
    h = handover()
    manager = Manager(h)
    h.pool("api", steps(f"await:{h.path('go')}", "ready"))
    h.launch(env=manager.env)
    h.wait_log("pid \\d+ started")
    h.wait(lambda: os.path.exists(h.control) and h.status()["state"] == "starting", "an answer")
    manager.sock.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.hear_until("READY")
    manager.sock.settimeout(30)
    with open(h.path("go"), "w", encoding="utf-8"):
        pass
    manager.hear_until("READY")
    manager.close()


def test_a_manager_that_is_gone_is_no_trouble(handover):
    h = handover()
    h.pool("api", steps("ready"))
    h.start(env=h.environment(NOTIFY_SOCKET=h.path("nobody")))
    h.good_reload()


def test_time_is_asked_for_while_there_is_work(manager):
    h, manager = manager
    flag = h.path("go")
    h.pool("api", steps(f"await:{flag}", "ready"))
    h.launch(env=manager.env)
    assert manager.hear()["EXTEND_TIMEOUT_USEC"] == "10000000", "in its very first message"
    assert manager.hear_until("EXTEND_TIMEOUT_USEC").keys() == {"EXTEND_TIMEOUT_USEC"}, "and again"
    with open(flag, "w", encoding="utf-8"):
        pass
    assert "EXTEND_TIMEOUT_USEC" not in manager.hear_until("READY"), "it has come to rest"
    h.wait_log("is ready: ")
    os.unlink(flag)
    h.signal(signal.SIGHUP)
    assert manager.hear_until("RELOADING")["EXTEND_TIMEOUT_USEC"] == "10000000"
    assert manager.hear_until("EXTEND_TIMEOUT_USEC")
    h.process.send_signal(signal.SIGSTOP)
    manager.hear_all()
    manager.sock.settimeout(4)
    with pytest.raises(TimeoutError):
        manager.hear()  # who hangs asks for nothing
    h.process.send_signal(signal.SIGCONT)
    manager.sock.settimeout(30)
    with open(flag, "w", encoding="utf-8"):
        pass
    assert "EXTEND_TIMEOUT_USEC" not in manager.hear_until("READY")


def test_a_drain_at_a_stop_gets_its_time(manager):
    h, manager = manager
    h.pool("api", steps("exit-on:USR1:0", "ignore:TERM", "ready"), stop_timeout="20s")
    h.start(env=manager.env)
    manager.hear_until("READY")
    h.signal(signal.SIGTERM)
    assert manager.hear_until("STOPPING")["EXTEND_TIMEOUT_USEC"] == "10000000"
    assert re.fullmatch("stopping; draining 1, oldest (20|19) s left", manager.hear_status("stopping; draining.*"))
    assert manager.hear_status("stopping; draining 1, oldest 1[0-8] s left"), "it ticks"
    assert manager.hear_until("EXTEND_TIMEOUT_USEC")
    os.kill(h.pids(state="draining")[0], signal.SIGUSR1)
    h.wait_exit(0)


def test_status_texts(manager):
    h, manager = manager
    flag = h.path("go")
    h.pool("api", steps("ignore:TERM", "exit-on:USR1:0", f"await:{flag}", "ready"), workers=2, drain_timeout="20s")
    h.launch(env=manager.env)
    manager.hear_status("starting: 0 of 2 workers serving, generation 0")
    with open(flag, "w", encoding="utf-8"):
        pass
    manager.hear_status("2 workers serving, generation 1")
    h.wait_log("is ready: ")
    old = h.pids()
    h.signal(signal.SIGHUP)
    manager.hear_status("2 workers serving, generation 1(; starting [12])?; reload 2 runs")
    manager.hear_status(r"2 workers serving, generation 2; draining 2, oldest (20|19) s left")
    for pid in old:
        os.kill(pid, signal.SIGUSR1)
    manager.hear_status("2 workers serving, generation 2")
    h.pool("web", steps("ready"))
    h.write()
    h.good_reload()
    manager.hear_status(r"3 workers serving \(api generation 3, web generation 1\).*")
    h.pool("web", steps("exit:3"))
    h.write()
    h.bad_reload()
    manager.hear_status(r"3 workers serving \(api generation 3, web generation 1\).*; reload 4 failed: .*exited with code 3.*")
    h.signal(signal.SIGTERM)
    h.wait(lambda: not h.pids("api"), "all to drain")
    for pid in h.pids("api", "draining"):
        os.kill(pid, signal.SIGUSR1)
    h.wait_exit(0)


def test_a_pool_that_goes_on_trying_does_not_hold_up_the_manager(manager):
    h, manager = manager
    h.pool("api", steps("ready"))
    h.pool("later", steps(f"exit-unless:{h.path('go')}:1", "ready"), on_start_failure="retry", restart_delay="100ms")
    h.launch(env=manager.env)
    assert re.fullmatch("starting: 1 of 2 workers serving .*", manager.hear_until("READY")["STATUS"])
    with open(h.path("go"), "w", encoding="utf-8"):
        pass
    manager.hear_status(r"2 workers serving \(api generation 1, later generation 1\)")


def test_the_watchdog_is_fed_by_the_loop(manager):
    h, manager = manager
    h.pool("api", steps("ready"))
    h.start(env=dict(manager.env, WATCHDOG_USEC="400000"))
    for _ in range(3):
        assert manager.hear_until("WATCHDOG")["WATCHDOG"] == "1"
    h.process.send_signal(signal.SIGSTOP)
    manager.hear_all()
    manager.sock.settimeout(1)
    with pytest.raises(TimeoutError):
        manager.hear()
    manager.sock.settimeout(30)
    h.process.send_signal(signal.SIGCONT)
    assert manager.hear_until("WATCHDOG")


def test_a_watchdog_that_is_not_ours_is_not_fed(manager):
    h, manager = manager
    h.pool("api", steps("ready"))
    h.start(env=dict(manager.env, WATCHDOG_USEC="1000", WATCHDOG_PID="1"))
    h.good_reload()
    assert not any("WATCHDOG" in message for message in manager.hear_all())


# --- the store ---

def crash(h):
    """The master is killed, and what systemd then does: its workers too."""
    pids = [w["pid"] for w in h.workers()]
    h.process.kill()
    h.process.wait()
    h.process = None
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(is_alive(pid) for pid in pids), "its workers to be gone")


def start_again(h, **how):
    mark = h.mark()
    h.launch(**how)
    h.wait_log(r"instance \S+ is ready", since=mark)


def test_sockets_are_kept_across_a_crash(manager):
    h, manager = manager
    port, path = h.socket("web"), h.path("api.sock")
    h.socket("local", f"unix:{path}")
    h.pool("api", rpc(), sockets="web local", workers=2)
    h.start(env=manager.env)
    h.wait(lambda: manager.hear_all() and set(manager.store) == {"own.web", "own.local"}, "both in the store")
    crash(h)
    waiting = [Call(target, "add", a=n, b=1) for n, target in enumerate((port, path, port, path))]
    start_again(h, **manager.giving_back())
    assert [w.answer()["sum"] for w in waiting] == [1, 2, 3, 4]
    assert call(port, "info")["pid"] in h.pids() and call(path, "info")["pid"] in h.pids()
    h.good_reload(wait="drained")
    assert call(port, "info")["generation"] == 2
    h.stop()
    assert not is_refused(port) and not is_refused(path), "nobody said that this stop is for good"
    os.unlink(path)


def test_sockets_that_are_no_longer_configured_leave_the_store(manager):
    h, manager = manager
    web, old = h.socket("web"), h.socket("old")
    h.pool("api", rpc(), sockets="web")
    h.start(env=manager.env)
    h.wait(lambda: manager.hear_all() and set(manager.store) == {"own.web", "own.old"}, "both in the store")
    h.sections.pop("socket:old")
    h.write()
    h.good_reload()
    h.wait(lambda: manager.hear_all() and set(manager.store) == {"own.web"}, "one in the store")
    h.wait(lambda: is_refused(old), "the old port to be closed")
    assert not is_refused(web)


def test_sockets_that_are_no_longer_configured_at_a_start(manager):
    h, manager = manager
    web, old = h.socket("web"), h.socket("old")
    h.pool("api", rpc(), sockets="web")
    h.start(env=manager.env)
    h.wait(lambda: manager.hear_all() and set(manager.store) == {"own.web", "own.old"}, "both in the store")
    crash(h)
    h.sections.pop("socket:old")
    h.write()
    start_again(h, **manager.giving_back())
    h.wait_log("notice a socket that was kept for us as 'own.old' is no longer configured: closing it")
    h.wait(lambda: manager.hear_all() and set(manager.store) == {"own.web"}, "one in the store")
    assert is_refused(old)
    assert call(web, "add", a=1, b=2)["sum"] == 3


def test_names_that_change_places(manager):
    """The store's names are found by address: a socket keeps the one that it was stored under."""
    h, manager = manager
    a, b = h.socket("a"), h.socket("b")
    h.pool("api", rpc(), sockets="a b")
    h.start(env=manager.env)
    h.wait(lambda: manager.hear_all() and set(manager.store) == {"own.a", "own.b"}, "both in the store")
    h.socket("a", f"tcp://127.0.0.1:{b}")
    h.socket("b", f"tcp://127.0.0.1:{a}")
    c = h.socket("c")
    h.pool("api", rpc(), sockets="a b c")
    h.write()
    h.good_reload()
    h.wait(lambda: manager.hear_all() and set(manager.store) == {"own.a", "own.b", "own.c"}, "three in the store")
    crash(h)
    start_again(h, **manager.giving_back())
    assert {call(port, "add", a=1, b=2)["sum"] for port in (a, b, c)} == {3}
    assert not [m for m in manager.hear_all() if "FDSTOREREMOVE" in m]


def test_those_of_slots_come_back_by_their_addresses(manager):
    h, manager = manager
    path = h.path("own-%n.sock")
    h.socket("own", f"unix:{path}")
    h.pool("api", rpc(), sockets="own", workers=2)
    h.start(env=manager.env)
    h.wait(lambda: manager.hear_all() and set(manager.store) == {"own.own", "own.own.2"}, "both in the store")
    assert h.cli("scale", "api", "3").returncode == 0
    h.wait(lambda: manager.hear_all() and set(manager.store) == {"own.own", "own.own.2", "own.own.3"}, "the third as well")
    crash(h)
    waiting = [Call(path.replace("%n", str(slot)), "info") for slot in (0, 1)]
    start_again(h, **manager.giving_back())
    assert [w.answer()["slot"] for w in waiting] == [0, 1], "who connected meanwhile is answered by the worker of that slot"
    h.wait_log("notice a socket that was kept for us as 'own.own(.3)?' is no longer configured: closing it")
    h.wait(lambda: manager.hear_all() and len(manager.store) == 2, "that of the slot that is gone to be given up")
    h.stop()
    for slot in (0, 1):
        assert not is_refused(path.replace("%n", str(slot)))
        os.unlink(path.replace("%n", str(slot)))
    os.unlink(path.replace("%n", "2"))


def test_a_start_that_fails_leaves_the_store_alone(manager):
    h, manager = manager
    port = h.socket("web")
    h.pool("api", rpc(), sockets="web")
    h.start(env=manager.env)
    h.wait(lambda: manager.hear_all() and set(manager.store) == {"own.web"}, "it in the store")
    crash(h)
    h.pool("api", steps("exit:1"), sockets="web")
    h.end_early(code=1, **manager.giving_back())
    manager.hear_all()
    assert set(manager.store) == {"own.web"} and not is_refused(port)


# --- an ordinary user ---

def test_an_ordinary_user(handover):
    h = handover()
    os.chmod(h.place, 0o777)
    os.mkdir(h.path("user"))
    os.chmod(h.path("user"), 0o777)
    port = h.socket("web")
    h.pool("api", rpc(), sockets="web", workers=2)
    h.runtime_options = []
    h.runtime_dir = h.path(f"user/handover/{h.name}")
    h.control = h.runtime_dir + "/control.sock"
    h.api.address = h.control
    wrapper = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"] if os.geteuid() == 0 else []
    h.start(wrapper=wrapper, env=h.environment(XDG_RUNTIME_DIR=h.path("user")))
    assert call(port, "add", a=1, b=2)["sum"] == 3
    assert h.good_reload()["result"] == "committed"
    for pid in h.pids():
        assert f"Uid:\t{65534 if wrapper else os.geteuid()}" in read_file(f"/proc/{pid}/status").decode()
    h.stop()


@pytest.mark.needs_root
def test_what_an_ordinary_user_may_not_do_is_said_beforehand(handover):
    h = handover()
    os.chmod(h.place, 0o777)
    h.pool("api", steps("ready"), user="root", nice=-5, oom_score_adj=-500, limit_nofile="100000000")
    h.end_early(code=78, wrapper=["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"])
    for said in ("user: only root may start workers as 'root', and we are uid 65534", "nice: only root may", "oom_score_adj: only root may",
                 "limit_nofile: only root may raise the limit"):
        assert said in h.log, said


# --- the sum of the budgets ---

def test_check_tells_the_sum_of_the_budgets(handover):
    h = handover()
    h.supervisor(lame_duck="3s")
    h.socket("web")
    h.pool("api", rpc(), sockets="web", stop_timeout="20s", dump_signal="SIGQUIT", dump_timeout="2s")
    done = h.run_only("--check", h.config)
    assert done.returncode == 0 and re.search(r"25 s", done.stdout), done.stdout
