/* probe_socket.c - a worker's probe socket, and who answers on a connection. */
#include "system/probe_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "system/proc.h"
#include "system/sockdiag.h"

enum { PROBE_SOCKET_BACKLOG = 128 };

static int bind_alone(int fd, const struct sockaddr_un *address)
{
	mode_t mask;
	int r;

	/* of a master that was killed between two lines of this function */
	unlink(address->sun_path);
	mask = umask(0177);
	r = bind(fd, (const struct sockaddr *)address, sizeof(*address)) == -1 ? -errno : 0;
	umask(mask);
	return r;
}

int probe_socket_open(const char *directory, int *ret_listener, int *ret_file)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	cleanup_close int fd = -1, file = -1;
	int n, r;

	n = snprintf(address.sun_path, sizeof(address.sun_path), "%s/probe.sock", directory);
	if (n < 0 || (size_t)n >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return -errno;
	r = bind_alone(fd, &address);
	if (r < 0)
		return r;
	file = open(address.sun_path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	r = file == -1 ? -errno : 0;
	unlink(address.sun_path);
	if (r == 0 && listen(fd, PROBE_SOCKET_BACKLOG) == -1)
		r = -errno;
	if (r < 0)
		return r;
	*ret_listener = TAKE_FD(fd);
	*ret_file = TAKE_FD(file);
	return 0;
}

void probe_socket_address(int file, struct sockaddr_un *ret_address)
{
	*ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(ret_address->sun_path, sizeof(ret_address->sun_path), "/proc/self/fd/%d", file);
}

/* The kernel notes who called listen(2). */
static int unix_belongs(int fd, pid_t root)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);
	struct proc_stat stat;
	int r;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == -1)
		return -errno;
	if (peer.pid == root)
		return 1;
	/* a worker leads its own session */
	r = peer.pid > 0 ? proc_read_stat(peer.pid, &stat) : -ESRCH;
	return r == 0 && stat.session == root;
}

int probe_socket_belongs(int fd, pid_t root)
{
	struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
	socklen_t len = sizeof(address);
	unsigned long inode;
	int r;

	if (getsockname(fd, (struct sockaddr *)&address, &len) == -1)
		return -errno;
	if (address.ss_family == AF_UNIX)
		return unix_belongs(fd, root);
	r = sockdiag_tcp_other_end(fd, &inode);
	if (r < 0)
		return r;
	return proc_tree_holds(root, inode);
}
