/* api_json.c - values, events, lines and results as JSON. */
#include <string.h>

#include "base/parse.h"
#include "engine/api_json_internal.h"
#include "engine/wishes.h"

/* ---- small values ---- */

/* Paths and workers' output may be no UTF-8, which JSON must be: what is not becomes U+FFFD. */
json_t *api_json_clean(const char *text, size_t len)
{
	cleanup_buf struct buf clean = {.max = 3 * len + 1};
	json_t *value = json_stringn(text, len);
	size_t n;

	if (value != NULL)
		return value;
	for (size_t i = 0; i < len; i += n) {
		n = parse_utf8(text + i, len - i);
		if (n > 0)
			buf_add(&clean, text + i, n);
		else
			buf_add_str(&clean, "\xef\xbf\xbd");
		n += n == 0;
	}
	return json_stringn(buf_text(&clean), clean.len);
}

json_t *api_json_text(const char *text)
{
	return text != NULL ? api_json_clean(text, strlen(text)) : json_null();
}

/* RFC 3339, UTC, milliseconds. */
json_t *api_json_time(usec_t wall)
{
	time_t seconds = (time_t)(wall / USEC_PER_SEC);
	char date[32], text[48];
	struct tm tm;

	if (wall == 0 || gmtime_r(&seconds, &tm) == NULL)
		return json_null();
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text, sizeof(text), "%s.%03uZ", date, (unsigned)(wall % USEC_PER_SEC / 1000));
	return json_string(text);
}

/* Whole milliseconds are exact enough for people, and short. */
json_t *api_json_seconds(usec_t usec)
{
	usec_t msec = usec / USEC_PER_MSEC;

	return json_real((double)msec / 1000.0);
}

json_t *api_json_seconds_until(usec_t deadline, usec_t now)
{
	return deadline == USEC_INFINITY ? json_null() : api_json_seconds(usec_sub(deadline, now));
}

json_t *api_json_pid(pid_t pid)
{
	return pid > 0 ? json_integer(pid) : json_null();
}

/* Lines of text as an array of strings. */
json_t *api_json_lines(const struct buf *lines)
{
	const char *at = buf_text(lines), *end = at + lines->len, *newline;
	json_t *array = json_array();

	while (at < end) {
		newline = memchr(at, '\n', (size_t)(end - at));
		if (newline == NULL)
			newline = end;
		json_array_append_new(array, api_json_clean(at, (size_t)(newline - at)));
		at = newline + 1;
	}
	return array;
}

static int add_chunk(const char *data, size_t len, void *arg)
{
	struct buf *out = arg;

	buf_add(out, data, len);
	return out->cut ? -1 : 0;
}

/* Appends the value, which is given away. */
void api_json_write(json_t *value, struct buf *out)
{
	size_t flags = JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15);

	if (value == NULL || json_dump_callback(value, add_chunk, out, flags) != 0)
		out->cut = 1;
	json_decref(value);
}

/* ---- events, lines, small answers ---- */

void api_json_error(const char *sentence, struct buf *out)
{
	api_json_write(json_pack("{s:o}", "error", api_json_text(sentence)), out);
}

void api_json_set_text(json_t *object, const char *name, const char *text)
{
	if (text != NULL)
		json_object_set_new(object, name, api_json_text(text));
}

void api_json_set_number(json_t *object, const char *name, long long number)
{
	if (number >= 0)
		json_object_set_new(object, name, json_integer(number));
}

void api_json_event(const struct happening *happening, usec_t wall, const char *sentence,
		    struct buf *out)
{
	json_t *event = json_object();

	json_object_set_new(event, "time", api_json_time(wall));
	api_json_set_text(event, "event", happening->event);
	api_json_set_text(event, "pool", happening->pool);
	api_json_set_number(event, "slot", happening->slot);
	api_json_set_number(event, "generation", happening->generation);
	api_json_set_number(event, "pid", happening->pid);
	api_json_set_text(event, "reason", happening->reason);
	api_json_set_text(event, "exit", happening->exit);
	api_json_set_number(event, "deadline_ms", happening->deadline_ms);
	api_json_set_number(event, "after_ms", happening->after_ms);
	api_json_set_number(event, "id", happening->id > 0 ? (long long)happening->id : -1);
	api_json_set_text(event, "kind", happening->kind);
	api_json_set_text(event, "by", happening->by);
	api_json_set_text(event, "level", events_level_name(happening->level));
	api_json_set_text(event, "message", sentence);
	api_json_write(event, out);
}

void api_json_log(const struct output_line *line, struct buf *out)
{
	api_json_write(json_pack("{s:o, s:o, s:i, s:i, s:o, s:o, s:b}", "time",
				 api_json_time(line->wall), "pool", api_json_text(line->pool),
				 "slot", (int)line->slot, "generation", (int)line->generation,
				 "pid", api_json_pid(line->pid), "line",
				 api_json_clean(line->text, line->len), "gone", (int)line->gone),
		       out);
}

void api_json_log_elsewhere(const char *pool, const char *command, struct buf *out)
{
	api_json_write(
	    json_pack("{s:o, s:o}", "pool", api_json_text(pool), "journal", api_json_text(command)),
	    out);
}

void api_json_signalled(const pid_t *pids, size_t n, struct buf *out)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, json_integer(pids[i]));
	api_json_write(json_pack("{s:o}", "signalled", array), out);
}

void api_json_out_of_service(bool on, struct buf *out)
{
	api_json_write(json_pack("{s:b}", "out_of_service", (int)on), out);
}

void api_json_stopping(const struct engine *engine, struct buf *out)
{
	api_json_write(json_pack("{s:s, s:o}", "state", engine_state_name(engine), "instance",
				 api_json_text(engine->name)),
		       out);
}

/* ---- results ---- */

const char *api_json_result_name(enum result result)
{
	switch (result) {
	case RESULT_COMMITTED:
	case RESULT_DRAINED:
		return "committed";
	case RESULT_FAILED:
		return "failed";
	case RESULT_ABORTED:
		return "aborted";
	case RESULT_HELD:
		return "held";
	case RESULT_STOPPING:
	case RESULT_BUSY:
	case RESULT_REFUSED:
	case RESULT_NOT_HELD:
		return "refused";
	}
	return "failed";
}

json_t *api_json_problems(const struct config_problems *problems)
{
	json_t *array = json_array();

	for (size_t i = 0; i < problems->n; i++) {
		const struct config_problem *problem = &problems->list[i];

		json_array_append_new(
		    array, json_pack("{s:o, s:i, s:b, s:o}", "file", api_json_text(problem->file),
				     "line", (int)problem->line, "warning", (int)problem->warning,
				     "text", api_json_text(problem->text)));
	}
	return array;
}

json_t *api_json_result_object(const struct outcome *outcome)
{
	json_t *result = json_object();

	api_json_set_text(result, "result", api_json_result_name(outcome->result));
	api_json_set_number(result, "id", (long long)outcome->id);
	api_json_set_text(result, "kind", wish_kind_name(outcome->kind));
	json_object_set_new(result, "by", api_json_text(outcome->by));
	api_json_set_number(result, "duration_ms", (long long)(outcome->duration / USEC_PER_MSEC));
	json_object_set_new(result, "finished", api_json_time(outcome->finished_wall));
	json_object_set_new(result, "message", api_json_text(outcome->message));
	json_object_set_new(result, "remarks", api_json_lines(&outcome->remarks));
	json_object_set_new(result, "problems", api_json_problems(&outcome->problems));
	json_object_set_new(result, "lines", api_json_lines(&outcome->lines));
	if (outcome->culprit_pool != NULL)
		json_object_set_new(result, "worker",
				    json_pack("{s:o, s:i, s:i, s:o}", "pool",
					      api_json_text(outcome->culprit_pool), "slot",
					      (int)outcome->culprit_slot, "generation",
					      (int)outcome->culprit_generation, "pid",
					      api_json_pid(outcome->culprit_pid)));
	return result;
}

void api_json_result(const struct outcome *outcome, bool progress, struct buf *out)
{
	json_t *result = api_json_result_object(outcome);

	if (progress)
		api_json_set_text(result, "event", "result");
	api_json_write(result, out);
}
