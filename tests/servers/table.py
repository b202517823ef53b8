"""Real servers: how each is started, with which configuration, and who its client is."""
import dataclasses
import os
import shlex

import harness
from clients import NEW, NEW_AND_FEW, Grpc, Http, Redis

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON, NODE = "/usr/bin/python3", "/usr/bin/node"
STRICT = os.path.join(harness.ROOT, "tests/workers/compat-worker.py")


@dataclasses.dataclass
class Server:
    """item: the beginning of the title in "SERVERS" of handover.ini(5) whose configuration it runs with; words: what stands there, and
    what it is here, with {port} and {place} of the instance for @PORT@ and @PLACE@."""
    name: str
    client: object
    item: str
    words: dict
    keys: dict = dataclasses.field(default_factory=dict)
    files: object = None  # called with the instance, and what makes others
    cut: str = "master"  # who ends what never ends: the "worker" itself, or the "master"
    reports: bool = True  # its answers tell the worker's pid and generation
    core: bool = False  # `make test` has it, too


def built(name):
    return os.path.join(harness.BUILD, name)


def ours(*words):
    """A program of this folder, or of another."""
    return shlex.join(os.path.join(HERE, "programs", word) if word.split("@")[0].endswith((".py", ".js", ".java", ".ru")) else word
                      for word in words)


# --- what servers need beside a command ---

def upstream(h, handover):
    """For proxies: an instance with workers that do the work."""
    other = handover("upstream")
    other.port = other.socket("rpc")
    other.pool("rpc", harness.rpc(), sockets="rpc", workers=2, drain_timeout="1s")
    other.start()
    return other.port


def nginx(h, handover):
    port = upstream(h, handover)
    temporary = "".join(f"    {kind}_temp_path {h.path(kind)};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    h.write_file("nginx.conf", f"""
worker_processes 1;
error_log stderr error;
events {{ worker_connections 256; }}
http {{
    access_log off;
{temporary}    server {{
        listen 127.0.0.1:{h.port};
        location / {{ proxy_pass http://127.0.0.1:{port}; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Expect-Pid ""; }}
    }}
}}
""")


def h2o(h, handover):
    port = upstream(h, handover)
    h.write_file("h2o.conf", f"""
listen: {{ host: 127.0.0.1, port: {h.port} }}
{"user: root" if os.geteuid() == 0 else ""}
http1-upgrade-to-http2: OFF
hosts:
  default:
    paths:
      /: {{ proxy.reverse.url: "http://127.0.0.1:{port}/" }}
""")


def unicorn(h, _):
    h.write_file("unicorn.rb", f"listen '127.0.0.1:{h.port}'\nworker_processes 1\n")


def redis(h, _):
    os.mkdir(h.path("redis"))  # what is killed leaves its file there
    h.write_file("redis.conf", f"bind 127.0.0.1\nport {h.port}\nsave \"\"\ndir {h.place}\nlogfile \"\"\n")


# --- the table ---

KNOWS = "A program that knows"
ECHO = Grpc("example.Echo")
NGINX = {"nginx ": "/usr/sbin/nginx -e stderr -c @PLACE@/nginx.conf ", "/run": "@PLACE@"}

SERVERS = [
    Server("grpc-go", Grpc("handover.test.Echo"), KNOWS, {"/usr/local/bin/api": built("grpc-worker")}, cut="worker"),
    Server("grpc-go-channel", Grpc("handover.test.Echo"), KNOWS, {"/usr/local/bin/api": built("grpc-worker")}, {"handoff": "channel"}, cut="worker"),
    Server("go-http-channel", Http(), KNOWS, {"/usr/local/bin/api": built("go-http")}, {"handoff": "channel"}, cut="worker"),
    Server("grpc-cpp-acceptor", ECHO, KNOWS, {"/usr/local/bin/api": built("cpp-grpc")}, cut="worker"),
    Server("grpc-cpp-acceptor-channel", ECHO, KNOWS, {"/usr/local/bin/api": built("cpp-grpc")}, {"handoff": "channel"}, cut="worker"),
    Server("grpc-cpp-shim", ECHO, "gRPC in Python", {"python3 /srv/api.py": built("grpc-plain") + " 127.0.0.1:@PORT@"}),
    Server("grpc-python-shim", ECHO, "gRPC in Python", {"python3 /srv/api.py": ours(PYTHON, "api.py", "127.0.0.1:@PORT@")}),
    Server("grpc-js", ECHO, KNOWS, {"/usr/local/bin/api": ours(NODE, "grpc-worker.js")}, {"environment": f"NODE_PATH={built('npm/node_modules')}"},
           cut="worker"),
    Server("c-libhandover-channel", Http(), KNOWS, {"/usr/local/bin/api": built("rpc-worker")}, {"handoff": "channel"}, cut="worker"),
    Server("python-package-channel", Http(), KNOWS, {"/usr/local/bin/api": shlex.join([PYTHON, os.path.join(harness.ROOT, "lib/python/examples/http_worker.py")])},
           {"handoff": "channel"}, cut="worker"),
    Server("node-package", Http(), KNOWS, {"/usr/local/bin/api": shlex.join([NODE, os.path.join(harness.ROOT, "lib/node/examples/http-worker.js")])},
           cut="worker"),
    Server("node-fd", Http(*NEW), "node", {"node /srv/api.js": ours(NODE, "api.js"), "delay:2s": "delay:1s"}, core=True),
    Server("node-shim", Http(*NEW), "Java", {"java -jar /srv/api.jar": ours(NODE, "api.js", "@PORT@"), "delay:10s": "delay:1s"}),
    Server("gunicorn", Http(*NEW), "gunicorn", {"gunicorn app:app": f"{PYTHON} /usr/bin/gunicorn --threads 8 --worker-tmp-dir @PLACE@ --chdir "
           f"{HERE}/programs app:app"}, core=True),
    Server("nginx", Http(*NEW), "nginx", NGINX, files=nginx, reports=False, core=True),
    Server("nginx-shim", Http(*NEW), "nginx", NGINX, {"compat": None, "bind_shim": "yes", "drain_signal": "QUIT"}, files=nginx, reports=False, core=True),
    Server("unicorn", Http(*NEW_AND_FEW), "unicorn", {"unicorn -c /etc/unicorn.rb": "/usr/bin/unicorn -c @PLACE@/unicorn.rb " + ours("config.ru")},
           {"environment": "OUR_PARENT=1"}, files=unicorn),
    Server("puma", Http(*NEW), "puma", {"puma -b tcp://0.0.0.0:8080": "/usr/bin/puma -b tcp://127.0.0.1:@PORT@ " + ours("config.ru")}),
    Server("h2o", Http(*NEW), "Servers for Server::Starter", {"h2o -c /etc/h2o.conf": "/usr/bin/h2o -c @PLACE@/h2o.conf"}, files=h2o, reports=False),
    Server("einhorn", Http(*NEW_AND_FEW), "Servers for einhorn", {"/usr/local/bin/api": shlex.join([PYTHON, STRICT, "einhorn"])}),
    Server("s6", Http(*NEW_AND_FEW), "Servers that tell s6", {"/usr/local/bin/api --ready-fd 9": shlex.join([PYTHON, STRICT, "s6"])}),
    # how long a JVM takes is anybody's guess where many tests run: it says so itself
    Server("java", Http(*NEW), "Java", {"java -jar /srv/api.jar": ours("/usr/bin/java", "Api.java", "@PORT@", "@PLACE@/java-%n-%g"),
                                        "delay:10s": "exec:test -e @PLACE@/java-%n-%g"}),
    Server("redis", Redis(), "redis", {"redis-server /etc/redis.conf": "/usr/bin/redis-server @PLACE@/redis.conf", "/run": "@PLACE@/redis"}, files=redis,
           reports=False),
]
