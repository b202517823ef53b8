/* What the worker says to its supervisor: what is in flight, and while it drains also in words. */
#pragma once

#include <stddef.h>

struct event_base;
struct handover;
struct notify;

/* Returns 0 or -ENOMEM. */
int notify_new(struct event_base *base, struct handover *handover, struct notify **ret);

/* Takes NULL. */
void notify_free(struct notify *notify);

/*
 * From now on the status says what `describe` writes, at most five times a second, and the last
 * word always: a supervisor that has to kill us can then log what we were doing.
 */
void notify_stopping(struct notify *notify, void (*describe)(char *text, size_t size, void *arg),
		     void *arg);

/* Told at every change. */
void notify_inflight(struct notify *notify, unsigned count);
