/* systemd.h - our own service manager: sd_notify(3) and sd_listen_fds(3). All do nothing where
 * there is none. */
#ifndef SYSTEM_SYSTEMD_H
#define SYSTEM_SYSTEMD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"

/* Sends one notification ("READY=1\nSTATUS=..."). Never waits. 0 (also where nobody listens) or
 * -errno: of no consequence and only for the log, but for -EAGAIN: the manager is behind with its
 * reading, and a READY=1 is worth another try. */
int systemd_notify(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Does a service manager listen to us (NOTIFY_SOCKET)? */
bool systemd_is_manager_present(void);

/* The unit that this process belongs to ("handover@payments.service"). 0; -ENODATA: to none of the
 * system's. */
enum { SYSTEMD_UNIT_NAME_MAX = 256 };
int systemd_own_unit(char ret_name[static SYSTEMD_UNIT_NAME_MAX]);
/* The same for any process: also a session's scope. 0; -ENODATA: to none, or it is gone. */
int systemd_unit_of(pid_t pid, char ret_name[static SYSTEMD_UNIT_NAME_MAX]);

/* How often the manager wants to hear WATCHDOG=1 from this process at least; 0: it does not. */
usec_t systemd_watchdog_interval(void);

/* As systemd limits it. */
enum { SYSTEMD_FDNAME_MAX = 255 };
/*
 * Puts a copy of a descriptor into the manager's store, from where systemd_take_fds() gets it back
 * after a restart or a crash; it is kept whatever happens to the socket (FDPOLL=0). A manager whose
 * store is full or switched off says nothing. 0; -ENOTCONN: there is no manager; -EAGAIN: worth
 * another try; -errno.
 */
int systemd_store_fd(const char *name, int fd);
/* Takes all of that name out of it again. As systemd_notify(). */
int systemd_unstore_fd(const char *name);

struct systemd_fd {
	int fd;
	char *name;
	bool used; /* for the caller */
};
/*
 * Descriptors passed at our start, with their names; sets CLOEXEC on all and removes LISTEN_* from
 * our environment. The list (one block), its names and descriptors are the caller's. Returns their
 * number; -EINVAL: LISTEN_FDS, LISTEN_PID or the number of names is wrong; -EBADF: one is not open;
 * -errno. With 0 and less, *ret_fds is left as it was.
 */
int systemd_take_fds(struct systemd_fd **ret_fds);

#endif
