#!/usr/bin/python3
"""grpcio with the standard health service, written by generic handlers. It listens where it is told; a service's status is
that of --status NAME=SERVING|NOT_SERVING|..., and any other one is NOT_FOUND."""
import argparse
import concurrent.futures
import sys

import grpc

STATUS = {"UNKNOWN": 0, "SERVING": 1, "NOT_SERVING": 2, "SERVICE_UNKNOWN": 3}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", required=True)
    parser.add_argument("--status", action="append", default=[])
    parser.add_argument("--no-health", action="store_true", help="have no health service")
    options = parser.parse_args()
    known = dict(word.split("=") for word in options.status or ["=SERVING"])

    def check(service, context):
        if service not in known:
            context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return STATUS[known[service]]

    def decode(data):  # HealthCheckRequest: field 1, a short string
        return data[2:].decode()

    handler = grpc.unary_unary_rpc_method_handler(check, decode, lambda status: bytes([8, status]))
    service = "some.Other" if options.no_health else "grpc.health.v1.Health"
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 1)])
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, {"Check": handler})])
    server.add_insecure_port(options.listen)
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    sys.exit(main())
