/* api.c - what answers a request, as plain structs: results, lines of streams, errors. */
#include "cli/api.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

void read_result(const json_t *root, struct api_result *result)
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
