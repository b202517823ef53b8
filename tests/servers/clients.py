"""Clients, one for each protocol. What each has: load(h), a load client under way; slow(h), one request that is in flight when it
returns, with pid() of the worker that has answered it; hang(h), one that never ends, with is_cut(); and ask(h), the pid that answers
now."""
import os
import socket
import threading

import grpc

import echo_client
import harness
from harness import Call, call

GRPCIO_LOAD = os.path.join(harness.ROOT, "tests/load/grpcio-load.py")
REDIS_LOAD = os.path.join(harness.ROOT, "tests/load/redis-load.py")


def accepted(h):
    """Nobody waits in the queue."""
    h.wait(lambda: h.status()["sockets"][0]["queue"] == 0, "the request to be accepted")


# --- JSON-RPC over HTTP ---

class HttpSlow:
    def __init__(self, h, ms):
        self.call = Call(h.port, "work", ms=ms, a=1, b=2)
        accepted(h)

    def pid(self):
        answer = self.call.answer()
        assert answer["sum"] == 3
        return answer["pid"]


class Http:
    """With rpc-load. Connections that are kept are for servers that do not close them, when they drain, before the next request."""

    def __init__(self, *options):
        self.options = options or ("--new", "60", "--keepalive", "60,8", "--slow", "8,100,400")

    def load(self, h):
        return h.load(*self.options, target=f"127.0.0.1:{h.port}")

    def slow(self, h, ms):
        return HttpSlow(h, ms)

    def hang(self, h):
        hanging = Call(h.port, "hang", a=1, b=2)
        accepted(h)
        return hanging

    def ask(self, h):
        return call(h.port, "add", a=1, b=2)["pid"]


NEW = ("--new", "60", "--slow", "8,100,400")
NEW_AND_FEW = ("--new", "40", "--slow", "2,100,200")  # for servers that have one request at a time


# --- gRPC ---

class GrpcSlow:
    """A stream: its first message is there, and the last one comes after the reload."""

    def __init__(self, channel, echo, ms):
        self.channel = channel
        self.stream = iter(echo.stream(10, messages=6, delay_ms=ms // 5))
        self.first = next(self.stream)

    def pid(self):
        replies = [self.first, *self.stream]
        self.channel.close()
        assert [reply["number"] for reply in replies] == list(range(11, 17))
        [pid] = {reply["pid"] for reply in replies}
        return pid


class GrpcHang:
    def __init__(self, h, channel, echo):
        self.channel = channel
        self.stream, self.code = echo.hang(), None
        self.thread = threading.Thread(target=self.wait)
        self.thread.start()
        accepted(h)

    def wait(self):
        try:
            next(self.stream)
        except grpc.RpcError as error:
            self.code = error.code()

    def is_cut(self):
        self.thread.join(harness.PATIENCE)
        self.channel.close()
        return self.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNKNOWN)


class Grpc:
    def __init__(self, service):
        self.service = service

    def _echo(self, h):
        channel = grpc.insecure_channel(f"127.0.0.1:{h.port}", options=[("grpc.use_local_subchannel_pool", 1)])
        return channel, echo_client.Echo(channel, self.service, timeout=harness.PATIENCE)

    def load(self, h):
        return h.load("--service", self.service, target=f"127.0.0.1:{h.port}", program=GRPCIO_LOAD)

    def slow(self, h, ms):
        return GrpcSlow(*self._echo(h), ms)

    def hang(self, h):
        return GrpcHang(h, *self._echo(h))

    def ask(self, h):
        channel, echo = self._echo(h)
        with channel:
            return echo.unary(1)["pid"]


# --- redis ---

def command(*words):
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in map(str.encode, words))


class RedisCall:
    def __init__(self, h, *words):
        self.sock = socket.create_connection(("127.0.0.1", h.port), harness.PATIENCE)
        self.sock.sendall(command(*words))
        accepted(h)

    def answer(self):
        with self.sock:
            return self.sock.recv(1000)

    def is_cut(self):
        try:
            return self.answer() == b""
        except ConnectionError:
            return True


class RedisSlow:
    """A script takes its time. redis goes at once when it is told to, and what it has not answered by then its clients ask again."""

    SCRIPT = ("local function now() local t = redis.call('TIME') return t[1] * 1000 + t[2] / 1000 end "
              "local ends = now() + {ms} while now() < ends do end return 1")

    def __init__(self, h, ms):
        self.h = h
        self.words = ("EVAL", self.SCRIPT.format(ms=ms), "0")
        self.call = RedisCall(h, *self.words)

    def pid(self):
        try:
            answer = self.call.answer()
        except ConnectionError:
            answer = b""
        assert (answer or RedisCall(self.h, *self.words).answer()) == b":1\r\n"
        return None  # a number is all that it says


class Redis:
    def load(self, h):
        return h.load(target=f"127.0.0.1:{h.port}", program=REDIS_LOAD)

    def slow(self, h, ms):
        return RedisSlow(h, ms)

    def hang(self, h):
        return RedisCall(h, "EVAL", "while true do end", "0")

    def ask(self, h):
        told = RedisCall(h, "INFO", "server").answer() + b"\r\n"
        return int(told.split(b"process_id:")[1].split()[0])
