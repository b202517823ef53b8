/* probing.c - ready = exec:CMD: the command runs until it succeeds; each run has its own time-out.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "engine/adapt.h"
#include "engine/launch.h"
#include "engine/proc.h"
#include "system/spawn.h"

#define PROBE_TIMEOUT (5 * USEC_PER_SEC)
#define PROBE_PAUSE   (200 * USEC_PER_MSEC)

struct probe {
	struct proc *proc;
	pid_t pid; /* 0: waits for the next run */
	int pidfd;
	struct event *exit_event;
	struct event *timer; /* end of this run's time, or beginning of the next run */
	char last[128];
};

static void probe_run(struct probe *probe);

static void probe_end_run(struct probe *probe)
{
	if (probe->exit_event != NULL)
		event_free(probe->exit_event);
	probe->exit_event = NULL;
	probe->pidfd = fd_close(probe->pidfd);
	pids_remove(probe->proc->engine, probe->pid);
	probe->pid = 0;
}

static void probe_again(struct probe *probe)
{
	probe_end_run(probe);
	engine_arm(probe->timer, PROBE_PAUSE);
}

static void probe_exited(evutil_socket_t fd, short what, void *arg)
{
	struct probe *probe = arg;
	struct reap_status status;

	(void)what;
	if (reap_peek(fd, &status) == 0)
		return;
	reap_kill_group(probe->pid);
	if (reap_collect(fd, &status) < 0)
		status = (struct reap_status){.code = 0};
	if (status.code != CLD_EXITED || status.value != 0) {
		reap_describe(&status, probe->last, sizeof(probe->last));
		probe_again(probe);
		return;
	}
	probe_end_run(probe);
	engine_arm(probe->timer, USEC_INFINITY);
	proc_ready(probe->proc);
}

static void probe_time(evutil_socket_t fd, short what, void *arg)
{
	struct probe *probe = arg;

	(void)fd;
	(void)what;
	if (probe->pid == 0) {
		probe_run(probe);
		return;
	}
	/* its end is noticed like any other */
	reap_kill_group(probe->pid);
	reap_signal(probe->pidfd, SIGKILL, 0);
}

/* The command sees its worker's environment, without what belongs to the worker's process alone. */
static char **probe_environment(const struct proc *proc)
{
	size_t places[2], n_places, n = 0;
	char **all = launch_environment(proc, places, &n_places);
	char **env;

	for (n = 0; all != NULL && all[n] != NULL; n++)
		;
	env = all != NULL ? calloc(n + 2, sizeof(*env)) : NULL;
	n = 0;
	for (size_t i = 0; env != NULL && all[i] != NULL; i++) {
		if (strncmp(all[i], "LISTEN_", 7) == 0 ||
		    strncmp(all[i], "NOTIFY_SOCKET=", 14) == 0 ||
		    strncmp(all[i], "WATCHDOG_", 9) == 0 || adapt_is_private(all[i]))
			continue;
		env[n++] = strdup(all[i]);
	}
	if (env != NULL && asprintf(&env[n], "HANDOVER_WORKER_PID=%d", (int)proc->pid) == -1)
		env[n] = NULL;
	launch_free_environment(all);
	return env;
}

static int probe_spawn(struct probe *probe, char **argv, char **env)
{
	const struct version *version = probe->proc->version;
	struct engine *engine = probe->proc->engine;
	cleanup_free char *path = NULL;
	struct spawn_error error = {0};
	struct spawn_spec spec = {
	    .argv = argv,
	    .env = env,
	    .stdin_fd = engine->null_fd,
	    .stdout_fd = engine->null_fd,
	    .stderr_fd = engine->null_fd,
	    .cgroup_fd = -1,
	    .directory = version->spec->working_directory,
	    .change_user = version->change_user,
	    .uid = version->uid,
	    .gid = version->gid,
	    .groups = version->groups,
	    .n_groups = version->n_groups,
	    .umask = version->spec->umask,
	};
	int r = spawn_resolve(argv[0], version->spec->working_directory, &path);

	if (r < 0)
		return r;
	spec.path = path;
	r = spawn_process(&spec, &probe->pid, &probe->pidfd, &error);
	return r == 0 ? pids_add(engine, probe->pid, probe->proc) : r;
}

static void probe_run(struct probe *probe)
{
	char **argv = launch_arguments(probe->proc, probe->proc->version->spec->ready_argv);
	char **env = probe_environment(probe->proc);
	int r = argv != NULL && env != NULL ? probe_spawn(probe, argv, env) : -ENOMEM;

	launch_free_environment(argv);
	launch_free_environment(env);
	if (r == 0) {
		probe->exit_event = event_new(probe->proc->engine->base, probe->pidfd,
					      EV_READ | EV_PERSIST, probe_exited, probe);
		if (probe->exit_event == NULL || event_add(probe->exit_event, NULL) == -1) {
			r = -ENOMEM;
		}
	}
	if (r < 0 && probe->pid > 0)
		reap_signal(probe->pidfd, SIGKILL,
			    0); /* not watched, so not to live; reaped as an orphan */
	if (r < 0) {
		snprintf(probe->last, sizeof(probe->last), "cannot be run: %s", strerror(-r));
		probe_again(probe);
		return;
	}
	engine_arm(probe->timer, PROBE_TIMEOUT);
}

int probe_start(struct proc *proc)
{
	struct probe *probe = calloc(1, sizeof(*probe));

	if (probe == NULL)
		return -ENOMEM;
	probe->proc = proc;
	probe->pidfd = -1;
	probe->timer = evtimer_new(proc->engine->base, probe_time, probe);
	if (probe->timer == NULL) {
		free(probe);
		return -ENOMEM;
	}
	proc->probe = probe;
	probe_run(probe);
	return 0;
}

void probe_stop(struct proc *proc)
{
	struct probe *probe = proc->probe;

	if (probe == NULL)
		return;
	if (proc->failure == NULL && probe->last[0] != '\0')
		proc->failure = strdup(probe->last); /* for the report */
	if (probe->pid > 0) {
		/* reaped as an orphan when it is gone */
		reap_kill_group(probe->pid);
		reap_signal(probe->pidfd, SIGKILL, 0);
	}
	probe_end_run(probe);
	event_free(probe->timer);
	free(probe);
	proc->probe = NULL;
}

const char *probe_last(const struct proc *proc)
{
	if (proc->probe == NULL)
		return proc->failure;
	return proc->probe->last[0] != '\0' ? proc->probe->last : NULL;
}
