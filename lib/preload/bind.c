/*
 * bind.c - libhandover-bind.so, for servers that insist on binding their sockets themselves
 * (bind_shim = yes).
 *
 * Loaded by LD_PRELOAD. bind() of an address that the worker was given (HANDOVER_BIND, see given.h)
 * makes the descriptor a copy of that socket, by dup3(2). What would harm the other workers, who
 * share it, is not done to it: listen(), the options of a bind that is done, shutdown(), clearing
 * O_NONBLOCK, deleting its file. The program sees what it would have seen (bound.h). Everything
 * else goes where it always went. It cannot help programs without libc.so: those that are linked
 * statically, and those that make system calls by themselves, as Go's do.
 */
#undef _FORTIFY_SOURCE /* its checked variants are inline functions of the names that are defined \
			  here */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bound.h"
#include "given.h"
#include "real.h"

__attribute__((constructor)) static void start(void)
{
	int error = errno;

	given_read();
	if (given_any())
		bound_start();
	errno = error;
}

/* ---- bind ---- */

/* Options of a listening socket that its connections inherit, and that servers set before bind().
 */
static void carry_options(int from, int to)
{
	static const struct {
		int level, name;
	} options[] = {{SOL_SOCKET, SO_KEEPALIVE}, {IPPROTO_TCP, TCP_NODELAY}};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		int value = 0;
		socklen_t len = sizeof(value);

		if (getsockopt(from, options[i].level, options[i].name, &value, &len) == 0 &&
		    value != 0)
			REAL(setsockopt)
		(to, options[i].level, options[i].name, &value, sizeof(value));
	}
}

static int take(int fd, const struct given *given)
{
	int status = REAL(fcntl)(fd, F_GETFL), flags = REAL(fcntl)(fd, F_GETFD);

	if (status == -1 || flags == -1)
		return -1;
	carry_options(fd, given->fd);
	if (dup3(given->fd, fd, (flags & FD_CLOEXEC) != 0 ? O_CLOEXEC : 0) == -1)
		return -1;
	bound_add(fd, (status & O_NONBLOCK) == 0);
	return 0;
}

static void tell_in_use(const struct sockaddr *address, socklen_t len)
{
	char asked[GIVEN_TEXT_MAX], has[GIVEN_TEXT_MAX * 4];

	dprintf(STDERR_FILENO,
		"libhandover-bind: pid %d: %s is in use, and is none of the sockets that this "
		"worker was given (%s): "
		"see the keys listen and sockets\n",
		(int)getpid(), given_describe(address, len, asked, sizeof(asked)),
		given_describe_all(has, sizeof(has)));
}

EXPORT int bind(int fd, __CONST_SOCKADDR_ARG address, socklen_t len)
{
	const struct given *given = NULL;
	socklen_t type_len = sizeof(int);
	int type, r;

	if (!given_any())
		return REAL(bind)(fd, address, len);
	if (given_behind(fd) == NULL) {
		bound_forget(fd);
		if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) == 0)
			given = given_find(type, address.__sockaddr__, len);
	}
	if (given != NULL)
		return take(fd, given);
	r = REAL(bind)(fd, address, len);
	if (r == -1 && errno == EADDRINUSE) {
		tell_in_use(address.__sockaddr__, len);
		errno = EADDRINUSE;
	}
	return r;
}

EXPORT int listen(int fd, int backlog)
{
	return given_behind(fd) != NULL ? 0 : REAL(listen)(fd, backlog);
}

static bool is_for_bind(int level, int name)
{
	if (level == IPPROTO_IPV6)
		return name == IPV6_V6ONLY;
	return level == SOL_SOCKET &&
	       (name == SO_REUSEADDR || name == SO_REUSEPORT || name == SO_ATTACH_REUSEPORT_CBPF ||
		name == SO_ATTACH_REUSEPORT_EBPF);
}

EXPORT int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	if (is_for_bind(level, name) && given_behind(fd) != NULL)
		return 0;
	return REAL(setsockopt)(fd, level, name, value, len);
}

EXPORT int shutdown(int fd, int how)
{
	if (given_behind(fd) == NULL)
		return REAL(shutdown)(fd, how);
	if (how != SHUT_WR)
		bound_shut(fd);
	return 0;
}

/* ---- our own copies, and files ---- */

/* A program that closes all that it does not know must be able to bind afterwards. */
EXPORT int close(int fd)
{
	if (given_any()) {
		if (given_is_copy(fd))
			return 0;
		bound_forget(fd);
	}
	return REAL(close)(fd);
}

EXPORT int close_range(unsigned first, unsigned last, int flags)
{
	for (int copy; (copy = given_next_copy(first)) != -1 && (unsigned)copy <= last;
	     first = (unsigned)copy + 1)
		if ((unsigned)copy > first &&
		    REAL(close_range)(first, (unsigned)copy - 1, flags) == -1)
			return -1;
	return first > last ? 0 : REAL(close_range)(first, last, flags);
}

EXPORT void closefrom(int first)
{
	if (!given_any())
		REAL(closefrom)(first);
	else if (close_range(first > 0 ? (unsigned)first : 0, UINT_MAX, 0) == -1)
		for (long fd = first > 0 ? first : 0; fd < sysconf(_SC_OPEN_MAX); fd++)
			close((int)fd);
}

EXPORT int unlink(const char *path)
{
	return given_has_path(AT_FDCWD, path) ? 0 : REAL(unlink)(path);
}

EXPORT int unlinkat(int directory, const char *path, int flags)
{
	if ((flags & AT_REMOVEDIR) == 0 && given_has_path(directory, path))
		return 0;
	return REAL(unlinkat)(directory, path, flags);
}

EXPORT int remove(const char *path)
{
	return given_has_path(AT_FDCWD, path) ? 0 : REAL(remove)(path);
}
