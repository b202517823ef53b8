/* test_spawn_failure.c - fails every step of a start on purpose, and looks at what is said and what
 * is left. */
#include "spawn_support.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "system/proc.h"

static char *directory;

static const char *path_in(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static void write_file(const char *name, const char *text, mode_t mode)
{
	unit_write(directory, name, text, strlen(text));
	assert_int_equal(chmod(path_in(name), mode), 0);
}

static void assert_fails(const struct spawn_spec *spec, enum spawn_stage stage, int code,
			 const char *words)
{
	struct spawn_error error = {.stage = SPAWN_STAGE_NONE};
	int fds = proc_count_fds(), pidfd = -99;
	char text[512];
	pid_t pid = -99;

	errno = 4711;
	assert_int_equal(spawn_process(spec, &pid, &pidfd, &error), -code);
	assert_int_equal(errno, 4711);
	assert_int_equal(error.stage, stage);
	assert_int_equal(error.error, code);
	assert_int_equal(error.signal, 0);
	assert_int_equal(pid, -99);
	assert_int_equal(pidfd, -99);
	assert_int_equal(proc_count_fds(), fds);
	assert_no_children();
	spawn_describe_error(spec, &error, text, sizeof(text));
	if (strstr(text, words) == NULL)
		fail_msg("'%s' is not in '%s'", words, text);
}

static void test_exec_failures(void **state)
{
	struct spawn_spec spec = true_spec();
	int writer;
	(void)state;

	spec.path = "/usr/bin/apii";
	assert_fails(&spec, SPAWN_STAGE_EXEC, ENOENT, "cannot execute /usr/bin/apii: No such file");
	spec.path = "/usr";
	assert_fails(&spec, SPAWN_STAGE_EXEC, EACCES, "it is a directory");
	write_file("plain", "hello\n", 0644);
	spec.path = path_in("plain");
	assert_fails(&spec, SPAWN_STAGE_EXEC, EACCES, "not marked as executable");
	write_file("nothing", "hello\n", 0755);
	spec.path = path_in("nothing");
	assert_fails(&spec, SPAWN_STAGE_EXEC, ENOEXEC, "first line such as #!/bin/sh");
	write_file("script", "#!/no/such/interpreter\n", 0755);
	spec.path = path_in("script");
	assert_fails(&spec, SPAWN_STAGE_EXEC, ENOENT, "the interpreter in its first line");
	writer = open(path_in("nothing"), O_WRONLY | O_CLOEXEC);
	spec.path = path_in("nothing");
	assert_fails(&spec, SPAWN_STAGE_EXEC, ETXTBSY, "still writing to it");
	close(writer);
}

static void test_set_up_failures(void **state)
{
	const struct spawn_limit above[] = {{RLIMIT_CORE, {2, 1}}};
	int closed = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct spawn_spec spec;
	(void)state;

	close(closed);
	spec = true_spec();
	spec.directory = "/no/such/directory";
	assert_fails(&spec, SPAWN_STAGE_DIRECTORY, ENOENT,
		     "cannot change directory to /no/such/directory: No such");
	spec = true_spec();
	spec.limits = above;
	spec.n_limits = 1;
	assert_fails(&spec, SPAWN_STAGE_LIMITS, EINVAL, "cannot set resource limits for /bin/true");
	spec = true_spec();
	spec.oom_score_adj = "4000";
	assert_fails(&spec, SPAWN_STAGE_OOM, EINVAL, "oom_score_adj");
	spec = true_spec();
	spec.fds = &closed;
	spec.fd_numbers = (int[]){3};
	spec.n_fds = 1;
	assert_fails(&spec, SPAWN_STAGE_DESCRIPTORS, EBADF, "pass descriptors");
	spec = true_spec();
	spec.cgroup_fd = open(directory, O_PATH | O_CLOEXEC);
	assert_fails(&spec, SPAWN_STAGE_CGROUP, ENOENT,
		     "cannot join the cgroup meant for /bin/true: No such");
	close(spec.cgroup_fd);
	spec.cgroup_fd = closed;
	assert_fails(&spec, SPAWN_STAGE_CGROUP, EBADF, "cannot join the cgroup");
	spec = true_spec();
	spec.fds = (int[]){0, 1};
	spec.fd_numbers = (int[]){4, 4};
	spec.n_fds = 2;
	assert_fails(&spec, SPAWN_STAGE_CLONE, EINVAL, "create a process for /bin/true");
	spec.fd_numbers = (int[]){2, 4};
	assert_fails(&spec, SPAWN_STAGE_CLONE, EINVAL, "create a process for /bin/true");
}

/* Makes one system call fail or kill from now on, and lets those that only root may make seem to
 * succeed. */
static void install_filter(long call, unsigned action)
{
	struct sock_filter code[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 4, 0),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_setgroups, 4, 0),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_setresgid, 3, 0),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_setresuid, 2, 0),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	    BPF_STMT(BPF_RET | BPF_K, action),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO),
	};
	struct sock_fprog program = {.len = ARRAY_LEN(code), .filter = code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == -1)
		_exit(99);
}

/* What came of a start. */
struct outcome {
	int code;
	struct spawn_error error;
	siginfo_t end; /* of what was started */
	bool child_left;
};

static void start_all(struct outcome *outcome, long call, unsigned action)
{
	const struct spawn_limit limits[] = {{RLIMIT_CORE, {0, 0}}};
	struct spawn_spec spec = true_spec();
	siginfo_t info;
	int pidfd;
	pid_t pid;

	write_file("cgroup/cgroup.procs", "", 0644);
	spec.cgroup_fd = open(path_in("cgroup"), O_PATH | O_CLOEXEC);
	spec.directory = "/";
	spec.set_nice = true;
	spec.nice = 1;
	spec.oom_score_adj = "500";
	spec.limits = limits;
	spec.n_limits = 1;
	spec.change_user = true;
	install_filter(call, action);
	outcome->code = spawn_process(&spec, &pid, &pidfd, &outcome->error);
	if (outcome->code == 0)
		waitid(P_PIDFD, (id_t)pidfd, &outcome->end, WEXITED);
	outcome->child_left = waitid(P_ALL, 0, &info, WEXITED) != -1 || errno != ECHILD;
}

/* In a process of its own, since a filter stays for ever. */
static struct outcome try_filtered(long call, unsigned action)
{
	struct outcome result, *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
					      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t pid;

	assert_ptr_not_equal(shared, MAP_FAILED);
	pid = fork();
	if (pid == 0) {
		start_all(shared, call, action);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	result = *shared;
	munmap(shared, sizeof(*shared));
	assert_false(result.child_left);
	return result;
}

static const struct filtered {
	long call;
	enum spawn_stage stage;
} filtered_calls[] = {
    {SYS_setsid, SPAWN_STAGE_SESSION},		{SYS_write, SPAWN_STAGE_CGROUP},
    {SYS_close_range, SPAWN_STAGE_DESCRIPTORS}, {SYS_setpriority, SPAWN_STAGE_NICE},
    {SYS_prlimit64, SPAWN_STAGE_LIMITS},	{SYS_setgroups, SPAWN_STAGE_GROUPS},
    {SYS_setresgid, SPAWN_STAGE_GROUP},		{SYS_setresuid, SPAWN_STAGE_USER},
    {SYS_chdir, SPAWN_STAGE_DIRECTORY},		{SYS_execve, SPAWN_STAGE_EXEC},
};

static void test_every_step_can_fail(void **state)
{
	struct outcome outcome = try_filtered(SYS_clone, SECCOMP_RET_ERRNO | EPERM);
	(void)state;

	assert_int_equal(outcome.code, -EPERM);
	assert_int_equal(outcome.error.stage, SPAWN_STAGE_CLONE);
	for (size_t i = 0; i < ARRAY_LEN(filtered_calls); i++) {
		outcome = try_filtered(filtered_calls[i].call, SECCOMP_RET_ERRNO | EHOSTDOWN);
		assert_int_equal(outcome.code, -EHOSTDOWN);
		assert_int_equal(outcome.error.error, EHOSTDOWN);
		assert_int_equal(outcome.error.signal, 0);
		assert_int_equal(outcome.error.stage, filtered_calls[i].stage);
	}
}

static void test_a_death_before_exec_is_told(void **state)
{
	struct spawn_spec spec = true_spec();
	char text[256];
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(filtered_calls); i++) {
		struct outcome outcome =
		    try_filtered(filtered_calls[i].call, SECCOMP_RET_KILL_PROCESS);

		if (filtered_calls[i].stage == SPAWN_STAGE_EXEC) {
			assert_int_equal(outcome.code, 0); /* in exec: an end like any other */
			assert_int_equal(outcome.end.si_code, CLD_KILLED);
			assert_int_equal(outcome.end.si_status, SIGSYS);
			continue;
		}
		assert_int_equal(outcome.code, -ECANCELED);
		assert_int_equal(outcome.error.error, ECANCELED);
		assert_int_equal(outcome.error.signal, SIGSYS);
		assert_int_equal(outcome.error.stage, filtered_calls[i].stage);
		assert_non_null(
		    strstr(spawn_describe_error(&spec, &outcome.error, text, sizeof(text)),
			   "killed by SIGSYS before that"));
	}
}

static long address_space_pages(void)
{
	cleanup_free char *text = NULL;

	assert_int_equal(fd_read_file("/proc/self/statm", 256, &text, NULL), 0);
	return atol(text);
}

static void test_nothing_is_left_behind(void **state)
{
	struct spawn_spec good = true_spec(), bad = true_spec();
	struct reap_status status;
	struct spawn_error error;
	int fds = proc_count_fds(), pidfd;
	long pages;
	pid_t pid;
	(void)state;

	bad.path = "/no/such/program";
	pages = address_space_pages();
	for (int i = 0; i < 300; i++) {
		assert_int_equal(spawn_process(&bad, &pid, &pidfd, &error), -ENOENT);
		errno = 4711;
		assert_int_equal(spawn_process(&good, &pid, &pidfd, &error), 0);
		assert_int_equal(errno, 4711);
		wait_for_end(pidfd, &status);
		close(pidfd);
	}
	assert_int_equal(proc_count_fds(), fds);
	assert_no_children();
	/* One kept stack per start would be 600 x 128 KiB. */
	assert_in_range(address_space_pages(), 0, pages + 8L * 1024 * 1024 / getpagesize());
}

/* --- resolving --- */

static void assert_resolves(const char *word, const char *from, const char *expected)
{
	char *path = NULL;

	assert_int_equal(spawn_resolve(word, from, &path), 0);
	assert_string_equal(path, expected);
	free(path);
}

static void test_resolve(void **state)
{
	char *old_path = strdup(getenv("PATH")), *path = NULL, search[512];
	int here = open(".", O_PATH | O_CLOEXEC);
	(void)state;

	write_file("tool", "#!/bin/sh\n", 0755);
	write_file("data", "x\n", 0644);
	write_file("sub/data", "#!/bin/sh\n", 0755);
	write_file("relative/only", "#!/bin/sh\n", 0755);
	snprintf(search, sizeof(search), "::relative:%s:%s/sub", directory, directory);
	setenv("PATH", search, 1);
	assert_int_equal(chdir(directory), 0);

	assert_resolves("tool", NULL, path_in("tool"));
	assert_resolves("data", "/elsewhere",
			path_in("sub/data")); /* goes on after one that may not be executed */
	assert_int_equal(spawn_resolve("only", NULL, &path),
			 -ENOENT); /* would be another one from elsewhere */
	assert_int_equal(spawn_resolve("sub", NULL, &path), -EACCES); /* a directory */
	assert_int_equal(spawn_resolve("nosuch", NULL, &path), -ENOENT);
	assert_int_equal(spawn_resolve("", NULL, &path), -ENOENT);
	assert_null(path);
	assert_resolves("bin/x", "/opt/app", "/opt/app/bin/x");
	assert_resolves("./x", NULL, "./x");
	assert_resolves("/no/such", "/opt", "/no/such");
	unsetenv("PATH");
	assert_int_equal(spawn_resolve("sh", NULL, &path), 0);
	free(path);
	setenv("PATH", old_path, 1);
	free(old_path);
	assert_int_equal(fchdir(here), 0);
	close(here);
}

static void test_every_stage_has_a_name(void **state)
{
	(void)state;
	for (int i = 0; i < SPAWN_STAGE_COUNT; i++)
		assert_true(strlen(spawn_stage_name((enum spawn_stage)i)) > 0);
	assert_string_equal(spawn_stage_name(SPAWN_STAGE_EXEC), "execute");
	assert_string_equal(spawn_stage_name((enum spawn_stage)999), "start");
}

static int set_up(void **state)
{
	(void)state;
	directory = unit_directory();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unit_remove(directory);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_exec_failures),
	    cmocka_unit_test(test_set_up_failures),
	    cmocka_unit_test(test_every_step_can_fail),
	    cmocka_unit_test(test_a_death_before_exec_is_told),
	    cmocka_unit_test(test_nothing_is_left_behind),
	    cmocka_unit_test(test_resolve),
	    cmocka_unit_test(test_every_stage_has_a_name),
	};

	return cmocka_run_group_tests_name("spawn failure", tests, set_up, tear_down);
}
