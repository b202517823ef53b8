/* config_types.c - the plain types of keys: numbers, durations, sizes, choices, names, paths. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/parse.h"
#include "system/config_internal.h"

/* Choices are read through unsigned. */
_Static_assert(sizeof(enum log_level) == sizeof(unsigned) &&
		   sizeof(enum restart_policy) == sizeof(unsigned),
	       "an enum is as large as unsigned here");

static int out_of_range(const struct key *key, const char *text, struct buf *why)
{
	buf_printf(why, "must be between %s and %s, but is %.60s", key->least, key->most, text);
	return -EINVAL;
}

/* Whole numbers, also negative ones. Limits come from the table, so they can be read. */
static int parse_integer(const char *text, long *ret_value)
{
	bool negative = *text == '-';
	uint64_t value;
	int r;

	r = parse_uint(text + negative, 0, LONG_MAX, &value);
	if (r < 0)
		return r;
	*ret_value = negative ? -(long)value : (long)value;
	return 0;
}

/* A number within the table's limits. */
static int read_limited(const struct key *key, const char *text, long *ret_value, struct buf *why)
{
	long value = 0, least = 0, most = 0;
	int r = parse_integer(text, &value);

	if (r == -EINVAL) {
		buf_printf(why, "%s is not a whole number", QUOTE(text));
		return r;
	}
	parse_integer(key->least, &least);
	parse_integer(key->most, &most);
	if (r < 0 || value < least || value > most)
		return out_of_range(key, text, why);
	*ret_value = value;
	return 0;
}

static int read_number(const struct key *key, const char *text, void *object, struct buf *why)
{
	long value;
	int r = read_limited(key, text, &value, why);

	if (r == 0)
		*FIELD(unsigned, key, object) = (unsigned)value;
	return r;
}

static void show_number(const struct key *key, const void *object, struct buf *out)
{
	buf_printf(out, "%u", *FIELD_CONST(unsigned, key, object));
}

const struct key_type type_number = {.read = read_number, .show = show_number};

static int read_integer(const struct key *key, const char *text, void *object, struct buf *why)
{
	long value;
	int r = read_limited(key, text, &value, why);

	if (r == 0)
		*FIELD(int, key, object) = (int)value;
	return r;
}

static void show_integer(const struct key *key, const void *object, struct buf *out)
{
	int value = *FIELD_CONST(int, key, object);

	if (value != CONFIG_UNSET)
		buf_printf(out, "%d", value);
}

const struct key_type type_integer = {.read = read_integer, .show = show_integer};

/* Does the type in words allow this one? */
static bool allows(const struct key *key, const char *word)
{
	return key_choice_find(key->info.type, word) >= 0;
}

static int explain_duration(const char *text, struct buf *why)
{
	uint64_t number;

	if (parse_uint(text, 0, UINT64_MAX, &number) == 0)
		buf_printf(why, "%s has no unit; write %ss or %sms", QUOTE(text), text, text);
	else
		buf_printf(why, "%s is not a duration such as 500ms, 7s, 2min or 1h", QUOTE(text));
	return -EINVAL;
}

static int read_duration(const struct key *key, const char *text, void *object, struct buf *why)
{
	usec_t value = 0, least = 0, most = 0;
	int r;

	if (allows(key, "off") && (strcmp(text, "off") == 0 || strcmp(text, "0") == 0)) {
		*FIELD(usec_t, key, object) = 0;
		return 0;
	}
	r = parse_duration(text, &value);
	if (r == -EINVAL)
		return explain_duration(text, why);
	parse_duration(key->least, &least);
	parse_duration(key->most, &most);
	if (r < 0 || value < least || value > most)
		return out_of_range(key, text, why);
	*FIELD(usec_t, key, object) = value;
	return 0;
}

void config_show_duration(usec_t usec, struct buf *out)
{
	static const struct {
		usec_t usec;
		const char *name;
	} units[] = {{86400 * USEC_PER_SEC, "d"}, {3600 * USEC_PER_SEC, "h"},
		     {60 * USEC_PER_SEC, "min"},  {USEC_PER_SEC, "s"},
		     {USEC_PER_MSEC, "ms"},	  {1, "us"}};
	const char *blank = "";
	size_t i;

	if (usec == 0 || usec == USEC_INFINITY) {
		buf_add_str(out, usec == 0 ? "0" : "infinity");
		return;
	}
	for (i = 0; i < ARRAY_LEN(units); i++) {
		if (usec < units[i].usec)
			continue;
		buf_printf(out, "%s%llu%s", blank, (unsigned long long)(usec / units[i].usec),
			   units[i].name);
		usec %= units[i].usec;
		blank = " ";
	}
}

static void show_duration(const struct key *key, const void *object, struct buf *out)
{
	usec_t value = *FIELD_CONST(usec_t, key, object);

	if (value == 0 && allows(key, "off"))
		buf_add_str(out, "off");
	else
		config_show_duration(value, out);
}

const struct key_type type_duration = {.read = read_duration, .show = show_duration};

static int read_size(const struct key *key, const char *text, void *object, struct buf *why)
{
	uint64_t value = 0, least = 0, most = 0;
	int r = parse_size(text, &value);

	if (r == -EINVAL) {
		buf_printf(why, "%s is not a size such as 4096, 64K, 512M or 1G", QUOTE(text));
		return r;
	}
	parse_size(key->least, &least);
	parse_size(key->most, &most);
	if (r < 0 || value < least || value > most)
		return out_of_range(key, text, why);
	*FIELD(uint64_t, key, object) = value;
	return 0;
}

/* 0 means "unset" wherever the table does not allow a 0. */
static void show_size(const struct key *key, const void *object, struct buf *out)
{
	uint64_t value = *FIELD_CONST(uint64_t, key, object);

	if (value == CONFIG_LIMIT_UNSET || (value == 0 && strcmp(key->least, "0") != 0))
		return;
	if (value == UINT64_MAX)
		buf_add_str(out, "infinity");
	else
		buf_printf(out, "%llu", (unsigned long long)value);
}

const struct key_type type_size = {.read = read_size, .show = show_size};

static int read_octal(const struct key *key, const char *text, void *object, struct buf *why)
{
	unsigned value = 0, most = 0;
	int r = parse_octal(text, &value);

	if (r == -EINVAL) {
		buf_printf(why, "%s is not an octal number such as 0660", QUOTE(text));
		return r;
	}
	parse_octal(key->most, &most);
	if (r < 0 || value > most)
		return out_of_range(key, text, why);
	*FIELD(unsigned, key, object) = value;
	return 0;
}

static void show_octal(const struct key *key, const void *object, struct buf *out)
{
	buf_printf(out, "%04o", *FIELD_CONST(unsigned, key, object));
}

const struct key_type type_octal = {.read = read_octal, .show = show_octal};

static int read_yes_no(const struct key *key, const char *text, void *object, struct buf *why)
{
	bool value;

	if (parse_bool(text, &value) < 0) {
		buf_printf(why, "%s is neither yes nor no", QUOTE(text));
		return -EINVAL;
	}
	*FIELD(bool, key, object) = value;
	return 0;
}

static void show_yes_no(const struct key *key, const void *object, struct buf *out)
{
	buf_add_str(out, *FIELD_CONST(bool, key, object) ? "yes" : "no");
}

const struct key_type type_yes_no = {.read = read_yes_no, .show = show_yes_no};

static int read_yes_no_unset(const struct key *key, const char *text, void *object, struct buf *why)
{
	bool value;

	if (parse_bool(text, &value) < 0) {
		buf_printf(why, "%s is neither yes nor no", QUOTE(text));
		return -EINVAL;
	}
	*FIELD(int, key, object) = value;
	return 0;
}

static void show_yes_no_unset(const struct key *key, const void *object, struct buf *out)
{
	int value = *FIELD_CONST(int, key, object);

	if (value >= 0)
		buf_add_str(out, value != 0 ? "yes" : "no");
}

const struct key_type type_yes_no_unset = {.read = read_yes_no_unset, .show = show_yes_no_unset};

const char *key_choice_get(const char *words, unsigned n, char text[static 32])
{
	size_t len;

	for (; n > 0 && *words != '\0'; n--) {
		words += strcspn(words, "|");
		words += strspn(words, "| ");
	}
	len = strcspn(words, " |");
	if (len > 31)
		len = 31;
	memcpy(text, words, len);
	text[len] = '\0';
	return text;
}

int key_choice_find(const char *words, const char *word)
{
	char choice[32];
	unsigned i;

	for (i = 0; *key_choice_get(words, i, choice) != '\0'; i++)
		if (strcmp(choice, word) == 0)
			return (int)i;
	return -1;
}

static int explain_choice(const char *words, const char *text, struct buf *why)
{
	enum { CHOICES_MAX = 8 };
	char choices[CHOICES_MAX][32];
	const char *list[CHOICES_MAX], *near;
	unsigned n;

	buf_printf(why, "%s is not one of ", QUOTE(text));
	for (n = 0; n < CHOICES_MAX && *key_choice_get(words, n, choices[n]) != '\0'; n++) {
		list[n] = choices[n];
		buf_printf(why, "%s%s", n > 0 ? ", " : "", choices[n]);
	}
	near = parse_suggest(text, list, n);
	if (near != NULL)
		buf_printf(why, "; did you mean '%s'?", near);
	return -EINVAL;
}

static int read_choice(const struct key *key, const char *text, void *object, struct buf *why)
{
	int i = key_choice_find(key->info.type, text);

	if (i < 0)
		return explain_choice(key->info.type, text, why);
	*FIELD(unsigned, key, object) = key->first + (unsigned)i;
	return 0;
}

static void show_choice(const struct key *key, const void *object, struct buf *out)
{
	char choice[32];

	buf_add_str(out, key_choice_get(key->info.type,
					*FIELD_CONST(unsigned, key, object) - key->first, choice));
}

const struct key_type type_choice = {.read = read_choice, .show = show_choice};
