/*
 * wait.c - O_NONBLOCK is set on every given socket and shared by all workers, so that it is never
 * cleared. A program that does not want it is served here: its accept() waits, and it finds the
 * flag as it left it. Where it polls its socket first, it is told EAGAIN like any other: another
 * worker was faster, and it would wait for the next client, deaf to all else.
 */
#undef _FORTIFY_SOURCE /* its checked variants are inline functions of the names that are defined \
			  here */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>

#include "bound.h"
#include "given.h"
#include "real.h"

/* ---- waiting ---- */

/* Calls it again for as long as a program that believes in blocking has to wait. */
#define WAITING(fd, call)                                                             \
	({                                                                            \
		__typeof__(call) result_ = -1;                                        \
		if (bound_is_shut(fd))                                                \
			errno = EINVAL;                                               \
		else                                                                  \
			do                                                            \
				result_ = (call);                                     \
			while (result_ == -1 && (errno == EAGAIN) && bound_wait(fd)); \
		result_;                                                              \
	})

EXPORT int accept(int fd, __SOCKADDR_ARG address, socklen_t *restrict len)
{
	return WAITING(fd, REAL(accept)(fd, address, len));
}

EXPORT int accept4(int fd, __SOCKADDR_ARG address, socklen_t *restrict len, int flags)
{
	return WAITING(fd, REAL(accept4)(fd, address, len, flags));
}

/* Of UDP servers. */
#define RECEIVING(fd, flags, call) \
	(((flags)&MSG_DONTWAIT) != 0 || !bound_blocks(fd) ? (call) : WAITING(fd, call))

EXPORT ssize_t recv(int fd, void *buffer, size_t size, int flags)
{
	return RECEIVING(fd, flags, REAL(recv)(fd, buffer, size, flags));
}

EXPORT ssize_t recvfrom(int fd, void *restrict buffer, size_t size, int flags,
			__SOCKADDR_ARG address, socklen_t *restrict len)
{
	return RECEIVING(fd, flags, REAL(recvfrom)(fd, buffer, size, flags, address, len));
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	return RECEIVING(fd, flags, REAL(recvmsg)(fd, message, flags));
}

/* ---- O_NONBLOCK ---- */

/* Takes note of what the program wants. False: it is none of ours, or the kernel may be told. */
static bool set_blocking(int fd, bool blocking)
{
	if (!given_any() || (!blocking && !bound_blocks(fd)) || given_behind(fd) == NULL)
		return false;
	bound_add(fd, blocking);
	return true;
}

static int change_flags(int fd, int command, void *argument)
{
	bool blocking = ((int)(intptr_t)argument & O_NONBLOCK) == 0;

	/* it is a number: F_SETFL's */
	if (set_blocking(fd, blocking))
		/* NOLINTNEXTLINE(performance-no-int-to-ptr) */
		argument = (void *)((intptr_t)argument | O_NONBLOCK);
	return REAL(fcntl)(fd, command, argument);
}

static int control(int fd, int command, void *argument)
{
	int r;

	if (!given_any() || (command != F_SETFL && command != F_GETFL && command != F_DUPFD &&
			     command != F_DUPFD_CLOEXEC))
		return REAL(fcntl)(fd, command, argument);
	if (command == F_SETFL)
		return change_flags(fd, command, argument);
	r = REAL(fcntl)(fd, command, argument);
	if (r == -1 || !bound_blocks(fd) || given_behind(fd) == NULL)
		return r;
	if (command == F_GETFL)
		return r & ~O_NONBLOCK;
	bound_add(r, true);
	return r;
}

EXPORT int fcntl(int fd, int command, ...)
{
	va_list arguments;
	void *argument;

	va_start(arguments, command);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	return control(fd, command, argument);
}

/* The name that programs with 64-bit file offsets on 32-bit machines, and many others, know it by.
 */
EXPORT int fcntl64(int fd, int command, ...)
{
	va_list arguments;
	void *argument;

	va_start(arguments, command);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	return control(fd, command, argument);
}

EXPORT int ioctl(int fd, unsigned long request, ...)
{
	va_list arguments;
	void *argument;

	va_start(arguments, request);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	if (request == FIONBIO && argument != NULL && set_blocking(fd, *(const int *)argument == 0))
		return 0; /* it is set anyway */
	return REAL(ioctl)(fd, request, argument);
}

/* ---- polling ---- */

static void note_poll(const struct pollfd *fds, nfds_t n)
{
	for (nfds_t i = 0; bound_any() && i < n; i++)
		bound_polled(fds[i].fd);
}

static void note_select(int n, const fd_set *reading)
{
	for (int fd = 0; bound_any() && reading != NULL && fd < n && fd < FD_SETSIZE; fd++)
		if (FD_ISSET(fd, reading))
			bound_polled(fd);
}

/* libc's header says that poll() only writes what it is given (access write_only); it reads, too.
 */
#ifndef __clang__
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
EXPORT int poll(struct pollfd *fds, nfds_t n, int timeout)
{
	note_poll(fds, n);
	return REAL(poll)(fds, n, timeout);
}

EXPORT int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	note_poll(fds, n);
	return REAL(ppoll)(fds, n, timeout, mask);
}
#ifndef __clang__
#pragma GCC diagnostic pop
#endif

EXPORT int select(int n, fd_set *restrict reading, fd_set *restrict writing,
		  fd_set *restrict failing, struct timeval *restrict timeout)
{
	note_select(n, reading);
	return REAL(select)(n, reading, writing, failing, timeout);
}

EXPORT int pselect(int n, fd_set *restrict reading, fd_set *restrict writing,
		   fd_set *restrict failing, const struct timespec *restrict timeout,
		   const sigset_t *restrict mask)
{
	note_select(n, reading);
	return REAL(pselect)(n, reading, writing, failing, timeout, mask);
}

EXPORT int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
	if (bound_any())
		bound_polled(fd);
	return REAL(epoll_ctl)(epoll, operation, fd, event);
}
