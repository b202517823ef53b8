/* probe_address.c - where a server that opens a port of its own is asked. */
#include "system/probe_address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#include "base/fd.h"
#include "system/config_internal.h"

static int parse_unix(const char *path, struct sockaddr_storage *ret_address, socklen_t *ret_len,
		      struct buf *why)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	if (*path != '/') {
		buf_printf(why, "%s is not a path that begins with '/'", QUOTE(path));
		return -EINVAL;
	}
	if (strlen(path) >= sizeof(un.sun_path)) {
		buf_printf(why, "the path has %zu bytes; the kernel takes %zu", strlen(path),
			   sizeof(un.sun_path) - 1);
		return -EINVAL;
	}
	strcpy(un.sun_path, path);
	memcpy(ret_address, &un, sizeof(un));
	*ret_len = sizeof(un);
	return 0;
}

static int explain_host(const char *host, struct buf *why)
{
	if (*host == '\0' || strcmp(host, "*") == 0)
		buf_add_str(why, "says no address to connect to; write 127.0.0.1:PORT");
	else
		buf_printf(
		    why,
		    "%s is a name, which would have to be looked up at every probe; write an "
		    "address, such as 127.0.0.1",
		    QUOTE(host));
	return -EINVAL;
}

static int parse_host(const char *text, struct sockaddr_storage *ret_address, socklen_t *ret_len,
		      struct buf *why)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	cleanup_free char *host = NULL;
	uint16_t port;
	int r = config_parse_address(text, &host, &port, why);

	if (r < 0)
		return r;
	if (inet_pton(AF_INET, host, &in.sin_addr) == 1) {
		in.sin_port = htons(port);
		memcpy(ret_address, &in, sizeof(in));
		*ret_len = sizeof(in);
		return 0;
	}
	if (inet_pton(AF_INET6, host, &in6.sin6_addr) == 1) {
		in6.sin6_port = htons(port);
		memcpy(ret_address, &in6, sizeof(in6));
		*ret_len = sizeof(in6);
		return 0;
	}
	return explain_host(host, why);
}

int probe_address_parse(const char *text, struct sockaddr_storage *ret_address, socklen_t *ret_len,
			struct buf *why)
{
	if (strncmp(text, "unix:", 5) == 0)
		return parse_unix(text + 5, ret_address, ret_len, why);
	return parse_host(text, ret_address, ret_len, why);
}
