/* test_giving_json.c - messages of sockets.sock, as both sides read them. */
#include "unit.h"

#include "base/fd.h"
#include "engine/giving.h"

#define TAKE(rest) "{\"version\":1,\"kind\":\"take\"," rest "}"
#define WEB	   "\"names\":[\"web\"],"

static const struct {
	const char *text;
	enum giving_purpose purpose;
	size_t n;
	const char *last, *who;
} understood[] = {
    {TAKE(WEB "\"for\":\"exec\""), GIVING_EXEC, 1, "web", ""},
    {TAKE("\"names\":[\"web\",\"a.b-c_1\"],\"for\":\"move\",\"who\":\"./x -y\""), GIVING_MOVE, 2,
     "a.b-c_1", "./x -y"},
    {TAKE(WEB "\"for\":\"instance\",\"who\":\"pay\",\"weather\":\"blue\""), GIVING_INSTANCE, 1,
     "web", "pay"},
    {TAKE(WEB "\"for\":\"exec\",\"who\":\"a\\n\\u001b[31mb\""), GIVING_EXEC, 1, "web", "a  [31mb"},
    {TAKE(WEB "\"for\":\"exec\",\"who\":7"), GIVING_EXEC, 1, "web", ""},
};

static const struct {
	const char *text, *why;
} refused[] = {
    {"", "no JSON object"},
    {"[]", "no JSON object"},
    {"{\"kind\":\"take\"}", "no \"version\": 1"},
    {"{\"version\":2,\"kind\":\"take\"}", "no \"version\": 1"},
    {"{\"version\":1}", "its \"kind\" is not \"take\""},
    {"{\"version\":1,\"kind\":\"give\"}", "its \"kind\" is not \"take\""},
    {TAKE(WEB "\"for\":\"fun\""), "\"for\" is none of exec, move and instance"},
    {TAKE("\"names\":[],\"for\":\"exec\""), "\"names\" is no list of 1 to 64 names of sockets"},
    {TAKE("\"names\":\"web\",\"for\":\"exec\""),
     "\"names\" is no list of 1 to 64 names of sockets"},
    {TAKE("\"names\":[\"we b\"],\"for\":\"exec\""),
     "\"names\" is no list of 1 to 64 names of sockets"},
    {TAKE("\"names\":[\"\"],\"for\":\"exec\""), "\"names\" is no list of 1 to 64 names of sockets"},
    {TAKE(
	 "\"names\":[\"01234567890123456789012345678901234567890123456789abcd\"],\"for\":\"exec\""),
     "\"names\" is no list of 1 to 64 names of sockets"},
    {TAKE("\"names\":[\"a\",\"b\"],\"for\":\"instance\""),
     "an instance takes one socket a connection"},
};

static void test_what_is_understood(void **state)
{
	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(understood); n++) {
		struct giving_ask ask;
		const char *why;

		print_message("%s\n", understood[n].text);
		memset(&ask, 0xaa, sizeof(ask));
		assert_true(
		    giving_parse_ask(understood[n].text, strlen(understood[n].text), &ask, &why));
		assert_int_equal(ask.purpose, understood[n].purpose);
		assert_int_equal(ask.n, understood[n].n);
		assert_string_equal(ask.names[ask.n - 1], understood[n].last);
		assert_string_equal(ask.who, understood[n].who);
	}
}

static void test_what_is_refused(void **state)
{
	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(refused); n++) {
		struct giving_ask ask;
		const char *why = NULL;

		print_message("%s\n", refused[n].text);
		assert_false(
		    giving_parse_ask(refused[n].text, strlen(refused[n].text), &ask, &why));
		assert_string_equal(why, refused[n].why);
	}
}

static void test_a_long_command(void **state)
{
	char text[1024] = TAKE(WEB "\"for\":\"exec\",\"who\":\"");
	size_t len = strlen(text) - 1;
	struct giving_ask ask;
	const char *why;

	(void)state;
	memset(text + len, 'x', 500);
	strcpy(text + len + 500, "\"}");
	assert_true(giving_parse_ask(text, strlen(text), &ask, &why));
	assert_int_equal(strlen(ask.who), GIVING_WHO_MAX - 1);
}

/* What one side writes the other understands. */
static void test_there_and_back(void **state)
{
	const char *names[] = {"web", "admin"};
	char *texts[] = {
	    giving_text_sockets("pay", names, 2),
	    giving_text_refused("no \"such\" socket"),
	    giving_text_refused("no \xff"),
	    giving_text_yours("web"),
	    strdup("{\"version\":1,\"kind\":\"weather\"}"),
	    strdup("{\"version\":1,\"kind\":\"refused\",\"error\":\"a\\u0087\\nb\"}"),
	};
	static const struct {
		enum taking_kind kind;
		const char *error;
	} rows[] = {{TAKING_SOCKETS, NULL},	 {TAKING_REFUSED, "no \"such\" socket"},
		    {TAKING_REFUSED, "refused"}, {TAKING_YOURS, NULL},
		    {TAKING_NOTHING, NULL},	 {TAKING_REFUSED, "a  b"}};
	char *ask_text = taking_text_ask("web", "pay");
	struct giving_ask ask;
	const char *why;

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
		enum taking_kind kind;
		char *error = NULL;

		assert_non_null(texts[n]);
		assert_true(taking_parse(texts[n], strlen(texts[n]), &kind, &error));
		assert_int_equal(kind, rows[n].kind);
		assert_int_equal(error == NULL, rows[n].error == NULL);
		if (error != NULL)
			assert_string_equal(error, rows[n].error);
		free(error);
		free(texts[n]);
	}
	assert_true(giving_parse_ask(ask_text, strlen(ask_text), &ask, &why));
	assert_int_equal(ask.purpose, GIVING_INSTANCE);
	assert_string_equal(ask.names[0], "web");
	assert_string_equal(ask.who, "pay");
	free(ask_text);
}

static void test_answers_that_are_none(void **state)
{
	static const char *const rows[] = {"",
					   "[]",
					   "{}",
					   "{\"version\":1}",
					   "{\"version\":1,\"kind\":7}",
					   "{\"version\":2,\"kind\":\"yours\"}"};

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
		enum taking_kind kind;
		char *error = NULL;

		print_message("%s\n", rows[n]);
		assert_false(taking_parse(rows[n], strlen(rows[n]), &kind, &error));
		assert_null(error);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_is_understood),	  cmocka_unit_test(test_what_is_refused),
	    cmocka_unit_test(test_a_long_command),	  cmocka_unit_test(test_there_and_back),
	    cmocka_unit_test(test_answers_that_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
