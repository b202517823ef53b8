/* test_listener_steer.c - several sockets at one address: which of them get new connections, and
 * that their places are what we take them for. */
#include "support.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "base/fd.h"
#include "system/listener.h"

enum { MEMBERS = 4, CONNECTIONS = 64 };

struct group {
	struct listener members[MEMBERS];
	uint16_t port;
};

static struct listener_spec spec_of(uint16_t port)
{
	return (struct listener_spec){.type = SOCK_STREAM,
				      .host = "127.0.0.1",
				      .port = port,
				      .backlog = CONNECTIONS,
				      .ipv6_only = -1,
				      .reuseaddr = true};
}

static struct group open_group(void)
{
	struct group group = {.port = support_free_port()};
	struct listener_spec spec = spec_of(group.port);

	spec.reuseport = true;
	for (size_t i = 0; i < MEMBERS; i++) {
		spec.more = i > 0;
		assert_int_equal(listener_open(&spec, &group.members[i], NULL), 0);
	}
	return group;
}

static void close_group(struct group *group)
{
	for (size_t i = 0; i < MEMBERS; i++)
		listener_close(&group->members[i]);
}

static unsigned accept_all(const struct listener *listener)
{
	unsigned n = 0;
	int fd;

	while ((fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC)) != -1) {
		close(fd);
		n++;
	}
	return n;
}

/* As bits: which of them had a client? None of the clients is refused or lost. */
static unsigned who_gets_clients(const struct group *group)
{
	struct sockaddr_in in = {.sin_family = AF_INET,
				 .sin_port = htons(group->port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int clients[CONNECTIONS];
	unsigned who = 0, total = 0;

	for (size_t i = 0; i < CONNECTIONS; i++) {
		clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(clients[i], (struct sockaddr *)&in, sizeof(in)), 0);
	}
	for (size_t i = 0; i < MEMBERS; i++) {
		unsigned n = group->members[i].fd == -1 ? 0 : accept_all(&group->members[i]);

		who |= n > 0 ? 1U << i : 0;
		total += n;
	}
	assert_int_equal(total, CONNECTIONS);
	for (size_t i = 0; i < CONNECTIONS; i++)
		close(clients[i]);
	return who;
}

static void test_chosen_ones(void **state)
{
	static const struct {
		uint32_t indices[MEMBERS];
		size_t n;
		unsigned who;
	} rows[] = {
	    {{0}, 1, 1},    {{3}, 1, 8},	{{0, 1}, 2, 3},	 {{2, 3}, 2, 12},
	    {{0, 2}, 2, 5}, {{0, 1, 3}, 3, 11}, {{1, 3}, 2, 10}, {{0, 1, 2, 3}, 4, 15},
	};
	struct group group = open_group();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(
		    listener_steer(&group.members[i % MEMBERS], rows[i].indices, rows[i].n), 0);
		assert_int_equal(who_gets_clients(&group), rows[i].who);
	}
	assert_int_equal(listener_steer(&group.members[0], rows[0].indices, 0), -EINVAL);
	assert_int_equal(listener_steer_to_all(&group.members[0]), 0);
	assert_int_equal(listener_steer_to_all(&group.members[0]), 0);
	assert_int_equal(who_gets_clients(&group), 15);
	close_group(&group);
}

/* The last one takes the place of one that stops to listen, and one that begins again is the last.
 */
static void test_places(void **state)
{
	const uint32_t places[] = {0, 1, 2, 3};
	struct group group = open_group();
	bool replaced;

	(void)state;
	shutdown(group.members[1].fd, SHUT_RDWR); /* 0 3 2 */
	assert_int_equal(listener_steer(&group.members[0], &places[1], 1), 0);
	assert_int_equal(who_gets_clients(&group), 1 << 3);
	assert_int_equal(listener_mend(&group.members[1], &replaced), 0); /* 0 3 2 1 */
	assert_int_equal(listener_steer(&group.members[0], &places[3], 1), 0);
	assert_int_equal(who_gets_clients(&group), 1 << 1);
	listener_shutdown(&group.members[0]); /* 1 3 2 */
	assert_int_equal(listener_steer(&group.members[1], &places[0], 1), 0);
	assert_int_equal(who_gets_clients(&group), 1 << 1);
	close_group(&group);
}

static void test_nobody_else_may_be_there_at_first(void **state)
{
	struct group group = open_group();
	struct listener_spec spec = spec_of(group.port);
	struct listener other;

	(void)state;
	assert_int_equal(listener_open(&spec, &other, NULL), -EADDRINUSE);
	spec.reuseport = true;
	assert_int_equal(listener_open(&spec, &other, NULL), -EADDRINUSE);
	close_group(&group);
}

static void test_gaps(void **state)
{
	struct group group = open_group();
	uint32_t indices[1000];

	(void)state;
	for (uint32_t i = 0; i < ARRAY_LEN(indices); i++)
		indices[i] = 2 * i;
	assert_int_equal(listener_steer(&group.members[0], indices, ARRAY_LEN(indices)), -E2BIG);
	assert_int_equal(listener_steer(&group.members[0], indices, 128), 0);
	close_group(&group);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_chosen_ones),
	    cmocka_unit_test(test_places),
	    cmocka_unit_test(test_nobody_else_may_be_there_at_first),
	    cmocka_unit_test(test_gaps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
