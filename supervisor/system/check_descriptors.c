/* check_descriptors.c - how many descriptors workers cost the master, and whether it may have so
 * many. */
#include <string.h>
#include <sys/resource.h>

#include "system/check.h"
#include "system/check_internal.h"

/* Where the journal takes it there is no pipe; but it may not be there. */
static unsigned output_pipes(const struct pool_spec *pool)
{
	const struct output_spec *out = &pool->stdout_to, *err = &pool->stderr_to;
	bool same = out->kind == err->kind &&
		    (out->kind != OUTPUT_FILE || strcmp(out->path, err->path) == 0);
	unsigned n = 0;

	n += out->kind != OUTPUT_INHERIT && out->kind != OUTPUT_NULL;
	n += err->kind != OUTPUT_INHERIT && err->kind != OUTPUT_NULL && !same;
	return n;
}

unsigned check_worker_descriptors(const struct pool_spec *pool)
{
	enum { PIDFD = 1, NOTIFY = 1, CHANNEL = 1, PAGE = 1 };
	/* a server that is asked: its probe socket, and a question over it */
	unsigned probe =
	    config_asks_server(pool) ? 2 : pool->ready == READY_FD || pool->ready == READY_PROBE;
	bool acks = (pool->compat & COMPAT_EINHORN) != 0;

	return PIDFD + NOTIFY + CHANNEL + PAGE + output_pipes(pool) + probe + acks;
}

void check_descriptors(const struct check *check)
{
	enum { OWN = 64 };
	const struct pool_spec *pool;
	unsigned long least, most, each;
	struct rlimit limit;
	size_t i;

	least = most = OWN;
	for (i = 0; i < check->config->n_sockets; i++)
		least = most += config_socket_count(check->config, &check->config->sockets[i]);
	for (i = 0; i < check->config->n_pools; i++) {
		pool = &check->config->pools[i];
		each = check_worker_descriptors(pool);
		least += each * (pool->workers + config_surge(pool, pool->workers));
		most += each * pool->max_processes;
		least += pool->workers * pool->fd_store_max;
		most += 2 * pool->workers * pool->fd_store_max; /* a rollout's own are added */
	}
	if (getrlimit(RLIMIT_NOFILE, &limit) == -1 || limit.rlim_max >= most)
		return;
	if (limit.rlim_max < least)
		config_problem_add(check->problems,
				   &(struct config_place){.file = check->config->path}, false,
				   "the workers and a rollout of them take %lu descriptors, but "
				   "the hard limit of open files is %lu; "
				   "raise it (LimitNOFILE= in the unit, ulimit -Hn)",
				   least, (unsigned long)limit.rlim_max);
	else
		config_problem_add(check->problems,
				   &(struct config_place){.file = check->config->path}, true,
				   "with max_processes in every pool up to %lu descriptors would "
				   "be in use, but the hard limit of "
				   "open files is %lu",
				   most, (unsigned long)limit.rlim_max);
}
