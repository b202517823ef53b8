/*
 * The HTTP side: turns each POST into a call, keeps the list of calls in flight, sends the answers.
 * What a call means is the business of rpc-worker-methods.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/queue.h>

struct event;
struct event_base;
struct evhttp;
struct evhttp_request;
struct server;

/* One request from its last byte read until the last byte of its answer is with the kernel. */
struct call {
	TAILQ_ENTRY(call) link;
	struct server *server;
	struct evhttp_request *req;
	uint64_t since;	    /* when it came in, monotonic microseconds */
	const char *method; /* for the dump; a string that lives for ever */
	json_t *id;	    /* NULL: a notification, which gets no result */
	json_t *later;	    /* the result to be given when `timer` fires */
	struct event *timer;
};

struct server_ops {
	/* A request has come in: `call_reply()` now, later or (then it stays in flight) never. */
	void (*request)(struct call *call, const char *body, size_t len, void *arg);
	/* The number of calls in flight has changed. */
	void (*inflight)(unsigned count, void *arg);
	void *arg;
	const char *ill; /* a file that makes the answer to GET /healthz a 503; NULL: none */
};

/* Returns 0 or -ENOMEM. */
int server_new(struct event_base *base, const struct server_ops *ops, struct server **ret);

/* Closes every connection, whatever is in flight on it. Takes NULL. */
void server_free(struct server *server);

struct evhttp *server_http(struct server *server);
unsigned server_inflight(const struct server *server);
uint64_t server_answered(const struct server *server);

/* From now on every answer says `Connection: close`, so that clients go elsewhere by themselves. */
void server_drain(struct server *server);

/* One line per call in flight: method, and milliseconds since it came in. */
void server_dump(const struct server *server, FILE *to);

/* "hang (5210 ms), work (12 ms) and 3 more", or "nothing in flight" */
void server_describe_inflight(const struct server *server, char *text, size_t size);

/* Answers `call` with an HTTP status and takes `body` (NULL: none). The call is not ours
 * afterwards. */
void call_reply(struct call *call, int status, json_t *body);
