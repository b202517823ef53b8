/* outcome.c - what became of a transaction, in one sentence: what happened, to whom, and what goes
 * on serving. */
#include <stdlib.h>
#include <string.h>

#include "engine/canary.h"
#include "engine/events.h"
#include "engine/outcome_internal.h"
#include "engine/reloads.h"
#include "engine/wishes.h"

/* Pools that a sentence names before it says "and N more". */
#define OUTCOME_POOLS_MAX 8

const char *wish_kind_name(enum wish_kind kind)
{
	switch (kind) {
	case WISH_RELOAD:
		return "reload";
	case WISH_RESTART:
		return "restart";
	case WISH_SCALE:
		return "scale";
	case WISH_PROMOTE:
		return "promote";
	case WISH_ABORT:
		return "abort";
	case WISH_ROLLBACK:
		return "rollback";
	}
	return "?";
}

void outcome_free(struct outcome *outcome)
{
	if (outcome == NULL || --outcome->refs > 0)
		return;
	free(outcome->message);
	free(outcome->blame);
	free(outcome->by);
	free(outcome->culprit_pool);
	config_problems_free(&outcome->problems);
	buf_free(&outcome->lines);
	buf_free(&outcome->remarks);
	free(outcome);
}

static const char *outcome_kind(const struct undertaking *undertaking)
{
	return undertaking->start ? "start" : wish_kind_name(undertaking->kind);
}

static struct outcome *outcome_new(struct engine *engine, enum result result)
{
	struct undertaking *undertaking = &engine->undertaking;
	struct outcome *outcome = calloc(1, sizeof(*outcome));

	if (outcome == NULL)
		return NULL;
	*outcome = (struct outcome){
	    .refs = 1,
	    .id = undertaking->number,
	    .kind = undertaking->kind,
	    .result = result,
	    .by = undertaking->by != NULL ? strdup(undertaking->by) : NULL,
	    .duration = usec_sub(clock_now(), undertaking->since),
	    .finished_wall = clock_wall(),
	    .problems = undertaking->problems,
	    .remarks = undertaking->remarks,
	};
	undertaking->problems = (struct config_problems){0};
	undertaking->remarks = (struct buf){0};
	return outcome;
}

/* One pool's part of "committed: ...". */
static void outcome_pool(struct engine *engine, uint32_t p, struct buf *text)
{
	const struct pool_change *change = &engine->undertaking.changes[p];
	const struct pool *pool = &engine->model->pools[p];
	const char *name = engine->pools[p].name;

	switch (change->kind) {
	case CHANGE_NONE:
		break;
	case CHANGE_UPDATE:
		buf_printf(text, "pool %s: new settings, the workers stay", name);
		break;
	case CHANGE_SOCKETS:
		buf_printf(text, "pool %s: other sockets, the workers stay", name);
		break;
	case CHANGE_SCALE:
		buf_printf(text, "pool %s: %u worker%s", name, pool->size,
			   outcome_plural(pool->size));
		break;
	case CHANGE_ROLL:
	case CHANGE_ADD:
		if (!pool->ready_once) {
			buf_printf(text, "pool %s: still starting (on_start_failure = retry)",
				   name);
			break;
		}
		buf_printf(text, "pool %s: generation %u serves with %u worker%s", name,
			   pool->generation, pool->size, outcome_plural(pool->size));
		break;
	case CHANGE_SLOT:
		buf_printf(text, "pool %s: slot %u has a new worker", name, change->slot);
		break;
	case CHANGE_REMOVE:
		buf_printf(text, "pool %s: removed, %u worker%s drain", name, pool->live,
			   outcome_plural(pool->live));
		break;
	}
}

struct outcome *outcome_committed(struct engine *engine)
{
	struct outcome *outcome = outcome_new(engine, RESULT_COMMITTED);
	struct buf text = {0};
	uint32_t told = 0, more = 0;

	if (outcome == NULL)
		return NULL;
	buf_printf(&text, "%s %llu committed", outcome_kind(&engine->undertaking),
		   (unsigned long long)outcome->id);
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++) {
		if (engine->undertaking.changes[p].kind == CHANGE_NONE)
			continue;
		if (told == OUTCOME_POOLS_MAX) {
			more++;
			continue;
		}
		buf_add_str(&text, told++ == 0 ? ": " : "; ");
		outcome_pool(engine, p, &text);
	}
	if (more > 0)
		buf_printf(&text, "; and %u more pool%s", more, outcome_plural(more));
	if (told == 0)
		buf_add_str(&text, engine->undertaking.settings
				       ? ": new settings, no worker was touched"
				       : ": nothing had changed, nothing was touched");
	outcome->message = text.data;
	return outcome;
}

/* ---- a person is to decide ---- */

static void outcome_canary(struct engine *engine, uint32_t p, struct buf *text)
{
	const struct pool *pool = &engine->model->pools[p];
	uint32_t n = pool->rollout.batch_end - pool->rollout.begin;

	buf_printf(text, "pool %s: %u canar%s of generation %u serve%s beside generation %u; ",
		   engine->pools[p].name, n, n == 1 ? "y" : "ies", pool->rollout.generation,
		   n == 1 ? "s" : "", pool->generation);
}

struct outcome *outcome_held(struct engine *engine)
{
	struct outcome *outcome = outcome_new(engine, RESULT_HELD);
	struct buf text = {0};
	char until[32];

	if (outcome == NULL)
		return NULL;
	buf_printf(&text, "%s %llu is held: ", outcome_kind(&engine->undertaking),
		   (unsigned long long)outcome->id);
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++)
		if (engine->undertaking.changes[p].kind == CHANGE_ROLL &&
		    engine->model->pools[p].rollout.canary > 0)
			outcome_canary(engine, p, &text);
	buf_printf(&text, "promote or abort it before %s, or it is aborted then",
		   canary_until(engine, until));
	outcome->message = text.data;
	return outcome;
}

/* ---- failure ---- */

/* What somebody at night wants to know next: is anybody serving? */
static void outcome_tell_rest(struct engine *engine, struct buf *text)
{
	uint32_t told = 0;

	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++) {
		const struct pool *pool = &engine->model->pools[p];

		if (pool->state != POOL_ACTIVE || engine->pools[p].current == NULL)
			continue;
		if (told++ == OUTCOME_POOLS_MAX) {
			buf_add_str(text, "; and more");
			return;
		}
		buf_printf(text, "%s pool %s generation %u with %u of %u worker%s%s",
			   told == 1 ? "; still serving:" : ",", engine->pools[p].name,
			   pool->generation, pool->counts[WORKER_SERVING], pool->size,
			   outcome_plural(pool->size),
			   pool_going_back(pool) > 0 ? " (being restored)" : "");
	}
}

/* As it is told of the version later, where nobody knows which reload it was. */
static char *outcome_tell_abort(const struct engine *engine)
{
	const struct undertaking *undertaking = &engine->undertaking;
	struct buf text = {0};

	buf_printf(&text, "%s %llu was aborted (%s)", wish_kind_name(undertaking->kind),
		   (unsigned long long)undertaking->number,
		   undertaking->decided_by != NULL ? undertaking->decided_by : "somebody");
	return text.data;
}

struct outcome *outcome_failed(struct engine *engine, const struct order *order)
{
	enum result result = order->cause == CAUSE_CALLER_GONE	  ? RESULT_ABORTED
			     : order->cause == CAUSE_ABORTED	  ? RESULT_ABORTED
			     : order->cause == CAUSE_HOLD_TIMEOUT ? RESULT_ABORTED
			     : order->cause == CAUSE_STOPPING	  ? RESULT_STOPPING
								  : RESULT_FAILED;
	struct outcome *outcome = outcome_new(engine, result);
	struct buf text = {0};
	size_t at;

	if (outcome == NULL)
		return NULL;
	outcome->configuration = order->cause == CAUSE_PREPARE && outcome->problems.errors > 0;
	buf_printf(&text, "%s %llu %s: ", outcome_kind(&engine->undertaking),
		   (unsigned long long)outcome->id,
		   result == RESULT_ABORTED ? "aborted" : "failed");
	at = text.len;
	outcome_tell_cause(engine, order, outcome, &text);
	if (outcome_is_versions_fault(engine, order)) {
		outcome->blame = order->cause == CAUSE_ABORTED ? outcome_tell_abort(engine)
							       : strdup(buf_text(&text) + at);
		outcome->blamed = order->cause == CAUSE_ABORTED ? CORE_NONE : order->worker.pool;
	}
	if (!engine->undertaking.start && order->cause != CAUSE_STOPPING)
		outcome_tell_rest(engine, &text);
	outcome->message = text.data;
	return outcome;
}

struct outcome *outcome_refused(struct engine *engine, const struct wish *wish, enum result result)
{
	struct outcome *outcome = calloc(1, sizeof(*outcome));
	const char *why = "the instance stops";
	char held[160], until[32];

	if (outcome == NULL)
		return NULL;
	if (result == RESULT_BUSY)
		why = "too many requests wait already";
	else if (result == RESULT_NOT_HELD)
		why = wish->kind == WISH_ABORT ? "no reload runs or is held" : "no reload is held";
	else if (result == RESULT_REFUSED) {
		snprintf(held, sizeof(held),
			 "%s %llu is held; promote or abort it first, or wait until %s",
			 wish_kind_name(engine->undertaking.kind),
			 (unsigned long long)engine->undertaking.number,
			 canary_until(engine, until));
		why = held;
	}
	*outcome = (struct outcome){
	    .refs = 1,
	    .kind = wish->kind,
	    .result = result,
	    .by = wish->by != NULL ? strdup(wish->by) : NULL,
	    .finished_wall = clock_wall(),
	};
	if (asprintf(&outcome->message, "%s refused: %s", wish_kind_name(wish->kind), why) == -1)
		outcome->message = NULL;
	return outcome;
}

/* Every line of a text of several, as a line of the log of its own. */
static void outcome_tell_lines(const struct outcome *outcome, enum log_level level,
			       const char *prefix, const struct buf *lines)
{
	const char *line = lines->data, *end;
	struct log_about about = LOG_ABOUT_NOTHING;

	about.pool = outcome->culprit_pool;
	for (; line != NULL && *line != '\0'; line = *end == '\n' ? end + 1 : end) {
		end = strchrnul(line, '\n');
		log_line(level, &about, "  %s%.*s", prefix, (int)(end - line), line);
	}
}

void outcome_tell(struct engine *engine, struct outcome *outcome)
{
	bool good = outcome != NULL && outcome->result == RESULT_COMMITTED;
	const char *kind = outcome_kind(&engine->undertaking);
	struct buf problems = {0};

	if (outcome == NULL) {
		reloads_ended(engine, NULL);
		log_error("out of memory: what became of %s %llu cannot be told", kind,
			  (unsigned long long)engine->undertaking.number);
		return;
	}
	events_tell(engine,
		    HAPPENING(good ? "reload-committed" : "reload-failed",
			      good ? LOG_LEVEL_NOTICE : LOG_LEVEL_ERROR, .id = outcome->id,
			      .kind = kind, .by = outcome->by,
			      .after_ms = (long long)(outcome->duration / USEC_PER_MSEC)),
		    "%s", outcome->message != NULL ? outcome->message : kind);
	reloads_ended(engine, outcome);
	config_problems_print(&outcome->problems, &problems);
	outcome_tell_lines(outcome, LOG_LEVEL_ERROR, "", &problems);
	outcome_tell_lines(outcome, LOG_LEVEL_ERROR, "its last output: ", &outcome->lines);
	outcome_tell_lines(outcome, LOG_LEVEL_NOTICE, "", &outcome->remarks);
	buf_free(&problems);
	outcome_free(engine->last_outcome);
	engine->last_outcome = NULL;
	if (engine->undertaking.start) { /* nobody had asked for it */
		outcome_free(outcome);
		return;
	}
	engine->last_outcome = outcome;
	if (outcome->kind != WISH_RELOAD)
		return;
	engine->outcomes[outcome->result]++;
	engine->last_reload_wall = outcome->finished_wall;
	engine->last_reload_good = good;
	engine->last_reload_duration = outcome->duration;
}
