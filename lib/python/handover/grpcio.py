"""grpcio servers with threads under a worker.

    worker = handover.Worker()
    server = grpc.server(executor, interceptors=[handover.grpcio.Counter(worker)])
    ...
    server.add_insecure_port("0.0.0.0:9000")    # the address of the socket in handover.ini
    handover.grpcio.serve(worker, server)
    sys.exit(worker.run())

grpcio takes no listening socket, it binds one itself: the pool needs `bind_shim = yes`, which makes that bind the socket
that was handed over."""
import grpc


def serve(worker, server):
    """The server starts with ready(), or run() of the worker. At a drain its clients hear GOAWAY, and calls have until
    most of the budget is gone; then they are named and cancelled."""
    # The server's own limit is later than ours, which would else find nothing to name. The shorter one of two stops counts.
    worker.add(server.start, lambda limits: server.stop(limits.budget).wait(), lambda: server.stop(None))


class Counter(grpc.ServerInterceptor):
    """Counts calls as in flight, and names those that a drain has to cut off."""

    def __init__(self, worker):
        self.worker = worker

    def intercept_service(self, continuation, handler_call_details):
        handler = continuation(handler_call_details)
        if handler is None:
            return None
        kinds = {
            (False, False): ("unary_unary", grpc.unary_unary_rpc_method_handler),
            (False, True): ("unary_stream", grpc.unary_stream_rpc_method_handler),
            (True, False): ("stream_unary", grpc.stream_unary_rpc_method_handler),
            (True, True): ("stream_stream", grpc.stream_stream_rpc_method_handler),
        }
        kind, make = kinds[handler.request_streaming, handler.response_streaming]
        counted = self._counted(handler_call_details.method, getattr(handler, kind), handler.response_streaming)
        return make(counted, handler.request_deserializer, handler.response_serializer)

    def _counted(self, method, behaviour, streams):
        counts = not method.startswith("/grpc.health.")  # nobody waits for the end of a watch

        def entry(context):
            return self.worker.calls.entry(f"{method} from {context.peer()}", counts)

        def one(request, context):
            with entry(context):
                return behaviour(request, context)

        def many(request, context):
            with entry(context):
                yield from behaviour(request, context)
        return many if streams else one
