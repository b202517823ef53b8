/* test_core_change.c - changes that are no rollout of everything: sizes, one slot, numbers, pools
 * that come and go. */
#include "core_check.h"

/* ---- sizes ---- */

static void scale_up_and_down(void **state)
{
	struct sim *sim = *state;
	struct pool_change *change;

	check_start(sim, 2);
	change = sim_change(sim, 0, CHANGE_SCALE);
	change->params.workers = 4;
	sim_provide(sim);
	sim_reload(sim, 1);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
	assert_int_equal(sim_serving(sim, 0, 1), 4);
	assert_int_equal(sim_count(sim, ORDER_SIGNAL, 0), 0);
	change = sim_change(sim, 0, CHANGE_SCALE);
	change->params.workers = 1;
	sim_reload(sim, 2);
	assert_int_equal(sim_count(sim, ORDER_SIGNAL, 0), 3);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_answers(sim, 2, RESULT_COMMITTED), 1);
	assert_int_equal(sim_pool(sim, 0)->live, 1);
	assert_int_equal(sim_pool(sim, 0)->generation, 1);
	assert_int_equal(sim_pool(sim, 0)->last_generation, 1);
	assert_int_equal(instance_deadline(sim->instance), NEVER);
}

static void scale_up_fails(void **state)
{
	struct sim *sim = *state;

	check_start(sim, 2);
	sim_rule(sim, 0, 0)->exit_after = 0;
	sim_change(sim, 0, CHANGE_SCALE)->params.workers = 4;
	sim_provide(sim);
	sim_reload(sim, 1);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_FAILED), 1);
	assert_int_equal(sim_pool(sim, 0)->size, 2);
	assert_int_equal(sim_pool(sim, 0)->params.workers, 2);
	assert_int_equal(sim_pool(sim, 0)->live, 2);
}

static void roll_to_another_size(void **state)
{
	struct sim *sim = *state;

	check_start(sim, 3);
	check_roll(sim, 0)->workers = 5;
	sim_provide(sim);
	sim_reload(sim, 1);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_serving(sim, 0, 2), 5);
	check_roll(sim, 0)->workers = 2;
	sim_reload(sim, 2);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_serving(sim, 0, 3), 2);
	assert_int_equal(sim_pool(sim, 0)->live, 2);
	assert_int_equal(sim_answers(sim, 2, RESULT_COMMITTED), 1);
}

/* A worker that was told to go because its pool is smaller does not come back by a failed reload.
 */
static void roll_to_another_size_fails(void **state)
{
	struct sim *sim = *state;

	check_start(sim, 3);
	sim_rule(sim, 0, 0)->spawn_fails = true;
	check_roll(sim, 0)->workers = 5;
	sim_provide(sim);
	sim_reload(sim, 1);
	check_roll(sim, 0)->workers = 2;
	sim_reload(sim, 2);
	assert_int_equal(sim_answers(sim, 1, RESULT_FAILED), 1);
	assert_int_equal(sim_answers(sim, 2, RESULT_FAILED), 1);
	assert_int_equal(sim_serving(sim, 0, 1), 3);
	assert_int_equal(sim_count(sim, ORDER_SIGNAL, 0), 0);
}

static void one_slot_is_restarted(void **state)
{
	struct sim *sim = *state;
	struct worker_ref others[2];
	struct pool_change *change;

	check_start(sim, 3);
	others[0] = sim_current(sim, 0, 0)->ref;
	others[1] = sim_current(sim, 0, 2)->ref;
	change = sim_change(sim, 0, CHANGE_SLOT);
	change->slot = 1;
	change->reason = END_RESTART;
	memset(&change->params, 0, sizeof(change->params)); /* it runs with the pool's own */
	sim_reload(sim, 1);
	assert_int_equal(sim_count(sim, ORDER_SPAWN, 0), 1);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
	assert_int_equal(sim_last(sim, ORDER_SIGNAL)->slot, 1);
	assert_int_equal(sim_serving(sim, 0, 1), 3);
	assert_int_equal(sim_current(sim, 0, 0)->ref.serial, others[0].serial);
	assert_int_equal(sim_current(sim, 0, 2)->ref.serial, others[1].serial);
}

static void one_slot_fails_to_restart(void **state)
{
	struct sim *sim = *state;
	struct worker_ref old;

	check_start(sim, 2);
	old = sim_current(sim, 0, 1)->ref;
	sim_rule(sim, 0, 0)->spawn_fails = true;
	sim_change(sim, 0, CHANGE_SLOT)->slot = 1;
	sim_reload(sim, 1);
	assert_int_equal(sim_answers(sim, 1, RESULT_FAILED), 1);
	assert_int_equal(sim_current(sim, 0, 1)->ref.serial, old.serial);
}

static void only_numbers(void **state)
{
	struct sim *sim = *state;
	struct pool_params *params;
	struct worker *worker;

	check_start(sim, 2);
	worker = sim_current(sim, 0, 0);
	params = &sim_change(sim, 0, CHANGE_UPDATE)->params;
	params->stop_timeout = 50 * SEC;
	params->max_processes = 7;
	sim_reload(sim, 1);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
	assert_int_equal(sim_count(sim, ORDER_SPAWN, 0) + sim_count(sim, ORDER_SIGNAL, 0), 0);
	assert_int_equal(worker->timing.stop_timeout, 50 * SEC);
	assert_int_equal(sim_pool(sim, 0)->max_processes, 7);
}

/* What a worker has asked for outlives the commit of its own rollout. */
static void its_watchdog_survives_the_commit(void **state)
{
	struct sim *sim = *state;
	struct worker_event slow = {.kind = WORKER_EVENT_SET_WATCHDOG, .usec = 60 * SEC};
	struct worker *worker;

	check_start(sim, 1);
	sim_rule(sim, 0, 2)->ping_every = 20 * SEC;
	check_roll(sim, 0)->watchdog = 10 * SEC;
	sim->changes[0].params.min_ready = 5 * SEC;
	sim_reload(sim, 1);
	sim_run(sim, 1 * SEC);
	worker = sim_successor(sim, 0, 0);
	sim_worker_event(sim, &worker->ref, &slow);
	sim_run(sim, 10 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
	sim_run(sim, 100 * SEC);
	assert_int_equal(worker->state, WORKER_SERVING);
	assert_int_equal(sim_entered(sim, 0, WORKER_DUMPING), 0);
}

/* ---- pools that come and go ---- */

static void a_pool_comes_and_goes(void **state)
{
	struct sim *sim = *state;
	struct pool_params params = sim_params(2);

	check_start(sim, 1);
	assert_int_equal(sim_add(sim, &params), 1);
	sim_reload(sim, 1);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
	assert_int_equal(sim_serving(sim, 1, 1), 2);
	sim_change(sim, 1, CHANGE_REMOVE);
	sim_rule(sim, 1, 0);
	sim_reload(sim, 2);
	assert_int_equal(sim_answers(sim, 2, RESULT_COMMITTED), 1);
	assert_int_equal(sim_pool(sim, 1)->state, POOL_RETIRING);
	assert_int_equal(sim_count(sim, ORDER_POOL_GONE, 1), 0);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_count(sim, ORDER_POOL_GONE, 1), 1);
	assert_int_equal(sim_pool(sim, 1)->state, POOL_FREE);
	assert_ptr_equal(instance_free_pool(sim->instance), sim_pool(sim, 1));
	assert_int_equal(instance_deadline(sim->instance), NEVER);
}

/* Its place is used again, by a pool that has nothing of the former one. */
static void a_place_is_used_again(void **state)
{
	struct sim *sim = *state;
	struct pool_params params = sim_params(2);

	params.max_processes = 40;
	check_start(sim, 1);
	sim_add(sim, &params);
	sim_reload(sim, 1);
	sim_run(sim, 1 * SEC);
	sim_change(sim, 1, CHANGE_REMOVE);
	sim_reload(sim, 2);
	sim_run(sim, 1 * SEC);
	params = sim_params(1);
	params.max_processes = 2;
	sim_rule(sim, 1, 0)->ready_after = 1 * SEC;
	assert_int_equal(sim_add(sim, &params), 1);
	sim_reload(sim, 3);
	assert_int_equal(sim_pool(sim, 1)->max_processes, 2);
	sim_run(sim, 2 * SEC);
	assert_int_equal(sim_answers(sim, 3, RESULT_COMMITTED), 1);
	assert_int_equal(sim_serving(sim, 1, 1), 1);
}

static void a_pool_that_comes_fails(void **state)
{
	struct sim *sim = *state;
	struct pool_params params = sim_params(2);
	struct worker_ref old;

	check_start(sim, 1);
	old = sim_current(sim, 0, 0)->ref;
	sim_add(sim, &params);
	sim_rule(sim, 1, 0)->ready_after = NEVER;
	check_roll(sim, 0);
	sim_reload(sim, 1);
	sim_run(sim, 60 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_FAILED), 1);
	assert_int_equal(sim_pool(sim, 1)->state, POOL_FREE);
	assert_int_equal(sim_count(sim, ORDER_POOL_GONE, 1), 1);
	assert_int_equal(sim_current(sim, 0, 0)->ref.serial, old.serial);
}

/* A pool that is to go serves on when the reload fails elsewhere. */
static void a_pool_stays_when_the_reload_fails(void **state)
{
	struct sim *sim = *state;

	check_start_two(sim, 1, 2);
	sim_rule(sim, 0, 2)->spawn_fails = true;
	check_roll(sim, 0);
	sim_change(sim, 1, CHANGE_REMOVE);
	sim_reload(sim, 1);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_FAILED), 1);
	assert_int_equal(sim_pool(sim, 1)->state, POOL_ACTIVE);
	assert_int_equal(sim_serving(sim, 1, 1), 2);
	assert_int_equal(sim_count(sim, ORDER_SIGNAL, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    STORY(scale_up_and_down),
	    STORY(scale_up_fails),
	    STORY(roll_to_another_size),
	    STORY(roll_to_another_size_fails),
	    STORY(one_slot_is_restarted),
	    STORY(one_slot_fails_to_restart),
	    STORY(only_numbers),
	    STORY(its_watchdog_survives_the_commit),
	    STORY(a_pool_comes_and_goes),
	    STORY(a_place_is_used_again),
	    STORY(a_pool_that_comes_fails),
	    STORY(a_pool_stays_when_the_reload_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
