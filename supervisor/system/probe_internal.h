/* probe_internal.h - what the probe*.c files share. */
#ifndef SYSTEM_PROBE_INTERNAL_H
#define SYSTEM_PROBE_INTERNAL_H

#include <stdbool.h>

#include "system/probe.h"

enum { PROBE_LINE_MAX = 256 };

/* An answer of HTTP/1.1, line by line. */
struct probe_http {
	char line[PROBE_LINE_MAX]; /* the beginning of the line that is being read */
	size_t len;		   /* of the whole line so far */
	int status;		   /* 0: its line was not complete yet */
};

struct probe_grpc; /* probe_grpc.c */

struct probe_talk {
	enum probe_protocol protocol;
	enum probe_verdict verdict;
	char text[PROBE_TEXT_MAX];
	size_t fed; /* bytes of the answer */
	uint8_t *request;
	const uint8_t *output; /* what is left to be sent: of request, or of the HTTP/2 session */
	size_t n_output;
	struct probe_http http;
	struct probe_grpc *grpc;
};

/* The verdict, and the words for it; only the first one counts. Returns what stands. */
enum probe_verdict probe_judge(struct probe_talk *talk, bool passed, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

int probe_http_begin(struct probe_talk *talk, const char *path, const char *authority);
void probe_http_feed(struct probe_talk *talk, const uint8_t *bytes, size_t len);

int probe_grpc_begin(struct probe_talk *talk, const char *service, const char *authority);
void probe_grpc_output(struct probe_talk *talk);
void probe_grpc_feed(struct probe_talk *talk, const uint8_t *bytes, size_t len);
void probe_grpc_end(struct probe_talk *talk);

#endif
