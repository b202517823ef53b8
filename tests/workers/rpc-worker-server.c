/* The HTTP side: requests in, answers out, and the list of what is in flight between them. */
#include "rpc-worker-server.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rpc-worker-util.h"

#define BODY_MAX      (64 * 1024)
#define HEADERS_MAX   (16 * 1024)
#define INFLIGHT_MAX  10000
#define IDLE_MAX_SEC  3600 /* the default, 50 s, would cut off quiet clients */
#define DESCRIBED_MAX 5

TAILQ_HEAD(call_list, call);

struct server {
	struct evhttp *http;
	struct server_ops ops;
	struct call_list calls; /* oldest first */
	unsigned inflight;
	uint64_t answered;
	bool draining;
	bool closing;
};

static void server_count(struct server *server, int change)
{
	server->inflight += (unsigned)change;
	if (!server->closing)
		server->ops.inflight(server->inflight, server->ops.arg);
}

static void call_free(struct call *call)
{
	struct server *server = call->server;

	TAILQ_REMOVE(&server->calls, call, link);
	if (call->timer != NULL)
		event_free(call->timer);
	json_decref(call->id);
	json_decref(call->later);
	free(call);
	server_count(server, -1);
}

/* The last byte of the answer has left. The connection lives on without us. */
static void call_on_complete(struct evhttp_request *req, void *arg)
{
	evhttp_connection_set_closecb(evhttp_request_get_connection(req), NULL, NULL);
	call_free(arg);
}

/*
 * The connection went away under the call: while its answer was on the way, or because the server
 * is being freed. evhttp frees the request itself. (It does not read while a request is in flight,
 * so a client that gives up earlier is noticed only when the answer is sent.)
 */
static void call_on_close(struct evhttp_connection *conn, void *arg)
{
	(void)conn;
	call_free(arg);
}

/*
 * Tells the client which process holds its request, for the case that this process dies with it: an
 * interim response (RFC 9110, 15.2) of the kind that RFC 8297 describes. It goes straight to the
 * kernel, because the method may crash or block the process before the loop turns again; it cannot
 * overtake anything, since evhttp has sent all of the last answer before it reads the next request.
 */
static void call_send_hint(const struct call *call)
{
	struct evhttp_connection *conn = evhttp_request_get_connection(call->req);
	int fd = bufferevent_getfd(evhttp_connection_get_bufferevent(conn));
	char text[80];
	int len = snprintf(text, sizeof(text), "HTTP/1.1 103 Early Hints\r\nWorker-Pid: %d\r\n\r\n",
			   (int)getpid());
	ssize_t sent;

	/* Otherwise the answer would wait until the client's kernel acknowledges the hint. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	sent = send(fd, text, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent >= 0 && sent < len)
		shutdown(fd, SHUT_RDWR); /* half a hint would spoil the answer */
}

/* Whoever asks whether we are well is told so, as long as no file says otherwise. */
static bool server_answer_health(struct server *server, struct evhttp_request *req)
{
	bool ill = server->ops.ill != NULL && access(server->ops.ill, F_OK) == 0;

	if (evhttp_request_get_command(req) != EVHTTP_REQ_GET ||
	    strcmp(evhttp_request_get_uri(req), "/healthz") != 0)
		return false;
	evhttp_send_reply(req, ill ? HTTP_SERVUNAVAIL : HTTP_OK, ill ? "Service Unavailable" : "OK",
			  NULL);
	return true;
}

static void server_on_request(struct evhttp_request *req, void *arg)
{
	struct server *server = arg;
	struct evbuffer *body = evhttp_request_get_input_buffer(req);
	const char *hint = evhttp_find_header(evhttp_request_get_input_headers(req), "Expect-Pid");
	struct call *call;

	if (server_answer_health(server, req))
		return;
	if (evhttp_request_get_command(req) != EVHTTP_REQ_POST) {
		evhttp_add_header(evhttp_request_get_output_headers(req), "Allow", "POST");
		evhttp_send_reply(req, HTTP_BADMETHOD, "Method Not Allowed", NULL);
		return;
	}
	call = server->inflight < INFLIGHT_MAX ? calloc(1, sizeof(*call)) : NULL;
	if (call == NULL) {
		evhttp_send_error(req, HTTP_SERVUNAVAIL, NULL);
		return;
	}
	*call = (struct call){.server = server, .req = req, .since = now_usec(), .method = "?"};
	TAILQ_INSERT_TAIL(&server->calls, call, link);
	evhttp_request_set_on_complete_cb(req, call_on_complete, call);
	evhttp_connection_set_closecb(evhttp_request_get_connection(req), call_on_close, call);
	if (hint != NULL && strcasecmp(hint, "yes") == 0)
		call_send_hint(call);
	server_count(server, 1);
	server->ops.request(call, (const char *)evbuffer_pullup(body, -1),
			    evbuffer_get_length(body), server->ops.arg);
}

void call_reply(struct call *call, int status, json_t *body)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(call->req);
	char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;

	json_decref(body);
	call->server->answered++;
	if (call->server->draining)
		evhttp_add_header(headers, "Connection", "close");
	if (text != NULL) {
		evhttp_add_header(headers, "Content-Type", "application/json");
		evbuffer_add(evhttp_request_get_output_buffer(call->req), text, strlen(text));
	}
	free(text);
	evhttp_send_reply(call->req, status, status == HTTP_OK ? "OK" : "No Content", NULL);
}

int server_new(struct event_base *base, const struct server_ops *ops, struct server **ret)
{
	struct server *server = calloc(1, sizeof(*server));

	if (server == NULL)
		return -ENOMEM;
	server->http = evhttp_new(base);
	if (server->http == NULL) {
		free(server);
		return -ENOMEM;
	}
	server->ops = *ops;
	TAILQ_INIT(&server->calls);
	evhttp_set_max_body_size(server->http, BODY_MAX);
	evhttp_set_max_headers_size(server->http, HEADERS_MAX);
	evhttp_set_timeout(server->http, IDLE_MAX_SEC);
	evhttp_set_default_content_type(server->http, "text/plain");
	evhttp_set_gencb(server->http, server_on_request, server);
	*ret = server;
	return 0;
}

void server_free(struct server *server)
{
	if (server == NULL)
		return;
	server->closing = true;
	evhttp_free(server->http);
	free(server);
}

struct evhttp *server_http(struct server *server)
{
	return server->http;
}

unsigned server_inflight(const struct server *server)
{
	return server->inflight;
}

uint64_t server_answered(const struct server *server)
{
	return server->answered;
}

void server_drain(struct server *server)
{
	server->draining = true;
}

static unsigned long call_age_ms(const struct call *call)
{
	return (unsigned long)((now_usec() - call->since) / USEC_PER_MSEC);
}

void server_dump(const struct server *server, FILE *to)
{
	fprintf(to, "rpc-worker: %u in flight, %" PRIu64 " answered\n", server->inflight,
		server->answered);
	for (const struct call *call = TAILQ_FIRST(&server->calls); call != NULL;
	     call = TAILQ_NEXT(call, link))
		fprintf(to, "rpc-worker: in flight: %s, %lu ms\n", call->method, call_age_ms(call));
}

void server_describe_inflight(const struct server *server, char *text, size_t size)
{
	const struct call *call = TAILQ_FIRST(&server->calls);
	unsigned said = 0;
	size_t used = 0;

	for (; call != NULL && said < DESCRIBED_MAX && used + 64 < size; said++) {
		used += (size_t)snprintf(text + used, size - used, "%s%s (%lu ms)",
					 said > 0 ? ", " : "", call->method, call_age_ms(call));
		call = TAILQ_NEXT(call, link);
	}
	if (server->inflight == 0)
		snprintf(text, size, "nothing in flight");
	else if (said < server->inflight)
		snprintf(text + used, size - used, " and %u more", server->inflight - said);
}
