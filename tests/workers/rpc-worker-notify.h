/*
 * What the worker says to its supervisor: sd_notify's protocol by hand, which is one datagram of
 * KEY=value lines to the socket that NOTIFY_SOCKET names (see sd_notify(3)).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct event_base;
struct notify;

/*
 * Never says anything where NOTIFY_SOCKET is unset. Feeds the watchdog at half its interval if the
 * supervisor set one for this process and `feed_watchdog`. Returns 0 or -errno.
 */
int notify_new(struct event_base *base, bool feed_watchdog, struct notify **ret);

/* Takes NULL. */
void notify_free(struct notify *notify);

void notify_ready(struct notify *notify, const char *status);

/*
 * From now on the status says what `describe` writes: a supervisor that has to kill us can then log
 * what we were doing.
 */
void notify_stopping(struct notify *notify, void (*describe)(char *text, size_t size, void *arg),
		     void *arg);

/* Told at every change; passed on at most five times a second, and the last value always. */
void notify_inflight(struct notify *notify, unsigned count);
