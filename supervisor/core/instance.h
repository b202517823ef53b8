/*
 * instance.h - the whole model: pools side by side, one transaction at a time over all of them,
 * requests that wait, and the stop. The engine feeds it events and carries out its plan. Pure.
 */
#ifndef CORE_INSTANCE_H
#define CORE_INSTANCE_H

#include "core/pool.h"
#include "core/types.h"

/* At a stop, sockets' queues may take this long to empty before workers are told, although some are
 * not accepting. */
#define INSTANCE_QUIESCE_MAX (250 * USEC_PER_MSEC)
/* And this long after that, sockets are shut down, so that a worker that hangs keeps no client
 * waiting. */
#define INSTANCE_CLOSE_AFTER (250 * USEC_PER_MSEC)

enum instance_state {
	INSTANCE_NEW,
	INSTANCE_RUNNING,   /* from EVENT_START on */
	INSTANCE_LAME_DUCK, /* a stop was asked for: we say so, workers still serve */
	INSTANCE_QUIESCING, /* new clients are kept out, queued ones are still accepted */
	INSTANCE_DRAINING,  /* workers were told */
	INSTANCE_STOPPED,   /* nothing is left */
};

enum transaction_state {
	TRANSACTION_NONE,
	TRANSACTION_PREPARING,
	TRANSACTION_ROLLING,
	TRANSACTION_HELD, /* all canaries are good: a person decides */
};

struct transaction {
	enum transaction_state state;
	uint64_t number; /* of the present or last one */
	bool start;	 /* it is the first start */
	bool gate_open;
	bool promoted;	 /* somebody decided for it: it is not held again */
	usec_t deadline; /* TRANSACTION_HELD: it is undone then; else USEC_INFINITY */
	struct pool_change changes[CORE_POOLS_MAX];
};

enum pending_state { PENDING_FREE, PENDING_QUEUED, PENDING_RUNNING, PENDING_DRAINING };

struct pending {
	enum pending_state state;
	struct request request;
	uint64_t sequence;  /* of its arrival */
	uint64_t epoch;	    /* PENDING_DRAINING: waits for workers that left in it or before */
	uint32_t remaining; /* how many of them are not gone */
	bool gone;	    /* its caller went away */
};

struct instance {
	enum instance_state state;
	struct pool pools[CORE_POOLS_MAX];
	struct transaction transaction;
	struct pending pending[CORE_REQUESTS_MAX];
	uint64_t sequence;
	uint64_t epoch; /* one higher after each commit */
	usec_t lame_duck;
	usec_t deadline; /* of a stop's present step */
	bool ready;	 /* all pools served */
	bool closed;	 /* ORDER_CLOSE_SOCKETS was given */
	bool failed;	 /* exit code of a stop */
};

void instance_init(struct instance *instance, uint64_t seed);
/* Room that a plan needs for one step, with the memory that the pools have now. */
size_t instance_plan_size(const struct instance *instance);
/* A free place for a pool that is to be added (index set, state still POOL_FREE), or NULL. The
 * engine gives it memory. */
struct pool *instance_free_pool(struct instance *instance);
/* One event; the plan is appended to. */
void instance_step(struct instance *instance, const struct core_event *event, usec_t now,
		   struct plan *plan);
/* When EVENT_TIME is wanted next; USEC_INFINITY: at rest. */
usec_t instance_deadline(const struct instance *instance);
bool instance_is_stopping(const struct instance *instance);
uint32_t instance_live(const struct instance *instance);

#endif
