"""How the tests of the command line run it."""
import contextlib
import fcntl
import os
import select
import shutil
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("BUILD", "build/plain"))
HANDOVER = os.path.join(BUILD, "handover")


@contextlib.contextmanager
def shared_places(exclusive=False):
    """Instances in /run/handover are seen by all who look for one: whoever makes one there is alone."""
    with open(os.path.join(tempfile.gettempdir(), f"handover-test-places-{os.geteuid()}"), "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
        yield


def environment(**changes):
    env = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC", "TERM": "xterm", "HOME": "/"}
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
        if name in os.environ:
            env[name] = os.environ[name]
    return {**env, **{k: v for k, v in changes.items() if v is not None}}


def run(*arguments, timeout=30, env=None, **more):
    """Runs it to its end, both outputs in pipes."""
    return subprocess.run([HANDOVER, *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=timeout, env=env or environment(), check=False, **more)


class Running:
    """A command that is under way; its lines are read as they come."""

    def __init__(self, *arguments, env=None, **more):
        self.process = subprocess.Popen([HANDOVER, *map(str, arguments)], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env or environment(), **more)
        self.data = b""

    def wait_for(self, word, timeout=15):
        """Waits until the word has been written to standard output."""
        end = time.monotonic() + timeout
        while word.encode() not in self.data:
            assert time.monotonic() < end, f"no {word!r} in {self.data!r}"
            if select.select([self.process.stdout], [], [], 0.1)[0]:
                more = os.read(self.process.stdout.fileno(), 65536)
                assert more, f"ended without {word!r}: {self.data!r} {self.process.stderr.read()!r}"
                self.data += more

    def finish(self, timeout=15):
        out, err = self.process.communicate(timeout=timeout)
        return self.process.returncode, (self.data + out).decode(), err.decode()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


class Place:
    """A directory that other users may enter: pytest's own are closed to them. A context manager."""

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="handover-test-")
        os.chmod(self.path, 0o755)
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path)
