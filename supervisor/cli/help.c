/* help.c - `handover help`: an overview that teaches, and all about one command. */
#include <string.h>

#include "cli/commands.h"
#include "cli/options.h"

static const char *const groups[] = {
    "status why history sockets list logs events",
    "reload promote abort rollback restart scale stop out-of-service",
    "signal dump exec check plan help"};
static const char *const titles[] = {"Look", "Change", "Find out"};

/* Is the word one of the list's? */
static bool has_word(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = list; (at = strstr(at, word)) != NULL; at += len)
		if ((at == list || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0'))
			return true;
	return false;
}

static void add_commands(struct buf *out)
{
	for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++) {
		buf_printf(out, "\n%s:\n", titles[g]);
		for (size_t i = 0; i < n_commands; i++) {
			cleanup_buf struct buf left = {0};

			if (!has_word(groups[g], commands[i].name))
				continue;
			buf_printf(&left, "  %s %s ", commands[i].name, commands[i].operands);
			buf_printf(out, "%-28s%s\n", left.data, commands[i].summary);
		}
	}
}

static void add_overview(struct buf *out)
{
	buf_add_str(out,
		    "Usage: handover [-i NAME | -c SOCKET] COMMAND [OPTION...] [OPERAND...]\n"
		    "\n"
		    "Looks at and changes a running handoverd, the supervisor of RPC workers.\n");
	add_commands(out);
	buf_add_str(out, "\nOptions of most commands:\n");
	options_help(OPTIONS_INSTANCE | OPTIONS_ALWAYS | OPTION_JSON, out);
	buf_add_str(
	    out,
	    "\nExamples:\n"
	    "  handover status                     what runs?\n"
	    "  handover check && handover reload   a deploy, or the reason why there was none\n"
	    "  handover logs api -f                what do the workers of pool api say?\n"
	    "  handover -i payments stop           end the instance payments in order\n"
	    "\n"
	    "Exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 no instance there,\n"
	    "4 timed out, 10 plan: something to do, 78 configuration wrong, 128 + signal when\n"
	    "interrupted.\n"
	    "`handover help COMMAND` tells all about a command; see also handover(1).\n");
}

static void add_command(const struct command *command, struct buf *out)
{
	buf_printf(out, "Usage: handover %s%s [OPTION...]%s%s\n\n%s: %s.\n\n%s",
		   command->needs_instance ? "[-i NAME | -c SOCKET] " : "", command->name,
		   command->operands[0] != '\0' ? " " : "", command->operands, command->name,
		   command->summary, command->help);
	buf_add_str(out, "\nOptions:\n");
	options_help(command->options | OPTIONS_ALWAYS, out);
}

int cmd_help(struct cli *cli)
{
	const struct command *about = cli->options.help ? cli->command : NULL;
	cleanup_buf struct buf text = {0};

	if (cli->command != NULL && cli->command->run == cmd_help && cli->n_operands > 0) {
		about = command_find(cli->operands[0]);
		if (about == NULL)
			return command_explain_unknown(cli, cli->operands[0]);
	}
	if (about != NULL)
		add_command(about, &text);
	else
		add_overview(&text);
	term_write_buf(&cli->out, &text);
	return CLI_DONE;
}
