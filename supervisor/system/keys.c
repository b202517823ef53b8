/* keys.c - the one table of all keys. What is not in here does not exist; what is in here, the man
 * page describes. */
#include "system/keys.h"

#include <ctype.h>
#include <string.h>

#include "base/fd.h"
#include "base/parse.h"
#include "system/config_internal.h"

#define ROW(section_, struct_, member_, name_, type_, words_, default_, effect_, summary_)     \
	.type = &type_, .offset = offsetof(struct struct_, member_), .info.section = section_, \
	.info.name = name_, .info.type = words_, .info.default_value = default_,               \
	.info.effect = CONFIG_EFFECT_##effect_, .info.summary = summary_

/* Member, name, type, type in words, default, what a reload does with a change, what it is for. */
#define SUPERVISOR(member, ...) ROW(KEY_SUPERVISOR, supervisor_spec, member, __VA_ARGS__)
#define SOCKET(member, ...)	ROW(KEY_SOCKET, socket_spec, member, __VA_ARGS__)
#define POOL(member, ...)	ROW(KEY_POOL, pool_spec, member, __VA_ARGS__)

/* Limits, written as people would write them. */
#define RANGE(least_, most_) .least = least_, .most = most_, .info.range = least_ " to " most_
/* A default that depends on other keys. */
#define DEFAULT(words) .info.default_words = words
#define REQUIRED       NULL
#define UNSET	       ""

static const struct key keys[] = {
    {SUPERVISOR(status_listen, "status_listen", type_address, "HOST:PORT", UNSET, NONE,
		"where health, metrics and status may be read over TCP"),
     DEFAULT("off"), .info.range = "port 1 to 65535"},
    {SUPERVISOR(operator_group, "operator_group", type_account, "group", UNSET, NONE,
		"who may reload and stop, besides root and the instance's own user"),
     DEFAULT("nobody else")},
    {SUPERVISOR(lame_duck, "lame_duck", type_duration, "duration", "0", NONE,
		"time at a stop between saying so and draining"),
     RANGE("0", "1h")},
    {SUPERVISOR(log_level, "log_level", type_choice, "error | warning | notice | info | debug",
		"info", NONE, "what is logged"),
     .first = LOG_LEVEL_ERROR},
    {SUPERVISOR(log_format, "log_format", type_choice, "auto | text | json | journal", "auto", NONE,
		"how it is logged")},

    {SOCKET(listen, "listen", type_listen, "address", REQUIRED, REPLACE, "what is listened at"),
     .info.range =
	 "tcp://HOST:PORT, udp://HOST:PORT, unix:/PATH, systemd:NAME or handover:INSTANCE/NAME",
     .missing =
	 "say where to listen: tcp://HOST:PORT, udp://HOST:PORT, unix:/PATH, systemd:NAME or "
	 "handover:INSTANCE/NAME"},
    {SOCKET(backlog, "backlog", type_number, "number", "4096", NONE,
	    "connections that may wait to be accepted"),
     RANGE("1", "65535")},
    {SOCKET(mode, "mode", type_octal, "octal number", "0660", NONE,
	    "permissions of a Unix socket's path"),
     RANGE("0000", "0777")},
    {SOCKET(owner, "owner", type_account, "user", UNSET, NONE, "owner of a Unix socket's path"),
     DEFAULT("the instance's user")},
    {SOCKET(group, "group", type_account, "group", UNSET, NONE, "group of a Unix socket's path"),
     DEFAULT("the instance's group")},
    {SOCKET(ipv6_only, "ipv6_only", type_yes_no_unset, "yes | no", UNSET, RESTART,
	    "whether an IPv6 socket leaves IPv4 to others"),
     DEFAULT("the kernel's")},
    {SOCKET(reuseaddr, "reuseaddr", type_yes_no, "yes | no", "yes", NONE,
	    "bind although old connections are still in TIME-WAIT")},
    {SOCKET(freebind, "freebind", type_yes_no, "yes | no", "no", RESTART,
	    "bind an address that the host does not have yet")},
    {SOCKET(reuseport, "reuseport", type_yes_no, "yes | no", "no", RESTART,
	    "a TCP socket for each slot, all at one address")},
    {SOCKET(receive_buffer, "receive_buffer", type_size, "size", UNSET, NONE,
	    "receive buffer (SO_RCVBUF)"),
     RANGE("1K", "1G"), DEFAULT("the kernel's")},
    {SOCKET(send_buffer, "send_buffer", type_size, "size", UNSET, NONE, "send buffer (SO_SNDBUF)"),
     RANGE("1K", "1G"), DEFAULT("the kernel's")},

    {POOL(argv, "command", type_command, "command", REQUIRED, REPLACE, "what a worker runs"),
     .missing = "say what a worker runs"},
    {POOL(sockets, "sockets", type_names, "list of names", UNSET, SOCKETS,
	  "sockets that a worker is given, in the order of their descriptors"),
     DEFAULT("none")},
    {POOL(bind_shim, "bind_shim", type_yes_no, "yes | no", "no", REPLACE,
	  "whether a worker that binds its addresses itself gets the sockets all the same")},
    {POOL(compat, "compat", type_compat, "list of words", UNSET, REPLACE,
	  "other supervisors that the worker was written for"),
     .info.range = "server-starter, einhorn, nginx, unicorn, s6:NUMBER", DEFAULT("none")},
    {POOL(workers, "workers", type_workers, "number | auto", "1", SCALE, "how many workers serve"),
     RANGE("1", "10000")},
    {POOL(ready, "ready", type_ready, "condition", REQUIRED, REPLACE, "how a worker becomes ready"),
     .info.range = "notify, http:/PATH, grpc[:SERVICE], tcp, exec:COMMAND, fd:NUMBER or "
		   "delay:DURATION",
     .implied = config_compat_says_ready,
     .missing =
	 "say how a worker becomes ready: notify, http:/PATH, grpc, delay:2s, fd:N or exec:CMD"},
    {POOL(probe_address, "probe_address", type_probe_address, "address", UNSET, REPLACE,
	  "where a worker that opens a port of its own is asked"),
     .info.range = "ADDRESS:PORT or unix:/PATH", DEFAULT("the probe socket")},
    {POOL(probe_timeout, "probe_timeout", type_duration, "duration", "5s", NONE,
	  "how long one probe of a worker that starts may take"),
     RANGE("10ms", "1h")},
    {POOL(start_timeout, "start_timeout", type_duration, "duration", "30s", NONE,
	  "how long a worker may take to become ready"),
     RANGE("1ms", "1d")},
    {POOL(drain_signal, "drain_signal", type_signal, "signal", UNSET, NONE,
	  "what tells a worker to finish and exit"),
     DEFAULT("SIGTERM, or as compat says")},
    {POOL(drain_timeout, "drain_timeout", type_duration, "duration", "6s", NONE,
	  "budget of a drain at a reload"),
     RANGE("0", "1d")},
    {POOL(stop_timeout, "stop_timeout", type_duration, "duration", UNSET, NONE,
	  "budget of a drain at a stop"),
     RANGE("0", "1d"), DEFAULT("drain_timeout")},
    {POOL(drain_extend_max, "drain_extend_max", type_duration, "duration", "0", NONE,
	  "how much longer a worker may ask for"),
     RANGE("0", "1d")},
    {POOL(dump_signal, "dump_signal", type_signal, "signal | off", "off", NONE,
	  "sent at the end of the budget, to learn what a worker was doing")},
    {POOL(dump_timeout, "dump_timeout", type_duration, "duration", "500ms", NONE,
	  "time for the dump before SIGKILL"),
     RANGE("1ms", "1h")},
    {POOL(watchdog, "watchdog", type_duration, "duration | off", "off", REPLACE,
	  "how often a worker must say that it lives"),
     RANGE("100ms", "1d")},
    {POOL(live, "live", type_live, "condition | off", "off", REPLACE,
	  "how a worker that serves shows that it lives"),
     .info.range = "http:/PATH, grpc[:SERVICE], tcp, exec:COMMAND"},
    {POOL(live_interval, "live_interval", type_duration, "duration", "5s", NONE,
	  "time between two liveness probes of a worker"),
     RANGE("100ms", "1d")},
    {POOL(live_timeout, "live_timeout", type_duration, "duration", "2s", NONE,
	  "how long one of them may take"),
     RANGE("10ms", "1h")},
    {POOL(live_failures, "live_failures", type_number, "number", "3", NONE,
	  "failures in a row that end a worker"),
     RANGE("1", "1000")},
    {POOL(restart, "restart", type_choice, "always | on-failure | never", "always", NONE,
	  "whether a worker that ended is started again")},
    {POOL(restart_delay, "restart_delay", type_duration, "duration", "500ms", NONE,
	  "wait before the second restart in a row; it doubles from there"),
     RANGE("10ms", "1h")},
    {POOL(restart_delay_max, "restart_delay_max", type_duration, "duration", "30s", NONE,
	  "longest wait between restarts"),
     RANGE("10ms", "1d")},
    {POOL(restart_reset, "restart_reset", type_duration, "duration", "60s", NONE,
	  "serving that long ends a row of crashes"),
     RANGE("10ms", "7d")},
    {POOL(crash_loop_after, "crash_loop_after", type_number, "number", "5", NONE,
	  "crashes in a row that make a crash loop"),
     RANGE("1", "1000")},
    {POOL(on_crash_loop, "on_crash_loop", type_choice, "retry | stop-pool | exit", "retry", NONE,
	  "what happens then")},
    {POOL(handoff, "handoff", type_choice, "inherit | channel", "inherit", REPLACE,
	  "how a worker gets its sockets: at its start, or over its channel once it is ready")},
    {POOL(on_start_failure, "on_start_failure", type_choice, "exit | retry", "exit", NONE,
	  "what happens when the pool does not get ready at the first start")},
    {POOL(max_surge, "max_surge", type_amount, "number or percentage", "100%", NONE,
	  "how many more workers than configured there may be in a rollout"),
     RANGE("0", "10000")},
    {POOL(max_unavailable, "max_unavailable", type_amount, "number or percentage", "0", NONE,
	  "how many fewer workers than configured there may be in a rollout"),
     RANGE("0", "10000")},
    {POOL(canary, "canary", type_amount, "number or percentage", "0", NONE,
	  "workers of a new version that serve and are judged before any other is replaced"),
     RANGE("0", "10000")},
    {POOL(canary_time, "canary_time", type_duration, "duration", "30s", NONE,
	  "how long they are watched"),
     RANGE("0", "7d")},
    {POOL(canary_check, "canary_check", type_canary_check, "command | off", "off", NONE,
	  "command that is asked about them then"),
     .info.range = "off or exec:COMMAND"},
    {POOL(canary_check_timeout, "canary_check_timeout", type_duration, "duration", "30s", NONE,
	  "how long that may take"),
     RANGE("100ms", "1d")},
    {POOL(canary_hold, "canary_hold", type_yes_no, "yes | no", "no", NONE,
	  "whether a person decides about them")},
    {POOL(canary_hold_timeout, "canary_hold_timeout", type_duration, "duration", "1h", NONE,
	  "how long that may take, before the reload is aborted"),
     RANGE("100ms", "30d")},
    {POOL(min_ready, "min_ready", type_duration, "duration", "0", NONE,
	  "how long a new worker must serve before it counts"),
     RANGE("0", "1d")},
    {POOL(progress_timeout, "progress_timeout", type_duration, "duration", "10min", NONE,
	  "a rollout that gets no further for that long has failed"),
     RANGE("100ms", "7d")},
    {POOL(keep_generations, "keep_generations", type_number, "number", "2", NONE,
	  "versions that served before, kept for `handover rollback`"),
     RANGE("0", "16")},
    {POOL(ready_workers, "ready_workers", type_amount, "number or percentage", "1", NONE,
	  "serving workers that readiness of the instance takes"),
     RANGE("0", "10000")},
    {POOL(max_processes, "max_processes", type_number, "number", UNSET, NONE,
	  "most processes that the pool may have, with those that drain"),
     RANGE("2", "100000"), DEFAULT("8 times workers, at least 64")},
    {POOL(user, "user", type_account, "user", UNSET, REPLACE, "user that workers run as"),
     DEFAULT("the instance's")},
    {POOL(group, "group", type_account, "group", UNSET, REPLACE, "group that workers run as"),
     DEFAULT("the user's, else the instance's")},
    {POOL(supplementary_groups, "supplementary_groups", type_accounts, "list of groups", UNSET,
	  REPLACE, "further groups of workers"),
     DEFAULT("the user's")},
    {POOL(working_directory, "working_directory", type_path, "path", UNSET, REPLACE,
	  "where workers start"),
     DEFAULT("the instance's")},
    {POOL(umask, "umask", type_octal, "octal number", "0022", REPLACE,
	  "permissions that new files lack"),
     RANGE("0000", "0777")},
    {POOL(environment, "environment", type_variables, "list of NAME=value", UNSET, REPLACE,
	  "variables of workers"),
     DEFAULT("none")},
    {POOL(environment_file, "environment_file", type_paths, "list of paths", UNSET, REPLACE,
	  "files of variables"),
     DEFAULT("none")},
    {POOL(nice, "nice", type_integer, "integer", UNSET, REPLACE, "scheduling priority"),
     RANGE("-20", "19"), DEFAULT("the instance's")},
    {POOL(oom_score_adj, "oom_score_adj", type_integer, "integer", UNSET, REPLACE,
	  "how readily the kernel kills a worker when memory is short"),
     RANGE("-1000", "1000"), DEFAULT("the instance's")},
    {POOL(limit_nofile, "limit_nofile", type_size, "number", UNSET, REPLACE,
	  "open files that a worker may have"),
     RANGE("16", "1073741824"), DEFAULT("the instance's, as it was given")},
    {POOL(limit_core, "limit_core", type_size, "size | infinity", UNSET, REPLACE,
	  "size of core dumps"),
     RANGE("0", "infinity"), DEFAULT("the instance's")},
    {POOL(memory_max, "memory_max", type_size, "size | infinity", UNSET, REPLACE,
	  "memory that a worker with all its processes may use, in its own cgroup"),
     RANGE("1M", "infinity"), DEFAULT("no limit")},
    {POOL(tasks_max, "tasks_max", type_size, "number | infinity", UNSET, REPLACE,
	  "processes and threads that a worker may have, in its own cgroup"),
     RANGE("1", "infinity"), DEFAULT("no limit")},
    {POOL(cpu_weight, "cpu_weight", type_size, "number", UNSET, REPLACE,
	  "a worker's share where CPU time is short, in its own cgroup"),
     RANGE("1", "10000"), DEFAULT("100, the kernel's")},
    {POOL(stdout_to, "stdout", type_output, "capture | inherit | null | journal | file:/PATH",
	  "capture", REPLACE, "where standard output goes")},
    {POOL(stderr_to, "stderr", type_output, "capture | inherit | null | journal | file:/PATH",
	  UNSET, REPLACE, "where standard error goes"),
     DEFAULT("as stdout")},
    {POOL(fd_store_max, "fd_store_max", type_number, "number", "0", NONE,
	  "descriptors that a worker may have kept for its successor"),
     RANGE("0", "256")},
    {POOL(success, "success_codes", type_success, "list of codes and signals", UNSET, NONE,
	  "further ways to end that are no failure"),
     .info.range = "0 to 255, signal names", DEFAULT("0")},
};

size_t keys_count(void)
{
	return ARRAY_LEN(keys);
}

const struct key *keys_get(size_t i)
{
	return &keys[i];
}

const struct key_info *keys_all(size_t *ret_n)
{
	static struct key_info infos[ARRAY_LEN(keys)];
	size_t i;

	for (i = 0; i < ARRAY_LEN(keys); i++) {
		infos[i] = keys[i].info;
		if (infos[i].range == NULL)
			infos[i].range = "";
	}
	*ret_n = ARRAY_LEN(keys);
	return infos;
}

int keys_find(enum key_section section, const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(keys); i++)
		if (keys[i].info.section == section && strcmp(keys[i].info.name, name) == 0)
			return (int)i;
	return -1;
}

static const char *section_word(enum key_section section)
{
	switch (section) {
	case KEY_SUPERVISOR:
		return "[supervisor]";
	case KEY_SOCKET:
		return "[socket:NAME]";
	case KEY_POOL:
		return "[pool:NAME]";
	}
	return "";
}

/* The section that a key belongs to, where it is not this one. NULL: none. */
static const char *find_elsewhere(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(keys); i++)
		if (strcmp(keys[i].info.name, name) == 0)
			return section_word(keys[i].info.section);
	return NULL;
}

static const char *suggest(enum key_section section, const char *name)
{
	const char *candidates[ARRAY_LEN(keys)];
	char word[64];
	size_t i, n = 0;

	/* "Drain-Timeout" is as near as a slip can be. */
	for (i = 0; i < sizeof(word) - 1 && name[i] != '\0'; i++)
		word[i] = name[i] == '-' ? '_' : (char)tolower((unsigned char)name[i]);
	word[i] = '\0';
	for (i = 0; i < ARRAY_LEN(keys); i++)
		if (keys[i].info.section == section)
			candidates[n++] = keys[i].info.name;
	return parse_suggest(word, candidates, n);
}

void keys_explain_unknown(enum key_section section, const char *name, struct buf *out)
{
	const char *elsewhere = find_elsewhere(name), *near = suggest(section, name);

	if (elsewhere != NULL)
		buf_printf(out, "is no key of %s, but of %s", section_word(section), elsewhere);
	else if (near != NULL)
		buf_printf(out, "unknown key; did you mean '%s'?", near);
	else
		buf_add_str(out, "unknown key");
}
