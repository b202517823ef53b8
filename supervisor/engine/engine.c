/* engine.c - the model and its clockwork: facts in, orders out, one timer. */
#include "engine/engine.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "engine/launch.h"
#include "engine/manager.h"
#include "engine/memory.h"
#include "engine/orders.h"
#include "engine/proc.h"

/* A turn of the loop spends no more than this on what comes from workers. */
#define ENGINE_TURN_MAX (5 * USEC_PER_MSEC)

bool engine_turn_is_long(struct engine *engine)
{
	usec_t now = clock_now();
	struct timeval turn;

	event_base_gettimeofday_cached(engine->base, &turn);
	if (timercmp(&turn, &engine->turn, !=)) {
		engine->turn = turn;
		engine->turn_began = now;
	}
	return now - engine->turn_began > ENGINE_TURN_MAX;
}

void engine_arm(struct event *timer, usec_t delay)
{
	struct timeval tv = {.tv_sec = (time_t)(delay / USEC_PER_SEC),
			     .tv_usec = (suseconds_t)(delay % USEC_PER_SEC)};

	if (delay == USEC_INFINITY)
		evtimer_del(timer);
	else
		evtimer_add(timer, &tv);
}

static void engine_rearm(struct engine *engine)
{
	usec_t deadline = instance_deadline(engine->model);

	engine_arm(engine->timer,
		   deadline == USEC_INFINITY ? USEC_INFINITY : usec_sub(deadline, clock_now()));
}

/* Room for the plan of one step, once the pools have `extra` bytes of plan more to say. 0 or
 * -ENOMEM. */
static int engine_reserve_plan(struct engine *engine)
{
	size_t size = instance_plan_size(engine->model);
	struct order *orders;

	if (size <= engine->plan.size)
		return 0;
	orders = realloc(engine->plan.orders, size * sizeof(*orders));
	if (orders == NULL)
		return -ENOMEM;
	engine->plan.orders = orders;
	engine->plan.size = size;
	return 0;
}

static int engine_grow_pool(struct engine *engine, uint32_t p, uint32_t capacity)
{
	struct pool *pool = &engine->model->pools[p];
	struct pool_runtime *runtime = &engine->pools[p];
	/* it may have grown further than the model, when memory was short */
	uint32_t n_procs = capacity > runtime->n_procs ? capacity : runtime->n_procs;
	struct proc **procs = realloc(runtime->procs, n_procs * sizeof(*procs));
	uint32_t before = pool->capacity;
	void *block = malloc(pool_memory_size(capacity));

	if (procs != NULL)
		runtime->procs = procs;
	if (procs == NULL || block == NULL) {
		free(block);
		return -ENOMEM;
	}
	memset(procs + runtime->n_procs, 0, (n_procs - runtime->n_procs) * sizeof(*procs));
	runtime->n_procs = n_procs;
	/* the plan first: a model that can say more than we can hold must never exist */
	pool->capacity = capacity;
	if (engine_reserve_plan(engine) < 0) {
		pool->capacity = before;
		free(block);
		return -ENOMEM;
	}
	pool->capacity = before;
	free(pool_set_memory(pool, block, capacity));
	runtime->memory = block;
	return 0;
}

int engine_reserve(struct engine *engine, uint32_t p, uint32_t size)
{
	const struct pool *pool = &engine->model->pools[p];
	uint32_t wanted = pool_capacity_wanted(pool, size);

	return wanted <= pool->capacity ? 0 : engine_grow_pool(engine, p, wanted);
}

/* Pools that could have used an entry get some. Returns whether any did. */
static bool engine_feed(struct engine *engine)
{
	bool fed = false;

	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++) {
		struct pool *pool = &engine->model->pools[p];

		if (!pool->starved)
			continue;
		pool->starved = false;
		if (engine_reserve(engine, p, pool->size) == 0)
			fed = true;
		else
			log_error("out of memory: pool %s gets no room for more workers now, "
				  "trying again at the next change",
				  engine->pools[p].name);
	}
	return fed;
}

static void engine_push(struct engine *engine, const struct core_event *event)
{
	assert(engine->queue_n < ENGINE_QUEUE_MAX);
	engine->queue[(engine->queue_first + engine->queue_n++) % ENGINE_QUEUE_MAX] = *event;
}

static void engine_step(struct engine *engine)
{
	struct core_event event = engine->queue[engine->queue_first];

	engine->queue_first = (engine->queue_first + 1) % ENGINE_QUEUE_MAX;
	engine->queue_n--;
	engine->plan.n = 0;
	engine->step_at = clock_now();
	instance_step(engine->model, &event, engine->step_at, &engine->plan);
	for (size_t n = 0; n < engine->plan.n; n++)
		orders_execute(engine, &engine->plan.orders[n]);
	if (engine_feed(engine) && engine->queue_n == 0)
		engine_push(engine, &(struct core_event){.kind = EVENT_TIME});
}

void engine_post(struct engine *engine, const struct core_event *event)
{
	engine_push(engine, event);
	if (engine->stepping)
		return;
	engine->stepping = true;
	while (engine->queue_n > 0)
		engine_step(engine);
	engine->stepping = false;
	proc_bury(engine);
	launch_waiting(engine);
	engine_rearm(engine);
	manager_changed(engine);
	memory_restore();
}

void engine_post_worker(struct engine *engine, const struct worker_ref *ref,
			enum worker_event_kind kind, usec_t usec, bool clean)
{
	engine_post(engine,
		    &(struct core_event){.kind = EVENT_WORKER,
					 .worker = *ref,
					 .what = {.kind = kind, .usec = usec, .clean = clean}});
}

struct pool_runtime *engine_find_pool(struct engine *engine, const char *name, uint32_t *ret_index)
{
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++) {
		enum pool_state state = engine->model->pools[p].state;

		/* one that retires has given its name away */
		if (state == POOL_FREE || state == POOL_RETIRING ||
		    strcmp(engine->pools[p].name, name) != 0)
			continue;
		if (ret_index != NULL)
			*ret_index = p;
		return &engine->pools[p];
	}
	return NULL;
}

struct proc *engine_find_proc(struct engine *engine, const struct worker_ref *ref)
{
	const struct pool_runtime *runtime;
	struct proc *proc;

	if (ref->pool >= CORE_POOLS_MAX)
		return NULL;
	runtime = &engine->pools[ref->pool];
	proc = ref->index < runtime->n_procs ? runtime->procs[ref->index] : NULL;
	if (proc != NULL && proc->ref.serial == ref->serial)
		return proc;
	for (proc = engine->buried; proc != NULL; proc = proc->next_buried)
		if (proc->ref.pool == ref->pool && proc->ref.index == ref->index &&
		    proc->ref.serial == ref->serial)
			return proc;
	return NULL;
}
