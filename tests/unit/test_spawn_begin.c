/* test_spawn_begin.c - starts that nobody waits for: many at once, in the same memory as we. */
#include "spawn_support.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "system/proc.h"
#include "system/spawn_call.h"

enum { MANY = 48 };

struct flight {
	struct spawn_start *start;
	struct spawn_error error;
	int pidfd, result;
	pid_t pid;
};

static struct flight begin(const struct spawn_spec *spec)
{
	struct flight flight = {.result = -EINPROGRESS};

	errno = 4711;
	assert_int_equal(
	    spawn_begin(spec, &flight.start, &flight.pid, &flight.pidfd, &flight.error), 0);
	assert_int_equal(errno, 4711);
	assert_true(flight.pid > 0);
	assert_int_equal(fcntl(flight.pidfd, F_GETFD), FD_CLOEXEC);
	return flight;
}

/* As a loop does it: looks when there is something to see. */
static void await(struct flight *flight)
{
	while (flight->result == -EINPROGRESS) {
		struct pollfd fds[] = {{.fd = spawn_fd(flight->start), .events = POLLIN},
				       {.fd = flight->pidfd, .events = POLLIN}};

		assert_true(poll(fds, 2, 60000) > 0);
		flight->result =
		    spawn_look(flight->start, (fds[1].revents & POLLIN) != 0, &flight->error);
	}
	spawn_free(flight->start);
}

static void reap(struct flight *flight, struct reap_status *status)
{
	wait_for_end(flight->pidfd, status);
	close(flight->pidfd);
}

static void test_many_at_once(void **state)
{
	static const struct {
		const char *path, *directory;
		int result;
		enum spawn_stage stage;
	} kinds[] = {
	    {"/bin/true", NULL, 0, SPAWN_STAGE_NONE},
	    {"/no/such/program", NULL, -ENOENT, SPAWN_STAGE_EXEC},
	    {"/bin/true", "/no/such/directory", -ENOENT, SPAWN_STAGE_DIRECTORY},
	    {"/usr", "/", -EACCES, SPAWN_STAGE_EXEC},
	};
	struct flight flights[MANY];
	struct reap_status status;
	int fds = proc_count_fds();
	(void)state;

	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < MANY; i++) {
			struct spawn_spec spec = true_spec();

			spec.memory_limited = i % 8 < 4; /* in a copy of our memory */
			spec.path = kinds[i % 4].path;
			spec.directory = kinds[i % 4].directory;
			flights[i] = begin(&spec);
		}
		for (int i = MANY - 1; i >= 0; i--) {
			await(&flights[i]);
			assert_int_equal(flights[i].result, kinds[i % 4].result);
			assert_int_equal(flights[i].error.stage, kinds[i % 4].stage);
			assert_int_equal(flights[i].error.error, -kinds[i % 4].result);
			reap(&flights[i], &status);
			assert_int_equal(status.value, kinds[i % 4].result == 0 ? 0 : 127);
		}
	}
	assert_int_equal(proc_count_fds(), fds);
	assert_no_children();
}

/* What fails in a child must not be seen in our errno, at whatever moment. */
static void test_errno_is_ours_alone(void **state)
{
	struct spawn_spec spec = true_spec();
	struct reap_status status;
	(void)state;

	spec.path = "/no/such/program";
	for (int i = 0; i < 500; i++) {
		struct flight flight = begin(&spec);

		errno = 4711;
		for (int n = 0; n < 100000; n++) {
			assert_int_equal(*(volatile int *)&errno, 4711);
			flight.result = n % 16 == 0 ? spawn_look(flight.start, false, &flight.error)
						    : -EINPROGRESS;
			if (flight.result != -EINPROGRESS)
				break;
		}
		await(&flight);
		assert_int_equal(flight.result, -ENOENT);
		reap(&flight, &status);
	}
}

/* The caller closes its descriptors at once, and others take their numbers. */
static void test_descriptors_may_be_closed_at_once(void **state)
{
	static char *argv[] = {(char *)"sh", (char *)"-c", (char *)"cat <&5", NULL};
	struct spawn_spec spec = true_spec();
	struct flight flights[MANY];
	int outs[MANY];
	(void)state;

	spec.path = "/bin/sh";
	spec.argv = argv;
	spec.fd_numbers = (int[]){5};
	spec.n_fds = 1;
	for (int i = 0; i < MANY; i++) {
		int in[2], out[2];

		assert_int_equal(pipe2(in, O_CLOEXEC), 0);
		assert_int_equal(pipe2(out, O_CLOEXEC), 0);
		assert_int_equal(dprintf(in[1], "%d\n", i), i < 10 ? 2 : 3);
		close(in[1]);
		spec.fds = &in[0];
		spec.stdout_fd = out[1];
		flights[i] = begin(&spec);
		close(in[0]);
		close(out[1]);
		outs[i] = out[0];
	}
	for (int i = 0; i < MANY; i++) {
		struct reap_status status;
		char text[16] = "";

		await(&flights[i]);
		assert_int_equal(flights[i].result, 0);
		reap(&flights[i], &status);
		assert_true(read(outs[i], text, sizeof(text) - 1) > 0);
		assert_int_equal(atoi(text), i);
		assert_int_equal(read(outs[i], text, sizeof(text)), 0);
		close(outs[i]);
	}
}

static void test_what_fails_at_once(void **state)
{
	struct spawn_spec spec = true_spec();
	struct spawn_start *start = NULL;
	struct spawn_error error;
	int fds = proc_count_fds(), pidfd;
	pid_t pid;
	(void)state;

	spec.stdin_fd = 1000000;
	assert_int_equal(spawn_begin(&spec, &start, &pid, &pidfd, &error), -EBADF);
	assert_int_equal(error.stage, SPAWN_STAGE_DESCRIPTORS);
	assert_int_equal(error.error, EBADF);
	assert_null(start);
	assert_int_equal(proc_count_fds(), fds);
	assert_no_children();
}

/* --- a cgroup that cannot be joined --- */

static void test_once_more_without_a_cgroup(void **state)
{
	char place[] = "/tmp/spawn-begin.XXXXXX", path[64];
	struct spawn_spec spec = true_spec();
	int fds = proc_count_fds();
	(void)state;

	assert_non_null(mkdtemp(place));
	snprintf(path, sizeof(path), "%s/cgroup.procs", place);
	assert_int_equal(symlink("/dev/full", path), 0); /* is there, and takes nobody */
	spec.change_user = geteuid() == 0;
	spec.uid = spec.gid = 65534;
	for (int i = 0; i < 20; i++) {
		struct reap_status status;
		struct flight flight;

		spec.memory_limited = i % 2 == 0;
		spec.cgroup_fd = open(place, O_PATH | O_CLOEXEC);
		flight = begin(&spec);
		close(spec.cgroup_fd);
		wait_for_end(flight.pidfd, &status);
		close(flight.pidfd);
		assert_int_equal(spawn_look(flight.start, true, &flight.error), -ENOSPC);
		assert_int_equal(flight.error.stage, SPAWN_STAGE_CGROUP);
		errno = 4711;
		assert_int_equal(spawn_again(flight.start, &flight.pid, &flight.pidfd), 0);
		assert_int_equal(errno, 4711);
		await(&flight);
		assert_int_equal(flight.result, 0);
		reap(&flight, &status);
		assert_int_equal(status.value, 0);
		assert_int_equal(prctl(PR_GET_DUMPABLE), 1);
	}
	assert_int_equal(proc_count_fds(), fds);
	assert_no_children();
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(place), 0);
}

/* --- what the kernel takes for one, if it shares memory --- */

static long read_oom_score_adj(void)
{
	cleanup_free char *text = NULL;

	assert_int_equal(fd_read_file("/proc/self/oom_score_adj", 64, &text, NULL), 0);
	return atol(text);
}

/* Linux gives it to every process that shares the child's memory: to us, and others under way. */
static void test_oom_score_adj_is_the_childs_alone(void **state)
{
	static char *argv[] = {(char *)"sh", (char *)"-c",
			       (char *)"test $(cat /proc/self/oom_score_adj) = $0", (char *)"500",
			       NULL};
	struct spawn_spec spec = true_spec(), other;
	long ours = read_oom_score_adj();
	struct flight flights[MANY];
	struct reap_status status;
	char text[16];
	(void)state;

	snprintf(text, sizeof(text), "%ld", ours);
	spec.path = "/bin/sh";
	spec.argv = argv;
	other = spec;
	other.argv = (char *[]){argv[0], argv[1], argv[2], text, NULL};
	spec.oom_score_adj = "500";
	for (int i = 0; i < MANY; i++)
		flights[i] = begin(i % 2 == 0 ? &other : &spec);
	for (int i = 0; i < MANY; i++) {
		await(&flights[i]);
		assert_int_equal(flights[i].result, 0);
		reap(&flights[i], &status);
		assert_int_equal(status.value, 0);
	}
	assert_int_equal(read_oom_score_adj(), ours);
}

/* --- few descriptors --- */

enum { LIMIT = 128 };

/* Two of the free ones are the highest, so that the child's copy of the table is no smaller. */
static void use_up(bool used[LIMIT], int n_free)
{
	int fd, low = 3, high = LIMIT - 1;

	while ((fd = fcntl(0, F_DUPFD_CLOEXEC, 0)) != -1)
		used[fd] = true;
	assert_int_equal(errno, EMFILE);
	for (int n = 0; n < n_free; n++) {
		while (!used[fd = n < 2 ? high-- : low++])
			continue;
		close(fd);
		used[fd] = false;
	}
}

/* As many as one that is waited for needs are enough: one, for the pidfd. And what the child needs
 * in its copy of a table that is full, it has. */
static void test_with_few_descriptors(void **state)
{
	struct spawn_spec spec = true_spec();
	struct rlimit before, tight;
	unsigned waited = 0;
	(void)state;

	spec.stdin_fd = 0;
	spec.stdout_fd = 1;
	spec.stderr_fd = 2;
	spec.fds = (int[]){0, 1, 2};
	spec.fd_numbers = (int[]){LIMIT - 28, LIMIT - 26, LIMIT - 24};
	spec.n_fds = 3;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	tight = (struct rlimit){.rlim_cur = LIMIT, .rlim_max = before.rlim_max};
	for (int n_free = 0; n_free < 12; n_free++) {
		struct flight flight = {.result = -EINPROGRESS};
		bool used[LIMIT] = {false};
		struct reap_status status;
		int r;

		assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
		use_up(used, n_free);
		r = spawn_begin(&spec, &flight.start, &flight.pid, &flight.pidfd, &flight.error);
		assert_int_equal(r, n_free == 0 ? -EMFILE : 0);
		if (r == 0 && spawn_fd(flight.start) == -1) {
			waited++;
			assert_int_equal(spawn_look(flight.start, false, &flight.error), 0);
		}
		if (r == 0) {
			await(&flight);
			assert_int_equal(flight.result, 0);
			reap(&flight, &status);
			assert_int_equal(status.value, 0);
		}
		for (int fd = 0; fd < LIMIT; fd++)
			if (used[fd])
				close(fd);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	}
	assert_int_equal(waited, 8); /* two for the pipe and six duplicates: with nine none waits */
	assert_no_children();
}

/* --- a child that hangs before exec --- */

/* chdir() stands still until somebody answers for it. Returns the descriptor that tells of it. */
static int hold_chdir(void)
{
	struct sock_filter code[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_chdir, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = ARRAY_LEN(code), .filter = code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return -1;
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
			    &program);
}

static void assert_dumpable(const struct spawn_spec *spec, int expected)
{
	if (spec->change_user && !spec->memory_limited)
		assert_int_equal(prctl(PR_GET_DUMPABLE), expected);
}

static void hang_in_chdir(bool copy)
{
	struct spawn_spec hanging = true_spec(), other;
	struct pollfd held = {.fd = hold_chdir(), .events = POLLIN};
	struct flight flight, second;
	struct reap_status status;

	assert_true(held.fd >= 0);
	hanging.change_user = geteuid() == 0;
	hanging.uid = hanging.gid = 65534;
	hanging.memory_limited = copy;
	other = hanging;
	hanging.directory = "/";
	assert_dumpable(&hanging, 1);
	flight = begin(&hanging);
	assert_int_equal(poll(&held, 1, 60000), 1);
	assert_int_equal(spawn_look(flight.start, false, &flight.error), -EINPROGRESS);
	assert_dumpable(&hanging, 0);
	/* others come and go meanwhile, and none of them gives our memory away */
	for (int i = 0; i < 20; i++) {
		second = begin(&other);
		await(&second);
		assert_int_equal(second.result, 0);
		reap(&second, &status);
		assert_int_equal(status.value, 0);
		assert_dumpable(&hanging, 0);
	}
	assert_int_equal(spawn_look(flight.start, false, &flight.error), -EINPROGRESS);
	assert_int_equal(reap_signal(flight.pidfd, SIGKILL, 0), 0);
	await(&flight);
	assert_int_equal(flight.result, -ECANCELED);
	assert_int_equal(flight.error.stage, SPAWN_STAGE_DIRECTORY);
	reap(&flight, &status);
	assert_int_equal(status.code, CLD_KILLED);
	assert_int_equal(status.value, SIGKILL);
	assert_dumpable(&hanging, 1);
}

/* In a process of its own, since a filter stays for ever. */
static void test_one_that_hangs_holds_up_nobody(void **state)
{
	(void)state;

	if (!SPAWN_SHARES) {
		print_message("NOT RUN: on this kind of machine a start waits for exec\n");
		skip();
	}
	for (int copy = 0; copy < 2; copy++) {
		pid_t pid = fork();
		int status;

		if (pid == 0) {
			hang_in_chdir(copy != 0);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_many_at_once),
	    cmocka_unit_test(test_errno_is_ours_alone),
	    cmocka_unit_test(test_descriptors_may_be_closed_at_once),
	    cmocka_unit_test(test_what_fails_at_once),
	    cmocka_unit_test(test_once_more_without_a_cgroup),
	    cmocka_unit_test(test_oom_score_adj_is_the_childs_alone),
	    cmocka_unit_test(test_with_few_descriptors),
	    cmocka_unit_test(test_one_that_hangs_holds_up_nobody),
	};

	return cmocka_run_group_tests_name("spawn begin", tests, NULL, NULL);
}
