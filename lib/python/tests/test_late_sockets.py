"""The channel, with this process as the supervisor."""
import asyncio
import json
import os
import pathlib
import resource
import socket
import struct
import sys
import threading
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import handover  # noqa: E402
import handover.aio  # noqa: E402
from handover.drain import budget_left  # noqa: E402

PATIENCE = 20


class Master:
    """The other end of HANDOVER_CHANNEL."""

    def __init__(self, place):
        self.path, self.page, self.sock, self.listener = str(place / "channel.sock"), None, None, None
        self.environment = {"HANDOVER_CHANNEL": self.path, "HANDOVER_HANDOFF": "channel", "HANDOVER_DRAIN_TIMEOUT_USEC": "3600000000"}
        self.listen()

    def listen(self):
        if self.listener:
            self.listener.close()
            os.unlink(self.path)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(self.path)
        self.listener.listen()
        self.listener.settimeout(PATIENCE)

    def accept(self):
        self.sock, _ = self.listener.accept()
        self.sock.settimeout(PATIENCE)
        assert self.hear() == {"version": 1, "kind": "hello", "answers": True}
        assert self.hear() == {"version": 1, "kind": "inflight"}

    def hear(self):
        data, fds, _, _ = socket.recv_fds(self.sock, 16384, 4)
        if fds:
            [self.page] = fds
        return json.loads(data)

    def say(self, kind, *sockets, version=1, **members):
        text = json.dumps({"version": version, "kind": kind, **members}).encode()
        socket.send_fds(self.sock, [text], [sock.fileno() for sock in sockets])

    def send_set(self, number, **sockets):
        self.send_list(number, list(sockets.items()))

    def send_list(self, number, sockets, answered=True):
        self.say("sockets", *(sock for _, sock in sockets), names=[name for name, _ in sockets], set=number)
        if answered:
            assert self.hear() == {"version": 1, "kind": "accepting", "set": number}

    def inflight(self):
        magic, version, cells, count = struct.unpack("=8sII48xq56x", os.pread(self.page, 128, 0))
        assert (magic, version, cells) == (b"HANDOVER", 1, 1)
        return count

    def close(self):
        for sock in (self.sock, self.listener):
            if sock:
                sock.close()


@pytest.fixture(name="master")
def fixture_master(tmp_path):
    master = Master(tmp_path)
    yield master
    master.close()


@pytest.fixture(name="worker")
def fixture_worker(master):
    worker = handover.Worker(drain_signals=(), environment=master.environment, end=lambda status: None)
    master.accept()
    yield worker
    worker.channel.over.set()


def listening():
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    return sock


def knock(sock):
    return socket.create_connection(sock.getsockname(), timeout=PATIENCE)


class Door:
    """Whom serve() has let in."""

    def __init__(self, worker, name=None):
        self.guests, self.came = [], threading.Condition()
        worker.serve(self.accepted, name)

    def accepted(self, connection, address):
        connection.close()
        with self.came:
            self.guests.append(address)
            self.came.notify_all()

    def expect(self, client):
        with client, self.came:
            assert self.came.wait_for(lambda: client.getsockname() in self.guests, PATIENCE)


def test_sockets_come_and_go(master, worker):
    told = []
    worker.on_sockets(told.append)
    web, rest = Door(worker, "web"), Door(worker)
    with pytest.raises(handover.sockets.SocketError, match="socket 'web' is in use already"):
        worker.serve(print, "web")
    with pytest.raises(handover.sockets.SocketError, match="call ready\\(\\) before"):
        worker.socket("web")
    worker.ready()
    with listening() as one, listening() as two, listening() as three:
        early = knock(one)
        master.send_set(1, web=one)
        web.expect(early)
        master.send_set(2, web=one, admin=two)
        rest.expect(knock(two))
        web.expect(knock(one))
        # it moves: both are served until the former one is left out, and who is in its queue then is served, too
        master.send_list(3, [("admin", two), ("web", one), ("admin", three)])
        rest.expect(knock(two))
        rest.expect(knock(three))
        queued = knock(two)
        master.send_list(4, [("web", one), ("admin", three)])
        rest.expect(queued)
        with knock(two) as late:  # nobody but us has it now
            assert two.accept()[1] == late.getsockname()
        rest.expect(knock(three))
    assert told == [["web"], ["web", "admin"], ["admin", "web", "admin"], ["web", "admin"]]


def test_a_socket_for_the_program_itself(master, worker):
    worker.ready()
    with listening() as one:
        sending = threading.Timer(0.05, lambda: master.send_set(1, web=one))
        sending.start()
        with worker.socket("web") as mine:
            assert mine.getsockname() == one.getsockname() and not os.get_blocking(mine.fileno())
        with pytest.raises(handover.sockets.SocketError, match="there is no socket 'admin' left; there are: web"):
            worker.socket("admin")
        sending.join()


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def test_rubbish_is_dropped_with_its_descriptors(master, worker):
    with listening() as sock:
        before = descriptors()
        master.say("sockets", sock, version=2, names=["web"])
        master.say("drink", sock)
        master.say("sockets", sock, names=["web", "x"], set=9)
        socket.send_fds(master.sock, [b"rubbish"], [sock.fileno()])
        socket.send_fds(master.sock, [b"[]"], [sock.fileno()])
        master.say("inflight")
        assert master.hear() == {"version": 1, "kind": "inflight"}
        os.close(master.page)
        assert descriptors() == before and not worker.draining


def test_in_flight_in_the_page(master, worker):
    with worker.call("call"), worker.connection("somebody"):
        assert master.inflight() == 1
    assert master.inflight() == 0
    assert worker.channel.sock.gettimeout() is None  # an idle worker wakes up for nobody


def deadline(seconds):
    return int((time.monotonic() + seconds) * 1e6)


@pytest.mark.parametrize("word, reason, stops", [("reload", handover.RELOAD, []), ("scale", handover.RELOAD, []), ("undo", handover.RELOAD, []),
                                                 ("stop", handover.STOP, [False]), ("removed", handover.STOP, [True]),
                                                 ("whim", handover.UNKNOWN, [])])
def test_why_and_until_when(master, worker, word, reason, stops):
    """The lame duck is a stop's first moment, and the worker does not drain yet."""
    told = []
    worker.on_stop(lambda: told.append(worker.draining))
    if word == "stop":
        master.say("lameduck", deadline_usec=deadline(1))
    master.say("drain", reason=word, deadline_usec=deadline(60))
    assert worker.began.wait(PATIENCE)
    worker._signalled()  # comes behind, and changes nothing
    assert (worker.reason, told) == (reason, stops)
    assert worker.limits.budget == 60 and 40 < worker.deadline() - time.monotonic() <= 48


def test_a_signal_without_a_word(worker):
    worker._signalled()
    assert worker.draining and worker.reason == handover.STOP  # nobody listens to what we notify


@pytest.mark.parametrize("left, budget", [(2.994, 3), (0.95, 1), (0.3, None)])
def test_budgets_as_people_write_them(left, budget):
    whole, spent = budget_left(deadline(left), 7)
    assert abs(whole - spent - left) < 0.05 and (budget is None or abs(whole - budget) < 1e-9)
    assert budget_left(None, 7) == (7, 0.0)


def test_another_master(master, worker):
    worker.ready()
    for _ in range(2):
        master.sock.close()
        master.listen()
        master.accept()
        assert master.hear() == {"version": 1, "kind": "ready"}
    with listening() as one:
        door = Door(worker)
        worker.servers[-1][0]()  # ready() was before
        master.send_set(1, web=one)
        door.expect(knock(one))


def test_out_of_descriptors(master, worker):
    """It asks again, until it has some."""
    door = Door(worker)
    worker.ready()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with listening() as one:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            master.send_list(1, [("web", one)], answered=False)
            assert master.hear() == {"version": 1, "kind": "again", "set": 1}
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        master.send_set(1, web=one)
        door.expect(knock(one))


def test_asyncio(master):
    """Servers start when their sockets come, and let go of them when their queues are empty."""
    async def main():
        guests = []

        async def serve(_, writer):
            guests.append(writer.get_extra_info("peername"))
            writer.close()

        worker = handover.aio.Worker(drain_signals=(), environment=master.environment, end=lambda status: None)
        await worker.start_server(serve)
        loop = asyncio.get_running_loop()

        def steps():
            master.accept()
            with listening() as one, listening() as two:
                clients = [knock(one)]
                master.send_set(1, web=one)
                clients.append(knock(two))
                master.send_set(2, web=two, other=one)
                clients.append(knock(one))
                master.send_set(3, web=two)
                for client in clients:
                    with client:
                        assert client.recv(1) == b""
                assert len(set(guests)) == 3
            master.say("drain", reason="stop", deadline_usec=deadline(5))

        stepping = loop.run_in_executor(None, steps)
        stops = []
        worker.on_stop(lambda: stops.append(1))
        assert await worker.run() == 0
        await stepping
        assert worker.reason == handover.STOP and stops == [1]

    asyncio.run(main())
