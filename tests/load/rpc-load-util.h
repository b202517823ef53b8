/* The clock and numbers: what several files of rpc-load need. */
#pragma once

#include <inttypes.h>
#include <stdint.h>
#include <sys/time.h>
#include <time.h>

#define USEC_PER_SEC  1000000u
#define USEC_PER_MSEC 1000u

/* Monotonic time in microseconds: the one unit of time in this program. */
static inline uint64_t now_usec(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * USEC_PER_SEC + (uint64_t)ts.tv_nsec / 1000;
}

static inline struct timeval usec_timeval(uint64_t usec)
{
	return (struct timeval){
	    .tv_sec = (time_t)(usec / USEC_PER_SEC),
	    .tv_usec = (suseconds_t)(usec % USEC_PER_SEC),
	};
}

/* Plain decimal digits, at most `max`. Returns 0, or -EINVAL / -ERANGE with *ret untouched. */
int parse_u64(const char *text, uint64_t max, uint64_t *ret);

/* A decimal number with an optional fraction, 0 < value <= max. Returns 0, or -EINVAL / -ERANGE. */
int parse_positive(const char *text, double max, double *ret);
