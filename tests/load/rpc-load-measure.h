/* Figures from the records: exact, since every latency is there. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct marks;
struct records;

enum { ANY = -1 };

/* Which records; ANY or an index (window: 1 or 0). */
struct selection {
	int phase, stream, window;
};

struct measure {
	uint64_t answered, failed, killed, raced;
	/*
	 * Of the right answers in the streams: from the moment the request was due, without the
	 * time that it asked the worker to take. Percentiles by nearest rank. Only where
	 * `has_latency`.
	 */
	bool has_latency;
	double p50_ms, p99_ms, max_ms;
	unsigned *generations; /* those that answered, ascending */
	size_t generation_count;
};

/* Returns 0 or -ENOMEM. */
int measure_make(const struct records *records, const struct marks *marks,
		 struct selection selection, struct measure *ret);
void measure_done(struct measure *measure);

/* Requests that failed in the same way. */
struct failure {
	uint8_t phase, stream, cause;
	bool killed;
	uint64_t count;
	double first_s; /* when the first of them was due, from the start of the run */
};

#define FAILURES_MAX 1024

/* Fills `list`, the most frequent first. Returns how many, at most FAILURES_MAX; the rest is left
 * out. */
size_t failures_collect(const struct records *records, const struct marks *marks,
			struct failure list[FAILURES_MAX]);
