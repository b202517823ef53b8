/* stores.c - the descriptors that workers gave us to keep for whoever comes after them in their
 * slot. */
#include "engine/stores.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "engine/proc.h"

#define STORES_LOG_AGAIN (60 * USEC_PER_SEC)

/* What a descriptor is called that came without FDNAME=, as systemd does it. */
#define STORES_UNNAMED "stored"

/* Of the key that a dead one is told by: a pool's place and a slot. */
enum { STORES_SLOT_BITS = 16 };
_Static_assert(CONFIG_WORKERS_MAX <= 1 << STORES_SLOT_BITS, "a slot fits into the key");

const struct fd_store *stores_of(const struct pool_runtime *runtime, uint32_t slot)
{
	return slot < runtime->n_stores ? runtime->stores[slot] : NULL;
}

size_t stores_total(const struct pool_runtime *runtime)
{
	size_t total = 0;

	for (uint32_t slot = 0; slot < runtime->n_stores; slot++)
		if (runtime->stores[slot] != NULL)
			total += runtime->stores[slot]->n;
	return total;
}

static struct fd_store *stores_make(struct engine *engine, uint32_t pool, uint32_t slot)
{
	struct pool_runtime *runtime = &engine->pools[pool];

	if (slot >= runtime->n_stores) {
		struct fd_store **stores =
		    reallocarray(runtime->stores, slot + 1, sizeof(struct fd_store *));

		if (stores == NULL)
			return NULL;
		memset(stores + runtime->n_stores, 0,
		       (slot + 1 - runtime->n_stores) * sizeof(struct fd_store *));
		runtime->stores = stores;
		runtime->n_stores = slot + 1;
	}
	if (runtime->stores[slot] == NULL) {
		runtime->stores[slot] = calloc(1, sizeof(struct fd_store));
		if (runtime->stores[slot] != NULL)
			*runtime->stores[slot] = (struct fd_store){
			    .epoll = engine->stores_fd,
			    .key = pool << STORES_SLOT_BITS | slot,
			};
	}
	return runtime->stores[slot];
}

static void stores_close(struct pool_runtime *runtime, uint32_t slot)
{
	struct fd_store *store = runtime->stores[slot];

	if (store == NULL)
		return;
	fd_store_clear(store);
	free(store);
	runtime->stores[slot] = NULL;
}

void stores_close_pool(struct engine *engine, uint32_t pool)
{
	struct pool_runtime *runtime = &engine->pools[pool];

	for (uint32_t slot = 0; slot < runtime->n_stores; slot++)
		stores_close(runtime, slot);
	free(runtime->stores);
	runtime->stores = NULL;
	runtime->n_stores = 0;
}

/* ---- what workers say ---- */

/* A worker of a transaction that may still be undone: what it changes counts with the commit only.
 */
static bool stores_is_tentative(const struct proc *proc)
{
	const struct engine *engine = proc->engine;
	const struct pool_runtime *runtime = &engine->pools[proc->ref.pool];
	const struct pool_change *change = &engine->undertaking.changes[proc->ref.pool];
	const struct pool *pool = &engine->model->pools[proc->ref.pool];

	if (!engine->undertaking.running)
		return false;
	if (runtime->next != NULL && runtime->next->generation == proc->generation)
		return runtime->current == NULL || runtime->current->generation != proc->generation;
	return change->kind == CHANGE_SLOT && change->slot == proc->slot &&
	       proc->slot < pool->size && pool->slots[proc->slot].next == proc->ref.index;
}

/* Of a reload that has failed: nothing of it stays. */
static bool stores_is_undone(const struct proc *proc)
{
	const struct worker *worker =
	    pool_worker(&proc->engine->model->pools[proc->ref.pool], &proc->ref);
	const struct version *current = proc->engine->pools[proc->ref.pool].current;

	if (stores_is_tentative(proc))
		return false;
	return (worker != NULL && worker->reason == END_UNDO) || current == NULL ||
	       proc->generation > current->generation;
}

static void stores_refused(struct proc *proc, size_t n, const char *why)
{
	struct pool_runtime *runtime = &proc->engine->pools[proc->ref.pool];
	usec_t now = clock_now();

	runtime->stores_refused += n;
	if (runtime->stores_refused_logged != 0 &&
	    now - runtime->stores_refused_logged < STORES_LOG_AGAIN)
		return;
	runtime->stores_refused_logged = now;
	log_warning(
	    "%s: a descriptor that it wanted kept for its successor was closed: %s (%llu of "
	    "the pool so far)",
	    PROC_TEXT(proc), why, (unsigned long long)runtime->stores_refused);
}

static void stores_full(struct proc *proc, size_t n)
{
	unsigned max = proc->version->spec->fd_store_max;
	char why[64] = "fd_store_max is 0, so none is kept";

	if (max > 0)
		snprintf(why, sizeof(why), "there are fd_store_max = %u already", max);
	stores_refused(proc, n, why);
}

static void stores_add(struct proc *proc, const struct notify_message *message,
		       struct notify_fds *fds)
{
	const char *name = message->has_fdname ? message->fdname : STORES_UNNAMED;
	unsigned max = proc->version->spec->fd_store_max;
	bool tentative = stores_is_tentative(proc);
	struct fd_store *store =
	    max > 0 && fds->n > 0 ? stores_make(proc->engine, proc->ref.pool, proc->slot) : NULL;

	if (store == NULL && fds->n > 0 && max > 0)
		stores_refused(proc, fds->n, "out of memory");
	else if (store == NULL && fds->n > 0)
		stores_full(proc, fds->n);
	for (size_t n = 0; store != NULL && n < fds->n; n++) {
		int r =
		    fd_store_add(store, fds->list[n], name, !message->fd_poll_off, max, tentative);

		if (r == 0) {
			fds->list[n] = -1;
			log_debug("%s has a descriptor '%s' kept", PROC_TEXT(proc), name);
		} else if (r == -EXFULL) {
			stores_full(proc, fds->n - n);
			break;
		} else if (r < 0) {
			stores_refused(proc, 1, "out of memory");
		}
	}
}

void stores_heed(struct proc *proc, const struct notify_message *message, struct notify_fds *fds)
{
	struct pool_runtime *runtime = &proc->engine->pools[proc->ref.pool];
	struct fd_store *store =
	    proc->slot < runtime->n_stores ? runtime->stores[proc->slot] : NULL;

	if ((!message->fd_store && !message->fd_store_remove) || stores_is_undone(proc))
		return;
	if (message->fd_store_remove && message->has_fdname && store != NULL)
		fd_store_remove(store, message->fdname, stores_is_tentative(proc));
	if (message->fd_store && !message->barrier)
		stores_add(proc, message, fds);
}

/* ---- what a worker gets ---- */

/* NULL: nothing, or its version wants none. */
static const struct fd_store *stores_for(const struct proc *proc)
{
	if (proc->version->spec->fd_store_max == 0)
		return NULL;
	return stores_of(&proc->engine->pools[proc->ref.pool], proc->slot);
}

size_t stores_count(const struct proc *proc)
{
	const struct fd_store *store = stores_for(proc);

	return store != NULL ? fd_store_count(store, stores_is_tentative(proc)) : 0;
}

int stores_get(const struct proc *proc, size_t n, const char **ret_name)
{
	const struct fd_store *store = stores_for(proc);
	bool tentative = stores_is_tentative(proc);

	for (size_t i = 0; store != NULL && i < store->n; i++)
		if (fd_store_shows(&store->list[i], tentative) && n-- == 0) {
			*ret_name = store->list[i].name;
			return store->list[i].fd;
		}
	return -1;
}

/* ---- transactions ---- */

static void stores_commit_pool(struct engine *engine, uint32_t p)
{
	struct pool_runtime *runtime = &engine->pools[p];
	unsigned max = runtime->current != NULL ? runtime->current->spec->fd_store_max : 0;
	size_t surplus = 0;

	for (uint32_t slot = 0; slot < runtime->n_stores; slot++)
		if (runtime->stores[slot] != NULL)
			surplus += fd_store_commit(runtime->stores[slot], max);
	runtime->stores_refused += surplus;
	if (surplus > 0)
		log_warning("pool %s: %zu descriptor%s that workers had kept for their successors "
			    "%s closed: fd_store_max is %u",
			    runtime->name, surplus, surplus == 1 ? "" : "s",
			    surplus == 1 ? "was" : "were", max);
	stores_sweep(engine, p);
}

void stores_commit(struct engine *engine)
{
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++)
		if (engine->undertaking.changes[p].kind != CHANGE_NONE)
			stores_commit_pool(engine, p);
}

void stores_undo(struct engine *engine)
{
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++) {
		struct pool_runtime *runtime = &engine->pools[p];

		for (uint32_t slot = 0; slot < runtime->n_stores; slot++)
			if (runtime->stores[slot] != NULL)
				fd_store_undo(runtime->stores[slot]);
		stores_sweep(engine, p);
	}
}

void stores_sweep(struct engine *engine, uint32_t p)
{
	struct pool_runtime *runtime = &engine->pools[p];
	const struct pool *pool = &engine->model->pools[p];

	for (uint32_t slot = pool->size; slot < runtime->n_stores; slot++) {
		bool used = runtime->stores[slot] == NULL;

		for (uint32_t n = 0; !used && n < runtime->n_procs; n++)
			used = runtime->procs[n] != NULL && runtime->procs[n]->slot == slot;
		if (!used)
			stores_close(runtime, slot);
	}
}

/* ---- dead ones ---- */

static void stores_dead(struct engine *engine, uint32_t key, uint32_t serial)
{
	struct pool_runtime *runtime = &engine->pools[key >> STORES_SLOT_BITS];
	uint32_t slot = key & ((1u << STORES_SLOT_BITS) - 1);
	cleanup_free char *name = NULL;

	if (slot >= runtime->n_stores || runtime->stores[slot] == NULL ||
	    !fd_store_drop(runtime->stores[slot], serial, &name))
		return;
	runtime->stores_dead++;
	log_debug("pool %s slot %u: what was kept as '%s' is dead: its other end is closed",
		  runtime->name, slot, name);
}

static void stores_watched(evutil_socket_t fd, short what, void *arg)
{
	struct engine *engine = arg;
	uint32_t key, serial;

	(void)what;
	while (!engine_turn_is_long(engine) && fd_store_next_dead(fd, &key, &serial) == 1)
		stores_dead(engine, key, serial);
}

int stores_new(struct engine *engine)
{
	int r = fd_store_watch_new(&engine->stores_fd);

	if (r < 0)
		return r;
	engine->stores_event = event_new(engine->base, engine->stores_fd, EV_READ | EV_PERSIST,
					 stores_watched, engine);
	if (engine->stores_event == NULL || event_add(engine->stores_event, NULL) == -1)
		return -ENOMEM;
	return 0;
}

void stores_free(struct engine *engine)
{
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++)
		stores_close_pool(engine, p);
	if (engine->stores_event != NULL)
		event_free(engine->stores_event);
	engine->stores_event = NULL;
	engine->stores_fd = fd_close(engine->stores_fd);
}
