"""What happens when the configuration is wrong, at the start and at a reload: see docs/what-happens-when.md."""
import os
import random
import re

import pytest

from harness import rpc, steps
from when import check_reload_refused, check_start_refused, no_loss_and_no_leak, said

MIB = 1 << 20


def serve(h, **more):
    port = h.socket("web")
    h.pool("api", rpc("--version", 1), sockets="web", workers=2, stop_timeout="200ms")
    h.start(**more)
    return port


# --- what a file can be instead of a good configuration ---

def write(h, data):
    with open(h.config, "wb") as file:
        file.write(data)


def replace(h, make):
    if os.path.lexists(h.config):
        os.unlink(h.config)
    make(h.config)


def write_huge(h):
    with open(h.config, "wb") as file:
        file.truncate(100 * MIB)


NOISE = bytes(random.Random(7).choices([n for n in range(1, 256) if n != 10], k=4000))
NO_TEXT = ", so this is no text file; nothing of it is used\n"

# name: (what becomes of it, how many mistakes that is, what is said)
FILES = {
    "missing": (lambda h: os.path.lexists(h.config) and os.unlink(h.config), 1,
                "{config}: cannot be read: No such file or directory\n"),
    "empty": (lambda h: write(h, b""), 1, "{config}: there is no [pool:NAME], so there is nothing to run\n"),
    "broken": (lambda h: write(h, b"[pool:api]\ncommand = /bin/true\nready notify\ndrain_timout = 3s\nworkers = many\n"), 4,
               "{config}:1: [pool:api] ready: is missing; say how a worker becomes ready: notify, http:/PATH, grpc, delay:2s, fd:N or exec:CMD\n"
               "{config}:3: [pool:api] 'ready notify' is no 'key = value' (and a value cannot go on in the next line)\n"
               "{config}:4: [pool:api] drain_timout: unknown key; did you mean 'drain_timeout'?\n"
               "{config}:5: [pool:api] workers: 'many' is neither a number nor 'auto'\n"),
    "100 MB": (write_huge, 1, "{config}: has more than 4194304 bytes, so this is no configuration\n"),
    "a program": (lambda h: write(h, b"\x7fELF\2\1\1\0\0"), 1, "{config}:1: contains a NUL byte" + NO_TEXT),
    "noise": (lambda h: write(h, NOISE), 1, "{config}: contains more than 100 control characters" + NO_TEXT),
    "UTF-16": (lambda h: write(h, "[pool:api]\n".encode("utf-16")), 1, "{config}: is UTF-16; save it as UTF-8\n"),
    "a directory": (lambda h: replace(h, os.mkdir), 1, "{config}: is a directory\n"),
    "a pipe": (lambda h: replace(h, os.mkfifo), 1, "{config}: is no regular file\n"),
    "a dangling link": (lambda h: replace(h, lambda path: os.symlink("/no/such.ini", path)), 1,
                        "{config}: is a symbolic link to '/no/such.ini', which does not exist\n"),
}


@pytest.mark.parametrize("spoil, n, text", FILES.values(), ids=FILES.keys())
def test_a_bad_file_at_the_start(handover, spoil, n, text):
    h = handover()
    spoil(h)
    check_start_refused(h, said(h, text) + f"handoverd: not started: {n} mistake{'s' if n > 1 else ''} in the configuration\n")


@pytest.mark.parametrize("spoil, n, text", FILES.values(), ids=FILES.keys())
def test_a_bad_file_at_a_reload(handover, spoil, n, text):
    h = handover()
    port = serve(h)
    with no_loss_and_no_leak(h, port):
        spoil(h)
        check_reload_refused(h, said(h, text), n)
        if os.path.isdir(h.config):
            os.rmdir(h.config)
        elif os.path.lexists(h.config):
            os.unlink(h.config)
        h.write()
        assert h.good_reload(changed=True)["message"].endswith("nothing had changed, nothing was touched")


@pytest.mark.needs_root
def test_an_unreadable_file_at_the_start(handover):
    h = handover()
    h.pool("api", steps("ready"))
    h.write()
    os.chmod(h.config, 0)
    check_start_refused(h, said(h, "{config}: cannot be read: Permission denied\n"
                                   "handoverd: not started: 1 mistake in the configuration\n"), user=65534, group=65534,
                        extra_groups=[])


@pytest.mark.needs_root
def test_an_unreadable_file_at_a_reload(handover):
    h = handover()
    os.chmod(h.place, 0o777)
    port = serve(h, user=65534, group=65534, extra_groups=[])
    with no_loss_and_no_leak(h, port):
        os.chmod(h.config, 0)
        check_reload_refused(h, said(h, "{config}: cannot be read: Permission denied\n"))


# --- drop-ins ---

MANY = ("{config}:8: [pool:api] max_processes: must be at least 40, for 20 workers ({config}.d/50.ini:2) and 20 more in a rollout "
        "(max_surge), but is 5\n")
DROPINS = {
    "contradicts the file": ({"50.ini": "[pool:api]\nworkers = 20\n"}, 1, MANY),
    "is wrong": ({"50.ini": "[pool:api]\nworkers = 0\n"}, 1, "{config}.d/50.ini:2: [pool:api] workers: must be between 1 and 10000, but is 0\n"),
    "means another pool": ({"50.ini": "[pool:apj]\nworkers = 3\n"}, 2,
                           "{config}.d/50.ini:1: [pool:apj] command: is missing; say what a worker runs\n{config}.d/50.ini:1: [pool:apj] ready: "
                           "is missing; say how a worker becomes ready: notify, http:/PATH, grpc, delay:2s, fd:N or exec:CMD\n"),
    "contradicts itself": ({"50.ini": "[pool:api]\nworkers = 2\nworkers = 1\n"}, 1,
                           "{config}.d/50.ini:3: [pool:api] workers: stands here again; it was set at line 2\n"),
    "leaves no way to reload": ({"50.ini": "[pool:api]\nmax_surge = 0\n"}, 1,
                                "{config}.d/50.ini:2: [pool:api] max_surge: max_surge and max_unavailable are both 0, so no worker could "
                                "ever be replaced: allow one more of them (max_surge) or one fewer (max_unavailable)\n"),
    "cannot be read": ({"50.ini": None}, 1, "{config}.d/50.ini: is a symbolic link to '/no/such.ini', which does not exist\n"),
}


def write_dropins(h, files):
    os.makedirs(h.config + ".d", exist_ok=True)
    for name, text in files.items():
        path = os.path.join(h.config + ".d", name)
        if text is None:
            os.symlink("/no/such.ini", path)
            continue
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def with_max_processes(h):
    """The key in line 8 that a drop-in contradicts."""
    port = h.socket("web")
    h.pool("api", rpc("--version", 1), sockets="web", workers=2, max_processes=5, stop_timeout="200ms")
    return port


@pytest.mark.parametrize("files, n, text", DROPINS.values(), ids=DROPINS.keys())
def test_a_bad_dropin_at_the_start(handover, files, n, text):
    h = handover()
    with_max_processes(h)
    h.write()
    write_dropins(h, files)
    check_start_refused(h, said(h, text) + f"handoverd: not started: {n} mistake{'s' if n > 1 else ''} in the configuration\n")


@pytest.mark.parametrize("files, n, text", DROPINS.values(), ids=DROPINS.keys())
def test_a_bad_dropin_at_a_reload(handover, files, n, text):
    h = handover()
    port = with_max_processes(h)
    h.start()
    with no_loss_and_no_leak(h, port):
        write_dropins(h, files)
        check_reload_refused(h, said(h, text), n)


def test_dropins_that_contradict_each_other(handover):
    """The later name wins: that is what drop-ins are for."""
    h = handover()
    port = serve(h)
    write_dropins(h, {"10-a.ini": "[pool:api]\nworkers = 5\n", "20-b.ini": "[pool:api]\nworkers = 3\n"})
    with no_loss_and_no_leak(h, port) as case:
        case.more_processes = 1
        case.more_descriptors = 5  # its pidfd, notifications, output, channel, page
        assert h.good_reload(changed=True)["message"] == "reload 2 committed: pool api: 3 workers"
        assert re.search(r"^pool api: 3 workers of ", h.cli("check", h.config).stdout, re.M)


# --- keys whose change needs new workers, and keys whose change does not ---

SUPERVISOR = {"status_listen": "127.0.0.1:{port}", "operator_group": "daemon", "lame_duck": "1ms", "log_level": "debug", "log_format": "json"}
SOCKET = {"backlog": 100, "mode": "0600", "owner": "daemon", "group": "daemon", "reuseaddr": "no", "receive_buffer": "64K",
          "send_buffer": "64K"}
SOCKET_FIXED = {"ipv6_only": "yes", "freebind": "yes"}
SOCKET_ELSEWHERE = ["reuseport"]  # test_reuseport.py: of TCP alone
POOL = {"start_timeout": "20s", "probe_timeout": "4s", "live_interval": "4s", "live_timeout": "1s", "live_failures": 2, "drain_signal": "SIGINT", "drain_timeout": "5s", "stop_timeout": "5s",
        "drain_extend_max": "1s", "dump_signal": "SIGABRT", "dump_timeout": "1s", "restart": "on-failure", "restart_delay": "1s",
        "restart_delay_max": "10s", "restart_reset": "10s", "crash_loop_after": 9, "on_crash_loop": "exit",
        "on_start_failure": "retry", "max_surge": "50%", "max_unavailable": 1, "canary": 1, "canary_time": "1s",
        "canary_check": "exec:/bin/true", "canary_check_timeout": "1s", "canary_hold": "yes", "canary_hold_timeout": "1min",
        "min_ready": "1ms", "progress_timeout": "9min", "ready_workers": 2,
        "keep_generations": 5, "max_processes": 50, "success_codes": 3, "fd_store_max": 2}
POOL_SCALE = {"workers": 3}
POOL_REPLACE = {"command": steps("exit-on:TERM:0", "ready", "sleep:1"), "sockets": "web other", "ready": "delay:1ms", "watchdog": "10s",
                "user": "daemon", "group": "daemon", "supplementary_groups": "daemon", "working_directory": "/tmp", "umask": "0077",
                "environment": "A=1", "environment_file": "{place}/env", "nice": 1, "oom_score_adj": 1, "limit_nofile": 1000,
                "limit_core": 0, "stdout": "null", "stderr": "null", "bind_shim": "yes",
                "memory_max": "100M", "tasks_max": 100, "cpu_weight": 50, "compat": "server-starter", "live": "exec:/bin/true"}
POOL_ELSEWHERE = {"handoff": "test_channel.py::test_a_change_of_the_handoff_needs_new_workers",
                  "probe_address": "test_probes.py::test_a_change_of_the_address_needs_new_workers"}
FOLLOWS = {"drain_timeout": ", stop_timeout changed", "stdout": ", stderr changed", "environment_file": ", environment file changed"}


def change(h, title, key, value):
    """Changes a key, reloads, and changes it back; gives the first reload's answer."""
    before = h.sections.get(title, {}).get(key)
    h.section(title, **{key: value.format(port=h.ports.take(), place=h.place) if isinstance(value, str) else value})
    h.write()
    answer = h.reload(changed=True)
    h.section(title, **{key: before})
    h.write()
    if answer[0] == 200:
        h.good_reload(changed=True)
    return answer


def test_every_key_is_in_one_of_the_lists(handover):
    h = handover()
    keys = [tuple(line.split()[:2]) for line in h.run_only("--list-keys", write=False).stdout.splitlines()]
    of = {"supervisor": [*SUPERVISOR], "socket:NAME": ["listen", *SOCKET, *SOCKET_FIXED, *SOCKET_ELSEWHERE],
          "pool:NAME": [*POOL, *POOL_SCALE, *POOL_REPLACE, *POOL_ELSEWHERE]}
    assert sorted(keys) == sorted((section, key) for section, names in of.items() for key in names)


@pytest.mark.needs_root
def test_keys_whose_change_leaves_the_workers(handover):
    h = handover()
    path = h.path("web.sock")
    h.socket("web", f"unix:{path}")
    h.pool("api", rpc(), sockets="web", workers=2)
    h.start()
    old = h.pids()
    with no_loss_and_no_leak(h, path) as case:
        for title, keys, name in (("supervisor", SUPERVISOR, "supervisor"), ("socket:web", SOCKET, "socket web"), ("pool:api", POOL, "pool api")):
            for key, value in keys.items():
                code, answer = change(h, title, key, value)
                what = "pool api: new settings, the workers stay" if title == "pool:api" else "new settings, no worker was touched"
                assert (code, answer["message"]) == (200, f"reload {answer['id']} committed: {what}"), key
                assert answer["remarks"] == [f"{name}: {key} changed{FOLLOWS.get(key, '')}"]
        for key, value in SOCKET_FIXED.items():
            code, answer = change(h, "socket:web", key, value)
            assert (code, answer["message"]) == (
                409, f"reload {answer['id']} failed: socket web: '{key}' cannot be changed while the socket is open; it takes a restart of "
                     "the instance; still serving: pool api generation 1 with 2 of 2 workers")
        code, answer = change(h, "pool:api", "workers", 3)
        assert (answer["message"], answer["remarks"]) == (f"reload {answer['id']} committed: pool api: 3 workers", ["pool api: workers changed"])
        h.wait(lambda: h.pids() == old, "the workers of the beginning")
        case.memory_tolerance *= 2  # sixty configurations
    assert os.path.exists(path)


@pytest.mark.needs_root
def test_keys_whose_change_needs_new_workers(handover):
    h = handover()
    port = serve(h)
    h.socket("other")
    h.pool("side", steps("exit-on:TERM:0", "ready"), sockets="other", workers=2, keep_generations=0)
    h.write()
    h.good_reload(changed=True)
    with open(h.path("env"), "w", encoding="utf-8") as file:
        file.write("X=1\n")
    old = h.pids("api")
    with no_loss_and_no_leak(h, port) as case:
        for key, value in POOL_REPLACE.items():
            side = h.pids("side")
            code, answer = change(h, "pool:side", key, value)
            generation = h.pool_status("side")["generation"] - 1
            assert (code, answer["message"]) == (
                200, f"reload {answer['id']} committed: pool side: generation {generation} serves with 2 workers"), key
            assert answer["remarks"] == [f"pool side: {key} changed{FOLLOWS.get(key, '')}"]
            assert not set(side) & set(h.pids("side"))
        h.wait_serving("side", 2)
        assert h.pids("api") == old
        case.memory_tolerance *= 2
