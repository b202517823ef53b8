/* reload_hold.c - a transaction whose canaries are good waits for a person, who decides what
 * becomes of it. */
#include "core/reload_internal.h"
#include "core/rollout.h"

bool reload_waits_for_a_person(const struct instance *instance)
{
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++)
		if (reload_concerns(instance, p) && rollout_has_canary(&instance->pools[p]) &&
		    instance->pools[p].rollout.params.canary_hold)
			return !instance->transaction.promoted;
	return false;
}

/* The shortest time that a pool gives. */
static usec_t reload_hold_timeout(const struct instance *instance)
{
	usec_t shortest = USEC_INFINITY;

	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++) {
		const struct rollout *rollout = &instance->pools[p].rollout;

		if (reload_concerns(instance, p) && rollout_has_canary(&instance->pools[p]) &&
		    rollout->params.canary_hold && rollout->params.canary_hold_timeout < shortest)
			shortest = rollout->params.canary_hold_timeout;
	}
	return shortest;
}

/* Whoever asked has his answer now; and nobody waits for who knows how long behind it. */
void reload_hold(struct instance *instance, usec_t now, struct plan *plan)
{
	struct transaction *transaction = &instance->transaction;
	usec_t limit = reload_hold_timeout(instance);

	transaction->state = TRANSACTION_HELD;
	transaction->deadline = usec_add(now, limit);
	plan_add(plan,
		 &(struct order){.kind = ORDER_HELD, .number = transaction->number, .usec = limit});
	for (size_t n = 0; n < CORE_REQUESTS_MAX; n++) {
		struct pending *pending = &instance->pending[n];

		if (pending->state != PENDING_RUNNING && pending->state != PENDING_QUEUED)
			continue;
		if (!pending->gone)
			reload_answer(instance, &pending->request,
				      pending->state == PENDING_RUNNING ? RESULT_HELD
									: RESULT_REFUSED,
				      CAUSE_NONE, plan);
		reload_release(pending);
	}
}

/* The request gets the transaction's answer. False: it was answered already. */
static bool reload_join(struct instance *instance, const struct request *request, bool possible,
			struct plan *plan)
{
	struct pending *pending = reload_place(instance, request);
	bool stops = instance_is_stopping(instance);

	if (stops || !possible || pending == NULL) {
		reload_answer(instance, request,
			      stops	  ? RESULT_STOPPING
			      : !possible ? RESULT_NOT_HELD
					  : RESULT_BUSY,
			      stops ? CAUSE_STOPPING : CAUSE_NONE, plan);
		return false;
	}
	*pending = (struct pending){
	    .state = PENDING_RUNNING,
	    .request = *request,
	    .sequence = ++instance->sequence,
	};
	return true;
}

void reload_promote(struct instance *instance, const struct request *request, struct plan *plan)
{
	struct transaction *transaction = &instance->transaction;

	if (!reload_join(instance, request, transaction->state == TRANSACTION_HELD, plan))
		return;
	transaction->state = TRANSACTION_ROLLING;
	transaction->deadline = USEC_INFINITY;
	transaction->promoted = true;
}

void reload_abort(struct instance *instance, const struct request *request, usec_t now,
		  struct plan *plan)
{
	const struct transaction *transaction = &instance->transaction;
	bool possible =
	    (transaction->state == TRANSACTION_HELD || transaction->state == TRANSACTION_ROLLING) &&
	    !transaction->start;

	if (!reload_join(instance, request, possible, plan))
		return;
	reload_fail(instance, RESULT_ABORTED, CAUSE_ABORTED, NULL, true, now, plan);
	reload_next(instance, plan);
}

void reload_held_time(struct instance *instance, usec_t now, struct plan *plan)
{
	if (instance->transaction.deadline > now)
		return;
	reload_fail(instance, RESULT_ABORTED, CAUSE_HOLD_TIMEOUT, NULL, true, now, plan);
	reload_next(instance, plan);
}
