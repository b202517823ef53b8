/* metrics.h - the instance's figures in Prometheus' text format (version 0.0.4). */
#ifndef ENGINE_METRICS_H
#define ENGINE_METRICS_H

#include "engine/engine.h"

/* Upper bounds of the histogram of drain times, in microseconds; the last bucket of pool_runtime
 * has no bound. */
enum { METRICS_BUCKETS = 12 };
extern const usec_t metrics_bounds[METRICS_BUCKETS - 1];

/* A worker was gone after it had drained for so long. */
void metrics_drained(struct pool_runtime *pool, usec_t took);
/* Appends the whole page. */
void metrics_write(struct engine *engine, struct buf *out);

#endif
