/*
 * progress.h - what a change is doing, while it does it: in place on a terminal, or a line per
 * event in a pipe. It is told events and, for the view in place, statuses; it asks nobody by
 * itself.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/clock.h"
#include "cli/api.h"
#include "cli/term.h"

enum progress_mode {
	PROGRESS_NONE,
	PROGRESS_PLAIN, /* one line per event worth telling */
	PROGRESS_LIVE,	/* one line per pool, redrawn in place; warnings scroll by above */
};

struct progress {
	struct term *term;
	enum progress_mode mode;
	bool verbose;	/* every event is worth telling */
	bool ending;	/* a stop: workers count as they go */
	bool drains;	/* ends of workers are worth telling: somebody waits for them */
	char what[160]; /* "reload", "restart of pool api" */
	char state[64];
	long id; /* of the reload, -1 before it is known */
	usec_t started;
	struct progress_pool *pools;
	size_t n_pools;
	unsigned drawn;	  /* lines of the view on the screen */
	unsigned columns; /* of the terminal, when it was drawn */
	struct buf frame; /* what they look like */
};

void progress_begin(struct progress *progress, struct term *term, enum progress_mode mode,
		    const char *what);
/* Tells of an event, if it is worth it. */
void progress_event(struct progress *progress, const struct api_event *event);
/* Takes over the numbers of the pools. */
void progress_status(struct progress *progress, const struct api_status *status);
/* Draws the view if it has changed (elapsed time included). Nothing in the other modes. */
void progress_draw(struct progress *progress, usec_t now);
/* Takes the view off the screen, so that the next line of text stands in its place. */
void progress_clear(struct progress *progress);
/* The view's place on the screen is lost (the user suspended us, or another program wrote there):
 * begin a new one. */
void progress_forget(struct progress *progress);
void progress_end(struct progress *progress);

#endif
