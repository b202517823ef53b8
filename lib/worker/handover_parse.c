/* handover_parse.c - messages of the master: one flat JSON object (RFC 8259) of strings, whole
 * numbers, true, false, null, and arrays of strings. No recursion, and memory of a fixed size. */
#include <string.h>

#include "worker/handover_internal.h"

struct reader {
	const char *at, *end;
	char *out; /* strings go here: they are never longer than their JSON */
	struct worker_message *message;
	bool has_version, has_kind, has_set, has_reason, has_deadline, has_names;
};

static void skip_blanks(struct reader *reader)
{
	while (reader->at < reader->end && strchr(" \t\r\n", *reader->at) != NULL &&
	       *reader->at != '\0')
		reader->at++;
}

static bool take(struct reader *reader, char c)
{
	skip_blanks(reader);
	if (reader->at == reader->end || *reader->at != c)
		return false;
	reader->at++;
	return true;
}

static bool take_word(struct reader *reader, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(reader->end - reader->at) < len || memcmp(reader->at, word, len) != 0)
		return false;
	reader->at += len;
	return true;
}

static bool read_hex(struct reader *reader, uint32_t *ret_value)
{
	uint32_t value = 0;

	if (reader->end - reader->at < 4)
		return false;
	for (int n = 0; n < 4; n++) {
		char c = *reader->at++;

		if (c >= '0' && c <= '9')
			value = value * 16 + (uint32_t)(c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			value = value * 16 + (uint32_t)((c | 0x20) - 'a') + 10;
		else
			return false;
	}
	*ret_value = value;
	return true;
}

static void write_utf8(struct reader *reader, uint32_t c)
{
	if (c < 0x80) {
		*reader->out++ = (char)c;
		return;
	}
	if (c < 0x800) {
		*reader->out++ = (char)(0xc0 | c >> 6);
	} else {
		if (c < 0x10000) {
			*reader->out++ = (char)(0xe0 | c >> 12);
		} else {
			*reader->out++ = (char)(0xf0 | c >> 18);
			*reader->out++ = (char)(0x80 | (c >> 12 & 0x3f));
		}
		*reader->out++ = (char)(0x80 | (c >> 6 & 0x3f));
	}
	*reader->out++ = (char)(0x80 | (c & 0x3f));
}

/* Behind \u. A NUL would end the string early, and half a pair is no character: refused. */
static bool read_unicode(struct reader *reader)
{
	uint32_t c, low;

	if (!read_hex(reader, &c) || c == 0 || (c >= 0xdc00 && c <= 0xdfff))
		return false;
	if (c >= 0xd800 && c <= 0xdbff) {
		if (!take_word(reader, "\\u") || !read_hex(reader, &low) || low < 0xdc00 ||
		    low > 0xdfff)
			return false;
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	}
	write_utf8(reader, c);
	return true;
}

static bool read_escape(struct reader *reader)
{
	static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
	const char *name;

	if (reader->at == reader->end)
		return false;
	if (*reader->at == 'u') {
		reader->at++;
		return read_unicode(reader);
	}
	name = *reader->at != '\0' ? strchr(names, *reader->at++) : NULL;
	if (name == NULL)
		return false;
	*reader->out++ = values[name - names];
	return true;
}

static bool read_string(struct reader *reader, const char **ret_text)
{
	const char *text = reader->out;

	if (!take(reader, '"'))
		return false;
	while (reader->at < reader->end && *reader->at != '"') {
		char c = *reader->at++;

		if ((unsigned char)c < 0x20)
			return false;
		if (c != '\\')
			*reader->out++ = c;
		else if (!read_escape(reader))
			return false;
	}
	if (reader->at == reader->end)
		return false;
	reader->at++;
	*reader->out++ = '\0';
	*ret_text = text;
	return true;
}

/* *ret_value: UINT64_MAX for what is larger, and for what is below 0. */
static bool read_number(struct reader *reader, uint64_t *ret_value)
{
	bool negative = take(reader, '-'), large = false;
	const char *begin = reader->at;
	uint64_t value = 0;

	for (; reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9'; reader->at++)
		large = large || __builtin_mul_overflow(value, 10, &value) ||
			__builtin_add_overflow(value, (uint64_t)(*reader->at - '0'), &value);
	if (reader->at == begin || (*begin == '0' && reader->at - begin > 1))
		return false;
	*ret_value = large || negative ? UINT64_MAX : value;
	return true;
}

/* names NULL: read, and forgotten. */
static bool read_array(struct reader *reader, const char **names, size_t *ret_n)
{
	const char *text;
	size_t n = 0;

	if (!take(reader, '['))
		return false;
	if (!take(reader, ']')) {
		do {
			if (n == WORKER_SOCKETS_MAX || !read_string(reader, &text))
				return false;
			if (names != NULL)
				names[n] = text;
			n++;
		} while (take(reader, ','));
		if (!take(reader, ']'))
			return false;
	}
	*ret_n = n;
	return true;
}

static bool read_any(struct reader *reader)
{
	const char *text;
	uint64_t number;
	size_t n;

	skip_blanks(reader);
	if (reader->at == reader->end)
		return false;
	switch (*reader->at) {
	case '"':
		return read_string(reader, &text);
	case '[':
		return read_array(reader, NULL, &n);
	case 't':
		return take_word(reader, "true");
	case 'f':
		return take_word(reader, "false");
	case 'n':
		return take_word(reader, "null");
	default:
		return read_number(reader, &number);
	}
}

static enum worker_kind kind_of(const char *word)
{
	if (strcmp(word, "sockets") == 0)
		return WORKER_SOCKETS;
	if (strcmp(word, "lameduck") == 0)
		return WORKER_LAME_DUCK;
	if (strcmp(word, "inflight") == 0)
		return WORKER_PAGE;
	return strcmp(word, "drain") == 0 ? WORKER_DRAIN : WORKER_NOTHING;
}

static enum handover_reason reason_of(const char *word)
{
	static const char *const words[] = {
	    [HANDOVER_REASON_RELOAD] = "reload",   [HANDOVER_REASON_RESTART] = "restart",
	    [HANDOVER_REASON_RECYCLE] = "recycle", [HANDOVER_REASON_SCALE] = "scale",
	    [HANDOVER_REASON_STOP] = "stop",	   [HANDOVER_REASON_REMOVED] = "removed",
	    [HANDOVER_REASON_UNDO] = "undo",
	};

	for (size_t n = 0; n < sizeof(words) / sizeof(words[0]); n++)
		if (words[n] != NULL && strcmp(word, words[n]) == 0)
			return (enum handover_reason)n;
	return HANDOVER_REASON_OTHER;
}

/* False if it was set: a name that comes twice is a mistake. */
static bool once(bool *flag)
{
	bool first = !*flag;

	*flag = true;
	return first;
}

static bool read_member(struct reader *reader)
{
	struct worker_message *message = reader->message;
	const char *name, *word;
	uint64_t version;

	if (!read_string(reader, &name) || !take(reader, ':'))
		return false;
	if (strcmp(name, "version") == 0)
		return once(&reader->has_version) && read_number(reader, &version) && version == 1;
	if (strcmp(name, "deadline_usec") == 0)
		return once(&reader->has_deadline) && read_number(reader, &message->deadline);
	if (strcmp(name, "set") == 0)
		return once(&reader->has_set) && read_number(reader, &message->set);
	if (strcmp(name, "names") == 0)
		return once(&reader->has_names) &&
		       read_array(reader, message->names, &message->n_names);
	if (strcmp(name, "kind") == 0) {
		if (!once(&reader->has_kind) || !read_string(reader, &word))
			return false;
		message->kind = kind_of(word);
		return true;
	}
	if (strcmp(name, "reason") == 0) {
		if (!once(&reader->has_reason) || !read_string(reader, &word))
			return false;
		message->reason = reason_of(word);
		return true;
	}
	return read_any(reader);
}

bool worker_parse(const char *text, size_t len, struct worker_message *message)
{
	struct reader reader = {
	    .at = text, .end = text + len, .out = message->text, .message = message};

	if (len > WORKER_MESSAGE_MAX)
		return false;
	message->kind = WORKER_NOTHING;
	message->reason = HANDOVER_REASON_OTHER;
	message->deadline = UINT64_MAX;
	message->set = 0;
	message->n_names = 0;
	if (!take(&reader, '{'))
		return false;
	if (!take(&reader, '}')) {
		do {
			if (!read_member(&reader))
				return false;
		} while (take(&reader, ','));
		if (!take(&reader, '}'))
			return false;
	}
	skip_blanks(&reader);
	return reader.at == reader.end && reader.has_version && reader.has_kind &&
	       (message->kind != WORKER_SOCKETS || reader.has_names);
}
