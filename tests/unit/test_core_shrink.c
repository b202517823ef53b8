/* test_core_shrink.c - max_surge and max_unavailable: how many more, and how many fewer, there are
 * in a rollout and while one is undone. */
#include "core_check.h"

/* What a rollout may make of the pool at any moment. */
static void hold_limits(struct sim *sim)
{
	const struct pool *pool = sim_pool(sim, 0);
	const struct pool_params *params = sim->user;
	uint32_t up = pool->counts[WORKER_STARTING] + pool->counts[WORKER_HELD] +
		      pool->counts[WORKER_SERVING];

	CHECK(sim, pool->counts[WORKER_SERVING] + params->max_unavailable >= params->workers);
	CHECK(sim, up <= params->workers + params->max_surge);
	CHECK(sim, params->max_surge > 0 || pool->live <= params->workers);
}

static void after_each(struct sim *sim, const struct core_event *event)
{
	check_after(sim, event);
	if (sim->user != NULL && !instance_is_stopping(sim->instance))
		hold_limits(sim);
}

/* A pool that runs, with these limits; what it may be from here on is held after every step. */
static void start_with(struct sim *sim, struct pool_params *params, uint32_t workers,
		       uint32_t surge, uint32_t unavailable)
{
	*params = sim_params(workers);
	params->max_surge = surge;
	params->max_unavailable = unavailable;
	sim_add(sim, params);
	sim_start(sim);
	sim_run(sim, 1 * SEC);
	sim_forget(sim);
	sim->after = after_each;
	sim->user = params;
}

/* ---- one after the other ---- */

static void goes_first(void **state)
{
	struct sim *sim = *state;
	struct pool_params params;

	sim_rule(sim, 0, 1)->quit_after = 2 * SEC;
	sim_rule(sim, 0, 2)->ready_after = 3 * SEC;
	start_with(sim, &params, 2, 0, 1);
	check_roll(sim, 0);
	sim_reload(sim, 1);
	assert_int_equal(sim_count(sim, ORDER_SIGNAL, 0), 1);
	assert_int_equal(sim_last(sim, ORDER_BATCH)->value, 1);
	assert_int_equal(sim_count(sim, ORDER_SPAWN, 0), 0);
	sim_run(sim, 2 * SEC);
	assert_int_equal(sim_count(sim, ORDER_SPAWN, 0), 1);
	assert_int_equal(sim_last(sim, ORDER_SPAWN)->generation, 2);
	sim_run(sim, 3 * SEC - 1);
	assert_int_equal(sim_count(sim, ORDER_SIGNAL, 0), 1);
	sim_run(sim, 1);
	assert_int_equal(sim_serving(sim, 0, 2), 1);
	assert_int_equal(sim_count(sim, ORDER_SIGNAL, 0), 2);
	sim_run(sim, 5 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
	assert_int_equal(sim_serving(sim, 0, 2), 2);
	assert_int_equal(instance_deadline(sim->instance), NEVER);
}

/* With both: one slot gets a successor beside its worker, another one is emptied. The first batch
 * shows that the version works: nobody goes for it. */
static void both_at_once(void **state)
{
	struct sim *sim = *state;
	struct pool_params params;

	sim_rule(sim, 0, 1)->quit_after = 1 * SEC;
	sim_rule(sim, 0, 2)->ready_after = 1 * SEC;
	start_with(sim, &params, 5, 1, 1);
	check_roll(sim, 0);
	sim_reload(sim, 1);
	assert_int_equal(sim_last(sim, ORDER_BATCH)->count, 1);
	assert_int_equal(sim_last(sim, ORDER_BATCH)->value, 0);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_last(sim, ORDER_BATCH)->count, 2);
	assert_int_equal(sim_last(sim, ORDER_BATCH)->value, 1);
	sim_run(sim, 10 * SEC);
	assert_int_equal(sim_count(sim, ORDER_BATCH, 0), 3);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
}

/* Its worker is told last of all: when the first batch of every other pool serves. */
static void as_late_as_possible(void **state)
{
	struct sim *sim = *state;
	struct pool_params params = sim_params(2);

	sim_rule(sim, 1, 2)->ready_after = 7 * SEC;
	start_with(sim, &params, 3, 0, 2);
	params = sim_params(1);
	sim->user = NULL;
	sim_add(sim, &params);
	sim_reload(sim, 1);
	sim_run(sim, 1 * SEC);
	sim_forget(sim);
	check_roll(sim, 0);
	check_roll(sim, 1);
	sim_reload(sim, 2);
	sim_run(sim, 7 * SEC - 1);
	assert_int_equal(sim_count(sim, ORDER_SIGNAL, CORE_NONE), 0);
	assert_int_equal(sim_pool(sim, 0)->rollout.state, ROLLOUT_GATED);
	sim_run(sim, 1);
	assert_int_equal(sim_count(sim, ORDER_SIGNAL, 0), 2);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_answers(sim, 2, RESULT_COMMITTED), 1);
}

/* Another pool's new worker fails: nobody had to go for it. */
static void nobody_goes_for_a_bad_version(void **state)
{
	struct sim *sim = *state;
	struct pool_params params;
	struct sim_script *bad;

	start_with(sim, &params, 3, 0, 2);
	params = sim_params(1);
	sim->user = NULL;
	sim_add(sim, &params);
	sim_reload(sim, 1);
	sim_run(sim, 1 * SEC);
	sim_forget(sim);
	bad = sim_rule(sim, 1, 2);
	bad->exit_after = 10 * MSEC;
	bad->ready_after = NEVER;
	check_roll(sim, 0);
	check_roll(sim, 1);
	sim_reload(sim, 2);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_answers(sim, 2, RESULT_FAILED), 1);
	assert_int_equal(sim_count(sim, ORDER_SIGNAL, 0), 0);
	assert_int_equal(sim_serving(sim, 0, 1), 3);
}

static void one_slot_alone(void **state)
{
	struct sim *sim = *state;
	struct pool_params params;

	start_with(sim, &params, 2, 0, 1);
	sim_change(sim, 0, CHANGE_SLOT)->slot = 1;
	sim->changes[0].reason = END_RESTART;
	sim_reload(sim, 1);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
	assert_int_equal(sim_count(sim, ORDER_SPAWN, 0), 1);
	assert_int_equal(sim_serving(sim, 0, 1), 2);
}

/* The cap leaves no room beside anybody: one goes first, and its room is its successor's. */
static void emptied_for_want_of_room(void **state)
{
	struct sim *sim = *state;
	struct pool_params params;

	start_with(sim, &params, 3, 0, 1);
	check_roll(sim, 0)->max_processes = params.max_processes = 3;
	sim_reload(sim, 1);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
	assert_int_equal(sim_count(sim, ORDER_BATCH, 0), 3);
}

/* It was on its way out already, by its own wish or for a reload that failed. */
static void somebody_leaves_already(void **state)
{
	struct sim *sim = *state;
	struct pool_params params;
	struct sim_script *bad = sim_rule(sim, 0, 2);

	bad->exit_after = 1 * MSEC;
	bad->ready_after = NEVER;
	sim_rule(sim, 0, 1)->quit_after = 3 * SEC;
	start_with(sim, &params, 2, 0, 1);
	check_roll(sim, 0);
	sim_reload(sim, 1);
	sim_run(sim, 3 * SEC);
	sim_rule(sim, 0, 1)->ready_after = 5 * SEC;
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_FAILED), 1);
	assert_int_equal(sim_current(sim, 0, 0)->state, WORKER_STARTING);
	check_roll(sim, 0); /* the one that was to come back is replaced in its turn */
	sim_reload(sim, 2);
	sim_run(sim, 20 * SEC);
	assert_int_equal(sim_answers(sim, 2, RESULT_COMMITTED), 1);
	assert_int_equal(sim_serving(sim, 0, 3), 2);
}

/* ---- failure ---- */

/* It hangs in its drain for longer than the rollout's patience: nobody is killed for it. */
static void a_drain_without_end(void **state)
{
	struct sim *sim = *state;
	struct pool_params params;

	sim_rule(sim, 0, 1)->quit_after = 5 * SEC;
	start_with(sim, &params, 2, 0, 1);
	check_roll(sim, 0)->progress_timeout = 2 * SEC;
	sim_reload(sim, 1);
	sim_run(sim, 2 * SEC - 1);
	assert_int_equal(sim_answers(sim, 1, RESULT_FAILED), 0);
	sim_run(sim, 1 * MSEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_FAILED), 1);
	assert_int_equal(sim_last(sim, ORDER_UNDO)->cause, CAUSE_STILL_DRAINS);
	assert_int_equal(sim_last(sim, ORDER_UNDO)->worker.index, CORE_NONE);
	assert_int_equal(sim_count(sim, ORDER_SPAWN, 0), 0);
	sim_run(sim, 5 * SEC);
	assert_int_equal(sim_count(sim, ORDER_KILL, 0), 0);
	assert_int_equal(sim_last(sim, ORDER_SPAWN)->generation, 1);
	assert_int_equal(sim_serving(sim, 0, 1), 2);
}

/* The first one does not start: its slot gets the old version back, the others never noticed. */
static void the_first_one_is_bad(void **state)
{
	struct sim *sim = *state;
	struct pool_params params;
	struct sim_script *bad = sim_rule(sim, 0, 2);

	bad->exit_after = 20 * MSEC;
	bad->ready_after = NEVER;
	start_with(sim, &params, 3, 0, 1);
	check_roll(sim, 0);
	sim_reload(sim, 1);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_FAILED), 1);
	assert_int_equal(sim_count(sim, ORDER_SPAWN, 0), 2);
	assert_int_equal(sim_serving(sim, 0, 1), 3);
	assert_int_equal(sim_pool(sim, 0)->emptied, 0);
}

/* One that was emptied serves already when another one of its batch fails: it serves on until there
 * is somebody for it, or goes first. */
static void the_other_of_its_batch_is_bad(void **state)
{
	struct sim *sim = *state;
	struct pool_params params;
	struct worker *fresh;

	sim_rule(sim, 0, 1)->ready_after = 2 * SEC;
	start_with(sim, &params, 2, 0, 2);
	sim->user = NULL;
	sim_run(sim, 2 * SEC);
	sim->user = &params;
	check_roll(sim, 0)->min_ready = 1 * SEC;
	sim_reload(sim, 1);
	sim_run(sim, 1 * MSEC);
	fresh = sim_successor(sim, 0, 1);
	sim_run(sim, 1 * MSEC);
	sim_end(sim, sim_process(sim, &fresh->ref), false);
	assert_int_equal(sim_answers(sim, 1, RESULT_FAILED), 1);
	sim_run(sim, 10 * SEC);
	assert_int_equal(sim_serving(sim, 0, 1), 2);
}

/* ---- tables, and sequences by chance ---- */

static const struct limits {
	uint32_t workers, surge, unavailable;
} limits[] = {
    {1, 0, 1}, {1, 1, 0}, {2, 0, 1}, {2, 0, 2}, {2, 1, 1}, {3, 0, 1},  {3, 0, 2},
    {4, 1, 1}, {4, 2, 1}, {4, 1, 2}, {5, 0, 3}, {5, 3, 0}, {7, 2, 3},  {8, 1, 0},
    {8, 8, 8}, {9, 0, 4}, {9, 4, 1}, {6, 0, 6}, {6, 1, 5}, {10, 3, 3},
};

static uint32_t to_fail; /* the new worker that is bad, counted from 1; 0: none */
static uint32_t n_new;

static void pick(struct sim *sim, const struct order *spawn, struct sim_script *script)
{
	uint64_t mix = (sim->steps + 7) * 2654435761u;

	script->ready_after = (mix >> 8) % 50 * MSEC;
	script->quit_after = (mix >> 16) % 70 * MSEC;
	if (spawn->generation != 2 || ++n_new != to_fail)
		return;
	script->ready_after = NEVER;
	script->exit_after = (mix >> 24) % 30 * MSEC;
}

/* One rollout, that fails at its nth new worker or not at all. */
static void roll_within(const struct limits *with, uint32_t fails, usec_t min_ready)
{
	struct sim *sim = check_new(128, with->workers + fails);
	struct pool_params params;
	void *state = sim;

	to_fail = fails;
	n_new = 0;
	sim->pick_script = pick;
	start_with(sim, &params, with->workers, with->surge, with->unavailable);
	check_roll(sim, 0)->min_ready = min_ready;
	sim_reload(sim, 1);
	sim_run(sim, 60 * SEC);
	assert_int_equal(sim_answers(sim, 1, fails == 0 ? RESULT_COMMITTED : RESULT_FAILED), 1);
	assert_int_equal(sim_serving(sim, 0, fails == 0 ? 2 : 1), with->workers);
	assert_int_equal(sim_pool(sim, 0)->live, with->workers);
	assert_int_equal(sim_pool(sim, 0)->emptied, 0);
	assert_int_equal(instance_deadline(sim->instance), NEVER);
	sim->user = NULL;
	check_teardown(&state);
}

static void limits_hold(void **state)
{
	(void)state;
	for (size_t n = 0; n < sizeof(limits) / sizeof(*limits); n++)
		for (uint32_t fails = 0; fails <= limits[n].workers; fails++)
			for (usec_t min_ready = 0; min_ready <= 20 * MSEC; min_ready += 20 * MSEC)
				roll_within(&limits[n], fails, min_ready);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    STORY(goes_first),
	    STORY(both_at_once),
	    STORY(as_late_as_possible),
	    STORY(nobody_goes_for_a_bad_version),
	    STORY(one_slot_alone),
	    STORY(emptied_for_want_of_room),
	    STORY(somebody_leaves_already),
	    STORY(a_drain_without_end),
	    STORY(the_first_one_is_bad),
	    STORY(the_other_of_its_batch_is_bad),
	    cmocka_unit_test(limits_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
