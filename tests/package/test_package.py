"""The Debian packages: installed, upgraded under load, removed, purged; and programs built against the library."""
import contextlib
import glob
import gzip
import os
import shlex
import subprocess

import worker_example
from harness import call, connect, is_alive, is_refused, rpc

VERSION, NEXT_VERSION = os.environ["VERSIONS"].split()
NAMES = ("handover", "libhandover0", "libhandover-dev")
PAGE = "/usr/share/man/man7/handover-worker.7.gz"


def package(name, version):
    [file] = glob.glob(os.path.join(os.environ["DEBS"], f"{name}_{version}-1_*.deb"))
    return file


PACKAGES, NEXT = ([package(name, version) for name in NAMES] for version in (VERSION, NEXT_VERSION))


def run(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                          env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    assert done.returncode == 0, f"{shlex.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def install(files):
    return run("apt-get", "install", "-y", "--no-install-recommends", *files)


def state(name="handover"):
    """dpkg's word for the package."""
    return subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status}", name], capture_output=True, text=True,
                          check=False).stdout


def build(program, static=False):
    """The manual's example against the library that is installed."""
    flags = run("pkg-config", "--cflags", "--libs", *(["--static"] if static else []), "libhandover").split()
    assert not [flag for flag in flags if flag.startswith(("-I", "-L"))], f"nothing but the usual places: {flags}"
    if static:
        flags = ["-l:libhandover.a" if flag == "-lhandover" else flag for flag in flags]
    with gzip.open(PAGE, "rt", encoding="utf-8") as page:
        return worker_example.build(page.read(), program, flags)


def ask(port):
    with connect(port) as sock:
        return sock.recv(100)


def refuses_alone(program):
    ended = worker_example.run_alone(program)
    return (ended.returncode, ended.stderr) == (1, worker_example.REFUSAL)


def test_a_package_has_its_life(service):
    with contextlib.suppress(FileNotFoundError):
        os.unlink("/var/lib/man-db/auto-update")  # all of the machine's man pages are not at issue
    install(PACKAGES)
    assert run("/usr/sbin/handoverd", "--version") == f"handoverd {VERSION}\n"
    for path in ("/usr/bin/handover", "/etc/handover", "/lib/systemd/system/handover@.service", "/usr/share/man/man8/handoverd.8.gz",
                 "/usr/share/man/man1/handover.1.gz", "/usr/share/man/man5/handover.ini.5.gz", PAGE, "/usr/share/doc/handover/conf/demo.ini",
                 "/usr/share/doc/handover/systemd/payments-grpc.socket", "/usr/share/bash-completion/completions/handover",
                 "/usr/share/zsh/vendor-completions/_handover", "/usr/share/fish/vendor_completions.d/handover.fish"):
        assert os.path.exists(path), path
    assert not subprocess.run(["systemctl", "list-units", "--plain", "--no-legend", "handover@*"], capture_output=True,
                              text=True, check=True).stdout, "nothing runs that nobody asked for"

    shared, static = build("/opt/handover-test/shared"), build("/opt/handover-test/static", static=True)
    [library] = [line.split()[2] for line in worker_example.linked(shared).splitlines() if "libhandover.so.0" in line]
    assert run("dpkg", "-S", os.path.realpath(library)).startswith("libhandover0:")
    assert "libhandover" not in worker_example.linked(static)
    assert refuses_alone(shared) and refuses_alone(static)

    h = service()
    port = h.socket("rpc")
    h.pool("api", rpc(), sockets="rpc", workers=2, drain_timeout="3s")
    web = h.socket("web")
    h.pool("lib", shared, sockets="web")
    h.write()
    h.systemctl("enable", "--now", check=True)
    master, workers = h.pid, h.pids()

    # the next version, under load: nothing that runs is touched, and it can still be told to reload
    load = h.load("--new", 100, "--keepalive", "50,4", "--slow", "10,100,300", target=f"127.0.0.1:{port}")
    load.wait_answered(50)
    said = install(NEXT)
    assert f"still the version {VERSION}-1 until they are restarted: {h.unit}" in said, said
    assert run("/usr/bin/handover", "--version") == f"handover {NEXT_VERSION}\n"
    load.wait_answered(50)
    assert ask(web) == worker_example.ANSWER, "with the library that it was started with, which is deleted"
    assert h.pid == master and sorted(h.pids()) == sorted(workers) and h.state == "active"
    assert h.systemctl("reload").returncode == 0, h.tell()
    load.wait_answered(50)
    assert h.pid == master and ask(web) == worker_example.ANSWER
    assert run("pkg-config", "--modversion", "libhandover") == f"{NEXT_VERSION}\n"
    # and the new master takes over without refusing anybody
    assert h.systemctl("restart").returncode == 0, h.tell()
    load.wait_answered(50)
    assert h.pid != master and os.readlink(f"/proc/{h.pid}/exe") == "/usr/sbin/handoverd"
    code, summary, printed = load.finish()
    assert code == 0 and summary["total"]["failed"] == 0, printed + h.tell()

    # removed: what runs is stopped, what the administrator wrote stays
    pids = [h.pid, *h.pids()]
    run("apt-get", "remove", "-y", "handover")
    assert state() in ("not-installed", "config-files", "") and not any(map(is_alive, pids)) and is_refused(port)
    assert os.path.exists(h.config) and not os.path.exists("/usr/sbin/handoverd")
    assert state("libhandover0") == "installed" and refuses_alone(shared), "the library needs no supervisor"
    # installed again, it serves again
    install(NEXT[:1])
    h.systemctl("start", check=True)
    assert call(port, "info")["generation"] == 1 and ask(web) == worker_example.ANSWER
    wanted = f"/etc/systemd/system/multi-user.target.wants/{h.unit}"
    assert os.path.islink(wanted)
    said = run("apt-get", "purge", "-y", "handover")
    assert not os.path.lexists(wanted) and not os.path.exists("/var/lib/handover") and not os.path.exists("/run/handover")
    assert os.path.exists(h.config) and "/etc/handover is left, with what you wrote there" in said, said
    os.unlink(h.config)

    # without -dev nothing is built any more, and what was built runs; without the library, what has it inside runs
    run("apt-get", "remove", "-y", "libhandover-dev")
    assert not os.path.exists("/usr/include/handover.h") and subprocess.run(["pkg-config", "libhandover"], check=False).returncode == 1
    assert refuses_alone(shared)
    run("apt-get", "purge", "-y", "libhandover0")
    assert [state(name) for name in NAMES if state(name) not in ("", "not-installed")] == []
    assert not os.path.exists(library) and not glob.glob("/usr/share/doc/*handover*"), "nothing is left"
    ended = worker_example.run_alone(shared)
    assert ended.returncode == 127 and "libhandover.so.0: cannot open shared object file" in ended.stderr
    assert refuses_alone(static)
