"""An API server that plays an instance, so that the command line can be tested alone and at its limits.

Each route answers with what a test gave it: a JSON answer, a stream of lines that the test holds and lets go, bytes
that are no HTTP, or nothing at all. Requests are recorded as they came.
"""
import copy
import json
import os
import signal
import socket
import socketserver
import threading
from http.server import BaseHTTPRequestHandler

STATUS = {
    "instance": "payments", "version": "0.1.0", "pid": 4200, "state": "running",
    "since": "2026-11-23T08:00:00.000Z", "uptime_s": 93.4, "config": "/etc/handover/payments.ini",
    "ready": True, "reason": "", "degraded": False, "out_of_service": False,
    "sockets": [{"name": "grpc", "address": "tcp 0.0.0.0:9000", "queue": 3, "queue_limit": 4096, "mended": 1},
                {"name": "gossip", "address": "udp 0.0.0.0:9001", "queue": None, "queue_limit": None, "mended": 0}],
    "pools": [{"name": "api", "state": "serving", "generation": 3, "workers": 2, "configured": 2, "serving": 2,
               "starting": 0, "draining": 1, "restarts": 2, "degraded": False, "ready": True}],
    "workers": [
        {"pool": "api", "slot": 0, "generation": 3, "pid": 4711, "state": "serving", "since_s": 12.34, "restarts": 0,
         "inflight": 12, "status": "Serving", "reason": "", "deadline_s": None},
        {"pool": "api", "slot": 1, "generation": 3, "pid": 4712, "state": "serving", "since_s": 4000, "restarts": 2,
         "inflight": None, "status": "", "reason": "", "deadline_s": None},
        {"pool": "api", "slot": 1, "generation": 2, "pid": 4600, "state": "draining", "since_s": 1.5, "restarts": 0,
         "inflight": 1, "status": "finishing", "reason": "reload", "deadline_s": 4.5},
    ],
    "reload": None, "queued": 0, "last_reload": None,
}


def status(**changes):
    """The status above with some members changed."""
    return {**copy.deepcopy(STATUS), **changes}


def event(name, message, **members):
    return {"time": "2026-11-23T08:00:00.123Z", "event": name, "level": "info", "message": message, **members}


def result(how="committed", **members):
    return {"result": how, "id": 7, "kind": "reload", "by": "uid 0 pid 1", "duration_ms": 812,
            "message": f"reload 7 {how}: pool api: generation 3 serves with 2 workers",
            "remarks": [], "problems": [], "lines": [], **members}


class Stream:
    """Lines that go out one by one. A test pushes what is to come, and ends or breaks the stream."""

    def __init__(self, kind="application/x-ndjson", code=200):
        self.kind, self.code = kind, code
        self.items, self.changed = [], threading.Condition()
        self.client_gone = threading.Event()
        self.begun = threading.Event()  # the first of them has gone out

    def push(self, *objects):
        for item in objects:
            text = item if isinstance(item, (str, bytes)) else json.dumps(item)
            self.push_bytes(text if isinstance(text, bytes) else text.encode() + b"\n")
        return self

    def push_event(self, item):
        return self.push_bytes(f"event: {item['event']}\ndata: {json.dumps(item)}\n\n".encode())

    def push_bytes(self, data):
        with self.changed:
            self.items.append(data)
            self.changed.notify_all()
        return self

    def end(self):
        """The proper end of the answer."""
        return self.push_bytes(None)

    def cut(self):
        """The connection ends in the middle of the answer."""
        return self.push_bytes(False)

    def get(self, index):
        if index > 0:
            self.begun.set()
        with self.changed:
            if len(self.items) > index or self.changed.wait_for(lambda: len(self.items) > index, 0.05):
                return self.items[index]
        return b""


class Raw(bytes):
    """Bytes that go out instead of HTTP; then the connection ends."""


class Hang:
    """No answer, until the client goes away."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self):
        return "unix"

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.answer("GET", None)

    def do_POST(self):
        text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.answer("POST", json.loads(text) if text else None)

    def answer(self, method, body):
        api = self.server.api
        api.record((method, self.path, body))
        answer = api.routes.get((method, self.path))
        if callable(answer):
            answer = answer(body)
        if answer is None:
            answer = (404, {"error": f"there is no {self.path}"})
        if isinstance(answer, Raw):
            self.wfile.write(answer)
            self.close_connection = True
        elif isinstance(answer, Hang):
            self.wait_for_client_to_go(None)
        elif isinstance(answer, Stream):
            self.send_stream(answer)
        else:
            code, item = answer if isinstance(answer, tuple) else (200, answer)
            self.send_object(code, item)

    def send_object(self, code, item):
        text = json.dumps(item).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def send_stream(self, stream):
        self.send_response(stream.code)
        self.send_header("Content-Type", stream.kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        index = 0
        try:
            while True:
                data = stream.get(index)
                if data == b"":
                    if self.is_client_gone():
                        break
                    continue
                index += 1
                if data is None:
                    self.wfile.write(b"0\r\n\r\n")
                    return
                if data is False:
                    self.close_connection = True
                    return
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                self.wfile.flush()
        except (BrokenPipeError, ConnectionResetError):
            pass
        stream.client_gone.set()
        self.close_connection = True

    def is_client_gone(self):
        self.connection.settimeout(0)
        try:
            return self.connection.recv(1, socket.MSG_PEEK) == b""
        except (BlockingIOError, TimeoutError):
            return False
        except OSError:
            return True
        finally:
            self.connection.settimeout(None)

    def wait_for_client_to_go(self, _):
        while not self.server.api.closing.wait(0.02) and not self.is_client_gone():
            pass
        self.close_connection = True


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass


class FakeApi:
    """One instance's control socket at DIRECTORY/NAME/control.sock. A context manager."""

    def __init__(self, directory, name="payments", routes=None):
        self.directory = os.path.join(directory, name)
        os.makedirs(self.directory, exist_ok=True)
        self.socket = os.path.join(self.directory, "control.sock")
        self.routes = {("GET", "/v1/status"): lambda _: status(instance=name)}
        self.routes.update(routes or {})
        self.requests, self.recorded = [], threading.Condition()
        self.closing = threading.Event()
        self.server = Server(self.socket, Handler)
        self.server.api = self

    def record(self, request):
        with self.recorded:
            self.requests.append(request)
            self.recorded.notify_all()

    def posts(self):
        return [request for request in self.requests if request[0] == "POST"]

    def wait_for_request(self, method, path, timeout=10):
        with self.recorded:
            assert self.recorded.wait_for(
                lambda: any(r[0] == method and r[1] == path for r in self.requests), timeout), \
                f"{method} {path} did not come, only {self.requests}"

    def __enter__(self):
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()


class FakeProcess:
    """The same as a process of its own, which a stop can end: it exits when the file `end` appears in its directory."""

    def __init__(self, directory, name="payments", routes=None):
        self.directory = os.path.join(directory, name)
        self.socket = os.path.join(self.directory, "control.sock")
        self.end = os.path.join(self.directory, "end")
        ready_out, ready_in = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            self.run(directory, name, routes, ready_out, ready_in)
        os.close(ready_in)
        assert os.read(ready_out, 1) == b"r"
        os.close(ready_out)

    def run(self, directory, name, routes, ready_out, ready_in):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.close(ready_out)
        try:
            with FakeApi(directory, name, routes() if routes else None) as api:
                os.write(ready_in, b"r")
                os.close(ready_in)
                while not os.path.exists(self.end):
                    api.closing.wait(0.02)
        finally:
            os._exit(0)

    def finish(self):
        """Lets the process end, as an instance that has stopped does."""
        with open(self.end, "w", encoding="ascii"):
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.finish()
        os.waitpid(self.pid, 0)
