#!/usr/bin/python3
"""compat-worker.py KIND: workers as they are written for other supervisors. Each checks what it was given to the letter,
says that it is ready as it would there, serves JSON-RPC over HTTP as rpc-worker does, and drains at that supervisor's
signal only: at any other it exits with 1. What is wrong is said, with exit status 3."""
import json
import os
import re
import select
import signal
import socket
import sys
import threading
import time

SIGNALS = {signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR2, signal.SIGHUP, signal.SIGINT}


def check(truth, what):
    if not truth:
        print(f"compat-worker: {what}: {sorted(os.environ.items())}", flush=True)
        os._exit(3)


def listener(fd):
    sock = socket.socket(fileno=int(fd))
    check(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1, f"{fd} does not listen")
    return sock


def address_of(sock):
    """As Server::Starter calls it."""
    if sock.family == socket.AF_UNIX:
        return sock.getsockname()
    host, port = sock.getsockname()[:2]
    if sock.family == socket.AF_INET6:
        return f"[{host}]:{port}"
    return str(port) if host == "0.0.0.0" else f"{host}:{port}"


def answer(conn):
    with conn, conn.makefile("rb") as file:
        length = 0
        for line in file:
            if line == b"\r\n":
                break
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        if length == 0:
            return
        ask = json.loads(file.read(length))
        if ask["method"] == "hang":
            threading.Event().wait()
        if ask["method"] == "work":
            time.sleep(ask["params"]["ms"] / 1000)
        result = {"sum": ask["params"]["a"] + ask["params"]["b"], "pid": os.getpid(), "slot": int(os.environ["HANDOVER_SLOT"]),
                  "generation": int(os.environ["HANDOVER_GENERATION"]), "version": "1"}
        body = json.dumps({"jsonrpc": "2.0", "id": ask["id"], "result": result}).encode()
        conn.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


def serve(socks, drain):
    """Until the drain signal comes."""
    stop, wake = os.pipe()

    def wait():
        got = signal.sigwait(SIGNALS)
        if got != drain:
            print(f"compat-worker: got {got!r} and not {drain!r}", flush=True)
            os._exit(1)
        os.write(wake, b"x")
    threading.Thread(target=wait, daemon=True).start()
    while True:
        readable, _, _ = select.select([stop, *socks], [], [])
        if stop in readable:
            break
        for sock in readable:
            try:
                conn, _ = sock.accept()
            except BlockingIOError:
                continue
            conn.settimeout(20)
            answer(conn)


def notify():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.connect("\0" + os.environ["NOTIFY_SOCKET"][1:])
        sock.send(b"READY=1")


# --- the kinds ---

def server_starter():
    check(os.environ["SERVER_STARTER_GENERATION"] == os.environ["HANDOVER_GENERATION"], "the generation")
    pairs = [pair.rsplit("=", 1) for pair in os.environ["SERVER_STARTER_PORT"].split(";")]
    socks = [listener(fd) for _, fd in pairs]
    for (name, _), sock in zip(pairs, socks):
        check(address_of(sock) == name, f"{name} is {address_of(sock)}")
    print("addresses", *sorted(name for name, _ in pairs), flush=True)
    notify()
    serve(socks, signal.SIGTERM)


def server_starter_without():
    check("SERVER_STARTER_PORT" not in os.environ and os.environ["SERVER_STARTER_GENERATION"] == "1", "no list")
    notify()
    serve([], signal.SIGTERM)


def einhorn(acknowledge=True):
    check(os.environ["EINHORN_MASTER_PID"] == str(os.getppid()), "the master's pid")
    check(os.environ["EINHORN_CHILD_INDEX"] == os.environ["HANDOVER_SLOT"], "the index")
    count = int(os.environ["EINHORN_FD_COUNT"])
    numbers = [os.environ[f"EINHORN_FD_{n}"] for n in range(count)]
    check(os.environ.get("EINHORN_FDS", "").split() == numbers and f"EINHORN_FD_{count}" not in os.environ, "the descriptors")
    socks = [listener(fd) for fd in numbers]
    ack = socket.socket(fileno=int(os.environ["EINHORN_SOCK_FD"]))
    check((ack.family, ack.type) == (socket.AF_UNIX, socket.SOCK_STREAM) and ack.getblocking(), "the socket")
    if acknowledge:
        line = b'{"command":"worker:ack","pid":%d}\n' % os.getpid()
        ack.sendall(b'{"command":"worker:hello"}\n' + line[:10])  # in pieces, behind something else
        ack.sendall(line[10:])
        ack.sendall(b'{"command":"worker:ping","pid":1}\n' * 1000)
    else:
        ack.sendall(b'{"command":"worker:ack","pid":%d}\nREADY=1\n' % os.getppid())
        ack.sendall(b"x" * 300000)
    serve(socks, signal.SIGUSR2)


def einhorn_mute():
    einhorn(acknowledge=False)


def s6():
    socks = [listener(3)]
    os.write(9, b"some words")
    os.write(9, b"\n")
    os.close(9)
    serve(socks, signal.SIGTERM)


def nginx():
    check(re.fullmatch("([0-9]+;)+", os.environ["NGINX"]), "the list")
    notify()
    serve([listener(fd) for fd in os.environ["NGINX"].split(";")[:-1]], signal.SIGQUIT)


def unicorn():
    check("NGINX" not in os.environ and os.environ["LISTEN_PID"] == str(os.getpid()), "its variables")
    notify()
    serve([listener(3 + n) for n in range(int(os.environ["LISTEN_FDS"]))], signal.SIGQUIT)


signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
{f.__name__: f for f in (server_starter, server_starter_without, einhorn, einhorn_mute, s6, nginx, unicorn)}[sys.argv[1]]()
