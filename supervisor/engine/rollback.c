/* rollback.c - versions that served, and the way back to them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "engine/failures.h"
#include "engine/prepare_internal.h"
#include "engine/sockets.h"
#include "engine/versions.h"

/* ---- what is kept ---- */

static void rollback_drop(struct pool_runtime *runtime, unsigned n)
{
	version_unref(runtime->kept[n]);
	runtime->n_kept--;
	memmove(&runtime->kept[n], &runtime->kept[n + 1],
		(runtime->n_kept - n) * sizeof(*runtime->kept));
}

void rollback_free(struct pool_runtime *runtime)
{
	while (runtime->n_kept > 0)
		rollback_drop(runtime, runtime->n_kept - 1);
}

/* Another generation of the same version is nothing to go back to; and each version is kept once,
 * in the place of its last service. */
void rollback_keep(struct pool_runtime *runtime, struct version *old)
{
	uint64_t now = version_fingerprint(runtime->current), then = version_fingerprint(old);
	unsigned most = runtime->current->spec->keep_generations;

	for (unsigned n = runtime->n_kept; n-- > 0;) {
		uint64_t kept = version_fingerprint(runtime->kept[n]);

		if (kept == now || kept == then)
			rollback_drop(runtime, n);
	}
	if (now != then) {
		if (runtime->n_kept == CONFIG_KEEP_MAX)
			rollback_drop(runtime, 0);
		runtime->kept[runtime->n_kept++] = version_ref(old);
	}
	while (runtime->n_kept > most)
		rollback_drop(runtime, 0);
}

void rollback_commit(struct engine *engine, uint32_t p, const struct version *old)
{
	struct pool_runtime *runtime = &engine->pools[p];
	cleanup_buf struct buf reason = {0};

	runtime->rolled_back = true;
	if (runtime->n_kept > 0)
		rollback_drop(runtime, runtime->n_kept - 1);
	if (old == NULL || version_fingerprint(old) == version_fingerprint(runtime->current))
		return;
	buf_printf(&reason, "generation %u was rolled back (%s)", old->generation,
		   engine->undertaking.by != NULL ? engine->undertaking.by : "");
	failures_add(engine, old, buf_text(&reason));
}

/* ---- the way back ---- */

int prepare_again(struct engine *engine, uint32_t p, struct version *version)
{
	struct pool_runtime *runtime = &engine->pools[p];
	cleanup_buf struct buf why = {0};
	int r = version_again(engine, version, engine->model->pools[p].last_generation + 1,
			      &runtime->next, &why);

	if (r < 0)
		prepare_refuse(&engine->undertaking, r,
			       "pool %s: generation %u cannot be started again: %s", runtime->name,
			       version->generation, why.len > 0 ? why.data : strerror(-r));
	return r;
}

static void rollback_remark(struct engine *engine, const struct version *kept)
{
	const struct failure *failure = failures_find(engine, kept);
	char id[IDENTITY_BUILD_ID_TEXT];
	struct buf *remarks = &engine->undertaking.remarks;

	identity_format_build_id(&kept->pin->program.identity, id);
	buf_printf(remarks, "pool %s: back to what generation %u ran: %s%s%s%s", kept->spec->name,
		   kept->generation, kept->pin->program.path, *id != '\0' ? " (build id " : "", id,
		   *id != '\0' ? ")" : "");
	if (failure != NULL) {
		buf_add_str(remarks, ", which ");
		failures_describe(failure, remarks);
	}
	buf_add_str(remarks, "\n");
}

static int rollback_pool(struct engine *engine, uint32_t p)
{
	struct pool_runtime *runtime = &engine->pools[p];
	struct version *kept = runtime->kept[runtime->n_kept - 1];
	cleanup_buf struct buf why = {0};
	int r = prepare_again(engine, p, kept);

	if (r < 0)
		return r;
	r = sockets_open_slots(engine, runtime->next, kept->spec->workers, &why);
	if (r < 0)
		return prepare_refuse(&engine->undertaking, r, "pool %s: %s", runtime->name,
				      why.len > 0 ? why.data : strerror(-r));
	rollback_remark(engine, kept);
	r = prepare_roll(engine, p, kept->spec, END_RELOAD);
	/* it has proved itself, and whoever goes back cannot wait for a judgement */
	engine->undertaking.changes[p].params.canary = 0;
	return r;
}

static int rollback_refuse(struct engine *engine, const struct wish *wish)
{
	return wish->pool != NULL
		   ? prepare_refuse(
			 &engine->undertaking, -ENOENT,
			 "pool %s has no other version to go back to: none served before, or "
			 "none is kept (keep_generations)",
			 wish->pool)
		   : prepare_refuse(
			 &engine->undertaking, -ENOENT,
			 "no pool has another version to go back to: none served before, or "
			 "none is kept (keep_generations)");
}

int prepare_rollback(struct engine *engine, const struct wish *wish)
{
	unsigned found = 0;
	int r = 0;

	if (wish->pool != NULL && engine_find_pool(engine, wish->pool, NULL) == NULL)
		return prepare_refuse(&engine->undertaking, -ENOENT, "there is no pool '%s'",
				      wish->pool);
	engine->undertaking.config = config_ref_get(engine->config);
	for (uint32_t p = 0; r == 0 && p < CORE_POOLS_MAX; p++) {
		const struct pool_runtime *runtime = &engine->pools[p];
		enum pool_state state = engine->model->pools[p].state;

		if ((state != POOL_ACTIVE && state != POOL_STOPPED) || runtime->n_kept == 0 ||
		    (wish->pool != NULL && strcmp(wish->pool, runtime->name) != 0))
			continue;
		found++;
		r = rollback_pool(engine, p);
	}
	if (r == 0 && found == 0)
		return rollback_refuse(engine, wish);
	return r == 0 ? prepare_check_descriptors(engine) : r;
}
