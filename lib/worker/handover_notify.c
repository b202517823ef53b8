/* handover_notify.c - what is said to NOTIFY_SOCKET: one datagram of KEY=value lines
 * (sd_notify(3)). */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "worker/handover_internal.h"

enum { STATUS_MAX = 500 };
#define WATCHDOG_MAX UINT64_C(86400000000)

int notify_find(struct handover *handover)
{
	int r = channel_address(getenv("NOTIFY_SOCKET"), &handover->notify_address,
				&handover->notify_len);
	uint64_t pid = worker_environment("WATCHDOG_PID", INT32_MAX);

	if (r <= 0)
		return r;
	/* kept open: a worker that is out of descriptors can still speak */
	handover->notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (handover->notify == -1)
		return -errno;
	/* another process's pid: the variable was inherited and meant for that one */
	if (pid == 0 || pid == (uint64_t)getpid())
		handover->watchdog = worker_environment("WATCHDOG_USEC", WATCHDOG_MAX) / 2;
	return 0;
}

int notify_send(const struct handover *handover, int flags, const char *text, size_t len, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(fd))];
	} control = {.bytes = {0}};
	struct sockaddr_un address = handover->notify_address;
	struct iovec iov = {.iov_base = (char *)text, .iov_len = len};
	struct msghdr header = {.msg_name = &address,
				.msg_namelen = handover->notify_len,
				.msg_iov = &iov,
				.msg_iovlen = 1};
	struct cmsghdr *c;
	ssize_t n;

	if (handover->notify == -1)
		return 0;
	if (fd != -1) {
		header.msg_control = &control;
		header.msg_controllen = sizeof(control);
		c = CMSG_FIRSTHDR(&header);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	do
		n = sendmsg(handover->notify, &header, flags | MSG_NOSIGNAL);
	while (n == -1 && errno == EINTR);
	return n == -1 ? -errno : 0;
}

__attribute__((format(printf, 3, 4))) static int notify_say(const struct handover *handover,
							    int flags, const char *format, ...)
{
	char text[STATUS_MAX + 64];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (len < 0 || (size_t)len >= sizeof(text))
		return -EMSGSIZE;
	return notify_send(handover, flags, text, (size_t)len, -1);
}

/* One line of at most STATUS_MAX bytes, not cut off inside a character. */
static void status_copy(char line[static STATUS_MAX + 1], const char *status)
{
	size_t len = strnlen(status, STATUS_MAX + 1);

	if (len > STATUS_MAX)
		for (len = STATUS_MAX; len > 0 && ((unsigned char)status[len] & 0xc0) == 0x80;)
			len--;
	for (size_t n = 0; n < len; n++)
		line[n] = status[n] == '\n' ? ' ' : status[n];
	line[len] = '\0';
}

PUBLIC int handover_status(struct handover *handover, const char *status)
{
	char line[STATUS_MAX + 1];

	if (handover == NULL)
		return 0;
	status_copy(line, status);
	return notify_say(handover, MSG_DONTWAIT, "STATUS=%s", line);
}

PUBLIC int handover_ready(struct handover *handover, const char *status)
{
	char line[STATUS_MAX + 1] = "";
	int r = 0;

	if (handover == NULL)
		return 0;
	pthread_mutex_lock(&handover->lock);
	handover->is_ready = true;
	if (handover->notify == -1 && handover->channel != -1)
		r = channel_say_ready(handover);
	pthread_mutex_unlock(&handover->lock);
	if (status != NULL)
		status_copy(line, status);
	/* the one message that must arrive, so this one may wait */
	return r < 0		? r
	       : status != NULL ? notify_say(handover, 0, "READY=1\nSTATUS=%s", line)
				: notify_say(handover, 0, "READY=1");
}

PUBLIC int handover_stopping(struct handover *handover)
{
	return handover == NULL ? 0 : notify_say(handover, MSG_DONTWAIT, "STOPPING=1");
}

PUBLIC int handover_extend(struct handover *handover, uint64_t usec)
{
	return handover == NULL ? 0
				: notify_say(handover, MSG_DONTWAIT, "EXTEND_TIMEOUT_USEC=%llu",
					     (unsigned long long)usec);
}

PUBLIC uint64_t handover_watchdog_interval(struct handover *handover)
{
	return handover == NULL ? 0 : handover->watchdog;
}

PUBLIC int handover_watchdog(struct handover *handover)
{
	uint64_t now, last;

	if (handover == NULL || handover->watchdog == 0)
		return 0;
	now = worker_now();
	last = atomic_load(&handover->pinged);
	/* whoever calls as often as this asks for sends every time, and others much less often */
	if (now - last < handover->watchdog / 4 ||
	    !atomic_compare_exchange_strong(&handover->pinged, &last, now))
		return 0;
	return notify_say(handover, MSG_DONTWAIT, "WATCHDOG=1");
}

uint64_t notify_feed(struct handover *handover)
{
	if (handover->watchdog == 0 || (handover->flags & HANDOVER_WATCHDOG) == 0)
		return UINT64_MAX;
	if (worker_now() - atomic_load(&handover->pinged) >= handover->watchdog)
		handover_watchdog(handover);
	return atomic_load(&handover->pinged) + handover->watchdog;
}
