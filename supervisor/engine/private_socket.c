/* private_socket.c - a Unix socket for those who may change something: how it is opened, and who
 * may come in. */
#include "engine/private_socket.h"

#include <errno.h>
#include <grp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fd.h"

enum { PRIVATE_BACKLOG = 1024, PRIVATE_GROUP_BYTES = 64 * 1024, PRIVATE_GROUPS_MAX = 1024 };

/* -errno with a sentence. */
static int complain(char **ret_error, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static int complain(char **ret_error, int error, const char *format, ...)
{
	cleanup_buf struct buf text = {0};
	va_list args;

	va_start(args, format);
	buf_vprintf(&text, format, args);
	va_end(args);
	buf_printf(&text, ": %s", strerror(-error));
	*ret_error = strdup(buf_text(&text));
	return error;
}

/* ---- control.sock ---- */

static int bind_private(int fd, const struct sockaddr_un *address)
{
	mode_t mask = umask(0177); /* nobody else comes in before the group is set */
	int r = bind(fd, (const struct sockaddr *)address, sizeof(*address)) == -1 ? -errno : 0;

	umask(mask);
	return r;
}

/* Does somebody listen there? One left over from an instance that was killed refuses. */
static bool is_answered(const struct sockaddr_un *address, int type)
{
	cleanup_close int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd != -1 && (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
			    errno == EAGAIN);
}

/* Bound under another name and renamed: at every moment there is a socket that answers, or none.
 */
static int open_at(const char *path, int type, int *ret_fd, char **ret_error)
{
	cleanup_close int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX}, taken = address;
	int r;

	if (fd == -1)
		return complain(ret_error, -errno, "cannot make a socket");
	if ((size_t)snprintf(address.sun_path, sizeof(address.sun_path), "%s.new", path) >=
	    sizeof(address.sun_path))
		return complain(ret_error, -ENAMETOOLONG,
				"%s.new does not fit into the %zu bytes of a socket's address",
				path, sizeof(address.sun_path) - 1);
	strcpy(taken.sun_path, path); /* shorter */
	if (is_answered(&taken, type))
		return complain(ret_error, -EADDRINUSE, "another instance answers at %s", path);
	if (unlink(address.sun_path) == -1 && errno != ENOENT)
		return complain(ret_error, -errno, "cannot remove %s", address.sun_path);
	r = bind_private(fd, &address);
	if (r < 0)
		return complain(ret_error, r, "cannot bind %s", address.sun_path);
	if (listen(fd, PRIVATE_BACKLOG) == -1 || rename(address.sun_path, path) == -1) {
		r = -errno;
		unlink(address.sun_path);
		return complain(ret_error, r, "cannot listen on %s", path);
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int private_socket_open(struct private_socket *socket, int type, int *ret_fd, char **ret_error)
{
	struct stat st = {.st_ino = 0};
	int r = open_at(socket->path, type, ret_fd, ret_error);

	if (r < 0)
		return r;
	(void)!stat(socket->path, &st); /* gone already: it will be noticed */
	socket->device = st.st_dev;
	socket->inode = st.st_ino;
	socket->has_group = false; /* its mode is that of a new one */
	return 0;
}

bool private_socket_is_there(const struct private_socket *socket)
{
	struct stat st;

	return stat(socket->path, &st) == 0 && st.st_dev == socket->device &&
	       st.st_ino == socket->inode;
}

void private_socket_end(struct private_socket *socket)
{
	if (socket->path != NULL && socket->inode != 0 && private_socket_is_there(socket))
		unlink(socket->path);
	free(socket->path);
	socket->path = NULL;
}

/* ---- who may come in ---- */

static int find_group(const char *name, gid_t *ret_group, char **ret_error)
{
	cleanup_free char *memory = malloc(PRIVATE_GROUP_BYTES);
	struct group group, *found = NULL;
	int error;

	if (memory == NULL)
		return -ENOMEM;
	error = getgrnam_r(name, &group, memory, PRIVATE_GROUP_BYTES, &found);
	if (found == NULL)
		return complain(ret_error, error != 0 ? -error : -ENOENT,
				"cannot find operator_group '%s'", name);
	*ret_group = group.gr_gid;
	return 0;
}

int private_socket_set_group(struct private_socket *socket, const char *operator_group,
			     char **ret_error)
{
	bool has_group = operator_group != NULL;
	gid_t group = getegid();
	int r;

	*ret_error = NULL;
	if (has_group) {
		r = find_group(operator_group, &group, ret_error);
		if (r < 0)
			return r;
	}
	if (has_group == socket->has_group && (!has_group || group == socket->group))
		return 0;
	/* never the new mode with the former group */
	if (chmod(socket->path, 0600) == -1 || chown(socket->path, (uid_t)-1, group) == -1 ||
	    (has_group && chmod(socket->path, 0660) == -1)) {
		r = complain(ret_error, -errno, "cannot give %s to group %s", socket->path,
			     has_group ? operator_group : "of our own");
		if (socket->has_group)
			(void)!chmod(socket->path, 0660);
		return r;
	}
	socket->has_group = has_group;
	socket->group = group;
	return 0;
}

static bool is_in_group(int connection, gid_t group)
{
	gid_t groups[PRIVATE_GROUPS_MAX];
	socklen_t len = sizeof(groups);

	if (getsockopt(connection, SOL_SOCKET, SO_PEERGROUPS, groups, &len) == -1)
		return false;
	for (size_t i = 0; i < len / sizeof(groups[0]); i++)
		if (groups[i] == group)
			return true;
	return false;
}

bool private_socket_admits(const struct private_socket *socket, int connection,
			   const struct ucred *peer)
{
	if (peer->uid == 0 || peer->uid == geteuid())
		return true;
	return socket->has_group &&
	       (peer->gid == socket->group || is_in_group(connection, socket->group));
}
