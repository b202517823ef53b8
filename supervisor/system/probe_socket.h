/*
 * probe_socket.h - a listening socket that one worker alone is given, and that nobody but us can
 * reach: its name in the file system is gone before the worker starts. What is left is a descriptor
 * of the file (O_PATH), by which it is connected to; so nothing has to be removed later, and a
 * runtime directory that somebody deletes takes no probe away.
 */
#ifndef SYSTEM_PROBE_SOCKET_H
#define SYSTEM_PROBE_SOCKET_H

#include <stdint.h>
#include <sys/types.h>
#include <sys/un.h>

/* Makes one, in a directory that we may write to. Both descriptors are close-on-exec, and the
 * caller's: the listener is to be closed once the worker has it. 0 or -errno. */
int probe_socket_open(const char *directory, int *ret_listener, int *ret_file);
/* Where connect(2) finds it. */
void probe_socket_address(int file, struct sockaddr_un *ret_address);

/*
 * Whose is the other end of a connection on this host? A TCP connection counts as its holder's who
 * has accepted it; one to a Unix socket as its who has made that listen. 1: a process of the tree
 * below (and with) root has it; 0: another one has; -EAGAIN: not accepted yet; -EACCES: we may not
 * look; -errno. Looks at the descriptors of those processes, and at no more than 64 Ki of them.
 */
int probe_socket_belongs(int fd, pid_t root);

#endif
