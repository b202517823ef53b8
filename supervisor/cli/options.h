/* options.h - the options of all commands: one table from which parsing and help are made. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "base/buf.h"

struct cli;

/* One bit per option, so that a command can say which it takes. */
enum option_bit {
	OPTION_INSTANCE = 1 << 0,
	OPTION_SOCKET = 1 << 1,
	OPTION_TIMEOUT = 1 << 2,
	OPTION_HELP = 1 << 3,
	OPTION_VERSION = 1 << 4,
	OPTION_JSON = 1 << 5,
	OPTION_QUIET = 1 << 6,
	OPTION_VERBOSE = 1 << 7,
	OPTION_SOCKETS = 1 << 8,
	OPTION_FOLLOW = 1 << 9,
	OPTION_CHANGED = 1 << 10,
	OPTION_WAIT = 1 << 11,
	OPTION_ABORT = 1 << 12,
	OPTION_NOW = 1 << 13,
	OPTION_SYNTAX = 1 << 14,
	OPTION_NAME = 1 << 15,
	OPTION_MOVE = 1 << 16,
};

/* What every command takes. */
#define OPTIONS_ALWAYS	 (OPTION_HELP | OPTION_VERSION)
#define OPTIONS_INSTANCE (OPTION_INSTANCE | OPTION_SOCKET | OPTION_TIMEOUT)

/*
 * Reads argv into cli: options, the command, its operands; options may stand anywhere, "--" ends
 * them. Returns CLI_DONE, or CLI_USAGE after having said what is wrong. cli->command stays NULL
 * where none was given.
 */
int options_parse(struct cli *cli, int argc, char **argv);
/* Appends a help paragraph for the options in bits. */
void options_help(unsigned bits, struct buf *out);

#endif
