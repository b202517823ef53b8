/* proc_holder.c - which process holds an address: from the address to socket inodes. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/fd.h"
#include "system/proc_internal.h"
#include "system/sockdiag.h"

enum {
	INODES_MAX = 16,   /* sockets of one address: several only with SO_REUSEPORT */
	LINES_MAX = 65536, /* of one table of /proc/net */
	LINE_SIZE = 512,
	TABLE_STATE_LISTEN = 10, /* TCP_LISTEN in the `st` column */
};

struct inodes {
	unsigned long list[INODES_MAX];
	size_t n;
};

static void add_inode(struct inodes *inodes, unsigned long inode)
{
	if (inode != 0 && inodes->n < INODES_MAX) /* TIME_WAIT has none */
		inodes->list[inodes->n++] = inode;
}

/* --- TCP and UDP --- */

/* IPv4 as ::ffff:a.b.c.d, so that there is one form to compare. */
struct endpoint {
	unsigned char address[16];
	unsigned port;
};

static const unsigned char mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

static bool is_v4(const struct endpoint *e)
{
	return memcmp(e->address, mapped_prefix, sizeof(mapped_prefix)) == 0;
}

static bool is_any(const struct endpoint *e)
{
	static const unsigned char zeros[16];

	return memcmp(e->address, zeros, 16) == 0 ||
	       (is_v4(e) && memcmp(e->address + 12, zeros, 4) == 0);
}

static bool endpoints_clash(const struct endpoint *a, const struct endpoint *b)
{
	if (a->port != b->port)
		return false;
	if (memcmp(a->address, b->address, sizeof(a->address)) == 0)
		return true;
	if (is_v4(a) == is_v4(b))
		return is_any(a) || is_any(b);
	return (is_any(a) && !is_v4(a)) || (is_any(b) && !is_v4(b)); /* "::" takes IPv4 along */
}

static int endpoint_of(const struct sockaddr *address, socklen_t len, struct endpoint *ret_endpoint)
{
	struct endpoint e;

	if (address->sa_family == AF_INET && len >= sizeof(struct sockaddr_in)) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)address;

		memcpy(e.address, mapped_prefix, sizeof(mapped_prefix));
		memcpy(e.address + 12, &in->sin_addr, 4);
		e.port = ntohs(in->sin_port);
	} else if (address->sa_family == AF_INET6 && len >= sizeof(struct sockaddr_in6)) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;

		memcpy(e.address, &in6->sin6_addr, 16);
		e.port = ntohs(in6->sin6_port);
	} else {
		return -EINVAL;
	}
	*ret_endpoint = e;
	return 0;
}

struct table_line {
	struct endpoint local;
	unsigned state;
	unsigned long inode;
};

/* "0: 0100007F:2328 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000 0 31337 ...":
 * proc_net_tcp in the kernel's documentation. Addresses are words in the byte order of the machine.
 */
static bool parse_table_line(const char *text, struct table_line *line)
{
	char hex[33];
	unsigned word;
	size_t len;

	if (sscanf(text,
		   " %*d: %32[0-9A-Fa-f]:%4x %*32[0-9A-Fa-f]:%*4x %2x %*s %*s %*s %*s %*s %lu", hex,
		   &line->local.port, &line->state, &line->inode) != 4)
		return false;
	len = strlen(hex);
	if (len != 8 && len != 32)
		return false;
	memcpy(line->local.address, mapped_prefix, sizeof(mapped_prefix));
	for (size_t i = 0; i < len; i += 8) {
		if (sscanf(hex + i, "%8x", &word) != 1)
			return false;
		memcpy(line->local.address + (len == 8 ? 12 : i / 2), &word, 4);
	}
	return true;
}

/* Listening sockets stand first in the TCP tables, so a search for those ends early on a busy
 * machine. */
static void search_table(const char *path, const struct endpoint *wanted, bool listening,
			 struct inodes *inodes)
{
	cleanup_file FILE *file = fopen(path, "re");
	struct table_line line;
	char text[LINE_SIZE];

	if (file == NULL)
		return;
	for (int i = 0; i < LINES_MAX && fgets(text, sizeof(text), file) != NULL; i++) {
		if (!parse_table_line(text, &line))
			continue;
		if (listening && line.state != TABLE_STATE_LISTEN)
			break;
		if (endpoints_clash(&line.local, wanted))
			add_inode(inodes, line.inode);
	}
}

static int find_inet(const struct sockaddr *address, socklen_t len, int type, struct inodes *inodes)
{
	static const char *const tcp[] = {"/proc/net/tcp", "/proc/net/tcp6"};
	static const char *const udp[] = {"/proc/net/udp", "/proc/net/udp6"};
	const char *const *tables = type == SOCK_STREAM ? tcp : udp;
	struct endpoint wanted;
	int own, r;

	r = endpoint_of(address, len, &wanted);
	if (r < 0)
		return r;
	own = address->sa_family == AF_INET
		  ? 0
		  : 1; /* the same family first: a clash there is the likelier one */
	for (int listening = type == SOCK_STREAM; listening >= 0 && inodes->n == 0; listening--)
		for (int i = 0; i < 2 && inodes->n == 0; i++)
			search_table(tables[i == 0 ? own : !own], &wanted, listening, inodes);
	return 0;
}

/* --- Unix --- */

/* The name as /proc/net/unix writes it: '@' for each NUL of an abstract one. */
static int unix_name(const struct sockaddr *address, socklen_t len,
		     char name[static sizeof(struct sockaddr_un)])
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)address;
	size_t n;

	if (len <= offsetof(struct sockaddr_un, sun_path) || len > sizeof(*un))
		return -EINVAL;
	n = len - offsetof(struct sockaddr_un, sun_path);
	if (un->sun_path[0] != '\0')
		n = strnlen(un->sun_path, n);
	memcpy(name, un->sun_path, n);
	name[n] = '\0';
	for (size_t i = 0; i < n; i++)
		if (name[i] == '\0')
			name[i] = '@';
	return 0;
}

static void search_unix_table(const char *name, struct inodes *inodes)
{
	cleanup_file FILE *file = fopen("/proc/net/unix", "re");
	char text[LINE_SIZE];
	unsigned state;
	unsigned long inode;
	int at;

	if (file == NULL)
		return;
	for (int i = 0; i < LINES_MAX && fgets(text, sizeof(text), file) != NULL; i++) {
		text[strcspn(text, "\n")] = '\0';
		at = 0;
		if (sscanf(text, "%*[0-9a-fA-F]: %*x %*x %*x %*x %x %lu %n", &state, &inode, &at) !=
			2 ||
		    at == 0)
			continue;
		if (state != 3 &&
		    strcmp(text + at, name) == 0) /* SS_CONNECTED: one that was accepted there */
			add_inode(inodes, inode);
	}
}

static int find_unix(const struct sockaddr *address, socklen_t len, struct inodes *inodes)
{
	char name[sizeof(struct sockaddr_un)];
	struct stat st;
	int n, r;

	r = unix_name(address, len, name);
	if (r < 0)
		return r;
	if (name[0] != '@' && stat(name, &st) == 0) {
		n = sockdiag_unix_bound_to(st.st_dev, st.st_ino, inodes->list, INODES_MAX);
		inodes->n = n < 0 ? 0 : (size_t)n;
	}
	if (inodes->n == 0)
		search_unix_table(name, inodes);
	return 0;
}

int proc_find_holder(const struct sockaddr *address, socklen_t len, int type,
		     struct proc_holder *ret_holder)
{
	struct inodes inodes = {.n = 0};
	int r;

	r = address->sa_family == AF_UNIX ? find_unix(address, len, &inodes)
					  : find_inet(address, len, type, &inodes);
	if (r < 0)
		return r;
	if (inodes.n == 0)
		return -ENOENT;
	return proc_find_holder_of(inodes.list, inodes.n, ret_holder);
}
