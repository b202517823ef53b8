/* systemd.h - our own service manager: sd_notify(3) and sd_listen_fds(3). All do nothing where
 * there is none. */
#ifndef SYSTEM_SYSTEMD_H
#define SYSTEM_SYSTEMD_H

#include <stdbool.h>
#include <stddef.h>

/* Sends one notification ("READY=1\nSTATUS=..."). Never waits. 0 (also where nobody listens) or
 * -errno: of no consequence and only for the log, but for -EAGAIN: the manager is behind with its
 * reading, and a READY=1 is worth another try. */
int systemd_notify(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Does a service manager listen to us (NOTIFY_SOCKET)? */
bool systemd_is_manager_present(void);

struct systemd_fd {
	int fd;
	char *name;
	bool used; /* for the caller */
};
/*
 * Descriptors passed at our start, with their names; sets CLOEXEC on all and removes LISTEN_* from
 * our environment. The list (one block), its names and descriptors are the caller's. Returns their
 * number or -errno; with 0, *ret_fds is left as it was.
 */
int systemd_take_fds(struct systemd_fd **ret_fds);

#endif
