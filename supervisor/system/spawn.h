/*
 * spawn.h - starts one process exactly as described, and says why when that fails.
 *
 * clone(2) with CLONE_VM | CLONE_PIDFD: the child sets itself up in our memory, so every failure
 * before exec comes back as stage and errno, and a start costs the same however large we are. The
 * child only makes system calls, and writes to nothing but its own stack and record. So we need not
 * stand still meanwhile (CLONE_VFORK): on a busy machine the child may wait for a processor for
 * longer than everything else takes. Where the kernel would treat us as it treats the child
 * (oom_score_adj, out of memory in its cgroup), the child gets a copy of our memory.
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
	SPAWN_STAGE_CGROUP,	 /* early: what the child does from then on counts there */
	SPAWN_STAGE_DESCRIPTORS, /* before the limits: a small RLIMIT_NOFILE must not hinder us,
				    only the program */
	SPAWN_STAGE_OOM,
	SPAWN_STAGE_NICE,
	SPAWN_STAGE_LIMITS,
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
	const char *path; /* what is executed; no search; a relative one starts from directory */
	int exec_fd; /* the same, open (O_PATH): executed instead of path, which is for messages
			only; must be no script. 0 or -1: path */
	char *const *argv; /* NULL-terminated */
	char **env;	   /* NULL-terminated; may be changed only as said at pid_variables */
	/*
	 * Indices into env of variables that must bear the child's own pid ("LISTEN_PID=",
	 * "WATCHDOG_PID="). Their strings must have room for 10 digits and the NUL behind the '=';
	 * the child writes them (it shares our memory).
	 */
	const size_t *pid_variables;
	size_t n_pid_variables;
	/* fds[i] becomes descriptor fd_numbers[i] (3 or more, each once) in the child, without
	 * CLOEXEC; every other one above 2 is closed. Any overlap between the two lists is handled.
	 * 0, 1, 2 are set by stdin_fd ... stderr_fd (-1: as ours). */
	const int *fds;
	const int *fd_numbers;
	size_t n_fds;
	int stdin_fd, stdout_fd, stderr_fd;
	/* The cgroup's directory, open (-1: stay in ours): the child is in it before it executes
	 * anything. The child does not get the descriptor. */
	int cgroup_fd;
	const char *directory; /* NULL: stay */
	int directory_fd;      /* the same, open (O_PATH): used instead. 0 or -1: directory */
	bool change_user;      /* set groups, gid and uid (raw system calls; libc's would reach our
				  threads) */
	uid_t uid;
	gid_t gid;
	const gid_t *groups;
	size_t n_groups;
	mode_t umask;
	bool set_nice;
	int nice;
	const char *oom_score_adj; /* decimal text, NULL: as ours */
	bool memory_limited;	   /* in its cgroup: the kernel may kill it for that before exec */
	const struct spawn_limit *limits;
	size_t n_limits;
	bool new_session; /* setsid(); otherwise a process group of its own */
};

struct spawn_error {
	enum spawn_stage stage;
	int error;  /* errno */
	int signal; /* not 0: the child was killed by this signal before it could exec; error is
		       ECANCELED then */
};

/*
 * Starts the process. On success *ret_pid and *ret_pidfd (close-on-exec; the caller's) are set and
 * 0 is returned; all signals are at their default and unblocked in the child. On failure -errno,
 * and *ret_error says at which stage; nothing is left behind (the child has been reaped; a SIGCHLD
 * may come for it). errno and our signal mask are kept.
 *
 * SPAWN_STAGE_CLONE: EAGAIN (RLIMIT_NPROC, pids.max), ENOMEM, EMFILE, EINVAL (a number in
 * fd_numbers that is used twice or below 3), ENOSYS or EPERM (a sandbox that forbids clone with
 * CLONE_PIDFD, or a kernel before 5.2).
 * SPAWN_STAGE_CGROUP: ENOENT (no cgroup, or it was removed), EACCES, EAGAIN (its pids.max), EBUSY
 * (it has cgroups below it that share its resources), EOPNOTSUPP (its type is threaded or invalid).
 * SPAWN_STAGE_EXEC: as execve(2); ETXTBSY is not tried again here.
 * A child that is killed by a signal before it calls exec is reported here (signal); one that is
 * killed in exec itself is started for us, and ends.
 *
 * This waits for exec; see spawn_begin(). Neither is for two threads at once where change_user is
 * used: the kernel makes our memory undumpable while a child with another user shares it (so that
 * this user cannot reach into us), and we set that back when none does.
 */
int spawn_process(const struct spawn_spec *spec, pid_t *ret_pid, int *ret_pidfd,
		  struct spawn_error *ret_error);

/*
 * The same without waiting. The process exists when this returns 0; *ret_start stands for what is
 * not known yet. Everything that spec points to must stay until spawn_look() has said how it went
 * (spec itself and the descriptors need not: they are copied). A failure here (SPAWN_STAGE_CLONE,
 * SPAWN_STAGE_CGROUP, SPAWN_STAGE_DESCRIPTORS) leaves nothing behind.
 */
struct spawn_start;
int spawn_begin(const struct spawn_spec *spec, struct spawn_start **ret_start, pid_t *ret_pid,
		int *ret_pidfd, struct spawn_error *ret_error);
/*
 * Once more, without joining a cgroup: spawn_look() has said that the child failed at
 * SPAWN_STAGE_CGROUP. The former process and its pidfd stay the caller's. 0 or -errno; after that
 * spawn_look() tells of the new one.
 */
int spawn_again(struct spawn_start *start, pid_t *ret_pid, int *ret_pidfd);
/* Becomes readable when spawn_look() is to be called; so does the pidfd of a child that ends.
 * Belongs to start. -1: there were too few descriptors not to wait, so that it executes the program
 * already. */
int spawn_fd(const struct spawn_start *start);
/*
 * 0: it executes the program. -EINPROGRESS: not known yet. Another -errno, and *ret_error: it
 * failed, and is dying at this moment; the caller reaps it. ECANCELED then means that it was killed
 * by a signal, which its status tells. ended: its pidfd is readable, so that it is known.
 */
int spawn_look(struct spawn_start *start, bool ended, struct spawn_error *ret_error);
/* Once spawn_look() has said how it went: before that the child uses it. */
void spawn_free(struct spawn_start *start);

/* "set user", "change directory to", "execute": what was being done at that stage. */
const char *spawn_stage_name(enum spawn_stage stage);

/*
 * What failed, for a person: "cannot execute /usr/bin/apii: No such file or directory", and what
 * the errno alone does not say (an interpreter that is missing, a script without "#!"). Writes into
 * text, returns text.
 */
char *spawn_describe_error(const struct spawn_spec *spec, const struct spawn_error *error,
			   char *text, size_t size);

/*
 * The executable that a command's first word means. With a slash: as it is, or below directory if
 * that is not NULL and the word is relative; it is not looked at, exec says what is wrong with it.
 * Else searched in the absolute parts of $PATH: the first regular file that we may execute. Caller
 * frees. Returns 0, -ENOENT, -EACCES (found, but not executable), -ENOMEM.
 */
int spawn_resolve(const char *word, const char *directory, char **ret_path);

#endif
