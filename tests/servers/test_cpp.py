"""handover_grpc.h, beside what all servers have to bear: health at a reload and at a stop, and what goes wrong at a start."""
import os
import subprocess

import grpc
import pytest

import harness

WORKER = os.path.join(harness.BUILD, "cpp-grpc")
SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"


@pytest.fixture(name="service")
def fixture_service(handover):
    """(instance, a channel)"""
    h = handover()
    h.port = h.socket("grpc")
    h.pool("api", WORKER, sockets="grpc", drain_timeout="3s")
    channel = grpc.insecure_channel(f"127.0.0.1:{h.port}", options=[("grpc.use_local_subchannel_pool", 1)])
    yield h, channel
    channel.close()


def health(channel):
    return channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=harness.PATIENCE, wait_for_ready=True)


def watch(channel):
    """What a watching client is told, as it comes."""
    return channel.unary_stream("/grpc.health.v1.Health/Watch")(b"", timeout=harness.PATIENCE, wait_for_ready=True)


def test_health_fails_at_a_stop(service):
    h, channel = service
    h.supervisor(lame_duck="700ms")
    h.start()
    assert health(channel) == SERVING
    told = watch(channel)
    assert next(told) == SERVING
    h.signal(harness.signal.SIGTERM)
    assert next(told) == NOT_SERVING, "while it still serves"
    told.cancel()
    h.wait_exit()
    h.wait_log(r"exited with code 0, .* after it was told to go \(stop\)")


def test_health_stays_at_a_reload(service):
    h, channel = service
    h.start()
    told = watch(channel)
    assert next(told) == SERVING
    h.good_reload(wait="drained")
    # not one word of ill health; nobody waits for the watch, nor for a client that does not look
    with pytest.raises(grpc.RpcError) as ended:
        next(told)
    assert ended.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
    assert health(channel) == SERVING
    h.wait_log(r"exited with code 0, \d+ ms after it was told to go \(reload\)")


@pytest.mark.parametrize("handoff", ["inherit", "channel"])
def test_the_master_asks_its_health_service(service, handoff):
    h, channel = service
    h.pool("api", ready="grpc", handoff=handoff, workers=2)
    h.start()
    h.good_reload(wait="drained")
    assert health(channel) == SERVING
    assert h.count_log(r"exited with code 0, .* after it was told to go \(reload\)") == 2, h.tell()
    h.pool("api", ready="grpc:no.Such", start_timeout="700ms")
    h.write()
    assert "no.Such" in str(h.bad_reload())
    assert health(channel) == SERVING


def test_a_socket_that_is_not_there_fails_the_start(service):
    h, channel = service
    h.start()
    pids = h.pids()
    h.pool("api", f"{WORKER} web")
    h.write()
    failed = h.bad_reload()
    assert "socket 'web', of 'grpc': No such file or directory" in str(failed)
    assert h.pids() == pids and health(channel) == SERVING


def test_handlers_that_ignore_everything_hold_nobody_up(service):
    """Shutdown() waits for them without a limit: the process ends 200 ms before its budget all the same."""
    h, channel = service
    h.start()
    hanging = channel.unary_stream("/example.Echo/Hang")(b"", wait_for_ready=True)
    h.wait(lambda: h.workers()[0]["inflight"] == 1, "the call to hang")
    h.good_reload(wait="drained")
    with pytest.raises(grpc.RpcError):
        next(hanging)
    h.wait_log(r"cpp-grpc: stopping hard after 2\.4s of a budget of 3\.0s, not finished: /example\.Echo/Hang from \S+ for \d\.\d s")
    h.wait_log(r"exited with code 143, 2\.[89]\d* s after it was told to go")
    assert h.count_log("SIGKILL") == 0


def test_without_a_supervisor():
    """It serves the address that it is told, and ends by SIGTERM."""
    ports = harness.Ports()
    address = f"127.0.0.1:{ports.take()}"
    with subprocess.Popen([WORKER, "", address], env={"PATH": "/usr/bin:/bin"}) as process:
        try:
            with grpc.insecure_channel(address) as channel:
                assert health(channel) == SERVING
        finally:
            process.terminate()
        assert process.wait(harness.PATIENCE) == -harness.signal.SIGTERM
    ports.close()
