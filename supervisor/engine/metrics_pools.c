/* metrics_pools.c - the figures of pools and their workers. */
#include <string.h>

#include "base/fd.h"
#include "engine/cgroups.h"
#include "engine/failures.h"
#include "engine/metrics_internal.h"
#include "engine/proc.h"
#include "engine/stores.h"
#include "engine/versions.h"
/* ---- pools by name ---- */

/*
 * A pool that was removed drains on beside one that was added under its name. They are one to
 * Prometheus: figures of both are added up at the place of the first.
 */
static bool is_same_pool(const struct engine *engine, uint32_t p, uint32_t q)
{
	return engine->model->pools[q].state != POOL_FREE && engine->pools[q].name != NULL &&
	       strcmp(engine->pools[p].name, engine->pools[q].name) == 0;
}

bool metrics_pool_is_first(const struct engine *engine, uint32_t p)
{
	if (engine->model->pools[p].state == POOL_FREE || engine->pools[p].name == NULL)
		return false;
	for (uint32_t q = 0; q < p; q++)
		if (is_same_pool(engine, p, q))
			return false;
	return true;
}

uint64_t metrics_sum_pools(const struct engine *engine, uint32_t p,
			   uint64_t (*figure)(const struct engine *engine, uint32_t p, int which),
			   int which)
{
	uint64_t total = 0;

	for (uint32_t q = p; q < CORE_POOLS_MAX; q++)
		if (is_same_pool(engine, p, q))
			total += figure(engine, q, which);
	return total;
}

/* One series for each pool, and for each of the values of one more label where there is one. */
struct pool_family {
	const char *name, *type, *help;
	uint64_t (*figure)(const struct engine *engine, uint32_t p, int which);
	const char *label;
	const char *values[8]; /* up to NULL; their places are the figure's `which` */
};

static bool is_retiring(const struct engine *engine, uint32_t p)
{
	return engine->model->pools[p].state == POOL_RETIRING;
}

static uint64_t figure_workers(const struct engine *engine, uint32_t p, int which)
{
	static const enum worker_state states[] = {WORKER_STARTING, WORKER_HELD,    WORKER_SERVING,
						   WORKER_DRAINING, WORKER_DUMPING, WORKER_KILLED};

	return engine->model->pools[p].counts[states[which]];
}

static uint64_t figure_wanted(const struct engine *engine, uint32_t p, int which)
{
	(void)which;
	return is_retiring(engine, p) ? 0 : engine->model->pools[p].size;
}

static uint64_t figure_generation(const struct engine *engine, uint32_t p, int which)
{
	(void)which;
	return is_retiring(engine, p) ? 0 : engine->model->pools[p].generation;
}

static uint64_t figure_ready(const struct engine *engine, uint32_t p, int which)
{
	cleanup_buf struct buf reason = {0};

	(void)which;
	return !is_retiring(engine, p) && engine_pool_is_ready(engine, p, &reason);
}

static uint64_t figure_looping(const struct engine *engine, uint32_t p, int which)
{
	(void)which;
	return engine->model->pools[p].looping;
}

static uint64_t figure_starts(const struct engine *engine, uint32_t p, int which)
{
	(void)which;
	return engine->pools[p].starts;
}

static uint64_t figure_restarts(const struct engine *engine, uint32_t p, int which)
{
	const struct pool_runtime *pool = &engine->pools[p];
	const uint64_t by_reason[] = {pool->crashes, pool->start_failures, pool->start_timeouts,
				      pool->hangs,   pool->not_live,	   pool->renewals};

	return by_reason[which];
}

static uint64_t figure_probe_failures(const struct engine *engine, uint32_t p, int which)
{
	return engine->pools[p].probe_failures[which];
}

static uint64_t figure_failed(const struct engine *engine, uint32_t p, int which)
{
	const struct failure *failure = NULL;
	uint64_t n = 0;

	(void)which;
	while (!is_retiring(engine, p) &&
	       (failure = failures_next(engine, engine->pools[p].name, failure)) != NULL)
		n++;
	return n;
}

static uint64_t figure_on_disk(const struct engine *engine, uint32_t p, int which)
{
	cleanup_buf struct buf text = {0};

	(void)which;
	return !is_retiring(engine, p) && versions_differ_on_disk(engine, p, &text);
}

static uint64_t figure_oom_kills(const struct engine *engine, uint32_t p, int which)
{
	(void)which;
	return engine->pools[p].oom_kills;
}

static uint64_t figure_canaries(const struct engine *engine, uint32_t p, int which)
{
	return which == 0 ? engine->pools[p].canaries_good : engine->pools[p].canaries_bad;
}

static uint64_t figure_escalations(const struct engine *engine, uint32_t p, int which)
{
	return which == 0 ? engine->pools[p].dumps : engine->pools[p].kills;
}

static uint64_t figure_stored(const struct engine *engine, uint32_t p, int which)
{
	(void)which;
	return stores_total(&engine->pools[p]);
}

static uint64_t figure_unstored(const struct engine *engine, uint32_t p, int which)
{
	return which == 0 ? engine->pools[p].stores_refused : engine->pools[p].stores_dead;
}

static const struct pool_family pool_families[] = {
    {"handover_workers",
     "gauge",
     "Workers by pool and state.",
     figure_workers,
     "state",
     {"starting", "held", "serving", "draining", "dumping", "killed"}},
    {"handover_pool_slots", "gauge", "Workers that the pool is to have.", figure_wanted, NULL, {0}},
    {"handover_pool_generation",
     "gauge",
     "Generation of the pool that was committed last.",
     figure_generation,
     NULL,
     {0}},
    {"handover_pool_ready",
     "gauge",
     "1 if enough workers of the pool serve (ready_workers).",
     figure_ready,
     NULL,
     {0}},
    {"handover_pool_crash_looping",
     "gauge",
     "Slots of the pool that are in a crash loop.",
     figure_looping,
     NULL,
     {0}},
    {"handover_pool_failed_versions",
     "gauge",
     "Versions of the pool that are remembered as failed.",
     figure_failed,
     NULL,
     {0}},
    {"handover_pool_disk_differs",
     "gauge",
     "1 if another version is on disk than the pool runs.",
     figure_on_disk,
     NULL,
     {0}},
    {"handover_worker_starts_total",
     "counter",
     "Workers that were started.",
     figure_starts,
     NULL,
     {0}},
    {"handover_worker_restarts_total",
     "counter",
     "Workers that had to be replaced, by what was wrong with them.",
     figure_restarts,
     "reason",
     {"crash", "start-failure", "start-timeout", "hang", "liveness", "renewal"}},
    {"handover_probe_failures_total",
     "counter",
     "Probes of workers that failed, of those that start and of those that serve.",
     figure_probe_failures,
     "probe",
     {[PROBE_OF_READY] = "ready", [PROBE_OF_LIVE] = "live"}},
    {"handover_canaries_total",
     "counter",
     "New versions of the pool that were judged by their first workers, by the judgement.",
     figure_canaries,
     "result",
     {"good", "bad"}},
    {"handover_escalations_total",
     "counter",
     "Workers that were still there at the end of their budget, by what followed.",
     figure_escalations,
     "stage",
     {"dump", "kill"}},
    {"handover_stored_descriptors",
     "gauge",
     "Descriptors that are kept for workers' successors (fd_store_max).",
     figure_stored,
     NULL,
     {0}},
    {"handover_stored_closed_total",
     "counter",
     "Descriptors that were to be kept and were closed: there were too many, or they were dead.",
     figure_unstored,
     "reason",
     {"refused", "dead"}},
};

static const struct pool_family oom_family = {
    "handover_oom_kills_total",
    "counter",
    "Processes of workers that the kernel killed for want of memory.",
    figure_oom_kills,
    NULL,
    {0}};

static void add_pool_series(struct buf *out, const struct engine *engine,
			    const struct pool_family *family, uint32_t p, int which)
{
	buf_printf(out, "%s{", family->name);
	metrics_add_label(out, "pool", engine->pools[p].name);
	if (family->label != NULL)
		metrics_add_label(out, family->label, family->values[which]);
	buf_printf(out, "} %llu\n",
		   (unsigned long long)metrics_sum_pools(engine, p, family->figure, which));
}

static void add_pool_family(struct buf *out, const struct engine *engine,
			    const struct pool_family *family)
{
	metrics_add_family(out, family->name, family->type, family->help);
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++) {
		int which = 0;

		if (!metrics_pool_is_first(engine, p))
			continue;
		do
			add_pool_series(out, engine, family, p, which);
		while (family->label != NULL && family->values[++which] != NULL);
	}
}

/* Requests in flight, of workers that tell; false: none does. */
static bool pool_inflight(const struct engine *engine, uint32_t p, uint64_t *ret_inflight)
{
	bool told = false;

	*ret_inflight = 0;
	for (uint32_t q = p; q < CORE_POOLS_MAX; q++) {
		const struct pool_runtime *pool = &engine->pools[q];

		if (!is_same_pool(engine, p, q))
			continue;
		for (uint32_t w = 0; w < pool->n_procs; w++) {
			const struct proc *proc = pool->procs[w];
			unsigned long inflight;

			if (proc == NULL || proc->ended || !proc_inflight(proc, &inflight))
				continue;
			*ret_inflight += inflight;
			told = true;
		}
	}
	return told;
}

static void add_inflight(struct buf *out, const struct engine *engine)
{
	const char *name = "handover_pool_in_flight";
	bool begun = false;
	uint64_t inflight;

	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++) {
		if (!metrics_pool_is_first(engine, p) || !pool_inflight(engine, p, &inflight))
			continue;
		if (!begun)
			metrics_add_family(out, name, "gauge",
					   "Requests in flight, where the workers tell.");
		begun = true;
		buf_printf(out, "%s{", name);
		metrics_add_label(out, "pool", engine->pools[p].name);
		buf_printf(out, "} %llu\n", (unsigned long long)inflight);
	}
}

/* ---- what workers use ---- */

enum usage { USAGE_MEMORY, USAGE_TASKS, USAGE_CPU };

static uint64_t usage_of(const struct cgroup_figures *figures, enum usage usage)
{
	switch (usage) {
	case USAGE_MEMORY:
		return figures->memory;
	case USAGE_TASKS:
		return figures->tasks;
	case USAGE_CPU:
		return figures->cpu;
	}
	return CGROUP_UNKNOWN;
}

/* False: it cannot be known of any worker. */
static bool pool_usage(const struct engine *engine, uint32_t p, enum usage usage, uint64_t *ret_sum)
{
	bool told = false;
	uint64_t figure;

	*ret_sum = 0;
	for (uint32_t q = p; q < CORE_POOLS_MAX; q++) {
		struct cgroup_figures figures;

		if (!is_same_pool(engine, p, q))
			continue;
		cgroups_sum(engine, q, &figures);
		figure = usage_of(&figures, usage);
		if (figure == CGROUP_UNKNOWN)
			continue;
		*ret_sum += figure;
		told = true;
	}
	return told;
}

static void add_usage(struct buf *out, const struct engine *engine, enum usage usage,
		      const char *name, const char *type, const char *help)
{
	bool begun = false;
	uint64_t value;

	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++) {
		if (!metrics_pool_is_first(engine, p) || !pool_usage(engine, p, usage, &value))
			continue;
		if (!begun)
			metrics_add_family(out, name, type, help);
		begun = true;
		buf_printf(out, "%s{", name);
		metrics_add_label(out, "pool", engine->pools[p].name);
		buf_add_str(out, "} ");
		if (usage == USAGE_CPU)
			metrics_add_seconds(out, value);
		else
			buf_printf(out, "%llu", (unsigned long long)value);
		buf_add_str(out, "\n");
	}
}

static void add_usages(struct buf *out, const struct engine *engine)
{
	const char *reason;
	const struct cgroup_tree *tree = cgroups_tree(engine, &reason);

	add_usage(out, engine, USAGE_MEMORY, "handover_pool_memory_bytes", "gauge",
		  "Memory of the pool's workers with all their processes, by their cgroups.");
	add_usage(out, engine, USAGE_TASKS, "handover_pool_tasks", "gauge",
		  "Processes and threads of the pool's workers, by their cgroups.");
	add_usage(out, engine, USAGE_CPU, "handover_pool_cpu_seconds_total", "counter",
		  "CPU time of the pool's workers, also of those that are gone, by their cgroups.");
	if (tree != NULL && tree->has[CGROUP_MEMORY])
		add_pool_family(out, engine, &oom_family);
}

void metrics_add_pools(struct buf *out, const struct engine *engine)
{
	for (size_t i = 0; i < ARRAY_LEN(pool_families); i++)
		add_pool_family(out, engine, &pool_families[i]);
	add_inflight(out, engine);
	add_usages(out, engine);
	metrics_add_drains(out, engine);
}
