/* wishes.h - what operators ask for (reload, restart, scale), from the asking to the answer. */
#ifndef ENGINE_WISHES_H
#define ENGINE_WISHES_H

#include "engine/engine.h"

/* The model begins the transaction `number` for all that wait with that join number: prepares it
 * and posts the result. */
void wishes_begin(struct engine *engine, uint64_t number, uint64_t join);
/*
 * What would reload --changed do now? Prepares it, but opens no socket; calls tell with what came
 * of that (0 or -errno) while all of it is in engine->undertaking and in the pools' versions; takes
 * it back. Nothing has happened then. -EBUSY: a transaction runs, tell was not called.
 */
int wishes_plan(struct engine *engine, void (*tell)(struct engine *engine, int r, void *arg),
		void *arg);
/* The very first transaction: all pools start. 0, or -errno with the reason logged; exit code in
 * ret_exit. */
int wishes_start(struct engine *engine, struct config_ref *config);
/* The transaction is good: versions, sockets and configuration change over; the outcome is composed
 * and told. */
void wishes_commit(struct engine *engine);
/* It failed: what was new goes; the outcome is composed and told. */
void wishes_undo(struct engine *engine, const struct order *order);
/* It waits for a person. */
void wishes_hold(struct engine *engine, const struct order *order);
/* The model answers one request. */
void wishes_answer(struct engine *engine, const struct order *order);
void wishes_free(struct engine *engine);

const char *wish_kind_name(enum wish_kind kind);

/* ---- prepare.c ---- */

/* The first step of a reload: the configuration, read and checked. As prepare_wish(). */
int prepare_read(struct engine *engine, const struct wish *wish);
/* Sockets of other instances that it needs are asked for: true, and done() comes later. */
bool prepare_take(struct engine *engine, const struct wish *wish, void (*done)(struct engine *));
/* What the wish means for each pool: into engine->undertaking. 0, or -errno with refusal or
 * problems set. */
int prepare_wish(struct engine *engine, const struct wish *wish);
int prepare_start(struct engine *engine, struct config_ref *config);
/* Takes back what prepare_*() did, as far as no worker has seen it. */
void prepare_undo(struct engine *engine);

/* ---- outcome.c: what happened, in one sentence ---- */

struct outcome *outcome_committed(struct engine *engine);
/* It waits for a person: what serves, and until when. */
struct outcome *outcome_held(struct engine *engine);
struct outcome *outcome_failed(struct engine *engine, const struct order *order);
/* The request was not even begun. */
struct outcome *outcome_refused(struct engine *engine, const struct wish *wish, enum result result);
/* Tells the log and whoever listens, and keeps it as the last one (takes it over; NULL: memory was
 * short). */
void outcome_tell(struct engine *engine, struct outcome *outcome);

/* ---- outcome_cause.c ---- */

/* Why a transaction could not be prepared: mistakes in its configuration, or the refusal. */
void outcome_tell_refusal(const struct config_problems *problems, const char *refusal,
			  struct buf *text);

#endif
