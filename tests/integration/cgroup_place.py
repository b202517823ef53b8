"""A cgroup (version 2) that is delegated to an instance, as a service manager delegates it: marked, and with the instance as
its first process."""
import contextlib
import os
import time

import harness

ROOTS = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
JOIN = 'echo $$ >"$0/cgroup.procs" && export SYSTEMD_EXEC_PID=${PID:-$$} && exec "$@"'


def writable_root():
    return next((root for root in ROOTS if os.access(f"{root}/cgroup.procs", os.W_OK)), None)


def why_not():
    """Why there can be none here, or None."""
    root = writable_root()
    if root is None:
        return "there is no cgroup v2 hierarchy that we may write to"
    place = f"{root}/handover-it-probe-{os.getpid()}"
    os.mkdir(place)
    try:
        os.setxattr(place, "user.delegate", b"1")
    except OSError:
        return "cgroups have no extended attributes here"
    finally:
        os.rmdir(place)
    return None


def controllers():
    root = writable_root()
    return harness.read_file(f"{root}/cgroup.controllers").decode().split() if root else []


class Place:
    counter = 0

    def __init__(self):
        Place.counter += 1
        self.path = f"{writable_root()}/handover-it-{os.getpid()}-{Place.counter}"
        os.mkdir(self.path)
        os.setxattr(self.path, "user.delegate", b"1")
        for controller in {"memory", "pids", "cpu"} & set(controllers()):
            self.write("../cgroup.subtree_control", f"+{controller}")

    @property
    def wrapper(self):
        """Before a command: it runs in here, as the main process."""
        return ("sh", "-c", JOIN, self.path)

    def write(self, name, text):
        with open(os.path.join(self.path, name), "w", encoding="ascii") as file:
            file.write(text)

    def read(self, name):
        return harness.read_file(os.path.join(self.path, name)).decode()

    def groups(self):
        """Names of the cgroups in it."""
        return sorted(entry.name for entry in os.scandir(self.path) if entry.is_dir())

    def pids(self, name):
        return [int(pid) for pid in self.read(f"{name}/cgroup.procs").split()]

    def remove(self):
        """Whatever is left."""
        self.write("cgroup.kill", "1")
        end = time.monotonic() + 10
        while os.path.exists(self.path) and time.monotonic() < end:
            for directory, _, _ in os.walk(self.path, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(directory)
            time.sleep(0.01)


def of_process(pid):
    """The last part of the name of the cgroup that a process is in."""
    lines = harness.read_file(f"/proc/{pid}/cgroup").decode().splitlines()
    return next(line for line in lines if line.startswith("0::")).rpartition("/")[2]
