/*
 * reload.h - the transaction over several pools: prepare, roll side by side, commit or undo; and
 * the requests that wait for their turn. A part of instance.h's model. Pure.
 */
#ifndef CORE_RELOAD_H
#define CORE_RELOAD_H

#include "core/instance.h"

void reload_start(struct instance *instance, const struct pool_change *changes, usec_t now,
		  struct plan *plan);
void reload_request(struct instance *instance, const struct request *request, struct plan *plan);
/* The transaction that is held goes on, and its end is this request's answer. */
void reload_promote(struct instance *instance, const struct request *request, struct plan *plan);
/* The transaction that is held, or runs, is undone: for this request that is success. */
void reload_abort(struct instance *instance, const struct request *request, usec_t now,
		  struct plan *plan);
void reload_caller_gone(struct instance *instance, uint64_t id, usec_t now, struct plan *plan);
void reload_prepared(struct instance *instance, const struct pool_change *changes, usec_t now,
		     struct plan *plan);
void reload_prepare_failed(struct instance *instance, struct plan *plan);
/* After any event: does the transaction get further, or has it failed? Returns true when the first
 * start failed. */
bool reload_advance(struct instance *instance, usec_t now, struct plan *plan);
/* A stop: everything that waits is answered, nothing is put back. */
void reload_end(struct instance *instance, usec_t now, struct plan *plan);
/* A worker that had been leaving since `epoch` is gone. */
void reload_worker_gone(struct instance *instance, uint64_t epoch, struct plan *plan);

#endif
