/* takings.c - the sockets of other instances that a reload or the start needs: asked for, and
 * claimed. */
#include "engine/taking_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "engine/sockets.h"

/* An instance that is busy answers within milliseconds; one that hangs never. */
#define TAKING_TIME	  (2 * USEC_PER_SEC)
#define TAKING_START_TIME (5 * USEC_PER_SEC)

static bool takings_are_answered(const struct engine *engine)
{
	for (const struct taking *taking = engine->takings; taking != NULL; taking = taking->next)
		if (!taking->answered)
			return false;
	return true;
}

/* Later, and not from within what has answered. */
static void takings_check(struct engine *engine)
{
	if (engine->taken != NULL && takings_are_answered(engine))
		engine_arm(engine->taking_timer, 0);
}

void taking_readable(evutil_socket_t fd, short what, void *arg)
{
	struct taking *taking = arg;
	bool there;

	(void)fd;
	(void)what;
	there = taking_read(taking);
	if (taking->socket != NULL) {
		taking_heed(taking, there);
		return;
	}
	if (!there || taking->answered)
		event_del(taking->event); /* what follows is read when it is claimed */
	takings_check(taking->engine);
}

static void takings_fail_late(struct engine *engine, usec_t time)
{
	for (struct taking *taking = engine->takings; taking != NULL; taking = taking->next)
		if (!taking->answered)
			taking_fail(taking, "instance %.*s has not answered within %llu s",
				    TAKING_INSTANCE(taking),
				    (unsigned long long)(time / USEC_PER_SEC));
}

/* All have been answered, or their time is up. */
void takings_done(evutil_socket_t fd, short what, void *arg)
{
	struct engine *engine = arg;
	void (*done)(struct engine *) = engine->taken;

	(void)fd;
	(void)what;
	if (done == NULL)
		return;
	takings_fail_late(engine, TAKING_TIME);
	engine->taken = NULL;
	done(engine);
}

static struct taking *taking_new(struct engine *engine, const char *from)
{
	struct taking *taking = calloc(1, sizeof(*taking));

	if (taking == NULL)
		return NULL;
	*taking = (struct taking){.engine = engine, .connection = -1, .fd = -1};
	taking->from = strdup(from);
	if (taking->from != NULL)
		return taking;
	free(taking);
	return NULL;
}

static void takings_add(struct engine *engine, const char *from)
{
	struct taking *taking = taking_new(engine, from);

	if (taking == NULL)
		return; /* it is missed when it is to be claimed */
	taking->next = engine->takings;
	engine->takings = taking;
	taking_ask(taking);
}

static bool takings_ask(struct engine *engine, const struct config *config,
			const struct pool_spec *only)
{
	takings_end(engine);
	for (size_t n = 0; n < config->n_sockets; n++)
		if (config->sockets[n].kind == SOCKET_HANDOVER &&
		    sockets_is_wanted(only, config->sockets[n].name) &&
		    !sockets_is_open(engine, &config->sockets[n]))
			takings_add(engine, config->sockets[n].path);
	return engine->takings != NULL;
}

bool takings_begin(struct engine *engine, const struct config *config, const struct pool_spec *only,
		   void (*done)(struct engine *engine))
{
	if (!takings_ask(engine, config, only))
		return false;
	engine->taken = done;
	for (struct taking *taking = engine->takings; taking != NULL; taking = taking->next)
		if (!taking->answered)
			taking_listen(taking);
	engine_arm(engine->taking_timer, TAKING_TIME);
	takings_check(engine);
	return true;
}

static void takings_poll(struct engine *engine, usec_t left)
{
	struct pollfd fds[CONFIG_SOCKETS_MAX];
	nfds_t n = 0;

	for (struct taking *taking = engine->takings; taking != NULL; taking = taking->next)
		if (!taking->answered && n < ARRAY_LEN(fds))
			fds[n++] = (struct pollfd){.fd = taking->connection, .events = POLLIN};
	poll(fds, n, (int)(left / USEC_PER_MSEC) + 1);
	for (struct taking *taking = engine->takings; taking != NULL; taking = taking->next)
		if (!taking->answered)
			taking_read(taking);
}

void takings_wait(struct engine *engine, const struct config *config)
{
	usec_t end = usec_add(clock_now(), TAKING_START_TIME);

	takings_ask(engine, config, NULL);
	while (!takings_are_answered(engine) && clock_now() < end)
		takings_poll(engine, usec_sub(end, clock_now()));
	takings_fail_late(engine, TAKING_START_TIME);
}

void takings_end(struct engine *engine)
{
	struct taking *next;

	for (struct taking *taking = engine->takings; taking != NULL; taking = next) {
		next = taking->next;
		taking_free(taking);
	}
	engine->takings = NULL;
	engine->taken = NULL;
}

int taking_claim(struct engine *engine, const struct socket_spec *spec,
		 struct engine_socket *socket, char **ret_error)
{
	struct taking **link = &engine->takings, *taking;
	int r;

	while (*link != NULL && strcmp((*link)->from, spec->path) != 0)
		link = &(*link)->next;
	taking = *link;
	if (taking == NULL)
		return -ENOMEM;
	if (taking->fd < 0) {
		*ret_error = TAKE_PTR(taking->error);
		return -ENOENT;
	}
	r = listener_adopt(taking->fd, spec->name, &socket->listener, ret_error);
	if (r < 0)
		return r;
	taking->fd = -1;
	*link = taking->next;
	taking->next = NULL;
	taking->socket = socket;
	socket->taking = taking;
	socket->taken = true;
	if (taking->event == NULL)
		taking_listen(taking);
	else
		event_add(taking->event, NULL);
	return 0;
}

int taking_try(struct engine *engine, const struct socket_spec *spec, char **ret_error)
{
	struct taking *taking = taking_new(engine, spec->path);
	int r = taking != NULL ? taking_connect(taking) : -ENOMEM;

	if (taking == NULL)
		return r;
	if (r < 0)
		*ret_error = TAKE_PTR(taking->error);
	taking_free(taking);
	return r;
}
