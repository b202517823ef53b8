"""Listening sockets that were handed over, by the convention of sd_listen_fds(3)."""
import os
import socket

FIRST_DESCRIPTOR = 3
MAX_SOCKETS = 1024


class SocketError(Exception):
    """There is no such socket for us, and why."""


class Sockets:
    def __init__(self, environment, by_hand):
        self.opened, self.kept = [], []
        self.given = bool(environment.get("LISTEN_FDS"))
        self.by_channel = environment.get("HANDOVER_HANDOFF") == "channel"
        if self.given:
            every = list(enumerate(announced(environment), FIRST_DESCRIPTOR))
            for fd, _ in every:
                os.set_inheritable(fd, False)
            listening = max(len(every) - stored_count(environment), 0)
            self.free, self.kept = every[:listening], every[listening:]
        elif self.by_channel:
            self.free = []  # the supervisor has some: none is made by hand
        else:
            self.free = [(address, name) for name, address in by_hand.items()]

    def take(self, name=None):
        """The socket of that name, or the only one (beside the probe socket)."""
        rest = [known for _, known in self.free if known != "probe"]
        if name is None and len(rest) == 1:
            name = rest[0]
        for n, (source, known) in enumerate(self.free):
            if known == name:
                sock = adopt(source, name) if self.given else make(source)
                self.opened.append(self.free.pop(n)[1])
                return sock
        raise SocketError(self.missing(name))

    def has(self, name):
        """Is there such a socket, and not in use yet?"""
        return any(known == name for _, known in self.free)

    def missing(self, name):
        if self.by_channel:
            return "with handoff = channel sockets come over the channel, and HANDOVER_CHANNEL is not set"
        every = " ".join([known for _, known in self.free] + self.opened)
        if not every and not self.given:
            return "LISTEN_FDS is not set: no supervisor has given us a listening socket"
        if name is None:
            return f"say which socket: there are {every}" if self.free else f"all sockets are in use already: {every}"
        if name in self.opened:
            return f"socket {name!r} is in use already"
        return f"there is no socket {name!r}; there are: {every}"

    def take_stored(self, name):
        """The descriptors that a former worker had kept under that name, once."""
        taken = [fd for fd, known in self.kept if known == name]
        self.kept = [(fd, known) for fd, known in self.kept if known != name]
        return taken


def stored_count(environment):
    """How many of the descriptors that were handed over are no sockets, but were kept for us: the last ones."""
    count = environment.get("HANDOVER_STORED", "")
    return int(count) if count.isascii() and count.isdigit() else 0


def announced(environment):
    """The name of each descriptor, in their order."""
    pid, count = environment.get("LISTEN_PID"), environment["LISTEN_FDS"]
    if pid != str(os.getpid()):
        raise SocketError(f"LISTEN_PID is {pid!r}, we are {os.getpid()}: the sockets are meant for another process "
                          "(a shell that starts us must do so by exec)")
    if not (count.isascii() and count.isdigit() and 1 <= int(count) <= MAX_SOCKETS):
        raise SocketError(f"LISTEN_FDS is {count!r}: not a number from 1 to {MAX_SOCKETS}")
    names = environment.get("LISTEN_FDNAMES")
    if names is None:
        return [""] * int(count)
    if len(names.split(":")) != int(count):
        raise SocketError(f"LISTEN_FDNAMES {names!r} has {len(names.split(':'))} names for LISTEN_FDS={count}")
    return names.split(":")


def adopt(fd, name):
    """Other processes share this socket: it is made non-blocking, and never again blocking."""
    os.set_blocking(fd, False)
    sock = socket.socket(fileno=fd)
    if sock.type != socket.SOCK_STREAM or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        sock.detach()
        raise SocketError(f"socket {name!r} (descriptor {fd}) is not a listening stream socket")
    return sock


def make(address):
    """("127.0.0.1", 8080), or a path: for a run without a supervisor."""
    if isinstance(address, str):
        sock = socket.socket(socket.AF_UNIX)
    else:
        sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(address)
    sock.listen(1024)
    sock.setblocking(False)
    return sock
