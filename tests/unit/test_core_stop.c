/* test_core_stop.c - the stop, step by step, in every phase that an instance can be in. */
#include "core_check.h"

static void stop(struct sim *sim)
{
	sim_simple(sim, EVENT_STOP);
}

static usec_t since(const struct sim *sim, usec_t begin)
{
	return sim->now - begin;
}

static void step_by_step(void **state)
{
	struct sim *sim = *state;

	sim->instance->lame_duck = 2 * SEC;
	sim_rule(sim, 0, 0)->quit_after = 1 * SEC;
	check_start(sim, 2);
	stop(sim);
	assert_int_equal(sim_count(sim, ORDER_LAME_DUCK, CORE_NONE), 1);
	assert_int_equal(sim_last(sim, ORDER_LAME_DUCK)->usec, 2 * SEC);
	sim_run(sim, 2 * SEC - 1); /* everybody still serves */
	assert_int_equal(sim->n_log, 1);
	assert_int_equal(sim_serving(sim, 0, 1), 2);
	sim_run(sim, 1);
	assert_int_equal(sim_count(sim, ORDER_REFUSE_NEW, CORE_NONE), 1);
	sim_run(sim, INSTANCE_QUIESCE_MAX - 1); /* who was queued is still served */
	assert_int_equal(sim_count(sim, ORDER_SIGNAL, CORE_NONE), 0);
	sim_run(sim, 1);
	assert_int_equal(sim_count(sim, ORDER_DRAIN_BEGINS, CORE_NONE), 1);
	assert_int_equal(sim_count(sim, ORDER_SIGNAL, 0), 2);
	assert_int_equal(sim_last(sim, ORDER_SIGNAL)->value, 3000); /* stop_timeout */
	sim_run(sim, INSTANCE_CLOSE_AFTER - 1);
	assert_int_equal(sim_count(sim, ORDER_CLOSE_SOCKETS, CORE_NONE), 0);
	sim_run(sim, 1); /* a worker that hangs keeps no client waiting */
	assert_int_equal(sim_count(sim, ORDER_CLOSE_SOCKETS, CORE_NONE), 1);
	sim_run(sim, 1 * SEC - INSTANCE_CLOSE_AFTER);
	assert_int_equal(sim_count(sim, ORDER_EXIT, CORE_NONE), 1);
	assert_false(sim_last(sim, ORDER_EXIT)->failed);
	assert_int_equal(sim_count(sim, ORDER_KILL, CORE_NONE), 0);
	assert_int_equal(instance_deadline(sim->instance), NEVER);
	assert_int_equal(sim->instance->state, INSTANCE_STOPPED);
}

static void empty_queues_make_it_shorter(void **state)
{
	struct sim *sim = *state;

	check_start(sim, 1);
	sim_simple(sim, EVENT_QUEUES_EMPTY); /* means nothing now */
	assert_int_equal(sim->n_log, 0);
	stop(sim);
	assert_int_equal(sim_count(sim, ORDER_SIGNAL, 0), 0);
	sim_simple(sim, EVENT_QUEUES_EMPTY);
	assert_int_equal(sim_count(sim, ORDER_SIGNAL, 0), 1);
	sim_simple(sim, EVENT_QUEUES_EMPTY);
	assert_int_equal(sim_count(sim, ORDER_DRAIN_BEGINS, CORE_NONE), 1);
}

static void who_hangs_is_killed_in_time(void **state)
{
	struct sim *sim = *state;
	struct pool_params params = sim_params(2);
	struct sim_script *script;
	usec_t begin;

	params.dump_signal = 3;
	sim_add(sim, &params);
	script = sim_rule(sim, 0, 0);
	script->quit_after = NEVER;
	sim_start(sim);
	sim_run(sim, 1 * SEC);
	begin = sim->now;
	stop(sim);
	while (!check_of(sim)->exited)
		sim_run(sim, 1 * MSEC);
	assert_int_equal(sim_count(sim, ORDER_KILL, 0), 2);
	assert_int_equal(sim_entered(sim, 0, WORKER_DUMPING), 2);
	assert_in_range(since(sim, begin), 3750 * MSEC, 3751 * MSEC); /* 250 ms + 3 s + 500 ms */
}

static void who_cannot_be_killed_is_killed_again(void **state)
{
	struct sim *sim = *state;
	struct sim_script *script = sim_rule(sim, 0, 0);

	script->quit_after = NEVER;
	script->kills = 3;
	check_start(sim, 1);
	stop(sim);
	sim_run(sim, 4 * SEC);
	assert_int_equal(sim_count(sim, ORDER_KILL, 0), 1);
	sim_run(sim, 2 * WORKER_KILL_AGAIN - 1 * SEC);
	assert_int_equal(sim_count(sim, ORDER_KILL, 0), 2);
	assert_false(check_of(sim)->exited);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_count(sim, ORDER_KILL, 0), 3);
	assert_true(check_of(sim)->exited);
}

/* ---- asked for twice ---- */

static void a_second_stop_changes_nothing(void **state)
{
	struct sim *sim = *state;
	struct core_event failed = {.kind = EVENT_STOP, .failed = true};

	sim->instance->lame_duck = 2 * SEC;
	check_start(sim, 1);
	stop(sim);
	sim_run(sim, 1 * SEC);
	sim_forget(sim);
	sim_deliver(sim, &failed);
	assert_int_equal(sim->n_log, 0);
	sim_run(sim, 10 * SEC);
	assert_false(sim_last(sim, ORDER_EXIT)->failed);
}

static void a_failed_stop_says_so(void **state)
{
	struct sim *sim = *state;
	struct core_event failed = {.kind = EVENT_STOP, .failed = true};

	check_start(sim, 1);
	sim_deliver(sim, &failed);
	sim_run(sim, 10 * SEC);
	assert_true(sim_last(sim, ORDER_EXIT)->failed);
}

/* Now: from wherever the stop is, or without one before. */
static void stop_now(struct sim *sim, usec_t after)
{
	sim->instance->lame_duck = 2 * SEC;
	sim_rule(sim, 0, 0)->quit_after = NEVER;
	check_start(sim, 3);
	if (after != NEVER)
		stop(sim);
	sim_run(sim, after != NEVER ? after : 0);
	sim_forget(sim);
	sim_simple(sim, EVENT_STOP_NOW);
	assert_int_equal(sim_count(sim, ORDER_KILL, 0), 3);
	assert_int_equal(sim_count(sim, ORDER_SIGNAL, 0), 0);
	assert_int_equal(sim_count(sim, ORDER_EXIT, CORE_NONE), 1);
	sim_simple(sim, EVENT_STOP_NOW);
	assert_int_equal(sim_count(sim, ORDER_EXIT, CORE_NONE), 1);
}

static void now_without_a_stop_before(void **state)
{
	stop_now(*state, NEVER);
}

static void now_while_lame_duck(void **state)
{
	stop_now(*state, 1 * SEC);
}

static void now_while_quiescing(void **state)
{
	stop_now(*state, 2100 * MSEC);
}

static void now_while_draining(void **state)
{
	stop_now(*state, 3 * SEC);
}

/* ---- in every phase ---- */

static void before_the_start(void **state)
{
	struct sim *sim = *state;
	struct pool_params params = sim_params(1);

	sim_add(sim, &params);
	stop(sim);
	sim_start(sim); /* comes too late */
	assert_int_equal(sim_count(sim, ORDER_SPAWN, CORE_NONE), 0);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_count(sim, ORDER_EXIT, CORE_NONE), 1);
}

/* Nobody has to be told of the end of what never was ready: no lame duck. */
static void during_the_start(void **state)
{
	struct sim *sim = *state;
	struct pool_params params = sim_params(2);

	sim->instance->lame_duck = 2 * SEC;
	sim_add(sim, &params);
	sim_rule(sim, 0, 0)->ready_after = NEVER;
	sim_start(sim);
	sim_run(sim, 1 * SEC);
	stop(sim);
	assert_int_equal(sim_last(sim, ORDER_LAME_DUCK)->usec, 0);
	assert_int_equal(sim_count(sim, ORDER_REFUSE_NEW, CORE_NONE), 1);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_count(sim, ORDER_EXIT, CORE_NONE), 1);
	assert_false(sim_last(sim, ORDER_EXIT)->failed);
}

/* Orders to start that were not carried out yet come to nothing. */
static void before_anybody_was_started(void **state)
{
	struct sim *sim = *state;
	struct pool_params params = sim_params(2);

	sim_add(sim, &params);
	sim_rule(sim, 0, 0)->spawn_after = 10 * SEC;
	sim_start(sim);
	stop(sim);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_count(sim, ORDER_EXIT, CORE_NONE), 1);
	assert_int_equal(sim_count(sim, ORDER_SIGNAL, CORE_NONE), 0);
}

static void reload_and_stop(struct sim *sim, usec_t after)
{
	sim->instance->lame_duck = 1 * SEC;
	check_start(sim, 2);
	sim_rule(sim, 0, 2)->ready_after = 2 * SEC;
	sim_change(sim, 0, CHANGE_ROLL)->params.max_surge = 1;
	sim_provide(sim);
	sim_reload(sim, 1);
	sim_run(sim, after);
	stop(sim);
	assert_int_equal(sim_answers(sim, 1, RESULT_STOPPING), 1);
	assert_int_equal(sim_last(sim, ORDER_UNDO)->cause, CAUSE_STOPPING);
	sim_forget(sim);
	sim_run(sim, 900 * MSEC); /* two still serve: old or new, nothing is put back */
	assert_int_equal(sim_serving(sim, 0, 1) + sim_serving(sim, 0, 2), 2);
	assert_int_equal(sim_count(sim, ORDER_SPAWN, 0), 0);
	sim_run(sim, 5 * SEC);
	assert_int_equal(sim_count(sim, ORDER_EXIT, CORE_NONE), 1);
}

static void during_a_reload_before_the_gate(void **state)
{
	reload_and_stop(*state, 1 * SEC);
}

static void during_a_reload_after_the_gate(void **state)
{
	reload_and_stop(*state, 3 * SEC);
}

static void while_restoring(void **state)
{
	struct sim *sim = *state;

	check_start(sim, 2);
	sim_rule(sim, 0, 1)->ready_after = NEVER;
	sim_change(sim, 0, CHANGE_ROLL)->params.max_surge = 1;
	sim_reload(sim, 1);
	sim_rule(sim, 0, 2)->spawn_fails = true;
	sim_run(sim, 1 * MSEC);
	assert_int_equal(sim_pool(sim, 0)->restoring, 1);
	stop(sim);
	assert_int_equal(sim_serving(sim, 0, 2), 1);
	sim_run(sim, 10 * SEC);
	assert_int_equal(sim_count(sim, ORDER_EXIT, CORE_NONE), 1);
}

/* Who drains for a deploy, within minutes, has no longer than the rest when it is a stop. */
static void while_old_workers_drain(void **state)
{
	struct sim *sim = *state;
	struct pool_params params = sim_params(1);
	usec_t begin;

	params.drain_timeout = 300 * SEC;
	sim_add(sim, &params);
	sim_rule(sim, 0, 0)->quit_after = NEVER;
	sim_start(sim);
	sim_run(sim, 1 * SEC);
	sim_change(sim, 0, CHANGE_ROLL);
	sim_reload(sim, 1);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_pool(sim, 0)->counts[WORKER_DRAINING], 1);
	sim_forget(sim);
	begin = sim->now;
	stop(sim);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_count(sim, ORDER_SIGNAL, 0), 1); /* told once is enough */
	while (!check_of(sim)->exited)
		sim_run(sim, 1 * MSEC);
	assert_in_range(since(sim, begin), 3250 * MSEC, 3251 * MSEC);
	assert_int_equal(sim_count(sim, ORDER_KILL, 0), 2);
}

static void while_a_slot_waits_for_its_restart(void **state)
{
	struct sim *sim = *state;

	check_start(sim, 1);
	sim_rule(sim, 0, 0)->spawn_fails = true;
	sim_crash(sim, 0, 0);
	sim_run(sim, 10 * MSEC);
	assert_int_equal(sim_pool(sim, 0)->live, 0);
	sim_forget(sim);
	stop(sim);
	sim_run(sim, 60 * SEC);
	assert_int_equal(sim_count(sim, ORDER_SPAWN, 0), 0);
	assert_int_equal(sim_count(sim, ORDER_EXIT, CORE_NONE), 1);
}

static void while_a_pool_retires(void **state)
{
	struct sim *sim = *state;

	sim_rule(sim, 0, 0)->quit_after = NEVER;
	check_start(sim, 1);
	sim_change(sim, 0, CHANGE_REMOVE);
	sim_reload(sim, 1);
	assert_int_equal(sim_pool(sim, 0)->state, POOL_RETIRING);
	stop(sim);
	sim_run(sim, 4 * SEC);
	assert_int_equal(sim_count(sim, ORDER_EXIT, CORE_NONE), 1);
}

/* As long as clients still come, crashes are mended; after that they are not. */
static void crashes_meanwhile(void **state)
{
	struct sim *sim = *state;

	sim->instance->lame_duck = 5 * SEC;
	sim_rule(sim, 0, 0)->quit_after = 1 * SEC;
	check_start(sim, 2);
	stop(sim);
	sim_crash(sim, 0, 0);
	assert_int_equal(sim_count(sim, ORDER_SPAWN, 0), 1);
	sim_run(sim, 5500 * MSEC);
	assert_int_equal(sim_pool(sim, 0)->counts[WORKER_DRAINING], 2);
	sim_end(sim, &sim->processes[0], false);
	assert_int_equal(sim_count(sim, ORDER_SPAWN, 0), 1);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_count(sim, ORDER_EXIT, CORE_NONE), 1);
}

static void with_nothing_that_runs(void **state)
{
	struct sim *sim = *state;

	sim_start(sim);
	stop(sim);
	assert_int_equal(sim_count(sim, ORDER_EXIT, CORE_NONE), 0); /* somebody may be in a queue */
	sim_simple(sim, EVENT_QUEUES_EMPTY);
	assert_int_equal(sim_count(sim, ORDER_EXIT, CORE_NONE), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    STORY(step_by_step),
	    STORY(empty_queues_make_it_shorter),
	    STORY(who_hangs_is_killed_in_time),
	    STORY(who_cannot_be_killed_is_killed_again),
	    STORY(a_second_stop_changes_nothing),
	    STORY(a_failed_stop_says_so),
	    STORY(now_without_a_stop_before),
	    STORY(now_while_lame_duck),
	    STORY(now_while_quiescing),
	    STORY(now_while_draining),
	    STORY(before_the_start),
	    STORY(during_the_start),
	    STORY(before_anybody_was_started),
	    STORY(during_a_reload_before_the_gate),
	    STORY(during_a_reload_after_the_gate),
	    STORY(while_restoring),
	    STORY(while_old_workers_drain),
	    STORY(while_a_slot_waits_for_its_restart),
	    STORY(while_a_pool_retires),
	    STORY(crashes_meanwhile),
	    STORY(with_nothing_that_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
