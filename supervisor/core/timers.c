/* timers.c - a binary heap of deadlines by number. */
#include "core/timers.h"

#include <assert.h>
#include <string.h>

static void timers_put(struct timers *timers, uint32_t place, struct timer timer)
{
	timers->heap[place] = timer;
	timers->place[timer.id] = place;
}

static void timers_up(struct timers *timers, uint32_t place, struct timer timer)
{
	while (place > 0 && timers->heap[(place - 1) / 2].at > timer.at) {
		timers_put(timers, place, timers->heap[(place - 1) / 2]);
		place = (place - 1) / 2;
	}
	timers_put(timers, place, timer);
}

static void timers_down(struct timers *timers, uint32_t place, struct timer timer)
{
	uint32_t child;

	while ((child = 2 * place + 1) < timers->n) {
		if (child + 1 < timers->n && timers->heap[child + 1].at < timers->heap[child].at)
			child++;
		if (timers->heap[child].at >= timer.at)
			break;
		timers_put(timers, place, timers->heap[child]);
		place = child;
	}
	timers_put(timers, place, timer);
}

void timers_set_memory(struct timers *timers, struct timer *heap, uint32_t *place, uint32_t size)
{
	assert(size >= timers->size);
	if (timers->size > 0) {
		memcpy(heap, timers->heap, timers->n * sizeof(*heap));
		memcpy(place, timers->place, timers->size * sizeof(*place));
	}
	for (uint32_t id = timers->size; id < size; id++)
		place[id] = CORE_NONE;
	timers->heap = heap;
	timers->place = place;
	timers->size = size;
}

static void timers_clear(struct timers *timers, uint32_t place)
{
	struct timer last = timers->heap[--timers->n];

	timers->place[timers->heap[place].id] = CORE_NONE;
	if (place == timers->n)
		return;
	/* the last one fills the gap: it may have to go either way */
	if (place > 0 && timers->heap[(place - 1) / 2].at > last.at)
		timers_up(timers, place, last);
	else
		timers_down(timers, place, last);
}

void timers_set(struct timers *timers, uint32_t id, usec_t at)
{
	struct timer timer = {.at = at, .id = id};
	uint32_t place;

	assert(id < timers->size);
	place = timers->place[id];
	if (at == USEC_INFINITY) {
		if (place != CORE_NONE)
			timers_clear(timers, place);
		return;
	}
	if (place == CORE_NONE)
		timers_up(timers, timers->n++, timer);
	else if (at < timers->heap[place].at)
		timers_up(timers, place, timer);
	else
		timers_down(timers, place, timer);
}

usec_t timers_first(const struct timers *timers, uint32_t *ret_id)
{
	if (timers->n == 0)
		return USEC_INFINITY;
	if (ret_id != NULL)
		*ret_id = timers->heap[0].id;
	return timers->heap[0].at;
}
