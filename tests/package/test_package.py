"""The Debian package: installed, upgraded under load, removed, purged."""
import contextlib
import glob
import os
import shlex
import subprocess

from harness import call, is_alive, is_refused, rpc

PACKAGE, NEXT = (glob.glob(f"{name}_*.deb")[0] for name in os.environ["DEBS"].split())
VERSION, NEXT_VERSION = os.environ["VERSIONS"].split()


def run(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                          env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    assert done.returncode == 0, f"{shlex.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def state():
    """dpkg's word for the package."""
    return subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status}", "handover"], capture_output=True, text=True,
                          check=False).stdout


def test_a_package_has_its_life(service):
    with contextlib.suppress(FileNotFoundError):
        os.unlink("/var/lib/man-db/auto-update")  # all of the machine's man pages are not at issue
    run("apt-get", "install", "-y", "--no-install-recommends", PACKAGE)
    assert run("/usr/sbin/handoverd", "--version") == f"handoverd {VERSION}\n"
    for path in ("/usr/bin/handover", "/etc/handover", "/lib/systemd/system/handover@.service", "/usr/share/man/man8/handoverd.8.gz",
                 "/usr/share/man/man1/handover.1.gz", "/usr/share/man/man5/handover.ini.5.gz", "/usr/share/doc/handover/conf/demo.ini",
                 "/usr/share/doc/handover/systemd/payments-grpc.socket", "/usr/share/bash-completion/completions/handover",
                 "/usr/share/zsh/vendor-completions/_handover", "/usr/share/fish/vendor_completions.d/handover.fish"):
        assert os.path.exists(path), path
    assert not subprocess.run(["systemctl", "list-units", "--plain", "--no-legend", "handover@*"], capture_output=True,
                              text=True, check=True).stdout, "nothing runs that nobody asked for"

    h = service()
    port = h.socket("web")
    h.pool("api", rpc(), sockets="web", workers=2, drain_timeout="3s")
    h.write()
    h.systemctl("enable", "--now", check=True)
    master, workers = h.pid, h.pids()

    # the next version, under load: nothing that runs is touched, and it can still be told to reload
    load = h.load("--new", 100, "--keepalive", "50,4", "--slow", "10,100,300", target=f"127.0.0.1:{port}")
    load.wait_answered(50)
    said = run("apt-get", "install", "-y", "--no-install-recommends", NEXT)
    assert f"still the version {VERSION}-1 until they are restarted: {h.unit}" in said, said
    assert run("/usr/bin/handover", "--version") == f"handover {NEXT_VERSION}\n"
    load.wait_answered(50)
    assert h.pid == master and sorted(h.pids()) == sorted(workers) and h.state == "active"
    assert h.systemctl("reload").returncode == 0, h.tell()
    load.wait_answered(50)
    assert h.pid == master
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
    # installed again, it serves again
    run("apt-get", "install", "-y", "--no-install-recommends", NEXT)
    h.systemctl("start", check=True)
    assert call(port, "info")["generation"] == 1
    wanted = f"/etc/systemd/system/multi-user.target.wants/{h.unit}"
    assert os.path.islink(wanted)
    said = run("apt-get", "purge", "-y", "handover")
    assert not os.path.lexists(wanted) and not os.path.exists("/var/lib/handover") and not os.path.exists("/run/handover")
    assert os.path.exists(h.config) and "/etc/handover is left, with what you wrote there" in said, said
    os.unlink(h.config)
