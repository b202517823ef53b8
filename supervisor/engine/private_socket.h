/*
 * private_socket.h - a Unix socket in the runtime directory for root, our own user and
 * operator_group: control.sock, sockets.sock.
 */
#ifndef ENGINE_PRIVATE_SOCKET_H
#define ENGINE_PRIVATE_SOCKET_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

struct private_socket {
	char *path;
	dev_t device; /* of it as we bound it */
	ino_t inode;
	bool has_group;
	gid_t group; /* operator_group */
};

/*
 * Opens one of that type (SOCK_STREAM, SOCK_SEQPACKET) at socket->path, mode 0600, in the place of
 * one that nobody answers at; private_socket_set_group() opens it for others. 0 or -errno with a
 * sentence in ret_error (caller frees).
 */
int private_socket_open(struct private_socket *socket, int type, int *ret_fd, char **ret_error);
/* Is it still what its path leads to? */
bool private_socket_is_there(const struct private_socket *socket);
/* Mode 0660 for that group (NULL: 0600). On failure the former one stays. 0 or -errno with a
 * sentence in ret_error, or NULL (caller frees). */
int private_socket_set_group(struct private_socket *socket, const char *operator_group,
			     char **ret_error);
/* The mode has kept others out already: this holds should somebody loosen it. connection: accepted
 * there; peer: SO_PEERCRED of it. */
bool private_socket_admits(const struct private_socket *socket, int connection,
			   const struct ucred *peer);
/* Unlinks it if it is still there, and frees the path. */
void private_socket_end(struct private_socket *socket);

#endif
