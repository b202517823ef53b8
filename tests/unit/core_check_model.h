/* core_check_model.h - the part of core_check.h that looks into the model: is it one with itself,
 * and will it be heard of again? */
#ifndef TESTS_CORE_CHECK_MODEL_H
#define TESTS_CORE_CHECK_MODEL_H

#ifndef TESTS_CORE_CHECK_H
#error "include core_check.h"
#endif

/* A start takes its time-out, or what it asked for within the rollout's patience; SIGKILL comes
 * again. */
static inline void check_patience(struct sim *sim, const struct worker *worker)
{
	const struct worker_timing *timing = &worker->timing;
	usec_t most = timing->start_timeout;

	if (worker->state == WORKER_KILLED) {
		CHECK(sim, worker->deadline == worker->since + WORKER_KILL_AGAIN);
		return;
	}
	CHECK(sim, !worker->delayed || timing->ready_delay != NEVER);
	if (worker->delayed)
		most = timing->ready_delay;
	else if (worker->spawned && timing->ready_delay == NEVER && timing->start_extend_max > most)
		most = timing->start_extend_max;
	if (worker->spawned)
		CHECK(sim, worker->deadline <= worker->since + most);
	else
		CHECK(sim, worker->deadline <= sim->now + most);
	CHECK(sim, sim->now <= worker->deadline + check_of(sim)->late);
}

/* The book and the model agree; counts and the free list are right. */
static inline void check_workers(struct sim *sim, uint32_t p)
{
	const struct pool *pool = sim_pool(sim, p);
	struct check_pool *entry = &check_of(sim)->pools[p];
	uint32_t counts[WORKER_STATE_COUNT] = {0}, live = 0, free_entries = 0;

	for (uint32_t w = 0; w < pool->capacity; w++) {
		const struct worker *worker = &pool->workers[w];
		struct check_worker *book = &entry->workers[w];

		CHECK(sim, worker->ref.pool == p && worker->ref.index == w);
		CHECK(sim, worker->ref.serial == book->serial && worker->state == book->state);
		if (worker->state == WORKER_GONE)
			continue;
		live++;
		counts[worker->state]++;
		CHECK(sim, worker->slot == book->slot && worker->generation == book->generation);
		CHECK(sim, worker->spawned || worker->state == WORKER_STARTING);
		if (worker->state == WORKER_DRAINING || worker->state == WORKER_DUMPING)
			CHECK(sim, sim->now <= book->limit && worker->deadline <= book->limit);
		else if (worker->state == WORKER_HELD)
			CHECK(sim, book->sent == worker->released &&
				       book->sent == (worker->deadline != NEVER) &&
				       (!book->sent ||
					sim->now <= worker->deadline + check_of(sim)->late));
		else if (worker->state != WORKER_SERVING)
			check_patience(sim, worker);
	}
	CHECK(sim, memcmp(counts, pool->counts, sizeof(counts)) == 0);
	CHECK(sim, live == pool->live && live == entry->live);
	for (uint32_t w = pool->free; w != CORE_NONE; w = pool->workers[w].next_free) {
		CHECK(sim, w < pool->capacity && pool->workers[w].state == WORKER_GONE);
		CHECK(sim, ++free_entries <= pool->capacity);
	}
	CHECK(sim, free_entries + live == pool->capacity);
}

static inline bool check_is_covered(const struct pool *pool, uint32_t s)
{
	return pool->rollout.state != ROLLOUT_NONE && s >= pool->rollout.begin &&
	       s < pool->rollout.end;
}

static inline bool check_is_turned(const struct pool *pool, uint32_t s)
{
	return check_is_covered(pool, s) && s < pool->rollout.cursor;
}

/* It was sent its sockets, and has not said yet that it accepts. */
static inline bool check_is_asked(struct sim *sim, const struct worker *worker)
{
	return worker->state == WORKER_HELD && worker->answers && worker->released &&
	       sim->now <= worker->deadline + check_of(sim)->late;
}

static inline void check_slot_workers(struct sim *sim, const struct pool *pool, uint32_t s)
{
	const struct slot *slot = &pool->slots[s];
	const struct worker *current =
	    slot->current == CORE_NONE ? NULL : &pool->workers[slot->current];
	const struct worker *next = slot->next == CORE_NONE ? NULL : &pool->workers[slot->next];
	uint32_t generation =
	    check_is_turned(pool, s) ? pool->rollout.generation : pool->generation;

	CHECK(sim, current == NULL || (current->slot == s && current != next));
	CHECK(sim, current == NULL || current->state == WORKER_STARTING ||
		       current->state == WORKER_SERVING || check_is_asked(sim, current));
	CHECK(sim, next == NULL || next->slot == s);
	CHECK(sim, slot->leaving == CORE_NONE ||
		       (current == NULL && next == NULL && pool->workers[slot->leaving].slot == s &&
			worker_is_leaving(&pool->workers[slot->leaving])));
	CHECK(sim, !slot->emptied || current == NULL || current->state == WORKER_STARTING ||
		       check_is_asked(sim, current));
	/* only one of a batch waits for its sockets, and only until the batch is ready */
	CHECK(sim, next == NULL || next->state == WORKER_STARTING ||
		       next->state == WORKER_SERVING || check_is_asked(sim, next) ||
		       (next->state == WORKER_HELD && check_is_covered(pool, s) &&
			pool->rollout.state == ROLLOUT_STARTING));
	if (slot->restoring) {
		CHECK(sim, current != NULL && current->state == WORKER_SERVING);
		CHECK(sim, next != NULL || slot->restart_at != NEVER || pool->restores);
		CHECK(sim,
		      next == NULL || next->state == WORKER_STARTING || next->state == WORKER_HELD);
		CHECK(sim, next == NULL || next->generation == pool->generation);
		CHECK(sim, !check_is_covered(pool, s));
		return;
	}
	/* a stop leaves what it finds */
	CHECK(sim, current == NULL || current->generation == generation ||
		       instance_is_stopping(sim->instance) ||
		       (check_is_covered(pool, s) && !check_is_turned(pool, s)));
	CHECK(sim, next == NULL || (check_is_covered(pool, s) && s >= pool->rollout.cursor &&
				    s < pool->rollout.batch_end &&
				    next->generation == pool->rollout.generation));
	CHECK(sim, !check_is_turned(pool, s) ||
		       (current != NULL && next == NULL && current->state == WORKER_SERVING));
}

/* An empty slot is filled some time, unless the restart policy or a stopped pool leaves it empty.
 */
static inline void check_slot_filled(struct sim *sim, const struct pool *pool, uint32_t s)
{
	const struct slot *slot = &pool->slots[s];
	bool rolls = pool->rollout.state != ROLLOUT_NONE;

	CHECK(sim, pool->state != POOL_ACTIVE || slot->current != CORE_NONE ||
		       slot->restart_at != NEVER || slot->leaving != CORE_NONE ||
		       pool->params.restart != CORE_RESTART_ALWAYS ||
		       (rolls && pool->rollout.old_state == POOL_STOPPED) ||
		       (check_is_covered(pool, s) && !check_is_turned(pool, s)));
}

/* The book of emptied slots: only with some surge may somebody start before the one that leaves is
 * gone. */
static inline void check_slot_emptied(struct sim *sim, uint32_t p, uint32_t s)
{
	const struct pool *pool = sim_pool(sim, p);
	struct check_slot *book = &check_of(sim)->pools[p].slots[s];
	const struct check_worker *worker = &check_of(sim)->pools[p].workers[book->leaving];
	bool is_there = worker->serial == book->serial && worker->state != WORKER_GONE;

	if (s >= pool->size || pool->state != POOL_ACTIVE) {
		book->emptied = false;
		return;
	}
	if (!book->emptied || !is_there || pool->slots[s].leaving == book->leaving)
		return;
	CHECK(sim, pool->params.max_surge > 0);
	book->serial = 0;
}

static inline void check_slots(struct sim *sim, uint32_t p)
{
	const struct pool *pool = sim_pool(sim, p);
	uint32_t looping = 0, restoring = 0, served = 0, held = 0, emptied = 0;

	CHECK(sim, pool->size <= pool->capacity);
	for (uint32_t s = 0; s < pool->size; s++) {
		check_slot_workers(sim, pool, s);
		check_slot_filled(sim, pool, s);
		looping += pool->slots[s].looping;
		restoring += pool->slots[s].restoring;
		served += pool->slots[s].served;
		emptied += pool->slots[s].emptied;
		held += pool->slots[s].current != CORE_NONE;
		held += pool->slots[s].next != CORE_NONE;
	}
	for (uint32_t s = 0; s < pool->capacity; s++)
		check_slot_emptied(sim, p, s);
	CHECK(sim, looping == pool->looping && restoring == pool->restoring);
	CHECK(sim, served == pool->served && emptied == pool->emptied);
	/* nobody serves or starts without a slot: he would be forgotten */
	CHECK(sim, held == pool->counts[WORKER_STARTING] + pool->counts[WORKER_HELD] +
			       pool->counts[WORKER_SERVING]);
}

static inline usec_t check_timer(const struct pool *pool, uint32_t id)
{
	uint32_t place = pool->timers.place[id];

	return place == CORE_NONE ? NEVER : pool->timers.heap[place].at;
}

static inline void check_timers(struct sim *sim, uint32_t p)
{
	const struct pool *pool = sim_pool(sim, p);
	uint32_t set = 0;

	for (uint32_t w = 0; w < pool->capacity; w++) {
		usec_t at = w < pool->size ? pool->slots[w].restart_at : NEVER;

		CHECK(sim, check_timer(pool, 2 * w) == worker_deadline(&pool->workers[w]));
		CHECK(sim, check_timer(pool, 2 * w + 1) == at);
		set += worker_deadline(&pool->workers[w]) != NEVER;
		set += at != NEVER;
	}
	CHECK(sim, pool->timers.n == set);
	for (uint32_t n = 1; n < pool->timers.n; n++)
		CHECK(sim, pool->timers.heap[(n - 1) / 2].at <= pool->timers.heap[n].at);
}

static inline void check_rollout(struct sim *sim, uint32_t p)
{
	const struct pool *pool = sim_pool(sim, p);
	const struct rollout *rollout = &pool->rollout;
	const struct transaction *transaction = &sim->instance->transaction;
	bool part =
	    (transaction->state == TRANSACTION_ROLLING || transaction->state == TRANSACTION_HELD) &&
	    transaction->changes[p].kind != CHANGE_NONE;
	uint32_t starting = 0, vacant = 0, held = 0, asked = 0, most = pool->params.max_processes;

	CHECK(sim, part == (rollout->state != ROLLOUT_NONE));
	CHECK(sim, rollout->state == ROLLOUT_WAITING || rollout->state == ROLLOUT_SETTLING ||
		       rollout->state == ROLLOUT_CHECKING ||
		       (rollout->state == ROLLOUT_STARTING && rollout->vacant > 0) ||
		       rollout->state == ROLLOUT_TELLING || rollout->deadline == NEVER);
	for (uint32_t w = 0; w < pool->capacity; w++)
		asked += pool->workers[w].asked;
	CHECK(sim, rollout->state == ROLLOUT_TELLING
		       ? asked > 0 && asked == rollout->waiting &&
			     sim->now <= rollout->deadline + check_of(sim)->late
		       : asked == 0);
	if (part && rollout->params.max_processes > most)
		most = rollout->params.max_processes;
	CHECK(sim, pool->state == POOL_FREE || pool->state == POOL_RETIRING ||
		       pool->state == POOL_ENDING || pool->max_processes == most);
	CHECK(sim, part || pool->state == POOL_FREE || pool->state == POOL_RETIRING ||
		       pool->state == POOL_ENDING || pool->size == pool->params.workers);
	if (!part)
		return;
	CHECK(sim, !rollout->failed);
	CHECK(sim, rollout->state != ROLLOUT_WAITING ||
		       (rollout->deadline != NEVER &&
			sim->now <= rollout->deadline + check_of(sim)->late));
	CHECK(sim, rollout->state != ROLLOUT_STARTING || rollout->vacant == 0 ||
		       (rollout->deadline != NEVER &&
			sim->now <= rollout->deadline + check_of(sim)->late));
	CHECK(sim, rollout->gate_open == transaction->gate_open);
	for (uint32_t s = rollout->cursor; s < rollout->batch_end; s++) {
		const struct worker *worker = sim_successor(sim, p, s);

		starting += worker != NULL && worker->state == WORKER_STARTING;
		vacant += worker == NULL;
		held += worker != NULL && worker->state == WORKER_HELD;
		CHECK(sim, worker != NULL || pool->slots[s].leaving != CORE_NONE || pool->starved ||
			       pool->live >= pool->max_processes);
	}
	CHECK(sim, rollout->state != ROLLOUT_STARTING ||
		       (rollout->waiting > 0 && starting + vacant == rollout->waiting &&
			vacant == rollout->vacant));
	CHECK(sim, rollout->state == ROLLOUT_STARTING || starting + vacant == 0);
	CHECK(sim, rollout->state != ROLLOUT_RELEASING || (held > 0 && held == rollout->waiting));
	CHECK(sim, rollout->state == ROLLOUT_STARTING || rollout->state == ROLLOUT_RELEASING ||
		       held == 0);
	CHECK(sim, rollout->tell ||
		       (rollout->state == ROLLOUT_DONE) == (rollout->cursor == rollout->end));
}

/* Is there anything under way that only time, or a worker's end, brings to its end? */
static inline bool check_is_busy(const struct sim *sim)
{
	const struct instance *instance = sim->instance;
	bool busy = instance->transaction.state == TRANSACTION_ROLLING ||
		    instance->transaction.state == TRANSACTION_HELD ||
		    instance->state == INSTANCE_LAME_DUCK || instance->state == INSTANCE_QUIESCING;

	for (uint32_t p = 0; p < SIM_POOLS && !busy; p++) {
		const struct pool *pool = &instance->pools[p];

		busy = pool->live > pool->counts[WORKER_SERVING] || pool->restoring > 0;
		for (uint32_t w = 0; w < pool->capacity; w++)
			busy = busy || worker_deadline(&pool->workers[w]) != NEVER;
		for (uint32_t s = 0; s < pool->size; s++)
			busy = busy || pool->slots[s].restart_at != NEVER;
	}
	return busy;
}

/* A deadline whenever something is under way; none at rest; and always the nearest. */
static inline void check_deadline(struct sim *sim)
{
	const struct instance *instance = sim->instance;
	usec_t nearest = instance->deadline;

	if (instance->transaction.deadline < nearest)
		nearest = instance->transaction.deadline;
	for (uint32_t p = 0; p < SIM_POOLS; p++) {
		const struct pool *pool = sim_pool(sim, p);

		if (pool->rollout.deadline < nearest)
			nearest = pool->rollout.deadline;
		for (uint32_t w = 0; w < pool->capacity; w++)
			if (worker_deadline(&pool->workers[w]) < nearest)
				nearest = worker_deadline(&pool->workers[w]);
		for (uint32_t s = 0; s < pool->size; s++)
			if (pool->slots[s].restart_at < nearest)
				nearest = pool->slots[s].restart_at;
	}
	CHECK(sim, instance_deadline(instance) == nearest);
	CHECK(sim, !check_is_busy(sim) || nearest != NEVER);
	CHECK(sim, nearest == NEVER || check_is_busy(sim) || nearest == instance->deadline);
	CHECK(sim, instance->state != INSTANCE_STOPPED ||
		       (nearest == NEVER && instance_live(instance) == 0));
}

/* While a person is waited for nobody else waits; and not for longer than was said. */
static inline void check_held(struct sim *sim)
{
	const struct instance *instance = sim->instance;
	const struct transaction *transaction = &instance->transaction;

	CHECK(sim, (transaction->state == TRANSACTION_HELD) ==
		       (check_of(sim)->held && !check_of(sim)->promoted));
	CHECK(sim, (transaction->state == TRANSACTION_HELD) == (transaction->deadline != NEVER));
	if (transaction->state != TRANSACTION_HELD)
		return;
	CHECK(sim, transaction->deadline == check_of(sim)->held_until);
	CHECK(sim, sim->now <= transaction->deadline + check_of(sim)->late);
	for (size_t n = 0; n < CORE_REQUESTS_MAX; n++)
		CHECK(sim, instance->pending[n].state == PENDING_FREE ||
			       instance->pending[n].state == PENDING_DRAINING);
}

static inline void check_model(struct sim *sim)
{
	check_held(sim);
	for (uint32_t p = 0; p < SIM_POOLS; p++) {
		const struct pool *pool = sim_pool(sim, p);

		if (pool->capacity == 0)
			continue;
		CHECK(sim, pool->epoch == sim->instance->epoch);
		CHECK(sim, pool->state != POOL_FREE ||
			       (pool->size == 0 && pool->live == 0 && pool->timers.n == 0));
		check_workers(sim, p);
		check_slots(sim, p);
		check_timers(sim, p);
		check_rollout(sim, p);
	}
	check_deadline(sim);
}

#endif
