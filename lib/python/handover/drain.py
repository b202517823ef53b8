"""The times of a drain, and why there is one."""
import math
import time

DEFAULT_BUDGET = 6.0  # seconds, when the supervisor has named none
RESERVE = 0.2  # the part of the budget that we leave to the supervisor, for noticing that we are gone
CUT_STATUS = 128 + 15  # when something was cut off: what a shell gives for death by SIGTERM
KEEP_ALIVE = 0.5  # how long connections on which nothing happens are left: a request may be on its way already

SIGNAL_PAUSE = 0.1  # how many seconds a drain signal waits for the message that says why; it was sent before the signal

# A signal of a supervisor has no reason, where no channel says more: most are reloads, and a reload it is taken for.
UNKNOWN, RELOAD, STOP, FAILURE = "unknown", "reload", "stop", "failure"


class Limits:
    """All in seconds from the drain's start. Of a very small budget, half is kept as the reserve."""

    def __init__(self, budget):
        self.budget = budget
        self.exit = max(budget - RESERVE, budget / 2)  # until the process ends, come what may
        self.stop = min(budget * 0.8, self.exit * 0.9)  # until what has not finished is cut off
        self.quiet = min(KEEP_ALIVE, self.stop / 8)


def budget_of(text):
    """Seconds, of HANDOVER_DRAIN_TIMEOUT_USEC."""
    if not (text and text.isascii() and text.isdigit()) or not 0 < int(text) <= 24 * 3600 * 10**6:
        return DEFAULT_BUDGET
    return int(text) / 1e6


def reason_of(word):
    """Whether somebody serves on when we are gone."""
    if word in ("stop", "removed"):
        return STOP
    return RELOAD if word in ("reload", "restart", "recycle", "scale", "undo") else UNKNOWN


def budget_left(deadline, otherwise):
    """(seconds, how many of them are spent), from a time of CLOCK_MONOTONIC in microseconds. Budgets of a second and more are
    taken for multiples of 100 ms, as people write them: what is missing has been spent."""
    if not isinstance(deadline, int) or deadline <= 0:
        return otherwise, 0.0
    left = max(deadline / 1e6 - time.monotonic(), 0.0)
    budget = math.ceil(left * 10 - 1e-6) / 10 if left > 0.9 else left
    return budget, budget - left
