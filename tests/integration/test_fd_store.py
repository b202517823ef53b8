"""What a worker has kept (FDSTORE=1) is there for the next one of its slot: after a crash, a reload, a restart."""
import contextlib
import json
import os
import re
import sys

import pytest

from harness import ROOT, connect

WORKER = os.path.join(ROOT, "tests/workers/store-worker.py")


def command(*options):
    return " ".join([sys.executable, WORKER, *options])


def pool(h, *options, workers=1, **keys):
    h.socket("ctl", f"unix:{h.path('ctl-%n.sock')}")
    h.pool("api", command(*options), **{"sockets": "ctl", "workers": workers, "fd_store_max": 8, **keys})


def ask(h, words, slot=0):
    with connect(h.path(f"ctl-{slot}.sock")) as sock:
        sock.sendall(words.encode() + b"\n")
        data = b""
        while chunk := sock.recv(65536):
            data += chunk
    return json.loads(data)["answer"] if data else None


def crash(h, slot=0):
    pid = next(w["pid"] for w in h.workers("api", "serving") if w["slot"] == slot)
    ask(h, "crash", slot)
    h.wait(lambda: [w for w in h.workers("api", "serving") if w["slot"] == slot and w["pid"] != pid], "its successor")


def stored(h):
    return [(s["slot"], s["name"], s["kind"], s["count"]) for s in h.status()["stored"]]


def kept(h, count):
    """Waits until the master has so many memory files and pipes, beside what it needs itself: none leaks."""
    def look():
        links = []
        for fd in os.listdir(f"/proc/{h.pid}/fd"):
            with contextlib.suppress(OSError):
                links.append(os.readlink(f"/proc/{h.pid}/fd/{fd}"))
        return sum(link.startswith("/memfd:kept") for link in links) == count
    h.wait(look, f"{count} descriptors")


def figure(h, name):
    return float(re.search(rf"^{re.escape(name)} (.*)$", h.api.request("GET", "/metrics")[1], re.M)[1])


def test_a_file_in_memory_outlives_crash_reload_and_restart(handover):
    h = handover()
    pool(h, workers=2)
    h.start()
    assert ask(h, "names") == []
    ask(h, "keep cache warm")
    assert stored(h) == [(0, "cache", "memfd", 1)]
    for step in (lambda: crash(h), lambda: h.good_reload(wait="drained"), lambda: h.cli("restart", "api/0"), lambda: crash(h)):
        step()
        assert ask(h, "names") == ["cache"] and ask(h, "read cache") == ["warm"]
        assert ask(h, "names", slot=1) == [], "it is slot 0's"
    env = ask(h, "env")
    assert (env["LISTEN_FDS"], env["LISTEN_FDNAMES"], env["HANDOVER_STORED"], env["FDSTORE"]) == ("2", "ctl:cache", "1", "8")
    env = ask(h, "env", slot=1)
    assert (env["LISTEN_FDS"], env["LISTEN_FDNAMES"], env["HANDOVER_STORED"]) == ("1", "ctl", "0")
    assert re.search(r"^api/0 +memfd +1 +cache$", h.cli("status", "-v").stdout, re.M)
    assert figure(h, 'handover_stored_descriptors{pool="api"}') == 1


def test_a_connection_goes_on_with_the_successor(handover):
    """A client talks on, over one connection, while workers crash, are restarted and replaced."""
    h = handover()
    port = h.socket("raw")
    pool(h, sockets="ctl raw")
    h.start()
    with connect(port) as client, client.makefile("rw", encoding="utf-8", newline="\n") as lines:
        def talk(text):
            lines.write(text + "\n")
            lines.flush()
            pid, _, answer = lines.readline().rstrip("\n").partition(" ")
            assert answer == text
            return int(pid)
        seen = {talk("one")}
        assert stored(h) == [(0, "raw", "tcp", 1)]
        for n, step in enumerate((lambda: crash(h), lambda: h.good_reload(wait="drained"), lambda: h.cli("restart", "api"), lambda: crash(h))):
            step()
            h.wait_serving("api", 1)
            seen.add(talk(f"again {n}"))
        assert len(seen) == 5 and talk("last") in h.pids()
    h.wait(lambda: not stored(h), "the connection that the client closed to be dropped")
    assert figure(h, 'handover_stored_closed_total{pool="api",reason="dead"}') == 1


def test_limits(handover):
    h = handover()
    pool(h, fd_store_max=3)
    h.start()
    ask(h, "keep a x 2")
    ask(h, "keep b x 4")
    assert stored(h) == [(0, "a", "memfd", 2), (0, "b", "memfd", 1)], "several of one name, and as many as are allowed"
    kept(h, 3)
    h.wait_log(r"warning pool api slot 0 generation 1 pid \d+: a descriptor that it wanted kept for its successor was closed: there are "
               r"fd_store_max = 3 already \(1 of the pool so far\)")
    assert figure(h, 'handover_stored_closed_total{pool="api",reason="refused"}') == 3
    assert h.count_log("wanted kept") == 1, "at most once a minute"
    ask(h, "again a")
    assert len(stored(h)) == 2, "the same is kept once"
    kept(h, 3)
    ask(h, "forget a")
    assert stored(h) == [(0, "b", "memfd", 1)]
    kept(h, 1)
    ask(h, "forget nobody")
    ask(h, "flood 40")
    assert stored(h) == [(0, "b", "memfd", 1), (0, "flood", "memfd", 1)], "one file, however often it is sent"
    crash(h)
    assert ask(h, "names") == ["b", "flood"]
    kept(h, 2)


def test_without_a_limit_none_is_kept(handover):
    h = handover()
    pool(h, fd_store_max=0)
    h.start()
    ask(h, "keep a x 3")
    h.wait_log("wanted kept for its successor was closed: fd_store_max is 0, so none is kept")
    assert stored(h) == [] and "FDSTORE" not in ask(h, "env")
    kept(h, 0)


def test_another_limit_by_a_reload(handover):
    h = handover()
    pool(h)
    h.start()
    ask(h, "keep a x 2")
    ask(h, "keep b x 2")
    pool(h, fd_store_max=3)
    h.write()
    h.good_reload(changed=True)
    h.wait_log("warning pool api: 1 descriptor that workers had kept for their successors was closed: fd_store_max is 3")
    assert stored(h) == [(0, "a", "memfd", 2), (0, "b", "memfd", 1)]
    pool(h, fd_store_max=0)
    h.write()
    h.good_reload(wait="drained")
    assert stored(h) == [] and ask(h, "names") == []


def test_what_is_dead_is_dropped(handover):
    h = handover()
    pool(h)
    h.start()
    ask(h, "pipe gone")
    ask(h, "pipe stays off")
    assert stored(h) == [(0, "gone", "pipe", 1), (0, "stays", "pipe", 1)]
    ask(h, "hang-up")
    h.wait(lambda: stored(h) == [(0, "stays", "pipe", 1)], "the dead one to be dropped, but with FDPOLL=0")
    assert figure(h, 'handover_stored_closed_total{pool="api",reason="dead"}') == 1
    crash(h)
    assert ask(h, "names") == ["stays"]


def test_a_reload_that_fails_changes_nothing(handover):
    """Neither what the new worker added nor what it removed counts: the old one's successors find what that had kept."""
    h = handover()
    pool(h, fd_store_max=2)
    h.start()
    ask(h, "keep cache warm")
    pool(h, "keep:mine", "forget:cache", "keep:more", "crash", fd_store_max=2)
    h.write()
    h.bad_reload()
    h.wait_serving("api", 1)
    assert stored(h) == [(0, "cache", "memfd", 1)]
    kept(h, 1)
    assert not h.count_log("wanted kept"), "for the new ones the removed one does not count"
    crash(h)
    assert ask(h, "names") == ["cache"] and ask(h, "read cache") == ["warm"]
    pool(h, "keep:mine", "forget:cache", fd_store_max=2)
    h.write()
    h.good_reload(wait="drained")
    assert stored(h) == [(0, "mine", "memfd", 1)], "when it succeeds it counts"
    crash(h)
    assert ask(h, "read mine")[0] == "of the new one"


def test_slots_and_pools_that_go(handover):
    h = handover()
    pool(h, workers=3)
    h.start()
    for slot in range(3):
        ask(h, "keep cache warm 2", slot)
    assert [s[0] for s in stored(h)] == [0, 1, 2]
    assert h.cli("scale", "api", "2").returncode == 0
    h.wait(lambda: [s[0] for s in stored(h)] == [0, 1], "the third slot's to be closed")
    assert h.cli("scale", "api", "3").returncode == 0
    assert ask(h, "names", 2) == []
    h.pool("other", command(), sockets="ctl", workers=3)
    del h.sections["pool:api"]
    h.write()
    h.good_reload(wait="drained")
    h.wait(lambda: not stored(h), "the pool's to be closed")
    h.wait_serving("other", 3)
    kept(h, 0)


def test_over_the_channel_they_come_at_the_start(handover):
    h = handover()
    notes = h.path("notes")
    h.socket("ctl", f"unix:{h.path('ctl-%n.sock')}")
    h.pool("api", f"{sys.executable} {os.path.join(ROOT, 'tests/workers/channel-worker.py')} {notes} connect ready sockets serve",
           sockets="ctl", handoff="channel", fd_store_max=2)
    h.start()
    h.pool("api", command(), handoff="inherit")
    h.write()
    h.good_reload(wait="drained")
    ask(h, "keep cache warm")
    dump = h.path("dump")
    h.pool("api", f"sh -c 'env > {dump}; ls -l /proc/self/fd > {dump}.fds; exec {sys.executable} "
                  f"{os.path.join(ROOT, 'tests/workers/channel-worker.py')} {notes} connect ready sockets serve'", handoff="channel")
    h.write()
    h.good_reload(wait="drained")
    with open(dump, encoding="utf-8") as file:
        env = dict(line.rstrip("\n").split("=", 1) for line in file if "=" in line)
    assert (env["LISTEN_FDS"], env["LISTEN_FDNAMES"], env["HANDOVER_STORED"]) == ("1", "cache", "1")
    with open(dump + ".fds", encoding="utf-8") as file:
        assert re.search(r" 3 -> /memfd:kept", file.read())


@pytest.mark.parametrize("ready, code", [("fd:4", 78), ("fd:11", 78), ("fd:12", 0)])
def test_the_ready_descriptor_is_none_of_them(handover, ready, code):
    h = handover()
    pool(h, ready=ready)
    checked = h.run_only("--check", h.config)
    assert checked.returncode == code
    if code:
        assert (f"[pool:api] ready: {ready} may be the descriptor of something that is kept (fd_store_max = 8): these follow the sockets, up "
                "to 11, so take a higher one") in checked.stderr


def test_a_worker_with_the_package_for_python(handover):
    h = handover()
    program = h.path("worker.py")
    with open(program, "w", encoding="utf-8") as file:
        file.write("""import os, sys
sys.path.insert(0, %r)
import handover
worker = handover.Worker()
found = worker.stored("cache")
if found:
    text = os.pread(found[0], 100, 0).decode()
else:
    text, fd = "filled by %%d" %% os.getpid(), os.memfd_create("cache")
    os.write(fd, text.encode())
    worker.store("cache", fd)
    worker.store("cache", fd)
worker.notify("STATUS=" + text)
sys.exit(worker.run())
""" % os.path.join(ROOT, "lib/python"))
    h.pool("api", f"{sys.executable} {program}", fd_store_max=1)
    h.start()
    first = h.pids()[0]
    for _ in range(2):
        h.wait(lambda: [w["status"] for w in h.workers(state="serving")] == [f"filled by {first}"], "its status")
        killed = h.pids()[0]
        os.kill(killed, 9)
        h.wait(lambda: set(h.pids()) - {killed}, "its successor")
    h.good_reload(wait="drained")
    h.wait(lambda: [w["status"] for w in h.workers(state="serving")] == [f"filled by {first}"], "its status")
    assert stored(h) == [(0, "cache", "memfd", 1)]
