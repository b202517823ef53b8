/* api_past.c - what has happened: `why` and `history`. */
#include <string.h>

#include "base/parse.h"
#include "engine/api_internal.h"

/* False: answered already. A pool that is gone is known as long as its ends are. */
static bool read_pool(struct call *call, struct api_why *ret_why)
{
	const char *pool = evhttp_find_header(&call->query, "pool");

	if (pool != NULL && incidents_of(&call->engine->incidents, pool) == NULL &&
	    engine_find_pool(call->engine, pool, NULL) == NULL) {
		api_unknown_pool(call, pool);
		return false;
	}
	ret_why->pool = pool;
	return true;
}

static bool read_why(struct call *call, struct api_why *ret_why)
{
	static const char *const parameters[] = {"pool", "slot", "pid", NULL};
	const char *slot = evhttp_find_header(&call->query, "slot");
	const char *pid = evhttp_find_header(&call->query, "pid");
	uint64_t number;

	if (!api_check_query(call, parameters) || !read_pool(call, ret_why))
		return false;
	if (slot != NULL) {
		if (parse_uint(slot, 0, CONFIG_WORKERS_MAX - 1, &number) < 0) {
			api_refuse(call, 400, "'slot' must be the number of a slot, from 0");
			return false;
		}
		ret_why->slot = (uint32_t)number;
	}
	if (pid != NULL) {
		if (parse_uint(pid, 1, INT32_MAX, &number) < 0) {
			api_refuse(call, 400, "'pid' must be the number of a process, from 1");
			return false;
		}
		ret_why->pid = (long)number;
	}
	return true;
}

void api_get_why(struct call *call)
{
	struct api_why why = {.slot = CORE_NONE};
	struct buf body = {.max = CONTROL_ANSWER_MAX};

	if (!read_why(call, &why))
		return;
	api_json_why(call->engine, &why, &body);
	api_answer(call, 200, &body);
}

void api_get_history(struct call *call)
{
	static const char *const parameters[] = {NULL};
	struct buf body = {.max = CONTROL_ANSWER_MAX};

	if (!api_check_query(call, parameters))
		return;
	api_json_history(call->engine, &body);
	api_answer(call, 200, &body);
}
