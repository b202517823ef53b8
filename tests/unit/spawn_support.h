/* spawn_support.h - what the tests of spawn.c share: a program that does nothing, and its end. */
#ifndef TESTS_UNIT_SPAWN_SUPPORT_H
#define TESTS_UNIT_SPAWN_SUPPORT_H

#include "unit.h"

#include <sys/wait.h>

#include "base/fd.h"
#include "system/reap.h"
#include "system/spawn.h"

static char *no_env[] = {NULL};

/* /bin/true, with nothing set that need not be. */
static inline struct spawn_spec true_spec(void)
{
	static char *argv[] = {(char *)"true", NULL};

	return (struct spawn_spec){.path = "/bin/true",
				   .argv = argv,
				   .env = no_env,
				   .stdin_fd = -1,
				   .stdout_fd = -1,
				   .stderr_fd = -1,
				   .cgroup_fd = -1,
				   .exec_fd = -1,
				   .directory_fd = -1,
				   .umask = 0022,
				   .new_session = true};
}

static inline void wait_for_end(int pidfd, struct reap_status *status)
{
	siginfo_t info;

	assert_int_equal(waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(reap_collect(pidfd, status), 0);
}

static inline void assert_no_children(void)
{
	siginfo_t info;

	assert_int_equal(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT), -1);
	assert_int_equal(errno, ECHILD);
}

#endif
