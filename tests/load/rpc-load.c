/*
 * rpc-load: open-loop load on a JSON-RPC service. Requests are due at fixed times whatever the
 * service does, each answer is checked, and each request leaves a record, so that neither a stall
 * nor a wrong answer can hide behind an average.
 */
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rpc-load-command.h"
#include "rpc-load-files.h"
#include "rpc-load-measure.h"
#include "rpc-load-report.h"
#include "rpc-load-request.h"
#include "rpc-load-run.h"
#include "rpc-load-stream.h"
#include "rpc-load-util.h"

#define EXIT_USAGE 2

struct load {
	struct options opts;
	struct run run;
	struct stream streams[STREAMS_MAX];
	struct command_input *commands;
	struct event *on_interrupt, *on_terminate, *on_duration;
};

static void load_on_duration(evutil_socket_t fd, short what, void *arg)
{
	struct load *load = arg;

	(void)fd;
	(void)what;
	run_stop(&load->run);
}

/* The first time: like `quit`. The second time somebody does not want to wait. */
static void load_on_signal(evutil_socket_t sig, short what, void *arg)
{
	struct load *load = arg;

	(void)sig;
	(void)what;
	if (load->run.stopping)
		event_base_loopbreak(load->run.base);
	else
		run_stop(&load->run);
}

static int load_start(struct load *load)
{
	struct timeval duration = usec_timeval(load->opts.duration);
	struct event_base *base = load->run.base;
	int r = 0;

	load->on_interrupt = evsignal_new(base, SIGINT, load_on_signal, load);
	load->on_terminate = evsignal_new(base, SIGTERM, load_on_signal, load);
	load->on_duration = evtimer_new(base, load_on_duration, load);
	if (load->on_interrupt == NULL || load->on_terminate == NULL || load->on_duration == NULL)
		return -ENOMEM;
	event_add(load->on_interrupt, NULL);
	event_add(load->on_terminate, NULL);
	if (load->opts.duration > 0)
		event_add(load->on_duration, &duration);
	for (unsigned i = 0; i < load->opts.stream_count && r == 0; i++)
		r = stream_start(&load->streams[i], &load->run, i);
	return r == 0 ? commands_start(&load->run, &load->commands) : r;
}

static void event_free_any(struct event *event)
{
	if (event != NULL)
		event_free(event);
}

static void load_done(struct load *load)
{
	requests_abandon(&load->run);
	commands_free(load->commands);
	for (unsigned i = 0; i < STREAMS_MAX; i++)
		stream_done(&load->streams[i]);
	event_free_any(load->on_interrupt);
	event_free_any(load->on_terminate);
	event_free_any(load->on_duration);
	run_done(&load->run);
}

/* Returns the exit status: a run without a single answer has shown nothing, and does not pass. */
static int load_report(const struct load *load)
{
	const struct run *run = &load->run;
	struct measure total;
	int r = report_print(run, stdout);

	fflush(stdout);
	if (load->opts.json_file != NULL && summary_write(run, load->opts.json_file) < 0)
		r = -EIO;
	if (load->opts.records_file != NULL && records_write(run, load->opts.records_file) < 0)
		r = -EIO;
	if (r == 0)
		r = measure_make(&run->records, &run->marks, (struct selection){ANY, ANY, ANY},
				 &total);
	if (r < 0) {
		fprintf(stderr, "rpc-load: the report is not complete: %s\n", strerror(-r));
		return EXIT_FAILURE;
	}
	measure_done(&total);
	return total.failed > 0 || total.answered == 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int load_run(struct load *load)
{
	int r = load_start(load);

	if (r < 0) {
		fprintf(stderr, "rpc-load: cannot start: %s\n", strerror(-r));
		return EXIT_FAILURE;
	}
	/* Stopping with nothing in flight may have happened before the loop could be broken. */
	if (!(load->run.stopping && load->run.inflight == 0) &&
	    event_base_loop(load->run.base, EVLOOP_NO_EXIT_ON_EMPTY) < 0) {
		fprintf(stderr, "rpc-load: the event loop failed: %s\n", strerror(errno));
		return EXIT_FAILURE;
	}
	requests_abandon(&load->run);
	records_set_window(&load->run.records, false);
	return load_report(load);
}

int main(int argc, char **argv)
{
	static struct load load; /* static for its size */
	int r = options_parse(&load.opts, argc, argv);

	if (r != 0)
		return r < 0 ? EXIT_USAGE : EXIT_SUCCESS;
	signal(SIGPIPE, SIG_IGN);
	if (run_init(&load.run, &load.opts) < 0)
		return EXIT_USAGE;
	r = load_run(&load);
	load_done(&load);
	return r;
}
