/* rollout_internal.h - what rollout.c, rollout_canary.c and rollout_undo.c share. */
#ifndef CORE_ROLLOUT_INTERNAL_H
#define CORE_ROLLOUT_INTERNAL_H

#include "core/rollout.h"

static inline void rollout_set_state(struct rollout *rollout, enum rollout_state state,
				     usec_t deadline)
{
	rollout->state = state;
	rollout->deadline = deadline;
}

/* Slots from size on are left. */
void rollout_shrink(struct pool *pool, uint32_t size, enum end_reason reason, usec_t now,
		    struct plan *plan);

/* ---- rollout_canary.c ---- */

/* Is the batch, present or next, the one that is judged? */
bool rollout_is_canary(const struct pool *pool);
/* How long the batch is watched. */
usec_t rollout_watch(const struct pool *pool);
void rollout_tell_canary(const struct pool *pool, enum order_kind kind, usec_t usec,
			 struct plan *plan);
/* The canaries have stood their time. */
void rollout_judge(struct pool *pool, usec_t now, struct plan *plan);

#endif
