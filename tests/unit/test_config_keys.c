/* test_config_keys.c - every key: the forms that are taken, the limits, what each mistake is told
 * as. */
#include "unit_config.h"

#include "system/keys.h"

/* One line of a section, and either the canonical value of its key or the sentence that refuses it.
 */
struct row {
	const char *line;
	const char *value;
	const char *error;
};

static const struct row pool_rows[] = {
    {"bind_shim = no", "no", NULL},
    {"bind_shim = on", NULL,
     "there are no sockets that a worker could bind; list them in the key sockets"},
    {"bind_shim = perhaps", NULL, "'perhaps' is neither yes nor no"},
    {"compat = einhorn", "einhorn", NULL},
    {"compat = unicorn,nginx server-starter", NULL,
     "workers drain at SIGTERM with server-starter, and at SIGQUIT with nginx: say which in "
     "drain_signal"},
    {"compat = unicorn nginx unicorn", "nginx unicorn", NULL},
    {"compat = s6:9", NULL, "s6:9 means ready = fd:9, and there is another ready"},
    {"compat = s6:2", NULL, "s6: '2' is not a descriptor's number between 3 and 1023"},
    {"compat = s6:x", NULL, "s6: 'x' is not a descriptor's number between 3 and 1023"},
    {"compat = s6", NULL, "'s6' is not one of server-starter, einhorn, nginx, unicorn, s6:NUMBER"},
    {"compat = enginx", NULL,
     "'enginx' is not one of server-starter, einhorn, nginx, unicorn, s6:NUMBER; did you mean "
     "'nginx'?"},
    {"ready = einhorn", NULL, "einhorn: a worker has no socket for that without compat = einhorn"},
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
     "'%x': there are %n (slot), %g (generation), %p (pool), %i (instance), and %% for "
     "a percent "
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
     "'delay' is not one of notify, http:/PATH, grpc[:SERVICE], tcp, exec:COMMAND, fd:NUMBER, "
     "delay:DURATION; did you mean "
     "'delay:...'?"},
    {"ready = fd:5", "fd:5", NULL},
    {"ready = fd:3", "fd:3", NULL},
    {"ready = fd:2", NULL, "fd:2 is standard error"},
    {"ready = fd:0", NULL, "fd:0 is standard input"},
    {"ready = fd:1024", NULL, "fd: '1024' is not a descriptor's number between 3 and 1023"},
    {"ready = fd:x", NULL, "fd: 'x' is not a descriptor's number between 3 and 1023"},
    {"ready = exec:/bin/check --port 1 'a ; b'", "exec:/bin/check --port 1 'a ; b'", NULL},
    {"ready = exec:", NULL, "there is no command"},
    {"ready = \"exec:/bin/x y\"", NULL,
     "quotes belong around words behind exec:, not around exec: itself"},
    {"ready = exec:/bin/check %q", NULL,
     "'%q': there are %n (slot), %g (generation), %p (pool), %i (instance), and %% for a percent "
     "sign"},
    {"ready = tcp\nprobe_address = 127.0.0.1:1", "tcp", NULL},
    {"ready = tcp:80", NULL, "tcp stands alone; where the server listens stands in probe_address"},
    {"ready = http:/health?deep=%201", "http:/health?deep=%201", NULL},
    {"ready = http:", NULL, "http: is followed by a path, such as http:/healthz"},
    {"ready = http:healthz", NULL, "http: is followed by a path, such as http:/healthz"},
    {"ready = http://127.0.0.1/x", NULL,
     "http: takes the path alone; where the server listens stands in probe_address"},
    {"ready = http:/a b", NULL, "http: '/a b' is no path of a URL"},
    {"ready = http:/\xc3\xa4", NULL, "http: '/\xc3\xa4' is no path of a URL"},
    {"ready = grpc", "grpc", NULL},
    {"ready = grpc:my.Service", "grpc:my.Service", NULL},
    {"ready = grpc:", NULL,
     "grpc: '' is no service's name; write grpc:SERVICE, or grpc for the server as a whole"},
    {"ready = grpc:a b", NULL,
     "grpc: 'a b' is no service's name; write grpc:SERVICE, or grpc for the server as a whole"},
    {"ready = grcp", NULL,
     "'grcp' is not one of notify, http:/PATH, grpc[:SERVICE], tcp, exec:COMMAND, fd:NUMBER, "
     "delay:DURATION; did you mean 'grpc'?"},
    {"ready = https:/x", NULL,
     "'https:/x' is not one of notify, http:/PATH, grpc[:SERVICE], tcp, exec:COMMAND, fd:NUMBER, "
     "delay:DURATION; did you mean 'http:...'?"},
    {"probe_address = 127.0.0.1:91%n", "127.0.0.1:91%n", NULL},
    {"probe_address = [::1]:9100", "[::1]:9100", NULL},
    {"probe_address = unix:/run/%i/%p-%n-%g.sock", "unix:/run/%i/%p-%n-%g.sock", NULL},
    {"probe_address = localhost:9100", NULL,
     "'localhost' is a name, which would have to be looked up at every probe; write an address, "
     "such "
     "as 127.0.0.1"},
    {"probe_address = *:9100", NULL, "says no address to connect to; write 127.0.0.1:PORT"},
    {"probe_address = 9100", NULL, "'9100' has no port; write HOST:PORT"},
    {"probe_address = 127.0.0.1:910000", NULL, "'910000' is not a port between 1 and 65535"},
    {"probe_address = 127.0.0.1:91%x", NULL,
     "'127.0.0.1:91%x': there are %n (slot), %g (generation), %p (pool), %i (instance), and %% for "
     "a percent "
     "sign"},
    {"probe_address = unix:run/x", NULL, "'run/x' is not a path that begins with '/'"},
    {"probe_timeout = 2s", "2s", NULL},
    {"probe_timeout = 0", NULL, "must be between 10ms and 1h, but is 0"},
    {"ready = notfy", NULL,
     "'notfy' is not one of notify, http:/PATH, grpc[:SERVICE], tcp, exec:COMMAND, fd:NUMBER, "
     "delay:DURATION; did you mean "
     "'notify'?"},
    {"ready = notify:x", NULL,
     "'notify:x' is not one of notify, http:/PATH, grpc[:SERVICE], tcp, exec:COMMAND, fd:NUMBER, "
     "delay:DURATION; did you mean "
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
    {"handoff = channel", "channel", NULL},
    {"handoff = exec", NULL, "'exec' is not one of inherit, channel"},
    {"max_surge = 3", "3", NULL},
    {"max_surge = 10001", NULL, "must be between 0 and 10000, but is 10001"},
    {"max_surge = 25%", "25%", NULL},
    {"max_surge = 101%", NULL, "must be between 0% and 100%, but is 101%"},
    {"max_surge = all", NULL, "'all' is neither a number nor a percentage such as 25%"},
    {"max_unavailable = 0", "0", NULL},
    {"max_unavailable = 2", "2", NULL},
    {"max_unavailable = 25%", "25%", NULL},
    {"max_unavailable = 10001", NULL, "must be between 0 and 10000, but is 10001"},
    {"max_unavailable = 101%", NULL, "must be between 0% and 100%, but is 101%"},
    {"max_unavailable = few", NULL, "'few' is neither a number nor a percentage such as 25%"},
    {"canary = 1", "1", NULL},
    {"canary = 20%", "20%", NULL},
    {"canary = 101%", NULL, "must be between 0% and 100%, but is 101%"},
    {"canary = yes", NULL, "'yes' is neither a number nor a percentage such as 25%"},
    {"canary_time = 5min", "5min", NULL},
    {"canary_time = 8d", NULL, "must be between 0 and 7d, but is 8d"},
    {"canary_check = off", "off", NULL},
    {"canary_check = exec:/bin/check --pool '%p x'", "exec:/bin/check --pool '%p x'", NULL},
    {"canary_check = /bin/check", NULL, "'/bin/check' is neither off nor exec:COMMAND"},
    {"canary_check = exec:", NULL, "there is no command"},
    {"canary_check_timeout = 2min", "2min", NULL},
    {"canary_hold = yes", "yes", NULL},
    {"canary_hold_timeout = 12h", "12h", NULL},
    {"min_ready = 10s", "10s", NULL},
    {"progress_timeout = 1h", "1h", NULL},
    {"keep_generations = 0", "0", NULL},
    {"keep_generations = 16", "16", NULL},
    {"keep_generations = 17", NULL, "must be between 0 and 16, but is 17"},
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
    {"memory_max = 64M", "67108864", NULL},
    {"memory_max = infinity", "infinity", NULL},
    {"memory_max = 1023K", NULL, "must be between 1M and infinity, but is 1023K"},
    {"memory_max = lots", NULL, "'lots' is not a size such as 4096, 64K, 512M or 1G"},
    {"tasks_max = 1", "1", NULL},
    {"tasks_max = infinity", "infinity", NULL},
    {"tasks_max = 0", NULL, "must be between 1 and infinity, but is 0"},
    {"cpu_weight = 10000", "10000", NULL},
    {"cpu_weight = 10001", NULL, "must be between 1 and 10000, but is 10001"},
    {"cpu_weight = 0", NULL, "must be between 1 and 10000, but is 0"},
    {"stdout = null", "null", NULL},
    {"stdout = inherit", "inherit", NULL},
    {"stdout = file:/var/log/x y", "file:/var/log/x y", NULL},
    {"stdout = file:x", NULL, "'x' is not a path that begins with '/'"},
    {"stdout = /var/log/x", NULL,
     "'/var/log/x' is not one of capture, inherit, null, journal, file:/PATH"},
    {"stdout = journal", "journal", NULL},
    {"stderr = null", "null", NULL},
    {"success_codes = 3,143 SIGUSR1 SIGINT", "0 3 143 SIGINT SIGUSR1", NULL},
    {"success_codes = 256", NULL, "'256' is neither an exit code between 0 and 255 nor a signal"},
    {"success_codes = SIGFOO", NULL,
     "'SIGFOO' is neither an exit code between 0 and 255 nor a signal"},

    {"fd_store_max = 0", "0", NULL},
    {"fd_store_max = 256", "256", NULL},
    {"fd_store_max = 257", NULL, "must be between 0 and 256, but is 257"},
    {"live = http:/x", "http:/x", NULL},
    {"live = grpc:a.B", "grpc:a.B", NULL},
    {"live = exec:/bin/check 'a b'", "exec:/bin/check 'a b'", NULL},
    {"live = off", "off", NULL},
    {"live = tcp", NULL,
     "tcp would prove nothing: the probe socket takes connections before the worker does anything; "
     "use http:/PATH or grpc, or say in probe_address where the server listens by itself"},
    {"live = exec:", NULL, "there is no command"},
    {"live = notify", NULL,
     "'notify' is not one of http:/PATH, grpc[:SERVICE], tcp, exec:COMMAND, off; a worker that "
     "says "
     "by itself that it lives has a watchdog"},
    {"live = htp:/x", NULL,
     "'htp:/x' is not one of http:/PATH, grpc[:SERVICE], tcp, exec:COMMAND, off; did you mean "
     "'http:...'?"},
    {"live_interval = 10s", "10s", NULL},
    {"live_interval = 10ms", NULL, "must be between 100ms and 1d, but is 10ms"},
    {"live_timeout = 1s", "1s", NULL},
    {"live_failures = 1", "1", NULL},
    {"live_failures = 0", NULL, "must be between 1 and 1000, but is 0"},
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
    {"listen = handover:pay.ments-2/web", "handover:pay.ments-2/web", NULL},
    {"listen = handover:/run/x/y/web", "handover:/run/x/y/web", NULL},
    {"listen = handover:web", NULL,
     "'web' is not INSTANCE/NAME: another instance (its name, or its runtime directory) and the "
     "name of one of its sockets"},
    {"listen = handover:a/", NULL,
     "'a/' is not INSTANCE/NAME: another instance (its name, or its runtime directory) and the "
     "name of one of its sockets"},
    {"listen = handover:/web", NULL,
     "'/web' is not INSTANCE/NAME: another instance (its name, or its runtime directory) and the "
     "name of one of its sockets"},
    {"listen = handover:a/b/web", NULL,
     "'a/b/web' is not INSTANCE/NAME: another instance (its name, or its runtime directory) and "
     "the name of one of its sockets"},
    {"listen = handover:/run/%i/web", NULL,
     "'/run/%i/web': '%' is not supported here by this version"},
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
    {"listen = tcp://127.0.0.1:91%n", "tcp://127.0.0.1:91%n", NULL},
    {"listen = tcp://127.0.0.1:9100+%n", "tcp://127.0.0.1:9100+%n", NULL},
    {"listen = udp://[fe80::1%eth0]:1%n", "udp://[fe80::1%eth0]:1%n", NULL},
    {"listen = unix:/run/%n/x-%n%%.sock", "unix:/run/%n/x-%n%%.sock", NULL},
    {"listen = unix:/run/100%%.sock", "unix:/run/100%%.sock", NULL},
    {"listen = tcp://127.0.0.1:9%g", NULL,
     "'tcp://127.0.0.1:9%g': only %n, the slot, is replaced here, which makes a socket for each "
     "slot"},
    {"listen = tcp://127.0.0.1:9%", NULL,
     "'tcp://127.0.0.1:9%': only %n, the slot, is replaced here, which makes a socket for each "
     "slot"},
    {"listen = unix:/run/%p-%n.sock", NULL,
     "'unix:/run/%p-%n.sock': only %n, the slot, is replaced here, which makes a socket for each "
     "slot; a percent sign is written %%"},
    {"listen = tcp://10.0.0.%n:9", NULL, "'10.0.0.%n:9': a host has no '%'; %n may be in the port"},
    {"listen = tcp://127.0.0.1:%n", NULL,
     "port 0 is refused: it would be a different one after each start (%n is 0 for the first "
     "slot)"},
    {"listen = tcp://127.0.0.1:9x+%n", NULL,
     "'9x+0' is not a port between 1 and 65535 (%n is 0 for the first slot)"},
    {"listen = tcp://127.0.0.1:%n+9000", NULL,
     "'0+9000' is not a port between 1 and 65535 (%n is 0 for the first slot)"},
    {"listen = tcp://127.0.0.1:9000+1", NULL, "'9000+1' is not a port between 1 and 65535"},
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
     "'127.0.0.1:80' begins with none of tcp://, udp://, unix:, systemd: and handover:; did you "
     "mean "
     "'tcp://127.0.0.1:80'?"},
    {"listen = /run/x.sock", NULL,
     "'/run/x.sock' begins with none of tcp://, udp://, unix:, systemd: and handover:; did you "
     "mean "
     "'unix:/run/x.sock'?"},
    {"listen = http://x", NULL,
     "'http://x' begins with none of tcp://, udp://, unix:, systemd: and handover:"},
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
    {"reuseport = yes", "yes", NULL},
    {"reuseport = 4", NULL, "'4' is neither yes nor no"},
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
    {"log_format = xml", NULL, "'xml' is not one of auto, text, json, journal"},
    {"log_format = journal", "journal", NULL},
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
				 strcmp(key, "ready") == 0	     ? ""
				 : strcmp(key, "probe_address") == 0 ? "ready = grpc\n"
								     : "ready = notify\n");
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
	assert_int_equal(n, 59);
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
	assert_int_equal(n, 11);
	/* There is no [supervisor] in the file, and its values are there all the same. */
	assert_non_null(config_supervisor_items(reading.config, &n));
	assert_int_equal(n, 5);
}

/* The table is what everything else is made from, so it must hold together. */
static void test_key_table(void **state)
{
	size_t n, i, j;
	const struct key_info *infos = keys_all(&n);

	(void)state;
	assert_int_equal(n, 5 + 11 + 59);
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
	    cmocka_unit_test(test_pool_keys),
	    cmocka_unit_test(test_socket_keys),
	    cmocka_unit_test(test_supervisor_keys),
	    cmocka_unit_test(test_every_key_has_rows),
	    cmocka_unit_test(test_unix_keys),
	    cmocka_unit_test(test_canonical_texts_come_back),
	    cmocka_unit_test(test_items),
	    cmocka_unit_test(test_key_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
