/* api_json_plan.c - what reload --changed would do now, as one object: told while it is prepared.
 */
#include <string.h>

#include "base/fd.h"
#include "engine/api_json_internal.h"
#include "engine/giving.h"
#include "engine/sockets.h"
#include "engine/versions.h"
#include "engine/wishes.h"

/* Of one value in a sentence; the object has all of it. */
enum { PLAN_VALUE_MAX = 60 };

/* ---- what differs ---- */

struct list {
	json_t *changes;
	struct buf text;  /* the same in words: what workers are replaced for, or told of */
	struct buf minor; /* and the rest */
};

static void add_value(struct buf *text, const char *value)
{
	size_t len = value != NULL ? strlen(value) : 0;

	if (value == NULL || len == 0)
		buf_add_str(text, "nothing");
	else
		buf_printf(text, "%.*s%s", (int)(len > PLAN_VALUE_MAX ? PLAN_VALUE_MAX : len),
			   value, len > PLAN_VALUE_MAX ? "..." : "");
}

static const char *effect_name(enum diff_effect effect)
{
	switch (effect) {
	case DIFF_NONE:
		return "none";
	case DIFF_UPDATE:
		return "update";
	case DIFF_SCALE:
		return "scale";
	case DIFF_SOCKETS:
		return "sockets";
	case DIFF_REPLACE:
	case DIFF_RESTART:
		break;
	}
	return "replace";
}

static void add_change(const struct version_difference *difference, void *arg)
{
	struct list *list = arg;
	struct buf *text = difference->effect >= DIFF_SOCKETS ? &list->text : &list->minor;
	bool values = difference->from != NULL || difference->to != NULL;
	json_t *change = json_pack("{s:s, s:s, s:s}", "what", difference->what, "how",
				   difference->how, "effect", effect_name(difference->effect));

	if (values) {
		json_object_set_new(change, "from", api_json_text(difference->from));
		json_object_set_new(change, "to", api_json_text(difference->to));
	}
	if (difference->names != NULL)
		json_object_set_new(change, "names", api_json_text(difference->names));
	json_array_append_new(list->changes, change);
	if (strcmp(difference->what, "workers") == 0) /* told in front of all */
		return;
	buf_printf(text, "%s%s %s", text->len > 0 ? ", " : "", difference->what, difference->how);
	if (difference->names != NULL)
		buf_printf(text, ": %s", difference->names);
	if (!values)
		return;
	buf_add_str(text, " (");
	add_value(text, difference->from);
	buf_add_str(text, " -> ");
	add_value(text, difference->to);
	buf_add_str(text, ")");
}

/* What matters most comes first. */
static void join(struct list *list)
{
	if (list->minor.len > 0)
		buf_printf(&list->text, "%s%s", list->text.len > 0 ? ", " : "", list->minor.data);
	buf_free(&list->minor);
}

/* ---- pools ---- */

/* Workers that would be told to go: those of slots from first on. */
static json_t *leaving_pids(const struct engine *engine, uint32_t p, uint32_t first)
{
	const struct pool *pool = &engine->model->pools[p];
	json_t *pids = json_array();

	for (uint32_t n = 0; n < pool->capacity; n++) {
		const struct worker *worker = &pool->workers[n];
		const struct proc *proc =
		    n < engine->pools[p].n_procs ? engine->pools[p].procs[n] : NULL;
		bool stays = worker->state != WORKER_STARTING && worker->state != WORKER_HELD &&
			     worker->state != WORKER_SERVING;

		if (!stays && proc != NULL && !proc->ended && worker->slot >= first)
			json_array_append_new(pids, json_integer(proc->pid));
	}
	return pids;
}

static const char *action_name(enum change_kind kind)
{
	switch (kind) {
	case CHANGE_NONE:
		return "keep";
	case CHANGE_UPDATE:
		return "update";
	case CHANGE_SCALE:
		return "scale";
	case CHANGE_SOCKETS:
		return "sockets";
	case CHANGE_ROLL:
	case CHANGE_SLOT:
		return "replace";
	case CHANGE_ADD:
		return "add";
	case CHANGE_REMOVE:
		return "remove";
	}
	return "keep";
}

static void tell_pool(enum change_kind kind, uint32_t from, uint32_t to, const struct list *list,
		      struct buf *text)
{
	const char *why = buf_text(&list->text);

	switch (kind) {
	case CHANGE_NONE:
		buf_add_str(text, "nothing differs");
		break;
	case CHANGE_UPDATE:
		buf_printf(text, "%s: no worker is touched", why);
		break;
	case CHANGE_SOCKETS:
		buf_printf(text, "%s: the workers are told over their channel and stay", why);
		break;
	case CHANGE_SCALE:
		buf_printf(text, "workers %u -> %u", from, to);
		if (list->text.len > 0)
			buf_printf(text, ", %s", why);
		buf_add_str(text, ": no other worker is touched");
		break;
	case CHANGE_ROLL:
	case CHANGE_SLOT:
		buf_printf(text, "all %u workers are replaced", from);
		if (from != to)
			buf_printf(text, " by %u", to);
		buf_printf(text, ": %s", why);
		break;
	case CHANGE_ADD:
		buf_printf(text, "is new: %u workers are started", to);
		break;
	case CHANGE_REMOVE:
		buf_printf(text, "is no longer in the configuration: its %u workers drain", from);
		break;
	}
}

static json_t *plan_pool(const struct engine *engine, uint32_t p)
{
	const struct pool_runtime *runtime = &engine->pools[p];
	const struct pool_change *change = &engine->undertaking.changes[p];
	uint32_t from = change->kind == CHANGE_ADD ? 0 : engine->model->pools[p].size;
	uint32_t to = change->kind == CHANGE_REMOVE ? 0
		      : change->kind == CHANGE_NONE ? from
						    : change->params.workers;
	bool whole = change->kind == CHANGE_ROLL || change->kind == CHANGE_REMOVE;
	bool some = whole || change->kind == CHANGE_SCALE;
	struct list list = {.changes = json_array()};
	cleanup_buf struct buf text = {0};
	json_t *pool;

	if (runtime->current != NULL && runtime->next != NULL)
		version_each_difference(runtime->current, runtime->next, add_change, &list);
	join(&list);
	tell_pool(change->kind, from, to, &list, &text);
	buf_free(&list.text);
	pool = json_pack("{s:o, s:s, s:i, s:i, s:o, s:o, s:o}", "name",
			 api_json_text(runtime->name), "action", action_name(change->kind),
			 "workers", (int)from, "workers_then", (int)to, "leaving",
			 some ? leaving_pids(engine, p, whole ? 0 : to) : json_array(), "changes",
			 list.changes, "message", api_json_text(buf_text(&text)));
	return pool;
}

static json_t *plan_pools(const struct engine *engine, bool *ret_differs)
{
	json_t *pools = json_array();

	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++) {
		enum pool_state state = engine->model->pools[p].state;

		if (state != POOL_ACTIVE && state != POOL_STOPPED)
			continue;
		*ret_differs = *ret_differs || engine->undertaking.changes[p].kind != CHANGE_NONE;
		json_array_append_new(pools, plan_pool(engine, p));
	}
	return pools;
}

/* ---- sockets ---- */

static bool is_of_slot_that_goes(const struct engine_socket *socket, const struct config *config,
				 const struct socket_spec *wanted)
{
	return socket->slots != NULL && socket->slot >= config_socket_count(config, wanted);
}

static const char *socket_action(const struct engine *engine, const struct engine_socket *socket,
				 const struct socket_spec *wanted)
{
	const struct config *config = engine->undertaking.config->config;

	if (socket->fresh)
		return wanted != NULL && wanted->kind == SOCKET_HANDOVER ? "take" : "open";
	if (wanted != NULL && !is_of_slot_that_goes(socket, config, wanted))
		return "keep";
	return sockets_outlives_us(engine, socket) ? "let-go" : "close";
}

static void compare_settings(const struct engine *engine, const struct engine_socket *socket,
			     const struct socket_spec *wanted, struct list *list)
{
	const struct config *config = engine->undertaking.config->config;
	const struct socket_spec *was = sockets_spec_of(engine->config->config, socket);
	const struct config_item *old_list, *new_list;
	size_t n_old, n_new;

	if (was == NULL || wanted == NULL)
		return;
	if (strcmp(was->name, wanted->name) != 0)
		add_change(&(struct version_difference){.what = "name",
							.how = "changed",
							.from = was->name,
							.to = wanted->name,
							.effect = DIFF_UPDATE},
			   list);
	old_list = config_socket_items(engine->config->config, was->name, &n_old);
	new_list = config_socket_items(config, wanted->name, &n_new);
	version_each_setting(old_list, n_old, new_list, n_new, add_change, list);
}

static void tell_socket(const char *action, struct list *list, struct buf *text)
{
	if (strcmp(action, "open") == 0)
		buf_add_str(text, "is opened");
	else if (strcmp(action, "take") == 0)
		buf_add_str(text, "is taken over from another instance, which is not asked before");
	else if (strcmp(action, "close") == 0)
		buf_add_str(text, "is closed");
	else if (strcmp(action, "let-go") == 0)
		buf_add_str(text, "is let go of: others hold it too");
	else if (list->text.len > 0)
		buf_printf(text, "%s: it stays open", buf_text(&list->text));
	else
		buf_add_str(text, "nothing differs");
}

static json_t *plan_socket(const struct engine *engine, const struct engine_socket *socket,
			   bool *ret_differs)
{
	const struct socket_spec *wanted =
	    sockets_spec_of(engine->undertaking.config->config, socket);
	const char *action = socket_action(engine, socket, wanted);
	bool kept = strcmp(action, "keep") == 0;
	struct list list = {.changes = json_array()};
	char address[LISTENER_TEXT_MAX];
	cleanup_buf struct buf text = {0};
	json_t *object;

	if (kept)
		compare_settings(engine, socket, wanted, &list);
	join(&list);
	tell_socket(action, &list, &text);
	if (!kept || list.text.len > 0)
		*ret_differs = true;
	if (kept && list.text.len > 0)
		action = "update";
	buf_free(&list.text);
	object = json_pack(
	    "{s:o, s:o, s:s, s:s, s:o, s:o}", "name",
	    api_json_text(wanted != NULL ? wanted->name : socket->name), "slot",
	    socket->slots != NULL ? json_integer(socket->slot) : json_null(), "address",
	    socket->listener.fd >= 0
		? listener_describe(&socket->listener, address, sizeof(address))
		: socket->identity,
	    "action", action, "changes", list.changes, "message", api_json_text(buf_text(&text)));
	return object;
}

static json_t *plan_sockets(const struct engine *engine, bool *ret_differs)
{
	json_t *sockets = json_array();

	for (const struct engine_socket *socket = engine->sockets; socket != NULL;
	     socket = socket->next)
		if (!socket->closing)
			json_array_append_new(sockets, plan_socket(engine, socket, ret_differs));
	return sockets;
}

/* ---- the whole ---- */

static json_t *plan_supervisor(const struct engine *engine, struct buf *text, bool *ret_differs)
{
	size_t n_old, n_new;
	const struct config_item *old_list =
	    config_supervisor_items(engine->config->config, &n_old);
	const struct config_item *new_list =
	    config_supervisor_items(engine->undertaking.config->config, &n_new);
	struct list list = {.changes = json_array()};

	*ret_differs |= version_each_setting(old_list, n_old, new_list, n_new, add_change, &list);
	join(&list);
	buf_add_str(text, buf_text(&list.text));
	buf_free(&list.text);
	return list.changes;
}

static json_t *plan_failed(const struct engine *engine)
{
	const struct undertaking *undertaking = &engine->undertaking;
	cleanup_buf struct buf text = {0};

	outcome_tell_refusal(&undertaking->problems, undertaking->refusal, &text);
	return json_pack("{s:s, s:o, s:o, s:o}", "would", "fail", "message",
			 api_json_text(buf_text(&text)), "problems",
			 api_json_problems(&undertaking->problems), "remarks",
			 api_json_lines(&undertaking->remarks));
}

void api_json_plan(const struct engine *engine, bool good, struct buf *out)
{
	bool differs = engine->undertaking.settings;
	cleanup_buf struct buf settings = {0};
	json_t *pools, *sockets, *supervisor;

	if (!good) {
		api_json_write(plan_failed(engine), out);
		return;
	}
	pools = plan_pools(engine, &differs);
	sockets = plan_sockets(engine, &differs);
	supervisor = plan_supervisor(engine, &settings, &differs);
	api_json_write(json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "would",
				 differs ? "change" : "nothing", "message",
				 differs ? "reload --changed would do this" : "nothing differs",
				 "pools", pools, "sockets", sockets, "supervisor", supervisor,
				 "settings", api_json_text(buf_text(&settings)), "problems",
				 api_json_problems(&engine->undertaking.problems), "remarks",
				 api_json_lines(&engine->undertaking.remarks)),
		       out);
}
