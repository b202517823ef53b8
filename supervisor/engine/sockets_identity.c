/* sockets_identity.c - what makes two sockets the same, and which one a section means. */
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "engine/sockets.h"

char *sockets_identity(const struct socket_spec *spec)
{
	char *text = NULL;
	int r = -1;

	if (spec->per_slot)
		return strdup(spec->listen); /* no address yet */
	switch (spec->kind) {
	case SOCKET_TCP:
		r = spec->reuseport
			? asprintf(&text, "tcp %s %u slot %u", spec->host, spec->port, spec->slot)
			: asprintf(&text, "tcp %s %u", spec->host, spec->port);
		break;
	case SOCKET_UDP:
		r = asprintf(&text, "udp %s %u", spec->host, spec->port);
		break;
	case SOCKET_UNIX:
		r = asprintf(&text, "unix %s", spec->path);
		break;
	case SOCKET_SYSTEMD:
		r = asprintf(&text, "systemd %s", spec->path);
		break;
	case SOCKET_HANDOVER:
		r = asprintf(&text, "handover:%s", spec->path);
		break;
	}
	return r == -1 ? NULL : text;
}

bool sockets_has_identity(const struct engine_socket *socket, const struct socket_spec *spec)
{
	cleanup_free char *identity = sockets_identity(spec);

	return identity != NULL && strcmp(socket->identity, identity) == 0;
}

struct listener_spec sockets_listener_spec(const struct socket_spec *spec)
{
	return (struct listener_spec){
	    .type = spec->kind == SOCKET_UDP ? SOCK_DGRAM : SOCK_STREAM,
	    .host = spec->kind == SOCKET_UNIX ? NULL : spec->host,
	    .port = spec->port,
	    .path = spec->kind == SOCKET_UNIX ? spec->path : NULL,
	    .backlog = (int)spec->backlog,
	    .mode = spec->mode,
	    .owner = spec->owner,
	    .group = spec->group,
	    .ipv6_only = spec->ipv6_only,
	    .reuseaddr = spec->reuseaddr,
	    .freebind = spec->freebind,
	    .reuseport = spec->reuseport,
	    .receive_buffer = spec->receive_buffer,
	    .send_buffer = spec->send_buffer,
	};
}

/* One that was taken over may be named by its own address as well: so the section goes on with it
 * when the other instance is gone. */
static bool sockets_is_taken_from_there(const struct engine_socket *socket,
					const struct socket_spec *spec)
{
	struct listener_spec listener = sockets_listener_spec(spec);

	return strncmp(socket->identity, "handover:", strlen("handover:")) == 0 &&
	       spec->kind != SOCKET_SYSTEMD && spec->kind != SOCKET_HANDOVER && !spec->per_slot &&
	       listener_is_at(&socket->listener, &listener);
}

bool sockets_is_meant(const struct engine_socket *socket, const struct socket_spec *spec)
{
	return sockets_has_identity(socket, spec) || sockets_is_taken_from_there(socket, spec);
}

/* There may be thousands, and each is looked for once. */
struct engine_socket *sockets_find(struct engine *engine, const struct socket_spec *spec)
{
	cleanup_free char *identity = sockets_identity(spec);

	for (struct engine_socket *socket = engine->sockets; identity != NULL && socket != NULL;
	     socket = socket->next)
		if (!socket->closing && (strcmp(socket->identity, identity) == 0 ||
					 sockets_is_taken_from_there(socket, spec)))
			return socket;
	return NULL;
}

bool sockets_is_open(struct engine *engine, const struct socket_spec *spec)
{
	return sockets_find(engine, spec) != NULL || sockets_is_stored(engine, spec);
}

bool sockets_get(struct engine *engine, const struct socket_spec *spec,
		 struct version_socket *ret_socket)
{
	struct version_socket socket = {.shared = NULL};

	if (config_has_slots(spec))
		socket.slots = slots_find(engine, spec);
	else
		socket.shared = sockets_find(engine, spec);
	if (socket.shared != NULL)
		socket.shared->refs++;
	if (socket.slots != NULL)
		socket.slots->refs++;
	*ret_socket = socket;
	return socket.shared != NULL || socket.slots != NULL;
}

const struct socket_spec *sockets_spec_of(const struct config *config,
					  const struct engine_socket *socket)
{
	for (size_t n = 0; config != NULL && n < config->n_sockets; n++) {
		const struct socket_spec *spec = &config->sockets[n];

		if (socket->slots != NULL ? config_has_slots(spec) &&
						strcmp(spec->listen, socket->slots->identity) == 0
					  : sockets_is_meant(socket, spec))
			return spec;
	}
	return NULL;
}
