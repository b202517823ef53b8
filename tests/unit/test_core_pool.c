/* test_core_pool.c - a pool by itself: its start, its room, its memory. */
#include "core_check.h"

/* ---- start ---- */

static void start_is_good(void **state)
{
	struct sim *sim = *state;
	struct pool_params params = sim_params(3);

	sim_add(sim, &params);
	assert_int_equal(instance_deadline(sim->instance), NEVER);
	sim_start(sim);
	assert_int_equal(sim_count(sim, ORDER_SPAWN, 0), 3);
	assert_int_equal(sim_count(sim, ORDER_READY, CORE_NONE), 0);
	sim_run(sim, 1 * MSEC);
	assert_int_equal(sim_serving(sim, 0, 1), 3);
	assert_int_equal(sim_count(sim, ORDER_POOL_READY, 0), 1);
	assert_int_equal(sim_count(sim, ORDER_COMMIT, CORE_NONE), 1);
	assert_int_equal(sim_count(sim, ORDER_READY, CORE_NONE), 1);
	assert_int_equal(instance_deadline(sim->instance), NEVER); /* at rest */
}

static void start_without_pools(void **state)
{
	struct sim *sim = *state;

	sim_start(sim);
	assert_int_equal(sim_count(sim, ORDER_READY, CORE_NONE), 1);
}

/* One worker of the second pool fails: the instance ends, and says who was to blame, and why. */
static void start_fails(struct sim *sim, const struct sim_script *script, enum cause cause)
{
	struct pool_params params = sim_params(2);
	const struct order *undo;

	sim_add(sim, &params);
	sim_add(sim, &params);
	*sim_rule(sim, 1, 0) = *script;
	sim_start(sim);
	sim_run(sim, 100 * SEC);
	undo = sim_last(sim, ORDER_UNDO);
	assert_non_null(undo);
	assert_int_equal(undo->cause, cause);
	assert_int_equal(undo->worker.pool, 1);
	assert_int_not_equal(undo->worker.index, CORE_NONE);
	assert_int_equal(sim_count(sim, ORDER_READY, CORE_NONE), 0);
	assert_int_equal(sim_count(sim, ORDER_EXIT, CORE_NONE), 1);
	assert_true(sim_last(sim, ORDER_EXIT)->failed);
}

static void start_fails_by_exit(void **state)
{
	struct sim_script script = sim_good;

	script.ready_after = NEVER;
	script.exit_after = 5 * MSEC;
	start_fails(*state, &script, CAUSE_EXITED);
}

static void start_fails_by_spawn(void **state)
{
	struct sim_script script = sim_good;

	script.spawn_fails = true;
	start_fails(*state, &script, CAUSE_SPAWN);
}

static void start_fails_by_time(void **state)
{
	struct sim_script script = sim_good;

	script.ready_after = NEVER;
	start_fails(*state, &script, CAUSE_NOT_READY);
}

static void start_fails_by_wish(void **state)
{
	struct sim_script script = sim_good;

	script.ready_after = NEVER;
	script.wish_after = 1 * MSEC;
	start_fails(*state, &script, CAUSE_OWN_WISH);
}

/* on_start_failure = retry: the others serve, this one goes on trying, and is ready when it is. */
static void start_goes_on_trying(void **state)
{
	struct sim *sim = *state;
	struct pool_params params = sim_params(2), stubborn = sim_params(1);
	struct sim_script *script;

	stubborn.start_retry = true;
	sim_add(sim, &params);
	sim_add(sim, &stubborn);
	script = sim_rule(sim, 1, 0);
	script->spawn_fails = true;
	sim_start(sim);
	sim_run(sim, 300 * SEC);
	assert_int_equal(sim_serving(sim, 0, 1), 2);
	assert_int_equal(sim_count(sim, ORDER_READY, CORE_NONE), 0);
	assert_in_range(sim_count(sim, ORDER_SPAWN, 1), 10, 25);
	assert_int_equal(sim_count(sim, ORDER_CRASH_LOOP, 1), 1);
	script->spawn_fails = false;
	sim_run(sim, 60 * SEC);
	assert_int_equal(sim_serving(sim, 1, 1), 1);
	assert_int_equal(sim_count(sim, ORDER_READY, CORE_NONE), 1);
	assert_false(instance_is_stopping(sim->instance));
}

/* Readiness of a pool that never had all of its workers comes when it needs no more of them. */
static void ready_when_scaled_down(void **state)
{
	struct sim *sim = *state;
	struct pool_params params = sim_params(2);
	struct pool *pool = sim_pool(sim, 0);

	params.start_retry = true;
	sim_add(sim, &params);
	sim_rule(sim, 0, 0)->ready_after = NEVER;
	sim_start(sim);
	sim_tell(sim, &pool->workers[pool->slots[0].current].ref, WORKER_EVENT_READY);
	assert_int_equal(sim_count(sim, ORDER_READY, CORE_NONE), 0);
	sim_change(sim, 0, CHANGE_SCALE)->params.workers = 1;
	sim_reload(sim, 1);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
	assert_int_equal(sim_count(sim, ORDER_POOL_READY, 0), 1);
	assert_int_equal(sim_count(sim, ORDER_READY, CORE_NONE), 1);
}

/* ---- room ---- */

static void no_room_within_max_processes(void **state)
{
	struct sim *sim = *state;
	struct pool_params params = sim_params(2);
	struct worker *first, *second;

	params.max_processes = 3;
	sim_add(sim, &params);
	sim_rule(sim, 0, 0)->quit_after = NEVER;
	sim_start(sim);
	sim_run(sim, 2 * SEC);
	first = sim_current(sim, 0, 0);
	second = sim_current(sim, 0, 1);
	sim_tell(sim, &first->ref, WORKER_EVENT_STOPPING);
	sim_tell(sim, &second->ref, WORKER_EVENT_STOPPING);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_pool(sim, 0)->live, 3);
	assert_int_equal(sim_serving(sim, 0, 1), 1);
	assert_null(sim_current(sim, 0, 1)); /* waits for room */
	sim_end(sim, sim_process(sim, &first->ref), true);
	sim_run(sim, 200 * MSEC);
	assert_int_equal(sim_serving(sim, 0, 1), 2);
}

static void no_memory_for_one_more(void **state)
{
	struct sim *sim = *state;
	struct pool *pool = sim_pool(sim, 0);
	struct worker *worker;

	check_start(sim, 2);
	sim_run(sim, 2 * SEC);
	sim->grows = false;
	sim_rule(sim, 0, 0)->quit_after = NEVER;
	for (uint32_t n = 0; pool->live < pool->capacity; n++) {
		worker = sim_current(sim, 0, n % 2);
		sim_tell(sim, &worker->ref, WORKER_EVENT_STOPPING);
		sim_run(sim, 1100 * MSEC);
	}
	assert_false(pool->starved);
	sim_tell(sim, &sim_current(sim, 0, 0)->ref, WORKER_EVENT_STOPPING);
	assert_true(pool->starved);
	assert_null(sim_current(sim, 0, 0));
	sim->grows = true;
	sim_run(sim, 300 * MSEC); /* it looks again every 100 ms */
	assert_false(pool->starved);
	assert_int_equal(sim_serving(sim, 0, 1), 2);
}

/* The model may move in memory at any time; all that was set stays set. */
static void memory_moves(void **state)
{
	struct sim *sim = *state;
	struct pool *pool = sim_pool(sim, 0);
	usec_t deadline;

	check_start(sim, 4);
	sim_crash(sim, 0, 2);
	sim_rule(sim, 0, 2)->ready_after = 5 * SEC;
	sim_change(sim, 0, CHANGE_ROLL);
	sim_provide(sim);
	sim_reload(sim, 1);
	for (uint32_t n = 0; n < 20; n++) {
		deadline = instance_deadline(sim->instance);
		sim_memory(sim, pool, pool->capacity + n % 3);
		assert_int_equal(instance_deadline(sim->instance), deadline);
		sim_time(sim);
		sim_run(sim, 300 * MSEC);
	}
	assert_int_equal(sim_serving(sim, 0, 2), 4);
	assert_true(pool_memory_size(10) > 10 * (sizeof(struct worker) + sizeof(struct slot)));
}

static void late_news_of_who_is_gone(void **state)
{
	struct sim *sim = *state;
	struct worker_ref gone;

	check_start(sim, 1);
	gone = sim_current(sim, 0, 0)->ref;
	sim_crash(sim, 0, 0);
	assert_int_equal(sim_current(sim, 0, 0)->ref.index,
			 gone.index); /* the entry is used again */
	sim_forget(sim);
	for (int kind = 0; kind < WORKER_EVENT_COUNT; kind++)
		sim_tell(sim, &gone, kind);
	gone.index = 9999;
	sim_tell(sim, &gone, WORKER_EVENT_EXITED);
	assert_int_equal(sim->n_log, 0);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_serving(sim, 0, 1), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    STORY(start_is_good),
	    STORY(start_without_pools),
	    STORY(start_fails_by_exit),
	    STORY(start_fails_by_spawn),
	    STORY(start_fails_by_time),
	    STORY(start_fails_by_wish),
	    STORY(start_goes_on_trying),
	    STORY(ready_when_scaled_down),
	    STORY(no_room_within_max_processes),
	    STORY(no_memory_for_one_more),
	    STORY(memory_moves),
	    STORY(late_news_of_who_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
