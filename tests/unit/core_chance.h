/* core_chance.h - what happens to an instance by chance: versions, failures, wishes, messages,
 * stops. */
#ifndef TESTS_CORE_CHANCE_H
#define TESTS_CORE_CHANCE_H

#include "core_check.h"

#define ENTRIES	  128
#define POOLS_MAX 5

/* How things are in one life of an instance: chances in 1/1000. */
struct weather {
	uint32_t bad_version, spawn_fails, never_ready, exits, wishes, ignores_drain, hangs,
	    extends;
	uint32_t inject, stop;
	bool memory_short;
};

struct chance {
	uint64_t state;
	struct weather weather;
	uint64_t next_id;
	uint64_t versions; /* of this life: says which generations are bad */
	bool calm;
	uint64_t lives, calms, stops;
};

static inline uint64_t chance_next(struct chance *chance)
{
	uint64_t x = chance->state += 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static inline uint32_t chance_below(struct chance *chance, uint32_t n)
{
	return (uint32_t)(chance_next(chance) % n);
}

static inline bool chance_of(struct chance *chance, uint32_t thousandth)
{
	return chance_below(chance, 1000) < thousandth;
}

static inline usec_t chance_msec(struct chance *chance, uint32_t from, uint32_t to)
{
	return (from + chance_below(chance, to - from + 1)) * MSEC + chance_below(chance, 2);
}

static inline struct chance *chance_in(struct sim *sim)
{
	return sim->user;
}

/* ---- what pools and workers are like ---- */

static inline struct pool_params random_params(struct chance *c)
{
	uint32_t workers = 1 + chance_below(c, 5);
	uint32_t surge = chance_of(c, 250) ? 0 : 1 + chance_below(c, workers);

	return (struct pool_params){
	    .workers = workers,
	    .max_surge = surge,
	    .max_unavailable = surge == 0 || chance_of(c, 300) ? 1 + chance_below(c, workers) : 0,
	    .max_processes = workers + 1 + chance_below(c, chance_of(c, 500) ? 2 : 30),
	    .canary = surge > 0 && chance_of(c, 300) ? 1 + chance_below(c, surge) : 0,
	    .canary_time = chance_of(c, 500) ? chance_msec(c, 1, 150) : 0,
	    .canary_check_timeout = chance_of(c, 300) ? chance_msec(c, 1, 100) : 0,
	    .canary_hold = chance_of(c, 300),
	    .canary_hold_timeout = chance_msec(c, 1, 800),
	    .start_timeout = chance_msec(c, 30, 500),
	    .ready_delay = chance_of(c, 200) ? chance_msec(c, 0, 60) : NEVER,
	    .min_ready = chance_of(c, 500) ? chance_msec(c, 1, 100) : 0,
	    .progress_timeout = chance_msec(c, 100, 3000),
	    .drain_timeout = chance_of(c, 100) ? 0 : chance_msec(c, 1, 300),
	    .stop_timeout = chance_of(c, 100) ? 0 : chance_msec(c, 1, 300),
	    .drain_extend_max = chance_of(c, 500) ? chance_msec(c, 1, 300) : 0,
	    .dump_timeout = chance_msec(c, 1, 100),
	    .watchdog = chance_of(c, 300) ? chance_msec(c, 20, 200) : 0,
	    .drain_signal = 15,
	    .dump_signal = chance_of(c, 500) ? 3 : 0,
	    .restart = chance_of(c, 700) ? CORE_RESTART_ALWAYS : chance_below(c, 3),
	    .restart_delay = chance_msec(c, 10, 60),
	    .restart_delay_max = chance_msec(c, 10, 1000),
	    .restart_reset = chance_msec(c, 10, 500),
	    .crash_loop_after = 1 + chance_below(c, 5),
	    .on_crash_loop = chance_of(c, 900)	 ? CORE_CRASH_LOOP_RETRY
			     : chance_of(c, 900) ? CORE_CRASH_LOOP_STOP_POOL
						 : CORE_CRASH_LOOP_EXIT,
	    .held = chance_of(c, 300),
	    .start_retry = chance_of(c, 150),
	};
}

static inline bool random_is_bad(const struct chance *c, const struct order *spawn)
{
	uint64_t x = c->versions + spawn->pool * 1000003u + spawn->generation;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	return (x ^ x >> 27) % 1000 < c->weather.bad_version;
}

static inline void random_failure(struct chance *c, struct sim_script *script)
{
	if (chance_of(c, c->weather.spawn_fails))
		script->spawn_fails = true;
	if (chance_of(c, c->weather.never_ready))
		script->ready_after = NEVER;
	if (chance_of(c, c->weather.never_ready))
		script->accepts_after = NEVER;
	if (chance_of(c, c->weather.exits))
		script->exit_after = chance_msec(c, 0, chance_of(c, 500) ? 30 : 800);
	if (chance_of(c, c->weather.wishes))
		script->wish_after = chance_msec(c, 0, 800);
	if (chance_of(c, c->weather.ignores_drain))
		script->quit_after = NEVER;
	if (chance_of(c, c->weather.hangs))
		script->ping_until = chance_msec(c, 0, 1000);
	if (chance_of(c, c->weather.extends)) {
		script->extend_every = chance_msec(c, 1, 100);
		script->extend_by = chance_msec(c, 0, 1000);
	}
	script->clean = chance_of(c, 300);
	if (chance_of(c, 500))
		script->dumped_after = chance_msec(c, 0, 120);
	if (chance_of(c, 20))
		script->kills = 2 + chance_below(c, 2);
}

static inline void random_script(struct sim *sim, const struct order *spawn,
				 struct sim_script *script)
{
	struct chance *c = chance_in(sim);
	usec_t watchdog = sim_pool(sim, spawn->pool)->workers[spawn->worker.index].timing.watchdog;

	script->spawn_after = chance_of(c, 500) ? 0 : chance_msec(c, 0, 20);
	script->ready_after = chance_msec(c, 0, 25);
	script->quit_after = chance_msec(c, 0, 100);
	script->answers = chance_of(c, 500);
	script->accepts_after = chance_msec(c, 0, 25);
	if (watchdog > 0)
		script->ping_every = watchdog / 2;
	if (c->calm)
		return;
	random_failure(c, script);
	if (random_is_bad(c, spawn) && chance_of(c, 700)) {
		if (chance_of(c, 500))
			script->ready_after = NEVER;
		if (chance_of(c, 500))
			script->exit_after = chance_msec(c, 0, 100);
		else
			script->spawn_fails = chance_of(c, 500);
	}
}

/* ---- transactions ---- */

static inline void random_numbers(struct chance *c, const struct pool *pool,
				  struct pool_params *params)
{
	struct pool_params fresh = random_params(c);

	fresh.workers = pool->params.workers;
	fresh.watchdog = pool->params.watchdog; /* what a worker was told when it began */
	fresh.ready_delay = pool->params.ready_delay;
	if (fresh.max_processes <= fresh.workers)
		fresh.max_processes = fresh.workers + 1;
	*params = fresh;
}

static inline void random_scale(struct chance *c, struct pool_change *change)
{
	change->params.workers = 1 + chance_below(c, 6);
	if (change->params.max_processes <= change->params.workers)
		change->params.max_processes = change->params.workers + 1;
}

static inline void random_change(struct sim *sim, uint32_t p, enum change_kind kind, bool same)
{
	struct chance *c = chance_in(sim);
	struct pool_change *change = sim_change(sim, p, kind);

	switch (kind) {
	case CHANGE_ROLL:
		if (!same)
			change->params = random_params(c);
		break;
	case CHANGE_SOCKETS:
		change->tell = chance_of(c, 700);
		random_numbers(c, sim_pool(sim, p), &change->params);
		break;
	case CHANGE_UPDATE:
		random_numbers(c, sim_pool(sim, p), &change->params);
		break;
	case CHANGE_SCALE:
		change->reason = END_SCALE;
		if (chance_of(c, 300))
			random_numbers(c, sim_pool(sim, p), &change->params);
		random_scale(c, change);
		break;
	case CHANGE_SLOT:
		change->slot = chance_below(c, sim_pool(sim, p)->size);
		change->reason = END_RESTART;
		break;
	case CHANGE_NONE:
	case CHANGE_ADD:
	case CHANGE_REMOVE:
		break;
	}
}

static inline enum change_kind random_kind(struct chance *c)
{
	static const enum change_kind kinds[] = {CHANGE_ROLL,	CHANGE_ROLL,	CHANGE_SCALE,
						 CHANGE_SLOT,	CHANGE_UPDATE,	CHANGE_NONE,
						 CHANGE_REMOVE, CHANGE_SOCKETS, CHANGE_SOCKETS};

	return kinds[chance_below(c, 9)];
}

static inline void random_add(struct sim *sim)
{
	struct chance *c = chance_in(sim);
	struct pool_params params = random_params(c);
	uint32_t used = 0;

	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++)
		used += sim_pool(sim, p)->state != POOL_FREE;
	if (used < POOLS_MAX)
		sim_add(sim, &params);
}

/* What the engine finds when it prepares: a reload of all, of some, a restart, a new size. */
static inline void random_prepare(struct sim *sim)
{
	struct chance *c = chance_in(sim);
	uint32_t mode = chance_below(c, 4), only = chance_below(c, POOLS_MAX), used = 0;

	for (uint32_t p = 0; p < SIM_POOLS; p++) {
		const struct pool *pool = sim_pool(sim, p);
		enum change_kind kind = mode == 0 ? CHANGE_ROLL : random_kind(c);

		if (pool->state != POOL_ACTIVE && pool->state != POOL_STOPPED)
			continue;
		if ((mode == 1 && p != only) || (kind == CHANGE_REMOVE && ++used > 1))
			continue;
		random_change(sim, p, kind, chance_of(c, 500));
	}
	if (mode != 1 && chance_of(c, 300))
		random_add(sim);
	sim_provide(sim);
}

/* ---- what comes from outside ---- */

static inline void random_request(struct sim *sim)
{
	struct chance *c = chance_in(sim);
	struct request request = {
	    .id = chance_of(c, 200) ? 0 : ++c->next_id,
	    .join = 1 + chance_below(c, 3),
	    .wait_drained = chance_of(c, 400),
	    .abort_on_disconnect = chance_of(c, 400),
	};
	struct core_event event = {.kind = EVENT_REQUEST, .request = request};

	for (uint32_t p = 0; p < SIM_POOLS; p++) {
		sim->checks[p].bad = !c->calm && chance_of(c, c->weather.bad_version);
		sim->checks[p].after =
		    !c->calm && chance_of(c, 100) ? NEVER : chance_msec(c, 0, 80);
	}
	sim->prepare_after = chance_of(c, 500) ? 0 : chance_msec(c, 0, 30);
	sim->prepare_fails = chance_of(c, 50);
	sim_deliver(sim, &event);
}

/* Somebody decides, also where there is nothing to be decided. */
static inline void random_decide(struct sim *sim)
{
	struct chance *c = chance_in(sim);
	struct core_event event = {
	    .kind = chance_of(c, 500) ? EVENT_PROMOTE : EVENT_ABORT,
	    .request = {.id = chance_of(c, 100) ? 0 : ++c->next_id,
			.wait_drained = chance_of(c, 400),
			.abort_on_disconnect = chance_of(c, 400)},
	};

	if (sim->instance->transaction.state != TRANSACTION_HELD && chance_of(c, 900))
		return; /* aborts of what runs are rarer */
	sim_deliver(sim, &event);
}

static inline void random_caller_gone(struct sim *sim)
{
	struct chance *c = chance_in(sim);
	struct core_event event = {.kind = EVENT_CALLER_GONE};

	event.request.id = c->next_id > 10 ? c->next_id - chance_below(c, 10) : 1;
	sim_deliver(sim, &event);
}

static inline struct sim_process *random_process(struct sim *sim)
{
	struct chance *c = chance_in(sim);
	uint32_t p = chance_below(c, SIM_POOLS);
	uint32_t capacity = sim_pool(sim, p)->capacity;

	if (capacity == 0)
		return NULL;
	return &sim->processes[p * sim->entries + chance_below(c, capacity)];
}

static inline void random_message(struct sim *sim)
{
	static const enum worker_event_kind kinds[] = {
	    WORKER_EVENT_READY,	       WORKER_EVENT_STOPPING, WORKER_EVENT_EXTEND,
	    WORKER_EVENT_PING,	       WORKER_EVENT_TRIGGER,  WORKER_EVENT_ACCEPTING,
	    WORKER_EVENT_SET_WATCHDOG, WORKER_EVENT_ANSWERS,  WORKER_EVENT_NOT_LIVE};
	struct chance *c = chance_in(sim);
	struct sim_process *process = random_process(sim);
	struct worker_event what = {.kind = kinds[chance_below(c, 9)]};
	struct worker_ref ref;

	if (process == NULL || (!process->alive && process->ref.serial == 0))
		return;
	what.usec = chance_of(c, 300) ? 0 : chance_msec(c, 0, 1000);
	if (what.kind == WORKER_EVENT_SET_WATCHDOG && chance_of(c, 500))
		what.usec = 0;
	if (what.kind == WORKER_EVENT_EXTEND && chance_of(c, 100))
		what.usec = NEVER;
	ref = process->ref;
	if (!process->alive) { /* late news: of nobody, or of who was here before */
		ref.serial -= chance_of(c, 500);
		if (pool_worker(sim_pool(sim, ref.pool), &ref) != NULL)
			return;
	}
	sim_worker_event(sim, &ref, &what);
}

static inline void random_crash(struct sim *sim)
{
	struct sim_process *process = random_process(sim);

	if (process != NULL && process->alive)
		sim_end(sim, process, chance_of(chance_in(sim), 300));
}

static inline void random_move_memory(struct sim *sim)
{
	struct chance *c = chance_in(sim);
	struct pool *pool = sim_pool(sim, chance_below(c, SIM_POOLS));

	if (pool->capacity > 0 && pool->capacity < ENTRIES - 8)
		sim_memory(sim, pool, pool->capacity + (chance_of(c, 20) ? 1 : 0));
}

static inline void random_stop(struct sim *sim)
{
	struct chance *c = chance_in(sim);
	struct core_event event = {.kind = chance_of(c, 200) ? EVENT_STOP_NOW : EVENT_STOP,
				   .failed = chance_of(c, 100)};

	sim_deliver(sim, &event);
}

static inline void random_inject(struct sim *sim)
{
	struct chance *c = chance_in(sim);
	struct core_event event = {.kind = EVENT_QUEUES_EMPTY};
	uint32_t what = chance_below(c, 1000);

	if (what < 250)
		random_request(sim);
	else if (what < 300)
		random_caller_gone(sim);
	else if (what < 350)
		random_decide(sim);
	else if (what < 700)
		random_message(sim);
	else if (what < 700 + c->weather.exits)
		random_crash(sim);
	else if (what < 850)
		random_move_memory(sim);
	else if (what < 950)
		sim_time(sim);
	else if (what < 960)
		sim_deliver(sim, &event);
	else if (what < 960 + c->weather.stop)
		random_stop(sim);
}

#endif
