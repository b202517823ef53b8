/* core_check_orders.h - the part of core_check.h that reads the orders of a step: each must be
 * allowed at its moment. */
#ifndef TESTS_CORE_CHECK_ORDERS_H
#define TESTS_CORE_CHECK_ORDERS_H

#ifndef TESTS_CORE_CHECK_H
#error "include core_check.h"
#endif

static inline bool check_may_become(enum worker_state from, enum worker_state to)
{
	static const uint8_t allowed[WORKER_STATE_COUNT] = {
	    [WORKER_GONE] = 1 << WORKER_STARTING,
	    [WORKER_STARTING] = 1 << WORKER_SERVING | 1 << WORKER_HELD | 1 << WORKER_DRAINING |
				1 << WORKER_DUMPING | 1 << WORKER_KILLED | 1 << WORKER_GONE,
	    [WORKER_HELD] = 1 << WORKER_SERVING | 1 << WORKER_DRAINING | 1 << WORKER_DUMPING |
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
	case END_NOT_LIVE: /* nobody else has to answer */
		CHECK(sim, order->from == WORKER_SERVING || order->from == WORKER_DUMPING ||
			       order->from == WORKER_KILLED);
		break;
	case END_UNDO:
	case END_START_TIMEOUT:
	case END_WATCHDOG:
	case END_OWN_WISH:
		break;
	}
}

/* As many slots as that may be without anybody because of a rollout, or of its undoing. */
static inline uint32_t check_may_be_empty(const struct pool *pool, const struct check_pool *entry)
{
	uint32_t most = entry->params.max_unavailable;

	if (pool->params.max_unavailable > most)
		most = pool->params.max_unavailable;
	return entry->change.kind != CHANGE_NONE && entry->change.params.max_unavailable > most
		   ? entry->change.params.max_unavailable
		   : most;
}

/* The one who served in a slot has to go first: for a new version not before the gate is open, and
 * not in more slots than max_unavailable says. */
static inline void check_emptied(struct sim *sim, const struct order *order)
{
	struct pool *pool = sim_pool(sim, order->worker.pool);
	struct check_pool *entry = &check_of(sim)->pools[order->worker.pool];
	struct check_slot *slot = &entry->slots[order->slot];
	uint32_t emptied = 0;

	slot->emptied = true;
	slot->leaving = order->worker.index;
	slot->serial = order->worker.serial;
	for (uint32_t s = 0; s < pool->size; s++)
		emptied += entry->slots[s].emptied;
	CHECK(sim, emptied <= check_may_be_empty(pool, entry));
	/* the step may have committed another surge behind it */
	CHECK(sim, order->reason == END_UNDO
		       ? pool->params.max_surge == 0 || entry->params.max_surge == 0
		       : check_of(sim)->gate_open);
}

/* Nobody starts in a slot whose worker has to go first and is still there; where the model does not
 * wait for it, check_slot_emptied() asks why. */
static inline void check_exclusive(struct sim *sim, const struct order *order)
{
	const struct pool *pool = sim_pool(sim, order->pool);
	const struct check_pool *entry = &check_of(sim)->pools[order->pool];
	const struct check_slot *slot = &entry->slots[order->slot];
	const struct check_worker *worker = &entry->workers[slot->leaving];

	CHECK(sim, !slot->emptied || worker->serial != slot->serial ||
		       worker->state == WORKER_GONE ||
		       pool->slots[order->slot].leaving != slot->leaving);
}

/* The one that was to be replaced goes only when its successor serves, and has been watched; or it
 * goes first. */
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
	if (worker == NULL) {
		check_emptied(sim, order);
		return;
	}
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
	if (order->to == WORKER_SERVING)
		pool->slots[order->slot].emptied = false;
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

/* A batch that begins takes no more workers' successors than max_surge beside them; order->value:
 * the others, that go first, are still there. */
static inline void check_batch(struct sim *sim, const struct order *order)
{
	struct check_pool *entry = &check_of(sim)->pools[order->pool];
	const struct pool *pool = sim_pool(sim, order->pool);
	uint32_t surge = 0;

	if (entry->batch_count == 0 && !sim->instance->transaction.gate_open) {
		entry->batch = order->slot;
		entry->batch_count = order->count;
	}
	for (uint32_t w = 0; w < pool->capacity; w++) {
		const struct check_worker *worker = &entry->workers[w];

		surge += (worker->state == WORKER_STARTING || worker->state == WORKER_HELD ||
			  worker->state == WORKER_SERVING) &&
			 worker->slot >= order->slot && worker->slot < order->slot + order->count;
	}
	CHECK(sim, order->count > 0);
	CHECK(sim, order->value >= 0 && (uint32_t)order->value <= order->count);
	CHECK(sim, surge <= entry->change.params.max_surge + (uint32_t)order->value);
}

/* A person is asked when everything else is known. */
static inline void check_gate_but_for_a_person(struct sim *sim)
{
	check_of(sim)->promoted = true;
	check_gate(sim);
	check_of(sim)->promoted = false;
}

static inline void check_ready(struct sim *sim)
{
	CHECK(sim, !check_of(sim)->ready && !instance_is_stopping(sim->instance));
	check_of(sim)->ready = true;
	for (uint32_t p = 0; p < SIM_POOLS; p++)
		CHECK(sim, sim_pool(sim, p)->state != POOL_ACTIVE || sim_pool(sim, p)->ready_once);
}

/* Others, for who serves: when nothing else is in the way of the transaction. */
static inline void check_other_sockets(struct sim *sim, const struct order *order)
{
	struct check_worker *entry = check_worker(sim, &order->worker);

	CHECK(sim, check_of(sim)->rolling && entry->serial == order->worker.serial);
	CHECK(sim, check_of(sim)->pools[order->worker.pool].change.kind == CHANGE_SOCKETS);
	CHECK(sim, check_of(sim)->pools[order->worker.pool].change.tell);
	CHECK(sim, entry->state == WORKER_SERVING);
	check_gate(sim);
}

/* Once in a life, and who does not answer serves from then on. */
static inline void check_sockets(struct sim *sim, size_t n)
{
	const struct order *order = &sim->plan.orders[n];
	struct check_worker *entry = check_worker(sim, &order->worker);
	bool serves = n > 0 && order[-1].kind == ORDER_STATE && order[-1].from == WORKER_HELD &&
		      order[-1].to == WORKER_SERVING &&
		      order[-1].worker.index == order->worker.index;

	if (order->next) {
		check_other_sockets(sim, order);
		return;
	}
	CHECK(sim, entry->serial == order->worker.serial && !entry->sent);
	CHECK(sim, serves || entry->state == WORKER_HELD);
	entry->sent = true;
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
		check_version(sim, order);
		CHECK(sim, check_worker(sim, &order->worker)->state == WORKER_STARTING);
		check_exclusive(sim, order);
		break;
	case ORDER_SEND_SOCKETS:
		check_sockets(sim, n);
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
	case ORDER_CANARY_CHECK:
		CHECK(sim, order->number > entry->question && !check_of(sim)->gate_open);
		entry->question = order->number;
		break;
	case ORDER_CANARY_GOOD:
		CHECK(sim, !check_of(sim)->gate_open && !entry->good && check_canary(entry) > 0);
		entry->good = true;
		break;
	case ORDER_HELD:
		CHECK(sim, !check_of(sim)->gate_open && !check_of(sim)->promoted);
		check_gate_but_for_a_person(sim);
		check_of(sim)->held = true;
		check_of(sim)->held_until = usec_add(sim->now, order->usec);
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

		if ((order->kind == ORDER_PROMOTED ||
		     (order->kind == ORDER_BATCH && order->value > 0)) &&
		    !check_of(sim)->gate_open) {
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

#endif
