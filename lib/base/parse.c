/* parse.c - text to values: numbers, octal numbers, booleans, percentages, UTF-8, and the nearest
 * word. */
#include "base/parse.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Digits of a base up to 10; *ret_end is where they end. No digit: -EINVAL; too large: -ERANGE. */
static int digits(const char *text, unsigned base, uint64_t *ret_value, const char **ret_end)
{
	uint64_t value = 0;
	const char *p;
	unsigned digit;

	for (p = text; *p >= '0' && *p < (char)('0' + base); p++) {
		digit = (unsigned)(*p - '0');
		if (value > (UINT64_MAX - digit) / base)
			return -ERANGE;
		value = value * base + digit;
	}
	if (p == text)
		return -EINVAL;
	*ret_value = value;
	*ret_end = p;
	return 0;
}

static int whole_number(const char *text, unsigned base, uint64_t *ret_value)
{
	const char *end;
	uint64_t value;
	int r;

	/* "1x" is no number, also where its digits alone would be too large for one. */
	if (text[strspn(text, base == 8 ? "01234567" : "0123456789")] != '\0')
		return -EINVAL;
	r = digits(text, base, &value, &end);
	if (r == 0)
		*ret_value = value;
	return r;
}

int parse_uint(const char *text, uint64_t min, uint64_t max, uint64_t *ret_value)
{
	uint64_t value = 0;
	int r = whole_number(text, 10, &value);

	if (r < 0)
		return r;
	if (value < min || value > max)
		return -ERANGE;
	*ret_value = value;
	return 0;
}

int parse_octal(const char *text, unsigned *ret_value)
{
	uint64_t value = 0;
	int r = whole_number(text, 8, &value);

	if (r < 0)
		return r;
	if (value > 07777)
		return -ERANGE;
	*ret_value = (unsigned)value;
	return 0;
}

int parse_bool(const char *text, bool *ret_value)
{
	static const char *const yes[] = {"1", "yes", "y", "true", "t", "on"};
	static const char *const no[] = {"0", "no", "n", "false", "f", "off"};
	size_t i;

	for (i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		if (strcasecmp(text, yes[i]) == 0) {
			*ret_value = true;
			return 0;
		}
		if (strcasecmp(text, no[i]) == 0) {
			*ret_value = false;
			return 0;
		}
	}
	return -EINVAL;
}

int parse_percent(const char *text, unsigned *ret_percent)
{
	const char *end;
	uint64_t value;
	int r = digits(text, 10, &value, &end);

	if (r < 0)
		return r;
	if (strcmp(end, "%") != 0)
		return -EINVAL;
	if (value > 10000)
		return -ERANGE;
	*ret_percent = (unsigned)value;
	return 0;
}

/* A multiplier of 1024s for a size's unit letter, or -1. */
static int size_shift(const char *unit)
{
	static const char letters[] = "KMGT";
	const char *p;

	if (unit[0] == '\0')
		return 0;
	p = strchr(letters, unit[0]);
	if (p == NULL || unit[1] != '\0')
		return -1;
	return (int)(p - letters + 1) * 10;
}

int parse_size(const char *text, uint64_t *ret_bytes)
{
	const char *end;
	uint64_t value;
	int r, shift;

	if (strcmp(text, "infinity") == 0) {
		*ret_bytes = UINT64_MAX;
		return 0;
	}
	r = digits(text, 10, &value, &end);
	if (r < 0)
		return r;
	shift = size_shift(end);
	if (shift < 0)
		return -EINVAL;
	if (value > (UINT64_MAX - 1) >> shift)
		return -ERANGE;
	*ret_bytes = value << shift;
	return 0;
}

char *parse_format_size(uint64_t bytes, char *text, size_t size)
{
	static const char letters[] = "KMGT";
	uint64_t unit = 1, tenths;
	int n = -1;

	if (bytes == UINT64_MAX) {
		snprintf(text, size, "infinity");
		return text;
	}
	while (bytes / unit >= 1024 && n < (int)sizeof(letters) - 2) {
		unit *= 1024;
		n++;
	}
	tenths = bytes % unit * 10 / unit;
	if (tenths > 0 && bytes / unit < 100)
		snprintf(text, size, "%llu.%llu%c", (unsigned long long)(bytes / unit),
			 (unsigned long long)tenths, letters[n]);
	else
		snprintf(text, size, "%llu%.1s", (unsigned long long)(bytes / unit),
			 n >= 0 ? &letters[n] : "");
	return text;
}

static bool is_continuation(const char *text, size_t i, size_t len)
{
	return i < len && ((unsigned char)text[i] & 0xc0) == 0x80;
}

size_t parse_utf8(const char *text, size_t len)
{
	unsigned char c, second;

	if (len == 0)
		return 0;
	c = (unsigned char)text[0];
	if (c < 0x80)
		return 1;
	if (!is_continuation(text, 1, len))
		return 0;
	second = (unsigned char)text[1];
	if (c >= 0xc2 && c <= 0xdf)
		return 2;
	if (c >= 0xe0 && c <= 0xef && is_continuation(text, 2, len)) {
		/* Neither longer than needed nor a surrogate. */
		if ((c == 0xe0 && second < 0xa0) || (c == 0xed && second > 0x9f))
			return 0;
		return 3;
	}
	if (c >= 0xf0 && c <= 0xf4 && is_continuation(text, 2, len) &&
	    is_continuation(text, 3, len)) {
		if ((c == 0xf0 && second < 0x90) || (c == 0xf4 && second > 0x8f))
			return 0;
		return 4;
	}
	return 0;
}

size_t parse_printable(const char *text, size_t len)
{
	size_t n = parse_utf8(text, len);
	unsigned char c = n > 0 ? (unsigned char)text[n == 2 ? 1 : 0] : 0;

	if (n == 1)
		return c < 0x20 || c == 0x7f ? 0 : 1;
	/* U+0080 to U+009F are the two bytes 0xc2 0x80 to 0xc2 0x9f. */
	return n == 2 && text[0] == '\xc2' && c < 0xa0 ? 0 : n;
}

void parse_copy_line(const char *text, size_t len, char *line, size_t size)
{
	size_t out = 0, n;

	for (size_t i = 0; i < len; i += n) {
		size_t keep = parse_printable(text + i, len - i);

		n = keep > 0 ? keep : parse_utf8(text + i, len - i);
		if (n == 0 || out + n >= size)
			break;
		if (keep > 0)
			memcpy(line + out, text + i, keep);
		else
			line[out] = ' ';
		out += keep > 0 ? keep : 1;
	}
	line[out] = '\0';
}

enum { SUGGEST_WORD_MAX = 64 };

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned m = a < b ? a : b;

	return m < c ? m : c;
}

/* Damerau-Levenshtein distance (optimal string alignment): the slips of a hand are swaps as often
 * as misses. */
static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	unsigned rows[3][SUGGEST_WORD_MAX + 1], *older = rows[0], *old = rows[1], *row = rows[2],
						*spare;
	size_t i, j;

	for (j = 0; j <= b_len; j++)
		old[j] = (unsigned)j;
	for (i = 1; i <= a_len; i++) {
		row[0] = (unsigned)i;
		for (j = 1; j <= b_len; j++) {
			row[j] =
			    min3(old[j] + 1, row[j - 1] + 1, old[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    older[j - 2] + 1 < row[j])
				row[j] = older[j - 2] + 1;
		}
		spare = older;
		older = old;
		old = row;
		row = spare;
	}
	return old[b_len];
}

const char *parse_suggest(const char *word, const char *const *candidates, size_t count)
{
	const char *best = NULL;
	size_t len = strlen(word), i, candidate_len;
	unsigned best_distance, d;

	if (len > SUGGEST_WORD_MAX)
		return NULL;
	best_distance = len / 3 > 3 ? 4 : (unsigned)(len / 3) + 1;
	for (i = 0; i < count; i++) {
		candidate_len = strlen(candidates[i]);
		if (candidate_len > SUGGEST_WORD_MAX)
			continue;
		d = distance(word, len, candidates[i], candidate_len);
		if (d < best_distance) {
			best_distance = d;
			best = candidates[i];
		}
	}
	return best;
}
