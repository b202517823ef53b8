/*
 * taking.h - listen = handover:INSTANCE/NAME: a listening socket from another running instance,
 * over its sockets.sock. It is asked for before the socket is opened, and the master does not wait:
 * a reload goes on when the answer is there. The connection stays for as long as we hold the
 * socket, see giving.h.
 */
#ifndef ENGINE_TAKING_H
#define ENGINE_TAKING_H

#include "engine/engine.h"

/*
 * Asks for every socket of config (only: that the pool uses; NULL: all) that is another instance's
 * and not open yet. True: done() is called, later, when all have been answered or their time is up,
 * unless takings_end() comes first. False: there is nothing to ask for.
 */
bool takings_begin(struct engine *engine, const struct config *config, const struct pool_spec *only,
		   void (*done)(struct engine *engine));
/* The same at the start, when nobody is served yet: returns when all have been answered, within 5
 * s.
 */
void takings_wait(struct engine *engine, const struct config *config);
/* The callback of engine->taking_timer. */
void takings_done(evutil_socket_t fd, short what, void *arg);
/* Nobody claims what is left of them. */
void takings_end(struct engine *engine);

/* The socket that was asked for: fills listener, taken and taking. 0, or -errno with a sentence. */
int taking_claim(struct engine *engine, const struct socket_spec *spec,
		 struct engine_socket *socket, char **ret_error);
/* Does the instance run that it is to be taken from, and may we ask it? 0, or -errno with a
 * sentence. */
int taking_try(struct engine *engine, const struct socket_spec *spec, char **ret_error);
/* We hold it no longer; accepts a socket that was not taken. */
void taking_close(struct engine_socket *socket);
/* Looks for what the other instance has said and we have not read yet. */
void taking_look(struct engine_socket *socket);
/* Does the other instance still answer for the socket? Then it mends it. */
bool taking_has_owner(const struct engine_socket *socket);

#endif
