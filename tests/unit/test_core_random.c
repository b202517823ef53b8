/*
 * test_core_random.c - random lives of an instance: reloads, crashes, hangs, stops, all at once and
 * in any order, with everything in core_check.h held after every step. HANDOVER_SEED repeats a run,
 * HANDOVER_STEPS sets its length.
 */
#include "core_chance.h"

#include <time.h>

#if defined(__SANITIZE_ADDRESS__)
#define STEPS 100000
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define STEPS 100000
#endif
#endif
#ifndef STEPS
#define STEPS 1050000
#endif

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
