/* What is asked of the service, and whether its answer is right. */
#include "rpc-load-answer.h"

#include <errno.h>
#include <event2/buffer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rpc-load-conn.h"
#include "rpc-load-util.h"

const char *question_method(const struct question *question)
{
	switch (question->kind) {
	case QUESTION_ADD:
		return "add";
	case QUESTION_WORK:
		return "work";
	case QUESTION_HANG:
		return "hang";
	case QUESTION_CALL:
		return question->method;
	}
	return "?";
}

/* The numbers to add follow from the id, so that nothing has to be remembered. */
static json_int_t question_a(const struct question *question)
{
	return (json_int_t)((question->id * UINT64_C(0x9e3779b97f4a7c15)) >> 32);
}

static json_int_t question_b(const struct question *question)
{
	return (json_int_t)(question->id * 7919) - 1000000;
}

static json_t *question_json(const struct question *question)
{
	json_t *params = question->params;

	if (question->kind == QUESTION_ADD || question->kind == QUESTION_WORK)
		params =
		    json_pack("{s:I, s:I}", "a", question_a(question), "b", question_b(question));
	else
		json_incref(params);
	if (question->kind == QUESTION_WORK)
		json_object_set_new(params, "ms", json_integer((json_int_t)question->ms));
	return json_pack("{s:s, s:I, s:s, s:o*}", "jsonrpc", "2.0", "id", (json_int_t)question->id,
			 "method", question_method(question), "params", params);
}

int question_write(const struct question *question, const char *host, bool expect_pid,
		   struct evbuffer *out)
{
	json_t *json = question_json(question);
	char *body = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;
	int r = -ENOMEM;

	if (body != NULL &&
	    evbuffer_add_printf(out,
				"POST / HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
				"Content-Length: %zu\r\n%s\r\n%s",
				host, strlen(body), expect_pid ? "Expect-Pid: yes\r\n" : "",
				body) > 0)
		r = 0;
	free(body);
	json_decref(json);
	return r;
}

/* The marks that a worker puts on every result. */
static bool result_read_marks(const json_t *result, struct answer *ret)
{
	json_int_t pid, slot, generation;
	const char *version;

	if (json_unpack((json_t *)result, "{s:I, s:I, s:I, s:s}", "pid", &pid, "slot", &slot,
			"generation", &generation, "version", &version) != 0)
		return false;
	if (pid < 1 || pid > INT32_MAX || generation < 0 || generation > UINT32_MAX || slot < 0)
		return false;
	ret->pid = (pid_t)pid;
	ret->generation = (unsigned)generation;
	return true;
}

static const char *result_check(const struct question *question, const struct conn *conn,
				const json_t *result, struct answer *ret)
{
	json_int_t sum;
	bool marked = result_read_marks(result, ret);

	if (question->kind == QUESTION_CALL)
		return NULL; /* any result will do: whoever called it looks at it */
	if (!marked)
		return "malformed result";
	if (conn->pid != 0 && conn->pid != ret->pid)
		return "answered by another process than it had said";
	if (json_unpack((json_t *)result, "{s:I}", "sum", &sum) != 0)
		return "no sum in the result";
	if (sum != question_a(question) + question_b(question))
		return "wrong sum";
	return NULL;
}

static const char *error_check(const json_t *error, char *why, size_t why_size)
{
	json_int_t code;
	const char *message;

	if (json_unpack((json_t *)error, "{s:I, s:s}", "code", &code, "message", &message) != 0)
		return "neither a result nor an error in the answer";
	snprintf(why, why_size, "error %lld: %s", (long long)code, message);
	return why;
}

static const char *answer_check_json(const struct question *question, const struct conn *conn,
				     const json_t *json, struct answer *ret, char *why,
				     size_t why_size)
{
	const char *version = json_string_value(json_object_get(json, "jsonrpc"));
	const json_t *id = json_object_get(json, "id");
	json_t *result = json_object_get(json, "result");

	if (json == NULL || version == NULL || strcmp(version, "2.0") != 0)
		return "the answer is not JSON-RPC 2.0";
	if (!json_is_integer(id) || (uint64_t)json_integer_value(id) != question->id)
		return "the answer is to another request";
	if (result == NULL)
		return error_check(json_object_get(json, "error"), why, why_size);
	ret->result = json_incref(result);
	return result_check(question, conn, result, ret);
}

const char *answer_check(const struct question *question, const struct conn *conn,
			 struct answer *ret, char *why, size_t why_size)
{
	const struct http_response *response = &conn->response;
	const char *wrong;
	json_t *json;

	*ret = (struct answer){.pid = conn->pid};
	if (response->status != 200) {
		snprintf(why, why_size, "HTTP status %d", response->status);
		return why;
	}
	json = response->length > 0
		   ? json_loadb(conn->body, response->length, JSON_REJECT_DUPLICATES, NULL)
		   : NULL;
	wrong = answer_check_json(question, conn, json, ret, why, why_size);
	json_decref(json);
	return wrong;
}
