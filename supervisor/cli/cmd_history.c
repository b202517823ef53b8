/* cmd_history.c - `handover history`: reloads, restarts and scalings, one a line. */
#include <string.h>

#include "base/fd.h"
#include "cli/api.h"
#include "cli/api_past.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "cli/text.h"

/* Why the ones that failed did: the table has no room for sentences. */
static void add_reasons(const struct term *term, const struct api_history *history, bool all,
			struct buf *out)
{
	bool first = true;

	for (size_t i = 0; i < history->n; i++) {
		const struct api_record *record = &history->list[i];
		bool good = strcmp(record->result, "committed") == 0;

		if (record->message[0] == '\0' || (good && !all))
			continue;
		buf_add_str(out, first ? "\n" : "");
		first = false;
		buf_add_str(out, term_colour(term, good ? COLOUR_NONE : COLOUR_RED));
		term_clean(term, out, record->message, strlen(record->message));
		buf_printf(out, "%s\n", good ? "" : term_colour(term, COLOUR_NONE));
	}
}

static void add_queued(const struct term *term, const struct api_history *history, struct buf *out)
{
	for (size_t i = 0; i < history->n_queued; i++) {
		const struct api_queued *queued = &history->queued[i];
		cleanup_buf struct buf line = {0};
		char waits[DURATION_TEXT_MAX];

		buf_printf(&line, "queued: %s of %s, asked for by %s, waits for %s", queued->kind,
			   queued->what, queued->by, text_duration(queued->waits_s, waits));
		buf_add_str(out, i == 0 ? "\n" : "");
		term_clean(term, out, line.data, line.len);
		buf_add_str(out, "\n");
	}
}

static int show(struct cli *cli, const struct api_history *history)
{
	cleanup_buf struct buf out = {.max = CLIENT_BODY_MAX};
	const struct term *term = &cli->out;

	if (table_history(term, history->list, history->n, &out) < 0) {
		cli_error(cli, "out of memory");
		return CLI_FAILED;
	}
	add_reasons(term, history, cli->options.verbose, &out);
	add_queued(term, history, &out);
	term_write_buf(&cli->out, &out);
	return CLI_DONE;
}

int cmd_history(struct cli *cli)
{
	cleanup_buf struct buf body = {0};
	struct api_history history;
	int code = cli_query(cli, "/v1/history", NULL, &body);

	if (code != CLI_DONE)
		return code;
	if (body.data == NULL || api_read_history(body.data, body.len, &history) < 0)
		return cli_not_understood(cli);
	if (cli->options.json) {
		cli_show_json(cli, &body);
	} else {
		code = show(cli, &history);
	}
	api_history_free(&history);
	return code;
}
