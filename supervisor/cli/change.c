/* change.c - a request that takes its time: progress, Ctrl-C, the deadline, and the result in
 * words. */
#include "cli/change.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/parse.h"
#include "cli/text.h"

/* The view follows events at most so often, and looks by itself where none come. */
static const usec_t poll_pause = 200 * USEC_PER_MSEC;
static const usec_t poll_idle = 1 * USEC_PER_SEC;
static const usec_t tick = 250 * USEC_PER_MSEC;

static void on_line(const char *text, size_t len, void *arg)
{
	struct change *change = arg;
	struct api_event event;

	if (api_read_event(text, len, &event) < 0)
		return;
	change->heard = true;
	if (api_is_result(&event)) {
		api_result_free(&change->result);
		buf_reset(&change->raw);
		if (api_read_result(text, len, &change->result) == 0)
			buf_add(&change->raw, text, len);
	} else {
		progress_event(&change->progress, &event);
		change->news = true;
		if (change->poll == NULL && change->next_poll > clock_now() + poll_pause)
			change->next_poll = clock_now() + poll_pause;
	}
	api_event_free(&event);
}

/* Signals come through a descriptor, so that they end the waiting and nothing else. */
static int catch_signals(struct change *change)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCONT);
	change->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (change->signal_fd == -1)
		return -errno;
	sigprocmask(SIG_BLOCK, &set, &change->old_signals);
	return 0;
}

static void take_signals(struct change *change)
{
	struct signalfd_siginfo info;

	while (read(change->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGCONT)
			progress_forget(&change->progress);
		else if (change->signal == 0)
			change->signal = (int)info.ssi_signo;
	}
}

static void take_poll(struct change *change)
{
	const struct buf *body = request_body(change->poll);
	usec_t now = clock_now();
	usec_t pause = change->news ? poll_pause : poll_idle;
	usec_t least = 4 * (now - change->poll_began);
	struct api_status status;

	if (request_error(change->poll) == 0 && body->data != NULL &&
	    api_read_status(body->data, body->len, &status) == 0) {
		progress_status(&change->progress, &status);
		api_status_free(&status);
	}
	change->poll = request_free(change->poll);
	/* the status of thousands of workers is work for the instance: the view takes a fifth of
	 * the time at most */
	change->next_poll = now + (pause > least ? pause : least);
}

/* Keeps the view in place up to date: statuses are asked for beside the request itself. */
static void look(struct change *change)
{
	usec_t now = clock_now();

	if (change->progress.mode != PROGRESS_LIVE)
		return;
	if (change->poll != NULL && request_is_done(change->poll))
		take_poll(change);
	if (change->poll == NULL && now >= change->next_poll) {
		change->poll = client_start(change->cli->client, "/v1/status", NULL, NULL, NULL);
		change->poll_began = now;
		change->next_poll = now + poll_idle;
		change->news = false;
	}
	progress_draw(&change->progress, now);
}

static int await(struct change *change)
{
	const struct cli *cli = change->cli;

	while (!request_is_done(change->request)) {
		usec_t until = cli->deadline;

		take_signals(change);
		if (change->signal != 0 || clock_now() >= cli->deadline)
			return change_give_up(change);
		look(change);
		if (change->progress.mode == PROGRESS_LIVE && clock_now() + tick < until)
			until = clock_now() + tick;
		if (client_turn(cli->client, until, change->signal_fd) < 0) {
			cli_error(change->cli, "cannot wait for the instance's answer");
			return CLI_FAILED;
		}
	}
	progress_clear(&change->progress);
	return CLI_DONE;
}

static enum progress_mode mode_of(const struct cli *cli)
{
	if (cli->options.json || cli->options.quiet)
		return PROGRESS_NONE;
	return cli->out.live ? PROGRESS_LIVE : PROGRESS_PLAIN;
}

int change_run(struct change *change, struct cli *cli, const char *path, const struct api_ask *ask,
	       const char *what)
{
	cleanup_free char *body = api_write_ask(ask);

	*change = (struct change){.cli = cli,
				  .what = what,
				  .signal_fd = -1,
				  .raw.max = CLIENT_LINE_MAX,
				  .wanted = "committed"};
	progress_begin(&change->progress, &cli->out, mode_of(cli), what);
	change->progress.verbose = cli->options.verbose;
	change->progress.ending = strcmp(path, "/v1/stop") == 0;
	change->progress.drains =
	    change->progress.ending ||
	    (cli->options.wait != NULL && strcmp(cli->options.wait, "drained") == 0);
	if (body != NULL)
		change->request = client_start(cli->client, path, body, on_line, change);
	if (change->request == NULL || catch_signals(change) < 0) {
		cli_error(cli, "out of memory");
		return CLI_FAILED;
	}
	return await(change);
}

bool change_wait_fd(struct change *change, int fd, usec_t until)
{
	struct pollfd polls[] = {{.fd = fd, .events = POLLIN},
				 {.fd = change->signal_fd, .events = POLLIN}};

	while (polls[0].revents == 0 && change->signal == 0 && clock_now() < until) {
		usec_t left = (usec_sub(until, clock_now()) + USEC_PER_MSEC - 1) / USEC_PER_MSEC;

		if (poll(polls, 2, left > 60 * 1000 ? 60 * 1000 : (int)left) == -1 &&
		    errno != EINTR)
			break;
		take_signals(change);
	}
	return polls[0].revents != 0;
}

int change_give_up(struct change *change)
{
	struct cli *cli = change->cli;
	cleanup_buf struct buf why = {0};
	cleanup_buf struct buf hint = {0};

	progress_clear(&change->progress);
	if (change->signal != 0)
		buf_printf(&why, "interrupted by %s", parse_signal_name(change->signal));
	else
		buf_printf(&why, "timed out after %s", DURATION_TEXT(cli->options.timeout));
	cli_hint(cli, change->progress.ending ? "stop --now" : "status", &hint);
	if (cli->options.abort_on_disconnect)
		cli_error(cli,
			  "%s: with --abort-on-disconnect the instance now undoes the %s, and what "
			  "ran before goes on serving; "
			  "see `%s`",
			  why.data, change->what, hint.data);
	else if (change->progress.ending)
		cli_error(cli, "%s: the stop goes on without being watched; `%s` cuts it short",
			  why.data, hint.data);
	else if (!change->heard && change->progress.mode != PROGRESS_NONE)
		cli_error(
		    cli,
		    "%s: the instance has not answered yet, the %s may still be done; see `%s`",
		    why.data, change->what, hint.data);
	else
		cli_error(cli, "%s: the %s goes on without being watched; see `%s`", why.data,
			  change->what, hint.data);
	return change->signal != 0 ? CLI_SIGNALLED + change->signal : CLI_TIMED_OUT;
}

/* A refusal may come as a plain answer with a status of its own. */
static void take_plain_result(struct change *change)
{
	const struct buf *body = request_body(change->request);

	if (change->result.root != NULL || body->data == NULL)
		return;
	if (api_read_result(body->data, body->len, &change->result) == 0)
		buf_add(&change->raw, body->data, body->len);
}

static bool is_config_wrong(const struct change *change)
{
	if (request_status(change->request) == 422)
		return true;
	for (size_t i = 0; i < change->result.n_problems; i++)
		if (!change->result.problems[i].warning)
			return true;
	return false;
}

static void tell_success(struct cli *cli, const struct api_result *result)
{
	if (cli->options.quiet)
		return;
	cli_say(cli, "%s", result->message);
	for (size_t i = 0; i < result->n_remarks; i++)
		cli_say(cli, "note: %s", result->remarks[i]);
	for (size_t i = 0; i < result->n_problems; i++)
		cli_say(cli, "%s:%ld: warning: %s", result->problems[i].file,
			result->problems[i].line, result->problems[i].text);
}

/* The sentence comes last: next to the prompt, and the last line that `systemctl status` shows. */
static void tell_failure(struct cli *cli, const struct api_result *result)
{
	cleanup_buf struct buf details = {.max = CLIENT_BODY_MAX};

	text_add_details(&cli->err, result, "", &details);
	term_write_buf(&cli->err, &details);
	for (size_t i = 0; i < result->n_remarks; i++)
		cli_error(cli, "note: %s", result->remarks[i]);
	cli_error(cli, "%s", result->message[0] != '\0' ? result->message : result->result);
}

int change_report(struct change *change)
{
	struct cli *cli = change->cli;
	const struct api_result *result = &change->result;
	cleanup_buf struct buf copy = {.max = CLIENT_BODY_MAX};
	cleanup_buf struct buf hint = {0};
	int code;

	take_plain_result(change);
	if (result->root == NULL) {
		code = cli_explain(cli, change->request);
		if (change->heard || code == CLI_DONE)
			cli_error(cli, "nothing was heard of how the %s ended; see `%s`",
				  change->what, cli_hint(cli, "status", &hint));
		return code != CLI_DONE ? code : CLI_FAILED;
	}
	/* one that is held has done all that it was to do: the rest is up to a person */
	code = strcmp(result->result, change->wanted) == 0 || strcmp(result->result, "held") == 0
		   ? CLI_DONE
		   : CLI_FAILED;
	if (code == CLI_FAILED && is_config_wrong(change))
		code = CLI_CONFIG_WRONG;
	if (cli->options.json) {
		api_copy_json(change->raw.data, change->raw.len, cli->out.tty, cli->out.tty, &copy);
		term_write_buf(&cli->out, &copy);
	} else if (code == CLI_DONE) {
		tell_success(cli, result);
	} else {
		tell_failure(cli, result);
	}
	return code;
}

void change_free(struct change *change)
{
	progress_end(&change->progress);
	request_free(change->request);
	request_free(change->poll);
	api_result_free(&change->result);
	buf_free(&change->raw);
	if (change->signal_fd >= 0) {
		/* what came meanwhile was heard: it must not end us now that the result is told */
		take_signals(change);
		fd_close(change->signal_fd);
		sigprocmask(SIG_SETMASK, &change->old_signals, NULL);
	}
}
