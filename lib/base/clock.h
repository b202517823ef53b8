/* clock.h - the one unit of time: microseconds of CLOCK_MONOTONIC, which no operator and no NTP can
 * set. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

typedef uint64_t usec_t;

#define USEC_PER_SEC  ((usec_t)1000000)
#define USEC_PER_MSEC ((usec_t)1000)
#define USEC_INFINITY UINT64_MAX /* "never": what a deadline is when there is none */

/* The monotonic time now. It stands still while the machine is suspended, so budgets do too. */
static inline usec_t clock_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (usec_t)ts.tv_sec * USEC_PER_SEC + (usec_t)ts.tv_nsec / 1000;
}

/* The wall clock now, in microseconds since 1970: for people and logs, never for deadlines. */
static inline usec_t clock_wall(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (usec_t)ts.tv_sec * USEC_PER_SEC + (usec_t)ts.tv_nsec / 1000;
}

/* a + b, where "never" stays never and no sum wraps round. */
static inline usec_t usec_add(usec_t a, usec_t b)
{
	return b > USEC_INFINITY - a ? USEC_INFINITY : a + b;
}

/* a - b, but never below 0. */
static inline usec_t usec_sub(usec_t a, usec_t b)
{
	return a == USEC_INFINITY ? a : (a > b ? a - b : 0);
}

#endif
