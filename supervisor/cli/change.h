/* change.h - a request that takes its time: progress, Ctrl-C, the deadline, and the result in
 * words. */
#ifndef CLI_CHANGE_H
#define CLI_CHANGE_H

#include <signal.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/clock.h"
#include "cli/api.h"
#include "cli/cli.h"
#include "cli/progress.h"

struct change {
	struct cli *cli;
	const char *what; /* "reload", "restart of pool api": for sentences */
	struct request *request;
	struct request *poll; /* a status for the view in place */
	usec_t poll_began, next_poll;
	bool news; /* something happened since that status was asked for */
	struct progress progress;
	bool heard;		  /* the instance has begun to answer */
	struct api_result result; /* root NULL: none came */
	const char *wanted;	  /* the result that is success: "committed" */
	struct buf raw;		  /* the result as it came, for --json */
	int signal_fd;
	int signal; /* that ended the waiting, 0: none */
	sigset_t old_signals;
};

/*
 * Sends the request and waits: for its end (CLI_DONE, look at result and request), a signal, or the
 * deadline; in these cases it says what becomes of the change and returns the exit code.
 * change_free() in any case.
 */
int change_run(struct change *change, struct cli *cli, const char *path, const struct api_ask *ask,
	       const char *what);
/* Says how it ended; returns the exit code. */
int change_report(struct change *change);
/* Waits until fd can be read, a signal comes (sets change->signal) or the time is up. True: fd can
 * be read. */
bool change_wait_fd(struct change *change, int fd, usec_t until);
/* Says that the waiting was ended by a signal or the deadline, and what becomes of the change;
 * returns the exit code. */
int change_give_up(struct change *change);
void change_free(struct change *change);

#endif
