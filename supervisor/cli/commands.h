/* commands.h - the commands: what they are called, take and do. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/cli.h"

struct command {
	const char *name;
	const char *operands; /* as in a usage line: "POOL[/SLOT] SIGNAL" */
	const char *summary;  /* for the overview */
	const char *help;     /* paragraphs and examples for `help COMMAND` */
	unsigned options;     /* enum option_bit, without OPTIONS_ALWAYS */
	int min_operands;
	int max_operands;
	bool needs_instance;
	bool unbounded; /* without --timeout it waits as long as it takes */
	int (*run)(struct cli *cli);
};

extern const struct command commands[];
extern const size_t n_commands;

/* NULL: there is none of that name. */
const struct command *command_find(const char *name);
/* Says that there is no such command, and which was probably meant. Returns CLI_USAGE. */
int command_explain_unknown(struct cli *cli, const char *name);

/* POOL or POOL/SLOT as an operand. */
struct target {
	char pool[64];
	long slot; /* -1: the whole pool */
};
/* Returns CLI_DONE, or CLI_USAGE after having said what is wrong. */
int target_parse(struct cli *cli, const char *text, bool may_have_slot, struct target *ret);
/* Appends "/v1/pools/NAME/VERB". */
void target_path(const struct target *target, const char *verb, struct buf *out);

int cmd_status(struct cli *cli);
int cmd_list(struct cli *cli);
int cmd_logs(struct cli *cli);
int cmd_events(struct cli *cli);
int cmd_why(struct cli *cli);
int cmd_history(struct cli *cli);
int cmd_reload(struct cli *cli);
int cmd_promote(struct cli *cli);
int cmd_abort(struct cli *cli);
int cmd_rollback(struct cli *cli);
int cmd_restart(struct cli *cli);
int cmd_scale(struct cli *cli);
int cmd_stop(struct cli *cli);
int cmd_out_of_service(struct cli *cli);
int cmd_signal(struct cli *cli);
int cmd_dump(struct cli *cli);
int cmd_check(struct cli *cli);
int cmd_plan(struct cli *cli);
int cmd_sockets(struct cli *cli);
int cmd_exec(struct cli *cli);
int cmd_help(struct cli *cli);

#endif
