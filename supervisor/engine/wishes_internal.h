/* wishes_internal.h - what the wishes that wait (wishes.c) and those that are carried out
 * (wishes_transaction.c) share. */
#ifndef ENGINE_WISHES_INTERNAL_H
#define ENGINE_WISHES_INTERNAL_H

#include "engine/wishes.h"

/* A transaction has ended: so have its wishes for whom nobody waits. */
void wishes_end_silent(struct engine *engine);
/* A transaction is held: those that wait behind it, with nobody to be told, are dropped. */
void wishes_drop_silent(struct engine *engine);

#endif
