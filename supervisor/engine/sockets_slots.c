/* sockets_slots.c - sockets with `%n` in listen, or reuseport: one for each slot. It outlives the
 * slot's workers: predecessor and successor share it, and its queue. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "engine/sockets.h"

/* ---- lists ---- */

struct slot_sockets *slots_find(struct engine *engine, const struct socket_spec *spec)
{
	for (struct slot_sockets *slots = engine->slot_sockets; slots != NULL; slots = slots->next)
		if (strcmp(slots->identity, spec->listen) == 0)
			return slots;
	return NULL;
}

static void slots_unref(struct slot_sockets *slots)
{
	if (slots == NULL || --slots->refs > 0)
		return;
	for (uint32_t slot = 0; slot < slots->n; slot++)
		sockets_unref(slots->list[slot]);
	free(slots->list);
	free(slots->identity);
	free(slots);
}

static struct slot_sockets *slots_new(struct engine *engine, const struct socket_spec *spec)
{
	struct slot_sockets *slots = calloc(1, sizeof(*slots));

	if (slots == NULL)
		return NULL;
	*slots = (struct slot_sockets){.refs = 1, .identity = strdup(spec->listen)};
	if (slots->identity == NULL) {
		slots_unref(slots);
		return NULL;
	}
	slots->next = engine->slot_sockets;
	engine->slot_sockets = slots;
	return slots;
}

static int slots_grow(struct slot_sockets *slots, uint32_t n)
{
	struct engine_socket **list;

	if (n <= slots->n)
		return 0;
	list = realloc(slots->list, n * sizeof(struct engine_socket *));
	if (list == NULL)
		return -ENOMEM;
	memset(list + slots->n, 0, (n - slots->n) * sizeof(struct engine_socket *));
	slots->list = list;
	slots->n = n;
	return 0;
}

void slots_sweep(struct engine *engine)
{
	struct slot_sockets **link = &engine->slot_sockets;

	while (*link != NULL) {
		struct slot_sockets *slots = *link;

		if (slots->refs > 1) {
			link = &slots->next;
			continue;
		}
		*link = slots->next;
		for (struct engine_socket *socket = engine->sockets; socket != NULL;
		     socket = socket->next)
			if (socket->slots == slots)
				socket->slots = NULL;
		slots_unref(slots);
	}
}

/* Versions may outlive the list. */
void slots_free(struct engine *engine)
{
	struct slot_sockets *next;

	for (struct slot_sockets *slots = engine->slot_sockets; slots != NULL; slots = next) {
		next = slots->next;
		slots_unref(slots);
	}
	engine->slot_sockets = NULL;
}

void slots_forget(struct engine *engine, const struct engine_socket *socket)
{
	for (struct slot_sockets *slots = engine->slot_sockets; slots != NULL; slots = slots->next)
		for (uint32_t slot = 0; slot < slots->n; slot++)
			if (slots->list[slot] == socket) {
				sockets_unref(slots->list[slot]);
				slots->list[slot] = NULL;
			}
}

void sockets_put(struct version_socket *socket)
{
	sockets_unref(socket->shared);
	slots_unref(socket->slots);
}

struct engine_socket *sockets_of(const struct version *version, size_t n, uint32_t slot)
{
	const struct version_socket *socket = &version->sockets[n];

	if (socket->slots == NULL)
		return socket->shared;
	return slot < socket->slots->n ? socket->slots->list[slot] : NULL;
}

/* ---- opening ---- */

static int slots_open_one(struct engine *engine, struct slot_sockets *slots, uint32_t slot,
			  const struct socket_spec *spec, bool strict, struct buf *why)
{
	struct engine_socket *socket = sockets_find(engine, spec);
	int r = 0;

	if (socket != NULL && strict) {
		buf_printf(why, "socket %s: slot %u would have the address of socket %s",
			   spec->name, slot, socket->name);
		return -EADDRINUSE;
	}
	if (socket != NULL)
		r = sockets_check_kept(socket, spec, why);
	else
		r = sockets_open_one(engine, spec, why, &socket);
	if (r < 0)
		return r;
	socket->refs++;
	sockets_unref(slots->list[slot]);
	slots->list[slot] = socket;
	if (socket->slots == NULL) {
		socket->slots = slots;
		socket->slot = slot;
	}
	return 0;
}

static int slots_open_at(struct engine *engine, struct slot_sockets *slots, uint32_t slot,
			 const struct socket_spec *spec, bool strict, struct buf *why)
{
	cleanup_buf struct buf wrong = {.data = NULL};
	struct socket_spec at;
	int r = config_socket_at(spec, slot, &at, &wrong);

	if (r < 0) {
		buf_printf(why, "socket %s: %s, for %s", spec->name, spec->listen, wrong.data);
		return r;
	}
	r = slots_open_one(engine, slots, slot, &at, strict, why);
	config_socket_at_free(&at);
	return r;
}

int slots_open(struct engine *engine, const struct socket_spec *spec, uint32_t n, bool strict,
	       struct buf *why)
{
	struct slot_sockets *slots = slots_find(engine, spec);
	int r = 0;

	if (slots == NULL)
		slots = slots_new(engine, spec);
	if (slots == NULL || slots_grow(slots, n) < 0)
		return -ENOMEM;
	/* from the last to the first, so that the instance's list has them in order; those at one
	 * address have it all the same, and the last ones must be those that go first */
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		uint32_t slot = spec->reuseport ? i : n - 1 - i;
		const struct engine_socket *socket = slots->list[slot];

		r = socket != NULL && !socket->closing
			? sockets_check_kept(socket, spec, why)
			: slots_open_at(engine, slots, slot, spec, strict, why);
	}
	return r;
}

int sockets_open_slots(struct engine *engine, const struct version *version, uint32_t size,
		       struct buf *why)
{
	int r = 0;

	for (size_t n = 0; r == 0 && n < version->spec->n_sockets; n++)
		if (version->sockets[n].slots != NULL)
			r = slots_open(
			    engine,
			    config_find_socket(version->config->config, version->spec->sockets[n]),
			    size, true, why);
	if (r < 0)
		sockets_undo(engine);
	return r;
}

void slots_assign(struct engine *engine, const struct config *config)
{
	for (size_t n = 0; n < config->n_sockets; n++) {
		bool per_slot = config_has_slots(&config->sockets[n]);
		struct slot_sockets *slots =
		    per_slot ? slots_find(engine, &config->sockets[n]) : NULL;
		struct engine_socket *shared =
		    per_slot ? NULL : sockets_find(engine, &config->sockets[n]);

		if (shared != NULL) /* perhaps it was a slot's before */
			shared->slots = NULL;

		for (uint32_t slot = 0; slots != NULL && slot < slots->n; slot++)
			if (slots->list[slot] != NULL && !slots->list[slot]->closing) {
				slots->list[slot]->slots = slots;
				slots->list[slot]->slot = slot;
			}
	}
}

/* ---- use ---- */

bool slots_are_using(const struct slot_sockets *slots, const struct engine_socket *socket,
		     uint32_t size)
{
	uint32_t n = slots == NULL || socket->slots == NULL ? 0 : slots->n < size ? slots->n : size;

	if (socket->slots == slots)
		return socket->slot < n && slots->list[socket->slot] == socket;
	for (uint32_t slot = 0; slot < n; slot++)
		if (slots->list[slot] == socket)
			return true;
	return false;
}

static bool slots_has(const struct proc *proc, const struct engine_socket *socket)
{
	if (proc == NULL || proc->ended || proc->slot != socket->slot ||
	    proc->spawned_at > socket->closing_since)
		return false;
	for (size_t n = 0; n < proc->version->spec->n_sockets; n++)
		if (proc->version->sockets[n].slots == socket->slots)
			return true;
	return false;
}

bool slots_is_held(const struct engine *engine, const struct engine_socket *socket)
{
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++)
		for (uint32_t n = 0; n < engine->pools[p].n_procs; n++)
			if (slots_has(engine->pools[p].procs[n], socket))
				return true;
	return false;
}
