/*
 * control_door.c - a listening socket with evhttp behind it. evhttp has no limit of connections of
 * its own: at the limit the listener rests until one is closed; and when accept(2) fails (no
 * descriptors), it rests for a second instead of failing in a loop.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "engine/control_internal.h"

/* evhttp makes itself the argument of its listener's callbacks: the error callback looks its door
 * up here. */
static LIST_HEAD(, door) doors = LIST_HEAD_INITIALIZER(doors);

static struct door *door_find(const struct evconnlistener *listener)
{
	struct door *door = LIST_FIRST(&doors);

	while (door != NULL && door->listener != listener)
		door = LIST_NEXT(door, place);
	return door;
}

static void door_set_accepting(struct door *door)
{
	if (door->closing)
		return;
	if (door->paused || door->n >= CONTROL_CONNECTIONS_MAX)
		evconnlistener_disable(door->listener);
	else
		evconnlistener_enable(door->listener);
}

void door_conn_closed(struct door *door)
{
	door->n--;
	door_set_accepting(door);
}

static void door_resume(evutil_socket_t fd, short what, void *arg)
{
	struct door *door = arg;

	(void)fd;
	(void)what;
	door->paused = false;
	door_set_accepting(door);
}

static void door_failed(struct evconnlistener *listener, void *arg)
{
	int error = errno;
	struct door *door = door_find(listener);

	(void)arg;
	if (door == NULL)
		return;
	door->paused = true;
	door_set_accepting(door);
	engine_arm(door->resume, CONTROL_ACCEPT_PAUSE);
	if (complaint_is_due(&door->refused))
		log_warning("cannot accept on %s: %s, trying again every second",
			    door->local ? "control.sock" : "status_listen", strerror(error));
}

static void door_greet(evutil_socket_t fd, short what, void *arg)
{
	struct door *door = arg;
	struct conn *conn;

	(void)fd;
	(void)what;
	while ((conn = TAILQ_FIRST(&door->fresh)) != NULL)
		conn_greet(conn);
}

/* Those who wait outside get the places of those who only sit there. */
static void door_hurry(struct door *door)
{
	struct conn *conn;

	for (conn = TAILQ_FIRST(&door->conns); conn != NULL; conn = TAILQ_NEXT(conn, place))
		conn_hurry(conn);
}

/* evhttp wants a bufferevent: a connection has been accepted. */
static struct bufferevent *door_accepted(struct event_base *base, void *arg)
{
	struct bufferevent *bev = bufferevent_socket_new(base, -1, 0);
	struct door *door = arg;

	if (bev == NULL)
		return NULL;
	if (conn_new(door, bev) == NULL) {
		bufferevent_free(bev);
		return NULL;
	}
	event_active(door->greet, EV_TIMEOUT, 0);
	door_set_accepting(door);
	if (door->n == CONTROL_CONNECTIONS_MAX)
		door_hurry(door);
	return bev;
}

static void door_request(struct evhttp_request *request, void *arg)
{
	struct door *door = arg;
	struct conn *conn;

	door_greet(-1, 0, door);
	conn = conn_find(door, request);
	if (conn != NULL)
		api_handle(conn);
	else /* one that we had no memory for: evhttp made it without us */
		evhttp_send_error(request, HTTP_SERVUNAVAIL, NULL);
}

static void door_listen(struct door *door, int fd)
{
	const unsigned flags = LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_CLOSE_ON_FREE;

	door->listener = evconnlistener_new(door->engine->base, NULL, NULL, flags, 0, fd);
	if (door->listener == NULL) {
		fd_close(fd);
		return;
	}
	door->bound = evhttp_bind_listener(door->http, door->listener);
	if (door->bound == NULL) {
		evconnlistener_free(door->listener);
		door->listener = NULL;
		return;
	}
	evconnlistener_set_error_cb(door->listener, door_failed);
}

int door_replace(struct door *door, int fd)
{
	struct evhttp_bound_socket *bound = door->bound;
	struct evconnlistener *listener = door->listener;

	door_listen(door, fd);
	if (door->listener == NULL) {
		door->listener = listener;
		door->bound = bound;
		return -ENOMEM;
	}
	evhttp_del_accept_socket(door->http, bound);
	door_set_accepting(door);
	return 0;
}

static void door_set_limits(struct door *door)
{
	evhttp_set_max_headers_size(door->http, CONTROL_HEADERS_MAX);
	evhttp_set_max_body_size(door->http, CONTROL_BODY_MAX);
	evhttp_set_timeout(door->http, CONTROL_IDLE / USEC_PER_SEC);
	evhttp_set_allowed_methods(door->http, UINT16_MAX); /* 405 is ours to say */
	evhttp_set_default_content_type(door->http, NULL);
	evhttp_set_bevcb(door->http, door_accepted, door);
	evhttp_set_gencb(door->http, door_request, door);
}

struct door *door_open(struct engine *engine, int fd, bool local)
{
	struct door *door = calloc(1, sizeof(*door));

	if (door == NULL) {
		fd_close(fd);
		return NULL;
	}
	door->engine = engine;
	door->local = local;
	LIST_INSERT_HEAD(&doors, door, place);
	TAILQ_INIT(&door->fresh);
	TAILQ_INIT(&door->conns);
	door->resume = evtimer_new(engine->base, door_resume, door);
	door->greet = evtimer_new(engine->base, door_greet, door);
	door->http = evhttp_new(engine->base);
	if (door->http != NULL && door->resume != NULL && door->greet != NULL) {
		door_set_limits(door);
		door_listen(door, fd);
	} else {
		fd_close(fd);
	}
	if (door->listener == NULL) {
		door_close(door);
		return NULL;
	}
	return door;
}

void door_close(struct door *door)
{
	struct conn *conn, *next;

	if (door == NULL)
		return;
	door->closing = true;
	door_greet(-1, 0, door);
	for (conn = TAILQ_FIRST(&door->conns); conn != NULL; conn = next) {
		next = TAILQ_NEXT(conn, place);
		conn_send_last(conn);
	}
	if (door->http != NULL)
		evhttp_free(door->http); /* with the listener and all connections */
	if (door->resume != NULL)
		event_free(door->resume);
	if (door->greet != NULL)
		event_free(door->greet);
	LIST_REMOVE(door, place);
	free(door);
}
