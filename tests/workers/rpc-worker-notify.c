/* What the worker says to its supervisor, by sd_notify's protocol. */
#include "rpc-worker-notify.h"

#include <errno.h>
#include <event2/event.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "rpc-worker-util.h"

#define INFLIGHT_INTERVAL_USEC (200 * USEC_PER_MSEC)

struct notify {
	int fd; /* -1: nobody listens */
	struct sockaddr_un addr;
	socklen_t addr_len;
	struct event *watchdog;
	struct event *pace; /* pending: we spoke of requests in flight a moment ago */
	unsigned inflight, inflight_said;
	void (*describe)(char *text, size_t size, void *arg); /* NULL: not stopping */
	void *describe_arg;
	bool complained; /* that the supervisor cannot be reached: once is enough */
};

/* A serving worker does not wait for a slow supervisor: what cannot be said now is dropped. */
__attribute__((format(printf, 3, 4))) static void notify_send(struct notify *notify, int flags,
							      const char *format, ...)
{
	char text[512];
	va_list args;
	int len;

	if (notify->fd == -1)
		return;
	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (len < 0 || (size_t)len >= sizeof(text))
		return;
	if (sendto(notify->fd, text, (size_t)len, flags | MSG_NOSIGNAL,
		   (const struct sockaddr *)&notify->addr, notify->addr_len) == -1 &&
	    errno != EAGAIN && !notify->complained) {
		fprintf(stderr,
			"rpc-worker: cannot reach the supervisor's socket: %s; serving on\n",
			strerror(errno));
		notify->complained = true;
	}
}

void notify_ready(struct notify *notify, const char *status)
{
	/* The one message that must arrive, so this one may wait. */
	notify_send(notify, 0, "READY=1\nSTATUS=%s", status);
}

static void notify_say_inflight(struct notify *notify)
{
	struct timeval pause = usec_timeval(INFLIGHT_INTERVAL_USEC);
	char text[256];

	if (notify->describe != NULL) {
		notify->describe(text, sizeof(text), notify->describe_arg);
		notify_send(notify, MSG_DONTWAIT, "X_HANDOVER_INFLIGHT=%u\nSTATUS=%s",
			    notify->inflight, text);
	} else {
		notify_send(notify, MSG_DONTWAIT, "X_HANDOVER_INFLIGHT=%u", notify->inflight);
	}
	notify->inflight_said = notify->inflight;
	event_add(notify->pace, &pause);
}

static void notify_on_pace(evutil_socket_t fd, short what, void *arg)
{
	struct notify *notify = arg;

	(void)fd;
	(void)what;
	if (notify->inflight != notify->inflight_said)
		notify_say_inflight(notify);
}

void notify_inflight(struct notify *notify, unsigned count)
{
	notify->inflight = count;
	if (notify->fd != -1 && count != notify->inflight_said &&
	    !event_pending(notify->pace, EV_TIMEOUT, NULL))
		notify_say_inflight(notify);
}

void notify_stopping(struct notify *notify, void (*describe)(char *text, size_t size, void *arg),
		     void *arg)
{
	notify_send(notify, MSG_DONTWAIT, "STOPPING=1");
	notify->describe = describe;
	notify->describe_arg = arg;
	notify_say_inflight(notify);
}

static void notify_on_watchdog(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	notify_send(arg, MSG_DONTWAIT, "WATCHDOG=1");
}

/* WATCHDOG_PID guards against a variable that was inherited from a parent and meant for it. */
static uint64_t watchdog_usec(void)
{
	if (env_u64("WATCHDOG_PID", INT32_MAX, (uint64_t)getpid()) != (uint64_t)getpid())
		return 0;
	return env_u64("WATCHDOG_USEC", UINT64_C(86400) * USEC_PER_SEC, 0);
}

/* A leading '@' stands for the NUL of the abstract name space. */
static int notify_open(struct notify *notify, const char *path)
{
	size_t len = strlen(path);

	if ((path[0] != '/' && path[0] != '@') || len < 2 || len >= sizeof(notify->addr.sun_path))
		return -EINVAL;
	notify->addr.sun_family = AF_UNIX;
	memcpy(notify->addr.sun_path, path, len);
	if (path[0] == '@')
		notify->addr.sun_path[0] = '\0';
	notify->addr_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	/* Opened once and kept, so that a worker that is out of descriptors can still speak. */
	notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return notify->fd == -1 ? -errno : 0;
}

int notify_new(struct event_base *base, bool feed_watchdog, struct notify **ret)
{
	struct notify *notify = calloc(1, sizeof(*notify));
	const char *path = getenv("NOTIFY_SOCKET");
	uint64_t interval = feed_watchdog ? watchdog_usec() / 2 : 0;
	struct timeval half = usec_timeval(interval);
	int r;

	if (notify == NULL)
		return -ENOMEM;
	notify->fd = -1;
	r = path != NULL ? notify_open(notify, path) : 0;
	if (r < 0)
		goto fail;
	r = -ENOMEM;
	notify->pace = evtimer_new(base, notify_on_pace, notify);
	notify->watchdog = event_new(base, -1, EV_PERSIST, notify_on_watchdog, notify);
	if (notify->pace == NULL || notify->watchdog == NULL)
		goto fail;
	if (interval > 0 && notify->fd != -1)
		event_add(notify->watchdog, &half);
	*ret = notify;
	return 0;
fail:
	notify_free(notify);
	return r;
}

void notify_free(struct notify *notify)
{
	if (notify == NULL)
		return;
	if (notify->pace != NULL)
		event_free(notify->pace);
	if (notify->watchdog != NULL)
		event_free(notify->watchdog);
	if (notify->fd != -1)
		close(notify->fd);
	free(notify);
}
