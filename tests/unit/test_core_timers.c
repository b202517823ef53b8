/* test_core_timers.c - the heap of deadlines against a plain list, at random. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/timers.h"

#define IDS 64

static uint64_t next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static void give_memory(struct timers *timers, uint32_t size)
{
	struct timer *heap = timers->heap;
	uint32_t *place = timers->place;

	timers_set_memory(timers, malloc(size * sizeof(*heap)), malloc(size * sizeof(*place)),
			  size);
	free(heap);
	free(place);
}

static void compare(const struct timers *timers, const usec_t *list, uint32_t size)
{
	usec_t nearest = USEC_INFINITY;
	uint32_t set = 0, id = CORE_NONE;

	for (uint32_t n = 0; n < size; n++) {
		uint32_t place = timers->place[n];

		set += list[n] != USEC_INFINITY;
		nearest = list[n] < nearest ? list[n] : nearest;
		assert_int_equal(place == CORE_NONE, list[n] == USEC_INFINITY);
		if (place == CORE_NONE)
			continue;
		assert_int_equal(timers->heap[place].id, n);
		assert_int_equal(timers->heap[place].at, list[n]);
		assert_true(place == 0 || timers->heap[(place - 1) / 2].at <= list[n]);
	}
	assert_int_equal(timers->n, set);
	assert_int_equal(timers_first(timers, &id), nearest);
	assert_int_equal(timers_first(timers, NULL), nearest);
	assert_int_equal(id == CORE_NONE, nearest == USEC_INFINITY);
	if (id != CORE_NONE)
		assert_int_equal(list[id], nearest);
}

static void against_a_list(void **state)
{
	uint64_t seed = 88172645463325252u;

	(void)state;
	for (int round = 0; round < 200; round++) {
		struct timers timers = {.n = 0};
		usec_t list[IDS];
		uint32_t size = 1 + next(&seed) % 8;
		uint64_t width = round % 2 == 0 ? 5 : 1000000; /* many that are equal, or few */

		for (uint32_t n = 0; n < IDS; n++)
			list[n] = USEC_INFINITY;
		give_memory(&timers, size);
		for (int n = 0; n < 500; n++) {
			uint32_t id = next(&seed) % size;

			list[id] = next(&seed) % 3 == 0 ? USEC_INFINITY : next(&seed) % width;
			timers_set(&timers, id, list[id]);
			if (size < IDS && next(&seed) % 50 == 0)
				give_memory(&timers, size += 1 + next(&seed) % (IDS - size));
			compare(&timers, list, size);
		}
		free(timers.heap);
		free(timers.place);
	}
}

static void they_come_in_order(void **state)
{
	struct timers timers = {.n = 0};
	uint64_t seed = 11;
	usec_t last = 0;
	uint32_t id;

	(void)state;
	give_memory(&timers, 10000);
	for (id = 0; id < 10000; id++)
		timers_set(&timers, id, next(&seed) % 100000);
	for (int n = 0; n < 10000; n++) {
		usec_t at = timers_first(&timers, &id);

		assert_true(at >= last && at != USEC_INFINITY);
		last = at;
		timers_set(&timers, id, USEC_INFINITY);
	}
	assert_int_equal(timers_first(&timers, &id), USEC_INFINITY);
	free(timers.heap);
	free(timers.place);
}

static void nothing_is_set_at_first(void **state)
{
	struct timers timers = {.n = 0};

	(void)state;
	assert_int_equal(timers_first(&timers, NULL), USEC_INFINITY);
	give_memory(&timers, 3);
	assert_int_equal(timers_first(&timers, NULL), USEC_INFINITY);
	timers_set(&timers, 1, USEC_INFINITY);
	assert_int_equal(timers.n, 0);
	free(timers.heap);
	free(timers.place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(against_a_list),
	    cmocka_unit_test(they_come_in_order),
	    cmocka_unit_test(nothing_is_set_at_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
