/* spawn_internal.h - what a start's two halves share: spawn.c (ours) and spawn_child.c (the
 * child's). */
#ifndef SYSTEM_SPAWN_INTERNAL_H
#define SYSTEM_SPAWN_INTERNAL_H

#include <signal.h>

#include "system/spawn.h"

enum { SPAWN_SIGSET_BYTES = _NSIG / 8 }; /* the kernel's sigset_t, not libc's */

struct spawn_mapping {
	int from, to;
	bool hidden;	/* from the program: close-on-exec */
	int child_from; /* the child's number of `from`, in a table of its own */
};

/*
 * One start, from before clone(2) until the child has left our memory: what the child is told, and
 * what it tells. It writes `stage` before each step, and `error` when one fails. The kernel clears
 * `tid` as the child leaves our memory, by exec or by its end; from then on the rest is ours alone.
 * (Not that of a child that `copies`: its pipe tells.)
 */
struct spawn_start {
	struct spawn_spec spec;
	struct spawn_mapping *map; /* sorted by `to`; the descriptors are our own duplicates,
				      but for `waits` */
	size_t n_map;
	int procs_fd;  /* cgroup.procs of the cgroup it joins, or -1 */
	int status_fd; /* the child's end of a pipe: a byte says that our table of descriptors is no
			  longer its own, its end that it executes or has ended; or -1 */
	int child_status_fd; /* its number in the child; of the others too */
	int child_exec_fd, child_directory_fd;
	int status_read;
	int pidfd; /* set by the kernel before the child runs */
	bool
	    waits; /* we stand still until it executes: no pipe, and the caller's own descriptors */
	bool copies; /* the child has a copy of our memory; this record it shares */
	bool changes_user;
	volatile int stage;
	volatile int error;
	volatile pid_t tid;
};

/* clone(2) calls this in the child; arg is its struct spawn_start. Does not return. */
int spawn_child_main(void *arg);

#endif
