/* ask_command.c - a command about a worker: well when it exits with 0. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/parse.h"
#include "engine/ask.h"
#include "engine/launch.h"
#include "engine/proc.h"

static void command_exited(evutil_socket_t fd, short what, void *arg)
{
	struct ask *ask = arg;
	struct reap_status status;
	char text[128];

	(void)what;
	if (reap_peek(fd, &status) == 0)
		return;
	reap_kill_group(ask->pid);
	if (reap_collect(fd, &status) < 0)
		status = (struct reap_status){.code = 0};
	pids_remove(ask->proc->engine, ask->pid);
	ask->pid = 0;
	event_del(ask->exit_event);
	ask_settle(ask, status.code == CLD_EXITED && status.value == 0, "%s",
		   reap_describe(&status, text, sizeof(text)));
}

static char **command_environment(const struct proc *proc)
{
	char **env = launch_command_environment(proc, 1);
	size_t n = 0;

	while (env != NULL && env[n] != NULL)
		n++;
	if (env != NULL && asprintf(&env[n], "HANDOVER_WORKER_PID=%d", (int)proc->pid) == -1)
		env[n] = NULL;
	return env;
}

static int command_spawn(struct ask *ask, char **argv, char **env)
{
	struct engine *engine = ask->proc->engine;
	int r = launch_command(engine, ask->proc->version, argv, env, engine->null_fd, &ask->pid,
			       &ask->pidfd);

	return r == 0 ? pids_add(engine, ask->pid, ask->proc) : r;
}

void ask_command_begin(struct ask *ask)
{
	char **argv = launch_arguments(ask->proc, ask->spec->argv);
	char **env = command_environment(ask->proc);
	int r = argv != NULL && env != NULL ? command_spawn(ask, argv, env) : -ENOMEM;

	launch_free_environment(argv);
	launch_free_environment(env);
	if (r == 0) {
		ask->exit_event = event_new(ask->proc->engine->base, ask->pidfd,
					    EV_READ | EV_PERSIST, command_exited, ask);
		if (ask->exit_event == NULL || event_add(ask->exit_event, NULL) == -1)
			r = -ENOMEM;
	}
	if (r < 0)
		ask_settle(ask, false, "cannot be run: %s", strerror(-r));
}

/* Its end is noticed like any other. */
void ask_command_late(struct ask *ask)
{
	reap_kill_group(ask->pid);
	reap_signal(ask->pidfd, SIGKILL, 0);
}

void ask_command_end(struct ask *ask)
{
	if (ask->pid > 0) {
		/* reaped as an orphan when it is gone */
		reap_kill_group(ask->pid);
		reap_signal(ask->pidfd, SIGKILL, 0);
		pids_remove(ask->proc->engine, ask->pid);
	}
	if (ask->exit_event != NULL)
		event_free(ask->exit_event);
	ask->exit_event = NULL;
	ask->pidfd = fd_close(ask->pidfd);
	ask->pid = 0;
}
