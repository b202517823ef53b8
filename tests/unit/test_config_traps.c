/*
 * test_config_traps.c - lines that inih by itself cuts, joins, swallows or takes for something
 * else; each must be read as a person reads it, or be refused at its line.
 */
#include "unit_config.h"

#include <ini.h>

/* A pool whose third line (and on) is the given one. */
#define WITH(line) "[pool:api]\ncommand = /bin/true\n" line "\nready = notify\n"

static void assert_value(const char *text, const char *key, const char *value)
{
	cleanup_reading struct reading reading = read_text(text);

	if (reading.r != 0)
		fail_msg("for\n%s\nwas said\n%s", text, buf_text(&reading.said));
	assert_string_equal(buf_text(&reading.said), "");
	assert_string_equal(pool_value(&reading, "api", key), value);
}

/* What inih does by itself: if this changes, the reader may be simplified. */
static int keep_value(void *arg, const char *section, const char *name, const char *value)
{
	(void)section;
	(void)name;
	snprintf(arg, 256, "%s", value);
	return 1;
}

static void test_inih_has_its_traps(void **state)
{
	char value[256] = "";

	(void)state;
	assert_int_equal(ini_parse_string("[x]\ncommand = sh -c \"a ; b\"\n", keep_value, value),
			 0);
	assert_string_equal(value, "sh -c \"a");
	assert_int_equal(ini_parse_string("[x]\ncommand = a\n  workers = 4\n", keep_value, value),
			 0);
	assert_string_equal(value, "workers = 4");
	assert_int_equal(ini_parse_string("[x] rest\nkey: v\n", keep_value, value), 0);
	assert_string_equal(value, "v");
}

static void test_long_keys(void **state)
{
	(void)state;
	/* 49 characters that inih would take, and 50 that it would cut to the same 49. */
	assert_said(
	    WITH("kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk = 1"),
	    "x.ini:3: [pool:api] kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk: unknown key\n");
	assert_said(WITH("kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk = 1"),
		    "x.ini:3: [pool:api] 'kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk = 1' "
		    "is longer than any key\n");
}

static void test_long_names(void **state)
{
	char text[512], name[80];

	(void)state;
	memset(name, 'n', sizeof(name));
	name[CONFIG_NAME_MAX] = '\0';
	/* The longest names, with the longest word before them, are what inih can carry. */
	snprintf(text, sizeof(text),
		 "[socket:%s]\nlisten = unix:/x\n[pool:%s]\ncommand = /bin/true\nready = "
		 "notify\nsockets = %s\n",
		 name, name, name);
	assert_taken(text);
	name[CONFIG_NAME_MAX] = 'n';
	name[CONFIG_NAME_MAX + 1] = '\0';
	snprintf(text, sizeof(text), WITH("") "[pool:%s]\n", name);
	assert_said(text, "x.ini:5: the name 'nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn' is "
			  "longer than 42 characters\n");
	/* Two that are the same in their first 49 bytes are two. */
	snprintf(
	    text, sizeof(text),
	    WITH("") "[ppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp:a]\nx = 1\n");
	assert_said(text,
		    "x.ini:5: 'ppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp:a': "
		    "unknown section; there are "
		    "[supervisor], [socket:NAME] and [pool:NAME]\n");
}

static void test_long_values(void **state)
{
	static const size_t lengths[] = {150, 198, 199, 200, 201, 400, 65524, 65525};
	char *text = malloc(CONFIG_VALUE_MAX + 1000);

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		size_t len = lengths[i],
		       at = (size_t)sprintf(text, "[pool:api]\ncommand = /bin/true '");
		cleanup_reading struct reading reading = {.directory = NULL};

		memset(text + at, 'v', len);
		strcpy(text + at + len, "'\nready = notify\nworkers = 7\n");
		if (len == 65525) {
			assert_said(text, "x.ini:2: [pool:api] command: the value has 65537 bytes; "
					  "at most 65536 are allowed\n");
			continue;
		}
		reading = read_text(text);
		assert_string_equal(buf_text(&reading.said), "");
		assert_int_equal(strlen(reading.config->pools[0].argv[1]), len);
		assert_int_equal(reading.config->pools[0].argv[1][len - 1], 'v');
		assert_int_equal(reading.config->pools[0].workers, 7);
	}
	/* A comment may be as long as it likes. */
	memset(text, 'c', CONFIG_VALUE_MAX + 500);
	text[0] = ';';
	strcpy(text + CONFIG_VALUE_MAX + 500, "\n" POOL);
	assert_taken(text);
	free(text);
}

static void test_semicolons(void **state)
{
	(void)state;
	assert_value(WITH("environment = A=\"x ; y\" ; comment"), "environment", "'A=x ; y'");
	assert_value(WITH("environment = A='x ; y';comment"), "environment", "'A=x ; y;comment'");
	assert_value(WITH("environment = A=x;y"), "environment", "'A=x;y'");
	assert_value(WITH("environment = A=x\\ \\; B=y"), "environment", "'A=x ;' B=y");
}

static void test_commands_with_semicolons(void **state)
{
	(void)state;
	assert_value("[pool:api]\nready = notify\ncommand = sh -c \"a ; b\"\n", "command",
		     "sh -c 'a ; b'");
	assert_value("[pool:api]\nready = notify\ncommand = sh -c 'a ; b' ; the ';' in quotes is "
		     "no comment\n",
		     "command", "sh -c 'a ; b'");
	assert_value("[pool:api]\nready = notify\ncommand = find x -exec y \\; ; z\n", "command",
		     "find x -exec y ';'");
	assert_value("[pool:api]\nready = notify\ncommand = a;b\t;c\n", "command", "'a;b'");
	assert_value("[pool:api]\nready = notify\ncommand = x \"it's ; a\" ; don't mind\n",
		     "command", "x 'it'\\''s ; a'");
}

static void test_comments(void **state)
{
	(void)state;
	assert_value("; one\n# two\n   ; three\n\t# four\n[pool:api] ; five\ncommand = x;\nready = "
		     "notify   ; six ; seven\n",
		     "command", "'x;'");
	assert_taken("[pool:api]# x\ncommand = x\nready = notify\n");
}

static void test_comments_are_not_values(void **state)
{
	(void)state;
	assert_said(WITH("workers=4;5"),
		    "x.ini:3: [pool:api] workers: '4;5' is neither a number nor 'auto'\n");
	assert_said(WITH("workers = ;4"), "x.ini:3: [pool:api] workers: has no value; without the "
					  "line it would have its default\n");
	assert_said(WITH("workers =;4"), "x.ini:3: [pool:api] workers: has no value; without the "
					 "line it would have its default\n");
	assert_value(WITH(";workers = 4"), "workers", "1");
}

static void test_indented_keys(void **state)
{
	(void)state;
	assert_value(WITH("  workers = 4"), "workers", "4");
	assert_value("[pool:api]\n\tcommand = a\n\tready = notify\n\tworkers = 4\n", "command",
		     "a");
	assert_value("  [pool:api]\n  command = a\n    ready = notify\n", "ready", "notify");
	assert_said(WITH("    --option x"), "x.ini:3: [pool:api] '--option x' is no 'key = value' "
					    "(and a value cannot go on in the next line)\n");
	assert_said(WITH("    environment A=1"),
		    "x.ini:3: [pool:api] 'environment A=1': what stands before the '=' is no key: "
		    "letters, digits and '_' make one\n");
}

static void test_colons(void **state)
{
	(void)state;
	assert_said(WITH("workers: 4"), "x.ini:3: [pool:api] 'workers: 4': a key and its value are "
					"separated by '=', not by ':'\n");
	assert_said(WITH("workers : 4"), "x.ini:3: [pool:api] 'workers : 4': a key and its value "
					 "are separated by '=', not by ':'\n");
	assert_said(WITH("environment: A=1"), "x.ini:3: [pool:api] 'environment: A=1': a key and "
					      "its value are separated by '=', not by ':'\n");
	assert_value(WITH("working_directory = /a:b"), "working_directory", "/a:b");
}

static void test_broken_headers(void **state)
{
	static const char missing[] =
	    "x.ini:1: [pool:api] ready: is missing; say how a worker "
	    "becomes ready: notify, http:/PATH, grpc, delay:2s, fd:N or exec:CMD\n";
	char said[512];

	(void)state;
	/* The keys below a header that is wrong are nobody's: not even those of the section above.
	 */
	snprintf(said, sizeof(said), "%sx.ini:3: '[pool:b] rest': there is text behind the ']'\n",
		 missing);
	assert_said(WITH("[pool:b] rest"), said);
	snprintf(said, sizeof(said), "%sx.ini:3: '[pool:b': the ']' is missing\n", missing);
	assert_said(WITH("[pool:b"), said);
	snprintf(said, sizeof(said), "%sx.ini:3: '[pool:b ; x': the ']' is missing\n", missing);
	assert_said(WITH("[pool:b ; x"), said);
	snprintf(said, sizeof(said),
		 "%sx.ini:3: '[pool:b': unknown section; did you mean [pool:b]?\n", missing);
	assert_said(WITH("[[pool:b]"), said);
}

static void test_no_equals(void **state)
{
	(void)state;
	assert_said(WITH("workers"), "x.ini:3: [pool:api] 'workers' is no 'key = value' (and a "
				     "value cannot go on in the next line)\n");
	assert_said(WITH("= 4"), "x.ini:3: [pool:api] there is no key before the '='\n");
	assert_said(WITH("wor kers = 4"), "x.ini:3: [pool:api] 'wor kers = 4': what stands before "
					  "the '=' is no key: letters, digits and '_' make one\n");
	assert_said(WITH("w\xc3\xb6rkers = 4"),
		    "x.ini:3: [pool:api] 'w\xc3\xb6rkers = 4': what stands before the '=' is no "
		    "key: letters, digits and '_' make one\n");
	assert_value("[pool:api]\nready=notify\ncommand=x --a=b=c\n", "command", "x --a=b=c");
}

static void test_quotes(void **state)
{
	(void)state;
	assert_said(WITH("environment = A='x"),
		    "x.ini:3: [pool:api] environment: a single quote (') is not closed; for the "
		    "character itself write \\'\n");
	assert_said(WITH("environment = A=don't ; comment"),
		    "x.ini:3: [pool:api] environment: a single quote (') is not closed; for the "
		    "character itself write \\'\n");
	assert_said(WITH("environment = A=x \\"),
		    "x.ini:3: [pool:api] environment: a backslash ends the line; a value cannot go "
		    "on in the next line\n");
	assert_value(WITH("environment = A=x\\ "), "environment", "'A=x '");
	assert_value(WITH("environment = A=x\\\\ "), "environment", "'A=x\\'");
	assert_value(WITH("environment = A=x\\ ;y"), "environment", "'A=x ;y'");
	assert_value(WITH("working_directory = '/a '  "), "working_directory", "'/a '");
}

static void test_line_ends(void **state)
{
	(void)state;
	assert_value(
	    "[pool:api]\r\ncommand = /bin/true\r\nready = notify ; c\r\n\r\nworkers = 3\r\n",
	    "workers", "3");
	assert_value("[pool:api]\ncommand = x\nready = notify\nworkers = 3", "workers", "3");
	assert_value("[pool:api]\ncommand = x\nready = notify\nworkers = 3\r", "workers", "3");
	assert_said(WITH("work\rers = 3"),
		    "x.ini:3: [pool:api] the line contains a control character (0x0d)\n");
	assert_said("[pool:api]\rcommand = x\rready = notify\r",
		    "x.ini:1: the line contains a control character (0x0d)\n");
	assert_value("\n\n\n[pool:api]\ncommand = x\n\n\n\nready = notify\n", "ready", "notify");
}

static void test_byte_order_mark(void **state)
{
	(void)state;
	assert_taken("\xef\xbb\xbf" POOL);
	assert_taken("\xef\xbb\xbf\n" POOL);
	assert_said(POOL "\xef\xbb\xbfworkers = 3\n",
		    "x.ini:4: [pool:api] '\xef\xbb\xbfworkers = 3': what stands before the '=' is "
		    "no key: letters, digits and '_' make "
		    "one\n");
}

static void assert_bytes_said(const void *data, size_t len, const char *said)
{
	cleanup_reading struct reading reading = read_bytes(data, len);

	assert_string_equal(buf_text(&reading.said), said);
	assert_int_equal(reading.r, -EINVAL);
}

static void test_bytes_that_are_no_text(void **state)
{
	static const char nul[] = POOL "workers = 3\0\nworkers = x\n";
	static const char utf16[] = "\xff\xfe[\0p\0o\0o\0l\0";
	static const char elf[] = "\x7f"
				  "ELF\x02\x01\x01\0\0\0\0\0";
	char control[101];

	(void)state;
	assert_bytes_said(
	    nul, sizeof(nul) - 1,
	    "x.ini:4: contains a NUL byte, so this is no text file; nothing of it is used\n");
	assert_bytes_said(utf16, sizeof(utf16) - 1, "x.ini: is UTF-16; save it as UTF-8\n");
	assert_bytes_said(
	    elf, sizeof(elf) - 1,
	    "x.ini:1: contains a NUL byte, so this is no text file; nothing of it is used\n");
	memset(control, '\x01', sizeof(control));
	assert_bytes_said(control, sizeof(control),
			  "x.ini: contains more than 100 control characters, so this is no text "
			  "file; nothing of it is used\n");
	/* Names are shown as they are: what is no UTF-8, or means something to a terminal, is not.
	 */
	assert_said(WITH("sockets = a\xe8\x9b\xc2\x9b"
			 "1m"),
		    "x.ini:3: [pool:api] sockets: there is no [socket:a\\xe8\\x9b\\xc2\\x9b1m]\n");
	assert_said(WITH("environment = A=\x1b[31m"),
		    "x.ini:3: [pool:api] the line contains a control character (0x1b)\n");
	assert_said(WITH("[pool:\x01]"), "x.ini:1: [pool:api] ready: is missing; say how a worker "
					 "becomes ready: notify, http:/PATH, grpc, delay:2s, "
					 "fd:N or exec:CMD\n"
					 "x.ini:3: the line contains a control character (0x01)\n");
	/* In a comment nobody minds. */
	assert_taken(WITH("; \x1b[31m red"));
	/* What is no UTF-8 may be a path; a sentence shows it as what it is. */
	assert_value(WITH("working_directory = /\xff"), "working_directory", "/\xff");
	assert_said(
	    WITH("working_directory = \xff"),
	    "x.ini:3: [pool:api] working_directory: '\\xff' is not a path that begins with '/'\n");
}

/* A section without keys is one all the same. */
static void test_empty_sections(void **state)
{
	(void)state;
	assert_said("[supervisor]\n[socket:a]\n[pool:x]\n",
		    "x.ini:2: [socket:a] listen: is missing; say where to listen: tcp://HOST:PORT, "
		    "udp://HOST:PORT, unix:/PATH, "
		    "systemd:NAME or handover:INSTANCE/NAME\n"
		    "x.ini:2: warning: [socket:a] is used by no pool: clients that connect to it "
		    "will hang\n"
		    "x.ini:3: [pool:x] command: is missing; say what a worker runs\n"
		    "x.ini:3: [pool:x] ready: is missing; say how a worker becomes ready: notify, "
		    "http:/PATH, grpc, delay:2s, fd:N or exec:CMD\n");
}

/* All wrong lines are told, not the first one only. */
static void test_every_bad_line_is_told(void **state)
{
	(void)state;
	assert_said(
	    WITH("a\nb: 1\n[x\n"),
	    "x.ini:1: [pool:api] ready: is missing; say how a worker becomes ready: notify, "
	    "http:/PATH, grpc, delay:2s, fd:N or "
	    "exec:CMD\n"
	    "x.ini:3: [pool:api] 'a' is no 'key = value' (and a value cannot go on in the next "
	    "line)\n"
	    "x.ini:4: [pool:api] 'b: 1': a key and its value are separated by '=', not by ':'\n"
	    "x.ini:5: '[x': the ']' is missing\n");
}

/* Long texts are cut in sentences, at a character. */
static void test_long_texts_in_sentences(void **state)
{
	char text[1024] = "[pool:api]\ncommand = x\nready = notify\nworking_directory = ";
	cleanup_reading struct reading reading = {.directory = NULL};
	const char *end;

	(void)state;
	for (int i = 0; i < 200; i++)
		strcat(text, "\xc3\xa4");
	reading = read_text(text);
	assert_int_equal(reading.r, -EINVAL);
	end = strstr(reading.said.data, "...'");
	assert_non_null(end);
	assert_memory_equal(end - 2, "\xc3\xa4", 2);
	assert_true(reading.said.len < 250);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_inih_has_its_traps),
	    cmocka_unit_test(test_long_keys),
	    cmocka_unit_test(test_long_names),
	    cmocka_unit_test(test_long_values),
	    cmocka_unit_test(test_semicolons),
	    cmocka_unit_test(test_commands_with_semicolons),
	    cmocka_unit_test(test_comments),
	    cmocka_unit_test(test_comments_are_not_values),
	    cmocka_unit_test(test_indented_keys),
	    cmocka_unit_test(test_colons),
	    cmocka_unit_test(test_broken_headers),
	    cmocka_unit_test(test_no_equals),
	    cmocka_unit_test(test_quotes),
	    cmocka_unit_test(test_line_ends),
	    cmocka_unit_test(test_byte_order_mark),
	    cmocka_unit_test(test_bytes_that_are_no_text),
	    cmocka_unit_test(test_empty_sections),
	    cmocka_unit_test(test_every_bad_line_is_told),
	    cmocka_unit_test(test_long_texts_in_sentences),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
