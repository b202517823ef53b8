/* probing.c - a worker that starts is asked until it answers as it should. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/ask.h"
#include "engine/proc.h"

/* Between two questions: most servers start at once, and those that do not are not worn down. */
#define PROBE_PAUSE_FIRST (100 * USEC_PER_MSEC)
#define PROBE_PAUSE_MOST  USEC_PER_SEC

struct probe {
	struct proc *proc;
	struct ask *ask;
	struct event *timer; /* the next question */
	usec_t pause;
};

void proc_set_probe_failure(struct proc *proc, const char *text)
{
	free(proc->probe_failure);
	proc->probe_failure = text != NULL ? strdup(text) : NULL;
}

static void probe_again(struct probe *probe)
{
	engine_arm(probe->timer, probe->pause);
	probe->pause *= 2;
	if (probe->pause > PROBE_PAUSE_MOST)
		probe->pause = PROBE_PAUSE_MOST;
}

static void probe_answered(void *arg, bool passed, const char *text)
{
	struct probe *probe = arg;

	probe->ask = NULL;
	if (!passed)
		probe->proc->engine->pools[probe->proc->ref.pool].probe_failures[PROBE_OF_READY]++;
	proc_set_probe_failure(probe->proc, passed ? NULL : text);
	if (passed)
		proc_ready(probe->proc);
	else
		probe_again(probe);
}

static void probe_ask(struct probe *probe)
{
	const struct pool_spec *spec = probe->proc->version->spec;

	probe->ask =
	    ask_begin(probe->proc, &spec->ready_probe, spec->probe_timeout, probe_answered, probe);
	if (probe->ask == NULL)
		probe_again(probe);
}

static void probe_time(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	probe_ask(arg);
}

int probe_start(struct proc *proc)
{
	struct probe *probe = calloc(1, sizeof(*probe));

	if (probe == NULL)
		return -ENOMEM;
	*probe = (struct probe){.proc = proc, .pause = PROBE_PAUSE_FIRST};
	probe->timer = evtimer_new(proc->engine->base, probe_time, probe);
	if (probe->timer == NULL) {
		free(probe);
		return -ENOMEM;
	}
	proc->probe = probe;
	probe_ask(probe);
	return 0;
}

void probe_stop(struct proc *proc)
{
	struct probe *probe = proc->probe;

	if (probe == NULL)
		return;
	ask_cancel(probe->ask);
	event_free(probe->timer);
	free(probe);
	proc->probe = NULL;
}
