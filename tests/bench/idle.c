/*
 * idle.c - a worker that costs little: writes down when it began, says READY=1, and waits for its
 * end. With a socket (LISTEN_FDS) it answers each connection with one line: its two times and its
 * pid.
 */
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "stamps.h"

enum { LISTEN_FD = 3 };

/* sd_notify(3)'s protocol, without a library: this program is to be as small as it can be. */
static void say_ready(void)
{
	const char *address = getenv("NOTIFY_SOCKET");
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	size_t len = address != NULL ? strlen(address) : 0;
	int fd;

	if (len == 0 || len >= sizeof(un.sun_path))
		return;
	memcpy(un.sun_path, address, len);
	if (un.sun_path[0] == '@')
		un.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return;
	sendto(fd, "READY=1", 7, 0, (const struct sockaddr *)&un,
	       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
	close(fd);
}

static void answer(const struct stamp *stamp)
{
	int fd = accept4(LISTEN_FD, NULL, NULL, SOCK_CLOEXEC);
	char line[96];
	int len;

	if (fd == -1)
		return; /* a sibling was quicker */
	len = snprintf(line, sizeof(line), "%llu %llu %d\n", (unsigned long long)stamp->first,
		       (unsigned long long)stamp->ready, (int)stamp->pid);
	if (send(fd, line, (size_t)len, MSG_NOSIGNAL) != len)
		perror("idle: answer");
	close(fd);
}

int main(int argc, char **argv)
{
	uint64_t first = stamps_now();
	struct stamp *stamp = argc == 2 ? stamps_take(argv[1]) : NULL;
	struct pollfd pollfd = {.fd = LISTEN_FD, .events = POLLIN};

	if (stamp == NULL) {
		fprintf(stderr, "usage: idle FILE, which bench.py has made\n");
		return 2;
	}
	stamp->pid = (int32_t)getpid();
	stamp->ready = stamps_now();
	__atomic_store_n(&stamp->first, first, __ATOMIC_RELEASE);
	say_ready();
	if (getenv("LISTEN_FDS") == NULL)
		for (;;)
			pause();
	while (poll(&pollfd, 1, -1) >= 0 || errno == EINTR)
		answer(stamp);
	return 1;
}
