/* rollout_canary.c - the first slots of a new version: they serve beside the old ones and are
 * judged, before anybody drains. */
#include "core/rollout_internal.h"

bool rollout_is_canary(const struct pool *pool)
{
	return pool->rollout.canary > 0 && pool->rollout.cursor == pool->rollout.begin;
}

usec_t rollout_watch(const struct pool *pool)
{
	const struct pool_params *params = &pool->rollout.params;

	return rollout_is_canary(pool) && params->canary_time > params->min_ready
		   ? params->canary_time
		   : params->min_ready;
}

void rollout_tell_canary(const struct pool *pool, enum order_kind kind, usec_t usec,
			 struct plan *plan)
{
	const struct rollout *rollout = &pool->rollout;
	struct order order = {
	    .kind = kind,
	    .pool = pool->index,
	    .slot = rollout->cursor,
	    .count = rollout->batch_end - rollout->cursor,
	    .generation = rollout->generation,
	    .usec = usec,
	    .number = rollout->check,
	};

	plan_add(plan, &order);
}

bool rollout_has_canary(const struct pool *pool)
{
	return pool->rollout.state != ROLLOUT_NONE && pool->rollout.canary > 0;
}

static void rollout_pass_canary(struct pool *pool, struct plan *plan)
{
	rollout_set_state(&pool->rollout, ROLLOUT_GATED, USEC_INFINITY);
	rollout_tell_canary(pool, ORDER_CANARY_GOOD, 0, plan);
}

/* The canaries have stood their time; perhaps somebody else has to say something, too. */
void rollout_judge(struct pool *pool, usec_t now, struct plan *plan)
{
	struct rollout *rollout = &pool->rollout;
	usec_t limit = rollout->params.canary_check_timeout;

	if (limit == 0) {
		rollout_pass_canary(pool, plan);
		return;
	}
	rollout->check = ++pool->checks;
	rollout_set_state(rollout, ROLLOUT_CHECKING, usec_add(now, limit));
	rollout_tell_canary(pool, ORDER_CANARY_CHECK, limit, plan);
}

void rollout_checked(struct pool *pool, uint64_t number, bool good, struct plan *plan)
{
	if (pool->rollout.state != ROLLOUT_CHECKING || pool->rollout.check != number)
		return;
	if (good)
		rollout_pass_canary(pool, plan);
	else
		rollout_fail(pool, CAUSE_CHECK, NULL);
}
