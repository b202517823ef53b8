"""The demo is what people see first: it must pass, and it must fail when a worker answers wrongly."""

import os
import subprocess

import pytest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("BUILD", os.path.join(TOP, "build", "plain"))


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


@pytest.mark.xdist_group("demo")  # the demo's ports are its own, and fixed
def test_demo_passes():
    demo = run_demo()
    assert demo.returncode == 0, demo.stdout
    for phase in ("steady", "new-version", "bad-version", "sigkill", "hang", "stop"):
        assert f"\n   {phase} " in demo.stdout, demo.stdout
    assert "No request was lost" in demo.stdout
    assert "exit status of handover reload: 1" in demo.stdout


@pytest.mark.xdist_group("demo")
def test_demo_finds_one_wrong_answer():
    demo = run_demo(DEMO_WORKER_OPTIONS="--wrong-answer-after 100")
    assert demo.returncode == 1, demo.stdout
    assert "wrong answer" in demo.stdout
    assert "No request was lost" not in demo.stdout
