/* core_worker.h - one worker by itself, for the tests of its life: ways into each state, and its
 * plan in words. */
#ifndef TESTS_CORE_WORKER_H
#define TESTS_CORE_WORKER_H

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
static inline const char *plan_words(void)
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
				      order->kind == ORDER_KILL		  ? "kill"
				      : order->kind == ORDER_SPAWN	  ? "spawn"
				      : order->kind == ORDER_SEND_SOCKETS ? "sockets"
									  : "?");
	}
	return words;
}

static inline void step(struct worker *worker, enum worker_event_kind kind, usec_t usec,
			enum end_reason reason, usec_t now)
{
	struct worker_event event = {.kind = kind, .usec = usec, .reason = reason};

	plan.n = 0;
	worker_step(worker, &event, now, &plan);
}

/* ---- ways to get into a state ---- */

static inline void to_gone(struct worker *worker, struct pool_params *numbers)
{
	(void)numbers;
	*worker = (struct worker){.state = WORKER_GONE};
}

static inline void to_ordered(struct worker *worker, struct pool_params *numbers)
{
	*worker = (struct worker){.state = WORKER_GONE, .ref = {.pool = 2, .index = 5}};
	plan.n = 0;
	worker_begin(worker, 3, 7, numbers, NOW, &plan);
}

static inline void to_starting(struct worker *worker, struct pool_params *numbers)
{
	to_ordered(worker, numbers);
	step(worker, WORKER_EVENT_SPAWNED, 0, END_NONE, NOW);
}

static inline void to_begun(struct worker *worker, struct pool_params *numbers)
{
	numbers->ready_delay = 2 * SEC;
	to_starting(worker, numbers);
}

static inline void to_delayed(struct worker *worker, struct pool_params *numbers)
{
	to_begun(worker, numbers);
	step(worker, WORKER_EVENT_EXECUTED, 0, END_NONE, NOW);
}

static inline void to_serving(struct worker *worker, struct pool_params *numbers)
{
	to_starting(worker, numbers);
	step(worker, WORKER_EVENT_READY, 0, END_NONE, NOW);
}

static inline void to_to_be_held(struct worker *worker, struct pool_params *numbers)
{
	numbers->held = true;
	to_starting(worker, numbers);
}

static inline void to_held(struct worker *worker, struct pool_params *numbers)
{
	to_to_be_held(worker, numbers);
	step(worker, WORKER_EVENT_READY, 0, END_NONE, NOW);
}

static inline void to_answering(struct worker *worker, struct pool_params *numbers)
{
	to_held(worker, numbers);
	step(worker, WORKER_EVENT_ANSWERS, 0, END_NONE, NOW);
}

static inline void to_released(struct worker *worker, struct pool_params *numbers)
{
	to_answering(worker, numbers);
	step(worker, WORKER_EVENT_RELEASE, 0, END_NONE, NOW);
}

static inline void to_serving_dump(struct worker *worker, struct pool_params *numbers)
{
	numbers->dump_signal = 3;
	to_serving(worker, numbers);
}

static inline void to_told(struct worker *worker, struct pool_params *numbers)
{
	to_serving(worker, numbers);
	step(worker, WORKER_EVENT_DRAIN, 6 * SEC, END_RELOAD, NOW);
}

static inline void to_told_dump(struct worker *worker, struct pool_params *numbers)
{
	numbers->dump_signal = 3;
	to_told(worker, numbers);
}

static inline void to_wishing(struct worker *worker, struct pool_params *numbers)
{
	to_serving(worker, numbers);
	step(worker, WORKER_EVENT_STOPPING, 0, END_NONE, NOW);
}

static inline void to_dumping(struct worker *worker, struct pool_params *numbers)
{
	to_told_dump(worker, numbers);
	step(worker, WORKER_EVENT_TIME, 0, END_NONE, NOW);
}

static inline void to_killed(struct worker *worker, struct pool_params *numbers)
{
	to_told(worker, numbers);
	step(worker, WORKER_EVENT_TIME, 0, END_NONE, NOW);
}

#endif
