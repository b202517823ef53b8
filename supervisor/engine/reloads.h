/* reloads.h - keeps engine->history: called where a transaction goes on. */
#ifndef ENGINE_RELOADS_H
#define ENGINE_RELOADS_H

#include "engine/engine.h"

/* The undertaking begins, for these wishes (the running ones); NULL: the start, or nobody waits any
 * more. */
void reloads_begin(struct engine *engine, const struct wish *first);
/* Configuration read, sockets open. */
void reloads_prepared(struct engine *engine);
/* outcome NULL: memory was too short for one. */
void reloads_ended(struct engine *engine, const struct outcome *outcome);
/* A worker is ready, this long after its start. */
void reloads_worker_ready(const struct proc *proc, usec_t took);
/* A worker has been told to go: is it for the transaction? Returns its number, or 0. */
uint64_t reloads_worker_leaves(const struct proc *proc, enum end_reason reason);
/* One that was told to go for transaction `number` is gone. */
void reloads_worker_left(const struct proc *proc, uint64_t number, usec_t took);
/* What a wish is about, in words: "all pools", "pool api slot 2". */
void reloads_describe(const struct wish *wish, struct buf *out);

#endif
