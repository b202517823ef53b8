/* wishes.c - what operators ask for: those that wait, and their answers. */
#include <stdlib.h>
#include <string.h>

#include "engine/events.h"
#include "engine/wishes_internal.h"

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
		log_notice("%s asked for by %s, refused: no reload %s", wish_kind_name(wish->kind),
			   wish->by, wish->kind == WISH_ABORT ? "runs or is held" : "is held");
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

/* ---- when their transaction has ended, or is held ---- */

/* Those for whom nobody waits are through when their transaction is. */
void wishes_end_silent(struct engine *engine)
{
	struct wish *next;

	for (struct wish *wish = engine->wishes; wish != NULL; wish = next) {
		next = wish->next;
		if (wish->running && wish->done == NULL)
			wish_remove(engine, wish);
	}
}

/* Those that wait behind it, with nobody to be told: they would wait for a person. */
void wishes_drop_silent(struct engine *engine)
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
