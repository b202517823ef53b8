/*
 * ask_server.c - a question over a connection: to the worker's probe socket, or to a port that it
 * opened by itself. Such a port may have been somebody else's, its predecessor's most likely: there
 * the connection has to be held by the worker before anything is asked.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/parse.h"
#include "engine/ask.h"
#include "engine/cgroups.h"
#include "engine/launch.h"
#include "engine/proc.h"
#include "system/probe.h"
#include "system/probe_socket.h"

/* Until somebody accepts: sock_diag(7) has to be asked. */
#define ASK_LOOK_FIRST USEC_PER_MSEC
#define ASK_LOOK_MOST  (50 * USEC_PER_MSEC)

static void server_watch(struct event *event)
{
	event_add(event, NULL);
}

/* ---- the talk ---- */

static void server_lost(struct ask *ask, int error)
{
	if (error == ECONNREFUSED)
		ask_settle(ask, false,
			   ask->proc->probe_fd >= 0
			       ? "finds nobody: the worker has closed its probe socket"
			       : "was refused the connection");
	else
		ask_settle(ask, false, "lost the connection: %s", strerror(error));
}

/* What cannot be sent is the reader's to find out: the server may have answered before it closed.
 */
static void server_send(struct ask *ask)
{
	const uint8_t *bytes;
	size_t len;
	ssize_t n;

	while ((len = probe_talk_output(ask->talk, &bytes)) > 0) {
		n = send(ask->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n == -1 && errno == EAGAIN)
			server_watch(ask->writable);
		if (n <= 0)
			return;
		probe_talk_sent(ask->talk, (size_t)n);
	}
}

static void server_readable(evutil_socket_t fd, short what, void *arg)
{
	struct ask *ask = arg;
	uint8_t bytes[4096];
	ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	enum probe_verdict verdict;

	(void)what;
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == -1) {
		event_del(ask->readable);
		server_lost(ask, errno);
		return;
	}
	verdict = probe_talk_feed(ask->talk, bytes, (size_t)n);
	if (verdict == PROBE_GOES_ON) {
		server_send(ask);
		return;
	}
	event_del(ask->readable);
	ask_settle(ask, verdict == PROBE_PASSED, "%s", probe_talk_text(ask->talk));
}

/* The connection is there, and the worker's. */
static void server_ask(struct ask *ask)
{
	if (ask->spec->kind == PROBE_KIND_TCP) {
		ask_settle(ask, true, "was accepted");
		return;
	}
	if (probe_talk_new(ask->spec->kind == PROBE_KIND_HTTP ? PROBE_HTTP : PROBE_GRPC,
			   ask->spec->text, "localhost", &ask->talk) < 0) {
		ask_settle(ask, false, "could not be asked: %s", strerror(ENOMEM));
		return;
	}
	server_watch(ask->readable);
	server_send(ask);
}

/* ---- whose port is it? ---- */

static void server_identify(struct ask *ask)
{
	int r = probe_socket_belongs(ask->fd, ask->proc->pid);

	if (r > 0) {
		ask->owned = true;
		server_ask(ask);
	} else if (r == 0) {
		ask_settle(ask, false, "found another process there than the worker");
	} else if (r == -EAGAIN) {
		engine_arm(ask->look, ask->look_again);
		ask->look_again *= 2;
		if (ask->look_again > ASK_LOOK_MOST)
			ask->look_again = ASK_LOOK_MOST;
	} else if (r == -ENOTCONN || r == -EOPNOTSUPP) {
		ask_settle(ask, false, "lost the connection");
	} else {
		ask_settle(ask, false, "cannot tell whether that is the worker: %s", strerror(-r));
	}
}

static void server_look(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	server_identify(arg);
}

static void server_connected(struct ask *ask)
{
	if (ask->proc->probe_fd >= 0) {
		ask->owned = true;
		server_ask(ask);
	} else {
		ask->look_again = ASK_LOOK_FIRST;
		server_identify(ask);
	}
}

static void server_writable(evutil_socket_t fd, short what, void *arg)
{
	struct ask *ask = arg;
	int error = 0;
	socklen_t len = sizeof(error);

	(void)what;
	if (ask->talk != NULL)
		server_send(ask);
	else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1 || error != 0)
		server_lost(ask, error != 0 ? error : errno);
	else
		server_connected(ask);
}

/* ---- the connection ---- */

static int server_address(struct ask *ask, struct sockaddr_storage *ret_address, socklen_t *ret_len)
{
	const struct proc *proc = ask->proc;
	struct config_who who = launch_who(proc);
	cleanup_buf struct buf why = {0};
	int r;

	if (proc->probe_fd >= 0) {
		probe_socket_address(proc->probe_fd, (struct sockaddr_un *)ret_address);
		*ret_len = sizeof(struct sockaddr_un);
		return 0;
	}
	r = config_probe_address(proc->version->spec->probe_address, &who, ret_address, ret_len,
				 &why);
	if (r < 0)
		ask_settle(ask, false, "cannot be asked at its probe_address: %s", buf_text(&why));
	return r;
}

static bool server_events(struct ask *ask)
{
	struct event_base *base = ask->proc->engine->base;

	ask->readable = event_new(base, ask->fd, EV_READ | EV_PERSIST, server_readable, ask);
	ask->writable = event_new(base, ask->fd, EV_WRITE, server_writable, ask);
	ask->look = evtimer_new(base, server_look, ask);
	return ask->readable != NULL && ask->writable != NULL && ask->look != NULL;
}

void ask_server_begin(struct ask *ask)
{
	struct sockaddr_storage address;
	socklen_t len;

	if (server_address(ask, &address, &len) < 0)
		return;
	ask->fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (ask->fd == -1 || !server_events(ask)) {
		ask_settle(ask, false, "could not be asked: %s", strerror(errno));
		return;
	}
	if (connect(ask->fd, (struct sockaddr *)&address, len) == 0 || errno == EINPROGRESS)
		server_watch(ask->writable);
	else if (errno == EAGAIN)
		ask_settle(ask, false, "is not accepted: the queue is full");
	else if (errno == ENOENT)
		ask_settle(ask, false, "finds no socket there");
	else
		server_lost(ask, errno);
}

void ask_server_late(struct ask *ask)
{
	/* we may be late ourselves, and the answer be there */
	if (ask->talk != NULL && !ask->settled)
		server_readable(ask->fd, EV_TIMEOUT, ask);
	ask_settle(ask, false, "%s within %s",
		   ask->proc->probe_fd < 0 && !ask->owned ? "was not accepted" : "had no answer",
		   DURATION_TEXT(ask->timeout));
}

void ask_server_end(struct ask *ask)
{
	struct event *events[] = {ask->readable, ask->writable, ask->look};

	for (size_t n = 0; n < ARRAY_LEN(events); n++)
		if (events[n] != NULL)
			event_free(events[n]);
	ask->readable = ask->writable = ask->look = NULL;
	ask->talk = probe_talk_free(ask->talk);
	ask->fd = fd_close(ask->fd);
}
