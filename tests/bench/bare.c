/*
 * bare.c - a baseline: starts N workers, replaces each that ends, ends them all at SIGTERM. A loop
 *of fork and exec (or posix_spawn) and waitpid, and nothing else.
 *
 *	bare fork|posix_spawn N COMMAND [ARGUMENT]...
 *
 * With NOTIFY_SOCKET it waits for every worker's READY=1 first, and says READY=1 itself then.
 */
#include "baseline.h"

static pid_t *workers;
static unsigned n_workers;
static volatile sig_atomic_t stopping;

/* In the handler, so that no SIGTERM is lost between a look at the flag and waitpid(). */
static void stop(int sig)
{
	(void)sig;
	stopping = 1;
	for (unsigned n = 0; n < n_workers; n++)
		if (workers[n] > 0)
			kill(workers[n], SIGTERM);
}

static unsigned worker_of(pid_t pid)
{
	unsigned n = 0;

	while (n < n_workers && workers[n] != pid)
		n++;
	return n;
}

int main(int argc, char **argv)
{
	pid_t (*start)(char **) = baseline_fork_exec;
	char *outer = baseline_notify_outer();
	int notify_fd = -1;
	unsigned n;
	pid_t pid;

	if (argc < 4) {
		fprintf(stderr, "usage: bare fork|posix_spawn N COMMAND [ARGUMENT]...\n");
		return 2;
	}
	if (strcmp(argv[1], "posix_spawn") == 0)
		start = baseline_posix_spawn;
	n_workers = (unsigned)atoi(argv[2]);
	workers = calloc(n_workers, sizeof(*workers));
	if (workers == NULL)
		baseline_die("memory");
	if (outer != NULL)
		notify_fd = baseline_notify_open();
	signal(SIGTERM, stop);
	for (n = 0; n < n_workers && !stopping; n++)
		workers[n] = start(argv + 3);
	if (outer != NULL && !stopping) {
		baseline_notify_wait(notify_fd, n_workers);
		baseline_notify_ready(outer);
	}
	while ((pid = waitpid(-1, NULL, 0)) > 0 || errno == EINTR) {
		n = pid > 0 ? worker_of(pid) : n_workers;
		if (n == n_workers)
			continue;
		workers[n] = 0;
		if (!stopping)
			workers[n] = start(argv + 3);
	}
	return 0;
}
