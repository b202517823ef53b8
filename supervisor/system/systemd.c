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
#include <systemd/sd-daemon.h>
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

int systemd_take_fds(struct systemd_fd **ret_fds)
{
	struct systemd_fd *list;
	char **names = NULL;
	int n;

	n = sd_listen_fds_with_names(1, &names);
	if (n <= 0)
		return n;
	list = calloc((size_t)n, sizeof(*list));
	for (int i = 0; i < n; i++) {
		if (list != NULL)
			list[i] =
			    (struct systemd_fd){.fd = SD_LISTEN_FDS_START + i, .name = names[i]};
		else
			free(names[i]);
	}
	free(names);
	if (list == NULL)
		return -ENOMEM;
	*ret_fds = list;
	return n;
}
