/* api_change.c - requests that change something: all over control.sock, all with a name to them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/parse.h"
#include "engine/api_internal.h"

/* ---- a wish and its answer ---- */

/* Somebody who waits for the result of a reload, restart or scale. */
struct asking {
	struct engine *engine;
	struct conn *conn;
	struct subscriber *subscriber; /* with progress */
	uint64_t id;
	bool progress;
	bool aborts;   /* for it, an end is success */
	bool answered; /* before engine_wish() returned */
	bool wishing;  /* it has not returned yet */
};

static void asking_free(struct asking *asking)
{
	events_unsubscribe(asking->engine, asking->subscriber);
	free(asking);
}

static int result_code(const struct outcome *outcome)
{
	switch (outcome->result) {
	case RESULT_COMMITTED:
	case RESULT_DRAINED:
	case RESULT_HELD:
		return 200;
	case RESULT_REFUSED:
	case RESULT_NOT_HELD:
		return 409;
	case RESULT_FAILED:
		return outcome->configuration ? 422 : 409;
	case RESULT_ABORTED:
		return 409;
	case RESULT_STOPPING:
	case RESULT_BUSY:
		return 503;
	}
	return 500;
}

static int answer_code(const struct asking *asking, const struct outcome *outcome)
{
	if (outcome == NULL)
		return 500;
	return asking->aborts && outcome->result == RESULT_ABORTED ? 200 : result_code(outcome);
}

static void asking_answer(struct asking *asking, const struct outcome *outcome)
{
	cleanup_buf struct buf body = {.max = CONTROL_ANSWER_MAX};

	if (outcome != NULL)
		api_json_result(outcome, asking->progress, &body);
	else
		api_json_error("out of memory: what became of it is in the log", &body);
	buf_add_str(&body, "\n");
	if (asking->progress) {
		conn_send_all(asking->conn, &body);
		conn_end(asking->conn);
	} else {
		conn_reply(asking->conn, answer_code(asking, outcome), API_JSON, &body);
	}
}

static void asking_done(void *arg, const struct outcome *outcome)
{
	struct asking *asking = arg;

	asking_answer(asking, outcome);
	asking->answered = true;
	if (!asking->wishing)
		asking_free(asking);
}

/* The client went away. At the end of the instance there is nobody left to be told of it. */
static void asking_gone(void *arg)
{
	struct asking *asking = arg;
	struct engine *engine = asking->engine;
	uint64_t id = asking->id;

	/* first: what is ended by engine_forget() is told to those who are still there */
	asking_free(asking);
	if (!engine->control->closing)
		engine_forget(engine, id);
}

static void asking_each(void *arg, const char *name, const char *json, size_t len)
{
	cleanup_buf struct buf piece = {0};
	struct asking *asking = arg;

	(void)name;
	if (asking->answered)
		return;
	buf_add(&piece, json, len);
	buf_add_str(&piece, "\n");
	conn_send(asking->conn, &piece);
}

/* The service that asks, as ExecReload= does; NULL: it is no service. */
static char *calling_unit(struct call *call)
{
	char unit[SYSTEMD_UNIT_NAME_MAX];
	struct ucred peer;
	size_t len;

	if (conn_peer(call->conn, &peer) < 0 || systemd_unit_of(peer.pid, unit) < 0)
		return NULL;
	len = strlen(unit);
	return len > strlen(".service") && strcmp(unit + len - strlen(".service"), ".service") == 0
		   ? strdup(unit)
		   : NULL;
}

static struct wish *make_wish(struct call *call, enum wish_kind kind, const char *pool)
{
	struct wish *wish = calloc(1, sizeof(*wish));

	if (wish == NULL)
		return NULL;
	wish->kind = kind;
	wish->changed = call->ask.changed;
	wish->slot = call->ask.slot;
	wish->workers = call->ask.workers;
	wish->wait_drained = call->ask.drained;
	wish->abort_on_disconnect = call->ask.abort_on_disconnect;
	wish->by = strdup(call->by);
	wish->pool = pool != NULL ? strdup(pool) : NULL;
	if (wish->by == NULL || (pool != NULL && wish->pool == NULL)) {
		free(wish->by);
		free(wish->pool);
		free(wish);
		return NULL;
	}
	wish->unit = calling_unit(call);
	return wish;
}

static struct asking *make_asking(struct call *call)
{
	struct asking *asking = calloc(1, sizeof(*asking));

	if (asking == NULL)
		return NULL;
	asking->engine = call->engine;
	asking->conn = call->conn;
	asking->progress = call->ask.progress;
	if (!asking->progress)
		return asking;
	asking->subscriber = events_subscribe(call->engine, asking_each, asking);
	if (asking->subscriber == NULL) {
		free(asking);
		return NULL;
	}
	return asking;
}

static void post_wish(struct call *call, enum wish_kind kind, const char *pool)
{
	struct asking *asking;
	struct wish *wish;

	if (!api_check_long(call))
		return;
	wish = make_wish(call, kind, pool);
	asking = wish != NULL ? make_asking(call) : NULL;
	if (asking == NULL) {
		if (wish != NULL) {
			free(wish->by);
			free(wish->pool);
			free(wish->unit);
			free(wish);
		}
		api_refuse(call, 503, "too many listeners, or out of memory");
		return;
	}
	wish->done = asking_done;
	wish->arg = asking;
	if (asking->progress)
		conn_stream(call->conn, 200, API_LINES, asking_gone, asking);
	else
		conn_wait(call->conn, asking_gone, asking);
	asking->wishing = true;
	asking->aborts = kind == WISH_ABORT;
	asking->id = kind == WISH_PROMOTE || kind == WISH_ABORT ? engine_decide(call->engine, wish)
								: engine_wish(call->engine, wish);
	asking->wishing = false;
	if (asking->answered)
		asking_free(asking);
}

/* ---- reload, rollback, restart, scale ---- */

void api_post_reload(struct call *call)
{
	post_wish(call, WISH_RELOAD, call->ask.pool);
}

void api_post_promote(struct call *call)
{
	post_wish(call, WISH_PROMOTE, NULL);
}

void api_post_abort(struct call *call)
{
	post_wish(call, WISH_ABORT, NULL);
}

void api_post_rollback(struct call *call)
{
	post_wish(call, WISH_ROLLBACK, call->ask.pool);
}

/* False: answered with 404. */
static bool check_slot(struct call *call, uint32_t p)
{
	uint32_t size = call->engine->model->pools[p].size;

	if (call->ask.slot == CORE_NONE || call->ask.slot < size)
		return true;
	if (size > 0)
		api_refuse(call, 404, "pool %s has no slot %u: its slots are 0 to %u", call->name,
			   call->ask.slot, size - 1);
	else
		api_refuse(call, 404, "pool %s has no slots", call->name);
	return false;
}

void api_post_restart(struct call *call)
{
	uint32_t p;

	if (api_find_pool(call, &p) != NULL && check_slot(call, p))
		post_wish(call, WISH_RESTART, call->name);
}

void api_post_scale(struct call *call)
{
	if (api_find_pool(call, NULL) != NULL)
		post_wish(call, WISH_SCALE, call->name);
}

/* ---- stop ---- */

/* Whoever watches a stop: the end of the connection is the end of the instance. */
struct watching {
	struct engine *engine;
	struct conn *conn;
	struct subscriber *subscriber;
};

static void watching_each(void *arg, const char *name, const char *json, size_t len)
{
	cleanup_buf struct buf piece = {0};
	struct watching *watching = arg;

	(void)name;
	buf_add(&piece, json, len);
	buf_add_str(&piece, "\n");
	conn_send(watching->conn, &piece);
}

static void watching_gone(void *arg)
{
	struct watching *watching = arg;

	events_unsubscribe(watching->engine, watching->subscriber);
	free(watching);
}

static void post_stop_watched(struct call *call)
{
	struct watching *watching = calloc(1, sizeof(*watching));

	if (watching != NULL)
		watching->subscriber = events_subscribe(call->engine, watching_each, watching);
	if (watching == NULL || watching->subscriber == NULL) {
		free(watching);
		api_refuse(call, 503,
			   "too many listeners, or out of memory: ask without 'progress'");
		return;
	}
	watching->engine = call->engine;
	watching->conn = call->conn;
	conn_stream(call->conn, 202, API_LINES, watching_gone, watching);
	engine_stop(call->engine, call->ask.now, call->by);
}

void api_post_stop(struct call *call)
{
	struct buf body = {0};

	if (call->ask.progress) {
		post_stop_watched(call);
		return;
	}
	engine_stop(call->engine, call->ask.now, call->by);
	api_json_stopping(call->engine, &body);
	api_answer(call, 202, &body);
}

/* ---- signals ---- */

static void signal_workers(struct call *call, uint32_t p, int sig)
{
	uint32_t max = call->engine->model->pools[p].capacity;
	cleanup_free pid_t *pids = calloc(max + 1, sizeof(*pids));
	struct buf body = {.max = CONTROL_ANSWER_MAX};
	int n;

	if (pids == NULL) {
		api_refuse(call, 503, "out of memory");
		return;
	}
	n = engine_signal(call->engine, call->name, call->ask.slot, sig, call->by, pids, max);
	if (n > 0) {
		api_json_signalled(pids, (size_t)n, &body);
		api_answer(call, 200, &body);
	} else if (n == 0 || n == -ESRCH) {
		api_refuse(call, 409, "no worker runs there now");
	} else {
		api_refuse(call, n == -ENOENT ? 404 : 500, "cannot signal pool %s: %s", call->name,
			   strerror(-n));
	}
}

void api_post_signal(struct call *call)
{
	uint32_t p;
	int sig;

	if (api_find_pool(call, &p) == NULL || !check_slot(call, p))
		return;
	if (parse_signal(call->ask.signal, &sig) < 0)
		api_refuse(call, 400, "'%s' is no signal", call->ask.signal);
	else
		signal_workers(call, p, sig);
}

void api_post_dump(struct call *call)
{
	const struct pool_runtime *pool;
	const struct version *version;
	uint32_t p;

	pool = api_find_pool(call, &p);
	if (pool == NULL || !check_slot(call, p))
		return;
	version = pool->current != NULL ? pool->current : pool->next;
	if (version == NULL || version->spec->dump_signal == 0)
		api_refuse(call, 400, "pool %s has no dump signal: set dump_signal", call->name);
	else
		signal_workers(call, p, version->spec->dump_signal);
}

void api_post_out_of_service(struct call *call)
{
	struct buf body = {0};

	engine_set_out_of_service(call->engine, call->ask.on, call->by);
	api_json_out_of_service(call->engine->out_of_service, &body);
	api_answer(call, 200, &body);
}
