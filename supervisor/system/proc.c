/* proc.c - processes as /proc shows them. */
#include "system/proc.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/parse.h"

enum {
	ENVIRON_MAX =
	    4 * 1024 *
	    1024, /* a process may have more (a quarter of its stack limit); then it is not known */
	CHILDREN_MAX = 1024 * 1024,
};

static void close_directory(DIR **directory)
{
	if (*directory != NULL)
		closedir(*directory);
}
#define cleanup_directory __attribute__((cleanup(close_directory)))

int proc_read_stat(pid_t pid, struct proc_stat *ret_stat)
{
	cleanup_free char *text = NULL;
	struct proc_stat stat;
	char path[32], *p;
	int r;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	r = fd_read_file(path, 4096, &text, NULL);
	if (r < 0)
		return r;
	p = strrchr(text, ')'); /* the name before it may hold blanks and brackets */
	if (p == NULL ||
	    sscanf(p + 1,
		   " %c %d %d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d "
		   "%" SCNu64,
		   &stat.state, &stat.ppid, &stat.pgrp, &stat.session, &stat.start_time) != 5)
		return -EBADMSG;
	*ret_stat = stat;
	return 0;
}

/* The value of a variable in a block of NUL-terminated strings; NULL if it is not there. */
static const char *environ_get(const char *block, size_t len, const char *name)
{
	size_t name_len = strlen(name);

	for (const char *p = block; p < block + len; p += strlen(p) + 1)
		if (strncmp(p, name, name_len) == 0 && p[name_len] == '=')
			return p + name_len + 1;
	return NULL;
}

/* A value that does not fit was not written by us: then there is none. */
static bool copy_value(const char *value, char *text, size_t size)
{
	text[0] = '\0';
	if (value == NULL || strlen(value) >= size)
		return false;
	memcpy(text, value, strlen(value) + 1);
	return true;
}

static bool copy_number(const char *value, long *ret_number)
{
	uint64_t number;

	if (value == NULL || parse_uint(value, 0, INT32_MAX, &number) < 0)
		return false;
	*ret_number = (long)number;
	return true;
}

int proc_read_origin(pid_t pid, struct proc_origin *ret_origin)
{
	cleanup_free char *text = NULL;
	struct proc_origin origin;
	char path[32];
	size_t len;
	int r;

	snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
	r = fd_read_file(path, ENVIRON_MAX, &text, &len);
	if (r < 0)
		return r == -ESRCH ? -ENOENT : r;
	if (!copy_value(environ_get(text, len, "HANDOVER_INSTANCE"), origin.instance,
			sizeof(origin.instance)) ||
	    !copy_value(environ_get(text, len, "HANDOVER_POOL"), origin.pool,
			sizeof(origin.pool)) ||
	    !copy_number(environ_get(text, len, "HANDOVER_SLOT"), &origin.slot) ||
	    !copy_number(environ_get(text, len, "HANDOVER_GENERATION"), &origin.generation))
		return -ENOENT;
	copy_value(environ_get(text, len, "NOTIFY_SOCKET"), origin.notify, sizeof(origin.notify));
	*ret_origin = origin;
	return 0;
}

/* The pid that a directory entry names, or 0. */
static pid_t entry_pid(const struct dirent *entry)
{
	uint64_t pid;

	return parse_uint(entry->d_name, 1, INT32_MAX, &pid) < 0 ? 0 : (pid_t)pid;
}

int proc_walk_children(int (*each)(pid_t pid, void *arg), void *arg)
{
	cleanup_directory DIR *directory = opendir("/proc");
	const struct dirent *entry;
	struct proc_stat stat;
	pid_t pid, self = getpid();

	if (directory == NULL)
		return -errno;
	while ((entry = readdir(directory)) != NULL) {
		pid = entry_pid(entry);
		if (pid == 0 || proc_read_stat(pid, &stat) < 0 || stat.ppid != self)
			continue;
		if (each(pid, arg) != 0)
			break;
	}
	return 0;
}

/* 1: each has ended it; 0: go on; -errno. */
static int each_child_of_task(const char *task, int (*each)(pid_t pid, void *arg), void *arg)
{
	cleanup_free char *text = NULL;
	char path[64], *p, *end;
	int r;

	snprintf(path, sizeof(path), "/proc/self/task/%.16s/children", task);
	r = fd_read_file(path, CHILDREN_MAX, &text, NULL);
	if (r < 0)
		return r;
	for (p = text;; p = end) {
		long pid = strtol(p, &end, 10);

		if (end == p)
			return 0;
		if (each((pid_t)pid, arg) != 0)
			return 1;
	}
}

int proc_each_child(int (*each)(pid_t pid, void *arg), void *arg)
{
	cleanup_directory DIR *directory = opendir("/proc/self/task");
	const struct dirent *entry;
	int r = 0;

	if (directory == NULL)
		return -errno;
	if (access("/proc/thread-self/children", R_OK) == -1)
		return proc_walk_children(each, arg);
	while (r == 0 && (entry = readdir(directory)) != NULL) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		r = each_child_of_task(entry->d_name, each, arg);
		if (r == -ENOENT || r == -ESRCH)
			r = 0; /* a thread that has ended */
	}
	return r < 0 ? r : 0;
}

int proc_count_fds(void)
{
	cleanup_directory DIR *directory = opendir("/proc/self/fd");
	const struct dirent *entry;
	int count = 0;

	if (directory == NULL)
		return -errno;
	while ((entry = readdir(directory)) != NULL)
		if (entry->d_name[0] != '.')
			count++;
	return count - 1; /* not the one that we count with */
}
