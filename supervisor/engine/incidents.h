/*
 * incidents.h - the last ends of workers that somebody may ask about, by the name of their pool: a
 * bounded memory that takes room only where something has happened. Pure: no clock, no model, no
 * libevent.
 */
#ifndef ENGINE_INCIDENTS_H
#define ENGINE_INCIDENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/clock.h"
#include "system/proc_look.h"

enum {
	INCIDENTS_KEPT = 20,	       /* of each pool */
	INCIDENTS_POOLS = 64,	       /* that are remembered, also when they are gone */
	INCIDENTS_BYTES = 128 * 1024,  /* of one pool's: beyond it old ones lose output and dump */
	INCIDENT_LINES_MAX = 4 * 1024, /* bytes of last output */
	INCIDENT_DUMP_MAX = 8 * 1024,  /* bytes of a dump, its beginning */
	INCIDENT_TEXT_MAX = 512,       /* bytes of each other text */
};

/* What an end was. */
enum incident_kind {
	INCIDENT_START_FAILED, /* there never was a process */
	INCIDENT_CRASHED,      /* it ended though nobody had told it to */
	INCIDENT_EXITED,       /* the same, in a way that counts as success */
	INCIDENT_OOM,	       /* the kernel ended it for want of memory */
	INCIDENT_NOT_READY,    /* start_timeout */
	INCIDENT_HUNG,	       /* its watchdog was not fed */
	INCIDENT_NOT_LIVE,     /* it failed its liveness probe */
	INCIDENT_OVERDUE,      /* it had not ended within its budget */
	INCIDENT_FAILED_DRAIN, /* it was told to go, and went in time, but not in a good way */
	INCIDENT_KILLED,       /* its budget was taken away (stop --now) */
};
#define INCIDENT_KIND_COUNT (INCIDENT_KILLED + 1)

/* "start-failed", "crashed", ... as docs/api.md lists them. */
const char *incident_kind_name(enum incident_kind kind);

/* One end of one worker. Its identity is pid and `started`. Strings and `look` belong to it; NULL:
 * there is none. Times of the wall clock in microseconds; durations -1: does not apply. */
struct incident {
	uint64_t id; /* by incidents_add(): one higher each time, from 1 */
	enum incident_kind kind;
	uint32_t slot, generation;
	long pid;	/* 0: none */
	usec_t ended;	/* wall */
	usec_t at;	/* the same by the monotonic clock */
	usec_t started; /* wall; 0: it never was */
	int64_t up, served;
	const char *reason;   /* why it was told to go, static; NULL: it was not */
	int64_t budget, took; /* of its drain: what it had, and needed */
	long inflight;	      /* requests then; -1: it does not tell */
	int dumped;	      /* the dump signal that it was sent; 0: none */
	int64_t exit_code;    /* -1: it did not exit */
	int exit_signal;      /* 0: it was not killed */
	char *message;	      /* what happened, in a sentence's rest */
	char *exit;	      /* how it ended, in words */
	char *by;	      /* who ended it, as far as that can be known */
	char *cause;	      /* why it had been started */
	char *status;	      /* what it said last of itself */
	char *executable;
	usec_t executable_mtime; /* wall; 0: not known */
	char *lines;		 /* last output; before the dump, if there is one */
	char *dump;		 /* output between the dump signal and its end */
	bool dump_cut;		 /* there was more of it */
	bool slimmed;		 /* had more, which has made room */
	char *elsewhere; /* the command that shows its output, which did not pass through us */
	struct proc_look *look; /* what it did when it hung */
	int look_error;		/* 0, or why there is no look */
};

/* Frees it with all that belongs to it; accepts NULL. */
void incident_free(struct incident *incident);
/* Bytes of memory that it has. */
size_t incident_size(const struct incident *incident);

struct incidents_pool {
	char *name;
	struct incident *list[INCIDENTS_KEPT]; /* oldest first */
	unsigned n;
	uint64_t dropped; /* older ones */
	uint64_t last;	  /* id of the last one */
};

/* A struct of zeros has none. */
struct incidents {
	struct incidents_pool *pools[INCIDENTS_POOLS];
	uint64_t last;
};

/*
 * Takes an incident over and gives it its id. The oldest one of its pool makes room, a harmless one
 * (INCIDENT_EXITED) before others; a pool that was quiet for the longest time makes room for
 * another. 0; -ENOMEM: it was freed.
 */
int incidents_add(struct incidents *incidents, const char *name, struct incident *incident);
/* NULL: nothing has happened in a pool of that name. */
const struct incidents_pool *incidents_of(const struct incidents *incidents, const char *pool);
/* The last one of a slot; NULL: none. */
const struct incident *incidents_last(const struct incidents *incidents, const char *name,
				      uint32_t slot);
void incidents_free(struct incidents *incidents);

#endif
