/* reload_requests.c - the requests that wait for their transaction, and for its end. */
#include "core/reload_internal.h"

void reload_answer(const struct instance *instance, const struct request *request,
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

struct pending *reload_find(struct instance *instance, enum pending_state state, uint64_t id)
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
void reload_next(struct instance *instance, struct plan *plan)
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
	instance->transaction.start = instance->transaction.promoted = false;
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
struct pending *reload_place(struct instance *instance, const struct request *request)
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
	if (instance->transaction.state == TRANSACTION_HELD) {
		reload_answer(instance, request, RESULT_REFUSED, CAUSE_NONE, plan);
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

void reload_release(struct pending *pending)
{
	*pending = (struct pending){.state = PENDING_FREE};
}

/* Every request of the transaction gets its answer; those that wait for the drains only half of it.
 */
void reload_answer_all(struct instance *instance, enum result result, enum cause cause,
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
bool reload_is_abandoned(const struct instance *instance)
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
