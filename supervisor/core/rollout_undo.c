/* rollout_undo.c - a rollout that failed: what was there before it serves again. */
#include "core/rollout_internal.h"

void rollout_shrink(struct pool *pool, uint32_t size, enum end_reason reason, usec_t now,
		    struct plan *plan)
{
	for (uint32_t s = size; s < pool->size; s++)
		pool_leave_slot(pool, s, reason, now, plan);
	if (size < pool->size)
		pool_set_size(pool, size);
	pool_check_ready(pool, plan);
}

/*
 * The old worker of slot s ended by itself, or had to go first, while its successor, ready already,
 * waited for others: the successor stays until the old version is back. Is it so?
 */
static bool rollout_successor_holds(const struct pool *pool, uint32_t s)
{
	const struct slot *slot = &pool->slots[s];

	if (slot->next == CORE_NONE || pool->workers[slot->next].state != WORKER_SERVING)
		return false;
	return slot->current == CORE_NONE ? slot->emptied || slot->restart_at != USEC_INFINITY
					  : pool->workers[slot->current].state != WORKER_SERVING;
}

static void rollout_swap(struct pool *pool, uint32_t s)
{
	struct slot *slot = &pool->slots[s];
	uint32_t next = slot->next;

	slot->next = slot->current;
	slot->current = next;
	slot->restoring = true;
	pool->restoring++;
	pool_slot_filled(pool, s);
	if (pool->params.max_surge == 0)
		pool_slot_schedule(pool, s, USEC_INFINITY); /* not beside it */
}

/* Nobody serves in slot s, and somebody of the committed version shall: now, or when the one that
 * leaves is gone. */
static void rollout_refill_slot(struct pool *pool, uint32_t s, usec_t now, struct plan *plan)
{
	struct slot *slot = &pool->slots[s];

	if (pool->params.max_surge > 0)
		slot->leaving = CORE_NONE; /* there may be two */
	if (slot->leaving != CORE_NONE)
		pool_slot_schedule(pool, s, USEC_INFINITY); /* not before */
	else if (slot->restart_at == USEC_INFINITY)
		pool_slot_start(pool, s, now, plan);
}

/*
 * Slot s was there before the rollout: back to the committed version, without a moment in which
 * nobody serves in it. The generation decides, not this rollout's progress: an earlier failure may
 * have left a worker here too.
 */
static void rollout_restore_slot(struct pool *pool, uint32_t s, bool restore, usec_t now,
				 struct plan *plan)
{
	struct slot *slot = &pool->slots[s];
	uint32_t next = slot->next;

	if (rollout_successor_holds(pool, s)) {
		if (restore)
			rollout_swap(pool, s);
		else
			pool_promote(pool, s, END_UNDO, now, plan);
		return;
	}
	slot->next = CORE_NONE;
	if (next != CORE_NONE)
		pool_drain_worker(pool, next, END_UNDO, now, plan);
	if (slot->current == CORE_NONE) {
		if (next != CORE_NONE && slot->emptied && worker_is_live(&pool->workers[next]))
			slot->leaving = next;
		if (slot->emptied || (restore && s < pool->rollout.cursor))
			rollout_refill_slot(pool, s, now, plan);
	} else if (restore && pool->workers[slot->current].generation != pool->generation) {
		slot->restoring = true;
		pool->restoring++;
	}
}

static void rollout_stop_asking(struct pool *pool)
{
	for (uint32_t w = 0; w < pool->capacity; w++)
		pool->workers[w].asked = false;
}

void rollout_undo(struct pool *pool, bool restore, usec_t now, struct plan *plan)
{
	struct rollout *rollout = &pool->rollout;
	uint32_t end = rollout->end < rollout->old_size ? rollout->end : rollout->old_size;

	if (rollout->state == ROLLOUT_NONE)
		return;
	rollout_stop_asking(pool);
	rollout_shrink(pool, rollout->old_size, END_UNDO, now, plan);
	pool->max_processes = pool->params.max_processes;
	restore = restore && rollout->old_state == POOL_ACTIVE;
	for (uint32_t s = rollout->begin; s < end; s++)
		rollout_restore_slot(pool, s, restore, now, plan);
	rollout_set_state(rollout, ROLLOUT_NONE, USEC_INFINITY);
	pool_restore_more(pool, now, plan);
	if (rollout->kind == CHANGE_ADD)
		pool_drain_all(pool, POOL_RETIRING, END_UNDO, now, plan);
	else if (rollout->old_state == POOL_STOPPED && rollout->kind != CHANGE_REMOVE)
		pool_drain_all(pool, POOL_STOPPED, END_UNDO, now, plan);
}
