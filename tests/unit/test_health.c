/* test_health.c - the messages of the gRPC health protocol: what is written, what is read, and what
 * is refused. */
#include "unit.h"

#include "base/fd.h"
#include "system/health.h"

static void test_requests(void **state)
{
	static const uint8_t whole[] = {0, 0, 0, 0, 0}, a[] = {0, 0, 0, 0, 3, 0x0a, 1, 'a'};
	uint8_t out[HEALTH_REQUEST_MAX];
	char name[HEALTH_SERVICE_MAX + 2];

	(void)state;
	assert_int_equal(health_write_request("", out), sizeof(whole));
	assert_memory_equal(out, whole, sizeof(whole));
	assert_int_equal(health_write_request("a", out), sizeof(a));
	assert_memory_equal(out, a, sizeof(a));
	memset(name, 'x', sizeof(name));
	name[127] = '\0';
	assert_int_equal(health_write_request(name, out), 5 + 2 + 127);
	name[127] = 'x';
	name[128] = '\0';
	assert_int_equal(health_write_request(name, out), 5 + 3 + 128);
	assert_int_equal(out[6], 0x80);
	assert_int_equal(out[7], 1);
	name[128] = 'x';
	name[HEALTH_SERVICE_MAX + 1] = '\0';
	assert_int_equal(health_write_request(name, out), HEALTH_REQUEST_MAX);
	assert_int_equal(out[3] << 8 | out[4], HEALTH_REQUEST_MAX - 5);
}

static const struct {
	const char *bytes;
	size_t len;
	int r;
	uint64_t status;
} rows[] = {
    {"\0\0\0\0\2\x08\1", 7, 0, HEALTH_SERVING},
    {"\0\0\0\0\2\x08\2", 7, 0, HEALTH_NOT_SERVING},
    {"\0\0\0\0\2\x08\3", 7, 0, HEALTH_SERVICE_UNKNOWN},
    {"\0\0\0\0\0", 5, 0, HEALTH_UNKNOWN},		      /* the default is not sent */
    {"\0\0\0\0\4\x08\2\x08\1", 9, 0, HEALTH_SERVING},	      /* the last one counts */
    {"\0\0\0\0\6\x12\2ab\x08\1", 11, 0, HEALTH_SERVING},      /* unknown: bytes */
    {"\0\0\0\0\x7\x15\1\2\3\4\x08\1", 12, 0, HEALTH_SERVING}, /* unknown: 32 bits */
    {"\0\0\0\0\x0b\x11\1\2\3\4\5\6\7\x08\x08\1", 16, 0, HEALTH_SERVING}, /* unknown: 64 bits */
    {"\0\0\0\0\5\x10\x80\1\x08\1", 10, 0, HEALTH_SERVING},		 /* unknown: a number */
    {"\0\0\0\0\3\x08\xac\2", 8, 0, 300},
    {"\0\0\0\0\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", 16, 0, UINT64_MAX},
    {"\1\0\0\0\2\x08\1", 7, -EBADMSG, 0}, /* compressed */
    {"\0\0\0\0\3\x08\1", 7, -EBADMSG, 0}, /* longer than it is */
    {"\0\0\0\0\1\x08\1", 7, -EBADMSG, 0}, /* a second message */
    {"\0\0\0\0", 4, -EBADMSG, 0},
    {"", 0, -EBADMSG, 0},
    {"\0\0\0\0\1\x08", 6, -EBADMSG, 0},	    /* no value */
    {"\0\0\0\0\2\x08\x80", 7, -EBADMSG, 0}, /* a value without its end */
    {"\0\0\0\0\x0c\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", 17, -EBADMSG, 0},
    {"\0\0\0\0\2\x0a\5", 7, -EBADMSG, 0}, /* bytes behind the end */
    {"\0\0\0\0\2\x09\1", 7, -EBADMSG, 0}, /* the same of a number of fixed size */
    {"\0\0\0\0\2\x0b\1", 7, -EBADMSG, 0}, /* a group */
    {"\0\0\0\0\2\x00\1", 7, -EBADMSG, 0}, /* field 0 */
};

static void test_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t status = 99;
		int r = health_read_answer((const uint8_t *)rows[i].bytes, rows[i].len, &status);

		if (r != rows[i].r || status != (r == 0 ? rows[i].status : 99))
			fail_msg("row %zu: %d, status %llu", i, r, (unsigned long long)status);
	}
}

/* Cut off anywhere: read to no byte behind the end, and taken for whole never by mistake. */
static void test_cut_answers(void **state)
{
	uint64_t status;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t len = 0; len < rows[i].len; len++) {
			cleanup_free uint8_t *copy = malloc(len + 1);

			assert_non_null(copy);
			memcpy(copy, rows[i].bytes, len);
			if (health_read_answer(copy, len, &status) == 0)
				assert_int_equal(rows[i].r, -EBADMSG);
		}
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(health_status_name(HEALTH_SERVING), "SERVING");
	assert_string_equal(health_status_name(HEALTH_SERVICE_UNKNOWN), "SERVICE_UNKNOWN");
	assert_null(health_status_name(4));
	assert_null(health_status_name(UINT64_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_requests),
	    cmocka_unit_test(test_answers),
	    cmocka_unit_test(test_cut_answers),
	    cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
