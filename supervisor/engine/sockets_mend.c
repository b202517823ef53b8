/* sockets_mend.c - a worker's shutdown() ends a shared socket for everybody: noticed at once, and
 * mended. */
#include <stdlib.h>
#include <string.h>

#include "engine/events.h"
#include "engine/giving.h"
#include "engine/manager.h"
#include "engine/proc.h"
#include "engine/sockets.h"
#include "engine/steering.h"
#include "engine/taking.h"

/* One that is shut down again within this time is mended once a second, not in a busy loop. */
#define SOCKETS_MEND_PAUSE (100 * USEC_PER_MSEC)
#define SOCKETS_MEND_QUICK 3

/* Who may it have been: the worker that ended a moment ago, or the one that left last. */
static void sockets_describe_suspect(struct engine *engine, const struct engine_socket *socket,
				     struct buf *out)
{
	const struct proc *suspect = NULL;

	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++)
		for (uint32_t n = 0; n < engine->pools[p].n_procs; n++) {
			const struct proc *proc = engine->pools[p].procs[n];

			if (proc != NULL && proc->leaving_at != 0 &&
			    (suspect == NULL || proc->leaving_at > suspect->leaving_at))
				suspect = proc;
		}
	if (suspect != NULL && suspect->leaving_at >= engine->last_gone_at)
		buf_printf(out, "%s, which drains",
			   proc_describe(suspect, (char[PROC_NAME_MAX]){0}, PROC_NAME_MAX));
	else if (engine->last_gone_at != 0 && clock_now() - engine->last_gone_at < USEC_PER_SEC)
		buf_printf(out, "%s, which has just ended", engine->last_gone);
	else {
		buf_add_str(out, "one of its workers");
		if (socket->given_to != NULL)
			buf_printf(out, ", or %s, which was given it", socket->given_to);
		else if (socket->taken || socket->taking != NULL)
			buf_add_str(out, ", or one of the instance that it was taken from");
	}
}

/* Every worker still holds the one before, or the workers of its slot. */
static void sockets_restart_pools(struct engine *engine, const struct engine_socket *socket,
				  const char *by)
{
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++) {
		const struct version *version = engine->pools[p].current;
		struct wish *wish;

		if (version == NULL || engine->model->pools[p].state != POOL_ACTIVE)
			continue;
		for (size_t n = 0; n < version->spec->n_sockets; n++) {
			bool of_slot = slots_are_using(version->sockets[n].slots, socket,
						       engine->model->pools[p].size);

			if (version->sockets[n].shared != socket && !of_slot)
				continue;
			wish = calloc(1, sizeof(*wish));
			if (wish == NULL)
				continue;
			*wish = (struct wish){
			    .kind = WISH_RESTART,
			    .pool = strdup(engine->pools[p].name),
			    .slot = of_slot ? socket->slot : CORE_NONE,
			    .by = strdup(by),
			};
			engine_wish(engine, wish);
			break;
		}
	}
}

void sockets_replaced(struct engine *engine, struct engine_socket *socket, const char *by)
{
	if (listener_watch_add(engine->watch_fd, &socket->listener, socket->id) < 0)
		log_error("socket %s: cannot be watched any more", socket->name);
	sockets_file_watch(engine, socket);
	sockets_unstore(socket); /* that is the one before */
	manager_changed(engine);
	giving_again(engine, socket);
	sockets_restart_pools(engine, socket, by);
}

/* Two must not mend one socket: the second would empty its queue. The other instance does it as
 * long as it answers for the socket; a second later we look whether it has. */
static bool sockets_is_left(struct engine *engine, struct engine_socket *socket)
{
	usec_t now = clock_now();

	if (!taking_has_owner(socket))
		return false;
	if (socket->dead_since != 0 && now - socket->dead_since >= USEC_PER_SEC) {
		socket->dead_since = 0;
		return false;
	}
	if (socket->dead_since == 0) {
		socket->dead_since = now;
		log_warning("socket %s was shut down, by a worker here or there: the instance that "
			    "it was taken from makes it listen again",
			    socket->name);
	}
	engine_arm(engine->mend_event, USEC_PER_SEC);
	return true;
}

static void sockets_mend(struct engine *engine, struct engine_socket *socket)
{
	struct buf suspect = {0};
	bool replaced = false;
	char text[LISTENER_TEXT_MAX];
	int r;

	taking_look(socket); /* it may be ours since a moment ago, or have been replaced */
	if (listener_is_alive(&socket->listener))
		socket->dead_since = 0;
	if (socket->closing || engine->refusing || listener_is_alive(&socket->listener))
		return;
	if (sockets_is_left(engine, socket))
		return;
	sockets_describe_suspect(engine, socket, &suspect);
	listener_describe(&socket->listener, text, sizeof(text));
	if (socket->listener.path != NULL)
		sockets_unwatch(engine, socket);
	steering_lost_some(engine, socket);
	r = listener_mend(&socket->listener, &replaced);
	if (r == 0)
		steering_joins(engine, socket);
	if (r < 0) {
		events_tell(engine,
			    HAPPENING("socket-dead", LOG_LEVEL_ERROR, .reason = socket->name),
			    "socket %s (%s) was shut down by %s and cannot be made to listen "
			    "again: %s; trying again in 1 s",
			    socket->name, text, suspect.data, strerror(-r));
		engine_arm(engine->mend_event, USEC_PER_SEC);
	} else {
		socket->mended++;
		socket->mended_at = clock_now();
		events_tell(
		    engine, HAPPENING("socket-mended", LOG_LEVEL_WARNING, .reason = socket->name),
		    "socket %s (%s) was shut down by %s; it listens again%s (%u times so far)",
		    socket->name, text, suspect.data,
		    !replaced		    ? ""
		    : socket->slots == NULL ? ", the pools that use it are being restarted"
					    : ", the workers of its slot are being restarted",
		    socket->mended);
		if (replaced)
			sockets_replaced(engine, socket, "a socket that was shut down");
	}
	steering_update(engine);
	buf_free(&suspect);
}

static void sockets_mend_all(struct engine *engine)
{
	for (struct engine_socket *socket = engine->sockets; socket != NULL; socket = socket->next)
		sockets_mend(engine, socket);
}

void sockets_mend_again(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	sockets_mend_all(arg);
}

void sockets_watched(evutil_socket_t fd, short what, void *arg)
{
	struct engine *engine = arg;
	struct engine_socket *socket;
	uint32_t id;

	(void)what;
	while (listener_watch_next(fd, &id) == 1) {
		for (socket = engine->sockets; socket != NULL && socket->id != id;
		     socket = socket->next)
			;
		if (socket == NULL)
			continue;
		if (socket->mended > SOCKETS_MEND_QUICK &&
		    clock_now() - socket->mended_at < SOCKETS_MEND_PAUSE)
			engine_arm(engine->mend_event, USEC_PER_SEC);
		else
			sockets_mend(engine, socket);
	}
}
