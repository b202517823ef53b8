/* instance.c - the whole model: events in, a plan out; and the steps of a stop. */
#include "core/instance.h"

#include <string.h>

#include "core/reload.h"
#include "core/rollout.h"

void instance_init(struct instance *instance, uint64_t seed)
{
	memset(instance, 0, sizeof(*instance));
	instance->deadline = instance->transaction.deadline = USEC_INFINITY;
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++) {
		instance->pools[p].index = p;
		instance->pools[p].free = CORE_NONE;
		instance->pools[p].seed = seed + 2 * p + 1;
		instance->pools[p].rollout.deadline = USEC_INFINITY;
	}
}

size_t instance_plan_size(const struct instance *instance)
{
	size_t size = 4 * CORE_REQUESTS_MAX + 64;

	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++)
		if (instance->pools[p].capacity > 0)
			size += 12 * (size_t)instance->pools[p].capacity + 2048;
	return size;
}

struct pool *instance_free_pool(struct instance *instance)
{
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++)
		if (instance->pools[p].state == POOL_FREE)
			return &instance->pools[p];
	return NULL;
}

bool instance_is_stopping(const struct instance *instance)
{
	return instance->state >= INSTANCE_LAME_DUCK;
}

uint32_t instance_live(const struct instance *instance)
{
	uint32_t live = 0;

	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++)
		live += instance->pools[p].live;
	return live;
}

usec_t instance_deadline(const struct instance *instance)
{
	usec_t nearest = instance->deadline;

	if (instance->transaction.deadline < nearest)
		nearest = instance->transaction.deadline;
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++) {
		usec_t deadline = instance->pools[p].capacity > 0
				      ? pool_deadline(&instance->pools[p])
				      : USEC_INFINITY;

		if (deadline < nearest)
			nearest = deadline;
	}
	return nearest;
}

static void instance_tell(const struct instance *instance, enum order_kind kind, usec_t usec,
			  struct plan *plan)
{
	struct order order = {.kind = kind, .usec = usec, .failed = instance->failed};

	plan_add(plan, &order);
}

/* ---- the stop, step by step ---- */

static void instance_drain(struct instance *instance, usec_t now, struct plan *plan)
{
	instance->state = INSTANCE_DRAINING;
	instance->deadline = usec_add(now, INSTANCE_CLOSE_AFTER);
	instance_tell(instance, ORDER_DRAIN_BEGINS, 0, plan);
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++)
		if (instance->pools[p].state != POOL_FREE)
			pool_drain_all(&instance->pools[p], POOL_ENDING, END_STOP, now, plan);
}

static void instance_quiesce(struct instance *instance, usec_t now, struct plan *plan)
{
	instance->state = INSTANCE_QUIESCING;
	instance->deadline = usec_add(now, INSTANCE_QUIESCE_MAX);
	instance_tell(instance, ORDER_REFUSE_NEW, INSTANCE_QUIESCE_MAX, plan);
}

static void instance_close(struct instance *instance, struct plan *plan)
{
	instance->deadline = USEC_INFINITY;
	if (instance->closed)
		return;
	instance->closed = true;
	instance_tell(instance, ORDER_CLOSE_SOCKETS, 0, plan);
}

static void instance_stop(struct instance *instance, bool failed, usec_t now, struct plan *plan)
{
	if (instance_is_stopping(instance))
		return;
	instance->failed = failed;
	reload_end(instance, now, plan);
	instance->state = INSTANCE_LAME_DUCK;
	/* nobody has to be told of the end of what never was ready */
	instance->deadline = usec_add(now, instance->ready ? instance->lame_duck : 0);
	instance_tell(instance, ORDER_LAME_DUCK, usec_sub(instance->deadline, now), plan);
	if (instance->deadline <= now)
		instance_quiesce(instance, now, plan);
}

static void instance_stop_now(struct instance *instance, usec_t now, struct plan *plan)
{
	instance_stop(instance, instance->failed, now, plan);
	if (instance->state == INSTANCE_STOPPED)
		return;
	instance->state = INSTANCE_DRAINING;
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++)
		if (instance->pools[p].state != POOL_FREE)
			pool_kill_all(&instance->pools[p], POOL_ENDING, END_STOP, now, plan);
	instance_close(instance, plan);
}

static void instance_stop_time(struct instance *instance, usec_t now, struct plan *plan)
{
	if (instance->deadline > now)
		return;
	switch (instance->state) {
	case INSTANCE_LAME_DUCK:
		instance_quiesce(instance, now, plan);
		break;
	case INSTANCE_QUIESCING:
		instance_drain(instance, now, plan);
		break;
	case INSTANCE_DRAINING:
		instance_close(instance, plan);
		break;
	case INSTANCE_NEW:
	case INSTANCE_RUNNING:
	case INSTANCE_STOPPED:
		break;
	}
}

static void instance_end(struct instance *instance, struct plan *plan)
{
	if (instance->state != INSTANCE_DRAINING || instance_live(instance) > 0)
		return;
	instance_close(instance, plan);
	instance->state = INSTANCE_STOPPED;
	instance_tell(instance, ORDER_EXIT, 0, plan);
}

/* ---- what every step ends with ---- */

static void instance_check_ready(struct instance *instance, struct plan *plan)
{
	if (instance->ready || instance->state != INSTANCE_RUNNING ||
	    (instance->transaction.start && instance->transaction.state != TRANSACTION_NONE))
		return;
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++)
		if (instance->pools[p].state == POOL_ACTIVE && !instance->pools[p].ready_once)
			return;
	instance->ready = true;
	instance_tell(instance, ORDER_READY, 0, plan);
}

static void instance_free_retired(struct instance *instance, struct plan *plan)
{
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++) {
		struct pool *pool = &instance->pools[p];
		struct order order = {.kind = ORDER_POOL_GONE, .pool = p};

		if (pool->state != POOL_RETIRING || pool->live > 0)
			continue;
		pool_set_size(pool, 0);
		pool->state = POOL_FREE;
		plan_add(plan, &order);
	}
}

static void instance_settle(struct instance *instance, usec_t now, struct plan *plan)
{
	bool give_up;

	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++)
		if (instance->pools[p].restores)
			pool_restore_more(&instance->pools[p], now, plan);
	give_up = reload_advance(instance, now, plan);
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++)
		give_up = give_up || instance->pools[p].give_up;
	if (give_up)
		instance_stop(instance, true, now, plan);
	instance_check_ready(instance, plan);
	instance_free_retired(instance, plan);
	instance_end(instance, plan);
}

static void instance_worker(struct instance *instance, const struct core_event *event, usec_t now,
			    struct plan *plan)
{
	struct pool *pool = &instance->pools[event->worker.pool];
	struct worker *worker = pool->capacity > 0 ? pool_worker(pool, &event->worker) : NULL;
	uint64_t epoch;
	bool leaving;

	if (worker == NULL)
		return; /* late news of one that is gone */
	epoch = worker->epoch;
	leaving = worker_is_leaving(worker);
	pool_worker_step(pool, worker, &event->what, now, plan);
	if (leaving && pool_worker(pool, &event->worker) == NULL)
		reload_worker_gone(instance, epoch, plan);
}

static void instance_time(struct instance *instance, usec_t now, struct plan *plan)
{
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++)
		if (instance->pools[p].state != POOL_FREE)
			pool_time(&instance->pools[p], now, plan);
	instance_stop_time(instance, now, plan);
}

void instance_step(struct instance *instance, const struct core_event *event, usec_t now,
		   struct plan *plan)
{
	switch (event->kind) {
	case EVENT_WORKER:
		instance_worker(instance, event, now, plan);
		break;
	case EVENT_TIME:
		instance_time(instance, now, plan);
		break;
	case EVENT_START:
		if (instance->state != INSTANCE_NEW)
			break; /* a stop came first */
		instance->state = INSTANCE_RUNNING;
		reload_start(instance, event->changes, now, plan);
		break;
	case EVENT_REQUEST:
		reload_request(instance, &event->request, plan);
		break;
	case EVENT_CALLER_GONE:
		reload_caller_gone(instance, event->request.id, now, plan);
		break;
	case EVENT_PREPARED:
		reload_prepared(instance, event->changes, now, plan);
		break;
	case EVENT_PREPARE_FAILED:
		reload_prepare_failed(instance, plan);
		break;
	case EVENT_CANARY_CHECKED:
		rollout_checked(&instance->pools[event->worker.pool], event->number, !event->failed,
				plan);
		break;
	case EVENT_PROMOTE:
		reload_promote(instance, &event->request, plan);
		break;
	case EVENT_ABORT:
		reload_abort(instance, &event->request, now, plan);
		break;
	case EVENT_STOP:
		instance_stop(instance, event->failed, now, plan);
		break;
	case EVENT_STOP_NOW:
		instance_stop_now(instance, now, plan);
		break;
	case EVENT_QUEUES_EMPTY:
		if (instance->state == INSTANCE_QUIESCING)
			instance_drain(instance, now, plan);
		break;
	}
	instance_settle(instance, now, plan);
}
