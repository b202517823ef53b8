/* test_man_keys.c - the man page says of each key what the table says, has no key that the table
 * lacks, and lacks none. */
#include "unit_config.h"

#include "base/buf.h"
#include "base/fd.h"
#include "system/keys.h"

static char *page;

/* The page's path, from this file's: tests run from wherever they like. */
static int set_up(void **state)
{
	char path[512];
	const char *slash = strstr(__FILE__, "tests/unit/");

	(void)state;
	assert_non_null(slash);
	snprintf(path, sizeof(path), "%.*spackaging/man/handover.ini.5", (int)(slash - __FILE__),
		 __FILE__);
	assert_int_equal(fd_read_file(path, 1 << 20, &page, NULL), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	free(page);
	return 0;
}

static const char *heading_of(enum key_section section)
{
	switch (section) {
	case KEY_SUPERVISOR:
		return "\n.Sh THE SUPERVISOR\n";
	case KEY_SOCKET:
		return "\n.Sh SOCKETS\n";
	case KEY_POOL:
		return "\n.Sh POOLS\n";
	}
	return "";
}

/* The part of the page under a heading, up to the next. The caller frees. */
static char *part_of(enum key_section section)
{
	const char *begin = strstr(page, heading_of(section)), *end;

	assert_non_null(begin);
	begin++;
	end = strstr(begin, "\n.Sh ");
	assert_non_null(end);
	return strndup(begin, (size_t)(end - begin));
}

static const char *effect_words(enum config_effect effect)
{
	switch (effect) {
	case CONFIG_EFFECT_NONE:
		return "takes effect at once";
	case CONFIG_EFFECT_SCALE:
		return "starts or drains workers";
	case CONFIG_EFFECT_SOCKETS:
		return "replaces the workers, or tells them";
	case CONFIG_EFFECT_REPLACE:
		return "replaces the workers";
	case CONFIG_EFFECT_RESTART:
		return "needs a restart";
	}
	return "";
}

/* What the page must say of a key, word for word. */
static void write_expected(const struct key_info *info, struct buf *out)
{
	buf_printf(out, ".It Ic %s\nType: %s%s%s.\n", info->name, info->type,
		   *info->range != '\0' ? ", " : "", info->range);
	if (info->default_value == NULL)
		buf_add_str(out, "Default: none, it is required.\n");
	else
		buf_printf(out, "Default: %s.\n",
			   info->default_words != NULL && *info->default_value == '\0'
			       ? info->default_words
			       : info->default_value);
	buf_printf(out, "Reload: %s.\n", effect_words(info->effect));
}

static void test_every_key_is_described(void **state)
{
	const struct key_info *infos;
	size_t n, i;

	(void)state;
	infos = keys_all(&n);
	for (i = 0; i < n; i++) {
		cleanup_free char *part = part_of(infos[i].section);
		cleanup_buf struct buf expected = {.data = NULL};

		write_expected(&infos[i], &expected);
		if (strstr(part, expected.data) == NULL)
			fail_msg("the page does not say:\n%s", expected.data);
	}
}

static void test_no_other_key_is_described(void **state)
{
	static const enum key_section sections[] = {KEY_SUPERVISOR, KEY_SOCKET, KEY_POOL};
	size_t n, i, j, described, known;
	const struct key_info *infos = keys_all(&n);
	const char *p;

	(void)state;
	for (i = 0; i < ARRAY_LEN(sections); i++) {
		cleanup_free char *part = part_of(sections[i]);

		described = known = 0;
		for (p = strstr(part, "\n.It Ic "); p != NULL; p = strstr(p + 1, "\n.It Ic "))
			described++;
		for (j = 0; j < n; j++)
			known += infos[j].section == sections[i];
		assert_int_equal(described, known);
	}
}

/* The nth literal block under EXAMPLES; the caller frees. */
static char *example(int n)
{
	const char *p = strstr(page, "\n.Sh EXAMPLES\n"), *end;

	assert_non_null(p);
	for (; n >= 0; n--) {
		p = strstr(p, ".Bd -literal");
		assert_non_null(p);
		p = strchr(p, '\n') + 1;
	}
	end = strstr(p, "\n.Ed");
	assert_non_null(end);
	return strndup(p, (size_t)(end - p) + 1);
}

/* The page's examples are configurations, and its drop-in is one to the second. */
static void test_examples_are_right(void **state)
{
	cleanup_free char *least = example(0), *service = example(1), *dropin = example(2);
	cleanup_reading struct reading first = read_text(least),
				       second = {.directory = unit_directory()};

	(void)state;
	assert_string_equal(buf_text(&first.said), "");
	unit_write(second.directory, "x.ini", service, strlen(service));
	unit_write(second.directory, "x.ini.d/50-small.ini", dropin, strlen(dropin));
	reading_run(&second);
	assert_string_equal(buf_text(&second.said), "");
	assert_string_equal(pool_value(&second, "api", "workers"), "1");
	assert_string_equal(pool_value(&second, "api", "environment"),
			    "GRPC_GO_LOG_SEVERITY_LEVEL=warning");
}

/* What it advises for servers is right for a pool. */
static void test_servers_are_right(void **state)
{
	const char *p = strstr(page, "\n.Sh SERVERS\n"), *last = strstr(page, "\n.Sh EXAMPLES\n"),
		   *end;
	int n = 0;

	(void)state;
	assert_true(p != NULL && last != NULL && p < last);
	while ((p = strstr(p, ".Bd -literal")) != NULL && p < last) {
		cleanup_buf struct buf text = {.data = NULL};
		cleanup_reading struct reading reading = {.directory = NULL};

		p = strchr(p, '\n') + 1;
		end = strstr(p, ".Ed");
		assert_non_null(end);
		buf_printf(&text,
			   "[socket:web]\nlisten = tcp://:80\n[pool:web]\nsockets = web\n%.*s",
			   (int)(end - p), p);
		reading = read_text(text.data);
		assert_string_equal(buf_text(&reading.said), "");
		n++;
	}
	assert_true(n >= 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_key_is_described),
	    cmocka_unit_test(test_no_other_key_is_described),
	    cmocka_unit_test(test_servers_are_right),
	    cmocka_unit_test(test_examples_are_right),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
