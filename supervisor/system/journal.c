/* journal.c - what is sent to journald, and how, without waiting for it. */
#include "system/journal.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include "base/fd.h"

enum { JOURNAL_SEND_BUFFER = 1024 * 1024 }; /* the default holds about a hundred entries */

/* ---- an entry ---- */

/* NAME=value ends at a newline; what holds one (or any other control character, to be safe) is
 * written with its length. */
static bool is_plain(const char *value, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)value[i] < 0x20 && value[i] != '\t')
			return false;
	return true;
}

static void entry_put(struct journal_entry *entry, const void *data, size_t len)
{
	memcpy(entry->data + entry->len, data, len);
	entry->len += len;
}

void journal_entry_add(struct journal_entry *entry, const char *name, const void *value, size_t len)
{
	size_t name_len = strlen(name);
	size_t around = name_len + 1 + sizeof(uint64_t) + 1;
	size_t room = sizeof(entry->data) - entry->len;
	uint64_t length;

	if (room < around || (room == around && len > 0))
		return;
	if (len > room - around)
		len = room - around;
	length = htole64(len);
	entry_put(entry, name, name_len);
	if (len == 0 || is_plain(value, len)) {
		entry_put(entry, "=", 1);
	} else {
		entry_put(entry, "\n", 1);
		entry_put(entry, &length, sizeof(length));
	}
	if (len > 0)
		entry_put(entry, value, len);
	entry_put(entry, "\n", 1);
}

void journal_entry_add_text(struct journal_entry *entry, const char *name, const char *value)
{
	if (value != NULL)
		journal_entry_add(entry, name, value, strlen(value));
}

void journal_entry_add_number(struct journal_entry *entry, const char *name, long value)
{
	char text[24];

	if (value < 0)
		return;
	snprintf(text, sizeof(text), "%ld", value);
	journal_entry_add_text(entry, name, text);
}

/* ---- sockets ---- */

/* Returns the socket or -errno. A connection that would have to wait is -EAGAIN. */
static int connect_to(const char *path, int type)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	cleanup_close int fd = -1;

	if (strlen(path) >= sizeof(un.sun_path))
		return -ENAMETOOLONG;
	strcpy(un.sun_path, path);
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1 || connect(fd, (const struct sockaddr *)&un, sizeof(un)) == -1)
		return -errno;
	return TAKE_FD(fd);
}

int journal_open(const char *path)
{
	int fd = connect_to(path, SOCK_DGRAM), size = JOURNAL_SEND_BUFFER;

	if (fd < 0)
		return fd;
	/* root may have more than net.core.wmem_max; what others get is enough, too */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) == -1)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	return fd_park(fd);
}

int journal_send(int fd, const void *data, size_t len)
{
	ssize_t n;

	do {
		n = send(fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n == -1 && errno == EINTR);
	if (n == -1)
		return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	return 0;
}

/* What a stream begins with: identifier, unit, priority, whether
 * "<3>" is understood, and three ways on from there that are not wanted. */
static int send_head(int fd, const char *identifier, const char *unit)
{
	char head[1024];
	int len =
	    snprintf(head, sizeof(head), "%s\n%s\n%d\n1\n0\n0\n0\n", identifier, unit, LOG_INFO);
	ssize_t n;

	if (len < 0 || (size_t)len >= sizeof(head))
		return -ENAMETOOLONG;
	n = send(fd, head, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n == -1)
		return -errno;
	return n == len ? 0 : -EAGAIN;
}

int journal_open_stream(const char *path, const char *identifier, const char *unit, int *ret_fd)
{
	cleanup_close int fd = connect_to(path, SOCK_STREAM);
	int flags, r;

	if (fd < 0)
		return fd;
	r = send_head(fd, identifier, unit);
	if (r < 0)
		return r;
	(void)shutdown(fd, SHUT_RD);
	/* a description of this worker's own: nobody else is surprised */
	flags = fcntl(fd, F_GETFL);
	if (flags == -1 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) == -1)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int journal_take_priority(const char **text, size_t *len, int fallback)
{
	const char *line = *text;

	if (*len < 3 || line[0] != '<' || line[1] < '0' || line[1] > '7' || line[2] != '>')
		return fallback;
	*text += 3;
	*len -= 3;
	return line[1] - '0';
}
