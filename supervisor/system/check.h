/*
 * check.h - holds a configuration against the world, without changing it: commands, users,
 * addresses, limits, budgets. One implementation behind `handoverd --check`, `handover check`, the
 * start and every reload.
 */
#ifndef SYSTEM_CHECK_H
#define SYSTEM_CHECK_H

#include "system/config.h"

/* What a running instance has that a check must not take for a conflict. */
struct check_context {
	const struct config *running; /* NULL: nothing runs. Its addresses are "ours" */
	pid_t master;		      /* the instance's process; 0: ours, or it does not run */
	bool bind_test; /* try to bind the addresses (check); a start or reload binds them for real
			 */
	bool advise;	/* say also what is no mistake, but may become one */
};

/*
 * Adds errors and warnings to problems: command missing / not executable / a directory / script
 * without "#!" / binary of another architecture; working directory, user, group missing; no right
 * to change user; environment files; output files' directories; address in use (and by which pid
 * and name, where it can be found out), not local, privileged without privilege; Unix path too
 * long, in a missing directory, or a file that is no socket; descriptors that would not suffice
 * (RLIMIT_NOFILE hard); budgets: says the sum (lame_duck + stop_timeout + dump_timeout) as a remark
 * in ret_summary. Returns 0, or -EINVAL when errors were added. ret_summary (may be NULL): lines
 * for a person: instance, sockets, pools with workers and budgets; caller frees via buf.
 */
int check_world(const struct config *config, const struct check_context *context,
		struct config_problems *problems, struct buf *summary);

/*
 * Descriptors that one worker of the pool costs the master, at the most: its pidfd, its notify
 * socket, its channel and the page of counters that it may send (whatever its handoff), its output,
 * and what its readiness takes.
 */
unsigned check_worker_descriptors(const struct pool_spec *pool);

/*
 * Asks systemd about the unit of that name (NULL: the one that this process belongs to) and adds a
 * warning for each of its limits that the configuration does not fit into, with the numbers and the
 * remedy; says in summary (may be NULL) in a line what the limits are, or why they were not looked
 * at. Waits half a second at most.
 */
void check_unit(const struct config *config, const char *name, struct config_problems *problems,
		struct buf *summary);

#endif
