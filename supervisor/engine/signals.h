/* signals.h - signals become facts in the loop. */
#ifndef ENGINE_SIGNALS_H
#define ENGINE_SIGNALS_H

#include "engine/engine.h"

int signals_new(struct engine *engine);
void signals_free(struct engine *engine);

#endif
