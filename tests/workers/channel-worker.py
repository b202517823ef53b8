#!/usr/bin/python3
"""channel-worker NOTES STEP...: a worker that talks over HANDOVER_CHANNEL by itself, step by step, and appends to the file
NOTES what it was told: one JSON object a line, with our pid, slot, generation and the monotonic time. Steps: connect, hello (we will
answer), ready, await:FILE, note:TEXT, say:TEXT (a message as it is), send-fd:TEXT (with a descriptor), page:N (N in flight; again when it is asked
for), notify:TEXT, sockets (waits for them), hear (one more message), accepting (the answer), serve (answers HTTP on them until it is told to drain; :silently: does
not say that it has taken others), listen (notes
messages until the end), exit:CODE, close, hang."""
import array
import json
import os
import select
import signal
import socket
import struct
import sys
import time

notes, steps = sys.argv[1], sys.argv[2:]
channel, sockets, stop, inflight, number = None, {}, [], 0, 0
signal.signal(signal.SIGTERM, lambda *_: stop.append(time.monotonic()))
wake_read, wake_write = os.pipe()
os.set_blocking(wake_write, False)
signal.set_wakeup_fd(wake_write)


def note(what, **more):
    line = {"what": what, "pid": os.getpid(), "slot": int(os.environ["HANDOVER_SLOT"]),
            "generation": int(os.environ["HANDOVER_GENERATION"]), "at": time.monotonic(), **more}
    fd = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(fd, json.dumps(line).encode() + b"\n")
    os.close(fd)


def say(text, fds=()):
    data = text.encode()
    if fds:
        channel.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
    else:
        channel.send(data)


def page(n):
    fd = os.memfd_create("inflight")
    os.write(fd, struct.pack("8sII48x", b"HANDOVER", 1, 2) + struct.pack("q56x", n + 5) + struct.pack("q56x", -5))
    return fd


def hear():
    """One message, or False at the end of the channel."""
    global number
    data, fds, _, _ = socket.recv_fds(channel, 16384, 253)
    if not data:
        note("end")
        return False
    message = json.loads(data)
    note(message["kind"], message=message, fds=len(fds))
    if message["kind"] == "sockets":
        former = dict(sockets)
        sockets.clear()
        sockets.update(zip(message["names"], (socket.socket(fileno=fd) for fd in fds)))
        for sock in former.values():
            sock.close()
        number = message["set"]
    elif message["kind"] == "inflight":
        say('{"version": 1, "kind": "inflight"}', [page(inflight)])
    return message


def serve(silent):
    """Until SIGTERM; the queue's rest is answered, and then half a second of kept connections is not needed: we close each."""
    connected = True
    while True:
        poll = select.poll()
        for sock in [*sockets.values(), wake_read, *([channel] if connected else [])]:
            poll.register(sock, select.POLLIN)
        ready = dict(poll.poll())
        if connected and channel.fileno() in ready:
            message = hear()
            connected = bool(message)
            if message and message["kind"] == "sockets" and not silent:
                say('{"version": 1, "kind": "accepting", "set": %d}' % number)
        for sock in sockets.values():
            try:
                connection, _ = sock.accept()
            except BlockingIOError:
                continue
            with connection:
                connection.setblocking(True)
                note("accepted")
                data = b""
                while b"\r\n\r\n" not in data or len(data.split(b"\r\n\r\n", 1)[1]) < length(data):
                    data += connection.recv(65536)
                request = json.loads(data.split(b"\r\n\r\n", 1)[1])
                body = json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": {
                    "sum": request["params"].get("a", 0) + request["params"].get("b", 0), "pid": os.getpid(),
                    "generation": int(os.environ["HANDOVER_GENERATION"])}}).encode()
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
                                   % (len(body), body))
        if stop and not any(fd != wake_read for fd in ready):
            return


def length(data):
    for line in data.split(b"\r\n\r\n", 1)[0].split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 0


for step in steps:
    name, _, value = step.partition(":")
    if name == "connect":
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        channel.connect(os.environ["HANDOVER_CHANNEL"])
    elif name == "hello":
        say('{"version": 1, "kind": "hello", "answers": true}')
    elif name == "accepting":
        say('{"version": 1, "kind": "accepting", "set": %d}' % number)
    elif name == "ready":
        say('{"version": 1, "kind": "ready"}')
    elif name == "await":
        while not os.path.exists(value):
            time.sleep(0.01)
    elif name == "note":
        note(value)
    elif name == "say":
        say(value)
    elif name == "send-fd":
        say(value, [0])
    elif name == "page":
        inflight = int(value)
        say('{"version": 1, "kind": "inflight"}', [page(inflight)])
    elif name == "notify":
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(value.encode(), "\0" + os.environ["NOTIFY_SOCKET"][1:])
    elif name == "sockets":
        while not sockets:
            hear()
    elif name == "hear":
        hear()
    elif name == "serve":
        serve(value == "silently")
    elif name == "listen":
        while hear():
            pass
    elif name == "close":
        channel.close()
    elif name == "hang":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(1000)
    elif name == "exit":
        os._exit(int(value))
    else:
        sys.exit(f"channel-worker: no step {step}")
