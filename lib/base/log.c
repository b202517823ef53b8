/* log.c - forms log lines and gives them to standard error or to whoever asked for them. */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/parse.h"

enum {
	LINE_BYTES_MAX = 4096,
	LINE_END_BYTES = 6, /* room that is kept for the end of a line: ..."}\n */
};

static struct {
	enum log_level level;
	enum log_format format;
	bool journal; /* whoever reads standard error has its own time stamps and wants "<5>" */
	void (*writer)(enum log_level level, const char *line, size_t len, void *arg);
	void *arg;
	bool (*taker)(enum log_level level, const struct log_about *about, const char *message,
		      size_t len, void *arg);
	void *taker_arg;
} log_state = {.level = LOG_LEVEL_INFO, .format = LOG_FORMAT_TEXT};

/* Text of a fixed size. What does not fit whole is left out, and so is all that comes behind it. */
struct text {
	char *data;
	size_t len, size;
	bool full;
};

static void text_add(struct text *text, const char *data, size_t len)
{
	if (text->full || len > text->size - text->len) {
		text->full = true;
		return;
	}
	memcpy(text->data + text->len, data, len);
	text->len += len;
}

static void text_printf(struct text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void text_printf(struct text *text, const char *format, ...)
{
	char piece[256];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(piece, sizeof(piece), format, args);
	va_end(args);
	if (n > 0)
		text_add(text, piece, (size_t)n < sizeof(piece) ? (size_t)n : sizeof(piece) - 1);
}

/* A byte that must not reach a terminal or a JSON parser as it is. */
static void add_odd_byte(struct text *text, unsigned char c, bool json)
{
	if (c == '\n')
		text_add(text, "\\n", 2);
	else if (c == '\t')
		text_add(text, json ? "\\t" : "\t", json ? 2 : 1);
	else if (json && (c >= 0x80 || c == '\0')) /* many readers refuse \u0000 */
		text_add(text, "\\ufffd", 6);
	else
		text_printf(text, json ? "\\u%04x" : "\\x%02x", c);
}

/* Worker output and paths come through here: control characters and broken UTF-8 are made visible.
 */
static void add_escaped(struct text *text, const char *data, size_t len, bool json)
{
	size_t i, n;

	for (i = 0; i < len && !text->full; i += n) {
		n = parse_printable(data + i, len - i);
		if (n == 0 && json && parse_utf8(data + i, len - i) == 2) {
			text_printf(text, "\\u%04x", (unsigned char)data[i + 1]);
			n = 2;
		} else if (n == 0) {
			add_odd_byte(text, (unsigned char)data[i], json);
			n = 1;
		} else if (json && (data[i] == '"' || data[i] == '\\')) {
			text_printf(text, "\\%c", data[i]);
		} else {
			text_add(text, data + i, n);
		}
	}
}

/* RFC 3339 with the local offset, so that lines of two machines can be compared. */
static void add_time(struct text *text)
{
	char date[32], zone[8];
	usec_t now = clock_wall();
	time_t seconds = (time_t)(now / USEC_PER_SEC);
	struct tm tm;

	if (localtime_r(&seconds, &tm) == NULL)
		return;
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	strftime(zone, sizeof(zone), "%z", &tm);
	text_printf(text, "%s.%03u%.3s:%.2s", date, (unsigned)(now % USEC_PER_SEC / 1000), zone,
		    zone + 3);
}

static const char *level_name(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_ERROR:
		return "error";
	case LOG_LEVEL_WARNING:
		return "warning";
	case LOG_LEVEL_NOTICE:
		return "notice";
	case LOG_LEVEL_INFO:
		return "info";
	case LOG_LEVEL_DEBUG:
		return "debug";
	}
	return "error";
}

static void add_json_word(struct text *text, const char *name, const char *value)
{
	text_printf(text, ",\"%s\":\"", name);
	add_escaped(text, value, strlen(value), true);
	text_add(text, "\"", 1);
}

static void add_json_head(struct text *text, enum log_level level, const struct log_about *about)
{
	text_printf(text, "{\"time\":\"");
	add_time(text);
	text_printf(text, "\",\"level\":\"%s\"", level_name(level));
	if (about->event != NULL)
		add_json_word(text, "event", about->event);
	if (about->pool != NULL)
		add_json_word(text, "pool", about->pool);
	if (about->slot >= 0)
		text_printf(text, ",\"slot\":%ld", about->slot);
	if (about->generation >= 0)
		text_printf(text, ",\"generation\":%ld", about->generation);
	if (about->pid >= 0)
		text_printf(text, ",\"pid\":%ld", about->pid);
	text_printf(text, ",\"message\":\"");
}

/* Sentences name whom they are about; only JSON has members for it. */
static void add_text_head(struct text *text, enum log_level level)
{
	if (log_state.journal) {
		text_printf(text, "<%d>", level);
	} else {
		add_time(text);
		text_printf(text, " %s ", level_name(level));
	}
}

size_t log_format_line(char *line, size_t size, enum log_level level, const struct log_about *about,
		       const char *message, size_t message_len)
{
	bool json = log_state.format == LOG_FORMAT_JSON;
	const struct log_about nothing = LOG_ABOUT_NOTHING;
	struct text text = {.data = line, .size = size};

	if (size <= LINE_END_BYTES)
		return 0;
	if (about == NULL)
		about = &nothing;
	text.size = size - LINE_END_BYTES;
	if (json)
		add_json_head(&text, level, about);
	else
		add_text_head(&text, level);
	/* Without its head a line of JSON would be a torn one. */
	if (text.full && json)
		return 0;
	add_escaped(&text, message, message_len, json);
	text.size = size;
	if (text.full) {
		text.full = false;
		text_add(&text, "...", 3);
	}
	if (json)
		text_add(&text, "\"}", 2);
	text_add(&text, "\n", 1);
	return text.len;
}

/* JOURNAL_STREAM names the stream that we were started with; standard error may be another one by
 * now. */
bool log_stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long device, inode;
	struct stat st;

	if (stream == NULL || sscanf(stream, "%lu:%lu", &device, &inode) != 2)
		return false;
	return fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void log_setup(enum log_level level, enum log_format format)
{
	log_state.level = level;
	log_state.format = format;
	log_state.journal = log_stderr_is_journal();
}

void log_set_writer(void (*writer)(enum log_level level, const char *line, size_t len, void *arg),
		    void *arg)
{
	log_state.writer = writer;
	log_state.arg = arg;
}

void log_set_taker(bool (*taker)(enum log_level level, const struct log_about *about,
				 const char *message, size_t len, void *arg),
		   void *arg)
{
	log_state.taker = taker;
	log_state.taker_arg = arg;
}

bool log_wants(enum log_level level)
{
	return level <= log_state.level;
}

/* There is nobody to tell when standard error is gone or full: the line is dropped. */
static void write_stderr(const char *line, size_t len)
{
	ssize_t n;

	while (len > 0) {
		n = write(STDERR_FILENO, line, len);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		line += n;
		len -= (size_t)n;
	}
}

static void log_message(enum log_level level, const struct log_about *about, const char *message,
			size_t len)
{
	const struct log_about nothing = LOG_ABOUT_NOTHING;
	char line[LINE_BYTES_MAX];

	if (about == NULL)
		about = &nothing;
	if (log_state.taker != NULL &&
	    log_state.taker(level, about, message, len, log_state.taker_arg))
		return;
	len = log_format_line(line, sizeof(line), level, about, message, len);
	if (log_state.writer != NULL)
		log_state.writer(level, line, len, log_state.arg);
	else
		write_stderr(line, len);
}

void log_vline(enum log_level level, const struct log_about *about, const char *format,
	       va_list args)
{
	char message[LINE_BYTES_MAX];
	int saved = errno, n;

	if (!log_wants(level))
		return;
	n = vsnprintf(message, sizeof(message), format, args);
	if (n >= 0)
		log_message(level, about, message,
			    (size_t)n < sizeof(message) ? (size_t)n : sizeof(message) - 1);
	errno = saved;
}

void log_line(enum log_level level, const struct log_about *about, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_vline(level, about, format, args);
	va_end(args);
}
