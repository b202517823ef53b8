"""What a worker is given: environment, descriptors, identity, limits, signals. By a worker that writes all of it down."""
import grp
import os
import pwd
import resource
import signal
import socket

import pytest

from harness import call, read_file, rpc, steps

FOREIGN = {
    "LISTEN_PID": "1", "LISTEN_FDS": "7", "LISTEN_FDNAMES": "a:b", "LISTEN_PIDFDID": "5", "NOTIFY_SOCKET": "@nobody-listens",
    "WATCHDOG_PID": "1", "WATCHDOG_USEC": "9", "FDSTORE": "1", "MAINPID": "1", "SERVER_STARTER_PORT": "80=3",
    "SERVER_STARTER_GENERATION": "4", "EINHORN_MASTER_PID": "1", "EINHORN_FD_0": "6", "EINHORN_FDS": "6 7", "NGINX": "6;7;",
    "GUNICORN_FD": "3", "GUNICORN_PID": "1", "UNICORN_FD": "3", "PUMA_INHERIT_0": "3:tcp://x", "FPM_SOCKETS": "x=3",
    "TABLEFLIP_X": "1", "HANDOVER_POOL": "somebody's", "HANDOVER_X": "1",
}


def environment_of(dump):
    env = dict(item.split("=", 1) for item in dump["env"])
    assert len(env) == len(dump["env"]), f"a variable is there twice: {dump['env']}"
    return env


def dumping(h, *more, before=()):
    return steps(f"dump:{h.path('dump')}", *before, "ready", *more)


# --- variables ---

def test_the_exact_environment(handover):
    h = handover()
    h.socket("web")
    h.socket("admin")
    h.pool("api", dumping(h), sockets="admin, web", drain_timeout="1500ms", environment="COLOUR=blue 'TWO=a b'")
    base = h.environment()
    h.start(env={**base, **FOREIGN})
    dump = h.json_of("dump")
    env = environment_of(dump)
    notify = env.pop("NOTIFY_SOCKET")
    assert notify.startswith("@") and len(notify) > 20
    assert env == {**base, "COLOUR": "blue", "TWO": "a b", "LISTEN_PID": str(dump["pid"]), "LISTEN_FDS": "2",
                   "LISTEN_FDNAMES": "admin:web", "HANDOVER_INSTANCE": h.name, "HANDOVER_POOL": "api", "HANDOVER_SLOT": "0",
                   "HANDOVER_GENERATION": "1", "HANDOVER_DRAIN_TIMEOUT_USEC": "1500000",
                   "HANDOVER_CHANNEL": f"{h.runtime_dir}/channel.sock"}


def test_no_sockets_and_no_watchdog_leave_no_variables(handover):
    h = handover()
    h.pool("api", dumping(h))
    h.start(env={**h.environment(), **FOREIGN})
    env = environment_of(h.json_of("dump"))
    assert [name for name in env if name.startswith(("LISTEN_", "WATCHDOG_"))] == []


def test_watchdog_variables(handover):
    h = handover()
    h.pool("api", steps(f"dump:{h.path('dump')}", "ready", "notify-every:100:WATCHDOG=1"), watchdog="10s")
    h.start()
    dump = h.json_of("dump")
    env = environment_of(dump)
    assert (env["WATCHDOG_USEC"], env["WATCHDOG_PID"]) == ("10000000", str(dump["pid"]))


def test_every_worker_has_its_own_address_slot_and_generation(handover):
    h = handover()
    h.pool("api", steps(f"dump:{h.path('dump')}-%n-%g", "ready"), workers=2)
    h.start()
    h.good_reload()
    dumps = {(n, g): environment_of(h.json_of(f"dump-{n}-{g}")) for n in (0, 1) for g in (1, 2)}
    for (n, g), env in dumps.items():
        assert (env["HANDOVER_SLOT"], env["HANDOVER_GENERATION"]) == (str(n), str(g))
    assert len({env["NOTIFY_SOCKET"] for env in dumps.values()}) == 4


def test_configured_variables_win_and_files_come_before_them(handover):
    h = handover()
    with open(h.path("one.env"), "w", encoding="utf-8") as file:
        file.write("# a comment\n; another\nA=file\nB='quoted value'\nHOME=/file\n\nC=\"x # y\"\n")
    with open(h.path("two.env"), "w", encoding="utf-8") as file:
        file.write("B=two\n")
    h.pool("api", dumping(h), environment=["A=configured", "D=%p-%n-%g-%i-%%"],
           environment_file=[h.path("one.env"), h.path("two.env"), "-" + h.path("none.env")])
    h.start()
    env = environment_of(h.json_of("dump"))
    assert [env[name] for name in "ABCD"] == ["configured", "two", "x # y", f"api-0-1-{h.name}-%"]
    assert env["HOME"] == "/file"


def test_an_environment_file_is_read_anew_at_a_reload(handover):
    h = handover()

    def write(value):
        with open(h.path("env"), "w", encoding="utf-8") as file:
            file.write(f"COLOUR={value}\n")
    write("red")
    h.pool("api", steps(f"dump:{h.path('dump')}-%g", "ready"), environment_file=h.path("env"))
    h.start()
    write("green")
    os.kill(h.pids()[0], signal.SIGKILL)
    h.wait_serving("api", 1)
    assert environment_of(h.json_of("dump-1"))["COLOUR"] == "red", "a restart runs what was committed"
    assert h.good_reload(changed=True)["message"].endswith("generation 2 serves with 1 worker")
    assert environment_of(h.json_of("dump-2"))["COLOUR"] == "green"


def test_specifiers_in_the_command(handover):
    h = handover()
    h.pool("api", steps(f"dump:{h.path('dump')}", "ready", "say:%p/%n/%g/%i/%%"))
    h.start()
    assert h.json_of("dump")["argv"][-1] == f"say:api/0/1/{h.name}/%"


def test_quotes_in_the_command(handover):
    h = handover()
    h.pool("api", rf'''{steps(f"dump:{h.path('dump')}", "ready")} 'say:a ; b' "say:c # d" say:e\ f ''')
    h.start()
    assert h.json_of("dump")["argv"][-3:] == ["say:a ; b", "say:c # d", "say:e f"]


# --- descriptors ---

def test_exactly_the_configured_descriptors(handover):
    h = handover()
    h.socket("tcp")
    h.socket("six", f"tcp://[::1]:{h.ports.take()}")
    h.socket("path", f"unix:{h.path('a.sock')}")
    h.socket("dns", f"udp://127.0.0.1:{h.ports.take()}")
    h.pool("api", dumping(h), sockets="path six dns tcp")
    h.pool("other", steps("ready"), workers=3)
    with open("/dev/null", encoding="utf-8") as inherited:
        os.set_inheritable(inherited.fileno(), True)
        h.start(close_fds=False)
    fds = h.json_of("dump")["fds"]
    assert sorted(map(int, fds)) == [0, 1, 2, 3, 4, 5, 6]
    assert fds["0"]["target"] == "/dev/null"
    assert fds["1"]["target"] == fds["2"]["target"] and fds["1"]["target"].startswith("pipe:")
    kinds = [(fds[n]["domain"], fds[n]["type"], fds[n]["listens"]) for n in "3456"]
    assert kinds == [(socket.AF_UNIX, socket.SOCK_STREAM, 1), (socket.AF_INET6, socket.SOCK_STREAM, 1),
                     (socket.AF_INET, socket.SOCK_DGRAM, 0), (socket.AF_INET, socket.SOCK_STREAM, 1)]
    for n in "3456":
        assert not fds[n]["cloexec"] and fds[n]["flags"] & os.O_NONBLOCK
    assert not fds["1"]["flags"] & os.O_NONBLOCK


def test_the_ready_descriptor_and_what_lies_between(handover):
    h = handover()
    h.socket("web")
    h.pool("api", steps(f"dump:{h.path('dump')}", "write:17:ready"), sockets="web", ready="fd:17")
    h.start()
    fds = h.json_of("dump")["fds"]
    assert sorted(map(int, fds)) == [0, 1, 2, 3, 17]
    assert fds["17"]["target"].startswith("pipe:")


def test_a_master_without_standard_descriptors(handover):
    """0, 1 and 2 closed: what the master opens then must not be taken for them."""
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc(), sockets="web")
    h.pool("x", dumping(h))
    h.launch(wrapper=["sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-'])
    h.wait(lambda: os.path.exists(h.control), "the control socket")
    h.wait(lambda: h.status()["state"] == "running", "the start")
    assert call(port, "add", a=1, b=2)["sum"] == 3
    fds = h.json_of("dump")["fds"]
    assert sorted(map(int, fds)) == [0, 1, 2] and fds["0"]["target"] == "/dev/null"


# --- identity ---

def test_an_own_session_and_empty_signal_sets(handover):
    h = handover()
    h.pool("api", dumping(h))
    blocked = {signal.SIGTERM, signal.SIGUSR2, signal.SIGCHLD, signal.SIGRTMIN + 3}

    def inherit_the_worst():
        signal.pthread_sigmask(signal.SIG_BLOCK, blocked - {signal.SIGTERM})
        for number in (signal.SIGQUIT, signal.SIGUSR2, signal.SIGPIPE, signal.SIGRTMIN + 1):
            signal.signal(number, signal.SIG_IGN)
    h.start(preexec_fn=inherit_the_worst)
    dump = h.json_of("dump")
    assert dump["sid"] == dump["pgid"] == dump["pid"] and dump["ppid"] == h.pid
    for line in ("SigBlk", "SigIgn", "SigCgt", "SigPnd", "ShdPnd"):
        # libc's own two signals are no business of a program
        assert int(dump["status"][line], 16) & ~(3 << 31) == 0, f"{line} {dump['status'][line]}"


def test_working_directory_umask_nice_oom_score_and_limits(handover):
    h = handover()
    os.mkdir(h.path("work"))
    h.pool("api", dumping(h), working_directory=h.path("work"), umask="0027", nice=5, oom_score_adj=300, limit_nofile=123,
           limit_core="1M")
    h.start()
    dump = h.json_of("dump")
    assert (dump["cwd"], dump["umask"], dump["nice"], dump["oom_score_adj"]) == (h.path("work"), 0o027, 5, 300)
    assert (dump["nofile"], dump["core"]) == ([123, 123], [1 << 20, 1 << 20])


def test_what_is_not_configured_is_as_the_master_was_given_it(handover):
    h = handover()
    h.pool("api", dumping(h))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    h.start(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (700, hard)), cwd="/usr")
    dump = h.json_of("dump")
    assert dump["nofile"] == [700, hard], "the master raises its own limit, and not the workers'"
    assert (dump["cwd"], dump["umask"], dump["uid"]) == ("/usr", 0o022, os.geteuid())
    own = resource.prlimit(h.pid, resource.RLIMIT_NOFILE)
    assert own == (hard, hard)


def test_a_relative_command_starts_from_the_working_directory(handover):
    h = handover()
    os.symlink(steps().strip(), h.path("worker"))
    h.pool("api", f"./worker dump:{h.path('dump')} ready", working_directory=h.place)
    h.start()
    assert h.json_of("dump")["cwd"] == h.place


@pytest.mark.needs_root
def test_user_with_its_groups(handover):
    h = handover()
    os.chmod(h.place, 0o777)
    h.pool("api", dumping(h), user="nobody")
    h.start()
    dump, nobody = h.json_of("dump"), pwd.getpwnam("nobody")
    env = environment_of(dump)
    assert (dump["uid"], dump["euid"], dump["gid"], dump["egid"]) == (nobody.pw_uid, nobody.pw_uid, nobody.pw_gid, nobody.pw_gid)
    assert sorted(dump["groups"]) == sorted(os.getgrouplist("nobody", nobody.pw_gid))
    assert (env["USER"], env["LOGNAME"], env["HOME"]) == ("nobody", "nobody", nobody.pw_dir)
    assert dump["status"]["CapEff"].strip("0") == ""


@pytest.mark.needs_root
def test_user_group_and_supplementary_groups(handover):
    h = handover()
    os.chmod(h.place, 0o777)
    h.pool("api", dumping(h), user="daemon", group="nogroup", supplementary_groups="audio, video 4711")
    h.pool("own", steps(f"dump:{h.path('dump-own')}", "ready"), group="daemon")
    h.start()
    dump = h.json_of("dump")
    assert (dump["uid"], dump["gid"]) == (pwd.getpwnam("daemon").pw_uid, grp.getgrnam("nogroup").gr_gid)
    assert sorted(dump["groups"]) == sorted([grp.getgrnam("audio").gr_gid, grp.getgrnam("video").gr_gid, 4711])
    own = h.json_of("dump-own")
    assert (own["uid"], own["gid"]) == (os.geteuid(), grp.getgrnam("daemon").gr_gid)


@pytest.mark.needs_root
def test_a_worker_of_another_user_can_serve_speak_and_be_ended(handover):
    h = handover()
    port = h.socket("web")
    h.pool("api", rpc(), sockets="web", user="nobody")
    h.start()
    pid = h.pids()[0]
    assert call(port, "add", a=1, b=2)["sum"] == 3
    assert f"Uid:\t{pwd.getpwnam('nobody').pw_uid}" in read_file(f"/proc/{pid}/status").decode()
    h.good_reload(wait="drained")
    h.wait_serving("api", 1, generation=2)


@pytest.mark.needs_root
def test_a_user_who_may_not_execute_the_command(handover):
    h = handover()
    os.mkdir(h.path("closed"), 0o700)
    os.symlink(steps().strip(), h.path("closed/worker"))
    h.pool("api", h.path("closed/worker") + " ready", user="nobody")
    h.end_early(code=1)
    assert f"cannot execute {h.path('closed/worker')}: Permission denied" in h.log
