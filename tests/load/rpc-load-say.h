/* What is said on standard output while the load runs: one JSON object a line. */
#pragma once

#include <jansson.h>
#include <sys/types.h>

struct question;
struct record;

/* Takes `json`. */
void say_json(json_t *json);

/* {"event": "accepted", "method": "hang", "id": 7, "pid": 4711}: that worker holds it. */
void say_accepted(const struct question *question, pid_t pid);

/*
 * {"event": "ended", "method": "hang", "id": 7, "outcome": "failed", "pid": 4711, "latency_ms":
 * 6012.3, "cause": "closed by ..."}, or "outcome": "answered" with "result". Whether a failure
 * counts as `killed` is decided later.
 */
void say_ended(const struct question *question, const struct record *record, const char *cause,
	       json_t *result);
