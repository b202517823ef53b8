/* api_past.c - what `why` and `history` are answered, as plain structs. */
#include "cli/api_past.h"

#include <errno.h>
#include <stdlib.h>

#include "cli/api_internal.h"

/* ---- why ---- */

static void read_threads(const json_t *list, struct api_incident *incident)
{
	incident->threads = room(list, sizeof(*incident->threads), &incident->n_threads);
	for (size_t i = 0; i < incident->n_threads; i++) {
		const json_t *item = json_array_get(list, i);
		struct api_thread *thread = &incident->threads[i];

		*thread = (struct api_thread){.name = get_text(item, "name"),
					      .state = get_text(item, "state"),
					      .wchan = get_text(item, "wchan"),
					      .syscall = get_text(item, "syscall"),
					      .tid = get_number(item, "tid", -1)};
		read_texts(json_object_get(item, "stack"), &thread->stack, &thread->n_stack);
	}
}

static void read_incident(const json_t *item, struct api_incident *incident)
{
	const json_t *drain = json_object_get(item, "drain"), *dump = json_object_get(item, "dump");

	*incident = (struct api_incident){
	    .time = get_text(item, "time"),
	    .kind = get_text(item, "kind"),
	    .message = get_text(item, "message"),
	    .pool = get_text(item, "pool"),
	    .started = get_text(item, "started"),
	    .started_for = get_text(item, "started_for"),
	    .executable = get_text(item, "executable"),
	    .executable_time = get_text(item, "executable_time"),
	    .exit = get_text(item, "exit"),
	    .ended_by = get_text(item, "ended_by"),
	    .status = get_text(item, "status"),
	    .drain_reason = get_text(drain, "reason"),
	    .threads_missing = get_text(item, "threads_missing"),
	    .elsewhere = get_text(item, "lines_elsewhere"),
	    .dump_signal = get_text(dump, "signal"),
	    .id = get_number(item, "id", -1),
	    .slot = get_number(item, "slot", -1),
	    .generation = get_number(item, "generation", -1),
	    .pid = get_number(item, "pid", -1),
	    .inflight = get_number(drain, "inflight", -1),
	    .up_s = get_real(item, "up_s", -1),
	    .served_s = get_real(item, "served_s", -1),
	    .budget_s = get_real(drain, "budget_s", -1),
	    .took_s = get_real(drain, "took_s", -1),
	    .dump_cut = get_bool(dump, "cut"),
	    .slimmed = get_bool(item, "slimmed"),
	};
	read_texts(json_object_get(item, "lines"), &incident->lines, &incident->n_lines);
	read_texts(json_object_get(dump, "lines"), &incident->dump, &incident->n_dump);
	read_threads(json_object_get(item, "threads"), incident);
}

int api_read_why(const char *text, size_t len, struct api_why *ret)
{
	const json_t *list;
	json_t *root = NULL;
	int r = load(text, len, &root);

	if (r < 0)
		return r;
	list = json_object_get(root, "incidents");
	*ret = (struct api_why){.since = get_text(root, "since"),
				.dropped = get_number(root, "dropped", 0),
				.root = root};
	ret->list = room(list, sizeof(*ret->list), &ret->n);
	for (size_t i = 0; i < ret->n; i++)
		read_incident(json_array_get(list, i), &ret->list[i]);
	return 0;
}

static void incident_free(struct api_incident *incident)
{
	for (size_t i = 0; i < incident->n_threads; i++)
		free(incident->threads[i].stack);
	free(incident->threads);
	free(incident->lines);
	free(incident->dump);
}

void api_why_free(struct api_why *why)
{
	for (size_t i = 0; i < why->n; i++)
		incident_free(&why->list[i]);
	free(why->list);
	json_decref(why->root);
	*why = (struct api_why){.root = NULL};
}

/* ---- history ---- */

static struct api_slowest read_slowest(const json_t *item)
{
	return (struct api_slowest){.pool = get_text(item, "pool"),
				    .slot = get_number(item, "slot", -1),
				    .ms = get_number(item, "ms", -1)};
}

static void read_record(const json_t *item, struct api_record *record)
{
	const json_t *queue = json_object_get(item, "queue_max");

	*record = (struct api_record){
	    .kind = get_text(item, "kind"),
	    .asked = get_text(item, "asked"),
	    .by = get_text(item, "by"),
	    .unit = get_text(item, "unit"),
	    .what = get_text(item, "what"),
	    .result = get_text(item, "result"),
	    .message = get_text(item, "message"),
	    .id = get_number(item, "id", -1),
	    .callers = get_number(item, "callers", 0),
	    .waited_ms = get_number(item, "waited_ms", -1),
	    .duration_ms = get_number(item, "duration_ms", -1),
	    .prepare_ms = get_number(item, "prepare_ms", -1),
	    .ready_ms = get_number(item, "ready_ms", -1),
	    .drain_ms = get_number(item, "drain_ms", -1),
	    .draining = get_number(item, "draining", 0),
	    .start = read_slowest(json_object_get(item, "slowest_start")),
	    .drain = read_slowest(json_object_get(item, "slowest_drain")),
	    .queue_socket = get_text(queue, "socket"),
	    .queue = get_number(queue, "waiting", -1),
	    .queue_limit = get_number(queue, "limit", -1),
	};
}

static void read_queued(const json_t *list, struct api_history *history)
{
	history->queued = room(list, sizeof(*history->queued), &history->n_queued);
	for (size_t i = 0; i < history->n_queued; i++) {
		const json_t *item = json_array_get(list, i);

		history->queued[i] = (struct api_queued){.kind = get_text(item, "kind"),
							 .by = get_text(item, "by"),
							 .what = get_text(item, "what"),
							 .waits_s = get_real(item, "waits_s", -1)};
	}
}

int api_read_history(const char *text, size_t len, struct api_history *ret)
{
	const json_t *list;
	json_t *root = NULL;
	int r = load(text, len, &root);

	if (r < 0)
		return r;
	list = json_object_get(root, "history");
	*ret = (struct api_history){.since = get_text(root, "since"),
				    .dropped = get_number(root, "dropped", 0),
				    .root = root};
	ret->list = room(list, sizeof(*ret->list), &ret->n);
	for (size_t i = 0; i < ret->n; i++)
		read_record(json_array_get(list, i), &ret->list[i]);
	read_queued(json_object_get(root, "queued"), ret);
	return 0;
}

void api_history_free(struct api_history *history)
{
	free(history->list);
	free(history->queued);
	json_decref(history->root);
	*history = (struct api_history){.root = NULL};
}
