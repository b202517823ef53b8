/* channel.c - connections to channel.sock, and what is said over them. */
#include "engine/channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "engine/events.h"
#include "engine/launch.h"
#include "engine/proc.h"
#include "engine/sockets.h"
#include "system/channel.h"

enum { CHANNEL_BURST = 16, CHANNEL_FLOOD = 256 };
#define CHANNEL_INTERVAL  (100 * USEC_PER_MSEC)
#define CHANNEL_LOG_AGAIN (60 * USEC_PER_SEC)
/* Out of descriptors: somebody else may close some. */
#define CHANNEL_ACCEPT_AGAIN (100 * USEC_PER_MSEC)

struct channels {
	char *path;
	int fd;
	dev_t device;
	ino_t inode;
	struct event *accept;
	struct event *accept_again;
};

struct channel {
	struct proc *proc;
	int fd;
	int page; /* -1: it has sent none */
	struct event *event;
	struct event *pause; /* a flood of messages: read again later */
	unsigned count;	     /* messages in the present interval */
	usec_t since;
	usec_t rubbish_logged;
	uint64_t rubbish;
};

/* ---- one worker's ---- */

bool channel_is_open(const struct proc *proc)
{
	return proc->channel != NULL;
}

void channel_close(struct proc *proc)
{
	struct channel *channel = proc->channel;

	if (channel == NULL)
		return;
	if (channel->event != NULL)
		event_free(channel->event);
	if (channel->pause != NULL)
		event_free(channel->pause);
	fd_close(channel->fd);
	fd_close(channel->page);
	free(channel);
	proc->channel = NULL;
}

bool channel_inflight(const struct proc *proc, uint64_t *ret_inflight)
{
	return proc->channel != NULL && proc->channel->page >= 0 &&
	       channel_page_read(proc->channel->page, ret_inflight) == 0;
}

/* Takes text over. */
static int channel_say(struct proc *proc, char *text, const int *fds, size_t n)
{
	cleanup_free char *owned = text;

	if (owned == NULL)
		return -ENOMEM;
	return channel_send(proc->channel->fd, owned, strlen(owned), fds, n);
}

void channel_send_sockets(struct proc *proc)
{
	const struct version *version = proc->version;
	size_t n = version->spec->n_sockets;
	cleanup_free int *fds = calloc(n + 1, sizeof(*fds));
	int r = fds == NULL ? -ENOMEM : proc->channel == NULL ? -ENOTCONN : 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		const struct engine_socket *socket = sockets_of(version, i, proc->slot);

		fds[i] = socket != NULL ? socket->listener.fd : -1;
		r = fds[i] >= 0 ? 0 : -EBADF;
	}
	if (r == 0)
		r = channel_say(proc, channel_text_sockets(version), fds, n);
	if (r == 0) {
		log_debug("%s has its %zu sockets", PROC_TEXT(proc), n);
		return;
	}
	log_error("%s cannot be given its sockets over its channel: %s; killing it",
		  PROC_TEXT(proc), strerror(-r));
	proc_kill(proc);
}

void channel_drain(struct proc *proc, enum end_reason reason, usec_t left)
{
	/* that it did not get this is no loss: the signal says the same */
	if (proc->channel != NULL)
		channel_say(proc, channel_text_drain(reason, usec_add(clock_now(), left)), NULL, 0);
}

/* What does not depend on the kind of message: at most once a minute. */
static void channel_complain(struct channel *channel, const char *why)
{
	usec_t now = clock_now();

	channel->rubbish++;
	if (channel->rubbish_logged != 0 && now - channel->rubbish_logged < CHANNEL_LOG_AGAIN)
		return;
	channel->rubbish_logged = now;
	log_warning("%s: ignoring a message over its channel that cannot be understood: %s (%llu "
		    "so far)",
		    PROC_TEXT(channel->proc), why, (unsigned long long)channel->rubbish);
}

static void channel_take_page(struct channel *channel, int *fd)
{
	if (*fd < 0 || channel_page_check(*fd) < 0) {
		channel_complain(channel, "\"inflight\" without a page of counters");
		return;
	}
	fd_close(channel->page);
	channel->page = fd_park(TAKE_FD(*fd));
}

static void channel_heed(struct channel *channel, const char *text, size_t len, int *fd)
{
	struct channel_message message;
	const char *why;

	if (!channel_parse(text, len, &message, &why)) {
		channel_complain(channel, why);
		return;
	}
	switch (message.kind) {
	case CHANNEL_INFLIGHT:
		channel_take_page(channel, fd);
		break;
	case CHANNEL_STATUS:
		proc_set_status(channel->proc, message.status);
		break;
	case CHANNEL_READY: /* may end it: last */
		if (proc_is_ready_by(channel->proc, READY_NOTIFY))
			proc_ready(channel->proc);
		break;
	case CHANNEL_NOTHING:
		break;
	}
}

static void channel_read_again(evutil_socket_t fd, short what, void *arg)
{
	struct channel *channel = arg;

	(void)fd;
	(void)what;
	event_add(channel->event, NULL);
}

/* A worker that floods us waits in its own sendmsg() until we read on. */
static bool channel_is_flooded(struct channel *channel)
{
	usec_t now = clock_now();

	if (now - channel->since >= CHANNEL_INTERVAL) {
		channel->since = now;
		channel->count = 0;
	}
	if (channel->count++ < CHANNEL_FLOOD)
		return false;
	if (channel->pause == NULL)
		channel->pause =
		    evtimer_new(channel->proc->engine->base, channel_read_again, channel);
	if (channel->pause == NULL)
		return false;
	event_del(channel->event);
	engine_arm(channel->pause, CHANNEL_INTERVAL);
	return true;
}

static void channel_readable(evutil_socket_t fd, short what, void *arg)
{
	struct channel *channel = arg;
	struct proc *proc = channel->proc;
	struct engine *engine = proc->engine;
	struct worker_ref ref = proc->ref;
	char text[CHANNEL_MESSAGE_MAX + 1];

	(void)what;
	for (int n = 0; n < CHANNEL_BURST; n++) {
		cleanup_close int passed = -1;
		ssize_t len;

		/* what it said may have ended it */
		if (engine_find_proc(engine, &ref) != proc || proc->channel != channel ||
		    engine_turn_is_long(engine) || channel_is_flooded(channel))
			return;
		len = channel_receive(fd, text, &passed);
		if (len == -EAGAIN)
			return;
		if (len == -EMSGSIZE)
			channel_complain(channel, "it is too long, or has several descriptors");
		else if (len <= 0)
			channel_close(proc);
		else
			channel_heed(channel, text, (size_t)len, &passed);
	}
}

/* ---- connecting ---- */

static int channel_open(struct proc *proc, int *fd)
{
	struct channel *channel = calloc(1, sizeof(*channel));

	if (channel == NULL)
		return -ENOMEM;
	channel->proc = proc;
	channel->fd = fd_park(TAKE_FD(*fd));
	channel->page = -1;
	proc->channel = channel;
	channel->event = event_new(proc->engine->base, channel->fd, EV_READ | EV_PERSIST,
				   channel_readable, channel);
	if (channel->event != NULL && event_add(channel->event, NULL) == 0)
		return 0;
	channel_close(proc);
	return -ENOMEM;
}

/* A worker leads its own session: also a helper of its own speaks for it. */
static struct proc *channel_owner(struct engine *engine, const struct ucred *peer)
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
static void channel_catch_up(struct proc *proc)
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

static void channel_admit(struct engine *engine, int *fd, const struct ucred *peer)
{
	struct proc *proc = channel_owner(engine, peer);

	if (proc == NULL) {
		log_info("channel.sock: turning pid %d uid %u away, which is no worker of ours",
			 (int)peer->pid, (unsigned)peer->uid);
		return;
	}
	launch_look(proc);   /* who connects was started */
	channel_close(proc); /* the newer one counts: the program was executed again */
	if (channel_open(proc, fd) == 0)
		channel_catch_up(proc);
	else
		log_error("%s: out of memory for its channel", PROC_TEXT(proc));
}

static void channels_accept_again(evutil_socket_t fd, short what, void *arg)
{
	struct engine *engine = arg;

	(void)fd;
	(void)what;
	event_add(engine->channels->accept, NULL);
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
			log_error("channel.sock: cannot accept: %s; trying again in 100 ms",
				  strerror(-r));
			event_del(engine->channels->accept);
			engine_arm(engine->channels->accept_again, CHANNEL_ACCEPT_AGAIN);
			return;
		}
		channel_admit(engine, &fd, &peer);
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

			if (proc != NULL && proc->channel != NULL)
				channel_say(proc, channel_text_lame_duck(deadline), NULL, 0);
		}
}
