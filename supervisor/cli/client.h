/*
 * client.h - HTTP/1.1 to an instance over its Unix socket (libcurl's multi interface). Nothing here
 * prints. Several requests may be under way at once; client_turn() moves them all.
 */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/clock.h"

struct client;
struct request;

/* Memory for most that one answer or one line of a stream may take. */
enum { CLIENT_BODY_MAX = 64 * 1024 * 1024, CLIENT_LINE_MAX = 4 * 1024 * 1024 };

/* Called for each line of an x-ndjson answer and each event of an event stream; text is
 * NUL-terminated. */
typedef void client_line_fn(const char *text, size_t len, void *arg);

/* socket: the path of control.sock. NULL: no memory. */
struct client *client_new(const char *socket);
/* Accepts NULL, returns NULL. Its requests have been freed before. */
struct client *client_free(struct client *client);

/* Begins a request: GET, or POST with a JSON body. on_line may be NULL for one that brings no
 * stream. NULL: no memory. */
struct request *client_start(struct client *client, const char *path, const char *body,
			     client_line_fn *on_line, void *arg);
/* Ends it, closing the connection if it is still under way. Accepts NULL, returns NULL. */
struct request *request_free(struct request *request);

/*
 * Sends and receives what there is; waits at most until `until` (USEC_INFINITY: for ever) or until
 * wake_fd
 * (-1: none) can be read. Returns 0 or -errno of the waiting itself; what requests bring shows in
 * them.
 */
int client_turn(struct client *client, usec_t until, int wake_fd);

bool request_is_done(const struct request *request);
/* 0: a whole answer, of whatever status. -ECONNREFUSED, -ENOENT, -EACCES; -ECONNRESET: it ended too
 * early; -EMSGSIZE: too large; -EPROTO: no proper HTTP (see request_problem()). */
int request_error(const struct request *request);
const char *request_problem(const struct request *request);
/* The HTTP status, 0 before there is one. */
long request_status(const struct request *request);
/* The answer's text where it is no stream. */
const struct buf *request_body(const struct request *request);

#endif
