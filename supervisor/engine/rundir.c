/* rundir.c - the runtime directory: one instance each, and made anew when somebody deletes it. */
#include "engine/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "engine/channel.h"
#include "engine/control.h"
#include "engine/giving.h"

/* Whoever deletes a directory deletes what is in it first, and should be through by then. */
#define RUNDIR_SETTLE (100 * USEC_PER_MSEC)
#define RUNDIR_RETRY  USEC_PER_SEC

static char *rundir_default(const char *name)
{
	const char *given = getenv("RUNTIME_DIRECTORY"), *user = getenv("XDG_RUNTIME_DIR");
	char *path = NULL;

	if (given != NULL && given[0] == '/')
		return strndup(given, strcspn(given, ":"));
	if (geteuid() == 0 || user == NULL || user[0] != '/')
		user = "/run";
	return asprintf(&path, "%s/handover/%s", user, name) == -1 ? NULL : path;
}

/* Directories above it may be there and not ours to make: only if the last one cannot be made, that
 * was the reason. */
static int rundir_make(char *path)
{
	int r = 0;

	for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(path, 0755) == -1 && errno != EEXIST)
			r = -errno;
		*slash = '/';
	}
	if (mkdir(path, 0755) == 0 || errno == EEXIST)
		return 0;
	return errno == ENOENT && r < 0 ? r : -errno;
}

/*
 * One instance a directory: the lock is the kernel's, so nothing stale can be left behind. Takes
 * the lock that path names now; one that we had stays ours until then. 0 or -errno, said in the
 * log.
 */
static int rundir_lock(struct engine *engine, const char *path)
{
	cleanup_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	char pid[16] = "";
	ssize_t n;

	if (fd == -1) {
		int r = -errno;

		log_error("cannot open %s: %s", path, strerror(-r));
		return r;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) == -1) {
		n = pread(fd, pid, sizeof(pid) - 1, 0);
		log_error("an instance '%s' runs already (pid %.*s, runtime directory %s): leaving "
			  "it alone",
			  engine->name, n > 0 ? (int)strcspn(pid, "\n") : 1, n > 0 ? pid : "?",
			  engine->runtime_dir);
		return -EEXIST;
	}
	n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) == -1 || pwrite(fd, pid, (size_t)n, 0) != n)
		log_warning("cannot write %s: %s, going on", path, strerror(errno));
	fd_close(engine->lock_fd);
	engine->lock_fd = TAKE_FD(fd);
	return 0;
}

static char *rundir_lock_path(const struct engine *engine)
{
	char *path = NULL;

	return asprintf(&path, "%s/lock", engine->runtime_dir) == -1 ? NULL : path;
}

int rundir_open(struct engine *engine, const char *given)
{
	cleanup_free char *lock = NULL;
	int r;

	engine->runtime_dir = given != NULL ? strdup(given) : rundir_default(engine->name);
	if (engine->runtime_dir == NULL)
		return -ENOMEM;
	lock = rundir_lock_path(engine);
	if (lock == NULL)
		return -ENOMEM;
	r = rundir_make(engine->runtime_dir);
	if (r < 0) {
		log_error(
		    "cannot make the runtime directory %s: %s (--runtime-dir chooses another)",
		    engine->runtime_dir, strerror(-r));
		return r;
	}
	return rundir_lock(engine, lock);
}

/* ---- what was deleted comes back ---- */

static bool rundir_has_lock(const struct engine *engine, const char *path)
{
	struct stat ours, there;

	return fstat(engine->lock_fd, &ours) == 0 && stat(path, &there) == 0 &&
	       ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

/* Another directory may have the name by now. 0 or -errno. */
static int rundir_watch_path(struct engine *engine)
{
	int watch = inotify_add_watch(engine->rundir_fd, engine->runtime_dir,
				      IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF |
					  IN_ONLYDIR);

	if (watch == -1)
		return -errno;
	if (engine->rundir_watch != -1 && engine->rundir_watch != watch)
		inotify_rm_watch(engine->rundir_fd, engine->rundir_watch);
	engine->rundir_watch = watch;
	return 0;
}

/* 0 or -errno with a sentence, or none, in ret_error. */
static int rundir_make_anew(struct engine *engine, const char *lock, char **ret_error)
{
	int r = rundir_make(engine->runtime_dir);

	if (r == 0)
		r = rundir_watch_path(engine);
	if (r == 0 && !rundir_has_lock(engine, lock))
		r = rundir_lock(engine, lock);
	if (r == 0 && !control_is_there(engine))
		r = control_open_again(engine, ret_error);
	if (r == 0 && !channels_are_there(engine))
		r = channels_open_again(engine);
	if (r == 0 && !giving_is_there(engine))
		r = giving_open_again(engine, ret_error);
	return r;
}

static void rundir_mend(evutil_socket_t fd, short what, void *arg)
{
	struct engine *engine = arg;
	cleanup_free char *lock = rundir_lock_path(engine), *error = NULL;
	bool has_lock, has_control = control_is_there(engine);
	bool has_channel = channels_are_there(engine), has_giving = giving_is_there(engine);
	const char *missing = "";
	int r = -ENOMEM;

	(void)fd;
	(void)what;
	has_lock = lock != NULL && rundir_has_lock(engine, lock);
	switch (4 - has_lock - has_control - has_channel - has_giving) {
	case 0:
		return;
	case 1:
		missing = !has_lock	 ? "/lock"
			  : !has_control ? "/control.sock"
			  : !has_channel ? "/channel.sock"
					 : "/sockets.sock";
		break;
	default: /* the directory, most likely */
		break;
	}
	if (lock != NULL)
		r = rundir_make_anew(engine, lock, &error);
	if (r == 0)
		log_warning("%s%s was deleted: made anew", engine->runtime_dir, missing);
	else if (!engine->rundir_failed)
		log_error("%s%s was deleted and cannot be made anew: %s; trying again every second",
			  engine->runtime_dir, missing, error != NULL ? error : strerror(-r));
	engine->rundir_failed = r < 0;
	if (r < 0)
		engine_arm(engine->rundir_timer, RUNDIR_RETRY);
}

static void rundir_changed(evutil_socket_t fd, short what, void *arg)
{
	struct engine *engine = arg;
	char events[4096];

	(void)what;
	while (read(fd, events, sizeof(events)) > 0)
		continue; /* what matters is what is there now */
	engine_arm(engine->rundir_timer, RUNDIR_SETTLE);
}

void rundir_watch(struct engine *engine)
{
	int r;

	engine->rundir_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	engine->rundir_watch = -1;
	r = engine->rundir_fd == -1 ? -errno : rundir_watch_path(engine);
	engine->rundir_timer = evtimer_new(engine->base, rundir_mend, engine);
	if (r == 0)
		engine->rundir_event = event_new(engine->base, engine->rundir_fd,
						 EV_READ | EV_PERSIST, rundir_changed, engine);
	if (r == 0 && engine->rundir_timer != NULL && engine->rundir_event != NULL &&
	    event_add(engine->rundir_event, NULL) == 0)
		return;
	log_warning("cannot watch %s: %s; if somebody deletes it, this instance cannot be reached "
		    "any more",
		    engine->runtime_dir, strerror(r < 0 ? -r : ENOMEM));
}

void rundir_close(struct engine *engine)
{
	cleanup_free char *lock = NULL;

	if (engine->rundir_event != NULL)
		event_free(engine->rundir_event);
	if (engine->rundir_timer != NULL)
		event_free(engine->rundir_timer);
	fd_close(engine->rundir_fd);
	if (engine->lock_fd < 0)
		return;
	lock = rundir_lock_path(engine);
	if (lock != NULL && rundir_has_lock(engine, lock))
		unlink(lock);
	engine->lock_fd = fd_close(engine->lock_fd);
	rmdir(engine->runtime_dir); /* not empty, or not ours: it stays */
}
