/*
 * test_config_fuzz.c - thousands of broken configurations: none crashes, none is taken with a
 * mistake in it, each refusal is a sentence with a place, and what is taken means the same when its
 * effective values are written down and read again.
 */
#include "unit.h"

#include <sys/mman.h>

#include "base/buf.h"
#include "base/fd.h"
#include "system/config.h"

static const char good[] =
    "; a comment\n"
    "[supervisor]\n"
    "status_listen  = 127.0.0.1:9901    ; health\n"
    "lame_duck      = 2s\n"
    "\n"
    "[socket:grpc]\n"
    "listen  = tcp://0.0.0.0:9000\n"
    "backlog = 4096\n"
    "[socket:u]\n"
    "listen  = unix:/run/u.sock\n"
    "mode = 0600\n"
    "[pool:api]\n"
    "command       = /usr/local/bin/api --config \"/etc/a ; b.toml\" %n ; words\n"
    "sockets       = grpc, u\n"
    "workers       = 4\n"
    "ready         = notify\n"
    "drain_timeout = 6s\n"
    "dump_signal   = SIGQUIT\n"
    "environment   = A='x y' B=\\;\n"
    "max_surge     = 50%\n"
    "[pool:batch]\n"
    "command = x\n"
    "ready = exec:/bin/probe 'a b'\n"
    "success_codes = 3 SIGUSR1\n";

/* A file without a name, so that tens of thousands of them cost nothing. */
static int memory_file = -1;
static unsigned came_back; /* configurations that were taken, and read again */
static char memory_path[64];

static int set_up(void **state)
{
	(void)state;
	memory_file = memfd_create("x.ini", MFD_CLOEXEC);
	assert_true(memory_file >= 0);
	snprintf(memory_path, sizeof(memory_path), "/proc/self/fd/%d", memory_file);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	close(memory_file);
	return 0;
}

struct outcome {
	struct config *config;
	struct config_problems problems;
	int r;
};

static void end_outcome(struct outcome *outcome)
{
	config_free(outcome->config);
	config_problems_free(&outcome->problems);
}

#define cleanup_outcome __attribute__((cleanup(end_outcome)))

/* Every problem is a sentence in one printable line, and they are in order. */
static void check_problems(const struct config_problems *problems)
{
	const struct config_problem *problem;
	size_t i, errors = 0;
	const char *p;

	for (i = 0; i < problems->n; i++) {
		problem = &problems->list[i];
		errors += !problem->warning;
		assert_true(strlen(problem->text) > 5);
		for (p = problem->text; *p != '\0'; p++)
			assert_true(((unsigned char)*p >= 0x20 && *p != 0x7f) || *p == '\t');
		if (i > 0 && strcmp(problem->file, problems->list[i - 1].file) == 0)
			assert_true(problem->line >= problems->list[i - 1].line);
	}
	assert_true(problems->n <= CONFIG_PROBLEMS_MAX);
	assert_true(errors <= problems->errors);
	if (problems->dropped == 0)
		assert_int_equal(errors, problems->errors);
}

static struct outcome read_memory(const char *data, size_t len)
{
	struct outcome outcome = {.config = NULL};

	assert_int_equal(ftruncate(memory_file, 0), 0);
	assert_int_equal(pwrite(memory_file, data, len, 0), len);
	outcome.r = config_read(memory_path, &outcome.config, &outcome.problems);
	assert_true((outcome.r == 0) == (outcome.config != NULL));
	assert_true((outcome.r == 0) == (outcome.problems.errors == 0));
	check_problems(&outcome.problems);
	return outcome;
}

static void write_items(struct buf *out, const char *kind, const char *name,
			const struct config_item *items, size_t n)
{
	buf_printf(out, "[%s%s]\n", kind, name);
	for (size_t i = 0; i < n; i++) {
		assert_non_null(items[i].value);
		if (*items[i].value != '\0')
			buf_printf(out, "%s = %s\n", items[i].key, items[i].value);
	}
}

/* All effective values, as a file. Only the keys that matter to a kind of socket are written. */
static void write_config(const struct config *config, struct buf *out)
{
	const struct config_item *items;
	size_t n, i;

	items = config_supervisor_items(config, &n);
	write_items(out, "supervisor", "", items, n);
	for (i = 0; i < config->n_sockets; i++) {
		items = config_socket_items(config, config->sockets[i].name, &n);
		write_items(out, "socket:", config->sockets[i].name, items,
			    config->sockets[i].kind == SOCKET_SYSTEMD ? 2 : n);
	}
	for (i = 0; i < config->n_pools; i++) {
		items = config_pool_items(config, config->pools[i].name, &n);
		write_items(out, "pool:", config->pools[i].name, items, n);
	}
}

static void check_comes_back(const struct config *config)
{
	cleanup_buf struct buf first = {.max = 1 << 22}, second = {.max = 1 << 22};
	cleanup_outcome struct outcome again = {.config = NULL};

	write_config(config, &first);
	came_back++;
	again = read_memory(first.data, first.len);
	if (again.r != 0)
		fail_msg("was not taken again: %s\n%s", again.problems.list[0].text, first.data);
	write_config(again.config, &second);
	assert_string_equal(first.data, second.data);
}

/* Lines that must have an effect: neither blank nor a comment. */
static size_t count_lines_that_matter(const char *text)
{
	size_t n = 0;

	for (; *text != '\0'; text += strcspn(text, "\n"), text += *text == '\n') {
		text += strspn(text, " \t");
		n += strchr("\r\n;#", *text) == NULL;
	}
	return n;
}

/*
 * An oracle that shares nothing with the reader: every line that is neither blank nor a comment
 * must look like a header or like key = value, or the file cannot have been taken.
 */
static bool looks_right(const char *text)
{
	size_t key;

	for (; *text != '\0'; text += strcspn(text, "\n"), text += *text == '\n') {
		text += strspn(text, " \t");
		if (strchr("\r\n;#", *text) != NULL)
			continue;
		if (*text == '[') {
			key = strcspn(text, "]\n");
			if (text[key] != ']')
				return false;
			key += 1 + strspn(text + key + 1, " \t\r");
			if (strchr("\n;#", text[key]) == NULL)
				return false;
			continue;
		}
		key = strspn(text, "abcdefghijklmnopqrstuvwxyz_0123456789");
		if (key == 0 || text[key + strspn(text + key, " \t")] != '=')
			return false;
	}
	return true;
}

static void run_case(const char *data, size_t len)
{
	cleanup_outcome struct outcome outcome = read_memory(data, len);

	if (outcome.r != 0)
		return;
	assert_null(memchr(data, '\0', len));
	if (len >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0)
		data += 3;
	if (!looks_right(data))
		fail_msg("was taken:\n%s", data);
	assert_true(count_lines_that_matter(data) >= 3);
	check_comes_back(outcome.config);
}

static void test_the_good_one_is_taken(void **state)
{
	cleanup_outcome struct outcome outcome = read_memory(good, strlen(good));

	(void)state;
	assert_int_equal(outcome.r, 0);
	assert_int_equal(outcome.problems.n, 0);
	assert_true(looks_right(good));
}

static void test_random_bytes(void **state)
{
	static const char alphabet[] = "[]=:;#'\"\\ \t\n\npoolsocketvr_.%0123456789/,-";
	uint64_t seed = unit_seed();
	char data[600];

	(void)state;
	for (int round = 0; round < unit_rounds(4000); round++) {
		size_t len = unit_random(&seed, sizeof(data) - 1);
		bool any = unit_random(&seed, 2) == 0;

		for (size_t i = 0; i < len; i++)
			data[i] = any ? (char)unit_random(&seed, 256)
				      : alphabet[unit_random(&seed, sizeof(alphabet) - 1)];
		data[len] = '\0';
		run_case(data, len);
	}
}

static void test_random_lines(void **state)
{
	static const char *const pieces[] = {
	    "[pool:api]",
	    "[pool:b]",
	    "[socket:s]",
	    "[supervisor]",
	    "[",
	    "]",
	    "command",
	    "ready",
	    "workers",
	    "listen",
	    "sockets",
	    "environment",
	    "max_surge",
	    "mode",
	    "lame_duck",
	    "stdout",
	    "nice",
	    "success_codes",
	    "limit_core",
	    "memory_max",
	    "tasks_max",
	    "cpu_weight",
	    "status_listen",
	    " = ",
	    " = ",
	    "=",
	    ":",
	    "; x",
	    " ; x",
	    "#",
	    "notify",
	    "delay:2s",
	    "fd:3",
	    "exec:/bin/x",
	    "exec:",
	    "4",
	    "0",
	    "-1",
	    "25%",
	    "99999999999999999999",
	    "auto",
	    "/bin/true",
	    "tcp://:80",
	    "unix:/x",
	    "systemd:a",
	    "udp://[::1]:53",
	    "s",
	    "A=1",
	    "A='x y'",
	    "'",
	    "\"",
	    "\\",
	    " ",
	    "\t",
	    "\r",
	    "infinity",
	    "1min 30s",
	    "1h",
	    "1.5s",
	    "0660",
	    "file:/x",
	    "null",
	    "%n",
	    "%",
	    "%q",
	    "SIGTERM",
	    "\xef\xbb\xbf",
	    "\xff",
	    "a,b",
	    ",",
	    "yes",
	    "off",
	    "\n",
	    "\n",
	    "\n",
	    "\n",
	    "[pool:z]\ncommand = x\nready = notify\n",
	    "[socket:s]\nlisten = tcp://:81\n",
	};
	uint64_t seed = unit_seed();
	char data[4096];

	(void)state;
	for (int round = 0; round < unit_rounds(6000); round++) {
		size_t at = 0, n = 1 + unit_random(&seed, 40);

		for (size_t i = 0; i < n; i++)
			at += (size_t)snprintf(data + at, sizeof(data) - at, "%s",
					       pieces[unit_random(&seed, ARRAY_LEN(pieces))]);
		run_case(data, at);
	}
}

/* Changes a text in place: a byte, a line or its end. Returns the new length; size bounds it. */
static size_t mutate(char *data, size_t len, size_t size, uint64_t *seed)
{
	size_t at = len == 0 ? 0 : unit_random(seed, (uint32_t)len), end;
	char *newline = memchr(data + at, '\n', len - at);

	end = newline != NULL ? (size_t)(newline - data) + 1 : len;
	switch (unit_random(seed, 6)) {
	case 0: /* another byte */
		if (len > 0)
			data[at] = (char)unit_random(seed, unit_random(seed, 4) == 0 ? 256 : 128);
		return len;
	case 1: /* one byte less */
		if (len == 0)
			return 0;
		memmove(data + at, data + at + 1, len - at - 1);
		return len - 1;
	case 2: /* one byte more */
		if (len + 1 >= size)
			return len;
		memmove(data + at + 1, data + at, len - at);
		data[at] = " ;#='\"\\[]:%\n0aA,"[unit_random(seed, 16)];
		return len + 1;
	case 3: /* the rest of a line away */
		memmove(data + at, data + end, len - end);
		return len - (end - at);
	case 4: /* the rest of a line twice */
		if (len + end - at >= size)
			return len;
		memmove(data + end, data + at, len - at);
		return len + end - at;
	default: /* the end away */
		return at;
	}
}

static void test_mutations(void **state)
{
	uint64_t seed = unit_seed();
	char data[4096];

	(void)state;
	for (int round = 0; round < unit_rounds(10000); round++) {
		size_t len = strlen(good);
		int n = 1 + (int)unit_random(&seed, 3);

		memcpy(data, good, len);
		while (n-- > 0)
			len = mutate(data, len, sizeof(data) - 1, &seed);
		data[len] = '\0';
		run_case(data, len);
	}
	/* Enough of them were right for what is said of those to mean something. */
	print_message("%u were taken\n", came_back);
	assert_true(came_back > (unsigned)unit_rounds(300));
}

/* A line that is wrong wherever it stands is told, with its number, wherever it stands. */
static void test_wrong_lines_anywhere(void **state)
{
	static const char *const wrong[] = {
	    "nonsense",
	    "x y = 1",
	    "[pool:",
	    "[pool:x] y",
	    "[nonsense]",
	    "drain_timout = 1s",
	    "key: v",
	    "= 1",
	    "unknown = 1",
	    "[pool]",
	    "[pool:a b]",
	    "\xc3\xa4 = 1",
	    "a\x01",
	    "[supervisor:x]",
	    "tcp://0.0.0.0:9000",
	    "command",
	    "[pool:api",
	    "colour = 'x",
	    "colour = x\\",
	};
	uint64_t seed = unit_seed();
	char data[4096];

	(void)state;
	for (int round = 0; round < unit_rounds(3000); round++) {
		const char *line = wrong[unit_random(&seed, ARRAY_LEN(wrong))], *p = good;
		/* Behind the first header, so that the line belongs to a section. */
		unsigned number = 2 + unit_random(&seed, 22), i;
		bool told = false;
		size_t at;

		for (i = 0; i < number; i++)
			p = strchr(p, '\n') + 1;
		at = (size_t)(p - good);
		snprintf(data, sizeof(data), "%.*s%s\n%s", (int)at, good, line, p);
		{
			cleanup_outcome struct outcome outcome = read_memory(data, strlen(data));

			assert_int_equal(outcome.r, -EINVAL);
			for (i = 0; i < outcome.problems.n; i++)
				told = told || (outcome.problems.list[i].line == number + 1 &&
						!outcome.problems.list[i].warning);
		}
		if (!told)
			fail_msg("'%s' at line %u was not told", line, number + 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_the_good_one_is_taken, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_random_bytes, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_random_lines, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_mutations, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_wrong_lines_anywhere, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
