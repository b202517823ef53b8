/* The command line of rpc-worker, and who this worker is. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Everything after `drain_signal` is a misbehaviour: nothing that a real worker should copy. */
struct options {
	const char *version; /* a label that every result carries */
	const char *listen;  /* HOST:PORT to bind where nobody handed a socket over, or NULL */
	int drain_signal;
	int ready_fd; /* s6's readiness: a newline on this descriptor; -1: none */
	bool no_watchdog;
	uint64_t start_delay_ms;
	bool never_ready;
	int exit_at_start; /* exit status, or -1 */
	int die_at_start;  /* signal, or 0 */
	bool ignore_term;
	bool stubborn;
	bool lie;		     /* one wrong sum ... */
	uint64_t wrong_answer_after; /* ... after that many sums */
	bool shutdown_listener_on_drain;
	uint64_t flood_bytes;
	bool leak_child;
	bool leak_daemon;
	const char *ill_if; /* a file, or NULL */
};

/* A worker's place in its pool, as its supervisor told it; all zero and "" when run by hand. */
struct identity {
	pid_t pid;
	unsigned slot;
	unsigned generation;
	const char *instance;
	const char *pool;
	const char *version;
};

/* Returns 0, 1 when there is nothing more to do (--help), or -EINVAL after saying why on stderr. */
int options_parse(struct options *opts, int argc, char **argv);

void identity_read(struct identity *id, const char *version);
