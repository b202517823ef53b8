/* test_journal.c - entries for the journal: any bytes arrive as they were, within the bound, and
 * nobody waits; each kind of event has its number, and the catalog explains it. */
#include "unit.h"

#include <dirent.h>
#include <endian.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/fd.h"
#include "system/journal.h"

/* ---- a reader of the native protocol ---- */

struct field {
	char name[64];
	const char *value;
	size_t len;
};

/* The fields of an entry in order; fails on whatever journald would not understand. */
static size_t parse_entry(const char *data, size_t len, struct field *fields, size_t max)
{
	const char *at = data, *end = data + len;
	size_t n = 0;

	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		const char *equals = memchr(at, '=', (size_t)(end - at));
		const char *name_end;
		uint64_t size;

		assert_true(n < max);
		assert_non_null(newline);
		name_end = equals != NULL && equals < newline ? equals : newline;
		assert_true(name_end > at && name_end - at < 64);
		snprintf(fields[n].name, sizeof(fields[n].name), "%.*s", (int)(name_end - at), at);
		for (const char *c = at; c < name_end; c++)
			assert_true((*c >= 'A' && *c <= 'Z') || *c == '_');
		if (name_end == equals) {
			fields[n].value = equals + 1;
			fields[n].len = (size_t)(newline - equals) - 1;
			at = newline + 1;
		} else {
			assert_true((size_t)(end - newline) > sizeof(size));
			memcpy(&size, newline + 1, sizeof(size));
			size = le64toh(size);
			fields[n].value = newline + 1 + sizeof(size);
			fields[n].len = (size_t)size;
			assert_true(size < (size_t)(end - fields[n].value));
			assert_int_equal(fields[n].value[size], '\n');
			at = fields[n].value + size + 1;
		}
		n++;
	}
	return n;
}

static void assert_field(const struct field *field, const char *name, const char *value, size_t len)
{
	assert_string_equal(field->name, name);
	assert_int_equal(field->len, len);
	assert_memory_equal(field->value, value, len);
}

/* ---- entries ---- */

static void test_plain_fields(void **state)
{
	static const char expected[] = "PRIORITY=5\n"
				       "HANDOVER_POOL=api\n"
				       "HANDOVER_SLOT=0\n"
				       "MESSAGE=ready\tafter \xc3\xa4 = 12 ms\n"
				       "EMPTY=\n";
	struct journal_entry entry = {.len = 0};

	(void)state;
	journal_entry_add_number(&entry, "PRIORITY", 5);
	journal_entry_add_text(&entry, "HANDOVER_POOL", "api");
	journal_entry_add_number(&entry, "HANDOVER_SLOT", 0);
	journal_entry_add_number(&entry, "HANDOVER_GENERATION", -1);
	journal_entry_add_text(&entry, "HANDOVER_EVENT", NULL);
	journal_entry_add_text(&entry, "MESSAGE", "ready\tafter \xc3\xa4 = 12 ms");
	journal_entry_add(&entry, "EMPTY", NULL, 0);
	assert_int_equal(entry.len, strlen(expected));
	assert_memory_equal(entry.data, expected, entry.len);
}

/* A worker that could end a field could say PRIORITY=0 or HANDOVER_POOL=other. */
static void test_any_bytes(void **state)
{
	static const struct {
		const char *value;
		size_t len;
	} cases[] = {
	    {"a\nPRIORITY=0", 12},
	    {"\n", 1},
	    {"\0", 1},
	    {"a\0b", 3},
	    {"\x1b[31mred\x1b[0m", 12},
	    {"\xff\xfe\n\x80", 4},
	    {"x\nMESSAGE\n\1\0\0\0\0\0\0\0y\n", 20},
	};
	struct field fields[3];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct journal_entry entry = {.len = 0};

		journal_entry_add_text(&entry, "BEFORE", "1");
		journal_entry_add(&entry, "MESSAGE", cases[i].value, cases[i].len);
		journal_entry_add_text(&entry, "BEHIND", "2");
		assert_int_equal(parse_entry(entry.data, entry.len, fields, 3), 3);
		assert_field(&fields[0], "BEFORE", "1", 1);
		assert_field(&fields[1], "MESSAGE", cases[i].value, cases[i].len);
		assert_field(&fields[2], "BEHIND", "2", 1);
	}
}

static void test_random_bytes(void **state)
{
	uint64_t seed = unit_seed();
	struct field fields[8];
	char values[8][400];
	size_t lens[8];

	(void)state;
	for (int round = unit_rounds(20000); round > 0; round--) {
		struct journal_entry entry = {.len = 0};
		size_t n = 1 + unit_random(&seed, 8);

		for (size_t i = 0; i < n; i++) {
			lens[i] = unit_random(&seed, sizeof(values[i]) + 1);
			for (size_t k = 0; k < lens[i]; k++)
				values[i][k] = unit_random(&seed, 4) == 0
						   ? "\n=\0A"[unit_random(&seed, 4)]
						   : (char)unit_random(&seed, 256);
			journal_entry_add(&entry, "FIELD", values[i], lens[i]);
		}
		assert_int_equal(parse_entry(entry.data, entry.len, fields, 8), n);
		for (size_t i = 0; i < n; i++)
			assert_field(&fields[i], "FIELD", values[i], lens[i]);
	}
}

/* However much is added: whole fields, and the last one is cut. */
static void test_huge_values_are_cut(void **state)
{
	static char big[3 * JOURNAL_ENTRY_MAX];
	struct field fields[64];
	size_t n;

	(void)state;
	for (int kind = 0; kind < 2; kind++) {
		memset(big, kind == 0 ? 'x' : '\n', sizeof(big));
		for (size_t before = 0; before < 40; before++) {
			struct journal_entry entry = {.len = 0};

			journal_entry_add(&entry, "FIRST", big, before);
			journal_entry_add(&entry, "MESSAGE", big, sizeof(big));
			journal_entry_add_text(&entry, "LAST", "y");
			n = parse_entry(entry.data, entry.len, fields, 64);
			assert_int_equal(n, 2);
			assert_true(entry.len <= JOURNAL_ENTRY_MAX);
			assert_true(fields[1].len > JOURNAL_ENTRY_MAX - 200);
			assert_memory_equal(fields[1].value, big, fields[1].len);
		}
	}
	for (size_t len = JOURNAL_ENTRY_MAX - 64; len < JOURNAL_ENTRY_MAX + 64; len++) {
		struct journal_entry entry = {.len = 0};

		memset(big, 'x', sizeof(big));
		journal_entry_add(&entry, "FIRST", big, len);
		journal_entry_add_text(&entry, "LAST", "y");
		n = parse_entry(entry.data, entry.len, fields, 64);
		assert_true(n == 1 || n == 2);
		if (n == 2)
			assert_field(&fields[1], "LAST", "y", 1);
	}
}

static void test_priorities(void **state)
{
	static const struct {
		const char *line, *rest;
		int priority;
	} cases[] = {
	    {"<0>down", "down", 0},
	    {"<3>it failed", "it failed", 3},
	    {"<7>", "", 7},
	    {"plain", "plain", 6},
	    {"<8>no", "<8>no", 6},
	    {"<3", "<3", 6},
	    {"< 3>no", "< 3>no", 6},
	    {"<31>no", "<31>no", 6},
	    {"", "", 6},
	    {" <3>no", " <3>no", 6},
	    {"<3><4>x", "<4>x", 3},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *text = cases[i].line;
		size_t len = strlen(text);

		assert_int_equal(journal_take_priority(&text, &len, 6), cases[i].priority);
		assert_int_equal(len, strlen(cases[i].rest));
		assert_memory_equal(text, cases[i].rest, len);
	}
}

/* ---- sockets ---- */

/* A socket in a directory of its own, as journald has it. */
static int listen_at(const char *directory, const char *name, int type, char path[static 108])
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	snprintf(path, 108, "%s/%s", directory, name);
	strcpy(un.sun_path, path);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	return fd;
}

static bool is_writable(int fd)
{
	struct pollfd pollfd = {.fd = fd, .events = POLLOUT};

	return poll(&pollfd, 1, 0) > 0 && (pollfd.revents & POLLOUT) != 0;
}

static void test_sending(void **state)
{
	char *directory = unit_directory(), path[108], data[64];
	int server = listen_at(directory, "socket", SOCK_DGRAM, path), fd, r = 0, sent = 0;

	(void)state;
	fd = journal_open(path);
	assert_true(fd >= 0);
	assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
	assert_int_equal(journal_send(fd, "MESSAGE=x\n", 10), 0);
	assert_int_equal(recv(server, data, sizeof(data), 0), 10);
	assert_memory_equal(data, "MESSAGE=x\n", 10);
	/* a reader that stands still: it is said at once, and when it reads again */
	while (r == 0 && sent++ < 100000)
		r = journal_send(fd, "MESSAGE=x\n", 10);
	assert_int_equal(r, -EAGAIN);
	assert_false(is_writable(fd));
	while (recv(server, data, sizeof(data), MSG_DONTWAIT) == 10)
		sent--;
	assert_int_equal(sent, 1);
	assert_true(is_writable(fd));
	assert_int_equal(journal_send(fd, "MESSAGE=x\n", 10), 0);
	/* and one that is gone */
	fd_close(server);
	r = journal_send(fd, "MESSAGE=x\n", 10);
	assert_true(r < 0 && r != -EAGAIN);
	assert_int_equal(journal_open(path), -ECONNREFUSED);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(journal_open(path), -ENOENT);
	fd_close(fd);
	unit_remove(directory);
}

static void test_streams(void **state)
{
	char *directory = unit_directory(), path[108], data[64] = "";
	int server = listen_at(directory, "stdout", SOCK_STREAM, path), fd = -1, accepted;

	(void)state;
	assert_int_equal(journal_open_stream(path, "api", "", &fd),
			 -ECONNREFUSED); /* no listen() */
	assert_int_equal(listen(server, 1), 0);
	assert_int_equal(journal_open_stream(path, "api", "x@1.service", &fd), 0);
	assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
	assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) == 0);
	accepted = accept(server, NULL, NULL);
	assert_int_equal(write(fd, "<3>hello\n", 9), 9);
	fd_close(fd);
	assert_int_equal(recv(accepted, data, sizeof(data), MSG_WAITALL), 35);
	assert_string_equal(data, "api\nx@1.service\n6\n1\n0\n0\n0\n<3>hello\n");
	fd_close(accepted);
	fd_close(server);
	unit_remove(directory);
}

/* Nobody accepts, and the queue is full: a start of a worker must not wait for that. */
static void test_a_full_queue_of_streams(void **state)
{
	char *directory = unit_directory(), path[108];
	int server = listen_at(directory, "stdout", SOCK_STREAM, path), fds[16], r = 0;
	size_t n = 0;

	(void)state;
	assert_int_equal(listen(server, 2), 0);
	while (n < ARRAY_LEN(fds) && (r = journal_open_stream(path, "api", "", &fds[n])) == 0)
		n++;
	assert_int_equal(r, -EAGAIN);
	assert_true(n >= 1);
	while (n > 0)
		fd_close(fds[--n]);
	fd_close(server);
	unit_remove(directory);
}

/* ---- numbers of events ---- */

/* A file or folder of the project: tests run from wherever they like. */
static void project_path(const char *name, char path[static 512])
{
	const char *slash = strstr(__FILE__, "tests/unit/");

	assert_non_null(slash);
	snprintf(path, 512, "%.*s%s", (int)(slash - __FILE__), __FILE__, name);
}

static char *read_project(const char *name)
{
	char path[512], *text;

	project_path(name, path);
	assert_int_equal(fd_read_file(path, 1 << 20, &text, NULL), 0);
	return text;
}

static void test_numbers(void **state)
{
	size_t n = 0;

	(void)state;
	for (; journal_event(n) != NULL; n++) {
		const char *id = journal_message_id(journal_event(n));

		assert_int_equal(strlen(id), 32);
		assert_int_equal(strspn(id, "0123456789abcdef"), 32);
		for (size_t k = 0; k < n; k++) {
			assert_string_not_equal(journal_event(k), journal_event(n));
			assert_string_not_equal(journal_message_id(journal_event(k)), id);
		}
	}
	assert_true(n > 20);
	assert_null(journal_message_id(NULL));
	assert_null(journal_message_id("no-such-event"));
}

static void test_the_catalog_has_all_and_no_others(void **state)
{
	char *catalog = read_project("packaging/systemd/handover.catalog"), *at = catalog, line[64];
	size_t n = 0, entries = 0;

	(void)state;
	for (; journal_event(n) != NULL; n++) {
		const char *entry, *end;

		snprintf(line, sizeof(line), "\n-- %s\n", journal_message_id(journal_event(n)));
		entry = strstr(catalog, line);
		if (entry == NULL)
			fail_msg("the catalog lacks %s%s", journal_event(n), line);
		assert_null(strstr(entry + 1, line));
		entry += strlen(line);
		end = strstr(entry, "\n\n");
		assert_int_equal(strncmp(entry, "Subject: ", 9), 0);
		assert_true(end != NULL && end[2] != '\0' && end[2] != '-'); /* says something */
	}
	while ((at = strstr(at, "\n-- ")) != NULL) {
		entries++;
		at++;
	}
	assert_int_equal(entries, n);
	free(catalog);
}

/* Names between HAPPENING( and the comma behind them: `good ? "a" : "b"` has two. */
static size_t check_source(const char *text, const char *file)
{
	size_t n = 0;
	char name[64];

	while ((text = strstr(text, "HAPPENING(")) != NULL) {
		const char *end = strchr(text, ',');

		while ((text = strchr(text, '"')) != NULL && text < end) {
			size_t len = strcspn(++text, "\"");

			snprintf(name, sizeof(name), "%.*s", (int)len, text);
			if (journal_message_id(name) == NULL)
				fail_msg("%s: event %s has no number: give it one in "
					 "supervisor/system/journal_ids.c, and an entry in "
					 "packaging/systemd/handover.catalog",
					 file, name);
			text += len + 1;
			n++;
		}
		text = end;
	}
	return n;
}

static void test_all_events_have_numbers(void **state)
{
	char path[512], name[512], *text;
	struct dirent *item;
	size_t n = 0;
	DIR *folder;

	(void)state;
	project_path("supervisor/engine", path);
	folder = opendir(path);
	assert_non_null(folder);
	while ((item = readdir(folder)) != NULL) {
		if (strchr(item->d_name, '.') == NULL ||
		    strcmp(strchr(item->d_name, '.'), ".c") != 0)
			continue;
		snprintf(name, sizeof(name), "supervisor/engine/%.200s", item->d_name);
		text = read_project(name);
		n += check_source(text, name);
		free(text);
	}
	closedir(folder);
	assert_true(n > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_plain_fields),
	    cmocka_unit_test(test_any_bytes),
	    cmocka_unit_test(test_random_bytes),
	    cmocka_unit_test(test_huge_values_are_cut),
	    cmocka_unit_test(test_priorities),
	    cmocka_unit_test(test_sending),
	    cmocka_unit_test(test_streams),
	    cmocka_unit_test(test_a_full_queue_of_streams),
	    cmocka_unit_test(test_numbers),
	    cmocka_unit_test(test_the_catalog_has_all_and_no_others),
	    cmocka_unit_test(test_all_events_have_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
