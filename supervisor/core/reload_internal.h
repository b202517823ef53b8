/* reload_internal.h - what reload.c, reload_requests.c and reload_hold.c share. */
#ifndef CORE_RELOAD_INTERNAL_H
#define CORE_RELOAD_INTERNAL_H

#include "core/reload.h"

void reload_tell(const struct instance *instance, enum order_kind kind, enum cause cause,
		 const struct worker_ref *culprit, struct plan *plan);
/* Is pool p a part of the transaction? */
bool reload_concerns(const struct instance *instance, uint32_t p);
/* The transaction is undone, and all who wait for it are answered. */
void reload_fail(struct instance *instance, enum result result, enum cause cause,
		 const struct worker_ref *culprit, bool restore, usec_t now, struct plan *plan);

/* ---- reload_requests.c ---- */

void reload_answer(const struct instance *instance, const struct request *request,
		   enum result result, enum cause cause, struct plan *plan);
/* Every request of the transaction gets its answer; those that wait for the drains only half of it.
 */
void reload_answer_all(struct instance *instance, enum result result, enum cause cause,
		       uint32_t leaving, struct plan *plan);
struct pending *reload_find(struct instance *instance, enum pending_state state, uint64_t id);
/* A free place for it, or NULL. */
struct pending *reload_place(struct instance *instance, const struct request *request);
void reload_release(struct pending *pending);
/* The oldest request that waits begins a transaction, unless there is one. */
void reload_next(struct instance *instance, struct plan *plan);
/* Nobody of those who asked for it waits any more, and all of them wanted it ended in that case. */
bool reload_is_abandoned(const struct instance *instance);

/* ---- reload_hold.c ---- */

/* All canaries are good: is it for a person to say what follows? */
bool reload_waits_for_a_person(const struct instance *instance);
void reload_hold(struct instance *instance, usec_t now, struct plan *plan);
/* It is undone when nobody has decided in time. */
void reload_held_time(struct instance *instance, usec_t now, struct plan *plan);

#endif
