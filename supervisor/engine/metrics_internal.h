/* metrics_internal.h - what the metrics*.c files share. */
#ifndef ENGINE_METRICS_INTERNAL_H
#define ENGINE_METRICS_INTERNAL_H

#include "engine/metrics.h"

/* The lines before the samples of a metric. */
void metrics_add_family(struct buf *out, const char *name, const char *type, const char *help);
/* A label behind a '{' or another label, its value escaped. */
void metrics_add_label(struct buf *out, const char *name, const char *value);
void metrics_add_seconds(struct buf *out, usec_t usec);

/* ---- metrics_pools.c ---- */

void metrics_add_pools(struct buf *out, const struct engine *engine);
/* Is it the place where the figures of all pools of its name are added up? */
bool metrics_pool_is_first(const struct engine *engine, uint32_t p);
/* That figure of pool p and of those behind it that have its name, added up. */
uint64_t metrics_sum_pools(const struct engine *engine, uint32_t p,
			   uint64_t (*figure)(const struct engine *engine, uint32_t p, int which),
			   int which);

/* ---- metrics_drains.c ---- */

void metrics_add_drains(struct buf *out, const struct engine *engine);

#endif
