/*
 * control_conn.c - one connection. evhttp owns it; we are told of its end (evhttp_connection's
 * close callback), bound its time and its memory, and notice that a client has gone while it waits.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "engine/control_internal.h"

static const struct timeval write_timeout = {.tv_sec = CONTROL_IDLE / USEC_PER_SEC};

/* ---- begin and end ---- */

static void conn_free(struct conn *conn)
{
	struct door *door = conn->door;

	TAILQ_REMOVE(conn->http != NULL ? &door->conns : &door->fresh, conn, place);
	if (conn->timer != NULL)
		event_free(conn->timer);
	door->n_long -= conn->counts_long;
	free(conn);
	door_conn_closed(door);
}

static void conn_closed(struct evhttp_connection *http, void *arg)
{
	struct conn *conn = arg;
	struct evhttp_request *request = conn->request;
	void (*gone)(void *) = conn->gone;
	void *gone_arg = conn->arg;

	(void)http;
	/* evhttp detaches a request that waits for our answer: it is ours to free then */
	if (request != NULL && evhttp_request_get_connection(request) == NULL)
		evhttp_request_free(request);
	conn_free(conn);
	if (gone != NULL)
		gone(gone_arg);
}

static void conn_time(evutil_socket_t fd, short what, void *arg)
{
	struct conn *conn = arg;

	(void)fd;
	(void)what;
	evhttp_connection_free(conn->http); /* conn_closed() follows */
}

static void conn_set_idle(struct conn *conn)
{
	bool full = conn->door->n >= CONTROL_CONNECTIONS_MAX;

	engine_arm(conn->timer, full ? CONTROL_IDLE_FULL : CONTROL_IDLE);
}

void conn_hurry(struct conn *conn)
{
	if (!conn->dropped && evtimer_pending(conn->timer, NULL))
		conn_set_idle(conn);
}

struct conn *conn_new(struct door *door, struct bufferevent *bev)
{
	struct conn *conn = calloc(1, sizeof(*conn));

	if (conn == NULL)
		return NULL;
	conn->timer = evtimer_new(door->engine->base, conn_time, conn);
	if (conn->timer == NULL) {
		free(conn);
		return NULL;
	}
	conn->door = door;
	conn->bev = bev;
	bufferevent_incref(bev);
	TAILQ_INSERT_TAIL(&door->fresh, conn, place);
	door->n++;
	return conn;
}

/*
 * Before libevent 2.2 evhttp tells nobody of a connection that has sent no request yet. But it is
 * what the callbacks of its bufferevent get as their argument (NULL once the bufferevent was
 * given up). Nothing has been read by now: this runs in the same turn of the loop as the accept.
 */
void conn_greet(struct conn *conn)
{
	int yes = 1, fd = bufferevent_getfd(conn->bev);
	struct bufferevent *bev = conn->bev;
	void *http = NULL;

	bufferevent_getcb(bev, NULL, NULL, NULL, &http);
	if (http == NULL) {
		conn_free(conn);
	} else {
		TAILQ_REMOVE(&conn->door->fresh, conn, place);
		TAILQ_INSERT_TAIL(&conn->door->conns, conn, place);
		conn->http = http;
		evhttp_connection_set_closecb(conn->http, conn_closed, conn);
		bufferevent_setwatermark(bev, EV_READ, 0, CONTROL_INPUT_MAX);
		conn_set_idle(conn);
		/* who vanished without a word is noticed in the end, also behind a quiet stream */
		if (!conn->door->local)
			setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof(yes));
	}
	bufferevent_decref(bev);
}

struct conn *conn_find(struct door *door, struct evhttp_request *request)
{
	struct evhttp_connection *http = evhttp_request_get_connection(request);
	struct conn *conn;

	for (conn = TAILQ_FIRST(&door->conns); conn != NULL; conn = TAILQ_NEXT(conn, place)) {
		if (conn->http != http)
			continue;
		conn->request = request;
		conn->allowance = 0;
		engine_arm(conn->timer, USEC_INFINITY);
		return conn;
	}
	return NULL;
}

/* ---- answers ---- */

static void conn_set_long(struct conn *conn, bool is_long)
{
	conn->door->n_long += is_long;
	conn->door->n_long -= conn->counts_long;
	conn->counts_long = is_long;
}

bool conn_may_be_long(const struct conn *conn)
{
	return conn->door->n_long < CONTROL_LONG_MAX;
}

/* Not from within: this may be called from anywhere, for any connection. */
static void conn_drop(struct conn *conn)
{
	conn->dropped = true;
	event_active(conn->timer, EV_TIMEOUT, 0);
}

/* The answer is out, and the connection stays: the next request has its time again. */
static void conn_answered(struct evhttp_request *request, void *arg)
{
	struct conn *conn = arg;

	(void)request;
	conn_set_idle(conn);
}

/* The last that is sent for a request: from here on only the client's reading takes time. */
static struct evhttp_request *conn_take_request(struct conn *conn)
{
	struct evhttp_request *request = TAKE_PTR(conn->request);

	conn->gone = NULL;
	conn->streaming = false;
	conn_set_long(conn, false);
	bufferevent_set_timeouts(conn->bev, NULL, &write_timeout);
	evhttp_request_set_on_complete_cb(request, conn_answered, conn);
	return request;
}

static void add_header(struct evhttp_request *request, const char *name, const char *value)
{
	evhttp_add_header(evhttp_request_get_output_headers(request), name, value);
}

void conn_reply(struct conn *conn, int code, const char *type, const struct buf *body)
{
	struct evhttp_request *request;
	struct evbuffer *data = evbuffer_new();
	char length[24];

	if (conn->dropped || data == NULL ||
	    (body != NULL && (body->cut || evbuffer_add(data, body->data, body->len) == -1))) {
		if (data != NULL)
			evbuffer_free(data);
		conn->gone = NULL; /* whoever answers knows already */
		conn_drop(conn);
		return;
	}
	request = conn_take_request(conn);
	add_header(request, "Content-Type", type);
	add_header(request, "Cache-Control", "no-store");
	if (evhttp_request_get_command(request) == EVHTTP_REQ_HEAD) {
		/* evhttp would send the body all the same */
		snprintf(length, sizeof(length), "%zu", evbuffer_get_length(data));
		add_header(request, "Content-Length", length);
		evbuffer_drain(data, evbuffer_get_length(data));
	}
	evhttp_send_reply(request, code, NULL, data);
	evbuffer_free(data);
	/* who has shut down his sending side still gets the answer; who is gone fails the write */
	bufferevent_disable(conn->bev, EV_READ);
}

/*
 * evhttp reads nothing while a request waits for its answer, and would take a byte that comes then
 * for a mistake of ours (and exit). So its read callback goes, as it does itself once it writes;
 * its event callback stays, and hears of the end.
 */
void conn_wait(struct conn *conn, void (*gone)(void *arg), void *arg)
{
	bufferevent_data_cb on_write;
	bufferevent_event_cb on_event;
	void *evhttp_arg;

	conn->gone = gone;
	conn->arg = arg;
	conn_set_long(conn, true);
	bufferevent_getcb(conn->bev, NULL, &on_write, &on_event, &evhttp_arg);
	bufferevent_setcb(conn->bev, NULL, on_write, on_event, evhttp_arg);
	bufferevent_set_timeouts(conn->bev, NULL, NULL);
	bufferevent_enable(conn->bev, EV_READ);
}

void conn_stream(struct conn *conn, int code, const char *type, void (*gone)(void *arg), void *arg)
{
	conn->gone = gone;
	conn->arg = arg;
	conn->streaming = true;
	conn_set_long(conn, true);
	bufferevent_set_timeouts(conn->bev, NULL, NULL);
	add_header(conn->request, "Content-Type", type);
	add_header(conn->request, "Cache-Control", "no-store");
	add_header(conn->request, "Connection", "close");
	evhttp_send_reply_start(conn->request, code, NULL);
}

void conn_send(struct conn *conn, const struct buf *piece)
{
	struct evbuffer *scratch = conn->door->engine->control->scratch;

	if (conn->dropped)
		return;
	if (piece->cut || evbuffer_add(scratch, buf_text(piece), piece->len) == -1) {
		evbuffer_drain(scratch, evbuffer_get_length(scratch));
		conn_drop(conn);
		return;
	}
	evhttp_send_reply_chunk(conn->request, scratch);
	if (evbuffer_get_length(bufferevent_get_output(conn->bev)) >
	    CONTROL_UNREAD_MAX + conn->allowance)
		conn_drop(conn);
}

void conn_send_all(struct conn *conn, const struct buf *piece)
{
	conn->allowance += piece->len;
	conn_send(conn, piece);
}

void conn_end(struct conn *conn)
{
	conn->gone = NULL;
	if (!conn->dropped)
		evhttp_send_reply_end(conn_take_request(conn));
}

/* A stream's end is told too; whoever feeds it hears that it is over. */
static void conn_end_last(struct conn *conn)
{
	void (*gone)(void *) = conn->gone;
	void *arg = conn->arg;

	conn_end(conn);
	if (gone != NULL)
		gone(arg);
}

/* One try: at the end of the instance nobody is waited for. */
void conn_send_last(struct conn *conn)
{
	struct bufferevent *bev = conn->bev;
	struct evbuffer *output = bufferevent_get_output(bev);

	if (conn->dropped || (!conn->streaming && evbuffer_get_length(output) == 0))
		return;
	bufferevent_incref(bev);
	if (conn->streaming)
		conn_end_last(conn);
	evbuffer_unfreeze(output, 1);
	evbuffer_write(output, bufferevent_getfd(bev));
	evbuffer_freeze(output, 1);
	bufferevent_decref(bev);
}

/* ---- who it is ---- */

int conn_peer(const struct conn *conn, struct ucred *ret_peer)
{
	socklen_t len = sizeof(*ret_peer);

	if (getsockopt(bufferevent_getfd(conn->bev), SOL_SOCKET, SO_PEERCRED, ret_peer, &len) == -1)
		return -errno;
	return 0;
}

bool conn_may_change(const struct conn *conn, const struct ucred *peer)
{
	return private_socket_admits(&conn->door->engine->control->socket,
				     bufferevent_getfd(conn->bev), peer);
}
