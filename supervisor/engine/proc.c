/* proc.c - a worker's process: what it says, and how it ends. */
#include "engine/proc.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/parse.h"
#include "engine/acks.h"
#include "engine/cgroups.h"
#include "engine/channel.h"
#include "engine/events.h"
#include "engine/evidence.h"
#include "engine/launch.h"
#include "engine/output.h"
#include "engine/stores.h"
#include "engine/versions.h"
#include "system/proc.h"

struct proc *proc_new(struct engine *engine, const struct worker_ref *ref, uint32_t slot,
		      struct version *version)
{
	struct proc *proc = calloc(1, sizeof(*proc));

	if (proc == NULL)
		return NULL;
	proc->engine = engine;
	proc->ref = *ref;
	proc->slot = slot;
	proc->generation = version->generation;
	proc->version = version_ref(version);
	proc->pidfd = proc->notify_fd = proc->probe_fd = -1;
	return proc;
}

static void proc_free_event(struct event **event)
{
	if (*event != NULL)
		event_free(*event);
	*event = NULL;
}

static struct event *proc_event(struct proc *proc, int fd, short what, event_callback_fn callback)
{
	struct event *event = event_new(proc->engine->base, fd, what, callback, proc);

	if (event != NULL && fd >= 0 && event_add(event, NULL) == -1) {
		event_free(event);
		event = NULL;
	}
	return event;
}

/* The ready pipe's descriptor belongs to its event alone. */
static void proc_drop_ready(struct proc *proc)
{
	int fd = proc->ready_event != NULL ? event_get_fd(proc->ready_event) : -1;

	proc_free_event(&proc->ready_event);
	fd_close(fd);
}

struct proc *proc_free(struct proc *proc)
{
	if (proc == NULL)
		return NULL;
	launch_drop(proc);
	probe_stop(proc);
	live_stop(proc);
	acks_stop(proc);
	cgroups_leave(proc);
	evidence_free(proc);
	output_free(proc);
	channel_close(proc);
	proc_drop_ready(proc);
	proc_free_event(&proc->exit_event);
	proc_free_event(&proc->notify_event);
	flood_free(&proc->notify_flood);
	fd_close(proc->pidfd);
	fd_close(proc->notify_fd);
	fd_close(proc->probe_fd);
	version_unref(proc->version);
	free(proc->status);
	free(proc->failure);
	free(proc->probe_failure);
	free(proc);
	return NULL;
}

char *proc_describe(const struct proc *proc, char *text, size_t size)
{
	const char *pool = proc->version->spec->name;

	if (proc->pid > 0)
		snprintf(text, size, "pool %s slot %u generation %u pid %d", pool, proc->slot,
			 proc->generation, (int)proc->pid);
	else
		snprintf(text, size, "pool %s slot %u generation %u", pool, proc->slot,
			 proc->generation);
	return text;
}

bool proc_inflight(const struct proc *proc, unsigned long *ret_inflight)
{
	uint64_t counted;

	if (channel_inflight(proc, &counted)) {
		*ret_inflight = (unsigned long)counted;
		return true;
	}
	if (proc->has_inflight)
		*ret_inflight = proc->inflight;
	return proc->has_inflight;
}

void proc_describe_work(const struct proc *proc, struct buf *out)
{
	unsigned long inflight;

	if (proc_inflight(proc, &inflight))
		buf_printf(out, ", %lu request%s in flight", inflight, inflight == 1 ? "" : "s");
	if (proc->status != NULL)
		buf_printf(out, ", its status: \"%s\"", proc->status);
}

char *proc_describe_exit(const struct proc *proc, char *text, size_t size)
{
	uint64_t max = proc->version->spec->memory_max;

	switch (proc->oom) {
	case PROC_OOM_NONE:
		return reap_describe(&proc->exit, text, size);
	case PROC_OOM_OWN:
		snprintf(text, size, "was killed by the kernel: out of memory in its cgroup%s%s%s",
			 max != 0 ? " (memory_max = " : "", max != 0 ? SIZE_TEXT(max) : "",
			 max != 0 ? ")" : "");
		break;
	case PROC_OOM_ABOVE:
		snprintf(text, size,
			 "was killed by the kernel: out of memory on the machine, or "
			 "in a cgroup above (MemoryMax= of the unit)");
		break;
	}
	return text;
}

void proc_describe_not_live(const struct proc *proc, const char *fails, struct buf *out)
{
	buf_printf(out, "%s its liveness probe", fails);
	if (proc->live_failures > 1)
		buf_printf(out, " %u times in a row", proc->live_failures);
	if (proc->probe_failure != NULL)
		buf_printf(out, ": %s", proc->probe_failure);
}

bool proc_ended_well(const struct proc *proc, bool was_told)
{
	const struct success_codes *success = &proc->version->spec->success;
	int value = proc->exit.value, drain = proc->version->spec->drain_signal;

	if (proc->exit.code == CLD_EXITED)
		return (success->codes[value / 64] >> (value % 64) & 1) != 0 ||
		       (was_told && value == 128 + drain);
	return (value >= 1 && value <= 64 && (success->signals >> (value - 1) & 1) != 0) ||
	       (was_told && value == drain);
}

/* ---- the end ---- */

int proc_signal(struct proc *proc, int sig, int value)
{
	int r = proc->pidfd >= 0 ? reap_signal(proc->pidfd, sig, value) : -ESRCH;

	if (r == 0)
		reap_signal(proc->pidfd, SIGCONT, 0);
	return r;
}

void proc_kill(struct proc *proc)
{
	if (proc->pidfd < 0 || proc->ended)
		return;
	proc->killed = true;
	cgroups_kill(proc);
	reap_kill_group(proc->pid); /* not reaped yet, so the group is still its own */
	reap_signal(proc->pidfd, SIGKILL, 0);
	launch_let_go(proc);
}

static void proc_hear_last_words(struct proc *proc);

static bool proc_is_told(const struct proc *proc)
{
	const struct worker *worker =
	    pool_worker(&proc->engine->model->pools[proc->ref.pool], &proc->ref);

	return worker != NULL && worker_is_leaving(worker);
}

static void proc_exited(evutil_socket_t fd, short what, void *arg)
{
	struct proc *proc = arg;
	struct engine *engine = proc->engine;
	struct worker_ref ref = proc->ref;

	(void)what;
	if (engine_turn_is_long(engine) || reap_peek(fd, &proc->exit) == 0)
		return;
	if (!proc->killed && !proc_is_told(proc) && launch_again(proc))
		return;
	proc_hear_last_words(proc);
	/* while the zombie holds its pid, the group cannot be anybody else's: what it left behind
	 * ends with it */
	reap_kill_group(proc->pid);
	if (reap_collect(fd, &proc->exit) < 0)
		proc->exit = (struct reap_status){.code = 0};
	proc->ended = true;
	event_del(proc->exit_event);
	pids_remove(engine, proc->pid);
	output_close(proc);
	cgroups_leave(proc);
	orphans_sweep_soon(engine);
	proc->told = proc_is_told(proc);
	if (!launch_has_failed(proc, proc->told))
		engine_post_worker(engine, &ref, WORKER_EVENT_EXITED, 0,
				   proc_ended_well(proc, proc->told));
}

void proc_retire(struct proc *proc)
{
	struct engine *engine = proc->engine;

	engine->pools[proc->ref.pool].procs[proc->ref.index] = NULL;
	proc->next_buried = engine->buried;
	engine->buried = proc;
}

void proc_bury(struct engine *engine)
{
	while (engine->buried != NULL) {
		struct proc *proc = engine->buried;

		engine->buried = proc->next_buried;
		proc_free(proc);
	}
}

/* ---- what it says ---- */

bool proc_is_ready_by(const struct proc *proc, enum ready_kind kind)
{
	return proc->version->spec->ready == kind;
}

void proc_set_status(struct proc *proc, const char *status)
{
	char *copy;

	if (proc->status != NULL && strcmp(proc->status, status) == 0)
		return;
	copy = strdup(status);
	if (copy == NULL)
		return;
	free(proc->status);
	proc->status = copy;
	events_tell(proc->engine,
		    HAPPENING("worker-status", LOG_LEVEL_DEBUG, .pool = proc->version->spec->name,
			      .slot = proc->slot, .generation = proc->generation, .pid = proc->pid),
		    "%s says: %s", PROC_TEXT(proc), status);
}

void proc_ready(struct proc *proc)
{
	struct engine *engine = proc->engine;
	struct worker_ref ref = proc->ref; /* what follows may end it */

	if (channel_is_open(proc))
		channel_hear(proc); /* what it said before: does it answer? */
	if (engine_find_proc(engine, &ref) != proc)
		return;
	proc->ready_waits =
	    proc->version->spec->handoff == HANDOFF_CHANNEL && !channel_is_open(proc);
	if (!proc->ready_waits)
		engine_post_worker(engine, &ref, WORKER_EVENT_READY, 0, false);
}

static void proc_heed(struct proc *proc, const struct notify_message *message,
		      struct notify_fds *fds)
{
	struct engine *engine = proc->engine;
	struct worker_ref ref = proc->ref;

	stores_heed(proc, message, fds);
	if (message->has_status)
		proc_set_status(proc, message->status);
	if (message->has_inflight) {
		proc->has_inflight = true;
		proc->inflight = message->inflight;
	}
	if (message->has_watchdog_usec)
		engine_post_worker(engine, &ref, WORKER_EVENT_SET_WATCHDOG, message->watchdog_usec,
				   false);
	if (message->has_extend)
		engine_post_worker(engine, &ref, WORKER_EVENT_EXTEND, message->extend_usec, false);
	if (message->ready && proc_is_ready_by(proc, READY_NOTIFY))
		proc_ready(proc);
	if (message->watchdog)
		engine_post_worker(engine, &ref, WORKER_EVENT_PING, 0, false);
	if (message->watchdog_trigger)
		engine_post_worker(engine, &ref, WORKER_EVENT_TRIGGER, 0, false);
	if (message->stopping)
		engine_post_worker(engine, &ref, WORKER_EVENT_STOPPING, 0, false);
}

static void proc_stranger(struct proc *proc, const struct notify_sender *sender)
{
	if (complaint_is_due(&proc->strangers))
		log_warning("%s: ignoring a message to its NOTIFY_SOCKET from pid %d uid %u, which "
			    "is not that worker (%llu so far)",
			    PROC_TEXT(proc), (int)sender->pid, (unsigned)sender->uid,
			    (unsigned long long)proc->strangers.count);
}

/* Who sent it cannot be said of all of these: the kernel cuts off what comes along with a message
 * that is too long. */
static void proc_malformed(struct proc *proc)
{
	if (complaint_is_due(&proc->malformed))
		log_warning("%s: ignoring a malformed message to its NOTIFY_SOCKET (too long, "
			    "empty, or with a NUL byte; %llu so far)",
			    PROC_TEXT(proc), (unsigned long long)proc->malformed.count);
}

/* The next message, if there is one. ended: nobody is alive to be ready, to be fed or to hang. */
static bool proc_hear(struct proc *proc, bool ended)
{
	struct notify_message message;
	struct notify_sender sender;
	struct notify_fds fds;
	int r = notify_receive_fds(proc->notify_fd, &message, &sender, &fds);

	if (r == 0)
		return false;
	proc->notify_flood.count++;
	if (r == -EBADMSG)
		proc_malformed(proc);
	if (r < 0)
		return true;
	proc->notify_flood.count += (unsigned)fds.n; /* they are work, too */
	if (ended)
		message.ready = message.watchdog = message.watchdog_trigger = message.has_extend =
		    false;
	if (notify_sender_belongs(&sender, proc->pid, proc->version->uid) ||
	    cgroups_has(proc, sender.pid)) {
		launch_look(proc); /* what speaks was started */
		proc_heed(proc, &message, &fds);
	} else {
		proc_stranger(proc, &sender);
	}
	notify_close_fds(&fds);
	return true;
}

/* What it said just before it ended counts: its status is for the report, and who announced that it
 * stops has not crashed. */
static void proc_hear_last_words(struct proc *proc)
{
	struct engine *engine = proc->engine;
	struct worker_ref ref = proc->ref;

	for (int n = 0; n < PROC_NOTIFY_BURST; n++)
		if (engine_find_proc(engine, &ref) != proc || !proc_hear(proc, true))
			return;
}

static void proc_notified(evutil_socket_t fd, short what, void *arg)
{
	struct proc *proc = arg;
	struct engine *engine = proc->engine;
	struct worker_ref ref = proc->ref;

	(void)fd;
	(void)what;
	if (engine_turn_is_long(engine))
		return;
	for (int n = 0; n < PROC_NOTIFY_BURST; n++) {
		/* what it said may have ended it */
		if (engine_find_proc(engine, &ref) != proc ||
		    flood_pauses(&proc->notify_flood, proc->notify_event) ||
		    !proc_hear(proc, false))
			return;
	}
}

/* ready = fd:N: anything up to a newline; an end without one means that it never will be. */
static void proc_ready_pipe(evutil_socket_t fd, short what, void *arg)
{
	struct proc *proc = arg;
	char text[256];
	ssize_t n = read(fd, text, sizeof(text));

	(void)what;
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0 && memchr(text, '\n', (size_t)n) == NULL)
		return;
	proc_drop_ready(proc);
	launch_look(proc);
	if (n > 0)
		proc_ready(proc);
}

/* ---- watching ---- */

int proc_watch(struct proc *proc, pid_t pid, int pidfd)
{
	proc->pid = pid;
	proc->pidfd = fd_park(pidfd);
	proc->spawned_at = clock_now();
	proc->exit_event = proc_event(proc, proc->pidfd, EV_READ | EV_PERSIST, proc_exited);
	proc->notify_event = proc_event(proc, proc->notify_fd, EV_READ | EV_PERSIST, proc_notified);
	if (proc->exit_event == NULL || proc->notify_event == NULL ||
	    pids_add(proc->engine, pid, proc) < 0)
		return -ENOMEM;
	return 0;
}

void proc_unwatch(struct proc *proc)
{
	proc_free_event(&proc->exit_event);
	proc_free_event(&proc->notify_event);
	reap_collect(proc->pidfd, NULL);
	pids_remove(proc->engine, proc->pid);
	proc->pidfd = fd_close(proc->pidfd);
	proc->pid = 0;
}

int proc_watch_ready(struct proc *proc, int fd)
{
	proc->ready_event = proc_event(proc, fd, EV_READ | EV_PERSIST, proc_ready_pipe);
	if (proc->ready_event == NULL)
		fd_close(fd);
	return proc->ready_event == NULL ? -ENOMEM : 0;
}
