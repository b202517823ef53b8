/* memory.c - a reserve for libevent: where our own code takes "no memory" for an answer, evhttp
 * would crash. */
#include "engine/memory.h"

#include <event2/event.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/log.h"

/* Far more than one turn of the loop allocates in libevent: its objects are small, and connections
 * are counted. */
#define MEMORY_RESERVE ((size_t)256 * 1024)
/* Somebody else may take what was given back before we do. */
#define MEMORY_TRIES 64

static void *reserve;

static void memory_give_back(void)
{
	free(reserve);
	reserve = NULL;
}

static void *memory_realloc(void *old, size_t size)
{
	void *block = realloc(old, size);

	for (int tries = 0; block == NULL && size > 0 && tries < MEMORY_TRIES; tries++) {
		memory_give_back();
		block = realloc(old, size);
	}
	return block;
}

static void *memory_malloc(size_t size)
{
	return memory_realloc(NULL, size);
}

void memory_new(void)
{
	event_set_mem_functions(memory_malloc, memory_realloc, free);
	reserve = malloc(MEMORY_RESERVE);
}

void memory_restore(void)
{
	if (reserve != NULL)
		return;
	reserve = malloc(MEMORY_RESERVE);
	if (reserve != NULL)
		log_warning("memory was short, and the reserve was used; there is memory again");
}

void memory_free(void)
{
	memory_give_back();
}
