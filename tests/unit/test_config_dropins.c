/* test_config_dropins.c - the files of a configuration: drop-ins, files that cannot be read, names,
 * and problems as such. */
#include "unit_config.h"

static void test_dropins(void **state)
{
	cleanup_reading struct reading reading = {.directory = unit_directory()};
	static const char first[] = "[pool:api]\nworkers = 3\nenvironment = B=2\nsuccess_codes =\n";
	static const char second[] =
	    "[pool:api]\nworkers = 5\nenvironment =\nenvironment = C=3\n[pool:new]\ncommand = y\n"
	    "ready = notify\n[supervisor]\nlog_level = debug\n";

	(void)state;
	unit_write(reading.directory, "x.ini",
		   POOL "workers = 2\nenvironment = A=1\nsuccess_codes = 9\n",
		   strlen(POOL "workers = 2\nenvironment = A=1\nsuccess_codes = 9\n"));
	unit_write(reading.directory, "x.ini.d/10.ini", first, strlen(first));
	unit_write(reading.directory, "x.ini.d/20.ini~", "nonsense", 8);
	unit_write(reading.directory, "x.ini.d/.hidden.ini", "nonsense", 8);
	unit_write(reading.directory, "x.ini.d/README", "nonsense", 8);
	reading_run(&reading);
	assert_string_equal(buf_text(&reading.said), "");
	assert_string_equal(pool_value(&reading, "api", "workers"), "3");
	assert_string_equal(pool_value(&reading, "api", "environment"), "A=1 B=2");
	assert_string_equal(pool_value(&reading, "api", "success_codes"), "0");
	reading.config = config_free(reading.config);

	/* In the order of their names: this one comes last. */
	unit_write(reading.directory, "x.ini.d/9.ini", second, strlen(second));
	reading_run(&reading);
	assert_string_equal(buf_text(&reading.said), "");
	assert_string_equal(pool_value(&reading, "api", "workers"), "5");
	assert_string_equal(pool_value(&reading, "api", "environment"), "C=3");
	assert_string_equal(pool_value(&reading, "new", "command"), "y");
	assert_string_equal(supervisor_value(&reading, "log_level"), "debug");
	assert_non_null(
	    strstr(config_find_pool(reading.config, "new")->place.file, "x.ini.d/9.ini"));
	assert_int_equal(config_find_pool(reading.config, "new")->place.line, 5);
}

static void test_dropin_mistakes(void **state)
{
	cleanup_reading struct reading reading = {.directory = unit_directory()};
	static const char dropin[] =
	    "[pool:api]\nworkers = 3\nworkers = 0\nfoo = 1\n[pool:apii]\nnice = 1\n";
	char path[256];

	(void)state;
	unit_write(reading.directory, "x.ini", POOL "workers = x\n", strlen(POOL "workers = x\n"));
	unit_write(reading.directory, "x.ini.d/1.ini", dropin, strlen(dropin));
	snprintf(path, sizeof(path), "%s/x.ini.d/2.ini", reading.directory);
	assert_int_equal(mkdir(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/x.ini.d/3.ini", reading.directory);
	assert_int_equal(symlink("nowhere", path), 0);
	reading_run(&reading);
	assert_int_equal(reading.r, -EINVAL);
	assert_string_equal(
	    reading.said.data,
	    "x.ini.d/1.ini:3: [pool:api] workers: stands here again; it was set at line 2\n"
	    "x.ini.d/1.ini:4: [pool:api] foo: unknown key\n"
	    "x.ini.d/1.ini:5: [pool:apii] command: is missing; say what a worker runs\n"
	    "x.ini.d/1.ini:5: [pool:apii] ready: is missing; say how a worker becomes ready: "
	    "notify, http:/PATH, grpc, delay:2s, fd:N or exec:CMD\n"
	    "x.ini.d/2.ini: is a directory\n"
	    "x.ini.d/3.ini: is a symbolic link to 'nowhere', which does not exist\n");
}

static void test_dropin_directory(void **state)
{
	cleanup_reading struct reading reading = {.directory = unit_directory()};
	char name[64];

	(void)state;
	unit_write(reading.directory, "x.ini", POOL, strlen(POOL));
	unit_write(reading.directory, "x.ini.d", "a file", 6);
	reading_run(&reading);
	assert_int_equal(reading.r, -EINVAL);
	assert_string_equal(reading.said.data, "x.ini.d: cannot be read: Not a directory\n");
	reading_end(&reading);

	reading.directory = unit_directory();
	unit_write(reading.directory, "x.ini", POOL, strlen(POOL));
	for (int i = 0; i <= CONFIG_DROPINS_MAX; i++) {
		snprintf(name, sizeof(name), "x.ini.d/%d.ini", i);
		unit_write(reading.directory, name, "", 0);
	}
	reading_run(&reading);
	assert_string_equal(reading.said.data, "x.ini.d: has 257 files; at most 256 are read\n");
}

static void test_unreadable(void **state)
{
	cleanup_reading struct reading reading = {.directory = unit_directory()};
	char path[256], *big;

	(void)state;
	reading_run(&reading);
	assert_int_equal(reading.r, -ENOENT);
	assert_null(reading.config);
	assert_string_equal(reading.said.data,
			    "x.ini: cannot be read: No such file or directory\n");
	reading_end(&reading);

	reading.directory = unit_directory();
	snprintf(path, sizeof(path), "%s/x.ini", reading.directory);
	assert_int_equal(mkdir(path, 0755), 0);
	reading_run(&reading);
	assert_int_equal(reading.r, -EISDIR);
	assert_string_equal(reading.said.data, "x.ini: is a directory\n");
	reading_end(&reading);

	big = malloc(CONFIG_FILE_MAX + 1);
	assert_non_null(big);
	memset(big, '\n', CONFIG_FILE_MAX + 1);
	reading = read_bytes(big, CONFIG_FILE_MAX + 1);
	assert_int_equal(reading.r, -EFBIG);
	assert_string_equal(reading.said.data,
			    "x.ini: has more than 4194304 bytes, so this is no configuration\n");
	reading_end(&reading);
	memcpy(big, POOL, strlen(POOL));
	reading = read_bytes(big, CONFIG_FILE_MAX);
	assert_int_equal(reading.r, 0);
	free(big);
}

static void test_instance_names(void **state)
{
	static const struct {
		const char *path, *name;
	} rows[] = {
	    {"/etc/handover/payments.ini", "payments"},
	    {"payments.ini", "payments"},
	    {"./a.b.ini", "a.b"},
	    {"/x/payments.conf", "payments.conf"},
	    {".ini", ".ini"},
	    {"/x/", ""},
	};
	struct config *config = NULL;
	struct config_problems problems = {.list = NULL};
	char *directory = unit_directory(), path[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup_free char *name = config_instance_name(rows[i].path);

		assert_string_equal(name, rows[i].name);
	}
	unit_write(directory, "a b.ini", POOL, strlen(POOL));
	snprintf(path, sizeof(path), "%s/a b.ini", directory);
	assert_int_equal(config_read(path, &config, &problems), -EINVAL);
	assert_int_equal(problems.n, 1);
	assert_int_equal(problems.list[0].line, 0);
	assert_non_null(
	    strstr(problems.list[0].text, "the instance would be named 'a b' after its file"));
	config_problems_free(&problems);
	unit_remove(directory);
}

static void test_problems(void **state)
{
	struct config_problems problems = {.list = NULL};
	cleanup_buf struct buf out = {.data = NULL};
	struct config_place b2 = {"b", 2}, b1 = {"b", 1}, a9 = {"a", 9}, nowhere = {NULL, 0};

	(void)state;
	config_problem_add(&problems, &b2, false, "%d", 1);
	config_problem_add(&problems, &b1, true, "%d", 2);
	config_problem_add(&problems, &a9, false, "%d", 3);
	config_problem_add(&problems, &b1, false, "%d", 4);
	config_problem_add(&problems, NULL, false, "%d", 5);
	config_problem_add(&problems, &nowhere, true, "%d", 6);
	config_problems_print(&problems, &out);
	assert_string_equal(out.data, "5\nwarning: 6\na:9: 3\nb:1: warning: 2\nb:1: 4\nb:2: 1\n");
	assert_int_equal(problems.errors, 4);
	config_problems_free(&problems);
	config_problems_free(&problems);
	assert_null(config_free(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_dropins),	     cmocka_unit_test(test_dropin_mistakes),
	    cmocka_unit_test(test_dropin_directory), cmocka_unit_test(test_unreadable),
	    cmocka_unit_test(test_instance_names),   cmocka_unit_test(test_problems),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
