/*
 * control_internal.h - what control*.c and api*.c share: doors (a listening socket and evhttp
 * behind it) and the connections that came through them.
 */
#ifndef ENGINE_CONTROL_INTERNAL_H
#define ENGINE_CONTROL_INTERNAL_H

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "engine/control.h"
#include "engine/private_socket.h"

enum {
	CONTROL_CONNECTIONS_MAX = 64, /* of each door: further ones wait in its queue */
	CONTROL_LONG_MAX = 48,	      /* of those: streams, and requests that wait for a reload */
	CONTROL_HEADERS_MAX = 16 * 1024, /* evhttp answers 400 */
	CONTROL_BODY_MAX = 64 * 1024,	 /* and 413 */
	CONTROL_INPUT_MAX = 128 * 1024,	 /* what a client sends beyond that is not read */
	CONTROL_UNREAD_MAX = 256 * 1024, /* a stream's client that leaves more unread is dropped */
	CONTROL_ANSWER_MAX = 64 * 1024 * 1024,
};
/* For a request to come in whole, for a client to read on, and for an idle connection. */
#define CONTROL_IDLE (10 * USEC_PER_SEC)
/* The same while all places are taken and others wait. */
#define CONTROL_IDLE_FULL    USEC_PER_SEC
#define CONTROL_ACCEPT_PAUSE USEC_PER_SEC

struct conn {
	TAILQ_ENTRY(conn) place;
	struct door *door;
	struct bufferevent *bev;
	struct evhttp_connection *http; /* NULL: not known yet */
	struct event *timer;		/* its time is over */
	struct evhttp_request *request; /* that is to be answered; NULL: none */
	bool streaming, dropped, counts_long;
	size_t allowance; /* bytes that may wait beyond CONTROL_UNREAD_MAX */
	void (*gone)(void *arg);
	void *arg;
};
TAILQ_HEAD(conn_list, conn);

struct door {
	LIST_ENTRY(door) place;
	struct engine *engine;
	bool local; /* control.sock: changes are taken here only */
	struct evhttp *http;
	struct evconnlistener *listener;
	struct evhttp_bound_socket *bound; /* evhttp's name for it */
	struct event *resume;		   /* accepts again, a while after that failed */
	struct event *greet;		   /* gets hold of connections that evhttp has just made */
	struct conn_list fresh, conns;
	unsigned n, n_long;
	bool paused, closing;
	struct complaint refused; /* that nothing can be accepted */
};

struct control {
	struct door *local, *status;
	struct private_socket socket;
	char *status_host; /* what status listens on */
	uint16_t status_port;
	struct evbuffer *scratch; /* one line on its way to a stream */
	bool closing;
};

/* ---- control_door.c ---- */

/* Takes fd (listening, non-blocking) over, also on failure. NULL: no memory. */
struct door *door_open(struct engine *engine, int fd, bool local);
/* Another listening socket in the place of its own; takes fd over, also on failure. 0 or -ENOMEM.
 */
int door_replace(struct door *door, int fd);
/* Sends what can be sent at once, and closes it with all its connections. Accepts NULL. */
void door_close(struct door *door);

/* ---- control_conn.c: for door.c ---- */

/* A connection that evhttp is about to make with bev. NULL: no memory. */
struct conn *conn_new(struct door *door, struct bufferevent *bev);
/* evhttp has made it, or given up. */
void conn_greet(struct conn *conn);
/* All places are taken: if it is idle, it has less time from now on. */
void conn_hurry(struct conn *conn);
void conn_send_last(struct conn *conn);
struct conn *conn_find(struct door *door, struct evhttp_request *request);
void door_conn_closed(struct door *door);

/* ---- control_conn.c: for api*.c. After any answer conn is not to be touched again. ---- */

/* The whole answer; body NULL: none. */
void conn_reply(struct conn *conn, int code, const char *type, const struct buf *body);
/* The request will be answered later. gone: its client went away before that, conn is no more. */
void conn_wait(struct conn *conn, void (*gone)(void *arg), void *arg);
/* Begins an answer of lines that come as they happen; ended by conn_end(). */
void conn_stream(struct conn *conn, int code, const char *type, void (*gone)(void *arg), void *arg);
/* Sends a piece to a stream; a client that does not read is dropped soon, gone() is called then. */
void conn_send(struct conn *conn, const struct buf *piece);
/* The same for what was asked for: its size does not count against the client. */
void conn_send_all(struct conn *conn, const struct buf *piece);
void conn_end(struct conn *conn);
/* May one more request take long? Some places are kept for short ones. */
bool conn_may_be_long(const struct conn *conn);
/* Who is at the other end of control.sock. 0 or -errno. */
int conn_peer(const struct conn *conn, struct ucred *ret_peer);
/* root, our own user, or in the group of operators. */
bool conn_may_change(const struct conn *conn, const struct ucred *peer);

/* ---- api.c ---- */

/* A request has come in whole: conn->request. */
void api_handle(struct conn *conn);

#endif
