/* prepare_pools.c - what a configuration means for each pool: added, rolled, told, scaled, removed
 * or left alone. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "engine/channel.h"
#include "engine/failures.h"
#include "engine/prepare_internal.h"
#include "engine/versions.h"
#include "engine/wishes.h"

/* A place for a pool that was not there. */
static int prepare_place(struct engine *engine, const struct pool_spec *spec, uint32_t *ret_p)
{
	struct pool *pool = instance_free_pool(engine->model);
	struct pool_runtime *runtime;

	if (pool == NULL)
		return prepare_refuse(&engine->undertaking, -ENOSPC,
				      "there is no room for pool %s: %d pools run or still drain",
				      spec->name, CORE_POOLS_MAX);
	runtime = &engine->pools[pool->index];
	if (engine_reserve(engine, pool->index, spec->workers) < 0)
		return -ENOMEM;
	*runtime = (struct pool_runtime){
	    .name = strdup(spec->name),
	    .procs = runtime->procs,
	    .n_procs = runtime->n_procs,
	    .memory = runtime->memory,
	};
	if (runtime->name == NULL)
		return -ENOMEM;
	pool_open(pool, clock_now() * 2654435761u + pool->index);
	*ret_p = pool->index;
	return 0;
}

static int prepare_version(struct engine *engine, const struct pool_spec *spec, uint32_t p,
			   bool new_generation)
{
	struct pool_runtime *runtime = &engine->pools[p];
	const struct pool *pool = &engine->model->pools[p];
	uint32_t generation = new_generation ? pool->last_generation + 1 : pool->generation;
	struct buf why = {0};
	int r =
	    version_new(engine, engine->undertaking.config, spec, generation, &runtime->next, &why);

	if (r < 0)
		prepare_refuse(&engine->undertaking, r, "pool %s: %s", spec->name,
			       why.data != NULL ? why.data : strerror(-r));
	else if (runtime->current != NULL && pin_is_same(runtime->current->pin, runtime->next->pin))
		version_keep_pin(runtime->next, runtime->current);
	buf_free(&why);
	return r;
}

int prepare_add(struct engine *engine, const struct pool_spec *spec)
{
	struct pool_change *change;
	uint32_t p = CORE_NONE;
	int r = prepare_place(engine, spec, &p);

	if (r < 0)
		return r;
	change = &engine->undertaking.changes[p];
	change->kind = CHANGE_ADD;
	change->reason = END_RELOAD;
	version_params(spec, spec->workers, &change->params);
	r = prepare_version(engine, spec, p, true);
	if (r == 0 && engine->undertaking.start && change->params.start_retry)
		engine->pools[p].current = TAKE_PTR(engine->pools[p].next);
	return r;
}

int prepare_roll(struct engine *engine, uint32_t p, const struct pool_spec *spec,
		 enum end_reason reason)
{
	struct pool_change *change = &engine->undertaking.changes[p];

	change->kind = CHANGE_ROLL;
	change->reason = reason;
	version_params(spec, spec->workers, &change->params);
	if (engine_reserve(engine, p, spec->workers) < 0)
		return -ENOMEM;
	return 0;
}

static void prepare_remark_scale(struct engine *engine, uint32_t p, const struct pool_spec *spec)
{
	const struct pool *pool = &engine->model->pools[p];

	if (pool->size != engine->pools[p].current->spec->workers && pool->size != spec->workers)
		buf_printf(&engine->undertaking.remarks,
			   "pool %s: was scaled to %u workers by hand, and is set back to %u as "
			   "configured\n",
			   spec->name, pool->size, spec->workers);
}

/* Other sockets, and nothing that a process is born with: those that serve are told. */
static void prepare_tell(struct engine *engine, uint32_t p, const struct pool_spec *spec)
{
	struct pool_runtime *runtime = &engine->pools[p];
	struct pool_change *change = &engine->undertaking.changes[p];

	version_keep_pin(runtime->next, runtime->current);
	change->kind = CHANGE_SOCKETS;
	change->reason = END_RELOAD;
	change->tell = version_lacks_sockets(runtime->current, runtime->next);
	version_params(spec, spec->workers, &change->params);
}

/* It failed before, and nobody asks for it by name. */
static int prepare_refuse_failed(struct engine *engine, const struct version *version)
{
	const struct failure *failure = failures_find(engine, version);
	cleanup_buf struct buf text = {0};

	if (failure == NULL)
		return 0;
	failures_describe(failure, &text);
	return prepare_refuse(&engine->undertaking, -ECANCELED,
			      "pool %s: the version on disk %s; `handover reload` without "
			      "--changed tries it again",
			      version->spec->name, buf_text(&text));
}

/* The same, asked for. */
static void prepare_remark_failed(struct engine *engine, const struct version *version)
{
	const struct failure *failure = failures_find(engine, version);
	cleanup_buf struct buf text = {0};

	if (failure == NULL)
		return;
	failures_describe(failure, &text);
	buf_printf(&engine->undertaking.remarks, "pool %s: trying a version again that %s\n",
		   version->spec->name, buf_text(&text));
}

/* reload --changed: only what differs, and no more than the difference needs. */
static int prepare_changed(struct engine *engine, uint32_t p, const struct pool_spec *spec)
{
	struct pool_runtime *runtime = &engine->pools[p];
	struct pool_change *change = &engine->undertaking.changes[p];
	struct buf why = {0};
	enum diff_effect effect = version_compare(runtime->current, runtime->next, &why);
	size_t told = engine->undertaking.dry ? why.len : 0; /* a plan tells of that by itself */
	bool resized = engine->model->pools[p].size != spec->workers;
	int r = 0;

	if (effect == DIFF_SOCKETS)
		effect = diff_settle(effect, channels_answer(engine, p, &why), resized);
	if (effect >= DIFF_REPLACE)
		r = prepare_refuse_failed(engine, runtime->next);
	if (r == 0 && effect == DIFF_SOCKETS) {
		prepare_tell(engine, p, spec);
	} else if (r == 0 && effect >= DIFF_REPLACE) {
		r = prepare_roll(engine, p, spec, END_RELOAD);
		runtime->next->generation = engine->model->pools[p].last_generation + 1;
	} else if (r == 0 && (resized || effect >= DIFF_UPDATE)) {
		version_keep_pin(runtime->next, runtime->current);
		change->kind = resized ? CHANGE_SCALE : CHANGE_UPDATE;
		change->reason = END_SCALE;
		version_params(spec, spec->workers, &change->params);
		r = engine_reserve(engine, p, spec->workers);
	} else if (r == 0) {
		version_unref(runtime->next);
		runtime->next = NULL;
	}
	if (why.len > told)
		buf_printf(&engine->undertaking.remarks, "pool %s: %s\n", spec->name,
			   why.data + told + (told > 0 ? strspn(why.data + told, "; ") : 0));
	buf_free(&why);
	return r;
}

/* Not asked for, but somebody should know. */
static int prepare_untouched(struct engine *engine, uint32_t p, const struct pool_spec *spec)
{
	struct pool_runtime *runtime = &engine->pools[p];
	struct buf why = {0}, error = {0};
	struct version *wanted = NULL;

	/* its sockets may not be open: what cannot be made out is no reason to fail */
	if (version_new(engine, engine->undertaking.config, spec, 0, &wanted, &error) < 0)
		buf_printf(&engine->undertaking.remarks,
			   "pool %s: differs on disk and was not touched (%s)\n", spec->name,
			   error.data != NULL ? error.data : "out of memory");
	else if (version_compare(runtime->current, wanted, &why) > DIFF_NONE || why.len > 0)
		buf_printf(&engine->undertaking.remarks,
			   "pool %s: differs on disk and was not touched: %s\n", spec->name,
			   why.data);
	version_unref(wanted);
	buf_free(&why);
	buf_free(&error);
	return 0;
}

static int prepare_new(struct engine *engine, const struct wish *wish, const struct pool_spec *spec)
{
	int r = prepare_add(engine, spec);

	if (r < 0)
		return r;
	for (uint32_t p = 0; r == 0 && p < CORE_POOLS_MAX; p++) {
		const struct version *version = engine->pools[p].next;

		if (version == NULL || version->spec != spec)
			continue;
		if (wish->changed)
			r = prepare_refuse_failed(engine, version);
		else
			prepare_remark_failed(engine, version);
	}
	return r;
}

int prepare_pool(struct engine *engine, const struct wish *wish, const struct pool_spec *spec)
{
	bool selected = wish->pool == NULL || strcmp(wish->pool, spec->name) == 0;
	uint32_t p;
	int r;

	if (engine_find_pool(engine, spec->name, &p) == NULL) {
		if (selected)
			return prepare_new(engine, wish, spec);
		buf_printf(&engine->undertaking.remarks,
			   "pool %s: is new on disk and was not touched\n", spec->name);
		return 0;
	}
	if (!selected)
		return prepare_untouched(engine, p, spec);
	prepare_remark_scale(engine, p, spec);
	r = prepare_version(engine, spec, p, !wish->changed);
	if (r < 0)
		return r;
	if (!wish->changed)
		prepare_remark_failed(engine, engine->pools[p].next);
	return wish->changed ? prepare_changed(engine, p, spec)
			     : prepare_roll(engine, p, spec, END_RELOAD);
}

void prepare_removed(struct engine *engine, const struct wish *wish)
{
	const struct config *config = engine->undertaking.config->config;

	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++) {
		enum pool_state state = engine->model->pools[p].state;

		if ((state != POOL_ACTIVE && state != POOL_STOPPED) ||
		    config_find_pool(config, engine->pools[p].name) != NULL)
			continue;
		if (wish->pool == NULL)
			engine->undertaking.changes[p] =
			    (struct pool_change){.kind = CHANGE_REMOVE, .reason = END_REMOVED};
		else
			buf_printf(&engine->undertaking.remarks,
				   "pool %s: is no longer on disk and was not touched; a full "
				   "reload removes it\n",
				   engine->pools[p].name);
	}
}
