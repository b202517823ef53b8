/* listener.c - opening, adopting, changing and closing listening sockets; TCP and UDP. */
#include "system/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/parse.h"
#include "system/host.h"
#include "system/listener_internal.h"
#include "system/proc.h"

static const struct listener closed_listener = {.fd = -1};

/* --- words --- */

static const char *protocol_name(const struct listener *listener)
{
	return listener->type == SOCK_DGRAM ? "udp" : "tcp";
}

static void describe_unix(const struct listener *listener, char *text, size_t size)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)&listener->address;
	size_t len = listener->address_len;

	len = len > offsetof(struct sockaddr_un, sun_path)
		  ? len - offsetof(struct sockaddr_un, sun_path)
		  : 0;
	if (len > 0 && un->sun_path[0] == '\0')
		snprintf(text, size, "unix @%.*s", (int)strnlen(un->sun_path + 1, len - 1),
			 un->sun_path + 1);
	else
		snprintf(text, size, "unix %.*s", (int)strnlen(un->sun_path, len), un->sun_path);
}

static void describe_v6(const struct listener *listener, char *text, size_t size)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&listener->address;
	char host[INET6_ADDRSTRLEN] = "?", zone[IF_NAMESIZE] = "";

	inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
	if (in6->sin6_scope_id != 0 && if_indextoname(in6->sin6_scope_id, zone) == NULL)
		snprintf(zone, sizeof(zone), "%u", in6->sin6_scope_id);
	snprintf(text, size, "%s [%s%s%s]:%u", protocol_name(listener), host,
		 zone[0] != '\0' ? "%" : "", zone, ntohs(in6->sin6_port));
}

char *listener_describe(const struct listener *listener, char *text, size_t size)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)&listener->address;
	char host[INET_ADDRSTRLEN] = "?";

	switch (listener->address.ss_family) {
	case AF_INET:
		inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		snprintf(text, size, "%s %s:%u", protocol_name(listener), host,
			 ntohs(in->sin_port));
		break;
	case AF_INET6:
		describe_v6(listener, text, size);
		break;
	case AF_UNIX:
		describe_unix(listener, text, size);
		break;
	default:
		snprintf(text, size, "closed");
	}
	return text;
}

static char *format_text(const char *format, va_list args) __attribute__((format(printf, 1, 0)));
static char *format_text(const char *format, va_list args)
{
	char *text;

	return vasprintf(&text, format, args) == -1 ? NULL : text;
}

int listener_fail(const struct listener *listener, int error, char **ret_error, const char *format,
		  ...)
{
	cleanup_free char *reason = NULL;
	char address[LISTENER_TEXT_MAX];
	va_list args;

	if (ret_error == NULL)
		return -error;
	va_start(args, format);
	reason = format_text(format, args);
	va_end(args);
	if (reason == NULL ||
	    asprintf(ret_error, "cannot bind %s: %s",
		     listener_describe(listener, address, sizeof(address)), reason) == -1)
		*ret_error = NULL;
	return -error;
}

int listener_fail_in_use(const struct listener *listener, bool reuseaddr, char **ret_error)
{
	const struct sockaddr *address = (const struct sockaddr *)&listener->address;
	struct proc_holder holder;

	if (proc_find_holder(address, listener->address_len, listener->type, &holder) < 0) {
		if (address->sa_family != AF_UNIX && listener->type == SOCK_STREAM && !reuseaddr)
			return listener_fail(
			    listener, EADDRINUSE, ret_error,
			    "address in use, by no process that can be seen from here; with "
			    "reuseaddr = no, connections that ended a short time ago count too");
		return listener_fail(
		    listener, EADDRINUSE, ret_error,
		    "address in use by a process that cannot be seen from here (another "
		    "user's, or in another namespace); root sees it with ss -lptnux");
	}
	if (holder.pid == getpid())
		return listener_fail(listener, EADDRINUSE, ret_error,
				     "address in use by this process itself");
	return listener_fail(listener, EADDRINUSE, ret_error, "address in use by %s (pid %d%s%s)",
			     holder.name, (int)holder.pid,
			     holder.instance[0] != '\0' ? ", a worker of the instance " : "",
			     holder.instance);
}

/* --- addresses --- */

bool listener_is_any_host(const char *host)
{
	return host[0] == '\0' || strcmp(host, "*") == 0;
}

static const struct addrinfo *prefer_v4(const struct addrinfo *list)
{
	/* "localhost" is ::1 as well; a client that is told 127.0.0.1 must find us. */
	for (const struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next)
		if (ai->ai_family == AF_INET)
			return ai;
	return list;
}

/* Fills address; host is numeric or a name. */
static int resolve_host(const struct listener_spec *spec, struct listener *listener,
			char **ret_error)
{
	struct addrinfo *list = NULL;
	const struct addrinfo *chosen;
	int r = host_resolve(spec->host, spec->port, spec->type, &list);

	if (r != 0) {
		if (ret_error != NULL &&
		    asprintf(ret_error,
			     "cannot bind %s %s:%u: no address is known for %s: %s; names are "
			     "looked up in /etc/hosts only",
			     protocol_name(listener), spec->host, spec->port, spec->host,
			     gai_strerror(r)) == -1)
			*ret_error = NULL;
		return r == EAI_MEMORY ? -ENOMEM : -EADDRNOTAVAIL;
	}
	chosen = prefer_v4(list);
	memcpy(&listener->address, chosen->ai_addr, chosen->ai_addrlen);
	listener->address_len = chosen->ai_addrlen;
	freeaddrinfo(list);
	return 0;
}

static void set_any_v6(struct listener *listener, uint16_t port)
{
	struct sockaddr_in6 in6 = {
	    .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_any};

	memcpy(&listener->address, &in6, sizeof(in6));
	listener->address_len = sizeof(in6);
}

static void set_any_v4(struct listener *listener, uint16_t port)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};

	memcpy(&listener->address, &in, sizeof(in));
	listener->address_len = sizeof(in);
}

/* --- TCP and UDP --- */

static int open_socket(const struct listener_spec *spec, struct listener *listener)
{
	listener->fd =
	    socket(listener->address.ss_family, spec->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener->fd == -1 && errno == EAFNOSUPPORT && listener_is_any_host(spec->host) &&
	    spec->ipv6_only != 1) {
		set_any_v4(
		    listener,
		    spec->port); /* a machine without IPv6: all of its addresses all the same */
		listener->fd = socket(AF_INET, spec->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	}
	return listener->fd == -1 ? -errno : 0;
}

static int set_flag(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) == -1 ? -errno : 0;
}

static int set_buffer(int fd, int option, int force, uint64_t bytes)
{
	int want = bytes > INT_MAX / 2 ? INT_MAX / 2 : (int)bytes, have = 0;
	socklen_t len = sizeof(have);

	if (bytes == 0)
		return 0;
	if (setsockopt(fd, SOL_SOCKET, option, &want, sizeof(want)) == -1 ||
	    getsockopt(fd, SOL_SOCKET, option, &have, &len) == -1)
		return -errno;
	/* The kernel doubles what it was told, and cuts it to a limit without a word; with the
	 * right to, go beyond. */
	if (have / 2 < want && setsockopt(fd, SOL_SOCKET, force, &want, sizeof(want)) == -1 &&
	    errno != EPERM)
		return -errno;
	return 0;
}

int listener_set_buffers(int fd, uint64_t receive, uint64_t send)
{
	int r = set_buffer(fd, SO_RCVBUF, SO_RCVBUFFORCE, receive);

	return r < 0 ? r : set_buffer(fd, SO_SNDBUF, SO_SNDBUFFORCE, send);
}

static int set_options(const struct listener_spec *spec, const struct listener *listener)
{
	bool v6 = listener->address.ss_family == AF_INET6;
	int fd = listener->fd, v6only = spec->ipv6_only, r = 0;

	if (v6 && v6only == -1 && listener_is_any_host(spec->host))
		v6only = 0; /* "all addresses", whatever net.ipv6.bindv6only says */
	if (v6 && v6only != -1)
		r = set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY, v6only);
	if (r == 0 && spec->reuseaddr && spec->type == SOCK_STREAM)
		r = set_flag(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (r == 0 && spec->reuseport && spec->more)
		r = set_flag(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (r == 0 && spec->freebind)
		r = v6 ? set_flag(fd, IPPROTO_IPV6, IPV6_FREEBIND, 1)
		       : set_flag(fd, IPPROTO_IP, IP_FREEBIND, 1);
	return r < 0 ? r : listener_set_buffers(fd, spec->receive_buffer, spec->send_buffer);
}

/* Ports below this one are privileged here. */
static unsigned first_free_port(void)
{
	cleanup_free char *text = NULL;

	if (fd_read_file("/proc/sys/net/ipv4/ip_unprivileged_port_start", 64, &text, NULL) < 0)
		return 1024;
	return (unsigned)strtoul(text, NULL, 10);
}

static int fail_to_bind(const struct listener_spec *spec, const struct listener *listener,
			int error, char **ret_error)
{
	switch (error) {
	case EADDRINUSE:
		return listener_fail_in_use(listener, spec->reuseaddr, ret_error);
	case EADDRNOTAVAIL:
		return listener_fail(
		    listener, error, ret_error,
		    "%s is not an address of this machine; set freebind = yes if it comes later",
		    spec->host);
	case EACCES:
		return listener_fail(
		    listener, error, ret_error,
		    "permission denied: ports below %u need root or CAP_NET_BIND_SERVICE",
		    first_free_port());
	default:
		return listener_fail(listener, error, ret_error, "%s", strerror(error));
	}
}

int listener_resolve(const struct listener_spec *spec, struct listener *listener, char **ret_error)
{
	if (!listener_is_any_host(spec->host))
		return resolve_host(spec, listener, ret_error);
	set_any_v6(listener, spec->port);
	return 0;
}

static int bind_inet(const struct listener_spec *spec, struct listener *listener, char **ret_error)
{
	int r = listener_resolve(spec, listener, ret_error);

	if (r < 0)
		return r;
	if (spec->port == 0)
		return listener_fail(listener, EINVAL, ret_error,
				     "port 0 means another port at every start; name one");
	r = open_socket(spec, listener);
	if (r == 0)
		r = set_options(spec, listener);
	if (r < 0)
		return listener_fail(listener, -r, ret_error, "%s", strerror(-r));
	if (bind(listener->fd, (struct sockaddr *)&listener->address, listener->address_len) == -1)
		return fail_to_bind(spec, listener, errno, ret_error);
	if (spec->reuseport && !spec->more) {
		r = set_flag(listener->fd, SOL_SOCKET, SO_REUSEPORT, 1);
		if (r < 0)
			return listener_fail(listener, -r, ret_error, "%s", strerror(-r));
	}
	return 0;
}

static int open_inet(const struct listener_spec *spec, struct listener *listener, char **ret_error)
{
	int r = bind_inet(spec, listener, ret_error);

	if (r == 0 && spec->type == SOCK_STREAM && listen(listener->fd, spec->backlog) == -1)
		r = fail_to_bind(spec, listener, errno, ret_error);
	return r;
}

/* --- all kinds --- */

int listener_open(const struct listener_spec *spec, struct listener *ret_listener, char **ret_error)
{
	struct listener listener = closed_listener;
	int r;

	listener.type = spec->type;
	listener.backlog = spec->backlog;
	r = spec->path != NULL ? listener_unix_open(spec, &listener, ret_error)
			       : open_inet(spec, &listener, ret_error);
	if (r < 0) {
		listener_close(&listener);
		return r;
	}
	*ret_listener = listener;
	return 0;
}

int listener_try(const struct listener_spec *spec, char **ret_error)
{
	struct listener listener = closed_listener;
	int r;

	listener.type = spec->type;
	if (spec->path != NULL)
		return listener_unix_try(spec, ret_error);
	r = bind_inet(spec, &listener, ret_error);
	listener_close(&listener);
	return r;
}

void listener_close(struct listener *listener)
{
	listener_unix_unlink(
	    listener); /* while our descriptor still keeps the inode from being used again */
	fd_close(listener->fd);
	*listener = closed_listener;
}

int listener_update(struct listener *listener, const struct listener_spec *spec, char **ret_error)
{
	int r;

	if (listener->type == SOCK_STREAM && spec->backlog != listener->backlog) {
		/* one that was shut down gets it when it is mended */
		if (listener_is_alive(listener) && listen(listener->fd, spec->backlog) == -1)
			return listener_fail(listener, errno, ret_error, "cannot set backlog: %s",
					     strerror(errno));
		listener->backlog = spec->backlog;
	}
	r = listener_set_buffers(listener->fd, spec->receive_buffer, spec->send_buffer);
	if (r < 0)
		return listener_fail(listener, -r, ret_error, "cannot set the buffers: %s",
				     strerror(-r));
	return listener->path != NULL ? listener_unix_set_owner(listener, spec, ret_error) : 0;
}
