/* test_config.c - configurations as a whole: values, defaults, every key's forms and limits, cross
 * checks, drop-ins. */
#include "unit_config.h"

#include <signal.h>

#include "system/keys.h"

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
	assert_int_equal(config_surge(pool), 2);
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
	assert_int_equal(reading.config->supervisor.log_format, LOG_FORMAT_TEXT);
}

/* One line of a section, and either the canonical value of its key or the sentence that refuses it.
 */
struct row {
	const char *line;
	const char *value;
	const char *error;
};

static const struct row pool_rows[] = {
    {"workers = 10", "10", NULL},
    {"workers = 0", NULL, "must be between 1 and 10000, but is 0"},
    {"workers = 10001", NULL, "must be between 1 and 10000, but is 10001"},
    {"workers = 99999999999999999999", NULL,
     "must be between 1 and 10000, but is 99999999999999999999"},
    {"workers = four", NULL, "'four' is neither a number nor 'auto'"},
    {"workers = -1", NULL, "'-1' is neither a number nor 'auto'"},
    {"workers = \"4\"", "4", NULL},
    {"workers = 4 # four", NULL,
     "' #' begins no comment behind a value; write ' ;', or quote it if it is meant"},

    {"command = /bin/x a  b", "/bin/x a b", NULL},
    {"command = \"/bin/a b\" ''", "'/bin/a b' ''", NULL},
    {"command = x 'it''s'", "x its", NULL},
    {"command = x it\\'s", "x 'it'\\''s'", NULL},
    {"command = x %n %g %p %i %%", "x %n %g %p %i %%", NULL},
    {"command = x %x", NULL,
     "'%x': there are %n (slot), %g (generation), %p (pool), %i (instance), and %% for a percent "
     "sign"},
    {"command = x 100%", NULL,
     "'100%': there are %n (slot), %g (generation), %p (pool), %i (instance), and %% for a percent "
     "sign"},
    {"command = /srv/%p/x", NULL,
     "'/srv/%p/x': '%' is not supported in a command's first word by this version"},
    {"command = ''", NULL, "there is no command"},
    {"command = /bin/x # not a comment", NULL,
     "' #' begins no comment behind a value; write ' ;', or quote it if it is meant"},
    {"command = /bin/x '# an argument' a#b", "/bin/x '# an argument' 'a#b'", NULL},
    {"command = /bin/x \\; y \\# z", "/bin/x ';' y '#' z", NULL},

    {"ready = delay:2s", "delay:2s", NULL},
    {"ready = delay:0", "delay:0", NULL},
    {"ready = delay:2", NULL, "delay: '2' is not a duration up to 1d, such as 500ms or 2s"},
    {"ready = delay:2d", NULL, "delay: '2d' is not a duration up to 1d, such as 500ms or 2s"},
    {"ready = delay:infinity", NULL,
     "delay: 'infinity' is not a duration up to 1d, such as 500ms or 2s"},
    {"ready = delay", NULL,
     "'delay' is not one of notify, delay:DURATION, fd:NUMBER, exec:COMMAND; did you mean "
     "'delay:...'?"},
    {"ready = fd:5", "fd:5", NULL},
    {"ready = fd:3", "fd:3", NULL},
    {"ready = fd:2", NULL, "fd:2 is standard error"},
    {"ready = fd:0", NULL, "fd:0 is standard input"},
    {"ready = fd:1024", NULL, "fd: '1024' is not a descriptor's number between 3 and 1023"},
    {"ready = fd:x", NULL, "fd: 'x' is not a descriptor's number between 3 and 1023"},
    {"ready = exec:/bin/check --port 1 'a ; b'", "exec:/bin/check --port 1 'a ; b'", NULL},
    {"ready = exec:", NULL, "there is no command"},
    {"ready = exec:/bin/check %q", NULL,
     "'%q': there are %n (slot), %g (generation), %p (pool), %i (instance), and %% for a percent "
     "sign"},
    {"ready = tcp", NULL,
     "'tcp' is not supported by this version; there are notify, delay:2s, fd:N and exec:CMD"},
    {"ready = http:/health", NULL,
     "'http:/health' is not supported by this version; there are notify, delay:2s, fd:N and "
     "exec:CMD"},
    {"ready = grpc", NULL,
     "'grpc' is not supported by this version; there are notify, delay:2s, fd:N and exec:CMD"},
    {"ready = grpc:svc", NULL,
     "'grpc:svc' is not supported by this version; there are notify, delay:2s, fd:N and exec:CMD"},
    {"ready = notfy", NULL,
     "'notfy' is not one of notify, delay:DURATION, fd:NUMBER, exec:COMMAND; did you mean "
     "'notify'?"},
    {"ready = notify:x", NULL,
     "'notify:x' is not one of notify, delay:DURATION, fd:NUMBER, exec:COMMAND; did you mean "
     "'notify'?"},

    {"start_timeout = 90s", "1min 30s", NULL},
    {"start_timeout = 1ms", "1ms", NULL},
    {"start_timeout = 0", NULL, "must be between 1ms and 1d, but is 0"},
    {"start_timeout = 2d", NULL, "must be between 1ms and 1d, but is 2d"},
    {"start_timeout = infinity", NULL, "must be between 1ms and 1d, but is infinity"},
    {"start_timeout = 30", NULL, "'30' has no unit; write 30s or 30ms"},
    {"start_timeout = soon", NULL, "'soon' is not a duration such as 500ms, 7s, 2min or 1h"},
    {"drain_signal = QUIT", "SIGQUIT", NULL},
    {"drain_signal = 15", "SIGTERM", NULL},
    {"drain_signal = SIGRTMIN+2", "SIGRTMIN+2", NULL},
    {"drain_signal = SIGKILL", NULL, "SIGKILL cannot be caught, so that no worker could act on it"},
    {"drain_signal = 19", NULL, "SIGSTOP cannot be caught, so that no worker could act on it"},
    {"drain_signal = off", NULL, "'off' is not a signal"},
    {"drain_signal = SIGTREM", NULL, "'SIGTREM' is not a signal; did you mean 'SIGTERM'?"},
    {"drain_signal = quit", NULL, "'quit' is not a signal; did you mean 'SIGQUIT'?"},
    {"drain_timeout = 6000ms", "6s", NULL},
    {"drain_timeout = 0", "0", NULL},
    {"drain_timeout = 25h", NULL, "must be between 0 and 1d, but is 25h"},
    {"stop_timeout = 1.5s", "1s 500ms", NULL},
    {"stop_timeout = -1s", NULL, "'-1s' is not a duration such as 500ms, 7s, 2min or 1h"},
    {"drain_extend_max = 5min", "5min", NULL},
    {"dump_signal = SIGQUIT", "SIGQUIT", NULL},
    {"dump_signal = off", "off", NULL},
    {"dump_signal = 0", "off", NULL},
    {"dump_signal = SIGSTOP", NULL, "SIGSTOP cannot be caught, so that no worker could act on it"},
    {"dump_timeout = 2s", "2s", NULL},
    {"dump_timeout = 10us", NULL, "must be between 1ms and 1h, but is 10us"},
    {"watchdog = 5s", "5s", NULL},
    {"watchdog = 0", "off", NULL},
    {"watchdog = off", "off", NULL},
    {"watchdog = 99ms", NULL, "must be between 100ms and 1d, but is 99ms"},
    {"restart = never", "never", NULL},
    {"restart = on-failure", "on-failure", NULL},
    {"restart = on-failur", NULL,
     "'on-failur' is not one of always, on-failure, never; did you mean 'on-failure'?"},
    {"restart = |", NULL, "'|' is not one of always, on-failure, never"},
    {"restart_delay = 0", NULL, "must be between 10ms and 1h, but is 0"},
    {"restart_delay = 10ms", "10ms", NULL},
    {"restart_delay_max = 1h", "1h", NULL},
    {"restart_reset = 2min", "2min", NULL},
    {"crash_loop_after = 0", NULL, "must be between 1 and 1000, but is 0"},
    {"crash_loop_after = -3", NULL, "must be between 1 and 1000, but is -3"},
    {"crash_loop_after = 3", "3", NULL},
    {"on_crash_loop = stop-pool", "stop-pool", NULL},
    {"on_crash_loop = exit", "exit", NULL},
    {"on_start_failure = retry", "retry", NULL},
    {"max_surge = 3", "3", NULL},
    {"max_surge = 25%", "25%", NULL},
    {"max_surge = 0", NULL, "must be between 1 and 10000, but is 0"},
    {"max_surge = 0%", NULL, "must be between 1% and 100%, but is 0%"},
    {"max_surge = 101%", NULL, "must be between 1% and 100%, but is 101%"},
    {"max_surge = all", NULL, "'all' is neither a number nor a percentage such as 25%"},
    {"min_ready = 10s", "10s", NULL},
    {"progress_timeout = 1h", "1h", NULL},
    {"ready_workers = 0", "0", NULL},
    {"ready_workers = 100%", "100%", NULL},
    {"max_processes = 2", "2", NULL},
    {"max_processes = 1", NULL, "must be between 2 and 100000, but is 1"},
    {"user = api", "api", NULL},
    {"user = 1000", "1000", NULL},
    {"user = a b", NULL, "'a b' is not a name or number"},
    {"user = -x", NULL, "'-x' is not a name or number"},
    {"group = staff", "staff", NULL},
    {"group = ''", NULL, "'' is not a name or number"},
    {"supplementary_groups = a,b c", "a b c", NULL},
    {"supplementary_groups = a:b", NULL, "'a:b' is not a name or number"},
    {"working_directory = /srv/my app", "/srv/my app", NULL},
    {"working_directory = \"/srv/my ; app\"", "'/srv/my ; app'", NULL},
    {"working_directory = srv", NULL, "'srv' is not a path that begins with '/'"},
    {"working_directory = /srv/%p", NULL,
     "'/srv/%p': '%' in a path is not supported by this version"},
    {"umask = 077", "0077", NULL},
    {"umask = 1000", NULL, "must be between 0000 and 0777, but is 1000"},
    {"umask = 9", NULL, "'9' is not an octal number such as 0660"},
    {"environment = A=1 B='x y' _c=", "A=1 'B=x y' _c=", NULL},
    {"environment = A=%p-%n", "A=%p-%n", NULL},
    {"environment = A", NULL, "'A' is not NAME=value"},
    {"environment = =x", NULL, "'=x': before the '=' stands no name of letters, digits and '_'"},
    {"environment = 1A=x", NULL,
     "'1A=x': before the '=' stands no name of letters, digits and '_'"},
    {"environment = A-B=x", NULL,
     "'A-B=x': before the '=' stands no name of letters, digits and '_'"},
    {"environment = LISTEN_FDS=1", NULL, "LISTEN_FDS is set by handover itself"},
    {"environment = NOTIFY_SOCKET=x", NULL, "NOTIFY_SOCKET is set by handover itself"},
    {"environment = WATCHDOG_USEC=x", NULL, "WATCHDOG_USEC is set by handover itself"},
    {"environment = A=1 HANDOVER_POOL=x", NULL, "HANDOVER_POOL is set by handover itself"},
    {"environment = NOTIFY_SOCKETS=x LISTENER=y", "NOTIFY_SOCKETS=x LISTENER=y", NULL},
    {"environment = A=50%", NULL,
     "'A=50%': there are %n (slot), %g (generation), %p (pool), %i (instance), and %% for a "
     "percent sign"},
    {"environment_file = -/a, '/b,c'", "-/a '/b,c'", NULL},
    {"environment_file = a.env", NULL, "'a.env' is not a path that begins with '/'"},
    {"nice = -20", "-20", NULL},
    {"nice = 20", NULL, "must be between -20 and 19, but is 20"},
    {"nice = -21", NULL, "must be between -20 and 19, but is -21"},
    {"nice = --1", NULL, "'--1' is not a whole number"},
    {"oom_score_adj = 1000", "1000", NULL},
    {"oom_score_adj = 1001", NULL, "must be between -1000 and 1000, but is 1001"},
    {"oom_score_adj = -", NULL, "'-' is not a whole number"},
    {"limit_nofile = 64K", "65536", NULL},
    {"limit_nofile = 8", NULL, "must be between 16 and 1073741824, but is 8"},
    {"limit_nofile = infinity", NULL, "must be between 16 and 1073741824, but is infinity"},
    {"limit_nofile = many", NULL, "'many' is not a size such as 4096, 64K, 512M or 1G"},
    {"limit_core = 0", "0", NULL},
    {"limit_core = infinity", "infinity", NULL},
    {"stdout = null", "null", NULL},
    {"stdout = inherit", "inherit", NULL},
    {"stdout = file:/var/log/x y", "file:/var/log/x y", NULL},
    {"stdout = file:x", NULL, "'x' is not a path that begins with '/'"},
    {"stdout = /var/log/x", NULL, "'/var/log/x' is not one of capture, inherit, null, file:/PATH"},
    {"stderr = null", "null", NULL},
    {"success_codes = 3,143 SIGUSR1 SIGINT", "0 3 143 SIGINT SIGUSR1", NULL},
    {"success_codes = 256", NULL, "'256' is neither an exit code between 0 and 255 nor a signal"},
    {"success_codes = SIGFOO", NULL,
     "'SIGFOO' is neither an exit code between 0 and 255 nor a signal"},

    {"handoff = inherit", NULL, "is not supported by this version"},
    {"compat = einhorn", NULL, "is not supported by this version"},
    {"live = http:/x", NULL, "is not supported by this version"},
    {"bind_shim = yes", NULL, "is not supported by this version"},
    {"max_unavailable = 1", NULL, "is not supported by this version"},
    {"canary = 1", NULL, "is not supported by this version"},
    {"probe_address = x", NULL, "is not supported by this version"},
    {"fd_store_max = 1", NULL, "is not supported by this version"},
    {"memory_max = 1G", NULL, "is not supported by this version"},
    {"tasks_max = 1", NULL, "is not supported by this version"},
    {"cpu_weight = 1", NULL, "is not supported by this version"},
    {"keep_generations = 1", NULL, "is not supported by this version"},
    {"drain_timout = 6s", NULL, "unknown key; did you mean 'drain_timeout'?"},
    {"Drain-Timeout = 6s", NULL, "unknown key; did you mean 'drain_timeout'?"},
    {"COMMAND = x", NULL, "unknown key; did you mean 'command'?"},
    {"colour = red", NULL, "unknown key"},
    {"backlog = 5", NULL, "is no key of [pool:NAME], but of [socket:NAME]"},
    {"log_level = info", NULL, "is no key of [pool:NAME], but of [supervisor]"},
    {"nice =", NULL, "has no value; without the line it would have its default"},
    {"nice = ; nothing", NULL, "has no value; without the line it would have its default"},
};

static const struct row socket_rows[] = {
    {"listen = tcp://127.0.0.1:80", "tcp://127.0.0.1:80", NULL},
    {"listen = tcp://[::1]:80", "tcp://[::1]:80", NULL},
    {"listen = tcp://[fe80::1%eth0]:80", "tcp://[fe80::1%eth0]:80", NULL},
    {"listen = tcp://*:80", "tcp://*:80", NULL},
    {"listen = tcp://:80", "tcp://*:80", NULL},
    {"listen = tcp://localhost:65535", "tcp://localhost:65535", NULL},
    {"listen = udp://0.0.0.0:53", "udp://0.0.0.0:53", NULL},
    {"listen = unix:/run/x.sock", "unix:/run/x.sock", NULL},
    {"listen = unix:///run/x.sock", "unix:/run/x.sock", NULL},
    {"listen = \"unix:/run/my x.sock\"", "unix:/run/my x.sock", NULL},
    {"listen = systemd:web", "systemd:web", NULL},
    {"listen = tcp://127.0.0.1:0", NULL,
     "port 0 is refused: it would be a different one after each start"},
    {"listen = udp://127.0.0.1:0", NULL,
     "port 0 is refused: it would be a different one after each start"},
    {"listen = tcp://127.0.0.1:65536", NULL, "'65536' is not a port between 1 and 65535"},
    {"listen = tcp://127.0.0.1:http", NULL, "'http' is not a port between 1 and 65535"},
    {"listen = tcp://127.0.0.1:", NULL, "'' is not a port between 1 and 65535"},
    {"listen = tcp://127.0.0.1", NULL, "'127.0.0.1' has no port; write HOST:PORT"},
    {"listen = tcp://300.0.0.1:80", NULL, "'300.0.0.1' is neither an address nor a host's name"},
    {"listen = tcp://1.2.3:80", NULL, "'1.2.3' is neither an address nor a host's name"},
    {"listen = tcp://a b:80", NULL, "'a b' is neither an address nor a host's name"},
    {"listen = tcp://::1:80", NULL, "'::1:80': an IPv6 address stands in brackets: [::1]:PORT"},
    {"listen = tcp://[::1:80", NULL, "'[::1:80' is not [ADDRESS]:PORT"},
    {"listen = tcp://[::1]80", NULL, "'[::1]80' is not [ADDRESS]:PORT"},
    {"listen = tcp://[1.2.3.4]:80", NULL, "'1.2.3.4' is not an IPv6 address"},
    {"listen = tcp://[fe80::1%]:80", NULL, "'fe80::1%' is not an IPv6 address"},
    {"listen = tcp://127.0.0.1:9%n", NULL,
     "'127.0.0.1:9%n': '%' is not supported here by this version"},
    {"listen = unix:/run/%n.sock", NULL,
     "'/run/%n.sock': '%' is not supported here by this version"},
    {"listen = systemd:x%n", NULL,
     "'x%n' is not the name of a socket from systemd (FileDescriptorName=)"},
    {"listen = unix:x.sock", NULL, "'x.sock' is not a path that begins with '/'"},
    {"listen = unix:@x", NULL,
     "abstract addresses are not supported: anybody on the host could take or reach them"},
    {"listen = unix:/run/", NULL, "'/run/' is a directory's name"},
    {"listen = unix:/", NULL, "'/' is a directory's name"},
    {"listen = "
     "unix:/"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaa",
     NULL, "the path has 108 bytes; the kernel takes 107"},
    {"listen = systemd:", NULL,
     "'' is not the name of a socket from systemd (FileDescriptorName=)"},
    {"listen = systemd:a:b", NULL,
     "'a:b' is not the name of a socket from systemd (FileDescriptorName=)"},
    {"listen = 127.0.0.1:80", NULL,
     "'127.0.0.1:80' begins with none of tcp://, udp://, unix: and systemd:; did you mean "
     "'tcp://127.0.0.1:80'?"},
    {"listen = /run/x.sock", NULL,
     "'/run/x.sock' begins with none of tcp://, udp://, unix: and systemd:; did you mean "
     "'unix:/run/x.sock'?"},
    {"listen = http://x", NULL,
     "'http://x' begins with none of tcp://, udp://, unix: and systemd:"},
    {"backlog = 1", "1", NULL},
    {"backlog = 65536", NULL, "must be between 1 and 65535, but is 65536"},
    {"reuseaddr = no", "no", NULL},
    {"reuseaddr = never", NULL, "'never' is neither yes nor no"},
    {"freebind = on", "yes", NULL},
    {"ipv6_only = yes", "yes", NULL},
    {"ipv6_only = no", "no", NULL},
    {"ipv6_only = 6", NULL, "'6' is neither yes nor no"},
    {"receive_buffer = 256K", "262144", NULL},
    {"receive_buffer = 1", NULL, "must be between 1K and 1G, but is 1"},
    {"send_buffer = 1G", "1073741824", NULL},
    {"send_buffer = 2G", NULL, "must be between 1K and 1G, but is 2G"},
    {"reuseport = yes", NULL, "is not supported by this version"},
    {"lisen = x", NULL, "unknown key; did you mean 'listen'?"},
    {"workers = 4", NULL, "is no key of [socket:NAME], but of [pool:NAME]"},
};

static const struct row supervisor_rows[] = {
    {"status_listen = 127.0.0.1:9901", "127.0.0.1:9901", NULL},
    {"status_listen = [::1]:9901", "[::1]:9901", NULL},
    {"status_listen = :9901", "*:9901", NULL},
    {"status_listen = 9901", NULL, "'9901' has no port; write HOST:PORT"},
    {"status_listen = localhost:0", NULL,
     "port 0 is refused: it would be a different one after each start"},
    {"operator_group = deploy", "deploy", NULL},
    {"operator_group = de ploy", NULL, "'de ploy' is not a name or number"},
    {"lame_duck = 2s", "2s", NULL},
    {"lame_duck = 61min", NULL, "must be between 0 and 1h, but is 61min"},
    {"log_level = debug", "debug", NULL},
    {"log_level = error", "error", NULL},
    {"log_level = warn", NULL, "'warn' is not one of error, warning, notice, info, debug"},
    {"log_format = json", "json", NULL},
    {"log_format = xml", NULL, "'xml' is not one of text, json"},
    {"operator_grp = x", NULL, "unknown key; did you mean 'operator_group'?"},
};

/* The key of "key = value". */
static const char *key_of(const char *line, char key[static 64])
{
	snprintf(key, 64, "%.*s", (int)strcspn(line, " ="), line);
	return key;
}

static void run_rows(const struct row *rows, size_t n, const char *title, const char *before,
		     const char *after,
		     const char *(*value_of)(const struct reading *reading, const char *key))
{
	char text[2048], expected[1024], key[64];

	for (size_t i = 0; i < n; i++) {
		cleanup_reading struct reading reading = {.directory = NULL};

		key_of(rows[i].line, key);
		/* A key that the frame has too is left out of it, so that the row's is the only
		 * one. */
		snprintf(text, sizeof(text), "%s[%s]\n%s\n%s", before, title, rows[i].line, after);
		if (strcmp(key, "listen") == 0)
			snprintf(text, sizeof(text), "%s[%s]\n%s\n%s", before, title, rows[i].line,
				 strchr(after, '\n') + 1);
		if (strcmp(title, "pool:api") == 0)
			snprintf(text, sizeof(text), "[pool:api]\n%s\n%s%s", rows[i].line,
				 strcmp(key, "command") == 0 ? "" : "command = /bin/true\n",
				 strcmp(key, "ready") == 0 ? "" : "ready = notify\n");
		reading = read_text(text);
		if (rows[i].error == NULL) {
			if (reading.r != 0)
				fail_msg("%s: was refused: %s", rows[i].line,
					 buf_text(&reading.said));
			if (strcmp(value_of(&reading, key), rows[i].value) != 0)
				fail_msg("%s: became '%s'", rows[i].line, value_of(&reading, key));
			continue;
		}
		snprintf(expected, sizeof(expected), "x.ini:%d: [%s] %s: %s\n",
			 strlen(before) > 0 ? 5 : 2, title, key, rows[i].error);
		if (strcmp(buf_text(&reading.said), expected) != 0)
			fail_msg("%s: was told '%s' and not '%s'", rows[i].line,
				 buf_text(&reading.said), expected);
		assert_int_equal(reading.r, -EINVAL);
	}
}

static const char *value_of_pool(const struct reading *reading, const char *key)
{
	return pool_value(reading, "api", key);
}

static const char *value_of_socket(const struct reading *reading, const char *key)
{
	return socket_value(reading, "s", key);
}

static void test_pool_keys(void **state)
{
	(void)state;
	run_rows(pool_rows, ARRAY_LEN(pool_rows), "pool:api", "", "", value_of_pool);
}

static void test_socket_keys(void **state)
{
	(void)state;
	run_rows(
	    socket_rows, ARRAY_LEN(socket_rows), "socket:s", POOL,
	    "listen = tcp://127.0.0.1:9000\n[pool:b]\ncommand = x\nready = notify\nsockets = s\n",
	    value_of_socket);
}

static void test_supervisor_keys(void **state)
{
	(void)state;
	run_rows(supervisor_rows, ARRAY_LEN(supervisor_rows), "supervisor", POOL, "",
		 supervisor_value);
}

/* Keys that need more around them than a row has. */
static bool is_tested_elsewhere(enum key_section section, const char *name)
{
	static const char *const unix_keys[] = {"mode", "owner", "group"};

	if (section == KEY_POOL)
		return strcmp(name, "sockets") == 0;
	for (size_t i = 0; i < ARRAY_LEN(unix_keys); i++)
		if (strcmp(name, unix_keys[i]) == 0)
			return true;
	return false;
}

/* A key without a row that is taken would be one that nobody ever tried. */
static void test_every_key_has_rows(void **state)
{
	static const struct {
		const struct row *rows;
		size_t n;
	} tables[] = {
	    [KEY_SUPERVISOR] = {supervisor_rows, ARRAY_LEN(supervisor_rows)},
	    [KEY_SOCKET] = {socket_rows, ARRAY_LEN(socket_rows)},
	    [KEY_POOL] = {pool_rows, ARRAY_LEN(pool_rows)},
	};
	size_t n, i, j;
	const struct key_info *infos = keys_all(&n);
	char key[64];

	(void)state;
	for (i = 0; i < n; i++) {
		bool taken = false;

		for (j = 0; j < tables[infos[i].section].n; j++)
			if (strcmp(key_of(tables[infos[i].section].rows[j].line, key),
				   infos[i].name) == 0 &&
			    tables[infos[i].section].rows[j].value != NULL)
				taken = true;
		if (!taken && !is_tested_elsewhere(infos[i].section, infos[i].name))
			fail_msg("no row for %s", infos[i].name);
	}
}

static void test_unix_keys(void **state)
{
	cleanup_reading struct reading reading = read_text(
	    POOL
	    "sockets = s\n[socket:s]\nlisten = unix:/x\nmode = 0777\nowner = root\ngroup = 0\n");

	(void)state;
	assert_string_equal(buf_text(&reading.said), "");
	assert_string_equal(socket_value(&reading, "s", "mode"), "0777");
	assert_string_equal(socket_value(&reading, "s", "owner"), "root");
	assert_string_equal(socket_value(&reading, "s", "group"), "0");
	assert_said(POOL "sockets = s\n[socket:s]\nlisten = unix:/x\nmode = 1777\nowner = a:b\n",
		    "x.ini:7: [socket:s] mode: must be between 0000 and 0777, but is 1777\n"
		    "x.ini:8: [socket:s] owner: 'a:b' is not a name or number\n");
}

/* The canonical texts of a configuration, written down as a file, mean the same configuration. */
static void test_canonical_texts_come_back(void **state)
{
	static const char text[] =
	    "[supervisor]\nlame_duck = 90s\n"
	    "[pool:api]\ncommand = x 'a b' it\\'s \\; '#' \"$x\" ''\nready = exec:/bin/x '%n;' "
	    "\\\\\n"
	    "environment = A='x ; y' B=\nsuccess_codes = 3 "
	    "SIGRTMIN+1\nmax_surge=33%\nlimit_core=4K\n"
	    "working_directory = /a\nrestart = never\nwatchdog = 1500ms\ndrain_signal = SIGRTMIN\n"
	    "environment_file = -/a '/b c'\nsupplementary_groups = a b\n";
	cleanup_reading struct reading first = read_text(text), second = {.directory = NULL};
	cleanup_buf struct buf again = {.data = NULL};
	const struct config_item *items, *items_again;
	size_t n, n_again, i;

	(void)state;
	assert_string_equal(buf_text(&first.said), "");
	items = config_supervisor_items(first.config, &n);
	buf_add_str(&again, "[supervisor]\n");
	for (i = 0; i < n; i++)
		if (*items[i].value != '\0')
			buf_printf(&again, "%s = %s\n", items[i].key, items[i].value);
	items = config_pool_items(first.config, "api", &n);
	buf_add_str(&again, "[pool:api]\n");
	for (i = 0; i < n; i++)
		if (*items[i].value != '\0')
			buf_printf(&again, "%s = %s\n", items[i].key, items[i].value);
	second = read_text(again.data);
	assert_string_equal(buf_text(&second.said), "");
	items_again = config_pool_items(second.config, "api", &n_again);
	assert_int_equal(n, n_again);
	for (i = 0; i < n; i++)
		assert_string_equal(items[i].value, items_again[i].value);
}

static void test_items(void **state)
{
	cleanup_reading struct reading reading = read_text(SOCKET_A POOL "sockets = a\n");
	const struct config_item *items;
	size_t n, i;

	(void)state;
	items = config_pool_items(reading.config, "api", &n);
	assert_int_equal(n, 38);
	assert_string_equal(items[0].key, "command");
	assert_int_equal(items[0].effect, CONFIG_EFFECT_REPLACE);
	for (i = 0; i < n; i++) {
		assert_non_null(items[i].value);
		if (strcmp(items[i].key, "workers") == 0)
			assert_int_equal(items[i].effect, CONFIG_EFFECT_SCALE);
		if (strcmp(items[i].key, "drain_timeout") == 0)
			assert_int_equal(items[i].effect, CONFIG_EFFECT_NONE);
	}
	assert_null(config_pool_items(reading.config, "a", &n));
	assert_int_equal(n, 0);
	assert_non_null(config_socket_items(reading.config, "a", &n));
	assert_int_equal(n, 10);
	/* There is no [supervisor] in the file, and its values are there all the same. */
	assert_non_null(config_supervisor_items(reading.config, &n));
	assert_int_equal(n, 5);
}

static void test_cross_checks(void **state)
{
	(void)state;
	assert_said("", "x.ini: there is no [pool:NAME], so there is nothing to run\n");
	assert_said("[supervisor]\n",
		    "x.ini: there is no [pool:NAME], so there is nothing to run\n");
	assert_said("[pool:api]\n",
		    "x.ini:1: [pool:api] command: is missing; say what a worker runs\n"
		    "x.ini:1: [pool:api] ready: is missing; say how a worker becomes ready: "
		    "notify, delay:2s, fd:N or exec:CMD\n");
	assert_said("[socket:s]\n" POOL "sockets = s\n",
		    "x.ini:1: [socket:s] listen: is missing; say where to listen: tcp://HOST:PORT, "
		    "udp://HOST:PORT, "
		    "unix:/PATH or systemd:NAME\n");
	assert_said(SOCKET_A POOL "sockets = a\nsockets = b, c\n",
		    "x.ini:7: [pool:api] sockets: there is no [socket:b]\n"
		    "x.ini:7: [pool:api] sockets: there is no [socket:c]\n");
}

static void test_cross_sockets(void **state)
{
	(void)state;
	assert_said(
	    "[socket:grpc]\nlisten = tcp://:1\n" POOL "sockets = grcp\n",
	    "x.ini:1: warning: [socket:grpc] is used by no pool: clients that connect to it will "
	    "hang\n"
	    "x.ini:6: [pool:api] sockets: there is no [socket:grcp]; did you mean 'grpc'?\n");
	assert_said("[socket:grpc]\nlisten = tcp://:1\n" POOL "sockets = grpc\nsockets = x grpc\n",
		    "x.ini:7: [pool:api] sockets: there is no [socket:x]\n"
		    "x.ini:7: [pool:api] sockets: 'grpc' is listed twice\n");
	/* Unused: said, and no reason to refuse. */
	assert_said(SOCKET_A POOL, "x.ini:1: warning: [socket:a] is used by no pool: clients that "
				   "connect to it will hang\n");
	/* Two pools may share one. */
	assert_taken(SOCKET_A POOL
		     "sockets = a\n[pool:b]\ncommand = x\nready = notify\nsockets = a\n");
}

static void test_keys_without_effect(void **state)
{
	(void)state;
	assert_said("[socket:a]\nlisten = tcp://:1\nmode = 0600\n" POOL "sockets = a\n",
		    "x.ini:3: warning: [socket:a] mode: has no effect on a tcp socket\n");
	assert_said("[socket:a]\nlisten = unix:/x\nipv6_only = yes\n" POOL "sockets = a\n",
		    "x.ini:3: warning: [socket:a] ipv6_only: has no effect on a unix socket\n");
	assert_said("[socket:a]\nlisten = udp://:1\nbacklog = 5\n" POOL "sockets = a\n",
		    "x.ini:3: warning: [socket:a] backlog: has no effect on a udp socket\n");
	assert_said("[socket:a]\nlisten = systemd:a\nmode = 0600\nfreebind = no\nbacklog = 5\n" POOL
		    "sockets = a\n",
		    "x.ini:3: [socket:a] mode: cannot be set on a systemd socket; its .socket unit "
		    "decides\n"
		    "x.ini:4: [socket:a] freebind: cannot be set on a systemd socket; its .socket "
		    "unit decides\n");
}

/* Pairs of addresses, and how the second collides with the first; NULL: it does not. */
static void test_addresses(void **state)
{
	static const struct {
		const char *a, *b, *how;
	} rows[] = {
	    {"tcp://127.0.0.1:1", "tcp://127.0.0.1:1", "is the same as"},
	    {"tcp://127.0.0.1:1", "tcp://127.0.0.1:2", NULL},
	    {"tcp://127.0.0.1:1", "udp://127.0.0.1:1", NULL},
	    {"tcp://127.0.0.1:1", "tcp://127.0.0.2:1", NULL},
	    {"tcp://127.0.0.1:1", "tcp://0.0.0.0:1", "overlaps with"},
	    {"tcp://0.0.0.0:1", "tcp://127.0.0.1:1", "overlaps with"},
	    {"tcp://127.0.0.1:1", "tcp://*:1", "overlaps with"},
	    {"tcp://*:1", "tcp://:1", "is the same as"},
	    {"tcp://[::]:1", "tcp://:1", "is the same as"},
	    {"tcp://[::1]:1", "tcp://[0:0:0:0:0:0:0:1]:1", "is the same as"},
	    {"tcp://[::]:1", "tcp://127.0.0.1:1", NULL}, /* depends on the host */
	    {"tcp://[::]:1\nipv6_only = no", "tcp://127.0.0.1:1", "overlaps with"},
	    {"tcp://[::]:1\nipv6_only = yes", "tcp://0.0.0.0:1", NULL},
	    {"tcp://localhost:1", "tcp://LOCALHOST:1", "is the same as"},
	    {"tcp://localhost:1", "tcp://127.0.0.1:1", NULL}, /* found out when it is bound */
	    {"udp://0.0.0.0:1", "udp://127.0.0.1:1", NULL},
	    {"udp://0.0.0.0:1", "udp://0.0.0.0:1", "is the same as"},
	    {"unix:/a", "unix:/a", "is the same as"},
	    {"unix:/a", "unix://a", "is the same as"},
	    {"unix:/a", "unix:/b", NULL},
	    {"systemd:a", "systemd:a", "is the same as"},
	    {"systemd:a", "unix:/a", NULL},
	};
	char text[512], said[512], first[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		snprintf(text, sizeof(text),
			 POOL "sockets = a b\n[socket:b]\nlisten = %s\n[socket:a]\nlisten = %s\n",
			 rows[i].a, rows[i].b);
		snprintf(first, sizeof(first), "%.*s", (int)strcspn(rows[i].a, "\n"), rows[i].a);
		snprintf(said, sizeof(said),
			 "x.ini:%d: [socket:a] listen: %s %s %s of [socket:b] at x.ini:6\n",
			 strchr(rows[i].a, '\n') != NULL ? 9 : 8, rows[i].b,
			 rows[i].how != NULL ? rows[i].how : "", first);
		assert_said(text, rows[i].how != NULL ? said : "");
	}
	assert_said("[supervisor]\nstatus_listen = 127.0.0.1:9000\n" SOCKET_A POOL "sockets = a\n",
		    "x.ini:2: [supervisor] status_listen: 127.0.0.1:9000 is the same as "
		    "tcp://127.0.0.1:9000 of [socket:a] "
		    "at x.ini:4\n");
	assert_taken("[supervisor]\nstatus_listen = 127.0.0.1:9001\n" SOCKET_A POOL
		     "sockets = a\n");
}

static void test_cross_ready(void **state)
{
	(void)state;
	assert_said(SOCKET_A "[pool:api]\ncommand = x\nready = fd:3\nsockets = a\n",
		    "x.ini:5: [pool:api] ready: fd:3 is the descriptor of 'a'; the sockets have 3 "
		    "to 3, so take a higher one\n");
	assert_taken(SOCKET_A "[pool:api]\ncommand = x\nready = fd:4\nsockets = a\n");
	assert_said("[pool:api]\ncommand = x\nready = delay:30s\n",
		    "x.ini:3: [pool:api] ready: a worker would be ready after 30 s, but "
		    "start_timeout is 30 s\n");
	assert_taken("[pool:api]\ncommand = x\nready = delay:29s\n");
}

static void test_cross_times(void **state)
{
	(void)state;
	assert_said(POOL "restart_delay = 1min\n",
		    "x.ini:4: [pool:api] restart_delay: restart_delay_max (30 s) must not be "
		    "shorter than restart_delay (1 min)\n");
	assert_said(POOL "restart_delay_max = 100ms\n",
		    "x.ini:4: [pool:api] restart_delay_max: restart_delay_max (100 ms) must not be "
		    "shorter than restart_delay "
		    "(500 ms)\n");
	assert_said(POOL "start_timeout = 8min\nmin_ready = 3min\n",
		    "x.ini:4: [pool:api] start_timeout: progress_timeout (10 min) must not be "
		    "shorter than start_timeout and "
		    "min_ready together (11 min)\n");
	assert_taken(POOL "start_timeout = 8min\nmin_ready = 2min\n");
}

static void test_cross_numbers(void **state)
{
	(void)state;
	assert_said(POOL "workers = 40\nmax_processes = 79\n",
		    "x.ini:5: [pool:api] max_processes: must be at least 80, for 40 workers and 40 "
		    "more in a rollout "
		    "(max_surge), but is 79\n");
	assert_taken(POOL "workers = 40\nmax_processes = 80\n");
	assert_taken(POOL "workers = 40\nmax_processes = 41\nmax_surge = 1\n");
	assert_taken(POOL "workers = 3\nmax_processes = 4\nmax_surge = 25%\n");
	assert_taken(POOL "workers = 3\nmax_processes = 6\nmax_surge = 100\n");
	assert_said(POOL "workers = 5\nmax_processes = 6\nmax_surge = 25%\n",
		    "x.ini:5: [pool:api] max_processes: must be at least 7, for 5 workers and 2 "
		    "more in a rollout (max_surge), "
		    "but is 6\n");
	assert_said(POOL "workers = 2\nready_workers = 3\n",
		    "x.ini:5: [pool:api] ready_workers: the pool could never count as ready: "
		    "ready_workers is 3, but workers is "
		    "2\n");
	assert_taken(POOL "workers = auto\nready_workers = 9999\n");
	assert_said("[pool:a]\ncommand = x\nready = notify\nworkers = 9000\n"
		    "[pool:b]\ncommand = x\nready = notify\nworkers = 1001\n",
		    "x.ini:8: [pool:b] workers: all pools together have 10001 workers; at most "
		    "10000 are possible\n");
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
		    "notify, delay:2s, fd:N or exec:CMD\n"
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

static void test_dropins(void **state)
{
	cleanup_reading struct reading reading = {.directory = unit_directory()};
	static const char first[] = "[pool:api]\nworkers = 3\nenvironment = B=2\nsuccess_codes =\n";
	static const char second[] =
	    "[pool:api]\nworkers = 5\nenvironment =\nenvironment = C=3\n[pool:new]\ncommand = y\n"
	    "ready = notify\n[supervisor]\nlog_level = debug\n";

	(void)state;
	unit_write(reading.directory, "x.ini",
		   POOL "workers = 2\nenvironment = A=1\nsuccess_codes = 9\n",
		   strlen(POOL "workers = 2\nenvironment = A=1\nsuccess_codes = 9\n"));
	unit_write(reading.directory, "x.ini.d/10.ini", first, strlen(first));
	unit_write(reading.directory, "x.ini.d/20.ini~", "nonsense", 8);
	unit_write(reading.directory, "x.ini.d/.hidden.ini", "nonsense", 8);
	unit_write(reading.directory, "x.ini.d/README", "nonsense", 8);
	reading_run(&reading);
	assert_string_equal(buf_text(&reading.said), "");
	assert_string_equal(pool_value(&reading, "api", "workers"), "3");
	assert_string_equal(pool_value(&reading, "api", "environment"), "A=1 B=2");
	assert_string_equal(pool_value(&reading, "api", "success_codes"), "0");
	reading.config = config_free(reading.config);

	/* In the order of their names: this one comes last. */
	unit_write(reading.directory, "x.ini.d/9.ini", second, strlen(second));
	reading_run(&reading);
	assert_string_equal(buf_text(&reading.said), "");
	assert_string_equal(pool_value(&reading, "api", "workers"), "5");
	assert_string_equal(pool_value(&reading, "api", "environment"), "C=3");
	assert_string_equal(pool_value(&reading, "new", "command"), "y");
	assert_string_equal(supervisor_value(&reading, "log_level"), "debug");
	assert_non_null(
	    strstr(config_find_pool(reading.config, "new")->place.file, "x.ini.d/9.ini"));
	assert_int_equal(config_find_pool(reading.config, "new")->place.line, 5);
}

static void test_dropin_mistakes(void **state)
{
	cleanup_reading struct reading reading = {.directory = unit_directory()};
	static const char dropin[] =
	    "[pool:api]\nworkers = 3\nworkers = 0\nfoo = 1\n[pool:apii]\nnice = 1\n";
	char path[256];

	(void)state;
	unit_write(reading.directory, "x.ini", POOL "workers = x\n", strlen(POOL "workers = x\n"));
	unit_write(reading.directory, "x.ini.d/1.ini", dropin, strlen(dropin));
	snprintf(path, sizeof(path), "%s/x.ini.d/2.ini", reading.directory);
	assert_int_equal(mkdir(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/x.ini.d/3.ini", reading.directory);
	assert_int_equal(symlink("nowhere", path), 0);
	reading_run(&reading);
	assert_int_equal(reading.r, -EINVAL);
	assert_string_equal(
	    reading.said.data,
	    "x.ini.d/1.ini:3: [pool:api] workers: stands here again; it was set at line 2\n"
	    "x.ini.d/1.ini:4: [pool:api] foo: unknown key\n"
	    "x.ini.d/1.ini:5: [pool:apii] command: is missing; say what a worker runs\n"
	    "x.ini.d/1.ini:5: [pool:apii] ready: is missing; say how a worker becomes ready: "
	    "notify, delay:2s, fd:N or exec:CMD\n"
	    "x.ini.d/2.ini: is no regular file\n"
	    "x.ini.d/3.ini: cannot be read: No such file or directory\n");
}

static void test_dropin_directory(void **state)
{
	cleanup_reading struct reading reading = {.directory = unit_directory()};
	char name[64];

	(void)state;
	unit_write(reading.directory, "x.ini", POOL, strlen(POOL));
	unit_write(reading.directory, "x.ini.d", "a file", 6);
	reading_run(&reading);
	assert_int_equal(reading.r, -EINVAL);
	assert_string_equal(reading.said.data, "x.ini.d: cannot be read: Not a directory\n");
	reading_end(&reading);

	reading.directory = unit_directory();
	unit_write(reading.directory, "x.ini", POOL, strlen(POOL));
	for (int i = 0; i <= CONFIG_DROPINS_MAX; i++) {
		snprintf(name, sizeof(name), "x.ini.d/%d.ini", i);
		unit_write(reading.directory, name, "", 0);
	}
	reading_run(&reading);
	assert_string_equal(reading.said.data, "x.ini.d: has 257 files; at most 256 are read\n");
}

static void test_unreadable(void **state)
{
	cleanup_reading struct reading reading = {.directory = unit_directory()};
	char path[256], *big;

	(void)state;
	reading_run(&reading);
	assert_int_equal(reading.r, -ENOENT);
	assert_null(reading.config);
	assert_string_equal(reading.said.data,
			    "x.ini: cannot be read: No such file or directory\n");
	reading_end(&reading);

	reading.directory = unit_directory();
	snprintf(path, sizeof(path), "%s/x.ini", reading.directory);
	assert_int_equal(mkdir(path, 0755), 0);
	reading_run(&reading);
	assert_int_equal(reading.r, -EISDIR);
	assert_string_equal(reading.said.data, "x.ini: is no regular file\n");
	reading_end(&reading);

	big = malloc(CONFIG_FILE_MAX + 1);
	assert_non_null(big);
	memset(big, '\n', CONFIG_FILE_MAX + 1);
	reading = read_bytes(big, CONFIG_FILE_MAX + 1);
	assert_int_equal(reading.r, -EFBIG);
	assert_string_equal(reading.said.data,
			    "x.ini: has more than 4194304 bytes, so this is no configuration\n");
	reading_end(&reading);
	memcpy(big, POOL, strlen(POOL));
	reading = read_bytes(big, CONFIG_FILE_MAX);
	assert_int_equal(reading.r, 0);
	free(big);
}

static void test_instance_names(void **state)
{
	static const struct {
		const char *path, *name;
	} rows[] = {
	    {"/etc/handover/payments.ini", "payments"},
	    {"payments.ini", "payments"},
	    {"./a.b.ini", "a.b"},
	    {"/x/payments.conf", "payments.conf"},
	    {".ini", ".ini"},
	    {"/x/", ""},
	};
	struct config *config = NULL;
	struct config_problems problems = {.list = NULL};
	char *directory = unit_directory(), path[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup_free char *name = config_instance_name(rows[i].path);

		assert_string_equal(name, rows[i].name);
	}
	unit_write(directory, "a b.ini", POOL, strlen(POOL));
	snprintf(path, sizeof(path), "%s/a b.ini", directory);
	assert_int_equal(config_read(path, &config, &problems), -EINVAL);
	assert_int_equal(problems.n, 1);
	assert_int_equal(problems.list[0].line, 0);
	assert_non_null(
	    strstr(problems.list[0].text, "the instance would be named 'a b' after its file"));
	config_problems_free(&problems);
	unit_remove(directory);
}

static void test_problems(void **state)
{
	struct config_problems problems = {.list = NULL};
	cleanup_buf struct buf out = {.data = NULL};
	struct config_place b2 = {"b", 2}, b1 = {"b", 1}, a9 = {"a", 9}, nowhere = {NULL, 0};

	(void)state;
	config_problem_add(&problems, &b2, false, "%d", 1);
	config_problem_add(&problems, &b1, true, "%d", 2);
	config_problem_add(&problems, &a9, false, "%d", 3);
	config_problem_add(&problems, &b1, false, "%d", 4);
	config_problem_add(&problems, NULL, false, "%d", 5);
	config_problem_add(&problems, &nowhere, true, "%d", 6);
	config_problems_print(&problems, &out);
	assert_string_equal(out.data, "5\nwarning: 6\na:9: 3\nb:1: warning: 2\nb:1: 4\nb:2: 1\n");
	assert_int_equal(problems.errors, 4);
	config_problems_free(&problems);
	config_problems_free(&problems);
	assert_null(config_free(NULL));
}

/* The table is what everything else is made from, so it must hold together. */
static void test_key_table(void **state)
{
	size_t n, i, j;
	const struct key_info *infos = keys_all(&n);

	(void)state;
	assert_int_equal(n, 5 + 10 + 38);
	for (i = 0; i < n; i++) {
		assert_true(strlen(infos[i].name) > 0 && strlen(infos[i].name) < 49);
		assert_true(strlen(infos[i].type) > 0);
		assert_non_null(infos[i].range);
		assert_true(strlen(infos[i].summary) > 10);
		/* Unset is explained, and required has no default. */
		assert_true(infos[i].default_value == NULL || *infos[i].default_value != '\0' ||
			    infos[i].default_words != NULL);
		for (j = 0; j < i; j++)
			assert_true(infos[i].section != infos[j].section ||
				    strcmp(infos[i].name, infos[j].name) != 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_example),
	    cmocka_unit_test(test_defaults),
	    cmocka_unit_test(test_pool_keys),
	    cmocka_unit_test(test_socket_keys),
	    cmocka_unit_test(test_supervisor_keys),
	    cmocka_unit_test(test_every_key_has_rows),
	    cmocka_unit_test(test_unix_keys),
	    cmocka_unit_test(test_canonical_texts_come_back),
	    cmocka_unit_test(test_items),
	    cmocka_unit_test(test_cross_checks),
	    cmocka_unit_test(test_cross_sockets),
	    cmocka_unit_test(test_keys_without_effect),
	    cmocka_unit_test(test_addresses),
	    cmocka_unit_test(test_cross_ready),
	    cmocka_unit_test(test_cross_times),
	    cmocka_unit_test(test_cross_numbers),
	    cmocka_unit_test(test_workers_auto),
	    cmocka_unit_test(test_sections),
	    cmocka_unit_test(test_too_many_sections),
	    cmocka_unit_test(test_repeated_keys),
	    cmocka_unit_test(test_all_mistakes_at_once),
	    cmocka_unit_test(test_many_mistakes_are_counted),
	    cmocka_unit_test(test_dropins),
	    cmocka_unit_test(test_dropin_mistakes),
	    cmocka_unit_test(test_dropin_directory),
	    cmocka_unit_test(test_unreadable),
	    cmocka_unit_test(test_instance_names),
	    cmocka_unit_test(test_problems),
	    cmocka_unit_test(test_key_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
