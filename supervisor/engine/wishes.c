/* wishes.c - what operators ask for, from the asking to the answer. */
#include "engine/wishes.h"

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

static void wish_free(struct wish *wish)
{
	free(wish->pool);
	free(wish->by);
	free(wish->unit);
	free(wish);
}

static void wish_remove(struct engine *engine, struct wish *wish)
{
	for (struct wish **link = &engine->wishes; *link != NULL; link = &(*link)->next)
		if (*link == wish) {
			*link = wish->next;
			wish_free(wish);
			return;
		}
}

void wishes_free(struct engine *engine)
{
	while (engine->wishes != NULL)
		wish_remove(engine, engine->wishes);
}

static struct wish *wish_find(struct engine *engine, uint64_t id)
{
	for (struct wish *wish = engine->wishes; wish != NULL; wish = wish->next)
		if (wish->id == id)
			return wish;
	return NULL;
}

static bool wish_is_same(const struct wish *a, const struct wish *b)
{
	if (a->kind != b->kind || a->changed != b->changed || a->slot != b->slot ||
	    a->workers != b->workers)
		return false;
	if (a->pool == NULL || b->pool == NULL)
		return a->pool == b->pool;
	return strcmp(a->pool, b->pool) == 0;
}

/* One that waits for the same: it can be answered by one transaction. */
static struct wish *wish_find_queued(struct engine *engine, const struct wish *like)
{
	for (struct wish *wish = engine->wishes; wish != NULL; wish = wish->next)
		if (!wish->running && wish_is_same(wish, like))
			return wish;
	return NULL;
}

/* The answer, once; afterwards the wish is gone. */
static void wish_grant(struct engine *engine, struct wish *wish, const struct outcome *outcome)
{
	void (*done)(void *, const struct outcome *) = wish->done;
	void *arg = wish->arg;

	wish_remove(engine, wish);
	if (done != NULL)
		done(arg, outcome);
}

uint64_t engine_wish(struct engine *engine, struct wish *wish)
{
	bool stops = instance_is_stopping(engine->model);
	bool held = engine->model->transaction.state == TRANSACTION_HELD;
	struct wish *queued = stops || held ? NULL : wish_find_queued(engine, wish);
	uint64_t id = wish->done != NULL ? ++engine->wish_ids : 0;
	struct core_event event = {.kind = EVENT_REQUEST};

	events_tell(engine,
		    HAPPENING("reload-queued", LOG_LEVEL_NOTICE, .kind = wish_kind_name(wish->kind),
			      .by = wish->by),
		    "%s%s%s asked for by %s%s", wish_kind_name(wish->kind),
		    wish->pool != NULL ? " of pool " : "", wish->pool != NULL ? wish->pool : "",
		    wish->by,
		    stops	     ? ", refused: the instance stops"
		    : held	     ? ", refused: a reload is held, to be promoted or aborted"
		    : queued != NULL ? ", joins the one that waits"
		    : engine->undertaking.running ? ", waits for the one that runs"
						  : "");
	if (id == 0 && (queued != NULL || stops || held)) {
		wish_free(wish);
		return 0;
	}
	wish->id = id;
	wish->join = queued != NULL ? queued->join : ++engine->joins;
	wish->running = false;
	wish->asked_at = clock_now();
	wish->next = engine->wishes;
	engine->wishes = wish;
	event.request = (struct request){
	    .id = id,
	    .join = wish->join,
	    .wait_drained = wish->wait_drained,
	    .abort_on_disconnect = wish->abort_on_disconnect,
	};
	engine_post(engine, &event);
	return id;
}

uint64_t engine_decide(struct engine *engine, struct wish *wish)
{
	struct undertaking *undertaking = &engine->undertaking;
	struct core_event event = {.kind =
				       wish->kind == WISH_PROMOTE ? EVENT_PROMOTE : EVENT_ABORT};
	bool held = engine->model->transaction.state == TRANSACTION_HELD;
	uint64_t id = ++engine->wish_ids;

	wish->running =
	    held || (wish->kind == WISH_ABORT && undertaking->running && !undertaking->start);
	if (wish->running) {
		free(undertaking->decided_by);
		undertaking->decided_by = wish->by != NULL ? strdup(wish->by) : NULL;
		events_tell(
		    engine,
		    HAPPENING(wish->kind == WISH_PROMOTE ? "reload-promoted" : "reload-aborted",
			      LOG_LEVEL_NOTICE, .id = undertaking->number,
			      .kind = wish_kind_name(undertaking->kind), .by = wish->by),
		    "%s %llu is %s by %s", wish_kind_name(undertaking->kind),
		    (unsigned long long)undertaking->number,
		    wish->kind == WISH_PROMOTE ? "promoted" : "aborted", wish->by);
	} else {
		log_notice("%s asked for by %s, refused: no reload is held",
			   wish_kind_name(wish->kind), wish->by);
	}
	wish->id = id;
	wish->number = undertaking->number;
	wish->asked_at = clock_now();
	wish->next = engine->wishes;
	engine->wishes = wish;
	event.request = (struct request){
	    .id = id,
	    .wait_drained = wish->wait_drained,
	    .abort_on_disconnect = wish->abort_on_disconnect,
	};
	engine_post(engine, &event);
	return id;
}

void engine_forget(struct engine *engine, uint64_t id)
{
	struct wish *wish = id != 0 ? wish_find(engine, id) : NULL;
	bool over;

	if (wish == NULL)
		return;
	log_notice("%s: the caller (%s) went away%s", wish_kind_name(wish->kind), wish->by,
		   wish->abort_on_disconnect ? ", and it was to be ended in that case"
					     : "; it goes on without");
	wish->done = NULL;
	over = wish->running ? !engine->undertaking.running : wish->abort_on_disconnect;
	if (over)
		wish_remove(engine, wish);
	else if (!wish->running)
		wish->id = 0;
	engine_post(engine, &(struct core_event){.kind = EVENT_CALLER_GONE, .request = {.id = id}});
}

/* ---- the transaction ---- */

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

/* Those for whom nobody waits are through when their transaction is. */
static void wishes_end_silent(struct engine *engine)
{
	struct wish *next;

	for (struct wish *wish = engine->wishes; wish != NULL; wish = next) {
		next = wish->next;
		if (wish->running && wish->done == NULL)
			wish_remove(engine, wish);
	}
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

/* Those that wait behind it, with nobody to be told: they would wait for a person. */
static void wishes_drop_silent(struct engine *engine)
{
	struct wish *next;

	for (struct wish *wish = engine->wishes; wish != NULL; wish = next) {
		next = wish->next;
		if (wish->running || wish->done != NULL)
			continue;
		log_notice("%s asked for by %s, refused: a reload is held, to be promoted or "
			   "aborted",
			   wish_kind_name(wish->kind), wish->by);
		wish_remove(engine, wish);
	}
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

void wishes_answer(struct engine *engine, const struct order *order)
{
	struct wish *wish = wish_find(engine, order->id);
	struct outcome *outcome = engine->last_outcome;
	bool begun = wish != NULL && wish->running;

	if (wish == NULL)
		return;
	if (order->result == RESULT_COMMITTED && wish->wait_drained)
		return; /* the drains are waited for */
	if (order->result == RESULT_DRAINED)
		events_tell(engine,
			    HAPPENING("reload-drained", LOG_LEVEL_NOTICE, .id = order->number,
				      .by = wish->by),
			    "%s: the last old worker is gone", wish_kind_name(wish->kind));
	if (order->result == RESULT_HELD)
		outcome = engine->undertaking.held;
	if (order->result == RESULT_BUSY || order->result == RESULT_REFUSED ||
	    order->result == RESULT_NOT_HELD || (order->result == RESULT_STOPPING && !begun) ||
	    outcome == NULL)
		outcome = outcome_refused(engine, wish, order->result);
	else
		outcome->refs++;
	wish_grant(engine, wish, outcome);
	outcome_free(outcome);
}
