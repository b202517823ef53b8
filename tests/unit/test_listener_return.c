/* test_listener_return.c - sockets that somebody kept for us, taken back with all who wait. */
#include "server_support.h"

#include <linux/filter.h>

/* The instance ends; the descriptor lives on in somebody's hands. */
static int keep(struct server *server)
{
	int fd = fcntl(server->listener.fd, F_DUPFD, 100);

	assert_true(fd >= 100);
	listener_let_go(&server->listener);
	assert_int_equal(server->listener.fd, -1);
	return fd;
}

static int take(struct server *server, int fd)
{
	return listener_take_back(fd, &server->spec, &server->listener, NULL);
}

static void test_it_comes_back_with_all_who_wait(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct server server;
		int fd, client, flags;
		unsigned waiting, limit;

		start_server(&server, &kinds[i]);
		fd = keep(&server);
		client = dial_ok(&server);
		flags = fcntl(fd, F_GETFL);
		assert_int_equal(fcntl(fd, F_SETFL, flags & ~O_NONBLOCK), 0);
		server.spec.backlog = 33;
		assert_int_equal(take(&server, fd), 0);
		assert_int_equal(server.listener.fd, fd);
		assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
		assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
		assert_int_equal(listener_queue(&server.listener, &waiting, &limit), 0);
		assert_int_equal(waiting, 1);
		assert_int_equal(limit, 33);
		close(client);
		close(accept_one(&server));
		assert_it_carries(&server);
		listener_close(&server.listener);
		assert_int_equal(dial_error(&server),
				 server.spec.path != NULL ? ENOENT : ECONNREFUSED);
	}
}

/* Each field by itself, and another one's socket: -ENOENT, and the descriptor stays as it was. */
static void test_another_address_is_not_taken(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
			struct server server, other;
			int fd;

			start_server(&server, &kinds[i]);
			start_server(&other, &kinds[k]);
			fd = keep(&server);
			assert_int_equal(
			    listener_take_back(fd, &other.spec, &server.listener, NULL), -ENOENT);
			server.spec.type = SOCK_DGRAM;
			assert_int_equal(take(&server, fd), -ENOENT);
			server.spec.type = SOCK_STREAM;
			assert_int_equal(fcntl(fd, F_GETFD), 0);
			assert_int_equal(take(&server, fd), 0);
			listener_close(&server.listener);
			listener_close(&other.listener);
		}
}

static void test_what_an_instance_left_on_a_tcp_socket_is_taken_off(void **state)
{
	(void)state;
	for (size_t i = 0; i < TCP_KINDS; i++)
		for (int shutdowns = 0; shutdowns < 3; shutdowns++) {
			struct server server;
			int fd;

			start_server(&server, &kinds[i]);
			if (listener_refuse(&server.listener) == 0)
				assert_true(server.listener.refusing);
			fd = keep(&server);
			for (int n = 0; n < shutdowns; n++)
				shutdown(fd, SHUT_RDWR);
			assert_int_equal(take(&server, fd), 0);
			assert_false(server.listener.refusing);
			assert_it_carries(&server);
			listener_close(&server.listener);
		}
}

static void test_one_that_was_mended_badly_is_mended(void **state)
{
	struct server server;
	int fd;
	(void)state;

	start_server(&server, &kinds[0]);
	fd = keep(&server);
	shutdown(fd, SHUT_RDWR);
	shutdown(fd, SHUT_RDWR);
	assert_int_equal(listen(fd, 5), 0); /* looks well, and every connection ends at once */
	assert_int_equal(take(&server, fd), 0);
	assert_it_carries(&server);
	listener_close(&server.listener);
}

static void test_a_unix_socket_of_no_use_is_said_to_be_stale(void **state)
{
	enum { SHUT_DOWN, DELETED, REPLACED, NO_SOCKET, CASES };
	(void)state;

	for (int what = 0; what < CASES; what++) {
		struct server server;
		struct listener newer;
		int fd;

		start_server(&server, &kinds[UNIX_KIND]);
		fd = keep(&server);
		if (what == SHUT_DOWN)
			assert_int_equal(shutdown(fd, SHUT_RDWR), 0);
		else
			assert_int_equal(unlink(server.path), 0);
		if (what == REPLACED)
			assert_int_equal(listener_open(&server.spec, &newer, NULL), 0);
		if (what == NO_SOCKET)
			close(open(server.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
		assert_int_equal(take(&server, fd), -ESTALE);
		close(fd);
		if (what == REPLACED)
			listener_close(&newer);
		if (what == NO_SOCKET)
			assert_int_equal(unlink(server.path), 0);
		/* and then a new one takes its place */
		assert_int_equal(listener_open(&server.spec, &server.listener, NULL), 0);
		assert_it_carries(&server);
		listener_close(&server.listener);
	}
}

static void test_mode_and_owner_are_applied(void **state)
{
	struct server server;
	struct stat st;
	int fd;
	(void)state;

	start_server(&server, &kinds[UNIX_KIND]);
	fd = keep(&server);
	server.spec.mode = 0640;
	assert_int_equal(take(&server, fd), 0);
	assert_int_equal(stat(server.path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	listener_close(&server.listener);
	assert_int_equal(stat(server.path, &st), -1); /* its file is ours again, to the end */
}

static void test_what_cannot_be_changed_is_said(void **state)
{
	struct server server;
	char *error = NULL;
	int fd;
	(void)state;

	start_server(&server, &kinds[3]);
	fd = keep(&server);
	server.spec.ipv6_only = 1;
	assert_int_equal(listener_take_back(fd, &server.spec, &server.listener, &error), -EBUSY);
	assert_non_null(strstr(error, "'ipv6_only' cannot be changed while the service manager "
				      "keeps the socket for us; it takes a stop and a start"));
	free(error);
	server.spec.ipv6_only = 0;
	assert_int_equal(take(&server, fd), 0);
	listener_close(&server.listener);
}

static void test_udp_comes_back(void **state)
{
	struct listener_spec spec = {
	    .type = SOCK_DGRAM, .host = "127.0.0.1", .port = support_free_port(), .ipv6_only = -1};
	struct listener listener;
	int fd;
	(void)state;

	assert_int_equal(listener_open(&spec, &listener, NULL), 0);
	fd = fcntl(listener.fd, F_DUPFD, 100);
	listener_let_go(&listener);
	spec.port++;
	assert_int_equal(listener_take_back(fd, &spec, &listener, NULL), -ENOENT);
	spec.port--;
	assert_int_equal(listener_take_back(fd, &spec, &listener, NULL), 0);
	listener_close(&listener);
}

static void test_what_is_no_socket(void **state)
{
	struct server server;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	(void)state;

	start_server(&server, &kinds[0]);
	listener_close(&server.listener);
	assert_int_equal(take(&server, fd), -ENOENT);
	assert_int_equal(take(&server, -1), -ENOENT);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_it_comes_back_with_all_who_wait),
	    cmocka_unit_test(test_another_address_is_not_taken),
	    cmocka_unit_test(test_what_an_instance_left_on_a_tcp_socket_is_taken_off),
	    cmocka_unit_test(test_one_that_was_mended_badly_is_mended),
	    cmocka_unit_test(test_a_unix_socket_of_no_use_is_said_to_be_stale),
	    cmocka_unit_test(test_mode_and_owner_are_applied),
	    cmocka_unit_test(test_what_cannot_be_changed_is_said),
	    cmocka_unit_test(test_udp_comes_back),
	    cmocka_unit_test(test_what_is_no_socket),
	};

	return cmocka_run_group_tests_name("listener return", tests, set_up, tear_down);
}
