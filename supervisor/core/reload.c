/* reload.c - the transaction over several pools, and the requests that wait for it. */
#include "core/reload.h"

#include <assert.h>
#include <string.h>

#include "core/rollout.h"

static void reload_tell(const struct instance *instance, enum order_kind kind, enum cause cause,
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

static void reload_answer(const struct instance *instance, const struct request *request,
			  enum result result, enum cause cause, struct plan *plan)
{
	struct order order = {
	    .kind = ORDER_ANSWER,
	    .id = request->id,
	    .number = instance->transaction.number,
	    .result = result,
	    .cause = cause,
	};

	if (request->id != 0)
		plan_add(plan, &order);
}

/* ---- requests ---- */

static struct pending *reload_find(struct instance *instance, enum pending_state state, uint64_t id)
{
	for (size_t n = 0; n < CORE_REQUESTS_MAX; n++)
		if (instance->pending[n].state == state && instance->pending[n].request.id == id)
			return &instance->pending[n];
	return NULL;
}

static struct pending *reload_oldest(struct instance *instance)
{
	struct pending *oldest = NULL;

	for (size_t n = 0; n < CORE_REQUESTS_MAX; n++) {
		struct pending *pending = &instance->pending[n];

		if (pending->state == PENDING_QUEUED &&
		    (oldest == NULL || pending->sequence < oldest->sequence))
			oldest = pending;
	}
	return oldest;
}

/* The oldest request that waits begins a transaction, and takes along all that ask for the same. */
static void reload_next(struct instance *instance, struct plan *plan)
{
	struct pending *oldest = reload_oldest(instance);
	uint64_t join;

	if (oldest == NULL || instance->transaction.state != TRANSACTION_NONE ||
	    instance->state != INSTANCE_RUNNING)
		return;
	join = oldest->request.join;
	for (size_t n = 0; n < CORE_REQUESTS_MAX; n++) {
		struct pending *pending = &instance->pending[n];

		if (pending->state == PENDING_QUEUED && pending->request.join == join)
			pending->state = PENDING_RUNNING;
	}
	instance->transaction.state = TRANSACTION_PREPARING;
	instance->transaction.number++;
	instance->transaction.start = false;
	plan_add(plan, &(struct order){.kind = ORDER_PREPARE,
				       .number = instance->transaction.number,
				       .id = join});
}

/* Is the same already waiting, with nobody to be answered? Then one more changes nothing: 1,000
 * SIGHUPs are one. */
static bool reload_is_waiting(const struct instance *instance, const struct request *request)
{
	for (size_t n = 0; n < CORE_REQUESTS_MAX; n++)
		if (instance->pending[n].state == PENDING_QUEUED &&
		    instance->pending[n].request.id == 0 &&
		    instance->pending[n].request.join == request->join)
			return true;
	return false;
}

/* A place for it. The last one is kept for requests in the background: there is nobody whom we
 * could tell to come again. */
static struct pending *reload_place(struct instance *instance, const struct request *request)
{
	struct pending *place = NULL;
	size_t free_places = 0;

	for (size_t n = 0; n < CORE_REQUESTS_MAX; n++) {
		if (instance->pending[n].state != PENDING_FREE)
			continue;
		place = &instance->pending[n];
		free_places++;
	}
	return free_places > 1 || request->id == 0 ? place : NULL;
}

void reload_request(struct instance *instance, const struct request *request, struct plan *plan)
{
	struct pending *pending = reload_place(instance, request);

	if (instance_is_stopping(instance)) {
		reload_answer(instance, request, RESULT_STOPPING, CAUSE_STOPPING, plan);
		return;
	}
	if (request->id == 0 && reload_is_waiting(instance, request))
		return;
	if (pending == NULL) {
		reload_answer(instance, request, RESULT_BUSY, CAUSE_NONE, plan);
		return;
	}
	*pending = (struct pending){
	    .state = PENDING_QUEUED,
	    .request = *request,
	    .sequence = ++instance->sequence,
	};
	reload_next(instance, plan);
}

static void reload_release(struct pending *pending)
{
	*pending = (struct pending){.state = PENDING_FREE};
}

/* Every request of the transaction gets its answer; those that wait for the drains only half of it.
 */
static void reload_answer_all(struct instance *instance, enum result result, enum cause cause,
			      uint32_t leaving, struct plan *plan)
{
	for (size_t n = 0; n < CORE_REQUESTS_MAX; n++) {
		struct pending *pending = &instance->pending[n];

		if (pending->state != PENDING_RUNNING)
			continue;
		if (!pending->gone)
			reload_answer(instance, &pending->request, result, cause, plan);
		if (result == RESULT_COMMITTED && pending->request.wait_drained && !pending->gone &&
		    leaving > 0) {
			pending->state = PENDING_DRAINING;
			pending->epoch = instance->epoch;
			pending->remaining = leaving;
			continue;
		}
		if (result == RESULT_COMMITTED && pending->request.wait_drained && !pending->gone)
			reload_answer(instance, &pending->request, RESULT_DRAINED, cause, plan);
		reload_release(pending);
	}
}

void reload_worker_gone(struct instance *instance, uint64_t epoch, struct plan *plan)
{
	for (size_t n = 0; n < CORE_REQUESTS_MAX; n++) {
		struct pending *pending = &instance->pending[n];

		if (pending->state != PENDING_DRAINING || epoch > pending->epoch ||
		    --pending->remaining > 0)
			continue;
		reload_answer(instance, &pending->request, RESULT_DRAINED, CAUSE_NONE, plan);
		reload_release(pending);
	}
}

/* Nobody of those who asked for it waits any more, and all of them wanted it ended in that case. */
static bool reload_is_abandoned(const struct instance *instance)
{
	size_t asked = 0;

	for (size_t n = 0; n < CORE_REQUESTS_MAX; n++) {
		const struct pending *pending = &instance->pending[n];

		if (pending->state != PENDING_RUNNING)
			continue;
		asked++;
		if (!pending->gone || !pending->request.abort_on_disconnect)
			return false;
	}
	return asked > 0;
}

/* ---- the transaction ---- */

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

static bool reload_concerns(const struct instance *instance, uint32_t p)
{
	return instance->transaction.changes[p].kind != CHANGE_NONE;
}

static void reload_fail(struct instance *instance, enum result result, enum cause cause,
			const struct worker_ref *culprit, bool restore, usec_t now,
			struct plan *plan)
{
	instance->transaction.state = TRANSACTION_NONE;
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
	if (instance->transaction.state != TRANSACTION_ROLLING)
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
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++)
		if (reload_concerns(instance, p))
			rollout_settle(&instance->pools[p], now, plan);
	if (!instance->transaction.gate_open && reload_all(instance, false))
		reload_open_gates(instance, now, plan);
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
	if (instance->transaction.state == TRANSACTION_ROLLING)
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
