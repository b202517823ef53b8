/* Misbehaviour on request. */
#include "rpc-worker-faults.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rpc-worker-options.h"

#define LEAK_SECONDS 600
#define FLOOD_SLICE  4096
#define FLOOD_LINE   128

void faults_at_start(const struct options *opts)
{
	if (opts->exit_at_start >= 0) {
		fprintf(stderr, "rpc-worker: cannot open database: connection refused\n");
		exit(opts->exit_at_start);
	}
	if (opts->die_at_start > 0) {
		signal(opts->die_at_start, SIG_DFL);
		raise(opts->die_at_start);
	}
}

_Noreturn static void linger(void)
{
	signal(SIGTERM, SIG_IGN);
	alarm(LEAK_SECONDS);
	for (;;)
		pause();
}

static void leak_child(void)
{
	if (fork() == 0)
		linger();
}

static void leak_daemon(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		setsid();
		if (fork() == 0)
			linger();
		_exit(0);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

void faults_leak(const struct options *opts)
{
	if (opts->leak_child)
		leak_child();
	if (opts->leak_daemon)
		leak_daemon();
}

struct flood {
	struct event *event;
	uint64_t left;
};

/* Blocks where nobody reads, as any program does that prints. */
static void flood_on_turn(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval next_turn;
	struct flood *flood = arg;
	size_t len = flood->left < FLOOD_SLICE ? (size_t)flood->left : FLOOD_SLICE;
	char slice[FLOOD_SLICE];
	ssize_t n;

	(void)fd;
	(void)what;
	memset(slice, 'x', sizeof(slice));
	for (size_t i = FLOOD_LINE - 1; i < sizeof(slice); i += FLOOD_LINE)
		slice[i] = '\n';
	n = write(STDOUT_FILENO, slice, len);
	if (n > 0)
		flood->left -= (uint64_t)n;
	if (flood->left > 0 && (n > 0 || errno == EINTR)) {
		event_add(flood->event, &next_turn);
		return;
	}
	event_free(flood->event);
	free(flood);
}

int faults_flood(struct event_base *base, uint64_t bytes)
{
	struct flood *flood = calloc(1, sizeof(*flood));

	if (flood == NULL)
		return -ENOMEM;
	flood->left = bytes;
	flood->event = evtimer_new(base, flood_on_turn, flood);
	if (flood->event == NULL) {
		free(flood);
		return -ENOMEM;
	}
	event_active(flood->event, EV_TIMEOUT, 0);
	return 0;
}
