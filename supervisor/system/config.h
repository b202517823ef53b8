/*
 * config.h - one instance's configuration: an INI file and its drop-ins, read, checked and turned
 * into plain data. All mistakes are collected and reported in one go. Nothing here looks at the
 * world (see check.h) or changes it.
 */
#ifndef SYSTEM_CONFIG_H
#define SYSTEM_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"

enum {
	CONFIG_POOLS_MAX = 64,
	CONFIG_SOCKETS_MAX = 128,
	CONFIG_WORKERS_MAX = 10000,
	CONFIG_PROBE_PATH_MAX = 1024,
	CONFIG_KEEP_MAX = 16, /* keep_generations */
	CONFIG_VALUE_MAX =
	    64 * 1024, /* bytes of one value, with its continuation lines none: there are none */
	CONFIG_FILE_MAX = 4 * 1024 * 1024, /* bytes of one file */
	CONFIG_DROPINS_MAX = 256,
	CONFIG_NAME_MAX = 42, /* section NAMEs: [A-Za-z0-9_.-], first a letter or digit; inih takes
				 49 with "socket:" */
};

/* Where a value was written: file NULL means "nowhere, it is the default". */
struct config_place {
	const char *file; /* owned by the config */
	unsigned line;
};

enum socket_kind { SOCKET_TCP, SOCKET_UNIX, SOCKET_UDP, SOCKET_SYSTEMD, SOCKET_HANDOVER };

struct socket_spec {
	char *name;
	struct config_place place;	  /* of the section */
	struct config_place listen_place; /* of its `listen` */
	char *listen;			  /* as written: "tcp://0.0.0.0:9000" */
	enum socket_kind kind;
	bool
	    per_slot; /* `%n` in listen: a socket for each slot; host, port and path are slot 0's */
	char *host; /* TCP, UDP: numeric address or "localhost"-like name, without brackets; "*" and
		       "" are all addresses */
	uint16_t port;	     /* TCP, UDP; never 0 */
	char *path;	     /* UNIX: path; SYSTEMD: name; HANDOVER: INSTANCE/NAME */
	unsigned backlog;    /* default 4096 (the kernel cuts it to net.core.somaxconn) */
	mode_t mode;	     /* UNIX: default 0660 */
	char *owner, *group; /* UNIX: NULL = as it is */
	int ipv6_only;	     /* -1 not set (kernel's default), 0, 1 */
	bool reuseaddr;	     /* default yes */
	bool freebind;	     /* default no */
	bool reuseport;	     /* TCP: a socket for each slot, all at this address; default no */
	uint32_t slot;	     /* of what config_socket_at() returns: whose it is */
	uint64_t receive_buffer, send_buffer; /* bytes, 0 = kernel's default */
};

enum ready_kind { READY_NOTIFY, READY_DELAY, READY_FD, READY_PROBE, READY_EINHORN };
enum probe_kind {
	PROBE_KIND_NONE,
	PROBE_KIND_EXEC,
	PROBE_KIND_TCP,
	PROBE_KIND_HTTP,
	PROBE_KIND_GRPC,
};
/* Other supervisors, as bits. */
enum compat {
	COMPAT_SERVER_STARTER = 1 << 0,
	COMPAT_EINHORN = 1 << 1,
	COMPAT_NGINX = 1 << 2,
	COMPAT_UNICORN = 1 << 3,
	COMPAT_S6 = 1 << 4,
};
enum restart_policy { RESTART_ALWAYS, RESTART_ON_FAILURE, RESTART_NEVER };
enum on_start_failure { ON_START_FAILURE_EXIT, ON_START_FAILURE_RETRY };
enum handoff { HANDOFF_INHERIT, HANDOFF_CHANNEL };
enum on_crash_loop { ON_CRASH_LOOP_RETRY, ON_CRASH_LOOP_STOP_POOL, ON_CRASH_LOOP_EXIT };
enum output_kind { OUTPUT_CAPTURE, OUTPUT_INHERIT, OUTPUT_NULL, OUTPUT_JOURNAL, OUTPUT_FILE };

/* A number or a percentage of the pool's workers. */
struct amount {
	unsigned value;
	bool percent;
};

struct output_spec {
	enum output_kind kind;
	char *path; /* OUTPUT_FILE: absolute */
};

/* One bit per exit code 0..255 / signal 1..64 that counts as success. */
struct success_codes {
	uint64_t codes[4];
	uint64_t signals; /* bit n-1 for signal n */
};

/* A question to a worker. */
struct probe_spec {
	enum probe_kind kind;
	char **argv; /* PROBE_KIND_EXEC */
	char *text;  /* PROBE_KIND_HTTP: path; PROBE_KIND_GRPC: service, "" for the whole server */
};

struct pool_spec {
	char *name;
	struct config_place place;
	char *command; /* as written */
	struct config_place command_place;
	char **argv; /* NULL-terminated, split, %-specifiers not yet replaced */
	size_t argc;
	char **sockets; /* names, in the order of the descriptors */
	size_t n_sockets;
	bool bind_shim;	  /* default no */
	unsigned compat;  /* enum compat */
	int compat_s6_fd; /* COMPAT_S6 */
	unsigned workers; /* resolved: auto = CPUs we may use (affinity mask and cpu.max, rounded
			     up, at least 1) */
	bool workers_auto;
	enum ready_kind ready; /* required */
	usec_t ready_delay;    /* READY_DELAY */
	int ready_fd;	       /* READY_FD: not 0-2, not one of the sockets' numbers (3..3+n-1) */
	struct probe_spec ready_probe; /* READY_PROBE */
	char *probe_address;	     /* where servers that open a port of their own are asked, with
					%-specifiers; NULL: over the probe socket */
	struct probe_spec live;	     /* default off */
	usec_t live_interval;	     /* default 5s */
	usec_t live_timeout;	     /* default 2s */
	unsigned live_failures;	     /* default 3 */
	usec_t probe_timeout;	     /* default 5s */
	usec_t start_timeout;	     /* default 30s */
	int drain_signal;	     /* default SIGTERM, or as compat says */
	usec_t drain_timeout;	     /* default 6s */
	usec_t stop_timeout;	     /* default drain_timeout */
	usec_t drain_extend_max;     /* default 0 */
	int dump_signal;	     /* 0 = off (default) */
	usec_t dump_timeout;	     /* default 500ms */
	usec_t watchdog;	     /* 0 = off (default) */
	enum restart_policy restart; /* default always */
	usec_t restart_delay;	     /* default 500ms */
	usec_t restart_delay_max;    /* default 30s */
	usec_t restart_reset;	     /* default 60s */
	unsigned crash_loop_after;   /* default 5 */
	enum on_crash_loop on_crash_loop;	/* default retry */
	enum handoff handoff;			/* default inherit */
	enum on_start_failure on_start_failure; /* default exit */
	struct amount max_surge;		/* default 100% */
	struct amount max_unavailable;		/* default 0; one of the two is 1 worker or more */
	usec_t min_ready;			/* default 0 */
	struct amount canary;			/* default 0: none */
	usec_t canary_time;			/* default 30s */
	char **canary_check;			/* NULL = off (default) */
	usec_t canary_check_timeout;		/* default 30s */
	bool canary_hold;			/* default no */
	usec_t canary_hold_timeout;		/* default 1h */
	usec_t progress_timeout;     /* default 10min: a rollout that gets no further for that long
					fails */
	unsigned keep_generations;   /* default 2: versions that served, for a rollback */
	struct amount ready_workers; /* default 1; 0 = does not count for /readyz */
	unsigned max_processes;	     /* default: the larger of 64 and 8 x workers; >= workers + 1 */
	char *user, *group;	     /* NULL = our own */
	char **supplementary_groups; /* NULL = the user's */
	size_t n_supplementary_groups;
	char *working_directory; /* NULL = ours */
	unsigned umask;		 /* default 0022 */
	char **environment;	 /* "NAME=value", appended in order; later wins */
	size_t n_environment;
	char **environment_file; /* paths; "-/path" may be missing */
	size_t n_environment_file;
	int nice;	       /* -20..19, default: unset = CONFIG_UNSET */
	int oom_score_adj;     /* -1000..1000, default CONFIG_UNSET */
	uint64_t limit_nofile; /* 0 = as the master was given it (soft limit included) */
	uint64_t limit_core;   /* bytes; UINT64_MAX = infinity; CONFIG_LIMIT_UNSET = as given */
	uint64_t memory_max;   /* bytes; 0 = unset, UINT64_MAX = infinity; so the next one */
	uint64_t tasks_max;
	uint64_t cpu_weight;	      /* 0 = unset */
	struct output_spec stdout_to; /* key `stdout`, default capture */
	struct output_spec stderr_to; /* key `stderr`, default: the same as stdout */
	unsigned fd_store_max;	      /* default 0 = off */
	struct success_codes success; /* key success_codes: "0 143 SIGTERM ..." adds to 0 */
};

#define CONFIG_UNSET	   INT32_MIN
#define CONFIG_LIMIT_UNSET (UINT64_MAX - 1)

struct supervisor_spec {
	char *status_listen; /* HOST:PORT, NULL = off */
	char *status_host;   /* split; brackets removed */
	uint16_t status_port;
	struct config_place status_place;
	char *operator_group; /* NULL = none */
	struct config_place operator_group_place;
	usec_t lame_duck;	    /* default 0 */
	enum log_level log_level;   /* default info */
	enum log_format log_format; /* default auto */
};

struct config {
	char *path;	/* the file as given */
	char *instance; /* its name without directory and ".ini" */
	struct supervisor_spec supervisor;
	struct socket_spec *sockets; /* in the order of the file */
	size_t n_sockets;
	struct pool_spec *pools;
	size_t n_pools;
	struct config_values *values; /* the effective text of every key, private to config.c */
};

/* One mistake or remark. */
struct config_problem {
	char *file;
	unsigned line; /* 0: the file as a whole */
	bool warning;  /* said, but no reason to refuse */
	char *text;    /* "[pool:api] drain_timout: unknown key; did you mean 'drain_timeout'?" */
};

struct config_problems {
	struct config_problem *list;
	size_t n;
	size_t errors; /* those that are no warnings; at most CONFIG_PROBLEMS_MAX are kept, more are
			  counted */
	size_t dropped;
};
enum { CONFIG_PROBLEMS_MAX = 200 };

/*
 * Reads path and its drop-ins (PATH.d, that is NAME.ini.d, files *.ini in lexical order).
 * Returns 0 with *ret_config; or -EINVAL when there were mistakes, all of them in problems (sorted
 * by file and line); or -errno when the file cannot be read at all (also described in problems).
 * problems is never left empty on error. The caller frees config with config_free() and problems
 * with config_problems_free().
 */
int config_read(const char *path, struct config **ret_config, struct config_problems *problems);
/* Frees it; accepts NULL and half-built ones; returns NULL. */
struct config *config_free(struct config *config);
void config_problems_free(struct config_problems *problems);
/* Adds a problem at a place (place may be NULL or of a default: then the file as a whole). */
void config_problem_add(struct config_problems *problems, const struct config_place *place,
			bool warning, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Writes one as `file:line: text`, without a newline. */
void config_problem_print(const struct config_problem *problem, struct buf *out);
/* Writes all, one a line, as `file:line: text` (warnings as `file:line: warning: text`), and says
 * how many were dropped. */
void config_problems_print(const struct config_problems *problems, struct buf *out);
/* The instance's name for a path: "/etc/handover/payments.ini" -> "payments". Caller frees. NULL:
 * no memory. */
char *config_instance_name(const char *path);

/* How many more workers than configured a rollout may start: max_surge, rounded up; more than all
 * of them is never of use. */
unsigned config_surge(const struct pool_spec *pool, unsigned workers);
/* How many fewer: max_unavailable, rounded down, at most all. */
unsigned config_unavailable(const struct pool_spec *pool, unsigned workers);
/* Does something that serves have to answer its probes (tcp, http, grpc)? */
bool config_asks_server(const struct pool_spec *pool);
/* Has each of its workers a probe socket of its own, behind the sockets that it inherits? */
bool config_has_probe_socket(const struct pool_spec *pool);
/* How many workers of a new version are judged before the others: rounded up, at most all. */
unsigned config_canary(const struct pool_spec *pool, unsigned workers);
const struct pool_spec *config_find_pool(const struct config *config, const char *name);
const struct socket_spec *config_find_socket(const struct config *config, const char *name);

/* Has each slot its own: `%n` in listen, or reuseport? */
bool config_has_slots(const struct socket_spec *spec);
/*
 * The address that a socket of config_has_slots() has for a slot: a copy of spec with host, port
 * and path of its own (config_socket_at_free()); the rest is still that of spec. 0, or -errno with
 * a sentence
 * ("slot 12: ...") where the result is no address.
 */
int config_socket_at(const struct socket_spec *spec, uint32_t slot, struct socket_spec *ret_spec,
		     struct buf *why);
void config_socket_at_free(struct socket_spec *spec);
/* How many sockets a section makes: 1, or of config_has_slots() one for each worker of the largest
 * pool that uses it. */
uint32_t config_socket_count(const struct config *config, const struct socket_spec *spec);

/* What a changed value means at a reload. */
enum config_effect {
	CONFIG_EFFECT_NONE,  /* takes effect without touching a worker: budgets, restart policy, ...
			      */
	CONFIG_EFFECT_SCALE, /* `workers`: slots are added or drained */
	CONFIG_EFFECT_SOCKETS, /* `sockets`: new workers; or those that there are, over their
				  channel */
	CONFIG_EFFECT_REPLACE, /* only new workers can have it: command, environment, user, ... */
	CONFIG_EFFECT_RESTART, /* only a restart of the master can change it */
};

/* The effective value of one key: as text in a canonical form, so that "6s" and "6000ms" are equal.
 */
struct config_item {
	const char *key;
	char *value;
	enum config_effect effect;
};

/* All keys of a pool (or socket, or of the supervisor) with their effective values, in the order of
 * the key table. The list and its strings are owned by the config and live as long. */
const struct config_item *config_pool_items(const struct config *config, const char *name,
					    size_t *ret_n);
const struct config_item *config_socket_items(const struct config *config, const char *name,
					      size_t *ret_n);
const struct config_item *config_supervisor_items(const struct config *config, size_t *ret_n);

/* What a worker is, for %-specifiers: %n slot, %g generation, %p pool, %i instance, %% a percent
 * sign. */
struct config_who {
	const char *instance;
	const char *pool;
	uint32_t slot;
	uint32_t generation;
};

/* text with its specifiers replaced. Caller frees. NULL: no memory. (Unknown ones were refused by
 * config_read.) */
char *config_expand(const char *text, const struct config_who *who);
/* The address that a pool's probe_address is for one worker. 0; -ENOMEM, or -EINVAL with a
 * sentence's rest in why. */
int config_probe_address(const char *text, const struct config_who *who,
			 struct sockaddr_storage *ret_address, socklen_t *ret_len, struct buf *why);

/*
 * Reads environment files (NAME=value lines, # and ; comments, quotes as in a shell, at most 64 KiB
 * each). Appends "NAME=value" strings to *env (a NULL-terminated list that is grown; strings and
 * list are the caller's). -errno, with a sentence in ret_error (caller frees) that names file and
 * line.
 */
int config_read_environment_file(const char *path, char ***env, size_t *n_env, char **ret_error);

#endif
