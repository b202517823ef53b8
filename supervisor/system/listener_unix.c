/* listener_unix.c - Unix sockets in the file system: left-over files, mode and owner, whose file it
 * is. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/parse.h"
#include "system/listener_internal.h"

enum { BIND_TRIES = 4 };

/* --- the file that was there before --- */

static const char *file_kind(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "a regular file";
	case S_IFDIR:
		return "a directory";
	case S_IFLNK:
		return "a symbolic link";
	case S_IFIFO:
		return "a named pipe";
	default:
		return "a device";
	}
}

/* 0: somebody serves it; -ECONNREFUSED: nobody does; -errno. */
static int try_connect(const struct listener *listener)
{
	cleanup_close int fd = socket(AF_UNIX, listener->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd == -1)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&listener->address, listener->address_len) == 0)
		return 0;
	if (errno == EAGAIN || errno == EPROTOTYPE)
		return 0; /* its queue is full; or it is of another type */
	return -errno;
}

/* The file goes aside and is deleted there, if it still is the one that was found dead: otherwise
 * it goes back. */
static int remove_left_over(const char *path, const struct stat *dead)
{
	cleanup_free char *aside = NULL;
	uint64_t random;
	struct stat st;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return -errno;
	if (asprintf(&aside, "%s.old-%016llx", path, (unsigned long long)random) == -1) {
		aside = NULL;
		return -ENOMEM;
	}
	if (rename(path, aside) == -1)
		return -errno;
	if (lstat(aside, &st) == -1)
		return -errno;
	if (st.st_dev != dead->st_dev || st.st_ino != dead->st_ino)
		return renameat2(AT_FDCWD, aside, AT_FDCWD, path, RENAME_NOREPLACE) == -1 ? -errno
											  : 0;
	return unlink(aside) == -1 ? -errno : 0;
}

/* Is there a file that is not ours to remove? 0: there is none; 1: a socket that nobody serves, in
 * *ret_dead; -errno with a sentence. */
static int look_at_path(const struct listener *listener, struct stat *ret_dead, char **ret_error)
{
	struct stat st;
	int r;

	if (lstat(listener->path, &st) == -1)
		return errno == ENOENT
			   ? 0
			   : listener_fail(listener, errno, ret_error, "%s", strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return listener_fail(listener, EEXIST, ret_error,
				     "there is %s in its place, which is left alone; move it away",
				     file_kind(st.st_mode));
	r = try_connect(listener);
	if (r == 0)
		return listener_fail_in_use(listener, true, ret_error);
	if (r == -ENOENT)
		return 0;
	if (r != -ECONNREFUSED)
		return listener_fail(listener, -r, ret_error,
				     "cannot find out whether the socket there is still in use: %s",
				     strerror(-r));
	*ret_dead = st;
	return 1;
}

/* bind() has found a file in its place. 0: it is out of the way, bind again. */
static int clear_path(const struct listener *listener, char **ret_error)
{
	struct stat dead;
	int r = look_at_path(listener, &dead, ret_error);

	if (r <= 0)
		return r;
	r = remove_left_over(listener->path, &dead);
	if (r < 0 && r != -ENOENT)
		return listener_fail(listener, -r, ret_error,
				     "cannot remove the left-over socket there: %s", strerror(-r));
	return 0;
}

/* --- binding --- */

static int fail_to_bind(const struct listener *listener, int error, char **ret_error)
{
	const char *slash = strrchr(listener->path, '/');
	cleanup_free char *directory = NULL;

	if (slash == NULL)
		directory = strdup(".");
	else
		directory = strndup(listener->path,
				    slash == listener->path ? 1 : (size_t)(slash - listener->path));
	if (directory == NULL)
		return -ENOMEM;
	if (error == ENOENT)
		return listener_fail(listener, error, ret_error, "the directory %s does not exist",
				     directory);
	if (error == ENOTDIR)
		return listener_fail(listener, error, ret_error, "%s is no directory", directory);
	if (error == EACCES || error == EPERM)
		return listener_fail(listener, error, ret_error,
				     "permission denied: we (uid %u) may not make files in %s",
				     (unsigned)geteuid(), directory);
	return listener_fail(listener, error, ret_error, "%s", strerror(error));
}

static int bind_path(struct listener *listener, char **ret_error)
{
	for (int i = 0; i < BIND_TRIES; i++) {
		int r;

		if (bind(listener->fd, (struct sockaddr *)&listener->address,
			 listener->address_len) == 0)
			return 0;
		if (errno != EADDRINUSE)
			return fail_to_bind(listener, errno, ret_error);
		r = clear_path(listener, ret_error);
		if (r < 0)
			return r;
	}
	return listener_fail(listener, EADDRINUSE, ret_error,
			     "others keep binding it at the same time");
}

int listener_unix_try(const struct listener_spec *spec, char **ret_error)
{
	struct listener listener = {.fd = -1, .type = spec->type};
	cleanup_free char *directory = NULL;
	struct stat dead, st;
	int r = listener_unix_set_address(&listener, spec->path);

	if (r == 0)
		r = look_at_path(&listener, &dead, ret_error);
	if (r >= 0) {
		directory =
		    strndup(spec->path, (size_t)(strrchr(spec->path, '/') - spec->path) + 1);
		if (directory == NULL)
			r = -ENOMEM;
		else if (stat(directory, &st) == -1 ||
			 faccessat(AT_FDCWD, directory, W_OK | X_OK, AT_EACCESS) == -1)
			r = fail_to_bind(&listener, errno, ret_error);
		else
			r = 0;
	}
	free(listener.path);
	return r;
}

int listener_unix_set_address(struct listener *listener, const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	memcpy(un.sun_path, path, strlen(path) + 1);
	memcpy(&listener->address, &un, sizeof(un));
	listener->address_len =
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1);
	listener->path = strdup(path);
	return listener->path == NULL ? -ENOMEM : 0;
}

/* --- mode and owner --- */

/* The file itself, whatever happens to its name: symbolic links are not followed, and it must be
 * ours. */
static int open_file(const char *path, struct stat *ret_st)
{
	cleanup_close int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (fd == -1 || fstat(fd, ret_st) == -1)
		return -errno;
	return S_ISSOCK(ret_st->st_mode) ? TAKE_FD(fd) : -ENOTSOCK;
}

static int change_owner(int file, uid_t uid, gid_t gid, mode_t mode)
{
	char link[32];

	if ((uid != (uid_t)-1 || gid != (gid_t)-1) &&
	    fchownat(file, "", uid, gid, AT_EMPTY_PATH) == -1)
		return -errno;
	snprintf(link, sizeof(link), "/proc/self/fd/%d",
		 file); /* fchmod(2) takes no O_PATH descriptor */
	return chmod(link, mode) == -1 ? -errno : 0;
}

static int find_user(const char *name, uid_t *ret_uid)
{
	const struct passwd *user;
	uint64_t number;

	*ret_uid = (uid_t)-1;
	if (name == NULL)
		return 0;
	user = getpwnam(name);
	if (user == NULL && parse_uint(name, 0, UINT32_MAX - 1, &number) < 0)
		return -ENOENT;
	*ret_uid = user != NULL ? user->pw_uid : (uid_t)number;
	return 0;
}

static int find_group(const char *name, gid_t *ret_gid)
{
	const struct group *group;
	uint64_t number;

	*ret_gid = (gid_t)-1;
	if (name == NULL)
		return 0;
	group = getgrnam(name);
	if (group == NULL && parse_uint(name, 0, UINT32_MAX - 1, &number) < 0)
		return -ENOENT;
	*ret_gid = group != NULL ? group->gr_gid : (gid_t)number;
	return 0;
}

static int fail_to_own(const struct listener *listener, const struct listener_spec *spec, int error,
		       char **ret_error)
{
	return listener_fail(listener, error, ret_error,
			     "cannot set mode %04o, owner %s, group %s: %s%s", (unsigned)spec->mode,
			     spec->owner != NULL ? spec->owner : "(as it is)",
			     spec->group != NULL ? spec->group : "(as it is)", strerror(error),
			     error == EPERM ? "; only root may give files to others" : "");
}

void listener_unix_note_file(struct listener *listener, const struct stat *st)
{
	listener->device = st->st_dev;
	listener->inode = st->st_ino;
	listener->mode = st->st_mode & 07777;
	listener->uid = st->st_uid;
	listener->gid = st->st_gid;
}

int listener_unix_set_owner(struct listener *listener, const struct listener_spec *spec,
			    char **ret_error)
{
	cleanup_close int file = -1;
	struct stat st = {0};
	uid_t uid;
	gid_t gid;
	int r;

	if (find_user(spec->owner, &uid) < 0)
		return listener_fail(listener, ENOENT, ret_error, "there is no user %s",
				     spec->owner);
	if (find_group(spec->group, &gid) < 0)
		return listener_fail(listener, ENOENT, ret_error, "there is no group %s",
				     spec->group);
	file = open_file(listener->path, &st);
	if (file < 0)
		return fail_to_own(listener, spec, -file, ret_error);
	if (listener->inode != 0 && (st.st_ino != listener->inode || st.st_dev != listener->device))
		return listener_fail(listener, ESTALE, ret_error,
				     "somebody else has bound the path meanwhile");
	r = change_owner(file, uid, gid, spec->mode);
	if (r == 0 && fstat(file, &st) == -1)
		r = -errno;
	if (r < 0)
		return fail_to_own(listener, spec, -r, ret_error);
	listener_unix_note_file(listener, &st);
	return 0;
}

int listener_unix_open(const struct listener_spec *spec, struct listener *listener,
		       char **ret_error)
{
	struct sockaddr_un un;
	int r;

	if (strlen(spec->path) >= sizeof(un.sun_path)) {
		if (ret_error != NULL &&
		    asprintf(ret_error,
			     "cannot bind unix %s: the path has %zu bytes, a socket's path may "
			     "have at most %zu",
			     spec->path, strlen(spec->path), sizeof(un.sun_path) - 1) == -1)
			*ret_error = NULL;
		return -ENAMETOOLONG;
	}
	r = listener_unix_set_address(listener, spec->path);
	if (r < 0)
		return r;
	listener->fd = socket(AF_UNIX, spec->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener->fd == -1)
		return listener_fail(listener, errno, ret_error, "%s", strerror(errno));
	r = bind_path(listener, ret_error);
	if (r < 0)
		return r;
	/* Before listen(): until then nobody can connect, so that no wrong mode is ever of use to
	 * anybody. */
	r = listener_unix_set_owner(listener, spec, ret_error);
	if (r < 0) {
		unlink(listener->path);
		return r;
	}
	r = listener_set_buffers(listener->fd, spec->receive_buffer, spec->send_buffer);
	if (r == 0 && spec->type == SOCK_STREAM && listen(listener->fd, spec->backlog) == -1)
		r = -errno;
	return r < 0 ? listener_fail(listener, -r, ret_error, "%s", strerror(-r)) : 0;
}

/* --- giving up, and again --- */

void listener_unix_unlink(struct listener *listener)
{
	if (listener_file_look(listener) == LISTENER_FILE_OURS)
		unlink(listener->path);
	free(listener->path);
	listener->path = NULL;
}

static int get_size(int fd, int option)
{
	int size = 0;
	socklen_t len = sizeof(size);

	return getsockopt(fd, SOL_SOCKET, option, &size, &len) == -1
		   ? 0
		   : size / 2; /* the kernel's count is double */
}

/* The new socket's file takes over what the old one's had; only then may it listen. */
static int finish_replacement(struct listener *listener, int fd)
{
	cleanup_close int file = -1;
	struct stat st = {0};
	int r;

	file = open_file(listener->path, &st);
	if (file < 0)
		return file;
	listener->device = st.st_dev; /* from here on it is this file that we answer for */
	listener->inode = st.st_ino;
	r = change_owner(file, listener->uid, listener->gid, listener->mode);
	if (r < 0)
		return r;
	return listen(fd, listener->backlog) == -1 ? -errno : 0;
}

int listener_unix_replace(struct listener *listener)
{
	cleanup_close int fd = -1;
	int r;

	if (listener->path == NULL)
		return -EOPNOTSUPP;
	fd = socket(AF_UNIX, listener->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return -errno;
	r = listener_set_buffers(fd, (uint64_t)get_size(listener->fd, SO_RCVBUF),
				 (uint64_t)get_size(listener->fd, SO_SNDBUF));
	if (r < 0)
		return r;
	/* Everybody is refused at the moment, so a gap without a file costs nobody anything; and a
	 * socket that is bound under its real name tells it by getsockname(), which some servers
	 * compare with their configuration. */
	if (listener_file_look(listener) == LISTENER_FILE_OURS && unlink(listener->path) == -1)
		return -errno;
	if (bind(fd, (struct sockaddr *)&listener->address, listener->address_len) == -1)
		return -errno;
	r = finish_replacement(listener, fd);
	if (r < 0) {
		unlink(listener->path);
		return r;
	}
	fd_close(listener->fd);
	listener->fd = TAKE_FD(fd);
	return 0;
}
