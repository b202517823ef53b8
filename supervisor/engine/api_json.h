/* api_json.h - the API's objects to and from JSON (docs/api.md). */
#ifndef ENGINE_API_JSON_H
#define ENGINE_API_JSON_H

#include "engine/engine.h"
#include "engine/events.h"
#include "engine/output.h"

/* Members that a request's body can have; a route says which of them it takes. */
enum api_member {
	API_CHANGED = 1 << 0,
	API_POOL = 1 << 1,
	API_WAIT = 1 << 2,
	API_ABORT = 1 << 3,
	API_PROGRESS = 1 << 4,
	API_NOW = 1 << 5,
	API_SLOT = 1 << 6,
	API_WORKERS = 1 << 7,
	API_SIGNAL = 1 << 8,
	API_ON = 1 << 9,
};

/* What a request asks for. */
struct api_ask {
	unsigned given; /* enum api_member: those that were in the body */
	bool changed, drained, abort_on_disconnect, progress, now, on;
	uint32_t slot; /* CORE_NONE: not given */
	uint32_t workers;
	char *pool, *signal; /* NULL: not given */
};

/*
 * Reads a body (empty: no members). 0; -EINVAL with a sentence for the caller in error: no object,
 * an unknown member, a wrong type, one of the required missing.
 */
int api_json_read_ask(const char *body, size_t len, unsigned allowed, unsigned required,
		      struct api_ask *ret_ask, struct buf *error);
void api_ask_free(struct api_ask *ask);

/* All writers append one object on one line without newline. What memory did not suffice for is cut
 * off: see buf.h. */
void api_json_error(const char *sentence, struct buf *out);
void api_json_event(const struct happening *happening, usec_t wall, const char *sentence,
		    struct buf *out);
void api_json_log(const struct output_line *line, struct buf *out);
/* A line of logs that says where the output of a pool is that does not come through us. */
void api_json_log_elsewhere(const char *pool, const char *command, struct buf *out);
/* progress: it is the last line of a stream, and says so in a member `event`. */
void api_json_result(const struct outcome *outcome, bool progress, struct buf *out);
void api_json_signalled(const pid_t *pids, size_t n, struct buf *out);
void api_json_out_of_service(bool on, struct buf *out);
void api_json_stopping(const struct engine *engine, struct buf *out);
/* What is prepared in engine->undertaking (good), or why it cannot be. */
void api_json_plan(const struct engine *engine, bool good, struct buf *out);
void api_json_status(struct engine *engine, struct buf *out);
/* Whose ends are asked for. */
struct api_why {
	const char *pool; /* NULL: all */
	uint32_t slot;	  /* CORE_NONE: all */
	long pid;	  /* 0: all */
};
void api_json_why(const struct engine *engine, const struct api_why *why, struct buf *out);
void api_json_history(const struct engine *engine, struct buf *out);

#endif
