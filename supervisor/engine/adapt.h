/* adapt.h - workers that know nothing of us: what they find in their environment instead. */
#ifndef ENGINE_ADAPT_H
#define ENGINE_ADAPT_H

#include "engine/engine.h"

/*
 * What a worker's environment needs beyond our own variables: "NAME=value" strings to be set over
 * environment (NULL-terminated; the worker's as it is so far), of which it goes on from LD_PRELOAD.
 * A NULL-terminated list whose strings and block are the caller's. NULL: no memory.
 */
char **adapt_environment(const struct proc *proc, char *const *environment);
/* The descriptor of the socket on which a worker written for einhorn acknowledges: behind its
 * sockets. */
int adapt_ack_number(const struct pool_spec *spec);
/* At most so many variables. */
size_t adapt_count(const struct pool_spec *spec);
/* Is it a variable that belongs to the worker's process alone, and not to a command that is run
 * about it? */
bool adapt_is_private(const char *variable);

#endif
