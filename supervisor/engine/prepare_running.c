/* prepare_running.c - before a restart or a scaling: what runs is known, and no file is read. */
#include <errno.h>
#include <string.h>

#include "engine/prepare_internal.h"
#include "engine/sockets.h"
#include "engine/versions.h"

static int prepare_slots(struct engine *engine, uint32_t p, uint32_t size)
{
	struct buf why = {0};
	int r = sockets_open_slots(engine, engine->pools[p].current, size, &why);

	if (r < 0)
		prepare_refuse(&engine->undertaking, r, "pool %s cannot have %u workers: %s",
			       engine->pools[p].name, size,
			       why.data != NULL ? why.data : strerror(-r));
	buf_free(&why);
	return r;
}

/* Pools that can be restarted or scaled: found, and not already on their way out. */
static int prepare_find(struct engine *engine, const struct wish *wish, uint32_t *ret_p)
{
	struct undertaking *undertaking = &engine->undertaking;

	if (wish->pool == NULL || engine_find_pool(engine, wish->pool, ret_p) == NULL ||
	    engine->pools[*ret_p].current == NULL)
		return prepare_refuse(undertaking, -ENOENT, "there is no pool '%s'",
				      wish->pool != NULL ? wish->pool : "");
	undertaking->config = config_ref_get(engine->pools[*ret_p].current->config);
	return 0;
}

int prepare_restart(struct engine *engine, const struct wish *wish)
{
	const struct pool_spec *spec;
	struct pool_change *change;
	uint32_t p = 0;
	int r = prepare_find(engine, wish, &p);

	if (r < 0)
		return r;
	spec = engine->pools[p].current->spec;
	change = &engine->undertaking.changes[p];
	if (wish->slot == CORE_NONE) {
		uint32_t size = engine->model->pools[p].size; /* as scaled */

		r = prepare_again(engine, p, engine->pools[p].current);
		if (r == 0)
			r = prepare_roll(engine, p, spec, END_RESTART);
		version_params(spec, size, &change->params);
		return r == 0 ? engine_reserve(engine, p, size) : r;
	}
	if (wish->slot >= engine->model->pools[p].size)
		return prepare_refuse(&engine->undertaking, -ENOENT,
				      "pool %s has no slot %u: it has slots 0 to %u", wish->pool,
				      wish->slot, engine->model->pools[p].size - 1);
	*change =
	    (struct pool_change){.kind = CHANGE_SLOT, .slot = wish->slot, .reason = END_RESTART};
	version_params(spec, engine->model->pools[p].size, &change->params);
	return engine_reserve(engine, p, engine->model->pools[p].size);
}

int prepare_scale(struct engine *engine, const struct wish *wish)
{
	struct undertaking *undertaking = &engine->undertaking;
	const struct pool_spec *spec;
	struct pool_change *change;
	uint32_t p = 0;
	int r = prepare_find(engine, wish, &p);

	if (r < 0)
		return r;
	spec = engine->pools[p].current->spec;
	if (engine->model->pools[p].state == POOL_STOPPED)
		return prepare_refuse(
		    undertaking, -EINVAL,
		    "pool %s was stopped after a crash loop; restart or reload it first",
		    wish->pool);
	if (wish->workers < 1 || wish->workers > CONFIG_WORKERS_MAX)
		return prepare_refuse(undertaking, -ERANGE, "a pool has 1 to %d workers, not %u",
				      CONFIG_WORKERS_MAX, wish->workers);
	if (wish->workers + (config_surge(spec, wish->workers) > 0) > spec->max_processes)
		return prepare_refuse(
		    undertaking, -ERANGE,
		    "pool %s: %u workers leave no room for a reload within max_processes = %u",
		    wish->pool, wish->workers, spec->max_processes);
	r = prepare_slots(engine, p, wish->workers);
	if (r < 0)
		return r;
	change = &undertaking->changes[p];
	change->kind = CHANGE_SCALE;
	change->reason = END_SCALE;
	version_params(spec, wish->workers, &change->params);
	return engine_reserve(engine, p, wish->workers);
}
