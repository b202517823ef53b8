/*
 * cgroup.h - one control group per worker (cgroups(7), version 2), below the one that the service
 * manager has delegated to us. Nothing here touches a cgroup that is not marked as delegated.
 *
 *   UNIT/            has the mark; holds no process once we are through with it
 *   UNIT/master      the master
 *   UNIT/api.0.3     the worker of pool api, slot 0, generation 3; a "-2" behind it where that is
 *                    still taken
 */
#ifndef SYSTEM_CGROUP_H
#define SYSTEM_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/clock.h"

enum { CGROUP_NAME_MAX = 96 };

enum cgroup_controller { CGROUP_MEMORY, CGROUP_PIDS, CGROUP_CPU, CGROUP_CONTROLLERS };

/* A delegated cgroup that we have set up. */
struct cgroup_tree {
	int fd;			      /* of its directory; the caller's */
	char *path;		      /* the same; the caller's */
	bool has[CGROUP_CONTROLLERS]; /* what those of the workers can measure and limit */
	bool can_kill;		      /* cgroup.kill: Linux 5.14 */
};

/* "memory", "pids", "cpu". */
const char *cgroup_controller_name(enum cgroup_controller controller);

/*
 * The delegated cgroup of process pid (0: ours). It is the one that the process is in, or the one
 * above its "master". systemd marks it (user.delegate, trusted.delegate); it is ours only as the
 * unit's main process. root is put before /proc and the mount point ("" except in tests). The
 * caller frees *ret_path. -ENOENT: no hierarchy of version 2; -EPERM: not delegated to us; -errno;
 * with the reason in why: "/sys/fs/cgroup/x is not delegated to us (...)".
 */
int cgroup_find(const char *root, pid_t pid, char **ret_path, struct buf *why);
/* Which controllers the cgroup at path could give to those below. 0 or -errno. */
int cgroup_available(const char *path, bool ret_has[static CGROUP_CONTROLLERS]);

/*
 * Sets the delegated cgroup at path up: moves us into its "master" (a cgroup with controllers for
 * others may hold no process itself), and turns controllers on for the others. A controller that
 * cannot be had is no error; if it is there and refuses, why says so. -errno, with the reason in
 * why.
 */
int cgroup_open(const char *path, struct cgroup_tree *ret_tree, struct buf *why);
/* Closes and frees; leaves a tree without a descriptor. Accepts such a one. */
void cgroup_close(struct cgroup_tree *tree);

/*
 * Makes a worker's cgroup, under a name that no other one has, and opens its directory (*ret_fd,
 * close-on-exec, the caller's). 0 or -errno (-EAGAIN: cgroup.max.descendants).
 */
int cgroup_make(const struct cgroup_tree *tree, const char *pool, uint32_t slot,
		uint32_t generation, char name[static CGROUP_NAME_MAX], int *ret_fd);
/* Is this a name that cgroup_make() gives? */
bool cgroup_is_workers(const char *name);

/* memory.max (bytes), pids.max, cpu.weight; UINT64_MAX: no limit. 0, -ENOENT (no such controller
 * there), -errno. */
int cgroup_limit(const struct cgroup_tree *tree, const char *name,
		 enum cgroup_controller controller, uint64_t value);

/* SIGKILL to everything in it and below it, also to what forks meanwhile. 0, -ENOENT (no such
 * cgroup, or kernel before 5.14), -errno. */
int cgroup_kill(const struct cgroup_tree *tree, const char *name);
/* Calls each for processes that are in it now (at most some hundreds; no zombies), until that
 * returns something else than 0. 0 or -errno. */
int cgroup_each_process(const struct cgroup_tree *tree, const char *name,
			int (*each)(pid_t pid, void *arg), void *arg);
/* Removes it with the empty ones below. 0 (also if it is gone already), -EBUSY (there are processes
 * in it), -errno. */
int cgroup_remove(const struct cgroup_tree *tree, const char *name);
/* Calls each for every name of a worker's cgroup that there is. 0 or -errno. */
int cgroup_each(const struct cgroup_tree *tree, void (*each)(const char *name, void *arg),
		void *arg);
/* Appends the path of the file that tells of changes (inotify(7)): when the last process ended. */
void cgroup_events_path(const struct cgroup_tree *tree, const char *name, struct buf *out);

#define CGROUP_UNKNOWN UINT64_MAX
/* What all processes in it use; CGROUP_UNKNOWN: no such controller there. */
struct cgroup_figures {
	uint64_t memory; /* bytes */
	uint64_t tasks;
	usec_t cpu; /* since it was made, also of processes that have ended */
};
void cgroup_read_figures(const struct cgroup_tree *tree, const char *name,
			 struct cgroup_figures *ret_figures);

/* How often the kernel was out of memory for it. */
struct cgroup_oom {
	uint64_t kills;	    /* processes in it that were killed */
	uint64_t own_limit; /* times that its own memory.max (or one above within the tree) was why
			     */
};
/* 0, -ENOENT (no memory controller), -errno. */
int cgroup_read_oom(const struct cgroup_tree *tree, const char *name, struct cgroup_oom *ret_oom);

/* Is process pid in the worker's cgroup, or below it? False where that cannot be known. */
bool cgroup_has(const struct cgroup_tree *tree, const char *name, pid_t pid);

#endif
