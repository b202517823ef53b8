/* sockets.c - opens, keeps and lets go of the instance's listening sockets. */
#include "engine/sockets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "engine/events.h"
#include "engine/giving.h"
#include "engine/manager.h"
#include "engine/steering.h"
#include "engine/taking.h"

/* ---- one socket ---- */

void sockets_unref(struct engine_socket *socket)
{
	if (socket == NULL || --socket->refs > 0)
		return;
	free(socket->name);
	free(socket->identity);
	free(socket->stored);
	free(socket->given_to);
	taking_close(socket);
	free(socket);
}

void sockets_drop(struct engine *engine, struct engine_socket *socket)
{
	for (struct engine_socket **link = &engine->sockets; *link != NULL; link = &(*link)->next)
		if (*link == socket) {
			*link = socket->next;
			socket->next = NULL;
			slots_forget(engine, socket);
			taking_close(socket); /* the other instance sees that we let go */
			sockets_unref(socket);
			return;
		}
}

void sockets_unwatch(struct engine *engine, struct engine_socket *socket)
{
	sockets_file_unwatch(engine, socket);
	if (socket->listener.fd >= 0)
		listener_watch_remove(engine->watch_fd, &socket->listener);
}

/* ---- opening ---- */

/* It was opened for nothing. What others keep for us stays theirs: another reload may want it. */
static void sockets_end(struct engine *engine, struct engine_socket *socket)
{
	if (socket->passed || socket->stored != NULL)
		sockets_give_back(engine, socket);
	else if (socket->taken)
		listener_let_go(&socket->listener);
	else
		listener_shutdown(&socket->listener); /* a worker that still goes may hold it */
}

/* From another instance; or it is ours already, and was kept for us across a restart. */
static int sockets_open_taken(struct engine *engine, const struct socket_spec *spec,
			      struct engine_socket *socket, char **ret_error)
{
	int r = sockets_take_stored(engine, spec, socket, ret_error);

	return r == -ENOENT ? taking_claim(engine, spec, socket, ret_error) : r;
}

/* For a plan: what opening it would say, and nothing is opened. */
static int sockets_try(const struct engine *engine, const char *identity,
		       const struct listener_spec *listener, char **ret_error)
{
	for (const struct engine_socket *socket = engine->sockets; socket != NULL;
	     socket = socket->next)
		if (socket->closing && strcmp(socket->identity, identity) == 0)
			return 0; /* it would be ours again */
	return listener_try(listener, ret_error);
}

/* It was taken out of the configuration a moment ago, and its last workers have not left yet. Of a
 * Unix socket the path is gone: a new one takes it. */
static struct engine_socket *sockets_revive(struct engine *engine, const char *identity)
{
	for (struct engine_socket *socket = engine->sockets; socket != NULL; socket = socket->next)
		if (socket->closing && socket->listener.path == NULL &&
		    strcmp(socket->identity, identity) == 0 &&
		    listener_accept_again(&socket->listener) == 0 &&
		    listener_watch_add(engine->watch_fd, &socket->listener, socket->id) == 0) {
			socket->closing = false;
			socket->fresh = socket->revived = true;
			return socket;
		}
	return NULL;
}

int sockets_open_one(struct engine *engine, const struct socket_spec *spec, struct buf *why,
		     struct engine_socket **ret_socket)
{
	cleanup_free char *identity = sockets_identity(spec);
	bool dry = engine->undertaking.dry;
	struct engine_socket *socket =
	    identity != NULL && !dry ? sockets_revive(engine, identity) : NULL;
	struct listener_spec listener = sockets_listener_spec(spec);
	cleanup_free char *error = NULL;
	struct engine_socket **link;
	int r;

	if (socket != NULL) {
		*ret_socket = socket;
		return 0;
	}
	socket = calloc(1, sizeof(*socket));
	if (socket == NULL)
		return -ENOMEM;
	*socket = (struct engine_socket){
	    .refs = 1,
	    .id = ++engine->socket_ids,
	    .name = strdup(spec->name),
	    .identity = TAKE_PTR(identity),
	    .slot = CORE_NONE,
	    .listener = {.fd = -1},
	    .fresh = true,
	    .ipv6_only = spec->ipv6_only,
	    .freebind = spec->freebind,
	    .reuseport = spec->reuseport,
	};
	listener.more = spec->reuseport && steering_has(engine, &listener);
	if (socket->name == NULL || socket->identity == NULL)
		r = -ENOMEM;
	else if (spec->kind == SOCKET_SYSTEMD)
		r = sockets_adopt(engine, spec, socket, &error);
	else if (spec->kind == SOCKET_HANDOVER)
		r = dry ? taking_try(engine, spec, &error)
			: sockets_open_taken(engine, spec, socket, &error);
	else if (spec->reuseport)
		r = -ENOENT; /* never kept for us */
	else
		r = sockets_take_back(engine, &listener, socket, &error);
	if (r == -ENOENT && spec->kind != SOCKET_SYSTEMD && spec->kind != SOCKET_HANDOVER)
		r = dry ? sockets_try(engine, socket->identity, &listener, &error)
			: listener_open(&listener, &socket->listener, &error);
	if (r == 0 && socket->listener.fd >= 0)
		r = listener_watch_add(engine->watch_fd, &socket->listener, socket->id);
	if (r < 0) {
		buf_printf(why, "socket %s: %s", spec->name, error != NULL ? error : strerror(-r));
		sockets_end(engine, socket);
		sockets_unref(socket);
		return r;
	}
	link = steering_place(engine, socket);
	socket->next = *link;
	*link = socket;
	steering_joins(engine, socket);
	*ret_socket = socket;
	return 0;
}

int sockets_check_kept(const struct engine_socket *socket, const struct socket_spec *spec,
		       struct buf *why)
{
	const char *key = socket->ipv6_only != spec->ipv6_only ? "ipv6_only"
			  : socket->freebind != spec->freebind ? "freebind"
							       : NULL;

	if (key == NULL || socket->passed || spec->kind == SOCKET_HANDOVER ||
	    !sockets_has_identity(socket, spec))
		return 0;
	buf_printf(why,
		   "socket %s: '%s' cannot be changed while the socket is open; it takes a restart "
		   "of the instance",
		   spec->name, key);
	return -EBUSY;
}

static int sockets_check_reuseport(struct engine *engine, const struct socket_spec *spec,
				   struct buf *why)
{
	const struct listener_spec listener = sockets_listener_spec(spec);

	if (spec->kind != SOCKET_TCP || spec->per_slot)
		return 0;
	for (struct engine_socket *socket = engine->sockets; socket != NULL;
	     socket = socket->next) {
		if (socket->closing || socket->reuseport == spec->reuseport ||
		    !listener_is_at(&socket->listener, &listener))
			continue;
		buf_printf(why,
			   "socket %s: 'reuseport' cannot be changed while the socket is open; it "
			   "takes a restart of the instance",
			   spec->name);
		return -EBUSY;
	}
	return 0;
}

bool sockets_is_wanted(const struct pool_spec *only, const char *name)
{
	if (only == NULL)
		return true;
	for (size_t n = 0; n < only->n_sockets; n++)
		if (strcmp(only->sockets[n], name) == 0)
			return true;
	return false;
}

int sockets_open(struct engine *engine, const struct config *config, const struct pool_spec *only,
		 struct buf *why)
{
	int r = 0;

	for (size_t n = 0; r == 0 && n < config->n_sockets; n++) {
		const struct socket_spec *spec = &config->sockets[n];
		struct engine_socket *socket;

		if (!sockets_is_wanted(only, spec->name))
			continue;
		r = sockets_check_reuseport(engine, spec, why);
		if (r < 0)
			break;
		if (config_has_slots(spec)) {
			r = slots_open(engine, spec,
				       only != NULL ? only->workers
						    : config_socket_count(config, spec),
				       false, why);
			continue;
		}
		socket = sockets_find(engine, spec);
		r = socket != NULL ? sockets_check_kept(socket, spec, why)
				   : sockets_open_one(engine, spec, why, &socket);
	}
	if (r < 0)
		sockets_undo(engine);
	return r;
}

static void sockets_begin_close(struct engine *engine, struct engine_socket *socket,
				const char *why)
{
	char text[LISTENER_TEXT_MAX];

	sockets_unwatch(engine, socket);
	sockets_unstore(socket);
	sockets_refuse_one(engine, socket);
	events_tell(engine, HAPPENING("socket-closed", LOG_LEVEL_NOTICE, .reason = socket->name),
		    "socket %s (%s) %s: closing it", socket->name,
		    listener_describe(&socket->listener, text, sizeof(text)), why);
}

void sockets_undo(struct engine *engine)
{
	struct engine_socket *next;

	for (struct engine_socket *socket = engine->sockets; socket != NULL; socket = next) {
		next = socket->next;
		if (!socket->fresh)
			continue;
		sockets_unwatch(engine, socket);
		if (socket->revived) {
			sockets_refuse_one(engine, socket);
			continue;
		}
		if (socket->told && !sockets_outlives_us(engine, socket)) {
			sockets_begin_close(engine, socket, "is not wanted after all");
			continue;
		}
		steering_leaves(engine, socket);
		sockets_end(engine, socket);
		sockets_drop(engine, socket);
	}
	slots_sweep(engine);
	steering_update(engine);
	sockets_wait_for_workers(engine);
}

bool sockets_is_used(const struct engine *engine, const struct engine_socket *socket)
{
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++) {
		const struct version *version = engine->pools[p].current;
		enum pool_state state = engine->model->pools[p].state;

		if (version == NULL || state == POOL_FREE || state == POOL_RETIRING)
			continue;
		for (size_t n = 0; n < version->spec->n_sockets; n++)
			if (version->sockets[n].shared == socket ||
			    slots_are_using(version->sockets[n].slots, socket,
					    engine->model->pools[p].size))
				return true;
	}
	return false;
}

static void sockets_update(struct engine_socket *socket, const struct socket_spec *spec)
{
	struct listener_spec listener = sockets_listener_spec(spec);
	cleanup_free char *error = NULL;
	cleanup_free char *identity = sockets_identity(spec);
	char *name = strdup(spec->name);
	bool foreign = socket->passed || spec->kind == SOCKET_HANDOVER || socket->taken;
	int r = foreign ? 0 : listener_update(&socket->listener, &listener, &error);

	if (identity != NULL && socket->slots == NULL) {
		free(socket->identity);
		socket->identity = TAKE_PTR(identity);
	}

	if (name != NULL) {
		free(socket->name);
		socket->name = name;
	}
	if (r < 0)
		log_warning(
		    "socket %s: its new options could not be applied, keeping the old ones: %s",
		    socket->name, error != NULL ? error : strerror(-r));
}

/* Another instance, or a program that it was given to, goes on with it. */
static void sockets_leave(struct engine *engine, struct engine_socket *socket)
{
	char text[LISTENER_TEXT_MAX];

	sockets_unwatch(engine, socket);
	sockets_unstore(socket);
	events_tell(engine, HAPPENING("socket-closed", LOG_LEVEL_NOTICE, .reason = socket->name),
		    "socket %s (%s) is no longer configured: closing our copy, others hold it too",
		    socket->name, listener_describe(&socket->listener, text, sizeof(text)));
	giving_leave(engine, socket);
	listener_let_go(&socket->listener);
	sockets_drop(engine, socket);
}

/* The service manager keeps it open, and another reload may want it. */
static void sockets_let_go(struct engine *engine, struct engine_socket *socket)
{
	char text[LISTENER_TEXT_MAX];

	sockets_unwatch(engine, socket);
	events_tell(engine, HAPPENING("socket-closed", LOG_LEVEL_NOTICE, .reason = socket->name),
		    "socket %s (%s) is no longer configured: leaving it to the service manager, "
		    "clients wait in its queue",
		    socket->name, listener_describe(&socket->listener, text, sizeof(text)));
	sockets_give_back(engine, socket);
	sockets_drop(engine, socket);
}

void sockets_commit(struct engine *engine, const struct config *config)
{
	char text[LISTENER_TEXT_MAX];
	struct engine_socket *next;

	if (config != NULL)
		slots_assign(engine, config);
	for (struct engine_socket *socket = engine->sockets; socket != NULL; socket = next) {
		const struct socket_spec *spec = sockets_spec_of(config, socket);
		bool may_stay = engine->undertaking.start ||
				(socket->slots == NULL && (spec != NULL || config == NULL));

		next = socket->next;
		if (socket->closing)
			continue;
		if (!may_stay && !sockets_is_used(engine, socket)) {
			if (socket->passed)
				sockets_let_go(engine, socket);
			else if (giving_is_shared(engine, socket))
				sockets_leave(engine, socket);
			else
				sockets_begin_close(engine, socket,
						    spec != NULL || config == NULL
							? "is of a slot that is no longer there"
							: "is no longer configured");
			continue;
		}
		if (socket->fresh)
			events_tell(
			    engine,
			    HAPPENING("socket-opened", LOG_LEVEL_INFO, .reason = socket->name),
			    socket->taken ? "socket %s: taken over from another instance, %s"
					  : "socket %s: listening on %s",
			    socket->name, listener_describe(&socket->listener, text, sizeof(text)));
		sockets_file_look(engine, socket);
		if (!socket->fresh && spec != NULL)
			sockets_update(socket, spec);
		else if (socket->fresh)
			sockets_file_watch(engine, socket);
		socket->fresh = socket->revived = socket->told = false;
	}
	slots_sweep(engine);
	steering_update(engine);
	if (engine->undertaking.start)
		sockets_forget_passed(engine);
	manager_changed(engine);
}

/* ---- all of it ---- */

int sockets_new(struct engine *engine)
{
	int r = listener_watch_new(&engine->watch_fd);

	if (r < 0)
		return r;
	engine->watch_event = event_new(engine->base, engine->watch_fd, EV_READ | EV_PERSIST,
					sockets_watched, engine);
	if (engine->watch_event == NULL || event_add(engine->watch_event, NULL) == -1)
		return -ENOMEM;
	sockets_files_new(engine);
	return 0;
}

void sockets_free(struct engine *engine)
{
	sockets_shutdown(engine);
	sockets_files_free(engine);
	slots_free(engine);
	if (engine->watch_event != NULL)
		event_free(engine->watch_event);
	engine->watch_event = NULL;
	engine->watch_fd = fd_close(engine->watch_fd);
}
