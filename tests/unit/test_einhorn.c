/* test_einhorn.c - lines of workers that were written for einhorn: which of them acknowledge, and
 * that none does harm. */
#include "unit.h"

#include <errno.h>

#include "base/fd.h"
#include "system/einhorn.h"

static const struct {
	const char *line;
	int r;
	pid_t pid;
} rows[] = {
    {"{\"command\":\"worker:ack\",\"pid\":1234}", 0, 1234},
    {" { \"pid\" : 1 , \"command\" : \"worker:ack\" } \r", 0, 1},
    {"{\"command\":\"worker:ack\",\"pid\":2147483647,\"more\":null,\"x\":\"a\\\"}b\",\"y\":-1.5e3}",
     0, 2147483647},
    {"{\"command\":\"worker:ping\",\"pid\":1234}", -ENOMSG, 0},
    {"{\"command\":\"worker:acknowledge it with a long word\",\"pid\":1}", -ENOMSG, 0},
    {"{\"command\":\"worker:ack\"}", -EBADMSG, 0},
    {"{\"command\":\"worker:ack\",\"pid\":0}", -EBADMSG, 0},
    {"{\"command\":\"worker:ack\",\"pid\":-5}", -EBADMSG, 0},
    {"{\"command\":\"worker:ack\",\"pid\":2147483648}", -EBADMSG, 0},
    {"{\"command\":\"worker:ack\",\"pid\":99999999999999999999}", -EBADMSG, 0},
    {"{\"command\":\"worker:ack\",\"pid\":\"1234\"}", -EBADMSG, 0},
    {"{\"command\":\"worker:ack\",\"pid\":1234", -EBADMSG, 0},
    {"{\"command\":\"worker:ack\",\"pid\":1234}}", -EBADMSG, 0},
    {"{\"command\":\"worker:ack\",\"pid\":1234,}", -EBADMSG, 0},
    {"{\"command\":worker,\"pid\":1}", -EBADMSG, 0},
    {"{\"command\":\"worker:ack", -EBADMSG, 0},
    {"{\"a\\", -EBADMSG, 0},
    {"{}", -EBADMSG, 0},
    {"[]", -EBADMSG, 0},
    {"", -EBADMSG, 0},
    {"READY=1", -EBADMSG, 0},
};

static void test_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		pid_t pid = 0;

		if (einhorn_parse(rows[i].line, strlen(rows[i].line), &pid) != rows[i].r ||
		    pid != rows[i].pid)
			fail_msg("line %s: pid %d", rows[i].line, (int)pid);
	}
}

/* Right lines with bytes changed and cut off: read to no byte behind their end. */
static void test_random_lines(void **state)
{
	uint64_t seed = unit_seed();
	pid_t pid;

	(void)state;
	for (int i = 0; i < unit_rounds(100000); i++) {
		const char *line = rows[unit_random(&seed, ARRAY_LEN(rows))].line;
		size_t len = strlen(line), n = len > 0 ? unit_random(&seed, (uint32_t)len + 1) : 0;
		char *copy = malloc(n > 0 ? n : 1); /* a sanitizer sees what lies behind */

		assert_non_null(copy);
		memcpy(copy, line, n);
		for (int k = 0; n > 0 && k < 2; k++)
			copy[unit_random(&seed, (uint32_t)n)] = (char)unit_random(&seed, 256);
		if (einhorn_parse(copy, n, &pid) == 0)
			assert_true(pid > 0);
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_lines),
	    cmocka_unit_test(test_random_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
