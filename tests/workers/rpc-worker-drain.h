/*
 * Leaving without losing a request: refuse the new, let the old finish, within a limit. The
 * backstop is the supervisor's SIGKILL, and the point of the limit is never to meet it.
 */
#pragma once

#include <stdbool.h>

struct event_base;
struct handover;
struct listeners;
struct notify;
struct server;
struct drain;

struct drain_setup {
	struct event_base *base;
	struct handover *handover;
	struct listeners *listeners;
	struct notify *notify;
	struct server *server;
	int drain_signal;
	bool ignore_term;
	bool stubborn;		 /* no limit of our own */
	bool shutdown_listeners; /* misbehave */
};

/*
 * Takes over the drain signal and SIGINT, and SIGQUIT (unless that is the drain signal), which
 * prints what is in flight. The loop ends when the drain has. Returns 0 or -ENOMEM.
 */
int drain_new(const struct drain_setup *setup, struct drain **ret);

/* Takes NULL. */
void drain_free(struct drain *drain);

/* Begins, unless it has; why is for the log. */
void drain_start(struct drain *drain, const char *why);

bool drain_active(const struct drain *drain);

/* To be told whenever the number of calls in flight has changed. */
void drain_inflight_changed(struct drain *drain);
