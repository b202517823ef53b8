/* parse.h - text to values and back: durations, sizes, numbers, signals, words; and "did you mean".
 */
#ifndef BASE_PARSE_H
#define BASE_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

/* All parsers return 0, -EINVAL (not of that form) or -ERANGE, and write ret_ only on success. */

/* A whole decimal number within [min, max]; no sign, no blanks. */
int parse_uint(const char *text, uint64_t min, uint64_t max, uint64_t *ret_value);
/* An octal number up to 07777, as for umask and modes ("0022", "660"). */
int parse_octal(const char *text, unsigned *ret_value);
/* "500ms", "7s", "2min", "1h", "1d", "10us", a sum ("1min 30s"), a decimal ("1.5s"), "infinity", or
 * a bare 0. A number without a unit (other than 0) is -EINVAL: nobody should have to guess. */
int parse_duration(const char *text, usec_t *ret_usec);
/* "64K", "512M", "1G" (powers of 1024), "infinity", or bytes. */
int parse_size(const char *text, uint64_t *ret_bytes);
/* A size for people, in the same notation: "64M", "1.5G", "12.3K", "17". Three digits tell enough.
 * Returns text. */
char *parse_format_size(uint64_t bytes, char *text, size_t size);
#define SIZE_TEXT_MAX	 16
#define SIZE_TEXT(bytes) parse_format_size((bytes), (char[SIZE_TEXT_MAX]){0}, SIZE_TEXT_MAX)
/* yes/no true/false on/off 1/0, as systemd takes them. */
int parse_bool(const char *text, bool *ret_value);
/* "25%": 0..10000 */
int parse_percent(const char *text, unsigned *ret_percent);
/* "SIGTERM", "TERM", "15", "SIGRTMIN+3". */
int parse_signal(const char *text, int *ret_signal);
/* "SIGTERM" for 15; "SIGRTMIN+3"; "signal 99" for what has no name. Points to static memory per
 * thread. */
const char *parse_signal_name(int sig);

/*
 * Splits a command line as a shell splits words: blanks, '...' (literal), "..." (backslash before "
 * \ $ ` and newline), backslash. No expansion of any kind. *ret_words is NULL-terminated, one block
 * of memory that one free() frees (also the strings). -EINVAL: a quote is not closed or a backslash
 * ends the line; ret_error then says it in words.
 */
int parse_words(const char *text, char ***ret_words, size_t *ret_count, const char **ret_error);

/*
 * The same quotes and backslashes, but blanks outside of them stay and nothing is split: for a
 * value that is one text. The caller frees *ret_text.
 */
int parse_unquote(const char *text, char **ret_text, const char **ret_error);
/*
 * Where a shell would see text as quoted. A struct of zeros is the start of a text. Returns true if
 * c means itself or ends a word, false if it is quoted, a quote, or a backslash that quotes the
 * next one.
 */
struct parse_quotes {
	char open;    /* the quote that is open, or 0 */
	bool escaped; /* the last character was a backslash that quotes the next one */
};
bool parse_quotes_step(struct parse_quotes *quotes, char c);

/* Writes a duration for people ("1.5 s", "6 s", "2 min", "350 ms") into text; returns text. */
char *parse_format_duration(usec_t usec, char *text, size_t size);
/* Room enough for any duration in words. */
#define DURATION_TEXT_MAX 32
/* parse_format_duration() into memory of the calling expression. */
#define DURATION_TEXT(usec) \
	parse_format_duration((usec), (char[DURATION_TEXT_MAX]){0}, DURATION_TEXT_MAX)

/* Bytes of the valid UTF-8 character (RFC 3629) that text begins with: 1..4, or 0 if it begins with
 * none. */
size_t parse_utf8(const char *text, size_t len);
/* The same, but 0 for control characters too (C0, DEL, C1), which make terminals do things. */
size_t parse_printable(const char *text, size_t len);
/* Copies what others wrote into a line for people: whole characters only, control characters as
 * blanks, as much as fits into size, up to the first byte that is no UTF-8. */
void parse_copy_line(const char *text, size_t len, char *line, size_t size);

/*
 * The candidate nearest to word, or NULL if none is near enough to be a likely slip
 * (Damerau-Levenshtein, at most a third of the word's length and at most 3).
 */
const char *parse_suggest(const char *word, const char *const *candidates, size_t count);

#endif
