/* test_core_pool.c - a pool by itself: start, crashes, restarts, crash loops, room and memory. */
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

/* ---- crashes ---- */

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
	params.restart_delay = params.restart_delay_max = 10 * MSEC;
	sim_add(sim, &params);
	sim_start(sim);
	sim_run(sim, 1 * SEC);
	sim_rule(sim, 0, 1)->exit_after = 2 * MSEC;
	sim_rule(sim, 0, 2)->ready_after = 2 * SEC;
	sim_change(sim, 0, CHANGE_ROLL);
	sim_reload(sim, 1);
	sim_crash(sim, 0, 0);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_count(sim, ORDER_CRASH_LOOP, 0), 1);
	assert_false(instance_is_stopping(sim->instance));
	sim_run(sim, 2 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
	assert_int_equal(sim_serving(sim, 0, 2), 1);
	assert_int_equal(sim_pool(sim, 0)->looping, 0);
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
	    STORY(crash_is_followed_by_a_start_at_once),
	    STORY(crashes_in_a_row_wait_longer),
	    STORY(crash_loop_is_retried_for_ever),
	    STORY(crash_loop_stops_the_pool),
	    STORY(stopped_pool_stays_so_after_a_failed_reload),
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
	    STORY(a_restart_that_takes_too_long),
	    STORY(no_room_within_max_processes),
	    STORY(no_memory_for_one_more),
	    STORY(memory_moves),
	    STORY(late_news_of_who_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
