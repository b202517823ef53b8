/* listener_file.c - a served Unix socket's file: is it still there, and how it comes back. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "system/listener.h"
#include "system/listener_internal.h"

static bool is_ours(const struct listener *listener, const struct stat *st)
{
	return listener->inode != 0 && st->st_dev == listener->device &&
	       st->st_ino == listener->inode;
}

enum listener_file listener_file_look(const struct listener *listener)
{
	struct stat st;

	if (listener->path == NULL || listener->inode == 0)
		return LISTENER_FILE_NONE;
	if (lstat(listener->path, &st) == -1)
		return LISTENER_FILE_MISSING;
	return is_ours(listener, &st) ? LISTENER_FILE_OURS : LISTENER_FILE_OTHER;
}

int listener_file_keep(const struct listener *listener, int directory, const char *name)
{
	struct stat st;

	if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		if (is_ours(listener, &st))
			return 0;
		if (unlinkat(directory, name, 0) == -1)
			return -errno;
	}
	if (linkat(AT_FDCWD, listener->path, directory, name, 0) == -1)
		return -errno;
	/* between a look at the path and now it may have become another's */
	if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && is_ours(listener, &st))
		return 0;
	unlinkat(directory, name, 0);
	return -ESTALE;
}

int listener_file_restore(const struct listener *listener, int directory, const char *name)
{
	struct stat st;

	if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return errno == ENOENT ? -ESTALE : -errno;
	if (!is_ours(listener, &st))
		return -ESTALE;
	return linkat(directory, name, AT_FDCWD, listener->path, 0) == -1 ? -errno : 0;
}

int listener_file_bind_anew(struct listener *listener)
{
	return listener_unix_replace(listener);
}
