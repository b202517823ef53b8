/* pool_memory.c - the memory of a pool: one block that is handed in, and how much is wanted. */
#include "core/pool.h"

#include <assert.h>
#include <string.h>

static size_t pool_memory_offsets(uint32_t capacity, size_t offsets[static 4])
{
	size_t n = capacity;

	offsets[0] = 0;
	offsets[1] = offsets[0] + n * sizeof(struct worker);
	offsets[2] = offsets[1] + n * sizeof(struct slot);
	offsets[3] = offsets[2] + 2 * n * sizeof(struct timer);
	return offsets[3] + 2 * n * sizeof(uint32_t);
}

size_t pool_memory_size(uint32_t capacity)
{
	size_t offsets[4];

	return pool_memory_offsets(capacity, offsets);
}

void pool_free_entry(struct pool *pool, uint32_t w)
{
	pool->workers[w].next_free = pool->free;
	pool->free = w;
}

void *pool_set_memory(struct pool *pool, void *block, uint32_t capacity)
{
	void *former = pool->workers;
	uint32_t old = pool->capacity;
	size_t offsets[4];
	char *base = block;

	assert(capacity >= old);
	pool_memory_offsets(capacity, offsets);
	memset(base, 0, offsets[2]);
	if (old > 0) {
		memcpy(base + offsets[0], pool->workers, old * sizeof(struct worker));
		memcpy(base + offsets[1], pool->slots, old * sizeof(struct slot));
	} else {
		pool->free = CORE_NONE;
	}
	pool->workers = (struct worker *)(void *)(base + offsets[0]);
	pool->slots = (struct slot *)(void *)(base + offsets[1]);
	timers_set_memory(&pool->timers, (struct timer *)(void *)(base + offsets[2]),
			  (uint32_t *)(void *)(base + offsets[3]), 2 * capacity);
	pool->capacity = capacity;
	for (uint32_t w = capacity; w-- > old;) {
		pool->workers[w].ref =
		    (struct worker_ref){.pool = pool->index, .index = w, .serial = 0};
		pool_free_entry(pool, w);
	}
	pool->starved = false;
	return former;
}

uint32_t pool_capacity_wanted(const struct pool *pool, uint32_t size)
{
	uint32_t most = size > pool->size ? size : pool->size;

	return pool->live + most + 2;
}

uint32_t pool_room(const struct pool *pool)
{
	uint32_t entries = pool->capacity - pool->live;
	uint32_t allowed = pool->live < pool->max_processes ? pool->max_processes - pool->live : 0;

	return entries < allowed ? entries : allowed;
}
