/* test_core_worker.c - a worker's life: every state x event with what is to follow, and its
 * deadlines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/worker.h"

#define NOW  (1000 * USEC_PER_SEC)
#define MSEC USEC_PER_MSEC
#define SEC  USEC_PER_SEC

/* Whoever adds a state or an event has to say here what is to follow in every cell. */
_Static_assert(WORKER_STATE_COUNT == 6, "a new state needs rows in lives[]");
_Static_assert(WORKER_EVENT_COUNT == 12, "a new event needs a cell in every row of lives[]");

static struct order orders[8];
static struct plan plan = {.orders = orders, .size = 8};

static const struct pool_params params = {
    .workers = 1,
    .max_surge = 1,
    .max_processes = 8,
    .start_timeout = 30 * SEC,
    .ready_delay = USEC_INFINITY,
    .progress_timeout = 60 * SEC,
    .drain_timeout = 6 * SEC,
    .stop_timeout = 3 * SEC,
    .drain_extend_max = 2 * SEC,
    .dump_timeout = 500 * MSEC,
    .drain_signal = 15,
};

/* The plan in words: "serving>draining:reload signal:15/6000". */
static const char *plan_words(void)
{
	static char words[400];
	size_t n = 0;

	words[0] = '\0';
	for (size_t i = 0; i < plan.n; i++) {
		const struct order *order = &orders[i];
		const char *space = i > 0 ? " " : "";

		if (order->kind == ORDER_STATE)
			n += snprintf(words + n, sizeof(words) - n, "%s%s>%s%s%s", space,
				      worker_state_name(order->from), worker_state_name(order->to),
				      order->reason != END_NONE ? ":" : "",
				      end_reason_name(order->reason));
		else if (order->kind == ORDER_SIGNAL)
			n += snprintf(words + n, sizeof(words) - n, "%ssignal:%d/%d", space,
				      order->sig, order->value);
		else
			n += snprintf(words + n, sizeof(words) - n, "%s%s", space,
				      order->kind == ORDER_KILL	   ? "kill"
				      : order->kind == ORDER_SPAWN ? "spawn"
								   : "?");
	}
	return words;
}

static void step(struct worker *worker, enum worker_event_kind kind, usec_t usec,
		 enum end_reason reason, usec_t now)
{
	struct worker_event event = {.kind = kind, .usec = usec, .reason = reason};

	plan.n = 0;
	worker_step(worker, &event, now, &plan);
}

/* ---- ways to get into a state ---- */

static void to_gone(struct worker *worker, struct pool_params *numbers)
{
	(void)numbers;
	*worker = (struct worker){.state = WORKER_GONE};
}

static void to_ordered(struct worker *worker, struct pool_params *numbers)
{
	*worker = (struct worker){.state = WORKER_GONE, .ref = {.pool = 2, .index = 5}};
	plan.n = 0;
	worker_begin(worker, 3, 7, numbers, NOW, &plan);
}

static void to_starting(struct worker *worker, struct pool_params *numbers)
{
	to_ordered(worker, numbers);
	step(worker, WORKER_EVENT_SPAWNED, 0, END_NONE, NOW);
}

static void to_delayed(struct worker *worker, struct pool_params *numbers)
{
	numbers->ready_delay = 2 * SEC;
	to_starting(worker, numbers);
}

static void to_serving(struct worker *worker, struct pool_params *numbers)
{
	to_starting(worker, numbers);
	step(worker, WORKER_EVENT_READY, 0, END_NONE, NOW);
}

static void to_serving_dump(struct worker *worker, struct pool_params *numbers)
{
	numbers->dump_signal = 3;
	to_serving(worker, numbers);
}

static void to_told(struct worker *worker, struct pool_params *numbers)
{
	to_serving(worker, numbers);
	step(worker, WORKER_EVENT_DRAIN, 6 * SEC, END_RELOAD, NOW);
}

static void to_told_dump(struct worker *worker, struct pool_params *numbers)
{
	numbers->dump_signal = 3;
	to_told(worker, numbers);
}

static void to_wishing(struct worker *worker, struct pool_params *numbers)
{
	to_serving(worker, numbers);
	step(worker, WORKER_EVENT_STOPPING, 0, END_NONE, NOW);
}

static void to_dumping(struct worker *worker, struct pool_params *numbers)
{
	to_told_dump(worker, numbers);
	step(worker, WORKER_EVENT_TIME, 0, END_NONE, NOW);
}

static void to_killed(struct worker *worker, struct pool_params *numbers)
{
	to_told(worker, numbers);
	step(worker, WORKER_EVENT_TIME, 0, END_NONE, NOW);
}

/*
 * What each event brings, in each state (and in each condition that makes a difference): the
 * orders,
 * "" for none. The state that follows is the last one named, or the same.
 */
struct life {
	const char *name;
	enum worker_state state;
	void (*enter)(struct worker *worker, struct pool_params *numbers);
	const char *brings[WORKER_EVENT_COUNT];
};

static const struct life lives[] = {
    {"gone",
     WORKER_GONE,
     to_gone,
     {
	 [WORKER_EVENT_SPAWNED] = "",
	 [WORKER_EVENT_SPAWN_FAILED] = "",
	 [WORKER_EVENT_READY] = "",
	 [WORKER_EVENT_STOPPING] = "",
	 [WORKER_EVENT_EXITED] = "",
	 [WORKER_EVENT_EXTEND] = "",
	 [WORKER_EVENT_PING] = "",
	 [WORKER_EVENT_TRIGGER] = "",
	 [WORKER_EVENT_SET_WATCHDOG] = "",
	 [WORKER_EVENT_TIME] = "",
	 [WORKER_EVENT_DRAIN] = "",
	 [WORKER_EVENT_KILL] = "",
     }},
    {"starting, without a process yet",
     WORKER_STARTING,
     to_ordered,
     {
	 [WORKER_EVENT_SPAWNED] = "",
	 [WORKER_EVENT_SPAWN_FAILED] = "starting>gone",
	 [WORKER_EVENT_READY] = "",
	 [WORKER_EVENT_STOPPING] = "",
	 [WORKER_EVENT_EXITED] = "starting>gone",
	 [WORKER_EVENT_EXTEND] = "",
	 [WORKER_EVENT_PING] = "",
	 [WORKER_EVENT_TRIGGER] = "",
	 [WORKER_EVENT_SET_WATCHDOG] = "",
	 [WORKER_EVENT_TIME] = "",
	 [WORKER_EVENT_DRAIN] = "starting>gone:stop",
	 [WORKER_EVENT_KILL] = "starting>gone:stop",
     }},
    {"starting",
     WORKER_STARTING,
     to_starting,
     {
	 [WORKER_EVENT_SPAWNED] = "",
	 [WORKER_EVENT_SPAWN_FAILED] = "starting>gone",
	 [WORKER_EVENT_READY] = "starting>serving",
	 [WORKER_EVENT_STOPPING] = "starting>draining:own wish",
	 [WORKER_EVENT_EXITED] = "starting>gone",
	 [WORKER_EVENT_EXTEND] = "",
	 [WORKER_EVENT_PING] = "",
	 [WORKER_EVENT_TRIGGER] = "starting>dumping:watchdog signal:6/500",
	 [WORKER_EVENT_SET_WATCHDOG] = "",
	 [WORKER_EVENT_TIME] = "starting>draining:not ready in time signal:15/6000",
	 [WORKER_EVENT_DRAIN] = "starting>draining:stop signal:15/1000",
	 [WORKER_EVENT_KILL] = "starting>killed:stop kill",
     }},
    {"starting, ready after a time",
     WORKER_STARTING,
     to_delayed,
     {
	 [WORKER_EVENT_SPAWNED] = "",
	 [WORKER_EVENT_SPAWN_FAILED] = "starting>gone",
	 [WORKER_EVENT_READY] = "starting>serving",
	 [WORKER_EVENT_STOPPING] = "starting>draining:own wish",
	 [WORKER_EVENT_EXITED] = "starting>gone",
	 [WORKER_EVENT_EXTEND] = "",
	 [WORKER_EVENT_PING] = "",
	 [WORKER_EVENT_TRIGGER] = "starting>dumping:watchdog signal:6/500",
	 [WORKER_EVENT_SET_WATCHDOG] = "",
	 [WORKER_EVENT_TIME] = "starting>serving",
	 [WORKER_EVENT_DRAIN] = "starting>draining:stop signal:15/1000",
	 [WORKER_EVENT_KILL] = "starting>killed:stop kill",
     }},
    {"serving",
     WORKER_SERVING,
     to_serving,
     {
	 [WORKER_EVENT_SPAWNED] = "",
	 [WORKER_EVENT_SPAWN_FAILED] = "",
	 [WORKER_EVENT_READY] = "",
	 [WORKER_EVENT_STOPPING] = "serving>draining:own wish",
	 [WORKER_EVENT_EXITED] = "serving>gone",
	 [WORKER_EVENT_EXTEND] = "",
	 [WORKER_EVENT_PING] = "",
	 [WORKER_EVENT_TRIGGER] = "serving>dumping:watchdog signal:6/500",
	 [WORKER_EVENT_SET_WATCHDOG] = "",
	 [WORKER_EVENT_TIME] = "serving>dumping:watchdog signal:6/500",
	 [WORKER_EVENT_DRAIN] = "serving>draining:stop signal:15/1000",
	 [WORKER_EVENT_KILL] = "serving>killed:stop kill",
     }},
    {"serving, with a dump signal",
     WORKER_SERVING,
     to_serving_dump,
     {
	 [WORKER_EVENT_SPAWNED] = "",
	 [WORKER_EVENT_SPAWN_FAILED] = "",
	 [WORKER_EVENT_READY] = "",
	 [WORKER_EVENT_STOPPING] = "serving>draining:own wish",
	 [WORKER_EVENT_EXITED] = "serving>gone",
	 [WORKER_EVENT_EXTEND] = "",
	 [WORKER_EVENT_PING] = "",
	 [WORKER_EVENT_TRIGGER] = "serving>dumping:watchdog signal:3/500",
	 [WORKER_EVENT_SET_WATCHDOG] = "",
	 [WORKER_EVENT_TIME] = "serving>dumping:watchdog signal:3/500",
	 [WORKER_EVENT_DRAIN] = "serving>draining:stop signal:15/1000",
	 [WORKER_EVENT_KILL] = "serving>killed:stop kill",
     }},
    {"draining, told to",
     WORKER_DRAINING,
     to_told,
     {
	 [WORKER_EVENT_SPAWNED] = "",
	 [WORKER_EVENT_SPAWN_FAILED] = "",
	 [WORKER_EVENT_READY] = "",
	 [WORKER_EVENT_STOPPING] = "",
	 [WORKER_EVENT_EXITED] = "draining>gone:reload",
	 [WORKER_EVENT_EXTEND] = "",
	 [WORKER_EVENT_PING] = "",
	 [WORKER_EVENT_TRIGGER] = "",
	 [WORKER_EVENT_SET_WATCHDOG] = "",
	 [WORKER_EVENT_TIME] = "draining>killed:reload kill",
	 [WORKER_EVENT_DRAIN] = "",
	 [WORKER_EVENT_KILL] = "draining>killed:stop kill",
     }},
    {"draining, with a dump signal",
     WORKER_DRAINING,
     to_told_dump,
     {
	 [WORKER_EVENT_SPAWNED] = "",
	 [WORKER_EVENT_SPAWN_FAILED] = "",
	 [WORKER_EVENT_READY] = "",
	 [WORKER_EVENT_STOPPING] = "",
	 [WORKER_EVENT_EXITED] = "draining>gone:reload",
	 [WORKER_EVENT_EXTEND] = "",
	 [WORKER_EVENT_PING] = "",
	 [WORKER_EVENT_TRIGGER] = "",
	 [WORKER_EVENT_SET_WATCHDOG] = "",
	 [WORKER_EVENT_TIME] = "draining>dumping:reload signal:3/500",
	 [WORKER_EVENT_DRAIN] = "",
	 [WORKER_EVENT_KILL] = "draining>killed:stop kill",
     }},
    {"draining by its own wish",
     WORKER_DRAINING,
     to_wishing,
     {
	 [WORKER_EVENT_SPAWNED] = "",
	 [WORKER_EVENT_SPAWN_FAILED] = "",
	 [WORKER_EVENT_READY] = "",
	 [WORKER_EVENT_STOPPING] = "",
	 [WORKER_EVENT_EXITED] = "draining>gone:own wish",
	 [WORKER_EVENT_EXTEND] = "",
	 [WORKER_EVENT_PING] = "",
	 [WORKER_EVENT_TRIGGER] = "",
	 [WORKER_EVENT_SET_WATCHDOG] = "",
	 [WORKER_EVENT_TIME] = "draining>killed:own wish kill",
	 [WORKER_EVENT_DRAIN] = "signal:15/1000",
	 [WORKER_EVENT_KILL] = "draining>killed:stop kill",
     }},
    {"dumping",
     WORKER_DUMPING,
     to_dumping,
     {
	 [WORKER_EVENT_SPAWNED] = "",
	 [WORKER_EVENT_SPAWN_FAILED] = "",
	 [WORKER_EVENT_READY] = "",
	 [WORKER_EVENT_STOPPING] = "",
	 [WORKER_EVENT_EXITED] = "dumping>gone:reload",
	 [WORKER_EVENT_EXTEND] = "",
	 [WORKER_EVENT_PING] = "",
	 [WORKER_EVENT_TRIGGER] = "",
	 [WORKER_EVENT_SET_WATCHDOG] = "",
	 [WORKER_EVENT_TIME] = "dumping>killed:reload kill",
	 [WORKER_EVENT_DRAIN] = "",
	 [WORKER_EVENT_KILL] = "dumping>killed:reload kill",
     }},
    {"killed",
     WORKER_KILLED,
     to_killed,
     {
	 [WORKER_EVENT_SPAWNED] = "",
	 [WORKER_EVENT_SPAWN_FAILED] = "",
	 [WORKER_EVENT_READY] = "",
	 [WORKER_EVENT_STOPPING] = "",
	 [WORKER_EVENT_EXITED] = "killed>gone:reload",
	 [WORKER_EVENT_EXTEND] = "",
	 [WORKER_EVENT_PING] = "",
	 [WORKER_EVENT_TRIGGER] = "",
	 [WORKER_EVENT_SET_WATCHDOG] = "",
	 [WORKER_EVENT_TIME] = "killed>killed:reload kill",
	 [WORKER_EVENT_DRAIN] = "",
	 [WORKER_EVENT_KILL] = "",
     }},
};

static const char *event_name(enum worker_event_kind kind)
{
	switch (kind) { /* no default: a new event has to come here, and into every row above */
	case WORKER_EVENT_SPAWNED:
		return "SPAWNED";
	case WORKER_EVENT_SPAWN_FAILED:
		return "SPAWN_FAILED";
	case WORKER_EVENT_READY:
		return "READY";
	case WORKER_EVENT_STOPPING:
		return "STOPPING";
	case WORKER_EVENT_EXITED:
		return "EXITED";
	case WORKER_EVENT_EXTEND:
		return "EXTEND";
	case WORKER_EVENT_PING:
		return "PING";
	case WORKER_EVENT_TRIGGER:
		return "TRIGGER";
	case WORKER_EVENT_SET_WATCHDOG:
		return "SET_WATCHDOG";
	case WORKER_EVENT_TIME:
		return "TIME";
	case WORKER_EVENT_DRAIN:
		return "DRAIN";
	case WORKER_EVENT_KILL:
		return "KILL";
	}
	return "?";
}

/* The last state that a plan in words comes to. */
static enum worker_state last_state(const char *words, enum worker_state otherwise)
{
	const char *arrow = strchr(words, '>');

	if (arrow == NULL)
		return otherwise;
	for (int state = 0; state < WORKER_STATE_COUNT; state++) {
		const char *name = worker_state_name(state);

		if (strncmp(arrow + 1, name, strlen(name)) == 0)
			return state;
	}
	fail_msg("no state in '%s'", words);
	return otherwise;
}

static void check_cell(const struct life *life, enum worker_event_kind kind)
{
	struct pool_params numbers = params;
	struct worker worker;
	const char *expected = life->brings[kind];

	life->enter(&worker, &numbers);
	assert_int_equal(worker.state, life->state);
	if (expected == NULL)
		fail_msg("%s + %s: nothing is said of it", life->name, event_name(kind));
	step(&worker, kind, 1 * SEC, END_STOP, NOW);
	if (strcmp(plan_words(), expected) != 0)
		fail_msg("%s + %s: '%s' instead of '%s'", life->name, event_name(kind),
			 plan_words(), expected);
	assert_int_equal(worker.state, last_state(expected, life->state));
	for (size_t n = 0; n < plan.n; n++) {
		assert_int_equal(orders[n].worker.pool, worker.ref.pool);
		assert_int_equal(orders[n].worker.index, worker.ref.index);
		assert_int_equal(orders[n].worker.serial, worker.ref.serial);
		assert_int_equal(orders[n].pool, 2);
		assert_int_equal(orders[n].slot, 3);
		assert_int_equal(orders[n].generation, 7);
	}
}

static void every_state_and_event(void **state)
{
	bool seen[WORKER_STATE_COUNT] = {false};

	(void)state;
	for (size_t n = 0; n < sizeof(lives) / sizeof(lives[0]); n++) {
		seen[lives[n].state] = true;
		for (int kind = 0; kind < WORKER_EVENT_COUNT; kind++)
			check_cell(&lives[n], kind);
	}
	for (int s = 0; s < WORKER_STATE_COUNT; s++)
		assert_true(seen[s]);
}

/* ---- deadlines ---- */

static void begin_orders_a_process(void **state)
{
	struct pool_params numbers = params;
	struct worker worker;

	(void)state;
	to_ordered(&worker, &numbers);
	assert_string_equal(plan_words(), "gone>starting spawn");
	assert_int_equal(worker.ref.serial, 1);
	assert_true(worker_is_live(&worker) && !worker_is_leaving(&worker));
	assert_int_equal(worker_deadline(&worker), NOW + 30 * SEC);
	/* the order waits longer than a start may take: that is not the worker's fault */
	step(&worker, WORKER_EVENT_TIME, 0, END_NONE, NOW + 30 * SEC);
	assert_int_equal(worker.state, WORKER_STARTING);
	assert_int_equal(worker_deadline(&worker), NOW + 60 * SEC);
	/* its time begins with its process */
	step(&worker, WORKER_EVENT_SPAWNED, 0, END_NONE, NOW + 40 * SEC);
	assert_int_equal(worker_deadline(&worker), NOW + 70 * SEC);
}

static void a_new_use_has_a_new_serial(void **state)
{
	struct pool_params numbers = params;
	struct worker worker;

	(void)state;
	to_serving(&worker, &numbers);
	step(&worker, WORKER_EVENT_EXITED, 0, END_NONE, NOW);
	assert_false(worker_is_live(&worker));
	assert_int_equal(worker_deadline(&worker), USEC_INFINITY);
	plan.n = 0;
	worker_begin(&worker, 4, 8, &numbers, NOW, &plan);
	assert_int_equal(worker.ref.serial, 2);
	assert_int_equal(worker.reason, END_NONE);
	assert_false(worker.spawned || worker.signalled);
}

static void start_may_be_extended_to_a_limit(void **state)
{
	struct pool_params numbers = params;
	struct worker worker;

	(void)state;
	to_starting(&worker, &numbers);
	step(&worker, WORKER_EVENT_EXTEND, 45 * SEC, END_NONE, NOW);
	assert_int_equal(worker_deadline(&worker), NOW + 45 * SEC);
	step(&worker, WORKER_EVENT_EXTEND, 1 * SEC, END_NONE, NOW); /* never shorter */
	assert_int_equal(worker_deadline(&worker), NOW + 45 * SEC);
	step(&worker, WORKER_EVENT_EXTEND, USEC_INFINITY, END_NONE, NOW + 10 * SEC);
	assert_int_equal(worker_deadline(&worker), NOW + 60 * SEC); /* progress_timeout */
	/* before there is a process, and where readiness is a matter of time, it means nothing */
	to_ordered(&worker, &numbers);
	step(&worker, WORKER_EVENT_EXTEND, 45 * SEC, END_NONE, NOW);
	assert_int_equal(worker_deadline(&worker), NOW + 30 * SEC);
	to_delayed(&worker, &numbers);
	step(&worker, WORKER_EVENT_EXTEND, 45 * SEC, END_NONE, NOW);
	assert_int_equal(worker_deadline(&worker), NOW + 2 * SEC);
}

static void drain_has_a_budget(void **state)
{
	struct pool_params numbers = params;
	struct worker worker;

	(void)state;
	to_serving(&worker, &numbers);
	step(&worker, WORKER_EVENT_DRAIN, 6 * SEC, END_RELOAD, NOW + 1 * SEC);
	assert_int_equal(worker_deadline(&worker), NOW + 7 * SEC);
	assert_int_equal(orders[0].usec, 6 * SEC);
	assert_true(worker_is_leaving(&worker));
	/* it asks for more: up to drain_extend_max */
	step(&worker, WORKER_EVENT_EXTEND, 7 * SEC, END_NONE, NOW + 1 * SEC);
	assert_int_equal(worker_deadline(&worker), NOW + 8 * SEC);
	step(&worker, WORKER_EVENT_EXTEND, 1 * SEC, END_NONE, NOW + 1 * SEC);
	assert_int_equal(worker_deadline(&worker), NOW + 8 * SEC);
	step(&worker, WORKER_EVENT_EXTEND, 100 * SEC, END_NONE, NOW + 8 * SEC);
	assert_int_equal(worker_deadline(&worker), NOW + 9 * SEC);
	step(&worker, WORKER_EVENT_EXTEND, USEC_INFINITY, END_NONE, NOW + 9 * SEC);
	assert_int_equal(worker_deadline(&worker), NOW + 9 * SEC);
}

static void a_second_reason_can_only_shorten(void **state)
{
	struct pool_params numbers = params;
	struct worker worker;

	(void)state;
	to_told(&worker, &numbers); /* until NOW + 6 s, at most 8 s */
	step(&worker, WORKER_EVENT_DRAIN, 60 * SEC, END_STOP, NOW);
	assert_int_equal(worker_deadline(&worker), NOW + 6 * SEC);
	assert_int_equal(worker.reason, END_STOP);
	step(&worker, WORKER_EVENT_DRAIN, 1 * SEC, END_STOP, NOW);
	assert_int_equal(worker_deadline(&worker), NOW + 1 * SEC);
	step(&worker, WORKER_EVENT_EXTEND, 60 * SEC, END_NONE, NOW);
	assert_int_equal(worker_deadline(&worker), NOW + 3 * SEC); /* 1 s + drain_extend_max */
	/* who goes by his own wish is told once, and then no more */
	to_wishing(&worker, &numbers);
	step(&worker, WORKER_EVENT_DRAIN, 1 * SEC, END_STOP, NOW);
	assert_int_equal(worker_deadline(&worker), NOW + 1 * SEC);
	assert_string_equal(plan_words(), "signal:15/1000");
	step(&worker, WORKER_EVENT_DRAIN, 1 * SEC, END_STOP, NOW);
	assert_string_equal(plan_words(), "");
}

static void escalation_ends_in_kills(void **state)
{
	struct pool_params numbers = params;
	struct worker worker;

	(void)state;
	to_told_dump(&worker, &numbers);
	step(&worker, WORKER_EVENT_TIME, 0, END_NONE, NOW + 6 * SEC);
	assert_int_equal(worker_deadline(&worker), NOW + 6500 * MSEC);
	step(&worker, WORKER_EVENT_EXTEND, 60 * SEC, END_NONE, NOW + 6 * SEC); /* too late */
	assert_int_equal(worker_deadline(&worker), NOW + 6500 * MSEC);
	step(&worker, WORKER_EVENT_TIME, 0, END_NONE, NOW + 6500 * MSEC);
	assert_int_equal(worker.state, WORKER_KILLED);
	assert_int_equal(worker_deadline(&worker), NOW + 6500 * MSEC + WORKER_KILL_AGAIN);
	step(&worker, WORKER_EVENT_TIME, 0, END_NONE, NOW + 12 * SEC);
	assert_string_equal(plan_words(), "killed>killed:reload kill");
	assert_int_equal(worker_deadline(&worker), NOW + 12 * SEC + WORKER_KILL_AGAIN);
	step(&worker, WORKER_EVENT_EXITED, 0, END_NONE, NOW + 13 * SEC);
	assert_int_equal(worker.state, WORKER_GONE);
}

static void watchdog_counts_from_the_last_ping(void **state)
{
	struct pool_params numbers = params;
	struct worker worker;

	(void)state;
	to_serving(&worker, &numbers);
	assert_int_equal(worker_deadline(&worker), USEC_INFINITY);
	step(&worker, WORKER_EVENT_PING, 0, END_NONE, NOW); /* nobody asked for it */
	assert_int_equal(worker_deadline(&worker), USEC_INFINITY);
	numbers.watchdog = 10 * SEC;
	to_serving(&worker, &numbers);
	assert_int_equal(worker_deadline(&worker), NOW + 10 * SEC);
	step(&worker, WORKER_EVENT_PING, 0, END_NONE, NOW + 4 * SEC);
	assert_int_equal(worker_deadline(&worker), NOW + 14 * SEC);
	step(&worker, WORKER_EVENT_SET_WATCHDOG, 20 * SEC, END_NONE, NOW + 5 * SEC);
	assert_int_equal(worker_deadline(&worker), NOW + 25 * SEC);
	step(&worker, WORKER_EVENT_PING, 0, END_NONE, NOW + 6 * SEC);
	assert_int_equal(worker_deadline(&worker), NOW + 26 * SEC);
	step(&worker, WORKER_EVENT_SET_WATCHDOG, 0, END_NONE, NOW + 7 * SEC);
	assert_int_equal(worker_deadline(&worker), USEC_INFINITY);
	/* set while it starts, it counts from readiness on */
	to_starting(&worker, &numbers);
	step(&worker, WORKER_EVENT_SET_WATCHDOG, 3 * SEC, END_NONE, NOW);
	step(&worker, WORKER_EVENT_READY, 0, END_NONE, NOW + 1 * SEC);
	assert_int_equal(worker_deadline(&worker), NOW + 4 * SEC);
	/* who drains is not watched: its budget is near enough */
	step(&worker, WORKER_EVENT_DRAIN, 6 * SEC, END_RELOAD, NOW + 2 * SEC);
	assert_int_equal(worker_deadline(&worker), NOW + 8 * SEC);
}

static void new_numbers_leave_promises_alone(void **state)
{
	struct pool_params numbers = params, later = params;
	struct worker worker;

	(void)state;
	numbers.watchdog = 10 * SEC;
	to_serving(&worker, &numbers);
	step(&worker, WORKER_EVENT_SET_WATCHDOG, 60 * SEC, END_NONE, NOW);
	later.watchdog = 1 * SEC;
	later.ready_delay = 5 * SEC;
	later.drain_timeout = 1 * SEC;
	later.stop_timeout = 2 * SEC;
	later.drain_extend_max = 3 * SEC;
	later.dump_timeout = 4 * SEC;
	later.drain_signal = 10;
	later.dump_signal = 12;
	worker_timing_update(&worker.timing, &later);
	assert_int_equal(worker.timing.watchdog, 60 * SEC);
	assert_int_equal(worker.timing.ready_delay, USEC_INFINITY);
	assert_int_equal(worker.timing.drain_timeout, 1 * SEC);
	assert_int_equal(worker.timing.stop_timeout, 2 * SEC);
	assert_int_equal(worker.timing.drain_extend_max, 3 * SEC);
	assert_int_equal(worker.timing.dump_timeout, 4 * SEC);
	assert_int_equal(worker.timing.drain_signal, 10);
	assert_int_equal(worker.timing.dump_signal, 12);
}

static void signals_carry_what_is_left(void **state)
{
	struct pool_params numbers = params;
	struct worker worker;

	(void)state;
	to_serving(&worker, &numbers);
	step(&worker, WORKER_EVENT_DRAIN, USEC_INFINITY, END_RELOAD, NOW);
	assert_int_equal(orders[1].value, INT32_MAX);
	assert_int_equal(worker_deadline(&worker), USEC_INFINITY);
	to_serving(&worker, &numbers);
	step(&worker, WORKER_EVENT_DRAIN, 0, END_RELOAD, NOW);
	assert_int_equal(orders[1].value, 0);
	assert_int_equal(worker_deadline(&worker), NOW);
}

static void all_words_have_names(void **state)
{
	(void)state;
	for (int n = 0; n < WORKER_STATE_COUNT; n++)
		assert_string_not_equal(worker_state_name(n), "?");
	for (int n = 0; n < END_REASON_COUNT; n++)
		assert_string_not_equal(end_reason_name(n), "?");
	for (int n = CAUSE_NONE; n <= CAUSE_STOPPING; n++)
		assert_string_not_equal(cause_name(n), "?");
	assert_string_equal(worker_state_name(WORKER_STATE_COUNT), "?");
	assert_string_equal(end_reason_name(END_REASON_COUNT), "?");
	assert_string_equal(cause_name(CAUSE_STOPPING + 1), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_state_and_event),
	    cmocka_unit_test(begin_orders_a_process),
	    cmocka_unit_test(a_new_use_has_a_new_serial),
	    cmocka_unit_test(start_may_be_extended_to_a_limit),
	    cmocka_unit_test(drain_has_a_budget),
	    cmocka_unit_test(a_second_reason_can_only_shorten),
	    cmocka_unit_test(escalation_ends_in_kills),
	    cmocka_unit_test(watchdog_counts_from_the_last_ping),
	    cmocka_unit_test(new_numbers_leave_promises_alone),
	    cmocka_unit_test(signals_carry_what_is_left),
	    cmocka_unit_test(all_words_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
