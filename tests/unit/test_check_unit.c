/* test_check_unit.c - what systemd allows a unit, against what is configured. */
#include "unit_config.h"

#include "system/check_internal.h"

struct row {
	const char *config;
	struct systemd_unit unit;
	const char *warning, *summary; /* NULL: none; a part of it */
};

#define UNIT(access, start, stop, max)                                                   \
	{                                                                                \
		.name = "handover@x.service", .load = "loaded", .notify_access = access, \
		.timeout_start = (start), .timeout_stop = (stop), .store_max = (max),    \
	}
#define S USEC_PER_SEC

static const struct row rows[] = {
    /* whoever can ask for more is not cut */
    {POOL "stop_timeout = 1h\nstart_timeout = 5min\n", UNIT("main", 10 * S, 10 * S, 0), NULL,
     "handover@x.service: TimeoutStartSec=10 s, TimeoutStopSec=10 s; more is asked for while a "
     "start, a reload or a stop goes on\n"},
    {POOL "stop_timeout = 6s\nstart_timeout = 5s\n", UNIT("none", 10 * S, 10 * S, 0), NULL,
     "handover@x.service: TimeoutStartSec=10 s, TimeoutStopSec=10 s\n"},
    /* to the microsecond, with the margin */
    {POOL "stop_timeout = 8s\nstart_timeout = 5s\n", UNIT("none", 10 * S, 10 * S, 0), NULL, ""},
    {POOL "stop_timeout = 8s\nstart_timeout = 5s\n", UNIT("none", 10 * S, 10 * S - 1, 0),
     "[pool:api] stop_timeout: a stop may take 8 s, but systemd gives handover@x.service "
     "TimeoutStopSec=9.99 s, and NotifyAccess=none keeps us from asking for more: set "
     "NotifyAccess=main or TimeoutStopSec=10s there",
     ""},
    {POOL "stop_timeout = 20s\nstart_timeout = 5s\ndump_signal = SIGQUIT\ndump_timeout = "
	  "2s\ndrain_extend_max = 10s\n[supervisor]\nlame_duck = 3s\n",
     UNIT("none", 10 * S, 10 * S, 0),
     "stop_timeout: a stop may take 35 s, but systemd gives handover@x.service "
     "TimeoutStopSec=10 s, and NotifyAccess=none keeps us from asking for more: set "
     "NotifyAccess=main or TimeoutStopSec=37s there",
     ""},
    {POOL "start_timeout = 30s\nmin_ready = 5s\n", UNIT("none", 20 * S, USEC_INFINITY, 0),
     "start_timeout: a start may take 35 s, but systemd gives handover@x.service "
     "TimeoutStartSec=20 s, and NotifyAccess=none keeps us from asking for more: set "
     "NotifyAccess=main or TimeoutStartSec=37s there",
     "TimeoutStopSec=infinity\n"},
    /* the store */
    {POOL
     "sockets = a b c\n[socket:a]\nlisten = tcp://127.0.0.1:2000\n[socket:b]\nlisten = systemd:b\n"
     "[socket:c]\nlisten = tcp://127.0.0.1:2001",
     UNIT("main", 90 * S, 90 * S, 1),
     "[socket:c] listen: there are 2 sockets of our own, and handover@x.service has "
     "FileDescriptorStoreMax=1: clients are refused while the master is restarted; set "
     "FileDescriptorStoreMax=2 or more there",
     ""},
    {POOL
     "sockets = a b\n[socket:a]\nlisten = tcp://127.0.0.1:2000\n[socket:b]\nlisten = systemd:b",
     UNIT("main", 90 * S, 90 * S, 1), NULL, ""},
    {POOL "sockets = a b\nworkers = 3\n[socket:a]\nlisten = tcp://127.0.0.1:2000+%n\n"
	  "[socket:b]\nlisten = tcp://127.0.0.1:1999",
     UNIT("main", 90 * S, 90 * S, 2),
     "[socket:a] listen: there are 4 sockets of our own, and handover@x.service has "
     "FileDescriptorStoreMax=2: clients are refused while the master is restarted; set "
     "FileDescriptorStoreMax=4 or more there",
     ""},
    {POOL,
     {.name = "handover@x.service", .load = "not-found"},
     NULL,
     "handover@x.service: time-outs not checked: the unit is not-found\n"},
};

static void test_judgement(void **state)
{
	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
		cleanup_buf struct buf summary = {.data = NULL};
		cleanup_reading struct reading reading = read_text(rows[n].config);

		if (reading.r != 0)
			fail_msg("row %zu: %s", n, reading.said.data);
		check_unit_judge(reading.config, &rows[n].unit, &reading.problems, &summary);
		buf_reset(&reading.said);
		reading_say(&reading);
		if (rows[n].warning == NULL && reading.said.len > 0)
			fail_msg("row %zu: %s", n, reading.said.data);
		if (rows[n].warning != NULL &&
		    strstr(buf_text(&reading.said), rows[n].warning) == NULL)
			fail_msg("row %zu: %s", n, buf_text(&reading.said));
		if (strstr(buf_text(&summary), rows[n].summary) == NULL)
			fail_msg("row %zu: %s", n, buf_text(&summary));
	}
}

static void test_where_there_is_nobody_to_ask(void **state)
{
	cleanup_buf struct buf summary = {.data = NULL};
	struct config config = {.path = NULL};
	struct config_problems problems = {.list = NULL};
	(void)state;

	if (access("/run/systemd/private", F_OK) == 0)
		return;
	check_unit(&config, "handover@x.service", &problems, &summary);
	assert_int_equal(problems.errors, 0);
	assert_non_null(strstr(buf_text(&summary), "handover@x.service: time-outs not checked: "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_judgement),
	    cmocka_unit_test(test_where_there_is_nobody_to_ask),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
