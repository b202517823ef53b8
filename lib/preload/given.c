/* given.c - which sockets the worker was given, and which of them an address means. */
#include "given.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static struct given list[GIVEN_MAX];
static size_t n_list;

/* ---- what was given ---- */

/* Out of the way of what the program opens, and below what select(2) and small limits allow. */
static int copy_of(int fd)
{
	enum { ROOM = GIVEN_MAX, MOST = 1024 };
	struct rlimit limit;
	int copy = -1;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur > 2 * ROOM)
		copy = fcntl(fd, F_DUPFD_CLOEXEC,
			     (limit.rlim_cur < MOST ? (int)limit.rlim_cur : MOST) - ROOM);
	return copy == -1 ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : copy;
}

static bool is_socket(int fd, ino_t inode)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_ino == inode;
}

static void add(int fd, ino_t inode)
{
	struct given given = {.inode = inode, .len = sizeof(given.address)};
	int v6only = 0;
	socklen_t len = sizeof(given.type);

	if (!is_socket(fd, inode) || getsockname(fd, &given.address.any, &given.len) == -1 ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &given.type, &len) == -1)
		return;
	len = sizeof(v6only);
	given.ipv6_only = given.address.any.sa_family == AF_INET6 &&
			  getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, &len) == 0 &&
			  v6only != 0;
	given.fd = copy_of(fd);
	if (given.fd != -1)
		list[n_list++] = given;
}

void given_read(void)
{
	const char *text = getenv("HANDOVER_BIND");
	unsigned long long fd, inode;
	char *end;

	while (text != NULL && *text != '\0' && n_list < GIVEN_MAX) {
		fd = strtoull(text, &end, 10);
		if (end == text || *end != ':')
			return;
		text = end + 1;
		inode = strtoull(text, &end, 10);
		if (end == text)
			return;
		if (fd <= 1 << 20)
			add((int)fd, (ino_t)inode);
		text = end + strspn(end, " ");
	}
}

bool given_any(void)
{
	return n_list > 0;
}

const struct given *given_behind(int fd)
{
	struct stat st;
	size_t i;

	if (n_list == 0 || fd < 0 || fstat(fd, &st) == -1 || !S_ISSOCK(st.st_mode))
		return NULL;
	for (i = 0; i < n_list; i++)
		if (list[i].inode == st.st_ino)
			return &list[i];
	return NULL;
}

/* ---- which one an address means ---- */

/* An IP address and port, IPv4 in its mapped form. False: it is of another family. */
static bool read_ip(const struct sockaddr *address, socklen_t len, struct in6_addr *ret_ip,
		    unsigned *ret_port, unsigned *ret_scope)
{
	const struct sockaddr_in6 *v6 = (const void *)address;
	const struct sockaddr_in *v4 = (const void *)address;

	*ret_scope = 0;
	if (len >= sizeof(*v4) && address->sa_family == AF_INET) {
		memset(ret_ip, 0, sizeof(*ret_ip));
		ret_ip->s6_addr[10] = ret_ip->s6_addr[11] = 0xff;
		memcpy(&ret_ip->s6_addr[12], &v4->sin_addr, 4);
		*ret_port = ntohs(v4->sin_port);
		return true;
	}
	if (len < offsetof(struct sockaddr_in6, sin6_scope_id) || address->sa_family != AF_INET6)
		return false;
	*ret_ip = v6->sin6_addr;
	*ret_port = ntohs(v6->sin6_port);
	if (IN6_IS_ADDR_LINKLOCAL(ret_ip) && len >= sizeof(*v6))
		*ret_scope = v6->sin6_scope_id;
	return true;
}

static bool is_mapped(const struct in6_addr *ip, uint32_t v4)
{
	uint32_t found;

	memcpy(&found, &ip->s6_addr[12], sizeof(found));
	return IN6_IS_ADDR_V4MAPPED(ip) && ntohl(found) == v4;
}

static bool is_all(const struct in6_addr *ip)
{
	return IN6_IS_ADDR_UNSPECIFIED(ip) || is_mapped(ip, INADDR_ANY);
}

static bool is_localhost(const struct in6_addr *ip)
{
	return IN6_IS_ADDR_LOOPBACK(ip) || is_mapped(ip, INADDR_LOOPBACK);
}

/* How well a socket fits what is asked for; 0: not at all. */
enum fit { FIT_NONE, FIT_PORT, FIT_LOCALHOST, FIT_ALL, FIT_SAME };

static enum fit fit_ip(const struct given *given, const struct in6_addr *ip, unsigned port,
		       unsigned scope)
{
	struct in6_addr has;
	unsigned has_port, has_scope;

	if (!read_ip(&given->address.any, given->len, &has, &has_port, &has_scope) || port == 0 ||
	    port != has_port)
		return FIT_NONE;
	if (memcmp(ip, &has, sizeof(has)) == 0 && (scope == has_scope || scope == 0))
		return FIT_SAME;
	if (is_all(ip) && is_all(&has))
		return given->ipv6_only ? FIT_PORT : FIT_ALL;
	if (is_localhost(ip) && is_localhost(&has))
		return FIT_LOCALHOST;
	return is_all(ip) ? FIT_PORT : FIT_NONE;
}

static const struct given *find_ip(int type, const struct sockaddr *address, socklen_t len)
{
	const struct given *found = NULL;
	enum fit best = FIT_NONE;
	struct in6_addr ip;
	unsigned port, scope;
	bool several = false;

	if (!read_ip(address, len, &ip, &port, &scope))
		return NULL;
	for (size_t i = 0; i < n_list; i++) {
		enum fit fit = list[i].type == type ? fit_ip(&list[i], &ip, port, scope) : FIT_NONE;

		several = fit > best ? false : several || (fit == best && fit != FIT_NONE);
		if (fit > best) {
			best = fit;
			found = &list[i];
		}
	}
	/* two addresses cannot both become one descriptor */
	return best == FIT_PORT && several ? NULL : found;
}

/* A path may be written in more than one way (/run and /var/run); what it leads to is one file. */
static bool is_path_of(const struct given *given, int directory, const char *path)
{
	struct stat asked, has;

	if (given->address.any.sa_family != AF_UNIX || given->address.un.sun_path[0] == '\0')
		return false;
	if (strcmp(path, given->address.un.sun_path) == 0)
		return true;
	return fstatat(directory, path, &asked, 0) == 0 && S_ISSOCK(asked.st_mode) &&
	       stat(given->address.un.sun_path, &has) == 0 && asked.st_dev == has.st_dev &&
	       asked.st_ino == has.st_ino;
}

/* sun_path of an address need not end with a NUL. */
static bool read_path(const struct sockaddr *address, socklen_t len,
		      char path[static sizeof(struct sockaddr_un)])
{
	size_t n = len - offsetof(struct sockaddr_un, sun_path);

	if (len <= offsetof(struct sockaddr_un, sun_path) || len > sizeof(struct sockaddr_un))
		return false;
	memcpy(path, ((const struct sockaddr_un *)(const void *)address)->sun_path, n);
	path[n] = '\0';
	return path[0] != '\0';
}

static const struct given *find_unix(int type, const struct sockaddr *address, socklen_t len)
{
	char path[sizeof(struct sockaddr_un) + 1];
	bool named = read_path(address, len, path);
	size_t i;

	for (i = 0; i < n_list; i++) {
		if (list[i].type != type || list[i].address.any.sa_family != AF_UNIX)
			continue;
		/* an abstract name is bytes */
		if (named ? is_path_of(&list[i], AT_FDCWD, path)
			  : len == list[i].len && memcmp(address, &list[i].address, len) == 0)
			return &list[i];
	}
	return NULL;
}

const struct given *given_find(int type, const struct sockaddr *address, socklen_t len)
{
	if (n_list == 0 || address == NULL || len <= sizeof(sa_family_t))
		return NULL;
	return address->sa_family == AF_UNIX ? find_unix(type, address, len)
					     : find_ip(type, address, len);
}

bool given_has_path(int directory, const char *path)
{
	size_t i;

	for (i = 0; path != NULL && i < n_list; i++)
		if (is_path_of(&list[i], directory, path))
			return true;
	return false;
}

/* ---- our copies ---- */

bool given_is_copy(int fd)
{
	size_t i;

	for (i = 0; i < n_list; i++)
		if (list[i].fd == fd)
			return true;
	return false;
}

int given_next_copy(unsigned fd)
{
	int next = -1;
	size_t i;

	for (i = 0; i < n_list; i++)
		if ((unsigned)list[i].fd >= fd && (next == -1 || list[i].fd < next))
			next = list[i].fd;
	return next;
}

/* ---- in words ---- */

char *given_describe(const struct sockaddr *address, socklen_t len, char *text, size_t size)
{
	char ip[INET6_ADDRSTRLEN] = "", path[sizeof(struct sockaddr_un) + 1];
	const struct sockaddr_in6 *v6 = (const void *)address;
	const struct sockaddr_in *v4 = (const void *)address;

	if (address->sa_family == AF_INET && len >= sizeof(*v4))
		snprintf(text, size, "%s:%u", inet_ntop(AF_INET, &v4->sin_addr, ip, sizeof(ip)),
			 ntohs(v4->sin_port));
	else if (address->sa_family == AF_INET6 &&
		 len >= offsetof(struct sockaddr_in6, sin6_scope_id))
		snprintf(text, size, "[%s]:%u", inet_ntop(AF_INET6, &v6->sin6_addr, ip, sizeof(ip)),
			 ntohs(v6->sin6_port));
	else if (address->sa_family == AF_UNIX && read_path(address, len, path))
		snprintf(text, size, "%s", path);
	else
		snprintf(text, size, "an address of family %d", address->sa_family);
	return text;
}

char *given_describe_all(char *text, size_t size)
{
	size_t i, at = 0;

	text[0] = '\0';
	for (i = 0; i < n_list && at + 3 < size; i++) {
		char one[GIVEN_TEXT_MAX];

		snprintf(text + at, size - at, "%s%s", i > 0 ? ", " : "",
			 given_describe(&list[i].address.any, list[i].len, one, sizeof(one)));
		at += strlen(text + at);
	}
	return text;
}
