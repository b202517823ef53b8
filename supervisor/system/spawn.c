/* spawn.c - starts processes: prepares what the child needs, and finds out what became of it. */
#include "system/spawn_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "system/spawn_call.h"

enum {
	STACK_SIZE = 64 * 1024, /* with the struct spawn_start at its upper end */
	GUARD_SIZE = 64 * 1024, /* whole pages, whatever the page size */
};

/*
 * Children with another user that still share our memory. The kernel makes it undumpable for them
 * (so that this user cannot reach into us); what it was before comes back when the last has left.
 */
static struct {
	unsigned children;
	int dumpable;
} other_users;

/* ---- memory: a guard, the child's stack, the record ---- */

/*
 * While two processes share memory, the kernel gives oom_score_adj to both, and where it kills one
 * for want of memory, the other goes too. Not so with CLONE_VFORK.
 */
static bool must_copy(const struct spawn_spec *spec, bool waits)
{
	return !waits && (spec->oom_score_adj != NULL || spec->memory_limited);
}

static struct spawn_start *start_new(const struct spawn_spec *spec, bool waits)
{
	struct spawn_start *start;
	bool copies = must_copy(spec, waits);
	char *memory = mmap(
	    NULL, GUARD_SIZE + STACK_SIZE, PROT_READ | PROT_WRITE,
	    (copies ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		return NULL;
	if (mprotect(memory, GUARD_SIZE, PROT_NONE) == -1) {
		munmap(memory, GUARD_SIZE + STACK_SIZE);
		return NULL;
	}
	start = (struct spawn_start *)(void *)(memory + GUARD_SIZE + STACK_SIZE -
					       (sizeof(*start) + 63) / 64 * 64);
	start->spec = *spec;
	start->waits = waits;
	start->copies = copies;
	start->procs_fd = start->status_fd = start->status_read = start->pidfd = -1;
	start->child_status_fd = start->child_exec_fd = start->child_directory_fd = -1;
	start->stage = SPAWN_STAGE_CLONE;
	return start;
}

void spawn_free(struct spawn_start *start)
{
	char *end = (char *)start + (sizeof(*start) + 63) / 64 * 64;

	for (size_t i = 0; i < start->n_map && !start->waits; i++)
		fd_close(start->map[i].from);
	free(start->map);
	fd_close(start->procs_fd);
	fd_close(start->status_fd);
	fd_close(start->status_read);
	if (start->changes_user && --other_users.children == 0 && other_users.dumpable == 1)
		prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	munmap(end - GUARD_SIZE - STACK_SIZE, GUARD_SIZE + STACK_SIZE);
}

/* ---- preparing ---- */

static int compare_mappings(const void *a, const void *b)
{
	const struct spawn_mapping *left = a, *right = b;

	return (left->to > right->to) - (left->to < right->to);
}

/*
 * Where nobody waits, a duplicate, because the child takes it out of our table only when it gets to
 * run: by then the caller may have closed its own, and the number may be another's.
 */
static int add_mapping(struct spawn_start *start, int fd, int to)
{
	int from = fd;

	if (!start->waits)
		from = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	else if (fcntl(fd, F_GETFD) == -1) /* our pidfd might get its number */
		from = -1;
	if (from == -1)
		return -errno;
	start->map[start->n_map++] = (struct spawn_mapping){.from = from, .to = to};
	return 0;
}

static int check_numbers(const struct spawn_spec *spec)
{
	for (size_t i = 0; i < spec->n_fds; i++) {
		if (spec->fd_numbers[i] < 3)
			return -EINVAL;
		for (size_t k = 0; k < i; k++)
			if (spec->fd_numbers[k] == spec->fd_numbers[i])
				return -EINVAL;
	}
	return 0;
}

/* What only the child uses lies above all that the program gets. */
static int add_hidden(struct spawn_start *start, int fd, int *to, int *ret_number)
{
	int r = fd > 0 ? add_mapping(start, fd, ++*to) : 0;

	if (r < 0 || fd <= 0)
		return r;
	start->map[start->n_map - 1].hidden = true;
	*ret_number = *to;
	return 0;
}

static int plan_descriptors(struct spawn_start *start)
{
	const struct spawn_spec *spec = &start->spec;
	const int standard[] = {spec->stdin_fd, spec->stdout_fd, spec->stderr_fd};
	int r = 0, highest = 2;

	start->map = calloc(spec->n_fds + ARRAY_LEN(standard) + 2, sizeof(*start->map));
	if (start->map == NULL)
		return -ENOMEM;
	for (int i = 0; i < (int)ARRAY_LEN(standard) && r == 0; i++)
		if (standard[i] != -1)
			r = add_mapping(start, standard[i], i);
	for (size_t i = 0; i < spec->n_fds && r == 0; i++) {
		r = add_mapping(start, spec->fds[i], spec->fd_numbers[i]);
		if (spec->fd_numbers[i] > highest)
			highest = spec->fd_numbers[i];
	}
	if (r == 0)
		r = add_hidden(start, spec->exec_fd, &highest, &start->child_exec_fd);
	if (r == 0)
		r = add_hidden(start, spec->directory_fd, &highest, &start->child_directory_fd);
	qsort(start->map, start->n_map, sizeof(*start->map), compare_mappings);
	return r;
}

/* By us, because the child cannot close it in the table of descriptors that it shares with us. */
static int open_cgroup(struct spawn_start *start)
{
	if (start->spec.cgroup_fd == -1)
		return 0;
	start->procs_fd = openat(start->spec.cgroup_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	return start->procs_fd == -1 ? -errno : 0;
}

static int open_status(struct spawn_start *start)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) == -1)
		return -errno;
	start->status_read = fd_park(fds[0]);
	start->status_fd = fds[1];
	return 0;
}

/* Everything that we can do for the child. Returns 0 or -errno, and at which stage. */
static int prepare(struct spawn_start *start, enum spawn_stage *stage)
{
	int r = check_numbers(&start->spec);

	*stage = SPAWN_STAGE_CLONE;
	if (r == 0 && !start->waits)
		r = open_status(start);
	if (r < 0)
		return r;
	*stage = SPAWN_STAGE_CGROUP;
	r = open_cgroup(start);
	if (r < 0)
		return r;
	*stage = SPAWN_STAGE_DESCRIPTORS;
	return plan_descriptors(start);
}

/* ---- clone ---- */

/* Raw, because libc's sigprocmask() leaves its own two signals unblocked: their handlers must not
 * run in the child. */
static void set_signal_mask(const unsigned char *mask, unsigned char *ret_old)
{
	CALL(SYS_rt_sigprocmask, SIG_SETMASK, mask, ret_old, SPAWN_SIGSET_BYTES);
}

/* Returns the pid, or -errno. With start->waits we stand still until the child has left our memory.
 */
static pid_t clone_child(struct spawn_start *start)
{
	int flags = CLONE_PIDFD | SIGCHLD;
	unsigned char all[SPAWN_SIGSET_BYTES], old[SPAWN_SIGSET_BYTES];
	int error;
	pid_t pid;

	if (!start->copies)
		flags |= CLONE_VM | CLONE_FILES | CLONE_CHILD_CLEARTID;
	if (start->waits || (!start->copies && !SPAWN_SHARES))
		flags |= CLONE_VFORK;
	if (start->spec.change_user && !start->copies && !start->changes_user) {
		start->changes_user = true;
		if (other_users.children++ == 0)
			other_users.dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
	}
	start->stage = SPAWN_STAGE_CLONE;
	start->error = 0;
	start->pidfd = -1;
	start->tid = 1;
	memset(all, 0xff, sizeof(all));
	set_signal_mask(all, old);
	pid = clone(spawn_child_main, start, flags, start, &start->pidfd, NULL, &start->tid);
	error = errno;
	set_signal_mask(old, NULL);
	if (pid == -1)
		start->tid = 0;
	return pid == -1 ? -error : pid;
}

static int run(struct spawn_start *start, pid_t *ret_pid, int *ret_pidfd)
{
	pid_t pid = clone_child(start);

	if (pid > 0 && start->pidfd == -1) { /* an old kernel takes the flag and ignores it */
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		pid = -ENOSYS;
	}
	if (pid < 0)
		return pid;
	*ret_pid = pid;
	*ret_pidfd = start->pidfd;
	return 0;
}

static int begin(const struct spawn_spec *spec, bool waits, struct spawn_start **ret_start,
		 pid_t *ret_pid, int *ret_pidfd, struct spawn_error *error)
{
	struct spawn_start *start = start_new(spec, waits);
	int r;

	*error = (struct spawn_error){.stage = SPAWN_STAGE_CLONE, .error = ENOMEM};
	if (start == NULL)
		return -ENOMEM;
	r = prepare(start, &error->stage);
	if (r == 0) {
		error->stage = SPAWN_STAGE_CLONE;
		r = run(start, ret_pid, ret_pidfd);
	}
	if (r < 0) {
		error->error = -r;
		spawn_free(start);
		return r;
	}
	*ret_start = start;
	return 0;
}

/* ---- what became of it ---- */

int spawn_fd(const struct spawn_start *start)
{
	return start->status_read;
}

/* The byte says that the child has its own table of descriptors: only without our end of the pipe
 * can we see its end. True: that has come. */
static bool read_status(struct spawn_start *start)
{
	char byte;

	if (start->status_fd != -1 && read(start->status_read, &byte, 1) == 1)
		start->status_fd = fd_close(start->status_fd);
	return start->status_fd == -1 && start->status_read != -1 &&
	       read(start->status_read, &byte, 1) == 0;
}

static bool is_over(struct spawn_start *start, bool ended)
{
	bool told = read_status(start);

	if (start->copies)
		return ended || told || start->error != 0;
	return __atomic_load_n(&start->tid, __ATOMIC_ACQUIRE) == 0;
}

int spawn_look(struct spawn_start *start, bool ended, struct spawn_error *ret_error)
{
	int saved_errno = errno;
	int error = 0;

	if (!is_over(start, ended)) {
		error = EINPROGRESS;
	} else if (start->stage != SPAWN_STAGE_EXEC || start->error != 0) {
		error = start->error != 0 ? start->error : ECANCELED;
		*ret_error = (struct spawn_error){
		    .stage = (enum spawn_stage)start->stage,
		    .error = error,
		};
	}
	errno = saved_errno;
	return -error;
}

/* It has left our memory without exec, so that it is dying at this moment: the wait is for nobody.
 */
static void collect_failed(int pidfd, struct spawn_error *error)
{
	siginfo_t info = {.si_pid = 0};
	int r;

	do
		r = waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED);
	while (r == -1 && errno == EINTR);
	if (error->error == ECANCELED)
		error->signal = r == 0 ? info.si_status : SIGKILL;
}

/* Begins it and waits for exec, or for its failure. */
static int begin_and_wait(const struct spawn_spec *spec, struct spawn_start **ret_start,
			  pid_t *ret_pid, int *ret_pidfd, struct spawn_error *error)
{
	struct spawn_start *start = NULL;
	cleanup_close int pidfd = -1;
	pid_t pid;
	int r = begin(spec, true, &start, &pid, &pidfd, error);

	if (r < 0)
		return r;
	r = spawn_look(start, false, error);
	if (r < 0) {
		collect_failed(pidfd, error);
		spawn_free(start);
		return r;
	}
	*ret_start = start;
	*ret_pid = pid;
	*ret_pidfd = TAKE_FD(pidfd);
	return 0;
}

int spawn_begin(const struct spawn_spec *spec, struct spawn_start **ret_start, pid_t *ret_pid,
		int *ret_pidfd, struct spawn_error *ret_error)
{
	struct spawn_error error;
	int saved_errno = errno;
	int r = begin(spec, false, ret_start, ret_pid, ret_pidfd, &error);

	if (r == -EMFILE || r == -ENFILE) /* to wait takes fewer of them */
		r = begin_and_wait(spec, ret_start, ret_pid, ret_pidfd, &error);
	if (r < 0)
		*ret_error = error;
	errno = saved_errno;
	return r;
}

int spawn_again(struct spawn_start *start, pid_t *ret_pid, int *ret_pidfd)
{
	int saved_errno = errno;
	int r;

	start->procs_fd = fd_close(start->procs_fd);
	r = run(start, ret_pid, ret_pidfd);
	if (r < 0) {
		start->stage = SPAWN_STAGE_CLONE;
		start->error = -r;
	}
	errno = saved_errno;
	return r;
}

int spawn_process(const struct spawn_spec *spec, pid_t *ret_pid, int *ret_pidfd,
		  struct spawn_error *ret_error)
{
	struct spawn_start *start = NULL;
	struct spawn_error error;
	int saved_errno = errno;
	int r = begin_and_wait(spec, &start, ret_pid, ret_pidfd, &error);

	if (r == 0)
		spawn_free(start);
	else
		*ret_error = error;
	errno = saved_errno;
	return r;
}
