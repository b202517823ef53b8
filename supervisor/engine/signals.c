/* signals.c - signals become facts in the loop; libevent calls us from there, not in signal
 * context. */
#include "engine/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/parse.h"
#include "engine/output.h"
#include "engine/proc.h"

static const int signals_handled[] = {SIGHUP, SIGTERM, SIGINT, SIGQUIT, SIGUSR1};

static void signals_reload(struct engine *engine)
{
	struct wish *wish = calloc(1, sizeof(*wish));

	if (wish == NULL) {
		log_error("SIGHUP: out of memory, nothing was reloaded");
		return;
	}
	wish->kind = WISH_RELOAD;
	wish->slot = CORE_NONE;
	wish->by = strdup("SIGHUP");
	engine_wish(engine, wish);
}

/* The first Ctrl-C is an orderly stop; who presses it again does not want to wait. A forwarded
 * SIGTERM comes twice. */
static void signals_stop(struct engine *engine, int sig)
{
	bool again = engine->stop_asked || instance_is_stopping(engine->model);

	if (sig == SIGINT)
		engine->interrupts++;
	if (again && sig != SIGINT) {
		log_notice("%s: already stopping", parse_signal_name(sig));
		return;
	}
	engine_stop(engine, sig == SIGINT && engine->interrupts > 1, parse_signal_name(sig));
}

static void signals_come(evutil_socket_t sig, short what, void *arg)
{
	struct engine *engine = arg;

	(void)what;
	switch (sig) {
	case SIGHUP:
		signals_reload(engine);
		break;
	case SIGTERM:
	case SIGINT:
	case SIGQUIT:
		signals_stop(engine, (int)sig);
		break;
	case SIGUSR1:
		outputs_reopen(engine);
		break;
	default:
		break;
	}
}

static void signals_child(evutil_socket_t fd, short what, void *arg)
{
	struct signalfd_siginfo info;

	(void)what;
	while (read(fd, &info, sizeof(info)) == sizeof(info))
		continue;
	orphans_sweep_soon(arg);
}

/* A handler would run for each of a thousand workers that end; a descriptor tells of all of them at
 * once. */
static int signals_watch_children(struct engine *engine)
{
	sigset_t children;
	struct event *event;

	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	sigprocmask(SIG_BLOCK, &children, NULL);
	engine->child_fd = signalfd(-1, &children, SFD_NONBLOCK | SFD_CLOEXEC);
	if (engine->child_fd == -1)
		return -errno;
	event =
	    event_new(engine->base, engine->child_fd, EV_READ | EV_PERSIST, signals_child, engine);
	if (event == NULL)
		return -ENOMEM;
	engine->signals[engine->n_signals++] = event;
	return event_add(event, NULL) == -1 ? -ENOMEM : 0;
}

int signals_new(struct engine *engine)
{
	signal(SIGPIPE, SIG_IGN);
	for (size_t n = 0; n < ARRAY_LEN(signals_handled); n++) {
		struct event *event =
		    evsignal_new(engine->base, signals_handled[n], signals_come, engine);

		if (event == NULL)
			return -ENOMEM;
		engine->signals[engine->n_signals++] = event;
		if (event_add(event, NULL) == -1)
			return -ENOMEM;
	}
	return signals_watch_children(engine);
}

void signals_free(struct engine *engine)
{
	while (engine->n_signals > 0)
		event_free(engine->signals[--engine->n_signals]);
	engine->child_fd = fd_close(engine->child_fd);
}
