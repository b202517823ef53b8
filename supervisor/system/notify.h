/*
 * notify.h - sd_notify(3)'s protocol, both ends: a datagram socket per worker, and messages to our
 * own service manager. The address is abstract (unix(7)) with 128 random bits, so that what arrives
 * at it is that worker's or its helpers'.
 */
#ifndef SYSTEM_NOTIFY_H
#define SYSTEM_NOTIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/clock.h"

enum {
	NOTIFY_ADDRESS_MAX = 64, /* "@handover/…" as in NOTIFY_SOCKET */
	NOTIFY_DATAGRAM_MAX = 16 * 1024,
	NOTIFY_STATUS_MAX = 256, /* what is kept of STATUS=, made printable */
	NOTIFY_FDNAME_MAX = 256, /* of FDNAME=, with its NUL */
	NOTIFY_FDS_MAX = 253,	 /* SCM_MAX_FD: what one message can carry */
};

/* What one datagram said. Flags for what was in it; values are only valid with their flag. */
struct notify_message {
	bool ready, stopping, reloading;
	bool has_status;
	char status[NOTIFY_STATUS_MAX]; /* valid UTF-8, control characters replaced by a blank */
	bool watchdog, watchdog_trigger;
	bool has_watchdog_usec;
	usec_t watchdog_usec;
	bool has_extend;
	usec_t extend_usec;
	bool has_mainpid;
	pid_t mainpid;
	bool has_errno;
	int error;
	bool has_inflight;
	unsigned long inflight;
	bool fd_store, fd_store_remove; /* keep what came along; forget what is kept as fdname */
	bool fd_poll_off;		/* keep it also when it is dead */
	bool has_fdname;
	char fdname[NOTIFY_FDNAME_MAX]; /* printable ASCII without ':', not empty */
	bool barrier; /* the descriptor that came with it is closed when the message is dropped */
};

/* Parses one datagram. Unknown keys, values out of range and malformed lines are left out, never an
 * error; of a key that is there twice the last one counts. Pure. */
void notify_parse(const char *data, size_t len, struct notify_message *ret_message);

/* A new socket with a random abstract address: *ret_fd (CLOEXEC, NONBLOCK, SO_PASSCRED), address as
 * for NOTIFY_SOCKET. */
int notify_open(int *ret_fd, char address[static NOTIFY_ADDRESS_MAX]);

struct notify_sender {
	pid_t pid;
	uid_t uid;
};

/*
 * The next datagram: 1 and message and sender; 0: nothing waits; -errno. A datagram that is too
 * long, empty or binary, or has no credentials, yields -EBADMSG (go on with the next). Descriptors
 * that came with it are closed (that is also the answer that BARRIER=1 waits for: what was sent
 * before it has been returned by earlier calls).
 */
int notify_receive(int fd, struct notify_message *ret_message, struct notify_sender *ret_sender);

/* Descriptors that came along; each is close-on-exec, and -1 once somebody has taken it. */
struct notify_fds {
	int list[NOTIFY_FDS_MAX];
	size_t n;
};

/* The same for who wants to keep some of them: with 1 they are the caller's, for
 * notify_close_fds(). */
int notify_receive_fds(int fd, struct notify_message *ret_message, struct notify_sender *ret_sender,
		       struct notify_fds *ret_fds);
void notify_close_fds(struct notify_fds *fds);

/* Whose message it is: of the worker (pid, or a member of its session; a sender that is already
 * gone counts if its uid is uid). */
bool notify_sender_belongs(const struct notify_sender *sender, pid_t worker, uid_t uid);

#endif
