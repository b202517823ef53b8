/* test_channel_json.c - messages of the channel, as the master reads them. */
#include "unit.h"

#include "base/fd.h"
#include "base/parse.h"
#include "engine/channel.h"

#define STATUS(text) "{\"version\":1,\"kind\":\"status\",\"text\":" text "}"

static const struct {
	const char *text;
	enum channel_kind kind;
	const char *status;
} understood[] = {
    {"{\"version\":1,\"kind\":\"ready\"}", CHANNEL_READY, ""},
    {"{\"version\":1,\"kind\":\"inflight\"}", CHANNEL_INFLIGHT, ""},
    {"{\"version\":1,\"kind\":\"weather\",\"text\":\"blue\"}", CHANNEL_NOTHING, ""},
    {STATUS("\"at work\""), CHANNEL_STATUS, "at work"},
    {STATUS("\"a\\tb\\n\\u001b[31m\\u0085c\""), CHANNEL_STATUS, "a b  [31m c"},
    {STATUS("\"\\u00e4\\ud83d\\ude00\""), CHANNEL_STATUS, "\xc3\xa4\xf0\x9f\x98\x80"},
    {STATUS("7"), CHANNEL_STATUS, ""},
    {"{\"version\":1,\"kind\":\"status\"}", CHANNEL_STATUS, ""},
};

static const struct {
	const char *text, *why;
} refused[] = {
    {"", "no JSON object"},
    {"[]", "no JSON object"},
    {"{\"kind\":\"ready\",\"kind\":\"ready\"}", "no JSON object"},
    {"{\"kind\":\"ready\"}", "no \"version\": 1"},
    {"{\"version\":2,\"kind\":\"ready\"}", "no \"version\": 1"},
    {"{\"version\":1}", "no \"kind\""},
    {"{\"version\":1,\"kind\":7}", "no \"kind\""},
};

static void test_what_is_understood(void **state)
{
	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(understood); n++) {
		struct channel_message message;
		const char *why;

		print_message("%s\n", understood[n].text);
		memset(&message, 0xaa, sizeof(message));
		assert_true(
		    channel_parse(understood[n].text, strlen(understood[n].text), &message, &why));
		assert_int_equal(message.kind, understood[n].kind);
		assert_string_equal(message.status, understood[n].status);
	}
}

/* What a worker says of its sockets. */
static void test_about_sockets(void **state)
{
	static const struct {
		const char *text;
		enum channel_kind kind;
		uint64_t set;
		bool answers;
	} cases[] = {
	    {"\"hello\",\"answers\":true", CHANNEL_HELLO, 0, true},
	    {"\"hello\",\"answers\":1", CHANNEL_HELLO, 0, false},
	    {"\"hello\"", CHANNEL_HELLO, 0, false},
	    {"\"accepting\",\"set\":9007199254740993", CHANNEL_ACCEPTING, 9007199254740993, false},
	    {"\"accepting\",\"set\":-1", CHANNEL_ACCEPTING, 0, false},
	    {"\"accepting\"", CHANNEL_ACCEPTING, 0, false},
	    {"\"again\",\"set\":\"1\"", CHANNEL_AGAIN, 0, false},
	    {"\"again\",\"set\":1", CHANNEL_AGAIN, 1, false},
	};

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(cases); n++) {
		struct channel_message message;
		const char *why;
		char text[120];

		memset(&message, 0xaa, sizeof(message));
		snprintf(text, sizeof(text), "{\"version\":1,\"kind\":%s}", cases[n].text);
		assert_true(channel_parse(text, strlen(text), &message, &why));
		assert_int_equal(message.kind, cases[n].kind);
		assert_int_equal(message.set, cases[n].set);
		assert_int_equal(message.answers, cases[n].answers);
	}
}

static void test_what_is_refused(void **state)
{
	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(refused); n++) {
		struct channel_message message;
		const char *why = NULL;

		assert_false(
		    channel_parse(refused[n].text, strlen(refused[n].text), &message, &why));
		assert_string_equal(why, refused[n].why);
	}
}

/* A status is cut off between characters: half of one would spoil what it is shown in. */
static void test_a_long_status(void **state)
{
	(void)state;
	for (size_t before = 240; before < 260; before++) {
		struct channel_message message;
		char text[512] = STATUS("\"");
		const char *why;
		size_t len = strlen(text) - 1;

		memset(text + len, 'x', before);
		strcpy(text + len + before, "\xe5\x83\xa4\xe5\x83\xa4\"}");
		assert_true(channel_parse(text, strlen(text), &message, &why));
		len = strlen(message.status);
		assert_in_range(len, NOTIFY_STATUS_MAX - 16, NOTIFY_STATUS_MAX - 1);
		for (size_t i = 0, n; i < len; i += n)
			assert_true((n = parse_utf8(message.status + i, len - i)) > 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_is_understood),
	    cmocka_unit_test(test_about_sockets),
	    cmocka_unit_test(test_what_is_refused),
	    cmocka_unit_test(test_a_long_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
