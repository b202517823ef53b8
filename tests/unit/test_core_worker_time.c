/* test_core_worker_time.c - a worker's deadlines: start, watchdog, budget, dump, kill. */
#include "core_worker.h"

static void begin_orders_a_process(void **state)
{
	struct pool_params numbers = params;
	struct worker worker;

	(void)state;
	to_ordered(&worker, &numbers);
	assert_string_equal(plan_words(), "gone>starting spawn");
	assert_int_equal(worker.ref.serial, 1);
	assert_true(worker_is_live(&worker) && !worker_is_leaving(&worker));
	assert_int_equal(worker_deadline(&worker), NOW + 30 * SEC);
	/* the order waits longer than a start may take: that is not the worker's fault */
	step(&worker, WORKER_EVENT_TIME, 0, END_NONE, NOW + 30 * SEC);
	assert_int_equal(worker.state, WORKER_STARTING);
	assert_int_equal(worker_deadline(&worker), NOW + 60 * SEC);
	/* its time begins with its process */
	step(&worker, WORKER_EVENT_SPAWNED, 0, END_NONE, NOW + 40 * SEC);
	assert_int_equal(worker_deadline(&worker), NOW + 70 * SEC);
}

/* Where time is all that readiness asks for, it is the program's time. */
static void delay_begins_with_the_program(void **state)
{
	struct pool_params numbers = params;
	struct worker worker;

	(void)state;
	numbers.ready_delay = 0;
	to_ordered(&worker, &numbers);
	step(&worker, WORKER_EVENT_EXECUTED, 0, END_NONE, NOW); /* of whom? */
	assert_int_equal(worker_deadline(&worker), NOW + 30 * SEC);
	step(&worker, WORKER_EVENT_SPAWNED, 0, END_NONE, NOW);
	assert_int_equal(worker_deadline(&worker), NOW + 30 * SEC);
	step(&worker, WORKER_EVENT_EXECUTED, 0, END_NONE, NOW + 2 * SEC);
	assert_int_equal(worker_deadline(&worker), NOW + 2 * SEC);
	step(&worker, WORKER_EVENT_TIME, 0, END_NONE, NOW + 2 * SEC);
	assert_int_equal(worker.state, WORKER_SERVING);
}

static void a_new_use_has_a_new_serial(void **state)
{
	struct pool_params numbers = params;
	struct worker worker;

	(void)state;
	to_serving(&worker, &numbers);
	step(&worker, WORKER_EVENT_EXITED, 0, END_NONE, NOW);
	assert_false(worker_is_live(&worker));
	assert_int_equal(worker_deadline(&worker), USEC_INFINITY);
	plan.n = 0;
	worker_begin(&worker, 4, 8, &numbers, NOW, &plan);
	assert_int_equal(worker.ref.serial, 2);
	assert_int_equal(worker.reason, END_NONE);
	assert_false(worker.spawned || worker.signalled);
}

/* Nothing of a former use is left: this one was not told to go yet. */
static void a_new_use_forgets_the_former(void **state)
{
	struct pool_params numbers = params;
	struct worker worker;

	(void)state;
	to_told(&worker, &numbers);
	step(&worker, WORKER_EVENT_EXITED, 0, END_NONE, NOW);
	plan.n = 0;
	worker_begin(&worker, 3, 8, &numbers, NOW, &plan);
	step(&worker, WORKER_EVENT_DRAIN, 1 * SEC, END_STOP, NOW);
	assert_string_equal(plan_words(), "starting>gone:stop"); /* it has no process */
	plan.n = 0;
	worker_begin(&worker, 3, 8, &numbers, NOW, &plan);
	step(&worker, WORKER_EVENT_SPAWNED, 0, END_NONE, NOW);
	step(&worker, WORKER_EVENT_STOPPING, 0, END_NONE, NOW);
	step(&worker, WORKER_EVENT_DRAIN, 1 * SEC, END_STOP, NOW);
	assert_string_equal(plan_words(), "signal:15/1000");
}

static void start_may_be_extended_to_a_limit(void **state)
{
	struct pool_params numbers = params;
	struct worker worker;

	(void)state;
	to_starting(&worker, &numbers);
	step(&worker, WORKER_EVENT_EXTEND, 45 * SEC, END_NONE, NOW);
	assert_int_equal(worker_deadline(&worker), NOW + 45 * SEC);
	step(&worker, WORKER_EVENT_EXTEND, 1 * SEC, END_NONE, NOW); /* never shorter */
	assert_int_equal(worker_deadline(&worker), NOW + 45 * SEC);
	step(&worker, WORKER_EVENT_EXTEND, USEC_INFINITY, END_NONE, NOW + 10 * SEC);
	assert_int_equal(worker_deadline(&worker), NOW + 60 * SEC); /* progress_timeout */
	/* before there is a process, and where readiness is a matter of time, it means nothing */
	to_ordered(&worker, &numbers);
	step(&worker, WORKER_EVENT_EXTEND, 45 * SEC, END_NONE, NOW);
	assert_int_equal(worker_deadline(&worker), NOW + 30 * SEC);
	to_delayed(&worker, &numbers);
	step(&worker, WORKER_EVENT_EXTEND, 45 * SEC, END_NONE, NOW);
	assert_int_equal(worker_deadline(&worker), NOW + 2 * SEC);
}

static void drain_has_a_budget(void **state)
{
	struct pool_params numbers = params;
	struct worker worker;

	(void)state;
	to_serving(&worker, &numbers);
	step(&worker, WORKER_EVENT_DRAIN, 6 * SEC, END_RELOAD, NOW + 1 * SEC);
	assert_int_equal(worker_deadline(&worker), NOW + 7 * SEC);
	assert_int_equal(orders[0].usec, 6 * SEC);
	assert_true(worker_is_leaving(&worker));
	/* it asks for more: up to drain_extend_max */
	step(&worker, WORKER_EVENT_EXTEND, 7 * SEC, END_NONE, NOW + 1 * SEC);
	assert_int_equal(worker_deadline(&worker), NOW + 8 * SEC);
	step(&worker, WORKER_EVENT_EXTEND, 1 * SEC, END_NONE, NOW + 1 * SEC);
	assert_int_equal(worker_deadline(&worker), NOW + 8 * SEC);
	step(&worker, WORKER_EVENT_EXTEND, 100 * SEC, END_NONE, NOW + 8 * SEC);
	assert_int_equal(worker_deadline(&worker), NOW + 9 * SEC);
	step(&worker, WORKER_EVENT_EXTEND, USEC_INFINITY, END_NONE, NOW + 9 * SEC);
	assert_int_equal(worker_deadline(&worker), NOW + 9 * SEC);
}

static void a_second_reason_can_only_shorten(void **state)
{
	struct pool_params numbers = params;
	struct worker worker;

	(void)state;
	to_told(&worker, &numbers); /* until NOW + 6 s, at most 8 s */
	step(&worker, WORKER_EVENT_DRAIN, 60 * SEC, END_STOP, NOW);
	assert_int_equal(worker_deadline(&worker), NOW + 6 * SEC);
	assert_int_equal(worker.reason, END_STOP);
	step(&worker, WORKER_EVENT_DRAIN, 1 * SEC, END_STOP, NOW);
	assert_int_equal(worker_deadline(&worker), NOW + 1 * SEC);
	step(&worker, WORKER_EVENT_EXTEND, 60 * SEC, END_NONE, NOW);
	assert_int_equal(worker_deadline(&worker), NOW + 3 * SEC); /* 1 s + drain_extend_max */
	/* who goes by his own wish is told once, and then no more */
	to_wishing(&worker, &numbers);
	step(&worker, WORKER_EVENT_DRAIN, 1 * SEC, END_STOP, NOW);
	assert_int_equal(worker_deadline(&worker), NOW + 1 * SEC);
	assert_string_equal(plan_words(), "signal:15/1000");
	step(&worker, WORKER_EVENT_DRAIN, 1 * SEC, END_STOP, NOW);
	assert_string_equal(plan_words(), "");
}

static void escalation_ends_in_kills(void **state)
{
	struct pool_params numbers = params;
	struct worker worker;

	(void)state;
	to_told_dump(&worker, &numbers);
	step(&worker, WORKER_EVENT_TIME, 0, END_NONE, NOW + 6 * SEC);
	assert_int_equal(worker_deadline(&worker), NOW + 6500 * MSEC);
	step(&worker, WORKER_EVENT_EXTEND, 60 * SEC, END_NONE, NOW + 6 * SEC); /* too late */
	assert_int_equal(worker_deadline(&worker), NOW + 6500 * MSEC);
	step(&worker, WORKER_EVENT_TIME, 0, END_NONE, NOW + 6500 * MSEC);
	assert_int_equal(worker.state, WORKER_KILLED);
	assert_int_equal(worker_deadline(&worker), NOW + 6500 * MSEC + WORKER_KILL_AGAIN);
	step(&worker, WORKER_EVENT_TIME, 0, END_NONE, NOW + 12 * SEC);
	assert_string_equal(plan_words(), "killed>killed:reload kill");
	assert_int_equal(worker_deadline(&worker), NOW + 12 * SEC + WORKER_KILL_AGAIN);
	step(&worker, WORKER_EVENT_EXITED, 0, END_NONE, NOW + 13 * SEC);
	assert_int_equal(worker.state, WORKER_GONE);
}

static void watchdog_counts_from_the_last_ping(void **state)
{
	struct pool_params numbers = params;
	struct worker worker;

	(void)state;
	to_serving(&worker, &numbers);
	assert_int_equal(worker_deadline(&worker), USEC_INFINITY);
	step(&worker, WORKER_EVENT_PING, 0, END_NONE, NOW); /* nobody asked for it */
	assert_int_equal(worker_deadline(&worker), USEC_INFINITY);
	numbers.watchdog = 10 * SEC;
	to_serving(&worker, &numbers);
	assert_int_equal(worker_deadline(&worker), NOW + 10 * SEC);
	step(&worker, WORKER_EVENT_PING, 0, END_NONE, NOW + 4 * SEC);
	assert_int_equal(worker_deadline(&worker), NOW + 14 * SEC);
	step(&worker, WORKER_EVENT_SET_WATCHDOG, 20 * SEC, END_NONE, NOW + 5 * SEC);
	assert_int_equal(worker_deadline(&worker), NOW + 25 * SEC);
	step(&worker, WORKER_EVENT_PING, 0, END_NONE, NOW + 6 * SEC);
	assert_int_equal(worker_deadline(&worker), NOW + 26 * SEC);
	step(&worker, WORKER_EVENT_SET_WATCHDOG, 0, END_NONE, NOW + 7 * SEC);
	assert_int_equal(worker_deadline(&worker), USEC_INFINITY);
	/* one that is held has to live, too; and to say that it accepts, once it can */
	numbers.watchdog = 10 * SEC;
	to_held(&worker, &numbers);
	assert_int_equal(worker_deadline(&worker), NOW + 10 * SEC);
	numbers.watchdog = 40 * SEC;
	to_released(&worker, &numbers);
	assert_int_equal(worker_deadline(&worker), NOW + 30 * SEC);
	numbers.held = false;
	/* set while it starts, it counts from readiness on */
	to_starting(&worker, &numbers);
	step(&worker, WORKER_EVENT_SET_WATCHDOG, 3 * SEC, END_NONE, NOW);
	step(&worker, WORKER_EVENT_READY, 0, END_NONE, NOW + 1 * SEC);
	assert_int_equal(worker_deadline(&worker), NOW + 4 * SEC);
	/* who drains is not watched: its budget is near enough */
	step(&worker, WORKER_EVENT_DRAIN, 6 * SEC, END_RELOAD, NOW + 2 * SEC);
	assert_int_equal(worker_deadline(&worker), NOW + 8 * SEC);
}

static void new_numbers_leave_promises_alone(void **state)
{
	struct pool_params numbers = params, later = params;
	struct worker worker;

	(void)state;
	numbers.watchdog = 10 * SEC;
	to_serving(&worker, &numbers);
	step(&worker, WORKER_EVENT_SET_WATCHDOG, 60 * SEC, END_NONE, NOW);
	later.watchdog = 1 * SEC;
	later.ready_delay = 5 * SEC;
	later.drain_timeout = 1 * SEC;
	later.stop_timeout = 2 * SEC;
	later.drain_extend_max = 3 * SEC;
	later.dump_timeout = 4 * SEC;
	later.drain_signal = 10;
	later.dump_signal = 12;
	worker_timing_update(&worker.timing, &later);
	assert_int_equal(worker.timing.watchdog, 60 * SEC);
	assert_int_equal(worker.timing.ready_delay, USEC_INFINITY);
	assert_int_equal(worker.timing.drain_timeout, 1 * SEC);
	assert_int_equal(worker.timing.stop_timeout, 2 * SEC);
	assert_int_equal(worker.timing.drain_extend_max, 3 * SEC);
	assert_int_equal(worker.timing.dump_timeout, 4 * SEC);
	assert_int_equal(worker.timing.drain_signal, 10);
	assert_int_equal(worker.timing.dump_signal, 12);
}

static void signals_carry_what_is_left(void **state)
{
	struct pool_params numbers = params;
	struct worker worker;

	(void)state;
	to_serving(&worker, &numbers);
	step(&worker, WORKER_EVENT_DRAIN, USEC_INFINITY, END_RELOAD, NOW);
	assert_int_equal(orders[1].value, INT32_MAX);
	assert_int_equal(worker_deadline(&worker), USEC_INFINITY);
	to_serving(&worker, &numbers);
	step(&worker, WORKER_EVENT_DRAIN, 0, END_RELOAD, NOW);
	assert_int_equal(orders[1].value, 0);
	assert_int_equal(worker_deadline(&worker), NOW);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(begin_orders_a_process),
	    cmocka_unit_test(delay_begins_with_the_program),
	    cmocka_unit_test(a_new_use_has_a_new_serial),
	    cmocka_unit_test(a_new_use_forgets_the_former),
	    cmocka_unit_test(start_may_be_extended_to_a_limit),
	    cmocka_unit_test(drain_has_a_budget),
	    cmocka_unit_test(a_second_reason_can_only_shorten),
	    cmocka_unit_test(escalation_ends_in_kills),
	    cmocka_unit_test(watchdog_counts_from_the_last_ping),
	    cmocka_unit_test(new_numbers_leave_promises_alone),
	    cmocka_unit_test(signals_carry_what_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
