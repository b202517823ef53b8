/* test_listener_state.c - listeners that others shut down, that are mended, watched and counted:
 * with real connections. */
#include "server_support.h"

/* What gRPC C-core does in a worker when it closes its listener. */
static void shutdown_by_a_sibling(const struct server *server, int how)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(shutdown(server->listener.fd, how) == 0 ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static bool is_readable(int fd)
{
	return poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 0) == 1;
}

static void assert_no_event(int epoll)
{
	uint32_t id;

	assert_false(is_readable(epoll));
	assert_int_equal(listener_watch_next(epoll, &id), 0);
}

static void assert_one_event(int epoll, uint32_t expected)
{
	uint32_t id = 0;

	assert_true(is_readable(epoll)); /* at once: nobody has to come back later */
	assert_int_equal(listener_watch_next(epoll, &id), 1);
	assert_int_equal(id, expected);
	assert_no_event(epoll);
}

static void test_queued_connections_do_not_wake_the_watch(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct server server;
		int epoll, clients[5];

		start_server(&server, &kinds[i]);
		assert_int_equal(listener_watch_new(&epoll), 0);
		assert_int_equal(fcntl(epoll, F_GETFD), FD_CLOEXEC);
		assert_int_equal(listener_watch_add(epoll, &server.listener, 7), 0);
		assert_no_event(epoll);
		for (int k = 0; k < 5; k++) {
			clients[k] = dial_ok(&server);
			assert_no_event(epoll);
		}
		close(accept_one(&server));
		assert_no_event(epoll);
		for (int k = 0; k < 5; k++)
			close(clients[k]);
		assert_no_event(epoll);
		listener_close(&server.listener);
		close(epoll);
	}
}

static void test_tcp_is_mended_again_and_again(void **state)
{
	bool replaced = true;
	(void)state;

	for (size_t i = 0; i < TCP_KINDS; i++) {
		struct server server;
		int epoll, how[] = {SHUT_RDWR, SHUT_RD, SHUT_RDWR};

		start_server(&server, &kinds[i]);
		assert_int_equal(listener_watch_new(&epoll), 0);
		assert_int_equal(listener_watch_add(epoll, &server.listener, 42), 0);
		for (size_t k = 0; k < ARRAY_LEN(how); k++) {
			int fd = server.listener.fd, client;
			unsigned waiting, limit;

			assert_true(listener_is_alive(&server.listener));
			shutdown_by_a_sibling(&server, how[k]);
			assert_one_event(epoll, 42);
			assert_false(listener_is_alive(&server.listener));
			assert_false(listener_has_queue(&server.listener));
			assert_int_equal(listener_queue(&server.listener, &waiting, &limit),
					 -ENOTCONN);
			assert_int_equal(dial_error(&server), ECONNREFUSED);
			assert_int_equal(listener_mend(&server.listener, &replaced), 0);
			assert_false(replaced);
			assert_int_equal(server.listener.fd, fd);
			client = dial_ok(&server);
			close_both(client, accept_one(&server));
			assert_int_equal(listener_queue(&server.listener, &waiting, &limit), 0);
			assert_int_equal(limit, 16);
			assert_no_event(epoll);
		}
		listener_close(&server.listener);
		close(epoll);
	}
}

/* Two workers that leave together: the second one's fails, and is remembered by the kernel. */
static void test_tcp_that_was_shut_down_twice_carries_again(void **state)
{
	static const int how[] = {SHUT_RDWR, SHUT_RD, SHUT_WR};
	(void)state;

	for (size_t i = 0; i < TCP_KINDS; i++)
		for (size_t k = 0; k < ARRAY_LEN(how); k++) {
			struct server server;
			bool replaced;

			start_server(&server, &kinds[i]);
			shutdown_by_a_sibling(&server, SHUT_RDWR);
			assert_int_equal(shutdown(server.listener.fd, how[k]), -1);
			assert_int_equal(errno, ENOTCONN);
			assert_int_equal(listener_mend(&server.listener, &replaced), 0);
			assert_it_carries(&server);
			listener_close(&server.listener);
		}
}

/* Whenever a shutdown() comes: a socket that is called mended carries. */
static void test_tcp_that_is_shut_down_all_the_time_carries_in_the_end(void **state)
{
	struct server server;
	bool replaced;
	(void)state;

	start_server(&server, &kinds[0]);
	for (int round = 0; round < 300; round++) {
		pid_t pid = fork();

		if (pid == 0) {
			for (int n = 0; n < 20; n++)
				shutdown(server.listener.fd, SHUT_RDWR);
			_exit(0);
		}
		while (waitpid(pid, NULL, WNOHANG) == 0)
			listener_mend(&server.listener, &replaced);
		assert_int_equal(listener_mend(&server.listener, &replaced), 0);
		assert_it_carries(&server);
	}
	listener_close(&server.listener);
}

static void test_unix_is_replaced(void **state)
{
	static const int how[] = {SHUT_RDWR, SHUT_RD};
	(void)state;

	for (size_t k = 0; k < ARRAY_LEN(how); k++) {
		struct sockaddr_un un = {.sun_family = 0};
		socklen_t len = sizeof(un);
		struct support_holder holder;
		struct server server;
		bool replaced = false;
		struct stat st;
		int epoll, client;

		start_server(&server, &kinds[UNIX_KIND]);
		holder = support_hold(dup(server.listener.fd), no_env);
		assert_int_equal(listener_watch_new(&epoll), 0);
		assert_int_equal(listener_watch_add(epoll, &server.listener, 1), 0);
		assert_int_equal(listener_mend(&server.listener, &replaced), 0); /* nothing to do */
		assert_false(replaced);
		shutdown_by_a_sibling(&server, how[k]);
		assert_one_event(epoll, 1);
		assert_false(listener_is_alive(&server.listener));
		assert_false(
		    listener_has_queue(&server.listener)); /* readable, with nothing there */
		assert_int_equal(dial_error(&server), ECONNREFUSED);
		assert_int_equal(listener_watch_remove(epoll, &server.listener), 0);
		assert_int_equal(listener_mend(&server.listener, &replaced), 0);
		assert_true(replaced);
		assert_int_equal(listener_watch_add(epoll, &server.listener, 2), 0);
		assert_no_event(epoll);
		assert_true(fcntl(server.listener.fd, F_GETFL) & O_NONBLOCK);
		assert_int_equal(fcntl(server.listener.fd, F_GETFD), FD_CLOEXEC);
		assert_int_equal(stat(server.path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
		assert_int_equal(getsockname(server.listener.fd, (struct sockaddr *)&un, &len), 0);
		assert_string_equal(un.sun_path, server.path);
		client = dial_ok(&server);
		close_both(client, accept_one(&server));
		support_stop_holder(&holder);
		shutdown_by_a_sibling(&server, SHUT_RDWR);
		assert_one_event(epoll, 2);
		listener_close(&server.listener);
		assert_int_equal(stat(server.path, &st), -1); /* the new file was ours as well */
		close(epoll);
	}
}

static void test_unix_that_cannot_be_replaced_yet(void **state)
{
	struct server server;
	struct listener adopted;
	bool replaced = false;
	char *error = NULL;
	struct stat st;
	(void)state;

	start_server(&server, &kinds[UNIX_KIND]);
	assert_int_equal(listener_adopt(server.listener.fd, "x", &adopted, &error), 0);
	shutdown_by_a_sibling(&server, SHUT_RDWR);
	assert_int_equal(listener_mend(&adopted, &replaced), -EOPNOTSUPP);
	unlink(server.path);
	unit_write(directory, strrchr(server.path, '/') + 1, "mine", 4);
	assert_int_equal(listener_mend(&server.listener, &replaced), -EADDRINUSE);
	assert_false(replaced);
	assert_int_equal(stat(server.path, &st), 0);
	assert_int_equal(st.st_size, 4);
	unlink(server.path);
	assert_int_equal(listener_mend(&server.listener, &replaced), 0);
	assert_true(replaced);
	close(dial_ok(&server));
	listener_close(&server.listener);
	assert_int_equal(listener_mend(&server.listener, &replaced), -EBADF);
}

static void test_watch_of_several(void **state)
{
	struct server servers[ARRAY_LEN(kinds)];
	struct listener_spec udp = {
	    .type = SOCK_DGRAM, .host = "127.0.0.1", .port = support_free_port(), .ipv6_only = -1};
	struct listener datagrams;
	unsigned told = 0;
	uint32_t id;
	int epoll;
	(void)state;

	assert_int_equal(listener_watch_new(&epoll), 0);
	for (uint32_t i = 0; i < ARRAY_LEN(kinds); i++) {
		start_server(&servers[i], &kinds[i]);
		assert_int_equal(listener_watch_add(epoll, &servers[i].listener, i), 0);
	}
	assert_int_equal(listener_open(&udp, &datagrams, NULL), 0);
	assert_int_equal(listener_watch_add(epoll, &datagrams, 99), 0);
	shutdown(datagrams.fd, SHUT_RDWR);
	assert_true(listener_is_alive(&datagrams));
	assert_no_event(epoll);
	assert_int_equal(listener_watch_remove(epoll, &datagrams), 0);
	assert_int_equal(listener_watch_remove(epoll, &servers[1].listener), 0);
	assert_int_equal(listener_watch_remove(epoll, &servers[1].listener), -ENOENT);
	for (uint32_t i = 0; i < ARRAY_LEN(kinds); i++)
		shutdown_by_a_sibling(&servers[i], SHUT_RDWR);
	while (listener_watch_next(epoll, &id) == 1)
		told |= 1U << id;
	assert_int_equal(told, (1U << 0) | (1U << 2) | (1U << 3) | (1U << 4));
	for (uint32_t i = 0; i < ARRAY_LEN(kinds); i++)
		listener_close(&servers[i].listener);
	listener_close(&datagrams);
	close(epoll);
	assert_int_equal(listener_watch_next(-1, &id), -EBADF);
}

/* --- queues --- */

static void test_queue_is_counted(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct server server;
		unsigned waiting = 99, limit = 99;
		int clients[4];

		start_server(&server, &kinds[i]);
		for (unsigned k = 0; k < 4; k++) {
			assert_int_equal(listener_queue(&server.listener, &waiting, &limit), 0);
			assert_int_equal(waiting, k);
			assert_int_equal(limit, 16);
			assert_int_equal(listener_has_queue(&server.listener), k > 0);
			clients[k] = dial_ok(&server);
		}
		for (unsigned k = 0; k < 4; k++)
			close_both(clients[k], accept_one(&server));
		assert_int_equal(listener_queue(&server.listener, &waiting, &limit), 0);
		assert_int_equal(waiting, 0);
		assert_false(listener_has_queue(&server.listener));
		listener_close(&server.listener);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_queued_connections_do_not_wake_the_watch),
	    cmocka_unit_test(test_tcp_is_mended_again_and_again),
	    cmocka_unit_test(test_tcp_that_was_shut_down_twice_carries_again),
	    cmocka_unit_test(test_tcp_that_is_shut_down_all_the_time_carries_in_the_end),
	    cmocka_unit_test(test_unix_is_replaced),
	    cmocka_unit_test(test_unix_that_cannot_be_replaced_yet),
	    cmocka_unit_test(test_watch_of_several),
	    cmocka_unit_test(test_queue_is_counted),
	};

	return cmocka_run_group_tests_name("listener state", tests, set_up, tear_down);
}
