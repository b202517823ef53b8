/* cgroup_worker.c - the cgroup of one worker: made, limited, read, killed, removed. */
#include <ctype.h>
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
#include "system/cgroup_internal.h"

enum {
	NAMES_MAX = 64, /* that are tried for one worker, before we rather do without */
	DEPTH_MAX = 8,	/* cgroups that a worker makes below its own are removed that deep */
	PROCESSES_SIZE = 4096,
};

static void close_directory(DIR **directory)
{
	if (*directory != NULL)
		closedir(*directory);
}
#define cleanup_directory __attribute__((cleanup(close_directory)))

/* ---- files ---- */

static int open_file(int fd, const char *name, const char *file, int flags)
{
	char path[CGROUP_NAME_MAX + 64];
	int n = snprintf(path, sizeof(path), "%s/%s", name, file), opened;

	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	opened = openat(fd, path, flags | O_CLOEXEC | O_NOFOLLOW);
	return opened == -1 ? -errno : opened;
}

int cgroup_write(int fd, const char *name, const char *file, const char *text)
{
	cleanup_close int opened = open_file(fd, name, file, O_WRONLY);

	if (opened < 0)
		return opened;
	return write(opened, text, strlen(text)) == -1 ? -errno : 0;
}

int cgroup_read(int fd, const char *name, const char *file, char *text, size_t size)
{
	cleanup_close int opened = open_file(fd, name, file, O_RDONLY);
	ssize_t n;

	if (opened < 0)
		return opened;
	n = read(opened, text, size - 1);
	if (n == -1)
		return -errno;
	text[n] = '\0';
	return 0;
}

/* A file that has one number. CGROUP_UNKNOWN: there is none. */
static uint64_t read_number(const struct cgroup_tree *tree, const char *name, const char *file)
{
	char text[32];
	uint64_t value;

	if (cgroup_read(tree->fd, name, file, text, sizeof(text)) < 0)
		return CGROUP_UNKNOWN;
	text[strcspn(text, "\n")] = '\0';
	return parse_uint(text, 0, UINT64_MAX - 1, &value) < 0 ? CGROUP_UNKNOWN : value;
}

/* The number behind a key, of lines "key number". CGROUP_UNKNOWN: there is none. */
static uint64_t find_number(const char *text, const char *key)
{
	size_t len = strlen(key);

	for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, len) == 0 && line[len] == ' ')
			return strtoull(line + len + 1, NULL, 10);
	}
	return CGROUP_UNKNOWN;
}

/* ---- making ---- */

int cgroup_make(const struct cgroup_tree *tree, const char *pool, uint32_t slot,
		uint32_t generation, char name[static CGROUP_NAME_MAX], int *ret_fd)
{
	int fd, r = -EEXIST;

	for (int n = 1; n <= NAMES_MAX && r == -EEXIST; n++) {
		int len = snprintf(name, CGROUP_NAME_MAX, "%s.%u.%u", pool, slot, generation);

		if (n > 1)
			snprintf(name + len, CGROUP_NAME_MAX - (size_t)len, "-%d", n);
		r = mkdirat(tree->fd, name, 0755) == -1 ? -errno : 0;
	}
	if (r < 0)
		return r;
	fd = openat(tree->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1) {
		r = -errno;
		unlinkat(tree->fd, name, AT_REMOVEDIR);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

/* Back over digits, to the character before them; NULL: there are no digits, or nothing before. */
static const char *before_digits(const char *begin, const char *end)
{
	const char *p = end;

	while (p > begin && isdigit((unsigned char)p[-1]))
		p--;
	return p == end || p == begin ? NULL : p - 1;
}

bool cgroup_is_workers(const char *name)
{
	const char *p = before_digits(name, name + strlen(name));

	if (p != NULL && *p == '-')
		p = before_digits(name, p);
	if (p == NULL || *p != '.')
		return false;
	p = before_digits(name, p);
	return p != NULL && *p == '.' && p > name && name[0] != '.';
}

int cgroup_limit(const struct cgroup_tree *tree, const char *name,
		 enum cgroup_controller controller, uint64_t value)
{
	static const char *const files[CGROUP_CONTROLLERS] = {
	    [CGROUP_MEMORY] = "memory.max",
	    [CGROUP_PIDS] = "pids.max",
	    [CGROUP_CPU] = "cpu.weight",
	};
	char text[32] = "max";

	if (value != UINT64_MAX)
		snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	return cgroup_write(tree->fd, name, files[controller], text);
}

/* ---- processes ---- */

int cgroup_kill(const struct cgroup_tree *tree, const char *name)
{
	return cgroup_write(tree->fd, name, "cgroup.kill", "1");
}

int cgroup_each_process(const struct cgroup_tree *tree, const char *name,
			int (*each)(pid_t pid, void *arg), void *arg)
{
	char text[PROCESSES_SIZE], *end;
	int r = cgroup_read(tree->fd, name, "cgroup.procs", text, sizeof(text));

	if (r < 0)
		return r;
	for (char *p = text;; p = end) {
		long pid = strtol(p, &end, 10);

		/* the last one may be cut off where there are very many; 0: of another pid
		 * namespace */
		if (end == p || *end != '\n')
			return 0;
		if (pid > 0 && each((pid_t)pid, arg) != 0)
			return 0;
	}
}

bool cgroup_has(const struct cgroup_tree *tree, const char *name, pid_t pid)
{
	cleanup_free char *text = NULL;
	const char *unit = strrchr(tree->path, '/'), *line;
	char path[32], mark[CGROUP_NAME_MAX + NAME_MAX + 4];
	size_t len;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	if (unit == NULL || fd_read_file(path, 64 * 1024, &text, NULL) < 0)
		return false;
	len = (size_t)snprintf(mark, sizeof(mark), "%s/%s", unit, name);
	line = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
	if (line == NULL || len >= sizeof(mark))
		return false;
	line = strstr(line, mark);
	return line != NULL && (line[len] == '\n' || line[len] == '/');
}

/* ---- the end ---- */

static int remove_at(int parent, const char *name, int depth);

static int remove_below(int parent, const char *name, int depth)
{
	cleanup_directory DIR *directory = NULL;
	const struct dirent *entry;
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW), r = 0;

	directory = fd >= 0 ? fdopendir(fd) : NULL;
	if (directory == NULL) {
		r = -errno;
		fd_close(fd);
		return r;
	}
	while (r == 0 && (entry = readdir(directory)) != NULL)
		if (entry->d_type == DT_DIR && strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0)
			r = remove_at(dirfd(directory), entry->d_name, depth - 1);
	return r;
}

static int remove_at(int parent, const char *name, int depth)
{
	int r;

	if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	if ((errno != EBUSY && errno != ENOTEMPTY) || depth == 0)
		return -errno;
	r = remove_below(parent, name, depth);
	if (r == 0 && unlinkat(parent, name, AT_REMOVEDIR) == -1 && errno != ENOENT)
		r = -errno;
	return r;
}

int cgroup_remove(const struct cgroup_tree *tree, const char *name)
{
	return remove_at(tree->fd, name, DEPTH_MAX);
}

int cgroup_each(const struct cgroup_tree *tree, void (*each)(const char *name, void *arg),
		void *arg)
{
	cleanup_directory DIR *directory = NULL;
	const struct dirent *entry;
	int fd = openat(tree->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

	directory = fd >= 0 ? fdopendir(fd) : NULL;
	if (directory == NULL) {
		r = -errno;
		fd_close(fd);
		return r;
	}
	while ((entry = readdir(directory)) != NULL)
		if (entry->d_type == DT_DIR && cgroup_is_workers(entry->d_name))
			each(entry->d_name, arg);
	return 0;
}

void cgroup_events_path(const struct cgroup_tree *tree, const char *name, struct buf *out)
{
	buf_printf(out, "%s/%s/cgroup.events", tree->path, name);
}

/* ---- figures ---- */

void cgroup_read_figures(const struct cgroup_tree *tree, const char *name,
			 struct cgroup_figures *ret_figures)
{
	char text[1024];
	int r = cgroup_read(tree->fd, name, "cpu.stat", text, sizeof(text));

	*ret_figures = (struct cgroup_figures){
	    .memory = tree->has[CGROUP_MEMORY] ? read_number(tree, name, "memory.current")
					       : CGROUP_UNKNOWN,
	    .tasks =
		tree->has[CGROUP_PIDS] ? read_number(tree, name, "pids.current") : CGROUP_UNKNOWN,
	    .cpu = r == 0 ? find_number(text, "usage_usec") : CGROUP_UNKNOWN,
	};
}

int cgroup_read_oom(const struct cgroup_tree *tree, const char *name, struct cgroup_oom *ret_oom)
{
	char text[1024];
	struct cgroup_oom oom;
	int r = cgroup_read(tree->fd, name, "memory.events", text, sizeof(text));

	if (r < 0)
		return r;
	oom.kills = find_number(text, "oom_kill");
	oom.own_limit = find_number(text, "oom");
	if (oom.kills == CGROUP_UNKNOWN || oom.own_limit == CGROUP_UNKNOWN)
		return -EBADMSG;
	*ret_oom = oom;
	return 0;
}
