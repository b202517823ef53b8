/*
 * api_json_workers.c - the workers in the instance's status. They are written one by one, so that
 * ten thousand of them take no more memory than their text.
 */
#include <stdlib.h>

#include "base/fd.h"
#include "engine/api_json_internal.h"
#include "engine/cgroups.h"
#include "engine/proc.h"
#include "engine/versions.h"

/* A worker, or a slot that has none now. */
struct row {
	uint32_t slot;
	const struct worker *worker;
};

/* By slot; in one slot the older generation first. */
static int row_compare(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	uint32_t x_generation = x->worker != NULL ? x->worker->generation : UINT32_MAX;
	uint32_t y_generation = y->worker != NULL ? y->worker->generation : UINT32_MAX;

	if (x->slot != y->slot)
		return x->slot < y->slot ? -1 : 1;
	if (x_generation != y_generation)
		return x_generation < y_generation ? -1 : 1;
	return 0;
}

static size_t collect_rows(const struct pool *pool, struct row *rows)
{
	size_t n = 0;

	for (uint32_t w = 0; w < pool->capacity; w++)
		if (worker_is_live(&pool->workers[w]))
			rows[n++] = (struct row){pool->workers[w].slot, &pool->workers[w]};
	for (uint32_t s = 0; s < pool->size; s++)
		if (pool->slots[s].current == CORE_NONE && pool->slots[s].next == CORE_NONE)
			rows[n++] = (struct row){s, NULL};
	qsort(rows, n, sizeof(*rows), row_compare);
	return n;
}

/* What its state waits for; serving has no end, and a kill is not taken back. */
static usec_t worker_shown_deadline(const struct worker *worker)
{
	switch (worker->state) {
	case WORKER_STARTING:
	case WORKER_HELD:
	case WORKER_DRAINING:
	case WORKER_DUMPING:
		return worker->deadline;
	case WORKER_GONE:
	case WORKER_SERVING:
	case WORKER_KILLED:
		break;
	}
	return USEC_INFINITY;
}

static json_t *known(uint64_t figure)
{
	return figure != CGROUP_UNKNOWN ? json_integer((json_int_t)figure) : json_null();
}

/* What it uses, as its cgroup tells; nulls without one. */
static void add_figures(json_t *row, const struct proc *proc)
{
	static const struct cgroup_figures nothing = {CGROUP_UNKNOWN, CGROUP_UNKNOWN,
						      CGROUP_UNKNOWN};
	bool has = proc != NULL && proc->cgroup != NULL;
	const struct cgroup_figures *figures = has ? &proc->cgroup->figures : &nothing;

	json_object_set_new(row, "cgroup", api_json_text(has ? proc->cgroup->name : NULL));
	json_object_set_new(row, "memory_bytes", known(figures->memory));
	json_object_set_new(row, "tasks", known(figures->tasks));
	json_object_set_new(row, "cpu_s",
			    figures->cpu != CGROUP_UNKNOWN ? api_json_seconds(figures->cpu)
							   : json_null());
}

static void add_sockets(json_t *names, const struct version *version, const struct version *but)
{
	for (size_t n = 0; n < version->spec->n_sockets; n++)
		if (but == NULL || !version_has_socket(but, &version->sockets[n]))
			json_array_append_new(names, api_json_text(version->spec->sockets[n]));
}

/* What it was given, with its start or since. */
static json_t *row_sockets(const struct proc *proc, const struct version *next)
{
	json_t *names = json_array();

	if (proc == NULL || (proc->version->spec->handoff == HANDOFF_CHANNEL && proc->set == 0))
		return names;
	add_sockets(names, proc->version, NULL);
	if (proc->both && next != NULL)
		add_sockets(names, next, proc->version);
	return names;
}

static json_t *row_worker(const struct engine *engine, const struct pool *pool,
			  const struct worker *worker, usec_t now)
{
	const struct pool_runtime *runtime = &engine->pools[pool->index];
	const struct proc *proc =
	    worker->ref.index < runtime->n_procs ? runtime->procs[worker->ref.index] : NULL;
	uint32_t restarts = worker->slot < pool->size ? pool->slots[worker->slot].restarts : 0;
	unsigned long inflight = 0;
	bool tells = proc != NULL && proc_inflight(proc, &inflight);
	json_t *row;

	row = json_pack("{s:o, s:i, s:i, s:o, s:s, s:o, s:i, s:o, s:o, s:o, s:s, s:o}", "pool",
			api_json_text(runtime->name), "slot", (int)worker->slot, "generation",
			(int)worker->generation, "pid", api_json_pid(proc != NULL ? proc->pid : 0),
			"state", worker_state_name(worker->state), "since_s",
			api_json_seconds(usec_sub(now, worker->since)), "restarts", (int)restarts,
			"inflight", tells ? json_integer((json_int_t)inflight) : json_null(),
			"status", api_json_text(proc != NULL ? proc->status : NULL),
			"probe_failure", api_json_text(proc != NULL ? proc->probe_failure : NULL),
			"reason", end_reason_name(worker->reason), "deadline_s",
			api_json_seconds_until(worker_shown_deadline(worker), now));
	json_object_set_new(row, "sockets", row_sockets(proc, runtime->next));
	add_figures(row, proc);
	return row;
}

static json_t *row_waiting(const struct engine *engine, const struct pool *pool, uint32_t s,
			   usec_t now)
{
	const struct slot *slot = &pool->slots[s];

	json_t *row =
	    json_pack("{s:o, s:i, s:i, s:n, s:s, s:n, s:i, s:n, s:n, s:n, s:s, s:o}", "pool",
		      api_json_text(engine->pools[pool->index].name), "slot", (int)s, "generation",
		      (int)pool->generation, "pid", "state", "waiting", "since_s", "restarts",
		      (int)slot->restarts, "inflight", "status", "probe_failure", "reason",
		      slot->looping ? "crash loop" : "", "deadline_s",
		      api_json_seconds_until(slot->restart_at, now));

	json_object_set_new(row, "sockets", json_array());
	add_figures(row, NULL);
	return row;
}

void api_json_write_workers(const struct engine *engine, usec_t now, struct buf *out)
{
	const char *comma = "";

	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++) {
		const struct pool *pool = &engine->model->pools[p];
		cleanup_free struct row *rows = NULL;
		size_t n;

		if (pool->state == POOL_FREE)
			continue;
		rows = calloc((size_t)pool->capacity + pool->size + 1, sizeof(*rows));
		n = rows != NULL ? collect_rows(pool, rows) : 0;
		out->cut |= rows == NULL;
		for (size_t i = 0; i < n; i++, comma = ",") {
			buf_add_str(out, comma);
			api_json_write(rows[i].worker != NULL
					   ? row_worker(engine, pool, rows[i].worker, now)
					   : row_waiting(engine, pool, rows[i].slot, now),
				       out);
		}
	}
}
