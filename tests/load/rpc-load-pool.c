/* The long-lived connections of one stream. */
#include "rpc-load-pool.h"

#include <errno.h>

void pool_init(struct pool *pool, struct event_base *base, const struct target *target,
	       unsigned max)
{
	*pool = (struct pool){.base = base, .target = target, .max = max};
	TAILQ_INIT(&pool->idle);
	TAILQ_INIT(&pool->waiting);
}

/* Closed while idle: nothing was lost, and the next request opens another one. */
static void pool_on_event(struct conn *conn, enum conn_event event, void *arg)
{
	struct pool *pool = arg;

	if (event != CONN_LOST)
		return;
	TAILQ_REMOVE(&pool->idle, conn, link);
	pool_drop(pool, conn);
}

int pool_take(struct pool *pool, struct conn **ret)
{
	struct conn *conn = TAILQ_FIRST(&pool->idle);
	int r;

	if (pool->open < pool->max) {
		r = conn_open(pool->base, pool->target, ret);
		if (r == 0)
			pool->open++;
		return r;
	}
	if (conn == NULL)
		return -EBUSY;
	TAILQ_REMOVE(&pool->idle, conn, link);
	*ret = conn;
	return 0;
}

bool pool_has_free(const struct pool *pool)
{
	return pool->open < pool->max || !TAILQ_EMPTY(&pool->idle);
}

void pool_give(struct pool *pool, struct conn *conn)
{
	conn_own(conn, pool_on_event, pool);
	TAILQ_INSERT_TAIL(&pool->idle, conn, link);
}

void pool_drop(struct pool *pool, struct conn *conn)
{
	pool->open--;
	conn_free(conn);
}

void pool_done(struct pool *pool)
{
	struct conn *conn;

	while ((conn = TAILQ_FIRST(&pool->idle)) != NULL) {
		TAILQ_REMOVE(&pool->idle, conn, link);
		pool_drop(pool, conn);
	}
}
