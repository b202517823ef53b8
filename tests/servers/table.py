"""Real servers: how each is started, what its configuration is, and who its client is."""
import dataclasses
import os
import shlex

import clients
import harness

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON, NODE = "/usr/bin/python3", "/usr/bin/node"


def built(name):
    return os.path.join(harness.BUILD, name)


def source(path):
    return os.path.join(harness.ROOT, path)


@dataclasses.dataclass
class Server:
    """item: the title in "SERVERS" of handover.ini(5) whose configuration it runs with; words: what stands there, and what it is
    here, where {port} and {place} are the instance's. cut: who ends what never ends, "worker" or "master"."""
    name: str
    client: object
    item: str
    words: dict
    keys: dict = dataclasses.field(default_factory=dict)
    files: object = None
    cut: str = "master"
    core: bool = False
    reports: bool = True  # its answers name the worker


def program(*words):
    return shlex.join(words)


KNOWS = "A program that knows sd_listen_fds and sd_notify"
CORE = "gRPC in Python, Ruby, PHP and C++"
NODEJS = "node"
ANY = "Java, redis, and whatever else binds its address itself"

SERVERS = [
    Server("grpc-go", clients.Grpc("handover.test.Echo"), KNOWS, {"/usr/local/bin/api": built("grpc-worker")}, cut="worker"),
    Server("grpc-cpp-acceptor", clients.Grpc("example.Echo"), KNOWS, {"/usr/local/bin/api": built("cpp-grpc")}, cut="worker"),
    Server("grpc-cpp-acceptor-channel", clients.Grpc("example.Echo"), KNOWS, {"/usr/local/bin/api": built("cpp-grpc")},
           {"handoff": "channel"}, cut="worker"),
    Server("grpc-cpp-shim", clients.Grpc("example.Echo"), CORE, {"python3 /srv/api.py": built("grpc-plain") + " 127.0.0.1:{port}"}),
]
