#!/usr/bin/python3
"""A complete worker with threads: JSON-RPC over HTTP, with background work and a resource to close."""
import http.server
import json
import os
import pathlib
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))  # where the package is not installed
import handover  # noqa: E402


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answered = 0

    def do_GET(self):
        if self.path == "/healthz":  # over the probe socket, with ready = http:/healthz
            self.answer("well")
        else:
            self.send_error(404)

    def do_POST(self):
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        params = question["params"]
        if question["method"] == "work":  # takes so long
            time.sleep(params["ms"] / 1000)
        elif question["method"] == "hang":  # never ends, whatever becomes of its client: see what a drain does with it
            threading.Event().wait()
        Handler.answered += 1
        self.answer({"jsonrpc": "2.0", "id": question["id"], "result": {
            "pid": os.getpid(), "slot": int(os.environ.get("HANDOVER_SLOT", 0)),
            "generation": int(os.environ.get("HANDOVER_GENERATION", 0)), "version": "python",
            "sum": params["a"] + params["b"]}})

    def answer(self, what):
        body = json.dumps(what).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def housekeeping(worker):
    """Goes on until the drain starts. A round that has begun is finished."""
    while not worker.began.wait(60):
        print(f"answered {Handler.answered} calls so far", flush=True)


worker = handover.Worker(by_hand={"rpc": ("127.0.0.1", 18930)})
worker.go("housekeeping", housekeeping, worker)
worker.on_close("count", lambda: print(f"answered {Handler.answered} calls", flush=True))
worker.serve_http(Handler)
sys.exit(worker.run())
