/* host.h - the addresses behind a host in the configuration. */
#ifndef SYSTEM_HOST_H
#define SYSTEM_HOST_H

#include <netdb.h>
#include <stdint.h>

/* Addresses to bind: host is numeric, or a name that is looked up in /etc/hosts only (hosts(5)), as
 * a listening address is one of this machine's, and who asks must not wait for a name server; NULL:
 * all addresses. type is SOCK_STREAM or SOCK_DGRAM. ret_list is the caller's: freeaddrinfo(). 0, or
 * getaddrinfo()'s EAI_ error. */
int host_resolve(const char *host, uint16_t port, int type, struct addrinfo **ret_list);

#endif
