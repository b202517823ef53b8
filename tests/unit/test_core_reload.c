/* test_core_reload.c - who asks for a reload, and what he is told: queueing, joining, leaving,
 * waiting. */
#include "core_check.h"

/* A reload of pool 0, as often as one is prepared. */
static void roll_pool(struct sim *sim)
{
	sim_change(sim, 0, CHANGE_ROLL);
	sim_provide(sim);
}

static void start_rolling(struct sim *sim, uint32_t workers)
{
	check_start(sim, workers);
	sim->prepare = roll_pool;
}

static void ask(struct sim *sim, struct request request)
{
	if (request.join == 0)
		request.join = 1;
	sim_request(sim, &request);
}

/* ---- one ---- */

static void one_answer_each(void **state)
{
	struct sim *sim = *state;

	start_rolling(sim, 1);
	sim_reload(sim, 7);
	assert_int_equal(sim_count(sim, ORDER_PREPARE, CORE_NONE), 1);
	assert_int_equal(sim_last(sim, ORDER_PREPARE)->number, 2); /* the start was 1 */
	assert_int_equal(sim_last(sim, ORDER_PREPARE)->id, 1);	   /* join */
	assert_int_equal(sim_count(sim, ORDER_ANSWER, CORE_NONE), 0);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_answers(sim, 7, RESULT_COMMITTED), 1);
	assert_int_equal(sim_count(sim, ORDER_ANSWER, CORE_NONE), 1);
	assert_int_equal(sim_last(sim, ORDER_ANSWER)->number, 2);
	sim_reload(sim, 8);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_last(sim, ORDER_ANSWER)->number, 3);
}

static void what_cannot_be_prepared_changes_nothing(void **state)
{
	struct sim *sim = *state;

	start_rolling(sim, 1);
	sim->prepare_fails = true;
	sim_reload(sim, 7);
	assert_int_equal(sim_answers(sim, 7, RESULT_FAILED), 1);
	assert_int_equal(sim_last(sim, ORDER_ANSWER)->cause, CAUSE_PREPARE);
	assert_int_equal(sim_last(sim, ORDER_UNDO)->cause, CAUSE_PREPARE);
	assert_int_equal(sim_last(sim, ORDER_UNDO)->number, 2);
	assert_int_equal(sim_count(sim, ORDER_SPAWN, CORE_NONE), 0);
	sim->prepare_fails = false;
	sim_reload(sim, 8);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_answers(sim, 8, RESULT_COMMITTED), 1);
}

static void nothing_to_do_is_done_at_once(void **state)
{
	struct sim *sim = *state;

	check_start(sim, 1);
	sim_reload(sim, 7);
	assert_int_equal(sim_answers(sim, 7, RESULT_COMMITTED), 1);
	assert_int_equal(sim_serving(sim, 0, 1), 1);
}

/* What nobody waits for is done, and nobody is answered. */
static void in_the_background(void **state)
{
	struct sim *sim = *state;

	start_rolling(sim, 1);
	ask(sim, (struct request){.id = 0});
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_serving(sim, 0, 2), 1);
	assert_int_equal(sim_count(sim, ORDER_ANSWER, CORE_NONE), 0);
}

static void asked_for_before_the_start_is_over(void **state)
{
	struct sim *sim = *state;
	struct pool_params params = sim_params(1);

	sim_add(sim, &params);
	sim->prepare = roll_pool;
	ask(sim, (struct request){.id = 6});
	assert_int_equal(sim_count(sim, ORDER_PREPARE, CORE_NONE), 0);
	sim_start(sim);
	ask(sim, (struct request){.id = 7});
	assert_int_equal(sim_count(sim, ORDER_PREPARE, CORE_NONE), 0);
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_answers(sim, 6, RESULT_COMMITTED), 1);
	assert_int_equal(sim_answers(sim, 7, RESULT_COMMITTED), 1);
	assert_int_equal(sim_serving(sim, 0, 2), 1);
}

/* ---- many ---- */

/* Those who come while one runs wait for the next one, together; each hears of the one that covers
 * his wish. */
static void later_ones_join(void **state)
{
	struct sim *sim = *state;

	start_rolling(sim, 1);
	sim_rule(sim, 0, 2)->ready_after = NEVER;
	sim_reload(sim, 1);
	sim_reload(sim, 2);
	sim_reload(sim, 3);
	assert_int_equal(sim_count(sim, ORDER_PREPARE, CORE_NONE), 1);
	sim_run(sim, 60 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_FAILED), 1);
	assert_int_equal(sim_answers(sim, 2, RESULT_COMMITTED), 1);
	assert_int_equal(sim_answers(sim, 3, RESULT_COMMITTED), 1);
	assert_int_equal(sim_count(sim, ORDER_PREPARE, CORE_NONE), 2);
	assert_int_equal(sim_count(sim, ORDER_ANSWER, CORE_NONE), 3);
}

/* While it is prepared it is too late to join: the configuration may have been read. */
static void too_late_to_join(void **state)
{
	struct sim *sim = *state;

	start_rolling(sim, 1);
	sim->prepare_after = 1 * SEC;
	sim_reload(sim, 1);
	sim_reload(sim, 2);
	sim_run(sim, 10 * SEC);
	assert_int_equal(sim_count(sim, ORDER_PREPARE, CORE_NONE), 2);
	assert_int_equal(sim_serving(sim, 0, 3), 1);
}

/* Different wishes take turns, in the order in which they came. */
static void others_take_turns(void **state)
{
	struct sim *sim = *state;

	start_rolling(sim, 1);
	ask(sim, (struct request){.id = 1, .join = 1});
	ask(sim, (struct request){.id = 2, .join = 2});
	ask(sim, (struct request){.id = 3, .join = 3});
	ask(sim, (struct request){.id = 4, .join = 2});
	sim_run(sim, 10 * SEC);
	assert_int_equal(sim_count(sim, ORDER_PREPARE, CORE_NONE), 3);
	assert_int_equal(sim_last(sim, ORDER_PREPARE)->id, 3);
	assert_int_equal(sim_last(sim, ORDER_ANSWER)->id, 3);
	for (uint64_t id = 1; id <= 4; id++)
		assert_int_equal(sim_answers(sim, id, RESULT_COMMITTED), 1);
}

static void a_thousand_in_the_background_are_one(void **state)
{
	struct sim *sim = *state;

	start_rolling(sim, 1);
	for (int n = 0; n < 1000; n++)
		ask(sim, (struct request){.id = 0});
	ask(sim, (struct request){.id = 1, .join = 2}); /* and leave room for others */
	sim_run(sim, 10 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
	assert_int_equal(sim_count(sim, ORDER_PREPARE, CORE_NONE), 3); /* the first ran already */
}

/* There is an end to waiting; but a place is kept for what nobody can be told of. */
static void too_many(void **state)
{
	struct sim *sim = *state;

	start_rolling(sim, 1);
	sim_rule(sim, 0, 0)->ready_after = 1 * SEC;
	for (uint64_t id = 1; id <= CORE_REQUESTS_MAX + 5; id++)
		sim_reload(sim, id);
	assert_int_equal(sim_count(sim, ORDER_ANSWER, CORE_NONE), 6);
	assert_int_equal(sim_last(sim, ORDER_ANSWER)->result, RESULT_BUSY);
	assert_int_equal(sim_answers(sim, CORE_REQUESTS_MAX, RESULT_BUSY), 1);
	assert_int_equal(sim_answers(sim, CORE_REQUESTS_MAX - 1, RESULT_BUSY), 0);
	ask(sim, (struct request){.id = 0, .join = 9});
	sim_run(sim, 10 * SEC);
	assert_int_equal(sim_count(sim, ORDER_PREPARE, CORE_NONE), 3);
	assert_int_equal(sim_last(sim, ORDER_PREPARE)->id, 9);
	sim_reload(sim, 200); /* all places are free again */
	sim_run(sim, 10 * SEC);
	assert_int_equal(sim_answers(sim, 200, RESULT_COMMITTED), 1);
}

/* ---- callers that go ---- */

static void nobody_waits_any_more(void **state)
{
	struct sim *sim = *state;

	start_rolling(sim, 1);
	sim_rule(sim, 0, 0)->ready_after = 1 * SEC;
	sim_reload(sim, 1);
	sim_reload(sim, 2);
	sim_caller_gone(sim, 1);
	sim_caller_gone(sim, 2);
	sim_caller_gone(sim, 3); /* never was */
	sim_caller_gone(sim, 0);
	sim_run(sim, 10 * SEC);
	assert_int_equal(sim_serving(sim, 0, 3), 1); /* done all the same, both */
	assert_int_equal(sim_count(sim, ORDER_ANSWER, CORE_NONE), 0);
}

static void abort_while_queued(void **state)
{
	struct sim *sim = *state;

	start_rolling(sim, 1);
	sim_rule(sim, 0, 0)->ready_after = 1 * SEC;
	sim_reload(sim, 1);
	ask(sim, (struct request){.id = 2, .abort_on_disconnect = true});
	sim_caller_gone(sim, 2);
	sim_run(sim, 10 * SEC);
	assert_int_equal(sim_serving(sim, 0, 2), 1); /* only the first */
}

/* Gone while the configuration was read: it must not be committed behind anybody's back. */
static void abort_while_prepared(void **state)
{
	struct sim *sim = *state;
	struct pool_params params = sim_params(1);

	check_start(sim, 1);
	sim->prepare_after = 1 * SEC;
	ask(sim, (struct request){.id = 1, .abort_on_disconnect = true});
	sim_caller_gone(sim, 1);
	sim_change(sim, 0, CHANGE_ROLL);
	sim_add(sim, &params);
	sim_run(sim, 10 * SEC);
	assert_int_equal(sim_count(sim, ORDER_SPAWN, CORE_NONE), 0);
	assert_int_equal(sim_last(sim, ORDER_UNDO)->cause, CAUSE_CALLER_GONE);
	assert_int_equal(sim_serving(sim, 0, 1), 1);
	assert_int_equal(sim_pool(sim, 1)->state, POOL_FREE);
	assert_int_equal(sim_count(sim, ORDER_POOL_GONE, 1), 1);
	assert_int_equal(sim->instance->transaction.state, TRANSACTION_NONE);
}

static void abort_while_rolling(void **state)
{
	struct sim *sim = *state;

	start_rolling(sim, 2);
	sim_rule(sim, 0, 2)->ready_after = 5 * SEC;
	ask(sim, (struct request){.id = 1, .abort_on_disconnect = true});
	ask(sim, (struct request){.id = 2});
	sim_run(sim, 1 * SEC);
	sim_caller_gone(sim, 1);
	assert_int_equal(sim_last(sim, ORDER_UNDO)->cause, CAUSE_CALLER_GONE);
	assert_int_equal(sim_serving(sim, 0, 1), 2);
	sim_run(sim, 10 * SEC); /* the one that waited has its turn */
	assert_int_equal(sim_answers(sim, 2, RESULT_COMMITTED), 1);
	assert_int_equal(sim_serving(sim, 0, 3), 2);
}

/* As long as one of them waits, or does not mind, it goes on. */
static void abort_only_if_all_agree(void **state)
{
	struct sim *sim = *state;

	start_rolling(sim, 1);
	sim_rule(sim, 0, 0)->ready_after = 1 * SEC;
	sim_reload(sim, 1);
	ask(sim, (struct request){.id = 2, .abort_on_disconnect = true});
	ask(sim, (struct request){.id = 3, .abort_on_disconnect = true});
	ask(sim, (struct request){.id = 4});
	sim_run(sim, 1500 * MSEC);
	assert_int_equal(sim->instance->transaction.number, 3);
	sim_caller_gone(sim, 2);
	sim_caller_gone(sim, 4); /* he said nothing of an abort */
	sim_caller_gone(sim, 3);
	sim_run(sim, 10 * SEC);
	assert_int_equal(sim_serving(sim, 0, 3), 1);
	ask(sim, (struct request){.id = 5, .abort_on_disconnect = true});
	sim_run(sim, 10 * SEC);
	assert_int_equal(sim_answers(sim, 5, RESULT_COMMITTED), 1);
	sim_caller_gone(sim, 5); /* too late to mean anything */
	assert_int_equal(sim_serving(sim, 0, 4), 1);
}

/* ---- wait = drained ---- */

static void committed_and_then_drained(void **state)
{
	struct sim *sim = *state;

	sim_rule(sim, 0, 1)->quit_after = 4 * SEC;
	start_rolling(sim, 2);
	ask(sim, (struct request){.id = 1, .wait_drained = true});
	ask(sim, (struct request){.id = 2});
	sim_run(sim, 1 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
	assert_int_equal(sim_answers(sim, 1, RESULT_DRAINED), 0);
	sim_run(sim, 3 * SEC - 1 * MSEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_DRAINED), 0);
	sim_run(sim, 10 * MSEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_DRAINED), 1);
	assert_int_equal(sim_answers(sim, 2, RESULT_DRAINED), 0);
}

static void nothing_to_wait_for(void **state)
{
	struct sim *sim = *state;

	check_start(sim, 1);
	ask(sim, (struct request){.id = 1, .wait_drained = true});
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
	assert_int_equal(sim_answers(sim, 1, RESULT_DRAINED), 1);
}

/* Who begins to leave later is not waited for. */
static void later_drains_are_others(void **state)
{
	struct sim *sim = *state;

	sim_rule(sim, 0, 1)->quit_after = 2 * SEC;
	sim_rule(sim, 0, 2)->quit_after = NEVER;
	start_rolling(sim, 1);
	ask(sim, (struct request){.id = 1, .wait_drained = true});
	sim_run(sim, 100 * MSEC);
	ask(sim, (struct request){.id = 2, .wait_drained = true});
	sim_run(sim, 2 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_DRAINED), 1);
	assert_int_equal(sim_answers(sim, 2, RESULT_COMMITTED), 1);
	assert_int_equal(sim_answers(sim, 2, RESULT_DRAINED), 0);
	sim_run(sim, 10 * SEC);
	assert_int_equal(sim_answers(sim, 2, RESULT_DRAINED), 1);
}

static void who_waits_for_drains_may_go(void **state)
{
	struct sim *sim = *state;

	sim_rule(sim, 0, 1)->quit_after = 2 * SEC;
	start_rolling(sim, 1);
	ask(sim, (struct request){.id = 1, .wait_drained = true, .abort_on_disconnect = true});
	sim_run(sim, 100 * MSEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
	sim_caller_gone(sim, 1);
	sim_run(sim, 10 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_DRAINED), 0);
	assert_int_equal(sim_serving(sim, 0, 2), 1);
}

static void a_failed_one_is_not_waited_for(void **state)
{
	struct sim *sim = *state;

	start_rolling(sim, 1);
	sim_rule(sim, 0, 2)->spawn_fails = true;
	ask(sim, (struct request){.id = 1, .wait_drained = true});
	sim_run(sim, 10 * SEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_FAILED), 1);
	assert_int_equal(sim_count(sim, ORDER_ANSWER, CORE_NONE), 1);
}

/* ---- a stop ---- */

static void a_stop_answers_everybody(void **state)
{
	struct sim *sim = *state;

	sim_rule(sim, 0, 1)->quit_after = NEVER;
	start_rolling(sim, 1);
	ask(sim, (struct request){.id = 1, .wait_drained = true});
	sim_run(sim, 100 * MSEC);
	sim_rule(sim, 0, 3)->ready_after = NEVER;
	ask(sim, (struct request){.id = 2, .wait_drained = true});
	ask(sim, (struct request){.id = 3});
	ask(sim, (struct request){.id = 4});
	sim_caller_gone(sim, 3);
	sim_forget(sim);
	sim_simple(sim, EVENT_STOP);
	assert_int_equal(sim_answers(sim, 1, RESULT_STOPPING), 1);
	assert_int_equal(sim_answers(sim, 2, RESULT_STOPPING), 1);
	assert_int_equal(sim_answers(sim, 3, RESULT_STOPPING), 0);
	assert_int_equal(sim_answers(sim, 4, RESULT_STOPPING), 1);
	assert_int_equal(sim_last(sim, ORDER_UNDO)->cause, CAUSE_STOPPING);
	sim_reload(sim, 5);
	assert_int_equal(sim_answers(sim, 5, RESULT_STOPPING), 1);
	sim_run(sim, 20 * SEC);
	sim_reload(sim, 6);
	assert_int_equal(sim_answers(sim, 6, RESULT_STOPPING), 1);
}

/* What was being prepared is taken back, and comes too late. */
static void a_stop_while_it_is_prepared(void **state)
{
	struct sim *sim = *state;
	struct core_event late = {.kind = EVENT_PREPARED, .changes = sim->changes};

	start_rolling(sim, 1);
	sim->prepare_after = 1 * SEC;
	sim_reload(sim, 1);
	sim_simple(sim, EVENT_STOP);
	assert_int_equal(sim_last(sim, ORDER_UNDO)->cause, CAUSE_STOPPING);
	assert_int_equal(sim_answers(sim, 1, RESULT_STOPPING), 1);
	sim_change(sim, 0, CHANGE_ROLL);
	sim_deliver(sim, &late);
	late.kind = EVENT_PREPARE_FAILED;
	sim_deliver(sim, &late);
	assert_int_equal(sim_count(sim, ORDER_SPAWN, CORE_NONE), 0);
	assert_int_equal(sim_count(sim, ORDER_ANSWER, CORE_NONE), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    STORY(one_answer_each),
	    STORY(what_cannot_be_prepared_changes_nothing),
	    STORY(nothing_to_do_is_done_at_once),
	    STORY(in_the_background),
	    STORY(asked_for_before_the_start_is_over),
	    STORY(later_ones_join),
	    STORY(too_late_to_join),
	    STORY(others_take_turns),
	    STORY(a_thousand_in_the_background_are_one),
	    STORY(too_many),
	    STORY(nobody_waits_any_more),
	    STORY(abort_while_queued),
	    STORY(abort_while_prepared),
	    STORY(abort_while_rolling),
	    STORY(abort_only_if_all_agree),
	    STORY(committed_and_then_drained),
	    STORY(nothing_to_wait_for),
	    STORY(later_drains_are_others),
	    STORY(who_waits_for_drains_may_go),
	    STORY(a_failed_one_is_not_waited_for),
	    STORY(a_stop_answers_everybody),
	    STORY(a_stop_while_it_is_prepared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
