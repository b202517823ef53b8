/* Where the load goes. */
#include "rpc-load-target.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

static int target_parse_unix(const char *path, struct target *ret)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	if (path[0] != '/' || strlen(path) >= sizeof(addr.sun_path)) {
		fprintf(stderr, "rpc-load: unix:%s: want an absolute path of less than %zu bytes\n",
			path, sizeof(addr.sun_path));
		return -EINVAL;
	}
	strcpy(addr.sun_path, path);
	memcpy(&ret->addr, &addr, sizeof(addr));
	ret->addr_len = sizeof(addr);
	strcpy(ret->host, "localhost");
	return 0;
}

static int target_parse_tcp(const char *text, struct target *ret)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	const char *colon = strrchr(text, ':');
	struct addrinfo *found;
	char host[256];
	size_t len;
	int r;

	len = colon != NULL ? (size_t)(colon - text) : 0;
	if (len == 0 || len >= sizeof(host) || strlen(text) >= sizeof(ret->host)) {
		fprintf(stderr, "rpc-load: --target %s: want HOST:PORT or unix:/PATH\n", text);
		return -EINVAL;
	}
	if (text[0] == '[' && text[len - 1] == ']')
		snprintf(host, sizeof(host), "%.*s", (int)len - 2, text + 1);
	else
		snprintf(host, sizeof(host), "%.*s", (int)len, text);
	r = getaddrinfo(host, colon + 1, &hints, &found);
	if (r != 0) {
		fprintf(stderr, "rpc-load: --target %s: %s\n", text, gai_strerror(r));
		return -EADDRNOTAVAIL;
	}
	memcpy(&ret->addr, found->ai_addr, found->ai_addrlen);
	ret->addr_len = found->ai_addrlen;
	freeaddrinfo(found);
	strcpy(ret->host, text);
	return 0;
}

int target_parse(const char *text, struct target *ret)
{
	if (strncmp(text, "unix:", 5) == 0)
		return target_parse_unix(text + 5, ret);
	return target_parse_tcp(text, ret);
}

int target_connect(const struct target *target)
{
	int fd = socket(target->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r;

	if (fd == -1)
		return -errno;
	if (target->addr.ss_family != AF_UNIX)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	if (connect(fd, (const struct sockaddr *)&target->addr, target->addr_len) == -1 &&
	    errno != EINPROGRESS) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}
