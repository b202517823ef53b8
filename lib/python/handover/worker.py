"""Workers with threads."""
import errno
import contextlib
import os
import select
import signal
import threading

from .base import BaseWorker
from .drain import SIGNAL_PAUSE
from .http import HttpServer
from .sockets import SocketError

ACCEPT_PAUSE = 1  # seconds that we leave connections to others when we are out of descriptors or memory


class Worker(BaseWorker):
    """This process under its supervisor. It is made, and run() is called, in the main thread."""

    def __init__(self, **options):
        super().__init__(**options)
        self.began = threading.Event()
        self.cut = threading.Event()
        self.servers = []
        self.wake, self.woken = os.pipe()  # ends accepting, and the wait of run()
        # Python's handlers run in the main thread, when it gets to it. One that waits for a lock is woken only by a signal that
        # the kernel gives to it and to no other thread, and that comes when it does wait: so it waits for this descriptor.
        self.signalled, told = os.pipe()
        for descriptor in (self.signalled, told):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(told, warn_on_full_buffer=False)
        for number in self.drain_signals:
            # The handler may interrupt whoever holds the lock: a thread begins the drain.
            signal.signal(number, lambda *_: threading.Thread(target=self._signalled, daemon=True).start())
        if self.channel:
            self.channel.start()

    def serve(self, accepted, name=None, *, drain=lambda limits: None, stop=lambda: None):
        """Accepts from that socket, and calls accepted(connection, address), which must not block, for each connection.
        At a drain drain(limits) is called when nothing is accepted any more, and returns when all has finished; stop()
        cuts off what has not."""
        source = Source()
        if self.sent and (name is None or not self.sockets.has(name)):
            self.sent.serve(source, name)
        else:
            source.add(self.socket(name))
        thread = threading.Thread(target=self._accept, args=(source, accepted), daemon=True)

        def finish(limits):
            """Accepting ends first, and what is queued in the sockets is left to those who share them."""
            if thread.ident:
                thread.join()
            source.close()
            drain(limits)
        self.add(thread.start, finish, stop)

    def socket(self, name=None):
        if not self.sent or self.sockets.has(name):
            return super().socket(name)
        if not self.is_ready:
            raise SocketError("with handoff = channel sockets come when this worker is ready: call ready() before, or let serve() wait")
        while not self.sent.come.wait(0.1):
            if self.draining:
                raise SocketError("this worker is to drain, and no sockets have come")
        sock = self.sent.take(name)
        if sock is None:
            raise SocketError(f"there is no socket {name!r} left; there are: {' '.join(self.sent.names())}")
        return sock

    def add(self, start, drain, stop):
        """Adds a server of another kind: start() begins to accept, drain(limits) stops that and returns when all has
        finished, stop() cuts off what has not."""
        self.servers.append((start, drain, stop))

    def serve_http(self, handler, name=None):
        """Lets a class of http.server's handlers serve, with a thread for each connection; without a name on the probe
        socket as well, if there is one."""
        server = HttpServer(self, handler)
        self.serve(server.accepted, name, drain=server.drain, stop=server.stop)
        if name is None and self.has_socket("probe"):
            self.serve(server.accepted, "probe")

    def go(self, name, function, *arguments):
        """Runs background work that a drain waits for, in a thread. It should look at `draining`, or wait for `began`."""
        key = self.tasks.begin(name)

        def run():
            try:
                function(*arguments)
            finally:
                self.tasks.end(key)
        threading.Thread(target=run, name=name, daemon=True).start()

    def ready(self):
        """Starts the servers and says READY=1, once, and not any more when the drain has begun."""
        with self.lock:
            if self.is_ready or self.draining:
                return
            self.is_ready = True
        for start, _, _ in self.servers:
            start()
        self.say_ready()

    def run(self):
        """Says that we are ready, waits for the drain, carries it out, and returns the exit status for sys.exit(): 0, or
        143 when something had to be cut off, or 1 after a failure."""
        try:
            self.ready()
        except OSError as error:
            self.fail(f"NOTIFY_SOCKET: READY=1 could not be sent: {error}")
        self._wait()
        self._finish()
        return self.after_drain()

    def _wait(self):
        """Until the drain begins; its signal is taken meanwhile."""
        poll = select.poll()
        poll.register(self.wake, select.POLLIN)
        poll.register(self.signalled, select.POLLIN)
        while not self.began.is_set():
            poll.poll()
            with contextlib.suppress(BlockingIOError):
                os.read(self.signalled, 100)

    def _signalled(self):
        """What the channel says counts more."""
        if not (self.channel and self.channel.connected and self.began.wait(SIGNAL_PAUSE)):
            self.begin(self.reason_of_signal(), self.budget)

    def begin(self, reason, budget, spent=0.0):
        if super().begin(reason, budget, spent):
            self.began.set()
            os.write(self.woken, b"x")
            self.say_draining()

    def stop_hard(self):
        for _, _, stop in self.servers:
            threading.Thread(target=stop, daemon=True).start()
        self.cut.set()

    # the drain

    def _finish(self):
        """Calls that hang must not keep what is after them from being done."""
        worked = threading.Event()

        def work():
            self._drain_servers()
            self.tasks.wait()
            worked.set()
            self.cut.set()
        threading.Thread(target=work, daemon=True).start()
        self.cut.wait()
        worked.wait((self.limits.exit - self.limits.stop) / 2)
        while self.closers:
            self.closing, function = self.closers.pop()
            try:
                function()
            except Exception as error:  # whatever it is, the others are to be closed as well
                self.complain(f"closing {self.closing}: {error!r}; going on")
            self.closing = None

    def _drain_servers(self):
        threads = [threading.Thread(target=drain, args=(self.limits,), daemon=True) for _, drain, _ in self.servers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _accept(self, source, accepted):
        while not self.draining:
            ready = source.wait(self.wake)
            if self.draining:
                return
            for sock in ready:
                self._accept_from(sock, accepted)
            for sock, gone in source.leaving():
                while self._accept_from(sock, accepted):
                    pass
                sock.close()
                gone.set()

    def _accept_from(self, sock, accepted):
        """False: nobody waits there."""
        try:
            connection, address = sock.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False  # somebody else has it
        except OSError as error:
            if not is_shortage(error):
                self.fail(f"accept on {sock.getsockname()}: {error}")
                return False
            self.complain(f"accept on {sock.getsockname()}: {error}; trying again in {ACCEPT_PAUSE} s")
            self.began.wait(ACCEPT_PAUSE)
            return False
        accepted(connection, address)
        return True


class Source:
    """What one thread accepts from: a socket, or with handoff = channel those that it has at the moment."""

    def __init__(self):
        self.lock = threading.Lock()
        self.sockets, self.gone = [], []
        self.changed, self.change = os.pipe()
        os.set_blocking(self.changed, False)

    def add(self, sock):
        with self.lock:
            self.sockets.append(sock)
        os.write(self.change, b"x")

    def drop(self, sock):
        event = threading.Event()
        with self.lock:
            self.sockets.remove(sock)
            self.gone.append((sock, event))
        os.write(self.change, b"x")
        return event

    def leaving(self):
        with self.lock:
            gone, self.gone = self.gone, []
        return gone

    def wait(self, wake):
        """Those with somebody in their queue; none when something else has happened."""
        poll = select.poll()
        with self.lock:
            sockets = {sock.fileno(): sock for sock in self.sockets}
        for fd in (*sockets, wake, self.changed):
            poll.register(fd, select.POLLIN)
        ready = [fd for fd, _ in poll.poll()]
        if self.changed in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self.changed, 1024)
        return [sockets[fd] for fd in ready if fd in sockets]

    def close(self):
        with self.lock:
            for sock in [*self.sockets, *(sock for sock, _ in self.gone)]:
                sock.close()
            self.sockets = []


def is_shortage(error):
    """Whether it may pass by itself."""
    return error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
