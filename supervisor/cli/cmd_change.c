/* cmd_change.c - `handover reload`, `rollback`, `restart`, `scale` and `stop`. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/parse.h"
#include "cli/change.h"
#include "cli/commands.h"

static int change(struct cli *cli, const char *path, struct api_ask *ask, const char *what)
{
	struct change change;
	int code;

	ask->wait = cli->options.wait;
	ask->abort_on_disconnect = cli->options.abort_on_disconnect;
	ask->progress = !cli->options.json;
	code = change_run(&change, cli, path, ask, what);
	if (code == CLI_DONE)
		code = change_report(&change);
	change_free(&change);
	return code;
}

int cmd_reload(struct cli *cli)
{
	struct api_ask ask = API_ASK_NOTHING;
	cleanup_buf struct buf what = {0};
	struct target target;

	buf_add_str(&what, "reload");
	if (cli->n_operands > 0) {
		if (target_parse(cli, cli->operands[0], false, &target) != CLI_DONE)
			return CLI_USAGE;
		ask.pool = target.pool;
		buf_printf(&what, " of pool %s", target.pool);
	}
	ask.changed = cli->options.changed;
	return change(cli, "/v1/reload", &ask, what.data);
}

int cmd_promote(struct cli *cli)
{
	struct api_ask ask = API_ASK_NOTHING;

	return change(cli, "/v1/reload/promote", &ask, "promotion");
}

int cmd_abort(struct cli *cli)
{
	struct api_ask ask = API_ASK_NOTHING;
	struct change change;
	int code;

	ask.progress = !cli->options.json;
	code = change_run(&change, cli, "/v1/reload/abort", &ask, "abort");
	change.wanted = "aborted";
	if (code == CLI_DONE)
		code = change_report(&change);
	change_free(&change);
	return code;
}

int cmd_rollback(struct cli *cli)
{
	struct api_ask ask = API_ASK_NOTHING;
	cleanup_buf struct buf what = {0};
	struct target target;

	buf_add_str(&what, "rollback");
	if (cli->n_operands > 0) {
		if (target_parse(cli, cli->operands[0], false, &target) != CLI_DONE)
			return CLI_USAGE;
		ask.pool = target.pool;
		buf_printf(&what, " of pool %s", target.pool);
	}
	return change(cli, "/v1/rollback", &ask, what.data);
}

int cmd_restart(struct cli *cli)
{
	struct api_ask ask = API_ASK_NOTHING;
	cleanup_buf struct buf path = {0};
	cleanup_buf struct buf what = {0};
	struct target target;

	if (target_parse(cli, cli->operands[0], true, &target) != CLI_DONE)
		return CLI_USAGE;
	ask.slot = target.slot;
	buf_printf(&what, "restart of pool %s", target.pool);
	if (target.slot >= 0)
		buf_printf(&what, " slot %ld", target.slot);
	target_path(&target, "restart", &path);
	return change(cli, path.data, &ask, what.data);
}

int cmd_scale(struct cli *cli)
{
	struct api_ask ask = API_ASK_NOTHING;
	cleanup_buf struct buf path = {0};
	cleanup_buf struct buf what = {0};
	struct target target;
	uint64_t workers;

	if (target_parse(cli, cli->operands[0], false, &target) != CLI_DONE)
		return CLI_USAGE;
	if (parse_uint(cli->operands[1], 0, 1000000, &workers) < 0) {
		cli_error(cli, "scale: '%s' is no number of workers", cli->operands[1]);
		return CLI_USAGE;
	}
	ask.workers = (long)workers;
	buf_printf(&what, "scaling of pool %s to %ld", target.pool, ask.workers);
	target_path(&target, "scale", &path);
	return change(cli, path.data, &ask, what.data);
}

/* Is what we stopped really gone? Its process must have ended, and nobody of its pid may listen. */
static bool is_gone(struct change *change, int pidfd, pid_t *ret_successor)
{
	const struct instance *instance = &change->cli->instance;
	usec_t until = usec_add(clock_now(), 5 * USEC_PER_SEC);
	pid_t pid = 0;
	int r;

	*ret_successor = 0;
	if (pidfd >= 0 &&
	    !change_wait_fd(change, pidfd,
			    until < change->cli->deadline ? until : change->cli->deadline))
		return false;
	r = instance_probe(instance->socket, 1 * USEC_PER_SEC, &pid);
	if (r == 0 && pid != instance->pid)
		*ret_successor = pid;
	return r == -ECONNREFUSED || r == -ENOENT || (r == 0 && pid != instance->pid);
}

static int report_stop(struct change *change, int pidfd)
{
	struct cli *cli = change->cli;
	usec_t took = clock_now() - change->progress.started;
	cleanup_buf struct buf json = {0};
	cleanup_buf struct buf hint = {0};
	pid_t successor;

	if (!is_gone(change, pidfd, &successor)) {
		if (change->signal != 0)
			return change_give_up(change);
		cli_error(cli,
			  "instance %s said no more, but pid %ld has not ended; `%s` cuts it short",
			  cli->instance.name, (long)cli->instance.pid,
			  cli_hint(cli, "stop --now", &hint));
		return clock_now() >= cli->deadline ? CLI_TIMED_OUT : CLI_FAILED;
	}
	if (cli->options.json) {
		api_write_stopped(cli->instance.name, cli->instance.pid,
				  (long)(took / USEC_PER_MSEC), &json);
		term_write_buf(&cli->out, &json);
	} else if (!cli->options.quiet) {
		cli_say(cli, "instance %s has stopped after %s", cli->instance.name,
			DURATION_TEXT(took - took % USEC_PER_MSEC));
	}
	if (successor > 0 && !cli->options.quiet && !cli->options.json)
		cli_say(cli, "note: it was started again by somebody, as pid %ld", (long)successor);
	return CLI_DONE;
}

int cmd_stop(struct cli *cli)
{
	struct api_ask ask = API_ASK_NOTHING;
	cleanup_close int pidfd = -1;
	struct change change;
	int code;

	ask.now = cli->options.now;
	ask.progress = true;
	if (cli->instance.pid > 0)
		pidfd = (int)syscall(SYS_pidfd_open, cli->instance.pid, 0);
	code = change_run(&change, cli, "/v1/stop", &ask, "stop");
	/* the end of the connection is the answer: an instance that is gone can say nothing */
	if (code == CLI_DONE &&
	    (request_status(change.request) == 202 || request_status(change.request) == 200))
		code = report_stop(&change, pidfd);
	else if (code == CLI_DONE)
		code = change_report(&change);
	change_free(&change);
	return code;
}
