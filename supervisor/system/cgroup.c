/* cgroup.c - finds the cgroup that was delegated to us, and sets it up: the kernel's
 * Documentation/admin-guide/cgroup-v2.rst, "Delegation". */
#include "system/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/parse.h"
#include "system/cgroup_internal.h"

/* The leaf that the master lives in. Not ".master": systemd's DelegateSubgroup= takes no dot. */
#define MASTER "master"
/* Where systemd puts ExecReload= and the like of a delegated unit. */
#define CONTROL ".control"

const char *cgroup_controller_name(enum cgroup_controller controller)
{
	switch (controller) {
	case CGROUP_MEMORY:
		return "memory";
	case CGROUP_PIDS:
		return "pids";
	case CGROUP_CPU:
		return "cpu";
	case CGROUP_CONTROLLERS:
		break;
	}
	return "?";
}

/* ---- where we are ---- */

/* The cgroup of a process in the hierarchy of version 2, as its namespace shows it: the line
 * "0::/path". */
static int read_own(const char *root, pid_t pid, char **ret_own)
{
	cleanup_free char *text = NULL;
	char path[256], who[16] = "self", *line, *next;
	int r;

	if (pid > 0)
		snprintf(who, sizeof(who), "%d", (int)pid);
	snprintf(path, sizeof(path), "%s/proc/%s/cgroup", root, who);
	r = fd_read_file(path, 64 * 1024, &text, NULL);
	if (r < 0)
		return r;
	for (next = text; (line = strsep(&next, "\n")) != NULL;)
		if (strncmp(line, "0::/", 4) == 0) {
			*ret_own = strdup(line + 3);
			return *ret_own != NULL ? 0 : -ENOMEM;
		}
	return -ENOENT;
}

/* What is left of path below top: "/a/b" below "/a" is "/b", below "/" it is itself. NULL: it is
 * not below. */
static const char *path_below(const char *path, const char *top)
{
	size_t len = strcmp(top, "/") == 0 ? 0 : strlen(top);

	if (strncmp(path, top, len) != 0 || (path[len] != '/' && path[len] != '\0'))
		return NULL;
	return strcmp(path + len, "/") == 0 ? "" : path + len;
}

/*
 * The directory of a cgroup by a line of /proc/self/mountinfo (proc(5)), appended to out:
 * "41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw". The fourth word is the cgroup that is
 * mounted, the fifth where.
 */
static bool place_by_line(char *line, const char *own, struct buf *out)
{
	char *type = strstr(line, " - "), *word = NULL, *top = NULL;
	const char *rest;

	if (type == NULL || strncmp(type, " - cgroup2 ", 11) != 0)
		return false;
	for (int n = 0; n < 5; n++) {
		word = strsep(&line, " ");
		if (word == NULL)
			return false;
		if (n == 3)
			top = word;
	}
	rest = path_below(own, top);
	if (rest == NULL || strchr(word, '\\') != NULL)
		return false;
	buf_printf(out, "%s%s", word, rest);
	return true;
}

static int find_place(const char *root, const char *own, char **ret_path)
{
	cleanup_free char *text = NULL;
	cleanup_buf struct buf out = {.max = PATH_SIZE};
	char path[256], *line, *next;
	int r;

	snprintf(path, sizeof(path), "%s/proc/self/mountinfo", root);
	r = fd_read_file(path, 4 * 1024 * 1024, &text, NULL);
	if (r < 0)
		return r;
	buf_add_str(&out, root);
	for (next = text; (line = strsep(&next, "\n")) != NULL;)
		if (place_by_line(line, own, &out)) {
			if (out.cut)
				return -ENAMETOOLONG;
			*ret_path = TAKE_PTR(out.data);
			return 0;
		}
	return -ENOENT;
}

/* ---- whether it is ours ---- */

static bool has_mark(const char *path)
{
	static const char *const marks[] = {"user.delegate", "trusted.delegate"};
	char value[2];

	for (size_t n = 0; n < ARRAY_LEN(marks); n++)
		if (getxattr(path, marks[n], value, sizeof(value)) == 1 && value[0] == '1')
			return true;
	return false;
}

/* A process of a delegated unit may start us for a purpose of its own: then its cgroup is not ours
 * to set up. */
static bool is_main_process(struct buf *why)
{
	const char *text = getenv("SYSTEMD_EXEC_PID");
	uint64_t pid;

	if (text == NULL || parse_uint(text, 1, INT32_MAX, &pid) < 0) {
		buf_add_str(why, "is delegated, but not to us: no service manager has started us");
		return false;
	}
	if ((pid_t)pid == getpid())
		return true;
	buf_printf(why, "is delegated to process %llu, and we are not that (let a wrapper `exec`)",
		   (unsigned long long)pid);
	return false;
}

static bool is_leaf_of_ours(const char *name)
{
	return strcmp(name, MASTER) == 0 || strcmp(name, CONTROL) == 0;
}

int cgroup_find(const char *root, pid_t pid, char **ret_path, struct buf *why)
{
	cleanup_free char *own = NULL, *path = NULL;
	char *leaf;
	int r = read_own(root, pid, &own);

	if (r == 0)
		r = find_place(root, own, &path);
	if (r < 0) {
		if (r == -ENOENT)
			buf_add_str(why, "there is no cgroup v2 hierarchy here");
		else
			buf_printf(why, "cannot find the cgroup: %s", strerror(-r));
		return r;
	}
	if (has_mark(path)) {
		cleanup_buf struct buf reason = {0};

		if (pid == 0 && !is_main_process(&reason)) {
			buf_printf(why, "%s %s", path, buf_text(&reason));
			return -EPERM;
		}
		*ret_path = TAKE_PTR(path);
		return 0;
	}
	leaf = path != NULL ? strrchr(path, '/') : NULL;
	if (leaf != NULL && is_leaf_of_ours(leaf + 1)) {
		*leaf = '\0';
		if (has_mark(path)) {
			*ret_path = TAKE_PTR(path);
			return 0;
		}
		*leaf = '/';
	}
	buf_printf(why, "%s is not delegated (Delegate=yes in the unit does that)", path);
	return -EPERM;
}

/* ---- setting it up ---- */

static bool has_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = text; *p != '\0'; p += strcspn(p, " \n"), p += strspn(p, " \n"))
		if (strcspn(p, " \n") == len && strncmp(p, word, len) == 0)
			return true;
	return false;
}

int cgroup_available(const char *path, bool ret_has[static CGROUP_CONTROLLERS])
{
	cleanup_free char *text = NULL;
	cleanup_buf struct buf file = {.max = PATH_SIZE};
	int r;

	buf_printf(&file, "%s/cgroup.controllers", path);
	r = file.cut ? -ENAMETOOLONG : fd_read_file(file.data, 4096, &text, NULL);
	if (r < 0)
		return r;
	for (int n = 0; n < CGROUP_CONTROLLERS; n++)
		ret_has[n] = has_word(text, cgroup_controller_name((enum cgroup_controller)n));
	return 0;
}

static int enter_leaf(int fd, const char *path, struct buf *why)
{
	int r = 0;

	if (mkdirat(fd, MASTER, 0755) == -1 && errno != EEXIST)
		r = -errno;
	if (r == 0)
		r = cgroup_write(fd, MASTER, "cgroup.procs", "0");
	if (r < 0)
		buf_printf(why, "cannot move into %s/" MASTER ": %s%s", path, strerror(-r),
			   r == -EROFS ? " (ProtectControlGroups= in the unit?)" : "");
	return r;
}

/* Each for itself: one that is refused must not take the others along. */
static void turn_on(int fd, bool has[static CGROUP_CONTROLLERS], struct buf *why)
{
	for (int n = 0; n < CGROUP_CONTROLLERS; n++) {
		char text[16];
		int r;

		if (!has[n])
			continue;
		snprintf(text, sizeof(text), "+%s",
			 cgroup_controller_name((enum cgroup_controller)n));
		r = cgroup_write(fd, ".", "cgroup.subtree_control", text);
		if (r == 0)
			continue;
		has[n] = false;
		buf_printf(why, "%s%s cannot be turned on: %s%s", why->len > 0 ? ", " : "",
			   text + 1, strerror(-r),
			   r == -EBUSY ? " (there are other processes in the unit's cgroup)" : "");
	}
}

int cgroup_open(const char *path, struct cgroup_tree *ret_tree, struct buf *why)
{
	struct cgroup_tree tree = {.fd = -1};
	cleanup_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd == -1 ? -errno : cgroup_available(path, tree.has);

	if (r < 0) {
		buf_printf(why, "cannot open %s: %s", path, strerror(-r));
		return r;
	}
	r = enter_leaf(fd, path, why);
	if (r < 0)
		return r;
	tree.path = strdup(path);
	if (tree.path == NULL)
		return -ENOMEM;
	turn_on(fd, tree.has, why);
	tree.can_kill = faccessat(fd, MASTER "/cgroup.kill", W_OK, AT_EACCESS) == 0;
	tree.fd = TAKE_FD(fd);
	*ret_tree = tree;
	return 0;
}

void cgroup_close(struct cgroup_tree *tree)
{
	tree->fd = fd_close(tree->fd);
	free(TAKE_PTR(tree->path));
}
