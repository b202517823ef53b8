/* spawn.c - starts a process; the child sets itself up in our memory and may do nothing but system
 * calls. */
#include "system/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"

/*
 * For everything that runs in the child: no instrumentation, because a sanitizer's view of stack
 * and threads knows nothing of a second process in the same memory. Nothing here may call into libc
 * except syscall(), which keeps no state but errno (the parent's, who saves it).
 */
#define IN_CHILD __attribute__((no_sanitize("address", "undefined")))

enum {
	STACK_SIZE = 64 * 1024,
	GUARD_SIZE = 64 * 1024,	  /* whole pages, whatever the page size */
	SIGSET_BYTES = _NSIG / 8, /* the kernel's sigset_t, not libc's */
};

/* The calls that take 32-bit ids have names of their own on old 32-bit architectures. */
#ifdef SYS_setresuid32
#define CALL_SETGROUPS SYS_setgroups32
#define CALL_SETRESGID SYS_setresgid32
#define CALL_SETRESUID SYS_setresuid32
#else
#define CALL_SETGROUPS SYS_setgroups
#define CALL_SETRESGID SYS_setresgid
#define CALL_SETRESUID SYS_setresuid
#endif

struct mapping {
	int from, to;
};

/* What the child is told, and what it tells: it writes stage before each step and error when one
 * fails. */
struct child {
	const struct spawn_spec *spec;
	struct mapping *map; /* sorted by `to` */
	size_t n_map;
	int procs_fd; /* cgroup.procs of the cgroup it joins, or -1 */
	int pidfd;    /* the child's own; the kernel sets it before the child runs */
	volatile int stage;
	volatile int error;
};

/* --- in the child --- */

IN_CHILD static void reset_dispositions(void)
{
	/* SIG_DFL, no flags, no restorer, an empty mask: zeros, in whatever order the
	 * architecture's struct has them. */
	static const unsigned char default_action[128];

	for (int sig = 1; sig < _NSIG; sig++)
		syscall(SYS_rt_sigaction, sig, default_action, NULL, (size_t)SIGSET_BYTES);
}

IN_CHILD static void write_pid(char *variable)
{
	char digits[10];
	unsigned pid = (unsigned)syscall(SYS_getpid);
	int n = 0;

	while (*variable != '=')
		variable++;
	do
		digits[n++] = (char)('0' + pid % 10);
	while ((pid /= 10) != 0);
	while (n > 0)
		*++variable = digits[--n];
	*++variable = '\0';
}

IN_CHILD static long step_session(struct child *child)
{
	const struct spawn_spec *spec = child->spec;

	/* First of all, so that a signal for our process group (Ctrl-C) hardly ever hits the child.
	 */
	if ((spec->new_session ? syscall(SYS_setsid) : syscall(SYS_setpgid, 0, 0)) == -1)
		return -1;
	/* Early, while everything is still blocked: the less lies between "set user" and exec, the
	 * better. */
	reset_dispositions();
	for (size_t i = 0; i < spec->n_pid_variables; i++)
		write_pid(spec->env[spec->pid_variables[i]]);
	return syscall(SYS_umask, spec->umask);
}

IN_CHILD static long step_cgroup(struct child *child)
{
	static const char myself[] = "0";

	if (child->procs_fd == -1)
		return 0;
	return syscall(SYS_write, child->procs_fd, myself, sizeof(myself) - 1);
}

IN_CHILD static long close_others(const struct child *child)
{
	unsigned first = 3;

	for (size_t i = 0; i < child->n_map; i++) {
		unsigned to = (unsigned)child->map[i].to;

		if (to < first)
			continue;
		if (to > first && syscall(SYS_close_range, first, to - 1, 0) == -1)
			return -1;
		first = to + 1;
	}
	return syscall(SYS_close_range, first, ~0U, 0);
}

/*
 * Until here the table of descriptors is the parent's. Ours gets what lies below the highest that
 * is handed over: to copy and close thousands of others would make each start cost more, the more
 * processes there are.
 */
IN_CHILD static long unshare_descriptors(const struct child *child)
{
	int high = 3;

	for (size_t i = 0; i < child->n_map; i++) {
		if (child->map[i].from == child->pidfd) {
			errno = EBADF; /* it was closed before the pidfd took its number */
			return -1;
		}
		if (child->map[i].from >= high)
			high = child->map[i].from + 1;
	}
	return syscall(SYS_close_range, high, ~0U, CLOSE_RANGE_UNSHARE);
}

IN_CHILD static long step_descriptors(struct child *child)
{
	int high = 3;

	if (unshare_descriptors(child) == -1)
		return -1;
	if (child->n_map > 0 && child->map[child->n_map - 1].to >= high)
		high = child->map[child->n_map - 1].to + 1;
	/* What lies where something is to be put goes out of the way first. */
	for (size_t i = 0; i < child->n_map; i++) {
		if (child->map[i].from < high) {
			child->map[i].from =
			    (int)syscall(SYS_fcntl, child->map[i].from, F_DUPFD_CLOEXEC, high);
			if (child->map[i].from == -1)
				return -1;
		}
	}
	for (size_t i = 0; i < child->n_map; i++)
		if (syscall(SYS_dup3, child->map[i].from, child->map[i].to, 0) == -1)
			return -1;
	return close_others(child);
}

IN_CHILD static long step_oom(struct child *child)
{
	const char *text = child->spec->oom_score_adj;
	size_t len = 0;
	long fd, r;

	if (text == NULL)
		return 0;
	while (text[len] != '\0')
		len++;
	fd = syscall(SYS_openat, AT_FDCWD, "/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	r = syscall(SYS_write, (int)fd, text, len);
	if (r == -1)
		return -1; /* the descriptor goes with the process */
	return syscall(SYS_close, (int)fd);
}

IN_CHILD static long step_nice(struct child *child)
{
	if (!child->spec->set_nice)
		return 0;
	return syscall(SYS_setpriority, PRIO_PROCESS, 0, child->spec->nice);
}

IN_CHILD static long step_limits(struct child *child)
{
	for (size_t i = 0; i < child->spec->n_limits; i++) {
		const struct spawn_limit *limit = &child->spec->limits[i];
		uint64_t value[2];

		value[0] =
		    limit->value.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit->value.rlim_cur;
		value[1] =
		    limit->value.rlim_max == RLIM_INFINITY ? UINT64_MAX : limit->value.rlim_max;
		if (syscall(SYS_prlimit64, 0, limit->resource, value, NULL) == -1)
			return -1;
	}
	return 0;
}

IN_CHILD static long step_groups(struct child *child)
{
	if (!child->spec->change_user)
		return 0;
	return syscall(CALL_SETGROUPS, child->spec->n_groups, child->spec->groups);
}

IN_CHILD static long step_group(struct child *child)
{
	gid_t gid = child->spec->gid;

	return child->spec->change_user ? syscall(CALL_SETRESGID, gid, gid, gid) : 0;
}

IN_CHILD static long step_user(struct child *child)
{
	uid_t uid = child->spec->uid;

	return child->spec->change_user ? syscall(CALL_SETRESUID, uid, uid, uid) : 0;
}

IN_CHILD static long step_directory(struct child *child)
{
	/* After the user: a home on a network file system may be closed to root. */
	return child->spec->directory != NULL ? syscall(SYS_chdir, child->spec->directory) : 0;
}

IN_CHILD static long step_exec(struct child *child)
{
	static const unsigned char empty_mask[SIGSET_BYTES];

	syscall(SYS_rt_sigprocmask, SIG_SETMASK, empty_mask, NULL, (size_t)SIGSET_BYTES);
	return syscall(SYS_execve, child->spec->path, child->spec->argv, child->spec->env);
}

IN_CHILD static int child_main(void *arg)
{
	static long (*const steps[SPAWN_STAGE_COUNT])(struct child *) = {
	    [SPAWN_STAGE_SESSION] = step_session,
	    [SPAWN_STAGE_CGROUP] = step_cgroup,
	    [SPAWN_STAGE_DESCRIPTORS] = step_descriptors,
	    [SPAWN_STAGE_OOM] = step_oom,
	    [SPAWN_STAGE_NICE] = step_nice,
	    [SPAWN_STAGE_LIMITS] = step_limits,
	    [SPAWN_STAGE_GROUPS] = step_groups,
	    [SPAWN_STAGE_GROUP] = step_group,
	    [SPAWN_STAGE_USER] = step_user,
	    [SPAWN_STAGE_DIRECTORY] = step_directory,
	    [SPAWN_STAGE_EXEC] = step_exec,
	};
	struct child *child = arg;

	for (int stage = SPAWN_STAGE_SESSION; stage < SPAWN_STAGE_COUNT; stage++) {
		child->stage = stage;
		if (steps[stage](child) == -1) {
			child->error = errno;
			break;
		}
	}
	syscall(SYS_exit_group, 127);
	return 127; /* not reached */
}

/* --- in the parent --- */

static int compare_mappings(const void *a, const void *b)
{
	const struct mapping *left = a, *right = b;

	return (left->to > right->to) - (left->to < right->to);
}

static int plan_descriptors(const struct spawn_spec *spec, struct child *child)
{
	const int standard[] = {spec->stdin_fd, spec->stdout_fd, spec->stderr_fd};

	child->map = calloc(spec->n_fds + ARRAY_LEN(standard), sizeof(*child->map));
	if (child->map == NULL)
		return -ENOMEM;
	for (int i = 0; i < (int)ARRAY_LEN(standard); i++)
		if (standard[i] != -1)
			child->map[child->n_map++] = (struct mapping){.from = standard[i], .to = i};
	for (size_t i = 0; i < spec->n_fds; i++) {
		if (spec->fd_numbers[i] < 3)
			return -EINVAL;
		child->map[child->n_map++] =
		    (struct mapping){.from = spec->fds[i], .to = spec->fd_numbers[i]};
	}
	qsort(child->map, child->n_map, sizeof(*child->map), compare_mappings);
	for (size_t i = 1; i < child->n_map; i++)
		if (child->map[i].to == child->map[i - 1].to)
			return -EINVAL;
	return 0;
}

/* By us, because the child cannot close it in the table of descriptors that it shares with us. */
static int open_cgroup(const struct spawn_spec *spec, struct child *child)
{
	if (spec->cgroup_fd == -1)
		return 0;
	child->procs_fd = openat(spec->cgroup_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	return child->procs_fd == -1 ? -errno : 0;
}

/* Raw, because libc's sigprocmask() leaves its own two signals unblocked: their handlers must not
 * run in the child. */
static void set_signal_mask(const unsigned char *mask, unsigned char *ret_old)
{
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, mask, ret_old, (size_t)SIGSET_BYTES);
}

/* Returns the pid, or -errno. */
static pid_t clone_child(struct child *child)
{
	unsigned char all[SIGSET_BYTES], old[SIGSET_BYTES];
	int dumpable = 0, error;
	char *stack;
	pid_t pid;

	stack = mmap(NULL, GUARD_SIZE + STACK_SIZE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
	if (stack == MAP_FAILED)
		return -errno;
	if (mprotect(stack, GUARD_SIZE, PROT_NONE) == -1) {
		error = errno;
		munmap(stack, GUARD_SIZE + STACK_SIZE);
		return -error;
	}
	memset(all, 0xff, sizeof(all));
	set_signal_mask(all, old);
	if (child->spec->change_user)
		dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
	pid = clone(child_main, stack + GUARD_SIZE + STACK_SIZE,
		    CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_PIDFD | SIGCHLD, child,
		    &child->pidfd);
	error = errno;
	if (dumpable == 1)
		prctl(PR_SET_DUMPABLE, 1, 0, 0,
		      0); /* the child's set*id() took it from the memory that we shared */
	set_signal_mask(old, NULL);
	munmap(stack, GUARD_SIZE + STACK_SIZE);
	return pid == -1 ? -error : pid;
}

/*
 * 0: it executes the program. Else it has left our memory without exec, so that it is dying at this
 * moment: the wait is for nobody, and what is left is the failure as -errno. A signal that kills it
 * in exec itself looks like success from here and is seen as the end of the process.
 */
static int check_child(const struct child *child, int pidfd, struct spawn_error *error)
{
	siginfo_t info = {.si_pid = 0};
	int r;

	if (child->stage == SPAWN_STAGE_EXEC && child->error == 0)
		return 0;
	*error =
	    (struct spawn_error){.stage = (enum spawn_stage)child->stage, .error = child->error};
	do
		r = waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED);
	while (r == -1 && errno == EINTR);
	if (child->error == 0) {
		error->signal = r == 0 ? info.si_status : SIGKILL;
		error->error = ECANCELED;
	}
	return -error->error;
}

static int start(const struct spawn_spec *spec, pid_t *ret_pid, int *ret_pidfd,
		 struct spawn_error *error)
{
	struct child child = {
	    .spec = spec, .procs_fd = -1, .pidfd = -1, .stage = SPAWN_STAGE_CLONE};
	cleanup_close int pidfd = -1;
	pid_t pid;
	int r;

	r = open_cgroup(spec, &child);
	*error = (struct spawn_error){
	    .stage = r < 0 ? SPAWN_STAGE_CGROUP : SPAWN_STAGE_CLONE,
	};
	if (r == 0)
		r = plan_descriptors(spec, &child);
	pid = r < 0 ? r : clone_child(&child);
	fd_close(child.procs_fd);
	pidfd = child.pidfd;
	free(child.map);
	if (pid >= 0 && pidfd == -1) { /* an old kernel takes the flag and ignores it */
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		pid = -ENOSYS;
	}
	if (pid < 0) {
		error->error = -pid;
		return pid;
	}
	r = check_child(&child, pidfd, error);
	if (r < 0)
		return r;
	*ret_pid = pid;
	*ret_pidfd = TAKE_FD(pidfd);
	return 0;
}

int spawn_process(const struct spawn_spec *spec, pid_t *ret_pid, int *ret_pidfd,
		  struct spawn_error *ret_error)
{
	struct spawn_error error;
	int saved_errno = errno;
	int r;

	r = start(spec, ret_pid, ret_pidfd, &error);
	if (r < 0)
		*ret_error = error;
	errno = saved_errno;
	return r;
}
