"""Reloads under load with real gRPC: grpc-go workers and grpc-go clients of every kind. No call may be other than OK."""
import os
import shlex

import pytest

import harness

GRPC_WORKER = os.path.join(harness.BUILD, "grpc-worker")
GRPC_LOAD = os.path.join(harness.BUILD, "grpc-load")
RELOADS = 12


def grpc(version, *options):
    return shlex.join([GRPC_WORKER, "--version", str(version), *options])


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


def test_one_at_a_time_with_sockets_over_the_channel(handover, record_property):
    run(handover, record_property, "grpc-go, max_surge = 1, handoff = channel",
        ("--unary-new", "40", "--pick-first", "100,4", "--round-robin", "100,4"), workers=3, max_surge=1, handoff="channel")


def test_a_call_that_never_ends_is_cut_off_and_named(handover):
    """By the worker itself, with one server for all connections, under load that does not notice."""
    h = handover()
    port = h.socket("grpc", backlog=1024)
    h.pool("grpc", grpc(1, "--single"), sockets="grpc", workers=2, drain_timeout="2s")
    h.start()
    load = h.load("--unary-new", "40", "--pick-first", "60,4", "--slow", "10,100,500", target=f"127.0.0.1:{port}", program=GRPC_LOAD)
    load.tell("hang")
    h.wait(lambda: any(line.startswith(b"hang pid=") for line in load.output), "the call to hang")
    [guilty] = [int(line.split(b"=")[1]) for line in load.output if line.startswith(b"hang pid=")]
    load.tell(f"killed {guilty}")
    load.wait_answered(50)
    h.good_reload(wait="drained")
    h.wait_log(rf"info pool grpc slot \d generation 1 pid {guilty} exited with code 143, .* after it was told to go")
    h.wait_log(r"stopping hard after 1\.6s of a budget of 2s, not finished: /handover\.test\.Echo/Hang from \S+ for \d\.\d s")
    code, summary, printed = load.finish()
    assert code == 0 and (summary["total"]["failed"], summary["total"]["killed"]) == (0, 1), printed + h.tell()
    assert h.count_log("SIGKILL") == 0 and h.count_log("exited with code 0, .* after it was told to go") == 1
