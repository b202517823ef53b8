#!/usr/bin/python3
"""store-worker [OPTION...]: a worker that has descriptors kept (FDSTORE=1) and tells what it got. On the socket "ctl" it does one
command a connection, words divided by blanks, and answers with JSON once the master has dealt with what it was told:

    names             the names of what was kept for us, in their order
    read NAME         the contents of the files of that name
    keep NAME TEXT N  N new memory files with that text
    again NAME        what we were given or made under that name, once more
    pipe NAME [off]   the reading end of a pipe, whose other end we hold ("off": with FDPOLL=0)
    hang-up           closes the other ends
    flood N           messages with as many descriptors as one can carry
    forget NAME       FDSTOREREMOVE=1
    env               our environment
    crash             exit code 3, without an answer

On the socket "raw" each connection is kept under the name "raw", and answered line by line, with our pid before it; so are those
that were kept for us. Options: crash (before it is ready, and after all other options), keep:NAME, forget:NAME."""
import json
import os
import selectors
import signal
import socket
import stat
import sys


def notify(text, fds=()):
    address = os.environ["NOTIFY_SOCKET"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.connect("\0" + address[1:] if address[0] == "@" else address)
        socket.send_fds(sock, [text.encode()], list(fds))


def barrier():
    """All that was said before has been heard."""
    ours, theirs = os.pipe()
    notify("BARRIER=1", [theirs])
    os.close(theirs)
    os.read(ours, 1)
    os.close(ours)


def inherited():
    """(name, descriptor) of sockets, and of what was kept."""
    count, stored = int(os.environ.get("LISTEN_FDS", 0)), int(os.environ.get("HANDOVER_STORED", 0))
    assert count == 0 or os.environ["LISTEN_PID"] == str(os.getpid())
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    every = list(zip(names, range(3, 3 + count)))
    return every[:count - stored], every[count - stored:]


def file_of(text):
    fd = os.memfd_create("kept")
    os.write(fd, text.encode())
    return fd


sockets, kept = inherited()
ends = []


def keep(name, text, count=1):
    fds = [file_of(text) for _ in range(int(count))]
    for fd in fds:
        notify(f"FDSTORE=1\nFDNAME={name}", [fd])
        kept.append((name, fd))


def pipe(name, poll=""):
    reading, writing = os.pipe()
    notify(f"FDSTORE=1\nFDNAME={name}" + ("\nFDPOLL=0" if poll else ""), [reading])
    os.close(reading)
    ends.append(writing)


def hang_up():
    while ends:
        os.close(ends.pop())


def flood(count):
    fd = file_of("flood")
    for _ in range(int(count)):
        notify("FDSTORE=1\nFDNAME=flood", [fd] * 253)


def read(name):
    return [os.pread(fd, 4096, 0).decode() for known, fd in kept if known == name and stat.S_ISREG(os.fstat(fd).st_mode)]


COMMANDS = {
    "names": lambda: [name for name, _ in kept],
    "read": read,
    "keep": keep,
    "again": lambda name: [notify(f"FDSTORE=1\nFDNAME=other-{name}", [fd]) for known, fd in kept if known == name] and None,
    "pipe": pipe,
    "hang-up": hang_up,
    "flood": flood,
    "forget": lambda name: notify(f"FDSTOREREMOVE=1\nFDNAME={name}"),
    "env": lambda: dict(os.environ),
    "crash": lambda: os._exit(3),
}


def control(listener):
    connection, _ = listener.accept()
    with connection:
        connection.setblocking(True)
        word, *arguments = connection.makefile("r", encoding="utf-8").readline().split()
        answer = COMMANDS[word](*arguments)
        barrier()
        connection.sendall(json.dumps({"answer": answer, "pid": os.getpid()}).encode())


def talk(connection):
    try:
        data = connection.recv(4096)
    except BlockingIOError:
        return  # somebody else has read it
    if not data:
        selector.unregister(connection)
        connection.shutdown(socket.SHUT_RDWR)  # closing alone ends nothing: the master has it, too
        connection.close()
        return
    connection.sendall(b"%d %s" % (os.getpid(), data))


def accept(listener):
    try:
        connection, _ = listener.accept()
    except BlockingIOError:
        return
    connection.setblocking(False)
    notify("FDSTORE=1\nFDNAME=raw", [connection.fileno()])
    selector.register(connection, selectors.EVENT_READ, talk)


for option in sys.argv[1:]:
    name, _, value = option.partition(":")
    if name == "keep":
        keep(value, "of the new one")
    elif name == "forget":
        notify(f"FDSTOREREMOVE=1\nFDNAME={value}")
    else:
        barrier()
        os._exit(3)

signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
selector = selectors.DefaultSelector()
for name, fd in sockets:
    selector.register(socket.socket(fileno=fd), selectors.EVENT_READ, control if name == "ctl" else accept)
for name, fd in kept:
    if name == "raw":
        selector.register(socket.socket(fileno=fd), selectors.EVENT_READ, talk)
notify("READY=1")
while True:
    for key, _ in selector.select():
        key.data(key.fileobj)
