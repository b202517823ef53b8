/* bound.c - what the program believes of descriptors that became a given socket. */
#include "bound.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "given.h"
#include "real.h"

enum { SLOTS = 256, FREE = 0, RESERVED = -1 };

/* fd is the descriptor + 1, so that zeros mean "free". */
static struct slot {
	atomic_int fd;
	atomic_bool blocking, polled, shut;
	atomic_int wake; /* an eventfd, -1: none; readable when the socket was shut down */
} slots[SLOTS];
static atomic_int n_slots; /* those behind were never used */
static atomic_bool any_blocking;
static pid_t owner; /* whose descriptors they are */

static struct slot *find(int fd)
{
	int n = atomic_load_explicit(&n_slots, memory_order_acquire);

	for (int i = 0; i < n; i++)
		if (atomic_load_explicit(&slots[i].fd, memory_order_acquire) == fd + 1)
			return &slots[i];
	return NULL;
}

static struct slot *reserve(void)
{
	int unused, n;

	for (int i = 0; i < SLOTS; i++) {
		unused = FREE;
		if (!atomic_compare_exchange_strong(&slots[i].fd, &unused, RESERVED))
			continue;
		n = atomic_load(&n_slots);
		while (n < i + 1 && !atomic_compare_exchange_weak(&n_slots, &n, i + 1))
			;
		return &slots[i];
	}
	return NULL;
}

void bound_add(int fd, bool blocking)
{
	struct slot *slot = find(fd);

	if (slot == NULL) {
		slot = reserve();
		if (slot == NULL)
			return;
		atomic_store(&slot->wake, -1);
		atomic_store(&slot->shut, false);
		atomic_store(&slot->polled, false);
	}
	if (blocking && atomic_load(&slot->wake) == -1)
		atomic_store(&slot->wake, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	atomic_store(&slot->blocking, blocking);
	if (blocking)
		atomic_store_explicit(&any_blocking, true, memory_order_relaxed);
	atomic_store_explicit(&slot->fd, fd + 1, memory_order_release);
}

void bound_forget(int fd)
{
	struct slot *slot = find(fd);
	int is = fd + 1, wake;

	/* a child of vfork(2) closes descriptors of its own, but the memory is its parent's */
	if (slot == NULL || getpid() != owner ||
	    !atomic_compare_exchange_strong(&slot->fd, &is, RESERVED))
		return;
	wake = atomic_exchange(&slot->wake, -1);
	atomic_store_explicit(&slot->fd, FREE, memory_order_release);
	if (wake != -1)
		close(wake);
}

bool bound_blocks(int fd)
{
	const struct slot *slot = find(fd);

	return slot != NULL && atomic_load(&slot->blocking);
}

bool bound_any(void)
{
	return atomic_load_explicit(&any_blocking, memory_order_relaxed);
}

void bound_polled(int fd)
{
	struct slot *slot = find(fd);

	if (slot != NULL)
		atomic_store(&slot->polled, true);
}

void bound_shut(int fd)
{
	struct slot *slot = find(fd);
	uint64_t one = 1;

	if (slot == NULL) {
		bound_add(fd, false);
		slot = find(fd);
	}
	if (slot == NULL)
		return;
	atomic_store(&slot->shut, true);
	if (atomic_load(&slot->wake) != -1 && write(slot->wake, &one, sizeof(one)) == -1)
		return; /* full: it is readable already */
}

bool bound_is_shut(int fd)
{
	const struct slot *slot = find(fd);

	if (slot == NULL || !atomic_load(&slot->shut))
		return false;
	if (given_behind(fd) != NULL)
		return true;
	/* the number was given to something else without our knowing */
	bound_forget(fd);
	return false;
}

/* As SO_RCVTIMEO says, in milliseconds; -1: for ever. */
static int patience_of(int fd)
{
	struct timeval limit = {0};
	socklen_t len = sizeof(limit);
	long long msec;

	if (getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, &len) == -1)
		return -1;
	msec = limit.tv_sec * 1000LL + (limit.tv_usec + 999) / 1000;
	return msec == 0 ? -1 : msec > INT32_MAX ? INT32_MAX : (int)msec;
}

bool bound_wait(int fd)
{
	struct slot *slot = find(fd);
	struct pollfd fds[2] = {{.fd = fd, .events = POLLIN}, {.fd = -1, .events = POLLIN}};
	uint64_t count;
	int n;

	if (slot == NULL || !atomic_load(&slot->blocking) || atomic_load(&slot->polled) ||
	    given_behind(fd) == NULL) {
		errno = EAGAIN;
		return false;
	}
	fds[1].fd = atomic_load(&slot->wake);
	n = REAL(poll)(fds, 2, patience_of(fd));
	if (n == -1)
		return false;
	if (atomic_load(&slot->shut)) {
		errno = EINVAL;
		return false;
	}
	/* woken by a process that shares it and shut its own one down: not meant */
	if (fds[1].revents != 0 && read(fds[1].fd, &count, sizeof(count)) == -1 && errno != EAGAIN)
		return false;
	errno = EAGAIN;
	return n > 0;
}

/* What a child shuts down must not wake its parent. */
static void forked(void)
{
	owner = getpid();
	for (int i = 0; i < atomic_load(&n_slots); i++) {
		int wake = atomic_load(&slots[i].wake), own;

		if (atomic_load(&slots[i].fd) <= 0 || wake == -1)
			continue;
		own = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (own == -1)
			continue;
		dup3(own, wake, O_CLOEXEC);
		close(own);
	}
}

void bound_start(void)
{
	owner = getpid();
	pthread_atfork(NULL, NULL, forked);
}
