/* test_cgroup.c - which cgroup is ours, what is written into it and read from it: on a tree of
 * plain files. */
#include "unit.h"

#include <fcntl.h>
#include <stdbool.h>
#include <sys/xattr.h>

#include "base/fd.h"
#include "system/cgroup.h"

static char *root;

static void put(const char *name, const char *text)
{
	unit_write(root, name, text, strlen(text));
}

static char *path_in(const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s", root, name);
	return path;
}

static const char *get(const char *name)
{
	static char *text;

	free(TAKE_PTR(text));
	assert_int_equal(fd_read_file(path_in(name), 4096, &text, NULL), 0);
	return text;
}

static int set_up(void **state)
{
	(void)state;
	root = unit_directory();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unit_remove(root);
	return 0;
}

static void mark(const char *name, const char *value)
{
	if (setxattr(path_in(name), "user.delegate", value, strlen(value), 0) == 0)
		return;
	print_message("NOT RUN: the file system of /tmp has no extended attributes of users\n");
	skip();
}

/* ---- finding it ---- */

#define MOUNT_HERE \
	"23 1 0:20 / / rw - ext4 /dev/a rw\n41 31 0:38 / /cg rw,relatime - cgroup2 x rw\n"

struct place {
	const char *cgroup, *mountinfo;
	const char *marked, *value; /* the directory with the mark */
	const char *found;	    /* NULL: none */
	const char *why;
};

static const struct place places[] = {
    {"0::/unit\n", MOUNT_HERE, "cg/unit", "1", "cg/unit", ""},
    {"9:name=systemd:/x\n1:cpu:/y\n0::/a/unit\n", MOUNT_HERE, "cg/a/unit", "1", "cg/a/unit", ""},
    {"0::/unit/master\n", MOUNT_HERE, "cg/unit", "1", "cg/unit", ""},
    {"0::/unit/.control\n", MOUNT_HERE, "cg/unit", "1", "cg/unit", ""},
    {"0::/unit/payload\n", MOUNT_HERE, "cg/unit", "1", NULL,
     "/cg/unit/payload is not delegated (Delegate=yes in the unit does that)"},
    {"0::/unit\n", MOUNT_HERE, "cg/unit", "0", NULL, "/cg/unit is not delegated"},
    {"0::/unit\n", MOUNT_HERE, "cg/unit", "11", NULL, "/cg/unit is not delegated"},
    {"0::/\n", MOUNT_HERE, "cg/unit", "1", NULL, "/cg is not delegated"},
    {"0::/unit (deleted)\n", MOUNT_HERE, "cg/unit", "1", NULL, "is not delegated"},
    /* seen from a namespace, or with only a part of the hierarchy mounted */
    {"0::/\n", MOUNT_HERE, "cg", "1", "cg", ""},
    {"0::/../other\n", "41 31 0:38 /unit /cg rw - cgroup2 x rw\n", "cg", "1", NULL,
     "there is no cgroup v2 hierarchy here"},
    {"0::/box/unit\n", "41 31 0:38 /box /cg rw - cgroup2 x rw\n", "cg/unit", "1", "cg/unit", ""},
    {"0::/boxer/unit\n", "41 31 0:38 /box /cg rw - cgroup2 x rw\n", "cg/unit", "1", NULL,
     "there is no cgroup v2 hierarchy here"},
    {"0::/box\n", "41 31 0:38 /box /cg rw - cgroup2 x rw\n", "cg", "1", "cg", ""},
    /* the second mount is the one that has us */
    {"0::/unit\n", "40 31 0:38 /no /na rw - cgroup2 x rw\n" MOUNT_HERE, "cg/unit", "1", "cg/unit",
     ""},
    {"9:name=systemd:/unit\n", MOUNT_HERE, "cg/unit", "1", NULL,
     "there is no cgroup v2 hierarchy here"},
    {"0::/unit\n", "23 1 0:20 / /cg rw - cgroup cgroup rw,cpu\n", "cg/unit", "1", NULL,
     "there is no cgroup v2 hierarchy here"},
    {"0::/unit\n", "", "cg/unit", "1", NULL, "there is no cgroup v2 hierarchy here"},
    {"0::/unit\n", "41 31 cgroup2\n - cgroup2 \n41 - cgroup2 x\n", "cg/unit", "1", NULL,
     "there is no cgroup v2 hierarchy here"},
    {"", MOUNT_HERE, "cg/unit", "1", NULL, "there is no cgroup v2 hierarchy here"},
};

static void look(const struct place *place, size_t row)
{
	cleanup_free char *path = NULL;
	cleanup_buf struct buf why = {0};
	int r;

	put("proc/self/cgroup", place->cgroup);
	put("proc/self/mountinfo", place->mountinfo);
	r = cgroup_find(root, 0, &path, &why);
	if (place->found == NULL) {
		if (r == 0 || strstr(buf_text(&why), place->why) == NULL)
			fail_msg("row %zu: %d %s", row, r, buf_text(&why));
		assert_null(path);
		return;
	}
	if (r < 0)
		fail_msg("row %zu: %s", row, buf_text(&why));
	assert_string_equal(path, path_in(place->found));
}

static void set_exec_pid(pid_t pid)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", (int)pid);
	setenv("SYSTEMD_EXEC_PID", text, 1);
}

static void test_which_one_is_ours(void **state)
{
	static const char *const directories[] = {"cg/unit/master/x", "cg/unit/.control/x",
						  "cg/unit/payload/x", "cg/a/unit/x"};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(directories); i++)
		put(directories[i], "");
	set_exec_pid(getpid());
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		mark(places[i].marked, places[i].value);
		look(&places[i], i);
		assert_int_equal(removexattr(path_in(places[i].marked), "user.delegate"), 0);
	}
}

/* What is delegated to somebody else is not ours, even if we are in it. */
static void test_not_the_main_process(void **state)
{
	struct place place = {.cgroup = "0::/unit\n", .mountinfo = MOUNT_HERE};
	(void)state;

	put("cg/unit/x", "");
	mark("cg/unit", "1");
	set_exec_pid(1);
	place.why = "is delegated to process 1, and we are not that (let a wrapper `exec`)";
	look(&place, 0);
	unsetenv("SYSTEMD_EXEC_PID");
	place.why = "is delegated, but not to us: no service manager has started us";
	look(&place, 1);
}

/* Another process's: its own main process is not asked for. */
static void test_of_another_process(void **state)
{
	cleanup_free char *path = NULL;
	cleanup_buf struct buf why = {0};
	(void)state;

	unsetenv("SYSTEMD_EXEC_PID");
	put("cg/unit/master/x", "");
	put("proc/77/cgroup", "0::/unit/master\n");
	put("proc/self/mountinfo", MOUNT_HERE);
	mark("cg/unit", "1");
	assert_int_equal(cgroup_find(root, 77, &path, &why), 0);
	assert_string_equal(path, path_in("cg/unit"));
	assert_int_equal(cgroup_find(root, 78, &path, &why), -ENOENT);
}

/* ---- setting it up ---- */

/* What a kernel would make by itself. */
static struct cgroup_tree open_tree(const char *controllers, const char *why_not)
{
	struct cgroup_tree tree = {.fd = -1};
	cleanup_buf struct buf why = {0};

	put("cgroup.controllers", controllers);
	put("cgroup.subtree_control", "");
	put("master/cgroup.procs", "");
	put("master/cgroup.kill", "");
	assert_int_equal(cgroup_open(root, &tree, &why), 0);
	assert_string_equal(buf_text(&why), why_not);
	return tree;
}

static void test_open(void **state)
{
	struct cgroup_tree tree = open_tree("cpuset cpu io memory hugetlb pids\n", "");
	(void)state;

	assert_string_equal(tree.path, root);
	assert_string_equal(get("master/cgroup.procs"), "0");
	/* one after the other, and a plain file keeps the end of a longer one */
	assert_string_equal(get("cgroup.subtree_control"), "+cpusry");
	assert_true(tree.has[CGROUP_MEMORY] && tree.has[CGROUP_PIDS] && tree.has[CGROUP_CPU]);
	assert_true(tree.can_kill);
	cgroup_close(&tree);
	assert_int_equal(tree.fd, -1);
	cgroup_close(&tree);
	/* "cpu" must not be found in "cpuset" */
	tree = open_tree("cpuset memoryx xpids\n", "");
	assert_false(tree.has[CGROUP_MEMORY] || tree.has[CGROUP_PIDS] || tree.has[CGROUP_CPU]);
	assert_string_equal(get("cgroup.subtree_control"), "");
	cgroup_close(&tree);
}

static void test_open_without_kill(void **state)
{
	struct cgroup_tree tree = {.fd = -1};
	cleanup_buf struct buf why = {0};
	(void)state;

	put("cgroup.controllers", "memory\n");
	put("master/cgroup.procs", "");
	/* and a controller that refuses: there is no file to turn it on */
	assert_int_equal(cgroup_open(root, &tree, &why), 0);
	assert_false(tree.can_kill);
	assert_false(tree.has[CGROUP_MEMORY]);
	assert_string_equal(buf_text(&why),
			    "memory cannot be turned on: No such file or directory");
	cgroup_close(&tree);
}

static void test_open_fails(void **state)
{
	struct cgroup_tree tree = {.fd = -1};
	cleanup_buf struct buf why = {0};
	char expected[600];
	(void)state;

	assert_int_equal(cgroup_open(path_in("nothing"), &tree, &why), -ENOENT);
	assert_non_null(strstr(buf_text(&why), "cannot open "));
	buf_reset(&why);
	put("cgroup.controllers", "");
	assert_int_equal(cgroup_open(root, &tree, &why), -ENOENT);
	snprintf(expected, sizeof(expected),
		 "cannot move into %s/master: No such file or directory", root);
	assert_string_equal(buf_text(&why), expected);
	assert_int_equal(tree.fd, -1);
}

/* ---- a worker's ---- */

static void test_names(void **state)
{
	static const struct {
		const char *name;
		bool is;
	} rows[] = {
	    {"api.0.1", true},	  {"api.0.1-2", true},	    {"a.b-c.12.345", true},
	    {"memory.0.1", true}, {"api.0.1-", false},	    {"api.0.", false},
	    {"api.0", false},	  {"0.1", false},	    {".0.1", false},
	    {"..0.1", false},	  {".control", false},	    {"master", false},
	    {"", false},	  {"api.0.1.scope", false}, {"-1", false},
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (cgroup_is_workers(rows[i].name) != rows[i].is)
			fail_msg("%s", rows[i].name);
}

static void count(const char *name, void *arg)
{
	assert_true(cgroup_is_workers(name));
	++*(int *)arg;
}

static void test_make_and_remove(void **state)
{
	struct cgroup_tree tree = open_tree("memory\n", "");
	char name[CGROUP_NAME_MAX], second[CGROUP_NAME_MAX];
	int fd, n = 0;
	(void)state;

	assert_int_equal(cgroup_make(&tree, "api", 7, 12, name, &fd), 0);
	assert_string_equal(name, "api.7.12");
	close(fd);
	/* a worker of the same place, before the first one's cgroup is gone */
	assert_int_equal(cgroup_make(&tree, "api", 7, 12, second, &fd), 0);
	assert_string_equal(second, "api.7.12-2");
	close(fd);
	assert_int_equal(cgroup_each(&tree, count, &n), 0);
	assert_int_equal(n, 2);
	/* with what the worker made below it */
	assert_int_equal(mkdir(path_in("api.7.12/a"), 0755), 0);
	assert_int_equal(mkdir(path_in("api.7.12/a/b"), 0755), 0);
	assert_int_equal(cgroup_remove(&tree, name), 0);
	assert_int_equal(access(path_in("api.7.12"), F_OK), -1);
	assert_int_equal(cgroup_remove(&tree, name), 0); /* is gone already */
	assert_int_equal(cgroup_remove(&tree, second), 0);
	assert_int_equal(access(path_in("master"), F_OK), 0);
	cgroup_close(&tree);
}

static void test_make_gives_up(void **state)
{
	struct cgroup_tree tree = open_tree("", "");
	char name[CGROUP_NAME_MAX];
	int fd = -1, made = 0, r;
	(void)state;

	while ((r = cgroup_make(&tree, "api", 0, 1, name, &fd)) == 0) {
		close(fd);
		assert_true(++made < 1000);
	}
	assert_int_equal(r, -EEXIST);
	cgroup_close(&tree);
	assert_int_equal(cgroup_make(&tree, "api", 0, 1, name, &fd), -EBADF);
}

static void test_limits(void **state)
{
	struct cgroup_tree tree = open_tree("memory pids cpu\n", "");
	(void)state;

	put("api.0.1/memory.max", "");
	put("api.0.1/pids.max", "");
	put("api.0.1/cgroup.kill", "");
	assert_int_equal(cgroup_limit(&tree, "api.0.1", CGROUP_MEMORY, 64 << 20), 0);
	assert_int_equal(cgroup_limit(&tree, "api.0.1", CGROUP_PIDS, UINT64_MAX), 0);
	assert_int_equal(cgroup_limit(&tree, "api.0.1", CGROUP_CPU, 200), -ENOENT);
	assert_int_equal(cgroup_kill(&tree, "api.0.1"), 0);
	assert_int_equal(cgroup_kill(&tree, "api.0.2"), -ENOENT);
	assert_string_equal(get("api.0.1/memory.max"), "67108864");
	assert_string_equal(get("api.0.1/pids.max"), "max");
	assert_string_equal(get("api.0.1/cgroup.kill"), "1");
	cgroup_close(&tree);
}

static void assert_figures(const struct cgroup_tree *tree, uint64_t memory, uint64_t tasks,
			   uint64_t cpu)
{
	struct cgroup_figures figures;

	cgroup_read_figures(tree, "api.0.1", &figures);
	assert_int_equal(figures.memory, memory);
	assert_int_equal(figures.tasks, tasks);
	assert_int_equal(figures.cpu, cpu);
}

static void test_figures(void **state)
{
	struct cgroup_tree tree = open_tree("memory pids\n", "");
	(void)state;

	assert_figures(&tree, CGROUP_UNKNOWN, CGROUP_UNKNOWN, CGROUP_UNKNOWN);
	put("api.0.1/memory.current", "5308416\n");
	put("api.0.1/pids.current", "17\n");
	put("api.0.1/cpu.stat", "user_usec 1\nusage_usec 1234567\nsystem_usec 2\n");
	assert_figures(&tree, 5308416, 17, 1234567);
	put("api.0.1/cpu.stat", "my_usage_usec 5\nusage_usecs 6\nusage_usec\n");
	put("api.0.1/memory.current", "max\n");
	put("api.0.1/pids.current", "");
	assert_figures(&tree, CGROUP_UNKNOWN, CGROUP_UNKNOWN, CGROUP_UNKNOWN);
	cgroup_close(&tree);
}

static void test_oom(void **state)
{
	struct cgroup_tree tree = open_tree("memory\n", "");
	struct cgroup_oom oom = {0};
	(void)state;

	assert_int_equal(cgroup_read_oom(&tree, "api.0.1", &oom), -ENOENT);
	put("api.0.1/memory.events",
	    "low 0\nhigh 3\nmax 12\noom 2\noom_kill 1\noom_group_kill 7\n");
	assert_int_equal(cgroup_read_oom(&tree, "api.0.1", &oom), 0);
	assert_int_equal(oom.kills, 1);
	assert_int_equal(oom.own_limit, 2);
	put("api.0.1/memory.events", "low 0\nhigh 3\n");
	assert_int_equal(cgroup_read_oom(&tree, "api.0.1", &oom), -EBADMSG);
	cgroup_close(&tree);
}

struct pids {
	pid_t list[8];
	int n, max;
};

static int collect(pid_t pid, void *arg)
{
	struct pids *pids = arg;

	pids->list[pids->n++] = pid;
	return pids->n == pids->max;
}

static void test_processes(void **state)
{
	struct cgroup_tree tree = open_tree("", "");
	struct pids pids = {.max = 8}, one = {.max = 1};
	(void)state;

	put("api.0.1/cgroup.procs", "12\n0\n345\n67");
	assert_int_equal(cgroup_each_process(&tree, "api.0.1", collect, &pids), 0);
	assert_int_equal(pids.n, 2); /* 0 is hidden from us, 67 cut off */
	assert_int_equal(pids.list[0], 12);
	assert_int_equal(pids.list[1], 345);
	assert_int_equal(cgroup_each_process(&tree, "api.0.1", collect, &one), 0);
	assert_int_equal(one.n, 1);
	assert_int_equal(cgroup_each_process(&tree, "api.0.2", collect, &one), -ENOENT);
	cgroup_close(&tree);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    test(test_which_one_is_ours),
	    test(test_not_the_main_process),
	    test(test_of_another_process),
	    test(test_open),
	    test(test_open_without_kill),
	    test(test_open_fails),
	    test(test_names),
	    test(test_make_and_remove),
	    test(test_make_gives_up),
	    test(test_limits),
	    test(test_figures),
	    test(test_oom),
	    test(test_processes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
