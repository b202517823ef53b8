/* reload.c - the transaction over several pools. */
#include "core/reload_internal.h"

#include <assert.h>
#include <string.h>

#include "core/rollout.h"

void reload_tell(const struct instance *instance, enum order_kind kind, enum cause cause,
		 const struct worker_ref *culprit, struct plan *plan)
{
	struct order order = {
	    .kind = kind,
	    .number = instance->transaction.number,
	    .cause = cause,
	    .worker = {.pool = CORE_NONE, .index = CORE_NONE},
	};

	if (culprit != NULL)
		order.worker = *culprit;
	plan_add(plan, &order);
}

static void reload_begin(struct instance *instance, const struct pool_change *changes, usec_t now,
			 struct plan *plan)
{
	struct transaction *transaction = &instance->transaction;

	transaction->state = TRANSACTION_ROLLING;
	transaction->gate_open = false;
	memcpy(transaction->changes, changes, sizeof(transaction->changes));
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++) {
		struct pool_change *change = &transaction->changes[p];

		if (transaction->start && change->kind == CHANGE_ADD &&
		    change->params.start_retry) {
			/* it goes on trying, and never fails the start: no part of the transaction
			 */
			change->kind = CHANGE_NONE;
			pool_start(&instance->pools[p], &change->params, now, plan);
		}
		if (change->kind != CHANGE_NONE)
			rollout_begin(&instance->pools[p], change, now, plan);
	}
}

/* No pool was touched yet, and none will be. */
static void reload_give_up(struct instance *instance, enum result result, enum cause cause,
			   struct plan *plan)
{
	instance->transaction.state = TRANSACTION_NONE;
	reload_tell(instance, ORDER_UNDO, cause, NULL, plan);
	reload_answer_all(instance, result, cause, 0, plan);
}

void reload_start(struct instance *instance, const struct pool_change *changes, usec_t now,
		  struct plan *plan)
{
	instance->transaction.number++;
	instance->transaction.start = true;
	reload_begin(instance, changes, now, plan);
}

void reload_prepared(struct instance *instance, const struct pool_change *changes, usec_t now,
		     struct plan *plan)
{
	if (instance->transaction.state != TRANSACTION_PREPARING)
		return;
	if (reload_is_abandoned(instance)) {
		for (uint32_t p = 0; p < CORE_POOLS_MAX; p++)
			if (changes[p].kind == CHANGE_ADD) /* its place is not needed after all */
				pool_drain_all(&instance->pools[p], POOL_RETIRING, END_UNDO, now,
					       plan);
		reload_give_up(instance, RESULT_ABORTED, CAUSE_CALLER_GONE, plan);
		reload_next(instance, plan);
		return;
	}
	reload_begin(instance, changes, now, plan);
}

void reload_prepare_failed(struct instance *instance, struct plan *plan)
{
	if (instance->transaction.state != TRANSACTION_PREPARING)
		return;
	reload_give_up(instance, RESULT_FAILED, CAUSE_PREPARE, plan);
	reload_next(instance, plan);
}

bool reload_concerns(const struct instance *instance, uint32_t p)
{
	return instance->transaction.changes[p].kind != CHANGE_NONE;
}

void reload_fail(struct instance *instance, enum result result, enum cause cause,
		 const struct worker_ref *culprit, bool restore, usec_t now, struct plan *plan)
{
	instance->transaction.state = TRANSACTION_NONE;
	instance->transaction.deadline = USEC_INFINITY;
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++)
		if (reload_concerns(instance, p))
			rollout_undo(&instance->pools[p], restore, now, plan);
	reload_tell(instance, ORDER_UNDO, cause, culprit, plan);
	reload_answer_all(instance, result, cause, 0, plan);
}

static uint32_t reload_leaving(const struct instance *instance)
{
	uint32_t leaving = 0;

	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++) {
		const uint32_t *counts = instance->pools[p].counts;

		leaving += counts[WORKER_DRAINING] + counts[WORKER_DUMPING] + counts[WORKER_KILLED];
	}
	return leaving;
}

static void reload_commit(struct instance *instance, usec_t now, struct plan *plan)
{
	instance->transaction.state = TRANSACTION_NONE;
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++)
		if (reload_concerns(instance, p))
			rollout_commit(&instance->pools[p], now, plan);
	reload_tell(instance, ORDER_COMMIT, CAUSE_NONE, NULL, plan);
	reload_answer_all(instance, RESULT_COMMITTED, CAUSE_NONE, reload_leaving(instance), plan);
	instance->epoch++;
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++)
		instance->pools[p].epoch = instance->epoch;
}

static const struct pool *reload_failed_pool(const struct instance *instance)
{
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++)
		if (reload_concerns(instance, p) && instance->pools[p].rollout.failed)
			return &instance->pools[p];
	return NULL;
}

static bool reload_all(const struct instance *instance, bool done)
{
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++) {
		const struct pool *pool = &instance->pools[p];

		if (!reload_concerns(instance, p))
			continue;
		if (done ? pool->rollout.state != ROLLOUT_DONE : !rollout_is_at_gate(pool))
			return false;
	}
	return true;
}

/* Has somebody's time come, of which we have not heard yet? */
static bool reload_time_is_due(const struct instance *instance, usec_t now)
{
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++)
		if (reload_concerns(instance, p) &&
		    timers_first(&instance->pools[p].timers, NULL) <= now)
			return true;
	return false;
}

static void reload_open_gates(struct instance *instance, usec_t now, struct plan *plan)
{
	instance->transaction.gate_open = true;
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++)
		if (reload_concerns(instance, p))
			rollout_open_gate(&instance->pools[p], now, plan);
}

static bool reload_has_failed(struct instance *instance, usec_t now, struct plan *plan)
{
	const struct pool *failed = reload_failed_pool(instance);
	struct worker_ref culprit;

	if (failed == NULL)
		return false;
	culprit = failed->rollout.culprit;
	culprit.pool = failed->index;
	reload_fail(instance, RESULT_FAILED, failed->rollout.cause, &culprit,
		    !instance->transaction.start, now, plan);
	if (!instance->transaction.start)
		reload_next(instance, plan);
	return true;
}

bool reload_advance(struct instance *instance, usec_t now, struct plan *plan)
{
	if (instance->transaction.state != TRANSACTION_ROLLING &&
	    instance->transaction.state != TRANSACTION_HELD)
		return false;
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++)
		if (reload_concerns(instance, p)) {
			rollout_seek_room(&instance->pools[p], now, plan);
			rollout_check_answers(&instance->pools[p], now);
		}
	if (reload_has_failed(instance, now, plan))
		return instance->transaction.start;
	if (reload_time_is_due(instance, now))
		return false; /* it may be a successor's: nobody drains for one that hangs */
	if (instance->transaction.state == TRANSACTION_HELD) {
		reload_held_time(instance, now, plan);
		return false;
	}
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++)
		if (reload_concerns(instance, p))
			rollout_settle(&instance->pools[p], now, plan);
	if (!instance->transaction.gate_open && reload_all(instance, false)) {
		if (reload_waits_for_a_person(instance)) {
			reload_hold(instance, now, plan);
			return false;
		}
		reload_open_gates(instance, now, plan);
	}
	if (reload_all(instance, true)) {
		reload_commit(instance, now, plan);
		reload_next(instance, plan);
	}
	return false;
}

void reload_caller_gone(struct instance *instance, uint64_t id, usec_t now, struct plan *plan)
{
	struct pending *queued = reload_find(instance, PENDING_QUEUED, id);
	struct pending *running = reload_find(instance, PENDING_RUNNING, id);
	struct pending *draining = reload_find(instance, PENDING_DRAINING, id);

	if (id == 0)
		return; /* nobody's */
	if (draining != NULL)
		reload_release(draining);
	if (queued != NULL && queued->request.abort_on_disconnect)
		reload_release(queued);
	else if (queued != NULL)
		queued->request.id = 0; /* it is done all the same */
	if (running == NULL)
		return;
	running->gone = true;
	if (instance->transaction.state == TRANSACTION_ROLLING && reload_is_abandoned(instance)) {
		reload_fail(instance, RESULT_ABORTED, CAUSE_CALLER_GONE, NULL, true, now, plan);
		reload_next(instance, plan);
	}
}

void reload_end(struct instance *instance, usec_t now, struct plan *plan)
{
	if (instance->transaction.state == TRANSACTION_ROLLING ||
	    instance->transaction.state == TRANSACTION_HELD)
		reload_fail(instance, RESULT_STOPPING, CAUSE_STOPPING, NULL, false, now, plan);
	else if (instance->transaction.state == TRANSACTION_PREPARING)
		reload_give_up(instance, RESULT_STOPPING, CAUSE_STOPPING, plan);
	for (size_t n = 0; n < CORE_REQUESTS_MAX; n++) {
		struct pending *pending = &instance->pending[n];

		if (pending->state == PENDING_FREE)
			continue;
		reload_answer(instance, &pending->request, RESULT_STOPPING, CAUSE_STOPPING, plan);
		reload_release(pending);
	}
}
