/* test_incidents.c - the memory of ends: how many, how large, of whom. */
#include "unit.h"

#include "base/fd.h"
#include "engine/incidents.h"

static char *filled(size_t n)
{
	char *text = malloc(n + 1);

	assert_non_null(text);
	memset(text, 'x', n);
	text[n] = '\0';
	return text;
}

static struct incident *make(enum incident_kind kind, uint32_t slot, long pid)
{
	struct incident *incident = calloc(1, sizeof(*incident));

	assert_non_null(incident);
	incident->kind = kind;
	incident->slot = slot;
	incident->pid = pid;
	incident->message = strdup("exited with code 1");
	return incident;
}

static struct incident *make_large(uint32_t slot)
{
	struct incident *incident = make(INCIDENT_OVERDUE, slot, 1);

	incident->lines = filled(INCIDENT_LINES_MAX);
	incident->dump = filled(INCIDENT_DUMP_MAX);
	return incident;
}

static void add(struct incidents *incidents, const char *pool, struct incident *incident)
{
	assert_int_equal(incidents_add(incidents, pool, incident), 0);
}

static void test_the_last_twenty_are_kept(void **state)
{
	struct incidents incidents = {0};
	const struct incidents_pool *pool;

	(void)state;
	assert_null(incidents_of(&incidents, "api"));
	for (long n = 1; n <= 25; n++)
		add(&incidents, "api", make(INCIDENT_CRASHED, 0, n));
	add(&incidents, "web", make(INCIDENT_CRASHED, 0, 99));
	pool = incidents_of(&incidents, "api");
	assert_int_equal(pool->n, INCIDENTS_KEPT);
	assert_int_equal(pool->dropped, 5);
	for (unsigned i = 0; i < pool->n; i++) {
		assert_int_equal(pool->list[i]->pid, 6 + i);
		assert_int_equal(pool->list[i]->id, 6 + i);
	}
	assert_int_equal(incidents_of(&incidents, "web")->list[0]->id, 26);
	incidents_free(&incidents);
	assert_null(incidents_of(&incidents, "api"));
}

/* A worker that renews itself every minute must not push out the crash of last night. */
static void test_harmless_ones_make_room_first(void **state)
{
	struct incidents incidents = {0};
	const struct incidents_pool *pool;

	(void)state;
	for (long n = 1; n <= 10; n++)
		add(&incidents, "api", make(INCIDENT_CRASHED, 0, n));
	for (long n = 11; n <= 100; n++)
		add(&incidents, "api", make(INCIDENT_EXITED, 0, n));
	pool = incidents_of(&incidents, "api");
	assert_int_equal(pool->n, INCIDENTS_KEPT);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(pool->list[i]->pid, 1 + i);
	for (unsigned i = 10; i < 20; i++)
		assert_int_equal(pool->list[i]->pid, 81 + i);
	/* and the newest is never the one that goes */
	for (long n = 201; n <= 230; n++)
		add(&incidents, "api", make(INCIDENT_CRASHED, 0, n));
	add(&incidents, "api", make(INCIDENT_EXITED, 0, 300));
	assert_int_equal(pool->list[0]->pid, 212);
	assert_int_equal(pool->list[INCIDENTS_KEPT - 1]->pid, 300);
	incidents_free(&incidents);
}

static size_t size_of(const struct incidents_pool *pool)
{
	size_t size = 0;

	for (unsigned i = 0; i < pool->n; i++)
		size += incident_size(pool->list[i]);
	return size;
}

static void test_bytes_are_bounded(void **state)
{
	struct incidents incidents = {0};
	const struct incidents_pool *pool;
	unsigned slim = 0;

	(void)state;
	for (uint32_t n = 0; n < 40; n++) {
		add(&incidents, "api", make_large(n));
		pool = incidents_of(&incidents, "api");
		assert_true(size_of(pool) <= INCIDENTS_BYTES);
	}
	assert_int_equal(pool->n, INCIDENTS_KEPT);
	while (slim < pool->n && pool->list[slim]->slimmed) {
		assert_null(pool->list[slim]->lines);
		assert_null(pool->list[slim]->dump);
		assert_non_null(pool->list[slim]->message);
		slim++;
	}
	/* the old ones gave, and no more than they had to */
	assert_in_range(slim, 1, INCIDENTS_KEPT - 1);
	for (unsigned i = slim; i < pool->n; i++)
		assert_non_null(pool->list[i]->dump);
	assert_true(size_of(pool) + sizeof(struct incident) + INCIDENT_LINES_MAX +
			INCIDENT_DUMP_MAX + 2 >
		    INCIDENTS_BYTES);
	incidents_free(&incidents);
}

static void test_quiet_pools_make_room(void **state)
{
	struct incidents incidents = {0};
	char name[32];

	(void)state;
	for (int n = 0; n < INCIDENTS_POOLS; n++) {
		snprintf(name, sizeof(name), "pool-%d", n);
		add(&incidents, name, make(INCIDENT_CRASHED, 0, 1));
	}
	add(&incidents, "pool-0", make(INCIDENT_CRASHED, 0, 2));
	add(&incidents, "one-more", make(INCIDENT_CRASHED, 0, 1));
	assert_non_null(incidents_of(&incidents, "pool-0"));
	assert_null(incidents_of(&incidents, "pool-1"));
	assert_non_null(incidents_of(&incidents, "pool-2"));
	assert_non_null(incidents_of(&incidents, "one-more"));
	incidents_free(&incidents);
}

static void test_the_last_of_a_slot(void **state)
{
	struct incidents incidents = {0};

	(void)state;
	assert_null(incidents_last(&incidents, "api", 0));
	add(&incidents, "api", make(INCIDENT_CRASHED, 0, 11));
	add(&incidents, "api", make(INCIDENT_CRASHED, 1, 12));
	add(&incidents, "api", make(INCIDENT_CRASHED, 0, 13));
	add(&incidents, "web", make(INCIDENT_CRASHED, 2, 14));
	assert_int_equal(incidents_last(&incidents, "api", 0)->pid, 13);
	assert_int_equal(incidents_last(&incidents, "api", 1)->pid, 12);
	assert_null(incidents_last(&incidents, "api", 2));
	incidents_free(&incidents);
}

/* Against a slow but plain model: any order of kinds, pools and sizes. */
static void test_random_sequences(void **state)
{
	static const char *const names[] = {"a", "b", "c"};
	uint64_t random = unit_seed();

	(void)state;
	for (int round = 0; round < unit_rounds(200); round++) {
		struct incidents incidents = {0};
		uint64_t id = 0;

		for (int n = 0; n < 100; n++) {
			const char *name = names[unit_random(&random, ARRAY_LEN(names))];
			struct incident *incident =
			    unit_random(&random, 4) == 0
				? make_large(0)
				: make(unit_random(&random, INCIDENT_KIND_COUNT), 0, n);
			const struct incidents_pool *pool;

			add(&incidents, name, incident);
			pool = incidents_of(&incidents, name);
			assert_ptr_equal(pool->list[pool->n - 1], incident);
			assert_int_equal(incident->id, ++id);
			assert_true(pool->n <= INCIDENTS_KEPT && size_of(pool) <= INCIDENTS_BYTES);
			for (unsigned i = 1; i < pool->n; i++)
				assert_true(pool->list[i - 1]->id < pool->list[i]->id);
		}
		incidents_free(&incidents);
	}
}

static void test_kinds_have_names(void **state)
{
	(void)state;
	for (int kind = 0; kind < INCIDENT_KIND_COUNT; kind++)
		for (int other = 0; other < kind; other++)
			assert_string_not_equal(incident_kind_name((enum incident_kind)kind),
						incident_kind_name((enum incident_kind)other));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_the_last_twenty_are_kept),
	    cmocka_unit_test(test_harmless_ones_make_room_first),
	    cmocka_unit_test(test_bytes_are_bounded),
	    cmocka_unit_test(test_quiet_pools_make_room),
	    cmocka_unit_test(test_the_last_of_a_slot),
	    cmocka_unit_test(test_random_sequences),
	    cmocka_unit_test(test_kinds_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
