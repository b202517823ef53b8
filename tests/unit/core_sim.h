/*
 * core_sim.h - an engine without processes: a fake clock, workers that follow scripts, and the
 * core's plans carried out as the real engine does. For the tests of core.
 */
#ifndef TESTS_CORE_SIM_H
#define TESTS_CORE_SIM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/instance.h"
#include "core/timers.h"

#define SIM_POOLS 8 /* pools that a test may have at a time */
#define MSEC	  USEC_PER_MSEC
#define SEC	  USEC_PER_SEC
#define NEVER	  USEC_INFINITY

/* What a process does. Times count from its start, unless said otherwise. */
struct sim_script {
	bool spawn_fails;
	usec_t spawn_after; /* from the order to start it */
	usec_t ready_after;
	bool answers;	      /* when it has taken the sockets that it was sent ... */
	usec_t accepts_after; /* ... from then */
	usec_t exit_after;    /* by itself */
	bool clean;	      /* ... in a way that counts as success */
	usec_t wish_after;    /* says STOPPING=1 */
	usec_t quit_after;    /* from the drain signal */
	usec_t dumped_after;  /* ends, from the dump signal */
	usec_t ping_every, ping_until;
	usec_t extend_every, extend_by;
	uint32_t kills; /* SIGKILLs that it takes: more than one while it is stuck in the kernel */
};

enum sim_act { SIM_SPAWN, SIM_READY, SIM_ACCEPT, SIM_END, SIM_TALK, SIM_WISH, SIM_ACTS };

struct sim_process {
	struct worker_ref ref;
	bool alive;
	bool told; /* to go */
	usec_t started;
	uint32_t kills;
	struct sim_script script;
};

/* Scripts are looked up from the last rule to the first; generation 0 fits all. */
struct sim_rule {
	uint32_t pool, generation;
	struct sim_script script;
};

struct sim {
	struct instance *instance;
	usec_t now;
	struct plan plan;
	size_t plan_most;  /* largest share of the plan that a step took, in 1/1000 */
	size_t order_most; /* most orders of one step */
	uint64_t steps;
	uint32_t entries; /* processes that a pool can have */
	struct sim_process *processes;
	struct timers timers;
	struct sim_rule rules[32];
	size_t n_rules;
	struct pool_change changes[CORE_POOLS_MAX];
	usec_t prepare_after, prepare_at;
	struct sim_check {
		usec_t after; /* how long the command takes; NEVER: it hangs */
		bool bad;     /* what it says */
		usec_t at;    /* when it does: NEVER: it does not run */
		uint64_t number;
	} checks[SIM_POOLS];
	bool prepare_fails;
	bool grows; /* gives memory to starved pools */
	struct order *log;
	size_t n_log, size_log;
	bool logs;
	/* For tests that decide while it runs. */
	void *data; /* of core_check.h */
	void *user;
	void (*pick_script)(struct sim *sim, const struct order *spawn, struct sim_script *script);
	void (*prepare)(struct sim *sim);
	void (*before)(struct sim *sim, const struct core_event *event);
	void (*after)(struct sim *sim, const struct core_event *event);
};

static const struct sim_script sim_good = {
    .exit_after = NEVER,
    .wish_after = NEVER,
    .dumped_after = NEVER,
    .ping_every = NEVER,
    .ping_until = NEVER,
    .extend_every = NEVER,
    .quit_after = 1 * MSEC,
    .ready_after = 1 * MSEC,
    .kills = 1,
};

/* ---- set-up ---- */

static inline void *sim_alloc(size_t n, size_t size)
{
	void *memory = calloc(n > 0 ? n : 1, size);

	assert_non_null(memory);
	return memory;
}

static inline struct sim *sim_new(uint32_t entries, uint64_t seed)
{
	struct sim *sim = sim_alloc(1, sizeof(*sim));
	uint32_t ids = SIM_POOLS * entries * SIM_ACTS;

	sim->instance = sim_alloc(1, sizeof(*sim->instance));
	instance_init(sim->instance, seed);
	sim->now = 1000 * SEC;
	sim->entries = entries;
	sim->processes = sim_alloc((size_t)SIM_POOLS * entries, sizeof(*sim->processes));
	timers_set_memory(&sim->timers, sim_alloc(ids, sizeof(struct timer)),
			  sim_alloc(ids, sizeof(uint32_t)), ids);
	sim->prepare_at = NEVER;
	for (uint32_t p = 0; p < SIM_POOLS; p++)
		sim->checks[p].at = NEVER;
	sim->grows = sim->logs = true;
	return sim;
}

static inline void sim_free(struct sim *sim)
{
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++)
		free(sim->instance->pools[p].workers);
	free(sim->instance);
	free(sim->plan.orders);
	free(sim->processes);
	free(sim->timers.heap);
	free(sim->timers.place);
	free(sim->log);
	free(sim);
}

/* A pool's numbers, as a configuration without any keys would have them, only quicker. */
static inline struct pool_params sim_params(uint32_t workers)
{
	return (struct pool_params){
	    .workers = workers,
	    .max_surge = workers,
	    .max_processes = 64 > 8 * workers ? 64 : 8 * workers,
	    .start_timeout = 30 * SEC,
	    .ready_delay = NEVER,
	    .progress_timeout = 600 * SEC,
	    .drain_timeout = 6 * SEC,
	    .stop_timeout = 3 * SEC,
	    .dump_timeout = 500 * MSEC,
	    .drain_signal = 15,
	    .restart = CORE_RESTART_ALWAYS,
	    .restart_delay = 500 * MSEC,
	    .restart_delay_max = 30 * SEC,
	    .restart_reset = 60 * SEC,
	    .crash_loop_after = 5,
	};
}

static inline void sim_memory(struct sim *sim, struct pool *pool, uint32_t capacity)
{
	if (capacity < pool->capacity)
		capacity = pool->capacity;
	assert_in_range(capacity, 1, sim->entries);
	free(pool_set_memory(pool, sim_alloc(1, pool_memory_size(capacity)), capacity));
}

/* Rules for the processes of a pool (and generation, 0: all). */
static inline struct sim_script *sim_rule(struct sim *sim, uint32_t pool, uint32_t generation)
{
	struct sim_rule *rule = &sim->rules[sim->n_rules++];

	assert_true(sim->n_rules <= 32);
	*rule = (struct sim_rule){.pool = pool, .generation = generation, .script = sim_good};
	return &rule->script;
}

/* ---- processes ---- */

static inline struct pool *sim_pool(struct sim *sim, uint32_t p)
{
	return &sim->instance->pools[p];
}

static inline struct sim_process *sim_process(struct sim *sim, const struct worker_ref *ref)
{
	assert_true(ref->pool < SIM_POOLS && ref->index < sim->entries);
	return &sim->processes[ref->pool * sim->entries + ref->index];
}

static inline void sim_act_at(struct sim *sim, const struct sim_process *process, enum sim_act act,
			      usec_t at)
{
	timers_set(&sim->timers, (uint32_t)(process - sim->processes) * SIM_ACTS + act, at);
}

static inline void sim_act_by(struct sim *sim, const struct sim_process *process, enum sim_act act,
			      usec_t at)
{
	uint32_t place = sim->timers.place[(uint32_t)(process - sim->processes) * SIM_ACTS + act];

	if (place == CORE_NONE || sim->timers.heap[place].at > at)
		sim_act_at(sim, process, act, at);
}

static inline void sim_process_gone(struct sim *sim, struct sim_process *process)
{
	process->alive = false;
	for (int act = 0; act < SIM_ACTS; act++)
		sim_act_at(sim, process, act, NEVER);
}

static inline void sim_read_script(struct sim *sim, const struct order *spawn,
				   struct sim_script *script)
{
	*script = sim_good;
	for (size_t n = sim->n_rules; n-- > 0;) {
		const struct sim_rule *rule = &sim->rules[n];

		if (rule->pool == spawn->pool &&
		    (rule->generation == 0 || rule->generation == spawn->generation)) {
			*script = rule->script;
			break;
		}
	}
	if (sim->pick_script != NULL)
		sim->pick_script(sim, spawn, script);
}

/* ---- orders ---- */

static inline void sim_order_signal(struct sim *sim, const struct order *order)
{
	struct sim_process *process = sim_process(sim, &order->worker);
	struct worker *worker = pool_worker(sim_pool(sim, order->worker.pool), &order->worker);
	usec_t after = process->script.quit_after;

	if (worker != NULL && worker->state == WORKER_DUMPING)
		after = process->script.dumped_after;
	process->told = true;
	sim_act_by(sim, process, SIM_END, usec_add(sim->now, after));
}

static inline void sim_order_kill(struct sim *sim, const struct order *order)
{
	struct sim_process *process = sim_process(sim, &order->worker);

	if (++process->kills >= process->script.kills)
		sim_act_at(sim, process, SIM_END, sim->now);
	else
		sim_act_at(sim, process, SIM_END, NEVER);
}

static inline void sim_order_sockets(struct sim *sim, const struct order *order)
{
	struct sim_process *process = sim_process(sim, &order->worker);

	if (process->script.answers)
		sim_act_at(sim, process, SIM_ACCEPT,
			   usec_add(sim->now, process->script.accepts_after));
}

static inline void sim_order_spawn(struct sim *sim, const struct order *order)
{
	struct sim_process *process = sim_process(sim, &order->worker);

	assert_false(process->alive);
	*process = (struct sim_process){.ref = order->worker};
	sim_read_script(sim, order, &process->script);
	sim_act_at(sim, process, SIM_SPAWN, usec_add(sim->now, process->script.spawn_after));
}

static inline void sim_order_check(struct sim *sim, const struct order *order)
{
	struct sim_check *check = &sim->checks[order->pool];

	check->number = order->number;
	check->at = usec_add(sim->now, check->after);
}

static inline void sim_log(struct sim *sim, const struct order *order)
{
	if (!sim->logs)
		return;
	if (sim->n_log == sim->size_log) {
		sim->size_log = sim->size_log * 2 + 256;
		sim->log = realloc(sim->log, sim->size_log * sizeof(*sim->log));
		assert_non_null(sim->log);
	}
	sim->log[sim->n_log++] = *order;
}

static inline void sim_carry_out(struct sim *sim)
{
	for (size_t n = 0; n < sim->plan.n; n++) {
		const struct order *order = &sim->plan.orders[n];

		sim_log(sim, order);
		if (order->kind == ORDER_SPAWN)
			sim_order_spawn(sim, order);
		else if (order->kind == ORDER_SIGNAL)
			sim_order_signal(sim, order);
		else if (order->kind == ORDER_KILL)
			sim_order_kill(sim, order);
		else if (order->kind == ORDER_SEND_SOCKETS)
			sim_order_sockets(sim, order);
		else if (order->kind == ORDER_PREPARE)
			sim->prepare_at = usec_add(sim->now, sim->prepare_after);
		else if (order->kind == ORDER_CANARY_CHECK)
			sim_order_check(sim, order);
		else if (order->kind == ORDER_UNDO)
			sim->prepare_at = NEVER; /* a command that runs may still say something */
		else if (order->kind == ORDER_STATE && order->to == WORKER_GONE)
			sim_process_gone(sim, sim_process(sim, &order->worker));
	}
}

static inline void sim_make_room(struct sim *sim)
{
	size_t size = instance_plan_size(sim->instance);

	if (size <= sim->plan.size)
		return;
	free(sim->plan.orders);
	sim->plan.orders = sim_alloc(size, sizeof(*sim->plan.orders));
	sim->plan.size = size;
}

/* One event, and what it asks for. */
static inline void sim_deliver(struct sim *sim, const struct core_event *event)
{
	size_t share;

	sim_make_room(sim);
	sim->plan.n = 0;
	if (sim->before != NULL)
		sim->before(sim, event);
	instance_step(sim->instance, event, sim->now, &sim->plan);
	sim->steps++;
	if (sim->plan.n > sim->order_most)
		sim->order_most = sim->plan.n;
	share = sim->plan.n * 1000 / instance_plan_size(sim->instance);
	if (share > sim->plan_most)
		sim->plan_most = share;
	if (sim->after != NULL)
		sim->after(sim, event);
	sim_carry_out(sim);
}

static inline void sim_worker_event(struct sim *sim, const struct worker_ref *ref,
				    const struct worker_event *what)
{
	struct core_event event = {.kind = EVENT_WORKER, .worker = *ref, .what = *what};

	sim_deliver(sim, &event);
}

static inline void sim_tell(struct sim *sim, const struct worker_ref *ref,
			    enum worker_event_kind kind)
{
	struct worker_event what = {.kind = kind};

	sim_worker_event(sim, ref, &what);
}

static inline void sim_end(struct sim *sim, struct sim_process *process, bool clean)
{
	struct worker_event what = {.kind = WORKER_EVENT_EXITED, .clean = clean};
	struct worker_ref ref = process->ref;

	sim_process_gone(sim, process);
	sim_worker_event(sim, &ref, &what);
}

/* ---- time ---- */

/* There is no process, or one that cannot execute its program and ends: told of as a failure, or,
 * where it was told to go meanwhile, as any end. */
static inline void sim_spawn_fails(struct sim *sim, struct sim_process *process)
{
	struct worker_ref ref = process->ref;

	if (ref.serial % 2 == 0)
		sim_tell(sim, &ref, WORKER_EVENT_SPAWNED);
	if (process->told) {
		sim_end(sim, process, true);
		return;
	}
	sim_process_gone(sim, process);
	sim_tell(sim, &ref, WORKER_EVENT_SPAWN_FAILED);
}

static inline void sim_spawned(struct sim *sim, struct sim_process *process)
{
	const struct sim_script *script = &process->script;
	struct worker_ref ref = process->ref;

	if (pool_worker(sim_pool(sim, ref.pool), &ref) == NULL)
		return; /* it was let go meanwhile */
	process->alive = true;
	process->started = sim->now;
	if (script->spawn_fails) {
		sim_spawn_fails(sim, process);
		return;
	}
	sim_act_at(sim, process, SIM_READY, usec_add(sim->now, script->ready_after));
	sim_act_at(sim, process, SIM_END, usec_add(sim->now, script->exit_after));
	sim_act_at(sim, process, SIM_WISH, usec_add(sim->now, script->wish_after));
	sim_act_at(sim, process, SIM_TALK,
		   usec_add(sim->now, script->ping_every < script->extend_every
					  ? script->ping_every
					  : script->extend_every));
	sim_tell(sim, &ref, WORKER_EVENT_SPAWNED);
	sim_tell(sim, &ref, WORKER_EVENT_EXECUTED);
	if (script->answers)
		sim_tell(sim, &ref, WORKER_EVENT_ANSWERS);
}

static inline void sim_talks(struct sim *sim, struct sim_process *process)
{
	const struct sim_script *script = &process->script;
	struct worker_ref ref = process->ref;
	struct worker_event what = {.kind = WORKER_EVENT_PING};

	if (script->extend_every != NEVER)
		what =
		    (struct worker_event){.kind = WORKER_EVENT_EXTEND, .usec = script->extend_by};
	else if (sim->now >= usec_add(process->started, script->ping_until))
		return;
	sim_act_at(sim, process, SIM_TALK,
		   usec_add(sim->now, script->extend_every != NEVER ? script->extend_every
								    : script->ping_every));
	sim_worker_event(sim, &ref, &what);
}

static inline void sim_act(struct sim *sim, uint32_t id)
{
	struct sim_process *process = &sim->processes[id / SIM_ACTS];
	enum sim_act act = id % SIM_ACTS;
	struct worker_ref ref = process->ref;

	timers_set(&sim->timers, id, NEVER);
	if (act == SIM_SPAWN)
		sim_spawned(sim, process);
	else if (act == SIM_READY)
		sim_tell(sim, &ref, WORKER_EVENT_READY);
	else if (act == SIM_ACCEPT)
		sim_tell(sim, &ref, WORKER_EVENT_ACCEPTING);
	else if (act == SIM_END)
		sim_end(sim, process,
			process->kills == 0 && (process->told || process->script.clean));
	else if (act == SIM_TALK)
		sim_talks(sim, process);
	else if (act == SIM_WISH)
		sim_tell(sim, &ref, WORKER_EVENT_STOPPING);
}

static inline void sim_prepared(struct sim *sim)
{
	struct core_event event = {.kind = EVENT_PREPARE_FAILED};

	sim->prepare_at = NEVER;
	if (!sim->prepare_fails) {
		if (sim->prepare != NULL)
			sim->prepare(sim);
		event = (struct core_event){.kind = EVENT_PREPARED, .changes = sim->changes};
	}
	sim_deliver(sim, &event);
	memset(sim->changes, 0, sizeof(sim->changes));
}

/* The first pool whose command has come to its end; NULL: none. */
static inline struct sim_check *sim_first_check(const struct sim *sim)
{
	const struct sim_check *first = &sim->checks[0];

	for (uint32_t p = 1; p < SIM_POOLS; p++)
		if (sim->checks[p].at < first->at)
			first = &sim->checks[p];
	return (struct sim_check *)(uintptr_t)first;
}

static inline void sim_checked(struct sim *sim, struct sim_check *check)
{
	struct core_event event = {
	    .kind = EVENT_CANARY_CHECKED,
	    .worker.pool = (uint32_t)(check - sim->checks),
	    .number = check->number,
	    .failed = check->bad,
	};

	check->at = NEVER;
	sim_deliver(sim, &event);
}

static inline void sim_time(struct sim *sim)
{
	struct core_event event = {.kind = EVENT_TIME};

	sim_deliver(sim, &event);
}

static inline void sim_feed(struct sim *sim)
{
	bool fed = false;

	for (uint32_t p = 0; p < SIM_POOLS && sim->grows; p++) {
		struct pool *pool = sim_pool(sim, p);

		if (!pool->starved)
			continue;
		sim_memory(sim, pool, pool_capacity_wanted(pool, pool->rollout.params.workers));
		fed = true;
	}
	if (fed)
		sim_time(sim);
}

/* When something happens next, inside or outside of the core. */
static inline usec_t sim_next(const struct sim *sim)
{
	usec_t next = instance_deadline(sim->instance), other = timers_first(&sim->timers, NULL);

	if (other < next)
		next = other;
	if (sim_first_check(sim)->at < next)
		next = sim_first_check(sim)->at;
	return sim->prepare_at < next ? sim->prepare_at : next;
}

/* Lets the next thing happen, if it is due by `until`. core_first: the core's own time goes first
 * where both are due. */
static inline bool sim_once(struct sim *sim, usec_t until, bool core_first)
{
	usec_t next = sim_next(sim), own = instance_deadline(sim->instance);
	uint32_t id = 0;

	if (next > until || next == NEVER)
		return false;
	if (next > sim->now)
		sim->now = next;
	if (sim->prepare_at <= sim->now)
		sim_prepared(sim);
	else if (own <= sim->now && (core_first || timers_first(&sim->timers, NULL) > sim->now))
		sim_time(sim);
	else if (sim_first_check(sim)->at <= sim->now)
		sim_checked(sim, sim_first_check(sim));
	else if (timers_first(&sim->timers, &id) <= sim->now)
		sim_act(sim, id);
	sim_feed(sim);
	return true;
}

/* The clock goes on by usec, and everything that is due happens. */
static inline void sim_run(struct sim *sim, usec_t usec)
{
	usec_t until = usec_add(sim->now, usec);
	uint64_t most = sim->steps + 10000000;

	while (sim_once(sim, until, false))
		assert_true(sim->steps < most); /* time must go on */
	sim->now = until;
}

#endif
