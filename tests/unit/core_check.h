/*
 * core_check.h - what must be true of the core after every single step, whatever happened. Attached
 * to a simulated engine; keeps its own book of workers and requests, made from the orders alone.
 */
#ifndef TESTS_CORE_CHECK_H
#define TESTS_CORE_CHECK_H

#include "core_sim.h"

#define CHECK_REQUESTS 256

/* A worker, as the orders tell of it. */
struct check_worker {
	uint32_t serial;
	enum worker_state state;
	uint32_t slot, generation;
	usec_t since;
	usec_t limit;	/* when it has to be killed at the latest, once it leaves */
	uint64_t begun; /* steps */
	uint64_t left;
};

struct check_slot {
	struct worker_ref old; /* who served here when the transaction began */
	bool served;	       /* somebody did */
};

struct check_pool {
	/* before the transaction */
	enum pool_state state;
	struct pool_params params;
	uint32_t generation, size;
	/* of the transaction */
	struct pool_change change;
	uint32_t batch, batch_count; /* the first one */
	/* before the step */
	uint32_t max_processes;
	uint32_t live;
	struct check_slot *slots;
	struct check_worker *workers;
};

struct check_request {
	uint64_t id;
	bool open, wait, committed;
	uint64_t after;	       /* transaction that was the newest when it came */
	uint64_t committed_at; /* step */
};

struct check {
	struct check_pool pools[SIM_POOLS];
	struct check_request requests[CHECK_REQUESTS];
	bool rolling; /* between the begin and the end of a transaction */
	bool start;
	bool gate_open;
	uint64_t begun;	       /* step */
	usec_t late;	       /* how late EVENT_TIME may come */
	bool exited;	       /* ORDER_EXIT */
	enum order_kind stage; /* the last step of the stop that was told */
	bool ready;
	bool traces;
	uint64_t committed, failed, answered;
};

static uint64_t check_seed; /* of a random test: a message names it */

#define CHECK(sim, condition)                                                                      \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fail_msg("%s:%d: step %llu, seed %llu: not true: %s", __FILE__, __LINE__,  \
				 (unsigned long long)(sim)->steps, (unsigned long long)check_seed, \
				 #condition);                                                      \
	} while (0)

static inline struct check *check_of(const struct sim *sim)
{
	return sim->data;
}

static inline struct check_worker *check_worker(struct sim *sim, const struct worker_ref *ref)
{
	CHECK(sim, ref->pool < SIM_POOLS && ref->index < sim->entries);
	return &check_of(sim)->pools[ref->pool].workers[ref->index];
}

static inline bool check_leaves(enum worker_state state)
{
	return state == WORKER_DRAINING || state == WORKER_DUMPING || state == WORKER_KILLED;
}

/* ---- requests ---- */

static inline struct check_request *check_find(struct sim *sim, uint64_t id)
{
	for (size_t n = 0; n < CHECK_REQUESTS; n++)
		if (check_of(sim)->requests[n].open && check_of(sim)->requests[n].id == id)
			return &check_of(sim)->requests[n];
	return NULL;
}

static inline void check_request_made(struct sim *sim, const struct request *request)
{
	struct check_request *entry = check_of(sim)->requests;

	if (request->id == 0)
		return;
	while (entry->open)
		CHECK(sim, ++entry < check_of(sim)->requests + CHECK_REQUESTS);
	*entry = (struct check_request){.id = request->id,
					.open = true,
					.wait = request->wait_drained,
					.after = sim->instance->transaction.number};
}

/* Exactly one answer; two for who waits for the drains of what was committed. */
static inline void check_answer(struct sim *sim, const struct order *order)
{
	struct check_request *request = check_find(sim, order->id);

	CHECK(sim, request != NULL);
	check_of(sim)->answered++;
	if (order->result == RESULT_COMMITTED || order->result == RESULT_FAILED)
		CHECK(sim, order->number > request->after);
	CHECK(sim, request->committed == (order->result == RESULT_DRAINED) ||
		       (request->committed && order->result == RESULT_STOPPING));
	if (order->result == RESULT_COMMITTED && request->wait) {
		request->committed = true;
		request->committed_at = sim->steps;
		return;
	}
	request->open = false;
}

/* Whoever waits for old workers is told as soon as they are gone, and not before. */
static inline void check_waiting(struct sim *sim)
{
	struct check *check = check_of(sim);
	uint64_t oldest = UINT64_MAX;

	for (uint32_t p = 0; p < SIM_POOLS; p++)
		for (uint32_t w = 0; w < sim_pool(sim, p)->capacity; w++)
			if (check_leaves(check->pools[p].workers[w].state) &&
			    check->pools[p].workers[w].left < oldest)
				oldest = check->pools[p].workers[w].left;
	for (size_t n = 0; n < CHECK_REQUESTS; n++)
		if (check->requests[n].open && check->requests[n].committed)
			CHECK(sim, oldest <= check->requests[n].committed_at);
	for (size_t n = 0; n < sim->plan.n; n++) {
		const struct order *order = &sim->plan.orders[n];

		for (size_t r = 0; order->kind == ORDER_ANSWER && order->result == RESULT_DRAINED &&
				   r < CHECK_REQUESTS;
		     r++)
			if (check->requests[r].id == order->id)
				CHECK(sim, oldest > check->requests[r].committed_at);
	}
}

/* ---- the transaction ---- */

static inline void check_begin(struct sim *sim, const struct core_event *event)
{
	struct check *check = check_of(sim);

	check->rolling = true;
	check->gate_open = false;
	check->start = event->kind == EVENT_START;
	check->begun = sim->steps;
	for (uint32_t p = 0; p < SIM_POOLS; p++) {
		struct check_pool *entry = &check->pools[p];
		const struct pool *pool = sim_pool(sim, p);

		entry->state = pool->state;
		entry->params = pool->params;
		entry->generation = pool->generation;
		entry->size = pool->size;
		entry->batch_count = 0;
		entry->change = event->changes[p];
		if (entry->change.kind == CHANGE_SLOT)
			entry->change.params = pool->params;
		if (check->start && entry->change.params.start_retry) {
			entry->change.kind = CHANGE_NONE; /* no part of the transaction */
			entry->state = POOL_FREE;
		}
		for (uint32_t s = 0; s < pool->size; s++) {
			uint32_t current = pool->slots[s].current;

			entry->slots[s].served =
			    current != CORE_NONE && pool->workers[current].state == WORKER_SERVING;
			if (entry->slots[s].served)
				entry->slots[s].old = pool->workers[current].ref;
		}
	}
}

static inline bool check_starts_any(const struct check_pool *entry)
{
	switch (entry->change.kind) {
	case CHANGE_ADD:
	case CHANGE_ROLL:
	case CHANGE_SLOT:
		return true;
	case CHANGE_SCALE:
		return entry->change.params.workers > entry->size || entry->state == POOL_STOPPED;
	case CHANGE_NONE:
	case CHANGE_UPDATE:
	case CHANGE_REMOVE:
		break;
	}
	return false;
}

/* The first batch of every pool serves, and has been watched. */
static inline void check_gate(struct sim *sim)
{
	for (uint32_t p = 0; p < SIM_POOLS; p++) {
		struct check_pool *entry = &check_of(sim)->pools[p];
		uint32_t found = 0;

		if (!check_starts_any(entry))
			continue;
		CHECK(sim, entry->batch_count > 0);
		for (uint32_t w = 0; w < sim_pool(sim, p)->capacity; w++) {
			const struct check_worker *worker = &entry->workers[w];

			if (worker->state == WORKER_SERVING &&
			    worker->begun >= check_of(sim)->begun && worker->slot >= entry->batch &&
			    worker->slot < entry->batch + entry->batch_count &&
			    worker->since + entry->change.params.min_ready <= sim->now)
				found++;
		}
		CHECK(sim, found >= entry->batch_count);
	}
}

/* Old workers that did not leave by themselves have their slots; all else is as before. */
static inline void check_undone_pool(struct sim *sim, uint32_t p)
{
	struct check_pool *entry = &check_of(sim)->pools[p];
	const struct pool *pool = sim_pool(sim, p);

	if (entry->change.kind == CHANGE_ADD) {
		CHECK(sim, pool->state == POOL_RETIRING || pool->state == POOL_FREE ||
			       pool->state == POOL_ENDING || pool->last_generation == 0);
		return;
	}
	if (entry->state != POOL_ACTIVE && entry->state != POOL_STOPPED)
		return;
	CHECK(sim, pool->state == entry->state || pool->state == POOL_STOPPED ||
		       instance_is_stopping(sim->instance));
	CHECK(sim, memcmp(&pool->params, &entry->params, sizeof(pool->params)) == 0);
	CHECK(sim, pool->generation == entry->generation);
	CHECK(sim, pool->size == entry->size);
	CHECK(sim, pool->max_processes == pool->params.max_processes);
	for (uint32_t s = 0; s < pool->size && pool->state == POOL_ACTIVE; s++) {
		const struct worker_ref *old = &entry->slots[s].old;
		struct check_worker *worker = &entry->workers[old->index];

		if (entry->slots[s].served && worker->serial == old->serial &&
		    worker->state == WORKER_SERVING)
			CHECK(sim, pool->slots[s].current == old->index);
	}
}

static inline void check_committed_pool(struct sim *sim, uint32_t p)
{
	struct check_pool *entry = &check_of(sim)->pools[p];
	const struct pool *pool = sim_pool(sim, p);
	enum change_kind kind = entry->change.kind;

	if (kind == CHANGE_NONE)
		return;
	if (kind == CHANGE_REMOVE) {
		CHECK(sim, pool->state == POOL_RETIRING || pool->state == POOL_FREE);
		return;
	}
	CHECK(sim, memcmp(&pool->params, &entry->change.params, sizeof(pool->params)) == 0);
	CHECK(sim, pool->size == entry->change.params.workers);
	CHECK(sim, (pool->generation > entry->generation) ==
		       (kind == CHANGE_ROLL || kind == CHANGE_ADD));
	for (uint32_t s = 0; s < pool->size; s++) {
		const struct worker *worker = sim_current(sim, p, s);

		if (kind == CHANGE_UPDATE || (kind == CHANGE_SLOT && s != entry->change.slot) ||
		    (kind == CHANGE_SCALE && s < entry->size && entry->state == POOL_ACTIVE))
			continue;
		CHECK(sim, worker != NULL && worker->state == WORKER_SERVING);
		CHECK(sim, entry->workers[worker->ref.index].begun >= check_of(sim)->begun);
		CHECK(sim, worker->generation == pool->generation);
	}
}

static inline void check_transaction_ends(struct sim *sim, const struct order *order)
{
	struct check *check = check_of(sim);

	if (order->kind == ORDER_COMMIT)
		check->committed++;
	else
		check->failed++;
	for (uint32_t p = 0; check->rolling && p < SIM_POOLS; p++) {
		if (order->kind == ORDER_COMMIT)
			check_committed_pool(sim, p);
		else
			check_undone_pool(sim, p);
	}
	check->rolling = false;
}

/* ---- orders ---- */

static inline bool check_may_become(enum worker_state from, enum worker_state to)
{
	static const uint8_t allowed[WORKER_STATE_COUNT] = {
	    [WORKER_GONE] = 1 << WORKER_STARTING,
	    [WORKER_STARTING] = 1 << WORKER_SERVING | 1 << WORKER_DRAINING | 1 << WORKER_DUMPING |
				1 << WORKER_KILLED | 1 << WORKER_GONE,
	    [WORKER_SERVING] =
		1 << WORKER_DRAINING | 1 << WORKER_DUMPING | 1 << WORKER_KILLED | 1 << WORKER_GONE,
	    [WORKER_DRAINING] = 1 << WORKER_DUMPING | 1 << WORKER_KILLED | 1 << WORKER_GONE,
	    [WORKER_DUMPING] = 1 << WORKER_KILLED | 1 << WORKER_GONE,
	    [WORKER_KILLED] = 1 << WORKER_KILLED | 1 << WORKER_GONE,
	};

	return (allowed[from] >> to & 1) != 0;
}

/* How long a worker that begins to leave may stay, until its tree is killed. */
static inline void check_limit(struct sim *sim, const struct order *order, const struct order *next,
			       struct check_worker *entry)
{
	const struct worker *worker =
	    &sim_pool(sim, order->worker.pool)->workers[order->worker.index];
	usec_t dump = worker->timing.dump_signal != 0 ? worker->timing.dump_timeout : 0;
	usec_t budget =
	    order->reason == END_STOP ? worker->timing.stop_timeout : worker->timing.drain_timeout;

	if (order->to == WORKER_DRAINING) {
		CHECK(sim, order->usec == budget);
		entry->limit = sim->now + budget + worker->timing.drain_extend_max + dump +
			       2 * check_of(sim)->late;
		CHECK(sim,
		      order->reason == END_OWN_WISH ||
			  (next->kind == ORDER_SIGNAL && next->sig == worker->timing.drain_signal &&
			   next->worker.index == order->worker.index));
	} else if (order->to == WORKER_DUMPING) {
		CHECK(sim, order->usec == worker->timing.dump_timeout);
		if (order->from != WORKER_DRAINING)
			entry->limit = sim->now + worker->timing.dump_timeout + check_of(sim)->late;
		CHECK(sim, next->kind == ORDER_SIGNAL && next->worker.index == order->worker.index);
	} else {
		CHECK(sim, next->kind == ORDER_KILL && next->worker.index == order->worker.index);
	}
}

/* A stop begins: who drains already has no longer than the rest. */
static inline void check_shorten(struct sim *sim)
{
	for (uint32_t p = 0; p < SIM_POOLS; p++) {
		for (uint32_t w = 0; w < sim_pool(sim, p)->capacity; w++) {
			const struct worker_timing *timing = &sim_pool(sim, p)->workers[w].timing;
			struct check_worker *entry = &check_of(sim)->pools[p].workers[w];
			usec_t limit = sim->now + timing->stop_timeout + timing->drain_extend_max +
				       timing->dump_timeout + 2 * check_of(sim)->late;

			if (entry->state == WORKER_DRAINING && limit < entry->limit)
				entry->limit = limit;
		}
	}
}

/* Why a worker may leave at this moment. */
static inline void check_reason(struct sim *sim, const struct order *order, bool commits)
{
	const struct pool *pool = sim_pool(sim, order->worker.pool);

	switch (order->reason) {
	case END_SCALE:
	case END_REMOVED:
		CHECK(sim, commits);
		break;
	case END_STOP:
		CHECK(sim, instance_is_stopping(sim->instance));
		break;
	case END_CRASH_LOOP:
		CHECK(sim, pool->state == POOL_STOPPED || instance_is_stopping(sim->instance));
		CHECK(sim, pool->params.on_crash_loop == CORE_CRASH_LOOP_STOP_POOL);
		break;
	case END_RELOAD:
	case END_RESTART:
		CHECK(sim, check_of(sim)->rolling);
		break;
	case END_NONE:
		CHECK(sim, order->to == WORKER_GONE);
		break;
	case END_UNDO:
	case END_START_TIMEOUT:
	case END_WATCHDOG:
	case END_OWN_WISH:
		break;
	}
}

/* The one that was to be replaced goes only when its successor serves, and has been watched. */
static inline void check_replaced(struct sim *sim, const struct order *order)
{
	struct pool *pool = sim_pool(sim, order->worker.pool);
	struct check_pool *entry = &check_of(sim)->pools[order->worker.pool];
	const struct worker *worker = NULL;
	const struct slot *slot;

	if (order->slot >= pool->size || pool->state != POOL_ACTIVE)
		return;
	slot = &pool->slots[order->slot];
	if (order->reason == END_UNDO && slot->current == CORE_NONE && slot->restart_at == NEVER &&
	    pool->params.restart != CORE_RESTART_ALWAYS)
		return; /* it was empty, and shall be */
	for (uint32_t w = 0; w < pool->capacity; w++)
		if (entry->workers[w].state == WORKER_SERVING &&
		    entry->workers[w].slot == order->slot)
			worker = &pool->workers[w];
	CHECK(sim, worker != NULL);
	if (order->reason == END_UNDO)
		return;
	CHECK(sim, slot->current == worker->ref.index);
	CHECK(sim, worker->ref.index != order->worker.index);
	CHECK(sim, entry->workers[worker->ref.index].begun >= check_of(sim)->begun);
	CHECK(sim, worker->since + entry->change.params.min_ready <= sim->now);
	CHECK(sim, check_of(sim)->gate_open);
}

static inline void check_state(struct sim *sim, size_t n, bool commits)
{
	const struct order *order = &sim->plan.orders[n];
	const struct order *next = n + 1 < sim->plan.n ? order + 1 : NULL;
	struct check_worker *entry = check_worker(sim, &order->worker);
	struct check_pool *pool = &check_of(sim)->pools[order->worker.pool];

	CHECK(sim, entry->state == order->from && check_may_become(order->from, order->to));
	if (order->from == WORKER_GONE) {
		CHECK(sim, order->worker.serial > entry->serial);
		*entry = (struct check_worker){.serial = order->worker.serial,
					       .begun = sim->steps,
					       .slot = order->slot,
					       .generation = order->generation};
		pool->live++;
	}
	CHECK(sim, entry->serial == order->worker.serial);
	entry->state = order->to;
	entry->since = sim->now;
	if (order->to == WORKER_GONE)
		pool->live--;
	if (check_leaves(order->to)) {
		CHECK(sim, next != NULL || order->reason == END_OWN_WISH);
		check_limit(sim, order, next, entry);
	}
	if (!check_leaves(order->from) && (check_leaves(order->to) || order->to == WORKER_GONE)) {
		entry->left = sim->steps;
		check_reason(sim, order, commits);
	}
}

/* A stop goes on step by step; steps can be left out, and never come twice. */
static inline void check_stage(struct sim *sim, enum order_kind kind)
{
	static const uint8_t place[] = {
	    [ORDER_LAME_DUCK] = 1,     [ORDER_REFUSE_NEW] = 2, [ORDER_DRAIN_BEGINS] = 3,
	    [ORDER_CLOSE_SOCKETS] = 4, [ORDER_EXIT] = 5,
	};
	enum order_kind before = check_of(sim)->stage;

	CHECK(sim, (kind == ORDER_LAME_DUCK) == (before == ORDER_SPAWN));
	CHECK(sim, kind == ORDER_LAME_DUCK || place[kind] > place[before]);
	CHECK(sim, kind != ORDER_EXIT || before == ORDER_CLOSE_SOCKETS);
	check_of(sim)->stage = kind;
	if (kind == ORDER_DRAIN_BEGINS)
		check_shorten(sim);
	check_of(sim)->exited = kind == ORDER_EXIT;
}

/* A batch that begins takes no more workers' successors than max_surge. */
static inline void check_batch(struct sim *sim, const struct order *order)
{
	struct check_pool *entry = &check_of(sim)->pools[order->pool];
	const struct pool *pool = sim_pool(sim, order->pool);
	uint32_t surge = 0;

	if (entry->batch_count == 0) {
		entry->batch = order->slot;
		entry->batch_count = order->count;
	}
	for (uint32_t w = 0; w < pool->capacity; w++) {
		const struct check_worker *worker = &entry->workers[w];

		surge += (worker->state == WORKER_STARTING || worker->state == WORKER_SERVING) &&
			 worker->slot >= order->slot && worker->slot < order->slot + order->count;
	}
	CHECK(sim, order->count > 0);
	CHECK(sim, surge <= entry->change.params.max_surge);
}

static inline void check_ready(struct sim *sim)
{
	CHECK(sim, !check_of(sim)->ready && !instance_is_stopping(sim->instance));
	check_of(sim)->ready = true;
	for (uint32_t p = 0; p < SIM_POOLS; p++)
		CHECK(sim, sim_pool(sim, p)->state != POOL_ACTIVE || sim_pool(sim, p)->ready_once);
}

static inline void check_order(struct sim *sim, size_t n, bool commits)
{
	const struct order *order = &sim->plan.orders[n];
	struct check_pool *entry = &check_of(sim)->pools[order->pool < SIM_POOLS ? order->pool : 0];
	struct pool *pool = sim_pool(sim, order->pool);
	uint32_t most;

	switch (order->kind) {
	case ORDER_STATE:
		check_state(sim, n, commits);
		break;
	case ORDER_SPAWN:
		most = pool->max_processes > entry->max_processes ? pool->max_processes
								  : entry->max_processes;
		CHECK(sim, entry->live <= most);
		CHECK(sim, check_worker(sim, &order->worker)->serial == order->worker.serial);
		CHECK(sim, check_worker(sim, &order->worker)->state == WORKER_STARTING);
		break;
	case ORDER_SIGNAL:
	case ORDER_KILL:
		CHECK(sim, sim_process(sim, &order->worker)->alive);
		CHECK(sim, sim_process(sim, &order->worker)->ref.serial == order->worker.serial);
		CHECK(sim, check_leaves(check_worker(sim, &order->worker)->state));
		break;
	case ORDER_BATCH:
		check_batch(sim, order);
		break;
	case ORDER_READY:
		check_ready(sim);
		break;
	case ORDER_ANSWER:
		check_answer(sim, order);
		break;
	case ORDER_LAME_DUCK:
	case ORDER_REFUSE_NEW:
	case ORDER_DRAIN_BEGINS:
	case ORDER_CLOSE_SOCKETS:
	case ORDER_EXIT:
		check_stage(sim, order->kind);
		break;
	default:
		break;
	}
}

static inline bool check_commits(const struct sim *sim)
{
	for (size_t n = 0; n < sim->plan.n; n++)
		if (sim->plan.orders[n].kind == ORDER_COMMIT)
			return true;
	return false;
}

static inline void check_orders(struct sim *sim)
{
	bool commits = check_commits(sim);

	for (size_t n = 0; n < sim->plan.n; n++)
		check_order(sim, n, commits);
	for (size_t n = 0; n < sim->plan.n; n++) {
		const struct order *order = &sim->plan.orders[n];

		if (order->kind == ORDER_PROMOTED && !check_of(sim)->gate_open) {
			check_gate(sim);
			check_of(sim)->gate_open = true;
		}
		if (order->kind == ORDER_STATE && order->from == WORKER_SERVING &&
		    (order->reason == END_RELOAD || order->reason == END_RESTART ||
		     order->reason == END_UNDO))
			check_replaced(sim, order);
	}
	for (size_t n = 0; n < sim->plan.n; n++)
		if (sim->plan.orders[n].kind == ORDER_COMMIT ||
		    sim->plan.orders[n].kind == ORDER_UNDO)
			check_transaction_ends(sim, &sim->plan.orders[n]);
	check_waiting(sim);
}

#include "core_check_model.h"

/* ---- to find out why: HANDOVER_TRACE=1 prints every step ---- */

static inline void check_trace_order(const struct order *order)
{
	fprintf(stderr, "    order %d pool %u slot %u gen %u worker %u.%u", (int)order->kind,
		order->pool, order->slot, order->generation, order->worker.index,
		order->worker.serial);
	if (order->kind == ORDER_STATE)
		fprintf(stderr, " %s -> %s (%s)", worker_state_name(order->from),
			worker_state_name(order->to), end_reason_name(order->reason));
	fprintf(stderr, " number %llu id %llu result %d cause %s\n",
		(unsigned long long)order->number, (unsigned long long)order->id,
		(int)order->result, cause_name(order->cause));
}

static inline void check_trace(const struct sim *sim, const struct core_event *event)
{
	fprintf(stderr, "step %llu at %llu us: event %d", (unsigned long long)sim->steps,
		(unsigned long long)(sim->now - 1000 * SEC), (int)event->kind);
	if (event->kind == EVENT_WORKER)
		fprintf(stderr, " pool %u worker %u.%u: %d", event->worker.pool,
			event->worker.index, event->worker.serial, (int)event->what.kind);
	for (uint32_t p = 0; event->changes != NULL && p < SIM_POOLS; p++)
		fprintf(stderr, " %d", (int)event->changes[p].kind);
	fprintf(stderr, "\n");
	for (size_t n = 0; n < sim->plan.n; n++)
		check_trace_order(&sim->plan.orders[n]);
}

/* ---- set-up ---- */

static inline void check_before(struct sim *sim, const struct core_event *event)
{
	struct check *check = check_of(sim);

	for (uint32_t p = 0; p < SIM_POOLS; p++)
		check->pools[p].max_processes = sim_pool(sim, p)->max_processes;
	if (event->kind == EVENT_REQUEST)
		check_request_made(sim, &event->request);
	if (event->kind == EVENT_CALLER_GONE && check_find(sim, event->request.id) != NULL)
		check_find(sim, event->request.id)->open = false;
	if (event->kind == EVENT_START ||
	    (event->kind == EVENT_PREPARED &&
	     sim->instance->transaction.state == TRANSACTION_PREPARING))
		check_begin(sim, event);
}

static inline void check_after(struct sim *sim, const struct core_event *event)
{
	if (check_of(sim)->traces)
		check_trace(sim, event);
	check_orders(sim);
	check_model(sim);
}

/* A simulated engine that is checked after every step. */
static inline struct sim *check_new(uint32_t entries, uint64_t seed)
{
	struct sim *sim = sim_new(entries, seed);
	struct check *check = sim_alloc(1, sizeof(*check));

	for (uint32_t p = 0; p < SIM_POOLS; p++) {
		check->pools[p].workers = sim_alloc(entries, sizeof(struct check_worker));
		check->pools[p].slots = sim_alloc(entries, sizeof(struct check_slot));
	}
	check->traces = getenv("HANDOVER_TRACE") != NULL;
	sim->data = check;
	sim->before = check_before;
	sim->after = check_after;
	return sim;
}

static inline void check_free(struct sim *sim)
{
	struct check *check = check_of(sim);

	for (uint32_t p = 0; p < SIM_POOLS; p++) {
		free(check->pools[p].workers);
		free(check->pools[p].slots);
	}
	free(check);
	sim_free(sim);
}

/* ---- for tests that tell one story ---- */

static inline int check_setup(void **state)
{
	*state = check_new(128, 1);
	return 0;
}

/* Whatever the story was: after a stop everybody is gone, and has had his answer. */
static inline int check_teardown(void **state)
{
	struct sim *sim = *state;

	if (!instance_is_stopping(sim->instance))
		sim_simple(sim, EVENT_STOP);
	sim_run(sim, 600 * SEC);
	CHECK(sim, check_of(sim)->exited);
	for (uint32_t n = 0; n < SIM_POOLS * sim->entries; n++)
		CHECK(sim, !sim->processes[n].alive);
	for (size_t n = 0; n < CHECK_REQUESTS; n++)
		CHECK(sim, !check_of(sim)->requests[n].open);
	check_free(sim);
	return 0;
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)

/* An instance that runs: one pool of so many workers. */
static inline void check_start(struct sim *sim, uint32_t workers)
{
	struct pool_params params = sim_params(workers);

	sim_add(sim, &params);
	sim_start(sim);
	sim_run(sim, 1 * SEC);
	CHECK(sim, sim_serving(sim, 0, 1) == workers);
	CHECK(sim, sim->instance->ready);
	sim_forget(sim);
}

#endif
