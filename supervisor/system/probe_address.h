/* probe_address.h - where a server that opens a port of its own is asked. */
#ifndef SYSTEM_PROBE_ADDRESS_H
#define SYSTEM_PROBE_ADDRESS_H

#include <sys/socket.h>

#include "base/buf.h"

/*
 * "127.0.0.1:9100", "[::1]:9100", "unix:/run/api/0.sock", with its specifiers replaced. Numeric
 * addresses only: a name would have to be looked up at every probe. 0; -EINVAL with a sentence's
 * rest in why.
 */
int probe_address_parse(const char *text, struct sockaddr_storage *ret_address, socklen_t *ret_len,
			struct buf *why);

#endif
