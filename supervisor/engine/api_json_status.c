/* api_json_status.c - the whole instance as one object. */
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "engine/api_json_internal.h"
#include "engine/cgroups.h"
#include "engine/giving.h"
#include "engine/versions.h"
#include "engine/wishes.h"

/* ---- pools ---- */

static bool pool_is_degraded(const struct pool *pool)
{
	return pool->looping > 0 || pool->state == POOL_STOPPED;
}

static void pool_explain(const struct engine *engine, uint32_t p, struct buf *reason)
{
	const struct pool *pool = &engine->model->pools[p];

	if (pool->state == POOL_STOPPED)
		buf_add_str(reason, "stopped after a crash loop; a reload starts it again");
	else if (pool->looping > 0)
		buf_printf(reason, "%u of %u slots are in a crash loop", pool->looping, pool->size);
	else if (pool_going_back(pool) > 0)
		buf_printf(reason, "%u slots are going back to generation %u",
			   pool_going_back(pool), pool->generation);
}

static uint32_t pool_restarts(const struct pool *pool)
{
	uint32_t restarts = 0;

	for (uint32_t s = 0; s < pool->size; s++)
		restarts += pool->slots[s].restarts;
	return restarts;
}

static json_t *pool_configured(const struct engine *engine, uint32_t p)
{
	const struct version *version = engine->pools[p].current;

	return version != NULL ? json_integer(version->spec->workers) : json_null();
}

static json_t *status_pool(const struct engine *engine, uint32_t p)
{
	const struct pool *pool = &engine->model->pools[p];
	const uint32_t *counts = pool->counts;
	cleanup_buf struct buf reason = {0};
	bool ready = engine_pool_is_ready(engine, p, &reason);
	json_t *row;

	buf_reset(&reason);
	pool_explain(engine, p, &reason);
	row = json_pack(
	    "{s:o, s:s, s:i, s:i, s:o, s:i, s:i, s:i, s:i, s:b, s:b, s:s}", "name",
	    api_json_text(engine->pools[p].name), "state", engine_pool_state_name(engine, p),
	    "generation", (int)pool->generation, "workers", (int)pool->size, "configured",
	    pool_configured(engine, p), "serving", (int)counts[WORKER_SERVING], "starting",
	    (int)(counts[WORKER_STARTING] + counts[WORKER_HELD]), "draining",
	    (int)(counts[WORKER_DRAINING] + counts[WORKER_DUMPING] + counts[WORKER_KILLED]),
	    "restarts", (int)pool_restarts(pool), "degraded", (int)pool_is_degraded(pool), "ready",
	    (int)ready, "reason", buf_text(&reason));
	api_json_add_versions(row, engine, p);
	return row;
}

static json_t *status_pools(const struct engine *engine)
{
	json_t *pools = json_array();

	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++)
		if (engine->model->pools[p].state != POOL_FREE)
			json_array_append_new(pools, status_pool(engine, p));
	return pools;
}

/* ---- sockets ---- */

static const char *socket_kind(const struct engine_socket *socket)
{
	if (socket->listener.type == SOCK_DGRAM)
		return "udp";
	return socket->listener.address.ss_family == AF_UNIX ? "unix" : "tcp";
}

static json_t *socket_pools(const struct engine *engine, const struct engine_socket *socket)
{
	json_t *pools = json_array();

	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++) {
		const struct version *version = engine->pools[p].current;

		if (version == NULL || engine->model->pools[p].state == POOL_FREE)
			continue;
		for (size_t n = 0; n < version->spec->n_sockets; n++)
			if (version->sockets[n].shared == socket ||
			    (socket->slots != NULL && version->sockets[n].slots == socket->slots)) {
				json_array_append_new(pools, api_json_text(engine->pools[p].name));
				break;
			}
	}
	return pools;
}

static json_t *socket_instances(const struct engine *engine, const struct engine_socket *socket)
{
	json_t *list = json_array();
	const char *name;
	pid_t pid;

	for (size_t n = 0; giving_holder(engine, socket, n, &name, &pid); n++)
		json_array_append_new(list, json_pack("{s:o, s:i}", "instance", api_json_text(name),
						      "pid", (int)pid));
	return list;
}

/* Whose it is, and who has it beside our pools. */
static void add_holding(const struct engine *engine, const struct engine_socket *socket,
			json_t *object)
{
	struct stat st = {.st_ino = 0};

	(void)!fstat(socket->listener.fd, &st);
	json_object_set_new(object, "kind", json_string(socket_kind(socket)));
	json_object_set_new(object, "source",
			    socket->passed  ? json_string("systemd")
			    : socket->taken ? api_json_text(socket->identity)
					    : json_string("own"));
	json_object_set_new(object, "inode", json_integer((json_int_t)st.st_ino));
	json_object_set_new(object, "pools", socket_pools(engine, socket));
	json_object_set_new(object, "given", json_integer((json_int_t)socket->given));
	json_object_set_new(object, "moved", json_boolean(socket->moved));
	json_object_set_new(object, "instances", socket_instances(engine, socket));
}

static json_t *status_sockets(const struct engine *engine)
{
	json_t *sockets = json_array();

	for (const struct engine_socket *socket = engine->sockets; socket != NULL;
	     socket = socket->next) {
		char address[LISTENER_TEXT_MAX];
		unsigned waiting, limit;
		json_t *object;
		bool told;

		if (socket->closing || socket->listener.fd < 0)
			continue;
		told = listener_queue(&socket->listener, &waiting, &limit) == 0;
		object = json_pack(
		    "{s:o, s:o, s:s, s:o, s:o, s:i}", "name", api_json_text(socket->name), "slot",
		    socket->slots != NULL ? json_integer(socket->slot) : json_null(), "address",
		    listener_describe(&socket->listener, address, sizeof(address)), "queue",
		    told ? json_integer(waiting) : json_null(), "queue_limit",
		    told ? json_integer(limit) : json_null(), "mended", (int)socket->mended);
		add_holding(engine, socket, object);
		json_array_append_new(sockets, object);
	}
	return sockets;
}

/* ---- the reload that runs ---- */

static const char *rollout_state_name(enum rollout_state state)
{
	switch (state) {
	case ROLLOUT_NONE:
		return "none";
	case ROLLOUT_WAITING:
		return "waiting";
	case ROLLOUT_STARTING:
		return "starting";
	case ROLLOUT_RELEASING:
		return "releasing";
	case ROLLOUT_SETTLING:
		return "settling";
	case ROLLOUT_CHECKING:
		return "checking";
	case ROLLOUT_GATED:
		return "gated";
	case ROLLOUT_TELLING:
		return "telling";
	case ROLLOUT_DONE:
		return "done";
	}
	return "?";
}

/* The first batch is watched for longer where it is a canary. */
static const char *shown_state(const struct rollout *rollout)
{
	return rollout->state == ROLLOUT_SETTLING && rollout->canary > 0 &&
		       rollout->cursor == rollout->begin
		   ? "canary"
		   : rollout_state_name(rollout->state);
}

static json_t *reload_pools(const struct engine *engine)
{
	json_t *pools = json_array();

	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++) {
		const struct rollout *rollout = &engine->model->pools[p].rollout;
		uint32_t ready = rollout->cursor - rollout->begin;

		if (engine->model->pools[p].state == POOL_FREE || rollout->state == ROLLOUT_NONE)
			continue;
		if (rollout->state == ROLLOUT_STARTING || rollout->state == ROLLOUT_RELEASING ||
		    rollout->state == ROLLOUT_SETTLING || rollout->state == ROLLOUT_CHECKING ||
		    rollout->state == ROLLOUT_GATED)
			ready += rollout->batch_end - rollout->cursor - rollout->waiting;
		json_array_append_new(pools,
				      json_pack("{s:o, s:i, s:s, s:i, s:i}", "name",
						api_json_text(engine->pools[p].name), "generation",
						(int)rollout->generation, "state",
						shown_state(rollout), "ready", (int)ready, "total",
						(int)(rollout->end - rollout->begin)));
	}
	return pools;
}

static json_t *status_reload(const struct engine *engine, usec_t now)
{
	const struct undertaking *undertaking = &engine->undertaking;
	enum transaction_state state = engine->model->transaction.state;
	json_t *reload;

	if (!undertaking->running || undertaking->start)
		return json_null();
	reload = json_pack("{s:I, s:s, s:o, s:s, s:o, s:o}", "id", (json_int_t)undertaking->number,
			   "kind", wish_kind_name(undertaking->kind), "by",
			   api_json_text(undertaking->by), "state",
			   state == TRANSACTION_HELD	  ? "held"
			   : state == TRANSACTION_ROLLING ? "rolling"
							  : "preparing",
			   "elapsed_s", api_json_seconds(usec_sub(now, undertaking->since)),
			   "pools", reload_pools(engine));
	if (state == TRANSACTION_HELD) {
		usec_t left = usec_sub(engine->model->transaction.deadline, now);

		json_object_set_new(reload, "held_s",
				    api_json_seconds(usec_sub(now, undertaking->held_since)));
		json_object_set_new(reload, "held_until", api_json_time(clock_wall() + left));
	}
	return reload;
}

static unsigned count_queued(const struct instance *model)
{
	unsigned queued = 0;

	for (size_t n = 0; n < CORE_REQUESTS_MAX; n++)
		queued += model->pending[n].state == PENDING_QUEUED;
	return queued;
}

/* ---- the whole ---- */

static bool is_degraded(const struct engine *engine)
{
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++)
		if (engine->model->pools[p].state != POOL_FREE &&
		    pool_is_degraded(&engine->model->pools[p]))
			return true;
	return false;
}

static json_t *status_cgroups(const struct engine *engine)
{
	const char *reason;
	const struct cgroup_tree *tree = cgroups_tree(engine, &reason);
	json_t *controllers = json_array();

	for (int n = 0; tree != NULL && n < CGROUP_CONTROLLERS; n++)
		if (tree->has[n])
			json_array_append_new(controllers, json_string(cgroup_controller_name(
							       (enum cgroup_controller)n)));
	return json_pack("{s:o, s:o, s:o}", "path", api_json_text(tree != NULL ? tree->path : NULL),
			 "controllers", controllers, "missing", api_json_text(reason));
}

static json_t *status_head(struct engine *engine, usec_t now)
{
	cleanup_buf struct buf reason = {0};
	bool ready = engine_is_ready(engine, &reason);

	return json_pack(
	    "{s:o, s:s, s:i, s:s, s:o, s:o, s:o, s:b, s:o, s:b, s:b, s:o, s:o, s:o, s:o, s:o, s:i, "
	    "s:o}",
	    "instance", api_json_text(engine->name), "version", HANDOVER_VERSION, "pid",
	    (int)getpid(), "state", engine_state_name(engine), "since",
	    api_json_time(engine->started_wall), "uptime_s",
	    api_json_seconds(usec_sub(now, engine->started_at)), "config",
	    api_json_text(engine->config_path), "ready", (int)ready, "reason",
	    api_json_text(buf_text(&reason)), "degraded", (int)is_degraded(engine),
	    "out_of_service", (int)engine->out_of_service, "cgroups", status_cgroups(engine),
	    "sockets", status_sockets(engine), "stored", api_json_stored(engine), "pools",
	    status_pools(engine), "reload", status_reload(engine, now), "queued",
	    (int)count_queued(engine->model), "last_reload",
	    engine->last_outcome != NULL ? api_json_result_object(engine->last_outcome)
					 : json_null());
}

void api_json_status(struct engine *engine, struct buf *out)
{
	usec_t now = clock_now();

	cgroups_refresh(engine);
	api_json_write(status_head(engine, now), out);
	if (out->len == 0)
		return;
	/* the object goes on where it ended */
	out->data[--out->len] = '\0';
	buf_add_str(out, ",\"workers\":[");
	api_json_write_workers(engine, now, out);
	buf_add_str(out, "]}");
}
