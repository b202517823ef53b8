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

#include "base/fd.h"

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
static int send_text(const char *address, const char *text)
{
	cleanup_close int fd = -1;
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	size_t len = strlen(address);

	if (len >= sizeof(un.sun_path))
		return -ENAMETOOLONG;
	memcpy(un.sun_path, address, len);
	if (un.sun_path[0] == '@')
		un.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -errno;
	if (sendto(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&un,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) == -1)
		return -errno;
	return 0;
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
	return send_text(address, text);
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
