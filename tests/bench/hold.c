/*
 * hold.c - a baseline: holds a listening socket, starts N workers on it; at SIGHUP starts N new
 *ones, waits until they are ready, and ends the old ones. No check, no way back, no time limit.
 *
 *	hold PORT N COMMAND [ARGUMENT]...
 *
 * Says READY=1 to NOTIFY_SOCKET after the start and after each reload.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <sys/signalfd.h>

#include "baseline.h"

static int notify_fd;
static const char *outer;

static int hold_listen(uint16_t port)
{
	struct sockaddr_in in = {.sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	if (fd == -1 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
	    bind(fd, (struct sockaddr *)&in, sizeof(in)) == -1 || listen(fd, 4096) == -1)
		baseline_die("listen");
	return fd;
}

static pid_t hold_start_one(int listen_fd, char **argv)
{
	char text[16];
	pid_t pid = fork();

	if (pid == -1)
		baseline_die("fork");
	if (pid > 0)
		return pid;
	snprintf(text, sizeof(text), "%d", (int)getpid());
	setenv("LISTEN_PID", text, 1);
	setenv("LISTEN_FDS", "1", 1);
	sigprocmask(SIG_SETMASK, &(sigset_t){0}, NULL);
	if (dup2(listen_fd, 3) == 3)
		execv(argv[0], argv);
	_exit(127);
}

static void hold_start(pid_t *workers, unsigned n, int listen_fd, char **argv)
{
	for (unsigned i = 0; i < n; i++)
		workers[i] = hold_start_one(listen_fd, argv);
	baseline_notify_wait(notify_fd, n);
}

static void hold_tell(const pid_t *workers, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		kill(workers[i], SIGTERM);
}

static void hold_reload(pid_t *workers, pid_t *old, unsigned n, int listen_fd, char **argv)
{
	memcpy(old, workers, n * sizeof(*old));
	hold_start(workers, n, listen_fd, argv);
	hold_tell(old, n);
	baseline_notify_ready(outer);
}

/* The next signal. What workers say meanwhile is read and forgotten, or they would wait for us. */
static int hold_next_signal(int signal_fd)
{
	struct pollfd fds[] = {{.fd = signal_fd, .events = POLLIN},
			       {.fd = notify_fd, .events = POLLIN}};
	struct signalfd_siginfo info;

	for (;;) {
		if (poll(fds, 2, -1) == -1 && errno != EINTR)
			baseline_die("poll");
		if (fds[1].revents != 0)
			baseline_notify_read(notify_fd, MSG_DONTWAIT);
		if (fds[0].revents != 0 && read(signal_fd, &info, sizeof(info)) == sizeof(info))
			return (int)info.ssi_signo;
	}
}

int main(int argc, char **argv)
{
	sigset_t signals;
	pid_t *workers, *old;
	int listen_fd, signal_fd, sig;
	unsigned n;

	if (argc < 4) {
		fprintf(stderr, "usage: hold PORT N COMMAND [ARGUMENT]...\n");
		return 2;
	}
	n = (unsigned)atoi(argv[2]);
	workers = calloc(n, sizeof(*workers));
	old = calloc(n, sizeof(*old));
	if (workers == NULL || old == NULL)
		baseline_die("memory");
	listen_fd = fcntl(hold_listen((uint16_t)atoi(argv[1])), F_DUPFD_CLOEXEC, 10);
	outer = baseline_notify_outer();
	notify_fd = baseline_notify_open();
	sigemptyset(&signals);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
	hold_start(workers, n, listen_fd, argv + 3);
	baseline_notify_ready(outer);
	while ((sig = hold_next_signal(signal_fd)) != SIGTERM) {
		if (sig == SIGHUP)
			hold_reload(workers, old, n, listen_fd, argv + 3);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
	hold_tell(workers, n);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	return 0;
}
