/*
 * fd_store.h - descriptors that a worker gave us to keep for its successor, as systemd's fd store
 * does it (sd_pid_notify_with_fds(3), FDSTORE=1).
 *
 * While a transaction may still fail, what its new workers add and remove must not change what the
 * old ones have: such changes are tentative until fd_store_commit() or fd_store_undo().
 */
#ifndef SYSTEM_FD_STORE_H
#define SYSTEM_FD_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One of them. */
struct fd_entry {
	int fd;
	char *name;
	uint32_t serial;
	bool watched;
	bool tentative; /* added by a worker that is not committed yet */
	bool leaving;	/* removed by such a worker */
};

/* One slot's. {.epoll = , .key = } makes an empty one. */
struct fd_store {
	int epoll;    /* watches for dead ones; -1: nobody does */
	uint32_t key; /* what fd_store_next_dead() tells of this store */
	uint32_t serials;
	struct fd_entry *list;
	size_t n;
};

/* Do two descriptors have one open file description? kcmp(2); where that is forbidden, of one file
 * and with the same flags is the same. */
bool fd_store_is_same(int a, int b);
/* "memfd", "tcp", "udp", "unix", "pipe", "eventfd", ..., "file". Returns text. Asks no file system
 * (which might hang). */
enum { FD_STORE_KIND_MAX = 24 };
const char *fd_store_kind(int fd, char text[static FD_STORE_KIND_MAX]);

/*
 * Keeps fd under a name, unless there would be more than max (of those that a worker like this one
 * sees). 0: it is the store's; 1: there already, under whatever name; -EXFULL; -ENOMEM. Unless 0 is
 * returned, it stays the caller's. poll: drop it when it is dead (HUP, ERR), where it can be
 * watched.
 */
int fd_store_add(struct fd_store *store, int fd, const char *name, bool poll, unsigned max,
		 bool tentative);
/* Closes all of that name. How many there were. */
size_t fd_store_remove(struct fd_store *store, const char *name, bool tentative);
/* Does a worker see it that is committed, or is not (tentative)? */
bool fd_store_shows(const struct fd_entry *entry, bool tentative);
size_t fd_store_count(const struct fd_store *store, bool tentative);

/* The tentative changes count: what is more than max then goes, the last ones first. How many. */
size_t fd_store_commit(struct fd_store *store, unsigned max);
void fd_store_undo(struct fd_store *store);
/* Drops a dead one. True: it was there; its name in ret_name (the caller frees). */
bool fd_store_drop(struct fd_store *store, uint32_t serial, char **ret_name);
void fd_store_clear(struct fd_store *store);

/* The epoll of all stores. */
int fd_store_watch_new(int *ret_epoll);
/* The next dead one: 1 and whose it is, 0: none, -errno. */
int fd_store_next_dead(int epoll, uint32_t *ret_key, uint32_t *ret_serial);

#endif
