/* cmd_stream.c - `handover logs` and `handover events`: lines until there are no more. */
#include <errno.h>
#include <string.h>

#include "base/fd.h"
#include "cli/api.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/text.h"

struct stream {
	struct cli *cli;
	bool stopped; /* the instance told its end: the stream's end is no accident */
};

static void show(struct cli *cli, struct buf *line)
{
	buf_add_str(line, "\n");
	term_write_buf(&cli->out, line);
}

static void show_json(struct cli *cli, const char *text, size_t len)
{
	cleanup_buf struct buf line = {.max = 2 * CLIENT_LINE_MAX};

	if (api_copy_json(text, len, false, cli->out.tty, &line) == 0)
		term_write_buf(&cli->out, &line);
}

/* In a pipe the worker's bytes go through as they are: the reader may want its colours. */
static void on_log(const char *text, size_t len, void *arg)
{
	struct cli *cli = ((struct stream *)arg)->cli;
	const struct term *term = &cli->out;
	cleanup_buf struct buf line = {.max = 2 * CLIENT_LINE_MAX};
	cleanup_buf struct buf who = {0};
	struct api_log log;

	if (cli->options.json) {
		show_json(cli, text, len);
		return;
	}
	if (api_read_log(text, len, &log) < 0)
		return;
	if (log.journal[0] != '\0') {
		cli_error(cli, "pool %s writes straight into the journal; to see it: %s", log.pool,
			  log.journal);
		api_log_free(&log);
		return;
	}
	text_add_time(&who, log.time, true, term->tty);
	buf_printf(&who, " %s/%ld gen %ld pid %ld%s: ", log.pool, log.slot, log.generation, log.pid,
		   log.gone ? " (gone)" : "");
	buf_add_str(&line, term_colour(term, log.gone ? COLOUR_DIM : COLOUR_CYAN));
	term_clean(term, &line, who.data, who.len);
	buf_add_str(&line, term_colour(term, COLOUR_NONE));
	if (term->tty)
		term_clean(term, &line, log.line, log.line_len);
	else
		buf_add(&line, log.line, log.line_len);
	show(cli, &line);
	api_log_free(&log);
}

static void on_event(const char *text, size_t len, void *arg)
{
	struct stream *stream = arg;
	struct cli *cli = stream->cli;
	const struct term *term = &cli->out;
	cleanup_buf struct buf line = {.max = CLIENT_LINE_MAX};
	cleanup_buf struct buf what = {0};
	enum colour colour = COLOUR_NONE;
	struct api_event event;

	if (api_read_event(text, len, &event) < 0)
		return;
	if (strcmp(event.event, "instance-stopped") == 0 ||
	    strcmp(event.event, "instance-stopping") == 0)
		stream->stopped = true;
	if (cli->options.json) {
		show_json(cli, text, len);
		api_event_free(&event);
		return;
	}
	if (strcmp(event.level, "error") == 0)
		colour = COLOUR_RED;
	else if (strcmp(event.level, "warning") == 0)
		colour = COLOUR_YELLOW;
	text_add_time(&what, event.time, true, term->tty);
	buf_printf(&what, " %-20s ", event.event);
	term_clean(term, &line, what.data, what.len);
	buf_add_str(&line, term_colour(term, colour));
	term_clean(term, &line, event.message, strlen(event.message));
	buf_add_str(&line, colour != COLOUR_NONE ? term_colour(term, COLOUR_NONE) : "");
	show(cli, &line);
	api_event_free(&event);
}

/* Reads until the stream ends, our reader is gone, or the time is up. endless: its end means that
 * the instance went. */
static int stream(struct cli *cli, const char *path, client_line_fn *on_line, bool endless)
{
	struct stream stream = {.cli = cli};
	struct request *request = client_start(cli->client, path, NULL, on_line, &stream);
	int code = CLI_DONE;

	if (request == NULL) {
		cli_error(cli, "out of memory");
		return CLI_FAILED;
	}
	while (!request_is_done(request) && cli->out.error == 0 && clock_now() < cli->deadline)
		if (client_turn(cli->client, cli->deadline, -1) < 0)
			break;
	if (!request_is_done(request) && cli->out.error == 0)
		code = cli_timed_out(cli);
	else if (request_is_done(request) && !(endless && stream.stopped))
		code = cli_explain(cli, request);
	if (code == CLI_DONE && endless && request_is_done(request))
		cli_error(cli, "instance %s has ended the stream%s", cli->instance.name,
			  stream.stopped ? ": it stops" : "");
	request_free(request);
	return code;
}

int cmd_logs(struct cli *cli)
{
	cleanup_buf struct buf path = {0};
	struct target target;
	char before = '?';

	buf_add_str(&path, "/v1/logs");
	if (cli->n_operands > 0) {
		if (target_parse(cli, cli->operands[0], true, &target) != CLI_DONE)
			return CLI_USAGE;
		buf_printf(&path, "?pool=%s", target.pool);
		before = '&';
		if (target.slot >= 0)
			buf_printf(&path, "&slot=%ld", target.slot);
	}
	if (cli->options.follow) {
		buf_printf(&path, "%cfollow=1", before);
		if (!cli->options.timeout_set)
			cli->deadline = USEC_INFINITY;
	}
	return stream(cli, path.data, on_log, cli->options.follow);
}

int cmd_events(struct cli *cli)
{
	return stream(cli, "/v1/events", on_event, true);
}
