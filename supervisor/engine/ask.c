/* ask.c - one question to one worker: its turn, its time, its answer. */
#include "engine/ask.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "engine/proc.h"

static bool ask_is_command(const struct ask *ask)
{
	return ask->spec->kind == PROBE_KIND_EXEC;
}

/* ---- whose turn it is ---- */

static void asks_enqueue(struct asks *asks, struct ask *ask)
{
	ask->previous = asks->last;
	ask->next = NULL;
	if (asks->last != NULL)
		asks->last->next = ask;
	else
		asks->first = ask;
	asks->last = ask;
}

static void asks_dequeue(struct asks *asks, struct ask *ask)
{
	if (ask->previous != NULL)
		ask->previous->next = ask->next;
	else
		asks->first = ask->next;
	if (ask->next != NULL)
		ask->next->previous = ask->previous;
	else
		asks->last = ask->previous;
}

static void ask_run(struct ask *ask)
{
	ask->running = true;
	ask->proc->engine->asks.running++;
	engine_arm(ask->timer, ask->timeout);
	if (ask_is_command(ask))
		ask_command_begin(ask);
	else
		ask_server_begin(ask);
}

/* Questions that end at once end from the loop, so this ends too. */
static void asks_go_on(struct engine *engine)
{
	struct asks *asks = &engine->asks;

	while (asks->first != NULL && asks->running < ASK_RUNNING_MAX) {
		struct ask *ask = asks->first;

		asks_dequeue(asks, ask);
		ask_run(ask);
	}
}

/* ---- its end ---- */

static void ask_free(struct ask *ask)
{
	struct engine *engine = ask->proc->engine;

	if (ask->running)
		engine->asks.running--;
	else
		asks_dequeue(&engine->asks, ask);
	ask_command_end(ask);
	ask_server_end(ask);
	event_free(ask->timer);
	free(ask);
	asks_go_on(engine);
}

struct ask *ask_cancel(struct ask *ask)
{
	if (ask != NULL)
		ask_free(ask);
	return NULL;
}

static void ask_add_question(const struct ask *ask, struct buf *out)
{
	switch (ask->spec->kind) {
	case PROBE_KIND_NONE:
	case PROBE_KIND_EXEC:
		buf_printf(out, "the last run of its %s command",
			   ask->spec == &ask->proc->version->spec->live ? "live" : "ready");
		break;
	case PROBE_KIND_TCP:
		buf_add_str(out, "tcp");
		break;
	case PROBE_KIND_HTTP:
		buf_printf(out, "http:%.100s", ask->spec->text);
		break;
	case PROBE_KIND_GRPC:
		buf_printf(out, "grpc%s%.100s", *ask->spec->text != '\0' ? ":" : "",
			   ask->spec->text);
		break;
	}
}

void ask_settle(struct ask *ask, bool passed, const char *format, ...)
{
	cleanup_buf struct buf text = {.max = ASK_TEXT_MAX - 1};
	va_list args;

	if (ask->settled)
		return;
	ask_add_question(ask, &text);
	buf_add_str(&text, " ");
	va_start(args, format);
	buf_vprintf(&text, format, args);
	va_end(args);
	snprintf(ask->text, sizeof(ask->text), "%s", buf_text(&text));
	ask->settled = true;
	ask->passed = passed;
	engine_arm(ask->timer, 0);
}

static void ask_time(evutil_socket_t fd, short what, void *arg)
{
	struct ask *ask = arg;
	char text[ASK_TEXT_MAX];
	ask_done *done = ask->done;
	void *done_arg = ask->arg;
	bool passed = ask->passed;

	(void)fd;
	(void)what;
	if (!ask->settled) {
		if (ask_is_command(ask))
			ask_command_late(ask);
		else
			ask_server_late(ask);
		return;
	}
	memcpy(text, ask->text, sizeof(text));
	ask_free(ask);
	done(done_arg, passed, text);
}

struct ask *ask_begin(struct proc *proc, const struct probe_spec *spec, usec_t timeout,
		      ask_done *done, void *arg)
{
	struct ask *ask = calloc(1, sizeof(*ask));

	if (ask == NULL)
		return NULL;
	*ask = (struct ask){.proc = proc,
			    .spec = spec,
			    .timeout = timeout,
			    .done = done,
			    .arg = arg,
			    .pidfd = -1,
			    .fd = -1};
	ask->timer = evtimer_new(proc->engine->base, ask_time, ask);
	if (ask->timer == NULL) {
		free(ask);
		return NULL;
	}
	asks_enqueue(&proc->engine->asks, ask);
	asks_go_on(proc->engine);
	return ask;
}
