"""The protocol of sd_notify(3)."""
import socket

SEND_TIMEOUT = 1  # how many seconds a supervisor that does not read may hold us up


class Notifier:
    """Talks to the socket that NOTIFY_SOCKET names: a path, or an abstract name after "@"; "" is nobody."""

    def __init__(self, address):
        self.sock = None
        if address:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.sock.settimeout(SEND_TIMEOUT)
            self.sock.connect("\0" + address[1:] if address[0] == "@" else address)

    def send(self, *assignments):
        """All in one datagram."""
        if self.sock:
            self.sock.send("\n".join(assignments).encode())

    def send_with(self, fd, *assignments):
        """The same with a descriptor."""
        if self.sock:
            socket.send_fds(self.sock, ["\n".join(assignments).encode()], [fd])
