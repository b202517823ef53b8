/* metrics_drains.c - how long workers took to go: counted, and written as a histogram. */
#include "engine/metrics_internal.h"

const usec_t metrics_bounds[METRICS_BUCKETS - 1] = {
    50 * USEC_PER_MSEC, 100 * USEC_PER_MSEC,  250 * USEC_PER_MSEC, 500 * USEC_PER_MSEC,
    1 * USEC_PER_SEC,	2500 * USEC_PER_MSEC, 5 * USEC_PER_SEC,	   10 * USEC_PER_SEC,
    30 * USEC_PER_SEC,	60 * USEC_PER_SEC,    300 * USEC_PER_SEC,
};

void metrics_drained(struct pool_runtime *pool, usec_t took)
{
	size_t b = 0;

	while (b < METRICS_BUCKETS - 1 && took > metrics_bounds[b])
		b++;
	pool->drain_buckets[b]++;
	pool->drain_count++;
	pool->drain_sum += took;
}

static uint64_t figure_bucket(const struct engine *engine, uint32_t p, int which)
{
	return engine->pools[p].drain_buckets[which];
}

static uint64_t figure_drain_sum(const struct engine *engine, uint32_t p, int which)
{
	(void)which;
	return engine->pools[p].drain_sum;
}

static void add_drain_line(struct buf *out, const struct engine *engine, uint32_t p,
			   const char *suffix)
{
	buf_printf(out, "handover_drain_seconds%s{", suffix);
	metrics_add_label(out, "pool", engine->pools[p].name);
}

static void add_drains_of(struct buf *out, const struct engine *engine, uint32_t p)
{
	uint64_t count = 0;

	for (int b = 0; b < METRICS_BUCKETS; b++) {
		count += metrics_sum_pools(engine, p, figure_bucket, b);
		add_drain_line(out, engine, p, "_bucket");
		buf_add_str(out, ",le=\"");
		if (b < METRICS_BUCKETS - 1)
			buf_printf(out, "%g", (double)metrics_bounds[b] / (double)USEC_PER_SEC);
		else
			buf_add_str(out, "+Inf");
		buf_printf(out, "\"} %llu\n", (unsigned long long)count);
	}
	add_drain_line(out, engine, p, "_sum");
	buf_add_str(out, "} ");
	metrics_add_seconds(out, metrics_sum_pools(engine, p, figure_drain_sum, 0));
	buf_add_str(out, "\n");
	add_drain_line(out, engine, p, "_count");
	buf_printf(out, "} %llu\n", (unsigned long long)count);
}

void metrics_add_drains(struct buf *out, const struct engine *engine)
{
	metrics_add_family(out, "handover_drain_seconds", "histogram",
			   "How long workers took from being told to go until they were gone.");
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++)
		if (metrics_pool_is_first(engine, p))
			add_drains_of(out, engine, p);
}
