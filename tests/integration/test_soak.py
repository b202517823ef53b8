"""A short soak: see tests/soak/soak.py."""
import os
import re
import subprocess
import sys

import pytest

import harness

SOAK = os.path.join(harness.ROOT, "tests/soak/soak.py")
RELOADS = 30


@pytest.mark.timeout(300)
def test_a_short_soak(record_property):
    """Another seed every time; SEED=n repeats one."""
    seed = os.environ.get("SEED") or str(int.from_bytes(os.urandom(3), "big"))
    print(f"seed {seed}")
    keep = os.path.join(harness.BUILD, f"soak-{seed}")
    done = subprocess.run([sys.executable, SOAK, str(RELOADS), "--seed", seed, "--pause", "0.2", "--keep", keep],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env={**os.environ, "BUILD": harness.BUILD}, check=False)
    requests = re.search(r"one master, (\d+) requests", done.stdout)
    record_property("load", f"soak: seed {seed}, {RELOADS} reloads mixed with faults, {requests[1] if requests else 'no'} requests")
    assert done.returncode == 0, done.stdout
    assert f"soak: all as it must be, seed {seed}" in done.stdout
