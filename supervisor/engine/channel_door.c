/* channel_door.c - channel.sock itself, and who may come in. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "engine/channel.h"
#include "engine/launch.h"
#include "engine/proc.h"
#include "system/channel.h"

/* Out of descriptors: somebody else may close some. */
#define CHANNELS_ACCEPT_AGAIN (100 * USEC_PER_MSEC)

struct channels {
	char *path;
	int fd;
	dev_t device;
	ino_t inode;
	struct event *accept;
	struct event *accept_again;
	struct complaint refused;
};

/* A worker leads its own session: also a helper of its own speaks for it. */
static struct proc *channels_find(struct engine *engine, const struct ucred *peer)
{
	struct proc *proc = pids_find(engine, peer->pid);
	pid_t session;

	if (proc == NULL) {
		session = getsid(peer->pid);
		proc = session > 0 ? pids_find(engine, session) : NULL;
	}
	return proc != NULL && !proc->ended ? proc : NULL;
}

/* What happened before it connected. */
static void channels_catch_up(struct proc *proc)
{
	const struct pool *pool = &proc->engine->model->pools[proc->ref.pool];
	const struct worker *worker = &pool->workers[proc->ref.index];
	struct engine *engine = proc->engine;
	struct worker_ref ref = proc->ref;

	if (worker->state == WORKER_DRAINING)
		channel_drain(proc, worker->reason, usec_sub(worker->deadline, clock_now()));
	if (proc->ready_waits && engine_find_proc(engine, &ref) == proc)
		proc_ready(proc);
}

static void channels_admit(struct engine *engine, int *fd, const struct ucred *peer)
{
	struct proc *proc = channels_find(engine, peer);
	struct worker_ref ref;
	bool asked;

	if (proc == NULL) {
		log_info("channel.sock: turning pid %d uid %u away, which is no worker of ours",
			 (int)peer->pid, (unsigned)peer->uid);
		return;
	}
	ref = proc->ref;
	asked = proc->asked;
	launch_look(proc);   /* who connects was started */
	channel_close(proc); /* the newer one counts: the program was executed again */
	if (channel_open(proc, fd) < 0) {
		log_error("%s: out of memory for its channel", PROC_TEXT(proc));
		return;
	}
	if (asked) /* over the connection that is gone */
		channel_send_again(proc);
	channel_hear(proc); /* whether it answers */
	if (engine_find_proc(engine, &ref) == proc && channel_is_open(proc))
		channels_catch_up(proc);
}

static void channels_accept_again(evutil_socket_t fd, short what, void *arg)
{
	struct engine *engine = arg;

	(void)fd;
	(void)what;
	event_add(engine->channels->accept, NULL);
}

static void channels_pause(struct engine *engine, int r)
{
	struct channels *channels = engine->channels;

	event_del(channels->accept);
	engine_arm(channels->accept_again, CHANNELS_ACCEPT_AGAIN);
	if (complaint_is_due(&channels->refused))
		log_error("channel.sock: cannot accept: %s; trying again every 100 ms",
			  strerror(-r));
}

static void channels_accept(evutil_socket_t listener, short what, void *arg)
{
	struct engine *engine = arg;

	(void)what;
	while (!engine_turn_is_long(engine)) {
		cleanup_close int fd = -1;
		struct ucred peer;
		int r = channel_accept(listener, &fd, &peer);

		if (r == -EAGAIN)
			return;
		if (r == -ECONNABORTED || r == -EINTR)
			continue;
		if (r < 0) {
			channels_pause(engine, r);
			return;
		}
		channels_admit(engine, &fd, &peer);
	}
}

static int channels_open(struct engine *engine)
{
	struct channels *channels = engine->channels;
	struct stat st = {.st_ino = 0};
	int fd = -1, r = channel_listen(channels->path, &fd);

	if (r < 0)
		return r;
	(void)!stat(channels->path, &st); /* gone already: it will be noticed */
	channels->device = st.st_dev;
	channels->inode = st.st_ino;
	if (channels->accept != NULL)
		event_free(channels->accept);
	fd_close(channels->fd);
	channels->fd = fd;
	channels->accept =
	    event_new(engine->base, fd, EV_READ | EV_PERSIST, channels_accept, engine);
	return channels->accept == NULL || event_add(channels->accept, NULL) == -1 ? -ENOMEM : 0;
}

bool channels_are_there(const struct engine *engine)
{
	const struct channels *channels = engine->channels;
	struct stat st;

	return stat(channels->path, &st) == 0 && st.st_dev == channels->device &&
	       st.st_ino == channels->inode;
}

int channels_open_again(struct engine *engine)
{
	return channels_open(engine);
}

int channels_new(struct engine *engine)
{
	struct channels *channels = calloc(1, sizeof(*channels));
	int r;

	if (channels == NULL)
		return -ENOMEM;
	engine->channels = channels;
	channels->fd = -1;
	channels->accept_again = evtimer_new(engine->base, channels_accept_again, engine);
	if (channels->accept_again == NULL ||
	    asprintf(&channels->path, "%s/channel.sock", engine->runtime_dir) == -1)
		return -ENOMEM;
	r = channels_open(engine);
	if (r < 0)
		log_error("cannot open %s: %s", channels->path, strerror(-r));
	return r;
}

void channels_free(struct engine *engine)
{
	struct channels *channels = engine->channels;

	if (channels == NULL)
		return;
	if (channels->fd >= 0 && channels_are_there(engine))
		unlink(channels->path);
	if (channels->accept != NULL)
		event_free(channels->accept);
	if (channels->accept_again != NULL)
		event_free(channels->accept_again);
	fd_close(channels->fd);
	free(channels->path);
	free(channels);
	engine->channels = NULL;
}

void channels_lame_duck(struct engine *engine, usec_t left)
{
	usec_t deadline = usec_add(clock_now(), left);

	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++)
		for (uint32_t n = 0; n < engine->pools[p].n_procs; n++) {
			struct proc *proc = engine->pools[p].procs[n];

			if (proc != NULL)
				channel_lame_duck(proc, deadline);
		}
}
