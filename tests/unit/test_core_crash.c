/* test_core_crash.c - workers that end, hang or go: restarts, waits between them, crash loops. */
#include "core_check.h"

static void crash_is_followed_by_a_start_at_once(void **state)
{
	struct sim *sim = *state;
	usec_t before;

	check_start(sim, 3);
	before = sim->now;
	sim_crash(sim, 0, 1);
	assert_int_equal(sim->now, before);
	assert_int_equal(sim_count(sim, ORDER_SPAWN, 0), 1);
	assert_int_equal(sim_last(sim, ORDER_SPAWN)->slot, 1);
	assert_int_equal(sim_last(sim, ORDER_SPAWN)->generation, 1);
	assert_int_equal(sim_last(sim, ORDER_SLOT_WAITS)->usec, 0);
	assert_int_equal(sim_last(sim, ORDER_SLOT_WAITS)->count, 1);
	assert_int_equal(sim_count(sim, ORDER_SIGNAL, CORE_NONE), 0);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_serving(sim, 0, 1), 3);
	assert_int_equal(sim_pool(sim, 0)->slots[1].restarts, 1);
	/* its crash is remembered for restart_reset, and then there is rest */
	assert_int_not_equal(instance_deadline(sim->instance), NEVER);
	sim_run(sim, 60 * SEC);
	assert_int_equal(instance_deadline(sim->instance), NEVER);
	assert_int_equal(sim_pool(sim, 0)->slots[1].crashes, 0);
}

/* Nothing, 500 ms, 1 s, 2 s, then the crash loop at its slowest: each a quarter up or down. */
static void crashes_in_a_row_wait_longer(void **state)
{
	static const usec_t waits[] = {0, 500 * MSEC, 1 * SEC, 2 * SEC, 30 * SEC, 30 * SEC};
	struct sim *sim = *state;

	check_start(sim, 1);
	sim_rule(sim, 0, 0)->exit_after = 10 * MSEC;
	for (size_t n = 0; n < 6; n++) {
		const struct order *told;
		size_t starts;

		if (n == 0)
			sim_crash(sim, 0, 0);
		else
			sim_run(sim, 10 * MSEC);
		told = sim_last(sim, ORDER_SLOT_WAITS);
		assert_int_equal(told->count, n + 1);
		assert_in_range(told->usec, waits[n] - waits[n] / 4, waits[n] + waits[n] / 4 + 1);
		assert_int_equal(sim_count(sim, ORDER_CRASH_LOOP, 0), n >= 4);
		assert_int_equal(sim_pool(sim, 0)->looping, n >= 4);
		if (told->usec == 0)
			continue;
		starts = sim_count(sim, ORDER_SPAWN, 0);
		sim_run(sim, told->usec - 1);
		assert_int_equal(sim_count(sim, ORDER_SPAWN, 0), starts);
		sim_run(sim, 1);
		assert_int_equal(sim_count(sim, ORDER_SPAWN, 0), starts + 1);
	}
}

static void crash_loop(struct sim *sim, enum core_crash_loop policy)
{
	struct pool_params params = sim_params(2), other = sim_params(1);

	params.on_crash_loop = policy;
	sim_add(sim, &params);
	sim_add(sim, &other);
	sim_start(sim);
	sim_run(sim, 1 * SEC);
	sim_rule(sim, 0, 0)->exit_after = 2 * MSEC;
	sim_forget(sim);
	sim_crash(sim, 0, 0);
	sim_run(sim, 10 * SEC);
}

static void crash_loop_is_retried_for_ever(void **state)
{
	struct sim *sim = *state;

	crash_loop(sim, CORE_CRASH_LOOP_RETRY);
	assert_int_equal(sim_count(sim, ORDER_CRASH_LOOP, 0), 1);
	assert_int_equal(sim_pool(sim, 0)->looping, 1);
	assert_int_equal(sim_serving(sim, 0, 1), 1); /* the other slot */
	sim_forget(sim);
	sim_run(sim, 3600 * SEC);
	assert_in_range(sim_count(sim, ORDER_SPAWN, 0), 90, 161); /* every 30 s, more or less */
	assert_int_equal(sim_count(sim, ORDER_CRASH_LOOP, 0), 0); /* told once */
	/* what was missing is there again */
	sim_rule(sim, 0, 0);
	sim_run(sim, 38 * SEC);
	assert_int_equal(sim_serving(sim, 0, 1), 2);
	assert_int_equal(sim_count(sim, ORDER_RECOVERED, 0), 0);
	sim_run(sim, 60 * SEC);
	assert_int_equal(sim_count(sim, ORDER_RECOVERED, 0), 1);
	assert_int_equal(sim_pool(sim, 0)->looping, 0);
	assert_int_equal(instance_deadline(sim->instance), NEVER);
	/* and the next crash is a first one */
	sim_crash(sim, 0, 0);
	assert_int_equal(sim_last(sim, ORDER_SLOT_WAITS)->count, 1);
}

static void crash_loop_stops_the_pool(void **state)
{
	struct sim *sim = *state;

	crash_loop(sim, CORE_CRASH_LOOP_STOP_POOL);
	assert_int_equal(sim_pool(sim, 0)->state, POOL_STOPPED);
	assert_int_equal(sim_pool(sim, 0)->live, 0);
	assert_int_equal(sim_serving(sim, 1, 1), 1);
	assert_int_equal(instance_deadline(sim->instance), NEVER);
	/* a reload of a version that works starts it again */
	sim_rule(sim, 0, 2);
	sim_change(sim, 0, CHANGE_ROLL);
	sim_reload(sim, 1);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
	assert_int_equal(sim_serving(sim, 0, 2), 2);
}

static void stopped_pool_stays_so_after_a_failed_reload(void **state)
{
	struct sim *sim = *state;

	crash_loop(sim, CORE_CRASH_LOOP_STOP_POOL);
	sim_rule(sim, 0, 2)->spawn_fails = true;
	sim_change(sim, 0, CHANGE_ROLL);
	sim_reload(sim, 1);
	sim_run(sim, 10 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_FAILED), 1);
	assert_int_equal(sim_pool(sim, 0)->state, POOL_STOPPED);
	assert_int_equal(sim_pool(sim, 0)->live, 0);
}

/* The same, when its new workers served already: nothing is started for a pool that stays stopped.
 */
static void stopped_pool_and_a_failure_elsewhere(void **state)
{
	struct sim *sim = *state;
	struct pool_params params = sim_params(2), other = sim_params(2);

	params.on_crash_loop = CORE_CRASH_LOOP_STOP_POOL;
	sim_add(sim, &params);
	sim_add(sim, &other);
	sim_start(sim);
	sim_run(sim, 1 * SEC);
	sim_rule(sim, 0, 0)->spawn_fails = true;
	sim_crash(sim, 0, 0);
	sim_run(sim, 10 * SEC);
	assert_int_equal(sim_pool(sim, 0)->state, POOL_STOPPED);
	sim_rule(sim, 0, 2);
	sim_change(sim, 0, CHANGE_ROLL);
	sim_change(sim, 1, CHANGE_ROLL)->params.max_surge = 1;
	sim_provide(sim);
	sim_forget(sim);
	sim_reload(sim, 1);
	sim_run(sim, 1 * MSEC);
	assert_int_equal(sim_serving(sim, 0, 2), 2);
	sim_crash(sim, 1, 0);
	assert_int_equal(sim_answers(sim, 1, RESULT_FAILED), 1);
	for (size_t n = 0; n < sim->n_log; n++)
		if (sim->log[n].kind == ORDER_SPAWN && sim->log[n].pool == 0)
			assert_int_equal(sim->log[n].generation, 2);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_pool(sim, 0)->state, POOL_STOPPED);
	assert_int_equal(sim_pool(sim, 0)->live, 0);
}

/* Whatever starts a worker in it, starts all; what does not, leaves it as it is. */
static void stopped_pool_and_other_changes(void **state)
{
	struct sim *sim = *state;
	struct pool *pool = sim_pool(sim, 0);

	crash_loop(sim, CORE_CRASH_LOOP_STOP_POOL);
	sim_change(sim, 0, CHANGE_UPDATE)->params.drain_timeout = 1 * SEC;
	sim_reload(sim, 1);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
	assert_int_equal(pool->state, POOL_STOPPED);
	assert_int_equal(pool->params.drain_timeout, 1 * SEC);
	sim_rule(sim, 0, 0);
	sim_change(sim, 0, CHANGE_SLOT)->slot = 1;
	sim_reload(sim, 2);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_answers(sim, 2, RESULT_COMMITTED), 1);
	assert_int_equal(sim_serving(sim, 0, 1), 2);
}

static void stopped_pool_is_scaled(void **state)
{
	struct sim *sim = *state;

	crash_loop(sim, CORE_CRASH_LOOP_STOP_POOL);
	sim_rule(sim, 0, 0);
	sim_change(sim, 0, CHANGE_SCALE)->params.workers = 3;
	sim_provide(sim);
	sim_reload(sim, 1);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
	assert_int_equal(sim_serving(sim, 0, 1), 3);
}

static void crash_loop_ends_the_instance(void **state)
{
	struct sim *sim = *state;

	crash_loop(sim, CORE_CRASH_LOOP_EXIT);
	assert_int_equal(sim_count(sim, ORDER_EXIT, CORE_NONE), 1);
	assert_true(sim_last(sim, ORDER_EXIT)->failed);
}

/* The old version is in a crash loop, and its cure is on the way: the policy waits for the outcome.
 */
static void crash_loop_waits_for_the_cure(void **state)
{
	struct sim *sim = *state;
	struct pool_params params = sim_params(1);

	params.on_crash_loop = CORE_CRASH_LOOP_EXIT;
	sim_add(sim, &params);
	sim_start(sim);
	sim_run(sim, 1 * SEC);
	sim_rule(sim, 0, 1)->exit_after = 2 * MSEC;
	sim_rule(sim, 0, 2)->ready_after = 12 * SEC;
	sim_change(sim, 0, CHANGE_ROLL);
	sim_reload(sim, 1);
	sim_crash(sim, 0, 0);
	sim_run(sim, 10 * SEC);
	assert_int_equal(sim_count(sim, ORDER_CRASH_LOOP, 0), 1);
	assert_false(instance_is_stopping(sim->instance));
	sim_run(sim, 2 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
	assert_int_equal(sim_serving(sim, 0, 2), 1);
	assert_int_equal(sim_pool(sim, 0)->looping, 0);
	assert_int_equal(instance_deadline(sim->instance), NEVER); /* no try is left over */
}

/* The same, and the cure does not work either: the next crash ends it. */
static void crash_loop_after_a_failed_cure(void **state)
{
	struct sim *sim = *state;
	struct pool_params params = sim_params(1);

	params.on_crash_loop = CORE_CRASH_LOOP_EXIT;
	params.restart_delay = params.restart_delay_max = 10 * MSEC;
	sim_add(sim, &params);
	sim_start(sim);
	sim_run(sim, 1 * SEC);
	sim_rule(sim, 0, 1)->exit_after = 2 * MSEC;
	sim_rule(sim, 0, 2)->ready_after = NEVER;
	sim_change(sim, 0, CHANGE_ROLL);
	sim_reload(sim, 1);
	sim_crash(sim, 0, 0);
	sim_run(sim, 29 * SEC);
	assert_false(instance_is_stopping(sim->instance));
	sim_run(sim, 5 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_FAILED), 1);
	assert_int_equal(sim_count(sim, ORDER_CRASH_LOOP, 0), 1);
	assert_true(instance_is_stopping(sim->instance));
}

static void restart_policies(void **state)
{
	static const struct {
		enum core_restart policy;
		bool clean, restarts;
	} rows[] = {
	    {CORE_RESTART_ALWAYS, true, true},	    {CORE_RESTART_ALWAYS, false, true},
	    {CORE_RESTART_ON_FAILURE, true, false}, {CORE_RESTART_ON_FAILURE, false, true},
	    {CORE_RESTART_NEVER, true, false},	    {CORE_RESTART_NEVER, false, false},
	};
	struct sim *sim = *state;

	for (uint32_t p = 0; p < 6; p++) {
		struct pool_params params = sim_params(1);

		params.restart = rows[p].policy;
		sim_add(sim, &params);
	}
	sim_start(sim);
	sim_run(sim, 1 * SEC);
	for (uint32_t p = 0; p < 6; p++) {
		sim_end(sim, sim_process(sim, &sim_current(sim, p, 0)->ref), rows[p].clean);
		assert_int_equal(sim_last(sim, ORDER_SLOT_WAITS)->pool, p);
		assert_int_equal(sim_last(sim, ORDER_SLOT_WAITS)->usec,
				 rows[p].restarts ? 0 : NEVER);
		assert_int_equal(sim_current(sim, p, 0) != NULL, rows[p].restarts);
	}
	sim_run(sim, 100 * SEC);
	assert_int_equal(instance_deadline(sim->instance), NEVER);
	/* what a policy left empty is filled by a new policy, or by a new generation */
	sim_change(sim, 2, CHANGE_UPDATE)->params.restart = CORE_RESTART_ALWAYS;
	sim_change(sim, 4, CHANGE_UPDATE)->params.drain_timeout = 7 * SEC;
	sim_change(sim, 5, CHANGE_ROLL);
	sim_reload(sim, 1);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
	assert_int_equal(sim_serving(sim, 2, 1), 1);
	assert_null(sim_current(sim, 4, 0));
	assert_int_equal(sim_serving(sim, 5, 2), 1);
}

/* A worker that ends well after a while renews itself; one that ends well at once is in a loop. */
static void renewal_is_no_crash(void **state)
{
	struct sim *sim = *state;
	struct sim_script *script;

	check_start(sim, 1);
	script = sim_rule(sim, 0, 0);
	script->exit_after = 2 * SEC;
	script->clean = true;
	sim_run(sim, 1 * SEC);
	sim_end(sim, sim_process(sim, &sim_current(sim, 0, 0)->ref), true);
	sim_run(sim, 100 * SEC);
	assert_in_range(sim_count(sim, ORDER_SPAWN, 0), 49, 51);
	assert_int_equal(sim_pool(sim, 0)->slots[0].crashes, 0);
	script->exit_after = 100 * MSEC;
	sim_forget(sim);
	sim_run(sim, 100 * SEC);
	assert_in_range(sim_count(sim, ORDER_SPAWN, 0), 4, 12);
	assert_int_equal(sim_count(sim, ORDER_CRASH_LOOP, 0), 1);
}

/* A worker that never served has not served long enough, however short that is. */
static void a_row_of_failed_starts_is_never_forgotten(void **state)
{
	struct sim *sim = *state;
	struct pool_params params = sim_params(1);

	params.restart_reset = 0;
	sim_add(sim, &params);
	sim_start(sim);
	sim_run(sim, 1 * SEC);
	sim_rule(sim, 0, 0)->spawn_fails = true;
	sim_forget(sim);
	sim_crash(sim, 0, 0);
	sim_run(sim, 100 * SEC);
	assert_in_range(sim_count(sim, ORDER_SPAWN, 0), 4, 12);
}

static void a_worker_goes_by_its_own_wish(void **state)
{
	struct sim *sim = *state;
	struct worker *worker;

	check_start(sim, 2);
	sim_run(sim, 2 * SEC);
	worker = sim_current(sim, 0, 1);
	sim_tell(sim, &worker->ref, WORKER_EVENT_STOPPING);
	assert_int_equal(worker->state, WORKER_DRAINING);
	assert_int_equal(sim_count(sim, ORDER_SIGNAL, 0), 0); /* it knows */
	assert_int_equal(sim_count(sim, ORDER_SPAWN, 0), 1);  /* its successor comes at once */
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_serving(sim, 0, 1), 2);
	assert_int_equal(sim_pool(sim, 0)->slots[1].crashes, 0);
	assert_int_equal(worker->state, WORKER_DRAINING);
	sim_run(sim, 6 * SEC); /* it does not end: killed at the end of its budget */
	assert_int_equal(sim_count(sim, ORDER_KILL, 0), 1);
	assert_int_equal(sim_pool(sim, 0)->live, 2);
}

/* One that serves and fails its liveness probe is dumped, killed, and replaced at once; the others
 * hear nothing of it. */
static void it_is_not_live(void **state)
{
	struct sim *sim = *state;
	struct pool_params params = sim_params(2);

	sim_add(sim, &params);
	sim_rule(sim, 0, 0)->dumped_after = NEVER;
	sim_start(sim);
	sim_run(sim, 5 * SEC);
	sim_forget(sim);
	sim_tell(sim, &sim_current(sim, 0, 1)->ref, WORKER_EVENT_NOT_LIVE);
	assert_int_equal(sim_last(sim, ORDER_SIGNAL)->sig, 6);
	assert_int_equal(sim_last(sim, ORDER_SIGNAL)->slot, 1);
	assert_int_equal(sim_count(sim, ORDER_SPAWN, 0), 1);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_count(sim, ORDER_KILL, 0), 1);
	assert_int_equal(sim_serving(sim, 0, 1), 2);
}

static void a_hanging_worker_is_replaced(void **state)
{
	struct sim *sim = *state;
	struct pool_params params = sim_params(1);
	struct sim_script *script;

	params.watchdog = 10 * SEC;
	sim_add(sim, &params);
	script = sim_rule(sim, 0, 0);
	script->ping_every = 4 * SEC;
	script->ping_until = 20 * SEC;
	sim_start(sim);
	sim_run(sim, 25 * SEC);
	assert_int_equal(sim_entered(sim, 0, WORKER_DUMPING), 0);
	sim_forget(sim);
	sim_run(sim, 1 * SEC); /* the last ping was at 16 s */
	assert_int_equal(sim_last(sim, ORDER_SIGNAL)->sig, 6);
	assert_int_equal(sim_last(sim, ORDER_SIGNAL)->value, 500);
	assert_int_equal(sim_count(sim, ORDER_SPAWN, 0), 1);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_count(sim, ORDER_KILL, 0), 1);
	assert_int_equal(sim_serving(sim, 0, 1), 1);
}

/* A restarted worker that does not get ready in time is drained, and the next one is tried. */
static void a_restart_that_takes_too_long(void **state)
{
	struct sim *sim = *state;

	check_start(sim, 1);
	sim_rule(sim, 0, 0)->ready_after = NEVER;
	sim_crash(sim, 0, 0);
	sim_forget(sim);
	sim_run(sim, 30 * SEC);
	assert_int_equal(sim_last(sim, ORDER_SIGNAL)->sig, 15);
	assert_int_equal(sim_last(sim, ORDER_SLOT_WAITS)->count, 2);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_count(sim, ORDER_SPAWN, 0), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    STORY(crash_is_followed_by_a_start_at_once),
	    STORY(crashes_in_a_row_wait_longer),
	    STORY(crash_loop_is_retried_for_ever),
	    STORY(crash_loop_stops_the_pool),
	    STORY(stopped_pool_stays_so_after_a_failed_reload),
	    STORY(stopped_pool_and_a_failure_elsewhere),
	    STORY(stopped_pool_and_other_changes),
	    STORY(stopped_pool_is_scaled),
	    STORY(crash_loop_ends_the_instance),
	    STORY(crash_loop_waits_for_the_cure),
	    STORY(crash_loop_after_a_failed_cure),
	    STORY(restart_policies),
	    STORY(renewal_is_no_crash),
	    STORY(a_row_of_failed_starts_is_never_forgotten),
	    STORY(a_worker_goes_by_its_own_wish),
	    STORY(a_hanging_worker_is_replaced),
	    STORY(it_is_not_live),
	    STORY(a_restart_that_takes_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
