/* fd_store.c - descriptors that are kept for a worker's successor. */
#include "system/fd_store.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"

/* ---- single descriptors ---- */

bool fd_store_is_same(int a, int b)
{
	long r = syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, a, b);
	struct stat one, other;
	int flags;

	if (r >= 0)
		return r == 0;
	/* a sandbox forbids it, or the kernel was built without */
	if (fstat(a, &one) == -1 || fstat(b, &other) == -1 || one.st_dev != other.st_dev ||
	    one.st_ino != other.st_ino || (one.st_mode & S_IFMT) != (other.st_mode & S_IFMT))
		return false;
	/* all of the first kind have one inode; two openings of a device can be quite different */
	if ((one.st_mode & S_IFMT) == 0 || S_ISCHR(one.st_mode) || S_ISBLK(one.st_mode))
		return false;
	flags = fcntl(a, F_GETFL);
	return flags != -1 && flags == fcntl(b, F_GETFL);
}

static const char *socket_kind(int fd)
{
	int domain = 0, type = 0;
	socklen_t len = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == -1 ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == -1)
		return "socket";
	if (domain == AF_UNIX)
		return "unix";
	if (domain != AF_INET && domain != AF_INET6)
		return "socket";
	return type == SOCK_STREAM ? "tcp" : type == SOCK_DGRAM ? "udp" : "socket";
}

const char *fd_store_kind(int fd, char text[static FD_STORE_KIND_MAX])
{
	char path[32], target[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, target, sizeof(target) - 1);
	target[n < 0 ? 0 : n] = '\0';
	if (strncmp(target, "socket:", 7) == 0)
		snprintf(text, FD_STORE_KIND_MAX, "%s", socket_kind(fd));
	else if (strncmp(target, "pipe:", 5) == 0)
		snprintf(text, FD_STORE_KIND_MAX, "pipe");
	else if (strncmp(target, "/memfd:", 7) == 0)
		snprintf(text, FD_STORE_KIND_MAX, "memfd");
	else if (strncmp(target, "anon_inode:[", 12) == 0)
		snprintf(text, FD_STORE_KIND_MAX, "%.*s", (int)strcspn(target + 12, "]"),
			 target + 12);
	else
		snprintf(text, FD_STORE_KIND_MAX, "file");
	return text;
}

/* ---- watching ---- */

int fd_store_watch_new(int *ret_epoll)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	if (epoll == -1)
		return -errno;
	*ret_epoll = epoll;
	return 0;
}

/* HUP and ERR come unasked; data is no event of ours. What cannot be watched (a file, a memfd) does
 * not die either. */
static bool entry_watch(const struct fd_store *store, const struct fd_entry *entry)
{
	struct epoll_event event = {.events = EPOLLONESHOT,
				    .data.u64 = (uint64_t)store->key << 32 | entry->serial};

	return store->epoll >= 0 && epoll_ctl(store->epoll, EPOLL_CTL_ADD, entry->fd, &event) == 0;
}

int fd_store_next_dead(int epoll, uint32_t *ret_key, uint32_t *ret_serial)
{
	struct epoll_event event;
	int n = epoll_wait(epoll, &event, 1, 0);

	if (n == -1)
		return errno == EINTR ? 0 : -errno;
	if (n == 0)
		return 0;
	*ret_key = (uint32_t)(event.data.u64 >> 32);
	*ret_serial = (uint32_t)event.data.u64;
	return 1;
}

/* ---- the list ---- */

bool fd_store_shows(const struct fd_entry *entry, bool tentative)
{
	return tentative ? !entry->leaving : !entry->tentative;
}

size_t fd_store_count(const struct fd_store *store, bool tentative)
{
	size_t count = 0;

	for (size_t n = 0; n < store->n; n++)
		count += fd_store_shows(&store->list[n], tentative);
	return count;
}

/* A worker may hold the same file, so that an epoll that was not told would go on watching it. */
static void entry_close(struct fd_store *store, size_t at)
{
	struct fd_entry *entry = &store->list[at];

	if (entry->watched)
		epoll_ctl(store->epoll, EPOLL_CTL_DEL, entry->fd, NULL);
	fd_close_now(entry->fd);
	free(entry->name);
	store->n--;
	memmove(entry, entry + 1, (store->n - at) * sizeof(*entry));
}

static bool has_same(const struct fd_store *store, int fd, bool tentative)
{
	for (size_t n = 0; n < store->n; n++)
		if (fd_store_shows(&store->list[n], tentative) &&
		    fd_store_is_same(store->list[n].fd, fd))
			return true;
	return false;
}

int fd_store_add(struct fd_store *store, int fd, const char *name, bool poll, unsigned max,
		 bool tentative)
{
	struct fd_entry *list, entry = {.fd = fd, .tentative = tentative};

	if (has_same(store, fd, tentative))
		return 1;
	if (fd_store_count(store, tentative) >= max)
		return -EXFULL;
	list = reallocarray(store->list, store->n + 1, sizeof(*list));
	if (list == NULL)
		return -ENOMEM;
	store->list = list;
	entry.name = strdup(name);
	if (entry.name == NULL)
		return -ENOMEM;
	entry.fd = fd_park(fd);
	entry.serial = ++store->serials;
	entry.watched = poll && entry_watch(store, &entry);
	store->list[store->n++] = entry;
	return 0;
}

size_t fd_store_remove(struct fd_store *store, const char *name, bool tentative)
{
	size_t removed = 0;

	for (size_t n = store->n; n-- > 0;) {
		struct fd_entry *entry = &store->list[n];

		if (!fd_store_shows(entry, tentative) || strcmp(entry->name, name) != 0)
			continue;
		removed++;
		if (tentative && !entry->tentative)
			entry->leaving = true;
		else
			entry_close(store, n);
	}
	return removed;
}

/* What old workers and new ones added, each for themselves. */
static void drop_doubles(struct fd_store *store)
{
	for (size_t n = store->n; n-- > 0;) {
		bool twice = false;

		for (size_t i = 0; store->list[n].tentative && i < store->n && !twice; i++)
			twice = !store->list[i].tentative && !store->list[i].leaving &&
				fd_store_is_same(store->list[i].fd, store->list[n].fd);
		if (twice)
			entry_close(store, n);
	}
}

size_t fd_store_commit(struct fd_store *store, unsigned max)
{
	size_t surplus;

	for (size_t n = store->n; n-- > 0;)
		if (store->list[n].leaving)
			entry_close(store, n);
	drop_doubles(store);
	for (size_t n = 0; n < store->n; n++)
		store->list[n].tentative = false;
	surplus = store->n > max ? store->n - max : 0;
	while (store->n > max)
		entry_close(store, store->n - 1);
	return surplus;
}

void fd_store_undo(struct fd_store *store)
{
	for (size_t n = store->n; n-- > 0;) {
		store->list[n].leaving = false;
		if (store->list[n].tentative)
			entry_close(store, n);
	}
}

bool fd_store_drop(struct fd_store *store, uint32_t serial, char **ret_name)
{
	for (size_t n = 0; n < store->n; n++)
		if (store->list[n].serial == serial) {
			*ret_name = TAKE_PTR(store->list[n].name);
			entry_close(store, n);
			return true;
		}
	return false;
}

void fd_store_clear(struct fd_store *store)
{
	while (store->n > 0)
		entry_close(store, store->n - 1);
	free(store->list);
	store->list = NULL;
}
