/*
 * test_core_scale.c - thousands of workers: what a start, a reload and a stop cost grows with their
 * number, and no faster. Counted in steps and orders; times are told, and not judged.
 */
#include "core_story.h"

#include <time.h>

struct cost {
	uint64_t steps;
	size_t orders;
	double msec;
};

static double msec_of_cpu(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1000 + (double)ts.tv_nsec / 1000000;
}

static void begin_count(struct sim *sim, struct cost *cost)
{
	sim_forget(sim);
	cost->steps = sim->steps;
	cost->msec = msec_of_cpu();
}

static void end_count(const struct sim *sim, struct cost *cost)
{
	cost->msec = msec_of_cpu() - cost->msec;
	cost->steps = sim->steps - cost->steps;
	cost->orders = sim->n_log;
}

static void tell(const char *what, uint32_t workers, const struct cost *cost)
{
	print_message("%-18s %6u workers: %7llu steps, %7zu orders, %7.1f ms, %.2f us a worker\n",
		      what, workers, (unsigned long long)cost->steps, cost->orders, cost->msec,
		      cost->msec * 1000 / workers);
}

/* A start, a reload with max_surge, a reload that fails at its last worker, and a stop. */
static void simulate(uint32_t workers, uint32_t surge, struct cost costs[static 4])
{
	struct sim *sim = sim_new(3 * workers + 16, 1);
	struct pool_params params = sim_params(workers);

	params.max_processes = 3 * workers;
	params.progress_timeout = NEVER;
	sim_add(sim, &params);
	begin_count(sim, &costs[0]);
	sim_start(sim);
	sim_run(sim, 1 * SEC);
	end_count(sim, &costs[0]);
	assert_int_equal(sim_serving(sim, 0, 1), workers);

	sim_change(sim, 0, CHANGE_ROLL)->params.max_surge = surge;
	sim_provide(sim);
	begin_count(sim, &costs[1]);
	sim_reload(sim, 1);
	sim_run(sim, 3600 * SEC);
	end_count(sim, &costs[1]);
	assert_int_equal(sim_answers(sim, 1, RESULT_COMMITTED), 1);
	assert_int_equal(sim_serving(sim, 0, 2), workers);
	assert_int_equal(sim_pool(sim, 0)->live, workers);

	sim_rule(sim, 0, 3)->ready_after = NEVER;
	sim_change(sim, 0, CHANGE_ROLL);
	begin_count(sim, &costs[2]);
	sim_reload(sim, 2);
	sim_run(sim, 3600 * SEC);
	end_count(sim, &costs[2]);
	assert_int_equal(sim_answers(sim, 2, RESULT_FAILED), 1);
	assert_int_equal(sim_serving(sim, 0, 2), workers);

	begin_count(sim, &costs[3]);
	sim_simple(sim, EVENT_STOP);
	sim_run(sim, 3600 * SEC);
	end_count(sim, &costs[3]);
	assert_int_equal(sim_count(sim, ORDER_EXIT, CORE_NONE), 1);
	assert_int_equal(instance_live(sim->instance), 0);
	sim_free(sim);
}

/* surge 0: all. */
static void compare(uint32_t surge)
{
	static const char *const names[] = {"start", "reload", "reload that fails", "stop"};
	struct cost few[4], many[4];

	simulate(1000, surge > 0 ? surge : 1000, few);
	simulate(10000, surge > 0 ? surge : 10000, many);
	for (int n = 0; n < 4; n++) {
		tell(names[n], 1000, &few[n]);
		tell(names[n], 10000, &many[n]);
		/* ten times the workers: ten times the steps and orders, and a few more */
		assert_true(many[n].steps <= 10 * few[n].steps + 100);
		assert_true(many[n].orders <= 10 * few[n].orders + 100);
	}
}

static void all_at_once(void **state)
{
	(void)state;
	compare(0);
}

static void ten_at_a_time(void **state)
{
	(void)state;
	compare(10);
}

/* All of them crash at one moment, and again as soon as they are back: bounded work in each step.
 */
static void all_crash_together(void **state)
{
	enum { WORKERS = 10000 };
	struct sim *sim = sim_new(3 * WORKERS, 1);
	struct pool_params params = sim_params(WORKERS);
	struct cost cost;

	(void)state;
	sim_add(sim, &params);
	sim_start(sim);
	sim_run(sim, 1 * SEC);
	sim_rule(sim, 0, 0)->exit_after = 0;
	begin_count(sim, &cost);
	for (uint32_t s = 0; s < WORKERS; s++)
		sim_end(sim, sim_process(sim, &sim_current(sim, 0, s)->ref), false);
	sim_run(sim, 60 * SEC);
	end_count(sim, &cost);
	tell("crash loops", WORKERS, &cost);
	assert_int_equal(sim_count(sim, ORDER_CRASH_LOOP, 0), WORKERS);
	assert_in_range(sim_count(sim, ORDER_SPAWN, 0), 5 * WORKERS, 9 * WORKERS);
	assert_true(sim->plan_most < 200); /* of 1000 */
	sim_rule(sim, 0, 0);
	sim_run(sim, 40 * SEC);
	assert_int_equal(sim_serving(sim, 0, 1), WORKERS);
	sim_simple(sim, EVENT_STOP_NOW);
	assert_int_equal(instance_live(sim->instance), 0);
	sim_free(sim);
}

/* All hang at one moment: many steps, each of a bounded size. */
static void all_hang_together(void **state)
{
	enum { WORKERS = 10000 };
	struct sim *sim = sim_new(3 * WORKERS, 1);
	struct pool_params params = sim_params(WORKERS);
	struct cost cost;

	(void)state;
	params.watchdog = 10 * SEC;
	sim_add(sim, &params);
	sim_start(sim);
	sim_run(sim, 1 * SEC);
	sim_rule(sim, 0, 0)->ping_every = 5 * SEC;
	sim->order_most = 0;
	begin_count(sim, &cost);
	sim_run(sim, 10 * SEC);
	end_count(sim, &cost);
	tell("hangs", WORKERS, &cost);
	assert_int_equal(sim_entered(sim, 0, WORKER_DUMPING), WORKERS);
	assert_int_equal(sim_count(sim, ORDER_KILL, 0), WORKERS);
	assert_true(sim->order_most <= 256 * 6);
	assert_int_equal(sim_serving(sim, 0, 1), WORKERS);
	sim_simple(sim, EVENT_STOP_NOW);
	sim_free(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(all_at_once),
	    cmocka_unit_test(ten_at_a_time),
	    cmocka_unit_test(all_crash_together),
	    cmocka_unit_test(all_hang_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
