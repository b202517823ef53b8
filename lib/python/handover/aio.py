"""Workers with asyncio.

    async def main():
        worker = handover.aio.Worker()
        await worker.start_server(serve_client)
        return await worker.run()

    sys.exit(asyncio.run(main()))

What serves by another library (aiohttp's SockSite, uvicorn's Server) takes worker.socket() in the same way; its own
orderly shutdown, a coroutine, is given to worker.serve(drain=...)."""
import asyncio
import inspect
import threading

from .base import BaseWorker
from .drain import SIGNAL_PAUSE
from .sockets import SocketError

TURNS = 0.05  # seconds, for some turns of the loop


class Worker(BaseWorker):
    """This process under its supervisor. It is made in the coroutine that asyncio.run() runs."""

    def __init__(self, **options):
        super().__init__(**options)
        self.loop = asyncio.get_running_loop()
        self.began, self.cut = asyncio.Event(), asyncio.Event()
        self.calm = asyncio.Event()  # connections on which nothing happens have had their time
        self.servers, self.drains, self.running = [], [], set()
        for number in self.drain_signals:
            self.loop.add_signal_handler(number, self._signalled)
        if self.channel:
            self.channel.start()

    async def start_server(self, client_connected, name=None, drain=None):
        """asyncio.start_server() with the socket of that name (none: the only one), under serve(). With handoff = channel the
        server starts when the socket is here, and goes along when a reload moves it; without a name it serves all that there are."""
        if not self.sent or self.sockets.has(name):
            self.serve(await asyncio.start_server(client_connected, sock=self.socket(name)), drain)
            return
        self.sent.serve(_Owner(self, client_connected), name)
        self.serve(drain=drain)

    def socket(self, name=None):
        if not self.sent or self.sockets.has(name):
            return super().socket(name)
        sock = self.sent.take(name)
        if sock is None:
            raise SocketError("with handoff = channel sockets come when this worker is ready: see start_server() and on_sockets()"
                              if not self.sent.come.is_set() else
                              f"there is no socket {name!r} left; there are: {' '.join(self.sent.names())}")
        return sock

    def _signalled(self):
        """What the channel says counts more."""
        self.loop.call_later(SIGNAL_PAUSE if self.channel and self.channel.connected else 0, self.begin, self.reason_of_signal(), self.budget)

    def call_soon(self, function, *arguments):
        self.loop.call_soon_threadsafe(function, *arguments)

    def serve(self, server=None, drain=None):
        """A server that accepts already, like that of asyncio.start_server(sock=worker.socket()): it is closed first. Then
        drain(), a coroutine, finishes what it has; in any case calls and connections (see call() and connection()) are waited for."""
        if server:
            self.servers.append(server)
        if drain:
            self.drains.append(drain)

    def go(self, name, coroutine):
        """Runs background work that a drain waits for. It should look at `draining`, or wait for `began`."""
        key = self.tasks.begin(name)
        task = self.loop.create_task(coroutine)
        self.running.add(task)

        def ended(_):
            self.tasks.end(key)
            self.running.discard(task)
        task.add_done_callback(ended)
        return task

    async def next(self, reading):
        """The result of a coroutine that reads a connection's next request; None when the drain came first, and no
        request within the half second for which one may have been on its way."""
        read, calm = asyncio.ensure_future(reading), asyncio.ensure_future(self.calm.wait())
        try:
            await asyncio.wait({read, calm}, return_when=asyncio.FIRST_COMPLETED)
            return read.result() if read.done() else None
        finally:
            calm.cancel()
            read.cancel()

    def ready(self):
        """Says READY=1, once, and not any more when the drain has begun."""
        if not self.is_ready and not self.draining:
            self.is_ready = True
            self.say_ready()

    async def run(self):
        """Says that we are ready, waits for the drain, carries it out, and returns the exit status for sys.exit(): 0, or
        143 when something had to be cut off, or 1 after a failure."""
        try:
            self.ready()
        except OSError as error:
            self.fail(f"NOTIFY_SOCKET: READY=1 could not be sent: {error}")
        await self.began.wait()
        await self._finish()
        return self.after_drain()

    def begin(self, reason, budget, spent=0.0):
        if super().begin(reason, budget, spent):
            self.loop.call_soon_threadsafe(self.began.set)
            self.say_draining()

    def stop_hard(self):
        self.loop.call_soon_threadsafe(self.cut.set)

    # the drain

    async def _finish(self):
        working = asyncio.ensure_future(self._work())
        cut = asyncio.ensure_future(self.cut.wait())
        await asyncio.wait({working, cut}, return_when=asyncio.FIRST_COMPLETED)
        cut.cancel()
        if not working.done():
            for task in self.running - {asyncio.current_task()}:
                task.cancel()
            await asyncio.wait({working}, timeout=(self.limits.exit - self.limits.stop) / 2)
            working.cancel()
        while self.closers:
            self.closing, function = self.closers.pop()
            try:
                closed = function()
                if inspect.isawaitable(closed):
                    await closed
            except Exception as error:  # whatever it is, the others are to be closed as well
                self.complain(f"closing {self.closing}: {error!r}; going on")
            self.closing = None

    async def _work(self):
        """Accepting ends first, and what is queued in the sockets is left to those who share them."""
        for server in self.servers:
            server.close()
        draining = [asyncio.ensure_future(drain()) for drain in self.drains]
        await asyncio.sleep(self.limits.quiet)
        self.calm.set()
        await self._until_empty(self.calls)
        for each in asyncio.as_completed(draining):
            try:
                await each
            except Exception as error:
                self.complain(f"drain: {error!r}; going on")
        await self._until_empty(self.tasks)

    async def _until_empty(self, ledger):
        """Its waiting is a thread's, so that calls and tasks may end in other threads, too."""
        await self.loop.run_in_executor(None, ledger.wait)


class _Owner:
    """Serves the sockets that come over the channel, and lets go of them. Called in the channel's thread."""

    def __init__(self, worker, client_connected):
        self.worker, self.client_connected = worker, client_connected
        self.servers = {}

    def add(self, sock):
        return asyncio.run_coroutine_threadsafe(self._add(sock), self.worker.loop)

    async def _add(self, sock):
        if not self.worker.draining:
            self.servers[sock] = await asyncio.start_server(self.client_connected, sock=sock)
            self.worker.servers.append(self.servers[sock])

    def drop(self, sock):
        event = threading.Event()
        asyncio.run_coroutine_threadsafe(self._drop(sock, event), self.worker.loop)
        return event

    async def _drop(self, sock, event):
        """The loop accepts whoever is in the queue; new clients are refused already."""
        await asyncio.sleep(TURNS)
        server = self.servers.pop(sock, None)
        if server:
            server.close()
            self.worker.servers.remove(server)
        event.set()
