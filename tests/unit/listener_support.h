/* listener_support.h - what the tests of the listeners share: specifications, opening, connecting,
 * what is said on failure. */
#ifndef TESTS_UNIT_LISTENER_SUPPORT_H
#define TESTS_UNIT_LISTENER_SUPPORT_H

#include "support.h"

#include <arpa/inet.h>
#include <sys/un.h>

#include "base/fd.h"
#include "system/listener.h"

static char *directory;
static char *worker_env[] = {(char *)"HANDOVER_INSTANCE=payments", (char *)"HANDOVER_POOL=api",
			     (char *)"HANDOVER_SLOT=0", (char *)"HANDOVER_GENERATION=1", NULL};

static inline struct listener_spec inet_spec(int type, const char *host, uint16_t port)
{
	return (struct listener_spec){.type = type,
				      .host = host,
				      .port = port,
				      .backlog = 16,
				      .ipv6_only = -1,
				      .reuseaddr = true};
}

static inline const char *path_of(const char *name)
{
	static char path[300];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static inline struct listener_spec unix_spec(const char *path)
{
	return (struct listener_spec){.type = SOCK_STREAM,
				      .path = path,
				      .backlog = 16,
				      .mode = 0660,
				      .ipv6_only = -1,
				      .reuseaddr = true};
}

static inline struct listener open_ok(const struct listener_spec *spec)
{
	struct listener listener = {.fd = -1};
	char *error = NULL;

	if (listener_open(spec, &listener, &error) < 0)
		fail_msg("%s", error);
	assert_int_equal(fcntl(listener.fd, F_GETFD), FD_CLOEXEC);
	assert_true(fcntl(listener.fd, F_GETFL) & O_NONBLOCK);
	return listener;
}

static inline void assert_open_fails(const struct listener_spec *spec, int code, const char *format,
				     ...) __attribute__((format(printf, 3, 4)));
static inline void assert_open_fails(const struct listener_spec *spec, int code, const char *format,
				     ...)
{
	struct listener listener = {.fd = -77};
	char *error = NULL, expected[512];
	va_list args;
	int r;

	va_start(args, format);
	vsnprintf(expected, sizeof(expected), format, args);
	va_end(args);
	r = listener_open(spec, &listener, &error);
	assert_non_null(error);
	assert_string_equal(error, expected);
	free(error);
	assert_int_equal(r, -code);
	assert_int_equal(listener.fd, -77);
	assert_int_equal(listener_open(spec, &listener, NULL),
			 -code); /* who does not ask for words gets none */
}

static inline int connect_to(int family, const char *host, uint16_t port)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	cleanup_close int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int r;

	if (family == AF_INET) {
		inet_pton(AF_INET, host, &in.sin_addr);
		r = connect(fd, (struct sockaddr *)&in, sizeof(in));
	} else {
		inet_pton(AF_INET6, host, &in6.sin6_addr);
		r = connect(fd, (struct sockaddr *)&in6, sizeof(in6));
	}
	return r == -1 ? -errno : TAKE_FD(fd);
}

static inline int connect_path(const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(un.sun_path, path);
	return connect(fd, (struct sockaddr *)&un, sizeof(un)) == -1 ? -errno : TAKE_FD(fd);
}

static inline void assert_reached(int fd)
{
	if (fd < 0)
		fail_msg("connect: %s", strerror(-fd));
	close(fd);
}

static inline int buffer_size(int fd, int option)
{
	int size;
	socklen_t len = sizeof(size);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, option, &size, &len), 0);
	return size / 2;
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
