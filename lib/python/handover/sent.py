"""Listening sockets that come over the channel: the set that we have, and who serves it."""
import os
import threading

from .sockets import SocketError, adopt

LET_GO = 1.0  # how many seconds who serves a socket may take to let go of it


class Sent:
    """Owners are those who serve the sockets of one name, or (None) all that nobody has asked for by name. Each has
    add(sock), which may return a future, and drop(sock), which returns an event that is set when the socket's queue is empty and
    it is closed."""

    def __init__(self):
        self.lock = threading.Lock()
        self.come = threading.Event()
        self.set = []  # of Entry
        self.owners = []

    def serve(self, owner, name):
        with self.lock:
            if any(known == name for _, known in self.owners):
                raise SocketError(f"socket {name!r} is in use already" if name else "all sockets are in use already")
            self.owners.append((owner, name))
            self._deal()

    def _deal(self):
        """Those who have asked by name come first. Returns what says that they have begun."""
        begun = []
        for owner, name in sorted(self.owners, key=lambda each: each[1] is None):
            for entry in self.set:
                if entry.owner is None and name in (None, entry.name):
                    entry.owner = owner
                    begun.append(owner.add(entry.sock))
        return [each for each in begun if each]

    def take(self, name):
        """A socket for the program itself; None: it is not there."""
        with self.lock:
            free = [entry for entry in self.set if entry.owner is None and name in (None, entry.name)]
            if not free or (name is None and len(free) > 1):
                return None
            free[0].owner = Nobody()
            return free[0].sock

    def names(self):
        return [entry.name for entry in self.set]

    def receive(self, names, fds):
        """Takes a set over, with the descriptors, and returns when we have let go of what is not in it."""
        if len(names) != len(fds):
            for fd in fds:
                os.close(fd)
            raise SocketError(f"{len(fds)} sockets with {len(names)} names")
        with self.lock:
            former, self.set = self.set, []
            for name, fd in zip(names, fds):
                self.set.append(self._keep(former, name, fd))
            gone = [entry for entry in former if entry not in self.set]
            begun = self._deal()
            self.come.set()
        for each in begun:
            each.result(LET_GO)
        for event in [entry.owner.drop(entry.sock) if entry.owner else entry.sock.close() for entry in gone]:
            if event:
                event.wait(LET_GO)

    @staticmethod
    def _keep(former, name, fd):
        """The same socket comes again with another descriptor."""
        inode = os.fstat(fd).st_ino
        for entry in former:
            if (entry.name, entry.inode) == (name, inode):
                os.close(fd)
                return entry
        return Entry(name, inode, adopt(fd, name))


class Entry:
    def __init__(self, name, inode, sock):
        self.name, self.inode, self.sock, self.owner = name, inode, sock, None


class Nobody:
    """The program has it, and closes it when it hears of a set that has it no longer."""

    def add(self, sock):
        pass

    def drop(self, sock):
        pass
