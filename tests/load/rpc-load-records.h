/* What happened to every request: one record each, in one table, from which all figures come. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PHASES_MAX   64
#define CAUSES_MAX   64 /* different causes of failure; what comes after that is "something else" */
#define NAME_MAX_LEN 31

struct record {
	uint64_t intended;   /* when it was due, monotonic microseconds */
	uint32_t late;	     /* microseconds from then until a connection took it */
	uint32_t latency;    /* microseconds from `intended` to its end */
	uint32_t asked;	     /* microseconds that it asked the worker to take */
	int32_t pid;	     /* the worker that held it; 0: unknown */
	uint32_t generation; /* of the worker, where it answered */
	uint8_t stream;	     /* index; streams from the command line first, then hang and call */
	uint8_t phase;
	uint8_t cause;	 /* 0: answered, and rightly; else an index of records->causes */
	bool window : 1; /* was due inside a reload window */
	bool broken : 1; /* failed because the peer closed or reset the connection */
	bool hang : 1;	 /* was sent in order never to be answered */
	bool raced : 1;	 /* found its kept connection closed before a byte was written; sent on
			    another */
};

struct phase {
	char name[NAME_MAX_LEN + 1];
	uint64_t sent, answered, failed, raced; /* failed: whoever is to blame */
};

struct records {
	struct record *list;
	size_t count, max;
	uint64_t start; /* monotonic microseconds */
	struct phase phases[PHASES_MAX];
	unsigned phase_count;
	char causes[CAUSES_MAX][96];
	unsigned cause_count;
	uint8_t phase;	  /* the current one */
	bool window;	  /* a reload window is open */
	unsigned windows; /* how many there were */
	uint64_t window_since;
	uint64_t window_time; /* of the closed ones, microseconds */
};

/* Room for `max` records; memory is used only as they come. Returns 0 or -ENOMEM. */
int records_init(struct records *records, size_t max);
void records_done(struct records *records);

/* A request is about to be sent. */
void records_sent(struct records *records);

/*
 * `cause` is NULL for an answer that was right; else why not. Returns the cause as it is kept, in
 * plain ASCII.
 */
const char *records_add(struct records *records, const struct record *record, const char *cause);

/* Returns 0, -EINVAL (no plain ASCII name), -ENAMETOOLONG or -ENOSPC (too many phases). */
int records_set_phase(struct records *records, const char *name);

void records_set_window(struct records *records, bool open);
