/* One connection, and how far it came. */
#include "rpc-load-conn.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rpc-load-target.h"
#include "rpc-load-util.h"

#define RETRY_USEC     (5 * USEC_PER_MSEC)
#define READ_BYTES_MAX (64 * 1024)

/* Except with CONN_PID, the last thing done with a connection: the owner may free it. */
static void conn_tell(struct conn *conn, enum conn_event event)
{
	conn->on_event(conn, event, conn->arg);
}

static void conn_quiet(struct conn *conn)
{
	event_del(&conn->readable);
	event_del(&conn->writable);
	event_del(&conn->retry);
}

static void conn_lost(struct conn *conn, bool broken, const char *what, const char *detail)
{
	conn_quiet(conn);
	conn->broken = broken;
	snprintf(conn->why, sizeof(conn->why), "%s%s", what, detail);
	conn_tell(conn, CONN_LOST);
}

/* How far the request under way had come: what tells a cut answer from one that never began. */
static const char *conn_progress(const struct conn *conn)
{
	if (conn->answered || evbuffer_get_length(conn->in) > 0)
		return " in the middle of the answer";
	if (conn->response.worker_pid > 0)
		return " by a worker that had taken the request";
	return " before any byte of the answer";
}

static void conn_lost_by_peer(struct conn *conn, int error)
{
	if (error == 0)
		conn_lost(conn, true, "closed", conn_progress(conn));
	else if (error == ECONNRESET || error == EPIPE)
		conn_lost(conn, true, "reset", conn_progress(conn));
	else
		conn_lost(conn, false, "connection: ", strerror(error));
}

/* Returns 0 (all or part of it written) or -errno. */
static int conn_flush(struct conn *conn)
{
	while (evbuffer_get_length(conn->out) > 0) {
		if (evbuffer_write(conn->out, conn->fd) > 0)
			continue;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		event_add(&conn->writable, NULL);
		return 0;
	}
	return 0;
}

/* Returns whether it is; if not, the owner has been told. */
static bool conn_finish_connect(struct conn *conn)
{
	socklen_t len = sizeof(int);
	int error = 0;

	if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1)
		error = errno;
	if (error == 0) {
		conn->state = CONN_OPEN;
		event_add(&conn->readable, NULL);
		return true;
	}
	/* Reset means that it stood already, and whoever held it is gone. */
	if (error == ECONNRESET)
		conn_lost_by_peer(conn, error);
	else
		conn_lost(conn, false, "connect: ", strerror(error));
	return false;
}

static void conn_on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct conn *conn = arg;
	int r;

	(void)fd;
	(void)what;
	if (conn->state == CONN_CONNECTING && !conn_finish_connect(conn))
		return;
	r = conn_flush(conn);
	if (r < 0)
		conn_lost_by_peer(conn, -r);
}

/* Reads as many responses as are there: interim ones, then the answer. */
static void conn_read_response(struct conn *conn)
{
	const char *wrong = NULL;
	int r;

	while ((r = http_response_read(&conn->response, conn->in, &wrong)) == HTTP_INTERIM) {
		if (conn->response.worker_pid == 0 || conn->response.worker_pid == conn->pid)
			continue;
		conn->pid = conn->response.worker_pid;
		conn_tell(conn, CONN_PID);
	}
	if (r < 0) {
		conn_lost(conn, false, "not HTTP as expected: ", wrong);
		return;
	}
	conn->answered = conn->response.part != HTTP_STATUS_LINE;
	if (r == HTTP_COMPLETE) {
		conn->busy = false;
		conn->body =
		    (const char *)evbuffer_pullup(conn->in, (ssize_t)conn->response.length);
		conn_tell(conn, CONN_ANSWER);
	}
}

static void conn_on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct conn *conn = arg;
	int n = evbuffer_read(conn->in, fd, READ_BYTES_MAX);

	(void)what;
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		conn_lost_by_peer(conn, n == 0 ? 0 : errno);
	else if (!conn->busy)
		conn_lost(conn, false, "bytes that nobody had asked for", "");
	else
		conn_read_response(conn);
}

static void conn_on_retry(evutil_socket_t fd, short what, void *arg);

/* A full queue of a Unix socket is no refusal: a blocking client would wait, and so do we. */
static int conn_begin(struct conn *conn)
{
	static const struct timeval pause = {0, RETRY_USEC};
	int fd = target_connect(conn->target);

	if (fd == -EAGAIN) {
		evtimer_assign(&conn->retry, conn->base, conn_on_retry, conn);
		return event_add(&conn->retry, &pause) == 0 ? 0 : -ENOMEM;
	}
	if (fd < 0)
		return fd;
	conn->fd = fd;
	conn->state = CONN_CONNECTING;
	event_assign(&conn->readable, conn->base, fd, EV_READ | EV_PERSIST, conn_on_readable, conn);
	event_assign(&conn->writable, conn->base, fd, EV_WRITE, conn_on_writable, conn);
	return event_add(&conn->writable, NULL) == 0 ? 0 : -ENOMEM;
}

static void conn_on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct conn *conn = arg;
	int r = conn_begin(conn);

	(void)fd;
	(void)what;
	if (r < 0)
		conn_lost(conn, false, "connect: ", strerror(-r));
}

int conn_open(struct event_base *base, const struct target *target, struct conn **ret)
{
	struct conn *conn = calloc(1, sizeof(*conn));
	int r = -ENOMEM;

	if (conn == NULL)
		return -ENOMEM;
	conn->fd = -1;
	conn->base = base;
	conn->target = target;
	evtimer_assign(&conn->readable, base, conn_on_readable, conn);
	evtimer_assign(&conn->writable, base, conn_on_writable, conn);
	evtimer_assign(&conn->retry, base, conn_on_retry, conn);
	conn->in = evbuffer_new();
	conn->out = evbuffer_new();
	if (conn->in != NULL && conn->out != NULL)
		r = conn_begin(conn);
	if (r < 0) {
		conn_free(conn);
		return r;
	}
	*ret = conn;
	return 0;
}

void conn_free(struct conn *conn)
{
	if (conn == NULL)
		return;
	conn_quiet(conn);
	if (conn->in != NULL)
		evbuffer_free(conn->in);
	if (conn->out != NULL)
		evbuffer_free(conn->out);
	if (conn->fd != -1)
		close(conn->fd);
	free(conn);
}

void conn_own(struct conn *conn,
	      void (*on_event)(struct conn *conn, enum conn_event event, void *arg), void *arg)
{
	conn->on_event = on_event;
	conn->arg = arg;
}

/* The peer's FIN or RST may have come since the loop last looked. */
static bool conn_is_closed_by_peer(const struct conn *conn)
{
	char byte;
	ssize_t n = recv(conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	return n == 0 || (n == -1 && errno != EAGAIN && errno != EINTR);
}

int conn_send(struct conn *conn, struct evbuffer *request)
{
	size_t len;
	int r;

	if (conn->state == CONN_OPEN && conn_is_closed_by_peer(conn))
		return -EPIPE;
	evbuffer_drain(conn->in, conn->response.length);
	http_response_init(&conn->response);
	conn->busy = true;
	conn->answered = false;
	conn->body = NULL;
	evbuffer_add_buffer(conn->out, request);
	if (conn->state != CONN_OPEN)
		return 0;
	len = evbuffer_get_length(conn->out);
	r = conn_flush(conn);
	/* An error after a part was written will be seen again by the reading side. */
	return r < 0 && evbuffer_get_length(conn->out) == len ? -EPIPE : 0;
}

bool conn_is_reusable(const struct conn *conn)
{
	return !conn->response.close && conn->response.status == 200 &&
	       evbuffer_get_length(conn->in) == conn->response.length;
}
