/*
 * config_reader.c - reads a file's lines, and lets inih tell what is a section and what a key of
 * it.
 *
 * inih cuts names at 49 characters, splits lines at 199 bytes, ends a value at ` ;` inside of
 * quotes, takes an indented line for more of the value above, takes `key: value` and `[section]
 * rest`, stops at NUL, and tells its handler no line. So it gets to see only lines that none of
 * this can happen to: the headers, and `key = LINE`, whose values are kept here.
 */
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/parse.h"
#include "system/config_internal.h"

enum { INIH_NAME_MAX = 49, CONTROL_CHARACTERS_MAX = 100 };

struct line {
	unsigned number;
	char *key, *value; /* in the file's text */
};

struct reader {
	struct config_values *values;
	struct config_problems *problems;
	struct config_place place; /* the line that is being read */
	char *next, *end;	   /* what has not been read yet */
	struct line *lines;	   /* all `key = value` so far */
	size_t n_lines, lines_size;
	struct config_section *section; /* NULL: none, or one whose keys are skipped */
	bool skip;			/* the keys belong to nobody, and that has been said */
	int error;			/* -ENOMEM, or -EIO: inih and we do not agree */
};

/* Adds a mistake of this line: "[section] key: sentence", as far as there are a section and a key.
 */
static void problem(struct reader *reader, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void problem(struct reader *reader, const char *key, const char *format, ...)
{
	cleanup_buf struct buf text = {.data = NULL};
	va_list args;

	if (reader->section != NULL)
		buf_printf(&text, "[%s] ", reader->section->title);
	if (key != NULL)
		buf_printf(&text, "%s: ", key);
	va_start(args, format);
	buf_vprintf(&text, format, args);
	va_end(args);
	config_problem_add(reader->problems, &reader->place, false, "%s", buf_text(&text));
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Cuts the next line out of the text. NULL at the end. */
static char *take_line(struct reader *reader)
{
	char *line = reader->next, *newline;
	size_t len;

	if (line == reader->end)
		return NULL;
	newline = memchr(line, '\n', (size_t)(reader->end - line));
	len = (size_t)((newline != NULL ? newline : reader->end) - line);
	reader->next = newline != NULL ? newline + 1 : reader->end;
	line[len] = '\0';
	if (len > 0 && line[len - 1] == '\r')
		line[len - 1] = '\0';
	reader->place.line++;
	return line;
}

/* Letters, digits, '_', '.' and '-': what all keys and most slips are made of, and what inih leaves
 * alone. */
static bool is_name(const char *text, size_t len)
{
	static const char allowed[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";

	return len > 0 && strspn(text, allowed) >= len;
}

static bool is_control(char c)
{
	return ((unsigned char)c < 0x20 && c != '\t') || c == 0x7f;
}

/* A control character can only be a slip, or an attempt to make a terminal show something else. */
static bool has_control_character(struct reader *reader, const char *line)
{
	for (; *line != '\0'; line++) {
		if (is_control(*line)) {
			problem(reader, NULL, "the line contains a control character (0x%02x)",
				(unsigned char)*line);
			return true;
		}
	}
	return false;
}

size_t config_value_length(const char *text, bool comments, struct parse_quotes *ret_quotes)
{
	bool plain, after_blank = true;
	size_t i, end = 0;

	*ret_quotes = (struct parse_quotes){.open = '\0'};
	for (i = 0; text[i] != '\0'; i++) {
		plain = parse_quotes_step(ret_quotes, text[i]);
		if (comments && plain && text[i] == ';' && after_blank)
			break;
		after_blank = plain && is_blank(text[i]);
		if (!after_blank)
			end = i + 1;
	}
	return end;
}

/* Takes the comment and the blanks behind a value away, and refuses quotes that are not closed. */
static int end_value(struct reader *reader, const char *key, char *value)
{
	struct parse_quotes quotes;
	size_t end = config_value_length(value, true, &quotes);

	if (quotes.open != '\0') {
		problem(reader, key,
			"a %s quote (%c) is not closed; for the character itself write \\%c",
			quotes.open == '"' ? "double" : "single", quotes.open, quotes.open);
		return -EINVAL;
	}
	if (quotes.escaped) {
		problem(reader, key,
			"a backslash ends the line; a value cannot go on in the next line");
		return -EINVAL;
	}
	if (end > CONFIG_VALUE_MAX) {
		problem(reader, key, "the value has %zu bytes; at most %d are allowed", end,
			CONFIG_VALUE_MAX);
		return -EINVAL;
	}
	value[end] = '\0';
	return 0;
}

static int keep_line(struct reader *reader, char *key, char *value)
{
	struct line *lines;
	size_t size;

	if (reader->n_lines == reader->lines_size) {
		size = reader->lines_size != 0 ? reader->lines_size * 2 : 64;
		lines = reallocarray(reader->lines, size, sizeof(*lines));
		if (lines == NULL)
			return -ENOMEM;
		reader->lines = lines;
		reader->lines_size = size;
	}
	reader->lines[reader->n_lines++] = (struct line){reader->place.line, key, value};
	return 0;
}

/* Says why a line has no usable key. */
static void explain_no_key(struct reader *reader, const char *line, size_t len)
{
	size_t word = strcspn(line, ":= \t");

	if (len == 0)
		problem(reader, NULL, "there is no key before the '='");
	else if (is_name(line, word) && line[word + strspn(line + word, " \t")] == ':')
		problem(reader, NULL, "%s: a key and its value are separated by '=', not by ':'",
			QUOTE(line));
	else if (line[len] == '\0')
		problem(reader, NULL,
			"%s is no 'key = value' (and a value cannot go on in the next line)",
			QUOTE(line));
	else
		problem(
		    reader, NULL,
		    "%s: what stands before the '=' is no key: letters, digits and '_' make one",
		    QUOTE(line));
}

/* `key = value`. 1: inih is to see it; 0: not. */
static int read_key(struct reader *reader, char *line)
{
	size_t len = strcspn(line, "="), equals = len;
	char *value;

	while (len > 0 && is_blank(line[len - 1]))
		len--;
	if (line[equals] == '\0' || !is_name(line, len)) {
		explain_no_key(reader, line, line[equals] == '\0' ? equals : len);
		return 0;
	}
	if (len > INIH_NAME_MAX) {
		problem(reader, NULL, "%s is longer than any key", QUOTE(line));
		return 0;
	}
	line[len] = '\0';
	value = line + equals + 1 + strspn(line + equals + 1, " \t");
	if (reader->section == NULL && !reader->skip) {
		problem(reader, line,
			"stands before the first section; put [supervisor], [socket:NAME] or "
			"[pool:NAME] above it");
		/* Once is enough. */
		reader->skip = true;
	}
	if (end_value(reader, line, value) < 0) {
		if (reader->section != NULL)
			config_values_note(reader->section, line, &reader->place);
		return 0;
	}
	if (reader->section == NULL)
		return 0;
	return keep_line(reader, line, value) < 0 ? -ENOMEM : 1;
}

/* `[section]`. 1: inih is to see it; 0: not. */
static int read_header(struct reader *reader, char *line)
{
	char *end = strchr(line, ']'), *rest;
	int r;

	if (end == NULL) {
		problem(reader, NULL, "%s: the ']' is missing", QUOTE(line));
		return 0;
	}
	rest = end + 1 + strspn(end + 1, " \t");
	if (*rest != '\0' && *rest != ';' && *rest != '#') {
		problem(reader, NULL, "%s: there is text behind the ']'", QUOTE(line));
		return 0;
	}
	*end = '\0';
	r = config_values_open(reader->values, line + 1, &reader->place, reader->problems,
			       &reader->section);
	if (r < 0)
		return r;
	return reader->section != NULL;
}

/*
 * What inih calls for the next line, like fgets(3). It is given one per line of the file that
 * matters, and it calls the handler for it before it asks for more.
 */
static char *feed(char *out, int size, void *arg)
{
	struct reader *reader = arg;
	char *line;
	int r = 0;

	while (reader->error == 0 && (line = take_line(reader)) != NULL) {
		line += strspn(line, " \t");
		if (*line == '\0' || *line == ';' || *line == '#')
			continue;
		if (*line == '[') {
			/* Whatever is wrong with a header: the keys below it are not the section's
			 * above. */
			reader->section = NULL;
			reader->skip = true;
		}
		if (has_control_character(reader, line))
			r = 0;
		else
			r = *line == '[' ? read_header(reader, line) : read_key(reader, line);
		if (*line == '[' && reader->section == NULL)
			reader->values->torn = true;
		if (r < 0) {
			reader->error = r;
		} else if (r > 0) {
			if (*line == '[')
				r = snprintf(out, (size_t)size, "[%s]\n", line + 1);
			else
				r = snprintf(out, (size_t)size, "%s = %u\n", line,
					     reader->place.line);
			if (r < size)
				return out;
			reader->error = -EIO;
		}
	}
	return NULL;
}

static int compare_line(const void *key, const void *element)
{
	unsigned number = *(const unsigned *)key, other = ((const struct line *)element)->number;

	return number < other ? -1 : number > other;
}

/* inih's handler: the "value" is the number of the line. Returns 0 for an error, as inih wants it.
 */
static int handle(void *arg, const char *title, const char *name, const char *value)
{
	struct reader *reader = arg;
	struct config_section *section = config_values_find(reader->values, title);
	unsigned number = (unsigned)strtoul(value, NULL, 10);
	const struct line *line = NULL;

	if (reader->n_lines > 0)
		line =
		    bsearch(&number, reader->lines, reader->n_lines, sizeof(*line), compare_line);
	/* What inih understood must be what we understood. */
	if (line == NULL || section == NULL || section != reader->section ||
	    strcmp(line->key, name) != 0) {
		reader->error = -EIO;
		return 0;
	}
	if (config_values_set(section, name, line->value, &reader->place, reader->problems) < 0) {
		reader->error = -ENOMEM;
		return 0;
	}
	return 1;
}

static size_t count_control_characters(const char *text, size_t len)
{
	size_t n = 0;

	for (const char *p = text; p < text + len; p++)
		n += is_control(*p) && *p != '\n' && *p != '\r';
	return n;
}

/* A file that is no text has thousands of wrong lines; one sentence is better. */
static bool is_text(struct reader *reader, size_t len)
{
	const char *nul = memchr(reader->next, '\0', len);
	const char *p;

	if (len >= 2 && (memcmp(reader->next, "\xff\xfe", 2) == 0 ||
			 memcmp(reader->next, "\xfe\xff", 2) == 0)) {
		problem(reader, NULL, "is UTF-16; save it as UTF-8");
		return false;
	}
	if (nul == NULL && count_control_characters(reader->next, len) <= CONTROL_CHARACTERS_MAX)
		return true;
	if (nul == NULL) {
		problem(reader, NULL,
			"contains more than %d control characters, so this is no text file; "
			"nothing of it is used",
			CONTROL_CHARACTERS_MAX);
		return false;
	}
	reader->place.line = 1;
	for (p = reader->next; p < nul; p++)
		reader->place.line += *p == '\n';
	problem(reader, NULL,
		"contains a NUL byte, so this is no text file; nothing of it is used");
	return false;
}

int config_reader_run(struct config_values *values, const char *place_file, char *text, size_t len,
		      struct config_problems *problems)
{
	struct reader reader = {
	    .values = values,
	    .problems = problems,
	    .place = {.file = place_file},
	    .next = text,
	    .end = text + len,
	};
	int r;

	if (!is_text(&reader, len)) {
		values->torn = true;
		return 0;
	}
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		reader.next += 3;
	r = ini_parse_stream(feed, &reader, handle, &reader);
	free(reader.lines);
	if (reader.error == 0 && r != 0)
		reader.error = r == -2 ? -ENOMEM : -EIO;
	if (reader.error == -EIO) {
		problem(&reader, NULL, "cannot be understood here");
		return 0;
	}
	return reader.error;
}
