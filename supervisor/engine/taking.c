/* taking.c - sockets from other instances: asked for, held, and at last our own. */
#include "engine/taking_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "engine/events.h"
#include "engine/giving.h"
#include "engine/manager.h"
#include "engine/sockets.h"
#include "system/channel.h"

/* One that was restarted, and has kept its sockets, is told anew that we hold one of them. */
#define TAKING_AGAIN USEC_PER_SEC
enum { TAKING_AGAIN_MAX = 60 };

void taking_free(struct taking *taking)
{
	if (taking->event != NULL)
		event_free(taking->event);
	if (taking->again != NULL)
		event_free(taking->again);
	fd_close(taking->connection);
	fd_close(taking->fd);
	free(taking->from);
	free(taking->path);
	free(taking->error);
	free(taking);
}

/* Length of INSTANCE in INSTANCE/NAME; an instance may be a path. */
int taking_instance_len(const struct taking *taking)
{
	return (int)(strrchr(taking->from, '/') - taking->from);
}

void taking_fail(struct taking *taking, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	free(taking->error);
	if (vasprintf(&taking->error, format, args) == -1)
		taking->error = NULL;
	va_end(args);
	taking->answered = true;
}

/* ---- asking ---- */

static void taking_explain(struct taking *taking, int error, const char *path)
{
	if (error == -ENOENT || error == -ECONNREFUSED || error == -ENOTDIR)
		taking_fail(taking, "instance %.*s does not run: nobody answers at %s",
			    TAKING_INSTANCE(taking), path);
	else if (error == -EACCES || error == -EPERM)
		taking_fail(taking,
			    "no permission to take a socket from instance %.*s (%s): its own user, "
			    "root and its operator_group may, and we are uid %u",
			    TAKING_INSTANCE(taking), path, (unsigned)geteuid());
	else if (error == -EAGAIN)
		taking_fail(taking, "instance %.*s takes no connections at %s: it hangs",
			    TAKING_INSTANCE(taking), path);
	else
		taking_fail(taking, "instance %.*s cannot be asked at %s: %s",
			    TAKING_INSTANCE(taking), path, strerror(-error));
}

/* The first place is what is told of when nobody is anywhere. */
int taking_connect(struct taking *taking)
{
	cleanup_free char *first = NULL;
	int r = -ENOMEM, error = 0;

	for (unsigned n = 0;; n++) {
		cleanup_free char *path =
		    channel_instance_path(taking->engine->runtime_dir, taking->from,
					  (size_t)taking_instance_len(taking), n);

		if (path == NULL)
			break;
		r = channel_dial(path, &taking->connection);
		if (r == 0) {
			free(taking->path);
			taking->path = TAKE_PTR(path);
			return 0;
		}
		if (first == NULL || (error == -ENOENT && r != -ENOENT)) {
			error = r;
			free(first);
			first = TAKE_PTR(path);
		}
	}
	taking_explain(taking, error != 0 ? error : r, first != NULL ? first : taking->from);
	return error != 0 ? error : r;
}

int taking_ask(struct taking *taking)
{
	cleanup_free char *text =
	    taking_text_ask(strrchr(taking->from, '/') + 1, taking->engine->name);
	int r = text != NULL ? taking_connect(taking) : -ENOMEM;

	if (r == 0) {
		r = channel_send(taking->connection, text, strlen(text), NULL, 0);
		if (r < 0)
			taking_explain(taking, r, taking->path);
	}
	taking->answered = taking->answered || r < 0;
	return r;
}

/* ---- answers ---- */

static void taking_take(struct taking *taking, int *fd)
{
	if (*fd < 0) {
		taking_fail(taking, "instance %.*s has sent no socket", TAKING_INSTANCE(taking));
		return;
	}
	fd_close(taking->fd);
	taking->fd = TAKE_FD(*fd);
	taking->answered = true;
}

/* False: the other side has closed. */
bool taking_read(struct taking *taking)
{
	char text[CHANNEL_MESSAGE_MAX + 1];
	cleanup_close int passed = -1;
	enum taking_kind kind = TAKING_NOTHING;
	cleanup_free char *error = NULL;
	ssize_t len = channel_receive(taking->connection, text, &passed);

	if (len == -EAGAIN)
		return true;
	if (len == -EMSGSIZE || (len > 0 && !taking_parse(text, (size_t)len, &kind, &error))) {
		taking_fail(taking, "what instance %.*s has answered cannot be understood",
			    TAKING_INSTANCE(taking));
		return true;
	}
	if (len <= 0) {
		if (!taking->answered)
			taking_fail(taking, "instance %.*s has closed the connection",
				    TAKING_INSTANCE(taking));
		return false;
	}
	if (kind == TAKING_SOCKETS)
		taking_take(taking, &passed);
	else if (kind == TAKING_REFUSED)
		taking_fail(taking, "%s", error != NULL ? error : "refused");
	else if (kind == TAKING_YOURS && taking->socket != NULL)
		taking->socket->taken = false;
	return true;
}

/* ---- a socket that we hold ---- */

static bool taking_is_same(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_ino == y.st_ino;
}

/* The one that we held was dead, and could only be replaced: a Unix socket. */
static void taking_replace(struct taking *taking)
{
	struct engine_socket *socket = taking->socket;
	struct engine *engine = taking->engine;
	struct listener listener = {.fd = -1};
	cleanup_free char *error = NULL;

	if (taking_is_same(taking->fd, socket->listener.fd)) {
		taking->fd = fd_close(taking->fd);
		return;
	}
	if (taking->tries > 0) {
		log_warning("socket %s: instance %.*s has another socket of that name now: keeping "
			    "the one that we have",
			    socket->name, TAKING_INSTANCE(taking));
		taking->fd = fd_close(taking->fd);
		return;
	}
	if (listener_adopt(taking->fd, socket->name, &listener, &error) < 0) {
		log_error("socket %s: %s", socket->name, error != NULL ? error : "of no use");
		taking->fd = fd_close(taking->fd);
		return;
	}
	taking->fd = -1;
	sockets_unwatch(engine, socket);
	listener_let_go(&socket->listener);
	socket->listener = listener;
	log_warning("socket %s: instance %.*s has replaced it, it had been shut down; the pools "
		    "that use it are being restarted",
		    socket->name, TAKING_INSTANCE(taking));
	sockets_replaced(engine, socket, "a socket that was replaced");
}

/* The other instance has gone, or closed it, and has said that it is ours. */
static void taking_own(struct taking *taking)
{
	struct engine_socket *socket = taking->socket;
	struct engine *engine = taking->engine;
	int r = listener_own(&socket->listener);

	sockets_file_watch(engine, socket);
	events_tell(engine, HAPPENING("socket-ours", LOG_LEVEL_NOTICE, .reason = socket->name),
		    "socket %s: instance %.*s has left it to us: it is our own from now on%s",
		    socket->name, TAKING_INSTANCE(taking),
		    r < 0 ? ", but its path leads elsewhere" : "");
	taking_close(socket);
	manager_changed(engine);
}

void taking_listen(struct taking *taking)
{
	taking->event = event_new(taking->engine->base, taking->connection, EV_READ | EV_PERSIST,
				  taking_readable, taking);
	if (taking->event == NULL || event_add(taking->event, NULL) == -1)
		taking_fail(taking, "out of memory");
}

static void taking_disconnect(struct taking *taking)
{
	if (taking->event != NULL)
		event_free(taking->event);
	taking->event = NULL;
	taking->connection = fd_close(taking->connection);
}

static void taking_try_again(evutil_socket_t fd, short what, void *arg)
{
	struct taking *taking = arg;

	(void)fd;
	(void)what;
	taking_disconnect(taking);
	if (taking->tries++ == TAKING_AGAIN_MAX) {
		log_warning("socket %s: instance %.*s has not come back; the socket stays as it "
			    "is, and is only closed when we stop",
			    taking->socket->name, TAKING_INSTANCE(taking));
		return;
	}
	taking->answered = false;
	if (taking_ask(taking) == 0)
		taking_listen(taking);
	engine_arm(taking->again, TAKING_AGAIN); /* until it has answered */
}

static void taking_lost(struct taking *taking)
{
	bool first = taking->tries == 0;

	taking_disconnect(taking);
	if (first)
		log_warning("socket %s: instance %.*s, which it was taken from, is gone; our "
			    "workers serve on, and it is told again if it comes back within %d s",
			    taking->socket->name, TAKING_INSTANCE(taking), TAKING_AGAIN_MAX);
	if (taking->again == NULL)
		taking->again = evtimer_new(taking->engine->base, taking_try_again, taking);
	if (taking->again != NULL && first) {
		taking->tries = 1;
		engine_arm(taking->again, TAKING_AGAIN);
	}
}

/* What has been said since it is ours. */
void taking_heed(struct taking *taking, bool there)
{
	if (!taking->socket->taken) {
		taking_own(taking);
		return;
	}
	if (taking->fd >= 0) {
		taking_replace(taking);
		if (taking->tries > 0)
			log_notice("socket %s: instance %.*s is back", taking->socket->name,
				   TAKING_INSTANCE(taking));
		taking->tries = 0;
		if (taking->again != NULL)
			event_del(taking->again);
	}
	if (!there)
		taking_lost(taking);
}

bool taking_has_owner(const struct engine_socket *socket)
{
	return socket->taken && socket->taking != NULL && socket->taking->connection >= 0;
}

void taking_look(struct engine_socket *socket)
{
	struct taking *taking = socket->taking;

	if (taking != NULL && taking->connection >= 0)
		taking_heed(taking, taking_read(taking));
}

void taking_close(struct engine_socket *socket)
{
	if (socket->taking != NULL)
		taking_free(socket->taking);
	socket->taking = NULL;
}
