/* handover_channel.c - the connection to channel.sock: messages with descriptors over
 * SOCK_SEQPACKET. */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "worker/handover_internal.h"

enum { CHANNEL_BURST = 64 };
#define CHANNEL_PAUSE_MIN UINT64_C(50000)
#define CHANNEL_PAUSE_MAX UINT64_C(2000000)
/* Out of descriptors, or the master is busy: by then that may have changed. */
#define CHANNEL_ANSWER_AGAIN UINT64_C(100000)
/* What lasted that long was no refusal: the next attempt is made soon. */
#define CHANNEL_LASTED UINT64_C(5000000)

int channel_address(const char *text, struct sockaddr_un *ret_address, socklen_t *ret_len)
{
	size_t len = text != NULL ? strlen(text) : 0;

	if (len == 0)
		return 0;
	if ((text[0] != '/' && text[0] != '@') || len < 2 || len >= sizeof(ret_address->sun_path))
		return -EINVAL;
	memset(ret_address, 0, sizeof(*ret_address));
	ret_address->sun_family = AF_UNIX;
	memcpy(ret_address->sun_path, text, len);
	if (text[0] == '@')
		ret_address->sun_path[0] = '\0';
	*ret_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	return 1;
}

int channel_find(struct handover *handover)
{
	socklen_t len;
	int r = channel_address(getenv("HANDOVER_CHANNEL"), &handover->channel_address, &len);

	handover->connect_at = r == 1 ? 0 : UINT64_MAX;
	handover->connect_pause = CHANNEL_PAUSE_MIN;
	handover->answer_at = UINT64_MAX;
	return r < 0 ? r : 0;
}

static int channel_say(int channel, const char *text, int fd)
{
	struct iovec part = {.iov_base = (void *)text, .iov_len = strlen(text)};
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	if (fd != -1) {
		memset(&control, 0, sizeof(control));
		control.header = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
						  .cmsg_type = SCM_RIGHTS,
						  .cmsg_len = CMSG_LEN(sizeof(int))};
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(int));
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
	}
	return sendmsg(channel, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == -1 ? -errno : 0;
}

int channel_say_ready(struct handover *handover)
{
	return channel_say(handover->channel, "{\"version\":1,\"kind\":\"ready\"}", -1);
}

static int channel_say_page(struct handover *handover)
{
	return channel_say(handover->channel, "{\"version\":1,\"kind\":\"inflight\"}",
			   handover->page);
}

void channel_answer(struct handover *handover)
{
	bool cut = handover->cut != 0;
	char text[80];

	if (handover->channel == -1 || handover->answer_at > worker_now())
		return;
	snprintf(text, sizeof(text), "{\"version\":1,\"kind\":\"%s\",\"set\":%" PRIu64 "}",
		 cut ? "again" : "accepting", cut ? handover->cut : handover->set);
	if (channel_say(handover->channel, text, -1) == -EAGAIN) {
		handover->answer_at = worker_now() + CHANNEL_ANSWER_AGAIN;
		return;
	}
	handover->answer_at = UINT64_MAX;
	handover->cut = handover->set = 0;
}

/* Also for a connection that was refused: later each time. */
static void channel_end(struct handover *handover)
{
	uint64_t now = worker_now();

	if (handover->channel != -1) {
		/* to close it is not enough where a forked child has it, too */
		epoll_ctl(handover->io, EPOLL_CTL_DEL, handover->channel, NULL);
		close(handover->channel);
		handover->channel = -1;
		handover->answer_at = UINT64_MAX; /* whoever asked is gone */
		handover->cut = handover->set = 0;
		if (now - handover->connected >= CHANNEL_LASTED)
			handover->connect_pause = CHANNEL_PAUSE_MIN;
	}
	if (atomic_load(&handover->draining)) {
		handover->connect_at = UINT64_MAX;
		return;
	}
	handover->connect_at = now + handover->connect_pause;
	handover->connect_pause *= 2;
	if (handover->connect_pause > CHANNEL_PAUSE_MAX)
		handover->connect_pause = CHANNEL_PAUSE_MAX;
}

static int channel_open(struct handover *handover)
{
	struct epoll_event event = {.events = EPOLLIN};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r;

	if (fd == -1)
		return -errno;
	handover->channel = fd;
	handover->connected = worker_now();
	if (connect(fd, (const struct sockaddr *)&handover->channel_address,
		    sizeof(handover->channel_address)) == -1 ||
	    epoll_ctl(handover->io, EPOLL_CTL_ADD, fd, &event) == -1)
		return -errno;
	r = channel_say(fd, "{\"version\":1,\"kind\":\"hello\",\"answers\":true}", -1);
	return r < 0 ? r : channel_say_page(handover);
}

void channel_connect(struct handover *handover)
{
	if (handover->channel != -1 || atomic_load(&handover->draining) ||
	    worker_now() < handover->connect_at)
		return;
	/* a master that takes over learns what its predecessor knew */
	if (channel_open(handover) < 0 || (handover->is_ready && channel_say_ready(handover) < 0))
		channel_end(handover);
	else
		handover->connect_at = UINT64_MAX;
}

/* Takes the descriptors out of what came. */
static size_t take_descriptors(struct msghdr *message, int fds[static WORKER_SOCKETS_MAX])
{
	size_t n = 0;

	for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL;
	     header = CMSG_NXTHDR(message, header)) {
		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < (header->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
			if (n < WORKER_SOCKETS_MAX)
				fds[n++] = fd;
			else
				close(fd);
		}
	}
	return n;
}

/* cut: not all descriptors came with it, because we have none left. */
static void channel_heed(struct handover *handover, size_t len, int *fds, size_t n_fds, bool cut)
{
	struct worker_message *message = &handover->message;
	bool understood = worker_parse(handover->text, len, message);

	if (understood && message->kind == WORKER_SOCKETS && !cut) {
		sockets_set(handover, message, fds, n_fds);
		return;
	}
	for (size_t n = 0; n < n_fds; n++)
		close(fds[n]);
	if (!understood)
		return;
	switch (message->kind) {
	case WORKER_SOCKETS:
		handover->cut = message->set;
		handover->answer_at = worker_now() + CHANNEL_ANSWER_AGAIN;
		break;
	case WORKER_LAME_DUCK:
		drain_lame_duck(handover, message->deadline);
		break;
	case WORKER_DRAIN:
		drain_begin(handover, message->reason, message->deadline);
		break;
	case WORKER_PAGE:
		channel_say_page(handover);
		break;
	case WORKER_NOTHING:
		break;
	}
}

/* False: there is no more. */
static bool channel_read_one(struct handover *handover)
{
	struct iovec part = {.iov_base = handover->text, .iov_len = sizeof(handover->text)};
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(WORKER_SOCKETS_MAX * sizeof(int))];
	} control;
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	int fds[WORKER_SOCKETS_MAX];
	ssize_t len = recvmsg(handover->channel, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	size_t n;

	if (len == -1 && (errno == EAGAIN || errno == EINTR))
		return errno == EINTR;
	if (len <= 0) {
		channel_end(handover);
		return false;
	}
	n = take_descriptors(&message, fds);
	/* half a message is not understood */
	channel_heed(handover, (message.msg_flags & MSG_TRUNC) != 0 ? 0 : (size_t)len, fds, n,
		     (message.msg_flags & MSG_CTRUNC) != 0);
	return true;
}

void channel_read(struct handover *handover)
{
	for (int n = 0; n < CHANNEL_BURST && handover->channel != -1; n++)
		if (!channel_read_one(handover))
			return;
}
