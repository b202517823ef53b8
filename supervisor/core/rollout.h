/*
 * rollout.h - replacing one generation of a pool by the next: batches within max_surge, each ready,
 * watched for min_ready, past the gate, and only then the old workers drain. Fails as a whole; can
 * be undone. Pure.
 */
#ifndef CORE_ROLLOUT_H
#define CORE_ROLLOUT_H

#include "core/pool.h"

void rollout_begin(struct pool *pool, const struct pool_change *change, usec_t now,
		   struct plan *plan);
/* Is the first batch settled, or is nothing to be started at all? */
bool rollout_is_at_gate(const struct pool *pool);
/* All pools' first batches serve: predecessors may be drained from now on. */
void rollout_open_gate(struct pool *pool, usec_t now, struct plan *plan);
/* Every slot has its new worker: the new specification is the pool's. */
void rollout_commit(struct pool *pool, usec_t now, struct plan *plan);
/*
 * New workers are let go; slots that already have one get the old version back, and keep the new
 * worker until that serves. With restore = false (a stop) nothing is started.
 */
void rollout_undo(struct pool *pool, bool restore, usec_t now, struct plan *plan);

/* Is there room by now for the batch that waits for it? Fails if there was none for too long. */
void rollout_seek_room(struct pool *pool, usec_t now, struct plan *plan);
/* Was the batch watched for long enough? Then it is at the gate, or takes over. */
void rollout_settle(struct pool *pool, usec_t now, struct plan *plan);

/* Have those that were told of other sockets answered in time? Fails if not. */
void rollout_check_answers(struct pool *pool, usec_t now);

/* What the command that was asked about the canaries says. A late answer means nothing. */
void rollout_checked(struct pool *pool, uint64_t number, bool good, struct plan *plan);
/* Is there a canary in it? */
bool rollout_has_canary(const struct pool *pool);

/* Called by pool.c: a worker that was told of other sockets has taken them (CAUSE_NONE), or will
 * not. */
void rollout_worker_answered(struct pool *pool, const struct worker_ref *ref, enum cause cause);
/* Called by pool.c for one that is ready (perhaps held), and again for one that was held and
 * serves. Facts only, what follows is decided when all of a step's facts are known; but those of a
 * batch that are held are released together with the last. Was it one of a batch? */
bool rollout_worker_ready(struct pool *pool, uint32_t s, usec_t now, struct plan *plan);
/* Does the loss of that slot's worker (the successor, or the current one) fail the rollout? */
bool rollout_covers(const struct pool *pool, uint32_t s, bool successor);
void rollout_fail(struct pool *pool, enum cause cause, const struct worker_ref *culprit);

#endif
