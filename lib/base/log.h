/*
 * log.h - one line per event, to standard error, as text or as JSON. Only programs and the engine
 * log; mechanisms return errors. Lines keep errno. A line longer than 4 KiB is cut.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/* syslog(3)'s severities that we use; the numbers are the same. */
enum log_level {
	LOG_LEVEL_ERROR = 3,   /* something is broken now: an operator should look */
	LOG_LEVEL_WARNING = 4, /* survived, but not right */
	LOG_LEVEL_NOTICE = 5,  /* what an operator wants to see: reloads, starts, ends */
	LOG_LEVEL_INFO = 6,    /* each worker's life */
	LOG_LEVEL_DEBUG = 7,
};

enum log_format {
	LOG_FORMAT_AUTO,    /* as JOURNAL where the journal reads us (JOURNAL_STREAM), else TEXT */
	LOG_FORMAT_TEXT,    /* "<5>" prefixes only where the journal reads us; a time stamp
			       elsewhere */
	LOG_FORMAT_JSON,    /* one object a line: time, level, event, pool, slot, generation, pid,
			       message */
	LOG_FORMAT_JOURNAL, /* entries with fields, by whoever log_set_taker() named; what that one
			       does not take is TEXT */
};

/* More that an entry of the journal says; NULL values are left out. */
struct log_field {
	const char *name, *value;
};

/* What a line is about. Fields that are unknown are NULL or -1. */
struct log_about {
	const char *event; /* a stable word for machines: "worker-ready", "reload-failed" */
	const char *pool;
	long slot;
	long generation;
	long pid;
	const struct log_field *fields; /* for LOG_FORMAT_JOURNAL alone */
	size_t n_fields;
};

#define LOG_ABOUT_NOTHING \
	((struct log_about){.event = NULL, .pool = NULL, .slot = -1, .generation = -1, .pid = -1})

/* Sets what is logged from now on, and how. */
void log_setup(enum log_level level, enum log_format format);
/*
 * Sends whole lines (newline included) to writer instead of straight to standard error; NULL: back
 * to standard error. The writer takes a line, or drops and counts it, and must not block.
 */
void log_set_writer(void (*writer)(enum log_level level, const char *line, size_t len, void *arg),
		    void *arg);
/*
 * Offers each message to taker before a line is formed of it: true means taken (or dropped and
 * counted), false that a line is to be written as ever. NULL: nobody is asked. It must not block.
 */
void log_set_taker(bool (*taker)(enum log_level level, const struct log_about *about,
				 const char *message, size_t len, void *arg),
		   void *arg);
/* Is standard error the stream into the journal that systemd.exec(5) names in JOURNAL_STREAM? */
bool log_stderr_is_journal(void);
bool log_wants(enum log_level level);
void log_line(enum log_level level, const struct log_about *about, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void log_vline(enum log_level level, const struct log_about *about, const char *format,
	       va_list args) __attribute__((format(printf, 3, 0)));

/*
 * Forms one line in the current format without level filter: for worker output that passes through
 * us. Writes at most size bytes (newline included), returns the length.
 */
size_t log_format_line(char *line, size_t size, enum log_level level, const struct log_about *about,
		       const char *message, size_t message_len);

#define log_error(...)	 log_line(LOG_LEVEL_ERROR, NULL, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, NULL, __VA_ARGS__)
#define log_notice(...)	 log_line(LOG_LEVEL_NOTICE, NULL, __VA_ARGS__)
#define log_info(...)	 log_line(LOG_LEVEL_INFO, NULL, __VA_ARGS__)
#define log_debug(...)	 log_line(LOG_LEVEL_DEBUG, NULL, __VA_ARGS__)

#endif
