/*
 * One connection: connects, sends a request, reads its answer, and knows exactly how far it came
 * when it breaks. Plain sockets instead of bufferevents, because what a broken request counts as
 * depends on whether a byte of it had been written.
 */
#pragma once

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "rpc-load-http.h"

struct target;

enum conn_event {
	CONN_PID,    /* `pid` has become known; the answer is still to come */
	CONN_ANSWER, /* `response` and `body` are there; the next request may be sent */
	CONN_LOST,   /* it is over, `why` says how; the owner frees it */
};

struct conn {
	TAILQ_ENTRY(conn) link; /* for the owner's use */

	/* To be read by the owner. */
	pid_t pid; /* the worker at the other end; 0: not known yet */
	struct http_response response;
	const char *body; /* of response.length bytes, until the next call on this connection */
	char why[96];	  /* CONN_LOST: in words */
	bool broken;	  /* CONN_LOST: the peer closed or reset it; nothing else was wrong */

	/* Private. */
	struct event_base *base;
	const struct target *target;
	enum { CONN_QUEUE_FULL, CONN_CONNECTING, CONN_OPEN } state;
	bool busy;     /* a request is under way */
	bool answered; /* bytes have come that are more than an interim response */
	int fd;
	struct event readable, writable, retry;
	struct evbuffer *in, *out;
	void (*on_event)(struct conn *conn, enum conn_event event, void *arg);
	void *arg;
};

TAILQ_HEAD(conn_list, conn);

/* Begins to connect. Returns 0, or -errno where that fails at once. */
int conn_open(struct event_base *base, const struct target *target, struct conn **ret);

/* Takes NULL. */
void conn_free(struct conn *conn);

/* Who is told of events. The callback may free the connection at CONN_ANSWER and CONN_LOST. */
void conn_own(struct conn *conn,
	      void (*on_event)(struct conn *conn, enum conn_event event, void *arg), void *arg);

/*
 * Sends what is in `request` (and empties it) as soon as the connection stands. Only while no
 * request is under way. Returns 0, or -EPIPE if the peer had closed the connection before a byte
 * was written: then nobody can have seen the request, and it may be sent elsewhere (RFC
 * 9112, 9.3.1).
 */
int conn_send(struct conn *conn, struct evbuffer *request);

/* After an answer: may another request be sent here? */
bool conn_is_reusable(const struct conn *conn);
