/* outcome_internal.h - what the sentence about a transaction (outcome.c) and the part of it that
 * says why it failed (outcome_cause.c) share. */
#ifndef ENGINE_OUTCOME_INTERNAL_H
#define ENGINE_OUTCOME_INTERNAL_H

#include "engine/engine.h"

static inline const char *outcome_plural(uint32_t n)
{
	return n == 1 ? "" : "s";
}

/* ---- outcome_cause.c ---- */

/* Why it failed, into text; whose fault it was and what that one had written, into outcome. */
void outcome_tell_cause(struct engine *engine, const struct order *order, struct outcome *outcome,
			struct buf *text);
/* Would the same fail again? So it is taken for, too, where somebody decided against it. */
bool outcome_is_versions_fault(struct engine *engine, const struct order *order);

#endif
