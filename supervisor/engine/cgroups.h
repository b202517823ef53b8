/* cgroups.h - each worker in a cgroup of its own, where one is delegated to the instance. Where
 * none is, all of this does nothing, and workers are ended by process group and environment alone.
 */
#ifndef ENGINE_CGROUPS_H
#define ENGINE_CGROUPS_H

#include "engine/engine.h"
#include "system/cgroup.h"

/* A worker's cgroup. Its name is all that is kept open of it. */
struct worker_cgroup {
	struct cgroup_figures figures; /* as they were at the last cgroups_refresh() */
	char name[];
};

/* Sets the delegated cgroup up, if there is one; says which, or why not. 0 or -ENOMEM. */
int cgroups_new(struct engine *engine);
void cgroups_free(struct engine *engine);

/*
 * A cgroup for a worker that is about to be started, with its limits. Returns its directory, the
 * caller's, or -1: it starts in ours.
 */
int cgroups_enter(struct proc *proc);
/* SIGKILL to all that is in it. */
void cgroups_kill(const struct proc *proc);
/* The worker has ended, or could not be started: what it left behind goes with it, and then its
 * cgroup. */
void cgroups_leave(struct proc *proc);
/* Is that process one of the worker's? False where there are no cgroups. */
bool cgroups_has(const struct proc *proc, pid_t pid);
/* Cgroups that could not be removed at once: tries again. */
void cgroups_sweep(struct engine *engine);
/* The loop has ended: waits for them, but not for long. */
void cgroups_end(struct engine *engine);

/* Reads what workers use, for a few milliseconds: with thousands of workers the next call goes on
 * with those that have the oldest figures. */
void cgroups_refresh(struct engine *engine);
/* What a pool's workers use and used. CGROUP_UNKNOWN: cannot be known. */
void cgroups_sum(const struct engine *engine, uint32_t pool, struct cgroup_figures *ret_sum);

/* The delegated cgroup; NULL: there is none, and reason says why. */
const struct cgroup_tree *cgroups_tree(const struct engine *engine, const char **ret_reason);

#endif
