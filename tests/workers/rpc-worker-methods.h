/* JSON-RPC 2.0 (jsonrpc.org/specification, without batches) and the methods of this worker. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct call;
struct event_base;
struct identity;

struct methods {
	struct event_base *base;
	const struct identity *identity; /* who answers: part of every result */
	const char *sockets;		 /* names, for `info` */
	uint64_t started;		 /* for `info` */
	uint64_t sums;			 /* how many were given */
	bool lie;			 /* still one wrong sum to come ... */
	uint64_t lie_after;		 /* ... after that many */
};

/* Carries out the request in `body` and answers `call`, now or later (`hang`: never). */
void methods_handle(struct methods *methods, struct call *call, const char *body, size_t len);
