/* cgroup_internal.h - what the cgroup*.c files share. */
#ifndef SYSTEM_CGROUP_INTERNAL_H
#define SYSTEM_CGROUP_INTERNAL_H

#include "system/cgroup.h"

enum { PATH_SIZE = 4096 };

/* Writes text to a file of the cgroup `name` below the directory fd. 0 or -errno. */
int cgroup_write(int fd, const char *name, const char *file, const char *text);
/* Reads what fits into text (a NUL behind it). 0 or -errno. */
int cgroup_read(int fd, const char *name, const char *file, char *text, size_t size);

#endif
