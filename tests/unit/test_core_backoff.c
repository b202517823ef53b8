/* test_core_backoff.c - waits between restarts: nothing, then doubling to a limit, with jitter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/backoff.h"

#define MSEC USEC_PER_MSEC
#define SEC  USEC_PER_SEC

/* Without jitter. */
static usec_t middle(const struct pool_params *params, uint32_t crashes)
{
	usec_t delay = params->restart_delay;

	if (crashes <= 1)
		return 0;
	for (uint32_t n = 2; n < crashes && delay < params->restart_delay_max; n++)
		delay = delay > USEC_INFINITY / 2 ? USEC_INFINITY : 2 * delay;
	return delay < params->restart_delay_max ? delay : params->restart_delay_max;
}

static void first_restart_is_immediate(void **state)
{
	struct pool_params params = {.restart_delay = 500 * MSEC, .restart_delay_max = 30 * SEC};
	uint64_t seed = 1;

	(void)state;
	assert_int_equal(backoff_delay(&params, 1, &seed), 0);
	assert_int_equal(backoff_delay(&params, 0, &seed), 0);
	assert_true(backoff_delay(&params, 2, &seed) > 0);
}

/* 500 ms, 1 s, 2 s, 4 s, 8 s, 16 s, 30 s, 30 s...; each a quarter up or down. */
static void it_doubles_up_to_the_limit(void **state)
{
	static const usec_t expected[] = {500 * MSEC, 1 * SEC,	2 * SEC,  4 * SEC,
					  8 * SEC,    16 * SEC, 30 * SEC, 30 * SEC};
	struct pool_params params = {.restart_delay = 500 * MSEC, .restart_delay_max = 30 * SEC};
	uint64_t seed = 99;

	(void)state;
	for (uint32_t n = 0; n < 8; n++) {
		assert_int_equal(middle(&params, n + 2), expected[n]);
		for (int i = 0; i < 1000; i++)
			assert_in_range(backoff_delay(&params, n + 2, &seed),
					expected[n] - expected[n] / 4,
					expected[n] + expected[n] / 4 + 1);
	}
	assert_in_range(backoff_delay(&params, UINT32_MAX, &seed), 22 * SEC, 38 * SEC);
}

/* Slots that crash together do not come back together: the whole width is used, evenly. */
static void jitter_spreads(void **state)
{
	struct pool_params params = {.restart_delay = 1 * SEC, .restart_delay_max = 1 * SEC};
	uint64_t seed = 7;
	uint32_t tenths[10] = {0};

	(void)state;
	for (int n = 0; n < 10000; n++) {
		usec_t delay = backoff_delay(&params, 2, &seed);

		tenths[(delay - 750 * MSEC) * 10 / (500 * MSEC + 1)]++;
	}
	for (int n = 0; n < 10; n++)
		assert_in_range(tenths[n], 800, 1200);
}

static void same_seed_same_waits(void **state)
{
	struct pool_params params = {.restart_delay = 1 * SEC, .restart_delay_max = 9 * SEC};
	uint64_t a = 5, b = 5, c = 6;
	bool differs = false;

	(void)state;
	for (uint32_t n = 0; n < 100; n++) {
		usec_t delay = backoff_delay(&params, n, &a);

		assert_int_equal(delay, backoff_delay(&params, n, &b));
		differs = differs || delay != backoff_delay(&params, n, &c);
	}
	assert_int_equal(a, b);
	assert_true(differs);
}

/* Nothing odd in a configuration makes it wrap round, or divide by nothing. */
static void extremes(void **state)
{
	static const usec_t values[] = {
	    0, 1, 2, 3, 4, 5, 1000, USEC_INFINITY / 2, USEC_INFINITY - 1, USEC_INFINITY};
	uint64_t seed = 3;

	(void)state;
	for (size_t i = 0; i < 10; i++)
		for (size_t j = 0; j < 10; j++)
			for (uint32_t crashes = 0; crashes < 80; crashes++) {
				struct pool_params params = {.restart_delay = values[i],
							     .restart_delay_max = values[j]};
				usec_t m = middle(&params, crashes);
				usec_t delay = backoff_delay(&params, crashes, &seed);

				assert_true(delay >= m - m / 4);
				assert_true(delay <= usec_add(m, m / 4 + 1));
			}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(first_restart_is_immediate),
	    cmocka_unit_test(it_doubles_up_to_the_limit),
	    cmocka_unit_test(jitter_spreads),
	    cmocka_unit_test(same_seed_same_waits),
	    cmocka_unit_test(extremes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
