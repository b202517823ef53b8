/* Listening sockets: received by LISTEN_FDS, or bound by ourselves. */
#include "rpc-worker-listen.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rpc-worker-util.h"

#define LISTEN_FDS_START 3
#define LISTENERS_MAX	 64

struct listener {
	int fd;
	struct evhttp_bound_socket *bound; /* NULL: not accepting yet */
};

struct listeners {
	struct listener list[LISTENERS_MAX];
	unsigned count;
	char names[1024];
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

int listeners_start(struct listeners *listeners, struct event_base *base, struct evhttp *http)
{
	listeners->http = http;
	listeners->resume = evtimer_new(base, listeners_on_resume, listeners);
	if (listeners->resume == NULL)
		return -ENOMEM;
	accepting = listeners;
	for (unsigned i = 0; i < listeners->count; i++) {
		struct listener *l = &listeners->list[i];
		struct evconnlistener *lev;

		/*
		 * Backlog 0: it listens already. CLOSE_ON_EXEC and non-blocking are for the
		 * accepted sockets (accept4). No CLOSE_ON_FREE: the descriptor stays ours to close.
		 */
		lev = evconnlistener_new(base, NULL, NULL, LEV_OPT_CLOSE_ON_EXEC, 0, l->fd);
		if (lev == NULL)
			return -ENOMEM;
		evconnlistener_set_error_cb(lev, listeners_on_error);
		l->bound = evhttp_bind_listener(http, lev);
		if (l->bound == NULL) {
			evconnlistener_free(lev);
			return -ENOMEM;
		}
	}
	return 0;
}

void listeners_shutdown(const struct listeners *listeners)
{
	for (unsigned i = 0; i < listeners->count; i++)
		shutdown(listeners->list[i].fd, SHUT_RDWR);
}

void listeners_close(struct listeners *listeners)
{
	for (unsigned i = 0; i < listeners->count; i++) {
		struct listener *l = &listeners->list[i];

		if (l->bound != NULL)
			evhttp_del_accept_socket(listeners->http, l->bound);
		close(l->fd);
	}
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

static void listeners_add(struct listeners *listeners, int fd, const char *name)
{
	size_t used = strlen(listeners->names);

	listeners->list[listeners->count++] = (struct listener){.fd = fd};
	snprintf(listeners->names + used, sizeof(listeners->names) - used, "%s%s",
		 used > 0 ? " " : "", name);
}

/* What came by exec has no close-on-exec; what is not a listening stream socket is not for us. */
static int listener_check(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	int accepts = 0;
	socklen_t len = sizeof(accepts);

	if (flags == -1 || fcntl(fd, F_SETFD, FD_CLOEXEC) == -1)
		return -errno;
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &len) == -1)
		return -errno;
	if (!accepts)
		return -EINVAL;
	if (!(flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1)
		return -errno;
	return 0;
}

static void listeners_adopt(struct listeners *listeners)
{
	unsigned count = (unsigned)env_u64("LISTEN_FDS", LISTENERS_MAX, 0);
	const char *env_names = getenv("LISTEN_FDNAMES");
	char *names = strdup(env_names != NULL ? env_names : "");
	char *rest = names;

	/* Another process's pid: the variables were inherited, and the descriptors are not ours. */
	if (env_u64("LISTEN_PID", INT32_MAX, 0) != (uint64_t)getpid())
		count = 0;
	for (int fd = LISTEN_FDS_START; fd < LISTEN_FDS_START + (int)count; fd++) {
		const char *name = strsep(&rest, ":");
		int r = listener_check(fd);

		if (name == NULL || name[0] == '\0')
			name = "unknown";
		if (r < 0)
			fprintf(stderr,
				"rpc-worker: socket %s (descriptor %d): %s; not serving on it\n",
				name, fd, r == -EINVAL ? "does not listen" : strerror(-r));
		else
			listeners_add(listeners, fd, name);
	}
	free(names);
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

int listeners_open(const char *address, struct listeners **ret)
{
	struct listeners *listeners = calloc(1, sizeof(*listeners));
	int r = 0;

	if (listeners == NULL)
		return -ENOMEM;
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
