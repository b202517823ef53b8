/* sockets_close.c - one socket goes because nobody uses it any more, or all of them at a stop. */
#include <string.h>

#include "engine/channel.h"
#include "engine/giving.h"
#include "engine/proc.h"
#include "engine/sockets.h"
#include "engine/steering.h"

/* A removed socket's old workers drain already; its last clients get this long to be accepted. */
#define SOCKETS_CLOSE_AFTER (250 * USEC_PER_MSEC)
/* And workers that serve on without it this long to let go, which they say. */
#define SOCKETS_LET_GO_MAX   (2 * USEC_PER_SEC)
#define SOCKETS_QUIESCE_LOOK (20 * USEC_PER_MSEC)

/* ---- one ---- */

void sockets_refuse_one(struct engine *engine, struct engine_socket *socket)
{
	socket->fresh = socket->revived = socket->told = false;
	socket->closing = true;
	socket->closing_since = clock_now();
	if (!steering_refuse(engine, socket))
		listener_refuse(&socket->listener);
	engine_arm(engine->closing_event, SOCKETS_CLOSE_AFTER);
}

static bool sockets_any_closing(const struct engine *engine)
{
	for (const struct engine_socket *socket = engine->sockets; socket != NULL;
	     socket = socket->next)
		if (socket->closing)
			return true;
	return false;
}

void sockets_wait_for_workers(struct engine *engine)
{
	if (sockets_any_closing(engine) && channels_holder(engine) != NULL)
		engine_arm(engine->closing_event, SOCKETS_LET_GO_MAX);
}

void sockets_look_at_workers(struct engine *engine)
{
	if (sockets_any_closing(engine) && channels_holder(engine) == NULL)
		engine_arm(engine->closing_event, SOCKETS_CLOSE_AFTER);
}

void sockets_close_removed(evutil_socket_t fd, short what, void *arg)
{
	struct engine *engine = arg;
	const struct proc *holder = channels_holder(engine);
	struct engine_socket *next;
	bool again = false;

	(void)fd;
	(void)what;
	for (struct engine_socket *socket = engine->sockets; socket != NULL; socket = next) {
		next = socket->next;
		if (!socket->closing)
			continue;
		/* there is no other worker to accept those who wait: this one may still do so */
		if (socket->slots != NULL && listener_has_queue(&socket->listener) &&
		    slots_is_held(engine, socket)) {
			again = true;
			continue;
		}
		if (holder != NULL)
			log_warning("socket %s: %s has not said that it has let go of it; shutting "
				    "it down all the same",
				    socket->name, PROC_TEXT(holder));
		steering_leaves(engine, socket);
		listener_shutdown(&socket->listener);
		sockets_drop(engine, socket);
	}
	steering_update(engine);
	if (again)
		engine_arm(engine->closing_event, SOCKETS_CLOSE_AFTER);
}

/* ---- the end ---- */

static bool sockets_has_queue(const struct engine *engine, const struct engine_socket *socket)
{
	return !sockets_outlives_us(engine, socket) && socket->listener.type == SOCK_STREAM;
}

static bool sockets_queues_empty(const struct engine *engine)
{
	for (const struct engine_socket *socket = engine->sockets; socket != NULL;
	     socket = socket->next)
		if (sockets_has_queue(engine, socket) && listener_has_queue(&socket->listener))
			return false;
	return true;
}

/* Two looks in a row: the last handshakes of the network may still be on their way. */
void sockets_quiesce_look(evutil_socket_t fd, short what, void *arg)
{
	struct engine *engine = arg;

	(void)fd;
	(void)what;
	if (engine->model->state != INSTANCE_QUIESCING)
		return;
	engine->quiesce_empty = sockets_queues_empty(engine) ? engine->quiesce_empty + 1 : 0;
	if (engine->quiesce_empty >= 2)
		engine_post(engine, &(struct core_event){.kind = EVENT_QUEUES_EMPTY});
	else
		engine_arm(engine->quiesce_event, SOCKETS_QUIESCE_LOOK);
}

void sockets_refuse(struct engine *engine)
{
	bool queues = false;

	engine->refusing = true;
	for (struct engine_socket *socket = engine->sockets; socket != NULL; socket = socket->next)
		if (giving_is_shared(engine, socket) && !sockets_is_kept(engine, socket))
			giving_leave(engine, socket);
	for (struct engine_socket *socket = engine->sockets; socket != NULL;
	     socket = socket->next) {
		bool kept = sockets_outlives_us(engine, socket) || socket->closing;
		int r = kept ? 0 : listener_refuse(&socket->listener);

		sockets_file_unwatch(engine, socket);
		if (r < 0)
			log_info("socket %s: new clients cannot be kept out before its workers "
				 "drain (%s); "
				 "they are refused when it is closed",
				 socket->name, strerror(-r));
		queues = queues || sockets_has_queue(engine, socket);
	}
	engine->quiesce_empty = 0;
	if (queues)
		engine_arm(engine->quiesce_event, 0);
	else
		engine_post(engine, &(struct core_event){.kind = EVENT_QUEUES_EMPTY});
}

void sockets_shutdown(struct engine *engine)
{
	engine->refusing = true;
	while (engine->sockets != NULL) {
		struct engine_socket *socket = engine->sockets;

		sockets_unwatch(engine, socket);
		if (sockets_outlives_us(engine, socket)) {
			if (!sockets_is_kept(engine, socket))
				sockets_unstore(socket); /* others hold it, and not for us */
			listener_let_go(&socket->listener);
		} else {
			sockets_unstore(socket); /* first: a copy elsewhere would go on listening */
			listener_shutdown(&socket->listener);
		}
		sockets_drop(engine, socket);
	}
}
