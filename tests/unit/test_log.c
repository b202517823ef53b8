/* test_log.c - log lines: one line whatever the message, valid JSON whatever the bytes, never more
 * than 4 KiB. */
#include "unit.h"

#include <fcntl.h>
#include <jansson.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/fd.h"
#include "base/log.h"

static struct buf written;

static void keep(enum log_level level, const char *line, size_t len, void *arg)
{
	(void)level;
	assert_ptr_equal(arg, &written);
	buf_add(&written, line, len);
}

static int set_up(void **state)
{
	(void)state;
	unsetenv("JOURNAL_STREAM");
	buf_reset(&written);
	log_set_writer(keep, &written);
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	log_set_writer(NULL, NULL);
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	buf_free(&written);
	return 0;
}

/* "2026-11-23T08:00:00.123+01:00" */
static const char *behind_time(const char *line)
{
	static const char form[] = "dddd-dd-ddTdd:dd:dd.ddd+dd:dd";

	for (size_t i = 0; form[i] != '\0'; i++) {
		if (form[i] == 'd')
			assert_true(line[i] >= '0' && line[i] <= '9');
		else if (form[i] == '+')
			assert_true(line[i] == '+' || line[i] == '-');
		else
			assert_int_equal(line[i], form[i]);
	}
	return line + strlen(form);
}

static void test_text(void **state)
{
	struct log_about about = {
	    .event = "worker-ready", .pool = "api", .slot = 2, .generation = 5, .pid = 4242};

	(void)state;
	log_line(LOG_LEVEL_NOTICE, &about, "ready after %d ms", 12);
	assert_string_equal(behind_time(written.data), " notice ready after 12 ms\n");
	buf_reset(&written);
	about = LOG_ABOUT_NOTHING;
	about.pid = 7;
	log_line(LOG_LEVEL_ERROR, &about, "x");
	assert_string_equal(behind_time(written.data), " error x\n");
	buf_reset(&written);
	log_warning("plain");
	assert_string_equal(behind_time(written.data), " warning plain\n");
}

static void test_levels(void **state)
{
	(void)state;
	log_debug("no");
	assert_int_equal(written.len, 0);
	assert_false(log_wants(LOG_LEVEL_DEBUG));
	log_setup(LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
	assert_true(log_wants(LOG_LEVEL_DEBUG));
	log_debug("yes");
	assert_non_null(strstr(written.data, "debug yes\n"));
	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	buf_reset(&written);
	log_warning("no");
	log_notice("no");
	log_info("no");
	assert_int_equal(written.len, 0);
	log_error("yes");
	assert_true(written.len > 0);
}

static int taken;

static bool take(enum log_level level, const struct log_about *about, const char *message,
		 size_t len, void *arg)
{
	assert_ptr_equal(arg, &taken);
	assert_non_null(about);
	assert_int_equal(len, strlen(message));
	if (level == LOG_LEVEL_WARNING)
		return false;
	assert_string_equal(message, "two\nlines");
	taken++;
	errno = EPIPE;
	return true;
}

/* Whoever takes messages gets them as they are; what is not taken becomes a line. */
static void test_taker(void **state)
{
	(void)state;
	taken = 0;
	log_set_taker(take, &taken);
	errno = 0;
	log_info("two\n%s", "lines");
	log_debug("not wanted");
	assert_int_equal(errno, 0);
	assert_int_equal(taken, 1);
	assert_int_equal(written.len, 0);
	log_warning("not taken");
	assert_non_null(strstr(written.data, "warning not taken\n"));
	log_set_taker(NULL, NULL);
	log_info("two\nlines");
	assert_int_equal(taken, 1);
	assert_non_null(strstr(written.data, "info two\\nlines\n"));
}

static void test_errno_is_kept(void **state)
{
	(void)state;
	errno = E2BIG;
	log_info("%m");
	assert_int_equal(errno, E2BIG);
	assert_non_null(strstr(written.data, strerror(E2BIG)));
}

static void test_control_characters(void **state)
{
	(void)state;
	log_info("%s", "a\nb\x1b[31m\tc\x7f\xff\xc3\xa4");
	assert_string_equal(strstr(written.data, "info "),
			    "info a\\nb\\x1b[31m\tc\\x7f\\xff\xc3\xa4\n");
	/* U+009B begins a terminal's sequence as ESC [ does. */
	written.len = 0;
	log_info("%s", "\xc2\x9b"
		       "31m\xc2\xa0");
	assert_string_equal(strstr(written.data, "info "), "info \\xc2\\x9b31m\xc2\xa0\n");
}

static void test_json(void **state)
{
	struct log_about about = {
	    .event = "worker-ready", .pool = "a\"p", .slot = 2, .generation = 5, .pid = 4242};
	json_t *root;

	(void)state;
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
	log_line(LOG_LEVEL_WARNING, &about, "%s", "say \"hi\"\\\n\x01\xff\xc3\xa4");
	root = json_loads(written.data, 0, NULL);
	assert_non_null(root);
	behind_time(json_string_value(json_object_get(root, "time")));
	assert_string_equal(json_string_value(json_object_get(root, "level")), "warning");
	assert_string_equal(json_string_value(json_object_get(root, "event")), "worker-ready");
	assert_string_equal(json_string_value(json_object_get(root, "pool")), "a\"p");
	assert_int_equal(json_integer_value(json_object_get(root, "slot")), 2);
	assert_int_equal(json_integer_value(json_object_get(root, "generation")), 5);
	assert_int_equal(json_integer_value(json_object_get(root, "pid")), 4242);
	assert_string_equal(json_string_value(json_object_get(root, "message")),
			    "say \"hi\"\\\n\x01\xef\xbf\xbd\xc3\xa4");
	assert_ptr_equal(strchr(written.data, '\n'), written.data + written.len - 1);
	json_decref(root);

	buf_reset(&written);
	log_info("x");
	root = json_loads(written.data, 0, NULL);
	assert_non_null(root);
	assert_int_equal(json_object_size(root), 3);
	json_decref(root);
}

static void test_long_lines_are_cut(void **state)
{
	char big[10000];
	json_t *root;

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	log_info("%s", big);
	assert_int_equal(written.len, 4094);
	assert_string_equal(written.data + 4094 - 7, "xxx...\n");
	buf_reset(&written);
	memset(big, '"', sizeof(big) - 1);
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
	log_info("%s", big);
	assert_true(written.len <= 4096);
	root = json_loads(written.data, 0, NULL);
	assert_non_null(root);
	json_decref(root);
}

/* Any bytes, any size of line: never more than the size, one newline at the end, JSON that a parser
 * takes. */
static void test_random_bytes(void **state)
{
	struct log_about about = {
	    .event = "e", .pool = "pool", .slot = 1, .generation = 2, .pid = 3};
	uint64_t seed = unit_seed();
	char message[300], line[400];

	(void)state;
	for (int round = 0; round < 20000; round++) {
		bool json = unit_random(&seed, 2) == 0;
		size_t size = unit_random(&seed, sizeof(line)),
		       len = unit_random(&seed, sizeof(message)), n;

		for (size_t i = 0; i < len; i++)
			message[i] =
			    (char)unit_random(&seed, unit_random(&seed, 2) == 0 ? 256 : 128);
		memset(line, 'Z', sizeof(line));
		log_setup(LOG_LEVEL_INFO, json ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT);
		n = log_format_line(line, size, LOG_LEVEL_INFO, &about, message, len);
		assert_true(n <= size);
		for (size_t i = size; i < sizeof(line); i++)
			assert_int_equal(line[i], 'Z');
		if (n == 0)
			continue;
		assert_ptr_equal(memchr(line, '\n', n), line + n - 1);
		if (json) {
			json_t *root = json_loadb(line, n, 0, NULL);

			assert_non_null(root);
			json_decref(root);
		}
	}
}

/* Sends standard error to fd while what is logged goes there. */
static void log_to(int fd, const char *message)
{
	int saved = dup(STDERR_FILENO);

	dup2(fd, STDERR_FILENO);
	log_set_writer(NULL, NULL);
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	log_info("%s", message);
	dup2(saved, STDERR_FILENO);
	close(saved);
}

static void test_standard_error(void **state)
{
	char text[256] = "", stream[64];
	struct stat st;
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	log_to(fds[0], "hello");
	assert_true(read(fds[1], text, sizeof(text) - 1) > 0);
	assert_string_equal(behind_time(text), " info hello\n");

	/* The journal has time stamps of its own, and takes the level from the front. */
	assert_int_equal(fstat(fds[0], &st), 0);
	snprintf(stream, sizeof(stream), "%lu:%lu", (unsigned long)st.st_dev,
		 (unsigned long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	memset(text, 0, sizeof(text));
	log_to(fds[0], "hello");
	assert_true(read(fds[1], text, sizeof(text) - 1) > 0);
	assert_string_equal(text, "<6>hello\n");

	/* Set, but standard error is something else by now. */
	setenv("JOURNAL_STREAM", "1:1", 1);
	memset(text, 0, sizeof(text));
	log_to(fds[0], "hello");
	assert_true(read(fds[1], text, sizeof(text) - 1) > 0);
	assert_string_equal(behind_time(text), " info hello\n");
	close(fds[0]);
	close(fds[1]);
}

/* A full pipe that does not block loses lines, not the program, and never half a line. */
static void test_full_standard_error(void **state)
{
	char block[4096];
	int fds[2];
	ssize_t n;

	(void)state;
	memset(block, 'x', sizeof(block));
	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	while (write(fds[1], block, sizeof(block)) > 0)
		;
	log_to(fds[1], "lost");
	/* Room again: the next one gets through. */
	assert_int_equal(read(fds[0], block, sizeof(block)), sizeof(block));
	log_to(fds[1], "there");
	for (;;) {
		n = read(fds[0], block, sizeof(block) - 1);
		if (n <= 0 || memchr(block, '\n', (size_t)n) != NULL)
			break;
	}
	assert_true(n > 0);
	block[n] = '\0';
	assert_null(strstr(block, "lost"));
	assert_non_null(strstr(block, "info there\n"));
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_text, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_levels, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_errno_is_kept, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_taker, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_control_characters, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_json, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_long_lines_are_cut, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_random_bytes, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_standard_error, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_full_standard_error, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
