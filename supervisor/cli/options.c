/* options.c - the options of all commands: one table from which parsing and help are made. */
#include "cli/options.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/parse.h"
#include "cli/cli.h"
#include "cli/commands.h"

struct option_info {
	enum option_bit bit;
	char letter; /* 0: none */
	const char *name;
	const char *argument; /* NULL: takes none */
	const char *help;     /* lines of at most 50 characters */
};

static const struct option_info infos[] = {
    {OPTION_FOLLOW, 'f', "follow", NULL, "go on with what comes, until Ctrl-C"},
    {OPTION_CHANGED, 0, "changed", NULL, "replace only what differs; a new program differs"},
    {OPTION_WAIT, 0, "wait", "committed|drained",
     "until new workers serve (the default), or until\nthe old ones have gone as well"},
    {OPTION_ABORT, 0, "abort-on-disconnect", NULL,
     "undo what was begun if this command goes away:\nby Ctrl-C, by --timeout, by a kill"},
    {OPTION_NOW, 0, "now", NULL, "skip what is left of the budgets: dump and kill"},
    {OPTION_SYNTAX, 0, "syntax", NULL, "the file only, not what it means on this machine"},
    {OPTION_SOCKETS, 0, "sockets", NULL, "also the sockets with their accept queues"},
    {OPTION_MOVE, 0, "move", NULL,
     "the program goes on with the sockets when the\ninstance stops: then they are not shut down"},
    {OPTION_VERBOSE, 'v', "verbose", NULL, "tell more"},
    {OPTION_QUIET, 'q', "quiet", NULL, "say nothing unless it fails"},
    {OPTION_JSON, 0, "json", NULL, "JSON for programs, as the API has it"},
    {OPTION_TIMEOUT, 0, "timeout", "TIME", "give up after 500ms, 30s, 5min (exit status 4)"},
    {OPTION_INSTANCE, 'i', "instance", "NAME",
     "the instance of that name; default: the one in\n$HANDOVER_INSTANCE, or the only one that "
     "runs"},
    {OPTION_SOCKET, 'c', "socket", "SOCKET",
     "the instance behind this control.sock, or in this\nruntime directory"},
    /* getopt finds the one before: after `exec` it means this one */
    {OPTION_NAME, 0, "socket", "NAME", "a socket to hand over; give it again for a second"},
    {OPTION_HELP, 'h', "help", NULL, "this help"},
    {OPTION_VERSION, 'V', "version", NULL, "the version"},
};

/* Long options are known to getopt by numbers above all letters. */
enum { LONG_BASE = 256 };

static void fill(struct option longs[ARRAY_LEN(infos) + 1], struct buf *shorts)
{
	/* '-' hands us operands in their place, so that options may stand anywhere; ':' leaves the
	 * messages to us */
	buf_add_str(shorts, "-:");
	for (size_t i = 0; i < ARRAY_LEN(infos); i++) {
		longs[i] = (struct option){.name = infos[i].name,
					   .has_arg = infos[i].argument != NULL ? required_argument
										: no_argument,
					   .val = LONG_BASE + (int)i};
		if (infos[i].letter != 0)
			buf_printf(shorts, "%c%s", infos[i].letter,
				   infos[i].argument != NULL ? ":" : "");
	}
	longs[ARRAY_LEN(infos)] = (struct option){.name = NULL};
}

static const struct option_info *info_of(int code)
{
	for (size_t i = 0; i < ARRAY_LEN(infos); i++)
		if (code == LONG_BASE + (int)i || (infos[i].letter != 0 && code == infos[i].letter))
			return &infos[i];
	return NULL;
}

static int set_timeout(struct cli *cli, const char *text)
{
	uint64_t bare;

	if (parse_duration(text, &cli->options.timeout) < 0) {
		if (parse_uint(text, 0, UINT64_MAX, &bare) == 0)
			cli_error(cli, "--timeout %s: say the unit as well, as in %ss", text, text);
		else
			cli_error(
			    cli,
			    "--timeout %s: not a duration; write 500ms, 30s, 5min, 1h or infinity",
			    text);
		return CLI_USAGE;
	}
	cli->options.timeout_set = true;
	return CLI_DONE;
}

static int set_wait(struct cli *cli, const char *text)
{
	if (strcmp(text, "drained") != 0 && strcmp(text, "committed") != 0) {
		cli_error(cli, "--wait=%s: it is 'committed' or 'drained'", text);
		return CLI_USAGE;
	}
	cli->options.wait = text;
	return CLI_DONE;
}

static int set_option(struct cli *cli, const struct option_info *info, const char *argument)
{
	struct options *options = &cli->options;

	switch (info->bit) {
	case OPTION_INSTANCE:
		options->instance = argument;
		return CLI_DONE;
	case OPTION_SOCKET:
		options->socket = argument;
		return CLI_DONE;
	case OPTION_NAME:
		options->names[options->n_names++] = argument;
		return CLI_DONE;
	case OPTION_MOVE:
		options->move = true;
		return CLI_DONE;
	case OPTION_TIMEOUT:
		return set_timeout(cli, argument);
	case OPTION_WAIT:
		return set_wait(cli, argument);
	case OPTION_HELP:
		options->help = true;
		return CLI_DONE;
	case OPTION_VERSION:
		options->version = true;
		return CLI_DONE;
	case OPTION_JSON:
		options->json = true;
		return CLI_DONE;
	case OPTION_QUIET:
		options->quiet = true;
		return CLI_DONE;
	case OPTION_VERBOSE:
		options->verbose = true;
		return CLI_DONE;
	case OPTION_SOCKETS:
		options->sockets = true;
		return CLI_DONE;
	case OPTION_FOLLOW:
		options->follow = true;
		return CLI_DONE;
	case OPTION_CHANGED:
		options->changed = true;
		return CLI_DONE;
	case OPTION_ABORT:
		options->abort_on_disconnect = true;
		return CLI_DONE;
	case OPTION_NOW:
		options->now = true;
		return CLI_DONE;
	case OPTION_SYNTAX:
		options->syntax = true;
		return CLI_DONE;
	}
	return CLI_USAGE;
}

static int explain_unknown(struct cli *cli, const char *word)
{
	const char *names[ARRAY_LEN(infos)];
	const char *near = NULL;
	cleanup_free char *name = NULL;

	for (size_t i = 0; i < ARRAY_LEN(infos); i++)
		names[i] = infos[i].name;
	if (strncmp(word, "--", 2) == 0) {
		name = strndup(word + 2, strcspn(word + 2, "="));
		near = name != NULL ? parse_suggest(name, names, ARRAY_LEN(names)) : NULL;
	}
	if (near != NULL)
		cli_error(cli, "there is no option %s; did you mean --%s?", word, near);
	else
		cli_error(
		    cli, "there is no option %s; `handover help COMMAND` lists a command's options",
		    word);
	return CLI_USAGE;
}

/* getopt says '?' for: an unknown letter, an unknown or ambiguous name, a name with an argument
 * that it does not take. */
static int explain(struct cli *cli, int code, const char *word)
{
	const struct option_info *info = info_of(optopt);
	char letter[3] = {'-', (char)optopt, '\0'};

	if (code == ':' && info != NULL && info->letter == optopt) {
		cli_error(cli, "option -%c needs an argument: -%c %s", info->letter, info->letter,
			  info->argument);
		return CLI_USAGE;
	}
	if (code == ':' && info != NULL) {
		cli_error(cli, "option --%s needs an argument: --%s=%s", info->name, info->name,
			  info->argument);
		return CLI_USAGE;
	}
	if (info != NULL) {
		cli_error(cli, "option --%s takes no argument", info->name);
		return CLI_USAGE;
	}
	return explain_unknown(cli, optopt > 0 && optopt < LONG_BASE ? letter : word);
}

static bool is_exec(const struct cli *cli)
{
	return cli->command != NULL && (cli->command->options & OPTION_NAME) != 0;
}

/* "handover exec --socket NAME": there it is no path of a control.sock. */
static const struct option_info *info_meant(const struct cli *cli, int code)
{
	const struct option_info *info = info_of(code);

	if (info != NULL && info->bit == OPTION_SOCKET && code >= LONG_BASE && is_exec(cli))
		for (size_t i = 0; i < ARRAY_LEN(infos); i++)
			if (infos[i].bit == OPTION_NAME)
				return &infos[i];
	return info;
}

static int take_operand(struct cli *cli, char *word)
{
	if (cli->command == NULL) {
		cli->command = command_find(word);
		return cli->command != NULL ? CLI_DONE : command_explain_unknown(cli, word);
	}
	cli->operands[cli->n_operands++] = word;
	return CLI_DONE;
}

/* Which options were given that the command does not take? */
static int check_allowed(struct cli *cli, unsigned used)
{
	unsigned wrong =
	    cli->command != NULL ? used & ~(cli->command->options | OPTIONS_ALWAYS) : 0;

	for (size_t i = 0; i < ARRAY_LEN(infos); i++) {
		if ((wrong & infos[i].bit) == 0)
			continue;
		cli_error(cli, "%s takes no option --%s; see `handover help %s`",
			  cli->command->name, infos[i].name, cli->command->name);
		return CLI_USAGE;
	}
	if (cli->options.instance != NULL && cli->options.socket != NULL) {
		cli_error(cli, "-i and -c both choose an instance: give one of them");
		return CLI_USAGE;
	}
	if (cli->options.instance != NULL && strchr(cli->options.instance, '/') != NULL) {
		cli_error(cli, "-i takes the name of an instance; for a socket's path write -c %s",
			  cli->options.instance);
		return CLI_USAGE;
	}
	return CLI_DONE;
}

int options_parse(struct cli *cli, int argc, char **argv)
{
	struct option longs[ARRAY_LEN(infos) + 1];
	cleanup_buf struct buf shorts = {0};
	const struct option_info *info;
	unsigned used = 0;
	int code, r = CLI_DONE;

	fill(longs, &shorts);
	cli->operands = calloc((size_t)argc + 1, sizeof(*cli->operands));
	cli->options.names = calloc((size_t)argc + 1, sizeof(*cli->options.names));
	if (cli->operands == NULL || cli->options.names == NULL || shorts.cut) {
		cli_error(cli, "out of memory");
		return CLI_FAILED;
	}
	while (r == CLI_DONE && (code = getopt_long(argc, argv, shorts.data, longs, NULL)) != -1) {
		info = code == '?' || code == ':' ? NULL : info_meant(cli, code);
		if (code == 1)
			r = take_operand(cli, optarg);
		else if (info == NULL)
			r = explain(cli, code, argv[optind - 1]);
		else
			r = set_option(cli, info, optarg);
		used |= info != NULL ? info->bit : 0;
		if (is_exec(cli) && cli->n_operands > 0) /* what follows is that program's */
			break;
	}
	while (r == CLI_DONE && optind < argc)
		r = take_operand(cli, argv[optind++]);
	return r == CLI_DONE ? check_allowed(cli, used) : r;
}

static void add_lines(const char *help, struct buf *out)
{
	for (const char *end; (end = strchr(help, '\n')) != NULL; help = end + 1)
		buf_printf(out, "%.*s\n%-28s", (int)(end - help), help, "");
	buf_printf(out, "%s\n", help);
}

void options_help(unsigned bits, struct buf *out)
{
	for (size_t i = 0; i < ARRAY_LEN(infos); i++) {
		const struct option_info *info = &infos[i];
		cleanup_buf struct buf left = {0};

		if ((bits & info->bit) == 0)
			continue;
		if (info->letter != 0)
			buf_printf(&left, "  -%c, ", info->letter);
		else
			buf_add_str(&left, "      ");
		buf_printf(&left, "--%s%s%s", info->name, info->argument != NULL ? "=" : "",
			   info->argument != NULL ? info->argument : "");
		if (left.len > 27)
			buf_printf(out, "%s\n%-28s", left.data, "");
		else
			buf_printf(out, "%-28s", left.data);
		add_lines(info->help, out);
	}
}
