/* orders.h - carries out what the model orders, and tells what it tells. */
#ifndef ENGINE_ORDERS_H
#define ENGINE_ORDERS_H

#include "engine/engine.h"

void orders_execute(struct engine *engine, const struct order *order);

#endif
