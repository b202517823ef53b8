/* test_config_environment.c - specifiers, environment files, and the CPUs that `workers = auto`
 * counts. */
#include "unit.h"

#include <sched.h>

#include "base/fd.h"
#include "system/config.h"
#include "system/config_internal.h"

static void test_expand(void **state)
{
	static const struct config_who who = {
	    .instance = "payments", .pool = "api", .slot = 7, .generation = 12};
	static const struct {
		const char *text, *expanded;
	} rows[] = {
	    {"", ""},		{"plain", "plain"},
	    {"%n", "7"},	{"%i-%p-%n.%g", "payments-api-7.12"},
	    {"100%%", "100%"},	{"%%n", "%n"},
	    {"a%%%nb", "a%7b"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup_free char *text = config_expand(rows[i].text, &who);

		assert_string_equal(text, rows[i].expanded);
	}
}

/* A file of variables, and what came of it: the variables joined by '|', or the sentence without
 * the path before it. */
static void assert_file(const void *data, size_t len, int r, const char *expected)
{
	char *directory = unit_directory(), path[256], *error = NULL, joined[4096] = "before";
	char **env = NULL, *first[] = {(char *)"before"};
	size_t n = 0;

	unit_write(directory, "e.env", data, len);
	snprintf(path, sizeof(path), "%s/e.env", directory);
	assert_int_equal(config_list_append(&env, &n, first, 1), 0);
	assert_int_equal(config_read_environment_file(path, &env, &n, &error), r);
	if (r == 0) {
		assert_null(error);
		for (size_t i = 1; i < n; i++) {
			strcat(joined, "|");
			strcat(joined, env[i]);
		}
		assert_string_equal(joined, expected);
	} else {
		assert_non_null(error);
		assert_memory_equal(error, path, strlen(path));
		assert_string_equal(error + strlen(path), expected);
		assert_int_equal(n, 1);
	}
	assert_null(env[n]);
	config_list_free(env);
	free(error);
	unit_remove(directory);
}

static void test_environment_file(void **state)
{
	static const char text[] = "# comment\n; comment\n\n  A=1\nB=two words  \nC='x y'  "
				   "\nD=\"a\\\"b\"\r\nE=\nF=a\\ \nG=x # y ; z\n"
				   "H='a'b\"c\"\nA=2";

	(void)state;
	assert_file(text, strlen(text), 0,
		    "before|A=1|B=two words|C=x y|D=a\"b|E=|F=a |G=x # y ; z|H=abc|A=2");
	assert_file("", 0, 0, "before");
}

static void test_environment_file_mistakes(void **state)
{
	static const struct {
		const char *text, *error;
	} rows[] = {
	    {"A=1\nB\n", ":2: 'B' is not NAME=value"},
	    {"A=1\n\n1B=x\n",
	     ":3: '1B=x': before the '=' stands no name of letters, digits and '_'"},
	    {"export A=1\n",
	     ":1: 'export A=1': before the '=' stands no name of letters, digits and '_'"},
	    {"A =1\n", ":1: 'A =1': before the '=' stands no name of letters, digits and '_'"},
	    {"\x1b[31m\n", ":1: '\\x1b[31m' is not NAME=value"},
	    {"A='x\n", ":1: A: a single quote (') is not closed"},
	    {"A=x\\\n", ":1: A: a backslash ends the line"},
	    {"LISTEN_PID=1\n", ":1: LISTEN_PID is set by handover itself"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_file(rows[i].text, strlen(rows[i].text), -EINVAL, rows[i].error);
	assert_file("A=1\0B=2\n", 8, -EINVAL, ": contains a NUL byte");
}

static void test_environment_file_sizes(void **state)
{
	char *big = malloc(64 * 1024 + 1);

	(void)state;
	assert_non_null(big);
	memset(big, '#', 64 * 1024 + 1);
	assert_file(big, 64 * 1024, 0, "before");
	assert_file(big, 64 * 1024 + 1, -EFBIG, ": has more than 65536 bytes");
	free(big);
}

static void test_environment_file_missing(void **state)
{
	char **env = NULL, *error = NULL;
	size_t n = 0;

	(void)state;
	assert_int_equal(config_read_environment_file("/nowhere/x.env", &env, &n, &error), -ENOENT);
	assert_string_equal(error, "/nowhere/x.env: cannot be read: No such file or directory");
	free(TAKE_PTR(error));
	assert_int_equal(config_read_environment_file("-/nowhere/x.env", &env, &n, &error), 0);
	assert_null(error);
	/* A '-' forgives that it is missing, and nothing else. */
	assert_int_equal(config_read_environment_file("-/tmp", &env, &n, &error), -EISDIR);
	assert_string_equal(error, "/tmp: cannot be read: Is a directory");
	free(error);
	assert_int_equal(n, 0);
	config_list_free(env);
}

static void test_cgroup_limits(void **state)
{
	static const struct {
		const char *cgroup;	 /* /proc/self/cgroup */
		const char *files[4][2]; /* below /sys/fs/cgroup */
		unsigned cpus;
	} rows[] = {
	    {"0::/\n", {{NULL}}, 0},
	    {"0::/\n", {{"cpu.max", "max 100000\n"}}, 0},
	    {"0::/\n", {{"cpu.max", "200000 100000\n"}}, 2},
	    {"0::/\n", {{"cpu.max", "250000 100000\n"}}, 3},
	    {"0::/\n", {{"cpu.max", "10000 100000\n"}}, 1},
	    {"0::/\n", {{"cpu.max", "nonsense"}}, 0},
	    {"0::/\n", {{"cpu.max", "1 0"}}, 0},
	    {"0::/\n", {{"cpu.max", "18446744073709551615 1"}}, 0},
	    {"0::/a/b\n", {{"a/b/cpu.max", "max 100000"}, {"a/cpu.max", "300000 100000"}}, 3},
	    {"0::/a/b\n",
	     {{"a/b/cpu.max", "150000 100000"},
	      {"a/cpu.max", "300000 100000"},
	      {"cpu.max", "900000 100000"}},
	     2},
	    {"0::/a/b\n",
	     {{"a/b/cpu.max", "900000 100000"},
	      {"a/cpu.max", "300000 100000"},
	      {"cpu.max", "100000 100000"}},
	     1},
	    {"4:memory:/x\n3:cpu,cpuacct:/y\n0::/\n",
	     {{"cpu,cpuacct/y/cpu.cfs_quota_us", "350000\n"},
	      {"cpu,cpuacct/y/cpu.cfs_period_us", "100000\n"}},
	     4},
	    {"3:cpu:/\n",
	     {{"cpu/cpu.cfs_quota_us", "50000\n"}, {"cpu/cpu.cfs_period_us", "100000\n"}},
	     1},
	    {"3:cpu:/\n",
	     {{"cpu/cpu.cfs_quota_us", "-1\n"}, {"cpu/cpu.cfs_period_us", "100000\n"}},
	     0},
	    /* In a container the path may be the host's, and only the top is mounted. */
	    {"3:cpu:/docker/4711\n",
	     {{"cpu/cpu.cfs_quota_us", "200000"}, {"cpu/cpu.cfs_period_us", "100000"}},
	     2},
	    {"2:cpuset:/\n",
	     {{"cpuset/cpu.cfs_quota_us", "200000"}, {"cpuset/cpu.cfs_period_us", "100000"}},
	     0},
	    {"nonsense\n:\n::\n1:cpu\n", {{NULL}}, 0},
	};
	char name[128];

	(void)state;
	assert_int_equal(config_limit_cpus("/nowhere"), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char *root = unit_directory();

		unit_write(root, "proc/self/cgroup", rows[i].cgroup, strlen(rows[i].cgroup));
		for (size_t j = 0; j < ARRAY_LEN(rows[i].files) && rows[i].files[j][0] != NULL;
		     j++) {
			snprintf(name, sizeof(name), "sys/fs/cgroup/%s", rows[i].files[j][0]);
			unit_write(root, name, rows[i].files[j][1], strlen(rows[i].files[j][1]));
		}
		if (config_limit_cpus(root) != rows[i].cpus)
			fail_msg("row %zu: %u", i, config_limit_cpus(root));
		unit_remove(root);
	}
}

static void test_affinity(void **state)
{
	cpu_set_t all, one;
	char *root = unit_directory();
	int cpu = 0;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	assert_int_equal(config_count_cpus(root), CPU_COUNT(&all));
	while (!CPU_ISSET(cpu, &all))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	assert_int_equal(config_count_cpus(root), 1);
	assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
	unit_write(root, "proc/self/cgroup", "0::/\n", 5);
	unit_write(root, "sys/fs/cgroup/cpu.max", "1000 100000\n", 12);
	assert_int_equal(config_count_cpus(root), 1);
	unit_write(root, "sys/fs/cgroup/cpu.max", "999900000 100000\n", 17);
	assert_int_equal(config_count_cpus(root), CPU_COUNT(&all));
	unit_remove(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_expand),
	    cmocka_unit_test(test_environment_file),
	    cmocka_unit_test(test_environment_file_mistakes),
	    cmocka_unit_test(test_environment_file_sizes),
	    cmocka_unit_test(test_environment_file_missing),
	    cmocka_unit_test(test_cgroup_limits),
	    cmocka_unit_test(test_affinity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
