/* incidents.c - the last ends of workers, in bounded memory. */
#include "engine/incidents.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *incident_kind_name(enum incident_kind kind)
{
	switch (kind) {
	case INCIDENT_START_FAILED:
		return "start-failed";
	case INCIDENT_CRASHED:
		return "crashed";
	case INCIDENT_EXITED:
		return "exited";
	case INCIDENT_OOM:
		return "out-of-memory";
	case INCIDENT_NOT_READY:
		return "not-ready";
	case INCIDENT_HUNG:
		return "hung";
	case INCIDENT_NOT_LIVE:
		return "not-live";
	case INCIDENT_OVERDUE:
		return "overdue";
	case INCIDENT_FAILED_DRAIN:
		return "failed-drain";
	case INCIDENT_KILLED:
		return "killed";
	}
	return "?";
}

/* ---- one incident ---- */

void incident_free(struct incident *incident)
{
	if (incident == NULL)
		return;
	free(incident->message);
	free(incident->exit);
	free(incident->by);
	free(incident->cause);
	free(incident->status);
	free(incident->executable);
	free(incident->lines);
	free(incident->dump);
	free(incident->elsewhere);
	proc_look_free(incident->look);
	free(incident);
}

static size_t text_size(const char *text)
{
	return text != NULL ? strlen(text) + 1 : 0;
}

size_t incident_size(const struct incident *incident)
{
	return sizeof(*incident) + text_size(incident->message) + text_size(incident->exit) +
	       text_size(incident->by) + text_size(incident->cause) + text_size(incident->status) +
	       text_size(incident->executable) + text_size(incident->lines) +
	       text_size(incident->dump) + text_size(incident->elsewhere) +
	       (incident->look != NULL ? proc_look_size(incident->look) : 0);
}

static bool incident_is_harmless(const struct incident *incident)
{
	return incident->kind == INCIDENT_EXITED;
}

/* Gives up what is large. Returns the bytes that this made free. */
static size_t incident_slim(struct incident *incident)
{
	size_t before = incident_size(incident);

	free(incident->lines);
	free(incident->dump);
	incident->lines = incident->dump = NULL;
	incident->look = proc_look_free(incident->look);
	incident->slimmed |= incident_size(incident) < before;
	return before - incident_size(incident);
}

/* ---- a pool's ---- */

static void pool_drop(struct incidents_pool *pool, unsigned i)
{
	incident_free(pool->list[i]);
	pool->n--;
	memmove(&pool->list[i], &pool->list[i + 1], (pool->n - i) * sizeof(pool->list[0]));
	pool->dropped++;
}

static void pool_make_place(struct incidents_pool *pool)
{
	unsigned victim = 0;

	if (pool->n < INCIDENTS_KEPT)
		return;
	while (victim < pool->n && !incident_is_harmless(pool->list[victim]))
		victim++;
	pool_drop(pool, victim < pool->n ? victim : 0);
}

static void pool_bound(struct incidents_pool *pool)
{
	size_t size = 0;

	for (unsigned i = 0; i < pool->n; i++)
		size += incident_size(pool->list[i]);
	for (unsigned i = 0; i < pool->n && size > INCIDENTS_BYTES; i++)
		size -= incident_slim(pool->list[i]);
}

static void pool_free(struct incidents_pool *pool)
{
	while (pool != NULL && pool->n > 0)
		pool_drop(pool, pool->n - 1);
	if (pool != NULL)
		free(pool->name);
	free(pool);
}

/* ---- all pools ---- */

static struct incidents_pool **incidents_find(const struct incidents *incidents, const char *pool)
{
	struct incidents_pool *const *pools = incidents->pools;

	for (unsigned p = 0; p < INCIDENTS_POOLS; p++)
		if (pools[p] != NULL && strcmp(pools[p]->name, pool) == 0)
			return (struct incidents_pool **)&pools[p];
	return NULL;
}

/* A free place, or that of the pool that has been quiet for the longest time. */
static struct incidents_pool **incidents_place(struct incidents *incidents)
{
	unsigned quiet = 0;

	for (unsigned p = 0; p < INCIDENTS_POOLS; p++) {
		if (incidents->pools[p] == NULL)
			return &incidents->pools[p];
		if (incidents->pools[p]->last < incidents->pools[quiet]->last)
			quiet = p;
	}
	return &incidents->pools[quiet];
}

static struct incidents_pool *incidents_open(struct incidents *incidents, const char *name)
{
	struct incidents_pool **place = incidents_find(incidents, name), *pool;

	if (place != NULL)
		return *place;
	pool = calloc(1, sizeof(*pool));
	if (pool == NULL)
		return NULL;
	pool->name = strdup(name);
	if (pool->name == NULL) {
		free(pool);
		return NULL;
	}
	place = incidents_place(incidents);
	pool_free(*place);
	*place = pool;
	return pool;
}

int incidents_add(struct incidents *incidents, const char *name, struct incident *incident)
{
	struct incidents_pool *pool = incidents_open(incidents, name);

	if (pool == NULL) {
		incident_free(incident);
		return -ENOMEM;
	}
	incident->id = pool->last = ++incidents->last;
	pool_make_place(pool);
	pool->list[pool->n++] = incident;
	pool_bound(pool);
	return 0;
}

const struct incidents_pool *incidents_of(const struct incidents *incidents, const char *pool)
{
	struct incidents_pool **place = incidents_find(incidents, pool);

	return place != NULL ? *place : NULL;
}

const struct incident *incidents_last(const struct incidents *incidents, const char *name,
				      uint32_t slot)
{
	const struct incidents_pool *pool = incidents_of(incidents, name);

	for (unsigned i = pool != NULL ? pool->n : 0; i > 0; i--)
		if (pool->list[i - 1]->slot == slot)
			return pool->list[i - 1];
	return NULL;
}

void incidents_free(struct incidents *incidents)
{
	for (unsigned p = 0; p < INCIDENTS_POOLS; p++) {
		pool_free(incidents->pools[p]);
		incidents->pools[p] = NULL;
	}
}
