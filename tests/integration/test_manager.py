"""What a service manager gives us and hears of us, played by the test: sockets, notifications, an ordinary user."""
import contextlib
import os
import re
import signal
import socket

import pytest

from harness import call, is_refused, read_file, rpc, steps


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


def test_a_passed_socket_that_no_configuration_names_stays_with_us(handover):
    h = handover()
    h.socket("grpc", "systemd:front")
    h.pool("api", steps(f"dump:{h.path('dump')}", "ready"), sockets="grpc")
    with passed(h, "front", "spare") as ((front, spare), how):
        h.start(**how)
        assert sorted(h.json_of("dump")["fds"]) == ["0", "1", "2", "3"]
        assert not is_refused(front) and not is_refused(spare)


# --- notifications ---

class Manager:
    def __init__(self, h):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(h.path("manager"))
        self.sock.settimeout(30)
        self.env = h.environment(NOTIFY_SOCKET=h.path("manager"))
        self.path = h.path("manager")

    def hear(self):
        return dict(line.split("=", 1) for line in self.sock.recv(65536).decode().splitlines())

    def hear_until(self, key):
        while True:
            message = self.hear()
            if key in message:
                return message

    def close(self):
        self.sock.close()
        os.unlink(self.path)


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
