/* test_buf.c - buffers with a limit, rings, descriptors and small files. */
#include "unit.h"

#include <fcntl.h>

#include "base/buf.h"
#include "base/fd.h"

static void test_buf_grows(void **state)
{
	cleanup_buf struct buf buf = {.data = NULL};

	(void)state;
	assert_string_equal(buf_text(&buf), "");
	buf_add(&buf, "", 0);
	assert_string_equal(buf.data, "");
	for (int i = 0; i < 1000; i++)
		buf_printf(&buf, "%03d,", i);
	assert_int_equal(buf.len, 4000);
	assert_int_equal(strlen(buf.data), 4000);
	assert_memory_equal(buf.data + 3992, "998,999,", 8);
	assert_int_equal(buf.cut, 0);
	buf_reset(&buf);
	assert_string_equal(buf.data, "");
	buf_add_str(&buf, "again");
	assert_string_equal(buf.data, "again");
}

static void test_buf_limit(void **state)
{
	cleanup_buf struct buf buf = {.max = 10}, whole = {.data = NULL};
	char big[70000];

	(void)state;
	buf_add_str(&buf, "12345");
	buf_printf(&buf, "%s", "67890");
	assert_int_equal(buf.cut, 0);
	buf_printf(&buf, "%s", "x");
	assert_string_equal(buf.data, "1234567890");
	assert_int_equal(buf.cut, 1);
	buf_reset(&buf);
	assert_int_equal(buf.cut, 0);
	buf_add_str(&buf, "123");
	buf_printf(&buf, "%s", "456789abc");
	assert_string_equal(buf.data, "123456789a");
	assert_int_equal(buf.cut, 1);
	buf_free(&buf);
	assert_int_equal(buf.max, 10);
	buf_add_str(&buf, "123456789abc");
	assert_string_equal(buf.data, "123456789a");

	memset(big, 'x', sizeof(big));
	buf_add(&whole, big, sizeof(big));
	assert_int_equal(whole.len, 64 * 1024);
	assert_int_equal(whole.cut, 1);
}

static void assert_ring(const struct ring *ring, const char *expected)
{
	cleanup_buf struct buf out = {.data = NULL};

	ring_copy(ring, &out);
	assert_string_equal(buf_text(&out), expected);
}

static void test_buf_visible(void **state)
{
	cleanup_buf struct buf buf = {.max = 36};
	static const char odd[] = "a\t\x1b[0m\n\x7f\xc2\x85\xc3\xa4\xe2\x82";

	(void)state;
	buf_add_visible(&buf, odd, sizeof(odd) - 1);
	assert_string_equal(buf_text(&buf), "a\t\\x1b[0m\\x0a\\x7f\\xc2\\x85\xc3\xa4\\xe2\\x82");
	assert_false(buf.cut);
	buf_add_visible(&buf, "\xe2\x82\xac", 3);
	assert_true(buf.cut);
}

static void test_ring_keeps_the_last(void **state)
{
	struct ring ring = {.max = 8};

	(void)state;
	assert_ring(&ring, "");
	ring_add(&ring, "", 0);
	assert_null(ring.data);
	ring_add(&ring, "abc", 3);
	assert_ring(&ring, "abc");
	ring_add(&ring, "defgh", 5);
	assert_ring(&ring, "abcdefgh");
	ring_add(&ring, "ij", 2);
	assert_ring(&ring, "cdefghij");
	ring_add(&ring, "0123456789ABCDEF", 16);
	assert_ring(&ring, "89ABCDEF");
	ring_free(&ring);
	assert_int_equal(ring.max, 8);
	ring_add(&ring, "x", 1);
	assert_ring(&ring, "x");
	ring_free(&ring);
}

static void test_ring_without_room(void **state)
{
	struct ring ring = {.max = 0};

	(void)state;
	ring_add(&ring, "abc", 3);
	assert_ring(&ring, "");
	ring_free(&ring);
}

/* A ring is the tail of all that was written, whatever the pieces; and costs memory only as it
 * fills. */
static void test_ring_random(void **state)
{
	uint64_t seed = unit_seed();
	char all[40000], piece[3000];

	(void)state;
	for (int round = 0; round < 200; round++) {
		struct ring ring = {.max = 1 + unit_random(&seed, 5000)};
		size_t written = 0;

		while (written < sizeof(all) - sizeof(piece)) {
			cleanup_buf struct buf out = {.data = NULL};
			size_t len = unit_random(&seed,
						 unit_random(&seed, 10) == 0 ? sizeof(piece) : 60),
			       expected;

			for (size_t i = 0; i < len; i++)
				piece[i] = (char)('a' + unit_random(&seed, 26));
			ring_add(&ring, piece, len);
			memcpy(all + written, piece, len);
			written += len;
			expected = written < ring.max ? written : ring.max;
			ring_copy(&ring, &out);
			assert_int_equal(out.len, expected);
			if (expected > 0)
				assert_memory_equal(out.data, all + written - expected, expected);
			assert_true(ring.size <= ring.max);
			assert_true(ring.size <= 512 || ring.size < 2 * written);
			if (unit_random(&seed, 100) == 0)
				break;
		}
		ring_free(&ring);
	}
}

static void test_ring_lines(void **state)
{
	static const struct {
		const char *text;
		unsigned lines;
		const char *last;
	} rows[] = {
	    {"", 3, ""},
	    {"one", 1, "one"},
	    {"one\n", 1, "one\n"},
	    {"one\ntwo\n", 1, "two\n"},
	    {"one\ntwo\n", 2, "one\ntwo\n"},
	    {"one\ntwo\n", 9, "one\ntwo\n"},
	    {"one\ntwo", 1, "two"},
	    {"one\ntwo", 2, "one\ntwo"},
	    {"one\n\n", 1, "\n"},
	    {"one\ntwo\n", 0, ""},
	    {"\n\n\n", 2, "\n\n"},
	    /* 16 bytes or more fill the ring: what is left of a torn line is no line, unless there
	       is nothing else. */
	    {"first\nsecond\nthird\n", 9, "second\nthird\n"},
	    {"a very long line without an end", 9, "e without an end"},
	    {"a very long line with an end\n", 9, "ine with an end\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup_buf struct buf out = {.data = NULL};
		struct ring ring = {.max = 16};

		ring_add(&ring, rows[i].text, strlen(rows[i].text));
		ring_copy_lines(&ring, rows[i].lines, &out);
		if (strcmp(buf_text(&out), rows[i].last) != 0)
			fail_msg("row %zu: '%s'", i, buf_text(&out));
		ring_free(&ring);
	}
}

static void test_fd_close(void **state)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	errno = E2BIG;
	assert_int_equal(fd_close(fd), -1);
	assert_int_equal(errno, E2BIG);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	errno = E2BIG;
	assert_int_equal(fd_close(-1), -1);
	assert_int_equal(errno, E2BIG);
}

static void test_fd_flags(void **state)
{
	int fd = open("/dev/null", O_RDONLY);

	(void)state;
	assert_int_equal(fd_set_cloexec(fd), 0);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(fd_set_nonblock(fd), 0);
	assert_int_equal(fd_set_nonblock(fd), 0);
	assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	close(fd);
	assert_int_equal(fd_set_cloexec(fd), -EBADF);
	assert_int_equal(fd_set_nonblock(fd), -EBADF);
}

static void test_take(void **state)
{
	int fd = 7;
	char *text = (char *)"x";

	(void)state;
	assert_int_equal(TAKE_FD(fd), 7);
	assert_int_equal(fd, -1);
	assert_string_equal(TAKE_PTR(text), "x");
	assert_null(text);
}

static void test_read_file(void **state)
{
	char *directory = unit_directory(), *text = NULL;
	char path[256], big[10000];
	size_t len = 0;

	(void)state;
	memset(big, 'x', sizeof(big));
	unit_write(directory, "big", big, sizeof(big));
	unit_write(directory, "empty", "", 0);
	unit_write(directory, "nul", "a\0b", 3);

	snprintf(path, sizeof(path), "%s/big", directory);
	assert_int_equal(fd_read_file(path, sizeof(big), &text, &len), 0);
	assert_int_equal(len, sizeof(big));
	assert_int_equal(strlen(text), sizeof(big));
	free(TAKE_PTR(text));
	assert_int_equal(fd_read_file(path, sizeof(big) - 1, &text, &len), -EFBIG);
	assert_null(text);

	snprintf(path, sizeof(path), "%s/empty", directory);
	assert_int_equal(fd_read_file(path, 0, &text, &len), 0);
	assert_int_equal(len, 0);
	assert_string_equal(text, "");
	free(TAKE_PTR(text));

	snprintf(path, sizeof(path), "%s/nul", directory);
	assert_int_equal(fd_read_file(path, 100, &text, &len), 0);
	assert_int_equal(len, 3);
	free(TAKE_PTR(text));

	snprintf(path, sizeof(path), "%s/missing", directory);
	assert_int_equal(fd_read_file(path, 100, &text, &len), -ENOENT);
	assert_int_equal(fd_read_file(directory, 100, &text, &len), -EISDIR);
	assert_int_equal(fd_read_file("/dev/null", 100, &text, &len), -EINVAL);
	snprintf(path, sizeof(path), "%s/fifo", directory);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(fd_read_file(path, 100, &text, &len), -EINVAL);
	assert_null(text);
	unit_remove(directory);
}

/* Files of /proc have no size; a limit holds for them too. */
static void test_read_file_without_size(void **state)
{
	char *text = NULL;
	size_t len = 0;

	(void)state;
	assert_int_equal(fd_read_file("/proc/self/status", 1 << 20, &text, &len), 0);
	assert_true(len > 100);
	assert_int_equal(strlen(text), len);
	free(TAKE_PTR(text));
	assert_int_equal(fd_read_file("/proc/self/status", 20, &text, &len), -EFBIG);
	assert_null(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_buf_grows),	      cmocka_unit_test(test_buf_limit),
	    cmocka_unit_test(test_buf_visible),	      cmocka_unit_test(test_ring_keeps_the_last),
	    cmocka_unit_test(test_ring_without_room), cmocka_unit_test(test_ring_random),
	    cmocka_unit_test(test_ring_lines),	      cmocka_unit_test(test_fd_close),
	    cmocka_unit_test(test_fd_flags),	      cmocka_unit_test(test_take),
	    cmocka_unit_test(test_read_file),	      cmocka_unit_test(test_read_file_without_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
