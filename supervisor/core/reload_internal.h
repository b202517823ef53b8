/* reload_internal.h - what reload.c and reload_requests.c share. */
#ifndef CORE_RELOAD_INTERNAL_H
#define CORE_RELOAD_INTERNAL_H

#include "core/reload.h"

void reload_answer(const struct instance *instance, const struct request *request,
		   enum result result, enum cause cause, struct plan *plan);
/* Every request of the transaction gets its answer; those that wait for the drains only half of it.
 */
void reload_answer_all(struct instance *instance, enum result result, enum cause cause,
		       uint32_t leaving, struct plan *plan);
struct pending *reload_find(struct instance *instance, enum pending_state state, uint64_t id);
void reload_release(struct pending *pending);
/* The oldest request that waits begins a transaction, unless there is one. */
void reload_next(struct instance *instance, struct plan *plan);
/* Nobody of those who asked for it waits any more, and all of them wanted it ended in that case. */
bool reload_is_abandoned(const struct instance *instance);

#endif
