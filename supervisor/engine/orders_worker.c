/* orders_worker.c - a worker comes into another state: what follows of that, and what is told. */
#include <signal.h>
#include <stdio.h>

#include "base/parse.h"
#include "engine/ask.h"
#include "engine/channel.h"
#include "engine/events.h"
#include "engine/evidence.h"
#include "engine/metrics.h"
#include "engine/orders_internal.h"
#include "engine/proc.h"
#include "engine/reloads.h"
#include "engine/steering.h"
#include "engine/stores.h"

#define ORDERS_WORKER(proc)                                        \
	.pool = (proc)->version->spec->name, .slot = (proc)->slot, \
	.generation = (proc)->generation, .pid = (proc)->pid

static void orders_held(const struct proc *proc)
{
	reloads_worker_ready(proc, usec_sub(clock_now(), proc->spawned_at));
	log_info("%s is ready and waits for its sockets", PROC_TEXT(proc));
}

static void orders_serving(struct engine *engine, struct proc *proc, const struct order *order)
{
	usec_t took;

	proc->ready_at = clock_now();
	took = usec_sub(proc->ready_at, proc->spawned_at);
	if (order->from != WORKER_HELD)
		reloads_worker_ready(proc, took);
	probe_stop(proc);
	live_start(proc);
	events_tell(engine,
		    HAPPENING("worker-ready", LOG_LEVEL_INFO, ORDERS_WORKER(proc),
			      .after_ms = orders_ms(took)),
		    "%s is ready after %s", PROC_TEXT(proc), DURATION_TEXT(took));
}

static void orders_count_loss(struct pool_runtime *runtime, const struct order *order)
{
	if (order->reason == END_START_TIMEOUT)
		runtime->start_timeouts++;
	else if (order->reason == END_WATCHDOG)
		runtime->hangs++;
	else if (order->reason == END_NOT_LIVE)
		runtime->not_live++;
	else if (order->reason == END_OWN_WISH)
		runtime->renewals++;
}

static void orders_draining(struct engine *engine, struct proc *proc, const struct order *order)
{
	char work[64] = "", probe[ASK_TEXT_MAX + 4] = "";
	bool late = order->reason == END_START_TIMEOUT;
	unsigned long inflight;

	proc->leaving_at = engine->step_at;
	probe_stop(proc);
	live_stop(proc);
	orders_count_loss(&engine->pools[proc->ref.pool], order);
	evidence_told(proc, order);
	if (late)
		evidence_look(proc);
	if (proc_inflight(proc, &inflight) && inflight > 0)
		snprintf(work, sizeof(work), " for %lu request%s in flight", inflight,
			 inflight == 1 ? "" : "s");
	if (late && proc->probe_failure != NULL)
		snprintf(probe, sizeof(probe), " (%s)", proc->probe_failure);
	events_tell(engine,
		    HAPPENING("worker-draining", late ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO,
			      ORDERS_WORKER(proc), .reason = end_reason_name(order->reason),
			      .deadline_ms = orders_ms(order->usec)),
		    late && proc->asked
			? "%s does not accept on the sockets that it was sent%s: it is told to "
			  "stop and has %s%s"
		    : late ? "%s was not ready in time%s: it is told to stop and has %s%s"
		    : order->reason == END_OWN_WISH ? "%s stops by its own wish%s and has %s%s"
						    : "%s drains%s and has %s%s",
		    PROC_TEXT(proc), probe, DURATION_TEXT(order->usec), work);
}

/* It had not been told to go. */
static bool orders_was_up(const struct order *order)
{
	return order->from == WORKER_STARTING || order->from == WORKER_HELD ||
	       order->from == WORKER_SERVING;
}

/* Who, how long it had, and what it was doing if it told us. */
static void orders_escalation(struct engine *engine, struct proc *proc, const struct order *order,
			      bool dump)
{
	struct buf text = {0};
	usec_t took =
	    usec_sub(clock_now(), proc->leaving_at != 0 ? proc->leaving_at : proc->spawned_at);
	const struct pool_spec *spec = proc->version->spec;
	int sig = spec->dump_signal != 0 ? spec->dump_signal : SIGABRT;

	buf_add_str(&text, PROC_TEXT(proc));
	if (order->reason == END_WATCHDOG && order->from == WORKER_SERVING)
		buf_printf(&text, " hangs: its watchdog was not fed for %s",
			   DURATION_TEXT(spec->watchdog));
	else if (order->reason == END_NOT_LIVE && order->from == WORKER_SERVING)
		proc_describe_not_live(proc, " fails", &text);
	else if (order->from == WORKER_KILLED)
		buf_add_str(&text, " has SIGKILL and is still there (stuck in the kernel?)");
	else if (order->from == WORKER_DUMPING)
		buf_printf(&text, " is still there %s after the dump signal",
			   DURATION_TEXT(spec->dump_timeout));
	else if (orders_was_up(order))
		buf_printf(&text, " has to go at once (%s)", end_reason_name(order->reason));
	else
		buf_printf(&text, " has not ended within its %s (%s)", DURATION_TEXT(took),
			   end_reason_name(order->reason));
	if (order->from != WORKER_KILLED)
		proc_describe_work(proc, &text);
	if (dump)
		buf_printf(&text, ": %s now, SIGKILL in %s", parse_signal_name(sig),
			   DURATION_TEXT(order->usec));
	else
		buf_add_str(&text, order->from == WORKER_KILLED
				       ? ": again"
				       : ": SIGKILL to it and all its processes");
	events_tell(engine,
		    HAPPENING(dump ? "worker-dumping" : "worker-killed", LOG_LEVEL_WARNING,
			      ORDERS_WORKER(proc), .reason = end_reason_name(order->reason),
			      .after_ms = orders_ms(took)),
		    "%s", text.data != NULL ? text.data : "escalation");
	buf_free(&text);
}

/* Is its time over (and not taken away)? */
static bool orders_is_overdue(const struct engine *engine, const struct proc *proc,
			      const struct order *order)
{
	const struct evidence *evidence = proc->evidence;

	if (order->from == WORKER_KILLED || orders_was_up(order))
		return false;
	return !engine->stop_now || evidence == NULL ||
	       engine->step_at >= usec_add(evidence->told_at, evidence->budget);
}

static void orders_dumping(struct engine *engine, struct proc *proc, const struct order *order)
{
	const struct pool_spec *spec = proc->version->spec;

	evidence_overdue(proc, spec->dump_signal != 0 ? spec->dump_signal : SIGABRT);
	orders_escalation(engine, proc, order, true);
	if (proc->leaving_at == 0) {
		proc->leaving_at = engine->step_at;
		orders_count_loss(&engine->pools[proc->ref.pool], order);
	}
	probe_stop(proc);
	live_stop(proc);
	engine->pools[proc->ref.pool].dumps++;
}

static void orders_killed(struct engine *engine, struct proc *proc, const struct order *order)
{
	if (proc->leaving_at == 0)
		proc->leaving_at = engine->step_at;
	probe_stop(proc);
	live_stop(proc);
	if (order->from != WORKER_DUMPING && orders_is_overdue(engine, proc, order))
		evidence_overdue(proc, 0);
	orders_escalation(engine, proc, order, false);
	if (order->from != WORKER_KILLED)
		engine->pools[proc->ref.pool].kills++;
}

/* It ended although nobody had told it to. */
static void orders_lost(struct engine *engine, struct proc *proc, const char *words)
{
	bool clean = proc_ended_well(proc, false);
	usec_t served = proc->ready_at != 0 ? usec_sub(clock_now(), proc->ready_at) : 0;

	if (clean)
		engine->pools[proc->ref.pool].renewals++;
	else
		engine->pools[proc->ref.pool].crashes++;
	events_tell(
	    engine,
	    HAPPENING(clean ? "worker-exited" : "worker-crashed",
		      clean ? LOG_LEVEL_NOTICE : LOG_LEVEL_ERROR, ORDERS_WORKER(proc),
		      .exit = words, .after_ms = orders_ms(served)),
	    proc->ready_at != 0 ? "%s %s after it had served for %s"
				: "%s %s before it was ready, %s after its start",
	    PROC_TEXT(proc), words,
	    DURATION_TEXT(proc->ready_at != 0 ? served : usec_sub(clock_now(), proc->spawned_at)));
}

static void orders_left(struct engine *engine, struct proc *proc, const struct order *order,
			const char *words)
{
	usec_t took = usec_sub(clock_now(), proc->leaving_at);
	bool clean = proc_ended_well(proc, true) || order->from == WORKER_KILLED;

	metrics_drained(&engine->pools[proc->ref.pool], took);
	events_tell(engine,
		    HAPPENING("worker-exited", clean ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING,
			      ORDERS_WORKER(proc), .exit = words,
			      .reason = end_reason_name(order->reason),
			      .after_ms = orders_ms(took)),
		    "%s %s, %s after it was told to go (%s)", PROC_TEXT(proc), words,
		    DURATION_TEXT(took), end_reason_name(order->reason));
}

static void orders_gone(struct engine *engine, const struct order *order)
{
	struct proc *proc = engine_find_proc(engine, &order->worker);
	char words[PROC_EXIT_MAX];

	if (proc == NULL)
		return; /* it never had a process */
	if (proc->pid == 0) {
		engine->pools[order->pool].start_failures++;
	} else {
		proc_describe_exit(proc, words, sizeof(words));
		proc_describe(proc, engine->last_gone, sizeof(engine->last_gone));
		engine->last_gone_at = clock_now();
		if (orders_was_up(order))
			orders_lost(engine, proc, words);
		else
			orders_left(engine, proc, order, words);
	}
	evidence_end(proc, order);
	proc_retire(proc);
	stores_sweep(engine, order->pool);
}

void orders_state(struct engine *engine, const struct order *order)
{
	struct proc *proc = engine_find_proc(engine, &order->worker);

	if (order->to == WORKER_GONE) {
		orders_gone(engine, order);
		return;
	}
	if (proc == NULL || order->to == WORKER_STARTING)
		return;
	switch (order->to) {
	case WORKER_HELD:
		orders_held(proc);
		break;
	case WORKER_SERVING:
		orders_serving(engine, proc, order);
		break;
	case WORKER_DRAINING:
		orders_draining(engine, proc, order);
		if (!steering_holds_drain(proc, order))
			channel_drain(proc, order->reason, order->usec);
		break;
	case WORKER_DUMPING:
		orders_dumping(engine, proc, order);
		break;
	case WORKER_KILLED:
		orders_killed(engine, proc, order);
		break;
	case WORKER_GONE:
	case WORKER_STARTING:
		break;
	}
}
