/* JSON-RPC 2.0 and the methods of this worker. */
#include "rpc-worker-methods.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/http.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "rpc-worker-options.h"
#include "rpc-worker-server.h"
#include "rpc-worker-util.h"

#define WAIT_MAX_MS 600000

enum rpc_error {
	RPC_PARSE_ERROR = -32700,
	RPC_INVALID_REQUEST = -32600,
	RPC_NO_SUCH_METHOD = -32601,
	RPC_INVALID_PARAMS = -32602,
	RPC_INTERNAL_ERROR = -32603,
};

struct method {
	const char *name;
	void (*run)(struct methods *methods, struct call *call, json_t *params);
};

/* A notification (no id) is carried out, and answered by HTTP alone. */
static void answer(struct call *call, const char *key, json_t *value)
{
	if (call->id == NULL) {
		json_decref(value);
		call_reply(call, HTTP_NOCONTENT, NULL);
		return;
	}
	call_reply(call, HTTP_OK,
		   json_pack("{s:s, s:O, s:o}", "jsonrpc", "2.0", "id", call->id, key, value));
}

static void answer_error(struct call *call, enum rpc_error code, const char *message)
{
	answer(call, "error", json_pack("{s:i, s:s}", "code", (int)code, "message", message));
}

/* A result with the marks of this worker on it, so that a client can tell who answered. */
static json_t *result_new(const struct methods *methods)
{
	const struct identity *id = methods->identity;

	return json_pack("{s:i, s:i, s:i, s:s}", "pid", (int)id->pid, "slot", (int)id->slot,
			 "generation", (int)id->generation, "version", id->version);
}

/* Returns the sum of params a and b as a new result, or NULL after answering with an error. */
static json_t *result_sum(struct methods *methods, struct call *call, json_t *params)
{
	json_int_t a, b, sum;
	json_t *result;

	if (json_unpack(params, "{s:I, s:I}", "a", &a, "b", &b) != 0 ||
	    __builtin_add_overflow(a, b, &sum)) {
		answer_error(call, RPC_INVALID_PARAMS, "want integers a and b with a 64-bit sum");
		return NULL;
	}
	if (methods->lie && methods->sums == methods->lie_after) {
		methods->lie = false;
		sum ^= 1;
	}
	methods->sums++;
	result = result_new(methods);
	json_object_set_new(result, "sum", json_integer(sum));
	return result;
}

static int param_ms(struct call *call, json_t *params, uint64_t *ret)
{
	json_int_t ms;

	if (json_unpack(params, "{s:I}", "ms", &ms) != 0 || ms < 0 || ms > WAIT_MAX_MS) {
		answer_error(call, RPC_INVALID_PARAMS, "want ms from 0 to 600000");
		return -EINVAL;
	}
	*ret = (uint64_t)ms;
	return 0;
}

static void method_add(struct methods *methods, struct call *call, json_t *params)
{
	json_t *result = result_sum(methods, call, params);

	if (result != NULL)
		answer(call, "result", result);
}

static void work_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct call *call = arg;
	json_t *result = call->later;

	(void)fd;
	(void)what;
	call->later = NULL;
	answer(call, "result", result);
}

static void method_work(struct methods *methods, struct call *call, json_t *params)
{
	struct timeval delay;
	uint64_t ms;

	if (param_ms(call, params, &ms) < 0)
		return;
	call->later = result_sum(methods, call, params);
	if (call->later == NULL)
		return;
	call->timer = evtimer_new(methods->base, work_on_timer, call);
	delay = usec_timeval(ms * USEC_PER_MSEC);
	if (call->timer == NULL || evtimer_add(call->timer, &delay) != 0)
		answer_error(call, RPC_INTERNAL_ERROR, "out of memory");
}

/* Never answers: the call stays in flight for ever, and the other requests do not notice. */
static void method_hang(struct methods *methods, struct call *call, json_t *params)
{
	(void)methods;
	(void)call;
	(void)params;
}

/* Holds up the whole process, as a worker does that computes in its only thread. */
static void method_block(struct methods *methods, struct call *call, json_t *params)
{
	struct timespec until;
	uint64_t ms;

	if (param_ms(call, params, &ms) < 0)
		return;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(ms / 1000);
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		continue; /* not even a signal gets through */
	answer(call, "result", result_new(methods));
}

static void method_crash(struct methods *methods, struct call *call, json_t *params)
{
	const json_t *param = json_object_get(params, "signal");
	int sig = -EINVAL;
	sigset_t set;

	(void)methods;
	if (json_is_string(param))
		sig = parse_signal(json_string_value(param));
	else if (json_integer_value(param) > 0 && json_integer_value(param) <= 64)
		sig = (int)json_integer_value(param);
	if (sig < 0) {
		answer_error(call, RPC_INVALID_PARAMS, "want signal, a number or a name");
		return;
	}
	signal(sig, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, sig);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	raise(sig);
	answer_error(call, RPC_INTERNAL_ERROR, "that signal ends no process");
}

static void method_exit(struct methods *methods, struct call *call, json_t *params)
{
	json_int_t code;

	(void)methods;
	if (json_unpack(params, "{s:I}", "code", &code) != 0 || code < 0 || code > 255) {
		answer_error(call, RPC_INVALID_PARAMS, "want code from 0 to 255");
		return;
	}
	_exit((int)code); /* at once: no destructor, nothing flushed, as in an accident */
}

static void method_info(struct methods *methods, struct call *call, json_t *params)
{
	json_t *result = result_new(methods);
	json_t *more =
	    json_pack("{s:s, s:s, s:s, s:I, s:I, s:I}", "instance", methods->identity->instance,
		      "pool", methods->identity->pool, "sockets", methods->sockets, "in_flight",
		      (json_int_t)server_inflight(call->server), "answered",
		      (json_int_t)server_answered(call->server), "uptime_ms",
		      (json_int_t)((now_usec() - methods->started) / USEC_PER_MSEC));

	(void)params;
	json_object_update_missing(result, more);
	json_decref(more);
	answer(call, "result", result);
}

static const struct method method_table[] = {
    {"add", method_add},     {"work", method_work}, {"hang", method_hang}, {"block", method_block},
    {"crash", method_crash}, {"exit", method_exit}, {"info", method_info},
};

static const struct method *method_find(const char *name)
{
	for (size_t i = 0; i < sizeof(method_table) / sizeof(method_table[0]); i++)
		if (strcmp(name, method_table[i].name) == 0)
			return &method_table[i];
	return NULL;
}

static bool id_is_valid(const json_t *id)
{
	return id == NULL || json_is_string(id) || json_is_number(id) || json_is_null(id);
}

/* An error about a request whose id cannot be known carries the id null (specification, 5). */
static void answer_unreadable(struct call *call, enum rpc_error code, const char *message)
{
	if (call->id == NULL)
		call->id = json_null();
	answer_error(call, code, message);
}

void methods_handle(struct methods *methods, struct call *call, const char *body, size_t len)
{
	json_t *request = len > 0 ? json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL) : NULL;
	json_t *id = json_object_get(request, "id");
	const char *jsonrpc = json_string_value(json_object_get(request, "jsonrpc"));
	const char *name = json_string_value(json_object_get(request, "method"));
	const struct method *method = name != NULL ? method_find(name) : NULL;

	if (id_is_valid(id))
		call->id = json_incref(id);
	if (method != NULL)
		call->method = method->name;
	if (request == NULL)
		answer_unreadable(call, RPC_PARSE_ERROR, "the body is not JSON");
	else if (json_is_array(request))
		answer_unreadable(call, RPC_INVALID_REQUEST, "batches are not supported");
	else if (jsonrpc == NULL || strcmp(jsonrpc, "2.0") != 0 || name == NULL || !id_is_valid(id))
		answer_unreadable(call, RPC_INVALID_REQUEST, "not a JSON-RPC 2.0 request");
	else if (method == NULL)
		answer_error(call, RPC_NO_SUCH_METHOD, "there is no such method");
	else
		method->run(methods, call, json_object_get(request, "params"));
	json_decref(request);
}
