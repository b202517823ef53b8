/* pool_slots.c - the slots of a pool: who is in them, and what follows when somebody is lost. */
#include "core/pool.h"

#include <assert.h>

#include "core/backoff.h"

/* No room for a restart is rare, and passes: look again this much later. */
#define POOL_ROOM_RETRY (100 * USEC_PER_MSEC)
/* A clean end after at least this long is a worker's way to renew itself, not the beginning of a
 * loop. */
#define POOL_RENEWAL_MIN USEC_PER_SEC

static void pool_tell_slot(const struct pool *pool, uint32_t s, enum order_kind kind, usec_t usec,
			   struct plan *plan)
{
	struct order order = {
	    .kind = kind,
	    .pool = pool->index,
	    .slot = s,
	    .generation = pool->generation,
	    .count = pool->slots[s].crashes,
	    .usec = usec,
	};

	plan_add(plan, &order);
}

void pool_slot_forgive(struct pool *pool, uint32_t s)
{
	struct slot *slot = &pool->slots[s];

	if (slot->looping)
		pool->looping--;
	slot->looping = false;
	slot->crashes = 0;
}

void pool_slot_restored(struct pool *pool, uint32_t s)
{
	if (pool->slots[s].restoring)
		pool->restoring--;
	pool->slots[s].restoring = false;
}

void pool_slot_filled(struct pool *pool, uint32_t s)
{
	if (pool->slots[s].emptied)
		pool->emptied--;
	pool->slots[s].emptied = false;
}

void pool_set_size(struct pool *pool, uint32_t size)
{
	assert(size <= pool->capacity);
	for (uint32_t s = pool->size; s < size; s++) {
		pool->slots[s] = (struct slot){
		    .current = CORE_NONE,
		    .next = CORE_NONE,
		    .leaving = CORE_NONE,
		    .restart_at = USEC_INFINITY,
		};
	}
	for (uint32_t s = size; s < pool->size; s++)
		pool->served -= pool->slots[s].served;
	pool->size = size;
}

void pool_leave_slot(struct pool *pool, uint32_t s, enum end_reason reason, usec_t now,
		     struct plan *plan)
{
	struct slot *slot = &pool->slots[s];
	uint32_t current = slot->current, next = slot->next;

	slot->current = slot->next = slot->leaving = CORE_NONE;
	pool_slot_schedule(pool, s, USEC_INFINITY);
	pool_slot_forgive(pool, s);
	pool_slot_restored(pool, s);
	pool_slot_filled(pool, s);
	if (current != CORE_NONE)
		pool_drain_worker(pool, current, reason, now, plan);
	if (next != CORE_NONE)
		pool_drain_worker(pool, next, reason, now, plan);
}

void pool_promote(struct pool *pool, uint32_t s, enum end_reason reason, usec_t now,
		  struct plan *plan)
{
	struct slot *slot = &pool->slots[s];
	uint32_t old = slot->current;

	slot->current = slot->next;
	slot->next = CORE_NONE;
	pool_slot_schedule(pool, s, USEC_INFINITY);
	pool_slot_forgive(pool, s);
	pool_slot_restored(pool, s);
	pool_slot_filled(pool, s);
	if (old != CORE_NONE)
		pool_drain_worker(pool, old, reason, now, plan);
}

void pool_slot_start(struct pool *pool, uint32_t s, usec_t now, struct plan *plan)
{
	struct slot *slot = &pool->slots[s];
	uint32_t w = pool_take_worker(pool, s, pool->generation, &pool->params, now, plan);

	if (w == CORE_NONE) {
		pool_slot_schedule(pool, s, usec_add(now, POOL_ROOM_RETRY));
		return;
	}
	pool_slot_schedule(pool, s, USEC_INFINITY);
	if (slot->current == CORE_NONE)
		slot->current = w;
	else
		slot->next = w;
}

void pool_fill(struct pool *pool, usec_t now, struct plan *plan)
{
	if (pool->state != POOL_ACTIVE || pool->params.restart != CORE_RESTART_ALWAYS)
		return;
	for (uint32_t s = 0; s < pool->size; s++)
		if (pool->slots[s].current == CORE_NONE && pool->slots[s].leaving == CORE_NONE &&
		    pool->slots[s].restart_at == USEC_INFINITY)
			pool_slot_start(pool, s, now, plan);
}

/* ---- one after the other, where there is no room for two ---- */

void pool_empty_slot(struct pool *pool, uint32_t s, enum end_reason reason, usec_t now,
		     struct plan *plan)
{
	struct slot *slot = &pool->slots[s];
	uint32_t current = slot->current;

	if (!slot->emptied)
		pool->emptied++;
	slot->emptied = true;
	slot->current = CORE_NONE;
	pool_slot_schedule(pool, s, USEC_INFINITY);
	pool_slot_restored(pool, s);
	pool_drain_worker(pool, current, reason, now, plan);
	if (worker_is_live(&pool->workers[current]))
		slot->leaving = current;
}

void pool_slot_vacated(struct pool *pool, uint32_t s, usec_t now, struct plan *plan)
{
	const struct rollout *rollout = &pool->rollout;
	struct slot *slot = &pool->slots[s];

	slot->leaving = CORE_NONE;
	if (rollout->state == ROLLOUT_STARTING && s >= rollout->cursor && s < rollout->batch_end)
		return; /* for its successor: rollout_seek_room() */
	if (pool->state == POOL_ACTIVE && slot->current == CORE_NONE &&
	    slot->restart_at == USEC_INFINITY)
		pool_slot_start(pool, s, now, plan);
}

uint32_t pool_restoring_beside(const struct pool *pool)
{
	uint32_t count = 0;

	for (uint32_t s = 0; pool->restoring > 0 && s < pool->size; s++)
		count += pool->slots[s].restoring && pool->slots[s].next != CORE_NONE;
	return count;
}

uint32_t pool_going_back(const struct pool *pool)
{
	return pool->restoring + (pool->rollout.state == ROLLOUT_NONE ? pool->emptied : 0);
}

/* Slot s is put back now, if the limits allow one more. */
static bool pool_restore_slot(struct pool *pool, uint32_t s, uint32_t beside, usec_t now,
			      struct plan *plan)
{
	if (pool->params.max_surge > 0) {
		if (beside >= pool->params.max_surge)
			return false;
	} else {
		if (pool->emptied >= pool->params.max_unavailable)
			return false;
		pool_empty_slot(pool, s, END_UNDO, now, plan);
		if (pool->slots[s].leaving != CORE_NONE)
			return true;
	}
	pool_slot_start(pool, s, now, plan);
	return true;
}

void pool_restore_more(struct pool *pool, usec_t now, struct plan *plan)
{
	uint32_t beside = pool_restoring_beside(pool);

	pool->restores = false;
	if (pool->restoring == 0 || pool->state != POOL_ACTIVE)
		return;
	for (uint32_t s = 0; s < pool->size && !pool->restores; s++) {
		const struct slot *slot = &pool->slots[s];

		if (!slot->restoring || slot->next != CORE_NONE ||
		    slot->restart_at != USEC_INFINITY)
			continue;
		if (pool_restore_slot(pool, s, beside, now, plan))
			beside++;
		else
			pool->restores = true;
	}
}

/* Too many crashes in a row: say so once, and do what the configuration wants. */
static void pool_slot_loops(struct pool *pool, uint32_t s, usec_t now, struct plan *plan)
{
	struct slot *slot = &pool->slots[s];

	if (slot->crashes < pool->params.crash_loop_after)
		return;
	if (!slot->looping) {
		slot->looping = true;
		pool->looping++;
		pool_tell_slot(pool, s, ORDER_CRASH_LOOP, 0, plan);
	}
	/* a rollout may be the cure, and a slot that is put back is still served: no reason to give
	 * up yet; the next crash asks again */
	if (pool->rollout.state != ROLLOUT_NONE || slot->restoring)
		return;
	switch (pool->params.on_crash_loop) {
	case CORE_CRASH_LOOP_RETRY:
		break;
	case CORE_CRASH_LOOP_STOP_POOL:
		pool_drain_all(pool, POOL_STOPPED, END_CRASH_LOOP, now, plan);
		break;
	case CORE_CRASH_LOOP_EXIT:
		pool->give_up = true;
		break;
	}
}

static bool pool_wants_restart(const struct pool *pool, uint32_t s, bool clean)
{
	if (pool->slots[s].restoring ||
	    pool->slots[s].emptied) /* a promise of the undo, whatever the policy */
		return true;
	switch (pool->params.restart) {
	case CORE_RESTART_ALWAYS:
		return true;
	case CORE_RESTART_ON_FAILURE:
		return !clean;
	case CORE_RESTART_NEVER:
		return false;
	}
	return true;
}

void pool_slot_crashed(struct pool *pool, uint32_t s, bool clean, usec_t served, usec_t now,
		       struct plan *plan)
{
	struct slot *slot = &pool->slots[s];
	usec_t delay = 0;

	if (pool->state != POOL_ACTIVE)
		return;
	if (served > 0 && served >= pool->params.restart_reset)
		pool_slot_forgive(pool, s);
	if (!pool_wants_restart(pool, s, clean)) {
		pool_tell_slot(pool, s, ORDER_SLOT_WAITS, USEC_INFINITY, plan);
		pool_slot_schedule(pool, s, USEC_INFINITY);
		return;
	}
	slot->restarts++;
	if (!clean || served < POOL_RENEWAL_MIN) {
		slot->crashes++;
		delay = backoff_delay(&pool->params, slot->crashes, &pool->seed);
		pool_slot_loops(pool, s, now, plan);
		if (pool->state != POOL_ACTIVE)
			return;
		if (slot->looping && delay < pool->params.restart_delay_max / 2)
			delay = pool->params.restart_delay_max;
	}
	pool_tell_slot(pool, s, ORDER_SLOT_WAITS, delay, plan);
	if (delay == 0)
		pool_slot_start(pool, s, now, plan);
	else
		pool_slot_schedule(pool, s, usec_add(now, delay));
}

void pool_slot_time(struct pool *pool, uint32_t s, usec_t now, struct plan *plan)
{
	struct slot *slot = &pool->slots[s];

	pool_slot_schedule(pool, s, USEC_INFINITY);
	if (s >= pool->size || pool->state != POOL_ACTIVE)
		return;
	if (slot->current == CORE_NONE || (slot->restoring && slot->next == CORE_NONE)) {
		pool_slot_start(pool, s, now, plan);
		return;
	}
	if (slot->looping)
		pool_tell_slot(pool, s, ORDER_RECOVERED, 0, plan);
	pool_slot_forgive(pool, s);
}
