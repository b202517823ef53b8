/* The command line of rpc-load. */
#pragma once

#include <stdint.h>

#define STREAMS_MAX 16

/* How the requests of a stream reach the server. */
enum stream_kind {
	STREAM_NEW,	  /* `add`, each on a connection of its own */
	STREAM_KEEPALIVE, /* `add`, over a number of long-lived connections */
	STREAM_SLOW,	  /* `work`, each on a connection of its own */
};

struct stream_options {
	enum stream_kind kind;
	double rate;	      /* requests a second */
	uint64_t connections; /* STREAM_KEEPALIVE */
	uint64_t min_ms;      /* STREAM_SLOW: the time a request takes is evenly spread ... */
	uint64_t max_ms;      /* ... between these */
	char name[48];	      /* "slow 8/s 300-1000 ms" */
};

struct options {
	const char *target;
	struct stream_options streams[STREAMS_MAX];
	unsigned stream_count;
	uint64_t timeout;  /* of one request, from its intended start; microseconds */
	uint64_t duration; /* microseconds; 0: until told to stop */
	uint64_t max_requests;
	const char *json_file;	  /* or NULL */
	const char *records_file; /* or NULL */
};

/* Returns 0, 1 when there is nothing more to do (--help), or -EINVAL after saying why on stderr. */
int options_parse(struct options *opts, int argc, char **argv);
