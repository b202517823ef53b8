#!/usr/bin/python3
"""A complete worker with grpcio. Its service is made of bytes, so that no generated code is needed. The pool needs
`bind_shim = yes`: grpcio binds by itself."""
import os
import pathlib
import sys
import threading
import time
from concurrent import futures

import grpc

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))  # where the package is not installed
import handover.grpcio  # noqa: E402


def echo(request, _):
    return request + b" from pid %d" % os.getpid()


def slow(request, _):
    time.sleep(float(request))
    return request


def hang(*_):
    threading.Event().wait()  # never ends: see what a drain does with it


def methods(**functions):
    return {name: grpc.unary_unary_rpc_method_handler(function) for name, function in functions.items()}


address = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:18932"
worker = handover.Worker()
server = grpc.server(futures.ThreadPoolExecutor(16), interceptors=[handover.grpcio.Counter(worker)])
server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("example.Echo", methods(Echo=echo, Slow=slow, Hang=hang))])
if server.add_insecure_port(address) == 0:
    sys.exit(f"cannot bind {address}")
handover.grpcio.serve(worker, server)
sys.exit(worker.run())
