/* backoff.h - how long to wait before the next start after a crash. */
#ifndef CORE_BACKOFF_H
#define CORE_BACKOFF_H

#include "core/types.h"

/*
 * Wait before the start that follows crash number `crashes` in a row (1 is the first): nothing at
 * first, then restart_delay, doubled each time up to restart_delay_max; a quarter up or down by
 * *seed, so that slots that crash together do not come back together. *seed moves on (xorshift64;
 * must not be 0).
 */
usec_t backoff_delay(const struct pool_params *params, uint32_t crashes, uint64_t *seed);

#endif
