/* failures.h - versions that failed, or that were rolled back from: remembered, so that nobody is
 * given them again unasked. Bounded; lost with the instance. */
#ifndef ENGINE_FAILURES_H
#define ENGINE_FAILURES_H

#include "engine/engine.h"

enum { FAILURES_MAX = 32 };

struct failure {
	char *pool; /* NULL: the place is free */
	uint64_t fingerprint;
	unsigned times;
	usec_t at, at_wall; /* the last time */
	char *reason;	    /* in words: "slot 0 ... exited with code 1" */
	char *what;	    /* the executable, with its build id where it has one */
};

/* The version failed for that reason (in words). */
void failures_add(struct engine *engine, const struct version *version, const char *reason);
/* It serves now. */
void failures_forget(struct engine *engine, const struct version *version);
/* NULL: it has not failed, as far as we remember. */
const struct failure *failures_find(const struct engine *engine, const struct version *version);
/* "failed 10 min ago: ...", as part of a sentence. */
void failures_describe(const struct failure *failure, struct buf *text);
/* The next one of that pool behind it (NULL: the first), NULL: no more. */
const struct failure *failures_next(const struct engine *engine, const char *pool,
				    const struct failure *failure);
void failures_free(struct engine *engine);

#endif
