"""The channel: what the supervisor says beside signals, and the sockets that it sends. handover-worker(7)."""
import contextlib
import json
import mmap
import os
import socket
import struct
import threading
import time

MAX_MESSAGE = 16 * 1024
MAX_DESCRIPTORS = 253
SEND_TIMEOUT = 1  # how many seconds a supervisor that does not read may hold us up
MIN_PAUSE, MAX_PAUSE = 0.05, 2.0  # seconds between two attempts to connect: twice as long each time
LASTED = 5.0  # a connection that lasted so long was no refusal
AGAIN_PAUSE = 0.1  # how long a message waits that came without its descriptors, because we have none left


class Channel:
    """The connection, which is made again whenever it ends: a new supervisor has taken over. handle(message, descriptors) is
    called in a thread of its own; the descriptors are its to close."""

    def __init__(self, path, handle):
        self.path, self.handle = path, handle
        self.page = Page()
        self.lock = threading.Lock()
        self.sock = None
        self.ready = False
        self.over = threading.Event()  # no more connections: what a new supervisor would say has been said
        self._connect()

    def start(self):
        threading.Thread(target=self._run, name="handover-channel", daemon=True).start()

    @property
    def connected(self):
        return self.sock is not None

    def say(self, kind, fd=None, **members):
        """What is lost with the connection is said again over the next one."""
        with self.lock:
            self._send(kind, fd, **members)

    def _send(self, kind, fd=None, **members):
        if self.sock is None:
            return
        text = json.dumps({"version": 1, "kind": kind, **members}).encode()
        with contextlib.suppress(OSError):
            if fd is None:
                self.sock.send(text)
            else:
                socket.send_fds(self.sock, [text], [fd])

    def say_ready(self):
        """For a supervisor that takes over: this one hears READY=1."""
        with self.lock:
            self.ready = True

    def _connect(self):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # settimeout() would be for reading as well, which has all the time there is
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", SEND_TIMEOUT, 0))
        try:
            sock.connect(self.path)
        except OSError:
            sock.close()
            return
        with self.lock:
            self.sock = sock
            self._send("hello", answers=True)
            self._send("inflight", self.page.fd)
            if self.ready:
                self._send("ready")

    def _run(self):
        pause = MIN_PAUSE
        while not self.over.is_set():
            begun = time.monotonic()
            self._read()
            if time.monotonic() - begun >= LASTED:
                pause = MIN_PAUSE
            if self.over.wait(pause):
                return
            pause = min(2 * pause, MAX_PAUSE)
            self._connect()

    def _read(self):
        sock = self.sock
        while sock is not None:
            try:
                data, fds, flags, _ = socket.recv_fds(sock, MAX_MESSAGE, MAX_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
            except OSError:
                break
            if not data:
                break
            self._received(data, fds, flags)
        with self.lock:
            self.sock = None
        if sock is not None:
            sock.close()

    def _received(self, data, fds, flags):
        message = understood(data) if not flags & socket.MSG_TRUNC else None
        if message is None:
            close_all(fds)
        elif message["kind"] == "sockets" and flags & socket.MSG_CTRUNC:
            close_all(fds)
            time.sleep(AGAIN_PAUSE)
            self.say("again", set=message.get("set", 0))
        elif message["kind"] == "inflight":
            close_all(fds)
            self.say("inflight", self.page.fd)
        else:
            self.handle(message, fds)


def understood(data):
    """The message, or None. Members and kinds that are not known mean nothing."""
    try:
        message = json.loads(data)
    except ValueError:
        return None
    if not isinstance(message, dict) or message.get("version") != 1 or not isinstance(message.get("kind"), str):
        return None
    return message


def close_all(fds):
    for fd in fds:
        os.close(fd)


class Page:
    """Memory in which the supervisor reads how much is in flight when somebody asks."""

    def __init__(self):
        self.fd = os.memfd_create("handover-inflight")
        os.ftruncate(self.fd, 128)
        self.memory = mmap.mmap(self.fd, 128)
        self.memory[:64] = struct.pack("=8sII48x", b"HANDOVER", 1, 1)

    def set(self, count):
        struct.pack_into("=q", self.memory, 64, count)
