/* living.c - a worker that serves is asked again and again whether it is well. */
#include <errno.h>
#include <stdlib.h>

#include "base/parse.h"
#include "engine/ask.h"
#include "engine/events.h"
#include "engine/proc.h"

struct live {
	struct proc *proc;
	struct ask *ask;
	struct event *timer; /* the next question */
	unsigned failures;   /* in a row */
};

/* Numbers may have changed since it was started, without a new version of it. */
static const struct pool_spec *live_spec(const struct proc *proc)
{
	const struct version *current = proc->engine->pools[proc->ref.pool].current;

	return current != NULL && current->generation == proc->generation ? current->spec
									  : proc->version->spec;
}

/* xorshift64*: from 0 to n - 1. */
static usec_t live_random(struct engine *engine, usec_t n)
{
	uint64_t *seed = &engine->asks.seed;

	*seed ^= *seed >> 12;
	*seed ^= *seed << 25;
	*seed ^= *seed >> 27;
	return n > 0 ? (*seed * UINT64_C(0x2545f4914f6cdd1d) >> 1) % n : 0;
}

/* Workers that began together do not stay together: by up to a tenth earlier or later each time. */
static void live_again(struct live *live)
{
	usec_t interval = live_spec(live->proc)->live_interval;

	engine_arm(live->timer,
		   interval - interval / 10 + live_random(live->proc->engine, interval / 5));
}

static void live_well(struct live *live)
{
	if (live->failures > 0)
		log_notice("%s passes its liveness probe again", PROC_TEXT(live->proc));
	live->failures = 0;
	proc_set_probe_failure(live->proc, NULL);
	live_again(live);
}

static void live_ill(struct live *live, const char *text)
{
	struct proc *proc = live->proc;
	struct worker_ref ref = proc->ref;
	unsigned most = live_spec(proc)->live_failures;

	live->failures++;
	proc->engine->pools[ref.pool].probe_failures[PROBE_OF_LIVE]++;
	proc_set_probe_failure(proc, text);
	if (live->failures < most) {
		log_warning("%s failed its liveness probe (%u of %u): %s", PROC_TEXT(proc),
			    live->failures, most, text);
		live_again(live);
	} else {
		proc->live_failures = live->failures;
		engine_post_worker(proc->engine, &ref, WORKER_EVENT_NOT_LIVE, 0, false);
	}
}

static void live_answered(void *arg, bool passed, const char *text)
{
	struct live *live = arg;

	live->ask = NULL;
	if (passed)
		live_well(live);
	else
		live_ill(live, text);
}

static void live_time(evutil_socket_t fd, short what, void *arg)
{
	struct live *live = arg;
	struct proc *proc = live->proc;

	(void)fd;
	(void)what;
	live->ask = ask_begin(proc, &proc->version->spec->live, live_spec(proc)->live_timeout,
			      live_answered, live);
	if (live->ask == NULL)
		live_again(live);
}

/* The first question comes at any time within the interval: a thousand that begin to serve together
 * are not asked together. */
void live_start(struct proc *proc)
{
	struct engine *engine = proc->engine;
	struct live *live;

	if (proc->version->spec->live.kind == PROBE_KIND_NONE || proc->live != NULL ||
	    instance_is_stopping(engine->model))
		return;
	live = calloc(1, sizeof(*live));
	if (live != NULL)
		live->timer = evtimer_new(engine->base, live_time, live);
	if (live == NULL || live->timer == NULL) {
		free(live);
		log_error("%s: out of memory: it serves without liveness probes", PROC_TEXT(proc));
		return;
	}
	live->proc = proc;
	proc->live = live;
	engine_arm(live->timer, live_random(engine, live_spec(proc)->live_interval));
}

/* From the first moment of a stop on a health service says NOT_SERVING, as it should, and its
 * worker serves on. */
void live_stop_all(struct engine *engine)
{
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++)
		for (uint32_t n = 0; n < engine->pools[p].n_procs; n++)
			if (engine->pools[p].procs[n] != NULL)
				live_stop(engine->pools[p].procs[n]);
}

void live_stop(struct proc *proc)
{
	struct live *live = proc->live;

	if (live == NULL)
		return;
	ask_cancel(live->ask);
	event_free(live->timer);
	free(live);
	proc->live = NULL;
}
