/* One stream of load: requests at fixed times, whatever the service does. */
#pragma once

#include <stdint.h>

#include "rpc-load-pool.h"

struct run;
struct stream_options;

struct stream {
	struct run *run;
	const struct stream_options *opts;
	unsigned index;
	struct pool pool; /* STREAM_KEEPALIVE */
	struct event *timer;
	uint64_t epoch; /* when the first request is due */
	uint64_t count; /* how many have been due */
};

/* Returns 0 or -ENOMEM. */
int stream_start(struct stream *stream, struct run *run, unsigned index);

/* For a stream that was started, or is all zero. */
void stream_done(struct stream *stream);
