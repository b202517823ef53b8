/* test_core_sockets.c - other sockets for workers that stay: told of them, waited for, or told that
 * all is as before. */
#include "core_check.h"

static struct sim_script *start_answering(struct sim *sim, uint32_t workers, usec_t after)
{
	struct sim_script *script = sim_rule(sim, 0, 0);

	script->answers = true;
	script->accepts_after = after;
	check_start(sim, workers);
	return script;
}

static struct pool_change *other_sockets(struct sim *sim)
{
	struct pool_change *change = sim_change(sim, 0, CHANGE_SOCKETS);

	change->tell = true;
	sim_provide(sim);
	return change;
}

/* Committed when the last of them has answered; nobody is replaced. */
static void all_have_taken_them(void **state)
{
	struct sim *sim = *state;

	start_answering(sim, 3, 500 * MSEC);
	other_sockets(sim)->params.drain_timeout = 9 * SEC;
	sim_reload(sim, 1);
	assert_int_equal(sim_count(sim, ORDER_SEND_SOCKETS, 0), 3);
	assert_true(sim_last(sim, ORDER_SEND_SOCKETS)->next);
	assert_int_equal(sim_pool(sim, 0)->rollout.state, ROLLOUT_TELLING);
	sim_run(sim, 499 * MSEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 0);
	sim_run(sim, 1 * MSEC);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
	assert_int_equal(sim_serving(sim, 0, 1), 3);
	assert_int_equal(sim_count(sim, ORDER_SPAWN, 0), 0);
	assert_int_equal(sim_count(sim, ORDER_SIGNAL, 0), 0);
	assert_int_equal(sim_pool(sim, 0)->params.drain_timeout, 9 * SEC);
	assert_int_equal(sim_current(sim, 0, 0)->timing.drain_timeout, 9 * SEC);
	assert_int_equal(instance_deadline(sim->instance), NEVER);
}

/* Some are only taken away: that is told behind the commit, for which nobody has to be waited for.
 */
static void nothing_new_to_take(void **state)
{
	struct sim *sim = *state;

	start_answering(sim, 2, NEVER);
	other_sockets(sim)->tell = false;
	sim_reload(sim, 1);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
	assert_int_equal(sim_count(sim, ORDER_SEND_SOCKETS, 0), 0);
}

static void silence_fails_it(void **state)
{
	struct sim *sim = *state;

	start_answering(sim, 3, NEVER);
	other_sockets(sim);
	sim_reload(sim, 1);
	sim_tell(sim, &sim_current(sim, 0, 1)->ref, WORKER_EVENT_ACCEPTING);
	sim_run(sim, 30 * SEC - 1);
	assert_int_equal(sim_answers(sim, 1, RESULT_FAILED), 0);
	sim_run(sim, 1);
	assert_int_equal(sim_answers(sim, 1, RESULT_FAILED), 1);
	assert_int_equal(sim_last(sim, ORDER_UNDO)->cause, CAUSE_NOT_TAKEN);
	assert_int_not_equal(sim_last(sim, ORDER_UNDO)->worker.index,
			     sim_current(sim, 0, 1)->ref.index);
	assert_int_equal(sim_serving(sim, 0, 1), 3);
	assert_int_equal(sim_count(sim, ORDER_SIGNAL, 0), 0);
	/* what comes now, comes too late */
	sim_tell(sim, &sim_current(sim, 0, 0)->ref, WORKER_EVENT_ACCEPTING);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 0);
	assert_int_equal(instance_deadline(sim->instance), NEVER);
}

/* One that ends over it is replaced as after any crash, with the sockets that it had. */
static void an_end_fails_it(void **state)
{
	struct sim *sim = *state;

	start_answering(sim, 2, 500 * MSEC);
	other_sockets(sim);
	sim_reload(sim, 1);
	sim_crash(sim, 0, 0);
	assert_int_equal(sim_answers(sim, 1, RESULT_FAILED), 1);
	assert_int_equal(sim_last(sim, ORDER_UNDO)->cause, CAUSE_EXITED);
	sim_run(sim, 2 * SEC);
	assert_int_equal(sim_serving(sim, 0, 1), 2);
}

/* Nobody is told before the first batch of every other pool serves. */
static void told_at_the_gate(void **state)
{
	struct sim *sim = *state;
	struct sim_script *script = sim_rule(sim, 0, 0);

	script->answers = true;
	check_start_two(sim, 2, 1);
	sim_rule(sim, 1, 2)->ready_after = 1 * SEC;
	other_sockets(sim);
	check_roll(sim, 1);
	sim_reload(sim, 1);
	sim_run(sim, 1 * SEC - 1);
	assert_int_equal(sim_count(sim, ORDER_SEND_SOCKETS, 0), 0);
	sim_run(sim, 1);
	assert_int_equal(sim_count(sim, ORDER_SEND_SOCKETS, 0), 2);
	sim_run(sim, 1);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
}

/* A slot that is empty, or whose worker is not ready yet, has nobody to be told. */
static void only_who_serves_is_told(void **state)
{
	struct sim *sim = *state;
	struct sim_script *script = start_answering(sim, 3, 0);

	script->ready_after = 5 * SEC;
	sim_crash(sim, 0, 2);
	sim_run(sim, 1 * SEC);
	sim_forget(sim);
	other_sockets(sim);
	sim_reload(sim, 1);
	assert_int_equal(sim_count(sim, ORDER_SEND_SOCKETS, 0), 2);
	sim_run(sim, 0);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
	sim_run(sim, 10 * SEC);
	assert_int_equal(sim_serving(sim, 0, 1), 3);
}

static void a_stop_ends_it(void **state)
{
	struct sim *sim = *state;

	start_answering(sim, 2, NEVER);
	other_sockets(sim);
	sim_reload(sim, 1);
	sim_simple(sim, EVENT_STOP);
	assert_int_equal(sim_answers(sim, 1, RESULT_STOPPING), 1);
}

/* One that is asked holds its slot only until another one is back there, after a restart that
 * failed: it goes, and nobody waits for its answer. */
static void who_is_let_go_need_not_answer(void **state)
{
	struct sim *sim = *state;
	struct sim_script *script = start_answering(sim, 1, 60 * SEC);
	struct pool_params params = sim_params(1);
	uint32_t other = sim_add(sim, &params);
	struct worker *fresh;

	sim_reload(sim, 1);
	sim_run(sim, 1 * SEC);
	sim_change(sim, 0, CHANGE_SLOT)->reason = END_RESTART;
	sim_provide(sim);
	check_roll(sim, other)->start_timeout = 10 * SEC;
	sim_rule(sim, other, 0)->ready_after = NEVER;
	sim_reload(sim, 2);
	sim_run(sim, 1 * SEC); /* the new one of the slot waits for the other pool */
	fresh = sim_successor(sim, 0, 0);
	script->ready_after = 25 * SEC;
	sim_crash(sim, 0, 0);
	sim_run(sim, 12 * SEC);
	assert_int_equal(sim_answers(sim, 2, RESULT_FAILED), 1);
	assert_ptr_equal(sim_current(sim, 0, 0), fresh);
	assert_int_equal(sim_pool(sim, 0)->restoring, 1);
	other_sockets(sim)->params.start_timeout = 50 * SEC;
	sim_reload(sim, 3);
	assert_true(sim_current(sim, 0, 0)->asked);
	sim_run(sim, 15 * SEC);
	assert_int_equal(sim_pool(sim, 0)->restoring, 0);
	assert_int_equal(sim_answers(sim, 3, RESULT_COMMITTED), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    STORY(who_is_let_go_need_not_answer),
	    STORY(all_have_taken_them),
	    STORY(nothing_new_to_take),
	    STORY(silence_fails_it),
	    STORY(an_end_fails_it),
	    STORY(told_at_the_gate),
	    STORY(only_who_serves_is_told),
	    STORY(a_stop_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
