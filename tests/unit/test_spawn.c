/* test_spawn.c - starts real processes and asks them what they were given. */
#include "spawn_support.h"
#include "support.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum { REPORT_MAX = 64 * 1024 };

/* --- the program that is started: this binary, when it is told to report --- */

static void report_status_line(const char *wanted)
{
	cleanup_file FILE *file = fopen("/proc/self/status", "re");
	char line[256];

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, wanted, strlen(wanted)) == 0)
			fputs(line, stdout);
}

/* Of the version 2 hierarchy. */
static void report_cgroup(void)
{
	cleanup_file FILE *file = fopen("/proc/self/cgroup", "re");
	char line[512];

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, "0::", 3) == 0)
			printf("cgroup %s", line + 3);
}

static void report_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	const struct dirent *entry;
	struct stat st;

	while ((entry = readdir(directory)) != NULL) {
		int fd = atoi(entry->d_name);

		if (entry->d_name[0] == '.' || fd == dirfd(directory) || fstat(fd, &st) == -1)
			continue;
		printf("fd %d %lu cloexec=%d\n", fd, (unsigned long)st.st_ino, fcntl(fd, F_GETFD));
	}
	closedir(directory);
}

static int report(void)
{
	struct rlimit limit;
	char cwd[4096], oom[32] = "";
	gid_t groups[64];
	FILE *file;
	int n;

	printf("pid %d session %d group %d\n", (int)getpid(), (int)getsid(0), (int)getpgrp());
	printf("LISTEN_PID=%s\n", getenv("LISTEN_PID") != NULL ? getenv("LISTEN_PID") : "unset");
	printf("uid %u %u gid %u %u\n", getuid(), geteuid(), getgid(), getegid());
	n = getgroups(64, groups);
	printf("groups");
	for (int i = 0; i < n; i++)
		printf(" %u", groups[i]);
	printf("\nnice %d\n", getpriority(PRIO_PROCESS, 0));
	getrlimit(RLIMIT_CORE, &limit);
	printf("core %llu %llu\n", (unsigned long long)limit.rlim_cur,
	       (unsigned long long)limit.rlim_max);
	printf("cwd %s\n", getcwd(cwd, sizeof(cwd)));
	file = fopen("/proc/self/oom_score_adj", "re");
	printf("oom %s", fgets(oom, sizeof(oom), file));
	fclose(file);
	n = (int)umask(0);
	printf("umask %04o\n", (unsigned)n);
	report_status_line("SigBlk:");
	report_cgroup();
	report_status_line("SigIgn:");
	report_descriptors();
	fflush(stdout);
	_exit(0);
}

/* --- helpers --- */

static char *report_argv[] = {(char *)"reporter", (char *)"--report", NULL};

static struct spawn_spec report_spec(void)
{
	struct spawn_spec spec = true_spec();

	spec.path = "/proc/self/exe";
	spec.argv = report_argv;
	return spec;
}

/* Starts it with its standard output in a pipe and returns what it wrote; the caller frees. */
static char *run(struct spawn_spec *spec, pid_t *ret_pid)
{
	struct spawn_error error = {.stage = SPAWN_STAGE_NONE};
	struct reap_status status;
	char *text = calloc(1, REPORT_MAX);
	int out[2], pidfd = -1, r;
	size_t len = 0;
	ssize_t n;

	assert_non_null(text);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	spec->stdout_fd = out[1];
	r = spawn_process(spec, ret_pid, &pidfd, &error);
	if (r < 0)
		fail_msg("stage %d: %s", error.stage, strerror(error.error));
	assert_int_equal(fcntl(pidfd, F_GETFD), FD_CLOEXEC);
	close(out[1]);
	while ((n = read(out[0], text + len, REPORT_MAX - 1 - len)) > 0)
		len += (size_t)n;
	close(out[0]);
	wait_for_end(pidfd, &status);
	close(pidfd);
	assert_int_equal(status.code, CLD_EXITED);
	assert_int_equal(status.value, 0);
	return text;
}

static void assert_line(const char *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void assert_line(const char *text, const char *format, ...)
{
	char line[5000] = "\n", copy[REPORT_MAX + 2];
	va_list args;

	va_start(args, format);
	vsnprintf(line + 1, sizeof(line) - 2, format, args);
	va_end(args);
	strcat(line, "\n");
	snprintf(copy, sizeof(copy), "\n%s", text);
	if (strstr(copy, line) == NULL)
		fail_msg("'%s' is not in:\n%s", line + 1, text);
}

static unsigned long inode_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (unsigned long)st.st_ino;
}

static int new_file(void)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* --- what the child is given --- */

static void test_gives_everything(void **state)
{
	char pid_variable[] = "LISTEN_PID=0123456789", other[] = "X=1";
	char *env[] = {other, pid_variable, NULL};
	const size_t indices[] = {1};
	const struct spawn_limit limits[] = {{RLIMIT_CORE, {0, 4096}}};
	struct spawn_spec spec = report_spec();
	cleanup_free char *text = NULL;
	pid_t pid = 0;
	(void)state;

	spec.env = env;
	spec.pid_variables = indices;
	spec.n_pid_variables = 1;
	spec.limits = limits;
	spec.n_limits = 1;
	spec.set_nice = true;
	spec.nice = 7;
	spec.oom_score_adj = "345";
	spec.directory = "/usr";
	spec.umask = 0137;
	text = run(&spec, &pid);
	assert_line(text, "pid %d session %d group %d", pid, pid, pid);
	assert_line(text, "LISTEN_PID=%d", pid);
	assert_line(text, "nice 7");
	assert_line(text, "oom 345");
	assert_line(text, "core 0 4096");
	assert_line(text, "cwd /usr");
	assert_line(text, "umask 0137");
	assert_line(text, "uid %u %u gid %u %u", getuid(), geteuid(), getgid(), getegid());
	assert_no_children();
}

static void test_leaves_what_is_not_asked(void **state)
{
	struct spawn_spec spec = report_spec();
	cleanup_free char *text = NULL;
	char cwd[4096];
	pid_t pid = 0;
	(void)state;

	spec.new_session = false;
	text = run(&spec, &pid);
	assert_line(text, "pid %d session %d group %d", pid, getsid(0), pid);
	assert_line(text, "LISTEN_PID=unset");
	assert_line(text, "nice %d", getpriority(PRIO_PROCESS, 0));
	assert_line(text, "cwd %s", getcwd(cwd, sizeof(cwd)));
}

/* Exactly these descriptors, and nothing else above 2; and ours stay as they were, whose table the
 * child begins with. */
static void check_descriptors(const int *fds, const int *numbers, size_t n)
{
	struct spawn_spec spec = report_spec();
	cleanup_free char *text = NULL;
	unsigned long ours[8];
	size_t lines = 0;
	pid_t pid = 0;

	assert_true(n <= ARRAY_LEN(ours));
	for (size_t i = 0; i < n; i++)
		ours[i] = inode_of(fds[i]);
	spec.fds = fds;
	spec.fd_numbers = numbers;
	spec.n_fds = n;
	spec.stdin_fd = n > 0 ? fds[0] : -1;
	text = run(&spec, &pid);
	for (size_t i = 0; i < n; i++) {
		assert_line(text, "fd %d %lu cloexec=0", numbers[i], ours[i]);
		assert_int_equal(inode_of(fds[i]), ours[i]);
		assert_int_equal(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
	}
	if (n > 0)
		assert_line(text, "fd 0 %lu cloexec=0", ours[0]);
	for (const char *p = text; (p = strstr(p, "\nfd ")) != NULL; p++)
		lines += atoi(p + 4) > 2;
	assert_int_equal(lines, n);
}

static void test_descriptors_in_any_order(void **state)
{
	uint64_t seed = unit_seed();
	int fds[8], numbers[8], leaked;
	(void)state;

	leaked = dup(2); /* without close-on-exec, as some program before us may have left it */
	check_descriptors(NULL, NULL, 0);
	for (int i = 0; i < 8; i++)
		fds[i] = new_file();
	check_descriptors((int[]){fds[0], fds[1]}, (int[]){fds[1], fds[0]}, 2);
	check_descriptors((int[]){fds[0], fds[0], fds[0]}, (int[]){fds[0] + 1, fds[0], fds[0] + 2},
			  3);
	check_descriptors((int[]){fds[3]}, (int[]){300}, 1);
	for (int round = 0; round < 25; round++) {
		size_t n = 1 + unit_random(&seed, 8);
		int base = 3 + (int)unit_random(&seed, 12);

		for (size_t i = 0; i < n; i++)
			numbers[i] = base + (int)i * (1 + round % 2);
		for (size_t i = n - 1; i > 0; i--) {
			size_t j = unit_random(&seed, (uint32_t)i + 1);
			int swap = numbers[i];

			numbers[i] = numbers[j];
			numbers[j] = swap;
		}
		check_descriptors(fds, numbers, n);
	}
	for (int i = 0; i < 8; i++)
		close(fds[i]);
	close(leaked);
}

static void test_more_descriptors_than_the_limit(void **state)
{
	static char *argv[] = {(char *)"sh", (char *)"-c",
			       (char *)"ulimit -n; echo written >/proc/self/fd/19", NULL};
	const struct spawn_limit limits[] = {{RLIMIT_NOFILE, {12, 12}}};
	int file = new_file();
	int fds[] = {file, file, file}, numbers[] = {3, 18, 19};
	struct spawn_spec spec = report_spec();
	cleanup_free char *text = NULL;
	char content[16] = "";
	pid_t pid;
	(void)state;

	spec.path = "/bin/sh";
	spec.argv = argv;
	spec.fds = fds;
	spec.fd_numbers = numbers;
	spec.n_fds = ARRAY_LEN(fds);
	spec.limits = limits;
	spec.n_limits = 1;
	text = run(&spec, &pid);
	assert_string_equal(text, "12\n");
	assert_int_equal(pread(file, content, sizeof(content) - 1, 0), 8);
	assert_string_equal(content, "written\n");
	close(file);
}

static void on_signal(int sig)
{
	(void)sig;
}

static void test_signals_are_reset_there_and_kept_here(void **state)
{
	struct spawn_spec spec = report_spec();
	cleanup_free char *text = NULL;
	struct sigaction before;
	sigset_t mask, after;
	pid_t pid;
	(void)state;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGUSR2, SIG_IGN);
	signal(SIGTERM, on_signal);
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	sigaddset(&mask, SIGCHLD);
	sigaddset(&mask, SIGRTMIN + 3);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	text = run(&spec, &pid);
	assert_line(text, "SigBlk:\t0000000000000000");
	assert_line(text, "SigIgn:\t0000000000000000");
	sigprocmask(SIG_SETMASK, NULL, &after);
	for (int sig = 1; sig < SIGRTMAX; sig++)
		assert_int_equal(sigismember(&after, sig), sigismember(&mask, sig));
	sigaction(SIGTERM, NULL, &before);
	assert_true(before.sa_handler == on_signal);
	sigaction(SIGPIPE, NULL, &before);
	assert_true(before.sa_handler == SIG_IGN);
	sigemptyset(&mask);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGUSR2, SIG_DFL);
}

static volatile sig_atomic_t signals_here, signals_elsewhere;
static pid_t starter;

static void count_signal(int sig)
{
	(void)sig;
	if (syscall(SYS_getpid) == starter)
		signals_here++;
	else
		signals_elsewhere++; /* seen by the starter, whose memory it is */
}

static void signal_the_group_for_ever(void *unused)
{
	(void)unused;
	signal(SIGPWR, SIG_IGN);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) == -1)
		return;
	for (;;)
		kill(0, SIGPWR);
}

static void start_under_fire(void *unused)
{
	struct sigaction action = {.sa_handler = count_signal, .sa_flags = SA_RESTART};
	struct spawn_spec spec = true_spec();
	struct spawn_error error;
	int pidfd;
	pid_t pid;

	(void)unused;
	starter = getpid();
	if (setpgid(0, 0) == -1 || sigaction(SIGPWR, &action, NULL) == -1 ||
	    support_fork(signal_the_group_for_ever, NULL) == -1)
		_exit(2);
	for (int i = 0; i < 300; i++) {
		if (spawn_process(&spec, &pid, &pidfd, &error) < 0)
			_exit(3);
		while (waitid(P_PIDFD, (id_t)pidfd, &(siginfo_t){0}, WEXITED) == -1)
			;
		close(pidfd);
	}
	_exit(signals_elsewhere > 0 ? 4 : signals_here == 0 ? 5 : 0);
}

/* The child shares our memory: our handler must not run in it, not even for the signals that reach
 * us all. */
static void test_no_handler_runs_in_the_child(void **state)
{
	int status;
	pid_t pid = support_fork(start_under_fire, NULL);
	(void)state;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static const char *cgroup_root(void)
{
	static const char *const roots[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
	char path[64];

	for (size_t i = 0; i < ARRAY_LEN(roots); i++) {
		snprintf(path, sizeof(path), "%s/cgroup.procs", roots[i]);
		if (access(path, W_OK) == 0)
			return roots[i];
	}
	return NULL;
}

static void test_cgroup(void **state)
{
	struct spawn_spec spec = report_spec();
	cleanup_free char *text = NULL;
	char path[128], name[64];
	pid_t pid;
	(void)state;

	snprintf(name, sizeof(name), "handover-unit-%d", (int)getpid());
	snprintf(path, sizeof(path), "%s/%s", cgroup_root() != NULL ? cgroup_root() : "", name);
	if (cgroup_root() == NULL || mkdir(path, 0755) == -1) {
		print_message("NOT RUN: there is no cgroup (version 2) that we may write to\n");
		skip();
	}
	spec.cgroup_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(spec.cgroup_fd >= 0);
	text = run(&spec, &pid);
	close(spec.cgroup_fd);
	assert_int_equal(rmdir(path), 0); /* it is empty: the process was reaped */
	assert_line(text, "cgroup /%s", name);
}

static void test_user(void **state)
{
	const gid_t groups[] = {65533, 65532};
	struct spawn_spec spec = report_spec();
	struct spawn_error error = {.stage = SPAWN_STAGE_NONE};
	cleanup_free char *text = NULL;
	pid_t pid;
	int pidfd;
	(void)state;

	spec.change_user = true;
	spec.uid = 65534;
	spec.gid = 65531;
	spec.groups = groups;
	spec.n_groups = 2;
	if (geteuid() != 0) {
		assert_int_equal(spawn_process(&spec, &pid, &pidfd, &error), -EPERM);
		assert_int_equal(error.stage, SPAWN_STAGE_GROUPS);
		return;
	}
	/* That user may not look into our build directory, but a descriptor leads there. */
	assert_int_equal(prctl(PR_GET_DUMPABLE), 1);
	spec.path = "/bin/sh";
	spec.argv = (char *[]){
	    (char *)"sh", (char *)"-c",
	    (char *)"grep -E '^(Uid|Gid|Groups|CapEff):' /proc/self/status | tr -d '\\t '", NULL};
	text = run(&spec, &pid);
	assert_line(text, "Uid:65534655346553465534");
	assert_line(text, "Gid:65531655316553165531");
	assert_line(text, "Groups:6553265533");
	assert_line(text, "CapEff:0000000000000000");
	assert_int_equal(geteuid(), 0);
	assert_int_equal(prctl(PR_GET_DUMPABLE),
			 1); /* the kernel took it while that user shared our memory */
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_gives_everything),
	    cmocka_unit_test(test_leaves_what_is_not_asked),
	    cmocka_unit_test(test_descriptors_in_any_order),
	    cmocka_unit_test(test_more_descriptors_than_the_limit),
	    cmocka_unit_test(test_signals_are_reset_there_and_kept_here),
	    cmocka_unit_test(test_no_handler_runs_in_the_child),
	    cmocka_unit_test(test_cgroup),
	    cmocka_unit_test(test_user),
	};

	if (argc > 1 && strcmp(argv[1], "--report") == 0)
		return report();
	return cmocka_run_group_tests_name("spawn", tests, NULL, NULL);
}
