"""Pools with canaries, for the tests of them."""
import os
import re

from harness import steps


def two_versions(h, new, pool="api", **keys):
    """A pool that serves, and in the file the new version of it, with canaries."""
    h.pool(pool, steps("exit-on:TERM:0", "ready"), **{"workers": 3, "canary": 1, "canary_time": "50ms", **keys})
    h.start()
    h.pool(pool, new)
    h.write()
    return h.pids(pool)


def held(h, **keys):
    """One canary, found good, that waits for a person. Gives the old workers, and its own pid."""
    old = two_versions(h, steps("exit-on:TERM:0", "ready"), canary_hold="yes", **keys)
    code, result = h.reload()
    assert (code, result["result"]) == (200, "held"), result
    [canary] = [w["pid"] for w in h.workers("api", "serving") if w["generation"] == 2]
    return old, canary


def untouched(h, old):
    """The old workers serve on, nobody else does, and none of them was ever told to go."""
    h.wait(lambda: h.pids("api") == old and len(h.workers("api")) == len(old), "the old workers to be alone")
    assert not re.search(r"pool api slot \d+ generation 1 pid \d+ drains", h.log)


def check(h, script):
    """canary_check: a script that writes what it was given into a file, and then does this."""
    path = h.path("check.sh")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"#!/bin/sh\nenv > {h.path('env')}\n{script}\n")
    os.chmod(path, 0o755)
    return f"exec:{path} %p %g"
