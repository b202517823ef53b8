/* proc_walk.c - which processes hold a socket: the descriptors of one, of a tree, of all. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/parse.h"
#include "system/proc_internal.h"

enum {
	PROCESSES_MAX = 65536,
	DESCRIPTORS_MAX = 1024 * 1024, /* in all */
};

/* --- descriptors of one process --- */

/* Which of the sockets does /proc/PID/fd lead to? Calls each for every descriptor that does, until
 * it returns false. *budget goes down with every descriptor that is looked at. */
static void walk_descriptors(int process, const unsigned long *inodes, size_t n_inodes,
			     long *budget, bool (*each)(size_t which, void *arg), void *arg)
{
	int fd = openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd == -1 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	unsigned long inode;
	bool more = true;
	char link[64];
	ssize_t n;

	if (directory == NULL) {
		fd_close(fd);
		return;
	}
	while (more && (*budget)-- > 0 && (entry = readdir(directory)) != NULL) {
		n = readlinkat(dirfd(directory), entry->d_name, link, sizeof(link) - 1);
		if (n <= 0)
			continue;
		link[n] = '\0';
		if (sscanf(link, "socket:[%lu]", &inode) != 1)
			continue;
		for (size_t i = 0; i < n_inodes && more; i++)
			if (inodes[i] == inode)
				more = each(i, arg);
	}
	closedir(directory);
}

/* One is enough. */
static bool note_found(size_t which, void *found)
{
	(void)which;
	*(bool *)found = true;
	return false;
}

/* --- a tree of processes --- */

enum { TREE_MAX = 256, TREE_DESCRIPTORS_MAX = 64 * 1024, CHILDREN_MAX = 64 * 1024 };

struct tree {
	pid_t pids[TREE_MAX];
	size_t n;
};

static void add_children(struct tree *tree, int tasks, const char *task)
{
	cleanup_close int fd = -1;
	cleanup_free char *text = NULL;
	char path[64], *end;
	ssize_t n;

	snprintf(path, sizeof(path), "%.32s/children", task);
	fd = openat(tasks, path, O_RDONLY | O_CLOEXEC);
	text = fd != -1 ? malloc(CHILDREN_MAX) : NULL;
	n = text != NULL ? read(fd, text, CHILDREN_MAX - 1) : -1;
	if (n <= 0)
		return;
	text[n] = '\0';
	for (char *p = text; tree->n < TREE_MAX; p = end) {
		long pid = strtol(p, &end, 10);

		if (end == p)
			return;
		tree->pids[tree->n++] = (pid_t)pid;
	}
}

/* Each thread has children of its own. */
static void add_children_of(struct tree *tree, int process)
{
	int fd = openat(process, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *tasks = fd == -1 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (tasks == NULL) {
		fd_close(fd);
		return;
	}
	while ((entry = readdir(tasks)) != NULL)
		if (entry->d_name[0] != '.')
			add_children(tree, dirfd(tasks), entry->d_name);
	closedir(tasks);
}

int proc_tree_holds(pid_t root, unsigned long inode)
{
	struct tree tree = {.pids = {root}, .n = 1};
	long budget = TREE_DESCRIPTORS_MAX;
	bool found = false;

	for (size_t i = 0; !found && i < tree.n; i++) {
		cleanup_close int process = -1;
		char path[64];

		snprintf(path, sizeof(path), "/proc/%d", (int)tree.pids[i]);
		process = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (process == -1 && i == 0)
			return -ESRCH;
		if (process == -1)
			continue;
		if (i == 0 && faccessat(process, "fd/.", R_OK | X_OK, AT_EACCESS) == -1)
			return -EACCES;
		walk_descriptors(process, &inode, 1, &budget, note_found, &found);
		if (!found)
			add_children_of(&tree, process);
	}
	return found;
}

/* --- all processes of the machine --- */

static void describe_holder(pid_t pid, int process, struct proc_holder *holder)
{
	cleanup_free char *comm = NULL;
	struct proc_origin origin;
	struct stat st;
	char path[32];

	*holder = (struct proc_holder){.pid = pid,
				       .uid = fstat(process, &st) == 0 ? st.st_uid : (uid_t)-1};
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	if (fd_read_file(path, 256, &comm, NULL) == 0)
		snprintf(holder->name, sizeof(holder->name), "%.*s", (int)strcspn(comm, "\n"),
			 comm);
	if (proc_read_origin(pid, &origin) == 0)
		snprintf(holder->instance, sizeof(holder->instance), "%s", origin.instance);
}

/* Calls each with every process of the machine that we see, until it returns something else than
 * 0, which is returned. 0 or -errno. */
static int walk_processes(int (*each)(pid_t pid, int process, long *budget, void *arg), void *arg)
{
	DIR *directory = opendir("/proc");
	const struct dirent *entry;
	long budget = DESCRIPTORS_MAX;
	int processes = 0, r = 0;
	uint64_t pid;

	if (directory == NULL)
		return -errno;
	while (r == 0 && processes < PROCESSES_MAX && (entry = readdir(directory)) != NULL) {
		cleanup_close int process = -1;

		if (parse_uint(entry->d_name, 1, INT32_MAX, &pid) < 0)
			continue;
		processes++;
		process =
		    openat(dirfd(directory), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (process != -1)
			r = each((pid_t)pid, process, &budget, arg);
	}
	closedir(directory);
	return r;
}

/* --- one process that holds one of them --- */

struct search {
	const unsigned long *inodes;
	size_t n_inodes;
	struct proc_holder *holder;
	bool found;
};

static int search_process(pid_t pid, int process, long *budget, void *arg)
{
	struct search *search = arg;

	walk_descriptors(process, search->inodes, search->n_inodes, budget, note_found,
			 &search->found);
	if (!search->found)
		return 0;
	describe_holder(pid, process, search->holder);
	return 1;
}

int proc_find_holder_of(const unsigned long *inodes, size_t n, struct proc_holder *ret_holder)
{
	struct search search = {.inodes = inodes, .n_inodes = n, .holder = ret_holder};
	int r = walk_processes(search_process, &search);

	return r < 0 ? r : search.found ? 0 : -ENOENT;
}

/* --- all processes that hold them --- */

struct walk {
	const unsigned long *inodes;
	size_t n;
	bool *seen; /* by this process */
	bool any;
	void (*each)(size_t which, const struct proc_holder *holder, void *arg);
	void *arg;
};

static bool note_seen(size_t which, void *arg)
{
	struct walk *walk = arg;

	walk->seen[which] = walk->any = true;
	return true;
}

static int walk_process(pid_t pid, int process, long *budget, void *arg)
{
	struct walk *walk = arg;
	struct proc_holder holder;

	memset(walk->seen, 0, walk->n * sizeof(*walk->seen));
	walk->any = false;
	walk_descriptors(process, walk->inodes, walk->n, budget, note_seen, walk);
	if (!walk->any)
		return 0;
	describe_holder(pid, process, &holder);
	for (size_t i = 0; i < walk->n; i++)
		if (walk->seen[i])
			walk->each(i, &holder, walk->arg);
	return 0;
}

int proc_walk_holders(const unsigned long *inodes, size_t n,
		      void (*each)(size_t which, const struct proc_holder *holder, void *arg),
		      void *arg)
{
	cleanup_free bool *seen = calloc(n + 1, sizeof(*seen));
	struct walk walk = {.inodes = inodes, .n = n, .seen = seen, .each = each, .arg = arg};

	return seen != NULL ? walk_processes(walk_process, &walk) : -ENOMEM;
}
