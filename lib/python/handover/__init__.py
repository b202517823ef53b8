"""Makes a server a worker of handoverd: it takes its listening sockets from the supervisor, says when it is ready, and at
a drain refuses the new, lets the old finish, within a limit.

    worker = handover.Worker()
    worker.serve_http(Handler)      # an http.server.BaseHTTPRequestHandler
    sys.exit(worker.run())

For asyncio see handover.aio, for grpcio handover.grpcio. The standard library is all that is needed."""
from .drain import FAILURE, RELOAD, STOP, UNKNOWN, Limits
from .worker import Worker

__all__ = ["FAILURE", "RELOAD", "STOP", "UNKNOWN", "Limits", "Worker"]
