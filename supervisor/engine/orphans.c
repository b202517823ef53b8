/* orphans.c - children that we did not start: processes that lost their parent below us (subreaper,
 * or PID 1). */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "engine/cgroups.h"
#include "engine/events.h"
#include "engine/launch.h"
#include "engine/proc.h"
#include "system/proc.h"

/* Sweeps look at every child; they take no more than this part of the time, however many workers
 * end one after the other. */
#define ORPHANS_PAUSE 20
/* At the end of the instance: SIGKILL takes no longer, also not for children of children. */
#define ORPHANS_END_MAX (500 * USEC_PER_MSEC)

struct pid_entry {
	pid_t pid; /* 0: free */
	struct proc *proc;
};

/* Open addressing with linear probing; at most half full. */
struct pid_table {
	size_t n, size; /* size is a power of 2 */
	struct pid_entry *entries;
};

static size_t pids_place(const struct pid_table *table, pid_t pid)
{
	size_t place = ((size_t)pid * 2654435761u) & (table->size - 1);

	while (table->entries[place].pid != 0 && table->entries[place].pid != pid)
		place = (place + 1) & (table->size - 1);
	return place;
}

static int pids_grow(struct pid_table *table)
{
	struct pid_table bigger = {.n = table->n, .size = table->size == 0 ? 64 : 2 * table->size};

	bigger.entries = calloc(bigger.size, sizeof(*bigger.entries));
	if (bigger.entries == NULL)
		return -ENOMEM;
	for (size_t n = 0; n < table->size; n++)
		if (table->entries[n].pid != 0)
			bigger.entries[pids_place(&bigger, table->entries[n].pid)] =
			    table->entries[n];
	free(table->entries);
	*table = bigger;
	return 0;
}

struct proc *pids_find(struct engine *engine, pid_t pid)
{
	const struct pid_table *table = engine->pids;

	return table != NULL && table->size > 0 ? table->entries[pids_place(table, pid)].proc
						: NULL;
}

int pids_add(struct engine *engine, pid_t pid, struct proc *proc)
{
	struct pid_table *table = engine->pids;

	if (table == NULL)
		table = engine->pids = calloc(1, sizeof(*table));
	if (table == NULL)
		return -ENOMEM;
	if (2 * (table->n + 1) > table->size && pids_grow(table) < 0)
		return -ENOMEM;
	table->entries[pids_place(table, pid)] = (struct pid_entry){pid, proc};
	table->n++;
	return 0;
}

void pids_remove(struct engine *engine, pid_t pid)
{
	struct pid_table *table = engine->pids;
	size_t place;

	if (pids_find(engine, pid) == NULL)
		return;
	place = pids_place(table, pid);
	table->entries[place] = (struct pid_entry){0, NULL};
	table->n--;
	/* those behind it that were pushed away by it must stay findable */
	for (place = (place + 1) & (table->size - 1); table->entries[place].pid != 0;
	     place = (place + 1) & (table->size - 1)) {
		struct pid_entry moved = table->entries[place];

		table->entries[place] = (struct pid_entry){0, NULL};
		table->entries[pids_place(table, moved.pid)] = moved;
	}
}

void pids_free(struct engine *engine)
{
	if (engine->pids != NULL)
		free(engine->pids->entries);
	free(engine->pids);
	engine->pids = NULL;
}

/* ---- orphans ---- */

static bool orphan_is_worker(pid_t pid, void *arg)
{
	return pids_find(arg, pid) != NULL;
}

static bool proc_is_origin(const struct proc *proc, const struct proc_origin *origin)
{
	if (origin->notify[0] != '\0')
		return strcmp(proc->notify_address, origin->notify) == 0;
	return strcmp(proc->version->spec->name, origin->pool) == 0 &&
	       (long)proc->slot == origin->slot && (long)proc->generation == origin->generation;
}

static bool origin_is_alive(const struct engine *engine, const struct proc_origin *origin)
{
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++)
		for (uint32_t n = 0; n < engine->pools[p].n_procs; n++) {
			const struct proc *proc = engine->pools[p].procs[n];

			if (proc != NULL && !proc->ended && proc_is_origin(proc, origin))
				return true;
		}
	return false;
}

/* SIGKILL takes a moment, and the next sweep may come before its end: told once. */
static bool orphan_is_news(struct engine *engine, pid_t pid)
{
	for (size_t n = 0; n < ARRAY_LEN(engine->orphans_told); n++)
		if (engine->orphans_told[n] == pid)
			return false;
	engine->orphans_told[engine->orphans++ % ARRAY_LEN(engine->orphans_told)] = pid;
	return true;
}

static void orphan_forget(struct engine *engine, pid_t pid)
{
	for (size_t n = 0; n < ARRAY_LEN(engine->orphans_told); n++)
		if (engine->orphans_told[n] == pid)
			engine->orphans_told[n] = 0;
}

void orphans_tell(struct engine *engine, pid_t pid, const char *pool, long slot, long generation)
{
	if (!orphan_is_news(engine, pid))
		return;
	events_tell(engine,
		    HAPPENING("orphan-killed", LOG_LEVEL_WARNING, .pool = pool, .slot = slot,
			      .generation = generation, .pid = pid),
		    "pool %s slot %ld generation %ld left process %d behind: killing it", pool,
		    slot, generation, (int)pid);
}

/* One child of ours. A stranger in a container (we are PID 1) is left alone; what a worker left
 * behind goes with it. */
static int orphan_visit(pid_t pid, void *arg)
{
	struct engine *engine = arg;
	struct proc_origin origin;

	if (orphan_is_worker(pid, engine) || proc_read_origin(pid, &origin) < 0 ||
	    strcmp(origin.instance, engine->name) != 0 || origin_is_alive(engine, &origin))
		return 0;
	engine->orphans_left++;
	kill(pid, SIGKILL); /* our own child, not reaped: the pid is still its */
	orphans_tell(engine, pid, origin.pool, origin.slot, origin.generation);
	return 0;
}

void orphans_sweep_soon(struct engine *engine)
{
	if (!evtimer_pending(engine->sweep, NULL))
		engine_arm(engine->sweep, usec_sub(engine->sweep_after, clock_now()));
}

void orphans_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct engine *engine = arg;
	usec_t began = clock_now(), now;
	pid_t pid;

	(void)fd;
	(void)what;
	while (reap_orphan(orphan_is_worker, engine, &pid) == 1) {
		log_debug("reaped orphan %d", (int)pid);
		orphan_forget(engine, pid);
	}
	launch_sweep(engine);
	engine->orphans_left = 0;
	proc_each_child(orphan_visit, engine);
	cgroups_sweep(engine);
	now = clock_now();
	engine->sweep_after = now + ORPHANS_PAUSE * (now - began);
}

void orphans_end(struct engine *engine)
{
	usec_t until = clock_now() + ORPHANS_END_MAX;

	orphans_sweep(-1, 0, engine);
	while (engine->orphans_left > 0 && clock_now() < until) {
		poll(NULL, 0, 1);
		orphans_sweep(-1, 0, engine);
	}
}
