#!/usr/bin/python3
"""grpcio-load.py --target HOST:PORT --json FILE [--service NAME]: calls on new channels and on some that last, until `quit` on
standard input; then writes {"sent": N, "failed": N, "generations": [...], "errors": [...]} and exits with 1 if one was not OK.
`stats` prints {"answered": N}.

Without --service the calls are Add of binding-worker.py, whose messages are JSON. With it they are Unary and ServerStream of
that service, whose messages are those of tests/grpc/echo.
"""
import argparse
import json
import os
import sys
import threading
import time

import grpc

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../grpc"))
import echo_client  # noqa: E402

# A C-core server that stops says GOAWAY first, and lets the client open streams until it has read that (its last stream id is
# 2^31-1); but those that come in between it resets with CANCEL, which no client repeats by itself, as it would REFUSED_STREAM.
# So a server of that kind loses some calls at each stop, with or without a supervisor, unless its clients have this:
RETRY = {"methodConfig": [{"name": [{}], "retryPolicy": {
    "maxAttempts": 4, "initialBackoff": "0.01s", "maxBackoff": "0.1s", "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"]}}]}
# a channel of its own each, and no connection shared below it
OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.service_config", json.dumps(RETRY))]


def call_json(channel, ident):
    add = channel.unary_unary("/test.Test/Add")
    ask = {"jsonrpc": "2.0", "id": ident, "method": "add" if ident % 10 else "work", "params": {"a": ident, "b": 1, "ms": 200}}
    reply = json.loads(add(json.dumps(ask).encode(), timeout=20, wait_for_ready=True))
    assert reply["result"]["sum"] == ident + 1
    return reply["result"]["generation"]


def call_echo(service):
    def call(channel, ident):
        echo = echo_client.Echo(channel, service, timeout=20)
        if ident % 20 == 0:
            replies = list(echo.stream(ident, messages=5, delay_ms=40))
            assert [reply["number"] for reply in replies] == [ident + i for i in range(1, 6)]
            return replies[-1]["generation"]
        reply = echo.unary(ident, delay_ms=0 if ident % 10 else 200)
        assert reply["number"] == ident + 1
        return reply["generation"]
    return call


class Load:
    def __init__(self, target, call):
        self.target, self.call, self.lock, self.stop = target, call, threading.Lock(), threading.Event()
        self.sent = self.answered = 0
        self.errors, self.generations = [], set()

    def one(self, channel):
        with self.lock:
            self.sent += 1
            ident = self.sent
        try:
            generation = self.call(channel, ident)
        except (grpc.RpcError, AssertionError) as error:
            with self.lock:
                self.errors.append(str(error))
            return
        with self.lock:
            self.answered += 1
            self.generations.add(generation)

    def anew(self):
        while not self.stop.is_set():
            with grpc.insecure_channel(self.target, options=OPTIONS) as channel:
                self.one(channel)
            time.sleep(0.02)

    def lasting(self):
        with grpc.insecure_channel(self.target, options=OPTIONS) as channel:
            while not self.stop.is_set():
                self.one(channel)
                time.sleep(0.01)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--target", required=True)
    parser.add_argument("--json", required=True)
    parser.add_argument("--service")
    options = parser.parse_args()
    load = Load(options.target, call_echo(options.service) if options.service else call_json)
    threads = [threading.Thread(target=function) for function in (load.anew, load.anew, load.lasting, load.lasting)]
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
        json.dump({"sent": load.sent, "failed": len(load.errors), "errors": load.errors[:5],
                   "generations": sorted(load.generations)}, file)
    return 1 if load.errors else 0


sys.exit(main())
