/* Listening sockets: received by LISTEN_FDS, or bound by ourselves. */
#include "rpc-worker-listen.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rpc-worker-util.h"
#include "worker/handover.h"

#define LISTENERS_MAX 64
#define NAME_MAX_HERE 64

struct listener {
	int fd;
	char name[NAME_MAX_HERE];
	struct evhttp_bound_socket *bound; /* NULL: not accepting yet */
	bool leaves;			   /* the set has it no longer */
};

struct listeners {
	struct listener list[LISTENERS_MAX];
	unsigned count;
	char names[1024];
	struct handover *handover;
	bool waiting; /* for sockets that come later */
	struct event_base *base;
	struct evhttp *http;
	struct event *resume; /* pending: accepting pauses */
};

/*
 * evhttp keeps the one user pointer of its listeners for itself, so the error callback has to find
 * us by another way. There is one set of listeners in a process.
 */
static struct listeners *accepting;

static void listeners_each(const struct listeners *listeners, int (*act)(struct evconnlistener *))
{
	for (unsigned i = 0; i < listeners->count; i++)
		if (listeners->list[i].bound != NULL)
			act(evhttp_bound_socket_get_listener(listeners->list[i].bound));
}

static void listeners_on_resume(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	listeners_each(arg, evconnlistener_enable);
}

/*
 * accept() failed: out of descriptors, or a sibling has shut the socket down. The socket stays
 * readable meanwhile, so to go on at once would be a busy loop. A second's pause leaves the queue
 * to siblings that are better off.
 */
static void listeners_on_error(struct evconnlistener *listener, void *arg)
{
	struct timeval pause = usec_timeval(USEC_PER_SEC);

	(void)listener;
	(void)arg;
	if (event_pending(accepting->resume, EV_TIMEOUT, NULL))
		return;
	fprintf(stderr, "rpc-worker: accept: %s; trying again in 1 s\n", strerror(errno));
	listeners_each(accepting, evconnlistener_disable);
	event_add(accepting->resume, &pause);
}

static int listener_start(struct listeners *listeners, struct listener *l)
{
	/*
	 * Backlog 0: it listens already. CLOSE_ON_EXEC and non-blocking are for the accepted
	 * sockets (accept4). No CLOSE_ON_FREE: the descriptor stays ours to close.
	 */
	struct evconnlistener *lev =
	    evconnlistener_new(listeners->base, NULL, NULL, LEV_OPT_CLOSE_ON_EXEC, 0, l->fd);

	if (lev == NULL)
		return -ENOMEM;
	evconnlistener_set_error_cb(lev, listeners_on_error);
	l->bound = evhttp_bind_listener(listeners->http, lev);
	if (l->bound == NULL) {
		evconnlistener_free(lev);
		return -ENOMEM;
	}
	return 0;
}

int listeners_start(struct listeners *listeners, struct event_base *base, struct evhttp *http)
{
	int r = 0;

	listeners->base = base;
	listeners->http = http;
	if (listeners->resume == NULL)
		listeners->resume = evtimer_new(base, listeners_on_resume, listeners);
	if (listeners->resume == NULL)
		return -ENOMEM;
	accepting = listeners;
	for (unsigned i = 0; i < listeners->count && r == 0; i++)
		if (listeners->list[i].bound == NULL)
			r = listener_start(listeners, &listeners->list[i]);
	return r;
}

void listeners_shutdown(const struct listeners *listeners)
{
	for (unsigned i = 0; i < listeners->count; i++)
		shutdown(listeners->list[i].fd, SHUT_RDWR);
}

static void listener_close(struct listeners *listeners, struct listener *l)
{
	if (l->bound != NULL)
		evhttp_del_accept_socket(listeners->http, l->bound);
	close(l->fd);
}

void listeners_close(struct listeners *listeners)
{
	for (unsigned i = 0; i < listeners->count; i++)
		listener_close(listeners, &listeners->list[i]);
	listeners->count = 0;
	if (listeners->resume != NULL)
		event_del(listeners->resume);
}

void listeners_free(struct listeners *listeners)
{
	if (listeners == NULL)
		return;
	listeners_close(listeners);
	if (listeners->resume != NULL)
		event_free(listeners->resume);
	if (accepting == listeners)
		accepting = NULL;
	free(listeners);
}

const char *listeners_names(const struct listeners *listeners)
{
	return listeners->names;
}

bool listeners_wait(const struct listeners *listeners)
{
	return listeners->waiting;
}

static void listeners_write_names(struct listeners *listeners)
{
	size_t used = 0;

	listeners->names[0] = '\0';
	for (unsigned i = 0; i < listeners->count && used < sizeof(listeners->names); i++)
		if (!listeners->list[i].leaves)
			used += (size_t)snprintf(listeners->names + used,
						 sizeof(listeners->names) - used, "%s%s",
						 used > 0 ? " " : "", listeners->list[i].name);
}

static void listeners_add(struct listeners *listeners, int fd, const char *name)
{
	struct listener *l = &listeners->list[listeners->count++];

	*l = (struct listener){.fd = fd};
	snprintf(l->name, sizeof(l->name), "%s", name);
	listeners_write_names(listeners);
}

/* What is not a listening stream socket is not for us. */
static int listener_check(int fd)
{
	int accepts = 0;
	socklen_t len = sizeof(accepts);

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &len) == -1)
		return -errno;
	return accepts ? 0 : -EINVAL;
}

static void listeners_on_leave(evutil_socket_t fd, short what, void *arg)
{
	struct listeners *listeners = arg;

	(void)fd;
	(void)what;
	for (unsigned i = 0; i < listeners->count;) {
		if (!listeners->list[i].leaves) {
			i++;
			continue;
		}
		listener_close(listeners, &listeners->list[i]);
		listeners->list[i] = listeners->list[--listeners->count];
	}
}

/* In a later set of sockets some may be missing. Who is in their queues is still served: by the
 * next turn of the loop they are empty (see rpc-worker-drain.c). */
static void listeners_drop(struct listeners *listeners)
{
	static const struct timeval next_turn;
	bool any = false;

	for (unsigned i = 0; i < listeners->count; i++) {
		struct listener *l = &listeners->list[i];

		l->leaves = !handover_has_listener(listeners->handover, l->fd);
		any = any || l->leaves;
	}
	if (any && event_base_once(listeners->base, -1, EV_TIMEOUT, listeners_on_leave, listeners,
				   &next_turn) != 0)
		listeners_on_leave(-1, 0, listeners);
	listeners_write_names(listeners);
}

static void listeners_take(struct listeners *listeners, const char *name, int fd)
{
	int r = listeners->count < LISTENERS_MAX ? listener_check(fd) : -ENOBUFS;

	if (r == 0) {
		listeners_add(listeners, fd, name);
		return;
	}
	fprintf(stderr, "rpc-worker: socket %s (descriptor %d): %s; not serving on it\n", name, fd,
		r == -EINVAL ? "does not listen" : strerror(-r));
	close(fd);
}

void listeners_adopt(struct listeners *listeners)
{
	char name[NAME_MAX_HERE];
	int fd;

	listeners_drop(listeners);
	/* those that we have already are not given a second time */
	for (size_t n = 0; handover_socket_name(listeners->handover, n, name, sizeof(name)) >= 0;
	     n++)
		if (handover_socket(listeners->handover, name, 0, &fd) == 0)
			listeners_take(listeners, name, fd);
	listeners->waiting = false;
}

static int bind_first(const struct addrinfo *found)
{
	int r = -EADDRNOTAVAIL;

	for (const struct addrinfo *ai = found; ai != NULL; ai = ai->ai_next) {
		int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

		if (fd == -1)
			return -errno;
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
		if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0)
			return fd;
		r = -errno;
		close(fd);
	}
	return r;
}

static int listeners_bind(struct listeners *listeners, const char *address)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
	const char *colon = strrchr(address, ':');
	struct addrinfo *found;
	char host[256];
	int r;

	if (colon == NULL || colon == address || (size_t)(colon - address) >= sizeof(host)) {
		fprintf(stderr, "rpc-worker: --listen %s: want HOST:PORT\n", address);
		return -EINVAL;
	}
	snprintf(host, sizeof(host), "%.*s", (int)(colon - address), address);
	r = getaddrinfo(host, colon + 1, &hints, &found);
	if (r != 0) {
		fprintf(stderr, "rpc-worker: --listen %s: %s\n", address, gai_strerror(r));
		return -EADDRNOTAVAIL;
	}
	r = bind_first(found);
	freeaddrinfo(found);
	if (r < 0)
		fprintf(stderr, "rpc-worker: cannot listen on %s: %s\n", address, strerror(-r));
	else
		listeners_add(listeners, r, address);
	return r < 0 ? r : 0;
}

int listeners_open(struct handover *handover, const char *address, struct listeners **ret)
{
	struct listeners *listeners = calloc(1, sizeof(*listeners));
	int fd, r = 0;

	if (listeners == NULL)
		return -ENOMEM;
	listeners->handover = handover;
	if (handover_socket(handover, "", 0, &fd) == -ETIMEDOUT) {
		/* over that one we are asked whether we are ready for the others */
		if (handover_socket(handover, "probe", 0, &fd) == 0)
			listeners_take(listeners, "probe", fd);
		listeners->waiting = true;
		*ret = listeners;
		return 0;
	}
	listeners_adopt(listeners);
	if (listeners->count == 0 && address != NULL) {
		r = listeners_bind(listeners, address);
	} else if (listeners->count == 0) {
		fprintf(stderr,
			"rpc-worker: no socket to serve on: none was handed over to this process "
			"(LISTEN_FDS, LISTEN_PID), and there is no --listen\n");
		r = -ENOTCONN;
	}
	if (r < 0) {
		listeners_free(listeners);
		return r;
	}
	*ret = listeners;
	return 0;
}
