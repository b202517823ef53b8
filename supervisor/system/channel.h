/*
 * channel.h - the workers' channel: one connected SOCK_SEQPACKET socket per worker (unix(7)), one
 * JSON object a message, descriptors by SCM_RIGHTS. The format is in handover-worker(7). Nothing
 * here waits.
 */
#ifndef SYSTEM_CHANNEL_H
#define SYSTEM_CHANNEL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

enum {
	CHANNEL_MESSAGE_MAX = 16 * 1024,
	CHANNEL_DESCRIPTORS_MAX = 253, /* the kernel's limit, SCM_MAX_FD */
	CHANNEL_LEFT_OUT = -2,	       /* in the place of a descriptor */
};

/* Listens at path (in the place of a file that is there), open for every user: who may speak is
 * decided by the peer's credentials. 0 or -errno. */
int channel_listen(const char *path, int *ret_fd);
/* The next connection and who made it. 0; -EAGAIN: there is none; -errno. */
int channel_accept(int fd, int *ret_connection, struct ucred *ret_peer);

/* One message, with copies of n descriptors. 0; -EAGAIN: the other side does not read; -errno. */
int channel_send(int fd, const char *text, size_t len, const int *fds, size_t n);
/*
 * The next message into text, with a NUL behind it. Returns its length; 0: the other side has
 * closed; -EAGAIN: there is none; -EMSGSIZE: it was longer than CHANNEL_MESSAGE_MAX or had more
 * than one descriptor with it: it is dropped; -errno. *ret_fd: the descriptor that came with it
 * (close-on-exec, the caller's); -1: none; CHANNEL_LEFT_OUT: we are out of descriptors, so that the
 * kernel could not give it to us.
 */
ssize_t channel_receive(int fd, char text[static CHANNEL_MESSAGE_MAX + 1], int *ret_fd);
/* The same with up to max (CHANNEL_DESCRIPTORS_MAX) descriptors: -EMSGSIZE if there were more;
 * -EMFILE: we are out of them. */
ssize_t channel_receive_all(int fd, char text[static CHANNEL_MESSAGE_MAX + 1], int *ret_fds,
			    size_t max, size_t *ret_n);
/* Connects to the socket at path, without waiting. 0; -EAGAIN: too many wait there already;
 * -ENOENT, -ECONNREFUSED: nobody is there; -EACCES; -errno. */
int channel_dial(const char *path, int *ret_fd);
/*
 * The n-th place where the sockets.sock of an instance may be: beside our own runtime directory
 * (beside, or NULL), in /run/handover, and in our user's. instance (len bytes) may be a runtime
 * directory itself. NULL: there are no more, or no memory. Caller frees.
 */
char *channel_instance_path(const char *beside, const char *instance, size_t len, unsigned n);

/*
 * The page in which a worker counts what it has in flight (a memfd or another regular file): a
 * header, then cells that are each written by some of its threads; the sum is what counts.
 */
#define CHANNEL_PAGE_MAGIC   "HANDOVER"
#define CHANNEL_PAGE_VERSION 1
enum { CHANNEL_CELL_SIZE = 64, CHANNEL_CELLS_MAX = 64 };

struct channel_page_header {
	char magic[8];
	uint32_t version;
	uint32_t n_cells;
	char padding[48]; /* to the size of a cell */
};

/* Is fd such a page? 0; -EINVAL; -errno. */
int channel_page_check(int fd);
/* What is in flight now. Reads at most 64 cells; a sum below 0 (a begin and its end in two cells,
 * read in between) counts as 0. 0 or -errno. */
int channel_page_read(int fd, uint64_t *ret_inflight);

#endif
