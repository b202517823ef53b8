/* test_core_diff.c - what differs between two specifications, sets of names, files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/diff.h"

static const struct diff_item running[] = {
    {"command", "/usr/bin/api", DIFF_REPLACE}, {"workers", "4", DIFF_SCALE},
    {"drain_timeout", "6s", DIFF_UPDATE},      {"user", NULL, DIFF_REPLACE},
    {"status_listen", "", DIFF_RESTART},
};

#define N (sizeof(running) / sizeof(running[0]))

/* What a change of one value comes to. */
static void compare_with(size_t n, const char *value, struct diff *ret_diff)
{
	struct diff_item wanted[N];

	memcpy(wanted, running, sizeof(wanted));
	wanted[n].value = value;
	diff_items(running, N, wanted, N, ret_diff);
}

static void the_same_is_no_change(void **state)
{
	struct diff_item wanted[N];
	char copy[] = "/usr/bin/api";
	struct diff diff;

	(void)state;
	for (size_t n = 0; n < N; n++) /* another order */
		wanted[n] = running[N - 1 - n];
	wanted[N - 1].value = copy; /* the same text in another place */
	diff_items(running, N, wanted, N, &diff);
	assert_int_equal(diff.effect, DIFF_NONE);
	assert_int_equal(diff.n, 0);
	assert_int_equal(diff.total, 0);
	diff_items(NULL, 0, NULL, 0, &diff);
	assert_int_equal(diff.total, 0);
}

static void each_effect(void **state)
{
	struct diff diff;

	(void)state;
	for (size_t n = 0; n < N; n++) {
		compare_with(n, "other", &diff);
		assert_int_equal(diff.effect, running[n].effect);
		assert_int_equal(diff.n, 1);
		assert_int_equal(diff.total, 1);
		assert_string_equal(diff.changes[0].key, running[n].key);
		assert_ptr_equal(diff.changes[0].old_value, running[n].value);
		assert_string_equal(diff.changes[0].new_value, "other");
		assert_int_equal(diff.changes[0].effect, running[n].effect);
	}
	compare_with(0, NULL, &diff); /* unset again */
	assert_int_equal(diff.total, 1);
	assert_null(diff.changes[0].new_value);
}

static void the_strongest_counts(void **state)
{
	struct diff_item wanted[N];
	struct diff diff;

	(void)state;
	memcpy(wanted, running, sizeof(wanted));
	wanted[2].value = "7s";
	wanted[0].value = "/usr/bin/api2";
	wanted[1].value = "5";
	diff_items(running, N, wanted, N, &diff);
	assert_int_equal(diff.effect, DIFF_REPLACE);
	assert_int_equal(diff.total, 3);
	assert_string_equal(diff.changes[0].key, "command"); /* in the order of the running one */
	assert_string_equal(diff.changes[1].key, "workers");
	assert_string_equal(diff.changes[2].key, "drain_timeout");
	assert_true(DIFF_NONE < DIFF_UPDATE && DIFF_UPDATE < DIFF_SCALE &&
		    DIFF_SCALE < DIFF_SOCKETS && DIFF_SOCKETS < DIFF_REPLACE &&
		    DIFF_REPLACE < DIFF_RESTART);
}

/* Other sockets alone take no new workers where those that run can be told of them. */
static void sockets_alone(void **state)
{
	static const enum diff_effect all[] = {DIFF_NONE,    DIFF_UPDATE,  DIFF_SCALE,
					       DIFF_SOCKETS, DIFF_REPLACE, DIFF_RESTART};

	(void)state;
	for (int told = 0; told < 2; told++)
		for (int resized = 0; resized < 2; resized++)
			for (size_t n = 0; n < sizeof(all) / sizeof(all[0]); n++)
				assert_int_equal(diff_settle(all[n], told, resized),
						 all[n] != DIFF_SOCKETS ? all[n]
						 : told && !resized	? DIFF_SOCKETS
									: DIFF_REPLACE);
}

static void keys_on_one_side(void **state)
{
	struct diff_item wanted[] = {{"command", "/usr/bin/api", DIFF_REPLACE},
				     {"nice", "5", DIFF_REPLACE}};
	struct diff diff;

	(void)state;
	diff_items(running, 1, wanted, 2, &diff);
	assert_int_equal(diff.total, 1);
	assert_string_equal(diff.changes[0].key, "nice");
	assert_null(diff.changes[0].old_value);
	assert_string_equal(diff.changes[0].new_value, "5");
	assert_int_equal(diff.effect, DIFF_REPLACE);
	diff_items(wanted, 2, running, 1, &diff);
	assert_int_equal(diff.total, 1);
	assert_string_equal(diff.changes[0].old_value, "5");
	assert_null(diff.changes[0].new_value);
}

static void many_changes_are_counted(void **state)
{
	static char keys[2 * DIFF_CHANGES_MAX][8];
	static struct diff_item old_items[2 * DIFF_CHANGES_MAX], new_items[2 * DIFF_CHANGES_MAX];
	struct diff diff;

	(void)state;
	for (size_t n = 0; n < 2 * DIFF_CHANGES_MAX; n++) {
		snprintf(keys[n], sizeof(keys[n]), "k%zu", n);
		old_items[n] = (struct diff_item){keys[n], "a", DIFF_UPDATE};
		new_items[n] = (struct diff_item){keys[n], "b", DIFF_UPDATE};
	}
	new_items[2 * DIFF_CHANGES_MAX - 1].effect = DIFF_REPLACE; /* the last one counts too */
	diff_items(old_items, 2 * DIFF_CHANGES_MAX, new_items, 2 * DIFF_CHANGES_MAX, &diff);
	assert_int_equal(diff.n, DIFF_CHANGES_MAX);
	assert_int_equal(diff.total, 2 * DIFF_CHANGES_MAX);
	assert_int_equal(diff.effect, DIFF_REPLACE);
}

static void sets_of_names(void **state)
{
	static const char *const before[] = {"api", "web", "jobs"};
	static const char *const after[] = {"mail", "jobs", "api"};
	struct diff_name names[6];

	(void)state;
	assert_int_equal(diff_names(before, 3, after, 3, names), 4);
	assert_string_equal(names[0].name, "api");
	assert_int_equal(names[0].presence, DIFF_KEPT);
	assert_string_equal(names[1].name, "web");
	assert_int_equal(names[1].presence, DIFF_REMOVED);
	assert_string_equal(names[2].name, "jobs");
	assert_int_equal(names[2].presence, DIFF_KEPT);
	assert_string_equal(names[3].name, "mail");
	assert_int_equal(names[3].presence, DIFF_ADDED);
	assert_int_equal(diff_names(NULL, 0, after, 3, names), 3);
	assert_int_equal(names[2].presence, DIFF_ADDED);
	assert_int_equal(diff_names(before, 3, NULL, 0, names), 3);
	assert_int_equal(names[2].presence, DIFF_REMOVED);
	assert_int_equal(diff_names(NULL, 0, NULL, 0, names), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_same_is_no_change),
	    cmocka_unit_test(each_effect),
	    cmocka_unit_test(the_strongest_counts),
	    cmocka_unit_test(keys_on_one_side),
	    cmocka_unit_test(many_changes_are_counted),
	    cmocka_unit_test(sets_of_names),
	    cmocka_unit_test(sockets_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
