/* test_reap.c - real processes end in all ways, and are looked at, reaped, signalled. */
#include "support.h"

#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "system/reap.h"

static void wait_for_end(int pidfd)
{
	assert_true(support_wait(pidfd, POLLIN));
}

static void exit_42_at_close(void *arg)
{
	const int *go = arg;
	char c;

	close(go[1]);
	_exit(read(go[0], &c, 1) == 0 ? 42 : 1);
}

static void test_peek_leaves_it_and_collect_takes_it(void **state)
{
	struct reap_status status = {0, 0};
	int go[2], pidfd;
	pid_t pid;
	(void)state;

	assert_int_equal(pipe2(go, O_CLOEXEC), 0);
	pid = support_fork(exit_42_at_close, go);
	pidfd = support_pidfd(pid);
	assert_int_equal(reap_peek(pidfd, &status), 0);
	assert_int_equal(reap_collect(pidfd, &status), -EAGAIN);
	assert_int_equal(status.code, 0); /* nothing is written before there is something to say */
	close(go[1]);
	wait_for_end(pidfd);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(reap_peek(pidfd, &status), 1);
		assert_int_equal(status.code, CLD_EXITED);
		assert_int_equal(status.value, 42);
		assert_int_equal(kill(pid, 0), 0); /* the pid is still taken */
	}
	assert_int_equal(reap_collect(pidfd, NULL), 0);
	assert_int_equal(kill(pid, 0), -1);
	assert_int_equal(reap_collect(pidfd, &status), -ECHILD);
	assert_int_equal(reap_peek(pidfd, &status), -ECHILD);
	assert_int_equal(reap_signal(pidfd, SIGTERM, 0), -ESRCH);
	close(pidfd);
	close(go[0]);
}

static void test_death_by_signal(void **state)
{
	struct reap_status status;
	char text[64];
	int pidfd;
	pid_t pid;
	(void)state;

	pid = support_fork(support_pause_for_ever, NULL);
	pidfd = support_pidfd(pid);
	assert_int_equal(reap_signal(pidfd, SIGKILL, 0), 0);
	wait_for_end(pidfd);
	assert_int_equal(reap_collect(pidfd, &status), 0);
	assert_int_equal(status.code, CLD_KILLED);
	assert_int_equal(status.value, SIGKILL);
	assert_string_equal(reap_describe(&status, text, sizeof(text)), "killed by SIGKILL");
	close(pidfd);
}

static void test_not_our_child(void **state)
{
	struct reap_status status;
	int parent = support_pidfd(getppid());
	(void)state;

	assert_true(parent >= 0);
	assert_int_equal(reap_peek(parent, &status), -ECHILD);
	assert_int_equal(reap_collect(parent, &status), -ECHILD);
	assert_int_equal(reap_peek(-1, &status), -EINVAL);
	close(parent);
}

/* A child that waits for sig and writes what came with it. */
static pid_t start_receiver(int sig, rlim_t pending, int *ret_out)
{
	sigset_t mask;
	int out[2];
	pid_t pid;

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	sigemptyset(&mask);
	sigaddset(&mask, sig);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	pid = fork();
	if (pid == 0) {
		struct rlimit limit = {pending, pending};
		siginfo_t info;
		int told[2];

		setrlimit(RLIMIT_SIGPENDING, &limit);
		if (write(out[1], "!", 1) != 1 || sigwaitinfo(&mask, &info) != sig)
			_exit(1);
		told[0] = info.si_code;
		told[1] = info.si_code == SI_QUEUE ? info.si_value.sival_int : 0;
		_exit(write(out[1], told, sizeof(told)) == sizeof(told) ? 0 : 1);
	}
	sigprocmask(SIG_UNBLOCK, &mask, NULL);
	close(out[1]);
	*ret_out = out[0];
	return pid;
}

static void check_signal(int sig, rlim_t pending, int value, int expect_code, int expect_value)
{
	int out, pidfd, told[2] = {-99, -99};
	pid_t pid = start_receiver(sig, pending, &out);
	char c;

	pidfd = support_pidfd(pid);
	assert_int_equal(read(out, &c, 1), 1); /* the limit is set */
	assert_int_equal(reap_signal(pidfd, sig, value), 0);
	assert_int_equal(read(out, told, sizeof(told)), sizeof(told));
	assert_int_equal(told[0], expect_code);
	assert_int_equal(told[1], expect_value);
	wait_for_end(pidfd);
	assert_int_equal(reap_collect(pidfd, NULL), 0);
	close(pidfd);
	close(out);
}

static void test_signals_carry_a_value(void **state)
{
	(void)state;
	check_signal(SIGTERM, 100000, 6000, SI_QUEUE, 6000);
	check_signal(SIGTERM, 100000, 0, SI_USER, 0);
	check_signal(SIGRTMIN + 3, 100000, -7, SI_QUEUE, -7);
	check_signal(SIGRTMIN + 3, 0, 6000, SI_USER,
		     0); /* no room in the queue: the signal comes all the same */
}

static void test_signal_errors(void **state)
{
	int self = support_pidfd(getpid());
	(void)state;

	assert_int_equal(reap_signal(self, 0, 0), 0);
	assert_int_equal(reap_signal(self, 9999, 0), -EINVAL);
	assert_int_equal(reap_signal(-1, SIGTERM, 0), -EBADF);
	close(self);
}

static void leave_two_behind(void *unused)
{
	(void)unused;
	setsid();
	for (int i = 0; i < 2; i++)
		support_fork(support_pause_for_ever, NULL);
}

static void test_group_dies_with_its_zombie_leader(void **state)
{
	int alive[2], pidfd;
	pid_t pid;
	char c;
	(void)state;

	assert_int_equal(pipe2(alive, O_CLOEXEC), 0);
	pid = support_fork(leave_two_behind, NULL);
	pidfd = support_pidfd(pid);
	close(alive[1]);
	wait_for_end(pidfd);
	assert_false(poll(&(struct pollfd){.fd = alive[0], .events = POLLIN}, 1, 0) > 0);
	assert_int_equal(reap_kill_group(pid), 0);
	assert_int_equal(read(alive[0], &c, 1), 0); /* the last holder of the other end is dead */
	assert_int_equal(reap_collect(pidfd, NULL), 0);
	close(pidfd);
	close(alive[0]);
}

/* Where kill() does nothing but say EXDEV: a mistake here must not end the machine that it runs on.
 */
static void try_forbidden_groups(void *unused)
{
	const pid_t groups[] = {0, 1, -1, INT_MIN, getpgrp()};
	struct sock_filter code[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_kill, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EXDEV),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = ARRAY_LEN(code), .filter = code};

	(void)unused;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == -1 ||
	    reap_kill_group(99999) != -EXDEV)
		_exit(99);
	for (size_t i = 0; i < ARRAY_LEN(groups); i++)
		if (reap_kill_group(groups[i]) != -EINVAL)
			_exit((int)i + 1);
}

static void test_group_that_must_not_be_killed(void **state)
{
	int status;
	pid_t pid = support_fork(try_forbidden_groups, NULL);
	(void)state;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* --- orphans --- */

struct ours {
	pid_t pids[4];
	int n;
};

static bool is_ours(pid_t pid, void *arg)
{
	const struct ours *ours = arg;

	for (int i = 0; i < ours->n; i++)
		if (ours->pids[i] == pid)
			return true;
	return false;
}

/* Our child's child, whose parent ends: it comes to us. */
static pid_t make_orphan(void)
{
	pid_t parent, orphan;
	int told[2];

	assert_int_equal(pipe2(told, O_CLOEXEC), 0);
	parent = fork();
	if (parent == 0) {
		orphan = support_fork(support_pause_for_ever, NULL);
		_exit(write(told[1], &orphan, sizeof(orphan)) == sizeof(orphan) ? 0 : 1);
	}
	assert_int_equal(read(told[0], &orphan, sizeof(orphan)), sizeof(orphan));
	assert_int_equal(waitpid(parent, NULL, 0), parent);
	close(told[0]);
	close(told[1]);
	return orphan;
}

static void do_nothing(void *unused)
{
	(void)unused;
}

static void reap_ours(struct ours *ours)
{
	for (int i = 0; i < ours->n; i++)
		assert_int_equal(waitpid(ours->pids[i], NULL, 0), ours->pids[i]);
	ours->n = 0;
}

static void test_orphans_are_reaped_and_ours_are_not(void **state)
{
	struct ours ours = {.n = 0};
	pid_t orphans[3], pid = 0;
	int pidfds[3], found = 0;
	(void)state;

	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	assert_int_equal(reap_orphan(is_ours, &ours, &pid), 0); /* no children at all */
	/* Ours end first, so that the kernel shows them first. */
	for (int i = 0; i < 2; i++) {
		ours.pids[ours.n] = support_fork(do_nothing, NULL);
		pidfds[0] = support_pidfd(ours.pids[ours.n++]);
		wait_for_end(pidfds[0]);
		close(pidfds[0]);
	}
	for (int i = 0; i < 3; i++) {
		orphans[i] = make_orphan();
		pidfds[i] = support_pidfd(orphans[i]);
	}
	assert_int_equal(reap_orphan(is_ours, &ours, &pid), 0); /* they still run */
	for (int i = 0; i < 3; i++)
		kill(orphans[i], SIGKILL);
	for (int i = 0; i < 3; i++) {
		wait_for_end(pidfds[i]);
		close(pidfds[i]);
	}
	while (reap_orphan(is_ours, &ours, &pid) == 1) {
		assert_true(pid == orphans[0] || pid == orphans[1] || pid == orphans[2]);
		assert_int_equal(kill(pid, 0), -1);
		found++;
	}
	assert_int_equal(found, 3);
	reap_ours(&ours);
	prctl(PR_SET_CHILD_SUBREAPER, 0);
}

static void test_orphan_without_zombies_of_ours(void **state)
{
	struct ours ours = {.n = 0};
	pid_t orphan, pid = 0;
	int pidfd;
	(void)state;

	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	orphan = make_orphan();
	pidfd = support_pidfd(orphan);
	kill(orphan, SIGKILL);
	wait_for_end(pidfd);
	assert_int_equal(reap_orphan(is_ours, &ours, &pid), 1);
	assert_int_equal(pid, orphan);
	assert_int_equal(reap_orphan(is_ours, &ours, &pid), 0);
	close(pidfd);
	prctl(PR_SET_CHILD_SUBREAPER, 0);
}

static void test_describe(void **state)
{
	static const struct {
		struct reap_status status;
		const char *text;
	} rows[] = {
	    {{CLD_EXITED, 0}, "exited with code 0"},
	    {{CLD_EXITED, 143}, "exited with code 143"},
	    {{CLD_KILLED, SIGTERM}, "killed by SIGTERM"},
	    {{CLD_DUMPED, SIGSEGV}, "killed by SIGSEGV (core dumped)"},
	    {{0, 0}, "ended, how is not known"},
	};
	char text[64], small[8];
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_string_equal(reap_describe(&rows[i].status, text, sizeof(text)),
				    rows[i].text);
	assert_string_equal(reap_describe(&rows[0].status, small, sizeof(small)), "exited ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_peek_leaves_it_and_collect_takes_it),
	    cmocka_unit_test(test_death_by_signal),
	    cmocka_unit_test(test_not_our_child),
	    cmocka_unit_test(test_signals_carry_a_value),
	    cmocka_unit_test(test_signal_errors),
	    cmocka_unit_test(test_group_dies_with_its_zombie_leader),
	    cmocka_unit_test(test_group_that_must_not_be_killed),
	    cmocka_unit_test(test_orphans_are_reaped_and_ours_are_not),
	    cmocka_unit_test(test_orphan_without_zombies_of_ours),
	    cmocka_unit_test(test_describe),
	};

	return cmocka_run_group_tests_name("reap", tests, NULL, NULL);
}
