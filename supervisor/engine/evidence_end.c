/* evidence_end.c - what an end means, and the incident that is made of it. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/parse.h"
#include "engine/events.h"
#include "engine/evidence.h"
#include "engine/output.h"
#include "engine/proc.h"
#include "engine/reloads.h"

/* ---- the judgement ---- */

static bool was_up(const struct order *order)
{
	return order->from == WORKER_STARTING || order->from == WORKER_HELD ||
	       order->from == WORKER_SERVING;
}

/* False: that is how a worker should go. */
static bool judge_leaving(const struct proc *proc, const struct order *order,
			  enum incident_kind *ret_kind)
{
	if (order->reason == END_WATCHDOG)
		*ret_kind = INCIDENT_HUNG;
	else if (order->reason == END_NOT_LIVE)
		*ret_kind = INCIDENT_NOT_LIVE;
	else if (order->reason == END_START_TIMEOUT)
		*ret_kind = INCIDENT_NOT_READY;
	else if (proc->evidence != NULL && proc->evidence->overdue)
		*ret_kind = INCIDENT_OVERDUE;
	else if (proc->killed)
		*ret_kind = INCIDENT_KILLED;
	else if (!proc_ended_well(proc, true))
		*ret_kind = INCIDENT_FAILED_DRAIN;
	else if (order->reason == END_OWN_WISH)
		*ret_kind = INCIDENT_EXITED;
	else
		return false;
	return true;
}

static bool judge(const struct proc *proc, const struct order *order, enum incident_kind *ret_kind)
{
	if (proc->pid == 0)
		*ret_kind = INCIDENT_START_FAILED;
	else if (proc->oom != PROC_OOM_NONE)
		*ret_kind = INCIDENT_OOM;
	else if (was_up(order))
		*ret_kind = proc_ended_well(proc, false) ? INCIDENT_EXITED : INCIDENT_CRASHED;
	else
		return judge_leaving(proc, order, ret_kind);
	return true;
}

/* ---- the incident ---- */

/* Memory of the right size; NULL: nothing to tell, or no memory. */
static char *take_text(struct buf *text)
{
	char *copy = text->len > 0 ? strdup(text->data) : NULL;

	buf_free(text);
	return copy;
}

static char *copy_text(const char *text)
{
	return text != NULL ? strndup(text, INCIDENT_TEXT_MAX) : NULL;
}

static int64_t lasted(usec_t since, usec_t now)
{
	return since != 0 ? (int64_t)usec_sub(now, since) : -1;
}

static void add_times(const struct proc *proc, struct incident *incident)
{
	const struct evidence *evidence = proc->evidence;
	usec_t now = clock_now();

	incident->ended = clock_wall();
	incident->at = now;
	incident->up = proc->pid > 0 ? lasted(proc->spawned_at, now) : -1;
	incident->started = incident->up >= 0 ? incident->ended - (usec_t)incident->up : 0;
	incident->served = lasted(proc->ready_at, now);
	incident->budget = incident->took = -1;
	incident->inflight = -1;
	if (evidence == NULL || evidence->told_at == 0)
		return;
	incident->reason = end_reason_name(evidence->reason);
	incident->budget = (int64_t)evidence->budget;
	incident->took = lasted(evidence->told_at, now);
	incident->inflight = evidence->inflight;
}

static void add_exit(const struct proc *proc, struct incident *incident)
{
	char words[PROC_EXIT_MAX];
	bool exited = proc->exit.code == CLD_EXITED;

	incident->exit_code = -1;
	if (proc->pid == 0)
		return;
	incident->exit = copy_text(proc_describe_exit(proc, words, sizeof(words)));
	if (exited)
		incident->exit_code = proc->exit.value;
	else if (proc->exit.code == CLD_KILLED || proc->exit.code == CLD_DUMPED)
		incident->exit_signal = proc->exit.value;
}

static void add_texts(const struct proc *proc, const struct order *order, struct incident *incident)
{
	struct buf message = {.max = INCIDENT_TEXT_MAX}, by = {.max = INCIDENT_TEXT_MAX};
	struct buf cause = {.max = INCIDENT_TEXT_MAX};
	const struct identity *identity = &proc->version->pin->program.identity;

	evidence_tell_what(proc, order, incident->kind, &message);
	evidence_tell_by(proc, incident->kind, &by);
	evidence_tell_cause(proc, &cause);
	incident->message = take_text(&message);
	incident->by = take_text(&by);
	incident->cause = take_text(&cause);
	incident->status = copy_text(proc->status);
	incident->executable = copy_text(proc->version->pin->program.path);
	incident->executable_mtime = identity->mtime_ns > 0 ? (usec_t)identity->mtime_ns / 1000 : 0;
}

/* The worker's output of its end, and of the moment before that. */
static void add_output(struct proc *proc, struct incident *incident)
{
	struct evidence *evidence = proc->evidence;
	char stream[OUTPUT_STREAM_TEXT_MAX], command[OUTPUT_COMMAND_MAX];
	struct buf lines = {.max = INCIDENT_LINES_MAX};

	if (output_journal_stream(proc, stream) &&
	    output_journal_command(proc->version->spec, command, sizeof(command)))
		incident->elsewhere = copy_text(command);
	if (evidence == NULL || evidence->dump_signal == 0) {
		output_tail(proc, EVIDENCE_LINES, &lines);
		incident->lines = take_text(&lines);
		return;
	}
	output_capture(proc, NULL);
	incident->dumped = evidence->dump_signal;
	incident->lines = take_text(&evidence->lines);
	incident->dump_cut = evidence->dump.cut;
	incident->dump = take_text(&evidence->dump);
}

static struct incident *make_incident(struct proc *proc, const struct order *order,
				      enum incident_kind kind)
{
	struct incident *incident = calloc(1, sizeof(*incident));

	if (incident == NULL)
		return NULL;
	incident->kind = kind;
	incident->slot = proc->slot;
	incident->generation = proc->generation;
	incident->pid = proc->pid;
	add_times(proc, incident);
	add_exit(proc, incident);
	add_texts(proc, order, incident);
	add_output(proc, incident);
	if (proc->evidence == NULL)
		return incident;
	incident->look = TAKE_PTR(proc->evidence->look);
	incident->look_error = proc->evidence->look_error;
	return incident;
}

/* ---- telling ---- */

/* What the main thread did. */
static void tell_look(const struct incident *incident, struct buf *out)
{
	const struct proc_thread *thread =
	    incident->look != NULL ? &incident->look->threads[0] : NULL;

	if (thread == NULL)
		return;
	buf_printf(out, "; it was in state %c", thread->state);
	if (thread->syscall[0] != '\0')
		buf_printf(out, ", %s", thread->syscall);
	if (thread->wchan[0] != '\0')
		buf_printf(out, ", waiting in %s", thread->wchan);
}

static void tell(const struct proc *proc, const struct incident *incident)
{
	struct buf look = {0};
	struct log_field fields[] = {
	    {"HANDOVER_INCIDENT", incident_kind_name(incident->kind)},
	    {"HANDOVER_EXIT", incident->exit},
	    {"HANDOVER_ENDED_BY", incident->by},
	    {"HANDOVER_REASON", incident->reason},
	    {"HANDOVER_STARTED_FOR", incident->cause},
	    {"HANDOVER_EXECUTABLE", incident->executable},
	    {"HANDOVER_STATUS", incident->status},
	    {"HANDOVER_OUTPUT", incident->lines},
	    {"HANDOVER_DUMP", incident->dump},
	};

	tell_look(incident, &look);
	events_tell(proc->engine,
		    HAPPENING("worker-incident", LOG_LEVEL_NOTICE,
			      .pool = proc->version->spec->name, .slot = proc->slot,
			      .generation = proc->generation, .pid = proc->pid > 0 ? proc->pid : -1,
			      .id = incident->id, .kind = incident_kind_name(incident->kind),
			      .exit = incident->exit, .reason = incident->reason,
			      .by = incident->by, .fields = fields, .n_fields = ARRAY_LEN(fields)),
		    "incident %llu (%s) of %s: %s%s", (unsigned long long)incident->id,
		    incident_kind_name(incident->kind), PROC_TEXT(proc),
		    incident->message != NULL ? incident->message : "?", buf_text(&look));
	buf_free(&look);
}

void evidence_end(struct proc *proc, const struct order *order)
{
	struct engine *engine = proc->engine;
	struct incident *incident;
	enum incident_kind kind;

	if (proc->evidence != NULL && proc->evidence->reload != 0)
		reloads_worker_left(proc, proc->evidence->reload,
				    usec_sub(clock_now(), proc->evidence->told_at));
	if (!judge(proc, order, &kind))
		return;
	incident = make_incident(proc, order, kind);
	if (incident == NULL ||
	    incidents_add(&engine->incidents, proc->version->spec->name, incident) < 0) {
		log_warning("%s: out of memory, `handover why` will not know of its end",
			    PROC_TEXT(proc));
		return;
	}
	tell(proc, incident);
}
