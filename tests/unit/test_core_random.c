/*
 * test_core_random.c - random lives of an instance: reloads, crashes, hangs, stops, all at once and
 * in any order, with everything in core_check.h held after every step. HANDOVER_SEED repeats a run,
 * HANDOVER_STEPS sets its length.
 */
#include "core_check.h"

#include <time.h>

#if defined(__SANITIZE_ADDRESS__)
#define STEPS 100000
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define STEPS 100000
#endif
#endif
#ifndef STEPS
#define STEPS 1200000
#endif

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

static uint64_t chance_next(struct chance *chance)
{
	uint64_t x = chance->state += 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static uint32_t chance_below(struct chance *chance, uint32_t n)
{
	return (uint32_t)(chance_next(chance) % n);
}

static bool chance_of(struct chance *chance, uint32_t thousandth)
{
	return chance_below(chance, 1000) < thousandth;
}

static usec_t chance_msec(struct chance *chance, uint32_t from, uint32_t to)
{
	return (from + chance_below(chance, to - from + 1)) * MSEC + chance_below(chance, 2);
}

static struct chance *chance_in(struct sim *sim)
{
	return sim->user;
}

/* ---- what pools and workers are like ---- */

static struct pool_params random_params(struct chance *c)
{
	uint32_t workers = 1 + chance_below(c, 5);

	return (struct pool_params){
	    .workers = workers,
	    .max_surge = 1 + chance_below(c, workers),
	    .max_processes = workers + 1 + chance_below(c, chance_of(c, 500) ? 2 : 30),
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
	    .start_retry = chance_of(c, 150),
	};
}

static bool random_is_bad(const struct chance *c, const struct order *spawn)
{
	uint64_t x = c->versions + spawn->pool * 1000003u + spawn->generation;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	return (x ^ x >> 27) % 1000 < c->weather.bad_version;
}

static void random_failure(struct chance *c, struct sim_script *script)
{
	if (chance_of(c, c->weather.spawn_fails))
		script->spawn_fails = true;
	if (chance_of(c, c->weather.never_ready))
		script->ready_after = NEVER;
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

static void random_script(struct sim *sim, const struct order *spawn, struct sim_script *script)
{
	struct chance *c = chance_in(sim);
	usec_t watchdog = sim_pool(sim, spawn->pool)->workers[spawn->worker.index].timing.watchdog;

	script->spawn_after = chance_of(c, 500) ? 0 : chance_msec(c, 0, 20);
	script->ready_after = chance_msec(c, 0, 25);
	script->quit_after = chance_msec(c, 0, 100);
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

static void random_numbers(struct chance *c, const struct pool *pool, struct pool_params *params)
{
	struct pool_params fresh = random_params(c);

	fresh.workers = pool->params.workers;
	fresh.watchdog = pool->params.watchdog; /* what a worker was told when it began */
	fresh.ready_delay = pool->params.ready_delay;
	if (fresh.max_processes <= fresh.workers)
		fresh.max_processes = fresh.workers + 1;
	*params = fresh;
}

static void random_scale(struct chance *c, struct pool_change *change)
{
	change->params.workers = 1 + chance_below(c, 6);
	if (change->params.max_processes <= change->params.workers)
		change->params.max_processes = change->params.workers + 1;
}

static void random_change(struct sim *sim, uint32_t p, enum change_kind kind, bool same)
{
	struct chance *c = chance_in(sim);
	struct pool_change *change = sim_change(sim, p, kind);

	switch (kind) {
	case CHANGE_ROLL:
		if (!same)
			change->params = random_params(c);
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

static enum change_kind random_kind(struct chance *c)
{
	static const enum change_kind kinds[] = {CHANGE_ROLL,  CHANGE_ROLL,   CHANGE_SCALE,
						 CHANGE_SLOT,  CHANGE_UPDATE, CHANGE_NONE,
						 CHANGE_REMOVE};

	return kinds[chance_below(c, 7)];
}

static void random_add(struct sim *sim)
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
static void random_prepare(struct sim *sim)
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

static void random_request(struct sim *sim)
{
	struct chance *c = chance_in(sim);
	struct request request = {
	    .id = chance_of(c, 200) ? 0 : ++c->next_id,
	    .join = 1 + chance_below(c, 3),
	    .wait_drained = chance_of(c, 400),
	    .abort_on_disconnect = chance_of(c, 400),
	};
	struct core_event event = {.kind = EVENT_REQUEST, .request = request};

	sim->prepare_after = chance_of(c, 500) ? 0 : chance_msec(c, 0, 30);
	sim->prepare_fails = chance_of(c, 50);
	sim_deliver(sim, &event);
}

static void random_caller_gone(struct sim *sim)
{
	struct chance *c = chance_in(sim);
	struct core_event event = {.kind = EVENT_CALLER_GONE};

	event.request.id = c->next_id > 10 ? c->next_id - chance_below(c, 10) : 1;
	sim_deliver(sim, &event);
}

static struct sim_process *random_process(struct sim *sim)
{
	struct chance *c = chance_in(sim);
	uint32_t p = chance_below(c, SIM_POOLS);
	uint32_t capacity = sim_pool(sim, p)->capacity;

	if (capacity == 0)
		return NULL;
	return &sim->processes[p * sim->entries + chance_below(c, capacity)];
}

static void random_message(struct sim *sim)
{
	static const enum worker_event_kind kinds[] = {
	    WORKER_EVENT_READY, WORKER_EVENT_STOPPING, WORKER_EVENT_EXTEND,
	    WORKER_EVENT_PING,	WORKER_EVENT_TRIGGER,  WORKER_EVENT_SET_WATCHDOG};
	struct chance *c = chance_in(sim);
	struct sim_process *process = random_process(sim);
	struct worker_event what = {.kind = kinds[chance_below(c, 6)]};
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

static void random_crash(struct sim *sim)
{
	struct sim_process *process = random_process(sim);

	if (process != NULL && process->alive)
		sim_end(sim, process, chance_of(chance_in(sim), 300));
}

static void random_move_memory(struct sim *sim)
{
	struct chance *c = chance_in(sim);
	struct pool *pool = sim_pool(sim, chance_below(c, SIM_POOLS));

	if (pool->capacity > 0 && pool->capacity < ENTRIES - 8)
		sim_memory(sim, pool, pool->capacity + (chance_of(c, 20) ? 1 : 0));
}

static void random_stop(struct sim *sim)
{
	struct chance *c = chance_in(sim);
	struct core_event event = {.kind = chance_of(c, 200) ? EVENT_STOP_NOW : EVENT_STOP,
				   .failed = chance_of(c, 100)};

	sim_deliver(sim, &event);
}

static void random_inject(struct sim *sim)
{
	struct chance *c = chance_in(sim);
	struct core_event event = {.kind = EVENT_QUEUES_EMPTY};
	uint32_t what = chance_below(c, 1000);

	if (what < 250)
		random_request(sim);
	else if (what < 350)
		random_caller_gone(sim);
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

/* ---- a life ---- */

static void random_weather(struct chance *c)
{
	uint32_t storm = chance_below(c, 4); /* 0: all is well but for what comes from outside */
	bool storms = storm == 3;

	c->weather = (struct weather){
	    .bad_version = storm * 80,
	    .spawn_fails = storms ? 80 : storm * 3,
	    .never_ready = storms ? 80 : storm * 3,
	    .exits = storms ? 150 : storm * 20,
	    .wishes = storm * 20,
	    .ignores_drain = storm * 100,
	    .hangs = storm * 30,
	    .extends = storm * 60,
	    .inject = 50 + 150 * chance_below(c, 3),
	    .stop = 1 + chance_below(c, 5),
	    .memory_short = chance_of(c, 200),
	};
}

/* Lets one thing happen; a little late, where that is the weather. */
static bool random_once(struct sim *sim)
{
	struct chance *c = chance_in(sim);
	usec_t late = check_of(sim)->late, own = instance_deadline(sim->instance);
	usec_t next = sim_next(sim);

	if (late > 0 && !c->calm && own > sim->now && next != NEVER && chance_of(c, 300)) {
		usec_t at = (next > sim->now ? next : sim->now) + chance_next(c) % (late + 1);

		if (own == NEVER || at <= own + late)
			sim->now = at;
	}
	sim->grows = !c->weather.memory_short || chance_of(c, 100);
	return sim_once(sim, NEVER, chance_of(c, 500));
}

static void random_begin(struct sim *sim)
{
	struct chance *c = chance_in(sim);
	uint32_t pools = 1 + chance_below(c, 4);

	sim->logs = false;
	sim->pick_script = random_script;
	sim->prepare = random_prepare;
	sim->instance->lame_duck = chance_of(c, 500) ? chance_msec(c, 1, 200) : 0;
	check_of(sim)->late = chance_of(c, 200) ? chance_msec(c, 1, 50) : 0;
	c->versions = chance_next(c);
	random_weather(c);
	for (uint32_t n = 0; n < pools; n++) {
		struct pool_params params = random_params(c);

		sim_add(sim, &params);
	}
	c->calm = chance_of(c, 900); /* most starts are good ones */
	sim_start(sim);
	for (int n = 0; n < 50 && c->calm; n++)
		random_once(sim);
	c->calm = false;
}

/* What still does something by itself will not. */
static void random_calm_down(struct sim *sim)
{
	struct chance *c = chance_in(sim);

	c->calm = true;
	sim->prepare_fails = false;
	c->weather.memory_short = false;
	for (uint32_t n = 0; n < SIM_POOLS * ENTRIES; n++) {
		struct sim_process *process = &sim->processes[n];

		if (!process->alive)
			continue;
		process->script.ping_until = process->script.extend_every = NEVER;
		sim_act_at(sim, process, SIM_WISH, NEVER);
		if (!process->told)
			sim_act_at(sim, process, SIM_END, NEVER);
	}
}

static bool random_is_settled(struct sim *sim)
{
	const struct instance *instance = sim->instance;

	if (instance->transaction.state != TRANSACTION_NONE)
		return false;
	for (size_t n = 0; n < CORE_REQUESTS_MAX; n++)
		if (instance->pending[n].state != PENDING_FREE)
			return false;
	for (uint32_t p = 0; p < SIM_POOLS; p++) {
		const struct pool *pool = sim_pool(sim, p);

		if (pool->live > pool->counts[WORKER_SERVING] || pool->restoring > 0)
			return false;
		for (uint32_t s = 0; s < pool->size; s++)
			if (pool->slots[s].restart_at != NEVER &&
			    pool->slots[s].current == CORE_NONE)
				return false;
	}
	return true;
}

/* Left alone, an instance comes to serve in every slot what was committed last. */
static void random_settles(struct sim *sim)
{
	uint64_t most = sim->steps + 20000;

	random_calm_down(sim);
	while (!random_is_settled(sim) && !instance_is_stopping(sim->instance)) {
		CHECK(sim, random_once(sim));
		CHECK(sim, sim->steps < most);
	}
	chance_in(sim)->calms++;
	for (uint32_t p = 0; p < SIM_POOLS; p++) {
		const struct pool *pool = sim_pool(sim, p);

		if (pool->state != POOL_ACTIVE || instance_is_stopping(sim->instance))
			continue;
		for (uint32_t s = 0; s < pool->size; s++)
			CHECK(sim, pool->slots[s].current == CORE_NONE
				       ? pool->params.restart != CORE_RESTART_ALWAYS
				       : pool->workers[pool->slots[s].current].generation ==
					     pool->generation);
	}
	chance_in(sim)->calm = false;
}

/* Everything that was started is gone, and everybody has his answer. */
static void random_end(struct sim *sim)
{
	uint64_t most = sim->steps + 20000;

	while (!check_of(sim)->exited) {
		if (!instance_is_stopping(sim->instance))
			random_stop(sim);
		else if (chance_of(chance_in(sim), 200))
			random_inject(sim);
		else
			CHECK(sim, random_once(sim));
		CHECK(sim, sim->steps < most);
	}
	chance_in(sim)->stops++;
	for (uint32_t n = 0; n < SIM_POOLS * ENTRIES; n++)
		CHECK(sim, !sim->processes[n].alive);
	for (size_t n = 0; n < CHECK_REQUESTS; n++)
		CHECK(sim, !check_of(sim)->requests[n].open);
	for (int n = 0; n < 20; n++)
		random_inject(sim); /* nothing more comes of it */
	CHECK(sim, sim->instance->state == INSTANCE_STOPPED && instance_live(sim->instance) == 0);
}

static void random_life(struct chance *c, struct check *sums, uint64_t *steps, size_t *most)
{
	struct sim *sim = check_new(ENTRIES, chance_next(c));
	uint64_t length = 200 + chance_below(c, 4000);

	sim->user = c;
	sim->steps = *steps;
	length += sim->steps;
	random_begin(sim);
	while (sim->steps < length && !instance_is_stopping(sim->instance)) {
		if (chance_of(c, c->weather.inject))
			random_inject(sim);
		else if (!random_once(sim))
			random_inject(sim);
		if (chance_of(c, 1))
			random_settles(sim);
	}
	if (chance_of(c, 500))
		random_settles(sim);
	random_end(sim);
	sums->committed += check_of(sim)->committed;
	sums->failed += check_of(sim)->failed;
	sums->answered += check_of(sim)->answered;
	*most = sim->plan_most > *most ? sim->plan_most : *most;
	*steps = sim->steps;
	check_free(sim);
	c->lives++;
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text != NULL && *text != '\0' ? strtoull(text, NULL, 0) : otherwise;
}

static void random_lives(void **state)
{
	struct chance chance = {.next_id = 0};
	uint64_t most_steps = from_environment("HANDOVER_STEPS", STEPS), steps = 0;
	struct check sums = {.committed = 0};
	struct timespec ts;
	size_t most = 0;

	(void)state;
	clock_gettime(CLOCK_REALTIME, &ts);
	check_seed = from_environment("HANDOVER_SEED", (uint64_t)ts.tv_sec * 1000003 + ts.tv_nsec);
	chance.state = check_seed;
	print_message("HANDOVER_SEED=%llu\n", (unsigned long long)check_seed);
	while (steps < most_steps)
		random_life(&chance, &sums, &steps, &most);
	print_message("%llu steps, %llu lives, %llu commits, %llu failures, %llu answers, "
		      "%llu came to rest; largest plan: %zu/1000 of its room\n",
		      (unsigned long long)steps, (unsigned long long)chance.lives,
		      (unsigned long long)sums.committed, (unsigned long long)sums.failed,
		      (unsigned long long)sums.answered, (unsigned long long)chance.calms, most);
	assert_true(sums.committed > most_steps / 2000); /* it did not only look on */
	assert_true(sums.failed > most_steps / 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(random_lives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
