/* test_config_verify.c - keys and sections that are right alone, and wrong together. */
#include "unit_config.h"

static void test_cross_checks(void **state)
{
	(void)state;
	assert_said("", "x.ini: there is no [pool:NAME], so there is nothing to run\n");
	assert_said("[supervisor]\n",
		    "x.ini: there is no [pool:NAME], so there is nothing to run\n");
	assert_said("[pool:api]\n",
		    "x.ini:1: [pool:api] command: is missing; say what a worker runs\n"
		    "x.ini:1: [pool:api] ready: is missing; say how a worker becomes ready: "
		    "notify, http:/PATH, grpc, delay:2s, fd:N or exec:CMD\n");
	assert_said("[socket:s]\n" POOL "sockets = s\n",
		    "x.ini:1: [socket:s] listen: is missing; say where to listen: tcp://HOST:PORT, "
		    "udp://HOST:PORT, "
		    "unix:/PATH, systemd:NAME or handover:INSTANCE/NAME\n");
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

static void test_shim(void **state)
{
	(void)state;
	assert_taken(SOCKET_A POOL "sockets = a\nbind_shim = yes\n");
	assert_said(
	    SOCKET_A POOL "sockets = a\nbind_shim = yes\nhandoff = channel\n",
	    "x.ini:7: [pool:api] bind_shim: a server that binds its addresses itself has its "
	    "sockets from the start: that goes with handoff = inherit only\n");
}

#define PROBED "[pool:api]\ncommand = x\n"

static void test_probe_socket(void **state)
{
	(void)state;
	assert_taken(SOCKET_A PROBED "ready = http:/x\nsockets = a\nworkers = 9\n");
	assert_taken(SOCKET_A PROBED "ready = grpc\nsockets = a\nhandoff = channel\n");
	assert_said(PROBED "ready = tcp\n",
		    "x.ini:3: [pool:api] ready: tcp would prove nothing: the probe socket takes "
		    "connections before the worker does anything; use http:/PATH or grpc, or say "
		    "in probe_address where the server listens by itself\n");
	assert_said(
	    "[socket:probe]\nlisten = tcp://:1\n" PROBED "ready = http:/x\nsockets = probe\n",
	    "x.ini:6: [pool:api] sockets: 'probe' is the name of the worker's probe socket: "
	    "call it otherwise\n");
	assert_taken("[socket:probe]\nlisten = tcp://:1\n" POOL "sockets = probe\n");
}

/* What asks workers that serve needs the same. */
static void test_live(void **state)
{
	(void)state;
	assert_taken(SOCKET_A POOL "sockets = a\nlive = http:/x\n");
	assert_taken(POOL "live = tcp\nprobe_address = 127.0.0.1:1\n");
	assert_said(POOL "live = exec:/bin/true\nprobe_address = 127.0.0.1:1\n",
		    "x.ini:5: [pool:api] probe_address: nothing is asked there: neither ready nor "
		    "live is tcp, http or grpc\n");
	assert_said(SOCKET_A PROBED "ready = fd:4\nsockets = a\nlive = grpc\n",
		    "x.ini:5: [pool:api] ready: fd:4 is the descriptor of the probe socket; take a "
		    "higher one\n");
	assert_said(
	    SOCKET_A POOL "sockets = a\nbind_shim = yes\nlive = grpc\n",
	    "x.ini:8: [pool:api] live: a server that binds its addresses itself (bind_shim) "
	    "does not serve on the probe socket: say in probe_address where it can be asked, "
	    "or use exec\n");
}

static void test_probe_address(void **state)
{
	(void)state;
	assert_taken(PROBED "ready = tcp\nprobe_address = 127.0.0.1:9100\n");
	assert_taken(PROBED "ready = http:/\nprobe_address = 127.0.0.1:91%n\nworkers = 4\n");
	assert_said(
	    PROBED "ready = http:/\nprobe_address = 127.0.0.1:9100\nworkers = 4\n",
	    "x.ini:4: [pool:api] probe_address: 127.0.0.1:9100 is the same for all workers, "
	    "so any of them might answer: put %n, the slot, into it, or leave it out to ask "
	    "each worker over a probe socket of its own\n");
	assert_said(
	    PROBED "ready = http:/\nprobe_address = 127.0.0.1:6553%n\nworkers = 8\n",
	    "x.ini:4: [pool:api] probe_address: for slot 6: '65536' is not a port between 1 "
	    "and 65535\n");
	assert_said(
	    SOCKET_A PROBED
	    "ready = http:/\nprobe_address = 127.0.0.1:900%n\nsockets = a\nworkers = 3\n",
	    "x.ini:6: [pool:api] probe_address: 127.0.0.1:900%n is [socket:a], where others "
	    "may answer; leave it out to ask each worker over a probe socket of its "
	    "own, or give each a port of its own (%n)\n");
	assert_said(
	    "[socket:a]\nlisten = unix:/run/p1.sock\n" PROBED
	    "ready = http:/\nprobe_address = unix:/run/p%n.sock\nsockets = a\nworkers = 2\n",
	    "x.ini:6: [pool:api] probe_address: unix:/run/p%n.sock is [socket:a], where others "
	    "may answer; leave it out to ask each worker over a probe socket of its "
	    "own, or give each a port of its own (%n)\n");
	assert_said(
	    PROBED "ready = notify\nprobe_address = 127.0.0.1:9100\n",
	    "x.ini:4: [pool:api] probe_address: nothing is asked there: neither ready nor live is "
	    "tcp, http or grpc\n");
	/* one mistake is told once */
	assert_said(
	    PROBED "ready = http:path\nprobe_address = 127.0.0.1:9100\n",
	    "x.ini:3: [pool:api] ready: http: is followed by a path, such as http:/healthz\n");
}

/* What follows from `compat` for keys that are not written; what is written counts. */
static void test_compat(void **state)
{
	static const struct {
		const char *keys, *ready, *drain_signal;
	} rows[] = {
	    {"compat = server-starter\nready = notify", "notify", "SIGTERM"},
	    {"compat = einhorn", "einhorn", "SIGUSR2"},
	    {"compat = einhorn\nready = delay:1s\ndrain_signal = TERM", "delay:1s", "SIGTERM"},
	    {"ready = einhorn\ncompat = einhorn", "einhorn", "SIGUSR2"},
	    {"compat = s6:9", "fd:9", "SIGTERM"},
	    {"compat = s6:9\nready = fd:9", "fd:9", "SIGTERM"},
	    {"compat = nginx, s6:4", "fd:4", "SIGQUIT"},
	    {"compat = einhorn s6:4", "fd:4", "SIGUSR2"},
	    {"compat = unicorn\nready = notify", "notify", "SIGQUIT"},
	    {"compat = unicorn einhorn\ncompat =\nready = notify", "notify", "SIGTERM"},
	    {"compat = nginx server-starter\ndrain_signal = HUP\nready = notify", "notify",
	     "SIGHUP"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup_buf struct buf text = {.data = NULL};
		cleanup_reading struct reading reading = {.directory = NULL};

		buf_printf(&text, "[pool:api]\ncommand = x\n%s\n", rows[i].keys);
		reading = read_text(text.data);
		assert_string_equal(buf_text(&reading.said), "");
		assert_string_equal(pool_value(&reading, "api", "ready"), rows[i].ready);
		assert_string_equal(pool_value(&reading, "api", "drain_signal"),
				    rows[i].drain_signal);
	}
	assert_said("[pool:api]\ncommand = x\ncompat = nginx\n",
		    "x.ini:1: [pool:api] ready: is missing; say how a worker becomes ready: "
		    "notify, http:/PATH, grpc, delay:2s, fd:N or "
		    "exec:CMD\n");
	assert_said(SOCKET_A POOL "sockets = a\ncompat = nginx\nhandoff = channel\n",
		    "x.ini:7: [pool:api] compat: such workers are born with their sockets: that "
		    "goes with handoff = inherit "
		    "only\n");
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
	assert_said("[socket:a]\nlisten = systemd:a\nreuseport = yes\n" POOL "sockets = a\n",
		    "x.ini:3: [socket:a] reuseport: cannot be set on a systemd socket; its .socket "
		    "unit decides\n");
	assert_said("[socket:a]\nlisten = udp://:1\nreuseport = yes\n" POOL "sockets = a\n",
		    "x.ini:3: [socket:a] reuseport: cannot be set on a udp socket: datagrams that "
		    "wait at a slot that goes would be lost\n");
	assert_said(
	    "[socket:a]\nlisten = unix:/x\nreuseport = yes\n" POOL "sockets = a\n",
	    "x.ini:3: [socket:a] reuseport: cannot be set on a unix socket: a path leads to "
	    "one socket; %n in it makes one for each slot\n");
	assert_said(
	    "[socket:a]\nlisten = tcp://:80+%n\nreuseport = yes\n" POOL "sockets = a\n",
	    "x.ini:3: [socket:a] reuseport: with %n in listen each slot has a socket of its "
	    "own already; take out one of the two\n");
	assert_said("[socket:a]\nlisten = unix:/x\nreuseport = no\n" POOL "sockets = a\n", "");
	assert_said("[socket:a]\nlisten = handover:i/a\nbacklog = 5\n" POOL "sockets = a\n",
		    "x.ini:3: [socket:a] backlog: cannot be set on a handover socket; the instance "
		    "that opened it decides\n");
	assert_said("[socket:a]\nlisten = handover:x/a\n" POOL "sockets = a\n",
		    "x.ini:2: [socket:a] listen: this is instance x itself; name the instance that "
		    "has the socket now\n");
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
	    {"handover:i/a", "handover:i/a", "is the same as"},
	    {"handover:i/a", "handover:i/b", NULL},
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

/* A section that is held against another one with `%n`, for a pool of three. */
static void test_addresses_of_slots(void **state)
{
	static const struct {
		const char *slots, *other, *how;
	} rows[] = {
	    {"tcp://127.0.0.1:9000+%n", "tcp://127.0.0.1:9003", NULL},
	    {"tcp://127.0.0.1:9000+%n", "udp://127.0.0.1:9001", NULL},
	    {"tcp://127.0.0.1:9000+%n", "tcp://127.0.0.2:9001", NULL},
	    {"tcp://127.0.0.1:9000+%n", "tcp://127.0.0.1:9002",
	     "tcp://127.0.0.1:9002 is the same as tcp://127.0.0.1:9000+%n for slot 2 (port 9002)"},
	    {"tcp://127.0.0.1:900%n", "tcp://0.0.0.0:9001",
	     "tcp://0.0.0.0:9001 overlaps with tcp://127.0.0.1:900%n for slot 1 (port 9001)"},
	    {"unix:/a-%n", "unix:/a-1", "unix:/a-1 is the same as unix:/a-%n for slot 1 (/a-1)"},
	    {"unix:/a-%n", "unix:/a-3", NULL},
	    {"tcp://127.0.0.1:9000+%n", "tcp://127.0.0.1:9002+%n",
	     "tcp://127.0.0.1:9002+%n for slot 0 (port 9002) is the same as "
	     "tcp://127.0.0.1:9000+%n for slot 2 (port 9002)"},
	    {"tcp://127.0.0.1:9000+%n", "tcp://127.0.0.1:9003+%n", NULL},
	};
	char text[512], said[512];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		snprintf(text, sizeof(text),
			 POOL "sockets = b a\nworkers = 3\n[socket:b]\nlisten = %s\n"
			      "[socket:a]\nlisten = %s\n",
			 rows[i].slots, rows[i].other);
		snprintf(said, sizeof(said),
			 "x.ini:9: [socket:a] listen: %s of [socket:b] at x.ini:7\n", rows[i].how);
		assert_said(text, rows[i].how != NULL ? said : "");
	}
	assert_said("[supervisor]\nstatus_listen = 127.0.0.1:9001\n[socket:a]\n"
		    "listen = tcp://127.0.0.1:9000+%n\n" POOL "sockets = a\nworkers = 2\n",
		    "x.ini:2: [supervisor] status_listen: 127.0.0.1:9001 is the same as "
		    "tcp://127.0.0.1:9000+%n for slot 1 (port 9001) of [socket:a] at x.ini:4\n");
	/* the largest of the pools counts; the first slot without an address is told */
	assert_said("[socket:a]\nlisten = tcp://127.0.0.1:65534+%n\n" POOL
		    "sockets = a\n[pool:b]\ncommand = x\nready = notify\nsockets = a\n"
		    "workers = 4\n",
		    "x.ini:2: [socket:a] listen: tcp://127.0.0.1:65534+%n, for slot 2: '65536' is "
		    "not a port between 1 and 65535 (pool b has 4 workers)\n");
	assert_said("[socket:a]\nlisten = tcp://127.0.0.1:9000+%n\n" POOL,
		    "x.ini:1: warning: [socket:a] is used by no pool: there are no slots, so "
		    "nothing is opened\n");
	assert_taken("[socket:a]\nlisten = tcp://127.0.0.1:1%n\n" POOL
		     "sockets = a\nworkers = 1000\n[socket:b]\nlisten = unix:/b-%n\n"
		     "[pool:b]\ncommand = x\nready = notify\nsockets = b\nworkers = 9000\n");
}

static void test_cross_ready(void **state)
{
	(void)state;
	assert_said(SOCKET_A "[pool:api]\ncommand = x\nready = fd:3\nsockets = a\n",
		    "x.ini:5: [pool:api] ready: fd:3 is the descriptor of 'a'; the sockets have 3 "
		    "to 3, so take a higher one\n");
	assert_taken(SOCKET_A "[pool:api]\ncommand = x\nready = fd:4\nsockets = a\n");
	assert_said(SOCKET_A "[pool:api]\ncommand = x\nready = fd:5\nsockets = a\n"
			     "fd_store_max = 2\n",
		    "x.ini:5: [pool:api] ready: fd:5 may be the descriptor of something that is "
		    "kept (fd_store_max = 2): these follow the sockets, up to 5, so take a higher "
		    "one\n");
	assert_taken(SOCKET_A "[pool:api]\ncommand = x\nready = fd:6\nsockets = a\n"
			      "fd_store_max = 2\n");
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
	assert_taken(POOL "workers = 3\nmax_processes = 3\nmax_surge = 0\nmax_unavailable = 1\n");
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

/* A rollout must have a way to replace a worker. */
static void test_cross_progress(void **state)
{
	(void)state;
	assert_said(
	    POOL "workers = 4\nmax_surge = 0\n",
	    "x.ini:5: [pool:api] max_surge: max_surge and max_unavailable are both 0, so no "
	    "worker could ever be replaced: allow one more of them (max_surge) or one fewer "
	    "(max_unavailable)\n");
	assert_said(
	    POOL "workers = 4\nmax_unavailable = 0%\nmax_surge = 0%\n",
	    "x.ini:5: [pool:api] max_unavailable: max_surge and max_unavailable are both 0, so "
	    "no worker could ever be replaced: allow one more of them (max_surge) or one fewer "
	    "(max_unavailable)\n");
	assert_said(
	    POOL "workers = 3\nmax_surge = 0\nmax_unavailable = 33%\n",
	    "x.ini:6: [pool:api] max_unavailable: 33% of 3 workers, rounded down, are none, and "
	    "max_surge is 0, so no worker could ever be replaced: say a number, 1 or more\n");
	assert_taken(POOL "workers = 3\nmax_surge = 0\nmax_unavailable = 34%\n");
	assert_taken(POOL "workers = 3\nmax_surge = 1%\nmax_unavailable = 33%\n");
	assert_taken(POOL "max_surge = 0\nmax_unavailable = 100%\n");
	assert_said(
	    POOL "max_surge = 0\nmax_unavailable = 1\ndrain_timeout = 10min\n",
	    "x.ini:6: [pool:api] drain_timeout: progress_timeout (10 min) must be longer than "
	    "a drain (10 min) where workers have to go before their successors start "
	    "(max_unavailable)\n");
	assert_said(POOL "max_surge = 0\nmax_unavailable = 1\nprogress_timeout = 1min\n"
			 "drain_timeout = 59s\ndump_signal = SIGQUIT\ndump_timeout = 1s\n",
		    "x.ini:6: [pool:api] progress_timeout: progress_timeout (1 min) must be longer "
		    "than a drain (1 min) where workers have to go before their successors start "
		    "(max_unavailable)\n");
	assert_taken(POOL
		     "workers = 2\nmax_surge = 100%\nmax_unavailable = 1\ndrain_timeout = 1h\n");
}

/* Canaries need a place beside the old workers; what is about them, a canary. */
static void test_cross_canary(void **state)
{
	(void)state;
	assert_taken(POOL "canary = 1\n");
	assert_taken(POOL "workers = 5\ncanary = 25%\nmax_surge = 2\n");
	assert_said(
	    POOL "workers = 5\ncanary = 41%\nmax_surge = 2\n",
	    "x.ini:5: [pool:api] canary: 3 canaries are to serve beside the old workers, but "
	    "max_surge allows only 2 more\n");
	assert_said(POOL "workers = 5\nmax_surge = 0\nmax_unavailable = 1\ncanary = 1\n",
		    "x.ini:7: [pool:api] canary: a canary serves beside the old workers, and "
		    "max_surge = 0 leaves no place for it\n");
	assert_said(POOL "canary_time = 1min\ncanary_hold = yes\n",
		    "x.ini:4: warning: [pool:api] canary_time: has no effect without canary\n"
		    "x.ini:5: warning: [pool:api] canary_hold: has no effect without canary\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_cross_checks),
	    cmocka_unit_test(test_cross_sockets),
	    cmocka_unit_test(test_shim),
	    cmocka_unit_test(test_probe_socket),
	    cmocka_unit_test(test_probe_address),
	    cmocka_unit_test(test_compat),
	    cmocka_unit_test(test_keys_without_effect),
	    cmocka_unit_test(test_addresses),
	    cmocka_unit_test(test_addresses_of_slots),
	    cmocka_unit_test(test_cross_ready),
	    cmocka_unit_test(test_cross_times),
	    cmocka_unit_test(test_cross_numbers),
	    cmocka_unit_test(test_cross_progress),
	    cmocka_unit_test(test_cross_canary),
	    cmocka_unit_test(test_live),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
