/* api_status.c - GET /v1/status, read from JSON. */
#include <stdlib.h>
#include <string.h>

#include "cli/api.h"
#include "cli/api_internal.h"

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
