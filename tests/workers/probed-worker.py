#!/usr/bin/python3
"""A server that is asked whether it is well, and answers as it is told: once for each word of --answers, the last one for
ever. It serves on the probe socket (LISTEN_FDNAMES), or where --listen says.

words: good, redirect, 503, slow (300 ms), hang, close, garbage, headers (without an end), none (it does not accept)

With --file NAME the word is what that file says now, if it is there."""
import argparse
import os
import signal
import socket
import sys
import threading
import time


def probe_socket():
    names = os.environ["LISTEN_FDNAMES"].split(":")
    return socket.socket(fileno=3 + names.index("probe"))


def own_socket(address, shared):
    if address.startswith("unix:"):
        path = address[5:]
        if os.path.exists(path):
            os.unlink(path)
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(path)
    else:
        host, port = address.rsplit(":", 1)
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((host, int(port)))
    sock.listen(16)
    return sock


def answer(conn, word):
    conn.recv(65536)
    if word == "slow":
        time.sleep(0.3)
    if word in ("good", "slow"):
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
    elif word == "redirect":
        conn.sendall(b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /\r\n\r\n")
    elif word == "503":
        conn.sendall(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
    elif word == "garbage":
        conn.sendall(b"\0\1\2\3 who are you?\n")
    elif word == "headers":
        try:
            conn.sendall(b"HTTP/1.1 200 OK\r\n" + b"X-More: and more\r\n" * 100000)
        except OSError:
            pass  # it had enough
    elif word == "hang":
        time.sleep(1000)
    conn.close()


def word_now(options, n):
    try:
        with open(options.file, encoding="utf-8") as file:
            return file.read().strip()
    except (OSError, TypeError):
        return options.answers[min(n, len(options.answers) - 1)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--answers", nargs="+", default=["good"])
    parser.add_argument("--file")
    parser.add_argument("--listen")
    parser.add_argument("--shared", action="store_true", help="with SO_REUSEPORT")
    parser.add_argument("--delay", type=float, default=0, help="seconds until it accepts")
    parser.add_argument("--ready", action="store_true", help="say READY=1")
    parser.add_argument("--child", action="store_true", help="a child serves")
    parser.add_argument("--linger", type=float, default=0, help="seconds that it serves on after its drain signal")
    parser.add_argument("--until", help="close the socket when there is this file, and stay")
    parser.add_argument("--times", help="a file that gets the time of each question, and this process's pid")
    parser.add_argument("--close", action="store_true", help="close the probe socket, and stay")
    options = parser.parse_args()
    sock = own_socket(options.listen, options.shared) if options.listen else probe_socket()
    if options.linger:
        signal.signal(signal.SIGTERM, lambda *_: threading.Timer(options.linger, os._exit, [0]).start())
    if options.ready:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1))
    if options.child and os.fork() != 0:
        os.wait()
        return 0
    sock.setblocking(True)
    time.sleep(options.delay)
    if options.close or word_now(options, 0) == "none":
        if options.close:
            sock.close()
        time.sleep(1000)
    if options.until:
        sock.settimeout(0.05)
    n = 0
    while True:
        if options.until and os.path.exists(options.until):
            sock.close()
            time.sleep(1000)
        try:
            conn, _ = sock.accept()
        except TimeoutError:
            continue
        if options.times:
            with open(options.times, "a", encoding="utf-8") as file:
                file.write(f"{time.monotonic()} {os.getpid()}\n")
        threading.Thread(target=answer, args=(conn, word_now(options, n)), daemon=True).start()
        n += 1


if __name__ == "__main__":
    sys.exit(main())
