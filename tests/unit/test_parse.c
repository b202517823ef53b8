/* test_parse.c - text to values: each form that is taken, each that is refused, and the way back.
 */
#include "unit.h"

#include <signal.h>

#include "base/fd.h"
#include "base/parse.h"

static void test_uint(void **state)
{
	static const struct {
		const char *text;
		uint64_t min, max;
		int r;
		uint64_t value;
	} rows[] = {
	    {"0", 0, 10, 0, 0},
	    {"10", 0, 10, 0, 10},
	    {"007", 0, 10, 0, 7},
	    {"18446744073709551615", 0, UINT64_MAX, 0, UINT64_MAX},
	    {"18446744073709551616", 0, UINT64_MAX, -ERANGE, 0},
	    {"99999999999999999999999", 0, UINT64_MAX, -ERANGE, 0},
	    {"99999999999999999999999x", 0, UINT64_MAX, -EINVAL, 0},
	    {"11", 0, 10, -ERANGE, 0},
	    {"4", 5, 10, -ERANGE, 0},
	    {"", 0, 10, -EINVAL, 0},
	    {" 1", 0, 10, -EINVAL, 0},
	    {"1 ", 0, 10, -EINVAL, 0},
	    {"+1", 0, 10, -EINVAL, 0},
	    {"-1", 0, 10, -EINVAL, 0},
	    {"0x1", 0, 10, -EINVAL, 0},
	    {"1.5", 0, 10, -EINVAL, 0},
	};
	uint64_t value;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		value = 4711;
		assert_int_equal(parse_uint(rows[i].text, rows[i].min, rows[i].max, &value),
				 rows[i].r);
		assert_true(value == (rows[i].r == 0 ? rows[i].value : 4711));
	}
}

static void test_octal(void **state)
{
	static const struct {
		const char *text;
		int r;
		unsigned value;
	} rows[] = {
	    {"0022", 0, 0022}, {"660", 0, 0660},      {"7777", 0, 07777},
	    {"0", 0, 0},       {"10000", -ERANGE, 0}, {"77777777777777777777777777", -ERANGE, 0},
	    {"8", -EINVAL, 0}, {"08", -EINVAL, 0},    {"rw-", -EINVAL, 0},
	    {"", -EINVAL, 0},  {"-1", -EINVAL, 0},
	};
	unsigned value;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		value = 4711;
		assert_int_equal(parse_octal(rows[i].text, &value), rows[i].r);
		assert_int_equal(value, rows[i].r == 0 ? rows[i].value : 4711);
	}
}

static void test_duration(void **state)
{
	static const struct {
		const char *text;
		int r;
		usec_t usec;
	} rows[] = {
	    {"0", 0, 0},
	    {"0s", 0, 0},
	    {"10us", 0, 10},
	    {"500ms", 0, 500000},
	    {"7s", 0, 7000000},
	    {"7 s", 0, 7000000},
	    {"7sec", 0, 7000000},
	    {"2min", 0, 120000000},
	    {"2m", 0, 120000000},
	    {"1h", 0, UINT64_C(3600000000)},
	    {"1d", 0, UINT64_C(86400000000)},
	    {"1min 30s", 0, 90000000},
	    {"1min30s", 0, 90000000},
	    {"1h 1h", 0, UINT64_C(7200000000)},
	    {"1.5s", 0, 1500000},
	    {"0.000001s", 0, 1},
	    {"0.0000001s", 0, 0},
	    {"1.25min", 0, 75000000},
	    {"infinity", 0, USEC_INFINITY},
	    {"5", -EINVAL, 0},
	    {"00", -EINVAL, 0},
	    {"1.5", -EINVAL, 0},
	    {"", -EINVAL, 0},
	    {" ", -EINVAL, 0},
	    {"s", -EINVAL, 0},
	    {"5 parsecs", -EINVAL, 0},
	    {"5S", -EINVAL, 0},
	    {"-5s", -EINVAL, 0},
	    {"5s-", -EINVAL, 0},
	    {"1.s", -EINVAL, 0},
	    {".5s", -EINVAL, 0},
	    {"1..5s", -EINVAL, 0},
	    {"5s 5", -EINVAL, 0},
	    {"5s infinity", -EINVAL, 0},
	    {"Infinity", -EINVAL, 0},
	    {"999999999999d", -ERANGE, 0},
	    {"99999999999999999999999999s", -ERANGE, 0},
	    {"106751991d 106751991d 106751991d", -ERANGE, 0},
	};
	usec_t usec;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		usec = 4711;
		if (parse_duration(rows[i].text, &usec) != rows[i].r)
			fail_msg("'%s'", rows[i].text);
		if (usec != (rows[i].r == 0 ? rows[i].usec : 4711))
			fail_msg("'%s' is %llu", rows[i].text, (unsigned long long)usec);
	}
}

static void test_size(void **state)
{
	static const struct {
		const char *text;
		int r;
		uint64_t bytes;
	} rows[] = {
	    {"0", 0, 0},
	    {"4096", 0, 4096},
	    {"64K", 0, 65536},
	    {"512M", 0, UINT64_C(512) << 20},
	    {"1G", 0, UINT64_C(1) << 30},
	    {"2T", 0, UINT64_C(2) << 40},
	    {"infinity", 0, UINT64_MAX},
	    {"16777215T", 0, UINT64_C(16777215) << 40},
	    {"16777216T", -ERANGE, 0},
	    {"18446744073709551615", -ERANGE, 0},
	    {"18446744073709551616", -ERANGE, 0},
	    {"", -EINVAL, 0},
	    {"K", -EINVAL, 0},
	    {"64k", -EINVAL, 0},
	    {"64KB", -EINVAL, 0},
	    {"64 K", -EINVAL, 0},
	    {"1.5G", -EINVAL, 0},
	    {"-1", -EINVAL, 0},
	};
	uint64_t bytes;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		bytes = 4711;
		if (parse_size(rows[i].text, &bytes) != rows[i].r)
			fail_msg("'%s'", rows[i].text);
		assert_true(bytes == (rows[i].r == 0 ? rows[i].bytes : 4711));
	}
}

static void test_bool(void **state)
{
	static const char *const yes[] = {"yes", "true", "on", "1", "YES", "y", "t"};
	static const char *const no[] = {"no", "false", "off", "0", "No", "n", "f"};
	static const char *const neither[] = {"", "maybe", "2", "yes ", "enabled"};
	bool value;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		value = false;
		assert_int_equal(parse_bool(yes[i], &value), 0);
		assert_true(value);
		assert_int_equal(parse_bool(no[i], &value), 0);
		assert_false(value);
	}
	for (size_t i = 0; i < ARRAY_LEN(neither); i++)
		assert_int_equal(parse_bool(neither[i], &value), -EINVAL);
}

static void test_percent(void **state)
{
	unsigned value = 4711;

	(void)state;
	assert_int_equal(parse_percent("25%", &value), 0);
	assert_int_equal(value, 25);
	assert_int_equal(parse_percent("10000%", &value), 0);
	assert_int_equal(value, 10000);
	assert_int_equal(parse_percent("10001%", &value), -ERANGE);
	assert_int_equal(parse_percent("25", &value), -EINVAL);
	assert_int_equal(parse_percent("%", &value), -EINVAL);
	assert_int_equal(parse_percent("25 %", &value), -EINVAL);
	assert_int_equal(parse_percent("2.5%", &value), -EINVAL);
	assert_int_equal(parse_percent("25%%", &value), -EINVAL);
	assert_int_equal(value, 10000);
}

static void test_signal(void **state)
{
	static const struct {
		const char *text;
		int r, sig;
	} rows[] = {
	    {"SIGTERM", 0, SIGTERM},
	    {"TERM", 0, SIGTERM},
	    {"15", 0, 15},
	    {"SIGQUIT", 0, SIGQUIT},
	    {"SIGSYS", 0, SIGSYS},
	    {"1", 0, 1},
	    {"64", 0, 64},
	    {"0", -ERANGE, 0},
	    {"65", -ERANGE, 0},
	    {"", -EINVAL, 0},
	    {"SIG", -EINVAL, 0},
	    {"sigterm", -EINVAL, 0},
	    {"SIGTREM", -EINVAL, 0},
	    {"-9", -EINVAL, 0},
	    {"SIGSIGTERM", -EINVAL, 0},
	    {"SIGRTMIN+99", -EINVAL, 0},
	    {"SIGRTMIN+", -EINVAL, 0},
	    {"SIGRTMIN+1x", -EINVAL, 0},
	};
	int sig;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		sig = 4711;
		if (parse_signal(rows[i].text, &sig) != rows[i].r)
			fail_msg("'%s'", rows[i].text);
		assert_int_equal(sig, rows[i].r == 0 ? rows[i].sig : 4711);
	}
	assert_int_equal(parse_signal("SIGRTMIN+3", &sig), 0);
	assert_int_equal(sig, SIGRTMIN + 3);
	assert_int_equal(parse_signal("RTMAX-1", &sig), 0);
	assert_int_equal(sig, SIGRTMAX - 1);
	assert_int_equal(parse_signal("SIGRTMAX", &sig), 0);
	assert_int_equal(sig, SIGRTMAX);
}

static void test_signal_names_come_back(void **state)
{
	int sig, back;

	(void)state;
	for (sig = 1; sig <= SIGRTMAX; sig++) {
		if (sig >= 32 && sig < SIGRTMIN)
			continue; /* libc keeps these for itself */
		assert_int_equal(parse_signal(parse_signal_name(sig), &back), 0);
		assert_int_equal(back, sig);
	}
	assert_string_equal(parse_signal_name(SIGTERM), "SIGTERM");
	assert_string_equal(parse_signal_name(SIGRTMIN + 3), "SIGRTMIN+3");
	assert_string_equal(parse_signal_name(99), "signal 99");
	assert_string_equal(parse_signal_name(0), "signal 0");
	assert_string_equal(parse_signal_name(-1), "signal -1");
}

/* Words are compared as "a|b|c". */
static void test_words(void **state)
{
	static const struct {
		const char *text, *words;
	} rows[] = {
	    {"", ""},
	    {" \t ", ""},
	    {"a", "a"},
	    {"  a  b\tc ", "a|b|c"},
	    {"'a b' \"c d\"", "a b|c d"},
	    {"a'b'\"c\"d", "abcd"},
	    {"'' \"\"", "|"},
	    {"sh -c \"a ; b\"", "sh|-c|a ; b"},
	    {"'a\\b'", "a\\b"},
	    {"\"a\\b\"", "a\\b"},
	    {"\"a\\\"b\\\\c\\$d\\`e\"", "a\"b\\c$d`e"},
	    {"a\\ b\\\\c\\'d", "a b\\c'd"},
	    {"'it'\\''s'", "it's"},
	    {"$HOME `x` *.c ~", "$HOME|`x`|*.c|~"},
	    {"a\\\nb", "ab"},
	    {"\"a\\\nb\"", "ab"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup_free char **words = NULL;
		char joined[256] = "";
		size_t n = 99, j;

		assert_int_equal(parse_words(rows[i].text, &words, &n, NULL), 0);
		for (j = 0; j < n; j++) {
			if (j > 0)
				strcat(joined, "|");
			strcat(joined, words[j]);
		}
		assert_null(words[n]);
		assert_string_equal(joined, rows[i].words);
	}
}

static void test_words_refused(void **state)
{
	static const struct {
		const char *text, *error;
	} rows[] = {
	    {"a 'b", "a single quote (') is not closed"},
	    {"a \"b", "a double quote (\") is not closed"},
	    {"a \"b\\\"", "a double quote (\") is not closed"},
	    {"a \\", "a backslash ends the line"},
	    {"\"\\", "a double quote (\") is not closed"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char **words = NULL, *plain = NULL;
		const char *error = NULL;
		size_t n = 99;

		assert_int_equal(parse_words(rows[i].text, &words, &n, &error), -EINVAL);
		assert_string_equal(error, rows[i].error);
		assert_null(words);
		assert_int_equal(n, 99);
		error = NULL;
		assert_int_equal(parse_unquote(rows[i].text, &plain, &error), -EINVAL);
		assert_string_equal(error, rows[i].error);
		assert_null(plain);
	}
}

static void test_unquote(void **state)
{
	static const struct {
		const char *text, *plain;
	} rows[] = {
	    {"", ""},	    {"a  b", "a  b"}, {"\"a ; b\" c", "a ; b c"}, {"'a'b\\ c", "ab c"},
	    {"\\\"", "\""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup_free char *plain = NULL;

		assert_int_equal(parse_unquote(rows[i].text, &plain, NULL), 0);
		assert_string_equal(plain, rows[i].plain);
	}
}

/* What the splitter takes for the end of a word is what the stepper calls a plain blank. */
static void test_quotes_step_agrees_with_words(void **state)
{
	static const char letters[] = "ab '\"\\";
	uint64_t seed = unit_seed();
	char text[16];

	(void)state;
	for (int round = 0; round < 200000; round++) {
		struct parse_quotes quotes = {.open = '\0'};
		cleanup_free char **words = NULL;
		size_t len = unit_random(&seed, sizeof(text)), n = 0, counted = 0;
		bool in_word = false, plain;
		int r;

		for (size_t i = 0; i < len; i++)
			text[i] = letters[unit_random(&seed, sizeof(letters) - 1)];
		text[len] = '\0';
		for (size_t i = 0; i < len; i++) {
			plain = parse_quotes_step(&quotes, text[i]);
			if (plain && text[i] == ' ') {
				in_word = false;
			} else if (!in_word) {
				in_word = true;
				counted++;
			}
		}
		r = parse_words(text, &words, &n, NULL);
		if ((r == 0) != (quotes.open == '\0' && !quotes.escaped) ||
		    (r == 0 && n != counted))
			fail_msg("text '%s': %d, %zu and %zu words", text, r, n, counted);
	}
}

static void test_format_size(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} rows[] = {
	    {0, "0"},
	    {17, "17"},
	    {1023, "1023"},
	    {1024, "1K"},
	    {1536, "1.5K"},
	    {64 << 20, "64M"},
	    {(64 << 20) + 1, "64M"},
	    {(99 << 20) + (999 << 10), "99.9M"},
	    {(100 << 20) + (999 << 10), "100M"},
	    {(1 << 30) - 1, "1023M"},
	    {5ULL << 40, "5T"},
	    {UINT64_MAX - 1, "16777215T"},
	    {UINT64_MAX, "infinity"},
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_string_equal(SIZE_TEXT(rows[i].bytes), rows[i].text);
}

static void test_format_duration(void **state)
{
	static const struct {
		usec_t usec;
		const char *text;
	} rows[] = {
	    {0, "0 s"},
	    {1, "1 us"},
	    {999, "999 us"},
	    {1000, "1 ms"},
	    {1500, "1.5 ms"},
	    {350000, "350 ms"},
	    {999999, "999 ms"},
	    {1495, "1.49 ms"},
	    {12345678, "12.3 s"},
	    {10050000, "10 s"},
	    {1000000, "1 s"},
	    {1500000, "1.5 s"},
	    {6000000, "6 s"},
	    {59999999, "59.9 s"},
	    {60000000, "1 min"},
	    {120000000, "2 min"},
	    {125000000, "2 min 5 s"},
	    {UINT64_C(3600000000), "1 h"},
	    {UINT64_C(12000000000), "3 h 20 min"},
	    {UINT64_C(86400000000), "1 d"},
	    {UINT64_C(90000000000), "1 d 1 h"},
	    {UINT64_C(86459000000), "1 d"},
	    {USEC_INFINITY - 1, "213503982 d 8 h"},
	    {USEC_INFINITY, "infinity"},
	};
	char tiny[4];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_string_equal(DURATION_TEXT(rows[i].usec), rows[i].text);
	assert_string_equal(parse_format_duration(125000000, tiny, sizeof(tiny)), "2 m");
}

static void test_suggest(void **state)
{
	static const char *const words[] = {"drain_timeout", "stop_timeout", "workers",
					    "user",	     "restart",	     "restart_delay"};
	static const struct {
		const char *word, *near;
	} rows[] = {
	    {"drain_timout", "drain_timeout"},
	    {"drian_timeout", "drain_timeout"},
	    {"worker", "workers"},
	    {"wrokers", "workers"},
	    {"usr", "user"},
	    {"users", "user"},
	    {"restart-delay", "restart_delay"},
	    {"restrat", "restart"},
	    {"u", NULL},
	    {"", NULL},
	    {"colour", NULL},
	    {"timeout", NULL},
	    {"workersworkersworkersworkersworkersworkersworkersworkersworkersworkers", NULL},
	};
	const char *near;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		near = parse_suggest(rows[i].word, words, ARRAY_LEN(words));
		if (near == NULL || rows[i].near == NULL)
			assert_ptr_equal(near, rows[i].near);
		else
			assert_string_equal(near, rows[i].near);
	}
	assert_null(parse_suggest("user", NULL, 0));
}

static void test_utf8(void **state)
{
	static const struct {
		const char *text;
		size_t len, n;
	} rows[] = {
	    {"", 0, 0},
	    {"a", 1, 1},
	    {"\xc3\xa4", 2, 2},
	    {"\xc3", 1, 0},
	    {"\xc3(", 2, 0},
	    {"\xc1\x81", 2, 0}, /* longer than needed */
	    {"\xe2\x82\xac", 3, 3},
	    {"\xe2\x82", 2, 0},
	    {"\xe0\x80\x80", 3, 0},
	    {"\xed\xa0\x80", 3, 0}, /* a surrogate */
	    {"\xf0\x9f\x98\x80", 4, 4},
	    {"\xf0\x80\x80\x80", 4, 0},
	    {"\xf4\x90\x80\x80", 4, 0}, /* above U+10FFFF */
	    {"\xff", 1, 0},
	    {"\x80", 1, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(parse_utf8(rows[i].text, rows[i].len), rows[i].n);
}

static void test_printable(void **state)
{
	static const struct {
		const char *text;
		size_t len, n;
	} rows[] = {
	    {"", 0, 0},
	    {" ", 1, 1},
	    {"~", 1, 1},
	    {"\t", 1, 0},
	    {"\x1f", 1, 0},
	    {"\x7f", 1, 0},
	    {"\0", 1, 0},
	    {"\xc2\x80", 2, 0},
	    {"\xc2\x9f", 2, 0},
	    {"\xc2\xa0", 2, 2},
	    {"\xc3\x9f", 2, 2},
	    {"\xe2\x82\xac", 3, 3},
	    {"\xc2", 1, 0},
	    {"\xed\xa0\x80", 3, 0},
	    {"\xf0\x9f\x98\x80", 4, 4},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(parse_printable(rows[i].text, rows[i].len), rows[i].n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_uint),
	    cmocka_unit_test(test_octal),
	    cmocka_unit_test(test_duration),
	    cmocka_unit_test(test_size),
	    cmocka_unit_test(test_bool),
	    cmocka_unit_test(test_percent),
	    cmocka_unit_test(test_signal),
	    cmocka_unit_test(test_signal_names_come_back),
	    cmocka_unit_test(test_words),
	    cmocka_unit_test(test_words_refused),
	    cmocka_unit_test(test_unquote),
	    cmocka_unit_test(test_quotes_step_agrees_with_words),
	    cmocka_unit_test(test_format_size),
	    cmocka_unit_test(test_format_duration),
	    cmocka_unit_test(test_suggest),
	    cmocka_unit_test(test_utf8),
	    cmocka_unit_test(test_printable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
