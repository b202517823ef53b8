/* worker_internal.h - what worker.c and worker_leaving.c share. */
#ifndef CORE_WORKER_INTERNAL_H
#define CORE_WORKER_INTERNAL_H

#include "core/worker.h"

/* The one place where a state changes: what the new state may not have is dropped, and the change
 * is told. */
void worker_set_state(struct worker *worker, enum worker_state to, usec_t now, usec_t deadline,
		      struct plan *plan);
/* An order to its process; left is the time that it has, told to it in milliseconds. */
void worker_order(const struct worker *worker, enum order_kind kind, int sig, usec_t left,
		  struct plan *plan);
/* Its process has ended, or there was none. */
void worker_gone(struct worker *worker, usec_t now, struct plan *plan);

/* ---- worker_leaving.c ---- */

void worker_kill(struct worker *worker, usec_t now, struct plan *plan);
/* It hangs, or is not live: it leaves a core file, by dump_signal or else by SIGABRT. */
void worker_hang(struct worker *worker, enum end_reason reason, usec_t now, struct plan *plan);
/* It has budget to end by itself, and is told so unless it was its own wish. */
void worker_drain(struct worker *worker, enum end_reason reason, usec_t budget, usec_t now,
		  struct plan *plan);
/* It asks for usec from now on; deadline_max is the limit. */
void worker_extend(struct worker *worker, usec_t usec, usec_t now);
void worker_step_draining(struct worker *worker, const struct worker_event *event, usec_t now,
			  struct plan *plan);
void worker_step_dumping(struct worker *worker, const struct worker_event *event, usec_t now,
			 struct plan *plan);
void worker_step_killed(struct worker *worker, const struct worker_event *event, usec_t now,
			struct plan *plan);

#endif
