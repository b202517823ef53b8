/* Leaving without losing a request. */
#include "rpc-worker-drain.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rpc-worker-listen.h"
#include "rpc-worker-notify.h"
#include "rpc-worker-server.h"
#include "rpc-worker-util.h"
#include "worker/handover.h"

/* How long idle kept-alive connections stay: for requests that were already on their way. */
#define GRACE_USEC	    (500 * USEC_PER_MSEC)
#define BUDGET_DEFAULT_USEC (UINT64_C(30) * USEC_PER_SEC)

struct drain {
	struct drain_setup setup;
	struct event *on_drain, *on_interrupt, *on_dump; /* signals */
	struct event *refuse;				 /* one turn of the loop after the signal */
	struct event *grace;				 /* idle connections have had their time */
	struct event *last_look; /* nothing in flight: one more turn of the loop, then go */
	struct event *limit;	 /* our own limit, ahead of the supervisor's */
	uint64_t budget;
	uint64_t since;
	bool active;
	bool grace_over;
};

static const struct timeval next_turn; /* 0 */

static double drain_seconds(const struct drain *drain)
{
	return (double)(now_usec() - drain->since) / USEC_PER_SEC;
}

static void drain_on_dump(evutil_socket_t sig, short what, void *arg)
{
	struct drain *drain = arg;

	(void)sig;
	(void)what;
	server_dump(drain->setup.server, stderr);
}

/*
 * Every "one more turn" in this file rests on the order of events in a turn of the loop: what is
 * ready on descriptors is handled before a timer that expires in the same turn.
 */
static void drain_on_refuse(evutil_socket_t fd, short what, void *arg)
{
	struct drain *drain = arg;

	(void)fd;
	(void)what;
	listeners_close(drain->setup.listeners);
}

static bool drain_is_done(const struct drain *drain)
{
	return drain->active && drain->grace_over && server_inflight(drain->setup.server) == 0;
}

void drain_inflight_changed(struct drain *drain)
{
	if (drain_is_done(drain))
		event_add(drain->last_look, &next_turn);
}

static void drain_on_grace(evutil_socket_t fd, short what, void *arg)
{
	struct drain *drain = arg;

	(void)fd;
	(void)what;
	drain->grace_over = true;
	drain_inflight_changed(drain);
}

static void drain_on_last_look(evutil_socket_t fd, short what, void *arg)
{
	struct drain *drain = arg;

	(void)fd;
	(void)what;
	if (!drain_is_done(drain))
		return; /* one came in at the last moment; once it is answered we look again */
	event_base_loopbreak(drain->setup.base);
}

static void drain_complain(const struct drain *drain)
{
	double budget = (double)drain->budget / USEC_PER_SEC;
	unsigned inflight = server_inflight(drain->setup.server);
	char unfinished[512];

	server_describe_inflight(drain->setup.server, unfinished, sizeof(unfinished));
	fprintf(stderr,
		"rpc-worker: %.1f s of the %.1f s for a drain are over with %u in flight: %s; "
		"exiting without an answer\n",
		drain_seconds(drain), budget, inflight, unfinished);
}

/* Ahead of the supervisor's deadline: who ends by himself can say why, who is killed cannot. */
static void drain_on_limit(evutil_socket_t fd, short what, void *arg)
{
	struct drain *drain = arg;

	(void)fd;
	(void)what;
	if (server_inflight(drain->setup.server) > 0)
		drain_complain(drain);
	event_base_loopbreak(drain->setup.base);
}

static void drain_describe(char *text, size_t size, void *arg)
{
	const struct drain *drain = arg;
	char inflight[200];

	server_describe_inflight(drain->setup.server, inflight, sizeof(inflight));
	snprintf(text, size, "draining: %s", inflight);
}

void drain_start(struct drain *drain, const char *why)
{
	uint64_t left = handover_time_left(drain->setup.handover), limit_usec, grace_usec;
	unsigned inflight = server_inflight(drain->setup.server);
	struct timeval limit, grace;

	if (drain->active)
		return;
	drain->budget = left != HANDOVER_FOREVER ? left : BUDGET_DEFAULT_USEC;
	limit_usec = drain->budget / 10 * 8;
	grace_usec = limit_usec < 2 * GRACE_USEC ? limit_usec / 2 : GRACE_USEC;
	limit = usec_timeval(limit_usec);
	grace = usec_timeval(grace_usec);
	drain->active = true;
	drain->since = now_usec();
	if (drain->setup.shutdown_listeners)
		listeners_shutdown(drain->setup.listeners);
	/* Who is in the queue at this moment is still served: by the next turn it is empty. */
	event_add(drain->refuse, &next_turn);
	server_drain(drain->setup.server);
	notify_stopping(drain->setup.notify, drain_describe, drain);
	fprintf(stderr, "rpc-worker: %s: draining, %u in flight\n", why, inflight);
	event_add(drain->grace, &grace);
	if (!drain->setup.stubborn)
		event_add(drain->limit, &limit);
}

static void drain_on_signal(evutil_socket_t sig, short what, void *arg)
{
	struct drain *drain = arg;
	char why[32];

	(void)what;
	/* the channel may know more than the signal says */
	handover_drain(drain->setup.handover);
	handover_dispatch(drain->setup.handover);
	snprintf(why, sizeof(why), "SIG%s", sigabbrev_np(sig));
	drain_start(drain, why);
	/* Who presses Ctrl-C twice does not want to wait: it gets its default action back. */
	event_del(drain->on_interrupt);
}

static int drain_take_signals(struct drain *drain)
{
	const struct drain_setup *setup = &drain->setup;

	if (setup->ignore_term) {
		signal(SIGTERM, SIG_IGN);
		signal(setup->drain_signal, SIG_IGN);
	} else if (event_add(drain->on_drain, NULL) != 0) {
		return -ENOMEM;
	}
	if (setup->drain_signal != SIGINT && event_add(drain->on_interrupt, NULL) != 0)
		return -ENOMEM;
	if (setup->drain_signal != SIGQUIT && event_add(drain->on_dump, NULL) != 0)
		return -ENOMEM;
	return 0;
}

int drain_new(const struct drain_setup *setup, struct drain **ret)
{
	struct drain *drain = calloc(1, sizeof(*drain));
	struct event_base *base = setup->base;
	int r = -ENOMEM;

	if (drain == NULL)
		return -ENOMEM;
	drain->setup = *setup;
	drain->on_drain = evsignal_new(base, setup->drain_signal, drain_on_signal, drain);
	drain->on_interrupt = evsignal_new(base, SIGINT, drain_on_signal, drain);
	drain->on_dump = evsignal_new(base, SIGQUIT, drain_on_dump, drain);
	drain->refuse = evtimer_new(base, drain_on_refuse, drain);
	drain->grace = evtimer_new(base, drain_on_grace, drain);
	drain->last_look = evtimer_new(base, drain_on_last_look, drain);
	drain->limit = evtimer_new(base, drain_on_limit, drain);
	if (drain->on_drain != NULL && drain->on_interrupt != NULL && drain->on_dump != NULL &&
	    drain->refuse != NULL && drain->grace != NULL && drain->last_look != NULL &&
	    drain->limit != NULL)
		r = drain_take_signals(drain);
	if (r < 0) {
		drain_free(drain);
		return r;
	}
	*ret = drain;
	return 0;
}

static void event_free_any(struct event *event)
{
	if (event != NULL)
		event_free(event);
}

void drain_free(struct drain *drain)
{
	if (drain == NULL)
		return;
	event_free_any(drain->on_drain);
	event_free_any(drain->on_interrupt);
	event_free_any(drain->on_dump);
	event_free_any(drain->refuse);
	event_free_any(drain->grace);
	event_free_any(drain->last_look);
	event_free_any(drain->limit);
	free(drain);
}

bool drain_active(const struct drain *drain)
{
	return drain->active;
}
