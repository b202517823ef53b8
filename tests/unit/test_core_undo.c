/* test_core_undo.c - rollouts that fail, before and after their first batch: what comes back, and
 * how. */
#include "core_check.h"

/* ---- failure ---- */

struct failure {
	struct sim_script script;
	enum cause cause;
	usec_t watchdog;
};

static void failures(size_t n, struct failure *ret)
{
	*ret = (struct failure){.script = sim_good};
	switch (n) {
	case 0:
		ret->script.spawn_fails = true;
		ret->cause = CAUSE_SPAWN;
		break;
	case 1:
		ret->script.ready_after = NEVER;
		ret->script.exit_after = 3 * SEC;
		ret->cause = CAUSE_EXITED;
		break;
	case 2:
		ret->script.ready_after = NEVER;
		ret->cause = CAUSE_NOT_READY;
		break;
	case 3: /* ready, and hangs while it is watched */
		ret->watchdog = 2 * SEC;
		ret->cause = CAUSE_WATCHDOG;
		break;
	case 4:
		ret->script.wish_after = 1 * SEC;
		ret->cause = CAUSE_OWN_WISH;
		break;
	default: /* ready, and dies while it is watched */
		ret->script.exit_after = 4 * SEC;
		ret->script.clean = true;
		ret->cause = CAUSE_EXITED;
		break;
	}
}

/* Before the first batch: not one old worker hears of it. */
static void failure_before_the_first_batch(void **state)
{
	struct sim *sim = *state;
	struct worker_ref old[3];

	check_start_two(sim, 3, 1);
	for (uint32_t s = 0; s < 3; s++)
		old[s] = sim_current(sim, 0, s)->ref;
	for (uint32_t n = 0; n < 6; n++) {
		struct pool_params before = sim_pool(sim, 0)->params, *params;
		struct failure failure;

		failures(n, &failure);
		*sim_rule(sim, 0, n + 2) = failure.script;
		sim_forget(sim);
		params = check_roll(sim, 0);
		params->workers = 3 + n % 2;
		params->watchdog = failure.watchdog;
		params->min_ready = 5 * SEC;
		params->drain_timeout = 1 * SEC;
		check_roll(sim, 1);
		sim_reload(sim, n + 1);
		sim_run(sim, 60 * SEC);
		assert_int_equal(sim_answers(sim, n + 1, RESULT_FAILED), 1);
		assert_int_equal(sim_last(sim, ORDER_UNDO)->cause, failure.cause);
		assert_int_equal(sim_last(sim, ORDER_UNDO)->worker.pool, 0);
		assert_int_equal(sim_last(sim, ORDER_ANSWER)->cause, failure.cause);
		for (uint32_t s = 0; s < 3; s++)
			assert_int_equal(sim_current(sim, 0, s)->ref.serial, old[s].serial);
		for (size_t i = 0; i < sim->n_log; i++)
			if (sim->log[i].kind == ORDER_SIGNAL)
				assert_int_not_equal(sim->log[i].generation, 1);
		assert_memory_equal(&before, &sim_pool(sim, 0)->params, sizeof(before));
		assert_int_equal(sim_pool(sim, 0)->generation, 1);
		assert_int_equal(sim_pool(sim, 0)->size, 3);
		assert_int_equal(sim_pool(sim, 0)->live, 3);
		assert_int_equal(sim_serving(sim, 1, 1), 1);
	}
	sim_crash(sim, 0, 0); /* a later crash restarts the version that works */
	assert_int_equal(sim_last(sim, ORDER_SPAWN)->generation, 1);
}

/* After it: what was replaced comes back, and keeps its new worker until then. */
static void failure_after_the_first_batch(void **state)
{
	struct sim *sim = *state;

	check_start(sim, 3);
	sim_rule(sim, 0, 1)->ready_after = 10 * SEC;
	check_roll(sim, 0)->max_surge = 1;
	sim_reload(sim, 1);
	sim_run(sim, 1 * MSEC);
	assert_int_equal(sim_serving(sim, 0, 2), 1);
	sim_rule(sim, 0, 2)->spawn_fails = true;
	sim_crash(sim, 0, 0); /* a promoted one: the rollout has failed */
	assert_int_equal(sim_answers(sim, 1, RESULT_FAILED), 1);
	assert_int_equal(sim_last(sim, ORDER_SPAWN)->generation, 1);
	sim_run(sim, 10 * SEC);
	assert_int_equal(sim_serving(sim, 0, 1), 3);
}

static void undo_keeps_the_new_until_the_old_serves(void **state)
{
	struct sim *sim = *state;
	struct worker *fresh;

	check_start(sim, 2);
	sim_rule(sim, 0, 1)->ready_after = 10 * SEC;
	check_roll(sim, 0)->max_surge = 1;
	sim_reload(sim, 1);
	fresh = sim_successor(sim, 0, 0);
	sim_rule(sim, 0, 2)->ready_after = NEVER; /* the second one */
	sim_run(sim, 31 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_FAILED), 1);
	assert_int_equal(sim_last(sim, ORDER_UNDO)->cause, CAUSE_NOT_READY);
	assert_ptr_equal(sim_current(sim, 0, 0), fresh);
	assert_int_equal(fresh->state, WORKER_SERVING);
	assert_int_equal(sim_pool(sim, 0)->restoring, 1);
	sim_run(sim, 8 * SEC);
	assert_int_equal(fresh->state, WORKER_SERVING);
	sim_run(sim, 2 * SEC);
	assert_int_equal(sim_serving(sim, 0, 1), 2);
	assert_int_equal(sim_pool(sim, 0)->restoring, 0);
	assert_int_equal(sim_pool(sim, 0)->live, 2);
}

/* Gets an instance with slot 0 of 2 restoring: generation 2 serves in it, 1 is to come back. */
static void make_restoring(struct sim *sim)
{
	check_start(sim, 2);
	check_roll(sim, 0)->max_surge = 1;
	sim_reload(sim, 100);
	sim_rule(sim, 0, 2)->spawn_fails = true;
	sim_run(sim, 1 * MSEC);
	assert_int_equal(sim_answers(sim, 100, RESULT_FAILED), 1);
	assert_int_equal(sim_pool(sim, 0)->restoring, 1);
}

/* The old version does not start any more: tried again and again, more and more slowly. */
static void undo_fails_for_a_while(void **state)
{
	struct sim *sim = *state;
	struct sim_script *old = sim_rule(sim, 0, 1);
	struct pool_params params = sim_params(2);

	params.on_crash_loop = CORE_CRASH_LOOP_STOP_POOL;
	params.restart =
	    CORE_RESTART_NEVER; /* neither is asked: it is a promise, and somebody serves */
	sim_add(sim, &params);
	sim_start(sim);
	sim_run(sim, 1 * SEC);
	check_roll(sim, 0)->max_surge = 1;
	sim_reload(sim, 1);
	old->exit_after = 0;
	sim_rule(sim, 0, 2)->spawn_fails = true;
	sim_run(sim, 1 * MSEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_FAILED), 1);
	sim_forget(sim);
	sim_run(sim, 100 * SEC);
	assert_int_equal(sim_serving(sim, 0, 2), 1);
	assert_int_equal(sim_serving(sim, 0, 1), 1);
	assert_in_range(sim_count(sim, ORDER_SPAWN, 0), 4, 12);
	assert_int_equal(sim_count(sim, ORDER_CRASH_LOOP, 0), 1);
	assert_int_equal(sim_pool(sim, 0)->state, POOL_ACTIVE);
	old->exit_after = NEVER;
	sim_run(sim, 40 * SEC);
	assert_int_equal(sim_serving(sim, 0, 1), 2);
	assert_int_equal(sim_pool(sim, 0)->looping, 0);
}

/* The failed version's last worker ends before the old one serves: what is on the way takes over.
 */
static void undo_loses_its_holder(void **state)
{
	struct sim *sim = *state;

	sim_rule(sim, 0, 1);
	make_restoring(sim);
	sim_crash(sim, 0, 0);
	assert_int_equal(sim_pool(sim, 0)->restoring, 0);
	assert_int_equal(sim_current(sim, 0, 0)->generation, 1);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_serving(sim, 0, 1), 2);
}

/* The same while the old version waits for its next try: it still comes. */
static void undo_loses_its_holder_while_waiting(void **state)
{
	struct sim *sim = *state;
	struct sim_script *old = sim_rule(sim, 0, 1);

	make_restoring(sim);
	old->spawn_fails = true;
	sim_end(sim, sim_process(sim, &sim_successor(sim, 0, 0)->ref), false);
	sim_run(sim, 1 * MSEC);
	assert_null(sim_successor(sim, 0, 0));
	sim_crash(sim, 0, 0);
	assert_null(sim_current(sim, 0, 0));
	old->spawn_fails = false;
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_serving(sim, 0, 1), 2);
}

static void new_reload_while_restoring(void **state)
{
	struct sim *sim = *state;

	make_restoring(sim);
	sim_rule(sim, 0, 3)->ready_after = 2 * SEC;
	check_roll(sim, 0);
	sim_reload(sim, 1);
	assert_int_equal(sim_pool(sim, 0)->restoring, 0);
	assert_int_equal(sim_serving(sim, 0, 2), 1); /* it serves on */
	sim_run(sim, 5 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
	assert_int_equal(sim_serving(sim, 0, 3), 2);
	assert_int_equal(sim_pool(sim, 0)->live, 2);
}

/* What was still being tried for the old version is over, and is no recovery. */
static void new_reload_while_a_restore_loops(void **state)
{
	struct sim *sim = *state;
	struct sim_script *old = sim_rule(sim, 0, 1);

	make_restoring(sim);
	old->spawn_fails = true;
	sim_end(sim, sim_process(sim, &sim_successor(sim, 0, 0)->ref), false);
	sim_run(sim, 20 * SEC);
	assert_int_equal(sim_pool(sim, 0)->looping, 1);
	sim_rule(sim, 0, 3)->ready_after = 29 * SEC;
	check_roll(sim, 0)->start_timeout = 60 * SEC;
	sim_reload(sim, 1);
	sim_run(sim, 60 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
	assert_int_equal(sim_count(sim, ORDER_RECOVERED, 0), 0);
	assert_int_equal(sim_pool(sim, 0)->looping, 0);
	assert_int_equal(sim_serving(sim, 0, 3), 2);
}

static void new_reload_while_restoring_fails_too(void **state)
{
	struct sim *sim = *state;

	sim_rule(sim, 0, 1)->ready_after = 5 * MSEC;
	make_restoring(sim);
	sim_rule(sim, 0, 3)->ready_after = NEVER;
	check_roll(sim, 0);
	sim_reload(sim, 1);
	sim_run(sim, 30 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_FAILED), 1);
	assert_int_equal(sim_pool(sim, 0)->restoring, 1);
	assert_int_equal(sim_serving(sim, 0, 2), 1);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_serving(sim, 0, 1), 2);
}

/* The last one gets ready at the very moment at which another one has hung for too long: nobody
 * drains for one that hangs, whichever is heard of first. */
static void ready_and_hanging_at_once(void **state)
{
	struct sim *sim = *state;

	check_start_two(sim, 1, 2);
	sim_rule(sim, 0, 2)->ready_after = 1 * SEC;
	sim_rule(sim, 1, 2)->ready_after = 1 * MSEC;
	check_roll(sim, 0);
	check_roll(sim, 1)->watchdog = 999 * MSEC;
	sim_reload(sim, 1);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_FAILED), 1);
	assert_int_equal(sim_last(sim, ORDER_UNDO)->cause, CAUSE_WATCHDOG);
	assert_int_equal(sim_serving(sim, 0, 1), 1);
	assert_int_equal(sim_serving(sim, 1, 1), 2);
	for (size_t n = 0; n < sim->n_log; n++)
		if (sim->log[n].kind == ORDER_SIGNAL)
			assert_int_equal(sim->log[n].generation, 2);
}

/* ---- old workers that end meanwhile ---- */

static void old_worker_crashes_during_the_rollout(void **state)
{
	struct sim *sim = *state;

	check_start(sim, 2);
	sim_rule(sim, 0, 2)->ready_after = 10 * SEC;
	check_roll(sim, 0);
	sim_reload(sim, 1);
	sim_crash(sim, 0, 1);
	assert_int_equal(sim_last(sim, ORDER_SPAWN)->generation, 1);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_serving(sim, 0, 1), 2);
	sim_run(sim, 10 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
	assert_int_equal(sim_pool(sim, 0)->live, 2);
}

/* The only one that serves in a slot is the successor: a failure elsewhere must not take it away.
 */
static void successor_holds_the_slot(struct sim *sim)
{
	check_start_two(sim, 1, 1);
	sim_rule(sim, 0, 1)->ready_after = 5 * SEC;
	sim_rule(sim, 1, 2)->ready_after = NEVER;
	check_roll(sim, 0);
	check_roll(sim, 1);
	sim_reload(sim, 1);
	sim_run(sim, 28 * SEC);
	sim_crash(sim, 0, 0);
	assert_int_equal(sim_current(sim, 0, 0)->state, WORKER_STARTING);
	assert_int_equal(sim_successor(sim, 0, 0)->state, WORKER_SERVING);
}

static void undo_leaves_the_only_one_that_serves(void **state)
{
	struct sim *sim = *state;

	successor_holds_the_slot(sim);
	sim_run(sim, 3 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_FAILED), 1);
	assert_int_equal(sim_serving(sim, 0, 2), 1);
	assert_int_equal(sim_pool(sim, 0)->restoring, 1);
	sim_run(sim, 3 * SEC);
	assert_int_equal(sim_serving(sim, 0, 1), 1);
	assert_int_equal(sim_pool(sim, 0)->live, 1);
}

static void stop_leaves_the_only_one_that_serves(void **state)
{
	struct sim *sim = *state;

	sim->instance->lame_duck = 60 * SEC;
	successor_holds_the_slot(sim);
	sim_simple(sim, EVENT_STOP);
	assert_int_equal(sim_serving(sim, 0, 2), 1);
	sim_run(sim, 30 * SEC);
	assert_int_equal(sim_serving(sim, 0, 2), 1);
	assert_int_equal(sim_pool(sim, 0)->live, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    STORY(failure_before_the_first_batch),
	    STORY(failure_after_the_first_batch),
	    STORY(undo_keeps_the_new_until_the_old_serves),
	    STORY(undo_fails_for_a_while),
	    STORY(undo_loses_its_holder),
	    STORY(undo_loses_its_holder_while_waiting),
	    STORY(new_reload_while_restoring),
	    STORY(new_reload_while_a_restore_loops),
	    STORY(new_reload_while_restoring_fails_too),
	    STORY(ready_and_hanging_at_once),
	    STORY(old_worker_crashes_during_the_rollout),
	    STORY(undo_leaves_the_only_one_that_serves),
	    STORY(stop_leaves_the_only_one_that_serves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
