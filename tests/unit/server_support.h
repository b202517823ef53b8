/* server_support.h - what the tests of listening servers share: one of each kind, and clients that
 * dial them. */
#ifndef TESTS_UNIT_SERVER_SUPPORT_H
#define TESTS_UNIT_SERVER_SUPPORT_H

#include "support.h"

#include <arpa/inet.h>
#include <sys/un.h>

#include "base/fd.h"
#include "system/listener.h"

static char *directory;
static char *no_env[] __attribute__((unused)) = {NULL};

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
	struct listener_spec spec;
	struct sockaddr_storage address;
	socklen_t address_len;
	char path[200];
};

static inline void set_dial_address(struct server *server, uint16_t port)
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

static inline void start_server(struct server *server, const struct kind *kind)
{
	static int number;
	struct listener_spec *spec = &server->spec;
	char *error = NULL;

	server->kind = kind;
	*spec = (struct listener_spec){.type = SOCK_STREAM,
				       .host = kind->bind,
				       .backlog = 16,
				       .mode = 0600,
				       .ipv6_only = -1,
				       .reuseaddr = true};
	if (kind->bind != NULL) {
		spec->port = support_free_port();
	} else {
		snprintf(server->path, sizeof(server->path), "%s/%d.sock", directory, number++);
		spec->path = server->path;
	}
	if (listener_open(spec, &server->listener, &error) < 0)
		fail_msg("%s: %s", kind->name, error);
	set_dial_address(server, spec->port);
}

/* Begins to connect; on the loopback, what is let in is connected when this returns. */
static inline int dial(const struct server *server, int *ret_error)
{
	int fd = socket(server->kind->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	*ret_error =
	    connect(fd, (const struct sockaddr *)&server->address, server->address_len) == -1
		? errno
		: 0;
	return fd;
}

static inline bool is_connected(int fd)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);

	return getpeername(fd, (struct sockaddr *)&peer, &len) == 0;
}

static inline int dial_ok(const struct server *server)
{
	int error, fd = dial(server, &error);

	assert_true(error == 0 || error == EINPROGRESS);
	assert_true(is_connected(fd));
	return fd;
}

static inline int accept_one(const struct server *server)
{
	int fd;

	assert_true(support_wait(server->listener.fd, POLLIN));
	fd = accept4(server->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(fd >= 0);
	return fd;
}

/* A connection that can be made is not yet one that can be used. */
static inline void assert_it_carries(const struct server *server)
{
	char byte = 0;
	int client = dial_ok(server), accepted = accept_one(server);

	assert_int_equal(send(client, "?", 1, MSG_NOSIGNAL), 1);
	assert_int_equal(recv(accepted, &byte, 1, 0), 1);
	assert_int_equal(byte, '?');
	assert_int_equal(send(accepted, "!", 1, MSG_NOSIGNAL), 1);
	assert_int_equal(recv(client, &byte, 1, 0), 1);
	assert_int_equal(byte, '!');
	close(client);
	close(accepted);
}

static inline void close_both(int a, int b)
{
	close(a);
	close(b);
}

static inline int dial_error(const struct server *server)
{
	int error, fd = dial(server, &error), pending = 0;
	socklen_t len = sizeof(pending);

	if (error == EINPROGRESS && support_wait(fd, POLLOUT) &&
	    getsockopt(fd, SOL_SOCKET, SO_ERROR, &pending, &len) == 0)
		error = pending;
	close(fd);
	return error;
}

static inline int set_up(void **state)
{
	(void)state;
	directory = unit_directory();
	return 0;
}

static inline int tear_down(void **state)
{
	(void)state;
	unit_remove(directory);
	return 0;
}

#endif
