/* support.h - what tests with real processes and sockets share: free ports, waiting for a
 * condition, own directories. */
#ifndef TESTS_UNIT_SUPPORT_H
#define TESTS_UNIT_SUPPORT_H

#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WAIT_MAX_MS = 20000 }; /* what never comes fails the test, however slow the machine */

/* Waits until one of events is there; false after WAIT_MAX_MS. */
static inline bool support_wait(int fd, short events)
{
	struct pollfd pfd = {.fd = fd, .events = events};

	return poll(&pfd, 1, WAIT_MAX_MS) == 1;
}

/* A port that is free on all addresses, for TCP and UDP; below the range that outgoing connections
 * use. */
static inline uint16_t support_free_port(void)
{
	static const int types[] = {SOCK_STREAM, SOCK_DGRAM};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	uint16_t port;
	bool is_free;

	do {
		if (getrandom(&port, sizeof(port), 0) != sizeof(port))
			abort();
		port = (uint16_t)(20000 + port % 12000);
		in6.sin6_port = htons(port);
		is_free = true;
		for (int i = 0; i < 2; i++) {
			int fd = socket(AF_INET6, types[i] | SOCK_CLOEXEC, 0);

			is_free = is_free && bind(fd, (struct sockaddr *)&in6, sizeof(in6)) == 0;
			close(fd);
		}
	} while (!is_free);
	return port;
}

static inline int support_pidfd(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* Runs body in a process of its own, which never comes back into the test; returns its pid. */
static inline pid_t support_fork(void (*body)(void *arg), void *arg)
{
	pid_t pid = fork();

	if (pid == 0) {
		body(arg);
		_exit(0);
	}
	return pid;
}

/* A process called "cat" that holds a descriptor until it is told to end. */
struct support_holder {
	pid_t pid;
	int pidfd;
	int input; /* closing it ends the process */
};

static inline void support_become_cat(int fd, const int in[2], const int out[2], char **env)
{
	static char *argv[] = {(char *)"cat", NULL};

	setsid();
	dup2(in[0], 0);
	dup2(out[1], 1);
	if (fd >= 0)
		fcntl(fd, F_SETFD, 0);
	execve("/bin/cat", argv, env);
	_exit(127);
}

/* fd (may be -1) is closed here. */
static inline struct support_holder support_hold(int fd, char **env)
{
	struct support_holder holder;
	int in[2], out[2];
	char c = 'x';

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	holder.pid = fork();
	if (holder.pid == 0)
		support_become_cat(fd, in, out, env);
	holder.pidfd = support_pidfd(holder.pid);
	close(in[0]);
	close(out[1]);
	if (fd >= 0)
		close(fd);
	/* Until it runs, /proc still shows us and no environment: wait for an echo. */
	assert_int_equal(write(in[1], &c, 1), 1);
	assert_int_equal(read(out[0], &c, 1), 1);
	close(out[0]);
	holder.input = in[1];
	return holder;
}

static inline void support_stop_holder(struct support_holder *holder)
{
	close(holder->input);
	assert_int_equal(waitpid(holder->pid, NULL, 0), holder->pid);
	close(holder->pidfd);
}

static inline void support_pause_for_ever(void *unused)
{
	(void)unused;
	for (;;)
		pause();
}

#endif
