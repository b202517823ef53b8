/* launch.c - starting workers: exact environment, exact descriptors; in slices. */
#include "engine/launch.h"

#include <errno.h>
#include <fcntl.h>
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

/* ---- the environment ---- */

/* Hand-over variables, ours and those of other supervisors that may have started us: never passed
 * on as they are. */
static const char *const launch_removed[] = {
    "LISTEN_PID",    "LISTEN_FDS",   "LISTEN_FDNAMES", "LISTEN_PIDFDID",
    "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC",  "FDSTORE",
    "MAINPID",	     "NGINX",	     "FPM_SOCKETS",    "RUNTIME_DIRECTORY",
};
static const char *const launch_removed_prefixes[] = {
    "HANDOVER_", "SERVER_STARTER_", "EINHORN_",	  "GUNICORN_",
    "UNICORN_",	 "PUMA_INHERIT_",   "TABLEFLIP_",
};

static bool launch_is_removed(const char *variable)
{
	size_t len = strcspn(variable, "=");

	for (size_t n = 0; n < ARRAY_LEN(launch_removed); n++)
		if (strlen(launch_removed[n]) == len &&
		    memcmp(launch_removed[n], variable, len) == 0)
			return true;
	for (size_t n = 0; n < ARRAY_LEN(launch_removed_prefixes); n++)
		if (strncmp(launch_removed_prefixes[n], variable,
			    strlen(launch_removed_prefixes[n])) == 0)
			return true;
	return false;
}

struct launch_list {
	char **words;
	size_t n, size;
	bool failed;
};

/* Adds a string that is the list's from now on (NULL: memory was short), in the place of one with
 * the same name. */
static void launch_add(struct launch_list *list, char *word)
{
	size_t len = word != NULL ? strcspn(word, "=") : 0;

	if (word == NULL || list->n + 1 >= list->size) {
		list->failed = true;
		free(word);
		return;
	}
	for (size_t n = 0; n < list->n; n++)
		if (strncmp(list->words[n], word, len) == 0 && list->words[n][len] == '=') {
			free(list->words[n]);
			list->words[n] = word;
			return;
		}
	list->words[list->n++] = word;
}

static void launch_set(struct launch_list *list, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void launch_set(struct launch_list *list, const char *format, ...)
{
	char *word = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&word, format, args) == -1)
		word = NULL;
	va_end(args);
	launch_add(list, word);
}

static struct config_who launch_who(const struct proc *proc)
{
	return (struct config_who){
	    .instance = proc->engine->name,
	    .pool = proc->version->spec->name,
	    .slot = proc->slot,
	    .generation = proc->generation,
	};
}

static void launch_set_configured(struct launch_list *list, const struct proc *proc)
{
	const struct version *version = proc->version;
	struct config_who who = launch_who(proc);

	if (version->user_name != NULL) {
		launch_set(list, "HOME=%s", version->user_home != NULL ? version->user_home : "/");
		launch_set(list, "USER=%s", version->user_name);
		launch_set(list, "LOGNAME=%s", version->user_name);
	}
	for (size_t n = 0; n < version->n_file_env; n++)
		launch_add(list, strdup(version->file_env[n]));
	for (size_t n = 0; n < version->spec->n_environment; n++)
		launch_add(list, config_expand(version->spec->environment[n], &who));
}

/* Sockets that it is born with. */
static size_t launch_inherited(const struct pool_spec *spec)
{
	return spec->handoff == HANDOFF_INHERIT ? spec->n_sockets : 0;
}

static void launch_set_sockets(struct launch_list *list, const struct version *version)
{
	struct buf names = {0};

	if (launch_inherited(version->spec) == 0)
		return;
	for (size_t n = 0; n < version->spec->n_sockets; n++)
		buf_printf(&names, "%s%s", n > 0 ? ":" : "", version->spec->sockets[n]);
	launch_set(list, "LISTEN_FDS=%zu", version->spec->n_sockets);
	launch_set(list, "LISTEN_FDNAMES=%s", names.data);
	buf_free(&names);
}

static void launch_set_own(struct launch_list *list, const struct proc *proc)
{
	const struct pool_spec *spec = proc->version->spec;
	char stream[OUTPUT_STREAM_TEXT_MAX];

	launch_set_sockets(list, proc->version);
	if (output_journal_stream(proc, stream))
		launch_set(list, "JOURNAL_STREAM=%s", stream);
	launch_set(list, "NOTIFY_SOCKET=%s", proc->notify_address);
	if (spec->watchdog > 0)
		launch_set(list, "WATCHDOG_USEC=%llu", (unsigned long long)spec->watchdog);
	launch_set(list, "HANDOVER_INSTANCE=%s", proc->engine->name);
	launch_set(list, "HANDOVER_POOL=%s", spec->name);
	launch_set(list, "HANDOVER_SLOT=%u", proc->slot);
	launch_set(list, "HANDOVER_GENERATION=%u", proc->generation);
	launch_set(list, "HANDOVER_CHANNEL=%s/channel.sock", proc->engine->runtime_dir);
	if (spec->handoff == HANDOFF_CHANNEL) /* sockets will come: to be waited for */
		launch_set(list, "HANDOVER_HANDOFF=channel");
	launch_set(list, "HANDOVER_DRAIN_TIMEOUT_USEC=%llu",
		   (unsigned long long)spec->drain_timeout);
}

/* For workers that know nothing of us. */
static void launch_set_adapted(struct launch_list *list, const struct proc *proc)
{
	char **more = adapt_environment(proc, list->words);

	list->failed = list->failed || more == NULL;
	for (size_t n = 0; more != NULL && more[n] != NULL; n++)
		launch_add(list, more[n]);
	free(more);
}

/* The child writes its own pid behind the '='; it needs room for 10 digits and the NUL. */
static size_t launch_set_pid(struct launch_list *list, const char *name)
{
	launch_set(list, "%s=%s", name, "0123456789");
	return list->n - 1;
}

static int launch_begin(struct launch_list *list, size_t size)
{
	list->words = calloc(size, sizeof(char *));
	list->size = size;
	return list->words == NULL ? -ENOMEM : 0;
}

char **launch_environment(const struct proc *proc, size_t pid_variables[static 2],
			  size_t *ret_n_pid_variables)
{
	const struct version *version = proc->version;
	struct launch_list list = {0};
	size_t inherited = 0, n_pids = 0;

	while (environ != NULL && environ[inherited] != NULL)
		inherited++;
	if (launch_begin(&list, inherited + version->n_file_env + version->spec->n_environment +
				    24 + adapt_count(version->spec)) < 0)
		return NULL;
	for (size_t n = 0; n < inherited; n++)
		if (!launch_is_removed(environ[n]) && strchr(environ[n], '=') != NULL)
			list.words[list.n++] =
			    strdup(environ[n]); /* no look for doubles: ours has none */
	for (size_t n = 0; n < list.n; n++)
		list.failed = list.failed || list.words[n] == NULL;
	if (!list.failed) {
		launch_set_configured(&list, proc);
		launch_set_own(&list, proc);
		launch_set_adapted(&list, proc);
		if (launch_inherited(version->spec) > 0)
			pid_variables[n_pids++] = launch_set_pid(&list, "LISTEN_PID");
		if (version->spec->watchdog > 0)
			pid_variables[n_pids++] = launch_set_pid(&list, "WATCHDOG_PID");
	}
	if (list.failed) {
		launch_free_environment(list.words);
		return NULL;
	}
	*ret_n_pid_variables = n_pids;
	return list.words;
}

void launch_free_environment(char **environment)
{
	for (size_t n = 0; environment != NULL && environment[n] != NULL; n++)
		free(environment[n]);
	free(environment);
}

char **launch_arguments(const struct proc *proc, char *const *words)
{
	struct config_who who = launch_who(proc);
	size_t n = 0;
	char **copy;

	while (words[n] != NULL)
		n++;
	copy = calloc(n + 1, sizeof(*copy));
	for (size_t i = 0; copy != NULL && i < n; i++) {
		copy[i] = config_expand(words[i], &who);
		if (copy[i] == NULL) {
			launch_free_environment(copy);
			return NULL;
		}
	}
	return copy;
}

/* ---- one start ---- */

/* What is open for one start only. */
struct launch {
	struct proc *proc;
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

static void launch_done(struct launch *launch)
{
	fd_close(launch->out);
	fd_close(launch->err);
	fd_close(launch->ready_read);
	fd_close(launch->ready_write);
	fd_close(launch->ack);
	fd_close(launch->cgroup);
	launch_free_environment(launch->argv);
	launch_free_environment(launch->env);
	free(launch->fds);
	free(launch->numbers);
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

static int launch_prepare(struct launch *launch, struct spawn_spec *spec, char **ret_error)
{
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

/* A cgroup that cannot be joined (somebody removed it, say) is no reason to serve with a worker
 * less. */
static int launch_spawn(struct launch *launch, struct spawn_spec *spec, pid_t *ret_pid,
			int *ret_pidfd, struct spawn_error *ret_error)
{
	int r = spawn_process(spec, ret_pid, ret_pidfd, ret_error);

	if (r == 0 || ret_error->stage != SPAWN_STAGE_CGROUP)
		return r;
	log_warning("%s: cannot join its cgroup: %s; it starts without one, and without the "
		    "limits that need one",
		    PROC_TEXT(launch->proc), strerror(-r));
	cgroups_leave(launch->proc);
	spec->cgroup_fd = -1;
	return spawn_process(spec, ret_pid, ret_pidfd, ret_error);
}

static int launch_run(struct launch *launch)
{
	struct proc *proc = launch->proc;
	struct spawn_spec spec = {0};
	struct spawn_error error = {0};
	cleanup_free char *why = NULL;
	char text[512];
	pid_t pid;
	int pidfd;
	int r = launch_prepare(launch, &spec, &why);

	if (r < 0) {
		proc->failure = why != NULL ? TAKE_PTR(why) : strdup(strerror(-r));
		return r;
	}
	r = launch_spawn(launch, &spec, &pid, &pidfd, &error);
	if (r < 0) {
		proc->failure = strdup(spawn_describe_error(&spec, &error, text, sizeof(text)));
		return r;
	}
	r = proc_watch(proc, pid, pidfd);
	if (r == 0 && launch->ready_read >= 0)
		r = proc_watch_ready(proc, TAKE_FD(launch->ready_read));
	if (r < 0) {
		/* a process that we cannot watch must not live */
		proc_kill(proc);
		reap_collect(proc->pidfd, NULL);
		pids_remove(proc->engine, pid);
		proc->failure = strdup("out of memory");
		orphans_sweep_soon(proc->engine);
	}
	return r;
}

static void launch_started(struct engine *engine, struct proc *proc)
{
	struct worker_ref ref = proc->ref;

	engine->pools[ref.pool].starts++;
	events_tell(engine,
		    HAPPENING("worker-started", LOG_LEVEL_INFO, .pool = proc->version->spec->name,
			      .slot = proc->slot, .generation = proc->generation, .pid = proc->pid),
		    "%s started", PROC_TEXT(proc));
	engine_post_worker(engine, &ref, WORKER_EVENT_SPAWNED, 0, false);
	if (engine_find_proc(engine, &ref) == proc && proc->version->spec->ready == READY_EXEC)
		probe_start(proc);
}

static void launch_failed(struct engine *engine, struct proc *proc)
{
	struct worker_ref ref = proc->ref;

	proc->ended = true;
	cgroups_leave(proc);
	events_tell(engine,
		    HAPPENING("worker-start-failed", LOG_LEVEL_ERROR,
			      .pool = proc->version->spec->name, .slot = proc->slot,
			      .generation = proc->generation),
		    "%s cannot be started: %s", PROC_TEXT(proc),
		    proc->failure != NULL ? proc->failure : "out of memory");
	engine_post_worker(engine, &ref, WORKER_EVENT_SPAWN_FAILED, 0, false);
}

static void launch_one(struct engine *engine, const struct worker_ref *ref)
{
	struct pool_runtime *runtime = &engine->pools[ref->pool];
	const struct worker *worker = pool_worker(&engine->model->pools[ref->pool], ref);
	struct launch launch = {
	    .out = -1, .err = -1, .ready_read = -1, .ready_write = -1, .ack = -1, .cgroup = -1};
	struct version *version;
	struct proc *proc;
	int r;

	if (worker == NULL || worker->spawned)
		return; /* no longer wanted */
	version = version_of(runtime, worker->generation);
	proc = version != NULL ? proc_new(engine, ref, worker->slot, version) : NULL;
	if (proc == NULL) {
		log_error("pool %s slot %u: out of memory, cannot start its worker", runtime->name,
			  worker->slot);
		engine_post_worker(engine, ref, WORKER_EVENT_SPAWN_FAILED, 0, false);
		return;
	}
	runtime->procs[ref->index] = proc;
	launch.proc = proc;
	r = launch_run(&launch);
	launch_done(&launch);
	if (r < 0)
		launch_failed(engine, proc);
	else
		launch_started(engine, proc);
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

static void launch_some(struct engine *engine)
{
	usec_t until;

	if (engine->launching || engine->stepping || engine->spawn_n == 0)
		return;
	engine->launching = true;
	until = clock_now() + LAUNCH_SLICE;
	do {
		struct worker_ref ref = engine->spawns[engine->spawn_first++];

		if (engine->spawn_first == engine->spawn_n)
			engine->spawn_first = engine->spawn_n = 0;
		launch_one(engine, &ref);
	} while (engine->spawn_n > 0 && clock_now() < until);
	engine->launching = false;
	engine_arm(engine->slice, engine->spawn_n > 0 ? 0 : USEC_INFINITY);
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
