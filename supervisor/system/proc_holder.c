/* proc_holder.c - which process holds an address: from the address to socket inodes, from those to
 * a process. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/parse.h"
#include "system/proc.h"
#include "system/sockdiag.h"

enum {
	INODES_MAX = 16,   /* sockets of one address: several only with SO_REUSEPORT */
	LINES_MAX = 65536, /* of one table of /proc/net */
	PROCESSES_MAX = 65536,
	DESCRIPTORS_MAX = 1024 * 1024, /* in all */
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

/* --- from the inodes to a process --- */

/* Which of the sockets does /proc/PID/fd lead to? Calls each for every descriptor that does, until
 * it returns false. *budget goes down with every descriptor that is looked at. */
static void walk_descriptors(int process, const unsigned long *inodes, size_t n_inodes,
			     long *budget, bool (*each)(size_t which, void *arg), void *arg)
{
	int fd = openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd == -1 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	unsigned long inode;
	bool more = true;
	char link[64];
	ssize_t n;

	if (directory == NULL) {
		fd_close(fd);
		return;
	}
	while (more && (*budget)-- > 0 && (entry = readdir(directory)) != NULL) {
		n = readlinkat(dirfd(directory), entry->d_name, link, sizeof(link) - 1);
		if (n <= 0)
			continue;
		link[n] = '\0';
		if (sscanf(link, "socket:[%lu]", &inode) != 1)
			continue;
		for (size_t i = 0; i < n_inodes && more; i++)
			if (inodes[i] == inode)
				more = each(i, arg);
	}
	closedir(directory);
}

/* One is enough. */
static bool note_found(size_t which, void *found)
{
	(void)which;
	*(bool *)found = true;
	return false;
}

enum { TREE_MAX = 256, TREE_DESCRIPTORS_MAX = 64 * 1024, CHILDREN_MAX = 64 * 1024 };

struct tree {
	pid_t pids[TREE_MAX];
	size_t n;
};

static void add_children(struct tree *tree, int tasks, const char *task)
{
	cleanup_close int fd = -1;
	cleanup_free char *text = NULL;
	char path[64], *end;
	ssize_t n;

	snprintf(path, sizeof(path), "%.32s/children", task);
	fd = openat(tasks, path, O_RDONLY | O_CLOEXEC);
	text = fd != -1 ? malloc(CHILDREN_MAX) : NULL;
	n = text != NULL ? read(fd, text, CHILDREN_MAX - 1) : -1;
	if (n <= 0)
		return;
	text[n] = '\0';
	for (char *p = text; tree->n < TREE_MAX; p = end) {
		long pid = strtol(p, &end, 10);

		if (end == p)
			return;
		tree->pids[tree->n++] = (pid_t)pid;
	}
}

/* Each thread has children of its own. */
static void add_children_of(struct tree *tree, int process)
{
	int fd = openat(process, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *tasks = fd == -1 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (tasks == NULL) {
		fd_close(fd);
		return;
	}
	while ((entry = readdir(tasks)) != NULL)
		if (entry->d_name[0] != '.')
			add_children(tree, dirfd(tasks), entry->d_name);
	closedir(tasks);
}

int proc_tree_holds(pid_t root, unsigned long inode)
{
	struct tree tree = {.pids = {root}, .n = 1};
	long budget = TREE_DESCRIPTORS_MAX;
	bool found = false;

	for (size_t i = 0; !found && i < tree.n; i++) {
		cleanup_close int process = -1;
		char path[64];

		snprintf(path, sizeof(path), "/proc/%d", (int)tree.pids[i]);
		process = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (process == -1 && i == 0)
			return -ESRCH;
		if (process == -1)
			continue;
		if (i == 0 && faccessat(process, "fd/.", R_OK | X_OK, AT_EACCESS) == -1)
			return -EACCES;
		walk_descriptors(process, &inode, 1, &budget, note_found, &found);
		if (!found)
			add_children_of(&tree, process);
	}
	return found;
}

static void describe_holder(pid_t pid, int process, struct proc_holder *holder)
{
	cleanup_free char *comm = NULL;
	struct proc_origin origin;
	struct stat st;
	char path[32];

	*holder = (struct proc_holder){.pid = pid,
				       .uid = fstat(process, &st) == 0 ? st.st_uid : (uid_t)-1};
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	if (fd_read_file(path, 256, &comm, NULL) == 0)
		snprintf(holder->name, sizeof(holder->name), "%.*s", (int)strcspn(comm, "\n"),
			 comm);
	if (proc_read_origin(pid, &origin) == 0)
		snprintf(holder->instance, sizeof(holder->instance), "%s", origin.instance);
}

/* Calls each with every process of the machine that we see, until it returns something else than
 * 0, which is returned. 0 or -errno. */
static int walk_processes(int (*each)(pid_t pid, int process, long *budget, void *arg), void *arg)
{
	DIR *directory = opendir("/proc");
	const struct dirent *entry;
	long budget = DESCRIPTORS_MAX;
	int processes = 0, r = 0;
	uint64_t pid;

	if (directory == NULL)
		return -errno;
	while (r == 0 && processes < PROCESSES_MAX && (entry = readdir(directory)) != NULL) {
		cleanup_close int process = -1;

		if (parse_uint(entry->d_name, 1, INT32_MAX, &pid) < 0)
			continue;
		processes++;
		process =
		    openat(dirfd(directory), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (process != -1)
			r = each((pid_t)pid, process, &budget, arg);
	}
	closedir(directory);
	return r;
}

/* --- one process that holds one of them --- */

struct search {
	const struct inodes *inodes;
	struct proc_holder *holder;
	bool found;
};

static int search_process(pid_t pid, int process, long *budget, void *arg)
{
	struct search *search = arg;

	walk_descriptors(process, search->inodes->list, search->inodes->n, budget, note_found,
			 &search->found);
	if (!search->found)
		return 0;
	describe_holder(pid, process, search->holder);
	return 1;
}

static int find_process(const struct inodes *inodes, struct proc_holder *ret_holder)
{
	struct search search = {.inodes = inodes, .holder = ret_holder};
	int r = walk_processes(search_process, &search);

	return r < 0 ? r : search.found ? 0 : -ENOENT;
}

/* --- all processes that hold them --- */

struct walk {
	const unsigned long *inodes;
	size_t n;
	bool *seen; /* by this process */
	bool any;
	void (*each)(size_t which, const struct proc_holder *holder, void *arg);
	void *arg;
};

static bool note_seen(size_t which, void *arg)
{
	struct walk *walk = arg;

	walk->seen[which] = walk->any = true;
	return true;
}

static int walk_process(pid_t pid, int process, long *budget, void *arg)
{
	struct walk *walk = arg;
	struct proc_holder holder;

	memset(walk->seen, 0, walk->n * sizeof(*walk->seen));
	walk->any = false;
	walk_descriptors(process, walk->inodes, walk->n, budget, note_seen, walk);
	if (!walk->any)
		return 0;
	describe_holder(pid, process, &holder);
	for (size_t i = 0; i < walk->n; i++)
		if (walk->seen[i])
			walk->each(i, &holder, walk->arg);
	return 0;
}

int proc_walk_holders(const unsigned long *inodes, size_t n,
		      void (*each)(size_t which, const struct proc_holder *holder, void *arg),
		      void *arg)
{
	cleanup_free bool *seen = calloc(n + 1, sizeof(*seen));
	struct walk walk = {.inodes = inodes, .n = n, .seen = seen, .each = each, .arg = arg};

	return seen != NULL ? walk_processes(walk_process, &walk) : -ENOMEM;
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
	return find_process(&inodes, ret_holder);
}
