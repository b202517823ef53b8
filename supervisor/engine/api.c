/* api.c - which request is answered by whom (docs/api.md), and the short answers. */
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/parse.h"
#include "engine/api_internal.h"
#include "engine/metrics.h"
#include "engine/wishes.h"

/* ---- answers ---- */

void api_answer(struct call *call, int code, struct buf *body)
{
	buf_add_str(body, "\n");
	conn_reply(call->conn, code, API_JSON, body);
	buf_free(body);
}

void api_refuse(struct call *call, int code, const char *format, ...)
{
	cleanup_buf struct buf sentence = {0};
	struct buf body = {0};
	va_list args;

	va_start(args, format);
	buf_vprintf(&sentence, format, args);
	va_end(args);
	api_json_error(buf_text(&sentence), &body);
	api_answer(call, code, &body);
}

void api_unknown_pool(struct call *call, const char *name)
{
	const char *names[CORE_POOLS_MAX], *near;
	size_t n = 0;

	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++) {
		enum pool_state state = call->engine->model->pools[p].state;

		if (state != POOL_FREE && state != POOL_RETIRING)
			names[n++] = call->engine->pools[p].name;
	}
	near = parse_suggest(name, names, n);
	if (near == NULL && n == 1)
		near = names[0];
	if (near != NULL)
		api_refuse(call, 404, "there is no pool '%s'; did you mean '%s'?", name, near);
	else
		api_refuse(call, 404, "there is no pool '%s'; `handover status -v` lists them",
			   name);
}

struct pool_runtime *api_find_pool(struct call *call, uint32_t *ret_index)
{
	struct pool_runtime *pool = engine_find_pool(call->engine, call->name, ret_index);

	if (pool == NULL)
		api_unknown_pool(call, call->name);
	return pool;
}

static bool is_one_of(const char *name, const char *const *names, size_t *ret_n)
{
	for (*ret_n = 0; names[*ret_n] != NULL; ++*ret_n)
		if (strcmp(names[*ret_n], name) == 0)
			return true;
	return false;
}

bool api_check_query(struct call *call, const char *const *names)
{
	struct evkeyval *pair;
	const char *near;
	size_t n;

	for (pair = TAILQ_FIRST(&call->query); pair != NULL; pair = TAILQ_NEXT(pair, next)) {
		if (is_one_of(pair->key, names, &n))
			continue;
		near = parse_suggest(pair->key, names, n);
		api_refuse(call, 400, "unknown parameter '%s'%s%s%s", pair->key,
			   near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
			   near != NULL ? "'?" : "");
		return false;
	}
	return true;
}

bool api_check_long(struct call *call)
{
	if (conn_may_be_long(call->conn))
		return true;
	api_refuse(call, 503, "%d streams and waiting requests are open already: close some",
		   CONTROL_LONG_MAX);
	return false;
}

/* ---- short answers ---- */

static void get_status(struct call *call)
{
	struct buf body = {.max = CONTROL_ANSWER_MAX};

	api_json_status(call->engine, &body);
	api_answer(call, 200, &body);
}

static void take_plan(struct engine *engine, int r, void *arg)
{
	api_json_plan(engine, r == 0, arg);
}

static void get_plan(struct call *call)
{
	struct buf body = {.max = CONTROL_ANSWER_MAX};

	if (instance_is_stopping(call->engine->model))
		api_refuse(call, 503, "the instance stops");
	else if (call->engine->undertaking.start || call->engine->config == NULL)
		api_refuse(call, 503, "the start is not through: ask again when it is");
	else if (call->engine->model->transaction.state == TRANSACTION_HELD)
		api_refuse(call, 503, "a %s is held: promote or abort it first",
			   wish_kind_name(call->engine->undertaking.kind));
	else if (wishes_plan(call->engine, take_plan, &body) < 0)
		api_refuse(call, 503, "a %s runs: ask again when it is through",
			   wish_kind_name(call->engine->undertaking.kind));
	else
		api_answer(call, 200, &body);
}

static void answer_text(struct call *call, int code, const char *type, struct buf *text)
{
	conn_reply(call->conn, code, type, text);
	buf_free(text);
}

static void get_livez(struct call *call)
{
	struct buf text = {0};

	buf_add_str(&text, "ok\n");
	answer_text(call, 200, API_TEXT, &text);
}

static void answer_ready(struct call *call, bool ready, struct buf *reason)
{
	if (ready) {
		buf_reset(reason);
		buf_add_str(reason, "ok");
	}
	buf_add_str(reason, "\n");
	answer_text(call, ready ? 200 : 503, API_TEXT, reason);
}

static void get_readyz(struct call *call)
{
	struct buf reason = {0};

	answer_ready(call, engine_is_ready(call->engine, &reason), &reason);
}

static void get_readyz_pool(struct call *call)
{
	struct buf reason = {0};
	uint32_t p;

	if (api_find_pool(call, &p) != NULL)
		answer_ready(call, engine_pool_is_ready(call->engine, p, &reason), &reason);
}

static void get_metrics(struct call *call)
{
	struct buf page = {.max = CONTROL_ANSWER_MAX};

	metrics_write(call->engine, &page);
	answer_text(call, 200, "text/plain; version=0.0.4; charset=utf-8", &page);
}

/* ---- routes ---- */

enum route_kind { ROUTE_GET, ROUTE_GET_LOCAL, ROUTE_POST };

static const struct route {
	enum route_kind kind;
	const char *path; /* one segment may be '*' */
	void (*run)(struct call *call);
	unsigned allowed, required; /* enum api_member */
} routes[] = {
    {ROUTE_GET, "/livez", get_livez, 0, 0},
    {ROUTE_GET, "/readyz", get_readyz, 0, 0},
    {ROUTE_GET, "/readyz/*", get_readyz_pool, 0, 0},
    {ROUTE_GET, "/metrics", get_metrics, 0, 0},
    {ROUTE_GET, "/v1/status", get_status, 0, 0},
    /* it reads files, and tells what is in them */
    {ROUTE_GET_LOCAL, "/v1/plan", get_plan, 0, 0},
    {ROUTE_GET, "/v1/events", api_get_events, 0, 0},
    {ROUTE_GET, "/v1/history", api_get_history, 0, 0},
    /* what workers write may be confidential: it does not leave the machine this way */
    {ROUTE_GET_LOCAL, "/v1/logs", api_get_logs, 0, 0},
    {ROUTE_GET_LOCAL, "/v1/why", api_get_why, 0, 0},
    {ROUTE_POST, "/v1/reload", api_post_reload,
     API_CHANGED | API_POOL | API_WAIT | API_ABORT | API_PROGRESS, 0},
    {ROUTE_POST, "/v1/reload/promote", api_post_promote, API_WAIT | API_ABORT | API_PROGRESS, 0},
    {ROUTE_POST, "/v1/reload/abort", api_post_abort, API_PROGRESS, 0},
    {ROUTE_POST, "/v1/rollback", api_post_rollback, API_POOL | API_WAIT | API_ABORT | API_PROGRESS,
     0},
    {ROUTE_POST, "/v1/stop", api_post_stop, API_NOW | API_PROGRESS, 0},
    {ROUTE_POST, "/v1/out-of-service", api_post_out_of_service, API_ON, API_ON},
    {ROUTE_POST, "/v1/pools/*/restart", api_post_restart,
     API_SLOT | API_WAIT | API_ABORT | API_PROGRESS, 0},
    {ROUTE_POST, "/v1/pools/*/scale", api_post_scale,
     API_WORKERS | API_WAIT | API_ABORT | API_PROGRESS, API_WORKERS},
    {ROUTE_POST, "/v1/pools/*/signal", api_post_signal, API_SIGNAL | API_SLOT, API_SIGNAL},
    {ROUTE_POST, "/v1/pools/*/dump", api_post_dump, API_SLOT, 0},
};

static bool route_matches(const struct route *route, const char *path, char name[static 64])
{
	const char *star = strchr(route->path, '*');
	size_t before, len;

	if (star == NULL)
		return strcmp(route->path, path) == 0;
	before = (size_t)(star - route->path);
	if (strncmp(route->path, path, before) != 0)
		return false;
	len = strcspn(path + before, "/");
	if (len == 0 || len >= 64 || strcmp(path + before + len, star + 1) != 0)
		return false;
	memcpy(name, path + before, len);
	name[len] = '\0';
	return true;
}

static const struct route *route_find(const char *path, bool local, char name[static 64])
{
	for (size_t i = 0; i < ARRAY_LEN(routes); i++)
		if ((local || routes[i].kind != ROUTE_GET_LOCAL) &&
		    route_matches(&routes[i], path, name))
			return &routes[i];
	return NULL;
}

static void refuse_path(struct call *call, const char *path)
{
	const char *paths[ARRAY_LEN(routes)], *near;
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(routes); i++)
		if (strchr(routes[i].path, '*') == NULL)
			paths[n++] = routes[i].path;
	near = parse_suggest(path, paths, n);
	if (near != NULL)
		api_refuse(call, 404, "there is no %s; did you mean %s?", path, near);
	else
		api_refuse(call, 404, "there is no %s; try GET /v1/status, /readyz or /metrics",
			   path);
}

static bool check_method(struct call *call, const struct route *route, enum evhttp_cmd_type method)
{
	bool get = route->kind != ROUTE_POST;
	const char *allow = get ? "GET, HEAD" : "POST";

	if (!get && !call->conn->door->local) {
		api_refuse(call, 403,
			   "status_listen only tells: changes are made over control.sock");
		return false;
	}
	if (get ? method == EVHTTP_REQ_GET || method == EVHTTP_REQ_HEAD : method == EVHTTP_REQ_POST)
		return true;
	evhttp_add_header(evhttp_request_get_output_headers(call->conn->request), "Allow", allow);
	api_refuse(call, 405, "this takes %s", allow);
	return false;
}

/* The mode of control.sock has kept others out already: this holds should somebody loosen it. */
static bool check_caller(struct call *call)
{
	struct ucred peer;

	if (conn_peer(call->conn, &peer) < 0) {
		api_refuse(call, 403, "the kernel does not tell who asks");
		return false;
	}
	snprintf(call->by, sizeof(call->by), "uid %u pid %d", (unsigned)peer.uid, (int)peer.pid);
	if (conn_may_change(call->conn, &peer))
		return true;
	log_warning("a change was refused: uid %u pid %d is neither root, nor our own user, nor in "
		    "operator_group",
		    (unsigned)peer.uid, (int)peer.pid);
	api_refuse(call, 403,
		   "uid %u may not change anything here: root, the instance's own user and "
		   "members of operator_group may",
		   (unsigned)peer.uid);
	return false;
}

static bool check_body(struct call *call, const struct route *route)
{
	struct evbuffer *input = evhttp_request_get_input_buffer(call->conn->request);
	size_t len = evbuffer_get_length(input);
	const char *body = len > 0 ? (const char *)evbuffer_pullup(input, -1) : "";
	cleanup_buf struct buf error = {0};

	if (body != NULL &&
	    api_json_read_ask(body, len, route->allowed, route->required, &call->ask, &error) == 0)
		return true;
	api_refuse(call, 400, "%s", body != NULL ? buf_text(&error) : "out of memory");
	return false;
}

static void run_route(struct call *call, const struct route *route)
{
	if (route->kind == ROUTE_POST && (!check_caller(call) || !check_body(call, route)))
		return;
	route->run(call);
	api_ask_free(&call->ask);
}

void api_handle(struct conn *conn)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(conn->request);
	enum evhttp_cmd_type method = evhttp_request_get_command(conn->request);
	const char *raw = evhttp_uri_get_path(uri), *query = evhttp_uri_get_query(uri);
	struct call call = {
	    .engine = conn->door->engine, .conn = conn, .head = method == EVHTTP_REQ_HEAD};
	size_t len = 0;
	cleanup_free char *path = evhttp_uridecode(raw != NULL ? raw : "/", 0, &len);
	const struct route *route;

	TAILQ_INIT(&call.query);
	if (path == NULL || strlen(path) != len ||
	    (query != NULL && evhttp_parse_query_str(query, &call.query) == -1)) {
		api_refuse(&call, 400, "the address cannot be understood");
		return;
	}
	route = route_find(path, conn->door->local, call.name);
	if (route == NULL)
		refuse_path(&call, path);
	else if (check_method(&call, route, method))
		run_route(&call, route);
	evhttp_clear_headers(&call.query);
}
