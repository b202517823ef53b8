/* state.h - what the instance is, for whoever asks: ready or not and why, states in words, our
 * service manager. */
#ifndef ENGINE_STATE_H
#define ENGINE_STATE_H

#include "engine/engine.h"

/* Sends what ("READY=1", "STOPPING=1") with a STATUS that an operator likes to read. */
void state_tell_manager(struct engine *engine, const char *what);

#endif
