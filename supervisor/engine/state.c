/* state.c - what the instance is, for whoever asks: ready or not and why, states in words. */
#include "base/parse.h"
#include "engine/engine.h"

const char *engine_state_name(const struct engine *engine)
{
	switch (engine->model->state) {
	case INSTANCE_NEW:
		return "starting";
	case INSTANCE_RUNNING:
		return engine->model->ready ? "running" : "starting";
	case INSTANCE_LAME_DUCK:
		return "lame-duck";
	case INSTANCE_QUIESCING:
	case INSTANCE_DRAINING:
	case INSTANCE_STOPPED:
		return "stopping";
	}
	return "?";
}

const char *engine_pool_state_name(const struct engine *engine, uint32_t p)
{
	const struct pool *pool = &engine->model->pools[p];

	switch (pool->state) {
	case POOL_FREE:
		return "free";
	case POOL_STOPPED:
		return "stopped";
	case POOL_RETIRING:
		return "retiring";
	case POOL_ENDING:
		return "stopping";
	case POOL_ACTIVE:
		break;
	}
	if (!pool->ready_once)
		return "starting";
	if (pool_going_back(pool) > 0)
		return "restoring";
	return pool->rollout.state != ROLLOUT_NONE && pool->rollout.state != ROLLOUT_DONE
		   ? "rolling"
		   : "serving";
}

/* Workers of the pool that must serve for it to count as ready. */
static uint32_t state_needed(const struct engine *engine, uint32_t p)
{
	const struct version *version = engine->pools[p].current;
	const struct amount *amount =
	    version != NULL ? &version->spec->ready_workers : &(struct amount){.value = 1};
	uint32_t size = engine->model->pools[p].size;

	return amount->percent ? (uint32_t)(((uint64_t)amount->value * size + 99) / 100)
			       : amount->value;
}

bool engine_pool_is_ready(const struct engine *engine, uint32_t p, struct buf *reason)
{
	const struct pool *pool = &engine->model->pools[p];
	uint32_t needed = state_needed(engine, p), serving = pool->counts[WORKER_SERVING];

	if (instance_is_stopping(engine->model)) {
		buf_add_str(reason, engine->model->state == INSTANCE_LAME_DUCK
					? "stopping (lame duck)"
					: "stopping");
		return false;
	}
	if (engine->out_of_service) {
		buf_add_str(reason, "out of service");
		return false;
	}
	if (serving >= needed)
		return true;
	buf_printf(reason, "pool %s: %u of %u workers serve, %u needed", engine->pools[p].name,
		   serving, pool->size, needed);
	return false;
}

bool engine_is_ready(const struct engine *engine, struct buf *reason)
{
	if (!engine->model->ready && !instance_is_stopping(engine->model)) {
		buf_add_str(reason, "starting");
		return false;
	}
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++) {
		enum pool_state state = engine->model->pools[p].state;

		if (state == POOL_FREE || state == POOL_RETIRING ||
		    (state == POOL_STOPPED && state_needed(engine, p) == 0))
			continue;
		if (!engine_pool_is_ready(engine, p, reason))
			return false;
	}
	return true;
}
