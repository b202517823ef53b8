/*
 * output_sink.c - our standard error. Others share it (workers with `inherit`, the shell that
 * started us), so O_NONBLOCK is never set on it: a pipe or terminal is opened once more for
 * ourselves, and where that is not possible it is asked before each short write.
 */
#include <errno.h>
#include <event2/buffer.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "engine/output_internal.h"

enum {
	SINK_RESERVE = 64 * 1024, /* of the queue, for our own log */
	SINK_CHUNK = 64 * 1024,	  /* one write, where size does not matter */
	SINK_TURN = 512 * 1024,	  /* written in one turn of the loop */
	SINK_LAST_MSEC = 200,	  /* what the end waits for a reader */
};

/* ---- what standard error is ---- */

static int sink_reopen(const struct stat *st)
{
	int fd = open("/proc/self/fd/2", O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	struct stat same;

	if (fd >= 0 && fstat(fd, &same) == 0 && same.st_dev == st->st_dev &&
	    same.st_ino == st->st_ino)
		return fd;
	fd_close(fd);
	return -1;
}

static void sink_look(struct sink *sink)
{
	struct stat st;
	int fd;

	sink->fd = STDERR_FILENO;
	if (fstat(STDERR_FILENO, &st) == -1) {
		sink->kind = SINK_NONE;
	} else if (S_ISSOCK(st.st_mode)) {
		sink->kind = SINK_SOCKET;
	} else if (S_ISFIFO(st.st_mode) || (S_ISCHR(st.st_mode) && isatty(STDERR_FILENO))) {
		sink->kind = SINK_PIPE;
		fd = sink_reopen(&st);
		if (fd >= 0) {
			sink->fd = fd;
			sink->own = true;
		}
	} else {
		sink->kind = SINK_DIRECT;
	}
}

/* ---- writing ---- */

/* Whole lines as far as that is possible: a write of at most PIPE_BUF is never torn by others'. */
static size_t sink_cut(const struct sink *sink, const char *data, size_t len)
{
	const char *newline;

	if (sink->kind != SINK_PIPE || len <= PIPE_BUF)
		return len;
	newline = memrchr(data, '\n', PIPE_BUF);
	return newline != NULL ? (size_t)(newline - data) + 1 : PIPE_BUF;
}

static bool sink_is_writable(const struct sink *sink, int msec)
{
	struct pollfd pollfd = {.fd = sink->fd, .events = POLLOUT};

	return poll(&pollfd, 1, msec) > 0;
}

/* Bytes written, or -errno; never waits. */
static ssize_t sink_write(const struct sink *sink, const char *data, size_t len)
{
	ssize_t n;

	len = sink_cut(sink, data, len);
	if (sink->kind == SINK_PIPE && !sink->own && !sink_is_writable(sink, 0))
		return -EAGAIN;
	do {
		if (sink->kind == SINK_SOCKET)
			n = send(sink->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		else
			n = write(sink->fd, data, len);
	} while (n == -1 && errno == EINTR);
	return n == -1 ? -errno : n;
}

/* There is nobody to tell when standard error is gone or its disk full. */
static void sink_forget(struct sink *sink)
{
	evbuffer_drain(sink->queue, evbuffer_get_length(sink->queue));
}

/* Writes up to max bytes. 0: all is written; -EAGAIN: not now; 1: there is more. */
static int sink_write_queue(struct sink *sink, size_t max)
{
	size_t chunk = sink->kind == SINK_PIPE ? 2 * PIPE_BUF : SINK_CHUNK, waits;

	while ((waits = evbuffer_get_length(sink->queue)) > 0 && max > 0) {
		size_t len = waits < chunk ? waits : chunk;
		const unsigned char *data = evbuffer_pullup(sink->queue, (ssize_t)len);
		ssize_t n = data != NULL ? sink_write(sink, (const char *)data, len) : -ENOMEM;

		if (n == -EAGAIN)
			return -EAGAIN;
		if (n < 0) {
			sink_forget(sink);
			return 0;
		}
		evbuffer_drain(sink->queue, (size_t)n);
		max -= (size_t)n < max ? (size_t)n : max;
	}
	return waits > 0 ? 1 : 0;
}

/* Lines of our own that nobody read are told as soon as somebody reads again. */
static void sink_tell_drops(struct sink *sink)
{
	uint64_t dropped = sink->dropped;

	sink->dropped = 0;
	if (dropped > 0)
		log_warning("%llu lines of our own log were dropped: standard error was not read",
			    (unsigned long long)dropped);
}

void sink_flush(struct sink *sink)
{
	int r = sink_write_queue(sink, SINK_TURN);

	if (r == 0) {
		event_del(sink->writable);
		sink_tell_drops(sink);
	} else if (r == 1 && sink->kind == SINK_DIRECT) {
		/* epoll refuses regular files; they are always writable */
		event_active(sink->writable, EV_WRITE, 0);
	} else if (!event_pending(sink->writable, EV_WRITE, NULL) &&
		   event_add(sink->writable, NULL) == -1) {
		sink_forget(sink);
	}
}

static void sink_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	sink_flush(arg);
}

bool sink_has_room(const struct sink *sink, size_t len)
{
	return evbuffer_get_length(sink->queue) + len <= OUTPUT_QUEUE_MAX - SINK_RESERVE;
}

void sink_add(struct sink *sink, const char *line, size_t len)
{
	if (sink->kind != SINK_NONE)
		evbuffer_add(sink->queue, line, len);
}

void sink_log(enum log_level level, const char *line, size_t len, void *arg)
{
	struct sink *sink = arg;

	(void)level;
	if (evbuffer_get_length(sink->queue) + len > OUTPUT_QUEUE_MAX) {
		sink->dropped++;
		return;
	}
	sink_add(sink, line, len);
	/* behind what waits already: it is written when that is */
	if (!event_pending(sink->writable, EV_WRITE, NULL))
		sink_flush(sink);
}

/* ---- life ---- */

int sink_open(struct sink *sink, struct event_base *base)
{
	short what = EV_WRITE | EV_PERSIST;

	sink_look(sink);
	sink->queue = evbuffer_new();
	sink->writable =
	    event_new(base, sink->kind == SINK_DIRECT ? -1 : sink->fd,
		      sink->kind == SINK_DIRECT ? EV_PERSIST : what, sink_writable, sink);
	if (sink->queue == NULL || sink->writable == NULL) {
		sink_close(sink);
		return -ENOMEM;
	}
	return 0;
}

/* Waits for a reader only here, where nothing else is left to be done. */
static void sink_write_last(struct sink *sink)
{
	usec_t until = clock_now() + SINK_LAST_MSEC * USEC_PER_MSEC, now;

	while (sink_write_queue(sink, SIZE_MAX) == -EAGAIN) {
		now = clock_now();
		if (now >= until)
			return;
		sink_is_writable(sink, (int)((until - now) / USEC_PER_MSEC) + 1);
	}
}

void sink_close(struct sink *sink)
{
	if (sink->queue != NULL)
		sink_write_last(sink);
	if (sink->writable != NULL)
		event_free(sink->writable);
	if (sink->queue != NULL)
		evbuffer_free(sink->queue);
	if (sink->own)
		fd_close(sink->fd);
	*sink = (struct sink){.fd = -1};
}
