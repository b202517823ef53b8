/* fuzz_request.c - bodies of control requests: taken whole, or refused with a sentence. */
#include "fuzz.h"

#include "engine/api_json.h"

/* What the routes take and need, and everything at once. */
static const struct {
	unsigned allowed, required;
} routes[] = {
    {0x3ff, 0},
    {API_CHANGED | API_POOL | API_WAIT | API_ABORT | API_PROGRESS, 0},
    {API_NOW | API_PROGRESS, 0},
    {API_ON, API_ON},
    {API_WORKERS | API_WAIT | API_ABORT | API_PROGRESS, API_WORKERS},
    {API_SIGNAL | API_SLOT, API_SIGNAL},
    {0, 0},
};

static void check_ask(const struct api_ask *ask, unsigned allowed, unsigned required)
{
	FUZZ_RULE((ask->given & ~allowed) == 0 && (ask->given & required) == required);
	FUZZ_RULE(((ask->given & API_POOL) != 0) == (ask->pool != NULL));
	FUZZ_RULE(((ask->given & API_SIGNAL) != 0) == (ask->signal != NULL));
	FUZZ_RULE((ask->given & API_SLOT) != 0 ? ask->slot < CONFIG_WORKERS_MAX
					       : ask->slot == CORE_NONE);
	FUZZ_RULE((ask->given & API_WORKERS) != 0
		      ? ask->workers >= 1 && ask->workers <= CONFIG_WORKERS_MAX
		      : ask->workers == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		struct api_ask ask = {.given = 4711};
		cleanup_buf struct buf error = {.data = NULL};
		int r = api_json_read_ask((const char *)data, len, routes[i].allowed,
					  routes[i].required, &ask, &error);

		FUZZ_RULE(r == 0 || r == -EINVAL);
		FUZZ_RULE((r < 0) == (error.len > 0));
		FUZZ_RULE(r == 0 || (ask.given == 4711 && ask.pool == NULL));
		if (r < 0)
			continue;
		check_ask(&ask, routes[i].allowed, routes[i].required);
		api_ask_free(&ask);
	}
	return 0;
}
