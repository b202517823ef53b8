/* A run of load: what all its requests share. */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "rpc-load-blame.h"
#include "rpc-load-options.h"
#include "rpc-load-pool.h"
#include "rpc-load-records.h"
#include "rpc-load-target.h"

/* Behind the streams from the command line, in the records. */
enum { STREAM_HANG = STREAMS_MAX, STREAM_CALL, STREAM_INDEX_MAX };

struct run {
	struct event_base *base;
	const struct options *opts;
	struct target target;
	struct records records;
	struct marks marks;
	struct request_list requests; /* in flight; kept by rpc-load-request */
	unsigned inflight, inflight_max;
	uint64_t sent;	  /* also the id of the latest request */
	uint64_t lag_max; /* how late we ourselves were to start a request, microseconds */
	bool stopping;
};

/* Says on stderr what is wrong and returns -errno. Everything else here is to be told apart by it.
 */
int run_init(struct run *run, const struct options *opts);
void run_done(struct run *run);

/* No more requests; the loop ends when nothing is in flight. */
void run_stop(struct run *run);

/* "new 600/s", "hang", "call" */
const char *run_stream_name(const struct run *run, unsigned stream);
