/* evidence.c - gathers what may be asked for later, at the moments when it can be had. */
#include "engine/evidence.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "engine/output.h"
#include "engine/proc.h"
#include "engine/reloads.h"

/* A turn of the loop spends no more than this on looking at workers that hang: a thousand of them
 * may be overdue in the same moment. */
#define EVIDENCE_TURN_MAX (5 * USEC_PER_MSEC)

static struct evidence *evidence_of(struct proc *proc)
{
	if (proc->evidence != NULL)
		return proc->evidence;
	proc->evidence = calloc(1, sizeof(*proc->evidence));
	if (proc->evidence == NULL)
		return NULL;
	proc->evidence->inflight = -1;
	proc->evidence->lines.max = INCIDENT_LINES_MAX;
	proc->evidence->dump.max = INCIDENT_DUMP_MAX;
	return proc->evidence;
}

void evidence_free(struct proc *proc)
{
	struct evidence *evidence = proc->evidence;

	if (evidence == NULL)
		return;
	output_capture(proc, NULL);
	buf_free(&evidence->lines);
	buf_free(&evidence->dump);
	proc_look_free(evidence->look);
	free(evidence->asked_by);
	free(evidence);
	proc->evidence = NULL;
}

/* ---- its start ---- */

/* Does the transaction that runs start it? Else it takes the place of one that is gone. */
static bool is_of_transaction(const struct proc *proc)
{
	const struct engine *engine = proc->engine;
	uint32_t p = proc->ref.pool;
	const struct pool *pool = &engine->model->pools[p];

	if (!engine->undertaking.running)
		return false;
	switch (engine->undertaking.changes[p].kind) {
	case CHANGE_ROLL:
	case CHANGE_ADD:
		return engine->pools[p].next == proc->version;
	case CHANGE_SLOT:
		return engine->undertaking.changes[p].slot == proc->slot;
	case CHANGE_SCALE:
		return proc->slot < pool->size && !pool->slots[proc->slot].served;
	case CHANGE_NONE:
	case CHANGE_UPDATE:
	case CHANGE_SOCKETS:
	case CHANGE_REMOVE:
		break;
	}
	return false;
}

static enum start start_of_transaction(const struct undertaking *undertaking)
{
	if (undertaking->start)
		return START_INSTANCE;
	switch (undertaking->kind) {
	case WISH_RELOAD:
		return START_RELOAD;
	case WISH_RESTART:
		return START_RESTART;
	case WISH_SCALE:
		return START_SCALE;
	case WISH_PROMOTE:
	case WISH_ABORT:
		break;
	case WISH_ROLLBACK:
		return START_ROLLBACK;
	}
	return START_OTHER;
}

void evidence_started(struct proc *proc)
{
	const struct engine *engine = proc->engine;
	const struct undertaking *undertaking = &engine->undertaking;
	const struct pool *pool = &engine->model->pools[proc->ref.pool];
	const struct incident *last =
	    incidents_last(&engine->incidents, proc->version->spec->name, proc->slot);
	bool again = last != NULL && last->generation == proc->generation;

	/* the transaction may have tried it before */
	if (is_of_transaction(proc) && !(again && last->at >= undertaking->since)) {
		proc->start = start_of_transaction(undertaking);
		proc->start_number = undertaking->number;
	} else if (again) {
		proc->start = START_AFTER_INCIDENT;
		proc->start_number = last->id;
	} else if (proc->slot < pool->size && pool->slots[proc->slot].restoring) {
		proc->start = START_RESTORED;
		proc->start_number = undertaking->number;
	}
}

/* ---- on its way out ---- */

void evidence_told(struct proc *proc, const struct order *order)
{
	struct evidence *evidence = evidence_of(proc);
	unsigned long inflight;

	if (evidence == NULL || evidence->told_at != 0)
		return;
	evidence->told_at = proc->engine->step_at;
	evidence->budget = order->usec;
	evidence->reason = order->reason;
	evidence->reload = reloads_worker_leaves(proc, order->reason);
	if (proc_inflight(proc, &inflight))
		evidence->inflight = (long)inflight;
}

/* What is left of this turn's time for looking; 0: nothing. */
static usec_t evidence_time(struct engine *engine)
{
	struct timeval turn;

	event_base_gettimeofday_cached(engine->base, &turn);
	if (timercmp(&turn, &engine->look_turn, !=)) {
		engine->look_turn = turn;
		engine->look_spent = 0;
	}
	return usec_sub(EVIDENCE_TURN_MAX, engine->look_spent);
}

void evidence_look(struct proc *proc)
{
	struct evidence *evidence = evidence_of(proc);
	usec_t left = evidence_time(proc->engine), now = clock_now();
	struct proc_look *look = NULL;

	if (evidence == NULL || proc->pid <= 0 || proc->ended)
		return;
	evidence->look_error =
	    left > 0 ? proc_look("", proc->pid, usec_add(now, left), &look) : -EBUSY;
	if (look == NULL)
		return;
	proc_look_free(evidence->look);
	evidence->look = look;
	proc->engine->look_spent += usec_sub(clock_now(), now);
}

/* What it wrote before the dump signal is no part of the dump; where there is no time to read that
 * now, it looks like one. */
static void evidence_catch_up(struct proc *proc)
{
	usec_t now = clock_now();

	if (evidence_time(proc->engine) == 0)
		return;
	output_catch_up(proc);
	proc->engine->look_spent += usec_sub(clock_now(), now);
}

void evidence_overdue(struct proc *proc, int dump_signal)
{
	struct evidence *evidence = evidence_of(proc);

	if (evidence == NULL)
		return;
	evidence->overdue = true;
	evidence_look(proc);
	if (dump_signal == 0)
		return;
	evidence->dump_signal = dump_signal;
	evidence_catch_up(proc);
	output_tail(proc, EVIDENCE_LINES, &evidence->lines);
	output_capture(proc, &evidence->dump);
}

void evidence_signal(struct proc *proc, int sig, const char *by)
{
	struct evidence *evidence = evidence_of(proc);
	char *copy = strdup(by);

	if (evidence == NULL || copy == NULL) {
		free(copy);
		return;
	}
	free(evidence->asked_by);
	evidence->asked_by = copy;
	evidence->asked_signal = sig;
	evidence->asked_at = clock_now();
}
