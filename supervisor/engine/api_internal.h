/* api_internal.h - what the api*.c files share: a request on its way to its route. */
#ifndef ENGINE_API_INTERNAL_H
#define ENGINE_API_INTERNAL_H

#include <event2/keyvalq_struct.h>

#include "engine/api_json.h"
#include "engine/control_internal.h"

#define API_JSON  "application/json"
#define API_LINES "application/x-ndjson"
#define API_SSE	  "text/event-stream"
#define API_TEXT  "text/plain; charset=utf-8"

struct call {
	struct engine *engine;
	struct conn *conn;
	bool head;     /* HEAD: an answer's end must not depend on what happens */
	char name[64]; /* what stood for the '*' in the route's path */
	char by[64];   /* who asks: "uid 1000 pid 4242" */
	struct evkeyvalq query;
	struct api_ask ask;
};

/* {"error": sentence} */
void api_refuse(struct call *call, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* An answer of JSON; frees body. */
void api_answer(struct call *call, int code, struct buf *body);
/* The pool of the path, or NULL: the call is answered with 404. */
struct pool_runtime *api_find_pool(struct call *call, uint32_t *ret_index);
void api_unknown_pool(struct call *call, const char *name);
/* False (answered with 400): the query has a parameter that is not in names (up to NULL). */
bool api_check_query(struct call *call, const char *const *names);
/* False (answered with 503): too many that take long are there already. */
bool api_check_long(struct call *call);

/* ---- api_stream.c ---- */

void api_get_events(struct call *call);
void api_get_logs(struct call *call);

/* ---- api_past.c ---- */

void api_get_why(struct call *call);
void api_get_history(struct call *call);

/* ---- api_change.c ---- */

void api_post_reload(struct call *call);
void api_post_promote(struct call *call);
void api_post_abort(struct call *call);
void api_post_rollback(struct call *call);
void api_post_restart(struct call *call);
void api_post_scale(struct call *call);
void api_post_stop(struct call *call);
void api_post_signal(struct call *call);
void api_post_dump(struct call *call);
void api_post_out_of_service(struct call *call);

#endif
