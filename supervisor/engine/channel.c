/* channel.c - one worker's connection to channel.sock, and what is said over it. */
#include "engine/channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "engine/events.h"
#include "engine/proc.h"
#include "engine/sockets.h"
#include "system/channel.h"

enum { CHANNEL_BURST = 16 };
/* Out of descriptors: by then, somebody may have closed some. */
#define CHANNEL_PAGE_AGAIN (1 * USEC_PER_SEC)

struct channel {
	struct proc *proc;
	int fd;
	int page; /* -1: it has sent none */
	struct event *event;
	struct event *page_again; /* its page came without its descriptor: asks for it */
	struct flood flood;
	struct complaint rubbish;
	bool hearing;
};

int channel_say(struct proc *proc, char *text, const int *fds, size_t n)
{
	cleanup_free char *owned = text;

	if (owned == NULL)
		return -ENOMEM;
	if (proc->channel == NULL)
		return -ENOTCONN;
	return channel_send(proc->channel->fd, owned, strlen(owned), fds, n);
}

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
	if (channel->page_again != NULL)
		event_free(channel->page_again);
	flood_free(&channel->flood);
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

/* ---- what is said to it ---- */

void channel_drain(struct proc *proc, enum end_reason reason, usec_t left)
{
	/* that it did not get this is no loss: the signal says the same */
	if (proc->channel != NULL)
		channel_say(proc, channel_text_drain(reason, usec_add(clock_now(), left)), NULL, 0);
}

void channel_lame_duck(struct proc *proc, usec_t deadline)
{
	if (proc->channel != NULL)
		channel_say(proc, channel_text_lame_duck(deadline), NULL, 0);
}

/* ---- what it says ---- */

/* What does not depend on the kind of message. */
static void channel_complain(struct channel *channel, const char *why)
{
	if (complaint_is_due(&channel->rubbish))
		log_warning("%s: ignoring a message over its channel that cannot be understood: %s "
			    "(%llu so far)",
			    PROC_TEXT(channel->proc), why,
			    (unsigned long long)channel->rubbish.count);
}

static void channel_ask_page(evutil_socket_t fd, short what, void *arg)
{
	struct channel *channel = arg;

	(void)fd;
	(void)what;
	/* it does not read: there will be no page */
	channel_say(channel->proc, channel_text_ask_page(), NULL, 0);
}

/* The kernel had to leave the descriptor out: we have none to spare. */
static void channel_miss(struct channel *channel, const char *text, size_t len)
{
	struct channel_message message;
	const char *why;

	if (!channel_parse(text, len, &message, &why) || message.kind != CHANNEL_INFLIGHT) {
		channel_complain(channel, "it has a descriptor, and we have none left to take it");
		return;
	}
	if (channel->page_again == NULL)
		channel->page_again =
		    evtimer_new(channel->proc->engine->base, channel_ask_page, channel);
	if (complaint_is_due(&channel->rubbish))
		log_warning("%s: its page of counters cannot be taken: out of descriptors; asking "
			    "for it again every second",
			    PROC_TEXT(channel->proc));
	if (channel->page_again != NULL)
		engine_arm(channel->page_again, CHANNEL_PAGE_AGAIN);
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
	case CHANNEL_HELLO:
		channel->proc->answers = message.answers;
		if (message.answers)
			engine_post_worker(channel->proc->engine, &channel->proc->ref,
					   WORKER_EVENT_ANSWERS, 0, false);
		break;
	case CHANNEL_ACCEPTING:
		channel_taken(channel->proc, message.set);
		break;
	case CHANNEL_AGAIN:
		channel_missed(channel->proc, message.set);
		break;
	case CHANNEL_READY: /* may end it: last */
		if (proc_is_ready_by(channel->proc, READY_NOTIFY))
			proc_ready(channel->proc);
		break;
	case CHANNEL_NOTHING:
		break;
	}
}

/* The next message. False: there is none, or there will be no more. */
static bool channel_hear_one(struct channel *channel)
{
	struct proc *proc = channel->proc;
	struct engine *engine = proc->engine;
	struct worker_ref ref = proc->ref;
	char text[CHANNEL_MESSAGE_MAX + 1];
	cleanup_close int passed = -1;
	ssize_t len = channel_receive(channel->fd, text, &passed);

	if (len == -EAGAIN)
		return false;
	channel->flood.count++;
	if (len <= 0 && len != -EMSGSIZE) {
		channel_close(proc);
		return false;
	}
	if (len == -EMSGSIZE)
		channel_complain(channel, "it is too long, or has several descriptors");
	else if (passed == CHANNEL_LEFT_OUT)
		channel_miss(channel, text, (size_t)len);
	else
		channel_heed(channel, text, (size_t)len, &passed);
	/* what it said may have ended it */
	return engine_find_proc(engine, &ref) == proc && proc->channel == channel;
}

void channel_hear(struct proc *proc)
{
	struct channel *channel = proc->channel;
	struct engine *engine = proc->engine;
	struct worker_ref ref = proc->ref;
	bool more = true;

	if (channel->hearing) /* "ready" makes us listen for what was said before it */
		return;
	channel->hearing = true;
	for (int n = 0; more && n < CHANNEL_BURST && channel->flood.count < FLOOD_MESSAGES; n++)
		more = channel_hear_one(channel);
	if (engine_find_proc(engine, &ref) == proc && proc->channel == channel)
		channel->hearing = false;
}

static void channel_readable(evutil_socket_t fd, short what, void *arg)
{
	struct channel *channel = arg;

	(void)fd;
	(void)what;
	if (!engine_turn_is_long(channel->proc->engine) &&
	    !flood_pauses(&channel->flood, channel->event))
		channel_hear(channel->proc);
}

int channel_open(struct proc *proc, int *fd)
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
