/* test_history.c - the memory of transactions: durations, the slowest, the queue, fifty of them. */
#include "unit.h"

#include "engine/history.h"

static struct history_record *begin(struct history *history, uint64_t number, usec_t now)
{
	const struct history_begin asked = {.number = number,
					    .kind = "reload",
					    .by = "uid 0 pid 1",
					    .what = "all pools",
					    .callers = 1};
	struct history_record *record = history_begin(history, &asked, now);

	assert_non_null(record);
	return record;
}

static struct history_worker worker(const char *pool, uint32_t slot, usec_t took)
{
	struct history_worker worker = {.slot = slot, .generation = 2, .pid = 77, .took = took};

	snprintf(worker.pool, sizeof(worker.pool), "%s", pool);
	return worker;
}

static void test_fifty_are_kept(void **state)
{
	struct history history = {0};

	(void)state;
	for (uint64_t n = 1; n <= 60; n++)
		history_ended(begin(&history, n, n), RESULT_COMMITTED, "good", n);
	assert_int_equal(history.n, HISTORY_KEPT);
	assert_int_equal(history.dropped, 10);
	assert_null(history_find(&history, 10));
	assert_int_equal(history_find(&history, 11)->number, 11);
	assert_ptr_equal(history_find(&history, 60), history.list[HISTORY_KEPT - 1]);
	history_free(&history);
	assert_null(history_find(&history, 60));
}

static void test_one_from_begin_to_drained(void **state)
{
	struct history history = {0};
	struct history_record *record = begin(&history, 7, 1000);
	struct history_worker a = worker("api", 0, 30), b = worker("api", 1, 50),
			      c = worker("web", 0, 40);

	(void)state;
	assert_true(history_is_open(record));
	history_prepared(record, 1100);
	history_ready(record, &a);
	history_ready(record, &b);
	history_ready(record, &c);
	assert_string_equal(record->slowest_start.pool, "api");
	assert_int_equal(record->slowest_start.slot, 1);
	history_leaves(record, 1500);
	history_leaves(record, 1600);
	history_ended(record, RESULT_COMMITTED, "reload 7 committed", 1700);
	assert_int_equal(record->drain_begun, 1500);
	assert_true(history_is_open(record));
	history_left(record, &c, 2000);
	assert_true(history_is_open(record));
	history_left(record, &a, 3000);
	assert_false(history_is_open(record));
	assert_int_equal(record->drained, 3000);
	assert_string_equal(record->slowest_drain.pool, "web");
	/* one too many is none of it */
	history_left(record, &b, 4000);
	assert_int_equal(record->drained, 3000);
	assert_int_equal(record->left, 2);
	history_free(&history);
}

static void test_failed_without_workers(void **state)
{
	struct history history = {0};
	struct history_record *record = begin(&history, 1, 5);

	(void)state;
	history_ended(record, RESULT_FAILED, NULL, 9);
	assert_false(history_is_open(record));
	assert_null(record->message);
	assert_int_equal(record->prepared, 0);
	assert_string_equal(record->slowest_start.pool, "");
	history_free(&history);
}

static void test_the_longest_queue(void **state)
{
	struct history history = {0};
	struct history_record *record = begin(&history, 1, 5);

	(void)state;
	history_queue(record, "web", 0, 128);
	assert_string_equal(record->queue_socket, "web");
	history_queue(record, "grpc", 9, 4096);
	history_queue(record, "web", 8, 128);
	history_queue(record, "web", 9, 128);
	assert_string_equal(record->queue_socket, "grpc");
	assert_int_equal(record->queue, 9);
	assert_int_equal(record->queue_limit, 4096);
	history_free(&history);
}

static void test_texts_are_bounded(void **state)
{
	char large[3 * HISTORY_TEXT_MAX];
	struct history history = {0};
	struct history_begin asked = {.number = 1, .kind = "scale", .by = large, .what = large};
	struct history_record *record;

	(void)state;
	memset(large, 'x', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	record = history_begin(&history, &asked, 1);
	history_ended(record, RESULT_FAILED, large, 2);
	assert_int_equal(strlen(record->by), HISTORY_TEXT_MAX);
	assert_int_equal(strlen(record->what), HISTORY_TEXT_MAX);
	assert_int_equal(strlen(record->message), HISTORY_TEXT_MAX);
	assert_null(record->unit);
	history_queue(record, large, 1, 2);
	assert_int_equal(strlen(record->queue_socket), HISTORY_NAME_MAX - 1);
	history_free(&history);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_fifty_are_kept),
	    cmocka_unit_test(test_one_from_begin_to_drained),
	    cmocka_unit_test(test_failed_without_workers),
	    cmocka_unit_test(test_the_longest_queue),
	    cmocka_unit_test(test_texts_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
