"""compat: workers that were written for other supervisors, unchanged; small ones that are strict, and real servers."""
import http.client
import os
import shlex
import socket
import threading

import pytest

import harness

RELOADS = 3
PYTHON = "/usr/bin/python3"
WORKER = os.path.join(harness.ROOT, "tests/workers/compat-worker.py")
GUNICORN, NGINX = "/usr/bin/gunicorn", "/usr/sbin/nginx"


def worker(kind):
    return shlex.join([PYTHON, WORKER, kind])


def pool(h, kind, compat, **keys):
    h.pool("api", worker(kind), compat=compat, **{"sockets": "web", "workers": 2, "drain_timeout": "5s", "start_timeout": "20s", **keys})


def check_ends(h):
    """All workers ended by themselves, with status 0: they got the signal that they wait for."""
    assert "SIGKILL" not in h.log and h.count_log("exited with code [1-9]") == 0, h.tell()


@pytest.mark.parametrize("kind, compat, ready", [
    ("server_starter", "server-starter", "notify"),
    ("einhorn", "einhorn", None),
    ("s6", "s6:9", None),
    ("nginx", "nginx", "notify"),
    ("unicorn", "unicorn", "notify"),
    ("einhorn", "einhorn", "einhorn"),
])
def test_strict_workers_through_reloads(handover, kind, compat, ready):
    h = handover()
    port = h.socket("web")
    pool(h, kind, compat, ready=ready)
    h.start()
    load = h.load("--new", "60", target=f"127.0.0.1:{port}")
    load.wait_answered(30)
    for _ in range(RELOADS):
        h.good_reload(wait="drained")
        load.wait_answered(10)
    code, summary, printed = load.finish()
    assert code == 0 and summary["total"]["failed"] == 0, printed + h.tell()
    h.stop()
    check_ends(h)


def test_server_starters_names_of_addresses(handover):
    h = handover()
    ports = [h.ports.take() for _ in range(4)]
    h.socket("all", f"tcp://0.0.0.0:{ports[0]}")
    h.socket("one", f"tcp://127.0.0.1:{ports[1]}")
    h.socket("six", f"tcp://[::1]:{ports[2]}")
    h.socket("any", f"tcp://[::]:{ports[3]}")
    h.socket("udp", f"udp://127.0.0.1:{ports[3]}")
    h.socket("unix", f"unix:{h.path('s')}")
    pool(h, "server_starter", "server-starter", ready="notify", workers=1, sockets="all one udp six any unix")
    h.pool("bare", worker("server_starter_without"), compat="server-starter", sockets=None)
    h.start()
    names = [str(ports[0]), f"127.0.0.1:{ports[1]}", f"[::1]:{ports[2]}", f"[::]:{ports[3]}", h.path("s")]
    assert "addresses " + " ".join(sorted(names)) in h.log
    h.stop()
    check_ends(h)


def test_einhorns_worker_without_an_acknowledgement_is_not_ready(handover):
    """One for another pid, and what is no command, count for nothing: said once, and the old workers serve on."""
    h = handover()
    port = h.socket("web")
    pool(h, "einhorn", "einhorn", ready=None)
    h.start()
    pids = h.pids("api")
    h.pool("api", worker("einhorn_mute"), start_timeout="500ms", workers=2)
    h.write()
    assert "start_timeout" in str(h.bad_reload())
    assert h.count_log("ignoring what it says on its einhorn socket: it acknowledges for another pid than its own") >= 1
    assert h.pids("api") == pids and harness.call(port, "add", a=1, b=2)["sum"] == 3


def test_the_descriptor_for_the_acknowledgement_keeps_clear_of_the_ready_pipe(handover):
    h = handover()
    h.pool("api", harness.steps(f"dump:{h.path('dump')}", "write:4:hello", "exit-on:TERM:0"), sockets="web", compat="einhorn s6:4",
           ready=None, drain_signal="TERM")
    h.socket("web")
    h.start()
    env = dict(item.split("=", 1) for item in h.json_of("dump")["env"])
    assert (env["EINHORN_SOCK_FD"], env["EINHORN_FDS"]) == ("5", "3")


# --- real servers ---

class Get:
    """GET on new connections, by a few clients, until it is told to end: what was not 200 is kept."""

    def __init__(self, port):
        self.port, self.stop, self.bodies, self.errors = port, threading.Event(), [], []
        self.threads = [threading.Thread(target=self.run) for _ in range(3)]
        for thread in self.threads:
            thread.start()

    def run(self):
        while not self.stop.wait(0.01):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
            try:
                connection.request("GET", "/", headers={"Connection": "close"})
                response = connection.getresponse()
                self.bodies.append(response.read().decode().strip())
                if response.status != 200:
                    self.errors.append(response.status)
            except (OSError, http.client.HTTPException) as error:
                self.errors.append(repr(error))
            finally:
                connection.close()

    def finish(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()


def through_reloads(h, port, change):
    get = Get(port)
    try:
        for n in range(2, RELOADS + 2):
            change(n)
            h.write()
            h.good_reload(wait="drained")
            h.wait(lambda n=n: f"version {n}" in get.bodies, f"an answer of version {n}")
    finally:
        get.finish()
    assert get.errors == [], f"{len(get.errors)} of {len(get.bodies)}: {get.errors[:5]}\n{h.tell()}"
    assert "SIGKILL" not in h.log and h.status()["sockets"][0]["mended"] == 0, h.tell()
    h.stop()
    check_ends(h)


def write_nginx(h, port, n):
    with open(h.path(f"nginx-{n}.conf"), "w", encoding="utf-8") as file:
        file.write(f"""
worker_processes 1;
error_log stderr error;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {h.path('body')}; proxy_temp_path {h.path('proxy')}; fastcgi_temp_path {h.path('fastcgi')};
    uwsgi_temp_path {h.path('uwsgi')}; scgi_temp_path {h.path('scgi')};
    server {{
        listen 127.0.0.1:{port};
        location / {{ return 200 "version {n}\\n"; }}
    }}
}}
""")


@pytest.mark.parametrize("how", ["compat", "bind_shim"])
def test_nginx(handover, how):
    h = handover()
    port = h.socket("web")

    def change(n):
        write_nginx(h, port, n)
        h.pool("api", shlex.join([NGINX, "-e", "stderr", "-c", h.path(f"nginx-{n}.conf"), "-g",
                                  f"daemon off; pid {h.place}/nginx-%n-%g.pid;"]))
    change(1)
    h.pool("api", sockets="web", workers=2, ready=f"exec:test -s {h.place}/nginx-%n-%g.pid",
           **({"compat": "nginx"} if how == "compat" else {"bind_shim": "yes", "drain_signal": "QUIT"}))
    h.start()
    through_reloads(h, port, change)


def test_gunicorn(handover):
    """It knows LISTEN_FDS and READY=1: nothing to be said."""
    h = handover()
    port = h.socket("web")
    with open(h.path("app.py"), "w", encoding="utf-8") as file:
        file.write("import os\ndef app(environ, start):\n    start('200 OK', [])\n    return [b'version ' + os.environ['VERSION'].encode()]\n")

    def change(n):
        h.pool("api", environment=f"VERSION={n}")
    h.pool("api", shlex.join([PYTHON, GUNICORN, "--chdir", h.place, "--worker-tmp-dir", h.place, "app:app"]), sockets="web",
           workers=1, start_timeout="20s")
    change(1)
    h.start()
    assert socket.create_connection(("127.0.0.1", port), 5).close() is None
    through_reloads(h, port, change)
