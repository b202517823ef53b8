/* One request: from the moment it is due to its record. */
#pragma once

#include <stdint.h>

#include "rpc-load-answer.h"

struct pool;
struct run;

struct request_plan {
	struct question question; /* the id is filled in; `params` is taken over */
	unsigned stream;
	struct pool *pool; /* NULL: on a connection of its own */
	uint64_t intended; /* when it was due, monotonic microseconds */
};

/* Sends one request, unless the run is stopping. Whatever becomes of it goes into the records. */
void request_start(struct run *run, struct request_plan *plan);

/* Ends what is still in flight, as failed. */
void requests_abandon(struct run *run);
