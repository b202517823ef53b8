/* giving_door.c - sockets.sock itself: opened, opened again, and who comes in. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "engine/giving_internal.h"
#include "system/channel.h"

/* Connections at once: so many that have not asked yet, so many in all. Further ones wait. */
enum { GIVING_ASKING_MAX = 16, GIVING_MAX = 16 + CONFIG_SOCKETS_MAX };
/* For a program to ask, and to read its answer. */
#define GIVING_TIME	    (2 * USEC_PER_SEC)
#define GIVING_ACCEPT_AGAIN (100 * USEC_PER_MSEC)

void giving_set_accepting(struct engine *engine)
{
	struct givings *givings = engine->givings;

	if (givings->accept == NULL)
		return;
	if (givings->n_asking >= GIVING_ASKING_MAX || givings->n >= GIVING_MAX)
		event_del(givings->accept);
	else
		event_add(givings->accept, NULL);
}

static void giving_admit(struct engine *engine, int *fd, const struct ucred *peer)
{
	static const struct timeval time = {.tv_sec = GIVING_TIME / USEC_PER_SEC};
	struct givings *givings = engine->givings;
	struct giving *giving = calloc(1, sizeof(*giving));

	if (giving == NULL)
		return;
	giving->engine = engine;
	giving->peer = *peer;
	giving->fd = TAKE_FD(*fd);
	giving->next = givings->list;
	givings->list = giving;
	givings->n++;
	givings->n_asking++;
	giving->event =
	    event_new(engine->base, giving->fd, EV_READ | EV_PERSIST, giving_readable, giving);
	if (giving->event == NULL || event_add(giving->event, &time) == -1)
		giving_close(giving);
	else
		giving_set_accepting(engine);
}

static void giving_accept_again(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	giving_set_accepting(arg);
}

static void giving_accept(evutil_socket_t listener, short what, void *arg)
{
	struct engine *engine = arg;
	cleanup_close int fd = -1;
	struct ucred peer;
	int r = channel_accept(listener, &fd, &peer);

	(void)what;
	if (r == -EAGAIN || r == -ECONNABORTED || r == -EINTR)
		return;
	if (r == 0) {
		giving_admit(engine, &fd, &peer);
		return;
	}
	log_error("sockets.sock: cannot accept: %s; trying again in 100 ms", strerror(-r));
	event_del(engine->givings->accept);
	engine_arm(engine->givings->accept_again, GIVING_ACCEPT_AGAIN);
}

bool giving_is_there(const struct engine *engine)
{
	return private_socket_is_there(&engine->givings->door);
}

static int giving_open(struct engine *engine, const struct supervisor_spec *spec, char **ret_error)
{
	struct givings *givings = engine->givings;
	int fd = -1, r = private_socket_open(&givings->door, SOCK_SEQPACKET, &fd, ret_error);

	if (r < 0)
		return r;
	if (givings->accept != NULL)
		event_free(givings->accept);
	fd_close(givings->fd);
	givings->fd = fd;
	givings->accept = event_new(engine->base, fd, EV_READ | EV_PERSIST, giving_accept, engine);
	if (givings->accept == NULL)
		return -ENOMEM;
	giving_set_accepting(engine);
	return giving_set_group(engine, spec, ret_error);
}

int giving_open_again(struct engine *engine, char **ret_error)
{
	*ret_error = NULL;
	return giving_open(engine, &engine->config->config->supervisor, ret_error);
}

int giving_set_group(struct engine *engine, const struct supervisor_spec *spec, char **ret_error)
{
	return private_socket_set_group(&engine->givings->door, spec->operator_group, ret_error);
}

int giving_new(struct engine *engine, const struct supervisor_spec *spec, char **ret_error)
{
	struct givings *givings = calloc(1, sizeof(*givings));

	*ret_error = NULL;
	if (givings == NULL)
		return -ENOMEM;
	engine->givings = givings;
	givings->fd = -1;
	givings->accept_again = evtimer_new(engine->base, giving_accept_again, engine);
	if (givings->accept_again == NULL ||
	    asprintf(&givings->door.path, "%s/sockets.sock", engine->runtime_dir) == -1) {
		givings->door.path = NULL;
		return -ENOMEM;
	}
	return giving_open(engine, spec, ret_error);
}

void giving_free(struct engine *engine)
{
	struct givings *givings = engine->givings;

	if (givings == NULL)
		return;
	while (givings->list != NULL)
		giving_close(givings->list);
	private_socket_end(&givings->door);
	if (givings->accept != NULL)
		event_free(givings->accept);
	if (givings->accept_again != NULL)
		event_free(givings->accept_again);
	fd_close(givings->fd);
	free(givings);
	engine->givings = NULL;
}
