/* taking_internal.h - what taking.c (one of them) and takings.c (all that are asked for) share. */
#ifndef ENGINE_TAKING_INTERNAL_H
#define ENGINE_TAKING_INTERNAL_H

#include "engine/taking.h"

struct taking {
	struct taking *next;
	struct engine *engine;
	struct engine_socket *socket; /* whose it is; NULL: not claimed yet */
	char *from;		      /* "INSTANCE/NAME" */
	char *path;		      /* of the sockets.sock that answered */
	int connection;
	struct event *event, *again;
	unsigned tries;
	bool answered;
	int fd; /* what came; -1: nothing, or claimed */
	char *error;
};

/* Length of INSTANCE in INSTANCE/NAME; an instance may be a path. */
int taking_instance_len(const struct taking *taking);
/* For "%.*s". */
#define TAKING_INSTANCE(taking) taking_instance_len(taking), (taking)->from

void taking_free(struct taking *taking);
/* It is answered: by this sentence. */
void taking_fail(struct taking *taking, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Connects to the first place where somebody is. 0 or -errno, then taking_fail() has been called.
 */
int taking_connect(struct taking *taking);
/* Connects and asks, without waiting. 0 or -errno, then taking_fail() has been called. */
int taking_ask(struct taking *taking);
/* Calls taking_readable() from now on. */
void taking_listen(struct taking *taking);
/* Reads one message. False: the other side has closed. */
bool taking_read(struct taking *taking);
/* What has been said since the socket is ours; there: as taking_read() returned. May free it. */
void taking_heed(struct taking *taking, bool there);
/* The event's callback, for those that are asked for and those that we hold. */
void taking_readable(evutil_socket_t fd, short what, void *arg);

#endif
