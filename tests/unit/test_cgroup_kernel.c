/* test_cgroup_kernel.c - the kernel's cgroups of version 2: joined, killed with all that is in
 * them, removed. */
#include "support.h"

#include <signal.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/xattr.h>

#include "base/fd.h"
#include "system/cgroup.h"

static char place[128]; /* a cgroup of our own */

static int set_up(void **state)
{
	static const char *const roots[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
	char path[64];

	(void)state;
	place[0] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(roots) && place[0] == '\0'; i++) {
		snprintf(path, sizeof(path), "%s/cgroup.procs", roots[i]);
		if (access(path, W_OK) == 0)
			snprintf(place, sizeof(place), "%s/handover-unit-%d", roots[i],
				 (int)getpid());
	}
	if (place[0] != '\0' && mkdir(place, 0755) == -1)
		place[0] = '\0';
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (place[0] != '\0' && rmdir(place) == -1)
		return -1;
	return 0;
}

/* As cgroup_open() leaves it, but we stay where we are. */
static struct cgroup_tree here(void)
{
	struct cgroup_tree tree = {.fd = -1};

	if (place[0] == '\0') {
		print_message("NOT RUN: there is no cgroup (version 2) that we may write to\n");
		skip();
	}
	tree.fd = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	tree.path = strdup(place);
	assert_true(tree.fd >= 0);
	return tree;
}

static void join_and_wait(void *arg)
{
	int fd = openat(*(int *)arg, "cgroup.procs", O_WRONLY | O_CLOEXEC);

	if (write(fd, "0", 1) != 1)
		_exit(1);
	close(fd);
	setsid();
	if (fork() == 0)
		setsid();
	for (;;)
		pause();
}

static int count(pid_t pid, void *arg)
{
	assert_true(pid > 0);
	++*(int *)arg;
	return 0;
}

static bool wait_for_change(int watch)
{
	char events[4096];

	return support_wait(watch, POLLIN) && read(watch, events, sizeof(events)) > 0;
}

/* A worker, and a child of it that has a session of its own. */
static void test_kill(void **state)
{
	struct cgroup_tree tree = here();
	cleanup_buf struct buf events = {0};
	char name[CGROUP_NAME_MAX];
	int fd, watch, n = 0, status;
	pid_t pid;
	(void)state;

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	assert_int_equal(cgroup_make(&tree, "api", 0, 1, name, &fd), 0);
	pid = support_fork(join_and_wait, &fd);
	close(fd);
	while (n < 2) {
		n = 0;
		assert_int_equal(cgroup_each_process(&tree, name, count, &n), 0);
		poll(NULL, 0, 1);
	}
	assert_true(cgroup_has(&tree, name, pid));
	assert_false(cgroup_has(&tree, "api.0.11", pid));
	assert_false(cgroup_has(&tree, name, getpid()));
	assert_int_equal(cgroup_remove(&tree, name), -EBUSY);
	cgroup_events_path(&tree, name, &events);
	watch = inotify_init1(IN_CLOEXEC);
	assert_true(inotify_add_watch(watch, events.data, IN_MODIFY) >= 0);
	assert_int_equal(cgroup_kill(&tree, name), 0);
	while (cgroup_remove(&tree, name) == -EBUSY)
		assert_true(wait_for_change(watch));
	assert_int_equal(cgroup_remove(&tree, name), 0);
	close(watch);
	for (int i = 0; i < 2; i++) {
		assert_true(waitpid(-1, &status, 0) > 0);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
	cgroup_close(&tree);
}

static void work(void *arg)
{
	struct timespec used;

	(void)arg;
	do
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	while (used.tv_nsec < 20 * 1000 * 1000);
}

static void join_and_work(void *arg)
{
	int fd = openat(*(int *)arg, "cgroup.procs", O_WRONLY | O_CLOEXEC);

	if (write(fd, "0", 1) != 1)
		_exit(1);
	work(NULL);
}

static void test_figures(void **state)
{
	struct cgroup_tree tree = here();
	struct cgroup_figures figures;
	char name[CGROUP_NAME_MAX];
	int fd, status;
	pid_t pid;
	(void)state;

	assert_int_equal(cgroup_make(&tree, "api", 0, 1, name, &fd), 0);
	pid = support_fork(join_and_work, &fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	cgroup_read_figures(&tree, name, &figures);
	assert_int_not_equal(figures.cpu, CGROUP_UNKNOWN);
	assert_true(figures.cpu >= 15 * 1000); /* also of those who have ended */
	assert_int_equal(figures.memory, CGROUP_UNKNOWN);
	close(fd);
	assert_int_equal(cgroup_remove(&tree, name), 0);
	cgroup_close(&tree);
}

static void move_in(void *arg)
{
	struct cgroup_tree tree = {.fd = -1};
	cleanup_buf struct buf why = {0};
	cleanup_free char *found = NULL;
	char pid[16];
	int fd = openat(*(int *)arg, "cgroup.procs", O_WRONLY | O_CLOEXEC);

	if (write(fd, "0", 1) != 1)
		_exit(1);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("SYSTEMD_EXEC_PID", pid, 1);
	if (cgroup_find("", 0, &found, &why) != 0 || strcmp(found, place) != 0)
		_exit(2);
	if (cgroup_open(found, &tree, &why) != 0 || !tree.can_kill)
		_exit(3);
	free(TAKE_PTR(found));
	/* and again, from the leaf that we are in now */
	unsetenv("SYSTEMD_EXEC_PID");
	if (cgroup_find("", 0, &found, &why) != 0 || strcmp(found, place) != 0 ||
	    !cgroup_has(&tree, "master", getpid()))
		_exit(4);
	cgroup_close(&tree);
}

static void test_find_and_open(void **state)
{
	struct cgroup_tree tree = here();
	int status;
	pid_t pid;
	(void)state;

	if (setxattr(place, "user.delegate", "1", 1, 0) == -1) {
		print_message("NOT RUN: cgroups have no extended attributes of users here\n");
		cgroup_close(&tree);
		skip();
	}
	pid = support_fork(move_in, &tree.fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(unlinkat(tree.fd, "master", AT_REMOVEDIR), 0);
	cgroup_close(&tree);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    test(test_kill),
	    test(test_figures),
	    test(test_find_and_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
