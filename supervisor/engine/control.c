/* control.c - the API's doors: where they are, and who may come in. */
#include "engine/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "engine/control_internal.h"

enum { CONTROL_BACKLOG = 1024 };

static void log_libevent(int severity, const char *text)
{
	if (severity >= EVENT_LOG_WARN)
		log_warning("libevent: %s", text);
}

bool control_is_there(const struct engine *engine)
{
	return private_socket_is_there(&engine->control->socket);
}

int control_open_again(struct engine *engine, char **ret_error)
{
	struct control *control = engine->control;
	int fd = -1, r;

	*ret_error = NULL;
	r = private_socket_open(&control->socket, SOCK_STREAM, &fd, ret_error);
	if (r < 0)
		return r;
	r = door_replace(control->local, fd);
	if (r < 0)
		return r;
	return control_set_group(engine, &engine->config->config->supervisor, ret_error);
}

int control_new(struct engine *engine, char **ret_error)
{
	struct control *control = calloc(1, sizeof(*control));
	int fd = -1, r;

	*ret_error = NULL;
	if (control == NULL)
		return -ENOMEM;
	engine->control = control;
	event_set_log_callback(log_libevent);
	control->scratch = evbuffer_new();
	if (control->scratch == NULL ||
	    asprintf(&control->socket.path, "%s/control.sock", engine->runtime_dir) == -1) {
		control->socket.path = NULL;
		control_free(engine);
		return -ENOMEM;
	}
	r = private_socket_open(&control->socket, SOCK_STREAM, &fd, ret_error);
	if (r == 0) {
		control->local = door_open(engine, fd, true);
		r = control->local != NULL ? 0 : -ENOMEM;
	}
	if (r < 0)
		control_free(engine);
	return r;
}

void control_free(struct engine *engine)
{
	struct control *control = engine->control;

	if (control == NULL)
		return;
	control->closing = true;
	private_socket_end(&control->socket);
	door_close(control->local);
	door_close(control->status);
	if (control->scratch != NULL)
		evbuffer_free(control->scratch);
	free(control->status_host);
	free(control);
	engine->control = NULL;
}

int control_set_group(struct engine *engine, const struct supervisor_spec *spec, char **ret_error)
{
	return private_socket_set_group(&engine->control->socket, spec->operator_group, ret_error);
}

/* ---- status_listen ---- */

static int open_status(struct engine *engine, const char *host, uint16_t port,
		       struct door **ret_door, char **ret_error)
{
	struct listener_spec spec = {.type = SOCK_STREAM,
				     .host = host,
				     .port = port,
				     .backlog = CONTROL_BACKLOG,
				     .ipv6_only = -1,
				     .reuseaddr = true};
	struct listener listener;
	int r = listener_open(&spec, &listener, ret_error);

	if (r < 0)
		return r;
	*ret_door = door_open(engine, listener.fd, false);
	return *ret_door != NULL ? 0 : -ENOMEM;
}

/* The same port on other addresses cannot be opened before the former one is closed. */
static int move_status(struct engine *engine, const struct supervisor_spec *spec,
		       struct door **ret_door, char **ret_error)
{
	struct control *control = engine->control;
	cleanup_free char *again = NULL;
	int r;

	door_close(control->status);
	control->status = NULL;
	r = open_status(engine, spec->status_host, spec->status_port, ret_door, ret_error);
	if (r < 0 && open_status(engine, control->status_host, control->status_port,
				 &control->status, &again) < 0)
		log_error("status_listen is closed: %s", again != NULL ? again : "out of memory");
	return r;
}

static bool is_same_status(const struct control *control, const struct supervisor_spec *spec)
{
	if (spec->status_host == NULL || control->status == NULL)
		return spec->status_host == NULL && control->status == NULL;
	return spec->status_port == control->status_port &&
	       strcmp(spec->status_host, control->status_host) == 0;
}

int control_set_status_listen(struct engine *engine, const struct supervisor_spec *spec,
			      char **ret_error)
{
	struct control *control = engine->control;
	struct door *door = NULL;
	cleanup_free char *host = NULL;
	int r = 0;

	*ret_error = NULL;
	if (is_same_status(control, spec))
		return 0;
	if (spec->status_host != NULL) {
		host = strdup(spec->status_host);
		if (host == NULL)
			return -ENOMEM;
		r = open_status(engine, host, spec->status_port, &door, ret_error);
		if (r == -EADDRINUSE && control->status != NULL &&
		    control->status_port == spec->status_port) {
			free(TAKE_PTR(*ret_error));
			r = move_status(engine, spec, &door, ret_error);
		}
	}
	if (r < 0)
		return r;
	door_close(control->status);
	control->status = door;
	free(control->status_host);
	control->status_host = TAKE_PTR(host);
	control->status_port = spec->status_port;
	return 0;
}
