/* giving_internal.h - what sockets.sock (giving_door.c) and its connections (giving.c) share. */
#ifndef ENGINE_GIVING_INTERNAL_H
#define ENGINE_GIVING_INTERNAL_H

#include "engine/giving.h"
#include "engine/private_socket.h"

/* One connection. */
struct giving {
	struct giving *next; /* the newer one first */
	struct engine *engine;
	int fd;
	struct event *event;
	struct ucred peer;
	bool asked;
	struct engine_socket *socket; /* what an instance holds; a reference. NULL: nothing */
	char instance[GIVING_WHO_MAX];
	bool left; /* it has been told that the socket is its own */
};

/* sockets.sock, and all of its connections. */
struct givings {
	struct private_socket door;
	int fd;
	struct event *accept, *accept_again;
	struct giving *list;
	unsigned n, n_asking;
};

/* ---- giving.c ---- */

/* Its time is up, or something is there to be read: giving is the arg. */
void giving_readable(evutil_socket_t fd, short what, void *arg);
/* Hangs up, and frees it. */
void giving_close(struct giving *giving);

/* ---- giving_door.c ---- */

/* There is room for more connections now, or not. */
void giving_set_accepting(struct engine *engine);

#endif
