/* channel.c - messages with descriptors over SOCK_SEQPACKET, and the in-flight page. */
#include "system/channel.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"

enum { CHANNEL_BACKLOG = 4096 };

int channel_listen(const char *path, int *ret_fd)
{
	cleanup_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (fd == -1)
		return -errno;
	if ((size_t)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path) >=
	    sizeof(address.sun_path))
		return -ENAMETOOLONG;
	if (unlink(path) == -1 && errno != ENOENT)
		return -errno;
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) == -1 ||
	    chmod(path, 0666) == -1 || listen(fd, CHANNEL_BACKLOG) == -1)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int channel_accept(int fd, int *ret_connection, struct ucred *ret_peer)
{
	cleanup_close int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	socklen_t len = sizeof(*ret_peer);

	if (connection == -1)
		return -errno;
	if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, ret_peer, &len) == -1)
		return -errno;
	*ret_connection = TAKE_FD(connection);
	return 0;
}

int channel_send(int fd, const char *text, size_t len, const int *fds, size_t n)
{
	struct iovec part = {.iov_base = (void *)text, .iov_len = len};
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(CHANNEL_DESCRIPTORS_MAX * sizeof(int))];
	} control;
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	if (len > CHANNEL_MESSAGE_MAX || n > CHANNEL_DESCRIPTORS_MAX)
		return -EMSGSIZE;
	if (n > 0) {
		memset(&control, 0, sizeof(control));
		control.header = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
						  .cmsg_type = SCM_RIGHTS,
						  .cmsg_len = CMSG_LEN(n * sizeof(int))};
		memcpy(CMSG_DATA(&control.header), fds, n * sizeof(int));
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(n * sizeof(int));
	}
	return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == -1 ? -errno : 0;
}

/* Takes the descriptors out of what came; those beyond max are closed. Returns how many there were.
 */
static size_t take_descriptors(struct msghdr *message, int *fds, size_t max)
{
	size_t n = 0;

	for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL;
	     header = CMSG_NXTHDR(message, header)) {
		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < (header->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++, n++) {
			int fd;

			memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
			if (n < max)
				fds[n] = fd;
			else
				fd_close(fd);
		}
	}
	return n;
}

static ssize_t channel_receive_any(int fd, char text[static CHANNEL_MESSAGE_MAX + 1], int *ret_fds,
				   size_t max, size_t *ret_n, bool *ret_left_out)
{
	struct iovec part = {.iov_base = text, .iov_len = CHANNEL_MESSAGE_MAX};
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE((CHANNEL_DESCRIPTORS_MAX) * sizeof(int))];
	} control;
	/* room for one more: what is beyond it is cut off by the kernel, which closes it */
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = max < CHANNEL_DESCRIPTORS_MAX
						       ? CMSG_SPACE((max + 1) * sizeof(int))
						       : sizeof(control)};
	ssize_t len;
	size_t n;

	do
		len = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (len == -1 && errno == EINTR);
	if (len == -1)
		return -errno;
	n = take_descriptors(&message, ret_fds, max);
	/* there was room for all of them, but none left for us */
	*ret_left_out = n == 0 && (message.msg_flags & MSG_CTRUNC) != 0;
	if (n > max || (message.msg_flags & MSG_TRUNC) != 0 ||
	    ((message.msg_flags & MSG_CTRUNC) != 0 && !*ret_left_out)) {
		for (size_t i = 0; i < n && i < max; i++)
			ret_fds[i] = fd_close(ret_fds[i]);
		return -EMSGSIZE;
	}
	*ret_n = n;
	text[len] = '\0';
	return len;
}

ssize_t channel_receive_all(int fd, char text[static CHANNEL_MESSAGE_MAX + 1], int *ret_fds,
			    size_t max, size_t *ret_n)
{
	bool left_out = false;
	ssize_t len = channel_receive_any(fd, text, ret_fds, max, ret_n, &left_out);

	return left_out ? -EMFILE : len;
}

ssize_t channel_receive(int fd, char text[static CHANNEL_MESSAGE_MAX + 1], int *ret_fd)
{
	bool left_out = false;
	size_t n = 0;
	int passed = -1;
	ssize_t len = channel_receive_any(fd, text, &passed, 1, &n, &left_out);

	*ret_fd = len >= 0 && n == 1 ? passed : left_out ? CHANNEL_LEFT_OUT : -1;
	return len;
}

int channel_dial(const char *path, int *ret_fd)
{
	cleanup_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (fd == -1)
		return -errno;
	if ((size_t)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path) >=
	    sizeof(address.sun_path))
		return -ENAMETOOLONG;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == -1)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

char *channel_instance_path(const char *beside, const char *instance, size_t len, unsigned n)
{
	const char *user = getenv("XDG_RUNTIME_DIR");
	const char *slash = beside != NULL ? strrchr(beside, '/') : NULL;
	const char *places[] = {slash != NULL ? beside : NULL, "/run/handover/",
				geteuid() != 0 && user != NULL && user[0] == '/' ? user : NULL};
	char *path = NULL;
	int r = -1;

	if (*instance == '/')
		r = n == 0 ? asprintf(&path, "%.*s/sockets.sock", (int)len, instance) : -1;
	for (unsigned i = 0; *instance != '/' && i < ARRAY_LEN(places); i++)
		if (places[i] != NULL && n-- == 0) {
			r = asprintf(&path, "%.*s%s%.*s/sockets.sock",
				     i == 0 ? (int)(slash - beside + 1) : (int)strlen(places[i]),
				     places[i], i == 2 ? "/handover/" : "", (int)len, instance);
			break;
		}
	return r == -1 ? NULL : path;
}

/* ---- what is in flight ---- */

static int read_header(int fd, struct channel_page_header *header)
{
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) == -1)
		return -errno;
	if (!S_ISREG(st.st_mode)) /* all others could make us wait */
		return -EINVAL;
	n = pread(fd, header, sizeof(*header), 0);
	if (n == -1)
		return -errno;
	if (n != (ssize_t)sizeof(*header) ||
	    memcmp(header->magic, CHANNEL_PAGE_MAGIC, sizeof(header->magic)) != 0 ||
	    header->version != CHANNEL_PAGE_VERSION || header->n_cells == 0 ||
	    header->n_cells > CHANNEL_CELLS_MAX)
		return -EINVAL;
	return 0;
}

int channel_page_check(int fd)
{
	struct channel_page_header header;

	return read_header(fd, &header);
}

int channel_page_read(int fd, uint64_t *ret_inflight)
{
	int64_t cells[CHANNEL_CELLS_MAX][CHANNEL_CELL_SIZE / sizeof(int64_t)], sum = 0;
	struct channel_page_header header = {.n_cells = 0};
	int r = read_header(fd, &header);
	ssize_t n;

	if (r < 0)
		return r;
	n = pread(fd, cells, header.n_cells * sizeof(cells[0]), sizeof(header));
	if (n == -1)
		return -errno;
	for (size_t cell = 0; cell < (size_t)n / sizeof(cells[0]); cell++)
		sum = (int64_t)((uint64_t)sum + (uint64_t)cells[cell][0]);
	*ret_inflight = sum > 0 ? (uint64_t)sum : 0;
	return 0;
}
