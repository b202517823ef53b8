"""What workers with threads and workers with asyncio have in common."""
import faulthandler
import os
import signal
import sys
import threading
import time

from .channel import Channel, close_all
from .drain import CUT_STATUS, FAILURE, STOP, UNKNOWN, Limits, budget_of, budget_left, reason_of
from .ledger import Ledger
from .notify import Notifier
from .sent import Sent
from .sockets import SocketError, Sockets

STDERR = 2  # whatever becomes of sys.stderr
REPORT_INTERVAL = 0.2  # seconds, at least, between two reports of the number of calls in flight


class BaseWorker:
    def __init__(self, drain_signals=(signal.SIGTERM, signal.SIGINT), by_hand=None, environment=None, end=os._exit):
        environment = os.environ if environment is None else environment
        self.drain_signals = drain_signals
        self.budget = budget_of(environment.get("HANDOVER_DRAIN_TIMEOUT_USEC"))
        self.notifier = Notifier(environment.get("NOTIFY_SOCKET"))
        path = environment.get("HANDOVER_CHANNEL")
        # they come when we are ready; what there is beside them, like a probe socket, is inherited all the same
        self.sent = Sent() if path and environment.get("HANDOVER_HANDOFF") == "channel" else None
        self.sockets = Sockets(environment, {} if self.sent else by_hand or {})
        self.end_process = end
        self.changed = threading.Event()  # the number of calls in flight
        self.calls = Ledger(self.changed.set)
        self.tasks = Ledger()
        self.closers, self.closing, self.on_stop_functions = [], None, []
        self.lock = threading.Lock()
        self.is_ready = False
        self.reason, self.limits, self.start = UNKNOWN, None, None
        self.status = 0
        self.telling, self.is_over = None, False
        self.stop_told = False
        self.on_sockets_functions = []
        self.channel = Channel(path, self._hear) if path else None
        if self.channel:
            self.calls.page = self.channel.page
        # what `dump_signal = SIGQUIT` and `handover dump` ask for
        faulthandler.register(signal.SIGQUIT, file=STDERR, all_threads=True)

    # asking

    @property
    def draining(self):
        """Whether the drain has begun: make up no new work then."""
        return self.start is not None

    def deadline(self):
        """When what has not finished is cut off, by time.monotonic(); None before the drain."""
        return self.start + self.limits.stop if self.draining else None

    def socket(self, name=None):
        """The listening socket of that name (none: the only one). It is shared: never make it blocking, never call its
        shutdown(), and close it first when the drain begins."""
        return self.sockets.take(name)

    def on_sockets(self, function):
        """Called with the names of all sockets whenever a set of them has come (handoff = channel): when we are ready, and when
        a reload changes it. It must not wait for anything."""
        self.on_sockets_functions.append(function)

    def has_socket(self, name):
        """Is there such a socket, and not in use yet? "probe": over that one we are asked whether we are well."""
        return self.sockets.has(name)

    def stored(self, name):
        """The descriptors that former workers had kept under that name, in a list, once: they are the caller's from then on,
        and still kept. socket.socket(fileno=fd) makes a connection of one, open(fd, "rb") a file."""
        return self.sockets.take_stored(name)

    # saying

    def store(self, name, file):
        """Has the supervisor keep a copy of a descriptor, or of what has a fileno(), for the next worker in this one's place:
        after a reload, a restart or a crash. Several may have one name; one that is kept already is not kept twice. How many
        there can be says fd_store_max of the pool. A connection that is kept does not end for its peer when it is closed here:
        call its shutdown() before."""
        self.notifier.send_with(file if isinstance(file, int) else file.fileno(), "FDSTORE=1", f"FDNAME={stored_name(name)}")

    def unstore(self, name):
        """What is kept under that name is not any more."""
        self.notifier.send("FDSTOREREMOVE=1", f"FDNAME={stored_name(name)}")

    def call(self, name):
        """A context manager: a call is in flight. Its name is for the report of what had not finished."""
        return self.calls.entry(name)

    def connection(self, address):
        """A context manager: a connection is there that a drain waits for, but that is no call in flight."""
        return self.calls.entry(f"connection of {address}", counts=False)

    def on_close(self, name, function):
        """Called when all calls and tasks have ended or have been cut off; the last one that was set is called first."""
        self.closers.append((name, function))

    def on_stop(self, function):
        """Called at the first moment of a stop (its lame duck), and not of a reload: the place to say NOT_SERVING. It must not wait."""
        self.on_stop_functions.append(function)

    def notify(self, *assignments):
        """As sd_notify(3) does: "STATUS=text", "WATCHDOG=1". That nobody listens changes nothing."""
        try:
            self.notifier.send(*assignments)
        except OSError as error:
            self.complain(f"NOTIFY_SOCKET: {error}; going on")

    def fail(self, error):
        """Starts a drain because the worker cannot go on; run() then returns 1."""
        self.complain(f"{error}; draining")
        self.status = 1
        self.begin(FAILURE, self.budget)

    # what both kinds do

    def say_ready(self):
        self.notifier.send("READY=1")
        if self.channel:
            self.channel.say_ready()
        else:
            threading.Thread(target=self._report, daemon=True).start()

    def _report(self):
        while True:
            self.changed.wait()
            self.changed.clear()
            self.notify(f"X_HANDOVER_INFLIGHT={self.calls.counted}")
            time.sleep(REPORT_INTERVAL)

    def reason_of_signal(self):
        """Without a supervisor there is no successor."""
        return UNKNOWN if self.notifier.sock else STOP

    def _hear(self, message, fds):
        """A message of the channel, in its thread."""
        if message["kind"] == "sockets" and self.sent:
            try:
                self.sent.receive(message["names"], fds)
            except (OSError, KeyError, SocketError) as error:
                self.complain(f"sockets that the supervisor has sent: {error}")
                return
            self.tell_sockets()
            if message.get("set"):
                self.channel.say("accepting", set=message["set"])
            return
        close_all(fds)
        if message["kind"] == "lameduck":
            self.call_soon(self.tell_stop)
        elif message["kind"] == "drain":
            self.call_soon(self.begin, reason_of(message.get("reason")), *budget_left(message.get("deadline_usec"), self.budget))

    def call_soon(self, function, *arguments):
        """Where what the channel says is heeded: in its own thread, if nothing else is said."""
        function(*arguments)

    def tell_sockets(self):
        for function in self.on_sockets_functions:
            self.call_soon(function, self.sent.names())

    def tell_stop(self):
        """Once."""
        with self.lock:
            told, self.stop_told = self.stop_told, True
        if not told:
            for function in self.on_stop_functions:
                function()

    def begin(self, reason, budget, spent=0.0):
        """The drain is told to us: by a signal, or by the channel, which says why and how long. Only the first time counts. Returns
        whether it was that. The clocks run from here, so a worker that is still warming up is bounded as well. spent: of the
        budget, on the way to us."""
        with self.lock:
            if self.draining:
                return False
            self.reason, self.limits, self.start = reason, Limits(budget), time.monotonic() - spent
        if self.channel:
            self.channel.over.set()
        # This one does nothing else, because all the rest can hang.
        self._later(self.limits.exit - spent, self.end_process, CUT_STATUS)
        # Where C code does not let go of the interpreter no thread of Python can help: this one is none.
        if self.end_process is os._exit:
            faulthandler.dump_traceback_later((self.limits.exit + budget) / 2 - spent, file=STDERR, exit=True)
        self._later(self.limits.stop - spent, self.cut_off)
        if reason == STOP:
            self.tell_stop()
        return True

    def _later(self, seconds, function, *arguments):
        timer = threading.Timer(max(seconds, 0), function, arguments)
        timer.daemon = True
        timer.start()

    def say_draining(self):
        self.notify("STOPPING=1", f"STATUS=draining, {self.calls.counted} calls in flight")

    def cut_off(self):
        """Most of the budget is gone: say what has not finished, and stop it hard."""
        unfinished = self.calls.unfinished() + self.tasks.unfinished()
        if self.closing:
            unfinished.append(f"closing {self.closing}")
        text = "; ".join(unfinished) or "no call, but a connection that its client keeps"
        if self.is_over:
            text = f"the program after its drain, with the threads {', '.join(foreign_threads())}"
        self.status = self.status or CUT_STATUS
        limits = self.limits
        self.telling = threading.Thread(target=self.complain, daemon=True, args=(
            f"stopping hard after {limits.stop:.3g}s of a budget of {limits.budget:.3g}s, not finished: {text}",))
        self.telling.start()
        self.notify(f"STATUS=stopping hard, not finished: {text}")
        if not self.is_over:
            self.stop_hard()

    def stop_hard(self):
        raise NotImplementedError

    def after_drain(self):
        """All is done, in time or not. The clocks go on: Python waits for threads at its end, those of an executor too."""
        self.is_over = True
        if self.telling:
            self.telling.join()
        return self.status

    def complain(self, text):
        """One write a line, also from several threads at once."""
        sys.stderr.write(f"{os.path.basename(sys.argv[0])}: {text}\n")
        sys.stderr.flush()


def stored_name(name):
    if not 1 <= len(name) <= 255 or any(not " " <= c <= "~" or c == ":" for c in name):
        raise ValueError(f"{name!r} is not made of 1 to 255 printable ASCII characters without colons")
    return name


def foreign_threads():
    """The names of those that Python waits for."""
    return [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()
            and (not thread.daemon or thread.name.startswith("ThreadPoolExecutor"))]
