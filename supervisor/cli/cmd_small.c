/* cmd_small.c - `handover signal`, `dump`, `out-of-service` and `check`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/parse.h"
#include "cli/api.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "system/check_run.h"

static void add_pids(const long *pids, size_t n, struct buf *out)
{
	for (size_t i = 0; i < n; i++)
		buf_printf(out, "%s%ld", i > 0 ? ", " : "", pids[i]);
}

/* Asks for a signal and says who got it. `name` is what was sent, in words. */
static int send_signal(struct cli *cli, const struct target *target, const char *verb,
		       const struct api_ask *ask, const char *name, const char *hint)
{
	cleanup_buf struct buf path = {0};
	cleanup_buf struct buf answer = {0};
	cleanup_buf struct buf line = {.max = CLIENT_BODY_MAX};
	cleanup_free char *body = api_write_ask(ask);
	cleanup_free long *pids = NULL;
	size_t n;
	int code;

	target_path(target, verb, &path);
	code = body != NULL ? cli_query(cli, path.data, body, &answer) : CLI_FAILED;
	if (code != CLI_DONE)
		return code;
	if (answer.data == NULL || api_read_signalled(answer.data, answer.len, &pids, &n) < 0)
		return cli_not_understood(cli);
	if (cli->options.json) {
		api_copy_json(answer.data, answer.len, false, cli->out.tty, &line);
		term_write_buf(&cli->out, &line);
	} else if (n == 0) {
		cli_error(cli, "pool %s has no worker there that could get a signal", target->pool);
	} else if (!cli->options.quiet) {
		add_pids(pids, n, &line);
		cli_say(cli, "sent %s to pid %s%s", name, line.data, hint);
	}
	return n > 0 ? CLI_DONE : CLI_FAILED;
}

int cmd_signal(struct cli *cli)
{
	struct api_ask ask = API_ASK_NOTHING;
	struct target target;
	int number;

	if (target_parse(cli, cli->operands[0], true, &target) != CLI_DONE)
		return CLI_USAGE;
	if (parse_signal(cli->operands[1], &number) < 0) {
		cli_error(cli, "signal: there is no signal '%s'; write it as SIGHUP, HUP or 1",
			  cli->operands[1]);
		return CLI_USAGE;
	}
	ask.slot = target.slot;
	ask.signal = parse_signal_name(number);
	return send_signal(cli, &target, "signal", &ask, ask.signal, "");
}

int cmd_dump(struct cli *cli)
{
	struct api_ask ask = API_ASK_NOTHING;
	cleanup_buf struct buf command = {0};
	cleanup_buf struct buf hint = {0};
	cleanup_buf struct buf tail = {0};
	struct target target;

	if (target_parse(cli, cli->operands[0], true, &target) != CLI_DONE)
		return CLI_USAGE;
	ask.slot = target.slot;
	buf_printf(&command, "logs %s", cli->operands[0]);
	buf_printf(&tail, "; see `%s`", cli_hint(cli, command.data, &hint));
	return send_signal(cli, &target, "dump", &ask, "the dump signal", tail.data);
}

int cmd_out_of_service(struct cli *cli)
{
	struct api_ask ask = API_ASK_NOTHING;
	cleanup_buf struct buf answer = {0};
	cleanup_buf struct buf copy = {0};
	cleanup_free char *body = NULL;
	bool on;
	int code;

	if (parse_bool(cli->operands[0], &on) < 0) {
		cli_error(cli, "out-of-service: 'on' or 'off', not '%s'", cli->operands[0]);
		return CLI_USAGE;
	}
	ask.on = on;
	body = api_write_ask(&ask);
	code = body != NULL ? cli_query(cli, "/v1/out-of-service", body, &answer) : CLI_FAILED;
	if (code != CLI_DONE)
		return code;
	if (cli->options.json &&
	    api_copy_json(answer.data, answer.len, false, cli->out.tty, &copy) == 0)
		term_write_buf(&cli->out, &copy);
	else if (!cli->options.quiet)
		cli_say(cli, "instance %s is %s", cli->instance.name,
			on ? "out of service: /readyz says 503, everything goes on serving"
			   : "back in service");
	return CLI_DONE;
}

/* The file that the running instance was started with. */
static int find_config(struct cli *cli, struct buf *ret_path)
{
	cleanup_buf struct buf body = {0};
	struct api_status status;
	int code = instance_choose(cli);

	if (code == CLI_NO_INSTANCE)
		cli_error(
		    cli,
		    "to check a file without a running instance, name it: handover check FILE");
	if (code != CLI_DONE)
		return code;
	cli->client = client_new(cli->instance.socket);
	code = cli->client != NULL ? cli_query(cli, "/v1/status", NULL, &body) : CLI_FAILED;
	if (code != CLI_DONE)
		return code;
	if (body.data == NULL || api_read_status(body.data, body.len, &status) < 0)
		return cli_not_understood(cli);
	buf_add_str(ret_path, status.config);
	api_status_free(&status);
	if (ret_path->len > 0)
		return CLI_DONE;
	cli_error(cli, "instance %s does not tell which file it was started with",
		  cli->instance.name);
	return CLI_FAILED;
}

/* With FILE, an instance is only of interest where one is named: its addresses are no conflict. */
static int choose_beside(struct cli *cli, struct buf *ret_path)
{
	buf_add_str(ret_path, cli->operands[0]);
	if (cli->options.instance == NULL && cli->options.socket == NULL)
		return CLI_DONE;
	return instance_choose(cli);
}

/* A configuration may quote anything: what is said about it is made safe line by line. */
static void tell(struct term *term, const char *text, size_t len)
{
	cleanup_buf struct buf clean = {.max = CLIENT_BODY_MAX};
	const char *end;

	for (; len > 0 && (end = memchr(text, '\n', len)) != NULL; text = end + 1) {
		term_clean(term, &clean, text, (size_t)(end - text));
		buf_add_str(&clean, "\n");
		len -= (size_t)(end - text) + 1;
	}
	term_write_buf(term, &clean);
}

int cmd_check(struct cli *cli)
{
	cleanup_buf struct buf path = {0};
	char *out_text = NULL, *err_text = NULL;
	size_t out_len = 0, err_len = 0;
	FILE *out, *err;
	int code;

	if (cli->n_operands == 0)
		code = find_config(cli, &path);
	else
		code = choose_beside(cli, &path);
	if (code != CLI_DONE)
		return code;
	out = open_memstream(&out_text, &out_len);
	err = open_memstream(&err_text, &err_len);
	code = CLI_FAILED;
	if (out != NULL && err != NULL)
		code = check_run_beside(path.data, cli->options.syntax, cli->instance.socket, out,
					err);
	if (out != NULL)
		fclose(out);
	if (err != NULL)
		fclose(err);
	tell(&cli->err, err_text, err_text != NULL ? err_len : 0);
	tell(&cli->out, out_text, out_text != NULL ? out_len : 0);
	free(out_text);
	free(err_text);
	return code;
}
