/* launch.c - starting workers: exact environment, exact descriptors; in slices, and without waiting
 * for any of them. */
#include "engine/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "engine/acks.h"
#include "engine/adapt.h"
#include "engine/cgroups.h"
#include "engine/events.h"
#include "engine/output.h"
#include "engine/proc.h"
#include "engine/versions.h"
#include "system/spawn.h"

/* A turn of the loop spends no more than this on starting: the next one belongs to everybody. */
#define LAUNCH_SLICE (3 * USEC_PER_MSEC)
/* Starts on their way at once: each takes descriptors and memory until its program runs. */
enum {
	LAUNCH_MOST = 64,
	/* what one takes while others are on their way, beside a duplicate of each socket; and some
	 * for everybody else */
	LAUNCH_FDS = 32,
	LAUNCH_DROP_MS = 500, /* to wait for the end of one that we had to kill */
};

/* ---- one start ---- */

/* What is there for one start only, from its preparation until its program runs. */
struct launch {
	struct proc *proc;
	struct spawn_spec spec;
	struct spawn_start *start; /* NULL: not begun, or its result is known */
	struct event *event;	   /* something is known of it */
	struct spawn_error error;  /* stage SPAWN_STAGE_NONE: none */
	char **argv, **env;
	size_t pid_variables[2];
	int out, err;
	int ready_read, ready_write;
	int ack; /* the worker's end */
	int cgroup;
	int *fds, *numbers;
	size_t n_fds;
	char oom[16];
	struct spawn_limit limits[2];
};

static struct launch *launch_new(struct proc *proc)
{
	struct launch *launch = calloc(1, sizeof(*launch));

	if (launch == NULL)
		return NULL;
	launch->proc = proc;
	launch->out = launch->err = launch->ready_read = launch->ready_write = -1;
	launch->ack = launch->cgroup = -1;
	return launch;
}

/* The child has its own; what it has not yet, spawn.c keeps for it. */
static void launch_close(struct launch *launch)
{
	launch->out = fd_close(launch->out);
	launch->err = fd_close(launch->err);
	launch->ready_read = fd_close(launch->ready_read);
	launch->ready_write = fd_close(launch->ready_write);
	launch->ack = fd_close(launch->ack);
	launch->cgroup = fd_close(launch->cgroup);
}

/* The child has left our memory. The event goes before its descriptor: a child that has a copy of
 * that would keep it in the loop. */
static void launch_forget(struct launch *launch)
{
	if (launch->event != NULL)
		event_free(launch->event);
	launch->event = NULL;
	if (launch->start != NULL)
		spawn_free(launch->start);
	launch->start = NULL;
}

static void launch_free(struct launch *launch)
{
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

/* Sockets from 3 on in the order of the configuration, and the ready pipe where it was asked for.
 */
static int launch_set_descriptors(struct launch *launch)
{
	const struct version *version = launch->proc->version;
	const struct pool_spec *spec = version->spec;
	int pipefd[2];

	launch->fds = calloc(spec->n_sockets + 2, sizeof(int));
	launch->numbers = calloc(spec->n_sockets + 2, sizeof(int));
	if (launch->fds == NULL || launch->numbers == NULL)
		return -ENOMEM;
	for (size_t n = 0; n < launch_inherited(spec); n++) {
		if (version->sockets[n]->listener.fd < 0)
			return -ENOTCONN;
		launch_unblock(version->sockets[n]);
		launch->fds[n] = version->sockets[n]->listener.fd;
		launch->numbers[n] = 3 + (int)n;
	}
	launch->n_fds = launch_inherited(spec);
	if (spec->ready != READY_FD)
		return 0;
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

static int launch_prepare(struct launch *launch, char **ret_error)
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
	spec->path = version->path;
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
	spec->directory = pool->working_directory;
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

/* ---- what becomes of it ---- */

/* One that is told to go before that ends without a word of its start: nobody wants it any more. */
static void launch_started(struct engine *engine, struct proc *proc)
{
	struct worker_ref ref = proc->ref;

	if (proc->leaving_at != 0)
		return;
	events_tell(engine,
		    HAPPENING("worker-started", LOG_LEVEL_INFO, .pool = proc->version->spec->name,
			      .slot = proc->slot, .generation = proc->generation, .pid = proc->pid),
		    "%s started", PROC_TEXT(proc));
	engine_post_worker(engine, &ref, WORKER_EVENT_EXECUTED, 0, false);
	if (engine_find_proc(engine, &ref) == proc && proc->version->spec->ready == READY_EXEC &&
	    !proc->ended)
		probe_start(proc);
}

static void launch_failed(struct engine *engine, struct proc *proc)
{
	struct worker_ref ref = proc->ref;

	proc->ended = true;
	proc->pid = 0; /* as if there had never been one */
	cgroups_leave(proc);
	events_tell(engine,
		    HAPPENING("worker-start-failed", LOG_LEVEL_ERROR,
			      .pool = proc->version->spec->name, .slot = proc->slot,
			      .generation = proc->generation),
		    "%s cannot be started: %s", PROC_TEXT(proc),
		    proc->failure != NULL ? proc->failure : "out of memory");
	engine_post_worker(engine, &ref, WORKER_EVENT_SPAWN_FAILED, 0, false);
}

static void launch_set_failure(struct proc *proc, const struct launch *launch)
{
	char text[512];

	free(proc->failure);
	proc->failure =
	    strdup(spawn_describe_error(&launch->spec, &launch->error, text, sizeof(text)));
}

/* Its program runs, or has ended without us having seen it run: either way its start is over. */
static void launch_done(struct proc *proc)
{
	launch_free(proc->launch);
	proc->launch = NULL;
	proc->engine->launches--;
}

void launch_look(struct proc *proc)
{
	struct engine *engine = proc->engine;
	struct launch *launch = proc->launch;
	int r;

	if (launch == NULL || launch->start == NULL)
		return;
	r = spawn_look(launch->start, &launch->error);
	if (r == -EINPROGRESS)
		return;
	if (r < 0 && launch->error.stage == SPAWN_STAGE_CGROUP)
		return; /* begun once more when it has ended, which is now */
	launch_forget(launch);
	if (r < 0)
		return; /* told when it has ended, which is now */
	launch_done(proc);
	launch_started(engine, proc);
	launch_waiting(engine);
}

static void launch_progress(evutil_socket_t fd, short what, void *arg)
{
	struct proc *proc = arg;

	(void)fd;
	(void)what;
	if (!engine_turn_is_long(proc->engine))
		launch_look(proc);
}

bool launch_has_failed(struct proc *proc, bool leaving)
{
	struct engine *engine = proc->engine;
	struct launch *launch;

	launch_look(proc);
	launch = proc->launch;
	if (launch == NULL)
		return false;
	if (launch->error.error == ECANCELED)
		launch->error.signal = proc->exit.value;
	launch_set_failure(proc, launch);
	launch_done(proc);
	if (!leaving)
		launch_failed(engine, proc);
	launch_waiting(engine);
	return !leaving;
}

/* A cgroup that cannot be joined (somebody removed it, say) is no reason to serve with a worker
 * less. */
static void launch_leave_cgroup(struct launch *launch)
{
	log_warning("%s: cannot join its cgroup: %s; it starts without one, and without the "
		    "limits that need one",
		    PROC_TEXT(launch->proc), strerror(launch->error.error));
	cgroups_leave(launch->proc);
	launch->error = (struct spawn_error){.stage = SPAWN_STAGE_NONE};
}

/* SIGKILL takes a moment, and until then the child has our memory. One that is stuck in the kernel
 * keeps its own part of it. */
void launch_drop(struct proc *proc)
{
	struct launch *launch = proc->launch;
	struct pollfd pollfd = {.fd = proc->pidfd, .events = POLLIN};

	if (launch == NULL)
		return;
	if (launch->start != NULL) {
		proc_kill(proc);
		poll(&pollfd, 1, LAUNCH_DROP_MS);
		reap_collect(proc->pidfd, NULL);
		if (spawn_look(launch->start, &launch->error) == -EINPROGRESS)
			return;
	}
	launch_done(proc);
}

/* A process that we cannot watch must not live. */
static void launch_abandon(struct proc *proc)
{
	struct engine *engine = proc->engine;
	pid_t pid = proc->pid;

	launch_drop(proc);
	pids_remove(engine, pid);
	free(proc->failure);
	proc->failure = strdup("out of memory");
	orphans_sweep_soon(engine);
}

bool launch_again(struct proc *proc)
{
	struct engine *engine = proc->engine;
	struct launch *launch;
	pid_t pid;
	int pidfd;

	launch_look(proc);
	launch = proc->launch;
	if (launch == NULL || launch->error.stage != SPAWN_STAGE_CGROUP ||
	    launch->error.error == ECANCELED)
		return false;
	proc_unwatch(proc);
	launch_leave_cgroup(launch);
	if (spawn_again(launch->start, &pid, &pidfd) < 0) {
		spawn_look(launch->start, &launch->error);
		launch_set_failure(proc, launch);
		launch_done(proc);
	} else if (proc_watch(proc, pid, pidfd) < 0) {
		launch_abandon(proc);
	} else {
		return true;
	}
	launch_failed(engine, proc);
	launch_waiting(engine);
	return true;
}

static int launch_watch(struct launch *launch, pid_t pid, int pidfd)
{
	struct proc *proc = launch->proc;
	int r = proc_watch(proc, pid, pidfd);

	if (r == 0 && launch->ready_read >= 0)
		r = proc_watch_ready(proc, TAKE_FD(launch->ready_read));
	if (r < 0)
		return r;
	if (spawn_fd(launch->start) < 0)
		return 0; /* it is known already */
	launch->event = event_new(proc->engine->base, spawn_fd(launch->start), EV_READ | EV_PERSIST,
				  launch_progress, proc);
	return launch->event != NULL && event_add(launch->event, NULL) == 0 ? 0 : -ENOMEM;
}

static int launch_begin(struct launch *launch, pid_t *ret_pid, int *ret_pidfd)
{
	struct spawn_spec *spec = &launch->spec;
	int r = spawn_begin(spec, &launch->start, ret_pid, ret_pidfd, &launch->error);

	if (r == 0 || launch->error.stage != SPAWN_STAGE_CGROUP)
		return r;
	launch_leave_cgroup(launch);
	spec->cgroup_fd = -1;
	return spawn_begin(spec, &launch->start, ret_pid, ret_pidfd, &launch->error);
}

static int launch_run(struct launch *launch)
{
	struct proc *proc = launch->proc;
	cleanup_free char *why = NULL;
	pid_t pid;
	int pidfd;
	int r = launch_prepare(launch, &why);

	if (r < 0) {
		proc->failure = why != NULL ? TAKE_PTR(why) : strdup(strerror(-r));
		return r;
	}
	r = launch_begin(launch, &pid, &pidfd);
	if (r < 0) {
		launch_set_failure(proc, launch);
		return r;
	}
	r = launch_watch(launch, pid, pidfd);
	if (r < 0)
		launch_abandon(proc);
	return r;
}

static void launch_one(struct engine *engine, const struct worker_ref *ref)
{
	struct pool_runtime *runtime = &engine->pools[ref->pool];
	const struct worker *worker = pool_worker(&engine->model->pools[ref->pool], ref);
	struct launch *launch = NULL;
	struct version *version;
	struct proc *proc;

	if (worker == NULL || worker->spawned)
		return; /* no longer wanted */
	version = version_of(runtime, worker->generation);
	proc = version != NULL ? proc_new(engine, ref, worker->slot, version) : NULL;
	if (proc != NULL)
		launch = launch_new(proc);
	if (launch == NULL) {
		proc_free(proc);
		log_error("pool %s slot %u: out of memory, cannot start its worker", runtime->name,
			  worker->slot);
		engine_post_worker(engine, ref, WORKER_EVENT_SPAWN_FAILED, 0, false);
		return;
	}
	runtime->procs[ref->index] = proc;
	proc->launch = launch;
	engine->launches++;
	if (launch_run(launch) < 0) {
		launch_drop(proc);
		launch_failed(engine, proc);
		return;
	}
	launch_close(launch);
	runtime->starts++;
	engine_post_worker(engine, ref, WORKER_EVENT_SPAWNED, 0, false);
	if (engine_find_proc(engine, ref) == proc && proc->launch != NULL &&
	    proc->launch->event == NULL)
		launch_look(proc);
}

/* ---- the queue ---- */

void launch_queue(struct engine *engine, const struct worker_ref *ref)
{
	if (engine->spawn_n == engine->spawn_size) {
		size_t size = engine->spawn_size == 0 ? 64 : 2 * engine->spawn_size;
		struct worker_ref *bigger = realloc(engine->spawns, size * sizeof(*bigger));

		if (bigger == NULL) {
			log_error("out of memory: a worker of pool %s waits for its start, trying "
				  "again at its start_timeout",
				  engine->pools[ref->pool].name);
			return;
		}
		engine->spawns = bigger;
		engine->spawn_size = size;
	}
	engine->spawns[engine->spawn_n++] = *ref;
}

/*
 * May the next one begin? Near RLIMIT_NOFILE fewer are on their way at once: what is short because
 * of the others is no reason to fail, but to wait for them. With none on its way it may always.
 */
static bool launch_may(const struct engine *engine)
{
	const struct version *version = NULL;
	const struct worker_ref *ref;
	const struct worker *worker;
	unsigned needed = LAUNCH_FDS;

	if (engine->spawn_n == 0 || engine->launches >= LAUNCH_MOST)
		return false;
	if (engine->launches == 0)
		return true;
	ref = &engine->spawns[engine->spawn_first];
	worker = pool_worker(&engine->model->pools[ref->pool], ref);
	if (worker != NULL)
		version = version_of(&engine->pools[ref->pool], worker->generation);
	if (version != NULL)
		needed += (unsigned)launch_inherited(version->spec);
	return fd_count_free(needed) == needed;
}

static void launch_some(struct engine *engine)
{
	usec_t until;
	bool more;

	if (engine->launching || engine->stepping || !launch_may(engine))
		return;
	engine->launching = true;
	until = clock_now() + LAUNCH_SLICE;
	do {
		struct worker_ref ref = engine->spawns[engine->spawn_first++];

		if (engine->spawn_first == engine->spawn_n)
			engine->spawn_first = engine->spawn_n = 0;
		launch_one(engine, &ref);
		more = launch_may(engine);
	} while (more && clock_now() < until);
	engine->launching = false;
	/* where as many as may be are on their way, the next that is done goes on */
	engine_arm(engine->slice, more ? 0 : USEC_INFINITY);
}

/* Called after each fact, of which a turn of the loop may have hundreds: only one of them starts
 * workers. */
void launch_waiting(struct engine *engine)
{
	if (!evtimer_pending(engine->slice, NULL))
		launch_some(engine);
}

void launch_slice(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	launch_some(arg);
}
