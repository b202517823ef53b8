/*
 * types.h - the words that the core and the engine exchange: facts go in as events, orders come out
 * as a plan. Plain data throughout: a model can be copied, written out and read back.
 */
#ifndef CORE_TYPES_H
#define CORE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

#define CORE_POOLS_MAX	  64
#define CORE_REQUESTS_MAX 64
#define CORE_NONE	  UINT32_MAX /* "no worker", "no slot", "all slots" */

/* A worker's life. Any state can go to GONE, when its process ends. */
enum worker_state {
	WORKER_GONE,	 /* no process: the entry is free */
	WORKER_STARTING, /* to be started, or started and not ready yet */
	WORKER_HELD, /* ready, but has no sockets yet, or has not said yet that it accepts on them
			(handoff = channel) */
	WORKER_SERVING,	 /* ready: takes new work */
	WORKER_DRAINING, /* told to go (or going by its own wish): finishes what it has, within its
			    budget */
	WORKER_DUMPING,	 /* its time is over: has the dump signal, and a moment to say what it was
			    doing */
	WORKER_KILLED,	 /* its whole process tree has SIGKILL */
};
#define WORKER_STATE_COUNT (WORKER_KILLED + 1)

/* Why a worker leaves, or left. */
enum end_reason {
	END_NONE,	   /* it was not told to */
	END_RELOAD,	   /* its successor serves */
	END_RESTART,	   /* the same, asked for by name */
	END_SCALE,	   /* its pool became smaller */
	END_REMOVED,	   /* its pool is no longer configured */
	END_UNDO,	   /* it belongs to a rollout that failed */
	END_STOP,	   /* the instance stops */
	END_CRASH_LOOP,	   /* its pool gave up (on_crash_loop = stop-pool) */
	END_START_TIMEOUT, /* it was not ready in time */
	END_WATCHDOG,	   /* it hangs */
	END_NOT_LIVE,	   /* it fails its liveness probe */
	END_OWN_WISH,	   /* it said STOPPING=1 by itself */
};
#define END_REASON_COUNT (END_OWN_WISH + 1)

/* Which worker: the entry in its pool, and the number of uses of that entry, which makes a stale
 * reference noticed. */
struct worker_ref {
	uint32_t pool;
	uint32_t index;
	uint32_t serial;
};

enum core_restart { CORE_RESTART_ALWAYS, CORE_RESTART_ON_FAILURE, CORE_RESTART_NEVER };
enum core_crash_loop { CORE_CRASH_LOOP_RETRY, CORE_CRASH_LOOP_STOP_POOL, CORE_CRASH_LOOP_EXIT };

/* The numbers of one specification of a pool. Everything else of it (command, user, ...) is the
 * engine's. */
struct pool_params {
	uint32_t workers;	  /* size, 1 or more */
	uint32_t max_surge;	  /* most workers of one batch beside those that they succeed */
	uint32_t max_unavailable; /* most slots that are emptied before their successor starts; one
				     of the two is 1 or more */
	uint32_t max_processes;
	uint32_t canary;    /* slots of a new version that are judged before any other; 0: none */
	usec_t canary_time; /* for so long */
	usec_t canary_check_timeout; /* of a command that is asked then; 0: there is none */
	bool canary_hold;	     /* and then a person is */
	usec_t canary_hold_timeout;
	usec_t start_timeout;
	usec_t ready_delay; /* ready = delay:T; USEC_INFINITY: readiness is told */
	usec_t min_ready;
	usec_t progress_timeout;
	usec_t drain_timeout, stop_timeout, drain_extend_max;
	usec_t dump_timeout;
	usec_t watchdog; /* 0: off */
	int drain_signal;
	int dump_signal; /* 0: none */
	enum core_restart restart;
	usec_t restart_delay, restart_delay_max, restart_reset;
	uint32_t crash_loop_after;
	enum core_crash_loop on_crash_loop;
	bool held;	  /* handoff = channel: sockets are sent once it is ready */
	bool start_retry; /* on_start_failure = retry */
};

/* What happened to one worker, or what its pool wants of it. */
enum worker_event_kind {
	WORKER_EVENT_SPAWNED,	   /* it has a process */
	WORKER_EVENT_EXECUTED,	   /* and that executes its program */
	WORKER_EVENT_SPAWN_FAILED, /* it could not be started: no process, or no program */
	WORKER_EVENT_READY,
	WORKER_EVENT_ANSWERS,	   /* it will say when it has taken the sockets that it is sent */
	WORKER_EVENT_RELEASE,	   /* the pool lets it have its sockets */
	WORKER_EVENT_TELL,	   /* the pool has other sockets for it, while it serves */
	WORKER_EVENT_ACCEPTING,	   /* it has taken those that it was sent last */
	WORKER_EVENT_STOPPING,	   /* it says that it goes */
	WORKER_EVENT_EXITED,	   /* its process has ended (clean: in one of the ways that count as
				      success) */
	WORKER_EVENT_EXTEND,	   /* it asks for usec from now on */
	WORKER_EVENT_PING,	   /* watchdog: alive */
	WORKER_EVENT_TRIGGER,	   /* watchdog: it says itself that it is broken */
	WORKER_EVENT_NOT_LIVE,	   /* it has failed its liveness probe often enough */
	WORKER_EVENT_SET_WATCHDOG, /* it wants another interval: usec */
	WORKER_EVENT_TIME,	   /* its deadline has passed */
	WORKER_EVENT_DRAIN,	   /* the pool lets it go: reason, usec = budget */
	WORKER_EVENT_KILL,	   /* the pool lets it go at once */
};
#define WORKER_EVENT_COUNT (WORKER_EVENT_KILL + 1)

struct worker_event {
	enum worker_event_kind kind;
	usec_t usec;
	enum end_reason reason;
	bool clean;
};

/* What a transaction does to one pool. */
enum change_kind {
	CHANGE_NONE,
	CHANGE_UPDATE,	/* only numbers: they take effect at the commit */
	CHANGE_SOCKETS, /* other sockets for the same workers, and perhaps other numbers */
	CHANGE_SCALE,	/* another size, the same version */
	CHANGE_ROLL,	/* a new generation in every slot */
	CHANGE_SLOT,	/* a new worker of the same generation in one slot */
	CHANGE_ADD,	/* a pool that was not there */
	CHANGE_REMOVE,
};

struct pool_change {
	enum change_kind kind;
	uint32_t slot; /* CHANGE_SLOT */
	bool tell;     /* CHANGE_SOCKETS: there are new ones, to be taken before the commit */
	enum end_reason
	    reason; /* what the old workers are told: END_RELOAD, END_RESTART, END_SCALE */
	struct pool_params params;
};

/* Facts for the instance. */
enum event_kind {
	EVENT_WORKER,	      /* worker, what */
	EVENT_TIME,	      /* the deadline has passed */
	EVENT_START,	      /* changes: CHANGE_ADD for each pool; once, first of all */
	EVENT_REQUEST,	      /* request */
	EVENT_CALLER_GONE,    /* request.id: nobody waits for its answer any more */
	EVENT_PREPARED,	      /* changes: configuration read, sockets open, memory there */
	EVENT_PREPARE_FAILED, /* nothing was changed */
	EVENT_STOP,	      /* failed: the exit code */
	EVENT_STOP_NOW,
	EVENT_CANARY_CHECKED, /* worker.pool, number (of ORDER_CANARY_CHECK), failed */
	EVENT_PROMOTE,	      /* request: the transaction that is held goes on */
	EVENT_ABORT,	      /* request: the one that is held, or runs, is undone */
	EVENT_QUEUES_EMPTY,   /* nobody waits in the sockets' queues (after ORDER_REFUSE_NEW) */
};

/* A wish that becomes a transaction: reload, restart or scale. What exactly is meant, the engine
 * knows by the id. */
struct request {
	uint64_t id;   /* of the engine's; 0: nobody waits for the answer */
	uint64_t join; /* queued requests with the same number are answered by one transaction */
	bool wait_drained; /* answer when the last old worker is gone */
	bool abort_on_disconnect;
};

struct core_event {
	enum event_kind kind;
	struct worker_ref worker;
	struct worker_event what;
	struct request request;
	const struct pool_change
	    *changes; /* CORE_POOLS_MAX of them, by the pool's place; read during the step only */
	bool failed;
	uint64_t number;
};

/* What became of a transaction or a request. */
enum result {
	RESULT_COMMITTED,
	RESULT_DRAINED, /* the second half of it, for who waits for that */
	RESULT_FAILED,
	RESULT_ABORTED,	 /* its caller went away */
	RESULT_STOPPING, /* the instance stops */
	RESULT_BUSY,	 /* too many requests wait */
	RESULT_HELD,	 /* its canaries are good; a person decides what becomes of it */
	RESULT_REFUSED,	 /* a transaction is held: nothing else begins before it is decided */
	RESULT_NOT_HELD, /* there is none that could be promoted, or aborted */
};
#define RESULT_COUNT (RESULT_NOT_HELD + 1)

/* Why a transaction failed. */
enum cause {
	CAUSE_NONE,
	CAUSE_PREPARE,	     /* before any worker was touched; the engine knows */
	CAUSE_SPAWN,	     /* a new worker could not be started */
	CAUSE_EXITED,	     /* a new worker ended */
	CAUSE_NOT_READY,     /* a new worker was not ready in time */
	CAUSE_WATCHDOG,	     /* a new worker hangs */
	CAUSE_NOT_LIVE,	     /* a new worker fails its liveness probe */
	CAUSE_OWN_WISH,	     /* a new worker said that it stops */
	CAUSE_NOT_TAKEN,     /* a worker was told of other sockets, and has not taken them */
	CAUSE_NO_PROGRESS,   /* progress_timeout: no room for new workers */
	CAUSE_STILL_DRAINS,  /* progress_timeout: a worker that had to go first is still there */
	CAUSE_CHECK,	     /* canary_check said no */
	CAUSE_CHECK_TIMEOUT, /* canary_check said nothing in time */
	CAUSE_HOLD_TIMEOUT,  /* nobody decided in time */
	CAUSE_ABORTED,	     /* somebody decided against it */
	CAUSE_CALLER_GONE,
	CAUSE_STOPPING,
};

enum order_kind {
	/* to be done */
	ORDER_SPAWN,	    /* start a process for worker (slot, generation) */
	ORDER_SIGNAL,	    /* send sig with value (milliseconds left) to worker */
	ORDER_SEND_SOCKETS, /* through the channel of worker. next: of the transaction's
			       specification, and those that it leaves out */
	ORDER_KILL,	    /* SIGKILL to the worker's whole tree */
	ORDER_PREPARE, /* read, check, open; answer with EVENT_PREPARED or EVENT_PREPARE_FAILED;
			  number, id: what the requests have in common (join) */
	ORDER_COMMIT,  /* transaction number: the new specifications are the current ones */
	ORDER_UNDO,    /* transaction number failed: cause, worker; close what was opened */
	ORDER_ANSWER,  /* request id: result, cause, worker; number */
	ORDER_CANARY_CHECK, /* ask the command of pool about the count workers from slot on; number:
			       to be given back with its answer */
	ORDER_REFUSE_NEW, /* stop, step 1: keep new clients out; EVENT_QUEUES_EMPTY when all queues
			     are empty */
	ORDER_CLOSE_SOCKETS, /* stop, last step: shut them down and close them */
	ORDER_EXIT,	     /* nothing is left; failed */
	/* to be told */
	ORDER_STATE,	     /* worker went from -> to, reason, usec: how long it may take */
	ORDER_SLOT_WAITS,    /* slot of pool is empty; the next start in usec (USEC_INFINITY: none);
				count crashes in a row */
	ORDER_CRASH_LOOP,    /* slot of pool: count crashes in a row */
	ORDER_RECOVERED,     /* slot of pool: serves long enough to forget its crashes */
	ORDER_BATCH,	     /* rollout of pool: a batch of count slots begins at slot */
	ORDER_CANARY_SERVES, /* rollout of pool: the first count slots from slot on; judged for usec
			      */
	ORDER_CANARY_GOOD,   /* rollout of pool: nothing speaks against the new version */
	ORDER_HELD,	     /* transaction number waits for a person, for usec at most */
	ORDER_PROMOTED,	     /* rollout of pool: the batch serves, its predecessors drain */
	ORDER_POOL_READY,    /* every slot of pool served for the first time */
	ORDER_POOL_GONE,     /* the pool's last worker is gone, and it is no longer configured: its
				place is free */
	ORDER_LAME_DUCK,     /* a stop begins; usec until workers drain */
	ORDER_DRAIN_BEGINS,  /* a stop: workers are told now */
	ORDER_READY,	     /* all pools served: once */
};

struct order {
	enum order_kind kind;
	struct worker_ref worker;
	uint32_t pool;
	uint32_t slot;
	uint32_t generation;
	uint32_t count;
	enum worker_state from, to;
	enum end_reason reason;
	int sig;
	int value;
	usec_t usec;
	uint64_t number; /* transaction, or request id (ANSWER) */
	uint64_t id;
	enum result result;
	enum cause cause;
	bool failed;
	bool next;
};

/* A list with room for everything that one step can say: instance_plan_size(). */
struct plan {
	struct order *orders;
	size_t n;
	size_t size;
};

/* Adds an order; the plan must have room (it is the owner's fault otherwise, and a reason to
 * abort). */
void plan_add(struct plan *plan, const struct order *order);

const char *worker_state_name(enum worker_state state);
const char *end_reason_name(enum end_reason reason);
const char *cause_name(enum cause cause);

#endif
