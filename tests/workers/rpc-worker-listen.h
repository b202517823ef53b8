/*
 * Listening sockets: received from the supervisor or, to try the worker by hand, bound by itself.
 *
 * A received socket is shared with the supervisor and with sibling workers: one open file
 * description, many holders. So nobody here clears its O_NONBLOCK or calls shutdown() on it, both
 * of which would hit the others; we stop accepting by closing our own descriptor.
 */
#pragma once

#include <stdbool.h>

struct evhttp;
struct handover;
struct event_base;
struct listeners;

/*
 * Takes the sockets that were handed over, or binds `address` ("HOST:PORT") if none were and it is
 * not NULL. Says on stderr what is wrong and returns -errno where there is nothing to serve on.
 */
int listeners_open(struct handover *handover, const char *address, struct listeners **ret);

/* Do they come later, once we are ready? Then listeners_adopt() takes them. */
bool listeners_wait(const struct listeners *listeners);

/* Takes what was sent, and closes what is no longer ours. */
void listeners_adopt(struct listeners *listeners);

/* Lets `http` accept from all that it does not yet. Returns 0 or -errno. */
int listeners_start(struct listeners *listeners, struct event_base *base, struct evhttp *http);

/* Stops accepting and closes our descriptors: who connects from now on reaches a sibling. */
void listeners_close(struct listeners *listeners);

/* Misbehaves: stops the shared sockets for everybody, as some libraries do when they close. */
void listeners_shutdown(const struct listeners *listeners);

/* Takes NULL. */
void listeners_free(struct listeners *listeners);

/* The sockets' names, separated by spaces. */
const char *listeners_names(const struct listeners *listeners);
