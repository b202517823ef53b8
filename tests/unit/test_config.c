/* test_config.c - configurations as a whole: values, defaults, sections, and all mistakes in one
 * go. */
#include "unit_config.h"

#include <signal.h>

static const char example[] =
    "[supervisor]\n"
    "status_listen  = 127.0.0.1:9901    ; health, metrics, dashboard: read-only; off unless set\n"
    "operator_group = deploy            ; who, besides root and our own user, may reload and stop\n"
    "lame_duck      = 2s                ; default 0\n"
    "log_level      = debug\n"
    "log_format     = json\n"
    "\n"
    "[socket:grpc]\n"
    "listen  = tcp://0.0.0.0:9000       ; tcp://HOST:PORT\n"
    "backlog = 100\n"
    "\n"
    "[socket:admin]\n"
    "listen = unix:/run/x.sock\n"
    "mode = 0600\n"
    "owner = www-data\n"
    "\n"
    "[pool:api]\n"
    "command       = /usr/local/bin/api --config \"/etc/a b.toml\" %n ; words\n"
    "sockets       = grpc, admin\n"
    "workers       = 4\n"
    "ready         = notify\n"
    "drain_timeout = 7s\n"
    "dump_signal   = SIGQUIT\n"
    "max_surge     = 50%\n"
    "user          = api\n"
    "environment   = A=1 'B=x y' A=2\n"
    "environment   = C=%i\n"
    "environment_file = /etc/a.env, -/etc/b.env\n"
    "limit_core    = infinity\n"
    "stdout        = file:/var/log/api.log\n"
    "success_codes = 143 SIGTERM\n"
    "nice          = -5\n";

static void test_example(void **state)
{
	cleanup_reading struct reading reading = read_text(example);
	const struct config *config = reading.config;
	const struct pool_spec *pool;
	const struct socket_spec *socket;

	(void)state;
	assert_string_equal(buf_text(&reading.said), "");
	assert_int_equal(reading.r, 0);
	assert_string_equal(config->instance, "x");
	assert_string_equal(config->supervisor.status_listen, "127.0.0.1:9901");
	assert_string_equal(config->supervisor.status_host, "127.0.0.1");
	assert_int_equal(config->supervisor.status_port, 9901);
	assert_int_equal(config->supervisor.status_place.line, 2);
	assert_string_equal(config->supervisor.operator_group, "deploy");
	assert_int_equal(config->supervisor.operator_group_place.line, 3);
	assert_true(config->supervisor.lame_duck == 2 * USEC_PER_SEC);
	assert_int_equal(config->supervisor.log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(config->supervisor.log_format, LOG_FORMAT_JSON);

	assert_int_equal(config->n_sockets, 2);
	socket = &config->sockets[0];
	assert_string_equal(socket->name, "grpc");
	assert_int_equal(socket->kind, SOCKET_TCP);
	assert_string_equal(socket->host, "0.0.0.0");
	assert_int_equal(socket->port, 9000);
	assert_int_equal(socket->backlog, 100);
	assert_int_equal(socket->ipv6_only, -1);
	assert_true(socket->reuseaddr);
	assert_false(socket->freebind);
	assert_int_equal(socket->place.line, 8);
	assert_int_equal(socket->listen_place.line, 9);
	socket = &config->sockets[1];
	assert_int_equal(socket->kind, SOCKET_UNIX);
	assert_string_equal(socket->path, "/run/x.sock");
	assert_int_equal(socket->mode, 0600);
	assert_string_equal(socket->owner, "www-data");
	assert_null(socket->group);
	assert_int_equal(socket->backlog, 4096);

	assert_int_equal(config->n_pools, 1);
	pool = &config->pools[0];
	assert_string_equal(pool->name, "api");
	assert_int_equal(pool->place.line, 17);
	assert_int_equal(pool->command_place.line, 18);
	assert_string_equal(pool->command, "/usr/local/bin/api --config \"/etc/a b.toml\" %n");
	assert_int_equal(pool->argc, 4);
	assert_string_equal(pool->argv[2], "/etc/a b.toml");
	assert_null(pool->argv[4]);
	assert_int_equal(pool->n_sockets, 2);
	assert_string_equal(pool->sockets[0], "grpc");
	assert_string_equal(pool->sockets[1], "admin");
	assert_int_equal(pool->workers, 4);
	assert_false(pool->workers_auto);
	assert_int_equal(pool->ready, READY_NOTIFY);
	assert_true(pool->drain_timeout == 7 * USEC_PER_SEC);
	assert_true(pool->stop_timeout == 7 * USEC_PER_SEC);
	assert_int_equal(pool->dump_signal, SIGQUIT);
	assert_true(pool->max_surge.percent);
	assert_int_equal(pool->max_surge.value, 50);
	assert_int_equal(config_surge(pool, pool->workers), 2);
	assert_string_equal(pool->user, "api");
	assert_int_equal(pool->n_environment, 4);
	assert_string_equal(pool->environment[1], "B=x y");
	assert_string_equal(pool->environment[3], "C=%i");
	assert_int_equal(pool->n_environment_file, 2);
	assert_string_equal(pool->environment_file[1], "-/etc/b.env");
	assert_true(pool->limit_core == UINT64_MAX);
	assert_int_equal(pool->stdout_to.kind, OUTPUT_FILE);
	assert_string_equal(pool->stdout_to.path, "/var/log/api.log");
	assert_int_equal(pool->stderr_to.kind, OUTPUT_FILE);
	assert_string_equal(pool->stderr_to.path, "/var/log/api.log");
	assert_true(pool->success.codes[0] == 1);
	assert_true(pool->success.codes[2] == UINT64_C(1) << (143 - 128));
	assert_true(pool->success.signals == UINT64_C(1) << (SIGTERM - 1));
	assert_int_equal(pool->nice, -5);
}

static void test_defaults(void **state)
{
	cleanup_reading struct reading reading = read_text(POOL);
	const struct pool_spec *pool;

	(void)state;
	assert_string_equal(buf_text(&reading.said), "");
	pool = config_find_pool(reading.config, "api");
	assert_non_null(pool);
	assert_null(config_find_pool(reading.config, "nobody"));
	assert_null(config_find_socket(reading.config, "api"));
	assert_int_equal(pool->workers, 1);
	assert_true(pool->start_timeout == 30 * USEC_PER_SEC);
	assert_int_equal(pool->drain_signal, SIGTERM);
	assert_true(pool->drain_timeout == 6 * USEC_PER_SEC);
	assert_true(pool->stop_timeout == 6 * USEC_PER_SEC);
	assert_true(pool->drain_extend_max == 0);
	assert_int_equal(pool->dump_signal, 0);
	assert_true(pool->dump_timeout == 500 * USEC_PER_MSEC);
	assert_true(pool->watchdog == 0);
	assert_int_equal(pool->restart, RESTART_ALWAYS);
	assert_true(pool->restart_delay == 500 * USEC_PER_MSEC);
	assert_true(pool->restart_delay_max == 30 * USEC_PER_SEC);
	assert_true(pool->restart_reset == 60 * USEC_PER_SEC);
	assert_int_equal(pool->crash_loop_after, 5);
	assert_int_equal(pool->on_crash_loop, ON_CRASH_LOOP_RETRY);
	assert_int_equal(pool->on_start_failure, ON_START_FAILURE_EXIT);
	assert_true(pool->max_surge.percent && pool->max_surge.value == 100);
	assert_int_equal(pool->max_unavailable.value, 0);
	assert_true(pool->min_ready == 0);
	assert_true(pool->progress_timeout == 600 * USEC_PER_SEC);
	assert_true(!pool->ready_workers.percent && pool->ready_workers.value == 1);
	assert_int_equal(pool->max_processes, 64);
	assert_null(pool->user);
	assert_null(pool->group);
	assert_null(pool->working_directory);
	assert_int_equal(pool->umask, 0022);
	assert_int_equal(pool->n_environment, 0);
	assert_int_equal(pool->nice, CONFIG_UNSET);
	assert_int_equal(pool->oom_score_adj, CONFIG_UNSET);
	assert_true(pool->limit_nofile == 0);
	assert_true(pool->limit_core == CONFIG_LIMIT_UNSET);
	assert_int_equal(pool->stdout_to.kind, OUTPUT_CAPTURE);
	assert_int_equal(pool->stderr_to.kind, OUTPUT_CAPTURE);
	assert_true(pool->success.codes[0] == 1 && pool->success.signals == 0);
	assert_null(reading.config->supervisor.status_listen);
	assert_true(reading.config->supervisor.lame_duck == 0);
	assert_int_equal(reading.config->supervisor.log_level, LOG_LEVEL_INFO);
	assert_int_equal(reading.config->supervisor.log_format, LOG_FORMAT_AUTO);
}

static void test_workers_auto(void **state)
{
	cleanup_reading struct reading reading = read_text(POOL "workers = auto\n");

	(void)state;
	assert_int_equal(reading.r, 0);
	assert_true(reading.config->pools[0].workers_auto);
	assert_true(reading.config->pools[0].workers >= 1);
	assert_true(reading.config->pools[0].workers <= (unsigned)sysconf(_SC_NPROCESSORS_CONF));
	assert_int_equal(reading.config->pools[0].max_processes >= 64, 1);
}

static void test_sections(void **state)
{
	(void)state;
	assert_said("[suprvisor]\nlog_level = x\nnonsense = 1\n" POOL,
		    "x.ini:1: 'suprvisor': unknown section; did you mean [supervisor]?\n");
	assert_said("[pools:api]\n" POOL,
		    "x.ini:1: 'pools:api': unknown section; did you mean [pool:api]?\n");
	assert_said("[sockets]\n" POOL,
		    "x.ini:1: 'sockets': unknown section; did you mean [socket:NAME]?\n");
	assert_said("[global]\n" POOL, "x.ini:1: 'global': unknown section; there are "
				       "[supervisor], [socket:NAME] and [pool:NAME]\n");
	assert_said("[]\n" POOL, "x.ini:1: '': unknown section; there are [supervisor], "
				 "[socket:NAME] and [pool:NAME]\n");
	assert_said("[pool]\n" POOL, "x.ini:1: [pool] needs a name: [pool:NAME]\n");
	assert_said("[pool:]\n" POOL, "x.ini:1: [pool] needs a name: [pool:NAME]\n");
	assert_said("[socket]\n" POOL, "x.ini:1: [socket] needs a name: [socket:NAME]\n");
	assert_said("[supervisor:x]\n" POOL,
		    "x.ini:1: [supervisor] has no name, since there is only one\n");
	assert_said("[pool:a b]\n" POOL, "x.ini:1: the name 'a b' is wrong: it may have letters, "
					 "digits, '_', '.' and '-', and begins with a letter or "
					 "digit\n");
	assert_said("[pool:.a]\n" POOL, "x.ini:1: the name '.a' is wrong: it may have letters, "
					"digits, '_', '.' and '-', and begins with a letter or "
					"digit\n");
	assert_said("[ pool:a]\n" POOL,
		    "x.ini:1: ' pool:a': unknown section; did you mean [pool:a]?\n");
	assert_taken("[pool:4.a_B-c]\ncommand = x\nready = notify\n");
	assert_said(POOL POOL, "x.ini:4: [pool:api] stands here again; it began at line 1\n");
	assert_said("log_level = info\nlog_format = x\n" POOL,
		    "x.ini:1: log_level: stands before the first section; put [supervisor], "
		    "[socket:NAME] or [pool:NAME] above it\n");
}

static void test_too_many_sections(void **state)
{
	cleanup_buf struct buf text = {.data = NULL};

	(void)state;
	for (int i = 0; i < CONFIG_POOLS_MAX; i++)
		buf_printf(&text, "[pool:p%d]\ncommand = x\nready = notify\n", i);
	assert_taken(text.data);
	buf_add_str(&text, "[pool:more]\ncommand = x\nready = notify\n");
	assert_said(text.data, "x.ini:193: [pool:more] is one too many: there can be 64 pools\n");
	buf_reset(&text);
	buf_add_str(&text, POOL);
	for (int i = 0; i < CONFIG_SOCKETS_MAX; i++)
		buf_printf(&text, "sockets = s%d\n", i);
	for (int i = 0; i < CONFIG_SOCKETS_MAX; i++)
		buf_printf(&text, "[socket:s%d]\nlisten = unix:/s%d\n", i, i);
	assert_taken(text.data);
	buf_add_str(&text, "[socket:more]\n");
	assert_said(text.data,
		    "x.ini:388: [socket:more] is one too many: there can be 128 sockets\n");
}

static void test_repeated_keys(void **state)
{
	cleanup_reading struct reading reading = {.directory = NULL};

	(void)state;
	assert_said(POOL "workers = 1\nworkers = 2\n",
		    "x.ini:5: [pool:api] workers: stands here again; it was set at line 4\n");
	reading = read_text(
	    POOL "environment = A=1\nenvironment = B=2\nsuccess_codes = 3\nsuccess_codes = 4\n"
		 "environment =\nenvironment = C=3\n");
	assert_string_equal(buf_text(&reading.said), "");
	assert_string_equal(pool_value(&reading, "api", "environment"), "C=3");
	assert_string_equal(pool_value(&reading, "api", "success_codes"), "0 3 4");
}

static void test_all_mistakes_at_once(void **state)
{
	(void)state;
	assert_said("[supervisor]\n"
		    "lame_duck = 5\n"
		    "[pool:api]\n"
		    "command = \"x\n"
		    "drain_timout = 6s\n"
		    "workers = 0\n"
		    "nonsense\n"
		    "[socket:s]\n"
		    "listen = tcp://x:0\n",
		    "x.ini:2: [supervisor] lame_duck: '5' has no unit; write 5s or 5ms\n"
		    "x.ini:3: [pool:api] ready: is missing; say how a worker becomes ready: "
		    "notify, http:/PATH, grpc, delay:2s, fd:N or exec:CMD\n"
		    "x.ini:4: [pool:api] command: a double quote (\") is not closed; for the "
		    "character itself write \\\"\n"
		    "x.ini:5: [pool:api] drain_timout: unknown key; did you mean 'drain_timeout'?\n"
		    "x.ini:6: [pool:api] workers: must be between 1 and 10000, but is 0\n"
		    "x.ini:7: [pool:api] 'nonsense' is no 'key = value' (and a value cannot go on "
		    "in the next line)\n"
		    "x.ini:8: warning: [socket:s] is used by no pool: clients that connect to it "
		    "will hang\n"
		    "x.ini:9: [socket:s] listen: port 0 is refused: it would be a different one "
		    "after each start\n");
}

static void test_many_mistakes_are_counted(void **state)
{
	cleanup_buf struct buf text = {.data = NULL};
	cleanup_reading struct reading reading = {.directory = NULL};

	(void)state;
	buf_add_str(&text, POOL);
	for (int i = 0; i < 500; i++)
		buf_printf(&text, "x%d = 1\n", i);
	reading = read_text(text.data);
	assert_int_equal(reading.r, -EINVAL);
	assert_int_equal(reading.problems.n, CONFIG_PROBLEMS_MAX);
	assert_int_equal(reading.problems.errors, 500);
	assert_int_equal(reading.problems.dropped, 300);
	assert_string_equal(strstr(reading.said.data, "..."), "... and 300 more\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_example),
	    cmocka_unit_test(test_defaults),
	    cmocka_unit_test(test_workers_auto),
	    cmocka_unit_test(test_sections),
	    cmocka_unit_test(test_too_many_sections),
	    cmocka_unit_test(test_repeated_keys),
	    cmocka_unit_test(test_all_mistakes_at_once),
	    cmocka_unit_test(test_many_mistakes_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
