/* canary.c - the first workers of a new version: asks canary_check about them, and tells how they
 * do. */
#include "engine/canary.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/parse.h"
#include "engine/events.h"
#include "engine/launch.h"
#include "engine/proc.h"

/* The end of what the command writes is kept for the report. */
#define CANARY_OUTPUT_MAX 2048

struct canary {
	struct engine *engine;
	uint32_t pool;
	uint64_t number; /* of the model's question */
	pid_t pid;	 /* 0: it does not run */
	int pidfd, output;
	struct event *exit_event, *output_event;
	struct event *soon; /* it could not be run: said in the next turn */
	char answer[128];   /* "": none yet */
	char tail[CANARY_OUTPUT_MAX];
	size_t tail_len;
};

/* ---- the command ---- */

/* Returns false at its end. */
static bool canary_read(struct canary *canary)
{
	char chunk[1024];
	ssize_t n = -1;

	/* a bounded number of times: it may write faster than we read */
	for (int i = 0; i < 16 && (n = read(canary->output, chunk, sizeof(chunk))) > 0; i++) {
		size_t over = canary->tail_len + (size_t)n > CANARY_OUTPUT_MAX
				  ? canary->tail_len + (size_t)n - CANARY_OUTPUT_MAX
				  : 0;

		memmove(canary->tail, canary->tail + over, canary->tail_len - over);
		canary->tail_len -= over;
		memcpy(canary->tail + canary->tail_len, chunk, (size_t)n);
		canary->tail_len += (size_t)n;
	}
	return n != 0;
}

static void canary_output(evutil_socket_t fd, short what, void *arg)
{
	struct canary *canary = arg;

	(void)what;
	(void)fd;
	if (!canary_read(canary))
		event_del(canary->output_event);
}

static void canary_post(const struct canary *canary, bool good)
{
	struct core_event event = {
	    .kind = EVENT_CANARY_CHECKED,
	    .worker.pool = canary->pool,
	    .number = canary->number,
	    .failed = !good,
	};

	engine_post(canary->engine, &event);
}

/* Nobody is left who could write, or be waited for. */
static void canary_stop(struct canary *canary)
{
	if (canary->pid > 0) {
		/* reaped as an orphan when it is gone */
		reap_kill_group(canary->pid);
		reap_signal(canary->pidfd, SIGKILL, 0);
		pids_remove(canary->engine, canary->pid);
	}
	if (canary->exit_event != NULL)
		event_free(canary->exit_event);
	if (canary->output_event != NULL)
		event_free(canary->output_event);
	canary->exit_event = canary->output_event = NULL;
	canary->pidfd = fd_close(canary->pidfd);
	canary->output = fd_close(canary->output);
	canary->pid = 0;
}

static void canary_exited(evutil_socket_t fd, short what, void *arg)
{
	struct canary *canary = arg;
	struct reap_status status;

	(void)what;
	if (reap_peek(fd, &status) == 0)
		return;
	reap_kill_group(canary->pid);
	if (reap_collect(fd, &status) < 0)
		status = (struct reap_status){.code = 0};
	pids_remove(canary->engine, canary->pid);
	canary->pid = 0;
	canary_read(canary);
	canary_stop(canary);
	reap_describe(&status, canary->answer, sizeof(canary->answer));
	canary_post(canary, status.code == CLD_EXITED && status.value == 0);
}

static void canary_cannot_run(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	canary_post(arg, false);
}

static void canary_add_pids(const struct engine *engine, const struct order *order, struct buf *out)
{
	const struct pool *pool = &engine->model->pools[order->pool];

	for (uint32_t s = order->slot; s < order->slot + order->count && s < pool->size; s++) {
		uint32_t w = pool->slots[s].next;
		const struct proc *proc = w < engine->pools[order->pool].n_procs
					      ? engine->pools[order->pool].procs[w]
					      : NULL;

		if (proc != NULL)
			buf_printf(out, "%s%d", out->len > 0 ? " " : "", (int)proc->pid);
	}
}

/* That of the first canary, and who they are. */
static char **canary_environment(const struct engine *engine, const struct order *order,
				 const struct proc *proc)
{
	cleanup_buf struct buf pids = {0};
	char **env = launch_command_environment(proc, 2);
	size_t n = 0;

	canary_add_pids(engine, order, &pids);
	while (env != NULL && env[n] != NULL)
		n++;
	if (env != NULL && asprintf(&env[n], "HANDOVER_CANARY_PIDS=%s", buf_text(&pids)) == -1)
		env[n] = NULL;
	else
		n++;
	if (env != NULL && asprintf(&env[n], "HANDOVER_OLD_GENERATION=%u",
				    engine->model->pools[order->pool].generation) == -1)
		env[n] = NULL;
	return env;
}

static int canary_watch(struct canary *canary, struct proc *proc)
{
	struct event_base *base = canary->engine->base;
	int r = pids_add(canary->engine, canary->pid, proc);

	if (r < 0)
		return r;
	canary->exit_event =
	    event_new(base, canary->pidfd, EV_READ | EV_PERSIST, canary_exited, canary);
	canary->output_event =
	    event_new(base, canary->output, EV_READ | EV_PERSIST, canary_output, canary);
	return canary->exit_event == NULL || canary->output_event == NULL ||
		       event_add(canary->exit_event, NULL) == -1 ||
		       event_add(canary->output_event, NULL) == -1
		   ? -ENOMEM
		   : 0;
}

static int canary_run(struct canary *canary, const struct order *order, struct proc *proc)
{
	char **argv = launch_arguments(proc, proc->version->spec->canary_check);
	char **env = canary_environment(canary->engine, order, proc);
	cleanup_close int output = -1;
	int ends[2], r = argv != NULL && env != NULL ? 0 : -ENOMEM;

	if (r == 0 && pipe2(ends, O_CLOEXEC) == -1)
		r = -errno;
	if (r == 0) {
		canary->output = ends[0];
		output = ends[1];
		fcntl(canary->output, F_SETFL, O_NONBLOCK);
		r = launch_command(canary->engine, proc->version, argv, env, output, &canary->pid,
				   &canary->pidfd);
	}
	if (r == 0)
		r = canary_watch(canary, proc);
	launch_free_environment(argv);
	launch_free_environment(env);
	return r;
}

static struct canary *canary_free(struct canary *canary)
{
	if (canary == NULL)
		return NULL;
	canary_stop(canary);
	if (canary->soon != NULL)
		event_free(canary->soon);
	free(canary);
	return NULL;
}

static struct canary *canary_new(struct engine *engine, const struct order *order)
{
	struct canary *canary = calloc(1, sizeof(*canary));

	if (canary == NULL)
		return NULL;
	canary->engine = engine;
	canary->pool = order->pool;
	canary->number = order->number;
	canary->pidfd = canary->output = -1;
	canary->soon = evtimer_new(engine->base, canary_cannot_run, canary);
	return canary->soon != NULL ? canary : canary_free(canary);
}

void canary_check(struct engine *engine, const struct order *order)
{
	struct pool_runtime *runtime = &engine->pools[order->pool];
	const struct pool *pool = &engine->model->pools[order->pool];
	uint32_t w = order->slot < pool->size ? pool->slots[order->slot].next : CORE_NONE;
	struct proc *proc = w < runtime->n_procs ? runtime->procs[w] : NULL;
	int r = -ESRCH;

	runtime->canary = canary_free(runtime->canary);
	runtime->canary = canary_new(engine, order);
	if (runtime->canary == NULL) {
		log_error("pool %s: out of memory: canary_check cannot be run, and will be taken "
			  "for one that says nothing",
			  runtime->name);
		return; /* the model's limit ends it */
	}
	if (proc != NULL)
		r = canary_run(runtime->canary, order, proc);
	if (r == 0) {
		log_info("pool %s: canary_check runs, as pid %d", runtime->name,
			 (int)runtime->canary->pid);
		return;
	}
	canary_stop(runtime->canary);
	snprintf(runtime->canary->answer, sizeof(runtime->canary->answer), "cannot be run: %s",
		 strerror(-r));
	engine_arm(runtime->canary->soon, 0);
}

const char *canary_answer(const struct engine *engine, uint32_t p, struct buf *lines)
{
	const struct canary *canary = p < CORE_POOLS_MAX ? engine->pools[p].canary : NULL;

	if (canary == NULL)
		return NULL;
	buf_add(lines, canary->tail, canary->tail_len);
	return canary->answer[0] != '\0' ? canary->answer : NULL;
}

void canaries_end(struct engine *engine)
{
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++)
		engine->pools[p].canary = canary_free(engine->pools[p].canary);
}

/* ---- telling ---- */

void canary_serves(struct engine *engine, const struct order *order)
{
	const char *pool = engine->pools[order->pool].name;

	events_tell(
	    engine,
	    HAPPENING("canary-serving", LOG_LEVEL_NOTICE, .pool = pool,
		      .generation = order->generation,
		      .deadline_ms = (long long)(order->usec / USEC_PER_MSEC)),
	    "pool %s: %u canar%s of generation %u serve%s beside generation %u, judged for %s",
	    pool, order->count, order->count == 1 ? "y" : "ies", order->generation,
	    order->count == 1 ? "s" : "", engine->model->pools[order->pool].generation,
	    DURATION_TEXT(order->usec));
}

void canary_good(struct engine *engine, const struct order *order)
{
	const struct pool_runtime *runtime = &engine->pools[order->pool];

	engine->pools[order->pool].canaries_good++;
	events_tell(engine,
		    HAPPENING("canary-good", LOG_LEVEL_NOTICE, .pool = runtime->name,
			      .generation = order->generation),
		    "pool %s: nothing speaks against generation %u%s", runtime->name,
		    order->generation, runtime->canary != NULL ? ", and canary_check agrees" : "");
}

char *canary_until(const struct engine *engine, char text[static 32])
{
	usec_t left = usec_sub(engine->model->transaction.deadline, clock_now());
	time_t at = (time_t)((clock_wall() + left) / USEC_PER_SEC);
	struct tm tm;

	if (localtime_r(&at, &tm) == NULL ||
	    strftime(text, 32,
		     left > 20 * 3600 * USEC_PER_SEC			     ? "%Y-%m-%d %H:%M"
		     : engine->undertaking.hold_timeout > 600 * USEC_PER_SEC ? "%H:%M"
									     : "%H:%M:%S",
		     &tm) == 0)
		snprintf(text, 32, "it is too late");
	return text;
}
