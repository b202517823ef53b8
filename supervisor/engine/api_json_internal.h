/* api_json_internal.h - what the api_json*.c files share; jansson is known here only. */
#ifndef ENGINE_API_JSON_INTERNAL_H
#define ENGINE_API_JSON_INTERNAL_H

#include <jansson.h>

#include "engine/api_json.h"

/* Values for json_object_set_new() and json_pack("o"). NULL: no memory; what it was meant for is
 * then cut off. */

/* Paths and workers' output may be no UTF-8, which JSON must be: what is not becomes U+FFFD. */
json_t *api_json_clean(const char *text, size_t len);
/* null for NULL. */
json_t *api_json_text(const char *text);
/* RFC 3339, UTC, milliseconds; null for 0. */
json_t *api_json_time(usec_t wall);
/* Seconds with three decimals. */
json_t *api_json_seconds(usec_t usec);
/* How long until then; null for USEC_INFINITY. */
json_t *api_json_seconds_until(usec_t deadline, usec_t now);
/* null for 0. */
json_t *api_json_pid(pid_t pid);
/* Lines of text as an array of strings. */
json_t *api_json_lines(const struct buf *lines);
/* "committed", "failed", "aborted", "refused" */
const char *api_json_result_name(enum result result);
/* A configuration's mistakes and warnings. */
json_t *api_json_problems(const struct config_problems *problems);
json_t *api_json_result_object(const struct outcome *outcome);

/* Sets a member, unless text is NULL or number negative. */
void api_json_set_text(json_t *object, const char *name, const char *text);
void api_json_set_number(json_t *object, const char *name, long long number);
/* Appends the value, which is given away; out->cut is set when it is NULL. */
void api_json_write(json_t *value, struct buf *out);

/* ---- api_json_stored.c ---- */

/* Descriptors that are kept for workers' successors. */
json_t *api_json_stored(const struct engine *engine);

/* ---- api_json_versions.c ---- */

/* Members "version", "previous" and "failed" of pool p. */
void api_json_add_versions(json_t *pool, const struct engine *engine, uint32_t p);

/* ---- api_json_workers.c ---- */

/* Appends the workers, and the slots that have none now, as the elements of an array. */
void api_json_write_workers(const struct engine *engine, usec_t now, struct buf *out);

#endif
