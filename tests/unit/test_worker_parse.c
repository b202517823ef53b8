/* test_worker_parse.c - libhandover's parser of messages: tables, and every cut and every change of
 * a byte of a good one. */
#include "unit.h"

#include "base/fd.h"
#include "worker/handover_internal.h"

struct row {
	const char *text;
	enum worker_kind kind;
	enum handover_reason reason;
	uint64_t deadline;
	const char *names; /* each followed by '|' */
};

#define OTHER HANDOVER_REASON_OTHER

static const struct row understood[] = {
    {"{\"version\":1,\"kind\":\"sockets\",\"names\":[\"web\",\"admin\"]}", WORKER_SOCKETS, OTHER,
     UINT64_MAX, "web|admin|"},
    {"{\"version\":1,\"kind\":\"sockets\",\"names\":[]}", WORKER_SOCKETS, OTHER, UINT64_MAX, ""},
    {" { \"names\" : [ \"a\" , \"b\" ] ,\n\"kind\":\t\"sockets\", \"version\" : 1 } \r\n",
     WORKER_SOCKETS, OTHER, UINT64_MAX, "a|b|"},
    {"{\"version\":1,\"kind\":\"lameduck\",\"deadline_usec\":0}", WORKER_LAME_DUCK, OTHER, 0, ""},
    {"{\"version\":1,\"kind\":\"drain\",\"reason\":\"reload\",\"deadline_usec\":123456}",
     WORKER_DRAIN, HANDOVER_REASON_RELOAD, 123456, ""},
    {"{\"version\":1,\"kind\":\"drain\",\"reason\":\"restart\"}", WORKER_DRAIN,
     HANDOVER_REASON_RESTART, UINT64_MAX, ""},
    {"{\"version\":1,\"kind\":\"drain\",\"reason\":\"recycle\"}", WORKER_DRAIN,
     HANDOVER_REASON_RECYCLE, UINT64_MAX, ""},
    {"{\"version\":1,\"kind\":\"drain\",\"reason\":\"scale\"}", WORKER_DRAIN, HANDOVER_REASON_SCALE,
     UINT64_MAX, ""},
    {"{\"version\":1,\"kind\":\"drain\",\"reason\":\"stop\"}", WORKER_DRAIN, HANDOVER_REASON_STOP,
     UINT64_MAX, ""},
    {"{\"version\":1,\"kind\":\"drain\",\"reason\":\"removed\"}", WORKER_DRAIN,
     HANDOVER_REASON_REMOVED, UINT64_MAX, ""},
    {"{\"version\":1,\"kind\":\"drain\",\"reason\":\"undo\"}", WORKER_DRAIN, HANDOVER_REASON_UNDO,
     UINT64_MAX, ""},
    {"{\"version\":1,\"kind\":\"drain\",\"reason\":\"whim\"}", WORKER_DRAIN, OTHER, UINT64_MAX, ""},
    {"{\"version\":1,\"kind\":\"drain\"}", WORKER_DRAIN, OTHER, UINT64_MAX, ""},
    /* a newer master */
    {"{\"version\":1,\"kind\":\"weather\",\"sky\":\"blue\"}", WORKER_NOTHING, OTHER, UINT64_MAX,
     ""},
    {"{\"version\":1,\"kind\":\"drain\",\"a\":-7,\"b\":[\"x\"],\"c\":true,\"d\":false,\"e\":null,"
     "\"f\":0}",
     WORKER_DRAIN, OTHER, UINT64_MAX, ""},
    /* numbers that are none of ours */
    {"{\"version\":1,\"kind\":\"drain\",\"deadline_usec\":18446744073709551614}", WORKER_DRAIN,
     OTHER, UINT64_MAX - 1, ""},
    {"{\"version\":1,\"kind\":\"drain\",\"deadline_usec\":18446744073709551616}", WORKER_DRAIN,
     OTHER, UINT64_MAX, ""},
    {"{\"version\":1,\"kind\":\"drain\",\"deadline_usec\":-1}", WORKER_DRAIN, OTHER, UINT64_MAX,
     ""},
    /* escapes */
    {"{\"version\":1,\"\\u006bind\":\"sockets\",\"names\":[\"\\\"\\\\\\/"
     "\\b\\f\\n\\r\\t\",\"\\u00e4\\u20AC"
     "\\ud83d\\ude00\"]}",
     WORKER_SOCKETS, OTHER, UINT64_MAX, "\"\\/\b\f\n\r\t|\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80|"},
};

static const char *const refused[] = {
    "",
    " ",
    "x",
    "{",
    "{}",
    "[]",
    "\"kind\"",
    "null",
    "{\"version\":1}",
    "{\"kind\":\"drain\"}",
    "{\"version\":2,\"kind\":\"drain\"}",
    "{\"version\":\"1\",\"kind\":\"drain\"}",
    "{\"version\":01,\"kind\":\"drain\"}",
    "{\"version\":1.0,\"kind\":\"drain\"}",
    "{\"version\":1e0,\"kind\":\"drain\"}",
    "{\"version\":-1,\"kind\":\"drain\"}",
    "{\"version\":1,\"version\":1,\"kind\":\"drain\"}",
    "{\"version\":1,\"kind\":\"drain\",\"kind\":\"drain\"}",
    "{\"version\":1,\"kind\":\"drain\",\"reason\":\"stop\",\"reason\":\"stop\"}",
    "{\"version\":1,\"kind\":\"drain\",\"deadline_usec\":1,\"deadline_usec\":1}",
    "{\"version\":1,\"kind\":\"sockets\"}",
    "{\"version\":1,\"kind\":\"sockets\",\"names\":[\"a\"],\"names\":[]}",
    "{\"version\":1,\"kind\":\"sockets\",\"names\":\"web\"}",
    "{\"version\":1,\"kind\":\"sockets\",\"names\":[1]}",
    "{\"version\":1,\"kind\":\"sockets\",\"names\":[[\"a\"]]}",
    "{\"version\":1,\"kind\":\"sockets\",\"names\":[\"a\",]}",
    "{\"version\":1,\"kind\":\"sockets\",\"names\":[\"a\" \"b\"]}",
    "{\"version\":1,\"kind\":\"sockets\",\"names\":[\"a\"}",
    "{\"version\":1,\"kind\":1}",
    "{\"version\":1,\"kind\":\"drain\",}",
    "{\"version\":1,\"kind\":\"drain\"}}",
    "{\"version\":1,\"kind\":\"drain\"} x",
    "{\"version\":1 \"kind\":\"drain\"}",
    "{\"version\" 1,\"kind\":\"drain\"}",
    "{\"version\":1,\"kind\":\"drain\",\"x\":{}}",
    "{\"version\":1,\"kind\":\"drain\",\"x\":[[]]}",
    "{\"version\":1,\"kind\":\"drain\",\"x\":[1]}",
    "{\"version\":1,\"kind\":\"drain\",\"x\":tru}",
    "{\"version\":1,\"kind\":\"drain\",\"x\":truer}",
    "{\"version\":1,\"kind\":\"drain\",\"x\":-}",
    "{\"version\":1,\"kind\":\"drain\",\"x\":}",
    "{\"version\":1,\"kind\":\"drain\",\"x\":00}",
    "{\"version\":1,\"kind\":\"drain\",\"x\":\"\\u0000\"}",
    "{\"version\":1,\"kind\":\"drain\",\"x\":\"\\ud800\"}",
    "{\"version\":1,\"kind\":\"drain\",\"x\":\"\\ud800\\u0041\"}",
    "{\"version\":1,\"kind\":\"drain\",\"x\":\"\\udc00\"}",
    "{\"version\":1,\"kind\":\"drain\",\"x\":\"\\u12\"}",
    "{\"version\":1,\"kind\":\"drain\",\"x\":\"\\x\"}",
    "{\"version\":1,\"kind\":\"drain\",\"x\":\"a\nb\"}",
    "{\"version\":1,\"kind\":\"drain\",\"x\":\"a",
    "{\"version\":1,\"kind\":\"drain\",\"x\":\"a\\",
};

/* In memory of its exact size, so that a checker sees what is read behind it. */
static bool parse(const char *text, size_t len, struct worker_message *message)
{
	cleanup_free char *copy = malloc(len + 1);
	bool good;

	assert_non_null(copy);
	memcpy(copy, text, len);
	memset(message, 0xaa, sizeof(*message));
	good = worker_parse(len > 0 ? copy : NULL, len, message);
	return good;
}

static void test_what_is_understood(void **state)
{
	static struct worker_message message;

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(understood); n++) {
		const struct row *row = &understood[n];
		char names[256] = "";

		print_message("%s\n", row->text);
		assert_true(parse(row->text, strlen(row->text), &message));
		assert_int_equal(message.kind, row->kind);
		assert_int_equal(message.reason, row->reason);
		assert_true(message.deadline == row->deadline);
		for (size_t i = 0; i < message.n_names; i++) {
			strcat(names, message.names[i]);
			strcat(names, "|");
		}
		assert_string_equal(names, row->names);
	}
}

static void test_what_is_refused(void **state)
{
	static struct worker_message message;

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(refused); n++) {
		print_message("%s\n", refused[n]);
		assert_false(parse(refused[n], strlen(refused[n]), &message));
	}
	assert_false(parse("{\"version\":1,\0\"kind\":\"drain\"}", 28, &message));
}

static void test_limits(void **state)
{
	static struct worker_message message;
	static char text[WORKER_MESSAGE_MAX + 2];
	size_t len;

	(void)state;
	for (int n = 252; n <= 254; n++) {
		len = (size_t)sprintf(text, "{\"version\":1,\"kind\":\"sockets\",\"names\":[\"0\"");
		for (int i = 1; i < n; i++)
			len += (size_t)sprintf(text + len, ",\"%d\"", i);
		len += (size_t)sprintf(text + len, "]}");
		assert_int_equal(parse(text, len, &message), n <= 253);
		if (n <= 253)
			assert_int_equal(message.n_names, n);
	}
	/* as long as a message may be, and one more */
	memset(text, ' ', sizeof(text));
	memcpy(text, "{\"version\":1,\"kind\":\"drain\"}", 28);
	assert_true(parse(text, WORKER_MESSAGE_MAX, &message));
	assert_false(parse(text, WORKER_MESSAGE_MAX + 1, &message));
}

static void test_every_cut_is_refused(void **state)
{
	static struct worker_message message;

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(understood); n++) {
		size_t whole = strlen(understood[n].text);

		while (understood[n].text[whole - 1] != '}')
			whole--;
		for (size_t len = 0; len < whole; len++)
			assert_false(parse(understood[n].text, len, &message));
	}
}

/* Whatever a byte is changed to: names stay within the message, and end. */
static void test_every_change(void **state)
{
	static struct worker_message message;
	char text[256];

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(understood); n++)
		for (size_t at = 0, len = strlen(understood[n].text); at < len; at++)
			for (int c = 0; c < 256; c++) {
				memcpy(text, understood[n].text, len);
				text[at] = (char)c;
				if (!parse(text, len, &message))
					continue;
				assert_in_range(message.n_names, 0, WORKER_SOCKETS_MAX);
				for (size_t i = 0; i < message.n_names; i++)
					assert_in_range(strlen(message.names[i]), 0, len);
			}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_is_understood),
	    cmocka_unit_test(test_what_is_refused),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_every_cut_is_refused),
	    cmocka_unit_test(test_every_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
