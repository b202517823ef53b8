/* test_core_canary.c - the first workers of a new version are judged before anybody drains: by what
 * they do, by a command, by a person. */
#include "core_check.h"

/* A pool of four that runs, and a new version of it with one canary. */
static struct pool_params *start_canary(struct sim *sim, usec_t canary_time)
{
	struct pool_params *params;

	check_start(sim, 4);
	params = check_roll(sim, 0);
	params->canary = 1;
	params->canary_time = canary_time;
	params->canary_hold_timeout = 3600 * SEC;
	return params;
}

static void decide(struct sim *sim, enum event_kind kind, uint64_t id)
{
	struct core_event event = {.kind = kind, .request.id = id};

	sim_deliver(sim, &event);
	sim_run(sim, 0);
}

/* Nobody of the old version has gone or was told to. */
static void assert_untouched(struct sim *sim)
{
	for (size_t n = 0; n < sim->n_log; n++)
		if (sim->log[n].kind == ORDER_SIGNAL)
			assert_int_equal(sim->log[n].generation, 2);
	assert_int_equal(sim_serving(sim, 0, 1), 4);
}

/* ---- what it does ---- */

static void good_by_itself(void **state)
{
	struct sim *sim = *state;

	start_canary(sim, 5 * SEC);
	sim_reload(sim, 1);
	sim_run(sim, 1 * MSEC);
	assert_int_equal(sim_count(sim, ORDER_SPAWN, 0), 1);
	assert_int_equal(sim_last(sim, ORDER_CANARY_SERVES)->count, 1);
	assert_int_equal(sim_last(sim, ORDER_CANARY_SERVES)->usec, 5 * SEC);
	sim_run(sim, 5 * SEC - 1);
	assert_int_equal(sim_pool(sim, 0)->live, 5);
	assert_untouched(sim);
	sim_run(sim, 1);
	assert_int_equal(sim_count(sim, ORDER_CANARY_GOOD, 0), 1);
	assert_int_equal(sim_serving(sim, 0, 2), 1);
	assert_int_equal(sim_count(sim, ORDER_SPAWN, 0), 4); /* the others at once */
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
	assert_int_equal(sim_serving(sim, 0, 2), 4);
	assert_int_equal(instance_deadline(sim->instance), NEVER);
}

static void dies_at_the_last_moment(void **state)
{
	struct sim *sim = *state;

	start_canary(sim, 5 * SEC);
	sim_rule(sim, 0, 2)->exit_after = 5 * SEC;
	sim_reload(sim, 1);
	sim_run(sim, 10 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_FAILED), 1);
	assert_int_equal(sim_last(sim, ORDER_UNDO)->cause, CAUSE_EXITED);
	assert_int_equal(sim_count(sim, ORDER_SPAWN, 0), 1);
	assert_untouched(sim);
}

static void hangs(void **state)
{
	struct sim *sim = *state;

	start_canary(sim, 5 * SEC)->watchdog = 1 * SEC;
	sim_rule(sim, 0, 2)->ping_every = NEVER;
	sim_reload(sim, 1);
	sim_run(sim, 10 * SEC);
	assert_int_equal(sim_last(sim, ORDER_UNDO)->cause, CAUSE_WATCHDOG);
	assert_untouched(sim);
}

static void fails_its_liveness_probe(void **state)
{
	struct sim *sim = *state;

	start_canary(sim, 5 * SEC);
	sim_reload(sim, 1);
	sim_run(sim, 1 * SEC);
	sim_tell(sim, &sim_successor(sim, 0, 0)->ref, WORKER_EVENT_NOT_LIVE);
	assert_int_equal(sim_answers(sim, 1, RESULT_FAILED), 1);
	assert_int_equal(sim_last(sim, ORDER_UNDO)->cause, CAUSE_NOT_LIVE);
	sim_run(sim, 10 * SEC);
	assert_untouched(sim);
}

/* handoff = channel: it is judged from the moment at which it serves, not from when it was ready.
 */
static void judged_from_when_it_serves(void **state)
{
	struct sim *sim = *state;

	start_canary(sim, 5 * SEC)->held = true;
	sim_reload(sim, 1);
	sim_run(sim, 1 * MSEC);
	assert_int_equal(sim_count(sim, ORDER_SEND_SOCKETS, 0), 1);
	assert_int_equal(sim_count(sim, ORDER_CANARY_SERVES, 0), 1);
	sim_run(sim, 5 * SEC - 1);
	assert_untouched(sim);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
	assert_int_equal(sim_count(sim, ORDER_CANARY_SERVES, 0), 1);
}

/* min_ready is for every batch; a canary is watched for as long at least. */
static void min_ready_counts_too(void **state)
{
	struct sim *sim = *state;

	start_canary(sim, 1 * SEC)->min_ready = 3 * SEC;
	sim_reload(sim, 1);
	sim_run(sim, 3 * SEC);
	assert_untouched(sim);
	sim_run(sim, 1 * MSEC);
	assert_int_equal(sim_serving(sim, 0, 2), 1);
}

/* ---- what a command says ---- */

static void the_command_agrees(void **state)
{
	struct sim *sim = *state;

	start_canary(sim, 1 * SEC)->canary_check_timeout = 10 * SEC;
	sim->checks[0].after = 9 * SEC;
	sim_reload(sim, 1);
	sim_run(sim, 1 * SEC + 1 * MSEC);
	assert_int_equal(sim_last(sim, ORDER_CANARY_CHECK)->usec, 10 * SEC);
	assert_int_equal(sim_pool(sim, 0)->rollout.state, ROLLOUT_CHECKING);
	sim_run(sim, 9 * SEC - 1);
	assert_untouched(sim);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
}

static void the_command_says_no(void **state)
{
	struct sim *sim = *state;

	start_canary(sim, 1 * SEC)->canary_check_timeout = 10 * SEC;
	sim->checks[0].bad = true;
	sim_reload(sim, 1);
	sim_run(sim, 2 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_FAILED), 1);
	assert_int_equal(sim_last(sim, ORDER_UNDO)->cause, CAUSE_CHECK);
	assert_int_equal(sim_last(sim, ORDER_UNDO)->worker.pool, 0);
	assert_untouched(sim);
}

static void the_command_hangs(void **state)
{
	struct sim *sim = *state;

	start_canary(sim, 1 * SEC)->canary_check_timeout = 10 * SEC;
	sim->checks[0].after = 11 * SEC;
	sim_reload(sim, 1);
	sim_run(sim, 11 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_FAILED), 0);
	sim_run(sim, 1 * MSEC);
	assert_int_equal(sim_last(sim, ORDER_UNDO)->cause, CAUSE_CHECK_TIMEOUT);
	assert_untouched(sim);
	sim_run(sim, 5 * SEC); /* what it says then means nothing */
	assert_untouched(sim);
}

/* The last one's command says that it was good, while the next one is being judged. */
static void a_late_answer_is_of_another_canary(void **state)
{
	struct sim *sim = *state;

	start_canary(sim, 1 * SEC)->canary_check_timeout = 10 * SEC;
	sim->checks[0].after = NEVER;
	sim_reload(sim, 1);
	sim_run(sim, 20 * SEC);
	assert_int_equal(sim_last(sim, ORDER_UNDO)->cause, CAUSE_CHECK_TIMEOUT);
	check_roll(sim, 0)->canary = 1;
	sim->changes[0].params.canary_check_timeout = 10 * SEC;
	sim_reload(sim, 2);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_pool(sim, 0)->rollout.state, ROLLOUT_CHECKING);
	sim->checks[0].number--;
	sim_checked(sim, &sim->checks[0]);
	assert_int_equal(sim_pool(sim, 0)->rollout.state, ROLLOUT_CHECKING);
}

static void dies_while_the_command_runs(void **state)
{
	struct sim *sim = *state;

	start_canary(sim, 1 * SEC)->canary_check_timeout = 10 * SEC;
	sim_rule(sim, 0, 2)->exit_after = 3 * SEC;
	sim->checks[0].after = 5 * SEC;
	sim_reload(sim, 1);
	sim_run(sim, 20 * SEC);
	assert_int_equal(sim_last(sim, ORDER_UNDO)->cause, CAUSE_EXITED);
	assert_untouched(sim);
}

/* ---- several pools ---- */

static void all_pools_wait_for_the_canary(void **state)
{
	struct sim *sim = *state;

	check_start_two(sim, 4, 3);
	check_roll(sim, 0)->canary = 1;
	sim->changes[0].params.canary_time = 20 * SEC;
	check_roll(sim, 1);
	sim_reload(sim, 1);
	sim_run(sim, 20 * SEC);
	assert_int_equal(sim_count(sim, ORDER_SIGNAL, CORE_NONE), 0);
	assert_int_equal(sim_pool(sim, 1)->rollout.state, ROLLOUT_GATED);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
}

static void a_canary_that_dies_takes_all_pools_back(void **state)
{
	struct sim *sim = *state;

	check_start_two(sim, 4, 3);
	sim_rule(sim, 0, 2)->exit_after = 10 * SEC;
	check_roll(sim, 0)->canary = 2;
	sim->changes[0].params.canary_time = 20 * SEC;
	check_roll(sim, 1);
	sim_reload(sim, 1);
	sim_run(sim, 20 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_FAILED), 1);
	assert_untouched(sim);
	assert_int_equal(sim_serving(sim, 1, 1), 3);
}

/* ---- what a person says ---- */

/* Its caller has the answer, and nothing goes on. */
static void hold(struct sim *sim)
{
	start_canary(sim, 1 * SEC)->canary_hold = true;
	sim_reload(sim, 1);
	sim_run(sim, 1 * SEC + 1 * MSEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_HELD), 1);
	assert_int_equal(sim->instance->transaction.state, TRANSACTION_HELD);
	assert_int_equal(sim_last(sim, ORDER_HELD)->usec, 3600 * SEC);
	sim_run(sim, 3000 * SEC);
	assert_untouched(sim);
	assert_int_equal(sim_pool(sim, 0)->live, 5);
}

static void promoted(void **state)
{
	struct sim *sim = *state;

	hold(sim);
	decide(sim, EVENT_PROMOTE, 2);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_answers(sim, 2, RESULT_COMMITTED), 1);
	assert_int_equal(sim_serving(sim, 0, 2), 4);
	assert_int_equal(sim_pool(sim, 0)->live, 4);
	assert_int_equal(instance_deadline(sim->instance), NEVER);
}

static void aborted(void **state)
{
	struct sim *sim = *state;

	hold(sim);
	decide(sim, EVENT_ABORT, 2);
	assert_int_equal(sim_answers(sim, 2, RESULT_ABORTED), 1);
	assert_int_equal(sim_last(sim, ORDER_UNDO)->cause, CAUSE_ABORTED);
	sim_run(sim, 1 * SEC);
	assert_untouched(sim);
	assert_int_equal(sim_pool(sim, 0)->live, 4);
	sim_reload(sim, 3); /* another one can begin */
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_answers(sim, 3, RESULT_COMMITTED), 1);
}

static void forgotten(void **state)
{
	struct sim *sim = *state;

	hold(sim);
	sim_run(sim, 601 * SEC);
	assert_int_equal(sim->instance->transaction.state, TRANSACTION_NONE);
	assert_int_equal(sim_last(sim, ORDER_UNDO)->cause, CAUSE_HOLD_TIMEOUT);
	assert_untouched(sim);
	assert_int_equal(sim_pool(sim, 0)->live, 4);
	decide(sim, EVENT_PROMOTE, 2);
	assert_int_equal(sim_answers(sim, 2, RESULT_NOT_HELD), 1);
}

static void others_are_refused_meanwhile(void **state)
{
	struct sim *sim = *state;
	struct request other = {.id = 5, .join = 7};

	start_canary(sim, 1 * SEC)->canary_hold = true;
	sim_reload(sim, 1);
	sim_request(sim, &other); /* it waits for the one that runs, not for a person */
	assert_int_equal(sim_answers(sim, 5, RESULT_REFUSED), 0);
	sim_run(sim, 2 * SEC);
	assert_int_equal(sim_answers(sim, 5, RESULT_REFUSED), 1);
	other.id = 6;
	sim_request(sim, &other);
	assert_int_equal(sim_answers(sim, 6, RESULT_REFUSED), 1);
	other.id = 0;
	sim_request(sim, &other);
	assert_int_equal(sim->instance->transaction.state, TRANSACTION_HELD);
	assert_int_equal(sim_count(sim, ORDER_PREPARE, CORE_NONE), 1);
}

static void a_canary_dies_while_held(void **state)
{
	struct sim *sim = *state;

	hold(sim);
	sim_end(sim, sim_process(sim, &sim_successor(sim, 0, 0)->ref), false);
	assert_int_equal(sim_last(sim, ORDER_UNDO)->cause, CAUSE_EXITED);
	assert_int_equal(sim->instance->transaction.state, TRANSACTION_NONE);
	sim_run(sim, 1 * SEC);
	assert_untouched(sim);
	assert_int_equal(sim_pool(sim, 0)->live, 4);
}

/* Neither its own slot's, nor any other: it comes back, and the canary is not to blame. */
static void old_workers_die_while_held(void **state)
{
	struct sim *sim = *state;

	hold(sim);
	sim_crash(sim, 0, 0);
	sim_crash(sim, 0, 3);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim->instance->transaction.state, TRANSACTION_HELD);
	assert_int_equal(sim_serving(sim, 0, 1), 4);
	assert_int_equal(sim_last(sim, ORDER_SPAWN)->generation, 1);
	decide(sim, EVENT_PROMOTE, 2);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_answers(sim, 2, RESULT_COMMITTED), 1);
}

static void a_stop_ends_it(void **state)
{
	struct sim *sim = *state;

	hold(sim);
	sim_simple(sim, EVENT_STOP);
	assert_int_equal(sim_last(sim, ORDER_UNDO)->cause, CAUSE_STOPPING);
	decide(sim, EVENT_PROMOTE, 2);
	decide(sim, EVENT_ABORT, 3);
	assert_int_equal(sim_answers(sim, 2, RESULT_STOPPING), 1);
	assert_int_equal(sim_answers(sim, 3, RESULT_STOPPING), 1);
	sim_run(sim, 10 * SEC);
	assert_true(check_of(sim)->exited);
}

static void the_rest_fails_behind_it(void **state)
{
	struct sim *sim = *state;

	hold(sim);
	sim_rule(sim, 0, 2)->spawn_fails = true;
	decide(sim, EVENT_PROMOTE, 2);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_answers(sim, 2, RESULT_FAILED), 1);
	assert_int_equal(sim_last(sim, ORDER_UNDO)->cause, CAUSE_SPAWN);
	assert_int_equal(sim_serving(sim, 0, 1), 4);
}

static void who_promoted_goes_away(void **state)
{
	struct sim *sim = *state;
	struct core_event promote = {.kind = EVENT_PROMOTE,
				     .request = {.id = 2, .abort_on_disconnect = true}};

	hold(sim);
	sim_rule(sim, 0, 2)->ready_after = 10 * SEC;
	sim_deliver(sim, &promote);
	sim_run(sim, 1 * SEC);
	sim_caller_gone(sim, 2);
	assert_int_equal(sim_last(sim, ORDER_UNDO)->cause, CAUSE_CALLER_GONE);
	sim_run(sim, 10 * SEC);
	assert_int_equal(sim_serving(sim, 0, 1), 4);
}

/* The nearest end counts; and one decision is for all pools. */
static void two_pools_are_held(void **state)
{
	struct sim *sim = *state;

	check_start_two(sim, 2, 2);
	for (uint32_t p = 0; p < 2; p++) {
		struct pool_params *params = check_roll(sim, p);

		params->canary = 1;
		params->canary_hold = true;
		params->canary_hold_timeout = (30 - 10 * p) * SEC;
	}
	sim_reload(sim, 1);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_last(sim, ORDER_HELD)->usec, 20 * SEC);
	decide(sim, EVENT_PROMOTE, 2);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_answers(sim, 2, RESULT_COMMITTED), 1);
	assert_int_equal(sim_count(sim, ORDER_HELD, CORE_NONE), 1);
}

static void abort_of_one_that_runs(void **state)
{
	struct sim *sim = *state;

	check_start(sim, 3);
	decide(sim, EVENT_ABORT, 1);
	assert_int_equal(sim_answers(sim, 1, RESULT_NOT_HELD), 1);
	sim_rule(sim, 0, 2)->ready_after = 5 * SEC;
	check_roll(sim, 0)->max_surge = 1;
	sim_reload(sim, 2);
	sim_run(sim, 7 * SEC);
	decide(sim, EVENT_PROMOTE, 3);
	assert_int_equal(sim_answers(sim, 3, RESULT_NOT_HELD), 1);
	decide(sim, EVENT_ABORT, 4);
	assert_int_equal(sim_answers(sim, 4, RESULT_ABORTED), 1);
	assert_int_equal(sim_answers(sim, 2, RESULT_ABORTED), 1);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_serving(sim, 0, 1), 3);
}

/* ---- where there is none ---- */

static void a_restart_needs_no_proof(void **state)
{
	struct sim *sim = *state;

	start_canary(sim, 60 * SEC);
	sim->changes[0].reason = END_RESTART;
	sim_reload(sim, 1);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
	assert_int_equal(sim_count(sim, ORDER_CANARY_SERVES, 0), 0);
}

static void a_start_has_nobody_beside(void **state)
{
	struct sim *sim = *state;
	struct pool_params params = sim_params(3);

	params.canary = 1;
	params.canary_time = 60 * SEC;
	sim_add(sim, &params);
	sim_start(sim);
	sim_run(sim, 1 * SEC);
	assert_true(sim->instance->ready);
}

static void a_stopped_pool_has_nothing_to_lose(void **state)
{
	struct sim *sim = *state;
	struct pool_params params = sim_params(2);

	params.on_crash_loop = CORE_CRASH_LOOP_STOP_POOL;
	params.crash_loop_after = 1;
	params.canary = 1;
	params.canary_time = 60 * SEC;
	sim_add(sim, &params);
	sim_start(sim);
	sim_run(sim, 1 * SEC);
	sim_crash(sim, 0, 0);
	sim_run(sim, 10 * SEC);
	assert_int_equal(sim_pool(sim, 0)->state, POOL_STOPPED);
	check_roll(sim, 0);
	sim_reload(sim, 1);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    STORY(good_by_itself),
	    STORY(dies_at_the_last_moment),
	    STORY(hangs),
	    STORY(fails_its_liveness_probe),
	    STORY(judged_from_when_it_serves),
	    STORY(min_ready_counts_too),
	    STORY(the_command_agrees),
	    STORY(the_command_says_no),
	    STORY(the_command_hangs),
	    STORY(a_late_answer_is_of_another_canary),
	    STORY(dies_while_the_command_runs),
	    STORY(all_pools_wait_for_the_canary),
	    STORY(a_canary_that_dies_takes_all_pools_back),
	    STORY(promoted),
	    STORY(aborted),
	    STORY(forgotten),
	    STORY(others_are_refused_meanwhile),
	    STORY(a_canary_dies_while_held),
	    STORY(old_workers_die_while_held),
	    STORY(a_stop_ends_it),
	    STORY(the_rest_fails_behind_it),
	    STORY(who_promoted_goes_away),
	    STORY(two_pools_are_held),
	    STORY(abort_of_one_that_runs),
	    STORY(a_restart_needs_no_proof),
	    STORY(a_start_has_nobody_beside),
	    STORY(a_stopped_pool_has_nothing_to_lose),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
