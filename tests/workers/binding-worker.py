#!/usr/bin/python3
"""binding-worker.py KIND ADDRESS...: servers that bind their sockets themselves and know nothing of handover (but that each
says READY=1, so that tests need not guess). They answer JSON-RPC over HTTP as rpc-worker does, methods add and work.

An ADDRESS is HOST:PORT, [V6]:PORT or /PATH. VERSION is what they give as their version.
"""
import concurrent.futures
import fcntl
import http.server
import json
import os
import signal
import socket
import sys
import threading
import time


def notify(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.connect("\0" + os.environ["NOTIFY_SOCKET"][1:])
        sock.send(text.encode())


def answer(body):
    ask = json.loads(body)
    params = ask["params"]
    if ask["method"] == "work":
        time.sleep(params["ms"] / 1000)
    result = {"sum": params["a"] + params["b"], "pid": os.getpid(), "slot": int(os.environ["HANDOVER_SLOT"]),
              "generation": int(os.environ["HANDOVER_GENERATION"]), "version": os.environ.get("VERSION", "1")}
    return json.dumps({"jsonrpc": "2.0", "id": ask["id"], "result": result}).encode()


def serve(conn):
    """One request."""
    with conn, conn.makefile("rb") as file:
        length = 0
        for line in file:
            if line == b"\r\n":
                break
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        if length == 0:
            return
        body = answer(file.read(length))
        conn.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                     % (len(body), body))


def family_of(address):
    if address.startswith("/"):
        return socket.AF_UNIX, address
    host, _, port = address.rpartition(":")
    if host.startswith("["):
        return socket.AF_INET6, (host[1:-1], int(port))
    return socket.AF_INET, (host, int(port))


def bound(address, kind=socket.SOCK_STREAM, reuseport=True):
    """As servers do it: options, the old file out of the way, bind, listen."""
    family, where = family_of(address)
    sock = socket.socket(family, kind)
    if family == socket.AF_UNIX:
        if os.path.exists(where):
            os.unlink(where)
    else:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuseport:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind(where)
    if kind == socket.SOCK_STREAM:
        sock.listen(64)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return sock


def loop(sock):
    """Waits in accept(), until the socket is shut down."""
    threads = []
    while True:
        try:
            conn, _ = sock.accept()
        except OSError as error:
            if error.errno != 22:
                raise
            break
        conn.settimeout(20)
        threads.append(threading.Thread(target=serve, args=(conn,)))
        threads[-1].start()
        threads = [t for t in threads if t.is_alive()]
    for thread in threads:
        thread.join()


def on_term(function):
    """In a thread of its own: whichever thread a signal hits, Python's handlers wait for the main one to wake up."""
    def wait():
        signal.sigwait({signal.SIGTERM})
        function()
    threading.Thread(target=wait, daemon=True).start()


# --- the kinds ---

def blocking(addresses):
    """One thread that waits in accept(), and is woken by shutdown()."""
    sock = bound(addresses[0])
    assert sock.getblocking()
    on_term(lambda: sock.shutdown(socket.SHUT_RDWR))
    notify("READY=1")
    loop(sock)
    sock.close()
    if addresses[0].startswith("/"):
        os.unlink(addresses[0])


def standard(addresses):
    """Python's http.server."""
    class Handler(http.server.BaseHTTPRequestHandler):
        timeout = 20

        def do_POST(self):
            body = answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = False
        address_family = family_of(addresses[0])[0]

    server = Server(family_of(addresses[0])[1], Handler)
    on_term(server.shutdown)
    notify("READY=1")
    server.serve_forever(poll_interval=0.05)
    server.socket.shutdown(socket.SHUT_RDWR)
    server.server_close()


def several(addresses):
    """Binds each address, twice: a first try, as gRPC makes it, and for good. A thread for each."""
    for address in addresses:
        bound(address).close()
    socks = [bound(address) for address in addresses]
    threads = [threading.Thread(target=loop, args=(sock,)) for sock in socks for _ in range(2)]
    stop = threading.Event()
    on_term(stop.set)
    for thread in threads:
        thread.start()
    notify("READY=1")
    stop.wait()
    for sock in socks:
        sock.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join()


def forking(addresses):
    """Binds, and has two children that serve."""
    sock = bound(addresses[0])
    children = []
    for _ in range(2):
        pid = os.fork()
        if pid == 0:
            on_term(lambda: sock.shutdown(socket.SHUT_RDWR))
            os.write(ready[1], b"x")
            loop(sock)
            os._exit(0)
        children.append(pid)
    for _ in children:
        os.read(ready[0], 1)

    def stop():
        for pid in children:
            os.kill(pid, signal.SIGTERM)
    on_term(stop)
    notify("READY=1")
    for pid in children:
        assert os.waitpid(pid, 0)[1] == 0
    sock.shutdown(socket.SHUT_RDWR)


ready = os.pipe()


def executing(addresses):
    """Binds, closes all that it does not know, binds again, and executes itself."""
    bound(addresses[0])
    for fd in range(3, 1024):
        try:
            if not os.get_inheritable(fd):
                os.close(fd)
        except OSError:
            pass
    bound(addresses[0])
    os.closerange(200, 1024)
    bound(addresses[0])
    os.execv(sys.executable, [sys.executable, __file__, "blocking", *addresses])


def udp(addresses):
    """Echoes, waiting in recvfrom()."""
    sock = bound(addresses[0], socket.SOCK_DGRAM, reuseport=False)
    on_term(lambda: os._exit(0))
    notify("READY=1")
    while True:
        data, client = sock.recvfrom(1024)
        sock.sendto(data + b" " + os.environ["HANDOVER_GENERATION"].encode(), client)


def flags(addresses):
    """Says what it sees of its socket, and then serves."""
    sock = bound(addresses[0])
    seen = [sock.getblocking(), bool(sock_flags(sock) & os.O_NONBLOCK)]
    sock.setblocking(False)
    seen += [bool(sock_flags(sock) & os.O_NONBLOCK)]
    sock.setblocking(True)
    seen += [bool(sock_flags(sock) & os.O_NONBLOCK), sock.getsockname() == sock.dup().getsockname()]
    seen += [os.get_inheritable(sock.fileno())]
    print("flags", *seen, flush=True)
    on_term(lambda: sock.shutdown(socket.SHUT_RDWR))
    notify("READY=1")
    loop(sock)


def sock_flags(sock):
    return fcntl.fcntl(sock, fcntl.F_GETFL)


def grpcio(addresses):
    """grpcio, which binds with SO_REUSEPORT, more than once, and calls shutdown() when it closes."""
    import grpc  # the other kinds start without it

    def add(request, _):
        return answer(request)
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(16))
    handlers = {"Add": grpc.unary_unary_rpc_method_handler(add)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Test", handlers),))
    assert server.add_insecure_port(addresses[0]) > 0
    server.start()
    stop = threading.Event()
    on_term(stop.set)
    notify("READY=1")
    stop.wait()
    server.stop(4).wait()


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    {f.__name__: f for f in (blocking, standard, several, forking, executing, udp, flags, grpcio)}[sys.argv[1]](sys.argv[2:])
