/* test_core_worker.c - a worker's life: every state x event with what is to follow, and its
 * deadlines. */
#include "core_worker.h"

/* Whoever adds a state or an event has to say here what is to follow in every cell. */
_Static_assert(WORKER_STATE_COUNT == 7, "a new state needs rows in lives[]");
_Static_assert(WORKER_EVENT_COUNT == 18, "a new event needs a cell in every row of lives[]");

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
	 [WORKER_EVENT_EXECUTED] = "",
	 [WORKER_EVENT_SPAWN_FAILED] = "",
	 [WORKER_EVENT_READY] = "",
	 [WORKER_EVENT_ANSWERS] = "",
	 [WORKER_EVENT_RELEASE] = "",
	 [WORKER_EVENT_TELL] = "",
	 [WORKER_EVENT_ACCEPTING] = "",
	 [WORKER_EVENT_STOPPING] = "",
	 [WORKER_EVENT_EXITED] = "",
	 [WORKER_EVENT_EXTEND] = "",
	 [WORKER_EVENT_PING] = "",
	 [WORKER_EVENT_TRIGGER] = "",
	 [WORKER_EVENT_NOT_LIVE] = "",
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
	 [WORKER_EVENT_EXECUTED] = "",
	 [WORKER_EVENT_SPAWN_FAILED] = "starting>gone",
	 [WORKER_EVENT_READY] = "",
	 [WORKER_EVENT_ANSWERS] = "",
	 [WORKER_EVENT_RELEASE] = "",
	 [WORKER_EVENT_TELL] = "",
	 [WORKER_EVENT_ACCEPTING] = "",
	 [WORKER_EVENT_STOPPING] = "",
	 [WORKER_EVENT_EXITED] = "starting>gone",
	 [WORKER_EVENT_EXTEND] = "",
	 [WORKER_EVENT_PING] = "",
	 [WORKER_EVENT_TRIGGER] = "",
	 [WORKER_EVENT_NOT_LIVE] = "",
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
	 [WORKER_EVENT_EXECUTED] = "",
	 [WORKER_EVENT_SPAWN_FAILED] = "starting>gone",
	 [WORKER_EVENT_READY] = "starting>serving",
	 [WORKER_EVENT_ANSWERS] = "",
	 [WORKER_EVENT_RELEASE] = "",
	 [WORKER_EVENT_TELL] = "",
	 [WORKER_EVENT_ACCEPTING] = "",
	 [WORKER_EVENT_STOPPING] = "starting>draining:own wish",
	 [WORKER_EVENT_EXITED] = "starting>gone",
	 [WORKER_EVENT_EXTEND] = "",
	 [WORKER_EVENT_PING] = "",
	 [WORKER_EVENT_TRIGGER] = "starting>dumping:watchdog signal:6/500",
	 [WORKER_EVENT_NOT_LIVE] = "",
	 [WORKER_EVENT_SET_WATCHDOG] = "",
	 [WORKER_EVENT_TIME] = "starting>draining:not ready in time signal:15/6000",
	 [WORKER_EVENT_DRAIN] = "starting>draining:stop signal:15/1000",
	 [WORKER_EVENT_KILL] = "starting>killed:stop kill",
     }},
    {"starting, ready after a time, without its program yet",
     WORKER_STARTING,
     to_begun,
     {
	 [WORKER_EVENT_SPAWNED] = "",
	 [WORKER_EVENT_EXECUTED] = "",
	 [WORKER_EVENT_SPAWN_FAILED] = "starting>gone",
	 [WORKER_EVENT_READY] = "starting>serving",
	 [WORKER_EVENT_ANSWERS] = "",
	 [WORKER_EVENT_RELEASE] = "",
	 [WORKER_EVENT_TELL] = "",
	 [WORKER_EVENT_ACCEPTING] = "",
	 [WORKER_EVENT_STOPPING] = "starting>draining:own wish",
	 [WORKER_EVENT_EXITED] = "starting>gone",
	 [WORKER_EVENT_EXTEND] = "",
	 [WORKER_EVENT_PING] = "",
	 [WORKER_EVENT_TRIGGER] = "starting>dumping:watchdog signal:6/500",
	 [WORKER_EVENT_NOT_LIVE] = "",
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
	 [WORKER_EVENT_EXECUTED] = "",
	 [WORKER_EVENT_SPAWN_FAILED] = "starting>gone",
	 [WORKER_EVENT_READY] = "starting>serving",
	 [WORKER_EVENT_ANSWERS] = "",
	 [WORKER_EVENT_RELEASE] = "",
	 [WORKER_EVENT_TELL] = "",
	 [WORKER_EVENT_ACCEPTING] = "",
	 [WORKER_EVENT_STOPPING] = "starting>draining:own wish",
	 [WORKER_EVENT_EXITED] = "starting>gone",
	 [WORKER_EVENT_EXTEND] = "",
	 [WORKER_EVENT_PING] = "",
	 [WORKER_EVENT_TRIGGER] = "starting>dumping:watchdog signal:6/500",
	 [WORKER_EVENT_NOT_LIVE] = "",
	 [WORKER_EVENT_SET_WATCHDOG] = "",
	 [WORKER_EVENT_TIME] = "starting>serving",
	 [WORKER_EVENT_DRAIN] = "starting>draining:stop signal:15/1000",
	 [WORKER_EVENT_KILL] = "starting>killed:stop kill",
     }},
    {"starting, to be held",
     WORKER_STARTING,
     to_to_be_held,
     {
	 [WORKER_EVENT_SPAWNED] = "",
	 [WORKER_EVENT_EXECUTED] = "",
	 [WORKER_EVENT_SPAWN_FAILED] = "starting>gone",
	 [WORKER_EVENT_READY] = "starting>held",
	 [WORKER_EVENT_ANSWERS] = "",
	 [WORKER_EVENT_RELEASE] = "",
	 [WORKER_EVENT_TELL] = "",
	 [WORKER_EVENT_ACCEPTING] = "",
	 [WORKER_EVENT_STOPPING] = "starting>draining:own wish",
	 [WORKER_EVENT_EXITED] = "starting>gone",
	 [WORKER_EVENT_EXTEND] = "",
	 [WORKER_EVENT_PING] = "",
	 [WORKER_EVENT_TRIGGER] = "starting>dumping:watchdog signal:6/500",
	 [WORKER_EVENT_NOT_LIVE] = "",
	 [WORKER_EVENT_SET_WATCHDOG] = "",
	 [WORKER_EVENT_TIME] = "starting>draining:not ready in time signal:15/6000",
	 [WORKER_EVENT_DRAIN] = "starting>draining:stop signal:15/1000",
	 [WORKER_EVENT_KILL] = "starting>killed:stop kill",
     }},
    {"held",
     WORKER_HELD,
     to_held,
     {
	 [WORKER_EVENT_SPAWNED] = "",
	 [WORKER_EVENT_EXECUTED] = "",
	 [WORKER_EVENT_SPAWN_FAILED] = "",
	 [WORKER_EVENT_READY] = "",
	 [WORKER_EVENT_ANSWERS] = "",
	 [WORKER_EVENT_RELEASE] = "held>serving sockets",
	 [WORKER_EVENT_TELL] = "",
	 [WORKER_EVENT_ACCEPTING] = "",
	 [WORKER_EVENT_STOPPING] = "held>draining:own wish",
	 [WORKER_EVENT_EXITED] = "held>gone",
	 [WORKER_EVENT_EXTEND] = "",
	 [WORKER_EVENT_PING] = "",
	 [WORKER_EVENT_TRIGGER] = "held>dumping:watchdog signal:6/500",
	 [WORKER_EVENT_SET_WATCHDOG] = "",
	 [WORKER_EVENT_NOT_LIVE] = "",
	 [WORKER_EVENT_TIME] = "held>dumping:watchdog signal:6/500",
	 [WORKER_EVENT_DRAIN] = "held>draining:stop signal:15/1000",
	 [WORKER_EVENT_KILL] = "held>killed:stop kill",
     }},
    {"held, sent its sockets, has not answered",
     WORKER_HELD,
     to_released,
     {
	 [WORKER_EVENT_SPAWNED] = "",
	 [WORKER_EVENT_EXECUTED] = "",
	 [WORKER_EVENT_SPAWN_FAILED] = "",
	 [WORKER_EVENT_READY] = "",
	 [WORKER_EVENT_ANSWERS] = "",
	 [WORKER_EVENT_RELEASE] = "",
	 [WORKER_EVENT_TELL] = "",
	 [WORKER_EVENT_ACCEPTING] = "held>serving",
	 [WORKER_EVENT_STOPPING] = "held>draining:own wish",
	 [WORKER_EVENT_EXITED] = "held>gone",
	 [WORKER_EVENT_EXTEND] = "",
	 [WORKER_EVENT_PING] = "",
	 [WORKER_EVENT_TRIGGER] = "held>dumping:watchdog signal:6/500",
	 [WORKER_EVENT_SET_WATCHDOG] = "",
	 [WORKER_EVENT_NOT_LIVE] = "",
	 [WORKER_EVENT_TIME] = "held>draining:not ready in time signal:15/6000",
	 [WORKER_EVENT_DRAIN] = "held>draining:stop signal:15/1000",
	 [WORKER_EVENT_KILL] = "held>killed:stop kill",
     }},
    {"held, will answer",
     WORKER_HELD,
     to_answering,
     {
	 [WORKER_EVENT_SPAWNED] = "",
	 [WORKER_EVENT_EXECUTED] = "",
	 [WORKER_EVENT_SPAWN_FAILED] = "",
	 [WORKER_EVENT_READY] = "",
	 [WORKER_EVENT_ANSWERS] = "",
	 [WORKER_EVENT_RELEASE] = "sockets",
	 [WORKER_EVENT_TELL] = "",
	 [WORKER_EVENT_ACCEPTING] = "",
	 [WORKER_EVENT_STOPPING] = "held>draining:own wish",
	 [WORKER_EVENT_EXITED] = "held>gone",
	 [WORKER_EVENT_EXTEND] = "",
	 [WORKER_EVENT_PING] = "",
	 [WORKER_EVENT_TRIGGER] = "held>dumping:watchdog signal:6/500",
	 [WORKER_EVENT_NOT_LIVE] = "",
	 [WORKER_EVENT_SET_WATCHDOG] = "",
	 [WORKER_EVENT_TIME] = "held>dumping:watchdog signal:6/500",
	 [WORKER_EVENT_DRAIN] = "held>draining:stop signal:15/1000",
	 [WORKER_EVENT_KILL] = "held>killed:stop kill",
     }},
    {"serving",
     WORKER_SERVING,
     to_serving,
     {
	 [WORKER_EVENT_SPAWNED] = "",
	 [WORKER_EVENT_EXECUTED] = "",
	 [WORKER_EVENT_SPAWN_FAILED] = "",
	 [WORKER_EVENT_READY] = "",
	 [WORKER_EVENT_ANSWERS] = "",
	 [WORKER_EVENT_RELEASE] = "",
	 [WORKER_EVENT_TELL] = "sockets",
	 [WORKER_EVENT_ACCEPTING] = "",
	 [WORKER_EVENT_STOPPING] = "serving>draining:own wish",
	 [WORKER_EVENT_EXITED] = "serving>gone",
	 [WORKER_EVENT_EXTEND] = "",
	 [WORKER_EVENT_PING] = "",
	 [WORKER_EVENT_TRIGGER] = "serving>dumping:watchdog signal:6/500",
	 [WORKER_EVENT_NOT_LIVE] = "serving>dumping:liveness signal:6/500",
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
	 [WORKER_EVENT_EXECUTED] = "",
	 [WORKER_EVENT_SPAWN_FAILED] = "",
	 [WORKER_EVENT_READY] = "",
	 [WORKER_EVENT_ANSWERS] = "",
	 [WORKER_EVENT_RELEASE] = "",
	 [WORKER_EVENT_TELL] = "sockets",
	 [WORKER_EVENT_ACCEPTING] = "",
	 [WORKER_EVENT_STOPPING] = "serving>draining:own wish",
	 [WORKER_EVENT_EXITED] = "serving>gone",
	 [WORKER_EVENT_EXTEND] = "",
	 [WORKER_EVENT_PING] = "",
	 [WORKER_EVENT_TRIGGER] = "serving>dumping:watchdog signal:3/500",
	 [WORKER_EVENT_NOT_LIVE] = "serving>dumping:liveness signal:3/500",
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
	 [WORKER_EVENT_EXECUTED] = "",
	 [WORKER_EVENT_SPAWN_FAILED] = "",
	 [WORKER_EVENT_READY] = "",
	 [WORKER_EVENT_ANSWERS] = "",
	 [WORKER_EVENT_RELEASE] = "",
	 [WORKER_EVENT_TELL] = "",
	 [WORKER_EVENT_ACCEPTING] = "",
	 [WORKER_EVENT_STOPPING] = "",
	 [WORKER_EVENT_EXITED] = "draining>gone:reload",
	 [WORKER_EVENT_EXTEND] = "",
	 [WORKER_EVENT_PING] = "",
	 [WORKER_EVENT_TRIGGER] = "",
	 [WORKER_EVENT_NOT_LIVE] = "",
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
	 [WORKER_EVENT_EXECUTED] = "",
	 [WORKER_EVENT_SPAWN_FAILED] = "",
	 [WORKER_EVENT_READY] = "",
	 [WORKER_EVENT_ANSWERS] = "",
	 [WORKER_EVENT_RELEASE] = "",
	 [WORKER_EVENT_TELL] = "",
	 [WORKER_EVENT_ACCEPTING] = "",
	 [WORKER_EVENT_STOPPING] = "",
	 [WORKER_EVENT_EXITED] = "draining>gone:reload",
	 [WORKER_EVENT_EXTEND] = "",
	 [WORKER_EVENT_PING] = "",
	 [WORKER_EVENT_TRIGGER] = "",
	 [WORKER_EVENT_NOT_LIVE] = "",
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
	 [WORKER_EVENT_EXECUTED] = "",
	 [WORKER_EVENT_SPAWN_FAILED] = "",
	 [WORKER_EVENT_READY] = "",
	 [WORKER_EVENT_ANSWERS] = "",
	 [WORKER_EVENT_RELEASE] = "",
	 [WORKER_EVENT_TELL] = "",
	 [WORKER_EVENT_ACCEPTING] = "",
	 [WORKER_EVENT_STOPPING] = "",
	 [WORKER_EVENT_EXITED] = "draining>gone:own wish",
	 [WORKER_EVENT_EXTEND] = "",
	 [WORKER_EVENT_PING] = "",
	 [WORKER_EVENT_TRIGGER] = "",
	 [WORKER_EVENT_NOT_LIVE] = "",
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
	 [WORKER_EVENT_EXECUTED] = "",
	 [WORKER_EVENT_SPAWN_FAILED] = "",
	 [WORKER_EVENT_READY] = "",
	 [WORKER_EVENT_ANSWERS] = "",
	 [WORKER_EVENT_RELEASE] = "",
	 [WORKER_EVENT_TELL] = "",
	 [WORKER_EVENT_ACCEPTING] = "",
	 [WORKER_EVENT_STOPPING] = "",
	 [WORKER_EVENT_EXITED] = "dumping>gone:reload",
	 [WORKER_EVENT_EXTEND] = "",
	 [WORKER_EVENT_PING] = "",
	 [WORKER_EVENT_TRIGGER] = "",
	 [WORKER_EVENT_NOT_LIVE] = "",
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
	 [WORKER_EVENT_EXECUTED] = "",
	 [WORKER_EVENT_SPAWN_FAILED] = "",
	 [WORKER_EVENT_READY] = "",
	 [WORKER_EVENT_ANSWERS] = "",
	 [WORKER_EVENT_RELEASE] = "",
	 [WORKER_EVENT_TELL] = "",
	 [WORKER_EVENT_ACCEPTING] = "",
	 [WORKER_EVENT_STOPPING] = "",
	 [WORKER_EVENT_EXITED] = "killed>gone:reload",
	 [WORKER_EVENT_EXTEND] = "",
	 [WORKER_EVENT_PING] = "",
	 [WORKER_EVENT_TRIGGER] = "",
	 [WORKER_EVENT_NOT_LIVE] = "",
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
	case WORKER_EVENT_EXECUTED:
		return "EXECUTED";
	case WORKER_EVENT_SPAWN_FAILED:
		return "SPAWN_FAILED";
	case WORKER_EVENT_READY:
		return "READY";
	case WORKER_EVENT_ANSWERS:
		return "ANSWERS";
	case WORKER_EVENT_RELEASE:
		return "RELEASE";
	case WORKER_EVENT_TELL:
		return "TELL";
	case WORKER_EVENT_ACCEPTING:
		return "ACCEPTING";
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
	case WORKER_EVENT_NOT_LIVE:
		return "NOT_LIVE";
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
	    cmocka_unit_test(all_words_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
