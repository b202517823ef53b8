/* api_write.c - requests for the API, and what the commands tell with --json. */
#include <string.h>

#include "cli/api.h"
#include "cli/api_internal.h"

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
