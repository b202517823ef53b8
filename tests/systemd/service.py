"""Instances of handover that the booted systemd runs, as handover@NAME.service with /etc/handover/NAME.ini: what
harness.py has for instances that a test runs itself, with systemctl in the place of signals."""
import contextlib
import fcntl
import glob
import os
import re
import shutil
import signal
import subprocess

from harness import PATIENCE, Api, Handover, is_alive, processes_of, wait_until

UNITS = "/etc/systemd/system"


def systemctl(*arguments, timeout=PATIENCE, check=False):
    """Runs it to its end."""
    done = subprocess.run(["systemctl", "--no-pager", "--full", *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=timeout, check=False)
    assert not check or done.returncode == 0, f"systemctl {' '.join(arguments)}: exit {done.returncode}\n{done.stderr}"
    return done


@contextlib.contextmanager
def no_daemon_reload(lock=fcntl.LOCK_SH):
    """systemd forgets at a daemon-reload what was granted by EXTEND_TIMEOUT_USEC, and at once takes for timed out what
    would be without it. Tests beside each other keep apart by this lock."""
    with open("/run/handover-test.lock", "w", encoding="ascii") as file:
        fcntl.flock(file, lock)
        yield


def daemon_reload():
    with no_daemon_reload(fcntl.LOCK_EX):
        systemctl("daemon-reload", check=True)


def journal(*arguments, namespace=None):
    if namespace:
        arguments = [f"--namespace={namespace}", *arguments]
    subprocess.run(["journalctl", *arguments[:1 if namespace else 0], "--sync", "--quiet"], check=False)
    return subprocess.run(["journalctl", "--no-pager", "--quiet", *arguments], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, errors="replace", check=True).stdout


class Service(Handover):
    """One instance. start() blocks as `systemctl start` does, which means: until all pools serve."""

    def __init__(self, name=None):
        super().__init__(name)
        self.unit = f"handover@{self.name}.service"
        self.config = f"/etc/handover/{self.name}.ini"
        self.runtime_dir = f"/run/handover/{self.name}"
        self.control = f"{self.runtime_dir}/control.sock"
        self.api = Api(self.control)
        self.units = []  # files that we wrote
        self.socket_units = []
        self.namespace = None  # the unit's LogNamespace
        self.may_fail = False  # the unit may be "failed" at the end of the test

    # units

    def _write_unit(self, path, text):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        self.units.append(path)

    def override(self, **service):
        """Sets keys of the unit's section [Service] by a drop-in."""
        lines = "".join(f"{key}={value}\n" for key, value in service.items())
        self._write_unit(f"{UNITS}/{self.unit}.d/test.conf", f"[Service]\n{lines}")
        daemon_reload()

    def socket_unit(self, name, **keys):
        """A .socket unit for this service, named NAME-FILEDESCRIPTORNAME.socket; started, with `listen` a port."""
        unit = f"{self.name}-{len(self.socket_units)}-{name}.socket"
        port = None
        if not any(key.startswith("Listen") for key in keys):
            port = self.ports.take()
            keys = {"ListenStream": f"127.0.0.1:{port}", **keys}
        lines = "".join(f"{key}={value}\n" for key, value in {"FileDescriptorName": name, **keys}.items())
        self._write_unit(f"{UNITS}/{unit}", f"[Socket]\nService={self.unit}\n{lines}")
        self.socket_units.append(unit)
        daemon_reload()
        systemctl("start", unit, check=True)
        return port

    # running it

    def systemctl(self, verb, *options, **more):
        return systemctl(verb, *options, self.unit, **more)

    def start(self, *options, **more):
        self.write()
        self.systemctl("start", check=True)
        return self

    def launch(self, *options, **more):
        """Starts it and waits for nothing."""
        self.write()
        self.systemctl("start", "--no-block", check=True)
        return self

    def show(self, key):
        return self.systemctl("show", "--property", key, "--value").stdout.strip()

    @property
    def pid(self):
        return int(self.show("MainPID"))

    @property
    def state(self):
        return self.show("ActiveState")

    def wait_state(self, state):
        self.wait(lambda: self.state == state, f"the unit to be {state}")

    def signal(self, number):
        os.kill(self.pid, number)

    def stop(self, code=0):
        self.systemctl("stop", check=True)
        assert self.state == "inactive", self.tell()

    def wait(self, condition, what, timeout=PATIENCE):
        return wait_until(condition, what, timeout, self.tell)

    def status_text(self):
        """What `systemctl status` shows."""
        return self.systemctl("status").stdout

    # looking at it

    @property
    def log(self):
        return self.journal("-o", "cat")

    def journal(self, *arguments):
        """What journalctl says of the unit."""
        return journal("-u", self.unit, *arguments, namespace=self.namespace)

    def last_line(self):
        """The last line of `systemctl status`, without what stands before the message."""
        line = self.status_text().rstrip().splitlines()[-1]
        return re.sub(r"^\w+ \d+ [\d:]+ \S+ [^:]+: ", "", line)

    def tell(self):
        lines = self.log.splitlines()
        return "\n".join([f"--- journal of {self.name}:", *lines[-80:], "--- end of the journal"])

    # the end

    def end(self):
        problems = []
        for load in self.loads:
            load.kill()
        pid = self.pid
        if pid and is_alive(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        for unit in self.socket_units:
            systemctl("stop", unit)
        self.systemctl("stop")
        if self.state == "failed" and not self.may_fail:
            problems.append(f"the unit has failed: {self.show('Result')}")
        for left in processes_of(self.name):
            command = open(f"/proc/{left}/cmdline", "rb").read().replace(b"\0", b" ").decode(errors="replace")
            problems.append(f"process {left} is left: {command}")
        if os.path.exists(self.runtime_dir):
            problems.append(f"the runtime directory is left, with {os.listdir(self.runtime_dir)}")
        log = self.log
        for word in ("Sanitizer", "runtime error:", "Assertion"):
            if word in log:
                problems.append(f"the log has the word {word!r}")
        if problems:
            problems = [f"{self.name}: " + "; ".join(problems) + "\n" + self.tell()]
        self._forget()
        return problems

    def _forget(self):
        for path in [self.config, *self.units, *glob.glob(f"{UNITS}/{self.unit}.d/*")]:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        shutil.rmtree(f"{UNITS}/{self.unit}.d", ignore_errors=True)
        daemon_reload()
        systemctl("reset-failed", self.unit, *self.socket_units)
        self.ports.close()
        shutil.rmtree(self.place, ignore_errors=True)
