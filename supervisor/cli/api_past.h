/* api_past.h - ends of workers and transactions of the past, as plain structs; by the rules of
 * api.h. */
#ifndef CLI_API_PAST_H
#define CLI_API_PAST_H

#include <stdbool.h>
#include <stddef.h>

struct json_t;

struct api_thread {
	const char *name, *state, *wchan, *syscall;
	const char **stack;
	size_t n_stack;
	long tid;
};

struct api_incident {
	const char *time, *kind, *message, *pool, *started, *started_for;
	const char *executable, *executable_time;
	const char *exit, *ended_by, *status;
	const char *drain_reason; /* "": it was not told to go */
	const char *threads_missing, *elsewhere;
	const char *dump_signal; /* "": it was not sent one */
	const char **lines, **dump;
	struct api_thread *threads;
	size_t n_lines, n_dump, n_threads;
	long id, slot, generation, pid, inflight; /* -1: none */
	double up_s, served_s, budget_s, took_s;  /* -1: does not apply */
	bool dump_cut, slimmed;
};

struct api_why {
	const char *since;
	long dropped;
	struct api_incident *list; /* oldest first */
	size_t n;
	struct json_t *root;
};

/* "api/2", and how long that took; pool "": there is none. */
struct api_slowest {
	const char *pool;
	long slot, ms;
};

struct api_record {
	const char *kind, *asked, *by, *unit, *what, *result, *message;
	long id, callers, waited_ms, duration_ms, prepare_ms, ready_ms, drain_ms, draining;
	struct api_slowest start, drain;
	const char *queue_socket; /* "": none was seen */
	long queue, queue_limit;
};

struct api_queued {
	const char *kind, *by, *what;
	double waits_s;
};

struct api_history {
	const char *since;
	long dropped;
	struct api_record *list; /* oldest first */
	struct api_queued *queued;
	size_t n, n_queued;
	struct json_t *root;
};

/* 0, -EBADMSG, -ENOMEM. */
int api_read_why(const char *text, size_t len, struct api_why *ret);
int api_read_history(const char *text, size_t len, struct api_history *ret);
/* Accept structs of zeros. */
void api_why_free(struct api_why *why);
void api_history_free(struct api_history *history);

#endif
