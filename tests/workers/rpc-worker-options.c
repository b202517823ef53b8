/* The command line of rpc-worker, and who this worker is. */
#include "rpc-worker-options.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "rpc-worker-util.h"

static const char help_text[] =
    "usage: rpc-worker [OPTION]...\n"
    "\n"
    "A JSON-RPC 2.0 worker over HTTP/1.1 that serves on the sockets it is given (LISTEN_FDS)\n"
    "and leaves without losing a request when it gets its drain signal.\n"
    "\n"
    "methods: add {a,b}, work {ms,a,b}, hang, block {ms}, crash {signal}, exit {code}, info\n"
    "\n"
    "  --listen HOST:PORT     bind here if no socket is handed over (to try it by hand)\n"
    "  --version TEXT         label that every result carries (default: 1)\n"
    "  --drain-signal NAME    stop accepting, finish, exit (default: SIGTERM)\n"
    "  --ready-fd N           write a newline to descriptor N when ready\n"
    "\n"
    "To misbehave:\n"
    "  --start-delay MS       get ready only after MS milliseconds\n"
    "  --never-ready          never get ready, and serve nothing\n"
    "  --exit-at-start CODE   say why on stderr and exit at once\n"
    "  --die-at-start SIGNAL  die by SIGNAL at once\n"
    "  --ignore-term          ignore SIGTERM and the drain signal\n"
    "  --stubborn             drain without a limit of one's own\n"
    "  --wrong-answer-after N one wrong sum after N right ones\n"
    "  --shutdown-listener-on-drain\n"
    "                         shutdown() the shared sockets, which stops them for everybody\n"
    "  --flood-output BYTES   write that much to stdout once ready\n"
    "  --leak-child           leave a child that ignores SIGTERM and holds the sockets\n"
    "  --leak-daemon          the same in a session of its own\n"
    "  --ill-if FILE          answer GET /healthz with 503 while FILE exists\n"
    "  --no-watchdog          do not feed the watchdog\n";

enum {
	OPT_LISTEN = 256,
	OPT_VERSION,
	OPT_DRAIN_SIGNAL,
	OPT_READY_FD,
	OPT_START_DELAY,
	OPT_NEVER_READY,
	OPT_EXIT_AT_START,
	OPT_DIE_AT_START,
	OPT_IGNORE_TERM,
	OPT_STUBBORN,
	OPT_WRONG_ANSWER_AFTER,
	OPT_SHUTDOWN_LISTENER,
	OPT_FLOOD_OUTPUT,
	OPT_LEAK_CHILD,
	OPT_LEAK_DAEMON,
	OPT_NO_WATCHDOG,
	OPT_ILL_IF,
	OPT_HELP,
};

static const struct option long_options[] = {
    {"listen", required_argument, NULL, OPT_LISTEN},
    {"version", required_argument, NULL, OPT_VERSION},
    {"drain-signal", required_argument, NULL, OPT_DRAIN_SIGNAL},
    {"ready-fd", required_argument, NULL, OPT_READY_FD},
    {"start-delay", required_argument, NULL, OPT_START_DELAY},
    {"never-ready", no_argument, NULL, OPT_NEVER_READY},
    {"exit-at-start", required_argument, NULL, OPT_EXIT_AT_START},
    {"die-at-start", required_argument, NULL, OPT_DIE_AT_START},
    {"ignore-term", no_argument, NULL, OPT_IGNORE_TERM},
    {"stubborn", no_argument, NULL, OPT_STUBBORN},
    {"wrong-answer-after", required_argument, NULL, OPT_WRONG_ANSWER_AFTER},
    {"shutdown-listener-on-drain", no_argument, NULL, OPT_SHUTDOWN_LISTENER},
    {"flood-output", required_argument, NULL, OPT_FLOOD_OUTPUT},
    {"leak-child", no_argument, NULL, OPT_LEAK_CHILD},
    {"leak-daemon", no_argument, NULL, OPT_LEAK_DAEMON},
    {"no-watchdog", no_argument, NULL, OPT_NO_WATCHDOG},
    {"ill-if", required_argument, NULL, OPT_ILL_IF},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static int number_argument(const char *what, uint64_t max, uint64_t *ret)
{
	int r = parse_u64(optarg, max, ret);

	if (r < 0)
		fprintf(stderr, "rpc-worker: --%s %s: want a number from 0 to %" PRIu64 "\n", what,
			optarg, max);
	return r;
}

static int signal_argument(const char *what, int *ret)
{
	int sig = parse_signal(optarg);

	if (sig < 0) {
		fprintf(stderr, "rpc-worker: --%s %s: there is no such signal\n", what, optarg);
		return sig;
	}
	*ret = sig;
	return 0;
}

static int small_number_argument(const char *what, uint64_t max, int *ret)
{
	uint64_t value;
	int r = number_argument(what, max, &value);

	if (r == 0)
		*ret = (int)value;
	return r;
}

/* Goes into JSON and into the line-based notify protocol as it is. */
static int label_argument(const char *what, const char **ret)
{
	for (const char *p = optarg; *p != '\0'; p++) {
		if (*p < ' ' || *p > '~') {
			fprintf(stderr, "rpc-worker: --%s: want printable ASCII\n", what);
			return -EINVAL;
		}
	}
	*ret = optarg;
	return 0;
}

static int options_set(struct options *opts, int key)
{
	switch (key) {
	case OPT_LISTEN:
		opts->listen = optarg;
		return 0;
	case OPT_VERSION:
		return label_argument("version", &opts->version);
	case OPT_DRAIN_SIGNAL:
		return signal_argument("drain-signal", &opts->drain_signal);
	case OPT_READY_FD:
		return small_number_argument("ready-fd", 65535, &opts->ready_fd);
	case OPT_START_DELAY:
		return number_argument("start-delay", 3600000, &opts->start_delay_ms);
	case OPT_NEVER_READY:
		opts->never_ready = true;
		return 0;
	case OPT_EXIT_AT_START:
		return small_number_argument("exit-at-start", 255, &opts->exit_at_start);
	case OPT_DIE_AT_START:
		return signal_argument("die-at-start", &opts->die_at_start);
	case OPT_IGNORE_TERM:
		opts->ignore_term = true;
		return 0;
	case OPT_STUBBORN:
		opts->stubborn = true;
		return 0;
	case OPT_WRONG_ANSWER_AFTER:
		opts->lie = true;
		return number_argument("wrong-answer-after", UINT64_MAX, &opts->wrong_answer_after);
	case OPT_SHUTDOWN_LISTENER:
		opts->shutdown_listener_on_drain = true;
		return 0;
	case OPT_FLOOD_OUTPUT:
		return number_argument("flood-output", UINT64_C(1) << 40, &opts->flood_bytes);
	case OPT_LEAK_CHILD:
		opts->leak_child = true;
		return 0;
	case OPT_LEAK_DAEMON:
		opts->leak_daemon = true;
		return 0;
	case OPT_NO_WATCHDOG:
		opts->no_watchdog = true;
		return 0;
	case OPT_ILL_IF:
		opts->ill_if = optarg;
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
	    .version = "1", .drain_signal = SIGTERM, .ready_fd = -1, .exit_at_start = -1};
	while ((key = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		r = options_set(opts, key);
		if (r != 0)
			return r < 0 ? -EINVAL : r;
	}
	if (optind < argc) {
		fprintf(stderr, "rpc-worker: %s: takes options only; see --help\n", argv[optind]);
		return -EINVAL;
	}
	return 0;
}

void identity_read(struct identity *id, const char *version)
{
	const char *instance = getenv("HANDOVER_INSTANCE");
	const char *pool = getenv("HANDOVER_POOL");

	*id = (struct identity){
	    .pid = getpid(),
	    .slot = (unsigned)env_u64("HANDOVER_SLOT", UINT32_MAX, 0),
	    .generation = (unsigned)env_u64("HANDOVER_GENERATION", UINT32_MAX, 0),
	    .instance = instance != NULL ? instance : "",
	    .pool = pool != NULL ? pool : "",
	    .version = version,
	};
}
