/* host.c - the addresses behind a host in the configuration. */
#include "system/host.h"

#include <nss.h>
#include <stdio.h>

int host_resolve(const char *host, uint16_t port, int type, struct addrinfo **ret_list)
{
	struct addrinfo hints = {.ai_socktype = type,
				 .ai_flags = AI_PASSIVE | AI_NUMERICSERV | AI_NUMERICHOST};
	char service[8];
	int r;

	snprintf(service, sizeof(service), "%u", port);
	r = getaddrinfo(host, service, &hints, ret_list);
	if (r != EAI_NONAME)
		return r;
	/* for this process alone, whatever nsswitch.conf says; nothing else here looks hosts up */
	if (__nss_configure_lookup("hosts", "files") == -1)
		return EAI_SYSTEM;
	hints.ai_flags &= ~AI_NUMERICHOST;
	return getaddrinfo(host, service, &hints, ret_list);
}
