/*
 * given.h - the sockets that this worker was given, as HANDOVER_BIND lists them: "3:INODE 4:INODE",
 * descriptor and inode of each (fstat(2)). Read once, at the start of the program; from then on it
 * does not change, so that threads need no lock.
 */
#ifndef PRELOAD_GIVEN_H
#define PRELOAD_GIVEN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

enum { GIVEN_MAX = 128, GIVEN_TEXT_MAX = 160 };

/* An address of any family. */
union given_address {
	struct sockaddr any;
	struct sockaddr_storage storage;
	struct sockaddr_un un;
};

struct given {
	int fd; /* a copy of our own, close-on-exec; the one that was inherited stays, for what this
		   program executes */
	ino_t inode;
	int type;	/* SOCK_STREAM or SOCK_DGRAM */
	bool ipv6_only; /* IPv6 that leaves IPv4 to others */
	union given_address address;
	socklen_t len;
};

/* Reads HANDOVER_BIND. A socket that this program no longer has (whoever executed it closed the
 * descriptor) is left out. */
void given_read(void);
/* Is there any? */
bool given_any(void);
/* The one that is behind a descriptor, whatever its number. NULL: none of them. */
const struct given *given_behind(int fd);
/*
 * The one that bind() of this address means, for a socket of this type:
 *  1. that address; ::ffff:A is A, and all addresses of IPv4 and of IPv6 are each other's;
 *  2. ::1 and 127.0.0.1 are "localhost" both;
 *  3. who asks for all addresses takes the only one that was given with that port.
 * One address never means a socket for all of them. Paths of Unix sockets by name, or by the file
 * that they lead to. NULL: none of them, or no telling which.
 */
const struct given *given_find(int type, const struct sockaddr *address, socklen_t len);
/* Is this file one of the sockets? A server that tidies up must not take it away from its
 * successor. */
bool given_has_path(int directory, const char *path);
/* Is it one of our own copies? */
bool given_is_copy(int fd);
/* The lowest of our copies that is not below fd; -1: there is none. */
int given_next_copy(unsigned fd);
/* "127.0.0.1:80", "[::1]:80", "/run/x.sock". Returns text. */
char *given_describe(const struct sockaddr *address, socklen_t len, char *text, size_t size);
/* What was given, in words: "127.0.0.1:80, /run/x.sock". Returns text. */
char *given_describe_all(char *text, size_t size);

#endif
