/*
 * spawn.h - starts one process exactly as described, and says why when that fails.
 *
 * clone(2) with CLONE_VM | CLONE_VFORK | CLONE_PIDFD: the child sets itself up in our memory while we wait for its
 * exec, so every failure before exec comes back as stage and errno at no cost. The child only makes system calls.
 */
#ifndef SYSTEM_SPAWN_H
#define SYSTEM_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

/* Where a start can fail, in the order of the steps. */
enum spawn_stage {
	SPAWN_STAGE_NONE,
	SPAWN_STAGE_CLONE,
	SPAWN_STAGE_SESSION,
	SPAWN_STAGE_LIMITS,
	SPAWN_STAGE_NICE,
	SPAWN_STAGE_OOM,
	SPAWN_STAGE_DESCRIPTORS,
	SPAWN_STAGE_GROUPS,
	SPAWN_STAGE_GROUP,
	SPAWN_STAGE_USER,
	SPAWN_STAGE_DIRECTORY,
	SPAWN_STAGE_EXEC,
	SPAWN_STAGE_COUNT,
};

struct spawn_limit {
	int resource; /* RLIMIT_* */
	struct rlimit value;
};

struct spawn_spec {
	const char *path;         /* what is executed; no search */
	char *const *argv;        /* NULL-terminated */
	char **env;               /* NULL-terminated; may be changed only as said at pid_variables */
	/*
	 * Indices into env of variables that must bear the child's own pid ("LISTEN_PID=", "WATCHDOG_PID="). Their
	 * strings must have room for 10 digits and the NUL behind the '='; the child writes them (it shares our memory).
	 */
	const size_t *pid_variables;
	size_t n_pid_variables;
	/* fds[i] becomes descriptor fd_numbers[i] in the child, without CLOEXEC; every other one above 2 is closed.
	 * Any overlap between the two lists is handled. 0, 1, 2 are set by stdin_fd ... stderr_fd (-1: as ours). */
	const int *fds;
	const int *fd_numbers;
	size_t n_fds;
	int stdin_fd, stdout_fd, stderr_fd;
	const char *directory;    /* NULL: stay */
	bool change_user;         /* set groups, gid and uid (raw system calls; libc's would reach our threads) */
	uid_t uid;
	gid_t gid;
	const gid_t *groups;
	size_t n_groups;
	mode_t umask;
	bool set_nice;
	int nice;
	const char *oom_score_adj; /* decimal text, NULL: as ours */
	const struct spawn_limit *limits;
	size_t n_limits;
	bool new_session;          /* setsid(); otherwise a process group of its own */
};

struct spawn_error {
	enum spawn_stage stage;
	int error; /* errno */
};

/*
 * Starts the process. On success *ret_pid and *ret_pidfd (close-on-exec; the caller's) are set and 0 is returned;
 * all signals are at their default and unblocked in the child. On failure -errno, and *ret_error says at which stage;
 * nothing is left behind (the child has been reaped).
 */
int spawn_process(const struct spawn_spec *spec, pid_t *ret_pid, int *ret_pidfd, struct spawn_error *ret_error);

/* "set user", "change directory to", "execute": what was being done at that stage. */
const char *spawn_stage_name(enum spawn_stage stage);

/*
 * The executable that a command's first word means: as it is when it has a slash (relative ones against directory, if
 * not NULL), else searched in $PATH. Caller frees. Returns 0, -ENOENT, -EACCES, -ENOMEM.
 */
int spawn_resolve(const char *word, const char *directory, char **ret_path);

#endif
