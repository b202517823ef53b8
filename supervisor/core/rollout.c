/* rollout.c - replacing one generation of a pool by the next. */
#include "core/rollout_internal.h"

#include <assert.h>

static void rollout_next_batch(struct pool *pool, usec_t now, struct plan *plan);

static void rollout_tell(const struct pool *pool, enum order_kind kind, uint32_t slot,
			 uint32_t count, uint32_t n_first, struct plan *plan)
{
	struct order order = {
	    .kind = kind,
	    .pool = pool->index,
	    .slot = slot,
	    .count = count,
	    .value = (int)n_first,
	    .generation = pool->rollout.generation,
	    .reason = pool->rollout.reason,
	};

	plan_add(plan, &order);
}

/* What an earlier, failed rollout was still putting back in these slots is this rollout's business
 * now. */
static void rollout_take_over(struct pool *pool, usec_t now, struct plan *plan)
{
	for (uint32_t s = pool->rollout.begin; s < pool->rollout.end && s < pool->size; s++) {
		struct slot *slot = &pool->slots[s];
		uint32_t next = slot->next;

		if (!slot->restoring)
			continue;
		slot->restoring = false;
		pool->restoring--;
		slot->next = CORE_NONE;
		if (slot->current != CORE_NONE)
			pool_slot_schedule(pool, s, USEC_INFINITY);
		if (next != CORE_NONE)
			pool_drain_worker(pool, next, END_UNDO, now, plan);
	}
}

/* Which slots get a new worker: all of them in a pool that was stopped. */
static void rollout_set_range(struct pool *pool, const struct pool_change *change)
{
	struct rollout *rollout = &pool->rollout;
	bool stopped = rollout->old_state == POOL_STOPPED;
	uint32_t size = change->params.workers;

	switch (change->kind) {
	case CHANGE_ADD:
	case CHANGE_ROLL:
		rollout->end = size;
		break;
	case CHANGE_SCALE:
		rollout->begin = stopped ? 0 : pool->size;
		rollout->end = stopped || size > pool->size ? size : pool->size;
		break;
	case CHANGE_SLOT:
		rollout->begin = stopped ? 0 : change->slot;
		rollout->end = stopped ? pool->size : change->slot + 1;
		break;
	case CHANGE_NONE:
	case CHANGE_UPDATE:
	case CHANGE_SOCKETS:
	case CHANGE_REMOVE:
		break;
	}
	rollout->cursor = rollout->batch_end = rollout->begin;
}

void rollout_begin(struct pool *pool, const struct pool_change *change, usec_t now,
		   struct plan *plan)
{
	struct rollout *rollout = &pool->rollout;
	bool renews = change->kind == CHANGE_ROLL || change->kind == CHANGE_ADD;

	*rollout = (struct rollout){
	    .kind = change->kind,
	    .reason = change->reason,
	    .params = change->kind == CHANGE_SLOT ? pool->params : change->params,
	    .generation = renews ? ++pool->last_generation : pool->generation,
	    .old_size = pool->size,
	    .old_state = pool->state,
	    .tell = change->kind == CHANGE_SOCKETS && change->tell,
	};
	rollout_set_range(pool, change);
	/* the same version again needs no proof, and where nobody serves there is nothing to lose
	 */
	if (change->kind == CHANGE_ROLL && change->reason == END_RELOAD &&
	    rollout->old_state == POOL_ACTIVE && rollout->params.max_surge > 0)
		rollout->canary = rollout->params.canary;
	if (pool->state == POOL_STOPPED && rollout->end > rollout->begin)
		pool->state = POOL_ACTIVE;
	rollout_take_over(pool, now, plan);
	if (rollout->end > pool->size)
		pool_set_size(pool, rollout->end);
	if (rollout->params.max_processes > pool->max_processes)
		pool->max_processes = rollout->params.max_processes;
	if (rollout->tell) { /* but not before all pools are so far that nothing is in the way */
		rollout_set_state(rollout, ROLLOUT_GATED, USEC_INFINITY);
		return;
	}
	rollout_set_state(rollout, ROLLOUT_WAITING,
			  usec_add(now, rollout->params.progress_timeout));
	rollout_next_batch(pool, now, plan);
}

/* What a batch may still use up. */
struct allowance {
	uint32_t room;	      /* max_processes */
	uint32_t surge;	      /* successors beside those that serve */
	uint32_t unavailable; /* slots that are emptied first: never before the gate is open */
};

static uint32_t rollout_left(uint32_t most, uint32_t used)
{
	return most > used ? most - used : 0;
}

static struct allowance rollout_allowance(const struct pool *pool)
{
	const struct pool_params *params = &pool->rollout.params;

	return (struct allowance){
	    .room = pool_room(pool),
	    .surge = rollout_left(params->max_surge, pool_restoring_beside(pool)),
	    .unavailable = rollout_left(params->max_unavailable, pool->emptied),
	};
}

/* May slot s be one of the batch? An empty slot costs only room, and none where somebody leaves it.
 * ret_first: its worker has to go first. */
static bool rollout_allows(const struct pool *pool, uint32_t s, struct allowance *left,
			   bool *ret_first)
{
	const struct slot *slot = &pool->slots[s];
	bool empty = slot->current == CORE_NONE;

	*ret_first = false;
	if (slot->leaving != CORE_NONE)
		return true;
	if (left->room > 0 && (empty || left->surge > 0)) {
		left->room--;
		left->surge -= !empty;
		return true;
	}
	*ret_first = !empty;
	if (empty || !pool->rollout.gate_open)
		return false;
	if (slot->emptied) /* it serves nobody as it is */
		return true;
	if (left->unavailable == 0)
		return false;
	left->unavailable--;
	return true;
}

/* The slots of the next batch; ret_first: how many are emptied for it. */
static uint32_t rollout_batch_end(const struct pool *pool, struct allowance left,
				  uint32_t *ret_first)
{
	const struct rollout *rollout = &pool->rollout;
	uint32_t s = rollout->cursor, end = rollout->end;
	bool first;

	if (rollout_is_canary(pool) && rollout->canary < end - s)
		end = s + rollout->canary;
	for (*ret_first = 0; s < end && rollout_allows(pool, s, &left, &first); s++)
		*ret_first += first;
	return s;
}

/* Those whose place is free get their new worker. */
static void rollout_start_vacant(struct pool *pool, usec_t now, struct plan *plan)
{
	struct rollout *rollout = &pool->rollout;

	for (uint32_t s = rollout->cursor; s < rollout->batch_end && rollout->vacant > 0; s++) {
		struct slot *slot = &pool->slots[s];

		if (slot->next != CORE_NONE || slot->leaving != CORE_NONE)
			continue;
		slot->next =
		    pool_take_worker(pool, s, rollout->generation, &rollout->params, now, plan);
		if (slot->next == CORE_NONE)
			continue;
		rollout->vacant--;
		rollout->deadline = usec_add(now, rollout->params.progress_timeout);
	}
	if (rollout->vacant == 0)
		rollout->deadline = USEC_INFINITY; /* from here on each worker has its own */
}

/* Nothing can be started now. Without any surge that is how it has to be until the gate opens. */
static void rollout_wait(struct pool *pool)
{
	struct rollout *rollout = &pool->rollout;

	if (!rollout->gate_open && rollout->params.max_surge == 0 &&
	    pool->slots[rollout->cursor].current != CORE_NONE) {
		rollout_set_state(rollout, ROLLOUT_GATED, USEC_INFINITY);
		return;
	}
	if (pool->live == pool->capacity && pool->live < pool->max_processes)
		pool->starved = true;
	rollout->state = ROLLOUT_WAITING; /* the deadline is that of the last progress */
}

static void rollout_next_batch(struct pool *pool, usec_t now, struct plan *plan)
{
	struct rollout *rollout = &pool->rollout;
	struct allowance left = rollout_allowance(pool);
	uint32_t n_first;
	bool first;

	if (rollout->cursor == rollout->end) {
		rollout_set_state(rollout, ROLLOUT_DONE, USEC_INFINITY);
		return;
	}
	rollout->batch_end = rollout_batch_end(pool, left, &n_first);
	if (rollout->batch_end == rollout->cursor) {
		rollout_wait(pool);
		return;
	}
	rollout_set_state(rollout, ROLLOUT_STARTING,
			  usec_add(now, rollout->params.progress_timeout));
	rollout->waiting = rollout->vacant = rollout->batch_end - rollout->cursor;
	rollout_tell(pool, ORDER_BATCH, rollout->cursor, rollout->waiting, n_first, plan);
	for (uint32_t s = rollout->cursor; s < rollout->batch_end; s++)
		if (rollout_allows(pool, s, &left, &first) && first)
			pool_empty_slot(pool, s, rollout->reason, now, plan);
	rollout_start_vacant(pool, now, plan);
}

static void rollout_turn(struct pool *pool, usec_t now, struct plan *plan)
{
	struct rollout *rollout = &pool->rollout;

	if (rollout->batch_end > rollout->cursor)
		rollout_tell(pool, ORDER_PROMOTED, rollout->cursor,
			     rollout->batch_end - rollout->cursor, 0, plan);
	for (uint32_t s = rollout->cursor; s < rollout->batch_end; s++)
		pool_promote(pool, s, rollout->reason, now, plan);
	rollout->cursor = rollout->batch_end;
	rollout->deadline = usec_add(now, rollout->params.progress_timeout);
	rollout_next_batch(pool, now, plan);
}

/* All of the batch serve. */
static void rollout_serves(struct pool *pool, usec_t now, struct plan *plan)
{
	usec_t watch = rollout_watch(pool);

	rollout_set_state(&pool->rollout, ROLLOUT_SETTLING, usec_add(now, watch));
	if (rollout_is_canary(pool))
		rollout_tell_canary(pool, ORDER_CANARY_SERVES, watch, plan);
}

static bool rollout_is_held(const struct pool *pool, uint32_t s)
{
	uint32_t next = pool->slots[s].next;

	return next != CORE_NONE && pool->workers[next].state == WORKER_HELD;
}

/* All of the batch are ready: those that were held get their sockets, and the old ones serve until
 * the last of them has said that it accepts. */
static void rollout_release(struct pool *pool, usec_t now, struct plan *plan)
{
	struct rollout *rollout = &pool->rollout;
	uint32_t end = rollout->batch_end;

	for (uint32_t s = rollout->cursor; s < end; s++)
		rollout->waiting += rollout_is_held(pool, s);
	if (rollout->waiting == 0) {
		rollout_serves(pool, now, plan);
		return;
	}
	rollout_set_state(rollout, ROLLOUT_RELEASING, USEC_INFINITY);
	for (uint32_t s = rollout->cursor; s < end; s++)
		if (rollout_is_held(pool, s))
			pool_release(pool, pool->slots[s].next, now, plan);
}

bool rollout_worker_ready(struct pool *pool, uint32_t s, usec_t now, struct plan *plan)
{
	struct rollout *rollout = &pool->rollout;

	if ((rollout->state != ROLLOUT_STARTING && rollout->state != ROLLOUT_RELEASING) ||
	    s < rollout->cursor || s >= rollout->batch_end)
		return false;
	if (--rollout->waiting > 0)
		return true;
	if (rollout->state == ROLLOUT_STARTING)
		rollout_release(pool, now, plan);
	else
		rollout_serves(pool, now, plan);
	return true;
}

bool rollout_covers(const struct pool *pool, uint32_t s, bool successor)
{
	const struct rollout *rollout = &pool->rollout;

	if (rollout->state == ROLLOUT_NONE || s < rollout->begin || s >= rollout->end)
		return false;
	return successor || s < rollout->cursor;
}

void rollout_fail(struct pool *pool, enum cause cause, const struct worker_ref *culprit)
{
	if (pool->rollout.failed)
		return;
	pool->rollout.failed = true;
	pool->rollout.cause = cause;
	if (culprit != NULL)
		pool->rollout.culprit = *culprit;
	else
		pool->rollout.culprit.index = CORE_NONE;
}

bool rollout_is_at_gate(const struct pool *pool)
{
	return pool->rollout.state == ROLLOUT_GATED || pool->rollout.state == ROLLOUT_DONE;
}

/* ---- other sockets for those that serve ---- */

/* Who does not serve yet gets the sockets of what is committed then. */
static void rollout_send(struct pool *pool, usec_t now, struct plan *plan)
{
	static const struct worker_event tell = {.kind = WORKER_EVENT_TELL};
	struct rollout *rollout = &pool->rollout;

	for (uint32_t s = 0; s < pool->size; s++) {
		uint32_t w = pool->slots[s].current;

		if (w == CORE_NONE || pool->workers[w].generation != pool->generation)
			continue;
		pool_worker_step(pool, &pool->workers[w], &tell, now, plan);
		rollout->waiting += pool->workers[w].asked;
	}
	if (rollout->waiting == 0)
		rollout_set_state(rollout, ROLLOUT_DONE, USEC_INFINITY);
	else
		rollout_set_state(rollout, ROLLOUT_TELLING,
				  usec_add(now, rollout->params.start_timeout));
}

void rollout_worker_answered(struct pool *pool, const struct worker_ref *ref, enum cause cause)
{
	struct rollout *rollout = &pool->rollout;

	if (rollout->state != ROLLOUT_TELLING)
		return;
	if (cause != CAUSE_NONE)
		rollout_fail(pool, cause, ref);
	else if (--rollout->waiting == 0)
		rollout_set_state(rollout, ROLLOUT_DONE, USEC_INFINITY);
}

void rollout_check_answers(struct pool *pool, usec_t now)
{
	if (pool->rollout.state != ROLLOUT_TELLING || pool->rollout.deadline > now)
		return;
	for (uint32_t w = 0; w < pool->capacity; w++)
		if (pool->workers[w].asked)
			rollout_fail(pool, CAUSE_NOT_TAKEN, &pool->workers[w].ref);
}

/* ---- gate, commit, undo ---- */

void rollout_open_gate(struct pool *pool, usec_t now, struct plan *plan)
{
	pool->rollout.gate_open = true;
	if (pool->rollout.state != ROLLOUT_GATED)
		return;
	if (pool->rollout.tell)
		rollout_send(pool, now, plan);
	else
		rollout_turn(pool, now, plan);
}

void rollout_seek_room(struct pool *pool, usec_t now, struct plan *plan)
{
	struct rollout *rollout = &pool->rollout;

	if (rollout->failed)
		return;
	if (rollout->state == ROLLOUT_WAITING)
		rollout_next_batch(pool, now, plan);
	else if (rollout->state == ROLLOUT_STARTING && rollout->vacant > 0)
		rollout_start_vacant(pool, now, plan);
	if (rollout->deadline > now)
		return;
	if (rollout->state == ROLLOUT_WAITING)
		rollout_fail(pool, CAUSE_NO_PROGRESS, NULL);
	else if (rollout->state == ROLLOUT_STARTING)
		rollout_fail(pool, CAUSE_STILL_DRAINS, NULL);
	else if (rollout->state == ROLLOUT_CHECKING)
		rollout_fail(pool, CAUSE_CHECK_TIMEOUT, NULL);
}

void rollout_settle(struct pool *pool, usec_t now, struct plan *plan)
{
	struct rollout *rollout = &pool->rollout;

	if (rollout->state != ROLLOUT_SETTLING || rollout->deadline > now)
		return;
	if (rollout_is_canary(pool))
		rollout_judge(pool, now, plan);
	else if (rollout->gate_open)
		rollout_turn(pool, now, plan);
	else
		rollout_set_state(rollout, ROLLOUT_GATED, USEC_INFINITY);
}

void rollout_commit(struct pool *pool, usec_t now, struct plan *plan)
{
	struct rollout *rollout = &pool->rollout;

	assert(rollout->state == ROLLOUT_DONE);
	switch (rollout->kind) {
	case CHANGE_REMOVE:
		pool_drain_all(pool, POOL_RETIRING, END_REMOVED, now, plan);
		break;
	case CHANGE_ADD:
	case CHANGE_ROLL:
	case CHANGE_SCALE:
	case CHANGE_SOCKETS:
	case CHANGE_UPDATE:
		pool->generation = rollout->generation;
		pool_update(pool, &rollout->params);
		rollout_shrink(pool, rollout->params.workers, END_SCALE, now, plan);
		pool_fill(pool, now, plan);
		break;
	case CHANGE_SLOT:
	case CHANGE_NONE:
		break;
	}
	rollout_set_state(rollout, ROLLOUT_NONE, USEC_INFINITY);
	if (pool->restores)
		pool_restore_more(pool, now, plan);
}
