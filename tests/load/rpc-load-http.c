/* Reads HTTP/1.1 responses. */
#include "rpc-load-http.h"

#include <errno.h>
#include <event2/buffer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "rpc-load-util.h"

#define HEADER_BYTES_MAX (16 * 1024)
#define BODY_BYTES_MAX	 (64 * 1024)

void http_response_init(struct http_response *response)
{
	*response = (struct http_response){.part = HTTP_STATUS_LINE};
}

static const char *status_line_read(struct http_response *response, const char *line)
{
	int minor, used = 0;

	if (sscanf(line, "HTTP/1.%1d %3d%n", &minor, &response->status, &used) != 2 ||
	    response->status < 100 || (line[used] != ' ' && line[used] != '\0'))
		return "bad status line";
	response->close = minor == 0;
	response->part = HTTP_HEADERS;
	return NULL;
}

static const char *header_read(struct http_response *response, char *line)
{
	char *value = strchr(line, ':');
	uint64_t number;

	if (value == NULL || value == line)
		return "bad header line";
	*value++ = '\0';
	value += strspn(value, " \t");
	if (strcasecmp(line, "Content-Length") == 0) {
		if (response->has_length || parse_u64(value, BODY_BYTES_MAX, &number) < 0)
			return "bad Content-Length";
		response->has_length = true;
		response->length = (size_t)number;
	} else if (strcasecmp(line, "Transfer-Encoding") == 0) {
		return "Transfer-Encoding, which this client does not read";
	} else if (strcasecmp(line, "Connection") == 0) {
		response->close = response->close || strcasecmp(value, "close") == 0;
	} else if (strcasecmp(line, "Worker-Pid") == 0) {
		if (parse_u64(value, INT32_MAX, &number) == 0)
			response->worker_pid = (pid_t)number;
	}
	return NULL;
}

/* The empty line after the headers. Returns true if that was an interim response. */
static bool headers_end(struct http_response *response)
{
	pid_t pid = response->worker_pid;

	if (response->status >= 200) {
		response->part = HTTP_BODY;
		return false;
	}
	http_response_init(response);
	response->worker_pid = pid;
	return true;
}

static int bad(const char **ret_wrong, const char *wrong)
{
	*ret_wrong = wrong;
	return -EBADMSG;
}

static int body_wait(const struct http_response *response, struct evbuffer *in,
		     const char **ret_wrong)
{
	if (!response->has_length && response->status != 204)
		return bad(ret_wrong, "no Content-Length");
	return evbuffer_get_length(in) < response->length ? HTTP_MORE : HTTP_COMPLETE;
}

int http_response_read(struct http_response *response, struct evbuffer *in, const char **ret_wrong)
{
	while (response->part != HTTP_BODY) {
		const char *wrong = NULL;
		bool interim = false;
		size_t len;
		char *line = evbuffer_readln(in, &len, EVBUFFER_EOL_CRLF);

		if (line == NULL && evbuffer_get_length(in) <= HEADER_BYTES_MAX)
			return HTTP_MORE;
		if (line == NULL)
			return bad(ret_wrong, "endless header");
		response->header_bytes += len;
		if (response->header_bytes > HEADER_BYTES_MAX)
			wrong = "endless header";
		else if (response->part == HTTP_STATUS_LINE)
			wrong = status_line_read(response, line);
		else if (len > 0)
			wrong = header_read(response, line);
		else
			interim = headers_end(response);
		free(line);
		if (wrong != NULL)
			return bad(ret_wrong, wrong);
		if (interim)
			return HTTP_INTERIM;
	}
	return body_wait(response, in, ret_wrong);
}
