/*
 * history.h - the last transactions (reloads, restarts, scalings, the start) in bounded memory.
 * Pure: the times come from the caller. Strings belong to the record.
 */
#ifndef ENGINE_HISTORY_H
#define ENGINE_HISTORY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/clock.h"
#include "core/types.h"

enum {
	HISTORY_KEPT = 50,
	HISTORY_TEXT_MAX = 1024, /* bytes of a message */
	HISTORY_NAME_MAX = 64,
};

/* The worker that took longest for something. */
struct history_worker {
	char pool[HISTORY_NAME_MAX]; /* "": none did it */
	uint32_t slot, generation;
	pid_t pid;
	usec_t took;
};

struct history_record {
	uint64_t number;
	const char *kind; /* static: "reload", "restart", "scale", "start" */
	char *by, *what;  /* "uid 0 pid 4242"; "all pools", "pool api slot 2" */
	char *unit;	  /* systemd's, of who asked; NULL: not known */
	unsigned callers; /* who are answered by it */
	usec_t asked;	  /* wall, by the first of them; begun and all others are monotonic */
	usec_t waited;	  /* in the queue */
	usec_t begun, prepared, ended; /* 0: not yet */
	usec_t drain_begun, drained;   /* first told to go; last gone */
	enum result result;	       /* once it has ended */
	char *message;		       /* what became of it; NULL: it runs */
	unsigned leaving, left;	       /* workers that were told to go for it; that are gone */
	struct history_worker slowest_start, slowest_drain;
	char queue_socket[HISTORY_NAME_MAX]; /* "": no queue could be seen */
	unsigned queue, queue_limit;	     /* the longest accept queue that was seen */
};

/* A struct of zeros is an empty one. */
struct history {
	struct history_record *list[HISTORY_KEPT]; /* oldest first */
	unsigned n;
	uint64_t dropped;
};

/* What history_begin() is told; texts are copied. */
struct history_begin {
	uint64_t number;
	const char *kind, *by, *unit, *what;
	unsigned callers;
	usec_t asked, waited;
};
/* A transaction begins; the oldest record makes room. NULL: no memory. */
struct history_record *history_begin(struct history *history, const struct history_begin *begin,
				     usec_t now);
/* NULL: not known (any more). */
struct history_record *history_find(const struct history *history, uint64_t number);
/* Does it run, or do workers still drain for it? */
bool history_is_open(const struct history_record *record);
void history_prepared(struct history_record *record, usec_t now);
void history_ended(struct history_record *record, enum result result, const char *message,
		   usec_t now);
/* A worker that it started is ready. */
void history_ready(struct history_record *record, const struct history_worker *worker);
/* A worker is told to go for it; one of those is gone. */
void history_leaves(struct history_record *record, usec_t now);
void history_left(struct history_record *record, const struct history_worker *worker, usec_t now);
/* So many wait in a socket's accept queue. */
void history_queue(struct history_record *record, const char *socket, unsigned waiting,
		   unsigned limit);
void history_free(struct history *history);

#endif
