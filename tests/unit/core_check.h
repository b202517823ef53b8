/*
 * core_check.h - what must be true of the core after every single step, whatever happened. Attached
 * to a simulated engine; keeps its own book of workers and requests, made from the orders alone.
 */
#ifndef TESTS_CORE_CHECK_H
#define TESTS_CORE_CHECK_H

#include "core_story.h"

#define CHECK_REQUESTS 256

/* A worker, as the orders tell of it. */
struct check_worker {
	uint32_t serial;
	enum worker_state state;
	uint32_t slot, generation;
	bool sent; /* its sockets */
	usec_t since;
	usec_t limit;	/* when it has to be killed at the latest, once it leaves */
	uint64_t begun; /* steps */
	uint64_t left;
};

struct check_slot {
	struct worker_ref old;	  /* who served here when the transaction began */
	bool served;		  /* somebody did */
	bool emptied;		  /* the one who served had to go before another could start */
	uint32_t leaving, serial; /* this one */
};

/* What a generation runs; number 0: none. */
struct check_version {
	uint32_t generation;
	uint64_t number;
};

enum { CHECK_GENERATIONS = 256 };

struct check_versions {
	struct check_version current, next;
	uint64_t known[CHECK_GENERATIONS]; /* generation << 32 | number, of those that were
					      started */
};

struct check_pool {
	struct check_versions versions;
	/* before the transaction */
	enum pool_state state;
	struct pool_params params;
	uint32_t generation, size;
	/* of the transaction */
	struct pool_change change;
	uint32_t batch, batch_count; /* the first one */
	bool good;		     /* its canaries were found to be */
	uint64_t question;	     /* to canary_check; 0: none yet */
	bool said_good;		     /* ... and its answer */
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
	uint64_t versions_made;
	bool rolling; /* between the begin and the end of a transaction */
	bool start;
	bool gate_open;
	bool held;     /* it waits for a person */
	bool promoted; /* who has decided for it */
	usec_t held_until;
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

/* One that decides about the transaction that is there. */
static inline void check_decision_made(struct sim *sim, const struct request *request)
{
	check_request_made(sim, request);
	if (request->id != 0 && sim->instance->transaction.number > 0)
		check_find(sim, request->id)->after = sim->instance->transaction.number - 1;
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

#include "core_check_version.h"

static inline void check_begin(struct sim *sim, const struct core_event *event)
{
	struct check *check = check_of(sim);

	check->rolling = true;
	check->gate_open = check->held = check->promoted = false;
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
		entry->good = entry->said_good = false;
		entry->question = 0;
		entry->change = event->changes[p];
		check_version_begins(sim, p, &entry->change);
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
	case CHANGE_SOCKETS:
	case CHANGE_REMOVE:
		break;
	}
	return false;
}

/* Has it a canary, and for how long is that watched? */
static inline uint32_t check_canary(const struct check_pool *entry)
{
	return entry->change.kind == CHANGE_ROLL && entry->change.reason == END_RELOAD &&
		       entry->state == POOL_ACTIVE && entry->change.params.max_surge > 0
		   ? entry->change.params.canary
		   : 0;
}

static inline usec_t check_watch(const struct check_pool *entry)
{
	const struct pool_params *params = &entry->change.params;

	return check_canary(entry) > 0 && params->canary_time > params->min_ready
		   ? params->canary_time
		   : params->min_ready;
}

/* The first batch of every pool serves, and has been watched; canaries are good, and a person has
 * said so where it is for a person to say. */
static inline void check_gate(struct sim *sim)
{
	for (uint32_t p = 0; p < SIM_POOLS; p++) {
		struct check_pool *entry = &check_of(sim)->pools[p];
		uint32_t found = 0;

		if (!check_starts_any(entry) ||
		    (entry->change.params.max_surge == 0 && entry->batch_count == 0))
			continue;
		CHECK(sim, entry->batch_count > 0);
		for (uint32_t w = 0; w < sim_pool(sim, p)->capacity; w++) {
			const struct check_worker *worker = &entry->workers[w];

			if (worker->state == WORKER_SERVING &&
			    worker->begun >= check_of(sim)->begun && worker->slot >= entry->batch &&
			    worker->slot < entry->batch + entry->batch_count &&
			    worker->since + check_watch(entry) <= sim->now)
				found++;
		}
		CHECK(sim, found >= entry->batch_count);
		if (check_canary(entry) == 0)
			continue;
		CHECK(sim, entry->batch_count <= check_canary(entry) && entry->good);
		CHECK(sim, entry->change.params.canary_check_timeout == 0 || entry->said_good);
		CHECK(sim, !entry->change.params.canary_hold || check_of(sim)->promoted);
	}
}

/* By member: what lies between them is nobody's. */
static inline bool check_same_params(const struct pool_params *a, const struct pool_params *b)
{
	return a->workers == b->workers && a->max_surge == b->max_surge &&
	       a->max_unavailable == b->max_unavailable && a->max_processes == b->max_processes &&
	       a->canary == b->canary && a->canary_time == b->canary_time &&
	       a->canary_check_timeout == b->canary_check_timeout &&
	       a->canary_hold == b->canary_hold &&
	       a->canary_hold_timeout == b->canary_hold_timeout &&
	       a->start_timeout == b->start_timeout && a->ready_delay == b->ready_delay &&
	       a->min_ready == b->min_ready && a->progress_timeout == b->progress_timeout &&
	       a->drain_timeout == b->drain_timeout && a->stop_timeout == b->stop_timeout &&
	       a->drain_extend_max == b->drain_extend_max && a->dump_timeout == b->dump_timeout &&
	       a->watchdog == b->watchdog && a->drain_signal == b->drain_signal &&
	       a->dump_signal == b->dump_signal && a->restart == b->restart &&
	       a->restart_delay == b->restart_delay &&
	       a->restart_delay_max == b->restart_delay_max &&
	       a->restart_reset == b->restart_reset && a->crash_loop_after == b->crash_loop_after &&
	       a->on_crash_loop == b->on_crash_loop && a->held == b->held &&
	       a->start_retry == b->start_retry;
}

/* Old workers that did not leave by themselves have their slots; all else is as before. */
static inline void check_undone_pool(struct sim *sim, uint32_t p)
{
	struct check_pool *entry = &check_of(sim)->pools[p];
	const struct pool *pool = sim_pool(sim, p);

	if (entry->change.kind == CHANGE_ADD) {
		CHECK(sim, pool->state == POOL_RETIRING || pool->state == POOL_FREE ||
			       pool->state == POOL_ENDING);
		return;
	}
	if (entry->state != POOL_ACTIVE && entry->state != POOL_STOPPED)
		return;
	CHECK(sim, pool->state == entry->state || pool->state == POOL_STOPPED ||
		       instance_is_stopping(sim->instance));
	CHECK(sim, check_same_params(&pool->params, &entry->params));
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
	for (uint32_t w = 0; w < pool->capacity; w++) /* all who were asked have answered */
		CHECK(sim, !pool->workers[w].asked);
	CHECK(sim, check_same_params(&pool->params, &entry->change.params));
	CHECK(sim, pool->size == entry->change.params.workers);
	CHECK(sim, (pool->generation > entry->generation) ==
		       (kind == CHANGE_ROLL || kind == CHANGE_ADD));
	for (uint32_t s = 0; s < pool->size; s++) {
		const struct worker *worker = sim_current(sim, p, s);

		if (kind == CHANGE_UPDATE || kind == CHANGE_SOCKETS ||
		    (kind == CHANGE_SLOT && s != entry->change.slot) ||
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
		check_version_ends(&check->pools[p].versions, order->kind == ORDER_COMMIT);
	}
	check->rolling = check->held = false;
}

#include "core_check_model.h"
#include "core_check_orders.h"

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
	if (event->kind == EVENT_PROMOTE || event->kind == EVENT_ABORT)
		check_decision_made(sim, &event->request);
	if (event->kind == EVENT_PROMOTE && check->held)
		check->promoted = true;
	if (event->kind == EVENT_CANARY_CHECKED &&
	    event->number == check->pools[event->worker.pool].question)
		check->pools[event->worker.pool].said_good = !event->failed;
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

/* Two pools of so many workers that run. */
static inline void check_start_two(struct sim *sim, uint32_t first, uint32_t second)
{
	struct pool_params params = sim_params(first);

	sim_add(sim, &params);
	params = sim_params(second);
	sim_add(sim, &params);
	sim_start(sim);
	sim_run(sim, 1 * SEC);
	sim_forget(sim);
}

/* A new generation of pool p, by the next reload; its numbers, to be changed. */
static inline struct pool_params *check_roll(struct sim *sim, uint32_t p)
{
	struct pool_change *change = sim_change(sim, p, CHANGE_ROLL);

	sim_provide(sim);
	return &change->params;
}

#endif
