#!/usr/bin/python3
"""A complete worker with asyncio: JSON-RPC over HTTP."""
import asyncio
import contextlib
import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))  # where the package is not installed
import handover.aio  # noqa: E402

WHO = {"pid": os.getpid(), "slot": int(os.environ.get("HANDOVER_SLOT", 0)),
       "generation": int(os.environ.get("HANDOVER_GENERATION", 0)), "version": "asyncio"}


async def read_request(reader):
    """(whether it is the last one, question); None at the end."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        if head.startswith("get /healthz "):  # over the probe socket, with ready = http:/healthz
            return True, {"method": "health", "id": None, "params": {"a": 0, "b": 0}}
        body = await reader.readexactly(int(fields["content-length"]))
        return fields.get("connection") == "close", json.loads(body)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


async def answer(question):
    params = question["params"]
    if question["method"] == "work":  # takes so long
        await asyncio.sleep(params["ms"] / 1000)
    elif question["method"] == "hang":  # never ends, whatever becomes of its client: see what a drain does with it
        await asyncio.Event().wait()
    return json.dumps({"jsonrpc": "2.0", "id": question["id"], "result": {**WHO, "sum": params["a"] + params["b"]}}).encode()


async def serve_client(worker, reader, writer):
    """One connection. A drain ends it after the answer to what is on its way."""
    address = writer.get_extra_info("peername")
    last = False
    with worker.connection(address), contextlib.suppress(ConnectionError):
        while not last and (request := await worker.next(read_request(reader))):
            last, question = request
            with worker.call(f"{question['method']} from {address}"):
                body = await answer(question)
                last = last or worker.draining
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n%s"
                             % (len(body), b"Connection: close\r\n" if last else b"", body))
                await writer.drain()
        writer.close()
        await writer.wait_closed()


async def main():
    worker = handover.aio.Worker(by_hand={"rpc": ("127.0.0.1", 18931)})
    worker.on_close("greeting", lambda: print("asyncio worker ends", flush=True))
    def serve(*streams):
        return serve_client(worker, *streams)
    await worker.start_server(serve)
    if worker.has_socket("probe"):
        await worker.start_server(serve, "probe")
    return await worker.run()


sys.exit(asyncio.run(main()))
