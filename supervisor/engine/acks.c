/* acks.c - einhorn's way to be ready: a line on a socket that the worker was born with. */
#include "engine/acks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "engine/launch.h"
#include "engine/proc.h"
#include "system/einhorn.h"

/* A worker goes on to say that it lives, in lines that mean nothing to us: they are read, so that
 * it need not wait, but not without end. */
enum { ACKS_SAID_MAX = 256 * 1024 };

struct ack {
	struct proc *proc;
	struct event *event;
	int fd;
	size_t len, said;
	bool acknowledged, told;
	char line[EINHORN_LINE_MAX];
};

int acks_open(int *ret_ours, int *ret_workers)
{
	int fds[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == -1)
		return -errno;
	r = fd_set_nonblock(fds[0]);
	if (r < 0) {
		fd_close(fds[0]);
		fd_close(fds[1]);
		return r;
	}
	*ret_ours = fds[0];
	*ret_workers = fds[1];
	return 0;
}

/* Said once of each worker: one that talks nonsense does not fill the log. */
static void acks_complain(struct ack *ack, const char *what)
{
	if (!ack->told)
		log_warning("%s: ignoring what it says on its einhorn socket: %s",
			    PROC_TEXT(ack->proc), what);
	ack->told = true;
}

static bool acks_is_ready(struct ack *ack, const char *line, size_t len)
{
	pid_t pid;
	int r = einhorn_parse(line, len, &pid);

	if (r == -EBADMSG)
		acks_complain(ack, "no command of einhorn's");
	else if (r == 0 && pid != ack->proc->pid)
		acks_complain(ack, "it acknowledges for another pid than its own");
	else
		return r == 0;
	return false;
}

/* The whole lines; what is left stays for the next time. */
static bool acks_take_lines(struct ack *ack)
{
	char *line = ack->line, *end;
	size_t left = ack->len;

	while (!ack->acknowledged && (end = memchr(line, '\n', left)) != NULL) {
		ack->acknowledged = acks_is_ready(ack, line, (size_t)(end - line));
		left -= (size_t)(end - line) + 1;
		line = end + 1;
	}
	memmove(ack->line, line, left);
	ack->len = left;
	if (left == sizeof(ack->line)) {
		acks_complain(ack, "a line that is too long");
		ack->len = 0;
	}
	return ack->acknowledged;
}

static void acks_heard(evutil_socket_t fd, short what, void *arg)
{
	struct ack *ack = arg;
	struct proc *proc = ack->proc;
	struct worker_ref ref = proc->ref;
	ssize_t n;

	(void)what;
	/* acknowledged: read away, whatever it is */
	if (ack->acknowledged)
		ack->len = 0;
	n = read(fd, ack->line + ack->len, sizeof(ack->line) - ack->len);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	ack->said += n > 0 ? (size_t)n : 0;
	if (n <= 0 || ack->said > ACKS_SAID_MAX)
		event_del(ack->event);
	if (n <= 0 || ack->acknowledged)
		return;
	launch_look(proc); /* what speaks was started */
	ack->len += (size_t)n;
	/* what follows may end the worker, and this with it */
	if (acks_take_lines(ack) && proc->version->spec->ready == READY_EINHORN)
		engine_post_worker(proc->engine, &ref, WORKER_EVENT_READY, 0, false);
}

int acks_watch(struct proc *proc, int fd)
{
	struct ack *ack = calloc(1, sizeof(*ack));

	if (ack != NULL) {
		*ack = (struct ack){.proc = proc, .fd = fd};
		ack->event =
		    event_new(proc->engine->base, fd, EV_READ | EV_PERSIST, acks_heard, ack);
		proc->ack = ack;
		if (ack->event != NULL && event_add(ack->event, NULL) == 0)
			return 0;
		acks_stop(proc);
		return -ENOMEM;
	}
	fd_close(fd);
	return -ENOMEM;
}

void acks_stop(struct proc *proc)
{
	struct ack *ack = proc->ack;

	if (ack == NULL)
		return;
	if (ack->event != NULL)
		event_free(ack->event);
	fd_close(ack->fd);
	free(ack);
	proc->ack = NULL;
}
