"""The example worker with grpcio, which binds by itself: through bind_shim."""
import os
import shlex

import grpc
import pytest

import harness
from harness import in_background

EXAMPLE = os.path.join(harness.ROOT, "lib/python/examples/grpc_worker.py")


class Client:
    def __init__(self, port):
        # connections of its own, shared with no other client
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1)])

    def call(self, method, request=b"x"):
        return self.channel.unary_unary(f"/example.Echo/{method}")(request, timeout=harness.PATIENCE, wait_for_ready=True)


@pytest.fixture(name="service")
def fixture_service(request, handover):
    """(instance, new clients)"""
    h = handover()
    port = h.socket("grpc")
    timeout = getattr(request, "param", "3s")
    h.pool("api", shlex.join(["/usr/bin/python3", EXAMPLE, f"127.0.0.1:{port}"]), sockets="grpc", bind_shim="yes",
           drain_timeout=timeout)
    h.start()
    clients = []

    def client():
        clients.append(Client(port))
        return clients[-1]
    yield h, client
    for each in clients:
        each.channel.close()


def in_flight(h, n):
    h.wait(lambda: sum(w["inflight"] or 0 for w in h.workers()) == n, f"{n} calls in flight")


@pytest.mark.parametrize("service", ["6s"], indirect=True)
def test_a_call_in_flight_is_answered_and_the_next_one_goes_to_the_successor(service):
    h, client = service
    one = client()
    old = int(one.call("Echo").split()[-1])
    slow = in_background(one.call, "Slow", b"2.5")
    in_flight(h, 1)
    h.good_reload()
    assert slow.result() == b"2.5"
    h.wait_log(rf"pid {old} exited with code 0, .* after it was told to go")
    new = int(one.call("Echo").split()[-1])
    assert new != old and [new] == h.pids("api")


def test_what_never_ends_is_cut_off_and_named(service):
    h, client = service
    hanging = in_background(client().call, "Hang")
    in_flight(h, 1)
    guilty = h.pids("api")[0]
    h.good_reload()
    with pytest.raises(grpc.RpcError):
        hanging.result()
    assert int(client().call("Echo").split()[-1]) != guilty
    h.wait_log(rf"info pool api slot \d generation 1 pid {guilty} exited with code 143, .* after it was told to go")
    h.wait_log(r"stopping hard after 2\.4s of a budget of 3s, not finished: /example\.Echo/Hang from \S+ for \d\.\d s")
    assert h.count_log("SIGKILL") == 0
