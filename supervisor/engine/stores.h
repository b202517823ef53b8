/* stores.h - what workers gave us to keep: each slot's descriptors, for its next worker. */
#ifndef ENGINE_STORES_H
#define ENGINE_STORES_H

#include "engine/engine.h"
#include "system/fd_store.h"

/* The watch for dead ones. 0 or -errno. */
int stores_new(struct engine *engine);
void stores_free(struct engine *engine);

/* FDSTORE=1, FDSTOREREMOVE=1 of a worker: takes what it keeps out of fds. */
void stores_heed(struct proc *proc, const struct notify_message *message, struct notify_fds *fds);

/* How many the worker that is about to start gets, and each of them, from 0. */
size_t stores_count(const struct proc *proc);
int stores_get(const struct proc *proc, size_t n, const char **ret_name);

/* The transaction is good, or failed: what its workers changed counts, or never was. */
void stores_commit(struct engine *engine);
void stores_undo(struct engine *engine);
/* A worker is gone, or a pool smaller: those of slots that are no longer there are closed. */
void stores_sweep(struct engine *engine, uint32_t pool);
/* The pool is gone. */
void stores_close_pool(struct engine *engine, uint32_t pool);

/* What is kept for a slot, NULL: nothing; and for the whole pool. */
const struct fd_store *stores_of(const struct pool_runtime *runtime, uint32_t slot);
size_t stores_total(const struct pool_runtime *runtime);

#endif
