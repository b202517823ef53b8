/* operator.c - what operators can do at any time, beside wishes: stop the instance, signal workers,
 * take it out of service. */
#include <errno.h>

#include "engine/events.h"
#include "engine/evidence.h"
#include "engine/manager.h"
#include "engine/proc.h"

static void operator_stop(struct engine *engine)
{
	engine_post(engine, &(struct core_event){.kind = EVENT_STOP});
}

void engine_stop(struct engine *engine, bool now, const char *by)
{
	events_tell(engine, HAPPENING("instance-stopping", LOG_LEVEL_NOTICE, .by = by),
		    now ? "stopping at once (%s): workers are killed" : "stopping (%s)", by);
	engine->stop_now |= now;
	if (now)
		engine_post(engine, &(struct core_event){.kind = EVENT_STOP_NOW});
	else if (!engine->stop_asked) {
		engine->stop_asked = true;
		manager_ask_stop(engine, operator_stop);
	}
}

int engine_signal(struct engine *engine, const char *pool, uint32_t slot, int sig, const char *by,
		  pid_t *pids, size_t max)
{
	const struct pool_runtime *runtime = engine_find_pool(engine, pool, NULL);
	size_t told = 0;

	if (runtime == NULL)
		return -ENOENT;
	for (uint32_t n = 0; n < runtime->n_procs && told < max; n++) {
		struct proc *proc = runtime->procs[n];

		if (proc == NULL || proc->ended || proc->pidfd < 0 ||
		    (slot != CORE_NONE && proc->slot != slot) ||
		    reap_signal(proc->pidfd, sig, 0) < 0)
			continue;
		log_notice("%s gets signal %d from %s", PROC_TEXT(proc), sig, by);
		evidence_signal(proc, sig, by);
		pids[told++] = proc->pid;
	}
	return told == 0 ? -ESRCH : (int)told;
}

void engine_set_out_of_service(struct engine *engine, bool on, const char *by)
{
	if (engine->out_of_service == on)
		return;
	engine->out_of_service = on;
	events_tell(engine, HAPPENING("out-of-service", LOG_LEVEL_NOTICE, .by = by),
		    on ? "out of service by %s: /readyz says so, workers serve on"
		       : "in service again by %s",
		    by);
	manager_changed(engine);
}
