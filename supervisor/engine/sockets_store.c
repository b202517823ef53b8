/*
 * sockets_store.c - the service manager keeps copies of our own sockets, so that a restart or a
 * crash of the instance refuses nobody: clients wait in the queue until we are back.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "engine/giving.h"
#include "engine/sockets.h"

/* Our names in the manager's store are never those of a .socket unit. */
#define STORE_PREFIX "own."

bool sockets_is_own(const struct systemd_fd *passed)
{
	return strncmp(passed->name, STORE_PREFIX, strlen(STORE_PREFIX)) == 0;
}

/* ---- back from the store ---- */

static void store_discard(struct systemd_fd *passed)
{
	systemd_unstore_fd(passed->name);
	passed->fd = fd_close(passed->fd);
	passed->used = true;
}

int sockets_take_back(struct engine *engine, const struct listener_spec *spec,
		      struct engine_socket *socket, char **ret_error)
{
	for (int n = 0; n < engine->n_passed; n++) {
		struct systemd_fd *passed = &engine->passed[n];
		int r;

		if (passed->used || !sockets_is_own(passed))
			continue;
		r = listener_take_back(passed->fd, spec, &socket->listener, ret_error);
		if (r == -ENOENT)
			continue;
		if (r == -ESTALE) {
			store_discard(passed);
			continue;
		}
		if (r < 0)
			return r;
		socket->stored = strdup(passed->name);
		if (socket->stored == NULL) {
			listener_let_go(&socket->listener); /* the manager's copy comes back */
			passed->fd = -1;
			return -ENOMEM;
		}
		passed->fd = -1;
		passed->used = true;
		return 0;
	}
	return -ENOENT;
}

/* Its address is not known before it is there: by its name. */
static struct systemd_fd *store_find(const struct engine *engine, const struct socket_spec *spec)
{
	for (int n = 0; n < engine->n_passed; n++) {
		struct systemd_fd *passed = &engine->passed[n];

		if (!passed->used && passed->fd >= 0 && sockets_is_own(passed) &&
		    strcmp(passed->name + strlen(STORE_PREFIX), spec->name) == 0)
			return passed;
	}
	return NULL;
}

bool sockets_is_stored(const struct engine *engine, const struct socket_spec *spec)
{
	return store_find(engine, spec) != NULL;
}

int sockets_take_stored(struct engine *engine, const struct socket_spec *spec,
			struct engine_socket *socket, char **ret_error)
{
	struct systemd_fd *passed = store_find(engine, spec);
	int r;

	if (passed == NULL)
		return -ENOENT;
	socket->stored = strdup(passed->name);
	if (socket->stored == NULL)
		return -ENOMEM;
	r = listener_adopt(passed->fd, spec->name, &socket->listener, ret_error);
	if (r < 0)
		return r;
	passed->fd = -1;
	passed->used = true;
	listener_own(&socket->listener);
	return 0;
}

void sockets_give_back(struct engine *engine, struct engine_socket *socket)
{
	const char *name = socket->passed ? socket->identity + strlen("systemd ") : socket->stored;

	for (int n = 0; name != NULL && n < engine->n_passed; n++)
		if (engine->passed[n].fd == -1 && strcmp(engine->passed[n].name, name) == 0) {
			engine->passed[n].fd = TAKE_FD(socket->listener.fd);
			engine->passed[n].used = false;
			break;
		}
	listener_let_go(&socket->listener);
}

void sockets_forget_passed(struct engine *engine)
{
	for (int n = 0; n < engine->n_passed; n++) {
		struct systemd_fd *passed = &engine->passed[n];

		if (passed->used)
			continue;
		if (sockets_is_own(passed)) {
			log_notice("a socket that was kept for us as '%s' is no longer configured: "
				   "closing it",
				   passed->name);
			store_discard(passed);
		} else {
			log_warning("socket '%s' was passed to us by the service manager, and no "
				    "[socket:] section has listen = systemd:%s: who connects to it "
				    "is not answered",
				    passed->name, passed->name);
		}
	}
}

/* ---- into the store ---- */

static bool store_has(const struct engine *engine, const char *name)
{
	for (const struct engine_socket *socket = engine->sockets; socket != NULL;
	     socket = socket->next)
		if (socket->stored != NULL && strcmp(socket->stored, name) == 0)
			return true;
	return false;
}

/* A socket that was renamed keeps the name it is stored under, which another one may have now. */
static char *store_name(const struct engine *engine, const struct engine_socket *socket)
{
	char *name = NULL;

	for (unsigned n = 1; n < UINT32_MAX; n++) {
		if ((n == 1 ? asprintf(&name, STORE_PREFIX "%s", socket->name)
			    : asprintf(&name, STORE_PREFIX "%s.%u", socket->name, n)) == -1)
			return NULL;
		if (!store_has(engine, name))
			return name;
		free(name);
	}
	return NULL;
}

static int store_one(struct engine *engine, struct engine_socket *socket)
{
	cleanup_free char *name = store_name(engine, socket);
	int r = name != NULL ? systemd_store_fd(name, socket->listener.fd) : -ENOMEM;

	if (r == 0)
		socket->stored = TAKE_PTR(name);
	return r;
}

bool sockets_store(struct engine *engine)
{
	bool again = false;

	if (!systemd_is_manager_present())
		return false;
	for (struct engine_socket *socket = engine->sockets; socket != NULL; socket = socket->next)
		/* reuseport: their order, which steering needs, would not be known afterwards */
		if (!socket->passed && !socket->taken && !socket->reuseport && !socket->closing &&
		    !socket->fresh && socket->stored == NULL &&
		    store_one(engine, socket) == -EAGAIN)
			again = true;
	return again;
}

void sockets_unstore(struct engine_socket *socket)
{
	if (socket->stored != NULL)
		systemd_unstore_fd(socket->stored);
	free(socket->stored);
	socket->stored = NULL;
}

bool sockets_any_stored(const struct engine *engine)
{
	for (const struct engine_socket *socket = engine->sockets; socket != NULL;
	     socket = socket->next)
		if (socket->stored != NULL)
			return true;
	return false;
}

bool sockets_is_kept(const struct engine *engine, const struct engine_socket *socket)
{
	return socket->passed || (engine->keep_sockets && socket->stored != NULL);
}

bool sockets_outlives_us(const struct engine *engine, const struct engine_socket *socket)
{
	return sockets_is_kept(engine, socket) || giving_is_shared(engine, socket);
}
