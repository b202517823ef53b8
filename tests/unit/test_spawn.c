/* test_spawn.c - starts real processes and asks them what they were given; fails every step on
 * purpose. */
#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "system/proc.h"
#include "system/reap.h"
#include "system/spawn.h"

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
	report_status_line("SigIgn:");
	report_descriptors();
	fflush(stdout);
	_exit(0);
}

/* --- helpers --- */

static char *report_argv[] = {(char *)"reporter", (char *)"--report", NULL};
static char *true_argv[] = {(char *)"true", NULL};
static char *no_env[] = {NULL};

static struct spawn_spec report_spec(void)
{
	return (struct spawn_spec){.path = "/proc/self/exe",
				   .argv = report_argv,
				   .env = no_env,
				   .stdin_fd = -1,
				   .stdout_fd = -1,
				   .stderr_fd = -1,
				   .umask = 0022,
				   .new_session = true};
}

static struct spawn_spec true_spec(void)
{
	struct spawn_spec spec = report_spec();

	spec.path = "/bin/true";
	spec.argv = true_argv;
	return spec;
}

static void wait_for_end(int pidfd, struct reap_status *status)
{
	siginfo_t info;

	assert_int_equal(waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(reap_collect(pidfd, status), 0);
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

static void assert_no_children(void)
{
	siginfo_t info;

	assert_int_equal(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT), -1);
	assert_int_equal(errno, ECHILD);
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

/* Exactly these descriptors, and nothing else above 2. */
static void check_descriptors(const int *fds, const int *numbers, size_t n)
{
	struct spawn_spec spec = report_spec();
	cleanup_free char *text = NULL;
	size_t lines = 0;
	pid_t pid = 0;

	spec.fds = fds;
	spec.fd_numbers = numbers;
	spec.n_fds = n;
	spec.stdin_fd = n > 0 ? fds[0] : -1;
	text = run(&spec, &pid);
	for (size_t i = 0; i < n; i++)
		assert_line(text, "fd %d %lu cloexec=0", numbers[i], inode_of(fds[i]));
	if (n > 0)
		assert_line(text, "fd 0 %lu cloexec=0", inode_of(fds[0]));
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

static volatile sig_atomic_t alarms_here, alarms_elsewhere;
static pid_t test_pid;

static void on_alarm(int sig)
{
	(void)sig;
	if (syscall(SYS_getpid) == test_pid)
		alarms_here++;
	else
		alarms_elsewhere++;
}

/* The child shares our memory: a handler of ours that runs there would show. */
static void test_no_handler_runs_in_the_child(void **state)
{
	struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
	struct itimerval fast = {{0, 50}, {0, 50}}, off = {{0, 0}, {0, 0}};
	struct spawn_spec spec = true_spec();
	struct spawn_error error;
	struct reap_status status;
	pid_t pid;
	int pidfd;
	(void)state;

	test_pid = getpid();
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &fast, NULL);
	for (int i = 0; i < 300; i++) {
		assert_int_equal(spawn_process(&spec, &pid, &pidfd, &error), 0);
		wait_for_end(pidfd, &status);
		assert_int_equal(status.code, CLD_EXITED);
		close(pidfd);
	}
	setitimer(ITIMER_REAL, &off, NULL);
	signal(SIGALRM, SIG_DFL);
	assert_true(alarms_here > 0);
	assert_int_equal(alarms_elsewhere, 0);
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

/* --- failures --- */

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
	int closed = new_file();
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

/* In a process of its own, since a filter stays for ever. */
static void try_filtered(long call, unsigned action, struct spawn_error *ret_error, int *ret_code)
{
	struct shared {
		struct spawn_error error;
		int code;
	} *shared =
	    mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const struct spawn_limit limits[] = {{RLIMIT_CORE, {0, 0}}};
	struct spawn_spec spec = true_spec();
	siginfo_t info;
	int pidfd, status;
	pid_t pid;

	assert_ptr_not_equal(shared, MAP_FAILED);
	pid = fork();
	if (pid == 0) {
		spec.directory = "/";
		spec.set_nice = true;
		spec.nice = 1;
		spec.oom_score_adj = "500";
		spec.limits = limits;
		spec.n_limits = 1;
		spec.change_user = true;
		install_filter(call, action);
		shared->code = spawn_process(&spec, &pid, &pidfd, &shared->error);
		if (shared->code == 0) {
			waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED);
			if (info.si_code != CLD_EXITED)
				shared->error.signal = info.si_status;
		}
		_exit(waitid(P_ALL, 0, &info, WEXITED) == -1 && errno == ECHILD ? 0 : 98);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	*ret_error = shared->error;
	*ret_code = shared->code;
	munmap(shared, sizeof(*shared));
}

static const struct filtered {
	long call;
	enum spawn_stage stage;
} filtered_calls[] = {
    {SYS_setsid, SPAWN_STAGE_SESSION},	 {SYS_close_range, SPAWN_STAGE_DESCRIPTORS},
    {SYS_setpriority, SPAWN_STAGE_NICE}, {SYS_prlimit64, SPAWN_STAGE_LIMITS},
    {SYS_setgroups, SPAWN_STAGE_GROUPS}, {SYS_setresgid, SPAWN_STAGE_GROUP},
    {SYS_setresuid, SPAWN_STAGE_USER},	 {SYS_chdir, SPAWN_STAGE_DIRECTORY},
    {SYS_execve, SPAWN_STAGE_EXEC},
};

static void test_every_step_can_fail(void **state)
{
	struct spawn_error error;
	int code;
	(void)state;

	try_filtered(SYS_clone, SECCOMP_RET_ERRNO | EPERM, &error, &code);
	assert_int_equal(code, -EPERM);
	assert_int_equal(error.stage, SPAWN_STAGE_CLONE);
	for (size_t i = 0; i < ARRAY_LEN(filtered_calls); i++) {
		try_filtered(filtered_calls[i].call, SECCOMP_RET_ERRNO | EHOSTDOWN, &error, &code);
		assert_int_equal(code, -EHOSTDOWN);
		assert_int_equal(error.error, EHOSTDOWN);
		assert_int_equal(error.signal, 0);
		assert_int_equal(error.stage, filtered_calls[i].stage);
	}
}

static void test_a_death_before_exec_is_told(void **state)
{
	struct spawn_spec spec = true_spec();
	struct spawn_error error;
	char text[256];
	int code;
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(filtered_calls); i++) {
		try_filtered(filtered_calls[i].call, SECCOMP_RET_KILL_PROCESS, &error, &code);
		assert_int_equal(error.signal, SIGSYS);
		if (filtered_calls[i].stage == SPAWN_STAGE_EXEC && code == 0)
			continue; /* seen as its ordinary end: spawn.h says when */
		assert_int_equal(code, -ECANCELED);
		assert_int_equal(error.error, ECANCELED);
		assert_int_equal(error.stage, filtered_calls[i].stage);
		assert_non_null(strstr(spawn_describe_error(&spec, &error, text, sizeof(text)),
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

static void test_resolve(void **state)
{
	char *old_path = strdup(getenv("PATH")), *path = NULL, search[512];
	(void)state;

	write_file("tool", "#!/bin/sh\n", 0755);
	write_file("data", "x\n", 0644);
	write_file("sub/data", "#!/bin/sh\n", 0755);
	snprintf(search, sizeof(search), "::relative:%s:%s/sub", directory, directory);
	setenv("PATH", search, 1);

	assert_int_equal(spawn_resolve("tool", NULL, &path), 0);
	assert_string_equal(path, path_in("tool"));
	free(path);
	assert_int_equal(spawn_resolve("data", "/elsewhere", &path),
			 0); /* goes on after one that may not be executed */
	assert_string_equal(path, path_in("sub/data"));
	free(path);
	path = NULL;
	assert_int_equal(spawn_resolve("sub", NULL, &path), -EACCES); /* a directory */
	assert_int_equal(spawn_resolve("nosuch", NULL, &path), -ENOENT);
	assert_int_equal(spawn_resolve("", NULL, &path), -ENOENT);
	assert_null(path);
	assert_int_equal(spawn_resolve("bin/x", "/opt/app", &path), 0);
	assert_string_equal(path, "/opt/app/bin/x");
	free(path);
	assert_int_equal(spawn_resolve("./x", NULL, &path), 0);
	assert_string_equal(path, "./x");
	free(path);
	assert_int_equal(spawn_resolve("/no/such", "/opt", &path), 0);
	assert_string_equal(path, "/no/such");
	free(path);
	unsetenv("PATH");
	assert_int_equal(spawn_resolve("sh", NULL, &path), 0);
	free(path);
	setenv("PATH", old_path, 1);
	free(old_path);
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

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_gives_everything),
	    cmocka_unit_test(test_leaves_what_is_not_asked),
	    cmocka_unit_test(test_descriptors_in_any_order),
	    cmocka_unit_test(test_more_descriptors_than_the_limit),
	    cmocka_unit_test(test_signals_are_reset_there_and_kept_here),
	    cmocka_unit_test(test_no_handler_runs_in_the_child),
	    cmocka_unit_test(test_user),
	    cmocka_unit_test(test_exec_failures),
	    cmocka_unit_test(test_set_up_failures),
	    cmocka_unit_test(test_every_step_can_fail),
	    cmocka_unit_test(test_a_death_before_exec_is_told),
	    cmocka_unit_test(test_nothing_is_left_behind),
	    cmocka_unit_test(test_resolve),
	    cmocka_unit_test(test_every_stage_has_a_name),
	};

	if (argc > 1 && strcmp(argv[1], "--report") == 0)
		return report();
	return cmocka_run_group_tests_name("spawn", tests, set_up, tear_down);
}
