/* test_core_rollout.c - one generation replaced by the next: batches, gate, failure, undo, sizes.
 */
#include "core_check.h"

/* Two pools of so many workers that run. */
static void start_two(struct sim *sim, uint32_t first, uint32_t second)
{
	struct pool_params params = sim_params(first);

	sim_add(sim, &params);
	params = sim_params(second);
	sim_add(sim, &params);
	sim_start(sim);
	sim_run(sim, 1 * SEC);
	sim_forget(sim);
}

static struct pool_params *roll(struct sim *sim, uint32_t p)
{
	struct pool_change *change = sim_change(sim, p, CHANGE_ROLL);

	sim_provide(sim);
	return &change->params;
}

/* ---- batches ---- */

/* 100 %: all new ones first, then all old ones go. */
static void all_at_once(void **state)
{
	struct sim *sim = *state;

	check_start(sim, 4);
	sim_rule(sim, 0, 2)->ready_after = 2 * SEC;
	roll(sim, 0);
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

/* One at a time, slot by slot: never more than one too many. */
static void one_by_one(void **state)
{
	struct sim *sim = *state;

	check_start(sim, 3);
	sim_rule(sim, 0, 1);
	sim_rule(sim, 0, 2)->ready_after = 1 * SEC;
	roll(sim, 0)->max_surge = 1;
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
	roll(sim, 0)->max_surge = 2;
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
	params = roll(sim, 0);
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
	roll(sim, 0)->ready_delay = 3 * SEC;
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

	start_two(sim, 2, 2);
	sim_rule(sim, 1, 2)->ready_after = 10 * SEC;
	roll(sim, 0)->max_surge = 1;
	roll(sim, 1)->max_surge = 1;
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

	start_two(sim, 3, 1);
	for (uint32_t s = 0; s < 3; s++)
		old[s] = sim_current(sim, 0, s)->ref;
	for (uint32_t n = 0; n < 6; n++) {
		struct pool_params before = sim_pool(sim, 0)->params, *params;
		struct failure failure;

		failures(n, &failure);
		*sim_rule(sim, 0, n + 2) = failure.script;
		sim_forget(sim);
		params = roll(sim, 0);
		params->workers = 3 + n % 2;
		params->watchdog = failure.watchdog;
		params->min_ready = 5 * SEC;
		params->drain_timeout = 1 * SEC;
		roll(sim, 1);
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
	roll(sim, 0)->max_surge = 1;
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
	roll(sim, 0)->max_surge = 1;
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
	roll(sim, 0)->max_surge = 1;
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
	roll(sim, 0)->max_surge = 1;
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
	roll(sim, 0);
	sim_reload(sim, 1);
	assert_int_equal(sim_pool(sim, 0)->restoring, 0);
	assert_int_equal(sim_serving(sim, 0, 2), 1); /* it serves on */
	sim_run(sim, 5 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
	assert_int_equal(sim_serving(sim, 0, 3), 2);
	assert_int_equal(sim_pool(sim, 0)->live, 2);
}

static void new_reload_while_restoring_fails_too(void **state)
{
	struct sim *sim = *state;

	sim_rule(sim, 0, 1)->ready_after = 5 * MSEC;
	make_restoring(sim);
	sim_rule(sim, 0, 3)->ready_after = NEVER;
	roll(sim, 0);
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

	start_two(sim, 1, 2);
	sim_rule(sim, 0, 2)->ready_after = 1 * SEC;
	sim_rule(sim, 1, 2)->ready_after = 1 * MSEC;
	roll(sim, 0);
	roll(sim, 1)->watchdog = 999 * MSEC;
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
	roll(sim, 0);
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
	start_two(sim, 1, 1);
	sim_rule(sim, 0, 1)->ready_after = 5 * SEC;
	sim_rule(sim, 1, 2)->ready_after = NEVER;
	roll(sim, 0);
	roll(sim, 1);
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
	roll(sim, 0)->workers = 5;
	sim_provide(sim);
	sim_reload(sim, 1);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_serving(sim, 0, 2), 5);
	roll(sim, 0)->workers = 2;
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
	roll(sim, 0)->workers = 5;
	sim_provide(sim);
	sim_reload(sim, 1);
	roll(sim, 0)->workers = 2;
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
	roll(sim, 0)->watchdog = 10 * SEC;
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
	roll(sim, 0);
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

	start_two(sim, 1, 2);
	sim_rule(sim, 0, 2)->spawn_fails = true;
	roll(sim, 0);
	sim_change(sim, 1, CHANGE_REMOVE);
	sim_reload(sim, 1);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_FAILED), 1);
	assert_int_equal(sim_pool(sim, 1)->state, POOL_ACTIVE);
	assert_int_equal(sim_serving(sim, 1, 1), 2);
	assert_int_equal(sim_count(sim, ORDER_SIGNAL, 1), 0);
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
	roll(sim, 0);
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
	struct pool_params params = sim_params(2);

	params.max_processes = 3;
	params.progress_timeout = 3 * SEC;
	params.drain_timeout = 20 * SEC;
	sim_add(sim, &params);
	sim_rule(sim, 0, 1)->quit_after = NEVER;
	sim_start(sim);
	sim_run(sim, 1 * SEC);
	roll(sim, 0);
	sim_reload(sim, 1);
	sim_run(sim, 3 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_FAILED), 0);
	sim_run(sim, 1 * MSEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_FAILED), 1);
	assert_int_equal(sim_last(sim, ORDER_UNDO)->cause, CAUSE_NO_PROGRESS);
	assert_int_equal(sim_last(sim, ORDER_UNDO)->worker.pool, 0);
	assert_int_equal(sim_last(sim, ORDER_UNDO)->worker.index, CORE_NONE);
	assert_int_equal(sim_serving(sim, 0, 2), 1);
	sim_run(sim, 30 * SEC); /* there is room when the drain ends */
	assert_int_equal(sim_serving(sim, 0, 1), 2);
	assert_int_equal(sim_pool(sim, 0)->live, 2);
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
	roll(sim, 0)->max_processes = 4;
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
	    STORY(one_by_one),
	    STORY(by_quarters),
	    STORY(watched_for_min_ready),
	    STORY(ready_after_a_delay),
	    STORY(the_gate_is_for_all_pools),
	    STORY(failure_before_the_first_batch),
	    STORY(failure_after_the_first_batch),
	    STORY(undo_keeps_the_new_until_the_old_serves),
	    STORY(undo_fails_for_a_while),
	    STORY(undo_loses_its_holder),
	    STORY(undo_loses_its_holder_while_waiting),
	    STORY(new_reload_while_restoring),
	    STORY(new_reload_while_restoring_fails_too),
	    STORY(ready_and_hanging_at_once),
	    STORY(old_worker_crashes_during_the_rollout),
	    STORY(undo_leaves_the_only_one_that_serves),
	    STORY(stop_leaves_the_only_one_that_serves),
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
	    STORY(the_cap_makes_it_slow),
	    STORY(the_cap_and_no_progress),
	    STORY(a_higher_cap_counts_at_once),
	    STORY(starved_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
