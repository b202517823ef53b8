/* orders_internal.h - what carrying out the model's orders (orders.c) and those about a worker's
 * state (orders_worker.c) share. */
#ifndef ENGINE_ORDERS_INTERNAL_H
#define ENGINE_ORDERS_INTERNAL_H

#include "engine/engine.h"

static inline long long orders_ms(usec_t usec)
{
	return (long long)(usec / USEC_PER_MSEC);
}

/* ---- orders_worker.c ---- */

/* ORDER_STATE: the worker is in another state now. */
void orders_state(struct engine *engine, const struct order *order);

#endif
