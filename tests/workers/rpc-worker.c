/*
 * rpc-worker: a JSON-RPC worker that shows what a supervised worker has to do, and no more: take
 * its sockets over, say when it is ready, feed the watchdog, and leave within its budget without
 * losing a request. It speaks the protocols that systemd made common and needs no library of the
 * supervisor.
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

struct worker {
	struct options opts;
	struct identity identity;
	struct event_base *base;
	struct listeners *listeners;
	struct notify *notify;
	struct server *server;
	struct methods methods;
	struct drain *drain;
	struct event *start;
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

static void worker_start(struct worker *worker)
{
	char status[256];
	int r = listeners_start(worker->listeners, worker->base, server_http(worker->server));

	if (r < 0) {
		fprintf(stderr, "rpc-worker: cannot accept: %s\n", strerror(-r));
		exit(EXIT_FAILURE);
	}
	snprintf(status, sizeof(status), "serving on %s, version %s",
		 listeners_names(worker->listeners), worker->opts.version);
	fprintf(stderr, "rpc-worker: %s\n", status);
	if (worker->opts.ready_fd >= 0)
		say_ready_on_fd(worker->opts.ready_fd);
	notify_ready(worker->notify, status);
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

static int worker_build(struct worker *worker)
{
	const struct options *opts = &worker->opts;
	struct server_ops ops = {worker_on_request, worker_on_inflight, worker};
	struct drain_setup setup;
	int r;

	worker->base = event_base_new();
	worker->start =
	    worker->base != NULL ? evtimer_new(worker->base, worker_on_start, worker) : NULL;
	if (worker->start == NULL)
		return -ENOMEM;
	r = notify_new(worker->base, !opts->no_watchdog, &worker->notify);
	if (r < 0)
		return r;
	r = server_new(worker->base, &ops, &worker->server);
	if (r < 0)
		return r;
	setup = (struct drain_setup){
	    .base = worker->base,
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
	return drain_new(&setup, &worker->drain);
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
	if (worker->base != NULL)
		event_base_free(worker->base);
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
	if (listeners_open(worker.opts.listen, &worker.listeners) < 0)
		return EXIT_FAILURE;
	faults_leak(&worker.opts);
	r = worker_run(&worker);
	worker_free(&worker);
	return r;
}
