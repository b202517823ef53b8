/* output_internal.h - what the output*.c files share. */
#ifndef ENGINE_OUTPUT_INTERNAL_H
#define ENGINE_OUTPUT_INTERNAL_H

#include <sys/queue.h>
#include <sys/time.h>

#include "base/buf.h"
#include "engine/output.h"

/* ---- output_sink.c: our standard error, without ever waiting for it ---- */

enum sink_kind {
	SINK_NONE,   /* there is no standard error */
	SINK_DIRECT, /* a regular file or the like: a write does not wait for a reader */
	SINK_PIPE,   /* a pipe or terminal */
	SINK_SOCKET,
};

struct sink {
	enum sink_kind kind;
	int fd;	  /* what is written to */
	bool own; /* fd is a description of ours alone, and does not block */
	struct evbuffer *queue;
	struct event *writable; /* added while something waits */
	uint64_t dropped;	/* lines of our own log */
};

/* Accepts any standard error, also none. 0 or -ENOMEM. */
int sink_open(struct sink *sink, struct event_base *base);
/* Writes what waits for at most 200 ms, and closes. Accepts a sink of zeros. */
void sink_close(struct sink *sink);
/* Is there room for a worker's line of that length? Less than for our own log, which counts more.
 */
bool sink_has_room(const struct sink *sink, size_t len);
/* Queues a line, however full the queue is: see sink_has_room(). */
void sink_add(struct sink *sink, const char *line, size_t len);
/* Writes what can be written now; the rest when it can be. */
void sink_flush(struct sink *sink);
/* The writer of the log; arg is the sink. */
void sink_log(enum log_level level, const char *line, size_t len, void *arg);

/* ---- output_journal.c: the journal, without ever waiting for it ---- */

struct journal_sink {
	struct engine *engine;
	bool on; /* our log and captured lines go there */
	int fd;	 /* -1: not connected */
	struct evbuffer *queue;
	struct event *writable; /* of fd; added while something waits */
	uint64_t dropped;	/* entries that nobody was told of */
	usec_t told_at;		/* of the last complaint about a stream */
};

/* 0 or -ENOMEM. */
int journal_new(struct journal_sink *journal, struct engine *engine);
/* Sends what waits for at most 200 ms. Accepts a sink of zeros. */
void journal_free(struct journal_sink *journal);
struct output;
/* A line that a worker wrote, as an entry. 0; -ENOBUFS: no room, it is for the caller to count;
 * -errno: the journal is not on, or not there. */
int journal_output(struct journal_sink *journal, const struct output *output, const char *text,
		   size_t len);
/* A worker's own stream into the journal. 0, or -errno, which was told. */
int output_journal_open(struct output *output, int *ret_fd);

/* ---- output_file.c: stdout = file:/path ---- */

/* Workers with the same path share one, so that it is reopened once. */
struct output_file {
	LIST_ENTRY(output_file) place;
	unsigned refs;
	char *path;
	int fd;
	usec_t told_at; /* of the last complaint */
	uint64_t dropped;
};
LIST_HEAD(output_files, output_file);

/* The file of that path, opened if it is not yet. 0, or -errno with a sentence in ret_error. */
int output_file_get(struct output_files *files, const char *path, struct output_file **ret_file,
		    char **ret_error);
/* Accepts NULL. */
void output_file_put(struct output_file *file);
/* Writes whole lines as they are. What the disk does not take is dropped and told; returns how many
 * lines. */
uint64_t output_file_write(struct output_file *file, const char *data, size_t len);
/* Opens it anew; keeps the old one on failure, and says so. */
void output_file_reopen(struct output_file *file);

/* ---- output.c ---- */

/* A pipe from a worker. */
struct output_stream {
	struct output *output;
	struct event *readable;	  /* NULL: there is none, or it was closed */
	struct output_file *file; /* NULL: goes to our standard error */
	struct buf partial;	  /* a line that is not complete yet */
};

/* What one worker writes. It outlives the worker for a while, for `logs`. */
struct output {
	TAILQ_ENTRY(output) place; /* among the living or the ended */
	TAILQ_ENTRY(output) age;   /* if its tail has memory: the one written longest ago first */
	struct outputs *outputs;
	struct proc *proc; /* NULL: freed */
	char *pool;
	uint32_t slot, generation;
	pid_t pid;
	bool gone;
	struct output_stream streams[2];
	struct ring tail;	/* lines, each behind its time */
	struct buf *capture;	/* takes lines as well; NULL: nobody wants them */
	uint64_t dropped, told; /* lines that did not get to our standard error */
	dev_t stream_device;	/* of its own stream into the journal; inode 0: it has none */
	ino_t stream_inode;
};
TAILQ_HEAD(output_list, output);

struct follower {
	LIST_ENTRY(follower) place;
	void (*each)(void *arg, const struct output_line *line); /* NULL: unfollowed */
	void *arg;
};

struct outputs {
	struct engine *engine;
	struct sink sink;
	struct journal_sink journal;
	struct output_files files;
	struct output_list living, ended, ages;
	unsigned n_ended; /* of those whose proc was freed */
	size_t tails;	  /* bytes of memory that tails have */
	LIST_HEAD(, follower) followers;
	bool telling;
	struct buf batch;	   /* for a file: the lines of one turn */
	struct event *drops_timer; /* runs while drops are untold */
	struct timeval turn;	   /* the loop's present turn, by its cached time */
	uint64_t dropped;	   /* lines of all workers, to standard error and to files */
	unsigned readers;	   /* streams read in it */
	size_t quota;		   /* bytes for each of them, by the number in the turn before */
};

int output_complain(char **ret_error, int error, const char *what);

/* ---- output_stream.c ---- */

/* Opens a pipe; *ret_fd is the worker's end. 0, or -errno with a sentence in ret_error. */
int stream_open(struct outputs *outputs, struct output_stream *stream,
		const struct output_spec *spec, int *ret_fd, char **ret_error);
/* Reads at most quota bytes (a line costs some more) and tells the lines. Returns false when nobody
 * can write any more. */
bool stream_read(struct output_stream *stream, size_t quota);
/* Reads what is there now, also where it is the end: that is for the loop to see. */
void stream_catch_up(struct output_stream *stream);
/* Tells an unfinished line and closes. Accepts a closed one. */
void stream_close(struct output_stream *stream);

/* ---- output_tail.c ---- */

void tail_add(struct output *output, const char *text, size_t len);
/* Gives a tail's memory back. */
void tail_forget(struct output *output);
/* Tells the followers. */
void outputs_tell_line(struct outputs *outputs, const struct output_line *line);
struct output_line output_describe(const struct output *output, usec_t wall, const char *text,
				   size_t len);

/* ---- output_line.c ---- */

enum { OUTPUT_TEXT_MAX = 6 * OUTPUT_LINE_MAX + 512 }; /* room for any line with its tag, escaped */

/*
 * Forms the line that goes to our standard error: "api[2] g3 pid 4711: text", or an object of JSON,
 * with its newline and control characters made visible. Returns the length.
 */
size_t output_line_format(const struct output *output, enum log_format format, const char *text,
			  size_t len, char *line, size_t size);
/* How much of data (len bytes) can be told without cutting a character of UTF-8 in two. */
size_t output_line_whole(const char *data, size_t len);

enum { OUTPUT_STAMP = 8 }; /* bytes before each line of a tail */
/* A time in milliseconds, without newlines: it is kept among lines. */
void output_stamp_write(usec_t wall, char stamp[static OUTPUT_STAMP]);
usec_t output_stamp_read(const char stamp[static OUTPUT_STAMP]);

#endif
