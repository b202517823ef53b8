/* test_listener_state.c - listeners that others shut down, that refuse new clients, that are
 * watched: with real connections. */
#include "support.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/un.h>

#include "base/fd.h"
#include "system/listener.h"

static char *directory;
static char *no_env[] = {NULL};

/* The kinds of stream listener, and how a client reaches each. */
static const struct kind {
	const char *name, *bind, *dial; /* bind NULL: Unix */
	int family;
} kinds[] = {
    {"v4", "127.0.0.1", "127.0.0.1", AF_INET},
    {"v6", "::1", "::1", AF_INET6},
    {"both by v4", "*", "127.0.0.1", AF_INET},
    {"both by v6", "*", "::1", AF_INET6},
    {"unix", NULL, NULL, AF_UNIX},
};
enum { TCP_KINDS = 4, UNIX_KIND = 4 };

/* A listener with the address to dial. */
struct server {
	struct listener listener;
	const struct kind *kind;
	struct sockaddr_storage address;
	socklen_t address_len;
	char path[200];
};

static void set_dial_address(struct server *server, uint16_t port)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&server->address;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&server->address;

	memset(&server->address, 0, sizeof(server->address));
	server->address.ss_family = (sa_family_t)server->kind->family;
	if (server->kind->family == AF_INET) {
		inet_pton(AF_INET, server->kind->dial, &in->sin_addr);
		in->sin_port = htons(port);
		server->address_len = sizeof(*in);
	} else if (server->kind->family == AF_INET6) {
		inet_pton(AF_INET6, server->kind->dial, &in6->sin6_addr);
		in6->sin6_port = htons(port);
		server->address_len = sizeof(*in6);
	} else {
		server->address = server->listener.address;
		server->address_len = server->listener.address_len;
	}
}

static void start_server(struct server *server, const struct kind *kind)
{
	static int number;
	struct listener_spec spec = {.type = SOCK_STREAM,
				     .host = kind->bind,
				     .backlog = 16,
				     .mode = 0600,
				     .ipv6_only = -1,
				     .reuseaddr = true};
	char *error = NULL;

	server->kind = kind;
	if (kind->bind != NULL) {
		spec.port = support_free_port();
	} else {
		snprintf(server->path, sizeof(server->path), "%s/%d.sock", directory, number++);
		spec.path = server->path;
	}
	if (listener_open(&spec, &server->listener, &error) < 0)
		fail_msg("%s: %s", kind->name, error);
	set_dial_address(server, spec.port);
}

/* Begins to connect; on the loopback, what is let in is connected when this returns. */
static int dial(const struct server *server, int *ret_error)
{
	int fd = socket(server->kind->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	*ret_error =
	    connect(fd, (const struct sockaddr *)&server->address, server->address_len) == -1
		? errno
		: 0;
	return fd;
}

static bool is_connected(int fd)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);

	return getpeername(fd, (struct sockaddr *)&peer, &len) == 0;
}

static int dial_ok(const struct server *server)
{
	int error, fd = dial(server, &error);

	assert_true(error == 0 || error == EINPROGRESS);
	assert_true(is_connected(fd));
	return fd;
}

static int dial_error(const struct server *server)
{
	int error, fd = dial(server, &error), pending = 0;
	socklen_t len = sizeof(pending);

	if (error == EINPROGRESS && support_wait(fd, POLLOUT) &&
	    getsockopt(fd, SOL_SOCKET, SO_ERROR, &pending, &len) == 0)
		error = pending;
	close(fd);
	return error;
}

static int accept_one(const struct server *server)
{
	int fd;

	assert_true(support_wait(server->listener.fd, POLLIN));
	fd = accept4(server->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(fd >= 0);
	return fd;
}

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

static void close_both(int a, int b)
{
	close(a);
	close(b);
}

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

/* --- watching and mending --- */

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

/* --- refusing --- */

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

static int set_up(void **state)
{
	(void)state;
	directory = unit_directory();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unit_remove(directory);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_queued_connections_do_not_wake_the_watch),
	    cmocka_unit_test(test_tcp_is_mended_again_and_again),
	    cmocka_unit_test(test_unix_is_replaced),
	    cmocka_unit_test(test_unix_that_cannot_be_replaced_yet),
	    cmocka_unit_test(test_watch_of_several),
	    cmocka_unit_test(test_queue_is_counted),
	    cmocka_unit_test(test_tcp_refuses_new_ones_and_keeps_the_others),
	    cmocka_unit_test(test_tcp_accepts_again),
	    cmocka_unit_test(test_adopted_socket_does_not_refuse),
	    cmocka_unit_test(test_filter_on_a_connection_does_no_harm),
	    cmocka_unit_test(test_unix_refuses),
	    cmocka_unit_test(test_shutdown_refuses_while_a_holder_is_left),
	    cmocka_unit_test(test_udp_and_closed_ones),
	};

	return cmocka_run_group_tests_name("listener state", tests, set_up, tear_down);
}
