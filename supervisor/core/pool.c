/* pool.c - slots and the workers in them. */
#include "core/pool.h"

#include "core/rollout.h"

/* Timers handled in one step: bounds the plan and the time of a step. */
#define POOL_TIMERS_PER_STEP 256

/* ---- timers ---- */

static void pool_arm_worker(struct pool *pool, const struct worker *worker)
{
	timers_set(&pool->timers, 2 * worker->ref.index, worker_deadline(worker));
}

void pool_slot_schedule(struct pool *pool, uint32_t s, usec_t at)
{
	pool->slots[s].restart_at = at;
	timers_set(&pool->timers, 2 * s + 1, at);
}

usec_t pool_deadline(const struct pool *pool)
{
	usec_t first = timers_first(&pool->timers, NULL);

	return pool->rollout.deadline < first ? pool->rollout.deadline : first;
}

/* ---- workers ---- */

struct worker *pool_worker(struct pool *pool, const struct worker_ref *ref)
{
	struct worker *worker;

	if (ref->index >= pool->capacity)
		return NULL;
	worker = &pool->workers[ref->index];
	return worker->ref.serial == ref->serial && worker_is_live(worker) ? worker : NULL;
}

uint32_t pool_take_worker(struct pool *pool, uint32_t s, uint32_t generation,
			  const struct pool_params *params, usec_t now, struct plan *plan)
{
	uint32_t w = pool->free;

	if (pool->live >= pool->max_processes)
		return CORE_NONE;
	if (w == CORE_NONE) {
		pool->starved = true;
		return CORE_NONE;
	}
	pool->free = pool->workers[w].next_free;
	pool->live++;
	pool->counts[WORKER_STARTING]++;
	worker_begin(&pool->workers[w], s, generation, params, now, plan);
	pool_arm_worker(pool, &pool->workers[w]);
	return w;
}

/* Lets the state machine have the event, and keeps count, timer and entry in step with it. Returns
 * the former state. */
static enum worker_state pool_apply(struct pool *pool, struct worker *worker,
				    const struct worker_event *event, usec_t now, struct plan *plan)
{
	enum worker_state from = worker->state;

	worker_step(worker, event, now, plan);
	pool_arm_worker(pool, worker);
	if (worker->state == from)
		return from;
	pool->counts[from]--;
	pool->counts[worker->state]++;
	if (from == WORKER_STARTING || from == WORKER_HELD || from == WORKER_SERVING)
		worker->epoch = pool->epoch;
	if (worker->state == WORKER_GONE) {
		pool->counts[WORKER_GONE] = 0;
		pool->live--;
		pool_free_entry(pool, worker->ref.index);
	}
	return from;
}

void pool_drain_worker(struct pool *pool, uint32_t w, enum end_reason reason, usec_t now,
		       struct plan *plan)
{
	struct worker *worker = &pool->workers[w], before = *worker;
	struct worker_event event = {
	    .kind = WORKER_EVENT_DRAIN,
	    .reason = reason,
	    .usec = reason == END_STOP ? worker->timing.stop_timeout : worker->timing.drain_timeout,
	};

	pool_apply(pool, worker, &event, now, plan);
	if (before.asked) /* nobody waits for the answer of one that we let go ourselves */
		rollout_worker_answered(pool, &before.ref, CAUSE_NONE);
}

static enum cause pool_cause_of(const struct worker *worker, const struct worker_event *event)
{
	if (event->kind == WORKER_EVENT_SPAWN_FAILED)
		return CAUSE_SPAWN;
	switch (worker->reason) {
	case END_START_TIMEOUT:
		return CAUSE_NOT_READY;
	case END_WATCHDOG:
		return CAUSE_WATCHDOG;
	case END_NOT_LIVE:
		return CAUSE_NOT_LIVE;
	case END_OWN_WISH:
		return CAUSE_OWN_WISH;
	case END_NONE:
	case END_RELOAD:
	case END_RESTART:
	case END_SCALE:
	case END_REMOVED:
	case END_UNDO:
	case END_STOP:
	case END_CRASH_LOOP:
		return CAUSE_EXITED;
	}
	return CAUSE_EXITED;
}

/* Why it is no longer asked whether it has taken other sockets. */
static enum cause pool_answer_of(const struct worker *worker, const struct worker_event *event)
{
	return event->kind == WORKER_EVENT_ACCEPTING ? CAUSE_NONE : pool_cause_of(worker, event);
}

/* The worker of slot s ended, hangs, was not ready in time or goes by its own wish: it no longer
 * counts here. */
static void pool_slot_lost(struct pool *pool, uint32_t s, const struct worker *worker,
			   const struct worker_event *event, usec_t served, usec_t now,
			   struct plan *plan)
{
	struct slot *slot = &pool->slots[s];
	bool successor = slot->next == worker->ref.index;
	bool clean = event->clean || worker->reason == END_OWN_WISH;

	if (successor)
		slot->next = CORE_NONE;
	else
		slot->current = CORE_NONE;
	if (rollout_covers(pool, s, successor)) {
		rollout_fail(pool, pool_cause_of(worker, event), &worker->ref);
		return;
	}
	if (!successor && slot->restoring) {
		/* the failed version's last worker is gone: what is on the way takes the slot */
		pool_slot_restored(pool, s);
		slot->current = slot->next;
		slot->next = CORE_NONE;
		if (slot->current != CORE_NONE || slot->restart_at != USEC_INFINITY)
			return;
	}
	pool_slot_crashed(pool, s, clean, served, now, plan);
}

void pool_check_ready(struct pool *pool, struct plan *plan)
{
	if (pool->ready_once || pool->size == 0 || pool->served < pool->size)
		return;
	pool->ready_once = true;
	plan_add(plan, &(struct order){.kind = ORDER_POOL_READY, .pool = pool->index});
}

static void pool_slot_serves(struct pool *pool, uint32_t s, const struct worker *worker, usec_t now,
			     struct plan *plan)
{
	struct slot *slot = &pool->slots[s];

	if (!slot->served) {
		slot->served = true;
		pool->served++;
		pool_check_ready(pool, plan);
	}
	if (slot->next == worker->ref.index) {
		if (slot->restoring)
			pool_promote(pool, s, END_UNDO, now, plan);
		else
			rollout_worker_ready(pool, s, now, plan);
	} else {
		pool_slot_filled(pool, s);
		if (slot->crashes > 0)
			pool_slot_schedule(pool, s, usec_add(now, pool->params.restart_reset));
	}
}

/* One of a batch waits for the others; any other has nobody to wait for. */
static void pool_slot_holds(struct pool *pool, uint32_t s, struct worker *worker, usec_t now,
			    struct plan *plan)
{
	const struct slot *slot = &pool->slots[s];

	if (slot->next != worker->ref.index || slot->restoring ||
	    !rollout_worker_ready(pool, s, now, plan))
		pool_release(pool, worker->ref.index, now, plan);
}

void pool_release(struct pool *pool, uint32_t w, usec_t now, struct plan *plan)
{
	static const struct worker_event release = {.kind = WORKER_EVENT_RELEASE};

	if (pool->workers[w].state == WORKER_HELD)
		pool_worker_step(pool, &pool->workers[w], &release, now, plan);
}

void pool_worker_step(struct pool *pool, struct worker *worker, const struct worker_event *event,
		      usec_t now, struct plan *plan)
{
	usec_t served = worker->state == WORKER_SERVING ? usec_sub(now, worker->since) : 0;
	struct worker before = *worker;
	enum worker_state from = pool_apply(pool, worker, event, now, plan);
	uint32_t s = worker->slot;

	before.reason = worker->reason;
	if (before.asked && !worker->asked)
		rollout_worker_answered(pool, &before.ref, pool_answer_of(&before, event));
	if (worker->state == from || s >= pool->size)
		return;
	if (worker->state == WORKER_GONE && pool->slots[s].leaving == before.ref.index) {
		pool_slot_vacated(pool, s, now, plan);
		return;
	}
	if (pool->slots[s].current != before.ref.index && pool->slots[s].next != before.ref.index)
		return; /* who leaves has no slot any more */
	if (worker->state == WORKER_SERVING)
		pool_slot_serves(pool, s, worker, now, plan);
	else if (worker->state == WORKER_HELD)
		pool_slot_holds(pool, s, worker, now, plan);
	else
		pool_slot_lost(pool, s, &before, event, served, now, plan);
}

void pool_time(struct pool *pool, usec_t now, struct plan *plan)
{
	static const struct worker_event time = {.kind = WORKER_EVENT_TIME};
	uint32_t id;

	for (int n = 0; n < POOL_TIMERS_PER_STEP && timers_first(&pool->timers, &id) <= now; n++) {
		if (id % 2 == 0)
			pool_worker_step(pool, &pool->workers[id / 2], &time, now, plan);
		else
			pool_slot_time(pool, id / 2, now, plan);
	}
}

/* ---- the pool as a whole ---- */

void pool_open(struct pool *pool, uint64_t seed)
{
	pool->state = POOL_ACTIVE;
	pool->params = (struct pool_params){0};
	pool->generation = pool->last_generation = 0;
	pool->max_processes = 0;
	pool->served = 0;
	pool->ready_once = false;
	pool->give_up = pool->restores = false;
	pool->seed = seed | 1;
	pool->rollout = (struct rollout){.state = ROLLOUT_NONE, .deadline = USEC_INFINITY};
}

void pool_start(struct pool *pool, const struct pool_params *params, usec_t now, struct plan *plan)
{
	pool->params = *params;
	pool->max_processes = params->max_processes;
	pool->generation = ++pool->last_generation;
	pool_set_size(pool, params->workers);
	for (uint32_t s = 0; s < pool->size; s++)
		pool_slot_start(pool, s, now, plan);
}

void pool_drain_all(struct pool *pool, enum pool_state to, enum end_reason reason, usec_t now,
		    struct plan *plan)
{
	pool->state = to;
	pool->rollout.state = ROLLOUT_NONE;
	pool->rollout.deadline = USEC_INFINITY;
	for (uint32_t s = 0; s < pool->size; s++)
		pool_leave_slot(pool, s, reason, now, plan);
	if (reason == END_STOP) /* those that drain already have no longer than the rest */
		for (uint32_t w = 0; w < pool->capacity; w++)
			if (worker_is_leaving(&pool->workers[w]) &&
			    pool->workers[w].reason != END_STOP)
				pool_drain_worker(pool, w, reason, now, plan);
}

void pool_kill_all(struct pool *pool, enum pool_state to, enum end_reason reason, usec_t now,
		   struct plan *plan)
{
	struct worker_event event = {.kind = WORKER_EVENT_KILL, .reason = reason};

	pool->state = to;
	for (uint32_t s = 0; s < pool->size; s++) {
		pool->slots[s].current = pool->slots[s].next = CORE_NONE;
		pool->slots[s].leaving = CORE_NONE;
		pool_slot_schedule(pool, s, USEC_INFINITY);
		pool_slot_forgive(pool, s);
		pool_slot_restored(pool, s);
		pool_slot_filled(pool, s);
	}
	pool->rollout.state = ROLLOUT_NONE;
	pool->rollout.deadline = USEC_INFINITY;
	for (uint32_t w = 0; w < pool->capacity; w++)
		if (worker_is_live(&pool->workers[w]))
			pool_apply(pool, &pool->workers[w], &event, now, plan);
}

void pool_update(struct pool *pool, const struct pool_params *params)
{
	pool->params = *params;
	pool->max_processes = params->max_processes;
	for (uint32_t w = 0; w < pool->capacity; w++)
		if (worker_is_live(&pool->workers[w]) && !worker_is_leaving(&pool->workers[w]) &&
		    pool->workers[w].generation == pool->generation)
			worker_timing_update(&pool->workers[w].timing, params);
}
