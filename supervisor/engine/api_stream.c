/* api_stream.c - answers that go on: events as they happen, and what workers write. */
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/parse.h"
#include "engine/api_internal.h"

/* ---- events ---- */

struct event_stream {
	struct engine *engine;
	struct conn *conn;
	struct subscriber *subscriber;
};

/* Server-sent events (WHATWG HTML, 9.2): no line of JSON has a newline within. */
static void event_stream_each(void *arg, const char *name, const char *json, size_t len)
{
	cleanup_buf struct buf piece = {0};
	struct event_stream *stream = arg;

	(void)name;
	buf_add_str(&piece, "data: ");
	buf_add(&piece, json, len);
	buf_add_str(&piece, "\n\n");
	conn_send(stream->conn, &piece);
}

static void event_stream_gone(void *arg)
{
	struct event_stream *stream = arg;

	events_unsubscribe(stream->engine, stream->subscriber);
	free(stream);
}

void api_get_events(struct call *call)
{
	static const char *const parameters[] = {NULL};
	struct event_stream *stream;

	if (!api_check_query(call, parameters))
		return;
	if (call->head) {
		conn_reply(call->conn, 200, API_SSE, NULL);
		return;
	}
	if (!api_check_long(call))
		return;
	stream = calloc(1, sizeof(*stream));
	if (stream != NULL)
		stream->subscriber = events_subscribe(call->engine, event_stream_each, stream);
	if (stream == NULL || stream->subscriber == NULL) {
		free(stream);
		api_refuse(call, 503, "no more listeners can be taken");
		return;
	}
	stream->engine = call->engine;
	stream->conn = call->conn;
	conn_stream(call->conn, 200, API_SSE, event_stream_gone, stream);
}

/* ---- logs ---- */

struct log_stream {
	struct engine *engine;
	struct conn *conn;
	struct follower *follower;
	char pool[64]; /* "": all */
	uint32_t slot; /* CORE_NONE: all */
};

static void add_log_line(void *arg, const struct output_line *line)
{
	struct buf *out = arg;

	api_json_log(line, out);
	buf_add_str(out, "\n");
}

static void log_stream_each(void *arg, const struct output_line *line)
{
	cleanup_buf struct buf piece = {0};
	struct log_stream *stream = arg;

	if ((stream->pool[0] != '\0' && strcmp(stream->pool, line->pool) != 0) ||
	    (stream->slot != CORE_NONE && stream->slot != line->slot))
		return;
	add_log_line(&piece, line);
	conn_send(stream->conn, &piece);
}

static void log_stream_gone(void *arg)
{
	struct log_stream *stream = arg;

	outputs_unfollow(stream->engine, stream->follower);
	free(stream);
}

/* False: answered already. */
static bool read_log_query(struct call *call, struct log_stream *ret, bool *ret_follow)
{
	static const char *const parameters[] = {"pool", "slot", "follow", NULL};
	const char *pool = evhttp_find_header(&call->query, "pool");
	const char *slot = evhttp_find_header(&call->query, "slot");
	const char *follow = evhttp_find_header(&call->query, "follow");
	uint64_t number;

	if (!api_check_query(call, parameters))
		return false;
	if (pool != NULL && (strlen(pool) >= sizeof(ret->pool) ||
			     engine_find_pool(call->engine, pool, NULL) == NULL)) {
		api_unknown_pool(call, pool);
		return false;
	}
	snprintf(ret->pool, sizeof(ret->pool), "%s", pool != NULL ? pool : "");
	if (slot != NULL) {
		if (parse_uint(slot, 0, CONFIG_WORKERS_MAX - 1, &number) < 0) {
			api_refuse(call, 400, "'slot' must be the number of a slot, from 0");
			return false;
		}
		ret->slot = (uint32_t)number;
	}
	if (follow != NULL && parse_bool(follow, ret_follow) < 0) {
		api_refuse(call, 400, "'follow' must be 1 or 0");
		return false;
	}
	return true;
}

static void follow_logs(struct call *call, const struct log_stream *query, const struct buf *kept)
{
	struct log_stream *stream;

	if (!api_check_long(call))
		return;
	stream = malloc(sizeof(*stream));
	if (stream != NULL) {
		*stream = *query;
		stream->follower = outputs_follow(call->engine, log_stream_each, stream);
	}
	if (stream == NULL || stream->follower == NULL) {
		free(stream);
		api_refuse(call, 503, "no more listeners can be taken");
		return;
	}
	conn_stream(call->conn, 200, API_LINES, log_stream_gone, stream);
	if (kept->len > 0)
		conn_send_all(call->conn, kept);
}

/* Lines for pools whose workers write straight into the journal: where those are to be found. */
static void add_elsewhere(const struct log_stream *query, struct buf *out)
{
	const struct engine *engine = query->engine;
	char command[OUTPUT_COMMAND_MAX];

	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++) {
		const struct pool_runtime *runtime = &engine->pools[p];

		if (engine->model->pools[p].state == POOL_FREE || runtime->current == NULL ||
		    (query->pool[0] != '\0' && strcmp(query->pool, runtime->name) != 0))
			continue;
		if (output_journal_command(runtime->current->spec, command, sizeof(command))) {
			api_json_log_elsewhere(runtime->name, command, out);
			buf_add_str(out, "\n");
		}
	}
}

void api_get_logs(struct call *call)
{
	struct log_stream query = {.engine = call->engine, .conn = call->conn, .slot = CORE_NONE};
	struct buf kept = {.max = CONTROL_ANSWER_MAX};
	bool follow = false;

	if (!read_log_query(call, &query, &follow))
		return;
	add_elsewhere(&query, &kept);
	outputs_each(call->engine, query.pool[0] != '\0' ? query.pool : NULL, query.slot,
		     add_log_line, &kept);
	if (follow && !call->head)
		follow_logs(call, &query, &kept);
	else
		conn_reply(call->conn, 200, API_LINES, &kept);
	buf_free(&kept);
}
