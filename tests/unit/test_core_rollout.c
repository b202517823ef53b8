/* test_core_rollout.c - one generation replaced by the next: batches, gate, failure, undo, sizes.
 */
#include "core_check.h"

/* ---- batches ---- */

/* 100 %: all new ones first, then all old ones go. */
static void all_at_once(void **state)
{
	struct sim *sim = *state;

	check_start(sim, 4);
	sim_rule(sim, 0, 2)->ready_after = 2 * SEC;
	check_roll(sim, 0);
	sim_reload(sim, 1);
	assert_int_equal(sim_count(sim, ORDER_SPAWN, 0), 4);
	assert_int_equal(sim_pool(sim, 0)->live, 8);
	sim_run(sim, 2 * SEC - 1);
	assert_int_equal(sim_count(sim, ORDER_SIGNAL, 0), 0);
	assert_int_equal(sim_serving(sim, 0, 1), 4);
	sim_run(sim, 1);
	assert_int_equal(sim_count(sim, ORDER_SIGNAL, 0), 4);
	assert_int_equal(sim_serving(sim, 0, 2), 4);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
	assert_int_equal(sim_count(sim, ORDER_BATCH, 0), 1);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_pool(sim, 0)->live, 4);
	assert_int_equal(sim_pool(sim, 0)->generation, 2);
	assert_int_equal(instance_deadline(sim->instance), NEVER);
}

static void tell_ready(struct sim *sim, uint32_t slot)
{
	const struct pool *pool = sim_pool(sim, 0);

	sim_tell(sim, &pool->workers[pool->slots[slot].next].ref, WORKER_EVENT_READY);
}

/* handoff = channel: nobody has a socket before all of the batch are ready. */
static void held_until_the_last(void **state)
{
	struct sim *sim = *state;

	check_start(sim, 3);
	check_roll(sim, 0)->held = true;
	sim_rule(sim, 0, 2)->ready_after = 1 * SEC;
	sim_reload(sim, 1);
	sim_run(sim, 1 * SEC - 1);
	assert_int_equal(sim_pool(sim, 0)->counts[WORKER_STARTING], 3);
	tell_ready(sim, 0);
	tell_ready(sim, 1);
	assert_int_equal(sim_pool(sim, 0)->counts[WORKER_HELD], 2);
	assert_int_equal(sim_count(sim, ORDER_SEND_SOCKETS, 0), 0);
	assert_int_equal(sim_serving(sim, 0, 1), 3);
	sim_run(sim, 1);
	assert_int_equal(sim_count(sim, ORDER_SEND_SOCKETS, 0), 3);
	assert_int_equal(sim_serving(sim, 0, 2), 3);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
	/* one that comes after a crash waits for nobody */
	sim_crash(sim, 0, 0);
	sim_run(sim, 2 * SEC);
	assert_int_equal(sim_count(sim, ORDER_SEND_SOCKETS, 0), 4);
	assert_int_equal(sim_serving(sim, 0, 2), 3);
}

/* Those that will say when they accept have the old ones serve on until the last of them has. */
static void old_ones_serve_until_the_word(void **state)
{
	struct sim *sim = *state;
	struct sim_script *script;

	check_start(sim, 3);
	check_roll(sim, 0)->held = true;
	script = sim_rule(sim, 0, 2);
	script->answers = true;
	script->accepts_after = 500 * MSEC;
	sim_reload(sim, 1);
	sim_run(sim, 500 * MSEC);
	assert_int_equal(sim_count(sim, ORDER_SEND_SOCKETS, 0), 3);
	assert_int_equal(sim_pool(sim, 0)->counts[WORKER_HELD], 3);
	assert_int_equal(sim_pool(sim, 0)->rollout.state, ROLLOUT_RELEASING);
	assert_int_equal(sim_serving(sim, 0, 1), 3);
	sim_run(sim, 10 * MSEC);
	assert_int_equal(sim_serving(sim, 0, 2), 3);
	assert_int_equal(sim_serving(sim, 0, 1), 0);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
}

/* One that never takes them is one that is not ready in time. */
static void a_word_that_never_comes(void **state)
{
	struct sim *sim = *state;
	struct sim_script *script;

	check_start(sim, 3);
	check_roll(sim, 0)->held = true;
	script = sim_rule(sim, 0, 2);
	script->answers = true;
	script->accepts_after = NEVER;
	sim_reload(sim, 1);
	sim_run(sim, 30 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 0);
	assert_int_equal(sim_serving(sim, 0, 1), 3);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_last(sim, ORDER_UNDO)->cause, CAUSE_NOT_READY);
	assert_int_equal(sim_serving(sim, 0, 1), 3);
	assert_int_equal(sim_pool(sim, 0)->live, 3);
}

/* One at a time, slot by slot: never more than one too many. */
static void one_by_one(void **state)
{
	struct sim *sim = *state;

	check_start(sim, 3);
	sim_rule(sim, 0, 1);
	sim_rule(sim, 0, 2)->ready_after = 1 * SEC;
	check_roll(sim, 0)->max_surge = 1;
	sim_reload(sim, 1);
	for (uint32_t n = 0; n < 3; n++) {
		assert_int_equal(sim_count(sim, ORDER_SPAWN, 0), n + 1);
		assert_int_equal(sim_last(sim, ORDER_BATCH)->slot, n);
		assert_int_equal(sim_last(sim, ORDER_BATCH)->count, 1);
		assert_int_equal(sim_serving(sim, 0, 2), n);
		sim_run(sim, 999 * MSEC);
		assert_int_equal(sim_pool(sim, 0)->live, 4);
		sim_run(sim, 1 * MSEC);
	}
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
	assert_int_equal(sim_serving(sim, 0, 2), 3);
}

static void by_quarters(void **state)
{
	struct sim *sim = *state;

	check_start(sim, 8);
	sim_rule(sim, 0, 2)->ready_after = 1 * SEC;
	check_roll(sim, 0)->max_surge = 2;
	sim_reload(sim, 1);
	for (uint32_t n = 1; n <= 4; n++) {
		assert_int_equal(sim_count(sim, ORDER_SPAWN, 0), 2 * n);
		sim_run(sim, 1 * SEC);
		assert_int_equal(sim_serving(sim, 0, 2), 2 * n);
	}
	assert_int_equal(sim_count(sim, ORDER_BATCH, 0), 4);
	assert_int_equal(sim_count(sim, ORDER_PROMOTED, 0), 4);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
}

/* Ready is not enough: they are watched, batch by batch. */
static void watched_for_min_ready(void **state)
{
	struct sim *sim = *state;
	struct pool_params *params;

	check_start(sim, 2);
	params = check_roll(sim, 0);
	params->max_surge = 1;
	params->min_ready = 5 * SEC;
	sim_reload(sim, 1);
	sim_run(sim, 5 * SEC);
	assert_int_equal(sim_count(sim, ORDER_SIGNAL, 0), 0);
	sim_run(sim, 1 * MSEC);
	assert_int_equal(sim_count(sim, ORDER_SIGNAL, 0), 1);
	sim_run(sim, 5 * SEC);
	assert_int_equal(sim_count(sim, ORDER_SIGNAL, 0), 1);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 0);
	sim_run(sim, 1 * MSEC);
	assert_int_equal(sim_count(sim, ORDER_SIGNAL, 0), 2);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
}

/* Readiness by time alone. */
static void ready_after_a_delay(void **state)
{
	struct sim *sim = *state;

	check_start(sim, 2);
	sim_rule(sim, 0, 2)->ready_after = NEVER;
	check_roll(sim, 0)->ready_delay = 3 * SEC;
	sim_reload(sim, 1);
	sim_run(sim, 3 * SEC - 1);
	assert_int_equal(sim_count(sim, ORDER_SIGNAL, 0), 0);
	sim_run(sim, 1);
	assert_int_equal(sim_serving(sim, 0, 2), 2);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
}

/* Nothing drains anywhere before the first batch of every pool is ready and watched. */
static void the_gate_is_for_all_pools(void **state)
{
	struct sim *sim = *state;

	check_start_two(sim, 2, 2);
	sim_rule(sim, 1, 2)->ready_after = 10 * SEC;
	check_roll(sim, 0)->max_surge = 1;
	check_roll(sim, 1)->max_surge = 1;
	sim->changes[1].params.min_ready = 1 * SEC;
	sim_reload(sim, 1);
	sim_run(sim, 11 * SEC - 1);
	assert_int_equal(sim_count(sim, ORDER_SIGNAL, CORE_NONE), 0);
	assert_int_equal(sim_count(sim, ORDER_SPAWN, 0), 1);
	assert_int_equal(sim_pool(sim, 0)->rollout.state, ROLLOUT_GATED);
	sim_run(sim, 1);
	assert_int_equal(sim_count(sim, ORDER_SIGNAL, 0), 1);
	assert_int_equal(sim_count(sim, ORDER_SIGNAL, 1), 1);
	sim_run(sim, 1 * SEC); /* from here on each pool goes on at its own pace */
	assert_int_equal(sim_serving(sim, 0, 2), 2);
	assert_int_equal(sim_serving(sim, 1, 2), 1);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 0);
	sim_run(sim, 10 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
}

/* ---- room ---- */

/* At the cap a rollout takes what room there is, and waits for drains; it kills nobody for it. */
static void the_cap_makes_it_slow(void **state)
{
	struct sim *sim = *state;
	struct pool_params params = sim_params(3);

	params.max_processes = 4;
	params.drain_timeout = 5 * SEC;
	sim_add(sim, &params);
	sim_rule(sim, 0, 1)->quit_after = 2 * SEC;
	sim_start(sim);
	sim_run(sim, 1 * SEC);
	sim_forget(sim);
	check_roll(sim, 0);
	sim_reload(sim, 1);
	assert_int_equal(sim_count(sim, ORDER_SPAWN, 0), 1);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_count(sim, ORDER_SPAWN, 0), 1);
	assert_int_equal(sim_pool(sim, 0)->rollout.state, ROLLOUT_WAITING);
	sim_run(sim, 5 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
	assert_int_equal(sim_count(sim, ORDER_BATCH, 0), 3);
	assert_int_equal(sim_count(sim, ORDER_KILL, 0), 0);
}

/* No room for as long as progress_timeout: it fails, blames nobody, and puts everything back. */
static void the_cap_and_no_progress(void **state)
{
	struct sim *sim = *state;
	struct pool_params params = sim_params(2), other = sim_params(1);

	params.max_processes = 3;
	params.progress_timeout = 3 * SEC;
	params.drain_timeout = 20 * SEC;
	sim_add(sim, &other);
	sim_add(sim, &params);
	sim_rule(sim, 1, 1)->quit_after = NEVER;
	sim_start(sim);
	sim_run(sim, 1 * SEC);
	check_roll(sim, 1);
	sim_reload(sim, 1);
	sim_run(sim, 3 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_FAILED), 0);
	sim_run(sim, 1 * MSEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_FAILED), 1);
	assert_int_equal(sim_last(sim, ORDER_UNDO)->cause, CAUSE_NO_PROGRESS);
	assert_int_equal(sim_last(sim, ORDER_UNDO)->worker.pool, 1);
	assert_int_equal(sim_last(sim, ORDER_UNDO)->worker.index, CORE_NONE);
	assert_int_equal(sim_serving(sim, 1, 2), 1);
	sim_run(sim, 30 * SEC); /* there is room when the drain ends */
	assert_int_equal(sim_serving(sim, 1, 1), 2);
	assert_int_equal(sim_pool(sim, 1)->live, 2);
}

static void a_higher_cap_counts_at_once(void **state)
{
	struct sim *sim = *state;
	struct pool_params params = sim_params(2);

	params.max_processes = 3;
	sim_add(sim, &params);
	sim_start(sim);
	sim_run(sim, 1 * SEC);
	sim_forget(sim);
	check_roll(sim, 0)->max_processes = 4;
	sim_reload(sim, 1);
	assert_int_equal(sim_count(sim, ORDER_SPAWN, 0), 2);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_pool(sim, 0)->max_processes, 4);
}

/* No entry for a new worker: the pool says so, and the rollout goes on as soon as it has memory. */
static void starved_of_memory(void **state)
{
	struct sim *sim = *state;
	struct pool *pool = sim_pool(sim, 0);
	struct pool_params params = sim_params(2);

	sim_memory(sim, pool, 3);
	pool_open(pool, 1);
	sim->changes[0] = (struct pool_change){.kind = CHANGE_ADD, .params = params};
	sim->grows = false;
	sim_rule(sim, 0, 1)->quit_after = NEVER;
	sim_start(sim);
	sim_run(sim, 1 * SEC);
	sim_change(sim, 0, CHANGE_ROLL);
	sim_reload(sim, 1);
	sim_run(sim, 1 * SEC);
	assert_int_equal(pool->rollout.state, ROLLOUT_WAITING);
	assert_true(pool->starved);
	sim_feed(sim);
	assert_int_equal(pool->rollout.state, ROLLOUT_WAITING);
	sim->grows = true;
	sim_feed(sim);
	sim_run(sim, 1 * SEC);
	assert_false(pool->starved);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    STORY(all_at_once),
	    STORY(held_until_the_last),
	    STORY(old_ones_serve_until_the_word),
	    STORY(a_word_that_never_comes),
	    STORY(one_by_one),
	    STORY(by_quarters),
	    STORY(watched_for_min_ready),
	    STORY(ready_after_a_delay),
	    STORY(the_gate_is_for_all_pools),
	    STORY(the_cap_makes_it_slow),
	    STORY(the_cap_and_no_progress),
	    STORY(a_higher_cap_counts_at_once),
	    STORY(starved_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
