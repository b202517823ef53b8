#!/usr/bin/python3
"""api.py ADDRESS: a server with grpcio that knows nothing of handover: the service Echo."""
import concurrent.futures
import os
import pathlib
import signal
import sys
import threading
import time

import grpc

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "grpc"))
from echo_client import numbers, varint  # noqa: E402

WHO = (os.getpid(), int(os.environ["HANDOVER_SLOT"]), int(os.environ["HANDOVER_GENERATION"]))


def reply(number):
    return b"".join(varint(field << 3) + varint(value) for field, value in enumerate((number, *WHO), 1))


def unary(request, _):
    asked = dict(numbers(request))
    time.sleep(asked.get(2, 0) / 1000)
    return reply(asked.get(1, 0) + 1)


def stream(request, _):
    asked = dict(numbers(request))
    for i in range(asked.get(3, 0)):
        time.sleep(asked.get(2, 0) / 1000)
        yield reply(asked.get(1, 0) + i + 1)


def hang(*_):
    threading.Event().wait()
    yield b""


signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
server = grpc.server(concurrent.futures.ThreadPoolExecutor(16))
server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("example.Echo", {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "ServerStream": grpc.unary_stream_rpc_method_handler(stream),
    "Hang": grpc.unary_stream_rpc_method_handler(hang)})])
assert server.add_insecure_port(sys.argv[1]) > 0
server.start()
signal.sigwait({signal.SIGTERM})
server.stop(4).wait()
