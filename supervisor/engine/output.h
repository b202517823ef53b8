/*
 * output.h - what workers write, and our own log's way out. Captured lines are tagged and forwarded
 * to our standard error; the last bytes of each worker are kept in memory for reports. Nothing here
 * ever blocks the loop or a worker.
 */
#ifndef ENGINE_OUTPUT_H
#define ENGINE_OUTPUT_H

#include "engine/engine.h"

enum {
	OUTPUT_LINE_MAX = 4000,	     /* a longer line is told in pieces */
	OUTPUT_TAIL_MAX = 16 * 1024, /* kept of each worker */
	OUTPUT_TAILS_MAX =
	    8 * 1024 * 1024, /* kept of all workers together: the oldest tails go first */
	OUTPUT_QUEUE_MAX = 1024 * 1024, /* lines that wait because our standard error is not read;
					   then dropped, counted */
	OUTPUT_READ_MAX = 64 * 1024,	/* read from one worker in one turn of the loop */
	OUTPUT_GONE_MAX = 16,		/* ended workers whose tails are kept for `logs` */
};

/*
 * The log's writer becomes a bounded queue that is written as standard error takes it (poll and
 * short writes; a pipe, terminal, socket or file; O_NONBLOCK is not set on it, it is shared with
 * others). Drops are counted and told.
 */
int outputs_new(struct engine *engine);
/* Writes what waits, for at most 200 ms, and frees everything. */
void outputs_free(struct engine *engine);
/* log_format, at the start and when a reload has changed it: where the log and captured lines go.
 */
void outputs_set_format(struct engine *engine, enum log_format format);
/* SIGUSR1: log files are opened anew (all with one path share one descriptor, O_APPEND). Keeps the
 * old one on failure. */
void outputs_reopen(struct engine *engine);

/*
 * The descriptors that a worker of this specification gets as 1 and 2: the write end of a pipe
 * whose read end output.c reads (OUTPUT_CAPTURE; both the same pipe where both are captured),
 * /dev/null, a pipe whose lines output.c writes to a file (OUTPUT_FILE), a stream of its own into
 * the journal (OUTPUT_JOURNAL; captured where there is no journal), or -1: ours. They are the
 * caller's to close after the start. 0, or -errno with a sentence in ret_error (caller frees).
 */
int output_open(struct engine *engine, struct proc *proc, const struct pool_spec *spec,
		int *ret_stdout, int *ret_stderr, char **ret_error);
/* The worker has ended: what is left in its pipe is read (bounded), an unfinished line told, the
 * tail kept for `logs`. Descendants that still hold the pipe are of no concern. Accepts a proc
 * without output. */
void output_close(struct proc *proc);
/* The proc goes: after output_close(), or in its place. Its kept lines stay for `logs` until newer
 * ones need the room. Accepts a proc without output. */
void output_free(struct proc *proc);
enum { OUTPUT_STREAM_TEXT_MAX = 48 };
/* What JOURNAL_STREAM is for this worker (systemd.exec(5)), after output_open(). False: it has no
 * stream into the journal. */
bool output_journal_stream(const struct proc *proc, char text[static OUTPUT_STREAM_TEXT_MAX]);
/* The command that shows what workers of such a pool write straight into the journal, past us.
 * False: they do not. */
enum { OUTPUT_COMMAND_MAX = 512 };
bool output_journal_command(const struct pool_spec *spec, char *text, size_t size);
/* Appends the last `lines` lines that the worker wrote to out (works after output_close(), while
 * proc lives). */
void output_tail(const struct proc *proc, unsigned lines, struct buf *out);
/* Reads what the worker has written by now (bounded): what comes later was written later. */
void output_catch_up(struct proc *proc);
/* Each line from now on is also added to `into`, as far as it takes it, until this is called with
 * NULL. Both accept a proc without output. */
void output_capture(struct proc *proc, struct buf *into);
/* This worker's lines that did not get to our standard error. */
uint64_t output_dropped(const struct proc *proc);
/* The same of all workers ever, and those that a log file did not take. */
uint64_t outputs_dropped(const struct engine *engine);

/* One line that a worker wrote, for `logs`. */
struct output_line {
	usec_t wall;
	const char *pool;
	uint32_t slot, generation;
	pid_t pid;
	const char *text; /* without newline; may hold any other bytes */
	size_t len;
	bool gone; /* the worker has ended */
};

/* Calls each for every kept line of matching workers (pool NULL: all; slot CORE_NONE: all), worker
 * by worker. */
void outputs_each(struct engine *engine, const char *pool, uint32_t slot,
		  void (*each)(void *arg, const struct output_line *line), void *arg);
/* Calls each for every line that comes from now on; handle as with events_subscribe(). */
struct follower;
struct follower *outputs_follow(struct engine *engine,
				void (*each)(void *arg, const struct output_line *line), void *arg);
void outputs_unfollow(struct engine *engine, struct follower *follower);

#endif
