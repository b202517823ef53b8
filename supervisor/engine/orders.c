/* orders.c - carries out what the model orders, and tells what it tells. */
#include "engine/orders.h"

#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "engine/canary.h"
#include "engine/channel.h"
#include "engine/events.h"
#include "engine/launch.h"
#include "engine/orders_internal.h"
#include "engine/prepare_internal.h"
#include "engine/proc.h"
#include "engine/sockets.h"
#include "engine/steering.h"
#include "engine/stores.h"
#include "engine/versions.h"
#include "engine/wishes.h"

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
