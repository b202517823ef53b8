"""The API's outward side against clients that are slow, greedy, gone or malicious."""
import json
import os
import random
import re
import resource
import select
import socket
import subprocess
import time

import pytest

import harness
import promtext
from harness import steps, wait_until


def raw(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(20)
    sock.connect(path)
    return sock


def tcp(port):
    return socket.create_connection(("127.0.0.1", port), 20)


def ask(sock, text):
    sock.sendall(text.encode() if isinstance(text, str) else text)
    return read_all(sock)


def read_all(sock):
    data = b""
    while True:
        try:
            piece = sock.recv(65536)
        except ConnectionResetError:
            return data
        if not piece:
            return data
        data += piece


def post(path, body, *headers):
    body = json.dumps(body)
    return "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%s\r\n%s" % (
        path, len(body), "".join(h + "\r\n" for h in headers), body)


GET = "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def slow_instance(handover, **keys):
    """A pool whose next version never gets ready."""
    it = handover()
    it.pool("api", steps("ready", "exit-on:TERM:0"), workers=1, start_timeout="60s", **keys)
    it.start()
    it.pool("api", steps("exit-on:TERM:0"))
    it.write()
    return it


def alive(it):
    return it.api.get("/v1/status")["state"]


# --- clients that go away while their reload runs ---

def close_by_curl(it, body):
    curl = subprocess.Popen(["curl", "-sS", "--unix-socket", it.control, "http://x/v1/reload", "-d", json.dumps(body)],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: it.status()["reload"], "the reload")
    curl.kill()
    curl.wait()


def close_raw(it, body, how):
    sock = raw(it.control)
    sock.sendall(post("/v1/reload", body).encode())
    wait_until(lambda: it.status()["reload"], "the reload")
    how(sock)
    return sock


@pytest.mark.parametrize("progress", [False, True])
@pytest.mark.parametrize("how", ["curl", "close", "half"])
def test_abort_on_disconnect(handover, progress, how):
    it = slow_instance(handover)
    body = {"abort_on_disconnect": True, "progress": progress}
    keep = None
    if how == "curl":
        close_by_curl(it, body)
    else:
        keep = close_raw(it, body, lambda s: s.close() if how == "close" else s.shutdown(socket.SHUT_WR))
    wait_until(lambda: it.status()["reload"] is None, "the end of the reload", 5)
    assert it.status()["last_reload"]["result"] == "aborted"
    del keep


@pytest.mark.parametrize("progress", [False, True])
def test_a_reload_goes_on_without_its_caller(handover, progress):
    it = slow_instance(handover, )
    close_by_curl(it, {"progress": progress})
    it.wait_log("went away")
    assert it.status()["reload"] is not None
    it.expected_exit = None


def test_data_behind_a_request_that_waits(handover):
    """evhttp calls event_errx() when its read callback is called in the wrong state: the master must not end."""
    it = slow_instance(handover)
    socks = []
    for progress in (False, True):
        sock = raw(it.control)
        sock.sendall(post("/v1/reload", {"progress": progress}).encode() + GET.replace("%s", "/livez").encode())
        time.sleep(0.2)
        sock.sendall(b"garbage\r\n\r\n" * 100)
        socks.append(sock)
    time.sleep(0.5)
    assert alive(it) == "running"
    for sock in socks:
        sock.setblocking(False)
        sent = 0
        try:
            while sent < 20_000_000:
                sent += sock.send(b"x" * 65536)
        except BlockingIOError:
            pass
        assert sent < 2_000_000, "it takes without end"
    assert alive(it) == "running"
    for sock in socks:
        sock.close()


def test_pipelined_requests(handover):
    it = handover()
    it.pool("api", steps("ready", "exit-on:TERM:0"))
    it.start()
    sock = raw(it.control)
    answer = ask(sock, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 20 + GET % "/v1/status")
    assert answer.count(b"HTTP/1.1 200") == 21


# --- limits ---

def test_many_connections(handover):
    it = handover()
    port = it.ports.take()
    it.supervisor(status_listen=f"127.0.0.1:{port}")
    it.pool("api", steps("ready", "exit-on:TERM:0"))
    it.start()
    before = len(os.listdir(f"/proc/{it.pid}/fd"))
    idle = [tcp(port) for _ in range(200)]
    time.sleep(0.5)
    assert len(os.listdir(f"/proc/{it.pid}/fd")) <= before + 64
    assert alive(it) == "running"  # the other door
    start = time.monotonic()
    answer = ask(tcp(port), GET % "/livez")  # behind 200 others: four rounds of 1 s
    took = time.monotonic() - start
    assert b"200 OK" in answer
    assert took < 8
    del idle
    wait_until(lambda: len(os.listdir(f"/proc/{it.pid}/fd")) <= before + 1, "descriptors to be closed", 15)


def test_drip(handover):
    """One byte every now and then buys no more than 10 s."""
    it = handover()
    it.pool("api", steps("ready", "exit-on:TERM:0"))
    it.start()
    sock = raw(it.control)
    start = time.monotonic()
    try:
        for byte in "GET /livez HTTP/1.1\r\nX: " + "y" * 100:
            sock.sendall(byte.encode())
            if select.select([sock], [], [], 0.5)[0]:
                break
        else:
            pytest.fail("still open")
    except (BrokenPipeError, ConnectionResetError):
        pass
    assert 8 < time.monotonic() - start < 13


def test_idle_keep_alive_is_closed(handover):
    it = handover()
    it.pool("api", steps("ready", "exit-on:TERM:0"))
    it.start()
    sock = raw(it.control)
    sock.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    start = time.monotonic()
    answer = read_all(sock)
    assert b"200 OK" in answer and 8 < time.monotonic() - start < 13


def test_streams_outlive_the_idle_limit(handover):
    it = handover()
    it.pool("api", steps("ready", "exit-on:TERM:0"))
    it.start()
    with it.api.lines("GET", "/v1/events") as events:
        time.sleep(12)
        it.api.post("/v1/out-of-service", on=True)
        assert events.until(event="out-of-service")["by"] == f"uid {os.getuid()} pid {os.getpid()}"


def test_places_for_short_requests(handover):
    it = handover()
    it.pool("api", steps("ready", "exit-on:TERM:0"))
    it.start()
    streams = [it.api.lines("GET", "/v1/events") for _ in range(48)]
    code, text = it.api.request("GET", "/v1/events")
    assert code == 503, text
    code, text = it.api.request("GET", "/v1/logs?follow=1")
    assert code == 503, text
    assert it.api.request("POST", "/v1/reload", {})[0] == 503
    assert alive(it) == "running"
    for stream in streams:
        stream.close()
    wait_until(lambda: it.api.request("POST", "/v1/reload", {})[0] == 200, "places")


def test_out_of_descriptors(handover):
    it = handover()
    port = it.ports.take()
    it.supervisor(status_listen=f"127.0.0.1:{port}")
    it.pool("api", steps("ready", "exit-on:TERM:0"))
    it.start()
    fds = len(os.listdir(f"/proc/{it.pid}/fd"))
    limits = resource.prlimit(it.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(it.pid, resource.RLIMIT_NOFILE, (fds + 3, limits[1]))
    waiting = [tcp(port) for _ in range(10)]
    it.wait_log("cannot accept on status_listen: Too many open files")
    ticks = sum(map(int, harness.read_file(f"/proc/{it.pid}/stat").decode().rpartition(")")[2].split()[11:13]))
    time.sleep(3)
    ticks = sum(map(int, harness.read_file(f"/proc/{it.pid}/stat").decode().rpartition(")")[2].split()[11:13])) - ticks
    assert ticks < 30, f"{ticks} ticks of CPU in 3 s"
    resource.prlimit(it.pid, resource.RLIMIT_NOFILE, limits)
    assert b"200 OK" in ask(waiting[-1], GET % "/livez")
    assert it.count_log("cannot accept") == 1


def test_a_client_that_does_not_read(handover):
    it = handover()
    it.pool("api", steps("ready", "exit-on:TERM:0"))
    it.start()
    sock = raw(it.control)
    sock.sendall((GET % "/v1/events").encode())
    assert sock.recv(16) == b"HTTP/1.1 200 OK\r"
    poll = select.poll()
    poll.register(sock, 0)
    for n in range(20000):
        code, _ = it.api.post("/v1/out-of-service", on=n % 2 == 0)
        assert code == 200
        if poll.poll(0):
            break
    else:
        pytest.fail("it is not dropped")
    assert 1000 < n < 3000
    got = read_all(sock)
    assert got
    sock.close()


# --- what is wrong with a request ---

@pytest.mark.parametrize("path, body, code, words", [
    ("/v1/reload", {"chnaged": True}, 400, "unknown member 'chnaged'; did you mean 'changed'"),
    ("/v1/reload", {"xyzzy": True}, 400, "unknown member 'xyzzy'; there are: changed, pool, wait"),
    ("/v1/reload", {"changed": 1}, 400, "'changed' must be true or false"),
    ("/v1/reload", {"wait": "forever"}, 400, "'wait' must be \"committed\" or \"drained\""),
    ("/v1/reload", [], 400, "must be a JSON object"),
    ("/v1/reload", 7, 400, "must be a JSON object"),
    ("/v1/reload", {"pool": "nosuch"}, 409, "nosuch"),
    ("/v1/pools/api/scale", {}, 400, "'workers' is missing"),
    ("/v1/pools/api/scale", {"workers": 0}, 400, "'workers' must be"),
    ("/v1/pools/api/scale", {"workers": 1.5}, 400, "'workers' must be"),
    ("/v1/pools/api/scale", {"workers": 10 ** 12}, 400, "'workers' must be"),
    ("/v1/pools/apj/scale", {"workers": 1}, 404, "did you mean 'api'"),
    ("/v1/pools/api/restart", {"slot": 1}, 404, "slots are 0 to 0"),
    ("/v1/pools/api/restart", {"slot": -1}, 400, "'slot' must be"),
    ("/v1/pools/api/signal", {"signal": "SIGFOO"}, 400, "is no signal"),
    ("/v1/pools/api/signal", {}, 400, "'signal' is missing"),
    ("/v1/pools/api/dump", {}, 400, "no dump signal"),
    ("/v1/pools/api/explode", {}, 404, "there is no"),
    ("/v1/out-of-service", {}, 400, "'on' is missing"),
    ("/v1/out-of-service", {"on": "yes"}, 400, "true or false"),
    ("/v1/status", {}, 405, "GET, HEAD"),
    ("/v1/stop", {"nwo": True}, 400, "'now'"),
])
def test_wrong_requests(handover, path, body, code, words):
    it = shared(handover)
    got, text = it.api.request("POST", path, body)
    assert got == code, text
    data = json.loads(text)
    assert words in data.get("error", data.get("message", "")), text


SHARED = []


def shared(handover):
    it = handover()
    it.pool("api", steps("ready", "exit-on:TERM:0"))
    return it.start()


def test_methods_and_bodies(handover):
    it = shared(handover)
    with raw(it.control) as s:
        answer = ask(s, "GET /v1/reload HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b"405" in answer and b"Allow: POST\r\n" in answer
    for method in ("PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "BREW"):
        with raw(it.control) as s:
            answer = ask(s, method + " /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert b"HTTP/1.1 405" in answer and b"Allow: GET, HEAD\r\n" in answer, (method, answer)
    with raw(it.control) as s:
        answer = ask(s, "HEAD /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"200 OK" in head and body == b"" and int(re.search(rb"Content-Length: (\d+)", head)[1]) > 300
    for path in ("/v1/events", "/v1/logs?follow=1"):
        with raw(it.control) as s:
            answer = ask(s, f"HEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert b"200 OK" in answer and answer.endswith(b"\r\n\r\n"), answer
    with raw(it.control) as s:
        assert b" 413 " in ask(s, "POST /v1/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n" + "x" * 70000)
    with raw(it.control) as s:
        assert b" 400 " in ask(s, "GET /livez HTTP/1.1\r\nHost: x\r\nX: " + "x" * 17000 + "\r\n\r\n")
    with raw(it.control) as s:
        body = '{"on": false}'
        answer = ask(s, "POST /v1/out-of-service HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
                     "%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        assert b"200 OK" in answer and b'{"out_of_service":false}' in answer
    with raw(it.control) as s:
        answer = ask(s, "GET /livez HTTP/1.0\r\n\r\n")
        assert b" 200 OK" in answer and answer.endswith(b"ok\n")
    for body in ("{", "\0", '{"on": true, "on": false}', '{"on": true} x', "[" * 60000, '{"pool": "\\u0000"}', "\xff"):
        with raw(it.control) as s:
            data = body.encode("latin-1")
            answer = ask(s, b"POST /v1/out-of-service HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
                         % (len(data), data))
            assert b" 400 " in answer, (body[:20], answer)
    assert alive(it) == "running"


def test_garbage(handover):
    it = shared(handover)
    seed = int(os.environ.get("SEED", random.randrange(10 ** 6)))
    print("seed", seed)
    rng = random.Random(seed)
    words = [b"GET ", b"POST ", b"/v1/status", b"/v1/reload", b"/v1/events", b" HTTP/1.1\r\n", b" HTTP/9.9\r\n", b"Content-Length: ",
             b"5", b"-1", b"99999999999999999999", b"\r\n", b"\n", b"\r\n\r\n", b"Transfer-Encoding: chunked\r\n", b"{", b"}",
             b"Expect: 100-continue\r\n", b"ffffffffffffffff\r\n", b"0\r\n\r\n", b"\0", b"%00", b"%", b"?pool=", b"http://x/", b"//", b":",
             b"Connection: close\r\n", b"Connection: keep-alive\r\n", b" ", b"HTTP/1.0\r\n", b"CONNECT ", b"*", b"\xff" * 10]
    slow = []
    for n in range(1500):
        begin = time.monotonic()
        with raw(it.control) as s:
            if time.monotonic() - begin > 0.3:
                slow.append((n, time.monotonic() - begin))
            data = b"".join(rng.choice(words) for _ in range(rng.randrange(1, 30)))
            try:
                s.sendall(data)
                if rng.random() < 0.5:
                    s.settimeout(0.01)
                    s.recv(10)
            except OSError:
                pass
    begin = time.monotonic()
    assert alive(it) == "running"
    print("slow", slow, "status", time.monotonic() - begin)
    fds = len(os.listdir(f"/proc/{it.pid}/fd"))
    assert fds < 100


# --- status_listen ---

def test_status_listen_only_tells(handover):
    it = handover()
    port = it.ports.take()
    it.supervisor(status_listen=f"127.0.0.1:{port}")
    it.pool("api", steps("say:secret", "ready", "exit-on:TERM:0"), workers=2)
    it.start()
    for path, code in (("/livez", 200), ("/readyz", 200), ("/readyz/api", 200), ("/readyz/x", 404), ("/metrics", 200),
                       ("/v1/status", 200), ("/v1/logs", 404), ("/nix", 404)):
        answer = ask(tcp(port), GET % path)
        assert b"HTTP/1.1 %d" % code in answer, answer
        assert b"secret" not in answer
    answer = ask(tcp(port), post("/v1/stop", {}, "Connection: close"))
    assert b" 403 " in answer, answer
    assert alive(it) == "running"
    it.api.post("/v1/out-of-service", on=True)
    answer = ask(tcp(port), GET % "/readyz")
    assert b" 503 " in answer and b"out of service" in answer
    answer = ask(tcp(port), GET % "/livez")
    assert b" 200 " in answer
    events = tcp(port)
    events.sendall((GET % "/v1/events").encode())
    head = events.recv(1000)
    assert b"text/event-stream" in head
    it.api.post("/v1/out-of-service", on=False)
    assert b'"event":"out-of-service"' in events.recv(10000)
    families = promtext.parse(ask(tcp(port), GET % "/metrics").decode().partition("\r\n\r\n")[2])
    assert families["handover_workers"].value(pool="api", state="serving") == 2


def test_status_listen_moves(handover):
    it = handover()
    first, second = it.ports.take(), it.ports.take()
    it.pool("api", steps("ready", "exit-on:TERM:0"))
    it.start()
    for address, good, bad in ((f"127.0.0.1:{first}", first, second), (f"127.0.0.1:{second}", second, first),
                               (f"0.0.0.0:{second}", second, first), (f"127.0.0.1:{second}", second, first)):
        it.supervisor(status_listen=address)
        it.write()
        it.good_reload()
        assert b"200 OK" in ask(tcp(good), GET % "/livez")
        with pytest.raises(ConnectionRefusedError):
            tcp(bad)
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", first))
        taken.listen()
        it.supervisor(status_listen=f"127.0.0.1:{first}")
        it.write()
        print(it.reload())
        assert b"200 OK" in ask(tcp(second), GET % "/livez")
    it.supervisor(status_listen=None)
    it.write()
    it.good_reload()
    with pytest.raises(ConnectionRefusedError):
        tcp(second)


# --- who may ---

def test_socket_mode(handover):
    it = shared(handover)
    assert os.stat(it.control).st_mode & 0o777 == 0o600


def as_user(uid, gid, groups, it, *arguments):
    def change():
        os.setgroups(groups)
        os.setgid(gid)
        os.setuid(uid)
    return subprocess.run(["curl", "-sS", "-m", "5", "--unix-socket", it.control, *arguments], preexec_fn=change,
                          capture_output=True, text=True, check=False)


@pytest.mark.needs_root
def test_operator_group(handover):
    it = handover()
    it.supervisor(operator_group="games")
    it.pool("api", steps("ready", "exit-on:TERM:0"))
    it.start()
    st = os.stat(it.control)
    import grp
    gid = grp.getgrnam("games").gr_gid
    assert (st.st_mode & 0o777, st.st_gid) == (0o660, gid)
    change = ("-d", '{"on": true}', "http://x/v1/out-of-service")
    assert "ermission denied" in as_user(1234, 1234, [], it, *change).stderr or as_user(1234, 1234, [], it, *change).returncode == 7
    assert "true" in as_user(1234, gid, [], it, *change).stdout
    assert "true" in as_user(1234, 1234, [1, 2, gid], it, *change).stdout
    assert it.wait_log("uid 1234 pid")
    os.chmod(it.control, 0o666)
    assert "may not change" in as_user(1234, 1234, [], it, *change).stdout
    assert "running" in as_user(1234, 1234, [], it, "http://x/v1/status").stdout
    it.supervisor(operator_group=None)
    it.write()
    it.good_reload()
    assert os.stat(it.control).st_mode & 0o777 == 0o600
    it.supervisor(operator_group="nosuch")
    it.write()
    code, result = it.reload()
    assert code == 422, result


# --- the stop ---

@pytest.mark.parametrize("workers", [0, 1])
def test_stop_with_progress(handover, workers):
    it = shared(handover)
    with it.api.lines("POST", "/v1/stop", progress=True) as lines:
        names = [e["event"] for e in lines.rest()]
    assert lines.response.status == 202
    assert names[0] == "instance-stopping" and names[-1] == "instance-stopped", names
    it.wait_exit()


def test_stop_plain(handover):
    it = shared(handover)
    code, answer = it.api.post("/v1/stop")
    assert code == 202 and answer["state"] in ("lame-duck", "stopping")
    it.wait_exit()


def test_signal(handover):
    it = handover()
    it.pool("api", steps("say-on:USR1:got it", "ready", "exit-on:TERM:0"), workers=3, dump_signal="SIGUSR1")
    it.start()
    pids = it.pids()
    assert it.api.post("/v1/pools/api/signal", signal="USR1") == (200, {"signalled": pids})
    assert it.api.post("/v1/pools/api/signal", signal="SIGUSR1", slot=1) == (200, {"signalled": [pids[1]]})
    assert it.api.post("/v1/pools/api/dump", slot=2) == (200, {"signalled": [pids[2]]})
    it.wait_log("got it", count=3)  # the same signal twice in a row may be one


def test_progress(handover):
    it = shared(handover)
    with it.api.lines("POST", "/v1/reload", progress=True, wait="drained") as lines:
        seen = lines.rest()
    assert seen[-1]["event"] == "result" and seen[-1]["result"] == "committed"
    names = [e["event"] for e in seen]
    for name in ("reload-queued", "reload-started", "worker-started", "worker-ready", "worker-draining", "reload-committed", "worker-exited"):
        assert name in names, names


def test_idle(handover):
    it = handover()
    it.supervisor(status_listen=f"127.0.0.1:{it.ports.take()}")
    it.pool("api", steps("ready", "exit-on:TERM:0"), workers=3)
    it.start()
    alive(it)
    time.sleep(1)
    def switches():
        return int(re.search(rb"voluntary_ctxt_switches:\s+(\d+)", harness.read_file(f"/proc/{it.pid}/status"))[1])
    before = switches()
    time.sleep(5)
    assert switches() - before == 0


def test_half_closed_short_requests(handover):
    it = shared(handover)
    for _ in range(20):
        with raw(it.control) as s:
            s.sendall((GET % "/v1/status").encode())
            s.shutdown(socket.SHUT_WR)
            assert b"200 OK" in read_all(s)


def test_client_gone_before_the_answer(handover):
    it = shared(handover)
    before = len(os.listdir(f"/proc/{it.pid}/fd"))
    for _ in range(200):
        s = raw(it.control)
        s.sendall((GET % "/v1/status").encode())
        s.close()
    assert alive(it) == "running"
    wait_until(lambda: len(os.listdir(f"/proc/{it.pid}/fd")) <= before + 1, "descriptors", 3)
