/* cmd_why.c - `handover why`: the last ends of workers, one a line, and the last of them in full.
 */
#include <string.h>

#include "base/fd.h"
#include "base/parse.h"
#include "cli/api.h"
#include "cli/api_past.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "cli/text.h"

/* ---- one incident in full ---- */

/* "  title        text": the text of others is made safe. */
static void add_row(const struct term *term, struct buf *out, const char *title,
		    const struct buf *text)
{
	if (text->len == 0)
		return;
	buf_printf(out, "  %s%-14s%s ", term_colour(term, COLOUR_BOLD), title,
		   term_colour(term, COLOUR_NONE));
	term_clean(term, out, text->data, text->len);
	buf_add_str(out, "\n");
}

static void add_row_text(const struct term *term, struct buf *out, const char *title,
			 const char *text)
{
	cleanup_buf struct buf copy = {0};

	buf_add_str(&copy, text);
	add_row(term, out, title, &copy);
}

static void add_lines(const struct term *term, struct buf *out, const char *title,
		      const char *const *lines, size_t n, const char *indent)
{
	if (n == 0)
		return;
	if (title != NULL)
		buf_printf(out, "  %s%s%s\n", term_colour(term, COLOUR_BOLD), title,
			   term_colour(term, COLOUR_NONE));
	for (size_t i = 0; i < n; i++) {
		buf_add_str(out, indent);
		term_clean(term, out, lines[i], strlen(lines[i]));
		buf_add_str(out, "\n");
	}
}

static void add_head(const struct term *term, const struct api_incident *incident, struct buf *out)
{
	cleanup_buf struct buf text = {0};

	buf_printf(&text, "incident %ld (%s) of pool %s slot %ld generation %ld", incident->id,
		   incident->kind, incident->pool, incident->slot, incident->generation);
	if (incident->pid > 0)
		buf_printf(&text, " pid %ld", incident->pid);
	buf_printf(&text, ": %s", incident->message);
	buf_add_str(out, term_colour(term, strcmp(incident->kind, "exited") == 0 ? COLOUR_YELLOW
										 : COLOUR_RED));
	term_clean(term, out, text.data, text.len);
	buf_printf(out, "%s\n", term_colour(term, COLOUR_NONE));
}

static void add_start(const struct term *term, const struct api_incident *incident, struct buf *out)
{
	cleanup_buf struct buf text = {0};
	char duration[DURATION_TEXT_MAX];

	if (incident->started[0] != '\0')
		text_add_time(&text, incident->started, true, term->tty);
	buf_printf(&text, "%s%s", text.len > 0 ? ", " : "", incident->started_for);
	if (incident->up_s >= 0)
		buf_printf(&text, "; was up for %s", text_exact_duration(incident->up_s, duration));
	if (incident->served_s >= 0)
		buf_printf(&text, ", served for %s",
			   text_exact_duration(incident->served_s, duration));
	else if (incident->up_s >= 0)
		buf_add_str(&text, ", was never ready");
	add_row(term, out, "started", &text);
	buf_reset(&text);
	buf_printf(&text, "%s, generation %ld", incident->executable, incident->generation);
	if (incident->executable_time[0] != '\0') {
		buf_add_str(&text, ", file of ");
		text_add_time(&text, incident->executable_time, false, false);
	}
	add_row(term, out, "version", &text);
}

static void add_drain(const struct term *term, const struct api_incident *incident, struct buf *out)
{
	cleanup_buf struct buf text = {0};
	char duration[DURATION_TEXT_MAX];

	if (incident->drain_reason[0] == '\0')
		return;
	buf_printf(&text, "%s; it had %s", incident->drain_reason,
		   text_exact_duration(incident->budget_s, duration));
	if (incident->inflight >= 0)
		buf_printf(&text, " for %ld request%s in flight", incident->inflight,
			   incident->inflight == 1 ? "" : "s");
	buf_printf(&text, ", and was gone after %s",
		   text_exact_duration(incident->took_s, duration));
	add_row(term, out, "told to go", &text);
}

static void add_threads(const struct term *term, const struct api_incident *incident,
			struct buf *out)
{
	for (size_t i = 0; i < incident->n_threads; i++) {
		const struct api_thread *thread = &incident->threads[i];
		cleanup_buf struct buf text = {0};

		buf_printf(&text, "%s %ld, state %s", thread->name, thread->tid, thread->state);
		if (thread->syscall[0] != '\0')
			buf_printf(&text, ", %s", thread->syscall);
		if (thread->wchan[0] != '\0')
			buf_printf(&text, ", waits in %s", thread->wchan);
		add_row(term, out, i == 0 ? "was doing" : "", &text);
		add_lines(term, out, NULL, thread->stack, thread->n_stack, "                   ");
	}
	add_row_text(term, out, "not seen", incident->threads_missing);
}

static void add_output(const struct term *term, const struct api_incident *incident,
		       struct buf *out)
{
	cleanup_buf struct buf title = {0};
	bool dumped = incident->dump_signal[0] != '\0';

	add_row_text(term, out, "its output", incident->elsewhere);
	add_lines(term, out, dumped ? "output before its dump:" : "last output:", incident->lines,
		  incident->n_lines, "    ");
	if (dumped && incident->n_dump == 0 && !incident->slimmed)
		buf_printf(&title, "it wrote nothing after %s", incident->dump_signal);
	add_row(term, out, "dump", &title);
	buf_reset(&title);
	buf_printf(&title, "its dump (what it wrote after %s%s):", incident->dump_signal,
		   incident->dump_cut ? "; the rest is in the log" : "");
	add_lines(term, out, title.data, incident->dump, incident->n_dump, "    ");
	if (incident->slimmed)
		add_row_text(term, out, "forgotten",
			     "output, dump and threads: newer incidents needed the room");
}

static void add_incident(const struct term *term, const struct api_incident *incident,
			 struct buf *out)
{
	cleanup_buf struct buf ended = {0};

	add_head(term, incident, out);
	text_add_time(&ended, incident->time, true, term->tty);
	if (incident->exit[0] != '\0')
		buf_printf(&ended, ", %s", incident->exit);
	add_row(term, out, "ended", &ended);
	add_row_text(term, out, "ended by", incident->ended_by);
	add_start(term, incident, out);
	add_drain(term, incident, out);
	add_row_text(term, out, "its status", incident->status);
	add_threads(term, incident, out);
	add_output(term, incident, out);
}

/* ---- the command ---- */

/* What was asked about, for a sentence: "pool api slot 2", "pid 4711". */
static void describe(const char *operand, const struct target *target, struct buf *out)
{
	if (operand == NULL)
		buf_add_str(out, "any pool");
	else if (target->pool[0] == '\0')
		buf_printf(out, "pid %s", operand);
	else if (target->slot >= 0)
		buf_printf(out, "pool %s slot %ld", target->pool, target->slot);
	else
		buf_printf(out, "pool %s", target->pool);
}

static void say_nothing(struct cli *cli, const struct api_why *why, const struct target *target)
{
	const char *operand = cli->n_operands > 0 ? cli->operands[0] : NULL;
	cleanup_buf struct buf what = {0}, since = {0};

	describe(operand, target, &what);
	text_add_time(&since, why->since, false, false);
	cli_say(cli, "no incident of %s is known%s, since %s", buf_text(&what),
		why->dropped > 0 ? " any more" : "", buf_text(&since));
}

static int show(struct cli *cli, const struct api_why *why)
{
	cleanup_buf struct buf out = {.max = CLIENT_BODY_MAX};
	const struct term *term = &cli->out;
	size_t from = cli->options.verbose ? 0 : why->n - 1;

	if (why->n > 1) {
		if (table_incidents(term, why->list, why->n, &out) < 0) {
			cli_error(cli, "out of memory");
			return CLI_FAILED;
		}
		buf_add_str(&out, "\n");
	}
	for (size_t i = from; i < why->n; i++) {
		buf_add_str(&out, i > from ? "\n" : "");
		add_incident(term, &why->list[i], &out);
	}
	term_write_buf(&cli->out, &out);
	return CLI_DONE;
}

/* A number is a pid; a pool of such a name can be asked for with its slot. */
static int read_target(struct cli *cli, struct buf *path, struct target *ret_target)
{
	const char *operand = cli->n_operands > 0 ? cli->operands[0] : NULL;
	uint64_t pid;
	int code;

	*ret_target = (struct target){.slot = -1};
	if (operand == NULL)
		return CLI_DONE;
	if (parse_uint(operand, 1, INT32_MAX, &pid) == 0) {
		buf_printf(path, "?pid=%llu", (unsigned long long)pid);
		return CLI_DONE;
	}
	code = target_parse(cli, operand, true, ret_target);
	if (code != CLI_DONE)
		return code;
	buf_printf(path, "?pool=%s", ret_target->pool);
	if (ret_target->slot >= 0)
		buf_printf(path, "&slot=%ld", ret_target->slot);
	return CLI_DONE;
}

int cmd_why(struct cli *cli)
{
	cleanup_buf struct buf path = {0}, body = {0};
	struct target target;
	struct api_why why;
	int code;

	buf_add_str(&path, "/v1/why");
	code = read_target(cli, &path, &target);
	if (code == CLI_DONE)
		code = cli_query(cli, path.data, NULL, &body);
	if (code != CLI_DONE)
		return code;
	if (body.data == NULL || api_read_why(body.data, body.len, &why) < 0)
		return cli_not_understood(cli);
	if (cli->options.json) {
		cli_show_json(cli, &body);
	} else if (why.n == 0) {
		say_nothing(cli, &why, &target);
	} else {
		code = show(cli, &why);
	}
	api_why_free(&why);
	return code;
}
