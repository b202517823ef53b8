/* sockdiag.h - what only sock_diag(7) tells of sockets. Netlink answers from memory: no call
 * waits. */
#ifndef SYSTEM_SOCKDIAG_H
#define SYSTEM_SOCKDIAG_H

#include <stddef.h>
#include <sys/types.h>

/* Accept queue of the listening Unix socket with this inode (fstat(2) of its descriptor):
 * connections that wait now, and the limit. 0; -EOPNOTSUPP: this kernel or sandbox has no sock_diag
 * for Unix sockets; -errno. */
int sockdiag_unix_queue(ino_t inode, unsigned *ret_waiting, unsigned *ret_limit);

/* Inodes of the sockets that are bound to this socket file, whatever it is called now; connections
 * that were accepted there do not count. Writes at most max; returns how many, or -errno
 * (-EOPNOTSUPP as above). */
int sockdiag_unix_bound_to(dev_t device, ino_t file, unsigned long *inodes, size_t max);

/* Whether the kernel holds a shutdown() against this listening TCP socket, which every connection
 * that it accepts would inherit: 1, 0; -EOPNOTSUPP as above, or it does not listen; -errno. */
int sockdiag_tcp_is_shut(int fd);

/* The inode of the socket at the other end of a TCP connection on this host: fd is ours. 0;
 * -EAGAIN: nobody has accepted it yet; -ENOTCONN: it is closed already, or not on this host;
 * -EOPNOTSUPP as above; -errno. */
int sockdiag_tcp_other_end(int fd, unsigned long *ret_inode);

#endif
