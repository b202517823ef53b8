/* test_systemd.c - our own service manager: what we tell it, and what it hands us. */
#include "notify_support.h"

#include "system/systemd.h"

static void test_systemd_notify(void **state)
{
	struct pair pair = open_pair();
	struct notify_message message;
	struct notify_sender sender;
	int r = 0, sent = 0;
	(void)state;

	unsetenv("NOTIFY_SOCKET");
	assert_false(systemd_is_manager_present());
	assert_int_equal(systemd_notify("READY=1"), 0);
	setenv("NOTIFY_SOCKET", "vsock:2:9999", 1);
	assert_false(systemd_is_manager_present());
	assert_int_equal(systemd_notify("READY=1"), 0);
	setenv("NOTIFY_SOCKET", pair.address, 1);
	assert_true(systemd_is_manager_present());
	assert_int_equal(systemd_notify("READY=1\nSTATUS=%d workers\nMAINPID=%d", 4, 17), 0);
	assert_int_equal(notify_receive(pair.receiver, &message, &sender), 1);
	assert_true(message.ready);
	assert_string_equal(message.status, "4 workers");
	assert_int_equal(message.mainpid, 17);
	while (r == 0 && sent++ < 100000)
		r = systemd_notify("STATUS=%d",
				   sent); /* nobody reads: it says so, and does not wait */
	assert_int_equal(r, -EAGAIN);
	close_pair(&pair);
	assert_int_equal(systemd_notify("READY=1"), -ECONNREFUSED);
	setenv("NOTIFY_SOCKET", "/no/such/socket", 1);
	assert_int_equal(systemd_notify("READY=1"), -ENOENT);
	unsetenv("NOTIFY_SOCKET");
}

/* As a process that a manager started with two named descriptors. */
static void take_two(void *arg)
{
	struct systemd_fd *list = NULL;
	char pid[16];
	(void)arg;

	if (systemd_take_fds(&list) != 0 || list != NULL)
		_exit(1);
	dup2(1, 3);
	dup2(2, 4);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("LISTEN_PID", "1", 1); /* somebody else's */
	setenv("LISTEN_FDS", "2", 1);
	setenv("LISTEN_FDNAMES", "web:admin", 1);
	if (systemd_take_fds(&list) != 0 || getenv("LISTEN_FDS") != NULL)
		_exit(2);
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "2", 1);
	setenv("LISTEN_FDNAMES", "web:admin", 1);
	if (systemd_take_fds(&list) != 2)
		_exit(3);
	for (int i = 0; i < 2; i++)
		if (list[i].fd != 3 + i || list[i].used ||
		    strcmp(list[i].name, i == 0 ? "web" : "admin") != 0 ||
		    fcntl(3 + i, F_GETFD) != FD_CLOEXEC)
			_exit(4);
	if (getenv("LISTEN_PID") != NULL || getenv("LISTEN_FDS") != NULL ||
	    getenv("LISTEN_FDNAMES") != NULL)
		_exit(5);
	if (systemd_take_fds(&list) != 0)
		_exit(6);
}

/* What is wrong is told, and not half taken. */
static void take_none(void *arg)
{
	static const struct {
		const char *fds, *names;
		int result;
	} rows[] = {
	    {"2", "web", -EINVAL}, {"2", "web:admin:more", -EINVAL},
	    {"1", "", 1},	   {"two", NULL, -EINVAL},
	    {"-1", NULL, -EINVAL}, {"65537", NULL, -EINVAL},
	    {"900", NULL, -EBADF}, {"0", NULL, 0},
	    {"1", NULL, 1},	   {"99999999999999999999", NULL, -EINVAL},
	};
	struct systemd_fd *list;
	char pid[16];
	(void)arg;

	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	dup2(1, 3);
	for (size_t n = 0; n < sizeof(rows) / sizeof(*rows); n++) {
		setenv("LISTEN_PID", pid, 1);
		setenv("LISTEN_FDS", rows[n].fds, 1);
		if (rows[n].names != NULL)
			setenv("LISTEN_FDNAMES", rows[n].names, 1);
		list = NULL;
		if (systemd_take_fds(&list) != rows[n].result ||
		    (list != NULL) != (rows[n].result > 0) || getenv("LISTEN_FDNAMES") != NULL)
			_exit((int)n + 1);
		if (list != NULL &&
		    strcmp(list[0].name, rows[n].names != NULL ? rows[n].names : "unknown") != 0)
			_exit(100);
		if (list != NULL)
			free(list[0].name);
		free(list);
	}
	setenv("LISTEN_PID", "me", 1);
	setenv("LISTEN_FDS", "1", 1);
	if (systemd_take_fds(&list) != -EINVAL)
		_exit(101);
}

static void test_systemd_refuses_fds(void **state)
{
	int status;
	pid_t pid = support_fork(take_none, NULL);
	(void)state;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_systemd_take_fds(void **state)
{
	int status;
	pid_t pid = support_fork(take_two, NULL);
	(void)state;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_systemd_notify),
	    cmocka_unit_test(test_systemd_take_fds),
	    cmocka_unit_test(test_systemd_refuses_fds),
	};

	return cmocka_run_group_tests_name("systemd", tests, NULL, NULL);
}
