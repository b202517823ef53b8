/* instance.h - which instance a command is for: by socket, by name, or the only one that runs. */
#ifndef CLI_INSTANCE_H
#define CLI_INSTANCE_H

#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/clock.h"

struct cli;

/* A listener that does not take a connection for so long hangs. */
#define INSTANCE_PROBE_TIMEOUT (1 * USEC_PER_SEC)

struct instance {
	char *name;   /* the runtime directory's name */
	char *socket; /* path of its control.sock */
	pid_t pid;    /* of the process that listens there; 0: not known */
	int error;    /* 0: it answers a connect; -ECONNREFUSED: a left-over; -EACCES: not for us;
			 -ETIMEDOUT: hangs */
};

struct instances {
	struct instance *list;
	size_t n;
	size_t max;
};

/*
 * Connects to socket and hangs up. 0 with the listener's pid (SO_PEERCRED; 0 across pid
 * namespaces), or -errno: -ENOENT, -ECONNREFUSED (nobody listens), -EACCES, -ETIMEDOUT (not
 * accepted within timeout), -ENAMETOOLONG.
 */
int instance_probe(const char *socket, usec_t timeout, pid_t *ret_pid);

/* All control sockets in the runtime directories, each probed. 0 or -ENOMEM; directories that
 * cannot be read have none. */
int instances_find(struct instances *ret);
/* Accepts an empty one. */
void instances_free(struct instances *instances);
void instance_free(struct instance *instance);

/* Finds the instance that this call is for (-c, -i, $HANDOVER_INSTANCE, the only one) and says why
 * there is none. Returns CLI_DONE with cli->instance set, or the exit code. */
int instance_choose(struct cli *cli);
/* Appends the directories in which instances are looked for: "/run/handover and
 * /run/user/1000/handover". */
void instance_places(struct buf *out);

#endif
