/* rollout_internal.h - what rollout.c and rollout_undo.c share. */
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

#endif
