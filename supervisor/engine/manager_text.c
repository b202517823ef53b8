/* manager_text.c - the instance in one line. */
#include <string.h>

#include "engine/canary.h"
#include "engine/manager.h"
#include "engine/wishes.h"

enum { MANAGER_POOLS_NAMED = 4 };

struct census {
	uint32_t serving, starting, leaving, wanted, looping, pools;
	usec_t oldest; /* deadline of the one that leaves next; USEC_INFINITY: killed, or none */
};

static void census_leaving(const struct pool *pool, struct census *census)
{
	for (uint32_t w = 0; w < pool->capacity; w++) {
		const struct worker *worker = &pool->workers[w];

		if ((worker->state == WORKER_DRAINING || worker->state == WORKER_DUMPING) &&
		    worker->deadline < census->oldest)
			census->oldest = worker->deadline;
	}
}

static void census_take(const struct engine *engine, struct census *census)
{
	*census = (struct census){.oldest = USEC_INFINITY};
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++) {
		const struct pool *pool = &engine->model->pools[p];
		uint32_t leaving;

		if (pool->state == POOL_FREE)
			continue;
		leaving = pool->counts[WORKER_DRAINING] + pool->counts[WORKER_DUMPING] +
			  pool->counts[WORKER_KILLED];
		census->serving += pool->counts[WORKER_SERVING];
		census->starting += pool->counts[WORKER_STARTING] + pool->counts[WORKER_HELD];
		census->leaving += leaving;
		census->looping += pool->looping;
		if (pool->state == POOL_ACTIVE) {
			census->pools++;
			census->wanted += pool->size;
		}
		if (leaving > 0)
			census_leaving(pool, census);
	}
}

/* ", generation 7" of the only pool, " (api generation 7, web generation 3)" of a few. */
static void describe_generations(const struct engine *engine, uint32_t pools, struct buf *out)
{
	const char *before = pools == 1 ? ", " : " (";

	if (pools == 0 || pools > MANAGER_POOLS_NAMED)
		return;
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++) {
		const struct pool *pool = &engine->model->pools[p];

		if (pool->state != POOL_ACTIVE)
			continue;
		buf_printf(out, "%s%s%sgeneration %u", before,
			   pools > 1 ? engine->pools[p].name : "", pools > 1 ? " " : "",
			   pool->generation);
		before = ", ";
	}
	if (pools > 1)
		buf_add_str(out, ")");
}

static void describe_leaving(const struct census *census, struct buf *out)
{
	usec_t left = usec_sub(census->oldest, clock_now());

	if (census->leaving == 0)
		return;
	buf_printf(out, "; draining %u", census->leaving);
	if (census->oldest == USEC_INFINITY)
		buf_add_str(out, ", killed");
	else
		buf_printf(out, ", oldest %llu s left",
			   (unsigned long long)((left + USEC_PER_SEC - 1) / USEC_PER_SEC));
}

static void describe_outcome(const struct engine *engine, struct buf *out)
{
	const struct outcome *last = engine->last_outcome;
	char until[32];

	if (engine->model->transaction.state == TRANSACTION_HELD) {
		buf_printf(out, "; %s %llu is held: promote or abort before %s",
			   wish_kind_name(engine->undertaking.kind),
			   (unsigned long long)engine->undertaking.number,
			   canary_until(engine, until));
		return;
	}
	if (engine->model->transaction.state != TRANSACTION_NONE) {
		buf_printf(out, "; %s %llu runs", wish_kind_name(engine->undertaking.kind),
			   (unsigned long long)engine->undertaking.number);
		return;
	}
	if (last != NULL && last->result != RESULT_COMMITTED && last->result != RESULT_DRAINED &&
	    last->message != NULL)
		buf_printf(out, "; %s", last->message);
}

static void describe_running(const struct engine *engine, const struct census *census,
			     struct buf *out)
{
	if (!engine->model->ready)
		buf_printf(out, "starting: %u of %u workers serving", census->serving,
			   census->wanted);
	else
		buf_printf(out, "%u workers serving", census->serving);
	describe_generations(engine, census->pools, out);
	if (engine->model->ready && census->starting > 0)
		buf_printf(out, "; starting %u", census->starting);
	describe_leaving(census, out);
	if (census->looping > 0)
		buf_printf(out, "; %u in a crash loop", census->looping);
	if (engine->out_of_service)
		buf_add_str(out, "; out of service");
	if (engine->model->ready)
		describe_outcome(engine, out);
}

void manager_describe(const struct engine *engine, struct buf *out)
{
	struct census census;

	census_take(engine, &census);
	if (engine->model->state == INSTANCE_LAME_DUCK) {
		buf_printf(out, "lame duck: %u workers serving on", census.serving);
	} else if (instance_is_stopping(engine->model)) {
		buf_add_str(out, "stopping");
		describe_leaving(&census, out);
	} else {
		describe_running(engine, &census, out);
	}
	/* the protocol's lines end at a newline */
	for (size_t n = 0; n < out->len; n++)
		if ((unsigned char)out->data[n] < ' ')
			out->data[n] = ' ';
}
