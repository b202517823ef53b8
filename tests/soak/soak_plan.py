"""Which actions a soak does, in which order: a matter of the seed alone."""
import random

import soak_actions as do
import soak_versions

# name, action, weight; each reload takes part at least once
RELOADS = [
    ("reload", do.reload_all, 40),
    ("reload --wait=drained", do.reload_drained, 4),
    ("reload POOL", do.reload_pool, 7),
    ("reload --changed, one version", do.reload_changed, 7),
    ("reload --changed, nothing", do.reload_changed_nothing, 2),
    ("reload --changed, new executable", do.reload_changed_program, 2),
    ("reload, flood of output", do.reload_flood, 3),
    ("SIGHUP, one to five", do.reload_by_sighup, 5),
    ("handover reload", do.reload_by_command, 4),
    ("reloads queued behind one", do.reload_queued, 3),
    ("reload, caller goes away", do.reload_caller_gone, 2),
    ("reload, an old worker is killed", do.reload_old_worker_dies, 3),
    ("reload, a worker hangs in its drain", do.reload_hang, 2),
    ("version exits at start", do.reload_exits, 3),
    ("version dies at start", do.reload_dies, 2),
    ("version never gets ready", do.reload_never_ready, 2),
    ("version hangs, ignores SIGTERM", do.reload_hangs_at_start, 1),
    ("version exits when ready", do.reload_dies_when_ready, 1),
    ("configuration mistake", do.reload_mistake, 4),
    ("address in use", do.reload_address_in_use, 2),
    ("reload, a new worker is killed", do.reload_new_worker_dies, 3),
    ("reload, abort on disconnect", do.reload_aborted, 2),
    ("canary, held and promoted", do.reload_promoted, 2),
    ("canary, held and aborted", do.reload_held_and_aborted, 2),
    ("rollback, and back again", soak_versions.rollback, 3),
    ("plan, then reload --changed", soak_versions.plan_and_reload, 4),
    ("plan that fails", soak_versions.plan_that_fails, 1),
    ("other sockets, over the channel", soak_versions.other_sockets, 3),
    ("kill -9, executable replaced", soak_versions.crash_replaced, 3),
    ("kill -9, script written over", soak_versions.crash_written_over, 2),
]
BETWEEN = [
    ("kill -9 of a worker", do.crash, 12),
    ("kill -9 of one that drains", do.crash_draining, 5),
    ("scale", do.scale, 6),
    ("restart POOL", do.restart_pool, 4),
    ("restart POOL/SLOT", do.restart_slot, 4),
    ("out-of-service on, off", do.out_of_service, 3),
    ("dump", do.dump, 2),
    ("kill -9, then why", soak_versions.why_it_ended, 4),
    ("liveness probe fails", soak_versions.is_ill, 4),
]
BETWEEN_SHARE = 0.4  # of the number of reloads


class Step:
    """One action, with randomness of its own: what it draws does not depend on what others drew."""

    def __init__(self, seed, number, name, action):
        self.number, self.name, self.action = number, name, action
        self.random = random.Random(f"{seed} {number}")
        self.version = f"v{number + 2}"

    @property
    def is_reload(self):
        return any(name == self.name for name, _, _ in RELOADS)


def choose(rng, table, n):
    """n of a table: each once if there is room, the others by weight."""
    chosen = table[:n] + rng.choices(table, weights=[weight for _, _, weight in table], k=max(0, n - len(table)))
    rng.shuffle(chosen)
    return chosen


def make(seed, n):
    """The steps of a soak with n reloads."""
    rng = random.Random(f"plan {seed}")
    steps = choose(rng, RELOADS, n)
    for one in choose(rng, BETWEEN, round(n * BETWEEN_SHARE)):
        steps.insert(rng.randint(0, len(steps)), one)
    return [Step(seed, number, name, action) for number, (name, action, _) in enumerate(steps)]
