/* prepare.c - before any worker is touched: read, check, compare, open, reserve. All of it, or
 * nothing. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/fd.h"
#include "engine/prepare_internal.h"
#include "engine/sockets.h"
#include "engine/taking.h"
#include "engine/versions.h"
#include "engine/wishes.h"
#include "system/check.h"

/* Descriptors that the master needs beside those for sockets and workers: loop, log files, API
 * clients. */
#define PREPARE_FDS_BASE 224

int prepare_refuse(struct undertaking *undertaking, int r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	free(undertaking->refusal);
	if (vasprintf(&undertaking->refusal, format, args) == -1)
		undertaking->refusal = NULL;
	va_end(args);
	return r;
}

/* ---- what is opened and reserved ---- */

/* Descriptors that may be kept for workers: what a rollout's own workers add comes on top. */
static uint64_t prepare_store_size(const struct engine *engine, uint32_t p)
{
	const struct pool_runtime *runtime = &engine->pools[p];
	uint64_t size = 0;

	if (runtime->current != NULL)
		size +=
		    (uint64_t)engine->model->pools[p].size * runtime->current->spec->fd_store_max;
	if (runtime->next != NULL)
		size += (uint64_t)engine->undertaking.changes[p].params.workers *
			runtime->next->spec->fd_store_max;
	return size;
}

/* Beside its processes: what its versions hold open. */
static uint64_t prepare_count_pins(const struct pool_runtime *runtime)
{
	const struct pin *pin = runtime->current != NULL ? runtime->current->pin : NULL;
	uint64_t n = pin != NULL ? pin_count(pin) : 0;

	if (runtime->next != NULL && runtime->next->pin != pin)
		n += pin_count(runtime->next->pin);
	for (unsigned k = 0; k < runtime->n_kept; k++)
		n += runtime->kept[k]->pin != pin ? pin_count(runtime->kept[k]->pin) : 0;
	return n;
}

/* Would all descriptors suffice, in the worst moment of the transaction? */
int prepare_check_descriptors(struct engine *engine)
{
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
	const struct config *config = engine->undertaking.config->config;
	uint64_t needed = PREPARE_FDS_BASE;

	for (size_t n = 0; n < config->n_sockets; n++)
		needed += config_socket_count(config, &config->sockets[n]);
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++) {
		const struct pool_change *change = &engine->undertaking.changes[p];
		const struct pool_runtime *runtime = &engine->pools[p];

		needed += prepare_count_pins(&engine->pools[p]);
		needed += prepare_store_size(engine, p);
		if (runtime->current != NULL)
			needed += (uint64_t)check_worker_descriptors(runtime->current->spec) *
				  engine->model->pools[p].live;
		if (runtime->next != NULL &&
		    (change->kind == CHANGE_ADD || change->kind == CHANGE_ROLL))
			needed += (uint64_t)check_worker_descriptors(runtime->next->spec) *
				  change->params.workers;
	}
	getrlimit(RLIMIT_NOFILE, &limit);
	if (needed <= limit.rlim_cur)
		return 0;
	return prepare_refuse(&engine->undertaking, -EMFILE,
			      "%llu descriptors may be needed at once, but only %llu are allowed "
			      "(RLIMIT_NOFILE, LimitNOFILE=)",
			      (unsigned long long)needed, (unsigned long long)limit.rlim_cur);
}

static int prepare_sockets(struct engine *engine, const struct pool_spec *only)
{
	struct buf why = {0};
	int r = sockets_open(engine, engine->undertaking.config->config, only, &why);

	if (r < 0)
		prepare_refuse(&engine->undertaking, r, "%s",
			       why.data != NULL ? why.data : strerror(-r));
	buf_free(&why);
	return r;
}

/* ---- wishes ---- */

static int prepare_read_config(struct engine *engine)
{
	struct undertaking *undertaking = &engine->undertaking;
	struct check_context context = {.running = engine->config->config};
	struct config *config = NULL;
	int r = config_read(engine->config_path, &config, &undertaking->problems);

	if (r == 0)
		r = check_world(config, &context, &undertaking->problems, NULL);
	if (r < 0) {
		config_free(config);
		return r;
	}
	undertaking->config = config_ref_new(config);
	return undertaking->config != NULL ? 0 : -ENOMEM;
}

int prepare_read(struct engine *engine, const struct wish *wish)
{
	return wish->kind == WISH_RELOAD ? prepare_read_config(engine) : 0;
}

bool prepare_take(struct engine *engine, const struct wish *wish, void (*done)(struct engine *))
{
	const struct config *config;
	const struct pool_spec *only = NULL;

	if (wish->kind != WISH_RELOAD)
		return false;
	config = engine->undertaking.config->config;
	if (wish->pool != NULL) {
		only = config_find_pool(config, wish->pool);
		if (only == NULL)
			return false;
	}
	return takings_begin(engine, config, only, done);
}

static int prepare_reload(struct engine *engine, const struct wish *wish)
{
	struct undertaking *undertaking = &engine->undertaking;
	const struct config *config = undertaking->config->config;
	const struct pool_spec *only = NULL;
	cleanup_buf struct buf told = {0};
	int r;

	undertaking->whole = wish->pool == NULL;
	if (wish->pool != NULL) {
		only = config_find_pool(config, wish->pool);
		if (only == NULL)
			return prepare_refuse(
			    undertaking, -ENOENT,
			    "there is no pool '%s' in %s (a full reload removes a pool)",
			    wish->pool, engine->config_path);
	}
	r = prepare_sockets(engine, only);
	for (size_t n = 0; r == 0 && n < config->n_pools; n++)
		r = prepare_pool(engine, wish, &config->pools[n]);
	if (r == 0)
		prepare_removed(engine, wish);
	if (r == 0 && undertaking->whole)
		undertaking->settings =
		    version_compare_settings(engine->config->config, config,
					     undertaking->dry ? &told : &undertaking->remarks);
	return r == 0 ? prepare_check_descriptors(engine) : r;
}

int prepare_wish(struct engine *engine, const struct wish *wish)
{
	switch (wish->kind) {
	case WISH_RELOAD:
		return prepare_reload(engine, wish);
	case WISH_RESTART:
		return prepare_restart(engine, wish);
	case WISH_SCALE:
		return prepare_scale(engine, wish);
	case WISH_PROMOTE: /* these begin none */
	case WISH_ABORT:
		break;
	case WISH_ROLLBACK:
		return prepare_rollback(engine, wish);
	}
	return -EINVAL;
}

int prepare_start(struct engine *engine, struct config_ref *config)
{
	int r;

	engine->undertaking.config = config_ref_get(config);
	engine->undertaking.whole = true;
	takings_wait(engine, config->config);
	r = prepare_sockets(engine, NULL);
	for (size_t n = 0; r == 0 && n < config->config->n_pools; n++)
		r = prepare_add(engine, &config->config->pools[n]);
	return r == 0 ? prepare_check_descriptors(engine) : r;
}

void prepare_undo(struct engine *engine)
{
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++) {
		struct pool *pool = &engine->model->pools[p];
		struct pool_runtime *runtime = &engine->pools[p];

		version_unref(runtime->next);
		runtime->next = NULL;
		/* a place that was taken, and that the model has not used yet */
		if (pool->state == POOL_ACTIVE && pool->last_generation == 0) {
			version_unref(runtime->current);
			runtime->current = NULL;
			pool->state = POOL_FREE;
			free(runtime->name);
			runtime->name = NULL;
		}
	}
	sockets_undo(engine);
	takings_end(engine);
}
