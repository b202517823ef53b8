/* The long-lived connections of one stream, and the requests that wait for one of them. */
#pragma once

#include <sys/queue.h>

#include "rpc-load-conn.h"

struct request;
struct target;

TAILQ_HEAD(request_list, request);

struct pool {
	struct event_base *base;
	const struct target *target;
	struct conn_list idle; /* the longest unused first */
	unsigned open, max;
	struct request_list waiting; /* this and the next: kept by rpc-load-request */
	bool serving;		     /* those who wait are being served */
};

void pool_init(struct pool *pool, struct event_base *base, const struct target *target,
	       unsigned max);

/* Closes the idle connections; the others belong to their requests. */
void pool_done(struct pool *pool);

/*
 * Opens connections up to the maximum first, so that all of them come to be used; then takes the
 * one that has been idle for longest. Returns 0, -EBUSY (all are in use) or -errno of the
 * connecting.
 */
int pool_take(struct pool *pool, struct conn **ret);

/* Would pool_take() find one? */
bool pool_has_free(const struct pool *pool);

/* Gives a connection back for the next request. */
void pool_give(struct pool *pool, struct conn *conn);

/* Frees a connection that came from here. */
void pool_drop(struct pool *pool, struct conn *conn);
