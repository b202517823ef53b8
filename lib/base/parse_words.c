/* parse_words.c - splits a line into words as a shell does, without being one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/parse.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Copies one character that a backslash stands before; nothing at all for a line that goes on. */
static char *copy_escaped(const char **p, char *out)
{
	if (**p != '\n')
		*out++ = **p;
	(*p)++;
	return out;
}

/* Inside "...": a backslash only counts before what would be special there. Leaves *p behind the
 * quote. */
static int copy_double_quoted(const char **p, char **out)
{
	while (**p != '"') {
		if (**p == '\0')
			return -EINVAL;
		if (**p == '\\' && (*p)[1] != '\0' && strchr("\"\\$`\n", (*p)[1]) != NULL) {
			(*p)++;
			*out = copy_escaped(p, *out);
		} else {
			*(*out)++ = *(*p)++;
		}
	}
	(*p)++;
	return 0;
}

static int copy_single_quoted(const char **p, char **out)
{
	while (**p != '\'') {
		if (**p == '\0')
			return -EINVAL;
		*(*out)++ = *(*p)++;
	}
	(*p)++;
	return 0;
}

/* Copies text, unquoted, up to its end, or to the first blank outside of quotes where blanks end
 * it. */
static int copy_unquoted(const char **p, char **out, bool blanks_end, const char **error)
{
	while (**p != '\0' && !(blanks_end && is_blank(**p))) {
		char c = *(*p)++;

		if (c == '\'' && copy_single_quoted(p, out) < 0) {
			*error = "a single quote (') is not closed";
			return -EINVAL;
		}
		if (c == '"' && copy_double_quoted(p, out) < 0) {
			*error = "a double quote (\") is not closed";
			return -EINVAL;
		}
		if (c == '\\' && **p == '\0') {
			*error = "a backslash ends the line";
			return -EINVAL;
		}
		if (c == '\\')
			*out = copy_escaped(p, *out);
		else if (c != '\'' && c != '"')
			*(*out)++ = c;
	}
	*(*out)++ = '\0';
	return 0;
}

int parse_words(const char *text, char ***ret_words, size_t *ret_count, const char **ret_error)
{
	size_t len = strlen(text), words_max = len / 2 + 2, count = 0;
	cleanup_free char **words = malloc(words_max * sizeof(char *) + len + 1);
	const char *p = text, *error = NULL;
	char *out;
	int r;

	if (words == NULL)
		return -ENOMEM;
	out = (char *)(words + words_max);
	for (;;) {
		while (is_blank(*p))
			p++;
		if (*p == '\0')
			break;
		words[count++] = out;
		r = copy_unquoted(&p, &out, true, &error);
		if (r < 0) {
			if (ret_error != NULL)
				*ret_error = error;
			return r;
		}
	}
	words[count] = NULL;
	*ret_words = TAKE_PTR(words);
	if (ret_count != NULL)
		*ret_count = count;
	return 0;
}

int parse_unquote(const char *text, char **ret_text, const char **ret_error)
{
	cleanup_free char *copy = malloc(strlen(text) + 1);
	const char *p = text, *error = NULL;
	char *out = copy;
	int r;

	if (copy == NULL)
		return -ENOMEM;
	r = copy_unquoted(&p, &out, false, &error);
	if (r < 0) {
		if (ret_error != NULL)
			*ret_error = error;
		return r;
	}
	*ret_text = TAKE_PTR(copy);
	return 0;
}

bool parse_quotes_step(struct parse_quotes *quotes, char c)
{
	if (quotes->escaped) {
		quotes->escaped = false;
		return false;
	}
	if (c == '\\' && quotes->open != '\'') {
		quotes->escaped = true;
		return false;
	}
	if (quotes->open != '\0') {
		if (c == quotes->open)
			quotes->open = '\0';
		return false;
	}
	if (c == '\'' || c == '"') {
		quotes->open = c;
		return false;
	}
	return true;
}
