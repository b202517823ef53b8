/*
 * rpc-worker: a JSON-RPC worker that shows what a supervised worker has to do, and no more: take
 * its sockets over, say when it is ready, feed the watchdog, and leave within its budget without
 * losing a request. libhandover speaks with the supervisor, in the turns of this program's loop.
 */
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rpc-worker-drain.h"
#include "rpc-worker-faults.h"
#include "rpc-worker-listen.h"
#include "rpc-worker-methods.h"
#include "rpc-worker-notify.h"
#include "rpc-worker-options.h"
#include "rpc-worker-server.h"
#include "rpc-worker-util.h"
#include "worker/handover.h"

struct worker {
	struct options opts;
	struct identity identity;
	struct handover *handover;
	struct event_base *base;
	struct listeners *listeners;
	struct notify *notify;
	struct server *server;
	struct methods methods;
	struct drain *drain;
	struct event *start;
	struct event *told; /* by the supervisor */
};

static void worker_on_request(struct call *call, const char *body, size_t len, void *arg)
{
	struct worker *worker = arg;

	methods_handle(&worker->methods, call, body, len);
}

static void worker_on_inflight(unsigned count, void *arg)
{
	struct worker *worker = arg;

	notify_inflight(worker->notify, count);
	drain_inflight_changed(worker->drain);
}

/* s6's way: anything up to a newline, then end of file. */
static void say_ready_on_fd(int fd)
{
	if (write(fd, "\n", 1) != 1)
		fprintf(stderr, "rpc-worker: cannot say that we are ready on descriptor %d: %s\n",
			fd, strerror(errno));
	close(fd);
}

static void worker_accept(struct worker *worker, char status[static 256])
{
	int r = listeners_start(worker->listeners, worker->base, server_http(worker->server));

	if (r < 0) {
		fprintf(stderr, "rpc-worker: cannot accept: %s\n", strerror(-r));
		exit(EXIT_FAILURE);
	}
	worker->methods.sockets = listeners_names(worker->listeners);
	snprintf(status, 256, "serving on %s, version %s", listeners_names(worker->listeners),
		 worker->opts.version);
	fprintf(stderr, "rpc-worker: %s\n", status);
}

static void worker_start(struct worker *worker)
{
	char status[256] = "waiting for sockets";

	if (!listeners_wait(worker->listeners))
		worker_accept(worker, status);
	else if (listeners_start(worker->listeners, worker->base, server_http(worker->server)) < 0)
		exit(EXIT_FAILURE);
	if (worker->opts.ready_fd >= 0)
		say_ready_on_fd(worker->opts.ready_fd);
	handover_ready(worker->handover, status);
	if (worker->opts.flood_bytes > 0)
		faults_flood(worker->base, worker->opts.flood_bytes);
}

static void worker_on_start(evutil_socket_t fd, short what, void *arg)
{
	struct worker *worker = arg;

	(void)fd;
	(void)what;
	if (!drain_active(worker->drain))
		worker_start(worker);
}

static void worker_on_sockets(struct worker *worker)
{
	char status[256];

	if (drain_active(worker->drain))
		return;
	listeners_adopt(worker->listeners);
	worker_accept(worker, status);
	handover_status(worker->handover, status);
}

static const char *reason_word(enum handover_reason reason)
{
	switch (reason) {
	case HANDOVER_REASON_RELOAD:
		return "reload";
	case HANDOVER_REASON_RESTART:
		return "restart";
	case HANDOVER_REASON_RECYCLE:
		return "recycle";
	case HANDOVER_REASON_SCALE:
		return "scale";
	case HANDOVER_REASON_STOP:
		return "stop";
	case HANDOVER_REASON_REMOVED:
		return "removed";
	case HANDOVER_REASON_UNDO:
		return "undo";
	case HANDOVER_REASON_NONE:
	case HANDOVER_REASON_SIGNAL:
	case HANDOVER_REASON_OTHER:
		break;
	}
	return "told to go";
}

static void worker_on_event(struct handover *handover, enum handover_event event, uint64_t left,
			    void *arg)
{
	struct worker *worker = arg;
	enum handover_reason reason = handover_drain_reason(handover);

	(void)left;
	switch (event) {
	case HANDOVER_SOCKETS:
		worker_on_sockets(worker);
		break;
	case HANDOVER_LAME_DUCK:
		fprintf(stderr, "rpc-worker: lame duck: serving on\n");
		break;
	case HANDOVER_DRAIN:
		/* drain_on_signal() knows which signal */
		if (reason != HANDOVER_REASON_SIGNAL && !worker->opts.ignore_term)
			drain_start(worker->drain, reason_word(reason));
		break;
	}
}

static void worker_on_told(evutil_socket_t fd, short what, void *arg)
{
	struct worker *worker = arg;

	(void)fd;
	(void)what;
	handover_dispatch(worker->handover);
}

/* Everything that the supervisor says comes in by one descriptor. */
static int worker_listen(struct worker *worker)
{
	if (worker->handover == NULL)
		return 0;
	worker->told = event_new(worker->base, handover_fd(worker->handover), EV_READ | EV_PERSIST,
				 worker_on_told, worker);
	if (worker->told == NULL || event_add(worker->told, NULL) != 0)
		return -ENOMEM;
	handover_set_callback(worker->handover, worker_on_event, worker);
	return 0;
}

static int worker_build(struct worker *worker)
{
	const struct options *opts = &worker->opts;
	struct server_ops ops = {worker_on_request, worker_on_inflight, worker,
				 worker->opts.ill_if};
	struct drain_setup setup;
	int r;

	worker->base = event_base_new();
	worker->start =
	    worker->base != NULL ? evtimer_new(worker->base, worker_on_start, worker) : NULL;
	if (worker->start == NULL)
		return -ENOMEM;
	r = notify_new(worker->base, worker->handover, &worker->notify);
	if (r < 0)
		return r;
	r = server_new(worker->base, &ops, &worker->server);
	if (r < 0)
		return r;
	setup = (struct drain_setup){
	    .base = worker->base,
	    .handover = worker->handover,
	    .listeners = worker->listeners,
	    .notify = worker->notify,
	    .server = worker->server,
	    .drain_signal = opts->drain_signal,
	    .ignore_term = opts->ignore_term,
	    .stubborn = opts->stubborn,
	    .shutdown_listeners = opts->shutdown_listener_on_drain,
	};
	worker->methods = (struct methods){
	    .base = worker->base,
	    .identity = &worker->identity,
	    .sockets = listeners_names(worker->listeners),
	    .started = now_usec(),
	    .lie = opts->lie,
	    .lie_after = opts->wrong_answer_after,
	};
	r = drain_new(&setup, &worker->drain);
	return r == 0 ? worker_listen(worker) : r;
}

/* The listeners belong to evhttp as well and would be freed with it; hence the order. */
static void worker_free(struct worker *worker)
{
	listeners_free(worker->listeners);
	server_free(worker->server);
	drain_free(worker->drain);
	notify_free(worker->notify);
	if (worker->start != NULL)
		event_free(worker->start);
	if (worker->told != NULL)
		event_free(worker->told);
	if (worker->base != NULL)
		event_base_free(worker->base);
	handover_close(worker->handover);
}

static int worker_run(struct worker *worker)
{
	struct timeval delay = usec_timeval(worker->opts.start_delay_ms * USEC_PER_MSEC);
	int r = worker_build(worker);

	if (r < 0) {
		fprintf(stderr, "rpc-worker: cannot start: %s\n", strerror(-r));
		return EXIT_FAILURE;
	}
	if (!worker->opts.never_ready)
		event_add(worker->start, &delay);
	if (event_base_loop(worker->base, EVLOOP_NO_EXIT_ON_EMPTY) < 0) {
		fprintf(stderr, "rpc-worker: the event loop failed: %s\n", strerror(errno));
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct worker worker = {0};
	int r = options_parse(&worker.opts, argc, argv);

	if (r != 0)
		return r < 0 ? 2 : EXIT_SUCCESS;
	identity_read(&worker.identity, worker.opts.version);
	signal(SIGPIPE, SIG_IGN);
	faults_at_start(&worker.opts);
	r = handover_open(worker.opts.no_watchdog ? 0 : HANDOVER_WATCHDOG, &worker.handover);
	if (r < 0) {
		fprintf(stderr, "rpc-worker: cannot take over from the supervisor: %s\n",
			strerror(-r));
		return EXIT_FAILURE;
	}
	if (listeners_open(worker.handover, worker.opts.listen, &worker.listeners) < 0)
		return EXIT_FAILURE;
	faults_leak(&worker.opts);
	r = worker_run(&worker);
	worker_free(&worker);
	return r;
}
