/* worker_support.h - a master for libhandover's tests: listens for the channel and for
 * notifications, in this process, and says what a test wants it to. */
#ifndef TESTS_UNIT_WORKER_SUPPORT_H
#define TESTS_UNIT_WORKER_SUPPORT_H

#include "unit.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/clock.h"
#include "system/channel.h"
#include "worker/handover.h"

/* Longer than anything takes, also on a machine with other work. */
#define PATIENCE_MS 30000
#define FIRST_FD    3 /* of inherited sockets */

struct master {
	char *place;
	int listener, channel, notify, page;
	char text[CHANNEL_MESSAGE_MAX + 1]; /* what came last */
};

static inline bool master_waits(int fd, int ms)
{
	struct pollfd one = {.fd = fd, .events = POLLIN};

	return poll(&one, 1, ms) == 1;
}

static inline void master_forget_environment(void)
{
	static const char *const names[] = {
	    "NOTIFY_SOCKET",  "LISTEN_PID",	  "LISTEN_FDS",
	    "LISTEN_FDNAMES", "HANDOVER_CHANNEL", "WATCHDOG_USEC",
	    "WATCHDOG_PID",   "HANDOVER_HANDOFF", "HANDOVER_DRAIN_TIMEOUT_USEC",
	    "HANDOVER_STORED"};

	for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++)
		unsetenv(names[n]);
}

static inline int master_open_notify(void)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), len;

	assert_int_not_equal(fd, -1);
	len = snprintf(un.sun_path + 1, sizeof(un.sun_path) - 1, "handover-unit-%d", (int)getpid());
	assert_int_equal(
	    bind(fd, (struct sockaddr *)&un,
		 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len)),
	    0);
	un.sun_path[0] = '@';
	setenv("NOTIFY_SOCKET", un.sun_path, 1);
	return fd;
}

static inline void master_listen(struct master *master)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/channel.sock", master->place);
	assert_int_equal(channel_listen(path, &master->listener), 0);
	setenv("HANDOVER_CHANNEL", path, 1);
}

/* handoff: "inherit" or "channel" */
static inline void master_open(struct master *master, const char *handoff)
{
	master_forget_environment();
	*master = (struct master){.channel = -1, .page = -1, .place = unit_directory()};
	master->notify = master_open_notify();
	master_listen(master);
	setenv("HANDOVER_DRAIN_TIMEOUT_USEC", "6000000", 1);
	if (strcmp(handoff, "channel") == 0)
		setenv("HANDOVER_HANDOFF", handoff, 1);
}

static inline int master_shut(int fd)
{
	if (fd != -1)
		close(fd);
	return -1;
}

static inline void master_close(struct master *master)
{
	master_forget_environment();
	master_shut(master->listener);
	master_shut(master->channel);
	master_shut(master->notify);
	master_shut(master->page);
	unit_remove(master->place);
}

/* What comes over the channel next, into text; its descriptor into page. */
static inline const char *master_hear(struct master *master)
{
	int fd;
	ssize_t len;

	assert_true(master_waits(master->channel, PATIENCE_MS));
	len = channel_receive(master->channel, master->text, &fd);
	assert_true(len >= 0);
	if (fd != -1) {
		master_shut(master->page);
		master->page = fd;
	}
	master->text[len] = '\0';
	return master->text;
}

/* The worker connects, says what it can do, and sends its page. */
static inline void master_accept(struct master *master)
{
	struct ucred peer;

	assert_true(master_waits(master->listener, PATIENCE_MS));
	master->channel = master_shut(master->channel);
	assert_int_equal(channel_accept(master->listener, &master->channel, &peer), 0);
	assert_int_equal(peer.pid, getpid());
	assert_string_equal(master_hear(master),
			    "{\"version\":1,\"kind\":\"hello\",\"answers\":true}");
	assert_string_equal(master_hear(master), "{\"version\":1,\"kind\":\"inflight\"}");
	assert_int_not_equal(master->page, -1);
	assert_int_equal(channel_page_check(master->page), 0);
}

static inline void master_say(struct master *master, const char *text, const int *fds, size_t n)
{
	assert_int_equal(channel_send(master->channel, text, strlen(text), fds, n), 0);
}

/* The next notification, into text; "" if there is none. */
static inline const char *master_notified(struct master *master)
{
	ssize_t len = recv(master->notify, master->text, sizeof(master->text) - 1, MSG_DONTWAIT);

	master->text[len > 0 ? len : 0] = '\0';
	return master->text;
}

/* A listening socket at a port of the kernel's choice. */
static inline int listening(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_not_equal(fd, -1);
	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(fd, 64), 0);
	return fd;
}

static inline int connected(int listener)
{
	struct sockaddr_in in;
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(getsockname(listener, (struct sockaddr *)&in, &len), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	return fd;
}

static inline bool same_socket(int a, int b)
{
	struct stat first, second;

	return fstat(a, &first) == 0 && fstat(b, &second) == 0 && first.st_ino == second.st_ino;
}

static inline int descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return n;
}

#endif
