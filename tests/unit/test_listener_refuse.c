/* test_listener_refuse.c - the end of a listener: new clients are kept out, all others go on; with
 * real connections. */
#include "server_support.h"

/* A megabyte from one end to the other, with as many packets as that takes. */
static void assert_carries(int from, int to)
{
	static char out[1 << 20], in[1 << 20];
	size_t sent = 0, got = 0;
	ssize_t n;

	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (char)(i * 31 + i / 257);
	while (got < sizeof(in)) {
		if (sent < sizeof(out)) {
			n = send(from, out + sent, sizeof(out) - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
			assert_true(n > 0 || errno == EAGAIN);
			sent += n > 0 ? (size_t)n : 0;
		}
		assert_true(support_wait(to, POLLIN));
		n = recv(to, in + got, sizeof(in) - got, MSG_DONTWAIT);
		assert_true(n > 0);
		got += (size_t)n;
	}
	assert_memory_equal(in, out, sizeof(in));
}

static void assert_talk(int client, int server)
{
	assert_carries(client, server);
	assert_carries(server, client);
}

static bool has_net_admin(void)
{
	cleanup_file FILE *file = fopen("/proc/self/status", "re");
	unsigned long long effective = 0;
	char line[256];

	assert_non_null(file);
	while (fgets(line, sizeof(line), file) != NULL)
		sscanf(line, "CapEff: %llx", &effective);
	return effective >> 12 & 1; /* CAP_NET_ADMIN */
}

/* Newer kernels give TCP filters to CAP_NET_ADMIN alone. Without it, nothing must have changed; and
 * there is no more to see. */
static bool filters_are_forbidden(void)
{
	struct server server;
	int client, r;

	start_server(&server, &kinds[0]);
	r = listener_refuse(&server.listener);
	if (r != 0) {
		assert_int_equal(r, -EPERM);
		assert_false(has_net_admin());
		assert_false(server.listener.refusing);
		assert_int_equal(listener_accept_again(&server.listener), 0);
		client = dial_ok(&server);
		close_both(client, accept_one(&server));
	}
	listener_close(&server.listener);
	return r != 0;
}

struct refusal {
	struct server server;
	struct support_holder holder; /* a hung worker: holds the socket, never accepts */
	int old_client, old_server, queued[2], late;
};

static void begin_refusal(struct refusal *r, const struct kind *kind)
{
	int error;

	start_server(&r->server, kind);
	r->holder = support_hold(dup(r->server.listener.fd), no_env);
	r->old_client = dial_ok(&r->server);
	r->old_server = accept_one(&r->server);
	for (int i = 0; i < 2; i++)
		r->queued[i] = dial_ok(&r->server);
	assert_int_equal(listener_refuse(&r->server.listener), 0);
	assert_true(r->server.listener.refusing);
	assert_true(listener_is_alive(&r->server.listener));
	r->late = dial(&r->server, &error);
	assert_int_equal(error, EINPROGRESS);
	assert_false(is_connected(r->late));
}

static void accept_the_queued(struct refusal *r)
{
	for (int i = 0; i < 2; i++) {
		int fd = accept_one(&r->server);

		assert_talk(r->queued[i], fd);
		close_both(r->queued[i], fd);
	}
	assert_false(listener_has_queue(&r->server.listener)); /* the late one has not slipped in */
}

static void end_refusal(struct refusal *r)
{
	assert_talk(r->old_client, r->old_server);
	close_both(r->old_client, r->old_server);
	close(r->late);
	support_stop_holder(&r->holder);
}

static void test_tcp_refuses_new_ones_and_keeps_the_others(void **state)
{
	struct refusal refusals[TCP_KINDS];
	int error, first[TCP_KINDS];
	(void)state;
	if (filters_are_forbidden())
		return;
	for (size_t i = 0; i < TCP_KINDS; i++) {
		begin_refusal(&refusals[i], &kinds[i]);
		first[i] = refusals[i].late;
	}
	for (size_t i = 0; i < TCP_KINDS; i++) {
		assert_talk(refusals[i].old_client, refusals[i].old_server);
		accept_the_queued(&refusals[i]);
		listener_shutdown(&refusals[i].server.listener);
		assert_int_equal(refusals[i].server.listener.fd, -1);
	}
	/* The holder still has the socket, and whoever was kept waiting is refused at its next try.
	 */
	for (size_t i = 0; i < TCP_KINDS; i++) {
		socklen_t len = sizeof(error);

		assert_true(support_wait(first[i], POLLOUT));
		assert_int_equal(getsockopt(first[i], SOL_SOCKET, SO_ERROR, &error, &len), 0);
		assert_int_equal(error, ECONNREFUSED);
		assert_int_equal(dial_error(&refusals[i].server), ECONNREFUSED);
		end_refusal(&refusals[i]);
	}
}

static in_port_t own_port(int fd)
{
	struct sockaddr_in6 in6 = {.sin6_port =
				       0}; /* the port of an IPv4 address lies at the same place */
	socklen_t len = sizeof(in6);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&in6, &len), 0);
	return in6.sin6_port;
}

static in_port_t peer_port(int fd)
{
	struct sockaddr_in6 in6 = {.sin6_port = 0};
	socklen_t len = sizeof(in6);

	assert_int_equal(getpeername(fd, (struct sockaddr *)&in6, &len), 0);
	return in6.sin6_port;
}

static void test_tcp_accepts_again(void **state)
{
	struct refusal refusals[TCP_KINDS];
	(void)state;
	if (filters_are_forbidden())
		return;
	for (size_t i = 0; i < TCP_KINDS; i++) {
		begin_refusal(&refusals[i], &kinds[i]);
		accept_the_queued(&refusals[i]);
		assert_int_equal(listener_accept_again(&refusals[i].server.listener), 0);
		assert_false(refusals[i].server.listener.refusing);
		assert_int_equal(listener_accept_again(&refusals[i].server.listener), 0);
	}
	for (size_t i = 0; i < TCP_KINDS; i++) {
		struct refusal *r = &refusals[i];
		int at_once = dial_ok(&r->server), fds[2];

		assert_true(support_wait(r->late, POLLOUT)); /* its next try */
		assert_true(is_connected(r->late));
		for (int k = 0; k < 2; k++)
			fds[k] = accept_one(&r->server);
		if (peer_port(fds[0]) == own_port(r->late)) { /* whichever came first */
			int swap = fds[0];

			fds[0] = fds[1];
			fds[1] = swap;
		}
		assert_talk(at_once, fds[0]);
		assert_talk(r->late, fds[1]);
		close_both(at_once, fds[0]);
		close(fds[1]);
		end_refusal(r);
		listener_close(&r->server.listener);
	}
}

/* An instance that was killed while it stopped must not make its successor deaf. */
static void test_adopted_socket_does_not_refuse(void **state)
{
	(void)state;
	if (filters_are_forbidden())
		return;
	for (size_t i = 0; i < TCP_KINDS; i++) {
		struct server server;
		struct listener adopted;
		int client, error;

		start_server(&server, &kinds[i]);
		assert_int_equal(listener_refuse(&server.listener), 0);
		client = dial(&server, &error);
		assert_false(is_connected(client));
		close(client);
		assert_int_equal(listener_adopt(server.listener.fd, "web", &adopted, NULL), 0);
		assert_false(adopted.refusing);
		client = dial_ok(&server);
		close_both(client, accept_one(&server));
		listener_close(&adopted);
	}
}

/* A handshake that ends after the filter came leaves it on the connection: there it must do no
 * harm. */
static void test_filter_on_a_connection_does_no_harm(void **state)
{
	(void)state;
	if (filters_are_forbidden())
		return;
	for (size_t i = 0; i < TCP_KINDS; i++) {
		struct server server;
		struct listener as_listener;
		int client, fd;
		char c;

		start_server(&server, &kinds[i]);
		client = dial_ok(&server);
		fd = accept_one(&server);
		as_listener = server.listener;
		as_listener.fd = fd;
		assert_int_equal(listener_refuse(&as_listener), 0);
		assert_talk(client, fd);
		assert_int_equal(shutdown(client, SHUT_WR), 0);
		assert_true(support_wait(fd, POLLIN));
		assert_int_equal(recv(fd, &c, 1, 0), 0); /* FIN comes through as well */
		close_both(client, fd);
		listener_close(&server.listener);
	}
}

static void test_unix_refuses(void **state)
{
	struct server server;
	struct support_holder holder;
	int queued, old_client, old_server, fd;
	unsigned waiting, limit;
	(void)state;

	start_server(&server, &kinds[UNIX_KIND]);
	holder = support_hold(dup(server.listener.fd), no_env);
	old_client = dial_ok(&server);
	old_server = accept_one(&server);
	queued = dial_ok(&server);
	assert_int_equal(listener_refuse(&server.listener), 0);
	assert_int_equal(dial_error(&server), ENOENT);
	assert_true(listener_is_alive(&server.listener));
	assert_int_equal(listener_queue(&server.listener, &waiting, &limit), 0);
	assert_int_equal(waiting, 1);
	fd = accept_one(&server);
	assert_talk(queued, fd);
	close_both(queued, fd);
	assert_int_equal(listener_accept_again(&server.listener), -EOPNOTSUPP);
	listener_shutdown(&server.listener);
	assert_talk(old_client, old_server);
	close_both(old_client, old_server);
	support_stop_holder(&holder);
}

/* Without the first step: whoever has a bind mount or an open directory is refused by the socket
 * itself. */
static void test_shutdown_refuses_while_a_holder_is_left(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct support_holder holder;
		struct server server;
		char other[300];

		start_server(&server, &kinds[i]);
		holder = support_hold(dup(server.listener.fd), no_env);
		if (i == UNIX_KIND) {
			struct sockaddr_un *un = (struct sockaddr_un *)&server.address;

			snprintf(other, sizeof(other), "%s/linked.sock", directory);
			assert_int_equal(link(server.path, other), 0);
			strcpy(un->sun_path, other);
			server.address_len =
			    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(other) + 1);
		}
		close(dial_ok(&server));
		listener_shutdown(&server.listener);
		assert_int_equal(dial_error(&server), ECONNREFUSED);
		support_stop_holder(&holder);
	}
}

static void test_udp_and_closed_ones(void **state)
{
	struct listener_spec spec = {
	    .type = SOCK_DGRAM, .host = "127.0.0.1", .port = support_free_port(), .ipv6_only = -1};
	struct listener listener;
	(void)state;

	assert_int_equal(listener_open(&spec, &listener, NULL), 0);
	assert_int_equal(listener_refuse(&listener), 0);
	assert_int_equal(listener_accept_again(&listener), 0);
	listener_shutdown(&listener);
	assert_int_equal(listener.fd, -1);
	assert_false(listener_is_alive(&listener));
	assert_false(listener_has_queue(&listener));
	assert_int_equal(listener_refuse(&listener), -EBADF);
	listener_shutdown(&listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_tcp_refuses_new_ones_and_keeps_the_others),
	    cmocka_unit_test(test_tcp_accepts_again),
	    cmocka_unit_test(test_adopted_socket_does_not_refuse),
	    cmocka_unit_test(test_filter_on_a_connection_does_no_harm),
	    cmocka_unit_test(test_unix_refuses),
	    cmocka_unit_test(test_shutdown_refuses_while_a_holder_is_left),
	    cmocka_unit_test(test_udp_and_closed_ones),
	};

	return cmocka_run_group_tests_name("listener refuse", tests, set_up, tear_down);
}
