"""Hazards of sockets that several processes share: each made to happen, and survived. Those that have a file of their own: a
shutdown() by one is everybody's (test_sockets.py, test_bind_shim.py), O_NONBLOCK is shared (test_when_workers.py), descendants keep
sockets open (test_drain.py), and connections to a worker that drains already (lib/go/grpc, lib/node/tests)."""
import collections
import contextlib
import os
import re
import signal
import socket
import struct

import pytest

from harness import Call, call, connect, read_file, rpc


def listener(port, *options):
    sock = socket.socket()
    for option in (socket.SO_REUSEADDR, *options):
        sock.setsockopt(socket.SOL_SOCKET, option, 1)
    sock.bind(("127.0.0.1", port))
    sock.listen()
    return sock


def test_one_worker_may_get_all_of_them(handover):
    """Who is awake first accepts: a total is right, and a balance is nobody's promise. Here one of two does not even run; with a socket
    for each slot its clients wait for it alone."""
    h = handover()
    port = h.socket("web")
    h.socket("own", f"unix:{h.path('own-%n.sock')}")
    h.pool("api", rpc(), sockets="web own", workers=2)
    h.start()
    frozen = next(w["pid"] for w in h.workers() if w["slot"] == 1)
    os.kill(frozen, signal.SIGSTOP)
    try:
        shared = collections.Counter(call(port, "info")["slot"] for _ in range(50))
        waiting = [Call(h.path("own-1.sock"), "info") for _ in range(3)]
        assert call(h.path("own-0.sock"), "info")["slot"] == 0
    finally:
        os.kill(frozen, signal.SIGCONT)
    assert shared == {0: 50}
    assert [w.answer()["slot"] for w in waiting] == [1, 1, 1]


def test_a_reuseport_socket_throws_its_queue_away_and_ours_does_not(handover):
    """What the kernel does to those who wait in the queue of a SO_REUSEPORT socket that is closed, although another one listens at the
    same port; and what becomes of those who wait for a worker that is killed, and that nobody else stands in for."""
    if read_file("/proc/sys/net/ipv4/tcp_migrate_req").strip() == b"1":
        pytest.skip("this kernel moves such connections to another socket (net.ipv4.tcp_migrate_req)")
    h = handover()
    port = h.ports.take()
    with listener(port, socket.SO_REUSEPORT), listener(port, socket.SO_REUSEPORT) as closes, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(port)) for _ in range(64)]
        closes.close()
        lost = 0
        for client in clients:
            client.settimeout(0.02)
            try:
                lost += client.recv(1) == b""
            except ConnectionResetError:
                lost += 1
            except TimeoutError:
                pass  # it is in the other one's queue
        assert 0 < lost < len(clients), "the hazard itself"
    port = h.socket("web")
    h.pool("api", rpc(), sockets="web", restart_delay="200ms")
    h.start()
    for _ in range(3):
        pid = h.pids()[0]
        os.kill(pid, signal.SIGSTOP)  # so that they are all in the queue
        waiting = [Call(port, "add", a=n, b=1) for n in range(64)]
        os.kill(pid, signal.SIGKILL)
        assert [w.answer()["sum"] for w in waiting] == list(range(1, 65))


def test_an_outgoing_connection_may_have_the_port(handover):
    """Of the ports that the kernel gives to outgoing connections: who has it is named, and a check warns before it happens."""
    first, last = map(int, read_file("/proc/sys/net/ipv4/ip_local_port_range").split())
    h = handover()
    address = f"127.77.{os.getpid() // 250 % 250}.{1 + os.getpid() % 250}"  # of our own: all others connect from 127.0.0.1
    with listener(h.ports.take()) as server, socket.socket() as client:
        client.bind((address, 0))
        client.connect(server.getsockname())
        server.accept()[0].close()
        port = client.getsockname()[1]
        assert first <= port <= last
        h.socket("web", f"tcp://{address}:{port}")
        h.pool("api", rpc(), sockets="web")
        h.end_early(code=1)
        h.wait_log(rf"error cannot start: socket web: cannot bind tcp {re.escape(address)}:{port}: address in use by \S+ \(pid {os.getpid()}\)")
        h.process, h.expected_exit = None, 0
        # closed by a reset, so that nothing of it is left
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    checked = h.run_only("--check", h.config)
    assert re.search(rf":\d+: warning: \[socket:web\] listen: port {port} is one of those that the kernel gives to outgoing connections "
                     rf"\({first} to {last}\): while nothing listens there one of these may have it, and a start fails; take another port, "
                     r"or reserve this one \(sysctl net\.ipv4\.ip_local_reserved_ports\)", checked.stderr)
    h.start()
    socket.create_connection((address, port), 30).close()
