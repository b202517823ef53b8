/* commands.c - the table of commands, and their help by word and example. */
#include "cli/commands.h"

#include <ctype.h>
#include <limits.h>
#include <string.h>

#include "base/fd.h"
#include "base/parse.h"
#include "cli/options.h"

#define QUERY (OPTIONS_INSTANCE)
#define CHANGE                                                                          \
	(OPTIONS_INSTANCE | OPTION_JSON | OPTION_QUIET | OPTION_VERBOSE | OPTION_WAIT | \
	 OPTION_ABORT)

const struct command commands[] = {
    {.name = "status",
     .operands = "",
     .summary = "what runs, and what is wrong",
     .help = "Shows the instance, one line per worker, and the reload while one runs. Exit\n"
	     "status 0 means that it answered, whatever it said; a health check asks /readyz.\n"
	     "\n"
	     "  handover status                 the table\n"
	     "  handover status -v              also pools, and sockets with their queues\n"
	     "  handover status --json | jq .   for programs\n"
	     "  watch handover status           again every 2 seconds\n",
     .options = QUERY | OPTION_JSON | OPTION_VERBOSE | OPTION_SOCKETS,
     .needs_instance = true,
     .run = cmd_status},
    {.name = "why",
     .operands = "[POOL[/SLOT]|PID]",
     .summary = "why workers ended",
     .help = "Tells the last ends of workers that were not in order (20 are kept of each\n"
	     "pool): crashes, hangs, failed starts, kills at the end of a budget, want of\n"
	     "memory; also those that ended by their own wish. The last one in full: how it\n"
	     "ended, by whom, its last output, and for one that hung what it was doing in\n"
	     "the kernel at that moment, and the dump that it wrote.\n"
	     "\n"
	     "  handover why                    of all pools\n"
	     "  handover why api/2              of one slot\n"
	     "  handover why 4711               of the worker that had this pid\n"
	     "  handover why api -v             all of them in full\n",
     .options = QUERY | OPTION_JSON | OPTION_VERBOSE,
     .max_operands = 1,
     .needs_instance = true,
     .run = cmd_why},
    {.name = "history",
     .operands = "",
     .summary = "the last reloads, and what became of them",
     .help = "Shows the start and the last reloads, restarts and scalings (50 are kept): who\n"
	     "asked, what for, how long it waited, prepared, started workers and drained old\n"
	     "ones, which worker was slowest, and the longest accept queue that was seen\n"
	     "meanwhile. Why one failed is told below the table; -v tells the rest as well.\n"
	     "\n"
	     "  handover history\n"
	     "  handover history --json | jq '.history[] | select(.result == \"failed\")'\n",
     .options = QUERY | OPTION_JSON | OPTION_VERBOSE,
     .needs_instance = true,
     .run = cmd_history},
    {.name = "list",
     .operands = "",
     .summary = "the instances that run here",
     .help = "Looks into /run/handover and, without root, into $XDG_RUNTIME_DIR/handover as\n"
	     "well. A socket that an instance has left over is not shown.\n"
	     "\n"
	     "  handover list\n"
	     "  handover list --json\n",
     .options = OPTION_TIMEOUT | OPTION_JSON,
     .run = cmd_list},
    {.name = "logs",
     .operands = "[POOL[/SLOT]]",
     .summary = "what workers write",
     .help = "Shows the last output that the instance keeps of each worker (16 KiB), also of\n"
	     "workers that are gone. The whole history is where the pool's 'stdout' goes: the\n"
	     "log of the instance, or a file.\n"
	     "\n"
	     "  handover logs                   of all workers\n"
	     "  handover logs api               of one pool\n"
	     "  handover logs api/2 -f          of one slot, and what comes\n",
     .options = QUERY | OPTION_JSON | OPTION_FOLLOW,
     .max_operands = 1,
     .needs_instance = true,
     .run = cmd_logs},
    {.name = "events",
     .operands = "",
     .summary = "what happens, as it happens",
     .help = "Tells each event from now on, until Ctrl-C or the end of the instance. What was\n"
	     "before is in the instance's log. -f is accepted and changes nothing.\n"
	     "\n"
	     "  handover events\n"
	     "  handover events --json | jq 'select(.event == \"worker-crashed\")'\n",
     .options = QUERY | OPTION_JSON | OPTION_FOLLOW,
     .needs_instance = true,
     .unbounded = true,
     .run = cmd_events},
    {.name = "reload",
     .operands = "[POOL]",
     .summary = "a deploy: new workers, no request lost",
     .help = "Reads and checks the configuration, opens new sockets, starts new workers,\n"
	     "waits until they are ready, and only then drains the old ones. If anything\n"
	     "fails, what ran before goes on serving, the reason is told here, and the exit\n"
	     "status is 1 (78 if the configuration is wrong; then nothing was touched).\n"
	     "\n"
	     "Without POOL all pools get new workers: only you know whether the program\n"
	     "behind an unchanged command is another one. Ctrl-C ends the waiting and not the\n"
	     "reload, unless --abort-on-disconnect is given.\n"
	     "\n"
	     "  handover reload                 a deploy\n"
	     "  handover reload --changed       only pools whose settings or program differ\n"
	     "  handover reload api             only this pool\n"
	     "  handover reload --wait=drained --timeout 5min && rm -r releases/old\n"
	     "\n"
	     "In a systemd unit:\n"
	     "\n"
	     "  ExecReload=/usr/bin/handover -i %i reload --abort-on-disconnect\n",
     .options = CHANGE | OPTION_CHANGED,
     .max_operands = 1,
     .needs_instance = true,
     .unbounded = true,
     .run = cmd_reload},
    {.name = "promote",
     .operands = "",
     .summary = "go on with a reload that is held",
     .help = "Where a pool has 'canary_hold = yes', a reload stops when its first workers, the\n"
	     "canaries, have been found good: it is held, and they serve beside the old ones\n"
	     "until somebody decides. This lets it go on with all other workers, and waits for\n"
	     "its end, as reload does. 'canary_hold_timeout' aborts one that is forgotten.\n"
	     "\n"
	     "  handover status                 is one held, and until when?\n"
	     "  handover promote\n",
     .options = CHANGE,
     .needs_instance = true,
     .unbounded = true,
     .run = cmd_promote},
    {.name = "abort",
     .operands = "",
     .summary = "undo a reload that is held, or runs",
     .help = "New workers are let go, and the old ones serve on; what was replaced already goes\n"
	     "back to the old version. Exit status 0 means that it was undone; who asked for\n"
	     "the reload is told that it was aborted. The versions that were on trial are\n"
	     "remembered as failed: `handover reload --changed` does not try them again.\n"
	     "\n"
	     "  handover abort\n",
     .options = OPTIONS_INSTANCE | OPTION_JSON | OPTION_QUIET | OPTION_VERBOSE,
     .needs_instance = true,
     .unbounded = true,
     .run = cmd_abort},
    {.name = "rollback",
     .operands = "[POOL]",
     .summary = "back to the version that served before",
     .help = "Rolls, as a reload does, to the version that served before the present one: the\n"
	     "same program (it was held open, whatever is on disk by now), arguments and\n"
	     "environment. No file is read. Once more goes one version further back, as far\n"
	     "as 'keep_generations' says. What is left is remembered as failed: `handover\n"
	     "reload --changed` does not start it again, `handover reload` does.\n"
	     "\n"
	     "  handover rollback               all pools that have one\n"
	     "  handover rollback api           this pool\n",
     .options = CHANGE,
     .max_operands = 1,
     .needs_instance = true,
     .unbounded = true,
     .run = cmd_rollback},
    {.name = "plan",
     .operands = "",
     .summary = "what would reload --changed do now?",
     .help = "Compares what runs with what is on disk, and changes nothing: which pools would\n"
	     "get new workers and why, which sockets would be opened or closed, and what would\n"
	     "fail. The instance goes the way of the reload up to the point where the first\n"
	     "worker would be started; new addresses are bound for a moment. -v tells also of\n"
	     "pools and sockets that would stay as they are.\n"
	     "\n"
	     "The exit status is 0 if there is nothing to do, 10 if there is something to do,\n"
	     "1 if it would fail.\n"
	     "\n"
	     "  handover plan\n"
	     "  handover plan --json | jq '.pools[] | select(.action != \"keep\")'\n"
	     "  handover plan; [ $? = 10 ] && handover reload --changed\n",
     .options = QUERY | OPTION_JSON | OPTION_VERBOSE,
     .needs_instance = true,
     .run = cmd_plan},
    {.name = "restart",
     .operands = "POOL[/SLOT]",
     .summary = "replace workers by new ones of the same version",
     .help = "As rolling as a reload, with the specification that runs now: no file is read.\n"
	     "For workers that leak, or that got into a bad state.\n"
	     "\n"
	     "  handover restart api            all workers of the pool\n"
	     "  handover restart api/2          the one in slot 2\n",
     .options = CHANGE,
     .min_operands = 1,
     .max_operands = 1,
     .needs_instance = true,
     .unbounded = true,
     .run = cmd_restart},
    {.name = "scale",
     .operands = "POOL N",
     .summary = "run N workers, until the next reload",
     .help = "Starts workers, or drains those in the highest slots. The next reload goes back\n"
	     "to what the configuration says, and says so.\n"
	     "\n"
	     "  handover scale api 8\n",
     .options = CHANGE,
     .min_operands = 2,
     .max_operands = 2,
     .needs_instance = true,
     .unbounded = true,
     .run = cmd_scale},
    {.name = "stop",
     .operands = "",
     .summary = "drain all workers and end the instance",
     .help = "Refuses new clients, lets workers finish within 'stop_timeout', kills what is\n"
	     "left, and returns when the instance is gone. Ctrl-C ends the waiting and not\n"
	     "the stop. A service manager may start the instance again.\n"
	     "\n"
	     "  handover stop\n"
	     "  handover stop --now             skip the budgets; also while a stop goes on\n",
     .options = OPTIONS_INSTANCE | OPTION_JSON | OPTION_QUIET | OPTION_VERBOSE | OPTION_NOW,
     .needs_instance = true,
     .unbounded = true,
     .run = cmd_stop},
    {.name = "out-of-service",
     .operands = "on|off",
     .summary = "send load balancers elsewhere",
     .help = "With 'on', /readyz answers 503 until 'off'. Workers and connections are not\n"
	     "touched: whoever comes is still served. For maintenance, before a stop, or to\n"
	     "keep a broken instance for a look.\n"
	     "\n"
	     "  handover out-of-service on\n"
	     "  handover out-of-service off\n",
     .options = OPTIONS_INSTANCE | OPTION_JSON | OPTION_QUIET,
     .min_operands = 1,
     .max_operands = 1,
     .needs_instance = true,
     .run = cmd_out_of_service},
    {.name = "sockets",
     .operands = "",
     .summary = "the sockets, and who holds them",
     .help = "Shows the instance's listening sockets: where they listen, who waits in their\n"
	     "queues, how often they were given away, and which processes hold them, also\n"
	     "foreign ones, as far as /proc tells you (root sees all).\n"
	     "\n"
	     "  handover sockets\n"
	     "  handover sockets --json | jq '.[] | {name, queue}'\n",
     .options = QUERY | OPTION_JSON,
     .needs_instance = true,
     .run = cmd_sockets},
    {.name = "exec",
     .operands = "COMMAND [ARG...]",
     .summary = "run a program with sockets of the instance",
     .help = "Becomes COMMAND, which gets the sockets as systemd hands them over: from\n"
	     "descriptor 3 on, with LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES. It accepts\n"
	     "beside the workers, in this terminal: under a debugger, with more logging. It is\n"
	     "no worker: nobody restarts it, drains it or ends it.\n"
	     "\n"
	     "The sockets are shared. If it calls shutdown() on one, it stops for the workers\n"
	     "too; the instance makes it listen again, but who waits in the queue is lost.\n"
	     "A stop of the instance shuts the sockets down for it as well, but for --move.\n"
	     "\n"
	     "  handover exec --socket grpc -- ./api --log-level debug\n"
	     "  handover exec --socket grpc --socket admin -- gdb --args ./api\n"
	     "  handover exec --move --socket grpc -- ./other-supervisor\n",
     .options = OPTIONS_INSTANCE | OPTION_NAME | OPTION_MOVE,
     .min_operands = 1,
     .max_operands = INT_MAX,
     .needs_instance = true,
     .run = cmd_exec},
    {.name = "signal",
     .operands = "POOL[/SLOT] SIGNAL",
     .summary = "send a signal to workers",
     .help = "SIGNAL is a name or a number: SIGHUP, HUP, SIGRTMIN+3, 10. A worker that ends\n"
	     "of it is started again as the pool's 'restart' says.\n"
	     "\n"
	     "  handover signal api USR1\n"
	     "  handover signal api/2 KILL      see what your clients make of it\n",
     .options = OPTIONS_INSTANCE | OPTION_JSON | OPTION_QUIET,
     .min_operands = 2,
     .max_operands = 2,
     .needs_instance = true,
     .run = cmd_signal},
    {.name = "dump",
     .operands = "POOL[/SLOT]",
     .summary = "let workers write down what they are doing",
     .help = "Sends the pool's 'dump_signal'. Go prints its goroutines at SIGQUIT and ends,\n"
	     "Java prints its threads and goes on; `handover logs` shows the output.\n"
	     "\n"
	     "  handover dump api/2\n",
     .options = OPTIONS_INSTANCE | OPTION_JSON | OPTION_QUIET,
     .min_operands = 1,
     .max_operands = 1,
     .needs_instance = true,
     .run = cmd_dump},
    {.name = "check",
     .operands = "[FILE]",
     .summary = "what is wrong with a configuration?",
     .help = "Tells all mistakes at once as file:line lines; exit status 78 if there are any.\n"
	     "Also looks at the world: do commands, users and directories exist, are the\n"
	     "addresses free or ours? Without FILE it checks the file of the running\n"
	     "instance. Changes nothing.\n"
	     "\n"
	     "  handover check                  what would a reload say?\n"
	     "  handover check new.ini\n"
	     "  handover check --syntax new.ini on a build machine\n",
     .options = QUERY | OPTION_SYNTAX,
     .max_operands = 1,
     .run = cmd_check},
    {.name = "help",
     .operands = "[COMMAND]",
     .summary = "this overview, or all about one command",
     .help = "  handover help reload\n",
     .options = 0,
     .max_operands = 1,
     .run = cmd_help},
};
const size_t n_commands = ARRAY_LEN(commands);

const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < n_commands; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

int command_explain_unknown(struct cli *cli, const char *name)
{
	const char *names[ARRAY_LEN(commands)];
	const char *near;

	for (size_t i = 0; i < n_commands; i++)
		names[i] = commands[i].name;
	near = parse_suggest(name, names, n_commands);
	if (near != NULL)
		cli_error(cli, "there is no command '%s'; did you mean '%s'?", name, near);
	else
		cli_error(cli, "there is no command '%s'; `handover help` lists them", name);
	return CLI_USAGE;
}

static const char name_characters[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";

int target_parse(struct cli *cli, const char *text, bool may_have_slot, struct target *ret)
{
	const char *slash = strchr(text, '/');
	size_t len = slash != NULL ? (size_t)(slash - text) : strlen(text);
	uint64_t slot;

	/* what a configuration may call a pool; nothing else may get into a URL */
	if (len == 0 || len >= sizeof(ret->pool) || !isalnum((unsigned char)text[0]) ||
	    strspn(text, name_characters) < len) {
		cli_error(cli, "'%s' is no name of a pool", text);
		return CLI_USAGE;
	}
	if (slash != NULL && !may_have_slot) {
		cli_error(cli, "%s takes a whole pool: write '%.*s'", cli->command->name, (int)len,
			  text);
		return CLI_USAGE;
	}
	*ret = (struct target){.slot = -1};
	memcpy(ret->pool, text, len);
	if (slash == NULL)
		return CLI_DONE;
	if (parse_uint(slash + 1, 0, 1000000, &slot) < 0) {
		cli_error(cli, "'%s': a slot is a number, as in %.*s/0", text, (int)len, text);
		return CLI_USAGE;
	}
	ret->slot = (long)slot;
	return CLI_DONE;
}

void target_path(const struct target *target, const char *verb, struct buf *out)
{
	buf_printf(out, "/v1/pools/%s/%s", target->pool, verb);
}
