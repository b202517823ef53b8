/* outcome_cause.c - why a transaction failed: who did what, in words, and what he had said. */
#include <string.h>

#include "base/parse.h"
#include "engine/canary.h"
#include "engine/outcome_internal.h"
#include "engine/output.h"
#include "engine/proc.h"
#include "engine/wishes.h"

/* Did it fail while canaries were being judged? */
static bool outcome_is_canary(const struct engine *engine, const struct worker_ref *ref)
{
	const struct rollout *rollout = &engine->model->pools[ref->pool].rollout;

	return rollout->canary > 0 && !rollout->gate_open;
}

static void outcome_blame(struct outcome *outcome, const struct proc *proc)
{
	char journal[OUTPUT_COMMAND_MAX], stream[OUTPUT_STREAM_TEXT_MAX];

	outcome->culprit_pool = strdup(proc->version->spec->name);
	outcome->culprit_slot = proc->slot;
	outcome->culprit_generation = proc->generation;
	outcome->culprit_pid = proc->pid;
	outcome->lines.max = OUTPUT_TAIL_MAX;
	output_tail(proc, PROC_REPORT_LINES, &outcome->lines);
	if (output_journal_stream(proc, stream) &&
	    output_journal_command(proc->version->spec, journal, sizeof(journal)))
		buf_printf(&outcome->lines, "(went straight into the journal: %s)\n", journal);
}

static void outcome_tell_exit(const struct proc *proc, struct buf *text)
{
	char words[PROC_EXIT_MAX];

	buf_printf(text, " %s, %s after its start, ",
		   proc_describe_exit(proc, words, sizeof(words)),
		   DURATION_TEXT(usec_sub(clock_now(), proc->spawned_at)));
	if (proc->ready_at == 0)
		buf_add_str(text, "before it was ready");
	else
		buf_printf(text, "%s after it was ready",
			   DURATION_TEXT(usec_sub(clock_now(), proc->ready_at)));
}

/* What the worker did that failed the transaction. */
static void outcome_tell_culprit(const struct proc *proc, enum cause cause, struct buf *text)
{
	const struct pool_spec *spec = proc->version->spec;

	buf_printf(text, "%s%s", PROC_TEXT(proc),
		   outcome_is_canary(proc->engine, &proc->ref) ? ", a canary," : "");
	switch (cause) {
	case CAUSE_SPAWN:
		buf_printf(text, " cannot be started: %s",
			   proc->failure != NULL ? proc->failure : "out of memory");
		break;
	case CAUSE_NOT_READY:
		buf_printf(text,
			   proc->asked ? " was sent its sockets and has not said within %s "
					 "(start_timeout) that it accepts"
				       : " was not ready within %s (start_timeout)",
			   DURATION_TEXT(spec->start_timeout));
		if (proc->probe_failure != NULL)
			buf_printf(text, "; %s", proc->probe_failure);
		proc_describe_work(proc, text);
		break;
	case CAUSE_WATCHDOG:
		buf_printf(text, " hangs: its watchdog was not fed for %s",
			   DURATION_TEXT(spec->watchdog));
		proc_describe_work(proc, text);
		break;
	case CAUSE_NOT_LIVE:
		proc_describe_not_live(proc, " fails", text);
		proc_describe_work(proc, text);
		break;
	case CAUSE_NOT_TAKEN:
		buf_printf(text,
			   " was sent other sockets and has not said within %s (start_timeout) "
			   "that it accepts on them; a reload of the whole pool replaces it",
			   DURATION_TEXT(spec->start_timeout));
		proc_describe_work(proc, text);
		break;
	case CAUSE_OWN_WISH:
		buf_add_str(text, " said by itself that it stops");
		break;
	case CAUSE_EXITED:
		outcome_tell_exit(proc, text);
		break;
	case CAUSE_NONE:
	case CAUSE_PREPARE:
	case CAUSE_NO_PROGRESS:
	case CAUSE_STILL_DRAINS:
	case CAUSE_CHECK:
	case CAUSE_CHECK_TIMEOUT:
	case CAUSE_HOLD_TIMEOUT:
	case CAUSE_ABORTED:
	case CAUSE_CALLER_GONE:
	case CAUSE_STOPPING:
		buf_printf(text, ": %s", cause_name(cause));
		break;
	}
}

/* All of them are told as well, but some places have room for one sentence only. */
static void outcome_tell_mistakes(const struct config_problems *problems, struct buf *text)
{
	buf_printf(text, "the configuration has %zu mistake%s", problems->errors,
		   outcome_plural((uint32_t)problems->errors));
	for (size_t i = 0; i < problems->n; i++) {
		if (problems->list[i].warning)
			continue;
		buf_add_str(text, problems->errors == 1 ? ": " : ", the first: ");
		config_problem_print(&problems->list[i], text);
		return;
	}
}

/* What canary_check said of the canaries. */
static void outcome_tell_check(struct engine *engine, const struct order *order,
			       struct outcome *outcome, struct buf *text)
{
	uint32_t p = order->worker.pool;
	const struct pool_params *params = &engine->undertaking.changes[p].params;
	const char *answer;

	outcome->lines.max = OUTPUT_TAIL_MAX;
	answer = canary_answer(engine, p, &outcome->lines);
	buf_printf(text, "pool %s generation %u: canary_check ", engine->pools[p].name,
		   engine->model->pools[p].rollout.generation);
	if (order->cause == CAUSE_CHECK)
		buf_add_str(text, answer != NULL ? answer : "said no");
	else
		buf_printf(text, "has not ended within %s (canary_check_timeout)",
			   DURATION_TEXT(params->canary_check_timeout));
}

void outcome_tell_refusal(const struct config_problems *problems, const char *refusal,
			  struct buf *text)
{
	if (problems->errors > 0)
		outcome_tell_mistakes(problems, text);
	else
		buf_add_str(text, refusal != NULL ? refusal : "out of memory");
}

void outcome_tell_cause(struct engine *engine, const struct order *order, struct outcome *outcome,
			struct buf *text)
{
	const struct proc *proc = engine_find_proc(engine, &order->worker);

	if (proc != NULL) {
		outcome_tell_culprit(proc, order->cause, text);
		outcome_blame(outcome, proc);
		return;
	}
	switch (order->cause) {
	case CAUSE_PREPARE:
		outcome_tell_refusal(&outcome->problems, engine->undertaking.refusal, text);
		break;
	case CAUSE_NO_PROGRESS:
		buf_printf(
		    text,
		    "pool %s got no further for %s (progress_timeout): max_processes = %u leaves "
		    "no room until drains end",
		    engine->pools[order->worker.pool].name,
		    DURATION_TEXT(
			engine->undertaking.changes[order->worker.pool].params.progress_timeout),
		    engine->model->pools[order->worker.pool].max_processes);
		break;
	case CAUSE_STILL_DRAINS:
		buf_printf(
		    text,
		    "pool %s got no further for %s (progress_timeout): a worker that has to go "
		    "before its successor can start (max_unavailable) still drains",
		    engine->pools[order->worker.pool].name,
		    DURATION_TEXT(
			engine->undertaking.changes[order->worker.pool].params.progress_timeout));
		break;
	case CAUSE_CHECK:
	case CAUSE_CHECK_TIMEOUT:
		outcome_tell_check(engine, order, outcome, text);
		break;
	case CAUSE_HOLD_TIMEOUT:
		buf_printf(text, "nobody has promoted it within %s (canary_hold_timeout)",
			   DURATION_TEXT(engine->undertaking.hold_timeout));
		break;
	case CAUSE_ABORTED:
		buf_printf(text, "by %s",
			   engine->undertaking.decided_by != NULL ? engine->undertaking.decided_by
								  : "somebody");
		break;
	case CAUSE_CALLER_GONE:
		buf_add_str(text, "its caller went away");
		break;
	case CAUSE_STOPPING:
		buf_add_str(text, "the instance stops");
		break;
	case CAUSE_NONE:
	case CAUSE_SPAWN:
	case CAUSE_EXITED:
	case CAUSE_NOT_READY:
	case CAUSE_WATCHDOG:
	case CAUSE_NOT_LIVE:
	case CAUSE_OWN_WISH:
	case CAUSE_NOT_TAKEN:
		buf_printf(text, "a worker of pool %s %s",
			   order->worker.pool < CORE_POOLS_MAX
			       ? engine->pools[order->worker.pool].name
			       : "?",
			   cause_name(order->cause));
		break;
	}
}

bool outcome_is_versions_fault(struct engine *engine, const struct order *order)
{
	const struct proc *proc = engine_find_proc(engine, &order->worker);

	switch (order->cause) {
	case CAUSE_SPAWN:
		return proc != NULL && !proc->unlucky;
	case CAUSE_EXITED:
	case CAUSE_NOT_READY:
	case CAUSE_WATCHDOG:
	case CAUSE_NOT_LIVE:
	case CAUSE_OWN_WISH:
	case CAUSE_CHECK:
	case CAUSE_CHECK_TIMEOUT:
	case CAUSE_ABORTED:
		return true;
	case CAUSE_NONE:
	case CAUSE_PREPARE:
	case CAUSE_NOT_TAKEN:
	case CAUSE_NO_PROGRESS:
	case CAUSE_STILL_DRAINS:
	case CAUSE_HOLD_TIMEOUT:
	case CAUSE_CALLER_GONE:
	case CAUSE_STOPPING:
		break;
	}
	return false;
}
