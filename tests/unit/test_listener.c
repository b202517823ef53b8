/* test_listener.c - opening and adopting real TCP and UDP sockets, and what is said when that
 * fails. */
#include "listener_support.h"

static char *no_env[] = {NULL};

/* --- TCP and UDP --- */

static void test_opens_and_describes(void **state)
{
	static const struct {
		int type;
		const char *host, *text;
		bool v4, v6;
	} rows[] = {
	    {SOCK_STREAM, "127.0.0.1", "tcp 127.0.0.1:", true, false},
	    {SOCK_STREAM, "0.0.0.0", "tcp 0.0.0.0:", true, false},
	    {SOCK_STREAM, "::1", "tcp [::1]:", false, true},
	    {SOCK_STREAM, "::", "tcp [::]:", true, true},
	    {SOCK_STREAM, "", "tcp [::]:", true, true},
	    {SOCK_STREAM, "*", "tcp [::]:", true, true},
	    {SOCK_STREAM, "localhost", "tcp 127.0.0.1:", true, false},
	    {SOCK_DGRAM, "127.0.0.1", "udp 127.0.0.1:", false, false},
	    {SOCK_DGRAM, "*", "udp [::]:", false, false},
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint16_t port = support_free_port();
		struct listener_spec spec = inet_spec(rows[i].type, rows[i].host, port);
		struct listener listener = open_ok(&spec);
		char text[LISTENER_TEXT_MAX], expected[LISTENER_TEXT_MAX];

		listener_describe(&listener, text, sizeof(text));
		snprintf(expected, sizeof(expected), "%s%u", rows[i].text, port);
		assert_string_equal(text, expected);
		assert_true(listener_is_alive(&listener));
		if (rows[i].v4)
			assert_reached(connect_to(AF_INET, "127.0.0.1", port));
		if (rows[i].v6)
			assert_reached(connect_to(AF_INET6, "::1", port));
		if (!rows[i].v6)
			assert_int_equal(connect_to(AF_INET6, "::1", port), -ECONNREFUSED);
		listener_close(&listener);
		assert_int_equal(listener.fd, -1);
		assert_int_equal(connect_to(AF_INET, "127.0.0.1", port), -ECONNREFUSED);
		assert_string_equal(listener_describe(&listener, text, sizeof(text)), "closed");
		listener_close(&listener);
	}
}

static void test_ipv6_only(void **state)
{
	uint16_t port = support_free_port();
	struct listener_spec six = inet_spec(SOCK_STREAM, "::", port),
			     four = inet_spec(SOCK_STREAM, "0.0.0.0", port);
	struct listener a, b;
	(void)state;

	six.ipv6_only = 1;
	a = open_ok(&six);
	b = open_ok(&four); /* they do not clash */
	listener_close(&a);
	listener_close(&b);
}

static void test_udp_receives(void **state)
{
	uint16_t port = support_free_port();
	struct listener_spec spec = inet_spec(SOCK_DGRAM, "127.0.0.1", port);
	struct listener listener;
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	unsigned waiting, limit;
	(void)state;

	spec.receive_buffer = 32768;
	listener = open_ok(&spec);
	inet_pton(AF_INET, "127.0.0.1", &in.sin_addr);
	assert_false(listener_has_queue(&listener));
	assert_int_equal(sendto(fd, "x", 1, 0, (struct sockaddr *)&in, sizeof(in)), 1);
	assert_true(listener_has_queue(&listener));
	assert_int_equal(listener_queue(&listener, &waiting, &limit), -EOPNOTSUPP);
	close(fd);
	listener_close(&listener);
}

static void test_options(void **state)
{
	struct listener_spec spec = inet_spec(SOCK_STREAM, "127.0.0.1", support_free_port());
	struct listener listener;
	int on = 0;
	socklen_t len = sizeof(on);
	(void)state;

	spec.receive_buffer = 40000;
	spec.send_buffer = 50000;
	listener = open_ok(&spec);
	assert_int_equal(buffer_size(listener.fd, SO_RCVBUF), 40000);
	assert_int_equal(buffer_size(listener.fd, SO_SNDBUF), 50000);
	assert_int_equal(getsockopt(listener.fd, SOL_SOCKET, SO_REUSEADDR, &on, &len), 0);
	assert_int_equal(on, 1);
	listener_close(&listener);

	spec.reuseaddr = false;
	listener = open_ok(&spec);
	assert_int_equal(getsockopt(listener.fd, SOL_SOCKET, SO_REUSEADDR, &on, &len), 0);
	assert_int_equal(on, 0);
	listener_close(&listener);

	spec = inet_spec(SOCK_STREAM, "198.51.100.1", spec.port); /* TEST-NET-2: nobody's */
	spec.freebind = true;
	listener = open_ok(&spec);
	listener_close(&listener);
	spec.host = "2001:db8::1";
	listener = open_ok(&spec);
	listener_close(&listener);
}

static void test_address_errors(void **state)
{
	uint16_t port = support_free_port();
	struct listener_spec spec = inet_spec(SOCK_STREAM, "127.0.0.1", 0);
	(void)state;

	assert_open_fails(
	    &spec, EINVAL,
	    "cannot bind tcp 127.0.0.1:0: port 0 means another port at every start; name one");
	spec = inet_spec(SOCK_STREAM, "198.51.100.1", port);
	assert_open_fails(&spec, EADDRNOTAVAIL,
			  "cannot bind tcp 198.51.100.1:%u: 198.51.100.1 is not an address of this "
			  "machine; set freebind "
			  "= yes if it comes later",
			  port);
	spec = inet_spec(SOCK_DGRAM, "2001:db8::1", port);
	assert_open_fails(&spec, EADDRNOTAVAIL,
			  "cannot bind udp [2001:db8::1]:%u: 2001:db8::1 is not an address of this "
			  "machine; set freebind "
			  "= yes if it comes later",
			  port);
}

static void test_name_without_address(void **state)
{
	char name[71], *error = NULL;
	struct listener_spec spec = inet_spec(SOCK_STREAM, name, 20000);
	struct listener listener;
	(void)state;

	memset(name, 'x', 70); /* longer than a label may be, so that no name server is asked */
	name[70] = '\0';
	assert_int_equal(listener_open(&spec, &listener, &error), -EADDRNOTAVAIL);
	assert_non_null(strstr(error, "cannot bind tcp xxx"));
	assert_non_null(strstr(error, "xxx:20000: no address is known for xxx"));
	free(error);
}

static void test_in_use(void **state)
{
	static const int types[] = {SOCK_STREAM, SOCK_DGRAM};
	static char **const envs[] = {no_env, worker_env};
	(void)state;

	for (size_t i = 0; i < 4; i++) {
		uint16_t port = support_free_port();
		struct listener_spec spec = inet_spec(types[i % 2], "127.0.0.1", port);
		struct listener listener = open_ok(&spec);
		const char *protocol = types[i % 2] == SOCK_STREAM ? "tcp" : "udp";
		struct support_holder holder;

		assert_open_fails(
		    &spec, EADDRINUSE,
		    "cannot bind %s 127.0.0.1:%u: address in use by this process itself", protocol,
		    port);
		holder = support_hold(listener.fd, envs[i / 2]);
		spec.host = "*";
		assert_open_fails(&spec, EADDRINUSE,
				  "cannot bind %s [::]:%u: address in use by cat (pid %d%s)",
				  protocol, port, (int)holder.pid,
				  i / 2 == 1 ? ", a worker of the instance payments" : "");
		support_stop_holder(&holder);
	}
}

/* What an unprivileged user is told; the first port that is free for all is a setting of the
 * machine. */
static void try_privileged_port(void *arg)
{
	struct listener listener;
	char *error = NULL, *text = NULL, expected[200];
	int out = *(int *)arg;
	unsigned first;
	struct listener_spec spec;

	if (fd_read_file("/proc/sys/net/ipv4/ip_unprivileged_port_start", 100, &text, NULL) < 0)
		_exit(3);
	first = (unsigned)atoi(text);
	free(text);
	if (geteuid() == 0 && setresuid(65534, 65534, 65534) == -1)
		_exit(4);
	spec = inet_spec(SOCK_STREAM, "127.0.0.1", (uint16_t)(first > 1 ? first - 1 : 1));
	snprintf(expected, sizeof(expected),
		 "cannot bind tcp 127.0.0.1:%u: permission denied: ports below %u need root or "
		 "CAP_NET_BIND_SERVICE",
		 spec.port, first);
	if (first <= 1)
		_exit(listener_open(&spec, &listener, &error) == 0 ? 0 : 5);
	if (listener_open(&spec, &listener, &error) != -EACCES)
		_exit(6);
	if (strcmp(error, expected) != 0) {
		dprintf(out, "%s\n", error);
		_exit(7);
	}
	free(error);
}

static void test_privileged_port(void **state)
{
	int status, out = 2;
	pid_t pid = support_fork(try_privileged_port, &out);
	(void)state;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* --- adopting --- */

static void assert_adopt_fails(int fd, int code, const char *reason)
{
	struct listener listener = {.fd = -77};
	char *error = NULL, expected[200];

	assert_int_equal(listener_adopt(fd, "web", &listener, &error), -code);
	snprintf(expected, sizeof(expected),
		 "cannot use descriptor %d, 'web', of the service manager: %s", fd, reason);
	assert_string_equal(error, expected);
	free(error);
	assert_int_equal(listener.fd, -77);
	assert_int_equal(fcntl(fd, F_GETFD) == -1, 0); /* still open: the caller's */
}

static void test_adopt(void **state)
{
	uint16_t port = support_free_port();
	struct listener_spec specs[] = {inet_spec(SOCK_STREAM, "127.0.0.1", port),
					inet_spec(SOCK_DGRAM, "::1", port),
					unix_spec(path_of("adopt.sock"))};
	char path[300], *error = NULL, text[LISTENER_TEXT_MAX], text2[LISTENER_TEXT_MAX];
	(void)state;

	strcpy(path, specs[2].path);
	specs[2].path = path;
	for (int i = 0; i < 3; i++) {
		struct listener opened = open_ok(&specs[i]), adopted;

		fcntl(opened.fd, F_SETFL, 0);
		fcntl(opened.fd, F_SETFD, 0);
		assert_int_equal(listener_adopt(opened.fd, "web", &adopted, &error), 0);
		assert_int_equal(fcntl(adopted.fd, F_GETFD), FD_CLOEXEC);
		assert_true(fcntl(adopted.fd, F_GETFL) & O_NONBLOCK);
		assert_int_equal(adopted.fd, opened.fd);
		assert_int_equal(adopted.type, specs[i].type);
		if (adopted.type == SOCK_STREAM)
			assert_int_equal(adopted.backlog, 16);
		assert_null(adopted.path);
		listener_describe(&opened, text, sizeof(text));
		assert_string_equal(listener_describe(&adopted, text2, sizeof(text2)), text);
		listener_close(&adopted);
		free(opened.path);
	}
	assert_int_equal(connect_path(path), -ECONNREFUSED); /* the manager's file is still there */
}

static void test_adopt_refuses(void **state)
{
	struct listener_spec spec = inet_spec(SOCK_STREAM, "127.0.0.1", support_free_port());
	struct listener listener = open_ok(&spec);
	int fd, pair[2];
	(void)state;

	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_adopt_fails(fd, ENOTSOCK, "it is no socket");
	close(fd);
	fd = connect_to(AF_INET, "127.0.0.1", spec.port);
	assert_adopt_fails(
	    fd, EINVAL,
	    "it is a connection, not a listening socket (Accept=yes in the .socket unit?)");
	close(fd);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_adopt_fails(fd, EINVAL, "it is bound to no address");
	close(fd);
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);
	assert_adopt_fails(fd, EAFNOSUPPORT, "it is no IPv4, IPv6 or Unix socket");
	close(fd);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_adopt_fails(pair[0], ESOCKTNOSUPPORT, "it is no stream and no datagram socket");
	close(pair[0]);
	close(pair[1]);
	listener_close(&listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_opens_and_describes),
	    cmocka_unit_test(test_ipv6_only),
	    cmocka_unit_test(test_udp_receives),
	    cmocka_unit_test(test_options),
	    cmocka_unit_test(test_address_errors),
	    cmocka_unit_test(test_name_without_address),
	    cmocka_unit_test(test_in_use),
	    cmocka_unit_test(test_privileged_port),
	    cmocka_unit_test(test_adopt),
	    cmocka_unit_test(test_adopt_refuses),
	};

	return cmocka_run_group_tests_name("listener", tests, set_up, tear_down);
}
