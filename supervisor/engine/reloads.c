/* reloads.c - what is remembered of each transaction, and the accept queues meanwhile. */
#include "engine/reloads.h"

#include <stdio.h>

#include "engine/history.h"
#include "engine/wishes.h"

/* Queues are looked at when something happens anyway, but not more often than this, and not for
 * longer than that. */
#define RELOADS_SAMPLE_EVERY (5 * USEC_PER_MSEC)
#define RELOADS_SAMPLE_MAX   (2 * USEC_PER_MSEC)

/* ---- queues ---- */

static void sample_socket(struct engine *engine, const struct engine_socket *socket)
{
	struct history *history = &engine->history;
	unsigned waiting, limit;

	if (socket->closing || socket->listener.fd < 0 ||
	    listener_queue(&socket->listener, &waiting, &limit) < 0)
		return;
	for (unsigned i = 0; i < history->n; i++)
		if (history_is_open(history->list[i]))
			history_queue(history->list[i], socket->name, waiting, limit);
}

static bool is_any_open(const struct history *history)
{
	for (unsigned i = history->n; i > 0; i--)
		if (history_is_open(history->list[i - 1]))
			return true;
	return false;
}

static void sample(struct engine *engine, bool now_surely)
{
	usec_t now = clock_now();
	const struct engine_socket *socket;

	if ((!now_surely && now - engine->queues_seen_at < RELOADS_SAMPLE_EVERY) ||
	    !is_any_open(&engine->history))
		return;
	engine->queues_seen_at = now;
	for (socket = engine->sockets; socket != NULL && clock_now() - now < RELOADS_SAMPLE_MAX;
	     socket = socket->next)
		sample_socket(engine, socket);
}

/* ---- the transaction ---- */

void reloads_describe(const struct wish *wish, struct buf *out)
{
	if (wish->pool == NULL)
		buf_add_str(out, wish->changed ? "what has changed" : "all pools");
	else
		buf_printf(out, "pool %s", wish->pool);
	if (wish->pool != NULL && wish->changed)
		buf_add_str(out, " if it has changed");
	if (wish->kind == WISH_RESTART && wish->slot != CORE_NONE)
		buf_printf(out, " slot %u", wish->slot);
	if (wish->kind == WISH_SCALE)
		buf_printf(out, " to %u worker%s", wish->workers, wish->workers == 1 ? "" : "s");
}

/* The oldest of those that it answers stands at the end of the list. */
static const struct wish *oldest(const struct engine *engine, unsigned *ret_callers)
{
	const struct wish *found = NULL;

	*ret_callers = 0;
	for (const struct wish *wish = engine->wishes; wish != NULL; wish = wish->next)
		if (wish->running && wish->number == engine->undertaking.number) {
			found = wish;
			++*ret_callers;
		}
	return found;
}

void reloads_begin(struct engine *engine, const struct wish *first)
{
	const struct undertaking *undertaking = &engine->undertaking;
	struct buf what = {0};
	struct history_begin begin = {
	    .number = undertaking->number,
	    .kind = undertaking->start ? "start" : wish_kind_name(undertaking->kind),
	    .by = undertaking->by,
	    .asked = clock_wall(),
	};

	if (first != NULL)
		first = oldest(engine, &begin.callers);
	if (first != NULL) {
		begin.by = first->by;
		begin.unit = first->unit;
		begin.waited = usec_sub(undertaking->since, first->asked_at);
		begin.asked -= begin.waited;
		reloads_describe(first, &what);
	} else {
		buf_add_str(&what, undertaking->start ? "all pools" : "");
	}
	begin.what = buf_text(&what);
	history_begin(&engine->history, &begin, undertaking->since);
	buf_free(&what);
	sample(engine, true);
}

static struct history_record *present(const struct engine *engine)
{
	return history_find(&engine->history, engine->undertaking.number);
}

void reloads_prepared(struct engine *engine)
{
	struct history_record *record = present(engine);

	if (record != NULL)
		history_prepared(record, clock_now());
}

void reloads_ended(struct engine *engine, const struct outcome *outcome)
{
	struct history_record *record = present(engine);

	if (record == NULL || record->ended != 0)
		return;
	sample(engine, true);
	if (outcome != NULL)
		history_ended(record, outcome->result, outcome->message, clock_now());
	else
		history_ended(record, RESULT_FAILED,
			      "out of memory: what became of it is not known", clock_now());
}

/* ---- its workers ---- */

static struct history_worker describe(const struct proc *proc, usec_t took)
{
	struct history_worker worker = {
	    .slot = proc->slot, .generation = proc->generation, .pid = proc->pid, .took = took};

	snprintf(worker.pool, sizeof(worker.pool), "%s", proc->version->spec->name);
	return worker;
}

void reloads_worker_ready(const struct proc *proc, usec_t took)
{
	struct history_worker worker = describe(proc, took);
	struct history_record *record = NULL;

	sample(proc->engine, false);
	if (proc->start == START_INSTANCE || proc->start == START_RELOAD ||
	    proc->start == START_RESTART || proc->start == START_SCALE ||
	    proc->start == START_ROLLBACK)
		record = history_find(&proc->engine->history, proc->start_number);
	if (record != NULL && record->ended == 0)
		history_ready(record, &worker);
}

static bool is_of_transaction(enum end_reason reason)
{
	switch (reason) {
	case END_RELOAD:
	case END_RESTART:
	case END_SCALE:
	case END_REMOVED:
	case END_UNDO:
		return true;
	case END_NONE:
	case END_STOP:
	case END_CRASH_LOOP:
	case END_START_TIMEOUT:
	case END_WATCHDOG:
	case END_NOT_LIVE:
	case END_OWN_WISH:
		break;
	}
	return false;
}

uint64_t reloads_worker_leaves(const struct proc *proc, enum end_reason reason)
{
	struct history_record *record = present(proc->engine);

	sample(proc->engine, false);
	if (record == NULL || !is_of_transaction(reason))
		return 0;
	history_leaves(record, clock_now());
	return record->number;
}

void reloads_worker_left(const struct proc *proc, uint64_t number, usec_t took)
{
	struct history_record *record = history_find(&proc->engine->history, number);
	struct history_worker worker = describe(proc, took);

	sample(proc->engine, false);
	if (record != NULL)
		history_left(record, &worker, clock_now());
}
