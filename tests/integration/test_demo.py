"""The demo is what people see first: it must pass, and it must fail when a worker answers wrongly."""

import os
import socket
import subprocess

import pytest

import harness

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("BUILD", os.path.join(TOP, "build", "plain"))


def is_bound(sock, name):
    try:
        sock.bind(name)
    except OSError:
        return False
    return True


@pytest.fixture(autouse=True)
def fixture_one_at_a_time():
    """The demo's ports are fixed: one at a time on this machine, whatever build it is of."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as lock:
        harness.wait_until(lambda: is_bound(lock, "\0handover-test-demo"), "another test of the demo to end", every=0.1)
        yield


def run_demo(**environment):
    return subprocess.run(
        ["tests/demo/demo.sh", BUILD, "rpc"],
        cwd=TOP,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        check=False,
    )


def test_demo_passes():
    demo = run_demo()
    assert demo.returncode == 0, demo.stdout
    for phase in ("steady", "new-version", "bad-version", "sigkill", "hang", "stop"):
        assert f"\n   {phase} " in demo.stdout, demo.stdout
    assert "No request was lost" in demo.stdout
    assert "exit status of handover reload: 1" in demo.stdout


def test_demo_finds_one_wrong_answer():
    demo = run_demo(DEMO_WORKER_OPTIONS="--wrong-answer-after 100")
    assert demo.returncode == 1, demo.stdout
    assert "wrong sum" in demo.stdout
    assert "No request was lost" not in demo.stdout
