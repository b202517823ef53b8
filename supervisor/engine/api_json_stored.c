/* api_json_stored.c - what is kept for workers' successors, as JSON. */
#include <string.h>

#include "engine/api_json_internal.h"
#include "engine/stores.h"

/* Of one name and kind there is one line, with their number: how often did they come before? */
static size_t count_before(const struct fd_store *store, size_t at, const char *kind,
			   bool *ret_first)
{
	char other[FD_STORE_KIND_MAX];
	size_t count = 0;

	*ret_first = true;
	for (size_t n = 0; n < store->n; n++) {
		if (strcmp(store->list[n].name, store->list[at].name) != 0 ||
		    strcmp(fd_store_kind(store->list[n].fd, other), kind) != 0)
			continue;
		count++;
		*ret_first = *ret_first && n >= at;
	}
	return count;
}

static void add_slot(json_t *list, const char *pool, uint32_t slot, const struct fd_store *store)
{
	char kind[FD_STORE_KIND_MAX];

	for (size_t n = 0; n < store->n; n++) {
		bool first;
		size_t count =
		    count_before(store, n, fd_store_kind(store->list[n].fd, kind), &first);

		if (first)
			json_array_append_new(list,
					      json_pack("{s:o, s:i, s:s, s:s, s:i}", "pool",
							api_json_text(pool), "slot", (int)slot,
							"name", store->list[n].name, "kind", kind,
							"count", (int)count));
	}
}

json_t *api_json_stored(const struct engine *engine)
{
	json_t *list = json_array();

	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++)
		for (uint32_t slot = 0; slot < engine->pools[p].n_stores; slot++) {
			const struct fd_store *store = stores_of(&engine->pools[p], slot);

			if (store != NULL)
				add_slot(list, engine->pools[p].name, slot, store);
		}
	return list;
}
