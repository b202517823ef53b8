/* client.c - HTTP/1.1 to an instance over its Unix socket, by libcurl; the only file of the cli
 * that knows curl. */
#include "cli/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct client {
	CURLM *multi;
	char *socket;
};

enum body_kind { BODY_UNKNOWN, BODY_WHOLE, BODY_LINES, BODY_EVENTS };

struct request {
	struct client *client;
	CURL *easy;
	struct curl_slist *headers;
	client_line_fn *on_line;
	void *arg;
	enum body_kind kind;
	struct buf body;  /* the whole answer, or the stream's line that is not complete yet */
	struct buf event; /* BODY_EVENTS: the data lines of the event that is not complete yet */
	long status;
	bool done;
	int error;
	char problem[CURL_ERROR_SIZE];
};

struct client *client_new(const char *socket)
{
	struct client *client = calloc(1, sizeof(*client));

	if (client == NULL)
		return NULL;
	client->socket = strdup(socket);
	client->multi = curl_multi_init();
	if (client->socket == NULL || client->multi == NULL)
		return client_free(client);
	return client;
}

struct client *client_free(struct client *client)
{
	if (client == NULL)
		return NULL;
	curl_multi_cleanup(client->multi);
	free(client->socket);
	free(client);
	return NULL;
}

/* Server-sent events (WHATWG HTML, 9.2): "data:" lines up to an empty line; all else is of no use
 * to us. */
static void take_event_line(struct request *request, const char *line, size_t len)
{
	if (len == 0) {
		if (request->event.len > 0)
			request->on_line(request->event.data, request->event.len, request->arg);
		buf_reset(&request->event);
		return;
	}
	if (len < 5 || memcmp(line, "data:", 5) != 0)
		return;
	line += 5;
	len -= 5;
	if (len > 0 && line[0] == ' ') {
		line++;
		len--;
	}
	if (request->event.len > 0)
		buf_add_str(&request->event, "\n");
	buf_add(&request->event, line, len);
}

static void take_line(struct request *request, char *line, size_t len)
{
	if (len > 0 && line[len - 1] == '\r')
		len--;
	line[len] = '\0';
	if (request->kind == BODY_EVENTS)
		take_event_line(request, line, len);
	else if (len > 0)
		request->on_line(line, len, request->arg);
}

/* Hands out the complete lines and keeps the rest. */
static void take_lines(struct request *request)
{
	struct buf rest = {.max = request->body.max};
	char *at = request->body.data, *end, *newline;

	if (at == NULL || memchr(at, '\n', request->body.len) == NULL)
		return;
	end = at + request->body.len;
	while ((newline = memchr(at, '\n', (size_t)(end - at))) != NULL) {
		take_line(request, at, (size_t)(newline - at));
		at = newline + 1;
	}
	if (at < end)
		buf_add(&rest, at, (size_t)(end - at));
	buf_free(&request->body);
	request->body = rest;
}

static enum body_kind body_kind(const struct request *request)
{
	char *type = NULL;

	curl_easy_getinfo(request->easy, CURLINFO_CONTENT_TYPE, &type);
	if (type == NULL || request->on_line == NULL)
		return BODY_WHOLE;
	if (strncasecmp(type, "application/x-ndjson", 20) == 0)
		return BODY_LINES;
	if (strncasecmp(type, "text/event-stream", 17) == 0)
		return BODY_EVENTS;
	return BODY_WHOLE;
}

static size_t on_data(char *data, size_t size, size_t count, void *arg)
{
	struct request *request = arg;
	size_t len = size * count;

	if (request->kind == BODY_UNKNOWN) {
		request->kind = body_kind(request);
		request->body.max = request->kind == BODY_WHOLE ? CLIENT_BODY_MAX : CLIENT_LINE_MAX;
		request->event.max = CLIENT_LINE_MAX;
	}
	buf_add(&request->body, data, len);
	if (!request->body.cut && request->kind != BODY_WHOLE)
		take_lines(request);
	if (request->body.cut || request->event.cut) {
		request->error = -EMSGSIZE;
		return CURL_WRITEFUNC_ERROR;
	}
	return len;
}

static void set_body(struct request *request, const char *body)
{
	if (body == NULL)
		return;
	request->headers = curl_slist_append(request->headers, "Content-Type: application/json");
	curl_easy_setopt(request->easy, CURLOPT_HTTPHEADER, request->headers);
	curl_easy_setopt(request->easy, CURLOPT_COPYPOSTFIELDS, body);
}

struct request *client_start(struct client *client, const char *path, const char *body,
			     client_line_fn *on_line, void *arg)
{
	struct request *request = calloc(1, sizeof(*request));
	struct buf url = {0};

	if (request == NULL)
		return NULL;
	request->client = client;
	request->on_line = on_line;
	request->arg = arg;
	request->easy = curl_easy_init();
	if (request->easy == NULL)
		return request_free(request);
	buf_printf(&url, "http://localhost%s", path);
	curl_easy_setopt(request->easy, CURLOPT_URL, url.data);
	curl_easy_setopt(request->easy, CURLOPT_UNIX_SOCKET_PATH, client->socket);
	/* http_proxy in the environment is about other hosts */
	curl_easy_setopt(request->easy, CURLOPT_PROXY, "");
	curl_easy_setopt(request->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(request->easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(request->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(request->easy, CURLOPT_USERAGENT, "handover/" HANDOVER_VERSION);
	curl_easy_setopt(request->easy, CURLOPT_ERRORBUFFER, request->problem);
	curl_easy_setopt(request->easy, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(request->easy, CURLOPT_WRITEDATA, request);
	curl_easy_setopt(request->easy, CURLOPT_PRIVATE, request);
	set_body(request, body);
	if (url.cut || curl_multi_add_handle(client->multi, request->easy) != CURLM_OK)
		request = request_free(request);
	buf_free(&url);
	return request;
}

struct request *request_free(struct request *request)
{
	if (request == NULL)
		return NULL;
	if (request->easy != NULL) {
		curl_multi_remove_handle(request->client->multi, request->easy);
		curl_easy_cleanup(request->easy);
	}
	curl_slist_free_all(request->headers);
	buf_free(&request->body);
	buf_free(&request->event);
	free(request);
	return NULL;
}

static int error_of(struct request *request, CURLcode code)
{
	long error = 0;

	switch (code) {
	case CURLE_OK:
		return 0;
	case CURLE_COULDNT_CONNECT:
		curl_easy_getinfo(request->easy, CURLINFO_OS_ERRNO, &error);
		return error > 0 ? -(int)error : -ECONNREFUSED;
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
		return -ECONNRESET;
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	default:
		return -EPROTO;
	}
}

/* A last line without a newline counts too. */
static void take_rest(struct request *request)
{
	struct buf rest = request->body;

	if (request->kind != BODY_LINES || request->error != 0 || rest.len == 0)
		return;
	request->body = (struct buf){.max = rest.max};
	take_line(request, rest.data, rest.len);
	buf_free(&rest);
}

static void take_results(struct client *client)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(client->multi, &left)) != NULL) {
		struct request *request = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&request);
		request->done = true;
		if (request->error == 0)
			request->error = error_of(request, message->data.result);
		curl_easy_getinfo(message->easy_handle, CURLINFO_RESPONSE_CODE, &request->status);
		take_rest(request);
	}
}

static int milliseconds_until(usec_t until)
{
	usec_t left = until == USEC_INFINITY ? USEC_INFINITY : usec_sub(until, clock_now());

	return left / USEC_PER_MSEC >= 60 * 1000
		   ? 60 * 1000
		   : (int)((left + USEC_PER_MSEC - 1) / USEC_PER_MSEC);
}

int client_turn(struct client *client, usec_t until, int wake_fd)
{
	struct curl_waitfd wake = {.fd = wake_fd, .events = CURL_WAIT_POLLIN};
	int running;

	if (curl_multi_poll(client->multi, &wake, wake_fd >= 0 ? 1 : 0, milliseconds_until(until),
			    NULL) != CURLM_OK)
		return -EIO;
	if (curl_multi_perform(client->multi, &running) != CURLM_OK)
		return -EIO;
	take_results(client);
	return 0;
}

bool request_is_done(const struct request *request)
{
	return request->done;
}

int request_error(const struct request *request)
{
	return request->error;
}

const char *request_problem(const struct request *request)
{
	return request->problem;
}

long request_status(const struct request *request)
{
	return request->status;
}

const struct buf *request_body(const struct request *request)
{
	return &request->body;
}
