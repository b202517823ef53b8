/* api_json_past.c - ends of workers and transactions of the past (docs/api.md, "An incident" and "A
 * record of the history"). */
#include <errno.h>
#include <string.h>

#include "base/parse.h"
#include "engine/api_json_internal.h"
#include "engine/reloads.h"
#include "engine/wishes.h"

/* ---- incidents ---- */

static json_t *lines_of(const char *text)
{
	struct buf lines = {.data = (char *)text, .len = text != NULL ? strlen(text) : 0};

	return api_json_lines(&lines);
}

/* null for -1: it does not apply. */
static json_t *seconds(int64_t usec)
{
	return usec >= 0 ? api_json_seconds((usec_t)usec) : json_null();
}

static json_t *number(int64_t value)
{
	return value >= 0 ? json_integer((json_int_t)value) : json_null();
}

static json_t *signal_name(int sig)
{
	return sig > 0 ? json_string(parse_signal_name(sig)) : json_null();
}

static json_t *thread_object(const struct proc_thread *thread)
{
	const char state[] = {thread->state, '\0'};

	return json_pack("{s:i, s:o, s:s, s:o, s:o, s:o}", "tid", (int)thread->tid, "name",
			 api_json_text(thread->name), "state", state, "wchan",
			 api_json_text(thread->wchan), "syscall", api_json_text(thread->syscall),
			 "stack", lines_of(thread->stack));
}

/* What could not be seen, in a sentence; "" where nothing is missing. */
static void tell_missing(const struct incident *incident, struct buf *out)
{
	const struct proc_look *look = incident->look;

	if (look == NULL) {
		if (incident->look_error != 0)
			buf_printf(out, "not looked at: %s",
				   incident->look_error == -EBUSY
				       ? "too many workers had to be looked at in the same moment"
				       : strerror(-incident->look_error));
		return;
	}
	if (look->syscall_error != 0)
		buf_printf(out, "system calls: %s (needs the right to trace the worker)",
			   strerror(-look->syscall_error));
	if (look->stack_error != 0)
		buf_printf(out, "%skernel stacks: %s (needs CAP_SYS_ADMIN)",
			   out->len > 0 ? "; " : "", strerror(-look->stack_error));
	if (look->total > look->n)
		buf_printf(out, "%s%u more threads", out->len > 0 ? "; " : "",
			   look->total - (unsigned)look->n);
}

static json_t *threads_array(const struct proc_look *look)
{
	json_t *threads = json_array();

	for (size_t i = 0; look != NULL && i < look->n; i++)
		json_array_append_new(threads, thread_object(&look->threads[i]));
	return threads;
}

/* When it was told to go, and what came of it; null where it was not. */
static json_t *drain_object(const struct incident *incident)
{
	if (incident->reason == NULL)
		return json_null();
	return json_pack("{s:s, s:o, s:o, s:o}", "reason", incident->reason, "budget_s",
			 seconds(incident->budget), "took_s", seconds(incident->took), "inflight",
			 number(incident->inflight));
}

static json_t *dump_object(const struct incident *incident)
{
	if (incident->dumped == 0)
		return json_null();
	return json_pack("{s:o, s:o, s:b}", "signal", signal_name(incident->dumped), "lines",
			 lines_of(incident->dump), "cut", (int)incident->dump_cut);
}

static json_t *incident_object(const char *pool, const struct incident *incident)
{
	struct buf missing = {0};
	json_t *object = json_pack(
	    "{s:I, s:o, s:s, s:o, s:o, s:i, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, "
	    "s:o}",
	    "id", (json_int_t)incident->id, "time", api_json_time(incident->ended), "kind",
	    incident_kind_name(incident->kind), "message", api_json_text(incident->message), "pool",
	    api_json_text(pool), "slot", (int)incident->slot, "generation",
	    (int)incident->generation, "pid", api_json_pid((pid_t)incident->pid), "started",
	    api_json_time(incident->started), "up_s", seconds(incident->up), "served_s",
	    seconds(incident->served), "started_for", api_json_text(incident->cause), "executable",
	    api_json_text(incident->executable), "executable_time",
	    api_json_time(incident->executable_mtime), "exit", api_json_text(incident->exit),
	    "exit_code", number(incident->exit_code), "signal", signal_name(incident->exit_signal));

	tell_missing(incident, &missing);
	json_object_set_new(object, "ended_by", api_json_text(incident->by));
	json_object_set_new(object, "status", api_json_text(incident->status));
	json_object_set_new(object, "drain", drain_object(incident));
	json_object_set_new(object, "threads", threads_array(incident->look));
	json_object_set_new(object, "threads_missing", api_json_text(buf_text(&missing)));
	json_object_set_new(object, "lines", lines_of(incident->lines));
	json_object_set_new(object, "lines_elsewhere", api_json_text(incident->elsewhere));
	json_object_set_new(object, "dump", dump_object(incident));
	json_object_set_new(object, "slimmed", json_boolean(incident->slimmed));
	buf_free(&missing);
	return object;
}

static bool is_asked_for(const struct incident *incident, const struct api_why *why)
{
	return (why->slot == CORE_NONE || why->slot == incident->slot) &&
	       (why->pid == 0 || why->pid == incident->pid);
}

/* By number, which is by time, over all pools. */
static const struct incident *next_incident(const struct engine *engine, const struct api_why *why,
					    uint64_t after, const char **ret_pool)
{
	const struct incident *next = NULL;

	for (unsigned p = 0; p < INCIDENTS_POOLS; p++) {
		const struct incidents_pool *pool = engine->incidents.pools[p];

		if (pool == NULL || (why->pool != NULL && strcmp(why->pool, pool->name) != 0))
			continue;
		for (unsigned i = 0; i < pool->n; i++) {
			const struct incident *incident = pool->list[i];

			if (incident->id <= after || !is_asked_for(incident, why) ||
			    (next != NULL && incident->id > next->id))
				continue;
			next = incident;
			*ret_pool = pool->name;
		}
	}
	return next;
}

static uint64_t count_dropped(const struct engine *engine, const struct api_why *why)
{
	uint64_t dropped = 0;

	for (unsigned p = 0; p < INCIDENTS_POOLS; p++)
		if (engine->incidents.pools[p] != NULL &&
		    (why->pool == NULL || strcmp(why->pool, engine->incidents.pools[p]->name) == 0))
			dropped += engine->incidents.pools[p]->dropped;
	return dropped;
}

void api_json_why(const struct engine *engine, const struct api_why *why, struct buf *out)
{
	const struct incident *incident;
	const char *comma = "", *pool;
	uint64_t id = 0;

	buf_printf(out, "{\"since\":");
	api_json_write(api_json_time(engine->started_wall), out);
	buf_printf(out, ",\"dropped\":%llu,\"incidents\":[",
		   (unsigned long long)count_dropped(engine, why));
	while ((incident = next_incident(engine, why, id, &pool)) != NULL) {
		buf_add_str(out, comma);
		api_json_write(incident_object(pool, incident), out);
		comma = ",";
		id = incident->id;
	}
	buf_add_str(out, "]}");
}

/* ---- history ---- */

static json_t *milliseconds(usec_t from, usec_t to)
{
	if (from == 0 || to == 0)
		return json_null();
	return json_integer((json_int_t)(usec_sub(to, from) / USEC_PER_MSEC));
}

static json_t *slowest_object(const struct history_worker *worker)
{
	if (worker->pool[0] == '\0')
		return json_null();
	return json_pack("{s:o, s:i, s:i, s:o, s:I}", "pool", api_json_text(worker->pool), "slot",
			 (int)worker->slot, "generation", (int)worker->generation, "pid",
			 api_json_pid(worker->pid), "ms",
			 (json_int_t)(worker->took / USEC_PER_MSEC));
}

static json_t *queue_object(const struct history_record *record)
{
	if (record->queue_socket[0] == '\0')
		return json_null();
	return json_pack("{s:o, s:i, s:i}", "socket", api_json_text(record->queue_socket),
			 "waiting", (int)record->queue, "limit", (int)record->queue_limit);
}

/* Until the last old worker was gone; null while they drain, or where there were none. */
static json_t *drain_milliseconds(const struct history_record *record)
{
	return record->left == record->leaving ? milliseconds(record->drain_begun, record->drained)
					       : json_null();
}

static const char *record_result(const struct engine *engine, const struct history_record *record)
{
	if (record->ended != 0)
		return api_json_result_name(record->result);
	return engine->model->transaction.state == TRANSACTION_HELD &&
		       engine->undertaking.number == record->number
		   ? "held"
		   : "running";
}

static json_t *record_object(const struct engine *engine, const struct history_record *record)
{
	usec_t until = record->ended != 0 ? record->ended : clock_now();

	return json_pack(
	    "{s:I, s:s, s:o, s:o, s:o, s:o, s:i, s:s, s:o, s:I, s:o, s:o, s:o, s:o, s:i, s:i, s:o, "
	    "s:o, s:o}",
	    "id", (json_int_t)record->number, "kind", record->kind, "asked",
	    api_json_time(record->asked), "by", api_json_text(record->by), "unit",
	    api_json_text(record->unit), "what", api_json_text(record->what), "callers",
	    (int)record->callers, "result", record_result(engine, record), "message",
	    api_json_text(record->message), "waited_ms",
	    (json_int_t)(record->waited / USEC_PER_MSEC), "duration_ms",
	    milliseconds(record->begun, until), "prepare_ms",
	    milliseconds(record->begun, record->prepared), "ready_ms",
	    milliseconds(record->prepared, record->ended), "drain_ms", drain_milliseconds(record),
	    "told_to_go", (int)record->leaving, "draining", (int)(record->leaving - record->left),
	    "slowest_start", slowest_object(&record->slowest_start), "slowest_drain",
	    slowest_object(&record->slowest_drain), "queue_max", queue_object(record));
}

static json_t *queued_array(const struct engine *engine)
{
	json_t *queued = json_array();
	usec_t now = clock_now();

	for (const struct wish *wish = engine->wishes; wish != NULL; wish = wish->next) {
		struct buf what = {0};

		if (wish->running)
			continue;
		reloads_describe(wish, &what);
		json_array_insert_new(
		    queued, 0,
		    json_pack("{s:s, s:o, s:o, s:o}", "kind", wish_kind_name(wish->kind), "by",
			      api_json_text(wish->by), "what", api_json_text(buf_text(&what)),
			      "waits_s", api_json_seconds(usec_sub(now, wish->asked_at))));
		buf_free(&what);
	}
	return queued;
}

void api_json_history(const struct engine *engine, struct buf *out)
{
	const struct history *history = &engine->history;
	json_t *list = json_array();

	for (unsigned i = 0; i < history->n; i++)
		json_array_append_new(list, record_object(engine, history->list[i]));
	api_json_write(json_pack("{s:o, s:I, s:o, s:o}", "since",
				 api_json_time(engine->started_wall), "dropped",
				 (json_int_t)history->dropped, "history", list, "queued",
				 queued_array(engine)),
		       out);
}
