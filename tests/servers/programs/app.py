"""An application for gunicorn. It answers JSON-RPC as rpc-worker does."""
import json
import os
import threading
import time


def app(environ, start):
    ask = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    params = ask["params"]
    if ask["method"] == "hang":
        threading.Event().wait()
    if ask["method"] == "work":
        time.sleep(params["ms"] / 1000)
    result = {"sum": params["a"] + params["b"], "pid": os.getppid(), "slot": int(os.environ["HANDOVER_SLOT"]),
              "generation": int(os.environ["HANDOVER_GENERATION"]), "version": "gunicorn"}
    body = json.dumps({"jsonrpc": "2.0", "id": ask["id"], "result": result}).encode()
    start("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
