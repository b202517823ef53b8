/* systemd.c - the service manager that runs us, if one does. */
#include "system/systemd.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/parse.h"

/* NULL: no manager wants to hear from us. */
static const char *manager_address(void)
{
	const char *address = getenv("NOTIFY_SOCKET");
	bool usable = address != NULL && (address[0] == '/' || address[0] == '@');

	return usable && address[1] != '\0' ? address : NULL;
}

bool systemd_is_manager_present(void)
{
	return manager_address() != NULL;
}

/* sd_notify(3)'s protocol, but not its sd_notify(): that one waits while the manager's queue is
 * full, and we never do. */
static int send_text(const char *address, const char *text, int passed)
{
	cleanup_close int fd = -1;
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	size_t len = strlen(address);
	struct iovec part = {.iov_base = (void *)text, .iov_len = strlen(text)};
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {.header = {.cmsg_level = SOL_SOCKET,
				.cmsg_type = SCM_RIGHTS,
				.cmsg_len = CMSG_LEN(sizeof(int))}};
	struct msghdr message = {
	    .msg_name = &un,
	    .msg_namelen = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len),
	    .msg_iov = &part,
	    .msg_iovlen = 1,
	};

	if (len >= sizeof(un.sun_path))
		return -ENAMETOOLONG;
	memcpy(un.sun_path, address, len);
	if (un.sun_path[0] == '@')
		un.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -errno;
	if (passed >= 0) {
		memcpy(CMSG_DATA(&control.header), &passed, sizeof(passed));
		message.msg_control = &control;
		message.msg_controllen = sizeof(control.room);
	}
	return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == -1 ? -errno : 0;
}

int systemd_notify(const char *format, ...)
{
	const char *address = manager_address();
	cleanup_free char *text = NULL;
	va_list args;
	int r;

	if (address == NULL)
		return 0;
	va_start(args, format);
	r = vasprintf(&text, format, args);
	va_end(args);
	if (r == -1) {
		text = NULL;
		return -ENOMEM;
	}
	return send_text(address, text, -1);
}

int systemd_store_fd(const char *name, int fd)
{
	const char *address = manager_address();
	char text[SYSTEMD_FDNAME_MAX + 64];

	if (address == NULL)
		return -ENOTCONN;
	if (snprintf(text, sizeof(text), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name) >=
	    (int)sizeof(text))
		return -ENAMETOOLONG;
	return send_text(address, text, fd);
}

int systemd_unstore_fd(const char *name)
{
	return systemd_notify("FDSTOREREMOVE=1\nFDNAME=%s", name);
}

usec_t systemd_watchdog_interval(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	uint64_t interval, whose;

	if (usec == NULL || parse_uint(usec, 1, USEC_INFINITY - 1, &interval) < 0)
		return 0;
	if (pid != NULL &&
	    (parse_uint(pid, 1, INT32_MAX, &whose) < 0 || whose != (uint64_t)getpid()))
		return 0;
	return interval;
}

/* ---- descriptors that are passed to us: sd_listen_fds(3)'s protocol ---- */

enum { LISTEN_FDS_FIRST = 3, LISTEN_FDS_MAX = 65536 };

/* How many are meant for this process: 0, or -EINVAL where that is no number. */
static int listen_count(void)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	uint64_t whose, n;

	if (pid == NULL || fds == NULL)
		return 0;
	if (parse_uint(pid, 1, INT32_MAX, &whose) < 0)
		return -EINVAL;
	if (whose != (uint64_t)getpid())
		return 0;
	return parse_uint(fds, 0, LISTEN_FDS_MAX, &n) < 0 ? -EINVAL : (int)n;
}

/* Cuts the next name off the list; who passes no names at all means "unknown". */
static char *listen_name(const char **names)
{
	const char *name = *names;
	size_t len;

	if (name == NULL)
		return strdup("unknown");
	len = strcspn(name, ":");
	*names = name[len] == ':' ? name + len + 1 : "";
	return strndup(name, len);
}

static size_t listen_names(const char *names)
{
	size_t n = 1;

	for (; *names != '\0'; names++)
		n += *names == ':';
	return n;
}

static void listen_free(struct systemd_fd *list, int n)
{
	for (int i = 0; list != NULL && i < n; i++)
		free(list[i].name);
	free(list);
}

static int listen_take(struct systemd_fd **ret_fds)
{
	const char *names = getenv("LISTEN_FDNAMES");
	struct systemd_fd *list;
	int n = listen_count(), r = 0;

	if (n <= 0)
		return n;
	if (names != NULL && listen_names(names) != (size_t)n)
		return -EINVAL;
	list = calloc((size_t)n, sizeof(*list));
	if (list == NULL)
		return -ENOMEM;
	for (int i = 0; r == 0 && i < n; i++) {
		list[i].fd = LISTEN_FDS_FIRST + i;
		list[i].name = listen_name(&names);
		r = list[i].name == NULL ? -ENOMEM : fd_set_cloexec(list[i].fd);
	}
	if (r < 0) {
		listen_free(list, n);
		return r;
	}
	*ret_fds = list;
	return n;
}

int systemd_take_fds(struct systemd_fd **ret_fds)
{
	int n = listen_take(ret_fds);

	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	unsetenv("LISTEN_PIDFDID");
	return n;
}
