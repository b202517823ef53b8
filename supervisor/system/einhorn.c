/* einhorn.c - lines of workers that were written for einhorn: flat objects of JSON (RFC 8259). */
#include "system/einhorn.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct cursor {
	const char *at, *end;
};

static char look(struct cursor *cursor)
{
	while (cursor->at < cursor->end && strchr(" \t\r", *cursor->at) != NULL &&
	       *cursor->at != '\0')
		cursor->at++;
	return cursor->at < cursor->end ? *cursor->at : '\0';
}

static bool skip(struct cursor *cursor, char c)
{
	if (look(cursor) != c || cursor->at == cursor->end)
		return false;
	cursor->at++;
	return true;
}

/* Keeps what fits, which is enough to know the words that matter. An escape is none of their
 * letters. */
static bool read_string(struct cursor *cursor, char text[static 32])
{
	size_t n = 0;

	if (!skip(cursor, '"'))
		return false;
	for (; cursor->at < cursor->end && *cursor->at != '"'; cursor->at++) {
		if ((unsigned char)*cursor->at < ' ')
			return false;
		if (n < 31)
			text[n++] = *cursor->at;
		if (*cursor->at == '\\' && ++cursor->at == cursor->end)
			return false;
	}
	text[n] = '\0';
	return skip(cursor, '"');
}

/* A number, true, false or null: as text. */
static bool read_word(struct cursor *cursor, char text[static 32])
{
	size_t n = 0;

	look(cursor);
	while (cursor->at < cursor->end && strchr(",} \t\r", *cursor->at) == NULL && n < 31)
		text[n++] = *cursor->at++;
	text[n] = '\0';
	return n > 0 && strspn(text, "+-.0123456789abcdefghijklmnopqrstuvwxyzE") == n;
}

static bool read_pid(const char *text, pid_t *ret_pid)
{
	int64_t pid = 0;

	for (; *text >= '0' && *text <= '9' && pid <= INT32_MAX; text++)
		pid = pid * 10 + (*text - '0');
	if (*text != '\0' || pid < 1 || pid > INT32_MAX)
		return false;
	*ret_pid = (pid_t)pid;
	return true;
}

int einhorn_parse(const char *line, size_t len, pid_t *ret_pid)
{
	struct cursor cursor = {line, line + len};
	char name[32], value[32];
	bool command = false, ack = false;
	pid_t pid = 0;

	if (!skip(&cursor, '{'))
		return -EBADMSG;
	do {
		bool string;

		if (!read_string(&cursor, name) || !skip(&cursor, ':'))
			return -EBADMSG;
		string = look(&cursor) == '"';
		if (string ? !read_string(&cursor, value) : !read_word(&cursor, value))
			return -EBADMSG;
		if (string && strcmp(name, "command") == 0) {
			command = true;
			ack = strcmp(value, "worker:ack") == 0;
		}
		if (!string && strcmp(name, "pid") == 0 && !read_pid(value, &pid))
			return -EBADMSG;
	} while (skip(&cursor, ','));
	if (!skip(&cursor, '}') || look(&cursor) != '\0' || cursor.at != cursor.end)
		return -EBADMSG;
	if (!ack)
		return command ? -ENOMSG : -EBADMSG;
	if (pid == 0)
		return -EBADMSG;
	*ret_pid = pid;
	return 0;
}
