/* test_worker_drain.c - what libhandover is told, and says: lame duck, drain, watchdog, another
 * master. With an event loop, with the library's thread, and by signals. */
#include "worker_support.h"

#include <pthread.h>
#include <signal.h>

struct told {
	pthread_mutex_t lock;
	pthread_t thread;
	int sockets, lame_ducks, drains;
	uint64_t left;
	enum handover_reason reason;
};

static void on_event(struct handover *handover, enum handover_event event, uint64_t left, void *arg)
{
	struct told *told = arg;

	pthread_mutex_lock(&told->lock);
	told->thread = pthread_self();
	told->left = left;
	told->reason = handover_drain_reason(handover);
	told->sockets += event == HANDOVER_SOCKETS;
	told->lame_ducks += event == HANDOVER_LAME_DUCK;
	told->drains += event == HANDOVER_DRAIN;
	pthread_mutex_unlock(&told->lock);
}

static void say_until(struct master *master, const char *kind, const char *reason, usec_t left)
{
	char text[256];

	snprintf(text, sizeof(text),
		 "{\"version\":1,\"kind\":\"%s\",\"reason\":\"%s\",\"deadline_usec\":%llu}", kind,
		 reason, (unsigned long long)(clock_now() + left));
	master_say(master, text, NULL, 0);
}

static void dispatch(struct handover *handover)
{
	assert_true(master_waits(handover_fd(handover), PATIENCE_MS));
	assert_int_equal(handover_dispatch(handover), 0);
}

static void test_lame_duck_and_drain(void **state)
{
	struct told told = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct handover *handover;
	struct master master;

	(void)state;
	master_open(&master, "inherit");
	assert_int_equal(handover_open(0, &handover), 0);
	handover_set_callback(handover, on_event, &told);
	master_accept(&master);
	dispatch(handover);
	assert_false(master_waits(handover_fd(handover), 0));
	assert_true(handover_drain_timeout(handover) == 6000000);
	assert_true(handover_time_left(handover) == HANDOVER_FOREVER);
	assert_false(master_waits(handover_lame_duck_fd(handover), 0));
	say_until(&master, "lameduck", "", 60 * USEC_PER_SEC);
	dispatch(handover);
	assert_true(master_waits(handover_lame_duck_fd(handover), 0));
	assert_true(handover_is_lame_duck(handover) && !handover_is_draining(handover));
	assert_int_equal(told.lame_ducks, 1);
	assert_true(told.left > 0 && told.left <= 60 * USEC_PER_SEC);
	assert_false(master_waits(handover_drain_fd(handover), 0));
	say_until(&master, "drain", "stop", 90 * USEC_PER_SEC);
	dispatch(handover);
	assert_true(master_waits(handover_drain_fd(handover), 0));
	assert_true(handover_is_draining(handover));
	assert_int_equal(told.drains, 1);
	assert_int_equal(told.reason, HANDOVER_REASON_STOP);
	assert_true(told.left > 60 * USEC_PER_SEC && told.left <= 90 * USEC_PER_SEC);
	/* again: the nearer end counts, and nobody is told twice */
	say_until(&master, "drain", "reload", 30 * USEC_PER_SEC);
	dispatch(handover);
	say_until(&master, "drain", "reload", 80 * USEC_PER_SEC);
	say_until(&master, "lameduck", "", 0);
	dispatch(handover);
	assert_true(handover_time_left(handover) <= 30 * USEC_PER_SEC);
	assert_int_equal(handover_drain_reason(handover), HANDOVER_REASON_RELOAD);
	assert_true(told.drains == 1 && told.lame_ducks == 1);
	/* it leaves without asking for another master */
	master.channel = master_shut(master.channel);
	dispatch(handover);
	assert_false(master_waits(master.listener, 0) || master_waits(handover_fd(handover), 300));
	handover_close(handover);
	master_close(&master);
}

static void test_told_late(void **state)
{
	struct told told = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct handover *handover;
	struct master master;

	(void)state;
	master_open(&master, "inherit");
	assert_int_equal(handover_open(0, &handover), 0);
	master_accept(&master);
	say_until(&master, "drain", "scale", 0);
	dispatch(handover);
	assert_true(handover_time_left(handover) == 0);
	handover_set_callback(handover, on_event, &told);
	dispatch(handover);
	assert_true(told.drains == 1 && told.left == 0 && told.reason == HANDOVER_REASON_SCALE);
	handover_close(handover);
	master_close(&master);
}

static void test_by_signal(void **state)
{
	struct told told = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct handover *handover;
	struct sigaction action;
	struct master master;

	(void)state;
	for (int with_value = 0; with_value < 3; with_value++) {
		master_open(&master, "inherit");
		told.drains = 0;
		assert_int_equal(handover_open(0, &handover), 0);
		handover_set_callback(handover, on_event, &told);
		master_accept(&master);
		dispatch(handover);
		assert_int_equal(handover_handle_signal(handover, SIGUSR2), 0);
		assert_int_equal(handover_handle_signal(handover, SIGKILL), -EINVAL);
		assert_int_equal(handover_handle_signal(handover, 0), -EINVAL);
		if (with_value == 1)
			sigqueue(getpid(), SIGUSR2, (union sigval){.sival_int = 700});
		else if (with_value == 0)
			raise(SIGUSR2);
		else
			handover_drain(handover);
		/* valgrind hands signals on when it sees fit */
		for (int n = 0; n < 1000 && !handover_is_draining(handover); n++)
			poll(NULL, 0, 1);
		assert_true(handover_is_draining(handover) == 1 && told.drains == 0);
		assert_true(master_waits(handover_drain_fd(handover), 0));
		assert_int_equal(handover_drain_reason(handover), HANDOVER_REASON_SIGNAL);
		assert_true(handover_time_left(handover) <= (with_value == 1 ? 700000 : 6000000));
		assert_true(with_value == 1 || handover_time_left(handover) > 700000);
		raise(SIGUSR2); /* forwarders send it twice */
		/* the reason is there, too, before the callback hears of it; and the true deadline
		 */
		say_until(&master, "drain", "reload", 90 * USEC_PER_SEC);
		dispatch(handover);
		assert_true(told.left > 30 * USEC_PER_SEC);
		assert_true(handover_time_left(handover) > 30 * USEC_PER_SEC);
		assert_int_equal(told.drains, 1);
		assert_int_equal(told.reason, HANDOVER_REASON_RELOAD);
		assert_false(master_waits(handover_fd(handover), 0));
		handover_close(handover);
		assert_int_equal(sigaction(SIGUSR2, NULL, &action), 0);
		assert_true(action.sa_handler == SIG_DFL);
		master_close(&master);
	}
}

static void test_in_its_own_thread(void **state)
{
	struct told told = {.lock = PTHREAD_MUTEX_INITIALIZER};
	int listener = listening(), fd, before = descriptors();
	struct handover *handover;
	struct master master;

	(void)state;
	master_open(&master, "channel");
	assert_int_equal(handover_open(HANDOVER_THREAD, &handover), 0);
	handover_set_callback(handover, on_event, &told);
	master_accept(&master);
	master_say(&master, "{\"version\":1,\"kind\":\"sockets\",\"names\":[\"web\"]}", &listener,
		   1);
	assert_int_equal(handover_socket(handover, "web", HANDOVER_FOREVER, &fd), 0);
	close(fd);
	say_until(&master, "lameduck", "", 60 * USEC_PER_SEC);
	assert_true(master_waits(handover_lame_duck_fd(handover), PATIENCE_MS));
	say_until(&master, "drain", "stop", 60 * USEC_PER_SEC);
	assert_true(master_waits(handover_drain_fd(handover), PATIENCE_MS));
	assert_int_equal(handover_drain_reason(handover), HANDOVER_REASON_STOP);
	/* the thread has told of what it noticed when it ends */
	handover_close(handover);
	assert_int_equal(told.sockets + told.lame_ducks + told.drains, 3);
	assert_false(pthread_equal(told.thread, pthread_self()));
	master_close(&master);
	assert_int_equal(descriptors(), before);
	close(listener);
}

static void *wait_for_drain(void *arg)
{
	struct handover *handover = arg;
	int fd;

	return handover_socket(handover, "web", HANDOVER_FOREVER, &fd) == -ESHUTDOWN &&
		       master_waits(handover_drain_fd(handover), PATIENCE_MS) &&
		       handover_is_draining(handover)
		   ? arg
		   : NULL;
}

static void test_many_threads_wait(void **state)
{
	struct handover *handover;
	struct master master;
	pthread_t threads[8];
	void *good;

	(void)state;
	master_open(&master, "channel");
	assert_int_equal(handover_open(0, &handover), 0); /* nobody dispatches */
	master_accept(&master);
	for (int n = 0; n < 8; n++)
		assert_int_equal(pthread_create(&threads[n], NULL, wait_for_drain, handover), 0);
	say_until(&master, "drain", "stop", 60 * USEC_PER_SEC);
	for (int n = 0; n < 8; n++) {
		assert_int_equal(pthread_join(threads[n], &good), 0);
		assert_non_null(good);
	}
	handover_close(handover);
	master_close(&master);
}

static void test_another_master(void **state)
{
	struct handover *handover;
	struct master master;

	(void)state;
	master_open(&master, "inherit");
	assert_int_equal(handover_open(0, &handover), 0);
	handover_begin(handover);
	assert_int_equal(handover_ready(handover, NULL), 0);
	assert_string_equal(master_notified(&master), "READY=1");
	master_accept(&master);
	for (int n = 0; n < 3; n++) {
		uint64_t inflight;

		/* it goes, and after a while there is another */
		master.listener = master_shut(master.listener);
		master.channel = master_shut(master.channel);
		dispatch(handover);
		dispatch(handover);
		master_listen(&master);
		while (!master_waits(master.listener, 0))
			dispatch(handover);
		master_accept(&master);
		assert_string_equal(master_hear(&master), "{\"version\":1,\"kind\":\"ready\"}");
		assert_int_equal(channel_page_read(master.page, &inflight), 0);
		assert_int_equal(inflight, 1);
	}
	say_until(&master, "drain", "stop", 0);
	dispatch(handover);
	assert_true(handover_is_draining(handover));
	handover_close(handover);
	master_close(&master);
}

static void test_the_master_comes_later(void **state)
{
	struct handover *handover;
	struct master master;

	(void)state;
	master_open(&master, "inherit");
	master.listener = master_shut(master.listener);
	assert_int_equal(handover_open(HANDOVER_THREAD, &handover), 0);
	master_listen(&master);
	master_accept(&master);
	handover_close(handover);
	master_close(&master);
}

static void test_what_it_says(void **state)
{
	struct handover *handover;
	struct master master;
	char status[700], expected[700];

	(void)state;
	master_open(&master, "inherit");
	setenv("WATCHDOG_USEC", "80000000", 1);
	assert_int_equal(handover_open(0, &handover), 0);
	assert_int_equal(handover_stopping(handover), 0);
	assert_string_equal(master_notified(&master), "STOPPING=1");
	assert_int_equal(handover_extend(handover, 1234567), 0);
	assert_string_equal(master_notified(&master), "EXTEND_TIMEOUT_USEC=1234567");
	/* 499 bytes, then a character of two */
	memset(status, 'x', sizeof(status));
	memcpy(status + 499, "\xc3\xa4yz", 5);
	snprintf(expected, sizeof(expected), "STATUS=%.499s", status);
	assert_int_equal(handover_status(handover, status), 0);
	assert_string_equal(master_notified(&master), expected);
	assert_true(handover_watchdog_interval(handover) == 40000000);
	assert_string_equal(master_notified(&master), "");
	for (int n = 0; n < 1000; n++)
		assert_int_equal(handover_watchdog(handover), 0);
	assert_string_equal(master_notified(&master), "WATCHDOG=1");
	assert_string_equal(master_notified(&master), ""); /* once is enough */
	handover_close(handover);
	setenv("WATCHDOG_PID", "1", 1);
	assert_int_equal(handover_open(0, &handover), 0);
	assert_true(handover_watchdog_interval(handover) == 0);
	assert_int_equal(handover_watchdog(handover), 0);
	assert_string_equal(master_notified(&master), "");
	close(master.notify);
	master.notify = -1;
	assert_int_equal(handover_status(handover, "x"), -ECONNREFUSED);
	handover_close(handover);
	master_close(&master);
}

static void test_the_loop_feeds_the_watchdog(void **state)
{
	struct handover *handover;
	struct master master;
	usec_t begin = clock_now();

	(void)state;
	master_open(&master, "inherit");
	setenv("WATCHDOG_USEC", "40000", 1);
	assert_int_equal(handover_open(HANDOVER_WATCHDOG, &handover), 0);
	for (int n = 0; n < 3;) {
		dispatch(handover);
		n += strcmp(master_notified(&master), "WATCHDOG=1") == 0;
	}
	assert_true(clock_now() - begin >= 40000);
	handover_close(handover);
	master_close(&master);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_lame_duck_and_drain),
	    cmocka_unit_test(test_told_late),
	    cmocka_unit_test(test_by_signal),
	    cmocka_unit_test(test_in_its_own_thread),
	    cmocka_unit_test(test_many_threads_wait),
	    cmocka_unit_test(test_another_master),
	    cmocka_unit_test(test_the_master_comes_later),
	    cmocka_unit_test(test_what_it_says),
	    cmocka_unit_test(test_the_loop_feeds_the_watchdog),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
