/* sockets_files.c - the files of Unix sockets: when somebody deletes one, it comes back. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "engine/events.h"
#include "engine/sockets.h"

/* One that is deleted again at once is put back once a second, not in a busy loop. */
#define FILES_PAUSE  (100 * USEC_PER_MSEC)
#define FILES_RETRY  USEC_PER_SEC
#define FILES_SETTLE (100 * USEC_PER_MSEC)

struct files {
	int watch_fd; /* inotify */
	int kept_fd;  /* directory of second names, closed to others; -1: there is none */
	struct event *event, *timer;
};

static const char *files_name(const struct engine_socket *socket, char *text, size_t size)
{
	snprintf(text, size, "%u", socket->id);
	return text;
}

/* ---- second names ---- */

static char *files_kept_path(const struct engine *engine)
{
	char *path = NULL;

	return asprintf(&path, "%s/kept", engine->runtime_dir) == -1 ? NULL : path;
}

/* Only where there is a Unix socket: for others the directory would be a riddle. */
static void files_open_kept(struct engine *engine)
{
	struct files *files = engine->files;
	cleanup_free char *path = NULL;
	struct stat st;

	/* st_nlink: somebody may have deleted it */
	if (files->kept_fd >= 0 && fstat(files->kept_fd, &st) == 0 && st.st_nlink > 0)
		return;
	path = files_kept_path(engine);
	if (path == NULL)
		return;
	fd_close(files->kept_fd);
	mkdir(path, 0700);
	files->kept_fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Once nothing is in it. */
static void files_close_kept(struct engine *engine)
{
	cleanup_free char *path = files_kept_path(engine);

	if (path != NULL && (rmdir(path) == 0 || errno == ENOENT))
		engine->files->kept_fd = fd_close(engine->files->kept_fd);
}

/* Left by an instance that was killed. */
static void files_clear(struct engine *engine)
{
	cleanup_free char *path = files_kept_path(engine);
	DIR *directory = path != NULL ? opendir(path) : NULL;
	struct dirent *entry;

	if (directory == NULL)
		return;
	while ((entry = readdir(directory)) != NULL)
		unlinkat(dirfd(directory), entry->d_name, 0);
	closedir(directory);
	rmdir(path);
}

static void files_keep(struct engine *engine, struct engine_socket *socket)
{
	char name[16];

	files_open_kept(engine);
	if (engine->files->kept_fd >= 0)
		listener_file_keep(&socket->listener, engine->files->kept_fd,
				   files_name(socket, name, sizeof(name)));
}

/* ---- the file is gone ---- */

static void files_tell_other(struct engine *engine, struct engine_socket *socket)
{
	if (!socket->file_told)
		events_tell(
		    engine, HAPPENING("socket-file-lost", LOG_LEVEL_ERROR, .reason = socket->name),
		    "socket %s: somebody has put another file at %s, which is left alone: new "
		    "clients do not reach this instance there; move it away and reload",
		    socket->name, socket->listener.path);
	socket->file_told = true;
}

static void files_tell_failed(struct engine *engine, struct engine_socket *socket, int r)
{
	if (!socket->file_told)
		events_tell(
		    engine, HAPPENING("socket-file-lost", LOG_LEVEL_ERROR, .reason = socket->name),
		    "socket %s: its file %s was deleted and cannot be made anew: %s; trying again "
		    "every second",
		    socket->name, socket->listener.path, strerror(-r));
	socket->file_told = true;
	engine_arm(engine->files->timer, FILES_RETRY);
}

/* 0 or -errno. */
static int files_bind_anew(struct engine *engine, struct engine_socket *socket)
{
	int r;

	sockets_unwatch(engine, socket);
	r = listener_file_bind_anew(&socket->listener);
	if (r < 0) /* the one before is still what there is */
		listener_watch_add(engine->watch_fd, &socket->listener, socket->id);
	return r;
}

static void files_restore(struct engine *engine, struct engine_socket *socket)
{
	char name[16];
	bool anew = false;
	int r = listener_file_restore(&socket->listener, engine->files->kept_fd,
				      files_name(socket, name, sizeof(name)));

	/* -EBADF: there is no such directory */
	if (r == -ESTALE || r == -EBADF) {
		r = files_bind_anew(engine, socket);
		anew = r == 0;
	}
	if (r == -EEXIST || r == -EADDRINUSE) {
		files_tell_other(engine, socket);
	} else if (r < 0) {
		files_tell_failed(engine, socket, r);
	} else {
		socket->file_told = false;
		socket->file_restored_at = clock_now();
		events_tell(
		    engine,
		    HAPPENING("socket-file-restored", LOG_LEVEL_WARNING, .reason = socket->name),
		    "socket %s: its file %s was deleted; %s", socket->name, socket->listener.path,
		    anew && socket->slots != NULL
			? "there is a new one, the workers of its slot are being restarted"
		    : anew ? "there is a new one, the pools that use it are being restarted"
			   : "it is back, and nobody who had connected noticed");
	}
	if (anew)
		sockets_replaced(engine, socket, "a socket whose file was deleted");
	else
		sockets_file_watch(engine, socket);
}

void sockets_file_look(struct engine *engine, struct engine_socket *socket)
{
	if (engine->files == NULL || socket->closing || socket->fresh || engine->refusing)
		return;
	switch (listener_file_look(&socket->listener)) {
	case LISTENER_FILE_NONE:
		break;
	case LISTENER_FILE_OURS:
		socket->file_told = false;
		break;
	case LISTENER_FILE_OTHER:
		files_tell_other(engine, socket);
		break;
	case LISTENER_FILE_MISSING:
		if (clock_now() - socket->file_restored_at < FILES_PAUSE)
			engine_arm(engine->files->timer, FILES_RETRY);
		else
			files_restore(engine, socket);
		break;
	}
}

static void files_look_all(struct engine *engine)
{
	for (struct engine_socket *socket = engine->sockets; socket != NULL; socket = socket->next)
		sockets_file_look(engine, socket);
}

/* Second names come back as well, but later: whoever deletes a directory deletes what is in it
 * first, and should be through by then. */
static void files_settled(evutil_socket_t fd, short what, void *arg)
{
	struct engine *engine = arg;

	(void)fd;
	(void)what;
	files_look_all(engine);
	for (struct engine_socket *socket = engine->sockets; socket != NULL; socket = socket->next)
		if (socket->file_watch > 0 && !engine->refusing)
			files_keep(engine, socket);
}

static void files_changed(evutil_socket_t fd, short what, void *arg)
{
	struct engine *engine = arg;
	char events[4096];

	(void)what;
	while (read(fd, events, sizeof(events)) > 0)
		continue; /* what matters is what is there now */
	engine_arm(engine->files->timer, FILES_SETTLE);
	files_look_all(engine);
}

/* ---- watching ---- */

void sockets_file_watch(struct engine *engine, struct engine_socket *socket)
{
	int watch;

	if (engine->files == NULL || listener_file_look(&socket->listener) != LISTENER_FILE_OURS)
		return;
	/* IN_ATTRIB: its number of names has changed. The same file gets the same watch again. */
	watch = inotify_add_watch(engine->files->watch_fd, socket->listener.path,
				  IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF | IN_DONT_FOLLOW);
	if (watch == -1 && socket->file_watch != -1)
		log_info("socket %s: cannot watch %s (%s): it stays away if somebody deletes it",
			 socket->name, socket->listener.path, strerror(errno));
	socket->file_watch = watch;
	files_keep(engine, socket);
}

void sockets_file_unwatch(struct engine *engine, struct engine_socket *socket)
{
	char name[16];

	if (engine->files == NULL || socket->file_watch <= 0)
		return;
	inotify_rm_watch(engine->files->watch_fd, socket->file_watch);
	socket->file_watch = 0;
	if (engine->files->kept_fd < 0)
		return;
	unlinkat(engine->files->kept_fd, files_name(socket, name, sizeof(name)), 0);
	files_close_kept(engine);
}

void sockets_files_new(struct engine *engine)
{
	struct files *files = calloc(1, sizeof(*files));

	if (files == NULL)
		return;
	engine->files = files;
	files->kept_fd = -1;
	files->watch_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	files->timer = evtimer_new(engine->base, files_settled, engine);
	if (files->watch_fd >= 0)
		files->event = event_new(engine->base, files->watch_fd, EV_READ | EV_PERSIST,
					 files_changed, engine);
	if (files->event == NULL || files->timer == NULL || event_add(files->event, NULL) == -1)
		log_warning("cannot watch the files of Unix sockets: they stay away if somebody "
			    "deletes them");
	files_clear(engine);
}

void sockets_files_free(struct engine *engine)
{
	struct files *files = engine->files;

	if (files == NULL)
		return;
	if (files->event != NULL)
		event_free(files->event);
	if (files->timer != NULL)
		event_free(files->timer);
	fd_close(files->watch_fd);
	fd_close(files->kept_fd);
	free(files);
	engine->files = NULL;
}
