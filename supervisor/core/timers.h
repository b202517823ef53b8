/* timers.h - a binary heap of deadlines by number: set, change and clear in O(log n), the nearest
 * in O(1). */
#ifndef CORE_TIMERS_H
#define CORE_TIMERS_H

#include "core/types.h"

struct timer {
	usec_t at;
	uint32_t id;
};

struct timers {
	struct timer *heap; /* n of size */
	uint32_t *place;    /* by id: place in heap, or CORE_NONE */
	uint32_t n;
	uint32_t size; /* ids are 0..size-1 */
};

/* Takes memory for `size` ids. What was set stays set (the old memory may go afterwards). */
void timers_set_memory(struct timers *timers, struct timer *heap, uint32_t *place, uint32_t size);
/* Sets id's deadline; USEC_INFINITY clears it. */
void timers_set(struct timers *timers, uint32_t id, usec_t at);
/* The nearest deadline, USEC_INFINITY if there is none. ret_id may be NULL. */
usec_t timers_first(const struct timers *timers, uint32_t *ret_id);

#endif
