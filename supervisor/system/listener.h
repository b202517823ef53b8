/*
 * listener.h - listening sockets: open them, hand them on, notice when somebody shuts one down,
 * refuse new clients. socket(2), listen(2), tcp(7), unix(7). Every descriptor is close-on-exec and
 * non-blocking (the flag is shared by all holders of the open file description; nobody here clears
 * it).
 */
#ifndef SYSTEM_LISTENER_H
#define SYSTEM_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

/* What listener.c needs to know of a socket; strings are the caller's and are copied where they are
 * kept. */
struct listener_spec {
	int type; /* SOCK_STREAM or SOCK_DGRAM */
	/* TCP, UDP: "" or "*": all IPv4+IPv6 addresses ("::", or "0.0.0.0" on a machine without
	 * IPv6); else numeric, or a name in /etc/hosts; of several addresses the first IPv4 one
	 * counts. */
	const char *host;
	uint16_t port;
	const char *path; /* Unix; then host is NULL */
	int backlog;
	mode_t mode;		   /* Unix */
	const char *owner, *group; /* Unix: name or number; NULL: as it is */
	int ipv6_only;	/* -1: kernel's default; "all addresses" always includes IPv4 then */
	bool reuseaddr; /* TCP. Never set for UDP, where it would let two servers have one port */
	bool freebind;
	/* TCP: one of several at its address (SO_REUSEPORT). The first is bound like any other, so
	 * that nobody else can be there; more: those before it are ours. All need one user id. */
	bool reuseport, more;
	uint64_t receive_buffer,
	    send_buffer; /* 0: kernel's default. Cut to rmem_max, wmem_max unless we are root */
};

struct listener {
	int fd; /* -1: closed */
	int type;
	int backlog;
	struct sockaddr_storage address; /* as bound */
	socklen_t address_len;
	char *path;   /* Unix: what we bound and still answer for, NULL otherwise */
	dev_t device; /* of the socket file that we bound: only that one is ever unlinked */
	ino_t inode;
	mode_t mode; /* of that file, for listener_mend() */
	uid_t uid;
	gid_t gid;
	bool refusing; /* listener_refuse() has been called */
};

/*
 * Opens, binds and listens. On failure returns -errno and *ret_error is a sentence (caller frees;
 * NULL if memory is short), such as "cannot bind tcp 127.0.0.1:9000: address in use by nginx (pid
 * 812)". A Unix path left over from a dead process is replaced: the old file is moved aside, looked
 * at once more, and deleted, so that a running server's socket never disappears by mistake, and
 * getsockname() says the path that was asked for. One that a living process serves is -EADDRINUSE;
 * a file that is no socket is never touched (-EEXIST).
 */
int listener_open(const struct listener_spec *spec, struct listener *ret_listener,
		  char **ret_error);
/*
 * Could it be opened now? TCP, UDP: bound and closed again, without listening; Unix: the path is
 * looked at, and nothing is made or removed. 0, or as listener_open() fails.
 */
int listener_try(const struct listener_spec *spec, char **ret_error);
/*
 * The same with a socket of ours that was kept for us across a restart or a crash: fd is one of
 * those, if it has the address of spec; then it is taken over, with all who wait in its queue, and
 * what spec says of it is applied. 0; -ENOENT: it is another address's; -ESTALE: it was ours, but
 * is of no use any more (a Unix socket that was shut down, or whose file is no longer there): close
 * it and open a new one; -EBUSY: it cannot become what spec says, *ret_error is a sentence; -errno.
 * Unless 0 is returned, fd stays the caller's, and nothing has changed.
 */
int listener_take_back(int fd, const struct listener_spec *spec, struct listener *ret_listener,
		       char **ret_error);
/*
 * A socket that was adopted (listener_adopt()) is ours to answer for from now on. Unix: its path is
 * ours to unlink and to mend. 0; -ESTALE: its path leads elsewhere; -errno.
 */
int listener_own(struct listener *listener);
/* Is it bound to what spec names? */
bool listener_is_at(const struct listener *listener, const struct listener_spec *spec);
/* Closes our copy and nothing else: the socket's file stays, for it lives on elsewhere. */
void listener_let_go(struct listener *listener);
/* Closes our copy; the others' stay. Unlinks a Unix path if it is still the inode that we bound.
 * Accepts a closed one. Take it out of a watch first: an epoll keeps watching as long as a worker
 * holds the socket. */
void listener_close(struct listener *listener);
/* Applies what can change on an open socket: backlog (listen() again), buffers, Unix mode and
 * owner. 0 or -errno. */
int listener_update(struct listener *listener, const struct listener_spec *spec, char **ret_error);
/* "tcp 127.0.0.1:9000", "tcp [::]:80", "unix /run/x.sock", "udp ...". Returns text. */
char *listener_describe(const struct listener *listener, char *text, size_t size);
/* Room enough for any of them. */
enum { LISTENER_TEXT_MAX = 128 };

/* Is it still listening? Somebody's shutdown() on the shared socket ends that for everybody. Always
 * true for UDP. */
bool listener_is_alive(const struct listener *listener);
/*
 * Makes it listen again. TCP: listen() on the same socket (queued connections are lost; the kernel
 * resets them). Unix: a new socket in the place of the dead one; *ret_replaced is set: workers hold
 * the dead one and must be replaced, and a watch must be told (listener_watch_remove() before,
 * listener_watch_add() after it went well). 0; -EADDRINUSE: somebody else has the address now
 * (worth another try later); -EOPNOTSUPP: a Unix socket that is not ours to bind (from a service
 * manager); -errno; after any of these it can be tried again. Nothing is done to one that is alive.
 */
int listener_mend(struct listener *listener, bool *ret_replaced);

/* What the path of a Unix socket leads to. */
enum listener_file {
	LISTENER_FILE_NONE, /* it has no path, or one that is not ours to answer for */
	LISTENER_FILE_OURS,
	LISTENER_FILE_MISSING,
	LISTENER_FILE_OTHER, /* a file that somebody else has put there */
};
enum listener_file listener_file_look(const struct listener *listener);
/* Keeps the file alive under a second name, in a directory that others cannot enter: then it can
 * come back as it was. 0, or -errno (-EXDEV: that is on another file system). */
int listener_file_keep(const struct listener *listener, int directory, const char *name);
/* Puts a missing file back: the same socket, with all who wait in its queue. 0; -ESTALE: it was not
 * kept; -EEXIST: somebody else has the path by now; -errno (-ENOENT: its directory is gone). */
int listener_file_restore(const struct listener *listener, int directory, const char *name);
/* A new socket where the file is missing; as listener_mend() of a Unix socket, also in what it
 * returns and what must be done then. */
int listener_file_bind_anew(struct listener *listener);

/*
 * First step of a stop, while workers still serve: new clients are kept out, queued ones can still
 * be accepted. TCP: a socket filter drops SYNs (the client retries, and is refused once the socket
 * is shut down). Unix: the path is unlinked (if it is still ours). UDP: nothing. 0 or -errno.
 * -EPERM: kernels of 2026 (and stable ones since) let only CAP_NET_ADMIN filter a TCP socket;
 * nothing has changed then, and listener_shutdown() alone refuses.
 */
int listener_refuse(struct listener *listener);
/* Takes listener_refuse() of a TCP socket back. 0 or -errno (-EOPNOTSUPP: a Unix path that is gone
 * is gone). */
int listener_accept_again(struct listener *listener);
/*
 * Of TCP sockets at one address (reuseport) that listener is one of: only these get new
 * connections, each the same share; who waits in a queue stays there. An index is a socket's place
 * in the order in which they began to listen; where one stops to, the last one takes its place. 0;
 * -E2BIG: too many gaps between them; -errno. socket(7), SO_ATTACH_REUSEPORT_CBPF.
 */
int listener_steer(const struct listener *listener, const uint32_t *indices, size_t n);
/* All of them again, as the kernel chooses. 0 or -errno. */
int listener_steer_to_all(const struct listener *listener);
/* Is a connection waiting to be accepted (UDP: a datagram)? poll(2) without waiting. */
bool listener_has_queue(const struct listener *listener);
/* Accept queue of a stream socket: connections waiting now, and the limit. TCP: TCP_INFO
 * (tcpi_unacked, tcpi_sacked). Unix: from sock_diag (UDIAG_SHOW_RQLEN). 0 or -errno (-EOPNOTSUPP:
 * UDP, or no sock_diag here; -ENOTCONN: it does not listen). */
int listener_queue(const struct listener *listener, unsigned *ret_waiting, unsigned *ret_limit);
/* Last step of a stop: shutdown() and close: refused from now on, also when a hung worker still
 * holds the socket. Connections that still wait in the queue are reset: see listener_has_queue().
 */
void listener_shutdown(struct listener *listener);

/* One epoll descriptor that becomes readable when a watched stream listener is no longer listening.
 */
int listener_watch_new(int *ret_epoll);
/* Datagram sockets have no such state: 0, and nothing is watched. */
int listener_watch_add(int epoll, const struct listener *listener, uint32_t id);
/* Before the listener is closed. 0 or -errno (-ENOENT: was not watched). */
int listener_watch_remove(int epoll, const struct listener *listener);
/* The next listener that was shut down: 1 and *ret_id, 0: none, -errno. Edge-triggered: a hung-up
 * one is told once, and again when it had been mended in between. */
int listener_watch_next(int epoll, uint32_t *ret_id);

/*
 * Sockets handed to us by a service manager (systemd_take_fds()). Takes fd, called name, when it is
 * a listening stream or a bound datagram socket: sets CLOEXEC and O_NONBLOCK, takes back what an
 * earlier instance may have left of listener_refuse(), fills ret_listener (address by getsockname).
 * Its path is never unlinked. 0, or -errno with a sentence in ret_error; then fd stays the
 * caller's.
 */
int listener_adopt(int fd, const char *name, struct listener *ret_listener, char **ret_error);

#endif
