/* Where the load goes. */
#pragma once

#include <sys/socket.h>

struct target {
	struct sockaddr_storage addr;
	socklen_t addr_len;
	char host[256]; /* for the Host header */
};

/* "HOST:PORT", "[V6]:PORT" or "unix:/PATH". Says on stderr what is wrong and returns -errno. */
int target_parse(const char *text, struct target *ret);

/*
 * Begins to connect. Returns a non-blocking, close-on-exec descriptor, which is connected as soon
 * as it is writable (then SO_ERROR tells), or -errno. -EAGAIN: a Unix socket's queue is full, to be
 * tried again later (a TCP connection waits in the kernel instead).
 */
int target_connect(const struct target *target);
