/* A run of load: what all its requests share. */
#include "rpc-load-run.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define DESCRIPTORS_SPARE 64
#define DESCRIPTORS_MAX	  65536
#define INFLIGHT_MAX	  20000

/* A stalled server lets connections pile up: as many as there can be descriptors for, and no more.
 */
static unsigned inflight_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
		return DESCRIPTORS_SPARE;
	limit.rlim_cur = limit.rlim_max < DESCRIPTORS_MAX ? limit.rlim_max : DESCRIPTORS_MAX;
	setrlimit(RLIMIT_NOFILE, &limit);
	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < 2 * DESCRIPTORS_SPARE)
		return DESCRIPTORS_SPARE;
	if (limit.rlim_cur - DESCRIPTORS_SPARE > INFLIGHT_MAX)
		return INFLIGHT_MAX;
	return (unsigned)limit.rlim_cur - DESCRIPTORS_SPARE;
}

/* Timers to the microsecond: the usual millisecond would show in every latency. */
static struct event_base *precise_base_new(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	if (config != NULL && event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER |
								EVENT_BASE_FLAG_NO_CACHE_TIME) == 0)
		base = event_base_new_with_config(config);
	if (config != NULL)
		event_config_free(config);
	return base;
}

int run_init(struct run *run, const struct options *opts)
{
	int r;

	memset(run, 0, sizeof(*run));
	run->opts = opts;
	run->inflight_max = inflight_limit();
	TAILQ_INIT(&run->requests);
	r = target_parse(opts->target, &run->target);
	if (r < 0)
		return r;
	r = records_init(&run->records, opts->max_requests);
	if (r < 0) {
		fprintf(stderr, "rpc-load: no memory for %llu records: %s\n",
			(unsigned long long)opts->max_requests, strerror(-r));
		return r;
	}
	run->base = precise_base_new();
	if (run->base == NULL) {
		fprintf(stderr, "rpc-load: cannot make an event loop\n");
		return -ENOMEM;
	}
	return 0;
}

void run_done(struct run *run)
{
	records_done(&run->records);
	if (run->base != NULL)
		event_base_free(run->base);
}

void run_stop(struct run *run)
{
	run->stopping = true;
	if (run->inflight == 0)
		event_base_loopbreak(run->base);
}

const char *run_stream_name(const struct run *run, unsigned stream)
{
	if (stream == STREAM_HANG)
		return "hang";
	if (stream == STREAM_CALL)
		return "call";
	return run->opts->streams[stream].name;
}
