/* worker_leaving.c - how a worker goes: drained, dumped, killed; the states in which it leaves. */
#include <signal.h>

#include "core/worker_internal.h"

void worker_kill(struct worker *worker, usec_t now, struct plan *plan)
{
	worker_set_state(worker, WORKER_KILLED, now, usec_add(now, WORKER_KILL_AGAIN), plan);
	worker_order(worker, ORDER_KILL, SIGKILL, 0, plan);
}

static void worker_dump(struct worker *worker, int sig, usec_t now, struct plan *plan)
{
	worker_set_state(worker, WORKER_DUMPING, now, usec_add(now, worker->timing.dump_timeout),
			 plan);
	worker_order(worker, ORDER_SIGNAL, sig, worker->timing.dump_timeout, plan);
}

/* The budget is spent, or was taken away. */
static void worker_escalate(struct worker *worker, usec_t now, struct plan *plan)
{
	if (worker->timing.dump_signal != 0)
		worker_dump(worker, worker->timing.dump_signal, now, plan);
	else
		worker_kill(worker, now, plan);
}

void worker_hang(struct worker *worker, enum end_reason reason, usec_t now, struct plan *plan)
{
	worker->reason = reason;
	worker_dump(worker, worker->timing.dump_signal != 0 ? worker->timing.dump_signal : SIGABRT,
		    now, plan);
}

void worker_drain(struct worker *worker, enum end_reason reason, usec_t budget, usec_t now,
		  struct plan *plan)
{
	worker->reason = reason;
	if (!worker->spawned) {
		worker_gone(worker, now, plan); /* nobody to tell */
		return;
	}
	worker_set_state(worker, WORKER_DRAINING, now, usec_add(now, budget), plan);
	worker->deadline_max = usec_add(worker->deadline, worker->timing.drain_extend_max);
	if (reason == END_OWN_WISH)
		return;
	worker->signalled = true;
	worker_order(worker, ORDER_SIGNAL, worker->timing.drain_signal, budget, plan);
}

void worker_extend(struct worker *worker, usec_t usec, usec_t now)
{
	usec_t wanted = usec_add(now, usec);

	if (wanted > worker->deadline_max)
		wanted = worker->deadline_max;
	if (wanted > worker->deadline)
		worker->deadline = wanted;
}

/* A second reason to go: the nearer end counts, and a worker that went by its own wish is told
 * after all. */
static void worker_drain_again(struct worker *worker, const struct worker_event *event, usec_t now,
			       struct plan *plan)
{
	usec_t deadline = usec_add(now, event->usec);

	if (deadline < worker->deadline)
		worker->deadline = deadline;
	if (usec_add(deadline, worker->timing.drain_extend_max) < worker->deadline_max)
		worker->deadline_max = usec_add(deadline, worker->timing.drain_extend_max);
	worker->reason = event->reason;
	if (worker->signalled)
		return;
	worker->signalled = true;
	worker_order(worker, ORDER_SIGNAL, worker->timing.drain_signal,
		     usec_sub(worker->deadline, now), plan);
}

void worker_step_draining(struct worker *worker, const struct worker_event *event, usec_t now,
			  struct plan *plan)
{
	switch (event->kind) {
	case WORKER_EVENT_EXITED:
		worker_gone(worker, now, plan);
		break;
	case WORKER_EVENT_EXTEND:
		worker_extend(worker, event->usec, now);
		break;
	case WORKER_EVENT_TIME:
		worker_escalate(worker, now, plan);
		break;
	case WORKER_EVENT_DRAIN:
		worker_drain_again(worker, event, now, plan);
		break;
	case WORKER_EVENT_KILL:
		worker->reason = event->reason;
		worker_kill(worker, now, plan);
		break;
	case WORKER_EVENT_SPAWNED:
	case WORKER_EVENT_EXECUTED:
	case WORKER_EVENT_SPAWN_FAILED:
	case WORKER_EVENT_READY:
	case WORKER_EVENT_RELEASE:
	case WORKER_EVENT_ANSWERS:
	case WORKER_EVENT_TELL:
	case WORKER_EVENT_ACCEPTING:
	case WORKER_EVENT_STOPPING:
	case WORKER_EVENT_PING:
	case WORKER_EVENT_TRIGGER:
	case WORKER_EVENT_NOT_LIVE:
	case WORKER_EVENT_SET_WATCHDOG:
		break;
	}
}

void worker_step_dumping(struct worker *worker, const struct worker_event *event, usec_t now,
			 struct plan *plan)
{
	switch (event->kind) {
	case WORKER_EVENT_EXITED:
		worker_gone(worker, now, plan);
		break;
	case WORKER_EVENT_TIME:
	case WORKER_EVENT_KILL:
		worker_kill(worker, now, plan);
		break;
	case WORKER_EVENT_DRAIN:
	case WORKER_EVENT_EXTEND:
	case WORKER_EVENT_SPAWNED:
	case WORKER_EVENT_EXECUTED:
	case WORKER_EVENT_SPAWN_FAILED:
	case WORKER_EVENT_READY:
	case WORKER_EVENT_RELEASE:
	case WORKER_EVENT_ANSWERS:
	case WORKER_EVENT_TELL:
	case WORKER_EVENT_ACCEPTING:
	case WORKER_EVENT_STOPPING:
	case WORKER_EVENT_PING:
	case WORKER_EVENT_TRIGGER:
	case WORKER_EVENT_NOT_LIVE:
	case WORKER_EVENT_SET_WATCHDOG:
		break;
	}
}

void worker_step_killed(struct worker *worker, const struct worker_event *event, usec_t now,
			struct plan *plan)
{
	switch (event->kind) {
	case WORKER_EVENT_EXITED:
		worker_gone(worker, now, plan);
		break;
	case WORKER_EVENT_TIME:
		worker_kill(worker, now, plan);
		break;
	case WORKER_EVENT_KILL:
	case WORKER_EVENT_DRAIN:
	case WORKER_EVENT_EXTEND:
	case WORKER_EVENT_SPAWNED:
	case WORKER_EVENT_EXECUTED:
	case WORKER_EVENT_SPAWN_FAILED:
	case WORKER_EVENT_READY:
	case WORKER_EVENT_RELEASE:
	case WORKER_EVENT_ANSWERS:
	case WORKER_EVENT_TELL:
	case WORKER_EVENT_ACCEPTING:
	case WORKER_EVENT_STOPPING:
	case WORKER_EVENT_PING:
	case WORKER_EVENT_TRIGGER:
	case WORKER_EVENT_NOT_LIVE:
	case WORKER_EVENT_SET_WATCHDOG:
		break;
	}
}
