/*
 * api.h - the API's objects as plain structs (docs/api.md), read from and written to JSON. Members
 * that are missing or of another type than agreed read as "" or NULL, -1 or 0: another version's
 * instance can still be looked at. Strings belong to the object that was read and live until its
 * _free().
 */
#ifndef CLI_API_H
#define CLI_API_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"

struct json_t;

/* What a request asks for; members that are not set are left out of the body. */
struct api_ask {
	const char *pool;
	const char *wait;
	const char *signal;
	long slot;    /* -1: not set */
	long workers; /* -1: not set */
	int on;	      /* -1: not set */
	bool changed, now, abort_on_disconnect, progress;
};
#define API_ASK_NOTHING ((struct api_ask){.slot = -1, .workers = -1, .on = -1})

struct api_event {
	const char *time, *event, *level, *message;
	long id;
	struct json_t *root;
};

struct api_log {
	const char *time, *pool, *line;
	size_t line_len; /* a worker may write NUL bytes */
	long slot, generation, pid;
	bool gone;
	const char *journal; /* "", or: this is no line; the command shows what the pool writes */
	struct json_t *root;
};

struct api_problem {
	const char *file, *text;
	long line;
	bool warning;
};

struct api_result {
	const char *result, *by, *message, *finished;
	const char **remarks, **lines;
	struct api_problem *problems;
	size_t n_remarks, n_lines, n_problems;
	const char *worker_pool; /* NULL: no worker is to blame */
	long worker_slot, worker_generation, worker_pid;
	struct json_t *root; /* NULL for a result that is part of a status */
};

struct api_pool {
	const char *name, *state, *reason;
	const char *on_disk;  /* what differs from what runs; "": nothing */
	const char *not_held; /* of what runs; "": nothing */
	const char *failed, *failed_reason, *failed_time; /* the version that failed last */
	size_t n_failed, n_previous;
	long generation, workers, configured, serving, starting, draining, restarts;
	bool degraded, ready;
};

struct api_worker {
	const char *pool, *state, *status, *reason, *probe_failure;
	long slot, generation, pid, restarts, inflight;
	long memory_bytes;		   /* -1: not known */
	double since_s, deadline_s, cpu_s; /* -1: none */
};

/* A process that has a socket open. */
struct api_holder {
	long pid, uid;
	char name[64];
	const char *role;	     /* "master", "worker", "instance", "other" */
	const char *pool, *instance; /* of a worker, of another instance; NULL */
};

/* Another instance that has taken a socket over. */
struct api_instance {
	const char *name;
	long pid;
};

struct api_socket {
	const char *name, *address, *kind, *source;
	long slot;			 /* -1: it is that of all slots */
	long queue, queue_limit, mended; /* queue: -1 where the kernel does not tell */
	long inode, given;
	struct api_instance *instances;
	struct api_holder *holders; /* not from the API: who was seen in /proc */
	size_t n_instances, n_holders;
};

struct api_stored {
	const char *pool, *name, *kind;
	long slot, count;
};

struct api_reload_pool {
	const char *name, *state;
	long generation, ready, total;
};

struct api_status {
	const char *instance, *version, *state, *since, *config, *reason;
	long pid, queued;
	double uptime_s;
	bool ready, degraded, out_of_service;
	bool measures_memory;			    /* of workers, by their cgroups */
	const char *cgroups_path, *cgroups_missing; /* "": there are none; nothing is missing */
	struct api_socket *sockets;
	struct api_stored *stored;
	struct api_pool *pools;
	struct api_worker *workers;
	size_t n_sockets, n_stored, n_pools, n_workers;
	bool reloading; /* the members below tell of the reload in progress */
	const char *reload_kind, *reload_by, *reload_state;
	long reload_id;
	double reload_elapsed_s;
	double reload_held_s; /* -1: it is not held */
	const char *reload_held_until;
	struct api_reload_pool *reload_pools;
	size_t n_reload_pools;
	struct api_result *last_reload; /* NULL: there was none */
	struct json_t *root;
};

/* An instance that was found on this machine. NULL: not known. */
struct api_found {
	const char *name, *socket, *config, *state, *problem;
	long pid;
	double uptime_s;
};

/* All readers: 0, -EBADMSG (no JSON object), or -ENOMEM. */
int api_read_status(const char *text, size_t len, struct api_status *ret);
int api_read_event(const char *text, size_t len, struct api_event *ret);
int api_read_log(const char *text, size_t len, struct api_log *ret);
int api_read_result(const char *text, size_t len, struct api_result *ret);
/* Accept structs of zeros. */
void api_status_free(struct api_status *status);
void api_event_free(struct api_event *event);
void api_log_free(struct api_log *log);
void api_result_free(struct api_result *result);

/* Is this line of a progress stream the result? */
bool api_is_result(const struct api_event *event);
/* The "error" of a refusal, appended to out. False: there is none. */
bool api_read_error(const char *text, size_t len, struct buf *out);
/* The pids of {"signalled": [...]} into a list that the caller frees. */
int api_read_signalled(const char *text, size_t len, long **ret_pids, size_t *ret_n);

/* What is said to sockets.sock. Caller frees. NULL: no memory. */
char *api_write_take(const char *const *names, size_t n, const char *purpose, const char *who);

/* The body of a request. Caller frees. NULL: no memory. */
char *api_write_ask(const struct api_ask *ask);

/*
 * Appends the object again as JSON and a newline: on one line, or indented; with ascii, nothing but
 * ASCII, so that no character of others reaches a terminal. -EBADMSG: it is no JSON.
 */
int api_copy_json(const char *text, size_t len, bool indent, bool ascii, struct buf *out);
/* Appends what `stop --json` tells: the API has no result for an instance that is gone. */
void api_write_stopped(const char *instance, long pid, long duration_ms, struct buf *out);
/* Appends the array that `sockets --json` tells: as in status, with the processes. */
void api_write_sockets(const struct api_status *status, struct buf *out);
/* Appends the array that `list --json` tells. */
void api_write_found(const struct api_found *list, size_t n, struct buf *out);

#endif
