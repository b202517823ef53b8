/* spawn_child.c - what a started process does before exec: it runs in our memory, and may do
 * nothing but system calls. */
#include "system/spawn_internal.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/resource.h>

#include "system/spawn_call.h"

/*
 * For everything here: no instrumentation, because a sanitizer's view of stack and threads knows
 * nothing of a second process in the same memory. Nothing here may call into libc, whose state is
 * the parent's, which runs on meanwhile.
 */
#define IN_CHILD __attribute__((no_sanitize("address", "undefined", "thread")))

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

IN_CHILD static void reset_dispositions(void)
{
	/* SIG_DFL, no flags, no restorer, an empty mask: zeros, in whatever order the
	 * architecture's struct has them. */
	static const unsigned char default_action[128];

	for (int sig = 1; sig < _NSIG; sig++)
		CALL(SYS_rt_sigaction, sig, default_action, NULL, SPAWN_SIGSET_BYTES);
}

IN_CHILD static void write_pid(char *variable)
{
	char digits[10];
	unsigned pid = (unsigned)CALL(SYS_getpid, 0, 0, 0, 0);
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

IN_CHILD static long step_session(struct spawn_start *start)
{
	const struct spawn_spec *spec = &start->spec;

	/* First of all, so that a signal for our process group (Ctrl-C) hardly ever hits the child.
	 */
	long r = spec->new_session ? CALL(SYS_setsid, 0, 0, 0, 0) : CALL(SYS_setpgid, 0, 0, 0, 0);

	if (r < 0)
		return r;
	/* Early, while everything is still blocked: the less lies between "set user" and exec, the
	 * better. */
	reset_dispositions();
	for (size_t i = 0; i < spec->n_pid_variables; i++)
		write_pid(spec->env[spec->pid_variables[i]]);
	return CALL(SYS_umask, spec->umask, 0, 0, 0);
}

IN_CHILD static long step_cgroup(struct spawn_start *start)
{
	static const char myself[] = "0";

	if (start->procs_fd == -1)
		return 0;
	return CALL(SYS_write, start->procs_fd, myself, sizeof(myself) - 1, 0);
}

IN_CHILD static long close_others(const struct spawn_start *start)
{
	unsigned first = 3;
	long r = 0;

	for (size_t i = 0; i < start->n_map && r == 0; i++) {
		unsigned to = (unsigned)start->map[i].to;

		if (to > first)
			r = CALL(SYS_close_range, first, to - 1, 0, 0);
		if (to >= first)
			first = to + 1;
	}
	if (r == 0 && start->child_status_fd >= (int)first) { /* it lies above all of those */
		if (start->child_status_fd > (int)first)
			r = CALL(SYS_close_range, first, start->child_status_fd - 1, 0, 0);
		first = (unsigned)start->child_status_fd + 1;
	}
	return r == 0 ? CALL(SYS_close_range, first, ~0U, 0, 0) : r;
}

/*
 * Until here the table of descriptors is the parent's. Ours gets what lies below the highest that
 * is handed over: to copy and close thousands of others would make each start cost more, the more
 * processes there are.
 */
IN_CHILD static long unshare_descriptors(const struct spawn_start *start)
{
	int high = 3;

	for (size_t i = 0; i < start->n_map; i++)
		if (start->map[i].from >= high)
			high = start->map[i].from + 1;
	if (start->status_fd >= high)
		high = start->status_fd + 1;
	return CALL(SYS_close_range, high, ~0U, CLOSE_RANGE_UNSHARE, 0);
}

/* What lies where something is to be put goes out of the way. Returns its number, or -errno. */
IN_CHILD static int move_up(int fd, int high)
{
	return fd >= high ? fd : (int)CALL(SYS_fcntl, fd, F_DUPFD_CLOEXEC, high, 0);
}

IN_CHILD static long move_all_up(struct spawn_start *start, int high)
{
	for (size_t i = 0; i < start->n_map; i++) {
		start->map[i].child_from = move_up(start->map[i].from, high);
		if (start->map[i].child_from < 0)
			return start->map[i].child_from;
	}
	if (start->status_fd != -1) {
		start->child_status_fd = move_up(start->status_fd, high);
		if (start->child_status_fd < 0)
			return start->child_status_fd;
	}
	return 0;
}

/* Of our copy of the table, which may be full, only what is handed over. */
IN_CHILD static void make_room(const struct spawn_start *start)
{
	unsigned first = 3, next;

	do {
		next = ~0U;
		for (size_t i = 0; i < start->n_map; i++)
			if ((unsigned)start->map[i].from >= first &&
			    (unsigned)start->map[i].from < next)
				next = (unsigned)start->map[i].from;
		if (start->status_fd != -1 && (unsigned)start->status_fd >= first &&
		    (unsigned)start->status_fd < next)
			next = (unsigned)start->status_fd;
		if (next > first)
			CALL(SYS_close_range, first, next - 1, 0, 0);
		first = next + 1;
	} while (next != ~0U);
}

IN_CHILD static long step_descriptors(struct spawn_start *start)
{
	int high = 3;
	long r = unshare_descriptors(start);

	if (r < 0)
		return r;
	if (start->n_map > 0 && start->map[start->n_map - 1].to >= high)
		high = start->map[start->n_map - 1].to + 1;
	r = move_all_up(start, high);
	if (r == -EMFILE) {
		make_room(start);
		r = move_all_up(start, high);
	}
	if (r < 0)
		return r;
	for (size_t i = 0; i < start->n_map; i++) {
		r = CALL(SYS_dup3, start->map[i].child_from, start->map[i].to,
			 start->map[i].hidden ? O_CLOEXEC : 0, 0);
		if (r < 0)
			return r;
	}
	return close_others(start);
}

IN_CHILD static long step_oom(struct spawn_start *start)
{
	const char *text = start->spec.oom_score_adj;
	size_t len = 0;
	long fd, r;

	if (text == NULL)
		return 0;
	while (text[len] != '\0')
		len++;
	fd = CALL(SYS_openat, AT_FDCWD, "/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	r = CALL(SYS_write, fd, text, len, 0);
	if (r < 0)
		return r; /* the descriptor goes with the process */
	return CALL(SYS_close, fd, 0, 0, 0);
}

IN_CHILD static long step_nice(struct spawn_start *start)
{
	if (!start->spec.set_nice)
		return 0;
	return CALL(SYS_setpriority, PRIO_PROCESS, 0, start->spec.nice, 0);
}

IN_CHILD static long step_limits(struct spawn_start *start)
{
	for (size_t i = 0; i < start->spec.n_limits; i++) {
		const struct spawn_limit *limit = &start->spec.limits[i];
		uint64_t value[2];
		long r;

		value[0] =
		    limit->value.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit->value.rlim_cur;
		value[1] =
		    limit->value.rlim_max == RLIM_INFINITY ? UINT64_MAX : limit->value.rlim_max;
		r = CALL(SYS_prlimit64, 0, limit->resource, value, NULL);
		if (r < 0)
			return r;
	}
	return 0;
}

IN_CHILD static long step_groups(struct spawn_start *start)
{
	if (!start->spec.change_user)
		return 0;
	return CALL(CALL_SETGROUPS, start->spec.n_groups, start->spec.groups, 0, 0);
}

IN_CHILD static long step_group(struct spawn_start *start)
{
	gid_t gid = start->spec.gid;

	return start->spec.change_user ? CALL(CALL_SETRESGID, gid, gid, gid, 0) : 0;
}

IN_CHILD static long step_user(struct spawn_start *start)
{
	uid_t uid = start->spec.uid;

	return start->spec.change_user ? CALL(CALL_SETRESUID, uid, uid, uid, 0) : 0;
}

IN_CHILD static long step_directory(struct spawn_start *start)
{
	/* After the user: a home on a network file system may be closed to root. */
	if (start->child_directory_fd != -1)
		return CALL(SYS_fchdir, start->child_directory_fd, 0, 0, 0);
	return start->spec.directory != NULL ? CALL(SYS_chdir, start->spec.directory, 0, 0, 0) : 0;
}

IN_CHILD static long step_exec(struct spawn_start *start)
{
	static const unsigned char empty_mask[SPAWN_SIGSET_BYTES];
	static const char byte[] = "x";
	long r = 0;

	if (start->status_fd != -1)
		r = CALL(SYS_write, start->child_status_fd, byte, 1, 0);
	if (r < 0)
		return r;
	CALL(SYS_rt_sigprocmask, SIG_SETMASK, empty_mask, NULL, SPAWN_SIGSET_BYTES);
	if (start->child_exec_fd != -1)
		return CALL5(SYS_execveat, start->child_exec_fd, "", start->spec.argv,
			     start->spec.env, AT_EMPTY_PATH);
	return CALL(SYS_execve, start->spec.path, start->spec.argv, start->spec.env, 0);
}

IN_CHILD int spawn_child_main(void *arg)
{
	static long (*const steps[SPAWN_STAGE_COUNT])(struct spawn_start *) = {
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
	struct spawn_start *start = arg;
	long r;

	for (int stage = SPAWN_STAGE_SESSION; stage < SPAWN_STAGE_COUNT; stage++) {
		start->stage = stage;
		r = steps[stage](start);
		if (r < 0) {
			start->error = (int)-r;
			break;
		}
	}
	CALL(SYS_exit_group, 127, 0, 0, 0);
	return 127; /* not reached */
}
