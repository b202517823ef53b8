/* worker.h - one worker's life as a state machine: explicit states, one deadline. Pure. */
#ifndef CORE_WORKER_H
#define CORE_WORKER_H

#include "core/types.h"

/* SIGKILL ends every process that is not stuck in the kernel; one that is gets it again after this
 * long. */
#define WORKER_KILL_AGAIN (5 * USEC_PER_SEC)

/* What a worker is allowed: a copy of its specification's numbers, so that a later one leaves it
 * alone. */
struct worker_timing {
	usec_t start_timeout, start_extend_max;
	usec_t ready_delay;
	usec_t drain_timeout, stop_timeout, drain_extend_max;
	usec_t dump_timeout;
	usec_t watchdog;
	int drain_signal, dump_signal;
	bool held;
};

struct worker {
	enum worker_state state;
	enum end_reason reason; /* why it leaves; END_NONE until then */
	struct worker_ref ref;
	uint32_t slot;
	uint32_t generation;
	uint32_t next_free;
	bool spawned;	/* a process exists */
	bool delayed;	/* its ready_delay runs, and it serves when that is over */
	bool signalled; /* the drain signal was sent */
	bool answers;	/* WORKER_EVENT_ANSWERS came */
	bool released;	/* its sockets were sent */
	bool asked;	/* it serves, was sent others, and has not answered */
	uint64_t epoch; /* of the instance when it began to leave */
	usec_t since;	/* of the present state */
	usec_t deadline;
	usec_t deadline_max; /* the farthest that EXTEND may move it */
	usec_t watchdog_at;
	struct worker_timing timing;
};

void worker_timing_set(struct worker_timing *timing, const struct pool_params *params);
/* New numbers for a worker that runs: budgets and signals. What it was told when it began
 * (watchdog, readiness), or has asked for since, stays. */
void worker_timing_update(struct worker_timing *timing, const struct pool_params *params);
/* A free entry becomes a worker that waits for its process; ORDER_SPAWN and ORDER_STATE are added.
 */
void worker_begin(struct worker *worker, uint32_t slot, uint32_t generation,
		  const struct pool_params *params, usec_t now, struct plan *plan);
/* One event. Orders are added to plan. An event that means nothing in the state changes nothing. */
void worker_step(struct worker *worker, const struct worker_event *event, usec_t now,
		 struct plan *plan);
/* When it next wants WORKER_EVENT_TIME; USEC_INFINITY for GONE, and for SERVING without a watchdog.
 * One that is HELD has none of its own until it is sent its sockets. */
usec_t worker_deadline(const struct worker *worker);
/* Does it have, or is it to get, a process? */
bool worker_is_live(const struct worker *worker);
/* Is it on its way out? */
bool worker_is_leaving(const struct worker *worker);

#endif
