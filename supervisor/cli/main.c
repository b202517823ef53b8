/* main.c - handover(1): which command, which instance, run it, exit status. */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/options.h"

/* A caller that closed 0, 1 or 2 must not have our socket take their place. */
static void fill_standard_fds(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

static int check_operands(struct cli *cli)
{
	const struct command *command = cli->command;

	if (cli->n_operands < command->min_operands)
		cli_error(cli, "%s needs %s; see `handover help %s`", command->name,
			  command->operands, command->name);
	else if (cli->n_operands > command->max_operands)
		cli_error(cli, "%s does not take '%s'; see `handover help %s`", command->name,
			  cli->operands[command->max_operands], command->name);
	else
		return CLI_DONE;
	return CLI_USAGE;
}

static int run(struct cli *cli)
{
	int code = check_operands(cli);

	if (code != CLI_DONE)
		return code;
	cli_set_deadline(cli, cli->command->unbounded ? USEC_INFINITY : 10 * USEC_PER_SEC);
	if (cli->command->needs_instance) {
		code = instance_choose(cli);
		if (code != CLI_DONE)
			return code;
		cli->client = client_new(cli->instance.socket);
		if (cli->client == NULL) {
			cli_error(cli, "out of memory");
			return CLI_FAILED;
		}
	}
	return cli->command->run(cli);
}

static int dispatch(struct cli *cli, int argc, char **argv)
{
	int code = options_parse(cli, argc, argv);

	if (code != CLI_DONE)
		return code;
	if (cli->options.version) {
		cli_say(cli, "handover " HANDOVER_VERSION);
		return CLI_DONE;
	}
	if (cli->options.help)
		return cmd_help(cli);
	if (cli->command == NULL) {
		cli_error(cli, "which command? `handover help` lists them; `handover status` is a "
			       "good first one");
		return CLI_USAGE;
	}
	return run(cli);
}

int main(int argc, char **argv)
{
	struct cli cli = {.options.timeout = USEC_INFINITY, .deadline = USEC_INFINITY};
	int code;

	fill_standard_fds();
	/* a reader that went away ends our output, not what we have begun */
	signal(SIGPIPE, SIG_IGN);
	setlocale(LC_CTYPE, "");
	term_setup(&cli.out, stdout);
	term_setup(&cli.err, stderr);
	term_open_journal(&cli.err);
	code = dispatch(&cli, argc, argv);
	if (code == CLI_DONE && cli.out.error != 0 && cli.out.error != EPIPE) {
		cli_error(&cli, "cannot write to standard output: %s", strerror(cli.out.error));
		code = CLI_FAILED;
	}
	client_free(cli.client);
	instance_free(&cli.instance);
	free(cli.operands);
	free(cli.options.names);
	return code;
}
