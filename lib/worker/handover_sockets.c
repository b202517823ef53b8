/* handover_sockets.c - listening sockets by name, inherited (sd_listen_fds(3)) or sent. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "worker/handover_internal.h"

enum { SOCKETS_FIRST = 3, SOCKETS_INHERITED_MAX = 4096 };
#define SOCKET_PROBE "probe"

static void socket_free(struct worker_socket *sock)
{
	if (sock->fd != -1)
		close(sock->fd);
	free(sock->name);
}

void sockets_free_list(struct worker_socket **list, size_t *n)
{
	for (size_t i = 0; i < *n; i++)
		socket_free(&(*list)[i]);
	free(*list);
	*list = NULL;
	*n = 0;
}

void sockets_free(struct handover *handover)
{
	sockets_free_list(&handover->sockets, &handover->n_sockets);
}

/* O_NONBLOCK is shared by all holders: set where it is missing, never cleared. Descriptors that are
 * no sockets are left as they are. */
static int socket_prepare(int fd)
{
	int flags = fcntl(fd, F_GETFL), accepts;
	socklen_t len = sizeof(accepts);

	if (flags == -1 || fcntl(fd, F_SETFD, FD_CLOEXEC) == -1)
		return -errno;
	if ((flags & O_NONBLOCK) == 0 &&
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &len) == 0 &&
	    fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1)
		return -errno;
	return 0;
}

static uint64_t socket_cookie(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) == 0 ? cookie : 0;
}

static void close_all(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (fds[i] != -1)
			close(fds[i]);
}

/* ---- inherited ---- */

/* So many descriptors from first on, with the next of these names. */
static int sockets_adopt(struct worker_socket **list, size_t *n, int first, size_t count,
			 char **names)
{
	*list = calloc(count + 1, sizeof(**list));
	if (*list == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		const char *name = strsep(names, ":");
		int fd = first + (int)i, r = socket_prepare(fd);

		if (r < 0)
			return r;
		(*list)[i] = (struct worker_socket){
		    .name = strdup(name != NULL && name[0] != '\0' ? name : "unknown"),
		    .fd = fd,
		    .cookie = socket_cookie(fd)};
		++*n;
		if ((*list)[i].name == NULL)
			return -ENOMEM;
	}
	return 0;
}

int sockets_inherit(struct handover *handover)
{
	uint64_t count = worker_environment("LISTEN_FDS", SOCKETS_INHERITED_MAX);
	const char *names = getenv("LISTEN_FDNAMES"), *way = getenv("HANDOVER_HANDOFF");
	uint64_t stored = worker_environment("HANDOVER_STORED", SOCKETS_INHERITED_MAX);
	char *copy, *rest;
	int r;

	handover->complete =
	    handover->channel_address.sun_family == 0 || way == NULL || strcmp(way, "channel") != 0;
	/* another process's pid: the variables were inherited, and the descriptors are not ours */
	if (count == 0 || worker_environment("LISTEN_PID", INT32_MAX) != (uint64_t)getpid())
		return 0;
	rest = copy = strdup(names != NULL ? names : "");
	if (copy == NULL)
		return -ENOMEM;
	if (stored > count)
		stored = count;
	r = sockets_adopt(&handover->sockets, &handover->n_sockets, SOCKETS_FIRST,
			  (size_t)(count - stored), &rest);
	if (r == 0)
		r = sockets_adopt(&handover->stored, &handover->n_stored,
				  SOCKETS_FIRST + (int)(count - stored), (size_t)stored, &rest);
	free(copy);
	return r;
}

/* ---- sent ---- */

/* Moves what there is already from the old set into the new one, so that it stays given away. */
static bool socket_keep(struct handover *handover, const char *name, int fd,
			struct worker_socket *ret_socket)
{
	uint64_t cookie = socket_cookie(fd);

	for (size_t n = 0; n < handover->n_sockets; n++) {
		struct worker_socket *old = &handover->sockets[n];

		if (old->name == NULL || strcmp(old->name, name) != 0 || old->cookie != cookie)
			continue;
		*ret_socket = *old;
		*old = (struct worker_socket){.fd = -1};
		close(fd);
		return true;
	}
	*ret_socket = (struct worker_socket){.name = strdup(name), .fd = fd, .cookie = cookie};
	return ret_socket->name != NULL;
}

/* The probe socket is this process's own: it was inherited, and no message speaks of it. */
static size_t socket_keep_probe(struct handover *handover, struct worker_socket *ret_socket)
{
	for (size_t n = 0; n < handover->n_sockets; n++) {
		struct worker_socket *old = &handover->sockets[n];

		if (old->name == NULL || strcmp(old->name, SOCKET_PROBE) != 0)
			continue;
		*ret_socket = *old;
		*old = (struct worker_socket){.fd = -1};
		return 1;
	}
	return 0;
}

void sockets_set(struct handover *handover, const struct worker_message *message, int *fds,
		 size_t n_fds)
{
	struct worker_socket *set = NULL;
	size_t n = 0;

	if (message->n_names == n_fds)
		set = calloc(n_fds + 2, sizeof(*set));
	if (set == NULL) {
		close_all(fds, n_fds);
		return;
	}
	for (size_t i = 0; i < n_fds; i++)
		if (socket_prepare(fds[i]) == 0 &&
		    socket_keep(handover, message->names[i], fds[i], &set[n]))
			n++;
		else
			close(fds[i]);
	n += socket_keep_probe(handover, &set[n]);
	sockets_free(handover);
	handover->sockets = set;
	handover->n_sockets = n;
	handover->complete = true;
	worker_raise(handover->arrived);
	worker_tell(handover, HANDOVER_SOCKETS);
	handover->set = message->set;
	handover->cut = 0;
	/* where there is a callback, when it has them */
	handover->answer_at =
	    handover->set == 0 || handover->callback != NULL ? UINT64_MAX : worker_now();
}

/* ---- asking for them ---- */

int sockets_take(struct worker_socket *list, size_t n, const char *name, int *ret_fd)
{
	int r = -ENOENT;

	for (size_t i = 0; i < n; i++) {
		if (name != NULL && strcmp(list[i].name, name) != 0)
			continue;
		r = -EALREADY;
		if (list[i].fd == -1)
			continue;
		*ret_fd = list[i].fd;
		list[i].fd = -1;
		return 0;
	}
	return r;
}

/* 0, an error that stays, or -EAGAIN: wait. */
static int socket_try(struct handover *handover, const char *name, int *ret_fd)
{
	int r = -EAGAIN;

	pthread_mutex_lock(&handover->lock);
	if (!handover->complete)
		worker_pump(handover);
	/* the probe socket is there from the start: by it the worker becomes ready for the others
	 */
	if (handover->complete || (name != NULL && strcmp(name, SOCKET_PROBE) == 0))
		r = sockets_take(handover->sockets, handover->n_sockets, name, ret_fd);
	else if (atomic_load(&handover->draining))
		r = -ESHUTDOWN;
	pthread_mutex_unlock(&handover->lock);
	return r;
}

PUBLIC int handover_socket(struct handover *handover, const char *name, uint64_t timeout,
			   int *ret_fd)
{
	uint64_t now, begin = worker_now();
	struct pollfd fds[3];
	int r;

	if (handover == NULL)
		return -ENOENT;
	fds[0] = (struct pollfd){.fd = handover->io, .events = POLLIN};
	fds[1] = (struct pollfd){.fd = handover->arrived, .events = POLLIN};
	fds[2] = (struct pollfd){.fd = handover->drain_fd, .events = POLLIN};
	for (;;) {
		struct timespec left, *limit = NULL;

		r = socket_try(handover, name, ret_fd);
		if (r != -EAGAIN)
			return r;
		now = worker_now();
		if (timeout != HANDOVER_FOREVER) {
			if (now - begin >= timeout)
				return -ETIMEDOUT;
			left.tv_sec = (time_t)((timeout - (now - begin)) / 1000000);
			left.tv_nsec = (long)((timeout - (now - begin)) % 1000000) * 1000;
			limit = &left;
		}
		if (ppoll(fds, 3, limit, NULL) == -1 && errno != EINTR)
			return -errno;
	}
}

PUBLIC int handover_has_socket(struct handover *handover, const char *name)
{
	int r = 0;

	if (handover == NULL)
		return 0;
	pthread_mutex_lock(&handover->lock);
	for (size_t n = 0; n < handover->n_sockets && r == 0; n++)
		r = strcmp(handover->sockets[n].name, name) == 0;
	pthread_mutex_unlock(&handover->lock);
	return r;
}

PUBLIC int handover_has_listener(struct handover *handover, int fd)
{
	uint64_t cookie = socket_cookie(fd);
	int r = 0;

	if (handover == NULL || cookie == 0)
		return 0;
	pthread_mutex_lock(&handover->lock);
	for (size_t n = 0; n < handover->n_sockets && r == 0; n++)
		r = handover->sockets[n].cookie == cookie;
	pthread_mutex_unlock(&handover->lock);
	return r;
}

PUBLIC int handover_socket_name(struct handover *handover, size_t n, char *name, size_t size)
{
	int r = -ENOENT;

	if (handover == NULL)
		return r;
	pthread_mutex_lock(&handover->lock);
	if (n < handover->n_sockets)
		r = snprintf(name, size, "%s", handover->sockets[n].name);
	pthread_mutex_unlock(&handover->lock);
	return r;
}

/* ---- the last moments ---- */

PUBLIC int handover_finish_listener(int listener, uint64_t limit,
				    void (*accepted)(int fd, void *arg), void *arg)
{
	uint64_t begin = worker_now();
	int n = 0, r = socket_prepare(listener);

	while (r == 0 && n < INT32_MAX) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd == -1 && (errno == EINTR || errno == ECONNABORTED)) {
			/* that one has gone; the next may not have */
		} else if (fd == -1) {
			r = errno == EAGAIN ? 1 : -errno;
			break;
		} else {
			n++;
			if (accepted != NULL)
				accepted(fd, arg);
			else
				close(fd);
		}
		if (worker_now() - begin >= limit)
			break;
	}
	close(listener);
	return r < 0 && n == 0 ? r : n;
}
