/* signals.c - signals become facts in the loop; libevent calls us from there, not in signal
 * context. */
#include "engine/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/parse.h"
#include "engine/output.h"
#include "engine/proc.h"

static const int signals_handled[] = {SIGHUP, SIGTERM, SIGINT, SIGQUIT, SIGUSR1, SIGCHLD};

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
	bool again = instance_is_stopping(engine->model);

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
	case SIGCHLD:
		orphans_sweep_soon(engine);
		break;
	default:
		break;
	}
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
	return 0;
}

void signals_free(struct engine *engine)
{
	while (engine->n_signals > 0)
		event_free(engine->signals[--engine->n_signals]);
}
