/* failures.c - versions that failed. */
#include "engine/failures.h"

#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/parse.h"
#include "engine/events.h"
#include "engine/versions.h"

struct failures {
	struct failure list[FAILURES_MAX];
};

static void failure_clear(struct failure *failure)
{
	free(failure->pool);
	free(failure->reason);
	free(failure->what);
	*failure = (struct failure){.pool = NULL};
}

void failures_free(struct engine *engine)
{
	for (size_t n = 0; engine->failures != NULL && n < FAILURES_MAX; n++)
		failure_clear(&engine->failures->list[n]);
	free(engine->failures);
	engine->failures = NULL;
}

static struct failure *failure_of(const struct engine *engine, const struct version *version)
{
	uint64_t fingerprint = version_fingerprint(version);

	for (size_t n = 0; engine->failures != NULL && n < FAILURES_MAX; n++) {
		struct failure *failure = &engine->failures->list[n];

		if (failure->pool != NULL && failure->fingerprint == fingerprint &&
		    strcmp(failure->pool, version->spec->name) == 0)
			return failure;
	}
	return NULL;
}

const struct failure *failures_find(const struct engine *engine, const struct version *version)
{
	return failure_of(engine, version);
}

/* A free place, or that of the oldest. */
static struct failure *failure_place(struct failures *failures)
{
	struct failure *place = &failures->list[0];

	for (size_t n = 0; n < FAILURES_MAX; n++) {
		struct failure *failure = &failures->list[n];

		if (failure->pool == NULL)
			return failure;
		if (failure->at < place->at)
			place = failure;
	}
	return place;
}

static char *failure_what(const struct version *version)
{
	const struct pin_file *program = &version->pin->program;
	char id[IDENTITY_BUILD_ID_TEXT], *text;
	int r;

	if (program->identity.build_id_len == 0)
		return strdup(program->path);
	r = asprintf(&text, "%s (build id %s)", program->path,
		     identity_format_build_id(&program->identity, id));
	return r == -1 ? NULL : text;
}

void failures_add(struct engine *engine, const struct version *version, const char *reason)
{
	struct failure *failure = failure_of(engine, version);
	unsigned times = failure != NULL ? failure->times : 0;

	if (engine->failures == NULL)
		engine->failures = calloc(1, sizeof(*engine->failures));
	if (engine->failures == NULL)
		return;
	if (failure == NULL)
		failure = failure_place(engine->failures);
	failure_clear(failure);
	*failure = (struct failure){
	    .pool = strdup(version->spec->name),
	    .fingerprint = version_fingerprint(version),
	    .times = times + 1,
	    .at = clock_now(),
	    .at_wall = clock_wall(),
	    .reason = strdup(reason),
	    .what = failure_what(version),
	};
	events_tell(engine,
		    HAPPENING("version-failed", LOG_LEVEL_WARNING, .pool = version->spec->name,
			      .generation = version->generation, .exit = reason),
		    "pool %s: this version is remembered as failed (%s): a reload with --changed "
		    "does not try it again, one without does",
		    version->spec->name, failure->what != NULL ? failure->what : "");
}

void failures_forget(struct engine *engine, const struct version *version)
{
	struct failure *failure = failure_of(engine, version);

	if (failure != NULL)
		failure_clear(failure);
}

void failures_describe(const struct failure *failure, struct buf *text)
{
	usec_t ago = usec_sub(clock_now(), failure->at);

	buf_printf(text, "failed %s ago", DURATION_TEXT(ago - ago % USEC_PER_SEC));
	if (failure->times > 1)
		buf_printf(text, " (%u times by now)", failure->times);
	buf_printf(text, ": %s", failure->reason != NULL ? failure->reason : "out of memory");
}

const struct failure *failures_next(const struct engine *engine, const char *pool,
				    const struct failure *failure)
{
	const struct failure *at;

	if (engine->failures == NULL)
		return NULL;
	at = failure != NULL ? failure + 1 : engine->failures->list;
	for (; at < engine->failures->list + FAILURES_MAX; at++)
		if (at->pool != NULL && strcmp(at->pool, pool) == 0)
			return at;
	return NULL;
}
