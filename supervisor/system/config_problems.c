/* config_problems.c - mistakes in a configuration: collected in the order of files and lines, and
 * printed. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/parse.h"
#include "system/config_internal.h"

void config_problems_free(struct config_problems *problems)
{
	size_t i;

	for (i = 0; i < problems->n; i++) {
		free(problems->list[i].file);
		free(problems->list[i].text);
	}
	free(problems->list);
	*problems = (struct config_problems){.list = NULL};
}

static int compare(const struct config_problem *a, const struct config_problem *b)
{
	int r = strcmp(a->file, b->file);

	if (r != 0)
		return r;
	return a->line < b->line ? -1 : a->line > b->line;
}

/* Puts the problem where it belongs: behind all that stand before it or at the same line. */
static int insert(struct config_problems *problems, const struct config_problem *problem)
{
	struct config_problem *list;
	size_t i;

	list = reallocarray(problems->list, problems->n + 1, sizeof(*list));
	if (list == NULL)
		return -ENOMEM;
	problems->list = list;
	for (i = problems->n; i > 0 && compare(&list[i - 1], problem) > 0; i--)
		list[i] = list[i - 1];
	list[i] = *problem;
	problems->n++;
	return 0;
}

void config_problem_add(struct config_problems *problems, const struct config_place *place,
			bool warning, const char *format, ...)
{
	struct config_problem problem = {.warning = warning};
	cleanup_buf struct buf text = {.data = NULL};
	struct buf visible = {.max = CONFIG_VALUE_MAX * 4};
	va_list args;

	/* Counted first: also a mistake that cannot be kept is a mistake. */
	if (!warning)
		problems->errors++;
	va_start(args, format);
	buf_vprintf(&text, format, args);
	va_end(args);
	if (place != NULL && place->file != NULL) {
		problem.file = strdup(place->file);
		problem.line = place->line;
	} else {
		problem.file = strdup("");
	}
	buf_add_visible(&visible, buf_text(&text), text.len);
	problem.text = visible.data;
	if (problems->n >= CONFIG_PROBLEMS_MAX || problem.file == NULL || problem.text == NULL ||
	    insert(problems, &problem) < 0) {
		problems->dropped++;
		free(problem.file);
		free(problem.text);
	}
}

void config_problem_print(const struct config_problem *problem, struct buf *out)
{
	if (*problem->file != '\0') {
		buf_add_visible(out, problem->file, strlen(problem->file));
		buf_add_str(out, ":");
		if (problem->line > 0)
			buf_printf(out, "%u:", problem->line);
		buf_add_str(out, " ");
	}
	buf_printf(out, "%s%s", problem->warning ? "warning: " : "", problem->text);
}

void config_problems_print(const struct config_problems *problems, struct buf *out)
{
	for (size_t i = 0; i < problems->n; i++) {
		config_problem_print(&problems->list[i], out);
		buf_add_str(out, "\n");
	}
	if (problems->dropped > 0)
		buf_printf(out, "... and %zu more\n", problems->dropped);
}

char *config_quote(const char *text, char out[static CONFIG_QUOTE_MAX])
{
	enum { SHOWN_MAX = 100 };
	size_t len = strlen(text), i, n, at = 0;

	out[at++] = '\'';
	for (i = 0; i < len && at < SHOWN_MAX; i += n) {
		n = parse_printable(text + i, len - i);
		if (n == 0) {
			at += (size_t)snprintf(out + at, CONFIG_QUOTE_MAX - at, "\\x%02x",
					       (unsigned char)text[i]);
			n = 1;
			continue;
		}
		memcpy(out + at, text + i, n);
		at += n;
	}
	snprintf(out + at, CONFIG_QUOTE_MAX - at, "%s'", i < len ? "..." : "");
	return out;
}
