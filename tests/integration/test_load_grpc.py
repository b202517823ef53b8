"""Reloads under load with real gRPC: grpc-go workers and grpc-go clients of every kind. No call may be other than OK."""
import os
import shlex

import pytest

import harness

GRPC_WORKER = os.path.join(harness.BUILD, "grpc-worker")
GRPC_LOAD = os.path.join(harness.BUILD, "grpc-load")
RELOADS = 12


def grpc(version):
    return shlex.join([GRPC_WORKER, "--version", str(version)])


@pytest.fixture(autouse=True)
def fixture_grpc_programs():
    for program in (GRPC_WORKER, GRPC_LOAD):
        assert os.path.exists(program), f"{program} is missing: run make grpc"


def run(handover, record_property, name, options, **pool):
    h = handover()
    port = h.socket("grpc", backlog=1024)
    h.pool("grpc", grpc(1), sockets="grpc", drain_timeout="5s", **pool)
    h.start()
    load = h.load(*options, target=f"127.0.0.1:{port}", program=GRPC_LOAD)
    load.tell("phase steady")
    load.wait_answered(300)
    load.tell("phase reloads")
    for n in range(RELOADS):
        h.pool("grpc", grpc(n + 2))
        h.write()
        with load.window():
            h.good_reload(wait="drained")
        load.wait_answered(20)
    code, summary, printed = load.finish()
    inside, outside = summary["window"]["inside"], summary["window"]["outside"]
    record_property("load", f"{name}: {RELOADS} reloads, {summary['total']['sent']} calls, "
                            f"{summary['total']['failed']} not OK; p99 {outside['p99_ms']:.1f} ms outside, "
                            f"{inside['p99_ms']:.1f} ms inside reload windows")
    assert code == 0 and summary["total"]["failed"] == 0, printed + h.tell()
    assert summary["total"]["killed"] == 0, printed + h.tell()
    assert set(summary["streams"]) == {option[2:] for option in options[::2]}, "every kind of client took part"
    assert all(stream["answered"] > 0 for stream in summary["streams"].values()), printed


def test_all_kinds_of_clients_at_once(handover, record_property):
    run(handover, record_property, "grpc-go, all kinds",
        ("--unary-new", "40", "--pick-first", "100,8", "--round-robin", "100,8", "--slow", "10,300,1000",
         "--streams", "4,10,40"), workers=4)


def test_one_at_a_time(handover, record_property):
    run(handover, record_property, "grpc-go, max_surge = 1",
        ("--unary-new", "40", "--pick-first", "100,4", "--round-robin", "100,4"), workers=3, max_surge=1)
