/* api.c - the API's objects as plain structs. */
#include "cli/api.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "cli/api_internal.h"

/* ---- results ---- */

struct api_problem *read_problems(const json_t *list, size_t *ret_n)
{
	struct api_problem *problems = room(list, sizeof(*problems), ret_n);

	for (size_t i = 0; i < *ret_n; i++) {
		const json_t *problem = json_array_get(list, i);

		problems[i] = (struct api_problem){.file = get_text(problem, "file"),
						   .text = get_text(problem, "text"),
						   .line = get_number(problem, "line", 0),
						   .warning = get_bool(problem, "warning")};
	}
	return problems;
}

static void read_result(const json_t *root, struct api_result *result)
{
	const json_t *worker = json_object_get(root, "worker");

	*result = (struct api_result){.result = get_text(root, "result"),
				      .by = get_text(root, "by"),
				      .message = get_text(root, "message"),
				      .finished = get_text(root, "finished")};
	read_texts(json_object_get(root, "remarks"), &result->remarks, &result->n_remarks);
	read_texts(json_object_get(root, "lines"), &result->lines, &result->n_lines);
	result->problems = read_problems(json_object_get(root, "problems"), &result->n_problems);
	if (json_is_object(worker)) {
		result->worker_pool = get_text(worker, "pool");
		result->worker_slot = get_number(worker, "slot", -1);
		result->worker_generation = get_number(worker, "generation", -1);
		result->worker_pid = get_number(worker, "pid", -1);
	}
}

int api_read_result(const char *text, size_t len, struct api_result *ret)
{
	json_t *root = NULL;
	int r = load(text, len, &root);

	if (r < 0)
		return r;
	if (!json_is_string(json_object_get(root, "result"))) {
		json_decref(root);
		return -EBADMSG;
	}
	read_result(root, ret);
	ret->root = root;
	return 0;
}

void api_result_free(struct api_result *result)
{
	free(result->remarks);
	free(result->lines);
	free(result->problems);
	json_decref(result->root);
	*result = (struct api_result){.root = NULL};
}

/* ---- the status ---- */

static void read_instances(const json_t *list, struct api_socket *socket)
{
	socket->instances = room(list, sizeof(*socket->instances), &socket->n_instances);
	for (size_t i = 0; i < socket->n_instances; i++) {
		const json_t *item = json_array_get(list, i);

		socket->instances[i] = (struct api_instance){.name = get_text(item, "instance"),
							     .pid = get_number(item, "pid", -1)};
	}
}

static void read_sockets(const json_t *list, struct api_status *status)
{
	status->sockets = room(list, sizeof(*status->sockets), &status->n_sockets);
	for (size_t i = 0; i < status->n_sockets; i++) {
		const json_t *item = json_array_get(list, i);

		status->sockets[i] =
		    (struct api_socket){.name = get_text(item, "name"),
					.address = get_text(item, "address"),
					.slot = get_number(item, "slot", -1),
					.queue = get_number(item, "queue", -1),
					.queue_limit = get_number(item, "queue_limit", -1),
					.mended = get_number(item, "mended", 0),
					.kind = get_text(item, "kind"),
					.source = get_text(item, "source"),
					.inode = get_number(item, "inode", 0),
					.given = get_number(item, "given", 0)};
		read_instances(json_object_get(item, "instances"), &status->sockets[i]);
	}
}

static void read_stored(const json_t *list, struct api_status *status)
{
	status->stored = room(list, sizeof(*status->stored), &status->n_stored);
	for (size_t i = 0; i < status->n_stored; i++) {
		const json_t *item = json_array_get(list, i);

		status->stored[i] = (struct api_stored){.pool = get_text(item, "pool"),
							.name = get_text(item, "name"),
							.kind = get_text(item, "kind"),
							.slot = get_number(item, "slot", -1),
							.count = get_number(item, "count", 0)};
	}
}

static void read_versions(const json_t *item, struct api_pool *pool)
{
	const json_t *version = json_object_get(item, "version");
	const json_t *failed = json_object_get(item, "failed"), *last = NULL;

	pool->on_disk = get_text(version, "on_disk");
	pool->not_held = get_text(version, "not_held");
	pool->n_previous = json_array_size(json_object_get(item, "previous"));
	pool->n_failed = json_array_size(failed);
	for (size_t i = 0; i < pool->n_failed; i++) {
		const json_t *one = json_array_get(failed, i);

		if (last == NULL || strcmp(get_text(one, "time"), get_text(last, "time")) > 0)
			last = one;
	}
	pool->failed = get_text(last, "version");
	pool->failed_reason = get_text(last, "reason");
	pool->failed_time = get_text(last, "time");
}

static void read_pools(const json_t *list, struct api_status *status)
{
	status->pools = room(list, sizeof(*status->pools), &status->n_pools);
	for (size_t i = 0; i < status->n_pools; i++) {
		const json_t *item = json_array_get(list, i);

		status->pools[i] =
		    (struct api_pool){.name = get_text(item, "name"),
				      .state = get_text(item, "state"),
				      .reason = get_text(item, "reason"),
				      .generation = get_number(item, "generation", -1),
				      .workers = get_number(item, "workers", 0),
				      .configured = get_number(item, "configured", -1),
				      .serving = get_number(item, "serving", 0),
				      .starting = get_number(item, "starting", 0),
				      .draining = get_number(item, "draining", 0),
				      .restarts = get_number(item, "restarts", 0),
				      .degraded = get_bool(item, "degraded"),
				      .ready = get_bool(item, "ready")};
		read_versions(item, &status->pools[i]);
	}
}

static void read_workers(const json_t *list, struct api_status *status)
{
	status->workers = room(list, sizeof(*status->workers), &status->n_workers);
	for (size_t i = 0; i < status->n_workers; i++) {
		const json_t *item = json_array_get(list, i);

		status->workers[i] =
		    (struct api_worker){.pool = get_text(item, "pool"),
					.state = get_text(item, "state"),
					.status = get_text(item, "status"),
					.probe_failure = get_text(item, "probe_failure"),
					.reason = get_text(item, "reason"),
					.slot = get_number(item, "slot", -1),
					.generation = get_number(item, "generation", -1),
					.pid = get_number(item, "pid", -1),
					.restarts = get_number(item, "restarts", 0),
					.inflight = get_number(item, "inflight", -1),
					.memory_bytes = get_number(item, "memory_bytes", -1),
					.since_s = get_real(item, "since_s", -1),
					.deadline_s = get_real(item, "deadline_s", -1),
					.cpu_s = get_real(item, "cpu_s", -1)};
	}
}

static void read_cgroups(const json_t *cgroups, struct api_status *status)
{
	const json_t *controllers = json_object_get(cgroups, "controllers");

	status->cgroups_path = get_text(cgroups, "path");
	status->cgroups_missing = get_text(cgroups, "missing");
	for (size_t i = 0; i < json_array_size(controllers); i++) {
		const char *name = json_string_value(json_array_get(controllers, i));

		status->measures_memory |= name != NULL && strcmp(name, "memory") == 0;
	}
}

static void read_reload(const json_t *reload, struct api_status *status)
{
	const json_t *list = json_object_get(reload, "pools");

	status->reloading = json_is_object(reload);
	status->reload_kind = get_text(reload, "kind");
	status->reload_by = get_text(reload, "by");
	status->reload_state = get_text(reload, "state");
	status->reload_id = get_number(reload, "id", -1);
	status->reload_elapsed_s = get_real(reload, "elapsed_s", 0);
	status->reload_held_s = get_real(reload, "held_s", -1);
	status->reload_held_until = get_text(reload, "held_until");
	status->reload_pools = room(list, sizeof(*status->reload_pools), &status->n_reload_pools);
	for (size_t i = 0; i < status->n_reload_pools; i++) {
		const json_t *item = json_array_get(list, i);

		status->reload_pools[i] =
		    (struct api_reload_pool){.name = get_text(item, "name"),
					     .state = get_text(item, "state"),
					     .generation = get_number(item, "generation", -1),
					     .ready = get_number(item, "ready", 0),
					     .total = get_number(item, "total", 0)};
	}
}

int api_read_status(const char *text, size_t len, struct api_status *ret)
{
	struct api_status status = {.root = NULL};
	const json_t *last;
	json_t *root = NULL;
	int r = load(text, len, &root);

	if (r < 0)
		return r;
	status.root = root;
	status.instance = get_text(root, "instance");
	status.version = get_text(root, "version");
	status.state = get_text(root, "state");
	status.since = get_text(root, "since");
	status.config = get_text(root, "config");
	status.reason = get_text(root, "reason");
	status.pid = get_number(root, "pid", -1);
	status.queued = get_number(root, "queued", 0);
	status.uptime_s = get_real(root, "uptime_s", -1);
	status.ready = get_bool(root, "ready");
	status.degraded = get_bool(root, "degraded");
	status.out_of_service = get_bool(root, "out_of_service");
	read_cgroups(json_object_get(root, "cgroups"), &status);
	read_sockets(json_object_get(root, "sockets"), &status);
	read_stored(json_object_get(root, "stored"), &status);
	read_pools(json_object_get(root, "pools"), &status);
	read_workers(json_object_get(root, "workers"), &status);
	read_reload(json_object_get(root, "reload"), &status);
	last = json_object_get(root, "last_reload");
	if (json_is_object(last)) {
		status.last_reload = calloc(1, sizeof(*status.last_reload));
		if (status.last_reload != NULL)
			read_result(last, status.last_reload);
	}
	*ret = status;
	return 0;
}

void api_status_free(struct api_status *status)
{
	for (size_t i = 0; i < status->n_sockets; i++) {
		free(status->sockets[i].instances);
		free(status->sockets[i].holders);
	}
	free(status->sockets);
	free(status->stored);
	free(status->pools);
	free(status->workers);
	free(status->reload_pools);
	if (status->last_reload != NULL)
		api_result_free(status->last_reload);
	free(status->last_reload);
	json_decref(status->root);
	*status = (struct api_status){.root = NULL};
}

/* ---- lines of streams ---- */

int api_read_event(const char *text, size_t len, struct api_event *ret)
{
	json_t *root = NULL;
	int r = load(text, len, &root);

	if (r < 0)
		return r;
	*ret = (struct api_event){.time = get_text(root, "time"),
				  .event = get_text(root, "event"),
				  .level = get_text(root, "level"),
				  .message = get_text(root, "message"),
				  .id = get_number(root, "id", -1),
				  .root = root};
	return 0;
}

void api_event_free(struct api_event *event)
{
	json_decref(event->root);
	*event = (struct api_event){.root = NULL};
}

bool api_is_result(const struct api_event *event)
{
	return strcmp(event->event, "result") == 0;
}

int api_read_log(const char *text, size_t len, struct api_log *ret)
{
	const json_t *line;
	json_t *root = NULL;
	int r = load(text, len, &root);

	if (r < 0)
		return r;
	line = json_object_get(root, "line");
	*ret = (struct api_log){.time = get_text(root, "time"),
				.pool = get_text(root, "pool"),
				.line = get_text(root, "line"),
				.journal = get_text(root, "journal"),
				.line_len = json_string_length(line),
				.slot = get_number(root, "slot", -1),
				.generation = get_number(root, "generation", -1),
				.pid = get_number(root, "pid", -1),
				.gone = get_bool(root, "gone"),
				.root = root};
	return 0;
}

void api_log_free(struct api_log *log)
{
	json_decref(log->root);
	*log = (struct api_log){.root = NULL};
}

bool api_read_error(const char *text, size_t len, struct buf *out)
{
	json_t *root = NULL;
	const char *error;

	if (text == NULL || load(text, len, &root) < 0)
		return false;
	error = json_string_value(json_object_get(root, "error"));
	if (error != NULL)
		buf_add_str(out, error);
	json_decref(root);
	return error != NULL;
}

int api_read_signalled(const char *text, size_t len, long **ret_pids, size_t *ret_n)
{
	json_t *root = NULL;
	const json_t *list;
	long *pids;
	size_t n = 0;
	int r = load(text, len, &root);

	if (r < 0)
		return r;
	list = json_object_get(root, "signalled");
	pids = room(list, sizeof(*pids), &n);
	for (size_t i = 0; i < n; i++)
		pids[i] = (long)json_integer_value(json_array_get(list, i));
	json_decref(root);
	if (pids == NULL)
		return -ENOMEM;
	*ret_pids = pids;
	*ret_n = n;
	return 0;
}

/* ---- writing ---- */

char *api_write_ask(const struct api_ask *ask)
{
	json_t *body = json_object();
	char *text;

	if (ask->pool != NULL)
		json_object_set_new(body, "pool", json_string(ask->pool));
	if (ask->wait != NULL)
		json_object_set_new(body, "wait", json_string(ask->wait));
	if (ask->signal != NULL)
		json_object_set_new(body, "signal", json_string(ask->signal));
	if (ask->slot >= 0)
		json_object_set_new(body, "slot", json_integer(ask->slot));
	if (ask->workers >= 0)
		json_object_set_new(body, "workers", json_integer(ask->workers));
	if (ask->on >= 0)
		json_object_set_new(body, "on", json_boolean(ask->on));
	if (ask->changed)
		json_object_set_new(body, "changed", json_true());
	if (ask->now)
		json_object_set_new(body, "now", json_true());
	if (ask->abort_on_disconnect)
		json_object_set_new(body, "abort_on_disconnect", json_true());
	if (ask->progress)
		json_object_set_new(body, "progress", json_true());
	text = json_dumps(body, JSON_COMPACT);
	json_decref(body);
	return text;
}

/* jansson escapes all that terminals may not see but DEL, which is only found within strings. */
static int add_chunk(const char *data, size_t len, void *arg)
{
	const char *del;

	while ((del = memchr(data, 0x7f, len)) != NULL) {
		buf_add(arg, data, (size_t)(del - data));
		buf_add_str(arg, "\\u007f");
		len -= (size_t)(del + 1 - data);
		data = del + 1;
	}
	buf_add(arg, data, len);
	return 0;
}

int api_copy_json(const char *text, size_t len, bool indent, bool ascii, struct buf *out)
{
	size_t flags = JSON_REAL_PRECISION(15) | (indent ? JSON_INDENT(2) : JSON_COMPACT) |
		       (ascii ? JSON_ENSURE_ASCII : 0);
	json_t *root = NULL;
	int r = load(text, len, &root);

	if (r < 0)
		return r;
	json_dump_callback(root, add_chunk, out, flags);
	buf_add_str(out, "\n");
	json_decref(root);
	return 0;
}

void api_write_stopped(const char *instance, long pid, long duration_ms, struct buf *out)
{
	json_t *result =
	    json_pack("{s:s, s:s, s:I, s:I}", "result", "stopped", "instance", instance, "pid",
		      (json_int_t)pid, "duration_ms", (json_int_t)duration_ms);

	json_dump_callback(result, add_chunk, out, JSON_COMPACT | JSON_ENSURE_ASCII);
	buf_add_str(out, "\n");
	json_decref(result);
}

static json_t *holder_object(const struct api_holder *holder)
{
	json_t *object =
	    json_pack("{s:I, s:I, s:s, s:s}", "pid", (json_int_t)holder->pid, "uid",
		      (json_int_t)holder->uid, "name", holder->name, "role", holder->role);

	if (object == NULL) /* a name that is no UTF-8 */
		object = json_pack("{s:I, s:I, s:s, s:s}", "pid", (json_int_t)holder->pid, "uid",
				   (json_int_t)holder->uid, "name", "?", "role", holder->role);
	if (holder->pool != NULL)
		json_object_set_new(object, "pool", json_string(holder->pool));
	if (holder->instance != NULL)
		json_object_set_new(object, "instance", json_string(holder->instance));
	return object;
}

void api_write_sockets(const struct api_status *status, struct buf *out)
{
	json_t *array = json_array();

	for (size_t i = 0; i < status->n_sockets; i++) {
		const struct api_socket *socket = &status->sockets[i];
		json_t *item =
		    json_deep_copy(json_array_get(json_object_get(status->root, "sockets"), i));
		json_t *processes = json_array();

		for (size_t n = 0; n < socket->n_holders; n++)
			json_array_append_new(processes, holder_object(&socket->holders[n]));
		json_object_set_new(item, "processes", processes);
		json_array_append_new(array, item);
	}
	json_dump_callback(array, add_chunk, out, JSON_COMPACT | JSON_ENSURE_ASCII);
	buf_add_str(out, "\n");
	json_decref(array);
}

char *api_write_take(const char *const *names, size_t n, const char *purpose, const char *who)
{
	json_t *list = json_array(), *ask;
	char *text;

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_string(names[i]));
	ask = json_pack("{s:i, s:s, s:o, s:s}", "version", 1, "kind", "take", "names", list, "for",
			purpose);
	json_object_set_new(ask, "who", json_string(who)); /* left out if it is no UTF-8 */
	text = json_dumps(ask, JSON_COMPACT);
	json_decref(ask);
	return text;
}

void api_write_found(const struct api_found *list, size_t n, struct buf *out)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(
		    array,
		    json_pack("{s:s, s:s, s:I, s:s?, s:s?, s:s?}", "instance", list[i].name,
			      "socket", list[i].socket, "pid", (json_int_t)list[i].pid, "config",
			      list[i].config, "state", list[i].state, "problem", list[i].problem));
	json_dump_callback(array, add_chunk, out, JSON_COMPACT | JSON_ENSURE_ASCII);
	buf_add_str(out, "\n");
	json_decref(array);
}
