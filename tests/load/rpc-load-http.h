/*
 * Reads HTTP/1.1 responses (RFC 9112), as far as this client needs them: interim responses, and
 * bodies of a known length. Anything else is an error: the client is there to notice it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct evbuffer;

struct http_response {
	/* Known when it is complete. */
	int status;
	size_t length;	  /* of the body */
	bool close;	  /* the server will close the connection */
	pid_t worker_pid; /* header Worker-Pid, here or in an interim response; or 0 */

	/* Private. */
	enum { HTTP_STATUS_LINE, HTTP_HEADERS, HTTP_BODY } part;
	size_t header_bytes;
	bool has_length;
};

enum http_progress {
	HTTP_MORE,    /* bytes are missing */
	HTTP_INTERIM, /* an interim response has been read; go on */
	HTTP_COMPLETE /* the body is all that is left at the front of `in` */
};

/* To be called before each response. */
void http_response_init(struct http_response *response);

/*
 * Takes the status line and the headers out of `in`. Returns an enum http_progress, or -EBADMSG
 * with *ret_wrong set to what is wrong with the response (a string that lives for ever).
 */
int http_response_read(struct http_response *response, struct evbuffer *in, const char **ret_wrong);
