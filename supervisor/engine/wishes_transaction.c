/* wishes_transaction.c - a wish is carried out: begun, committed, undone or held. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "engine/canary.h"
#include "engine/channel.h"
#include "engine/control.h"
#include "engine/events.h"
#include "engine/failures.h"
#include "engine/giving.h"
#include "engine/manager.h"
#include "engine/output.h"
#include "engine/prepare_internal.h"
#include "engine/reloads.h"
#include "engine/sockets.h"
#include "engine/stores.h"
#include "engine/taking.h"
#include "engine/versions.h"
#include "engine/wishes_internal.h"

static void undertaking_begin(struct engine *engine, uint64_t number, enum wish_kind kind,
			      const char *by)
{
	engine->undertaking = (struct undertaking){
	    .running = true,
	    .number = number,
	    .kind = kind,
	    .by = by != NULL ? strdup(by) : NULL,
	    .since = clock_now(),
	};
}

static void undertaking_end(struct engine *engine)
{
	struct undertaking *undertaking = &engine->undertaking;

	takings_end(engine);
	config_ref_put(undertaking->config);
	free(undertaking->by);
	free(undertaking->refusal);
	free(undertaking->decided_by);
	outcome_free(undertaking->held);
	canaries_end(engine);
	buf_free(&undertaking->remarks);
	config_problems_free(&undertaking->problems);
	*undertaking = (struct undertaking){.number = undertaking->number};
}

/* Its configuration is read (r), and what other instances are to give us is there. */
static void wishes_prepare(struct engine *engine, const struct wish *wish, int r)
{
	if (r == 0)
		r = prepare_wish(engine, wish);
	if (r < 0) {
		prepare_undo(engine);
		engine_post(engine, &(struct core_event){.kind = EVENT_PREPARE_FAILED});
		return;
	}
	events_tell(engine,
		    HAPPENING("reload-started", LOG_LEVEL_NOTICE, .id = engine->undertaking.number,
			      .kind = wish_kind_name(wish->kind), .by = wish->by),
		    "%s %llu begins (%s)", wish_kind_name(wish->kind),
		    (unsigned long long)engine->undertaking.number, wish->by);
	reloads_prepared(engine);
	engine_post(engine, &(struct core_event){.kind = EVENT_PREPARED,
						 .changes = engine->undertaking.changes});
}

/* Callers may have gone meanwhile, but their wish stays until its transaction has ended. */
static void wishes_go_on(struct engine *engine)
{
	for (struct wish *wish = engine->wishes; wish != NULL; wish = wish->next)
		if (wish->running) {
			wishes_prepare(engine, wish, 0);
			return;
		}
}

void wishes_begin(struct engine *engine, uint64_t number, uint64_t join)
{
	const struct wish *first = NULL;
	int r;

	for (struct wish *wish = engine->wishes; wish != NULL; wish = wish->next)
		if (!wish->running && wish->join == join) {
			wish->running = true;
			wish->number = number;
			first = wish;
		}
	if (first == NULL) { /* all of its callers went away, and wanted it ended then */
		undertaking_begin(engine, number, WISH_RELOAD, "nobody");
		reloads_begin(engine, NULL);
		engine_post(engine, &(struct core_event){.kind = EVENT_PREPARE_FAILED});
		return;
	}
	undertaking_begin(engine, number, first->kind, first->by);
	reloads_begin(engine, first);
	manager_reloading(engine);
	r = prepare_read(engine, first);
	if (r == 0 && prepare_take(engine, first, wishes_go_on))
		return;
	wishes_prepare(engine, first, r);
}

int wishes_plan(struct engine *engine, void (*tell)(struct engine *engine, int r, void *arg),
		void *arg)
{
	const struct wish wish = {.kind = WISH_RELOAD, .slot = CORE_NONE, .changed = true};
	int r;

	if (engine->undertaking.running)
		return -EBUSY;
	undertaking_begin(engine, engine->undertaking.number, WISH_RELOAD, NULL);
	engine->undertaking.dry = true;
	r = prepare_read(engine, &wish);
	if (r == 0)
		r = prepare_wish(engine, &wish);
	tell(engine, r, arg);
	prepare_undo(engine);
	undertaking_end(engine);
	return 0;
}

int wishes_start(struct engine *engine, struct config_ref *config)
{
	int r;

	undertaking_begin(engine, 1, WISH_RELOAD, "start");
	engine->undertaking.start = true;
	reloads_begin(engine, NULL);
	r = prepare_start(engine, config);
	if (r < 0) {
		log_error("cannot start: %s", engine->undertaking.refusal != NULL
						  ? engine->undertaking.refusal
						  : strerror(-r));
		prepare_undo(engine);
		undertaking_end(engine);
		return r;
	}
	engine->config = config_ref_get(config);
	sockets_commit(engine, config->config);
	reloads_prepared(engine);
	engine_post(engine, &(struct core_event){.kind = EVENT_START,
						 .changes = engine->undertaking.changes});
	return 0;
}

/* Not worth undoing what serves already; but whoever asked must hear of it. */
static void wishes_remark(struct engine *engine, const char *key, const char *error)
{
	buf_printf(&engine->undertaking.remarks,
		   "supervisor: %s could not be applied: %s; keeping the former one\n", key,
		   error != NULL ? error : "out of memory");
}

/* The supervisor's own keys, from a configuration that is the instance's now. */
static void wishes_apply_supervisor(struct engine *engine)
{
	const struct supervisor_spec *spec = &engine->config->config->supervisor;
	char *error = NULL;

	log_setup(spec->log_level, spec->log_format);
	outputs_set_format(engine, spec->log_format);
	engine->model->lame_duck = spec->lame_duck;
	if (control_set_status_listen(engine, spec, &error) < 0)
		wishes_remark(engine, "status_listen", error);
	free(TAKE_PTR(error));
	if (control_set_group(engine, spec, &error) < 0)
		wishes_remark(engine, "operator_group", error);
	free(TAKE_PTR(error));
	if (giving_set_group(engine, spec, &error) < 0)
		wishes_remark(engine, "operator_group", error);
	free(error);
}

static void wishes_commit_pool(struct engine *engine, uint32_t p, struct version **ret_former)
{
	struct pool_runtime *runtime = &engine->pools[p];
	struct version *old = runtime->current;

	*ret_former = NULL;
	if (runtime->next == NULL)
		return;
	*ret_former = runtime->current;
	runtime->current = TAKE_PTR(runtime->next);
	failures_forget(engine, runtime->current);
	if (engine->undertaking.kind == WISH_RELOAD)
		runtime->rolled_back = false;
	if (engine->undertaking.kind == WISH_ROLLBACK)
		rollback_commit(engine, p, old);
	else if (old != NULL && old->generation != runtime->current->generation)
		rollback_keep(runtime, old);
}

/* Sockets that are left out are closed to new clients first; then workers take the rest of their
 * queues, and let go. */
static void wishes_tell_sockets(struct engine *engine, struct version **formers)
{
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++) {
		if (engine->undertaking.changes[p].kind == CHANGE_SOCKETS && formers[p] != NULL)
			channels_commit(engine, p, formers[p]);
		version_unref(formers[p]);
	}
	sockets_wait_for_workers(engine);
}

void wishes_commit(struct engine *engine)
{
	struct undertaking *undertaking = &engine->undertaking;
	struct version *formers[CORE_POOLS_MAX] = {NULL};

	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++)
		if (undertaking->changes[p].kind != CHANGE_NONE)
			wishes_commit_pool(engine, p, &formers[p]);
	if (undertaking->whole && !undertaking->start) {
		config_ref_put(engine->config);
		engine->config = config_ref_get(undertaking->config);
		wishes_apply_supervisor(engine);
	}
	stores_commit(engine);
	if (undertaking->kind == WISH_RELOAD && !undertaking->start)
		sockets_commit(engine, undertaking->config->config);
	else if (undertaking->kind == WISH_SCALE || undertaking->kind == WISH_ROLLBACK)
		sockets_commit(engine, NULL);
	wishes_tell_sockets(engine, formers);
	outcome_free(engine->last_outcome);
	engine->last_outcome = NULL;
	outcome_tell(engine, outcome_committed(engine));
	undertaking_end(engine);
	wishes_end_silent(engine);
}

/* Others had no chance to show what they are. */
static void wishes_remember(struct engine *engine, uint32_t p, const struct outcome *outcome)
{
	const struct version *version = engine->pools[p].next;
	enum change_kind kind = engine->undertaking.changes[p].kind;

	if (version != NULL && (kind == CHANGE_ROLL || kind == CHANGE_ADD) && outcome != NULL &&
	    outcome->blame != NULL && (outcome->blamed == CORE_NONE || outcome->blamed == p) &&
	    outcome->kind != WISH_RESTART)
		failures_add(engine, version, outcome->blame);
}

void wishes_undo(struct engine *engine, const struct order *order)
{
	struct outcome *outcome = outcome_failed(engine, order);

	channels_undo(engine);
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++) {
		struct pool_runtime *runtime = &engine->pools[p];

		if (engine->model->pools[p].rollout.canary > 0 &&
		    !engine->model->pools[p].rollout.gate_open && runtime->next != NULL &&
		    order->cause != CAUSE_STOPPING)
			runtime->canaries_bad++;
		wishes_remember(engine, p, outcome);
		/* a pool that was to be added is on its way out: somebody may still want to know
		 * what it was */
		if (runtime->next != NULL && runtime->current == NULL)
			runtime->limbo = TAKE_PTR(runtime->next);
		version_unref(runtime->next);
		runtime->next = NULL;
	}
	stores_undo(engine);
	if (!engine->undertaking.start)
		sockets_undo(engine);
	outcome_tell(engine, outcome);
	undertaking_end(engine);
	wishes_end_silent(engine);
}

void wishes_hold(struct engine *engine, const struct order *order)
{
	struct undertaking *undertaking = &engine->undertaking;
	const char *kind = wish_kind_name(undertaking->kind);

	undertaking->held_since = clock_now();
	undertaking->hold_timeout = order->usec;
	undertaking->held = outcome_held(engine);
	events_tell(engine,
		    HAPPENING("reload-held", LOG_LEVEL_NOTICE, .id = undertaking->number,
			      .kind = kind, .by = undertaking->by,
			      .deadline_ms = (long long)(order->usec / USEC_PER_MSEC)),
		    "%s",
		    undertaking->held != NULL && undertaking->held->message != NULL
			? undertaking->held->message
			: "the reload is held, to be promoted or aborted");
	wishes_drop_silent(engine);
}
