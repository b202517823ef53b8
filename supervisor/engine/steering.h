/*
 * steering.h - reuseport = yes: each slot has a TCP socket of its own, all at one address. New
 * connections are kept away from slots where nobody would accept them: those that go, and those
 * whose worker is not there at the moment. Who waits in a queue already stays there: predecessor
 * and successor share it, and a slot's last worker is told to drain when it is empty.
 * All of these are harmless for other sockets.
 */
#ifndef ENGINE_STEERING_H
#define ENGINE_STEERING_H

#include "engine/engine.h"

struct listener_spec;

/* Is one of ours with reuseport at that address already? */
bool steering_has(const struct engine *engine, const struct listener_spec *spec);
/* Where in the list it belongs: behind the others at its address. */
struct engine_socket **steering_place(struct engine *engine, const struct engine_socket *socket);
/* It has begun to listen, behind all others. */
void steering_joins(struct engine *engine, struct engine_socket *socket);
/* It is shut down next: the one that takes its place gets nothing in that moment, until
 * steering_update(). */
void steering_leaves(struct engine *engine, struct engine_socket *socket);
/* Somebody else shut down this one, and perhaps others of them, and it listens again next. */
void steering_lost_some(struct engine *engine, struct engine_socket *socket);
/* First step of closing it: no new clients. False: it takes more than this. */
bool steering_refuse(struct engine *engine, struct engine_socket *socket);
/* Workers, slots or sockets may have come or gone. */
void steering_update(struct engine *engine);

/* The worker drains; its slot goes, and somebody may wait there: true, it is told later. */
bool steering_holds_drain(struct proc *proc, const struct order *order);
/* The same for the signal, behind it. */
bool steering_holds_signal(struct proc *proc, const struct order *order);

/* Callback of the engine's event. */
void steering_look(evutil_socket_t fd, short what, void *arg);

#endif
