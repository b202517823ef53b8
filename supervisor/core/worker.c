/* worker.c - one worker's life: a function per state, a switch over the events in each, and no
 * default. Those of one that leaves are in worker_leaving.c. */
#include "core/worker.h"

#include "core/worker_internal.h"

void worker_timing_set(struct worker_timing *timing, const struct pool_params *params)
{
	*timing = (struct worker_timing){
	    .start_timeout = params->start_timeout,
	    .start_extend_max = params->progress_timeout,
	    .ready_delay = params->ready_delay,
	    .drain_timeout = params->drain_timeout,
	    .stop_timeout = params->stop_timeout,
	    .drain_extend_max = params->drain_extend_max,
	    .dump_timeout = params->dump_timeout,
	    .watchdog = params->watchdog,
	    .drain_signal = params->drain_signal,
	    .dump_signal = params->dump_signal,
	    .held = params->held,
	};
}

void worker_timing_update(struct worker_timing *timing, const struct pool_params *params)
{
	timing->drain_timeout = params->drain_timeout;
	timing->stop_timeout = params->stop_timeout;
	timing->drain_extend_max = params->drain_extend_max;
	timing->dump_timeout = params->dump_timeout;
	timing->drain_signal = params->drain_signal;
	timing->dump_signal = params->dump_signal;
}

bool worker_is_live(const struct worker *worker)
{
	return worker->state != WORKER_GONE;
}

bool worker_is_leaving(const struct worker *worker)
{
	return worker->state == WORKER_DRAINING || worker->state == WORKER_DUMPING ||
	       worker->state == WORKER_KILLED;
}

usec_t worker_deadline(const struct worker *worker)
{
	if (worker->state == WORKER_SERVING)
		return worker->watchdog_at;
	if (worker->state == WORKER_HELD && worker->watchdog_at < worker->deadline)
		return worker->watchdog_at;
	return worker->state == WORKER_GONE ? USEC_INFINITY : worker->deadline;
}

void worker_set_state(struct worker *worker, enum worker_state to, usec_t now, usec_t deadline,
		      struct plan *plan)
{
	struct order order = {
	    .kind = ORDER_STATE,
	    .worker = worker->ref,
	    .pool = worker->ref.pool,
	    .slot = worker->slot,
	    .generation = worker->generation,
	    .from = worker->state,
	    .to = to,
	    .reason = worker->reason,
	    .usec = usec_sub(deadline, now),
	};

	worker->state = to;
	worker->since = now;
	worker->deadline = deadline;
	worker->deadline_max = deadline;
	worker->watchdog_at = USEC_INFINITY;
	worker->asked = false;
	plan_add(plan, &order);
}

void worker_order(const struct worker *worker, enum order_kind kind, int sig, usec_t left,
		  struct plan *plan)
{
	struct order order = {
	    .kind = kind,
	    .worker = worker->ref,
	    .pool = worker->ref.pool,
	    .slot = worker->slot,
	    .generation = worker->generation,
	    .sig = sig,
	    .value = left / USEC_PER_MSEC > INT32_MAX ? INT32_MAX : (int)(left / USEC_PER_MSEC),
	};

	plan_add(plan, &order);
}

void worker_begin(struct worker *worker, uint32_t slot, uint32_t generation,
		  const struct pool_params *params, usec_t now, struct plan *plan)
{
	worker->ref.serial++;
	worker->slot = slot;
	worker->generation = generation;
	worker->reason = END_NONE;
	worker->spawned = worker->delayed = worker->signalled = false;
	worker->answers = worker->released = false;
	worker_timing_set(&worker->timing, params);
	worker_set_state(worker, WORKER_STARTING, now, usec_add(now, params->start_timeout), plan);
	worker_order(worker, ORDER_SPAWN, 0, 0, plan);
}

void worker_gone(struct worker *worker, usec_t now, struct plan *plan)
{
	worker_set_state(worker, WORKER_GONE, now, USEC_INFINITY, plan);
}

static void worker_serve(struct worker *worker, usec_t now, struct plan *plan)
{
	worker_set_state(worker, WORKER_SERVING, now, USEC_INFINITY, plan);
	if (worker->timing.watchdog > 0)
		worker->watchdog_at = usec_add(now, worker->timing.watchdog);
}

/* Ready; without its sockets it can take its time, but must be alive. */
static void worker_be_ready(struct worker *worker, usec_t now, struct plan *plan)
{
	if (!worker->timing.held) {
		worker_serve(worker, now, plan);
		return;
	}
	worker_set_state(worker, WORKER_HELD, now, USEC_INFINITY, plan);
	if (worker->timing.watchdog > 0)
		worker->watchdog_at = usec_add(now, worker->timing.watchdog);
}

/* Who says when it has taken them is waited for, but not longer than for a start. */
static void worker_release(struct worker *worker, usec_t now, struct plan *plan)
{
	worker->released = true;
	if (worker->answers)
		worker->deadline = usec_add(now, worker->timing.start_timeout);
	else
		worker_serve(worker, now, plan);
	worker_order(worker, ORDER_SEND_SOCKETS, 0, 0, plan);
}

static void worker_tell(struct worker *worker, struct plan *plan)
{
	worker->asked = true;
	worker_order(worker, ORDER_SEND_SOCKETS, 0, 0, plan);
	plan->orders[plan->n - 1].next = true;
}

static void worker_step_starting(struct worker *worker, const struct worker_event *event,
				 usec_t now, struct plan *plan)
{
	bool by_delay = worker->timing.ready_delay != USEC_INFINITY;

	switch (event->kind) {
	case WORKER_EVENT_SPAWNED:
		worker->spawned = true;
		worker->since = now;
		worker->deadline = usec_add(now, worker->timing.start_timeout);
		worker->deadline_max = usec_add(now, worker->timing.start_extend_max);
		break;
	case WORKER_EVENT_EXECUTED:
		if (!worker->spawned || !by_delay)
			break;
		worker->delayed = true;
		worker->since = now;
		worker->deadline = usec_add(now, worker->timing.ready_delay);
		break;
	case WORKER_EVENT_READY:
		if (worker->spawned)
			worker_be_ready(worker, now, plan);
		break;
	case WORKER_EVENT_SPAWN_FAILED:
	case WORKER_EVENT_EXITED:
		worker_gone(worker, now, plan);
		break;
	case WORKER_EVENT_STOPPING:
		if (worker->spawned)
			worker_drain(worker, END_OWN_WISH, worker->timing.drain_timeout, now, plan);
		break;
	case WORKER_EVENT_EXTEND:
		if (worker->spawned && !by_delay)
			worker_extend(worker, event->usec, now);
		break;
	case WORKER_EVENT_TRIGGER:
		if (worker->spawned)
			worker_hang(worker, END_WATCHDOG, now, plan);
		break;
	case WORKER_EVENT_SET_WATCHDOG:
		worker->timing.watchdog = event->usec;
		break;
	case WORKER_EVENT_TIME:
		if (!worker
			 ->spawned) /* the order to start it still waits; its time has not begun */
			worker->deadline = usec_add(now, worker->timing.start_timeout);
		else if (worker->delayed)
			worker_be_ready(worker, now, plan);
		else
			worker_drain(worker, END_START_TIMEOUT, worker->timing.drain_timeout, now,
				     plan);
		break;
	case WORKER_EVENT_DRAIN:
		worker_drain(worker, event->reason, event->usec, now, plan);
		break;
	case WORKER_EVENT_KILL:
		worker->reason = event->reason;
		if (worker->spawned)
			worker_kill(worker, now, plan);
		else
			worker_gone(worker, now, plan);
		break;
	case WORKER_EVENT_PING:
	case WORKER_EVENT_NOT_LIVE:
	case WORKER_EVENT_RELEASE:
	case WORKER_EVENT_TELL:
	case WORKER_EVENT_ACCEPTING:
	case WORKER_EVENT_ANSWERS:
		break;
	}
}

static void worker_step_serving(struct worker *worker, const struct worker_event *event, usec_t now,
				struct plan *plan)
{
	switch (event->kind) {
	case WORKER_EVENT_EXITED:
		worker_gone(worker, now, plan);
		break;
	case WORKER_EVENT_STOPPING:
		worker_drain(worker, END_OWN_WISH, worker->timing.drain_timeout, now, plan);
		break;
	case WORKER_EVENT_SET_WATCHDOG:
		worker->timing.watchdog = event->usec;
		worker->watchdog_at = event->usec > 0 ? usec_add(now, event->usec) : USEC_INFINITY;
		break;
	case WORKER_EVENT_PING:
		if (worker->timing.watchdog > 0)
			worker->watchdog_at = usec_add(now, worker->timing.watchdog);
		break;
	case WORKER_EVENT_TRIGGER:
	case WORKER_EVENT_TIME:
		worker_hang(worker, END_WATCHDOG, now, plan);
		break;
	case WORKER_EVENT_NOT_LIVE:
		if (worker->state == WORKER_SERVING)
			worker_hang(worker, END_NOT_LIVE, now, plan);
		break;
	case WORKER_EVENT_DRAIN:
		worker_drain(worker, event->reason, event->usec, now, plan);
		break;
	case WORKER_EVENT_KILL:
		worker->reason = event->reason;
		worker_kill(worker, now, plan);
		break;
	case WORKER_EVENT_TELL:
		worker_tell(worker, plan);
		break;
	case WORKER_EVENT_ACCEPTING:
		worker->asked = false;
		break;
	case WORKER_EVENT_SPAWNED:
	case WORKER_EVENT_EXECUTED:
	case WORKER_EVENT_SPAWN_FAILED:
	case WORKER_EVENT_READY:
	case WORKER_EVENT_ANSWERS:
	case WORKER_EVENT_RELEASE:
	case WORKER_EVENT_EXTEND:
		break;
	}
}

static void worker_held_too_long(struct worker *worker, usec_t now, struct plan *plan)
{
	if (worker->released && worker->watchdog_at > now)
		worker_drain(worker, END_START_TIMEOUT, worker->timing.drain_timeout, now, plan);
	else
		worker_hang(worker, END_WATCHDOG, now, plan);
}

/* It lives by the rules of one that serves, and waits for its sockets or is asked whether it has
 * them. */
static void worker_step_held(struct worker *worker, const struct worker_event *event, usec_t now,
			     struct plan *plan)
{
	switch (event->kind) {
	case WORKER_EVENT_RELEASE:
		if (!worker->released)
			worker_release(worker, now, plan);
		break;
	case WORKER_EVENT_ACCEPTING:
		if (worker->released)
			worker_serve(worker, now, plan);
		break;
	case WORKER_EVENT_TIME:
		worker_held_too_long(worker, now, plan);
		break;
	case WORKER_EVENT_TELL:
		break;
	case WORKER_EVENT_EXITED:
	case WORKER_EVENT_STOPPING:
	case WORKER_EVENT_SET_WATCHDOG:
	case WORKER_EVENT_PING:
	case WORKER_EVENT_TRIGGER:
	case WORKER_EVENT_NOT_LIVE:
	case WORKER_EVENT_DRAIN:
	case WORKER_EVENT_KILL:
	case WORKER_EVENT_SPAWNED:
	case WORKER_EVENT_EXECUTED:
	case WORKER_EVENT_SPAWN_FAILED:
	case WORKER_EVENT_READY:
	case WORKER_EVENT_ANSWERS:
	case WORKER_EVENT_EXTEND:
		worker_step_serving(worker, event, now, plan);
		break;
	}
}

void worker_step(struct worker *worker, const struct worker_event *event, usec_t now,
		 struct plan *plan)
{
	if (event->kind == WORKER_EVENT_ANSWERS)
		worker->answers = true;
	switch (worker->state) {
	case WORKER_GONE:
		break; /* whatever is said of it is late */
	case WORKER_STARTING:
		worker_step_starting(worker, event, now, plan);
		break;
	case WORKER_HELD:
		worker_step_held(worker, event, now, plan);
		break;
	case WORKER_SERVING:
		worker_step_serving(worker, event, now, plan);
		break;
	case WORKER_DRAINING:
		worker_step_draining(worker, event, now, plan);
		break;
	case WORKER_DUMPING:
		worker_step_dumping(worker, event, now, plan);
		break;
	case WORKER_KILLED:
		worker_step_killed(worker, event, now, plan);
		break;
	}
}
