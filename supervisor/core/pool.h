/*
 * pool.h - N slots of one command, and the workers in them: who serves in a slot, who is to
 * succeed, what follows a crash. Pure; memory is handed in. Rollouts over the slots are in
 * rollout.h.
 */
#ifndef CORE_POOL_H
#define CORE_POOL_H

#include "core/timers.h"
#include "core/types.h"
#include "core/worker.h"

enum pool_state {
	POOL_FREE,     /* no pool in this place */
	POOL_ACTIVE,   /* slots are kept filled */
	POOL_STOPPED,  /* gave up after a crash loop; a reload starts it again */
	POOL_RETIRING, /* no longer configured: its workers drain, then the place is free */
	POOL_ENDING,   /* the instance stops: its workers drain */
};

struct slot {
	uint32_t current; /* the worker that serves, or is to serve, here; CORE_NONE: waits for its
			     restart */
	uint32_t next;	  /* its successor, on the way; CORE_NONE */
	uint32_t leaving; /* nobody may start here before this one, which drains, is gone; CORE_NONE
			   */
	uint32_t crashes; /* in a row */
	uint32_t restarts;
	usec_t restart_at; /* USEC_INFINITY: not planned */
	bool looping;	   /* crash loop: retried at the slowest pace */
	bool restoring;	   /* holds a worker of a rollout that failed, until one of the old version
			      serves */
	bool served;	   /* a worker was ready here once */
	bool emptied;	   /* its worker was drained for one that has not taken its place yet */
};

enum rollout_state {
	ROLLOUT_NONE,
	ROLLOUT_WAITING,   /* for room: max_processes is reached, drains must end first */
	ROLLOUT_STARTING,  /* a batch of new workers is on the way */
	ROLLOUT_RELEASING, /* all of the batch are ready and were sent their sockets: not all of
			      them accept yet */
	ROLLOUT_SETTLING,  /* all of the batch are ready; watched for min_ready */
	ROLLOUT_CHECKING,  /* the canaries were watched, and a command is asked about them */
	ROLLOUT_GATED,	   /* the first batch is settled; the other pools are not */
	ROLLOUT_TELLING, /* those that serve were sent other sockets: not all of them have answered
			  */
	ROLLOUT_DONE,	 /* every slot has its new worker; to be committed */
};

struct rollout {
	enum rollout_state state;
	enum change_kind kind;
	enum end_reason reason;
	struct pool_params params; /* of the new generation */
	uint32_t generation;
	uint32_t old_size;
	uint32_t canary; /* slots of the first batch, which is judged; 0: as any other */
	uint64_t check;	 /* number of the last question to the command */
	enum pool_state old_state;
	uint32_t begin, end;	    /* slots concerned */
	uint32_t cursor, batch_end; /* slots of the batch; those before cursor are promoted */
	uint32_t waiting;	    /* workers of the batch that are not ready, or do not accept;
				       or that have not answered */
	uint32_t vacant;	    /* those of them that are not started: predecessors drain */
	usec_t deadline;
	bool tell; /* CHANGE_SOCKETS */
	bool gate_open;
	bool failed;
	enum cause cause;
	struct worker_ref culprit;
};

struct pool {
	enum pool_state state;
	uint32_t index;		   /* place in the instance */
	struct pool_params params; /* what a crash restarts: the committed specification */
	uint32_t generation;	   /* the committed one */
	uint32_t last_generation;  /* the highest number that was given away */
	uint32_t size;		   /* slots */
	uint32_t max_processes;
	struct worker *workers; /* capacity of each of the three */
	struct slot *slots;
	struct timers timers; /* of worker i: id 2i; of slot i: id 2i+1 */
	uint32_t capacity;
	uint32_t free; /* first free worker entry */
	uint32_t counts[WORKER_STATE_COUNT];
	uint32_t live;
	uint32_t looping;   /* slots in a crash loop */
	uint32_t restoring; /* slots */
	uint32_t served;    /* slots that served once */
	uint32_t emptied;   /* slots */
	bool ready_once;    /* all of them had, at some time */
	bool restores;	    /* more slots are to be put back, when others are through */
	bool starved;	    /* an entry was wanted and there was none: give memory */
	bool give_up;	    /* on_crash_loop = exit */
	uint64_t checks;    /* questions to canary_check so far */
	uint64_t epoch;	    /* copy of the instance's */
	uint64_t seed;
	struct rollout rollout;
};

/* How many slots are on their way back to the committed version, behind a rollout that failed. */
uint32_t pool_going_back(const struct pool *pool);
/* Bytes of one block that holds everything for `capacity` workers and slots. */
size_t pool_memory_size(uint32_t capacity);
/* Moves the pool into block (which stays the caller's); returns the former block, to be freed, or
 * NULL. */
void *pool_set_memory(struct pool *pool, void *block, uint32_t capacity);
/* How many entries the pool could use if a rollout to `size` slots began now. */
uint32_t pool_capacity_wanted(const struct pool *pool, uint32_t size);
/* Makes a free place a pool without slots. Memory must have been set. */
void pool_open(struct pool *pool, uint64_t seed);
/* Starts all slots at once outside of any transaction (on_start_failure = retry). */
void pool_start(struct pool *pool, const struct pool_params *params, usec_t now, struct plan *plan);

struct worker *pool_worker(struct pool *pool, const struct worker_ref *ref); /* NULL: gone */
void pool_worker_step(struct pool *pool, struct worker *worker, const struct worker_event *event,
		      usec_t now, struct plan *plan);
/* Everything whose time has come, at most a few hundred timers in a step. */
void pool_time(struct pool *pool, usec_t now, struct plan *plan);
usec_t pool_deadline(const struct pool *pool);

/* Lets every worker go within its stop (or drain) budget; nothing is restarted any more. */
void pool_drain_all(struct pool *pool, enum pool_state to, enum end_reason reason, usec_t now,
		    struct plan *plan);
/* The same without any budget. */
void pool_kill_all(struct pool *pool, enum pool_state to, enum end_reason reason, usec_t now,
		   struct plan *plan);
/* Takes over numbers that need no new worker. */
void pool_update(struct pool *pool, const struct pool_params *params);

/* For pool_slots.c and rollout.c. */
uint32_t pool_room(const struct pool *pool);
/* Worker entry w can be used again. */
void pool_free_entry(struct pool *pool, uint32_t w);
/* A worker for slot s; CORE_NONE where there is no room. */
uint32_t pool_take_worker(struct pool *pool, uint32_t s, uint32_t generation,
			  const struct pool_params *params, usec_t now, struct plan *plan);
void pool_drain_worker(struct pool *pool, uint32_t w, enum end_reason reason, usec_t now,
		       struct plan *plan);
void pool_set_size(struct pool *pool, uint32_t size);
/* Empties a slot: its workers drain, nothing is restarted in it. */
void pool_leave_slot(struct pool *pool, uint32_t s, enum end_reason reason, usec_t now,
		     struct plan *plan);
/* Worker w has its sockets from now on, if it was held. */
void pool_release(struct pool *pool, uint32_t w, usec_t now, struct plan *plan);
/* The worker of slot s drains, and nobody starts there before it is gone. */
void pool_empty_slot(struct pool *pool, uint32_t s, enum end_reason reason, usec_t now,
		     struct plan *plan);
/* It has somebody who serves again, or shall have nobody. */
void pool_slot_filled(struct pool *pool, uint32_t s);
/* The worker that kept slot s from being filled is gone. */
void pool_slot_vacated(struct pool *pool, uint32_t s, usec_t now, struct plan *plan);
/*
 * Slots that hold a worker of a failed rollout get one of the committed version: as many at a time
 * as max_surge allows, beside the one that serves; without any surge, as many as max_unavailable
 * allows, each after the one that serves is gone.
 */
void pool_restore_more(struct pool *pool, usec_t now, struct plan *plan);
/* How many are being put back beside the one that serves. */
uint32_t pool_restoring_beside(const struct pool *pool);
/* The successor takes the slot over; its predecessor drains. */
void pool_promote(struct pool *pool, uint32_t s, enum end_reason reason, usec_t now,
		  struct plan *plan);
/* Sees to it that slot s gets a worker of the committed version, as current or (while another
 * serves) as next. */
void pool_slot_start(struct pool *pool, uint32_t s, usec_t now, struct plan *plan);
/* Slot s lost a worker that nobody had told to go. served: for how long it had been ready (0:
 * never). */
void pool_slot_crashed(struct pool *pool, uint32_t s, bool clean, usec_t served, usec_t now,
		       struct plan *plan);
/* Its crashes in a row are forgotten. */
void pool_slot_forgive(struct pool *pool, uint32_t s);
/* It no longer holds a worker of a failed rollout. */
void pool_slot_restored(struct pool *pool, uint32_t s);
void pool_slot_schedule(struct pool *pool, uint32_t s, usec_t at);
/* Slots that a former restart policy left empty get a worker, if the present one wants it. */
void pool_fill(struct pool *pool, usec_t now, struct plan *plan);
/* The timer of slot s has come. */
void pool_slot_time(struct pool *pool, uint32_t s, usec_t now, struct plan *plan);
/* Has every slot served once? Told once. */
void pool_check_ready(struct pool *pool, struct plan *plan);

#endif
