/* types.c - names of the core's words, and the plan. */
#include "core/types.h"

#include <assert.h>

void plan_add(struct plan *plan, const struct order *order)
{
	assert(plan->n < plan->size);
	plan->orders[plan->n++] = *order;
}

const char *worker_state_name(enum worker_state state)
{
	switch (state) {
	case WORKER_GONE:
		return "gone";
	case WORKER_STARTING:
		return "starting";
	case WORKER_HELD:
		return "held";
	case WORKER_SERVING:
		return "serving";
	case WORKER_DRAINING:
		return "draining";
	case WORKER_DUMPING:
		return "dumping";
	case WORKER_KILLED:
		return "killed";
	}
	return "?";
}

const char *end_reason_name(enum end_reason reason)
{
	switch (reason) {
	case END_NONE:
		return "";
	case END_RELOAD:
		return "reload";
	case END_RESTART:
		return "restart";
	case END_SCALE:
		return "scale";
	case END_REMOVED:
		return "pool removed";
	case END_UNDO:
		return "failed reload";
	case END_STOP:
		return "stop";
	case END_CRASH_LOOP:
		return "crash loop";
	case END_START_TIMEOUT:
		return "not ready in time";
	case END_WATCHDOG:
		return "watchdog";
	case END_NOT_LIVE:
		return "liveness";
	case END_OWN_WISH:
		return "own wish";
	}
	return "?";
}

const char *cause_name(enum cause cause)
{
	switch (cause) {
	case CAUSE_NONE:
		return "none";
	case CAUSE_PREPARE:
		return "preparation";
	case CAUSE_SPAWN:
		return "could not be started";
	case CAUSE_EXITED:
		return "ended";
	case CAUSE_NOT_READY:
		return "not ready in time";
	case CAUSE_WATCHDOG:
		return "hangs";
	case CAUSE_NOT_LIVE:
		return "fails its liveness probe";
	case CAUSE_OWN_WISH:
		return "stopped by itself";
	case CAUSE_STILL_DRAINS:
		return "still drains";
	case CAUSE_NOT_TAKEN:
		return "has not taken its sockets";
	case CAUSE_NO_PROGRESS:
		return "no progress";
	case CAUSE_CHECK:
		return "check failed";
	case CAUSE_CHECK_TIMEOUT:
		return "check timed out";
	case CAUSE_HOLD_TIMEOUT:
		return "not decided in time";
	case CAUSE_ABORTED:
		return "aborted";
	case CAUSE_CALLER_GONE:
		return "caller gone";
	case CAUSE_STOPPING:
		return "stopping";
	}
	return "?";
}
