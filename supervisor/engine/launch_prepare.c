/* launch_prepare.c - all that a start needs: exact environment, exact descriptors, limits. */
#include "engine/launch_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "engine/acks.h"
#include "engine/adapt.h"
#include "engine/cgroups.h"
#include "engine/output.h"
#include "engine/sockets.h"
#include "engine/stores.h"
#include "engine/versions.h"
#include "system/probe_socket.h"

struct launch *launch_new(struct proc *proc)
{
	struct launch *launch = calloc(1, sizeof(*launch));

	if (launch == NULL)
		return NULL;
	launch->proc = proc;
	launch->out = launch->err = launch->ready_read = launch->ready_write = -1;
	launch->ack = launch->probe = launch->cgroup = -1;
	launch->counted = true;
	proc->engine->launches++;
	return launch;
}

/* The child has its own; what it has not yet, spawn.c keeps for it. */
void launch_close(struct launch *launch)
{
	launch->out = fd_close(launch->out);
	launch->err = fd_close(launch->err);
	launch->ready_read = fd_close(launch->ready_read);
	launch->ready_write = fd_close(launch->ready_write);
	launch->ack = fd_close(launch->ack);
	launch->probe = fd_close(launch->probe);
	launch->cgroup = fd_close(launch->cgroup);
}

void launch_unwatch(struct launch *launch)
{
	if (launch->event != NULL)
		event_free(launch->event);
	launch->event = NULL;
}

/* The child has left our memory. The event goes before its descriptor: a child that has a copy of
 * that would keep it in the loop. */
void launch_forget(struct launch *launch)
{
	launch_unwatch(launch);
	if (launch->start != NULL)
		spawn_free(launch->start);
	launch->start = NULL;
}

void launch_free(struct launch *launch)
{
	if (launch->counted)
		launch->proc->engine->launches--;
	launch_close(launch);
	launch_forget(launch);
	launch_free_environment(launch->argv);
	launch_free_environment(launch->env);
	free(launch->fds);
	free(launch->numbers);
	free(launch);
}

/* The flag is shared by all holders, and servers rely on it: a worker that cleared it does not do
 * so to its successors. */
static void launch_unblock(const struct engine_socket *socket)
{
	int flags = fcntl(socket->listener.fd, F_GETFL);

	if (flags == -1 || (flags & O_NONBLOCK) != 0)
		return;
	if (fd_set_nonblock(socket->listener.fd) == 0)
		log_warning("socket %s: a worker had cleared O_NONBLOCK, which all of its workers "
			    "share; it is set again",
			    socket->name);
}

/* The socket on which a worker written for einhorn says that it is ready. */
static int launch_set_ack(struct launch *launch)
{
	const struct pool_spec *spec = launch->proc->version->spec;
	int ours, r;

	if ((spec->compat & COMPAT_EINHORN) == 0)
		return 0;
	r = acks_open(&ours, &launch->ack);
	if (r < 0)
		return r;
	launch->fds[launch->n_fds] = launch->ack;
	launch->numbers[launch->n_fds++] = adapt_ack_number(spec);
	return acks_watch(launch->proc, ours);
}

/* Behind the sockets: nobody else can reach it. */
static int launch_set_probe(struct launch *launch)
{
	struct proc *proc = launch->proc;
	int r;

	if (!config_has_probe_socket(proc->version->spec))
		return 0;
	r = probe_socket_open(proc->engine->runtime_dir, &launch->probe, &proc->probe_fd);
	if (r < 0)
		return r;
	proc->probe_fd = fd_park(proc->probe_fd);
	launch->fds[launch->n_fds] = launch->probe;
	launch->numbers[launch->n_fds] = 3 + (int)launch->n_fds;
	launch->n_fds++;
	return 0;
}

/* What the slot's former workers had kept. */
static void launch_set_stored(struct launch *launch, size_t stored)
{
	const char *name;

	for (size_t n = 0; n < stored; n++) {
		launch->fds[launch->n_fds] = stores_get(launch->proc, n, &name);
		launch->numbers[launch->n_fds] = 3 + (int)launch->n_fds;
		launch->n_fds++;
	}
}

/* Sockets from 3 on in the order of the configuration, what was kept behind them, and the ready
 * pipe where it was asked for. */
static int launch_set_descriptors(struct launch *launch)
{
	const struct version *version = launch->proc->version;
	const struct pool_spec *spec = version->spec;
	size_t stored = stores_count(launch->proc);
	int pipefd[2], r;

	/* and room for a probe socket, the ready pipe, an acknowledgement and a script */
	launch->fds = calloc(spec->n_sockets + stored + 4, sizeof(int));
	launch->numbers = calloc(spec->n_sockets + stored + 4, sizeof(int));
	if (launch->fds == NULL || launch->numbers == NULL)
		return -ENOMEM;
	for (size_t n = 0; n < launch_inherited(spec); n++) {
		const struct engine_socket *socket = sockets_of(version, n, launch->proc->slot);

		if (socket == NULL || socket->listener.fd < 0)
			return -ENOTCONN;
		launch_unblock(socket);
		launch->fds[n] = socket->listener.fd;
		launch->numbers[n] = 3 + (int)n;
	}
	launch->n_fds = launch_inherited(spec);
	r = launch_set_probe(launch);
	if (r == 0)
		launch_set_stored(launch, stored);
	if (r < 0 || spec->ready != READY_FD)
		return r;
	if (pipe2(pipefd, O_CLOEXEC) == -1)
		return -errno;
	launch->ready_read = pipefd[0];
	launch->ready_write = pipefd[1];
	launch->fds[launch->n_fds] = launch->ready_write;
	launch->numbers[launch->n_fds++] = spec->ready_fd;
	return fd_set_nonblock(launch->ready_read);
}

static size_t launch_set_limits(struct launch *launch)
{
	const struct pool_spec *spec = launch->proc->version->spec;
	rlim_t core = spec->limit_core == UINT64_MAX ? RLIM_INFINITY : (rlim_t)spec->limit_core;
	size_t n = 0;

	launch->limits[n] = (struct spawn_limit){RLIMIT_NOFILE, launch->proc->engine->nofile};
	if (spec->limit_nofile > 0)
		launch->limits[n].value = (struct rlimit){spec->limit_nofile, spec->limit_nofile};
	n++;
	if (spec->limit_core != CONFIG_LIMIT_UNSET)
		launch->limits[n++] = (struct spawn_limit){RLIMIT_CORE, {core, core}};
	return n;
}

int launch_prepare(struct launch *launch, char **ret_error)
{
	struct spawn_spec *spec = &launch->spec;
	struct proc *proc = launch->proc;
	const struct version *version = proc->version;
	const struct pool_spec *pool = version->spec;
	int r = notify_open(&proc->notify_fd, proc->notify_address);

	if (r < 0)
		return r;
	r = launch_set_descriptors(launch);
	if (r == 0)
		r = launch_set_ack(launch);
	if (r == 0)
		r = output_open(proc->engine, proc, pool, &launch->out, &launch->err, ret_error);
	if (r < 0)
		return r;
	launch->argv = launch_arguments(proc, pool->argv);
	/* it names the output's stream */
	launch->env = launch_environment(proc, launch->pid_variables, &spec->n_pid_variables);
	if (launch->argv == NULL || launch->env == NULL)
		return -ENOMEM;
	if (pool->oom_score_adj != CONFIG_UNSET)
		snprintf(launch->oom, sizeof(launch->oom), "%d", pool->oom_score_adj);
	r = launch_set_program(launch, ret_error);
	if (r < 0)
		return r;
	spec->argv = launch->argv;
	spec->env = launch->env;
	spec->pid_variables = launch->pid_variables;
	spec->fds = launch->fds;
	spec->fd_numbers = launch->numbers;
	spec->n_fds = launch->n_fds;
	spec->stdin_fd = proc->engine->null_fd;
	spec->stdout_fd = launch->out;
	spec->stderr_fd = launch->err;
	launch->cgroup = cgroups_enter(proc);
	spec->cgroup_fd = launch->cgroup;
	spec->memory_limited = launch->cgroup >= 0 && pool->memory_max != 0;
	spec->change_user = version->change_user;
	spec->uid = version->uid;
	spec->gid = version->gid;
	spec->groups = version->groups;
	spec->n_groups = version->n_groups;
	spec->umask = pool->umask;
	spec->set_nice = pool->nice != CONFIG_UNSET;
	spec->nice = pool->nice;
	spec->oom_score_adj = launch->oom[0] != '\0' ? launch->oom : NULL;
	spec->limits = launch->limits;
	spec->n_limits = launch_set_limits(launch);
	spec->new_session = true;
	return 0;
}
