/* parse_time.c - durations to microseconds, and microseconds to words for people. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"

static const struct {
	const char *name;
	usec_t usec;
} units[] = {
    {"us", 1},
    {"usec", 1},
    {"ms", USEC_PER_MSEC},
    {"msec", USEC_PER_MSEC},
    {"s", USEC_PER_SEC},
    {"sec", USEC_PER_SEC},
    {"min", 60 * USEC_PER_SEC},
    {"m", 60 * USEC_PER_SEC},
    {"h", 3600 * USEC_PER_SEC},
    {"hr", 3600 * USEC_PER_SEC},
    {"d", 86400 * USEC_PER_SEC},
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Reads a unit's name and leaves *p behind it. 0: there is no such unit. */
static usec_t read_unit(const char **p)
{
	size_t len = strspn(*p, "abcdefghijklmnopqrstuvwxyz"), i;

	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strlen(units[i].name) == len && memcmp(units[i].name, *p, len) == 0) {
			*p += len;
			return units[i].usec;
		}
	}
	return 0;
}

/* Up to six decimals count: a microsecond is the smallest there is. Returns millionths. */
static uint64_t read_decimals(const char **p)
{
	uint64_t millionths = 0, weight = 100000;

	for (; is_digit(**p); (*p)++) {
		millionths += (uint64_t)(**p - '0') * weight;
		weight /= 10;
	}
	return millionths;
}

/* One "1.5min" of a sum; adds it to *sum. */
static int add_term(const char **p, usec_t *sum)
{
	uint64_t whole = 0, millionths = 0;
	usec_t unit, part;

	if (!is_digit(**p))
		return -EINVAL;
	for (; is_digit(**p); (*p)++) {
		if (whole > UINT64_MAX / 100)
			return -ERANGE;
		whole = whole * 10 + (uint64_t)(**p - '0');
	}
	if (**p == '.') {
		(*p)++;
		if (!is_digit(**p))
			return -EINVAL;
		millionths = read_decimals(p);
	}
	*p += strspn(*p, " \t");
	unit = read_unit(p);
	if (unit == 0)
		return -EINVAL;
	/* "Never" has a word of its own; a number must not come near it by accident. */
	if (whole > (USEC_INFINITY / 2 - *sum) / unit)
		return -ERANGE;
	/* A day is 8.64e10 us and there are fewer than 1e6 millionths: this fits in 64 bits. */
	part = whole * unit + unit * millionths / 1000000;
	if (part > USEC_INFINITY / 2 - *sum)
		return -ERANGE;
	*sum += part;
	return 0;
}

int parse_duration(const char *text, usec_t *ret_usec)
{
	const char *p = text;
	usec_t sum = 0;
	int r;

	if (strcmp(text, "infinity") == 0 || strcmp(text, "0") == 0) {
		*ret_usec = *text == '0' ? 0 : USEC_INFINITY;
		return 0;
	}
	do {
		r = add_term(&p, &sum);
		if (r < 0)
			return r;
		p += strspn(p, " \t");
	} while (*p != '\0');
	*ret_usec = sum;
	return 0;
}

/* value with up to three decimals of `per`, without zeros at the end: 1500 per 1000 is "1.5". */
/* Three digits tell all that a person wants to know: "1.49 ms", "12.3 s", "498 ms". */
static void format_decimal(usec_t usec, usec_t per, const char *unit, char *text, size_t size)
{
	usec_t whole = usec / per;
	int digits = whole >= 100 ? 0 : (whole >= 10 ? 1 : 2);
	unsigned hundredths = (unsigned)(usec % per * 100 / per);
	char decimals[8] = "";

	if (digits > 0) {
		snprintf(decimals, sizeof(decimals), ".%02u", hundredths);
		decimals[1 + digits] = '\0';
		while (decimals[0] != '\0' && strchr(".0", decimals[strlen(decimals) - 1]) != NULL)
			decimals[strlen(decimals) - 1] = '\0';
	}
	snprintf(text, size, "%llu%s %s", (unsigned long long)whole, decimals, unit);
}

/* Two units are precise enough from a minute on: "2 min 5 s", "3 h 20 min". */
static void format_long(usec_t seconds, char *text, size_t size)
{
	static const struct {
		usec_t seconds;
		const char *name;
	} parts[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
	size_t i = 0;
	usec_t rest;
	int n;

	while (seconds < parts[i].seconds)
		i++;
	n = snprintf(text, size, "%llu %s", (unsigned long long)(seconds / parts[i].seconds),
		     parts[i].name);
	rest = seconds % parts[i].seconds / parts[i + 1].seconds;
	if (rest != 0 && n > 0 && (size_t)n < size)
		snprintf(text + n, size - (size_t)n, " %llu %s", (unsigned long long)rest,
			 parts[i + 1].name);
}

char *parse_format_duration(usec_t usec, char *text, size_t size)
{
	if (usec == USEC_INFINITY)
		snprintf(text, size, "infinity");
	else if (usec == 0)
		snprintf(text, size, "0 s");
	else if (usec < USEC_PER_MSEC)
		snprintf(text, size, "%llu us", (unsigned long long)usec);
	else if (usec < USEC_PER_SEC)
		format_decimal(usec, USEC_PER_MSEC, "ms", text, size);
	else if (usec < 60 * USEC_PER_SEC)
		format_decimal(usec, USEC_PER_SEC, "s", text, size);
	else
		format_long(usec / USEC_PER_SEC, text, size);
	return text;
}
