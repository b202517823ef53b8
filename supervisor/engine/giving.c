/* giving.c - who asks for sockets at sockets.sock, what he gets, and who still holds it. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/parse.h"
#include "engine/events.h"
#include "engine/giving_internal.h"
#include "engine/sockets.h"
#include "system/channel.h"

/* ---- one connection ---- */

void giving_close(struct giving *giving)
{
	struct givings *givings = giving->engine->givings;

	for (struct giving **link = &givings->list; *link != NULL; link = &(*link)->next)
		if (*link == giving) {
			*link = giving->next;
			break;
		}
	givings->n--;
	givings->n_asking -= giving->socket == NULL;
	if (giving->event != NULL)
		event_free(giving->event);
	fd_close(giving->fd);
	sockets_unref(giving->socket);
	giving_set_accepting(giving->engine);
	free(giving);
}

/* Takes text over. */
static int giving_say(const struct giving *giving, char *text, const int *fds, size_t n)
{
	cleanup_free char *owned = text;

	if (owned == NULL)
		return -ENOMEM;
	return channel_send(giving->fd, owned, strlen(owned), fds, n);
}

static void giving_refuse(const struct giving *giving, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void giving_refuse(const struct giving *giving, const char *format, ...)
{
	cleanup_buf struct buf sentence = {0};
	va_list args;

	va_start(args, format);
	buf_vprintf(&sentence, format, args);
	va_end(args);
	log_notice("sockets.sock: uid %u pid %d was refused: %s", (unsigned)giving->peer.uid,
		   (int)giving->peer.pid, buf_text(&sentence));
	giving_say(giving, giving_text_refused(buf_text(&sentence)), NULL, 0);
}

static bool is_one_of(const char *name, const char *const *names, size_t n)
{
	while (n > 0 && strcmp(names[n - 1], name) != 0)
		n--;
	return n > 0;
}

/* Those of several slots have one name. */
static void giving_refuse_name(const struct giving *giving, const char *name)
{
	const char *names[CONFIG_SOCKETS_MAX], *near;
	cleanup_buf struct buf list = {0};
	size_t n = 0;

	for (const struct engine_socket *socket = giving->engine->sockets;
	     socket != NULL && n < ARRAY_LEN(names); socket = socket->next) {
		if (socket->closing || socket->fresh || is_one_of(socket->name, names, n))
			continue;
		names[n++] = socket->name;
		buf_printf(&list, "%s%s", list.len > 0 ? ", " : "", socket->name);
	}
	near = parse_suggest(name, names, n);
	if (near != NULL)
		giving_refuse(giving, "instance %s has no socket '%s'; did you mean '%s'?",
			      giving->engine->name, name, near);
	else
		giving_refuse(giving, "instance %s has no socket '%s'; it has: %s",
			      giving->engine->name, name, n > 0 ? buf_text(&list) : "none");
}

/* NAME, or NAME/SLOT where each slot has its own. */
static bool giving_is_named(const struct engine_socket *socket, const char *name)
{
	size_t len = strcspn(name, "/");
	uint64_t slot;

	if (socket->closing || socket->fresh || strlen(socket->name) != len ||
	    memcmp(socket->name, name, len) != 0)
		return false;
	if (name[len] == '\0')
		return true;
	return socket->slots != NULL && parse_uint(name + len + 1, 0, UINT32_MAX, &slot) == 0 &&
	       socket->slot == slot;
}

/* NULL: it was refused. */
static struct engine_socket *giving_find(const struct giving *giving, const struct giving_ask *ask,
					 const char *name)
{
	struct engine_socket *socket = giving->engine->sockets;

	while (socket != NULL && !giving_is_named(socket, name))
		socket = socket->next;
	if (socket == NULL) {
		giving_refuse_name(giving, name);
		return NULL;
	}
	if (socket->reuseport) {
		giving_refuse(giving,
			      "socket %s of instance %s has reuseport = yes: only its own workers "
			      "are given these, others could not be told which one is theirs",
			      socket->name, giving->engine->name);
		return NULL;
	}
	if (socket->slots != NULL && strchr(name, '/') == NULL) {
		giving_refuse(giving, "there is a socket '%s' for each slot: say which, as in %s/0",
			      name, name);
		return NULL;
	}
	if (socket->taken && ask->purpose != GIVING_EXEC) {
		giving_refuse(giving,
			      "socket %s of instance %s was itself taken over (%s): take it from "
			      "there",
			      name, giving->engine->name, socket->identity);
		return NULL;
	}
	return socket;
}

static void giving_tell(struct giving *giving, const struct giving_ask *ask,
			struct engine_socket *socket)
{
	cleanup_buf struct buf by = {0};

	buf_printf(&by, "uid %u pid %d (%s%s)", (unsigned)giving->peer.uid, (int)giving->peer.pid,
		   ask->purpose == GIVING_INSTANCE ? "instance " : "handover exec ", ask->who);
	free(socket->given_to);
	socket->given_to = strdup(buf_text(&by) + strcspn(buf_text(&by), "p"));
	socket->given++;
	socket->moved = socket->moved || ask->purpose == GIVING_MOVE;
	events_tell(giving->engine,
		    HAPPENING("socket-given", LOG_LEVEL_NOTICE, .reason = socket->name,
			      .pid = giving->peer.pid, .by = buf_text(&by)),
		    "socket %s given to %s%s", socket->name, buf_text(&by),
		    ask->purpose == GIVING_EXEC
			? ": its shutdown() of it would be ours, as a worker's"
			: ": a stop of this instance leaves it open");
}

/* True: the connection stays. */
static bool giving_grant(struct giving *giving, const struct giving_ask *ask)
{
	struct engine_socket *sockets[GIVING_NAMES_MAX];
	const char *names[GIVING_NAMES_MAX];
	const size_t count = ask->n;
	int fds[GIVING_NAMES_MAX], r;

	assert(count > 0); /* as it was read: 1 to GIVING_NAMES_MAX */
	if (giving->engine->refusing || instance_is_stopping(giving->engine->model)) {
		giving_refuse(giving, "instance %s is stopping", giving->engine->name);
		return true;
	}
	for (size_t n = 0; n < count; n++) {
		sockets[n] = giving_find(giving, ask, ask->names[n]);
		if (sockets[n] == NULL)
			return true;
		names[n] = ask->names[n];
		fds[n] = sockets[n]->listener.fd;
	}
	r = giving_say(giving, giving_text_sockets(giving->engine->name, names, count), fds, count);
	if (r < 0) {
		log_warning("sockets.sock: pid %d could not be given what it asked for: %s",
			    (int)giving->peer.pid, strerror(-r));
		return false;
	}
	for (size_t n = 0; n < count; n++)
		giving_tell(giving, ask, sockets[n]);
	if (ask->purpose != GIVING_INSTANCE)
		return true;
	giving->socket = sockets[0];
	giving->socket->refs++;
	strcpy(giving->instance, ask->who);
	giving->engine->givings->n_asking--;
	event_remove_timer(giving->event); /* from now on it has all the time */
	giving_set_accepting(giving->engine);
	return true;
}

static void giving_ended(struct giving *giving)
{
	const struct engine_socket *socket = giving->socket;

	if (socket != NULL && !giving->left)
		events_tell(giving->engine,
			    HAPPENING("socket-returned", LOG_LEVEL_NOTICE, .reason = socket->name,
				      .pid = giving->peer.pid),
			    "socket %s: instance %s (pid %d) holds it no longer", socket->name,
			    giving->instance, (int)giving->peer.pid);
	giving_close(giving);
}

void giving_readable(evutil_socket_t fd, short what, void *arg)
{
	struct giving *giving = arg;
	char text[CHANNEL_MESSAGE_MAX + 1];
	struct giving_ask ask = {.n = 0};
	const char *why = "";
	int passed = -1;
	ssize_t len;

	if ((what & EV_READ) == 0) { /* its time is up */
		giving_close(giving);
		return;
	}
	len = channel_receive(fd, text, &passed);
	fd_close(passed);
	if (len == -EAGAIN)
		return;
	if (len <= 0 && len != -EMSGSIZE) {
		giving_ended(giving);
		return;
	}
	if (giving->asked) /* all that is ever said has been said */
		return;
	giving->asked = true;
	if (!private_socket_admits(&giving->engine->givings->door, fd, &giving->peer))
		giving_refuse(giving,
			      "uid %u may not take sockets here: root, the instance's own user and "
			      "members of operator_group may",
			      (unsigned)giving->peer.uid);
	else if (len == -EMSGSIZE || !giving_parse_ask(text, (size_t)len, &ask, &why))
		giving_refuse(giving, "the message cannot be understood: %s",
			      len < 0 ? "it is too long, or has descriptors" : why);
	else if (!giving_grant(giving, &ask))
		giving_close(giving);
}

/* ---- who holds what ---- */

static struct giving *giving_of(const struct engine *engine, const struct engine_socket *socket)
{
	struct giving *giving = engine->givings != NULL ? engine->givings->list : NULL;

	while (giving != NULL && giving->socket != socket)
		giving = giving->next;
	return giving;
}

bool giving_is_shared(const struct engine *engine, const struct engine_socket *socket)
{
	return socket->taken || socket->moved || giving_of(engine, socket) != NULL;
}

void giving_leave(struct engine *engine, struct engine_socket *socket)
{
	struct giving *giving = giving_of(engine, socket);
	int r;

	if (giving == NULL || giving->left)
		return;
	r = giving_say(giving, giving_text_yours(socket->name), NULL, 0);
	giving->left = true;
	socket->moved = true; /* it hangs up as soon as it has read that */
	if (r < 0)
		log_warning("socket %s: instance %s (pid %d) cannot be told that it is its own "
			    "from now on (%s): it will not shut it down at a stop",
			    socket->name, giving->instance, (int)giving->peer.pid, strerror(-r));
	else
		log_notice("socket %s is instance %s's from now on (pid %d): only our copy is "
			   "closed",
			   socket->name, giving->instance, (int)giving->peer.pid);
}

void giving_again(struct engine *engine, struct engine_socket *socket)
{
	struct giving *giving = engine->givings != NULL ? engine->givings->list : NULL;
	const char *name = socket->name;

	for (; giving != NULL; giving = giving->next)
		if (giving->socket == socket &&
		    giving_say(giving, giving_text_sockets(engine->name, &name, 1),
			       &socket->listener.fd, 1) < 0)
			log_warning("socket %s: instance %s (pid %d) cannot be given the new one",
				    name, giving->instance, (int)giving->peer.pid);
}

bool giving_holder(const struct engine *engine, const struct engine_socket *socket, size_t n,
		   const char **ret_instance, pid_t *ret_pid)
{
	const struct giving *giving = engine->givings != NULL ? engine->givings->list : NULL;

	for (; giving != NULL; giving = giving->next)
		if (giving->socket == socket && n-- == 0) {
			*ret_instance = giving->instance;
			*ret_pid = giving->peer.pid;
			return true;
		}
	return false;
}
