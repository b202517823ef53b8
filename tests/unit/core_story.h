/* core_story.h - what a story about a simulated engine needs: wishes, and questions. */
#ifndef TESTS_CORE_STORY_H
#define TESTS_CORE_STORY_H

#include "core_sim.h"

/* ---- wishes ---- */

/* A new pool with room for twice its size, to be added by the next start or reload. */
static inline uint32_t sim_add(struct sim *sim, const struct pool_params *params)
{
	struct pool *pool = instance_free_pool(sim->instance);

	assert_non_null(pool);
	assert_true(pool->index < SIM_POOLS);
	sim_memory(sim, pool, pool_capacity_wanted(pool, params->workers));
	pool_open(pool, 7 + pool->index);
	sim->changes[pool->index] =
	    (struct pool_change){.kind = CHANGE_ADD, .reason = END_RELOAD, .params = *params};
	return pool->index;
}

static inline struct pool_change *sim_change(struct sim *sim, uint32_t p, enum change_kind kind)
{
	struct pool_change *change = &sim->changes[p];
	struct pool *pool = sim_pool(sim, p);

	*change = (struct pool_change){.kind = kind, .reason = END_RELOAD, .params = pool->params};
	return change;
}

/* Room for what the changes want, as the engine sees to it before EVENT_PREPARED. */
static inline void sim_provide(struct sim *sim)
{
	for (uint32_t p = 0; p < SIM_POOLS; p++) {
		struct pool *pool = sim_pool(sim, p);
		uint32_t wanted = pool_capacity_wanted(pool, sim->changes[p].params.workers);

		if (sim->changes[p].kind != CHANGE_NONE && wanted > pool->capacity)
			sim_memory(sim, pool, wanted);
	}
}

static inline void sim_start(struct sim *sim)
{
	struct core_event event = {.kind = EVENT_START, .changes = sim->changes};

	sim_deliver(sim, &event);
	memset(sim->changes, 0, sizeof(sim->changes));
	sim_run(sim, 0);
}

static inline void sim_request(struct sim *sim, const struct request *request)
{
	struct core_event event = {.kind = EVENT_REQUEST, .request = *request};

	sim_deliver(sim, &event);
	sim_run(sim, 0);
}

static inline void sim_reload(struct sim *sim, uint64_t id)
{
	struct request request = {.id = id, .join = 1};

	sim_request(sim, &request);
}

static inline void sim_simple(struct sim *sim, enum event_kind kind)
{
	struct core_event event = {.kind = kind};

	sim_deliver(sim, &event);
	sim_run(sim, 0);
}

static inline void sim_caller_gone(struct sim *sim, uint64_t id)
{
	struct core_event event = {.kind = EVENT_CALLER_GONE, .request.id = id};

	sim_deliver(sim, &event);
	sim_run(sim, 0);
}

/* ---- questions ---- */

static inline void sim_forget(struct sim *sim)
{
	sim->n_log = 0;
}

/* How many orders of that kind there were (pool CORE_NONE: of any). */
static inline size_t sim_count(const struct sim *sim, enum order_kind kind, uint32_t pool)
{
	size_t count = 0;

	for (size_t n = 0; n < sim->n_log; n++)
		if (sim->log[n].kind == kind && (pool == CORE_NONE || sim->log[n].pool == pool))
			count++;
	return count;
}

/* How many workers of the pool went into that state. */
static inline size_t sim_entered(const struct sim *sim, uint32_t pool, enum worker_state to)
{
	size_t count = 0;

	for (size_t n = 0; n < sim->n_log; n++)
		if (sim->log[n].kind == ORDER_STATE && sim->log[n].pool == pool &&
		    sim->log[n].to == to)
			count++;
	return count;
}

static inline const struct order *sim_last(const struct sim *sim, enum order_kind kind)
{
	for (size_t n = sim->n_log; n-- > 0;)
		if (sim->log[n].kind == kind)
			return &sim->log[n];
	return NULL;
}

static inline size_t sim_answers(const struct sim *sim, uint64_t id, enum result result)
{
	size_t count = 0;

	for (size_t n = 0; n < sim->n_log; n++)
		if (sim->log[n].kind == ORDER_ANSWER && sim->log[n].id == id &&
		    sim->log[n].result == result)
			count++;
	return count;
}

/* The worker that serves, or is to serve, in a slot; or its successor. */
static inline struct worker *sim_current(struct sim *sim, uint32_t p, uint32_t s)
{
	struct pool *pool = sim_pool(sim, p);

	assert_true(s < pool->size);
	return pool->slots[s].current == CORE_NONE ? NULL : &pool->workers[pool->slots[s].current];
}

static inline struct worker *sim_successor(struct sim *sim, uint32_t p, uint32_t s)
{
	struct pool *pool = sim_pool(sim, p);

	assert_true(s < pool->size);
	return pool->slots[s].next == CORE_NONE ? NULL : &pool->workers[pool->slots[s].next];
}

/* Slots whose current worker is of that generation and serves. */
static inline uint32_t sim_serving(struct sim *sim, uint32_t p, uint32_t generation)
{
	struct pool *pool = sim_pool(sim, p);
	uint32_t count = 0;

	for (uint32_t s = 0; s < pool->size; s++) {
		const struct worker *worker = sim_current(sim, p, s);

		if (worker != NULL && worker->state == WORKER_SERVING &&
		    worker->generation == generation)
			count++;
	}
	return count;
}

static inline void sim_crash(struct sim *sim, uint32_t p, uint32_t s)
{
	struct worker *worker = sim_current(sim, p, s);

	assert_non_null(worker);
	sim_end(sim, sim_process(sim, &worker->ref), false);
	sim_run(sim, 0);
}

#endif
