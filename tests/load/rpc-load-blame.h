/*
 * Which failures belong to a worker that was killed on purpose. A request that a killed worker held
 * is lost by nobody's fault; every other failure counts. So the rule is narrow, and it is applied
 * when the figures are made, because word of a kill may come after the failures it explains:
 *
 *   a request whose worker is known is `killed` if that worker was killed while the request was in
 *   flight, give or take a second (five where the time of the kill was not given and is taken to be
 *   that of the command's arrival), and its connection broke;
 *
 *   a request whose worker is not known is `killed` if it was in flight at the time of a kill and
 * its connection broke within a second of it;
 *
 *   a `hang` is `killed` if its worker was killed at any time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define MARKS_MAX 1024

struct record;

struct mark {
	pid_t pid;
	uint64_t time;	/* monotonic microseconds */
	uint64_t slack; /* how far `time` may be late */
};

struct marks {
	struct mark list[MARKS_MAX];
	unsigned count;
};

/* `time` 0: not given, take it for now. Returns 0 or -ENOSPC. */
int marks_add(struct marks *marks, pid_t pid, uint64_t time);

/* For a record that has failed. */
bool blame_is_killed(const struct marks *marks, const struct record *record);
