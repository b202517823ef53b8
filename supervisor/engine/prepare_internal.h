/* prepare_internal.h - what preparing a reload (prepare.c, prepare_pools.c), a restart or
 * scaling (prepare_running.c) and a rollback (rollback.c) share. */
#ifndef ENGINE_PREPARE_INTERNAL_H
#define ENGINE_PREPARE_INTERNAL_H

#include "engine/engine.h"

/* Why it cannot be done; returns r. */
int prepare_refuse(struct undertaking *undertaking, int r, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int prepare_check_descriptors(struct engine *engine);

/* ---- prepare_pools.c ---- */

/* All of these: into engine->undertaking and the pools' versions. 0, or -errno; but for -ENOMEM a
 * refusal says why. */

/* A pool that was not there. */
int prepare_add(struct engine *engine, const struct pool_spec *spec);
/* A pool of the new configuration, as the wish (a reload) wants it. */
int prepare_pool(struct engine *engine, const struct wish *wish, const struct pool_spec *spec);
/* Pools that the new configuration does not name any more. */
void prepare_removed(struct engine *engine, const struct wish *wish);
/* Pool p gets a new generation of that specification; the version is set apart from this. */
int prepare_roll(struct engine *engine, uint32_t p, const struct pool_spec *spec,
		 enum end_reason reason);

/* ---- prepare_running.c ---- */

int prepare_restart(struct engine *engine, const struct wish *wish);
int prepare_scale(struct engine *engine, const struct wish *wish);

/* ---- rollback.c ---- */

/* Pool p gets that version once more, as its next generation. */
int prepare_again(struct engine *engine, uint32_t p, struct version *version);
int prepare_rollback(struct engine *engine, const struct wish *wish);
/* The pool's current version was another one until now: keeps it for a rollback. */
void rollback_keep(struct pool_runtime *runtime, struct version *old);
/* Pool p is back at the version that was kept last. */
void rollback_commit(struct engine *engine, uint32_t p, const struct version *old);
void rollback_free(struct pool_runtime *runtime);

#endif
