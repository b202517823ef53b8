/* listener_internal.h - what the listener files share among themselves. */
#ifndef SYSTEM_LISTENER_INTERNAL_H
#define SYSTEM_LISTENER_INTERNAL_H

#include <sys/stat.h>

#include "system/listener.h"

/* Writes the sentence "cannot bind ADDRESS: ..." and returns -error. ret_error may be NULL. */
int listener_fail(const struct listener *listener, int error, char **ret_error, const char *format,
		  ...) __attribute__((format(printf, 4, 5)));
/* The same for an address in use: names the process that holds it, if that can be found out. */
int listener_fail_in_use(const struct listener *listener, bool reuseaddr, char **ret_error);

/* "" and "*": all addresses. */
bool listener_is_any_host(const char *host);
/* TCP and UDP: the address that spec means, into listener. 0 or -errno with a sentence. */
int listener_resolve(const struct listener_spec *spec, struct listener *listener, char **ret_error);

/* A TCP socket that was shut down listens again, and its connections carry. 0 or -errno. */
int listener_tcp_listen_again(const struct listener *listener);

/* The value of an option that is an int, or -errno. */
int listener_get_option(int fd, int level, int option);
/* Takes off a TCP socket what an instance that was killed in the middle of a stop has left there:
 * its listener_refuse(). 0 or -errno. */
int listener_clear_refusal(struct listener *listener);

/* SO_RCVBUF and SO_SNDBUF, in bytes as the user counts them; 0 leaves one as it is. 0 or -errno. */
int listener_set_buffers(int fd, uint64_t receive, uint64_t send);

/* listener_unix.c: fd, type and backlog are set; binds, listens, and fills the rest. */
int listener_unix_open(const struct listener_spec *spec, struct listener *listener,
		       char **ret_error);
/* listener_try() of a path. */
int listener_unix_try(const struct listener_spec *spec, char **ret_error);
/* Fills address and path, which must fit. 0 or -ENOMEM. */
int listener_unix_set_address(struct listener *listener, const char *path);
/* This is the socket's file from now on: the one that is ever unlinked or put back. */
void listener_unix_note_file(struct listener *listener, const struct stat *st);
int listener_unix_set_owner(struct listener *listener, const struct listener_spec *spec,
			    char **ret_error);
/* Unlinks the path if it still leads to the file that we bound; we do not answer for it from now
 * on. */
void listener_unix_unlink(struct listener *listener);
/* A new socket in the place of a dead one, with the same file mode, owner, buffers and queue. */
int listener_unix_replace(struct listener *listener);

#endif
