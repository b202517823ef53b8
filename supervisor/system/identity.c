/* identity.c - which file an executable is. */
#include "system/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

static int64_t to_ns(const struct timespec *time)
{
	return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

/* fd may be O_PATH, of which nothing can be read: the file is opened once more. */
static void add_build_id(int fd, struct identity *identity)
{
	char path[32];
	cleanup_close int readable = -1;
	int n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	readable = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	n = readable >= 0
		? identity_read_build_id(readable, identity->build_id, sizeof(identity->build_id))
		: 0;
	identity->build_id_len = n > 0 ? (unsigned)n : 0;
}

int identity_read(int fd, struct identity *ret_identity)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return -errno;
	*ret_identity = (struct identity){
	    .device = st.st_dev,
	    .inode = st.st_ino,
	    .size = (uint64_t)st.st_size,
	    .mtime_ns = to_ns(&st.st_mtim),
	    .ctime_ns = to_ns(&st.st_ctim),
	};
	if (S_ISREG(st.st_mode))
		add_build_id(fd, ret_identity);
	return 0;
}

int identity_read_path(const char *path, struct identity *ret_identity)
{
	cleanup_close int fd = open(path, O_PATH | O_CLOEXEC);

	return fd >= 0 ? identity_read(fd, ret_identity) : -errno;
}

bool identity_is_known(const struct identity *identity)
{
	return identity->device != 0 || identity->inode != 0 || identity->size != 0 ||
	       identity->mtime_ns != 0;
}

bool identity_is_same_file(const struct identity *a, const struct identity *b)
{
	return a->device == b->device && a->inode == b->inode;
}

const char *identity_change(const struct identity *before, const struct identity *now)
{
	bool was = identity_is_known(before), is = identity_is_known(now);

	if (!was || !is)
		return was == is ? NULL : is ? "appeared" : "gone";
	if (!identity_is_same_file(before, now))
		return "replaced";
	if (before->size != now->size || before->mtime_ns != now->mtime_ns)
		return "changed in place";
	return NULL;
}

static bool has_same_build_id(const struct identity *a, const struct identity *b)
{
	return a->build_id_len == b->build_id_len &&
	       memcmp(a->build_id, b->build_id, a->build_id_len) == 0;
}

bool identity_has_same_content(const struct identity *before, const struct identity *now)
{
	if (!identity_is_same_file(before, now) || before->size != now->size ||
	    !has_same_build_id(before, now))
		return false;
	return before->mtime_ns == now->mtime_ns || before->build_id_len > 0;
}

char *identity_format_build_id(const struct identity *identity, char *text)
{
	static const char digits[] = "0123456789abcdef";
	char *at = text;

	for (unsigned i = 0; i < identity->build_id_len; i++) {
		*at++ = digits[identity->build_id[i] >> 4];
		*at++ = digits[identity->build_id[i] & 15];
	}
	*at = '\0';
	return text;
}
