/* manager.c - what our service manager is told, and when. */
#include "engine/manager.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "engine/sockets.h"
#include "engine/wishes.h"
#include "system/systemd_bus.h"

/* What changes quickly is said in one go. */
#define MANAGER_PAUSE (100 * USEC_PER_MSEC)
/* While somebody drains, the seconds that are left are told. */
#define MANAGER_TICK USEC_PER_SEC
/*
 * Its time-outs cannot know our budgets. While the model works (and the model's own limits end
 * that), we ask for so much more again and again: an engine that hangs asks no more, and is killed
 * soon.
 */
#define MANAGER_EXTEND	     (10 * USEC_PER_SEC)
#define MANAGER_EXTEND_AGAIN (3 * USEC_PER_SEC)
/* A bus that does not answer must not hold up a stop. */
#define MANAGER_ASK_MAX (500 * USEC_PER_MSEC)

/*
 * The reason of a failed reload is said once more when all that follows from it has been said: by
 * workers that go, and by systemd, which puts two lines of its own behind what its ExecReload=
 * wrote. So it is the last line of `systemctl status`.
 */
#define MANAGER_REMIND (500 * USEC_PER_MSEC)

enum manager_phase { MANAGER_STARTING, MANAGER_RUNNING, MANAGER_RELOADING, MANAGER_STOPPING };

struct manager {
	enum manager_phase phase;
	struct event *look;	   /* something may be new */
	struct event *watchdog;	   /* NULL: it does not want to hear from us */
	struct buf said;	   /* the last STATUS */
	char *unsaid;		   /* it was too busy to take this */
	uint64_t failed, reminded; /* numbers of reloads */
	usec_t failed_at;
	usec_t extended_at; /* 0: not in this phase */
	bool looking;	    /* `look` is pending */
	struct systemd_bus *bus;
	struct event *bus_event, *bus_limit;
	void (*asked)(struct engine *engine);
};

/* ---- phases ---- */

/* With on_start_failure = retry a pool goes on trying for as long as it takes: a manager must not
 * wait for that. */
static bool manager_is_started(const struct engine *engine)
{
	const struct instance *model = engine->model;

	if (model->ready)
		return true;
	if (model->state != INSTANCE_RUNNING || model->transaction.state != TRANSACTION_NONE)
		return false;
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++) {
		const struct pool *pool = &model->pools[p];
		bool tried = false;

		if (pool->state != POOL_ACTIVE || pool->ready_once)
			continue;
		for (uint32_t s = 0; s < pool->size && pool->params.start_retry; s++)
			tried = tried || pool->slots[s].crashes > 0;
		if (!tried)
			return false;
	}
	return true;
}

static enum manager_phase manager_phase(const struct engine *engine)
{
	const struct instance *model = engine->model;

	if (instance_is_stopping(model))
		return MANAGER_STOPPING;
	if (engine->manager->phase == MANAGER_STARTING && !manager_is_started(engine))
		return MANAGER_STARTING;
	/* one that is held has its answer: what comes of it is a person's matter */
	return model->transaction.state != TRANSACTION_NONE &&
		       model->transaction.state != TRANSACTION_HELD && !model->transaction.start
		   ? MANAGER_RELOADING
		   : MANAGER_RUNNING;
}

static bool manager_somebody_waits(const struct engine *engine)
{
	for (size_t n = 0; n < CORE_REQUESTS_MAX; n++)
		if (engine->model->pending[n].state == PENDING_DRAINING)
			return true;
	return false;
}

static bool manager_drains(const struct engine *engine)
{
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++) {
		const uint32_t *counts = engine->model->pools[p].counts;

		if (engine->model->pools[p].state != POOL_FREE &&
		    counts[WORKER_DRAINING] + counts[WORKER_DUMPING] > 0)
			return true;
	}
	return false;
}

/* Is there work whose end the model will bring about? Who has SIGKILL and does not go is beyond it.
 */
static bool manager_works(const struct engine *engine)
{
	switch (engine->manager->phase) {
	case MANAGER_STARTING:
	case MANAGER_RELOADING:
		return true;
	case MANAGER_RUNNING:
		return manager_somebody_waits(engine);
	case MANAGER_STOPPING:
		return engine->model->state == INSTANCE_LAME_DUCK ||
		       engine->model->state == INSTANCE_QUIESCING || manager_drains(engine);
	}
	return false;
}

/* ---- saying ---- */

static void manager_look_in(struct manager *manager, usec_t delay)
{
	manager->looking = true;
	engine_arm(manager->look, delay);
}

/* Takes text over. What cannot be said now is said later, unless something newer has come by then.
 */
static void manager_say(struct manager *manager, char *text)
{
	free(manager->unsaid);
	manager->unsaid = NULL;
	if (text == NULL || systemd_notify("%s", text) != -EAGAIN)
		free(text);
	else
		manager->unsaid = text;
}

static const char *manager_word(enum manager_phase phase)
{
	switch (phase) {
	case MANAGER_RUNNING:
		return "READY=1\n";
	case MANAGER_RELOADING:
		return "RELOADING=1\n";
	case MANAGER_STOPPING:
		return "STOPPING=1\n";
	case MANAGER_STARTING:
		break;
	}
	return "";
}

static void manager_say_phase(struct engine *engine, const char *word)
{
	struct manager *manager = engine->manager;
	struct buf text = {0};

	buf_reset(&manager->said);
	manager_describe(engine, &manager->said);
	buf_add_str(&text, word);
	if (manager->phase == MANAGER_RELOADING)
		buf_printf(&text, "MONOTONIC_USEC=%llu\n", (unsigned long long)clock_now());
	if (manager_works(engine)) {
		manager->extended_at = clock_now();
		buf_printf(&text, "EXTEND_TIMEOUT_USEC=%llu\n", (unsigned long long)MANAGER_EXTEND);
	}
	buf_printf(&text, "STATUS=%s", manager->said.data != NULL ? manager->said.data : "");
	manager_say(manager, text.data);
}

static void manager_enter(struct engine *engine, enum manager_phase phase)
{
	engine->manager->phase = phase;
	engine->manager->extended_at = 0;
	manager_say_phase(engine, manager_word(phase));
}

static void manager_say_status(struct engine *engine)
{
	struct manager *manager = engine->manager;
	struct buf status = {0};

	manager_describe(engine, &status);
	if (status.data == NULL ||
	    (manager->said.data != NULL && strcmp(status.data, manager->said.data) == 0)) {
		buf_free(&status);
		return;
	}
	if (systemd_notify("STATUS=%s", status.data) == -EAGAIN) {
		buf_free(&status); /* the next look finds it again */
		return;
	}
	buf_free(&manager->said);
	manager->said = status;
}

static void manager_extend(struct engine *engine)
{
	usec_t now = clock_now();

	if (engine->manager->extended_at + MANAGER_EXTEND_AGAIN > now)
		return;
	engine->manager->extended_at = now;
	systemd_notify("EXTEND_TIMEOUT_USEC=%llu", (unsigned long long)MANAGER_EXTEND);
}

/* Is there still something to be said, later? */
static bool manager_remind(struct engine *engine)
{
	struct manager *manager = engine->manager;
	const struct outcome *last = engine->last_outcome;

	if (last == NULL || last->id == manager->reminded || last->kind != WISH_RELOAD ||
	    (last->result != RESULT_FAILED && last->result != RESULT_ABORTED))
		return false;
	if (last->id != manager->failed) {
		manager->failed = last->id;
		manager->failed_at = clock_now();
	}
	if (manager->phase != MANAGER_RUNNING) { /* something newer happens */
		manager->reminded = last->id;
		return false;
	}
	if (manager_drains(engine) || usec_sub(clock_now(), manager->failed_at) < MANAGER_REMIND)
		return true;
	manager->reminded = last->id;
	if (last->message != NULL)
		log_error("%s", last->message);
	return false;
}

/* ---- looking ---- */

static void manager_look(evutil_socket_t fd, short what, void *arg)
{
	struct engine *engine = arg;
	struct manager *manager = engine->manager;
	bool again;

	(void)fd;
	(void)what;
	manager->looking = false;
	if (manager->unsaid != NULL) {
		char *text = manager->unsaid;

		manager->unsaid = NULL;
		manager_say(manager, text);
	}
	if (manager->unsaid == NULL)
		manager_say_status(engine);
	again = sockets_store(engine) || manager->unsaid != NULL;
	again = manager_remind(engine) || again;
	if (manager_works(engine))
		manager_extend(engine);
	if (again)
		manager_look_in(manager, MANAGER_PAUSE);
	else if (manager_drains(engine) || manager_works(engine))
		manager_look_in(manager, MANAGER_TICK);
}

void manager_changed(struct engine *engine)
{
	struct manager *manager = engine->manager;
	enum manager_phase phase;

	if (manager == NULL)
		return;
	phase = manager_phase(engine);
	if (phase != manager->phase) {
		manager_enter(engine, phase);
		sockets_store(engine); /* a crash right after the start must not cost them */
	}
	if (!manager->looking)
		manager_look_in(manager, MANAGER_PAUSE);
}

void manager_reloading(struct engine *engine)
{
	if (engine->manager != NULL && engine->manager->phase == MANAGER_RUNNING)
		manager_enter(engine, MANAGER_RELOADING);
}

/* ---- what a stop is for ---- */

static void manager_asked(struct engine *engine, const struct systemd_unit *unit)
{
	struct manager *manager = engine->manager;
	void (*done)(struct engine *) = manager->asked;

	if (unit != NULL) {
		bool starts_again = unit->job[0] != '\0' ? strcmp(unit->job, "restart") == 0
							 : strcmp(unit->restart, "always") == 0;

		engine->keep_sockets = starts_again && unit->store_max > 0;
	}
	if (manager->bus_event != NULL)
		event_free(manager->bus_event);
	if (manager->bus_limit != NULL)
		event_free(manager->bus_limit);
	manager->bus_event = manager->bus_limit = NULL;
	systemd_bus_free(manager->bus);
	manager->bus = NULL;
	manager->asked = NULL;
	if (done != NULL)
		done(engine);
}

static void manager_ask_over(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	log_notice(
	    "systemd does not say whether it will start us again: keeping the sockets as if");
	manager_asked(arg, NULL);
}

static int manager_bus_watch(struct engine *engine);

static void manager_bus_ready(evutil_socket_t fd, short what, void *arg)
{
	struct engine *engine = arg;
	struct systemd_unit unit;
	int r = systemd_bus_process(engine->manager->bus, &unit);

	(void)fd;
	(void)what;
	if (r == 0)
		r = manager_bus_watch(engine);
	if (r < 0)
		log_notice("systemd does not say whether it will start us again (%s): keeping the "
			   "sockets as if",
			   strerror(-r));
	if (r != 0)
		manager_asked(engine, r > 0 ? &unit : NULL);
}

/* One-shot, and anew each time: what it waits for changes as it goes. */
static int manager_bus_watch(struct engine *engine)
{
	struct manager *manager = engine->manager;
	short events = systemd_bus_events(manager->bus);
	short what = (short)(((events & POLLIN) != 0 ? EV_READ : 0) |
			     ((events & POLLOUT) != 0 ? EV_WRITE : 0));

	if (manager->bus_event != NULL)
		event_free(manager->bus_event);
	manager->bus_event =
	    event_new(engine->base, systemd_bus_fd(manager->bus), what, manager_bus_ready, engine);
	return manager->bus_event == NULL || event_add(manager->bus_event, NULL) == -1 ? -ENOMEM
										       : 0;
}

void manager_ask_stop(struct engine *engine, void (*done)(struct engine *engine))
{
	struct manager *manager = engine->manager;
	int r;

	if (manager == NULL || manager->bus != NULL || !sockets_any_stored(engine)) {
		done(engine);
		return;
	}
	r = systemd_bus_ask(NULL, &manager->bus);
	if (r == 0) {
		manager->asked = done;
		manager->bus_limit = evtimer_new(engine->base, manager_ask_over, engine);
		r = manager->bus_limit != NULL ? manager_bus_watch(engine) : -ENOMEM;
	}
	if (r == 0) {
		engine_arm(manager->bus_limit, MANAGER_ASK_MAX);
		return;
	}
	log_notice("cannot ask systemd whether it will start us again (%s): keeping the sockets as "
		   "if",
		   strerror(-r));
	manager->asked = done;
	manager_asked(engine, NULL);
}

/* ---- the beginning and the end ---- */

static void manager_feed(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	systemd_notify("WATCHDOG=1");
}

static int manager_new_watchdog(struct engine *engine, usec_t interval)
{
	struct timeval half = {.tv_sec = (time_t)(interval / 2 / USEC_PER_SEC),
			       .tv_usec = (suseconds_t)(interval / 2 % USEC_PER_SEC)};

	engine->manager->watchdog = event_new(engine->base, -1, EV_PERSIST, manager_feed, engine);
	return engine->manager->watchdog == NULL ||
		       event_add(engine->manager->watchdog, &half) == -1
		   ? -ENOMEM
		   : 0;
}

int manager_new(struct engine *engine)
{
	usec_t interval = systemd_watchdog_interval();
	struct manager *manager;

	if (!systemd_is_manager_present())
		return 0;
	manager = calloc(1, sizeof(*manager));
	if (manager == NULL)
		return -ENOMEM;
	engine->manager = manager;
	engine->keep_sockets = true; /* where nothing else is known, and after a failure */
	manager->look = evtimer_new(engine->base, manager_look, engine);
	if (manager->look == NULL || (interval > 0 && manager_new_watchdog(engine, interval) < 0))
		return -ENOMEM;
	manager_enter(engine, MANAGER_STARTING);
	return 0;
}

void manager_free(struct engine *engine)
{
	struct manager *manager = engine->manager;

	if (manager == NULL)
		return;
	manager->asked = NULL;
	manager_asked(engine, NULL);
	if (manager->look != NULL)
		event_free(manager->look);
	if (manager->watchdog != NULL)
		event_free(manager->watchdog);
	free(manager->unsaid);
	buf_free(&manager->said);
	free(manager);
	engine->manager = NULL;
}
