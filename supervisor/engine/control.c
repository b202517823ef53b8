/* control.c - the API's doors: where they are, and who may come in. */
#include "engine/control.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "engine/control_internal.h"

enum { CONTROL_BACKLOG = 1024, CONTROL_GROUP_BYTES = 64 * 1024 };

/* -errno with a sentence. */
static int complain(char **ret_error, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static int complain(char **ret_error, int error, const char *format, ...)
{
	cleanup_buf struct buf text = {0};
	va_list args;

	va_start(args, format);
	buf_vprintf(&text, format, args);
	va_end(args);
	buf_printf(&text, ": %s", strerror(-error));
	*ret_error = strdup(buf_text(&text));
	return error;
}

/* ---- control.sock ---- */

static int bind_private(int fd, const struct sockaddr_un *address)
{
	mode_t mask = umask(0177); /* nobody else comes in before the group is set */
	int r = bind(fd, (const struct sockaddr *)address, sizeof(*address)) == -1 ? -errno : 0;

	umask(mask);
	return r;
}

/* Does somebody listen there? One left over from an instance that was killed refuses. */
static bool is_answered(const struct sockaddr_un *address)
{
	cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd != -1 && (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
			    errno == EAGAIN);
}

/* Bound under another name and renamed: at every moment there is a socket that answers, or none.
 */
static int open_socket(const char *path, int *ret_fd, char **ret_error)
{
	cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX}, taken = address;
	int r;

	if (fd == -1)
		return complain(ret_error, -errno, "cannot make a socket");
	if ((size_t)snprintf(address.sun_path, sizeof(address.sun_path), "%s.new", path) >=
	    sizeof(address.sun_path))
		return complain(ret_error, -ENAMETOOLONG,
				"%s.new does not fit into the %zu bytes of a socket's address",
				path, sizeof(address.sun_path) - 1);
	strcpy(taken.sun_path, path); /* shorter */
	if (is_answered(&taken))
		return complain(ret_error, -EADDRINUSE, "another instance answers at %s", path);
	if (unlink(address.sun_path) == -1 && errno != ENOENT)
		return complain(ret_error, -errno, "cannot remove %s", address.sun_path);
	r = bind_private(fd, &address);
	if (r < 0)
		return complain(ret_error, r, "cannot bind %s", address.sun_path);
	if (listen(fd, CONTROL_BACKLOG) == -1 || rename(address.sun_path, path) == -1) {
		r = -errno;
		unlink(address.sun_path);
		return complain(ret_error, r, "cannot listen on %s", path);
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static void log_libevent(int severity, const char *text)
{
	if (severity >= EVENT_LOG_WARN)
		log_warning("libevent: %s", text);
}

static void remember_socket(struct control *control)
{
	struct stat st = {.st_ino = 0};

	(void)!stat(control->path, &st); /* gone already: it will be noticed */
	control->device = st.st_dev;
	control->inode = st.st_ino;
}

bool control_is_there(const struct engine *engine)
{
	const struct control *control = engine->control;
	struct stat st;

	return stat(control->path, &st) == 0 && st.st_dev == control->device &&
	       st.st_ino == control->inode;
}

int control_open_again(struct engine *engine, char **ret_error)
{
	struct control *control = engine->control;
	int fd = -1, r;

	*ret_error = NULL;
	r = open_socket(control->path, &fd, ret_error);
	if (r < 0)
		return r;
	remember_socket(control);
	r = door_replace(control->local, fd);
	if (r < 0)
		return r;
	control->has_group = false; /* its mode is that of a new one */
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
	    asprintf(&control->path, "%s/control.sock", engine->runtime_dir) == -1) {
		control->path = NULL;
		control_free(engine);
		return -ENOMEM;
	}
	r = open_socket(control->path, &fd, ret_error);
	if (r == 0) {
		remember_socket(control);
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
	if (control->path != NULL && control->local != NULL && control_is_there(engine))
		unlink(control->path);
	door_close(control->local);
	door_close(control->status);
	if (control->scratch != NULL)
		evbuffer_free(control->scratch);
	free(control->path);
	free(control->status_host);
	free(control);
	engine->control = NULL;
}

/* ---- who may come in ---- */

static int find_group(const char *name, gid_t *ret_group, char **ret_error)
{
	cleanup_free char *memory = malloc(CONTROL_GROUP_BYTES);
	struct group group, *found = NULL;
	int error;

	if (memory == NULL)
		return -ENOMEM;
	error = getgrnam_r(name, &group, memory, CONTROL_GROUP_BYTES, &found);
	if (found == NULL)
		return complain(ret_error, error != 0 ? -error : -ENOENT,
				"cannot find operator_group '%s'", name);
	*ret_group = group.gr_gid;
	return 0;
}

int control_set_group(struct engine *engine, const struct supervisor_spec *spec, char **ret_error)
{
	struct control *control = engine->control;
	bool has_group = spec->operator_group != NULL;
	gid_t group = getegid();
	int r;

	*ret_error = NULL;
	if (has_group) {
		r = find_group(spec->operator_group, &group, ret_error);
		if (r < 0)
			return r;
	}
	if (has_group == control->has_group && (!has_group || group == control->group))
		return 0;
	/* never the new mode with the former group */
	if (chmod(control->path, 0600) == -1 || chown(control->path, (uid_t)-1, group) == -1 ||
	    (has_group && chmod(control->path, 0660) == -1)) {
		r = complain(ret_error, -errno, "cannot give %s to group %s", control->path,
			     has_group ? spec->operator_group : "of our own");
		if (control->has_group)
			(void)!chmod(control->path, 0660);
		return r;
	}
	control->has_group = has_group;
	control->group = group;
	return 0;
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
