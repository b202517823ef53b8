#!/usr/bin/python3
"""initramfs.py BUILD OUT: writes an initramfs (cpio, newc) with the build, the tests of cgroups, and what both need of this
machine: a shell, python3 and pytest."""
import glob
import os
import re
import stat
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
DIST = "/usr/lib/python3/dist-packages"
COMMANDS = "cat chmod env grep head ls mkdir mount mv rm rmdir setpriv setsid sleep touch tr".split()
PROGRAMS = ("handoverd", "handover", "rpc-worker", "rpc-load", "step-worker", "unit/test_cgroup_kernel")
MODULES = ("_pytest", "pytest", "pluggy", "iniconfig", "packaging", "attr", "attrs", "more_itertools", "pytest_timeout*",
           "pytest-*info", "py.py", "py")
NOT_WANTED = {"__pycache__", "test", "idlelib", "lib2to3", "ensurepip", "tkinter", "turtledemo"}


class Image:
    def __init__(self, path):
        self.file, self.known, self.number = open(path, "wb"), set(), 0

    def _put(self, name, mode, data=b""):
        self.number += 1
        encoded = name.encode() + b"\0"
        fields = (self.number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
        self.file.write(head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4))

    def directory(self, path):
        if path in ("", "/") or path in self.known:
            return
        self.directory(os.path.dirname(path))
        self.known.add(path)
        self._put(path.lstrip("/"), stat.S_IFDIR | 0o755)

    def add(self, source, path, data=None):
        """A file; what it is linked to instead of a link."""
        if path in self.known:
            return
        self.directory(os.path.dirname(path))
        self.known.add(path)
        if data is None:
            with open(source, "rb") as file:
                data = file.read()
        self._put(path.lstrip("/"), stat.S_IFREG | (os.stat(source).st_mode & 0o777), data)

    def program(self, source, path):
        """With the libraries that it needs, at their own places."""
        self.add(source, path)
        told = subprocess.run(["ldd", source], capture_output=True, text=True, check=False).stdout
        for library in re.findall(r"(/\S+) \(0x", told):
            self.add(library, library)

    def tree(self, top, path):
        for where, directories, files in os.walk(top):
            directories[:] = [d for d in directories if d not in NOT_WANTED and not d.startswith("config-")]
            for name in files:
                source = os.path.join(where, name)
                add = self.program if name.endswith(".so") else self.add
                add(source, path + source[len(top):])

    def end(self):
        self._put("TRAILER!!!", 0)
        self.file.close()


def main(build, out):
    image = Image(out)
    for name in ("/proc", "/sys", "/dev", "/tmp", "/run"):
        image.directory(name)
    image.add(os.path.join(HERE, "init"), "/init")
    for name in COMMANDS:
        path = next(p for p in (f"/usr/bin/{name}", f"/bin/{name}") if os.path.exists(p))
        image.program(path, f"/usr/bin/{name}")
    image.program("/bin/dash", "/bin/sh")
    image.program("/usr/bin/python3", "/usr/bin/python3")
    for name in ("passwd", "group"):
        image.add(f"/etc/{name}", f"/etc/{name}")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    image.tree(f"/usr/lib/{version}", f"/usr/lib/{version}")
    for pattern in MODULES:
        for path in glob.glob(f"{DIST}/{pattern}"):
            if os.path.isdir(path):
                image.tree(path, path)
            else:
                image.add(path, path)
    for name in PROGRAMS:
        image.program(os.path.join(build, name), f"/build/{name}")
    for name in ("integration", "workers"):
        image.tree(os.path.join(TESTS, name), f"/tests/{name}")
    image.end()


main(*sys.argv[1:])
