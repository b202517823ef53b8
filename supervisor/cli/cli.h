/* cli.h - what one call of `handover` knows: options, operands, its streams and its instance. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"
#include "cli/client.h"
#include "cli/instance.h"
#include "cli/term.h"

/* Part of the interface: scripts rely on these. */
enum cli_exit {
	CLI_DONE = 0,
	CLI_FAILED = 1, /* the instance said no, or what was asked for failed */
	CLI_USAGE = 2,
	CLI_NO_INSTANCE = 3,
	CLI_TIMED_OUT = 4,
	CLI_WOULD_CHANGE = 10, /* plan: there is something to do */
	CLI_CONFIG_WRONG = 78,
	CLI_SIGNALLED = 128, /* + the signal that ended the wait */
};

struct options {
	const char *instance; /* -i */
	const char *socket;   /* -c */
	const char *wait;     /* "committed", "drained", NULL: the instance's default */
	usec_t timeout;	      /* USEC_INFINITY: none */
	bool timeout_set;
	bool json;
	bool quiet;
	bool verbose;
	bool sockets;
	bool move;
	const char **names; /* exec --socket NAME, several; the memory is main()'s */
	size_t n_names;
	bool changed;
	bool now;
	bool syntax;
	bool follow;
	bool abort_on_disconnect;
	bool help;
	bool version;
};

struct cli {
	const struct command *command;
	struct options options;
	char **operands;
	int n_operands;
	usec_t deadline; /* of the whole call */
	struct term out;
	struct term err;
	struct instance instance;
	struct client *client;
};

/* "handover: SENTENCE" to standard error; what came from others in it is made safe. */
void cli_error(struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* One line to standard output, made safe. */
void cli_say(struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The command as the user should type it: "handover -i payments status", with this call's choice of
 * instance. */
const char *cli_hint(struct cli *cli, const char *rest, struct buf *buf);
/* Sets the deadline: --timeout, or what the command does without. */
void cli_set_deadline(struct cli *cli, usec_t default_timeout);

/*
 * One question, one answer within the deadline: GET, or POST if body is not NULL. Says what went
 * wrong by itself. Returns CLI_DONE with the answer's text in ret_body (an empty buffer before), or
 * the exit code.
 */
int cli_query(struct cli *cli, const char *path, const char *body, struct buf *ret_body);
/* An answer of that type was none that we know: says so, returns the exit code. */
int cli_not_understood(struct cli *cli);
/* The answer as it is, for programs; laid out for people on a terminal. */
void cli_show_json(struct cli *cli, const struct buf *answer);
/* Says why a request that is done brought no proper answer; returns the exit code. CLI_DONE if it
 * brought one. */
int cli_explain(struct cli *cli, const struct request *request);
/* Says that we may not connect, and who may. Returns CLI_FAILED. */
int cli_explain_denied(struct cli *cli, const char *socket_path);
/* Says that the time is up; returns the exit code. */
int cli_timed_out(struct cli *cli);

#endif
