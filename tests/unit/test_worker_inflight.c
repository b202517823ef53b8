/* test_worker_inflight.c - counting what is in flight: as the worker sees it, and as the master
 * does. */
#include "worker_support.h"

#include <pthread.h>
#include <sys/wait.h>

enum { THREADS = 8, ROUNDS = 50000 };

static struct handover *handover;
static pthread_barrier_t together;

static uint64_t seen_by(const struct master *master)
{
	uint64_t inflight;

	assert_int_equal(channel_page_read(master->page, &inflight), 0);
	return inflight;
}

/* Leaves one in flight. */
static void *begin_and_end(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&together);
	for (int n = 0; n < ROUNDS; n++) {
		handover_begin(handover);
		handover_end(handover);
	}
	handover_begin(handover);
	return NULL;
}

static void *end_one(void *arg)
{
	(void)arg;
	handover_end(handover);
	return NULL;
}

static void run_threads(int n, void *(*run)(void *))
{
	pthread_t threads[THREADS * 16];

	assert_in_range(n, 1, THREADS * 16);
	for (int i = 0; i < n; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run, NULL), 0);
	for (int i = 0; i < n; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void test_eight_threads(void **state)
{
	struct master master;

	(void)state;
	master_open(&master, "inherit");
	assert_int_equal(handover_open(0, &handover), 0);
	master_accept(&master);
	assert_int_equal(seen_by(&master), 0);
	pthread_barrier_init(&together, NULL, THREADS);
	run_threads(THREADS, begin_and_end);
	pthread_barrier_destroy(&together);
	assert_int_equal(handover_inflight(handover), THREADS);
	assert_int_equal(seen_by(&master), THREADS);
	/* where one begins and where it ends are two matters; more threads than cells */
	for (int n = 0; n < 120; n++)
		handover_begin(handover);
	run_threads(120 + THREADS, end_one);
	assert_int_equal(handover_inflight(handover), 0);
	assert_int_equal(seen_by(&master), 0);
	handover_close(handover);
	assert_int_equal(seen_by(&master), 0);
	master_close(&master);
}

static void test_children_count_too(void **state)
{
	struct master master;
	int status;
	pid_t pid;

	(void)state;
	master_open(&master, "inherit");
	assert_int_equal(handover_open(0, &handover), 0);
	master_accept(&master);
	pid = fork();
	if (pid == 0) {
		handover_begin(handover);
		handover_begin(handover);
		handover_end(handover);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(handover_inflight(handover), 1);
	assert_int_equal(seen_by(&master), 1);
	handover_close(handover);
	master_close(&master);
}

static void test_an_end_too_many(void **state)
{
	struct master master;

	(void)state;
	master_open(&master, "inherit");
	assert_int_equal(handover_open(0, &handover), 0);
	master_accept(&master);
	handover_end(handover);
	assert_int_equal(handover_inflight(handover), 0);
	assert_int_equal(seen_by(&master), 0);
	handover_close(handover);
	master_close(&master);
}

/* The master reads while eight threads write. */
static void *read_on(void *arg)
{
	struct master *master = arg;

	pthread_barrier_wait(&together);
	for (int n = 0; n < 2000; n++) {
		uint64_t inflight;

		if (channel_page_read(master->page, &inflight) < 0 || inflight > THREADS)
			return arg;
	}
	return NULL;
}

static void test_reading_meanwhile(void **state)
{
	struct master master;
	pthread_t reader;
	void *wrong;

	(void)state;
	master_open(&master, "inherit");
	assert_int_equal(handover_open(0, &handover), 0);
	master_accept(&master);
	pthread_barrier_init(&together, NULL, THREADS + 1);
	assert_int_equal(pthread_create(&reader, NULL, read_on, &master), 0);
	run_threads(THREADS, begin_and_end);
	assert_int_equal(pthread_join(reader, &wrong), 0);
	assert_null(wrong);
	pthread_barrier_destroy(&together);
	assert_int_equal(seen_by(&master), THREADS);
	handover_close(handover);
	master_close(&master);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_eight_threads),
	    cmocka_unit_test(test_children_count_too),
	    cmocka_unit_test(test_an_end_too_many),
	    cmocka_unit_test(test_reading_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
