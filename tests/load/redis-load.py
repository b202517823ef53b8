#!/usr/bin/python3
"""redis-load.py --target HOST:PORT --json FILE: ECHO on new connections and on some that last, until `quit` on standard input; then
writes {"sent": N, "failed": N, "repeated": N, "errors": [...]} and exits with 1 if one failed. `stats` prints {"answered": N}.

redis does not drain: it goes at once, and a connection may end before the answer has come. Clients of redis connect again and repeat
what they can, and so does this one, three times at most. A connection that is refused, a wrong answer, and no answer in time have
failed at once.
"""
import argparse
import json
import socket
import sys
import threading

TRIES = 4


class Load:
    def __init__(self, target):
        host, _, port = target.rpartition(":")
        self.target, self.lock, self.stop = (host, int(port)), threading.Lock(), threading.Event()
        self.sent = self.answered = self.repeated = 0
        self.errors = []

    def exchange(self, sock, word):
        """Whether it was answered; False: the connection has ended."""
        try:
            sock.sendall(b"*2\r\n$4\r\nECHO\r\n$%d\r\n%s\r\n" % (len(word), word))
            answer = b""
            while answer.count(b"\r\n") < 2:
                piece = sock.recv(1000)
                if not piece:
                    assert answer == b"", f"half an answer: {answer}"
                    return False
                answer += piece
        except ConnectionError:
            return False
        assert answer == b"$%d\r\n%s\r\n" % (len(word), word), answer
        return True

    def one(self, sock):
        """Sends one on sock (None: on a new connection); gives the connection, for the next."""
        with self.lock:
            self.sent += 1
            word = b"%d" % self.sent
        for _ in range(TRIES):
            if sock is None:
                sock = socket.create_connection(self.target, 20)
            if self.exchange(sock, word):
                with self.lock:
                    self.answered += 1
                return sock
            sock.close()
            sock = None
            with self.lock:
                self.repeated += 1
        raise AssertionError(f"not answered in {TRIES} tries")

    def run(self, keep, pause):
        sock = None
        while not self.stop.wait(pause):
            try:
                sock = self.one(sock)
            except (OSError, AssertionError) as error:
                with self.lock:
                    self.errors.append(repr(error))
                sock = None
            if sock is not None and not keep:
                sock.close()
                sock = None
        if sock is not None:
            sock.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--target", required=True)
    parser.add_argument("--json", required=True)
    options = parser.parse_args()
    load = Load(options.target)
    threads = [threading.Thread(target=load.run, args=args) for args in [(False, 0.02)] * 2 + [(True, 0.01)] * 2]
    for thread in threads:
        thread.start()
    for line in sys.stdin:
        if line.strip() == "stats":
            print(json.dumps({"answered": load.answered}), flush=True)
        elif line.strip() == "quit":
            break
    load.stop.set()
    for thread in threads:
        thread.join()
    with open(options.json, "w", encoding="utf-8") as file:
        json.dump({"sent": load.sent, "failed": len(load.errors), "repeated": load.repeated, "errors": load.errors[:5]}, file)
    return 1 if load.errors else 0


sys.exit(main())
