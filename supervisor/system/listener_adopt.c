/* listener_adopt.c - sockets that a service manager opened for us. */
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/fd.h"
#include "system/listener_internal.h"

static int fail_to_adopt(int fd, const char *name, int error, char **ret_error, const char *reason)
{
	if (ret_error != NULL &&
	    asprintf(ret_error, "cannot use descriptor %d, '%s', of the service manager: %s", fd,
		     name, reason) == -1)
		*ret_error = NULL;
	return -error;
}

static bool is_bound(const struct listener *listener)
{
	switch (listener->address.ss_family) {
	case AF_INET:
		return ((const struct sockaddr_in *)&listener->address)->sin_port != 0;
	case AF_INET6:
		return ((const struct sockaddr_in6 *)&listener->address)->sin6_port != 0;
	default:
		return listener->address_len > offsetof(struct sockaddr_un, sun_path);
	}
}

int listener_adopt(int fd, const char *name, struct listener *ret_listener, char **ret_error)
{
	struct listener listener = {.fd = fd};
	unsigned waiting, limit;
	int r;

	listener.type = listener_get_option(fd, SOL_SOCKET, SO_TYPE);
	listener.address_len = sizeof(listener.address);
	if (listener.type < 0)
		return fail_to_adopt(fd, name, -listener.type, ret_error, "it is no socket");
	if (getsockname(fd, (struct sockaddr *)&listener.address, &listener.address_len) == -1)
		return fail_to_adopt(fd, name, errno, ret_error, strerror(errno));
	if (listener.address.ss_family != AF_INET && listener.address.ss_family != AF_INET6 &&
	    listener.address.ss_family != AF_UNIX)
		return fail_to_adopt(fd, name, EAFNOSUPPORT, ret_error,
				     "it is no IPv4, IPv6 or Unix socket");
	if (listener.type != SOCK_STREAM && listener.type != SOCK_DGRAM)
		return fail_to_adopt(fd, name, ESOCKTNOSUPPORT, ret_error,
				     "it is no stream and no datagram socket");
	if (listener.type == SOCK_STREAM && listener_get_option(fd, SOL_SOCKET, SO_ACCEPTCONN) != 1)
		return fail_to_adopt(
		    fd, name, EINVAL, ret_error,
		    "it is a connection, not a listening socket (Accept=yes in the .socket unit?)");
	if (!is_bound(&listener))
		return fail_to_adopt(fd, name, EINVAL, ret_error, "it is bound to no address");
	r = fd_set_cloexec(fd);
	if (r == 0)
		r = fd_set_nonblock(fd);
	if (r < 0)
		return fail_to_adopt(fd, name, -r, ret_error, strerror(-r));
	r = listener_clear_refusal(&listener);
	if (r < 0)
		return fail_to_adopt(fd, name, -r, ret_error, strerror(-r));
	listener.backlog =
	    listener_queue(&listener, &waiting, &limit) == 0 ? (int)limit : SOMAXCONN;
	*ret_listener = listener;
	return 0;
}
