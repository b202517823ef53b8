/*
 * core.c - the core alone: starts, reloads and stops N workers that do not exist, each of which
 *gets ready and ends at once. Prints what a worker costs in each, in nanoseconds: "start reload
 *stop".
 *
 *	core N
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/instance.h"

struct world {
	struct instance *instance;
	struct plan plan;
	struct core_event *facts; /* what waits to be told, in no order */
	size_t n_facts, size;
	struct pool_change changes[CORE_POOLS_MAX];
	uint64_t random;
	usec_t now;
	usec_t nearest; /* the engine asks for the deadline after each event, so we do too */
	bool ready, drained, ended;
};

static void world_add(struct world *world, const struct core_event *fact)
{
	assert(world->n_facts < world->size);
	world->facts[world->n_facts++] = *fact;
}

static void world_add_worker(struct world *world, const struct worker_ref *ref,
			     enum worker_event_kind kind)
{
	world_add(world, &(struct core_event){.kind = EVENT_WORKER,
					      .worker = *ref,
					      .what = {.kind = kind, .clean = true}});
}

static void world_order(struct world *world, const struct order *order)
{
	switch ((int)order->kind) {
	case ORDER_SPAWN:
		world_add_worker(world, &order->worker, WORKER_EVENT_SPAWNED);
		break;
	case ORDER_SIGNAL:
		world_add_worker(world, &order->worker, WORKER_EVENT_EXITED);
		break;
	case ORDER_PREPARE:
		world_add(world,
			  &(struct core_event){.kind = EVENT_PREPARED, .changes = world->changes});
		break;
	case ORDER_REFUSE_NEW:
		world_add(world, &(struct core_event){.kind = EVENT_QUEUES_EMPTY});
		break;
	case ORDER_ANSWER:
		world->drained = order->result == RESULT_DRAINED;
		break;
	case ORDER_READY:
		world->ready = true;
		break;
	case ORDER_EXIT:
		world->ended = true;
		break;
	default:
		break;
	}
}

static void world_tell(struct world *world, const struct core_event *event)
{
	world->now += 1;
	world->plan.n = 0;
	instance_step(world->instance, event, world->now, &world->plan);
	world->nearest = instance_deadline(world->instance);
	for (size_t n = 0; n < world->plan.n; n++)
		world_order(world, &world->plan.orders[n]);
	if (event->kind == EVENT_WORKER && event->what.kind == WORKER_EVENT_SPAWNED)
		world_add_worker(world, &event->worker, WORKER_EVENT_READY);
}

/* Processes get ready and end in any order: the next fact is one of those that wait, by chance. */
static void world_settle(struct world *world)
{
	while (world->n_facts > 0) {
		struct core_event fact;
		size_t n;

		world->random ^= world->random << 13;
		world->random ^= world->random >> 7;
		world->random ^= world->random << 17;
		n = world->random % world->n_facts;
		fact = world->facts[n];
		world->facts[n] = world->facts[--world->n_facts];
		world_tell(world, &fact);
	}
}

/* Time on a processor: the core waits for nothing, and other work on the machine is not its own. */
static uint64_t world_time(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t world_run(struct world *world, const struct core_event *event)
{
	uint64_t begin = world_time();

	world_tell(world, event);
	world_settle(world);
	return world_time() - begin;
}

static void *world_memory(size_t size)
{
	void *memory = calloc(1, size);

	if (memory == NULL) {
		perror("core");
		exit(1);
	}
	return memory;
}

static void world_open(struct world *world, uint32_t n)
{
	struct pool *pool;
	uint32_t capacity;

	world->instance = world_memory(sizeof(*world->instance));
	instance_init(world->instance, 1);
	pool = &world->instance->pools[0];
	pool_open(pool, 1);
	capacity = pool_capacity_wanted(pool, 2 * n); /* old ones and new ones */
	pool_set_memory(pool, world_memory(pool_memory_size(capacity)), capacity);
	world->plan.size = instance_plan_size(world->instance);
	world->plan.orders = world_memory(world->plan.size * sizeof(*world->plan.orders));
	world->size = 2 * (size_t)n + 16;
	world->facts = world_memory(world->size * sizeof(*world->facts));
	world->random = 88172645463325252u;
	world->now = 1000 * USEC_PER_SEC;
	world->changes[0] = (struct pool_change){
	    .kind = CHANGE_ADD,
	    .reason = END_RELOAD,
	    .params = {.workers = n,
		       .max_surge = n,
		       .max_processes = 2 * n + 2,
		       .start_timeout = 30 * USEC_PER_SEC,
		       .ready_delay = USEC_INFINITY,
		       .progress_timeout = 600 * USEC_PER_SEC,
		       .drain_timeout = 6 * USEC_PER_SEC,
		       .stop_timeout = 6 * USEC_PER_SEC,
		       .dump_timeout = USEC_PER_SEC,
		       .drain_signal = 15,
		       .restart_delay = USEC_PER_SEC,
		       .restart_delay_max = 30 * USEC_PER_SEC,
		       .restart_reset = 60 * USEC_PER_SEC,
		       .crash_loop_after = 5},
	};
}

static void world_close(struct world *world)
{
	free(world->instance->pools[0].workers);
	free(world->instance);
	free(world->plan.orders);
	free(world->facts);
}

int main(int argc, char **argv)
{
	struct world world = {0};
	uint32_t n = argc == 2 ? (uint32_t)atoi(argv[1]) : 0;
	uint64_t start, reload, stop;

	if (n == 0) {
		fprintf(stderr, "usage: core N\n");
		return 2;
	}
	world_open(&world, n);
	start =
	    world_run(&world, &(struct core_event){.kind = EVENT_START, .changes = world.changes});
	world.changes[0].kind = CHANGE_ROLL;
	reload = world_run(
	    &world, &(struct core_event){.kind = EVENT_REQUEST,
					 .request = {.id = 1, .join = 1, .wait_drained = true}});
	stop = world_run(&world, &(struct core_event){.kind = EVENT_STOP});
	world_close(&world);
	if (!world.ready || !world.drained || !world.ended) {
		fprintf(stderr,
			"core: it did not do what was asked (ready %d, drained %d, ended %d)\n",
			world.ready, world.drained, world.ended);
		return 1;
	}
	printf("%.1f %.1f %.1f\n", (double)start / n, (double)reload / n, (double)stop / n);
	return 0;
}
