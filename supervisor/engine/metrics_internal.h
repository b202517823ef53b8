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

#endif
