/* orders.c - carries out what the model orders, and tells what it tells. */
#include "engine/orders.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "engine/ask.h"
#include "engine/canary.h"
#include "engine/channel.h"
#include "engine/events.h"
#include "engine/evidence.h"
#include "engine/launch.h"
#include "engine/metrics.h"
#include "engine/prepare_internal.h"
#include "engine/proc.h"
#include "engine/reloads.h"
#include "engine/sockets.h"
#include "engine/steering.h"
#include "engine/stores.h"
#include "engine/versions.h"
#include "engine/wishes.h"

#define ORDERS_WORKER(proc)                                        \
	.pool = (proc)->version->spec->name, .slot = (proc)->slot, \
	.generation = (proc)->generation, .pid = (proc)->pid

static long long orders_ms(usec_t usec)
{
	return (long long)(usec / USEC_PER_MSEC);
}

/* ---- a worker's states ---- */

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

/* Who, how long it had, and what it was doing if it told us. */
/* It had not been told to go. */
static bool orders_was_up(const struct order *order)
{
	return order->from == WORKER_STARTING || order->from == WORKER_HELD ||
	       order->from == WORKER_SERVING;
}

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

static void orders_state(struct engine *engine, const struct order *order)
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

/* ---- slots and pools ---- */

static void orders_slot_waits(struct engine *engine, const struct order *order)
{
	const char *pool = engine->pools[order->pool].name;

	if (order->usec == USEC_INFINITY)
		events_tell(
		    engine,
		    HAPPENING("slot-empty", LOG_LEVEL_NOTICE, .pool = pool, .slot = order->slot),
		    "pool %s slot %u stays empty, as `restart` wants it; a reload or restart fills "
		    "it",
		    pool, order->slot);
	else if (order->usec == 0)
		log_info("pool %s slot %u: starting another worker now", pool, order->slot);
	else
		log_notice("pool %s slot %u: %u crashes in a row, next start in %s", pool,
			   order->slot, order->count, DURATION_TEXT(order->usec));
}

static void orders_crash_loop(struct engine *engine, const struct order *order)
{
	const struct pool_runtime *runtime = &engine->pools[order->pool];
	static const char *const then[] = {
	    [ON_CRASH_LOOP_RETRY] = "retrying at the slowest pace, for ever",
	    [ON_CRASH_LOOP_STOP_POOL] = "stopping the pool (on_crash_loop = stop-pool)",
	    [ON_CRASH_LOOP_EXIT] = "stopping the instance (on_crash_loop = exit)",
	};

	events_tell(
	    engine,
	    HAPPENING("crash-loop", LOG_LEVEL_ERROR, .pool = runtime->name, .slot = order->slot),
	    "pool %s slot %u crashed %u times in a row: the instance is degraded; %s",
	    runtime->name, order->slot, order->count, then[runtime->current->spec->on_crash_loop]);
}

static void orders_batch(struct engine *engine, const struct order *order)
{
	const char *pool = engine->pools[order->pool].name;
	char first[80] = "";

	if (order->value > 0)
		snprintf(first, sizeof(first),
			 ", %d of them when the old one has gone (max_unavailable)", order->value);
	events_tell(engine,
		    HAPPENING("rollout-batch", LOG_LEVEL_INFO, .pool = pool, .slot = order->slot,
			      .generation = order->generation),
		    "pool %s: starting %u worker%s of generation %u from slot %u on%s", pool,
		    order->count, order->count == 1 ? "" : "s", order->generation, order->slot,
		    first);
}

static void orders_pool_gone(struct engine *engine, const struct order *order)
{
	struct pool_runtime *runtime = &engine->pools[order->pool];

	events_tell(engine, HAPPENING("pool-gone", LOG_LEVEL_NOTICE, .pool = runtime->name),
		    "pool %s is gone: its last worker has ended", runtime->name);
	stores_close_pool(engine, order->pool);
	version_unref(runtime->current);
	version_unref(runtime->next);
	version_unref(runtime->limbo);
	rollback_free(runtime);
	runtime->current = runtime->next = runtime->limbo = NULL;
	free(runtime->name);
	runtime->name = NULL;
}

/* ---- the instance ---- */

static void orders_ready(struct engine *engine)
{
	events_tell(engine,
		    HAPPENING("instance-ready", LOG_LEVEL_NOTICE,
			      .after_ms = orders_ms(usec_sub(clock_now(), engine->started_at))),
		    "instance %s is ready: %u workers serve after %s", engine->name,
		    instance_live(engine->model),
		    DURATION_TEXT(usec_sub(clock_now(), engine->started_at)));
}

static void orders_lame_duck(struct engine *engine, const struct order *order)
{
	live_stop_all(engine);
	channels_lame_duck(engine, order->usec);
	if (order->usec > 0)
		log_notice("lame duck: not ready any more, workers serve on for %s",
			   DURATION_TEXT(order->usec));
}

static void orders_signal(struct engine *engine, const struct order *order)
{
	struct proc *proc = engine_find_proc(engine, &order->worker);
	int r;

	if (proc != NULL && steering_holds_signal(proc, order))
		return;
	r = proc != NULL ? proc_signal(proc, order->sig, order->value) : 0;

	if (r < 0 && r != -ESRCH)
		log_warning("%s: cannot send %s: %s; it is killed at the end of its budget",
			    PROC_TEXT(proc), parse_signal_name(order->sig), strerror(-r));
}

static void orders_exit(struct engine *engine, const struct order *order)
{
	events_tell(engine, HAPPENING("instance-stopped", LOG_LEVEL_NOTICE, .after_ms = -1),
		    "instance %s has stopped", engine->name);
	engine->exiting = true;
	engine->exit_code = order->failed ? 1 : 0;
	if (event_base_loopexit(engine->base, NULL) == -1) /* it needs memory; this does not */
		event_base_loopbreak(engine->base);
}

void orders_execute(struct engine *engine, const struct order *order)
{
	struct proc *proc;

	switch (order->kind) {
	case ORDER_SPAWN:
		launch_queue(engine, &order->worker);
		break;
	case ORDER_SIGNAL:
		orders_signal(engine, order);
		break;
	case ORDER_SEND_SOCKETS:
		proc = engine_find_proc(engine, &order->worker);
		if (proc != NULL && order->next)
			channel_send_others(proc);
		else if (proc != NULL)
			channel_send_sockets(proc);
		break;
	case ORDER_KILL:
		proc = engine_find_proc(engine, &order->worker);
		if (proc != NULL)
			proc_kill(proc);
		break;
	case ORDER_PREPARE:
		wishes_begin(engine, order->number, order->id);
		break;
	case ORDER_COMMIT:
		wishes_commit(engine);
		break;
	case ORDER_UNDO:
		wishes_undo(engine, order);
		break;
	case ORDER_ANSWER:
		wishes_answer(engine, order);
		break;
	case ORDER_CANARY_CHECK:
		canary_check(engine, order);
		break;
	case ORDER_CANARY_SERVES:
		canary_serves(engine, order);
		break;
	case ORDER_CANARY_GOOD:
		canary_good(engine, order);
		break;
	case ORDER_HELD:
		wishes_hold(engine, order);
		break;
	case ORDER_REFUSE_NEW:
		sockets_refuse(engine);
		break;
	case ORDER_CLOSE_SOCKETS:
		sockets_shutdown(engine);
		break;
	case ORDER_EXIT:
		orders_exit(engine, order);
		break;
	case ORDER_STATE:
		orders_state(engine, order);
		steering_update(engine);
		break;
	case ORDER_SLOT_WAITS:
		orders_slot_waits(engine, order);
		break;
	case ORDER_CRASH_LOOP:
		orders_crash_loop(engine, order);
		break;
	case ORDER_RECOVERED:
		log_notice("pool %s slot %u has recovered: its worker serves long enough",
			   engine->pools[order->pool].name, order->slot);
		break;
	case ORDER_BATCH:
		orders_batch(engine, order);
		break;
	case ORDER_PROMOTED:
		log_info("pool %s: %u worker%s of generation %u serve",
			 engine->pools[order->pool].name, order->count,
			 order->count == 1 ? "" : "s", order->generation);
		break;
	case ORDER_POOL_READY:
		log_info("pool %s is ready", engine->pools[order->pool].name);
		break;
	case ORDER_POOL_GONE:
		orders_pool_gone(engine, order);
		break;
	case ORDER_LAME_DUCK:
		orders_lame_duck(engine, order);
		break;
	case ORDER_DRAIN_BEGINS:
		if (instance_live(engine->model) > 0)
			log_info("workers are told to stop");
		break;
	case ORDER_READY:
		orders_ready(engine);
		break;
	}
}
