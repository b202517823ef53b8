/* The command line of rpc-load. */
#include "rpc-load-options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "rpc-load-util.h"

#define RATE_MAX	  20000.0
#define CONNECTIONS_MAX	  4096
#define WORK_MAX_MS	  600000
#define TIMEOUT_DEFAULT_S 20.0
#define SECONDS_MAX	  86400.0
#define TIMEOUT_MAX_S	  3600.0 /* so that a latency fits into 32 bits of microseconds */
#define REQUESTS_DEFAULT  1000000
#define REQUESTS_MAX	  50000000

static const char help_text[] =
    "usage: rpc-load --target HOST:PORT|unix:/PATH [OPTION]...\n"
    "\n"
    "Puts JSON-RPC load on a service at fixed rates, checks every answer, and says what happened "
    "to\n"
    "each request. Latency counts from the moment a request was due, so a stall cannot hide.\n"
    "\n"
    "Load (may be repeated, in any mixture):\n"
    "  --new RATE                   add, on a new connection each\n"
    "  --keepalive RATE,CONNECTIONS add, over long-lived connections\n"
    "  --slow RATE,MIN_MS,MAX_MS    work that takes that long, on a new connection each\n"
    "\n"
    "  --timeout SECONDS            of one request (default: 20)\n"
    "  --duration SECONDS           stop sending after that (default: at `quit` or end of input)\n"
    "  --max-requests N             stop sending after that many (default: 1000000)\n"
    "  --json FILE                  write the summary as JSON\n"
    "  --records FILE               write every request as a line of CSV\n"
    "\n"
    "Commands on standard input, one a line:\n"
    "  phase NAME            requests that start from now on belong to NAME\n"
    "  window on|off         marks the time of a reload\n"
    "  killed PID [USEC]     that worker was killed (at that monotonic time): what it held is "
    "`killed`\n"
    "  hang                  send a request that is never answered; reported as lines of JSON\n"
    "  call METHOD [PARAMS]  send one request; reported as lines of JSON\n"
    "  stats                 print the totals as a line of JSON\n"
    "  quit                  stop sending, wait for what is in flight, print the summary\n"
    "\n"
    "Exit status: 0 no request failed, 1 some did or none was answered, 2 usage.\n";

enum {
	OPT_TARGET = 256,
	OPT_NEW,
	OPT_KEEPALIVE,
	OPT_SLOW,
	OPT_TIMEOUT,
	OPT_DURATION,
	OPT_MAX_REQUESTS,
	OPT_JSON,
	OPT_RECORDS,
	OPT_HELP,
};

static const struct option long_options[] = {
    {"target", required_argument, NULL, OPT_TARGET},
    {"new", required_argument, NULL, OPT_NEW},
    {"keepalive", required_argument, NULL, OPT_KEEPALIVE},
    {"slow", required_argument, NULL, OPT_SLOW},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"duration", required_argument, NULL, OPT_DURATION},
    {"max-requests", required_argument, NULL, OPT_MAX_REQUESTS},
    {"json", required_argument, NULL, OPT_JSON},
    {"records", required_argument, NULL, OPT_RECORDS},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static void stream_set_name(struct stream_options *s)
{
	switch (s->kind) {
	case STREAM_NEW:
		snprintf(s->name, sizeof(s->name), "new %g/s", s->rate);
		break;
	case STREAM_KEEPALIVE:
		snprintf(s->name, sizeof(s->name), "keepalive %g/s on %" PRIu64, s->rate,
			 s->connections);
		break;
	case STREAM_SLOW:
		snprintf(s->name, sizeof(s->name), "slow %g/s %" PRIu64 "-%" PRIu64 " ms", s->rate,
			 s->min_ms, s->max_ms);
		break;
	}
}

/* "RATE", "RATE,CONNECTIONS" or "RATE,MIN,MAX": every field is there, and no more. */
static int stream_parse_fields(struct stream_options *s, char *text)
{
	char *rate = strsep(&text, ",");
	char *first = text != NULL ? strsep(&text, ",") : NULL;
	char *second = text != NULL ? strsep(&text, ",") : NULL;

	if (text != NULL || parse_positive(rate, RATE_MAX, &s->rate) < 0)
		return -EINVAL;
	switch (s->kind) {
	case STREAM_NEW:
		return first == NULL ? 0 : -EINVAL;
	case STREAM_KEEPALIVE:
		if (first == NULL || second != NULL ||
		    parse_u64(first, CONNECTIONS_MAX, &s->connections) < 0)
			return -EINVAL;
		return s->connections > 0 ? 0 : -EINVAL;
	case STREAM_SLOW:
		if (second == NULL || parse_u64(first, WORK_MAX_MS, &s->min_ms) < 0 ||
		    parse_u64(second, WORK_MAX_MS, &s->max_ms) < 0)
			return -EINVAL;
		return s->min_ms <= s->max_ms ? 0 : -EINVAL;
	}
	return -EINVAL;
}

static int stream_argument(struct options *opts, enum stream_kind kind, const char *want)
{
	struct stream_options stream = {.kind = kind};
	char text[128];

	if (opts->stream_count == STREAMS_MAX) {
		fprintf(stderr, "rpc-load: more than %d streams of load\n", STREAMS_MAX);
		return -EINVAL;
	}
	if ((size_t)snprintf(text, sizeof(text), "%s", optarg) >= sizeof(text) ||
	    stream_parse_fields(&stream, text) < 0) {
		fprintf(stderr, "rpc-load: %s: want %s\n", optarg, want);
		return -EINVAL;
	}
	stream_set_name(&stream);
	opts->streams[opts->stream_count++] = stream;
	return 0;
}

static int seconds_argument(const char *what, double max, uint64_t *ret)
{
	double seconds;

	if (parse_positive(optarg, max, &seconds) < 0) {
		fprintf(stderr, "rpc-load: --%s %s: want seconds, more than 0 and at most %.0f\n",
			what, optarg, max);
		return -EINVAL;
	}
	*ret = (uint64_t)(seconds * USEC_PER_SEC);
	return 0;
}

static int options_set(struct options *opts, int key)
{
	switch (key) {
	case OPT_TARGET:
		opts->target = optarg;
		return 0;
	case OPT_NEW:
		return stream_argument(opts, STREAM_NEW, "--new RATE");
	case OPT_KEEPALIVE:
		return stream_argument(opts, STREAM_KEEPALIVE, "--keepalive RATE,CONNECTIONS");
	case OPT_SLOW:
		return stream_argument(opts, STREAM_SLOW, "--slow RATE,MIN_MS,MAX_MS");
	case OPT_TIMEOUT:
		return seconds_argument("timeout", TIMEOUT_MAX_S, &opts->timeout);
	case OPT_DURATION:
		return seconds_argument("duration", SECONDS_MAX, &opts->duration);
	case OPT_MAX_REQUESTS:
		if (parse_u64(optarg, REQUESTS_MAX, &opts->max_requests) == 0 &&
		    opts->max_requests > 0)
			return 0;
		fprintf(stderr, "rpc-load: --max-requests %s: want a number from 1 to %d\n", optarg,
			REQUESTS_MAX);
		return -EINVAL;
	case OPT_JSON:
		opts->json_file = optarg;
		return 0;
	case OPT_RECORDS:
		opts->records_file = optarg;
		return 0;
	case OPT_HELP:
		fputs(help_text, stdout);
		return 1;
	default: /* getopt_long() has said what it does not know */
		return -EINVAL;
	}
}

int options_parse(struct options *opts, int argc, char **argv)
{
	int key, r;

	*opts = (struct options){
	    .timeout = (uint64_t)(TIMEOUT_DEFAULT_S * USEC_PER_SEC),
	    .max_requests = REQUESTS_DEFAULT,
	};
	while ((key = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		r = options_set(opts, key);
		if (r != 0)
			return r;
	}
	if (optind < argc) {
		fprintf(stderr, "rpc-load: %s: takes options only; see --help\n", argv[optind]);
		return -EINVAL;
	}
	if (opts->target == NULL) {
		fprintf(stderr, "rpc-load: where to? --target HOST:PORT or --target unix:/PATH\n");
		return -EINVAL;
	}
	return 0;
}
