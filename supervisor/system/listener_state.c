/* listener_state.c - is it listening, who waits, keep new clients out, watch for a shutdown by
 * others. */
#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "system/listener.h"
#include "system/listener_internal.h"
#include "system/sockdiag.h"

#define LISTEN_AGAIN_MAX 10

enum { TCP_FLAGS_AT = 13, TCP_SYN = 0x02, TCP_ACK = 0x10 };

static bool is_unix(const struct listener *listener)
{
	return listener->address.ss_family == AF_UNIX;
}

int listener_get_option(int fd, int level, int option)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, level, option, &value, &len) == -1 ? -errno : value;
}

static short poll_now(int fd, short events)
{
	struct pollfd pfd = {.fd = fd, .events = events};
	int r;

	do
		r = poll(&pfd, 1, 0);
	while (r == -1 && errno == EINTR);
	return r > 0 ? pfd.revents : 0;
}

/* --- alive --- */

bool listener_is_alive(const struct listener *listener)
{
	if (listener->fd == -1)
		return false;
	if (listener->type != SOCK_STREAM)
		return true;
	/* RDHUP: a Unix socket whose reading side alone was shut down refuses connections too.
	 * SO_ACCEPTCONN does not tell: for Unix it stays 1. */
	return (poll_now(listener->fd, POLLRDHUP) & (POLLHUP | POLLRDHUP | POLLNVAL)) == 0;
}

/*
 * A second shutdown() finds the socket closed. Linux says ENOTCONN and remembers it all the same
 * (inet_shutdown(), "Hack to wake up other listeners"): whoever listens then gets connections that
 * end at once. Only a disconnect, connect(2) to AF_UNSPEC, makes it forget. Workers that leave
 * together do just this.
 */
int listener_tcp_listen_again(const struct listener *listener)
{
	const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
	int r = 1;

	/* again, where yet another shutdown() got in between */
	for (unsigned n = 0; n < LISTEN_AGAIN_MAX && r > 0; n++) {
		if (connect(listener->fd, &nowhere, sizeof(nowhere)) == -1 ||
		    listen(listener->fd, listener->backlog) == -1)
			return -errno;
		r = sockdiag_tcp_is_shut(listener->fd);
	}
	return r > 0 ? -ESHUTDOWN : 0;
}

int listener_mend(struct listener *listener, bool *ret_replaced)
{
	bool replace = is_unix(listener);
	int r = 0;

	if (listener_is_alive(listener))
		replace = false;
	else if (listener->fd == -1)
		r = -EBADF;
	else if (replace)
		r = listener_unix_replace(listener);
	else
		r = listener_tcp_listen_again(listener);
	if (r == 0)
		*ret_replaced = replace;
	return r;
}

/* --- refusing --- */

/*
 * Classic BPF (socket filter); for TCP the packet begins at the TCP header. A SYN without ACK is
 * dropped, everything else taken whole, so that handshakes that had begun can end. Connections
 * inherit the filter, where it never finds anything.
 */
static int drop_syns(int fd)
{
	struct sock_filter code[] = {
	    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, TCP_FLAGS_AT),
	    BPF_STMT(BPF_ALU | BPF_AND | BPF_K, TCP_SYN | TCP_ACK),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TCP_SYN, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, 0),
	    BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
	};
	struct sock_fprog program = {.len = ARRAY_LEN(code), .filter = code};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == -1
		   ? -errno
		   : 0;
}

int listener_refuse(struct listener *listener)
{
	int r = 0;

	if (listener->fd == -1)
		return -EBADF;
	if (is_unix(listener))
		listener_unix_unlink(listener);
	else if (listener->type == SOCK_STREAM)
		r = drop_syns(listener->fd);
	if (r == 0)
		listener->refusing = true;
	return r;
}

int listener_accept_again(struct listener *listener)
{
	int unused = 0;

	if (!listener->refusing)
		return 0;
	if (is_unix(listener))
		return -EOPNOTSUPP;
	if (listener->type == SOCK_STREAM &&
	    setsockopt(listener->fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof(unused)) == -1 &&
	    errno != ENOENT)
		return -errno;
	listener->refusing = false;
	return 0;
}

int listener_clear_refusal(struct listener *listener)
{
	int r;

	listener->refusing = listener->type == SOCK_STREAM && !is_unix(listener);
	r = listener_accept_again(listener);
	listener->refusing = false;
	return r == -EPERM ? 0 : r; /* a filter that somebody locked there on purpose */
}

bool listener_has_queue(const struct listener *listener)
{
	/* A socket that was shut down is readable too, with nothing behind it. */
	return (poll_now(listener->fd, POLLIN | POLLRDHUP) & (POLLIN | POLLHUP | POLLRDHUP)) ==
	       POLLIN;
}

static int unix_queue(int fd, unsigned *ret_waiting, unsigned *ret_limit)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return -errno;
	return sockdiag_unix_queue(st.st_ino, ret_waiting, ret_limit);
}

int listener_queue(const struct listener *listener, unsigned *ret_waiting, unsigned *ret_limit)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	if (listener->type != SOCK_STREAM)
		return -EOPNOTSUPP;
	if (!listener_is_alive(listener))
		return -ENOTCONN;
	if (is_unix(listener))
		return unix_queue(listener->fd, ret_waiting, ret_limit);
	if (getsockopt(listener->fd, IPPROTO_TCP, TCP_INFO, &info, &len) == -1)
		return -errno;
	*ret_waiting = info.tcpi_unacked; /* for a listening socket: sk_ack_backlog and its limit */
	*ret_limit = info.tcpi_sacked;
	return 0;
}

void listener_shutdown(struct listener *listener)
{
	if (listener->fd != -1 && listener->type == SOCK_STREAM)
		shutdown(listener->fd, SHUT_RDWR);
	listener_close(listener);
}

/* --- watching --- */

int listener_watch_new(int *ret_epoll)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	if (epoll == -1)
		return -errno;
	*ret_epoll = epoll;
	return 0;
}

int listener_watch_add(int epoll, const struct listener *listener, uint32_t id)
{
	/* Connections that queue are no event of ours: HUP comes unasked, RDHUP is what a half
	 * shutdown of a Unix socket gives. Edge-triggered, because a socket that cannot be mended
	 * at once would keep the loop awake. */
	struct epoll_event event = {.events = EPOLLRDHUP | EPOLLET, .data.u32 = id};

	if (listener->type != SOCK_STREAM)
		return 0;
	return epoll_ctl(epoll, EPOLL_CTL_ADD, listener->fd, &event) == -1 ? -errno : 0;
}

int listener_watch_remove(int epoll, const struct listener *listener)
{
	if (listener->type != SOCK_STREAM)
		return 0;
	return epoll_ctl(epoll, EPOLL_CTL_DEL, listener->fd, NULL) == -1 ? -errno : 0;
}

int listener_watch_next(int epoll, uint32_t *ret_id)
{
	struct epoll_event event;
	int n;

	do
		n = epoll_wait(epoll, &event, 1, 0);
	while (n == -1 && errno == EINTR);
	if (n == -1)
		return -errno;
	if (n == 1)
		*ret_id = event.data.u32;
	return n;
}
