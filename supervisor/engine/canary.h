/* canary.h - the first workers of a new version: the command that is asked about them, and what is
 * told of them. */
#ifndef ENGINE_CANARY_H
#define ENGINE_CANARY_H

#include "engine/engine.h"

/* They serve, and are watched from now on. */
void canary_serves(struct engine *engine, const struct order *order);
/* Runs canary_check; what it says is posted to the model, which sees to its time. */
void canary_check(struct engine *engine, const struct order *order);
/* Nothing speaks against them. */
void canary_good(struct engine *engine, const struct order *order);
/* How the command of pool p ended, in words ("exited with code 1"), and what it wrote; NULL: it has
 * said nothing. Kept until the transaction ends. */
const char *canary_answer(const struct engine *engine, uint32_t p, struct buf *lines);
/* The transaction is over: a command that still runs is killed, its answer forgotten. */
void canaries_end(struct engine *engine);
/* When a transaction that is held will be aborted, on the clock on the wall: "14:32". Returns text.
 */
char *canary_until(const struct engine *engine, char text[static 32]);

#endif
