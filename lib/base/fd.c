/* fd.c - descriptors and small files. */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Below that there is room for what some dozens of starts that are on their way keep open. */
enum { FD_PARKED = 512 };

int fd_close(int fd)
{
	int saved = errno;

	/* Not repeated after EINTR: Linux has released the descriptor by then, and it may be
	 * another's already. */
	if (fd >= 0)
		close(fd);
	errno = saved;
	return -1;
}

int fd_close_now(int fd)
{
	struct linger linger = {.l_onoff = 0};
	socklen_t len = sizeof(linger);
	int saved = errno;

	if (fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &len) == 0 &&
	    linger.l_onoff != 0 && linger.l_linger > 0) {
		linger = (struct linger){.l_onoff = 0};
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	}
	errno = saved;
	return fd_close(fd);
}

int fd_set_nonblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags == -1)
		return -errno;
	if (flags & O_NONBLOCK)
		return 0;
	return fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1 ? -errno : 0;
}

int fd_set_cloexec(int fd)
{
	int flags = fcntl(fd, F_GETFD);

	if (flags == -1)
		return -errno;
	if (flags & FD_CLOEXEC)
		return 0;
	return fcntl(fd, F_SETFD, flags | FD_CLOEXEC) == -1 ? -errno : 0;
}

int fd_park(int fd)
{
	int parked = fd >= FD_PARKED ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, FD_PARKED);

	if (parked == -1)
		return fd;
	close(fd);
	return parked;
}

/* Of n numbers up from first. */
static unsigned count_closed(int first, int n)
{
	struct pollfd fds[64];
	unsigned closed = 0;
	int r;

	for (int i = 0; i < n; i++)
		fds[i] = (struct pollfd){.fd = first + i};
	do
		r = poll(fds, (nfds_t)n, 0);
	while (r == -1 && errno == EINTR);
	for (int i = 0; i < n && r > 0; i++)
		closed += (fds[i].revents & POLLNVAL) != 0;
	return closed;
}

unsigned fd_count_free(unsigned enough)
{
	struct rlimit limit = {.rlim_cur = 0};
	unsigned n = 0;
	int saved = errno, end;

	getrlimit(RLIMIT_NOFILE, &limit);
	end = limit.rlim_cur < INT_MAX ? (int)limit.rlim_cur : INT_MAX;
	while (end > 0 && n < enough) {
		int some = end < 64 ? end : 64;

		end -= some;
		n += count_closed(end, some);
	}
	errno = saved;
	return n < enough ? n : enough;
}

/* O_NONBLOCK: a FIFO without a writer, or a terminal, must not hold us up before we can see what it
 * is. */
static int open_regular(const char *path, off_t *ret_size)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd == -1)
		return -errno;
	if (fstat(fd, &st) == -1)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	*ret_size = st.st_size;
	return TAKE_FD(fd);
}

/* Makes room for more bytes and the NUL: doubled, but for one byte beyond max, which tells that it
 * is too much. */
static int grow(char **text, size_t *size, size_t max)
{
	size_t larger = *size < 4096 ? 4096 : *size * 2;
	char *p;

	if (larger > max + 2)
		larger = max + 2;
	p = realloc(*text, larger);
	if (p == NULL)
		return -ENOMEM;
	*text = p;
	*size = larger;
	return 0;
}

int fd_read_file(const char *path, size_t max, char **ret_text, size_t *ret_len)
{
	cleanup_close int fd = -1;
	cleanup_free char *text = NULL;
	size_t size = 0, len = 0;
	off_t file_size = 0;
	ssize_t n;

	if (max > SIZE_MAX / 2 - 2)
		max = SIZE_MAX / 2 - 2;
	fd = open_regular(path, &file_size);
	if (fd < 0)
		return fd;
	if (file_size > 0 && (uint64_t)file_size > max)
		return -EFBIG;
	for (;;) {
		if (len + 1 >= size && grow(&text, &size, max) < 0)
			return -ENOMEM;
		n = read(fd, text + len, size - len - 1);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
		if (len > max)
			return -EFBIG;
	}
	text[len] = '\0';
	*ret_text = TAKE_PTR(text);
	if (ret_len != NULL)
		*ret_len = len;
	return 0;
}
