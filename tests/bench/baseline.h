/*
 * baseline.h - what the two baselines share. They do the least that their job can be done with: no
 * log, no limits, no check of who speaks; every failure ends them.
 */
#ifndef TESTS_BENCH_BASELINE_H
#define TESTS_BENCH_BASELINE_H

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static inline __attribute__((noreturn)) void baseline_die(const char *what)
{
	perror(what);
	exit(1);
}

static inline pid_t baseline_fork_exec(char **argv)
{
	pid_t pid = fork();

	if (pid == -1)
		baseline_die("fork");
	if (pid > 0)
		return pid;
	signal(SIGTERM, SIG_DFL);
	execv(argv[0], argv);
	_exit(127);
}

static inline pid_t baseline_posix_spawn(char **argv)
{
	pid_t pid;
	int r = posix_spawn(&pid, argv[0], NULL, NULL, argv, environ);

	if (r != 0) {
		errno = r;
		baseline_die("posix_spawn");
	}
	return pid;
}

/* One socket for what all workers say; it takes the place of ours in the environment. */
static inline int baseline_notify_open(void)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int len =
	    snprintf(un.sun_path + 1, sizeof(un.sun_path) - 1, "handover-bench-%d", (int)getpid());

	if (fd == -1 ||
	    bind(fd, (struct sockaddr *)&un,
		 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len)) == -1)
		baseline_die("notify socket");
	un.sun_path[0] = '@';
	setenv("NOTIFY_SOCKET", un.sun_path, 1);
	return fd;
}

/* One message (flags: MSG_DONTWAIT). Is it a READY=1? */
static inline int baseline_notify_read(int fd, int flags)
{
	char text[4096];
	ssize_t n = recv(fd, text, sizeof(text), flags);

	if (n == -1 && errno != EINTR && errno != EAGAIN)
		baseline_die("recv");
	return n > 0 && memmem(text, (size_t)n, "READY=1", 7) != NULL;
}

static inline void baseline_notify_wait(int fd, unsigned n)
{
	while (n > 0)
		n -= (unsigned)baseline_notify_read(fd, 0);
}

/* Our own NOTIFY_SOCKET, before that of the workers takes its place; NULL: there is none. */
static inline char *baseline_notify_outer(void)
{
	const char *address = getenv("NOTIFY_SOCKET");
	char *copy = address != NULL ? strdup(address) : NULL;

	if (address != NULL && copy == NULL)
		baseline_die("memory");
	return copy;
}

/* READY=1 to whoever started us. */
static inline void baseline_notify_ready(const char *address)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	size_t len = address != NULL ? strlen(address) : 0;
	int fd;

	if (len == 0 || len >= sizeof(un.sun_path))
		return;
	memcpy(un.sun_path, address, len);
	if (un.sun_path[0] == '@')
		un.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd == -1 || sendto(fd, "READY=1", 7, 0, (struct sockaddr *)&un,
			       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) == -1)
		baseline_die("NOTIFY_SOCKET");
	close(fd);
}

#endif
