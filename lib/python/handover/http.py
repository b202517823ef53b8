"""http.server under a worker."""
import contextlib
import socket
import threading


class HttpServer:
    """What http.server's handlers take for their server. Each connection has its thread."""

    def __init__(self, worker, handler):
        self.worker = worker
        self.handler = counting(handler, self)
        self.lock = threading.Lock()
        self.ended = threading.Condition(self.lock)
        self.connections = {}  # and whether a request of it is worked on

    def accepted(self, connection, address):
        if not isinstance(address, tuple):  # http.server knows no other kind of client
            address = ("a Unix socket", 0)
        with self.lock:
            self.connections[connection] = False
        threading.Thread(target=self._serve, args=(connection, address), daemon=True).start()

    def _serve(self, connection, address):
        try:
            self.handler(connection, address, self)
        except (ConnectionError, TimeoutError):
            pass  # its client has gone
        except Exception as error:  # of the handler: it costs this connection, and no other
            self.worker.complain(f"HTTP request of {address}: {error!r}")
        finally:
            with self.lock:
                del self.connections[connection]
                self.ended.notify_all()
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
            connection.close()

    def set_busy(self, connection, busy):
        with self.lock:
            self.connections[connection] = busy

    def drain(self, limits):
        """Connections on which nothing happens are kept for a moment, as a request may be on its way already; the answer
        to it says that it was the last."""
        self.worker.calls.wait_quiet(limits.quiet)
        self._shut_down(lambda busy: not busy)
        with self.lock:
            self.ended.wait_for(lambda: not self.connections)

    def stop(self):
        self._shut_down(lambda busy: True)

    def _shut_down(self, which):
        """Wakes the threads that read from these connections; they close them."""
        with self.lock:
            for connection, busy in self.connections.items():
                if which(busy):
                    with contextlib.suppress(OSError):
                        connection.shutdown(socket.SHUT_RDWR)


def counting(handler, server):
    """A handler that counts its requests as in flight, and says when an answer is the last one."""
    worker = server.worker

    class Counting(handler):
        in_flight = None

        def parse_request(self):
            if not super().parse_request():
                return False
            server.set_busy(self.connection, True)
            self.in_flight = worker.calls.begin(f"{self.command} {self.path} from {self.address_string()}")
            return True

        def send_response(self, code, message=None):
            super().send_response(code, message)
            if worker.draining:
                self.send_header("Connection", "close")

        def handle_one_request(self):
            try:
                super().handle_one_request()
            finally:
                worker.calls.end(self.in_flight)
                server.set_busy(self.connection, False)

    Counting.__name__ = handler.__name__
    return Counting
