/* text.c - times and results in words, as several commands show them. */
#include "cli/text.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

const char *text_duration(double seconds, char text[DURATION_TEXT_MAX])
{
	if (!(seconds >= 0) || seconds > 1e12)
		return "";
	/* what has lasted for so long needs no fractions */
	if (seconds >= 10)
		seconds = (double)(usec_t)(seconds + 0.5);
	else
		seconds = (double)(usec_t)(seconds * 10 + 0.5) / 10;
	return parse_format_duration((usec_t)(seconds * (double)USEC_PER_SEC + 0.5), text,
				     DURATION_TEXT_MAX);
}

const char *text_exact_duration(double seconds, char text[DURATION_TEXT_MAX])
{
	if (!(seconds >= 0 && seconds < 10))
		return text_duration(seconds, text);
	return parse_format_duration((usec_t)(seconds * 1000 + 0.5) * USEC_PER_MSEC, text,
				     DURATION_TEXT_MAX);
}

void text_add_time(struct buf *out, const char *text, bool millis, bool brief)
{
	struct tm utc = {0}, local, today;
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &utc);
	time_t now = time(NULL);
	time_t then;
	char shown[64];

	if (rest == NULL || (rest[0] != '.' && rest[0] != 'Z')) {
		buf_add_str(out, text);
		return;
	}
	then = timegm(&utc);
	localtime_r(&then, &local);
	localtime_r(&now, &today);
	brief = brief && local.tm_year == today.tm_year && local.tm_yday == today.tm_yday;
	strftime(shown, sizeof(shown), brief ? "%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &local);
	buf_add_str(out, shown);
	if (millis)
		buf_printf(out, ".%03d", rest[0] == '.' ? atoi(rest + 1) % 1000 : 0);
}

static void add_problem(const struct term *term, const struct api_problem *problem, struct buf *out)
{
	size_t from = out->len;

	if (problem->file[0] != '\0' && problem->line > 0)
		buf_printf(out, "%s:%ld: ", problem->file, problem->line);
	else if (problem->file[0] != '\0')
		buf_printf(out, "%s: ", problem->file);
	buf_printf(out, "%s%s", problem->warning ? "warning: " : "", problem->text);
	term_clean_tail(term, out, from);
	buf_add_str(out, "\n");
}

void text_add_details(const struct term *term, const struct api_result *result, const char *indent,
		      struct buf *out)
{
	for (size_t i = 0; i < result->n_problems; i++) {
		buf_add_str(out, indent);
		add_problem(term, &result->problems[i], out);
	}
	if (result->n_lines == 0)
		return;
	buf_printf(out, "%slast output", indent);
	if (result->worker_pool != NULL) {
		size_t from = out->len;

		buf_printf(out, " of pool %s slot %ld generation %ld pid %ld", result->worker_pool,
			   result->worker_slot, result->worker_generation, result->worker_pid);
		term_clean_tail(term, out, from);
	}
	buf_add_str(out, ":\n");
	for (size_t i = 0; i < result->n_lines; i++) {
		buf_printf(out, "%s    ", indent);
		term_clean(term, out, result->lines[i], strlen(result->lines[i]));
		buf_add_str(out, "\n");
	}
}
