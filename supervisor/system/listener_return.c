/* listener_return.c - sockets of ours that somebody kept for us while we were not there. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/fd.h"
#include "system/listener_internal.h"
#include "system/sockdiag.h"

enum { BOUND_MAX = 8 };

static bool is_same_address(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	const struct sockaddr_in *a4 = (const void *)a, *b4 = (const void *)b;
	const struct sockaddr_in6 *a6 = (const void *)a, *b6 = (const void *)b;

	if (a->ss_family != b->ss_family)
		return false;
	switch (a->ss_family) {
	case AF_INET:
		return a4->sin_port == b4->sin_port && a4->sin_addr.s_addr == b4->sin_addr.s_addr;
	case AF_INET6:
		return a6->sin6_port == b6->sin6_port &&
		       memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof(a6->sin6_addr)) == 0;
	case AF_UNIX:
		return strcmp(((const struct sockaddr_un *)a)->sun_path,
			      ((const struct sockaddr_un *)b)->sun_path) == 0;
	default:
		return false;
	}
}

static bool is_any_v4(const struct sockaddr_storage *has, const struct listener_spec *spec)
{
	const struct sockaddr_in *in = (const void *)has;

	return has->ss_family == AF_INET && in->sin_addr.s_addr == htonl(INADDR_ANY) &&
	       in->sin_port == htons(spec->port) && listener_is_any_host(spec->host);
}

/* Is fd bound to what spec names? Fills the listener's address and path. */
static int compare(int fd, const struct listener_spec *spec, struct listener *listener)
{
	struct sockaddr_storage has = {0};
	socklen_t len = sizeof(has);
	int r;

	if (listener_get_option(fd, SOL_SOCKET, SO_TYPE) != spec->type)
		return -ENOENT;
	if (getsockname(fd, (struct sockaddr *)&has, &len) == -1)
		return -errno;
	if ((spec->path != NULL) != (has.ss_family == AF_UNIX))
		return -ENOENT;
	if (spec->path == NULL)
		r = listener_resolve(spec, listener, NULL);
	else if (strlen(spec->path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		r = -ENOENT;
	else
		r = listener_unix_set_address(listener, spec->path);
	if (r < 0)
		return r == -ENOMEM ? r : -ENOENT;
	if (is_any_v4(&has, spec)) { /* a machine without IPv6 */
		listener->address = has;
		listener->address_len = len;
	}
	return is_same_address(&has, &listener->address) ? 0 : -ENOENT;
}

/* Does the path still lead to this socket? Where the kernel does not tell: as far as connect()
 * goes, yes. */
static int check_file(const struct listener *listener)
{
	unsigned long inodes[BOUND_MAX];
	struct stat file, own;
	int n;

	if (listener->path == NULL || lstat(listener->path, &file) == -1 ||
	    !S_ISSOCK(file.st_mode) || fstat(listener->fd, &own) == -1)
		return -ESTALE;
	n = sockdiag_unix_bound_to(file.st_dev, file.st_ino, inodes, BOUND_MAX);
	for (int i = 0; i < n; i++)
		if (inodes[i] == own.st_ino)
			return 0;
	return n == -EOPNOTSUPP ? 0 : -ESTALE;
}

static int take_unix(const struct listener_spec *spec, struct listener *listener, char **ret_error)
{
	int r = listener_is_alive(listener) ? check_file(listener) : -ESTALE;

	if (r < 0)
		return r;
	r = listener_unix_set_owner(listener, spec, ret_error);
	if (r == 0 && listen(listener->fd, spec->backlog) == -1)
		r = -errno;
	return r;
}

/* Options that were decided when it was bound. */
static int check_options(const struct listener_spec *spec, const struct listener *listener,
			 char **ret_error)
{
	if (listener->address.ss_family != AF_INET6 || spec->ipv6_only == -1 ||
	    listener_get_option(listener->fd, IPPROTO_IPV6, IPV6_V6ONLY) == spec->ipv6_only)
		return 0;
	return listener_fail(listener, EBUSY, ret_error,
			     "'ipv6_only' cannot be changed while the service manager keeps the "
			     "socket for us; it takes a stop and a start");
}

/* Whatever an instance that ended in the middle of something has left on it. */
static int take_tcp(const struct listener_spec *spec, struct listener *listener, char **ret_error)
{
	int r = check_options(spec, listener, ret_error);

	if (r < 0)
		return r;
	r = listener_clear_refusal(listener);
	if (r < 0)
		return r;
	if (!listener_is_alive(listener) || sockdiag_tcp_is_shut(listener->fd) > 0)
		return listener_tcp_listen_again(listener);
	return listen(listener->fd, spec->backlog) == -1 ? -errno : 0;
}

int listener_take_back(int fd, const struct listener_spec *spec, struct listener *ret_listener,
		       char **ret_error)
{
	struct listener listener = {.fd = fd, .type = spec->type, .backlog = spec->backlog};
	int r = compare(fd, spec, &listener);

	if (r == 0)
		r = fd_set_cloexec(fd);
	if (r == 0)
		r = fd_set_nonblock(fd);
	if (r == 0 && spec->path != NULL)
		r = take_unix(spec, &listener, ret_error);
	else if (r == 0 && spec->type == SOCK_STREAM)
		r = take_tcp(spec, &listener, ret_error);
	else if (r == 0)
		r = check_options(spec, &listener, ret_error);
	if (r == 0)
		r = listener_set_buffers(fd, spec->receive_buffer, spec->send_buffer);
	if (r < 0) {
		free(listener.path);
		return r;
	}
	*ret_listener = listener;
	return 0;
}

bool listener_is_at(const struct listener *listener, const struct listener_spec *spec)
{
	struct listener other = {.fd = -1, .type = spec->type};
	bool same = compare(listener->fd, spec, &other) == 0;

	free(other.path);
	return same;
}

int listener_own(struct listener *listener)
{
	const struct sockaddr_un *un = (const void *)&listener->address;
	struct stat st;
	int r;

	if (listener->address.ss_family != AF_UNIX || un->sun_path[0] == '\0')
		return 0;
	listener->path = strndup(un->sun_path, sizeof(un->sun_path));
	if (listener->path == NULL)
		return -ENOMEM;
	r = check_file(listener);
	if (r == 0 && lstat(listener->path, &st) == -1)
		r = -errno;
	if (r < 0) {
		free(listener->path);
		listener->path = NULL;
		return r;
	}
	listener_unix_note_file(listener, &st);
	return 0;
}

void listener_let_go(struct listener *listener)
{
	free(listener->path);
	listener->path = NULL;
	listener_close(listener);
}
