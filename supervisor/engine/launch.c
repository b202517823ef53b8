/* launch.c - what becomes of a start, for which nobody waits. */
#include "engine/launch_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "engine/cgroups.h"
#include "engine/events.h"
#include "engine/evidence.h"
#include "engine/versions.h"

/* One that is told to go before that ends without a word of its start: nobody wants it any more. */
static void launch_started(struct engine *engine, struct proc *proc)
{
	struct worker_ref ref = proc->ref;

	if (proc->leaving_at != 0)
		return;
	events_tell(engine,
		    HAPPENING("worker-started", LOG_LEVEL_INFO, .pool = proc->version->spec->name,
			      .slot = proc->slot, .generation = proc->generation, .pid = proc->pid),
		    "%s started", PROC_TEXT(proc));
	engine_post_worker(engine, &ref, WORKER_EVENT_EXECUTED, 0, false);
	if (engine_find_proc(engine, &ref) == proc && proc->version->spec->ready == READY_PROBE &&
	    !proc->ended)
		probe_start(proc);
}

static void launch_failed(struct engine *engine, struct proc *proc)
{
	struct worker_ref ref = proc->ref;

	proc->ended = true;
	cgroups_leave(proc);
	proc->pid = 0; /* as if there had never been one */
	events_tell(engine,
		    HAPPENING("worker-start-failed", LOG_LEVEL_ERROR,
			      .pool = proc->version->spec->name, .slot = proc->slot,
			      .generation = proc->generation),
		    "%s cannot be started: %s", PROC_TEXT(proc),
		    proc->failure != NULL ? proc->failure : "out of memory");
	engine_post_worker(engine, &ref, WORKER_EVENT_SPAWN_FAILED, 0, false);
}

/* Something was short, or is not finished yet: the same may start the next time. */
static bool launch_is_bad_luck(int error)
{
	return error == EAGAIN || error == ENOMEM || error == EMFILE || error == ENFILE ||
	       error == ETXTBSY;
}

static void launch_set_failure(struct proc *proc, const struct launch *launch)
{
	char text[512];

	free(proc->failure);
	proc->unlucky = launch_is_bad_luck(launch->error.error);
	proc->failure =
	    strdup(spawn_describe_error(&launch->spec, &launch->error, text, sizeof(text)));
}

/* Its program runs, or has ended without us having seen it run: either way its start is over. */
static void launch_done(struct proc *proc)
{
	launch_free(proc->launch);
	proc->launch = NULL;
}

/* A generation never runs another version than its own. */
static void launch_check(struct launch *launch)
{
	struct proc *proc = launch->proc;

	if (proc->ended || !launch_is_other(launch))
		return;
	log_warning("%s: %s was replaced at the moment in which it was executed: killing it, its "
		    "successor is started from what is held open",
		    PROC_TEXT(proc), proc->version->pin->program.path);
	proc_kill(proc);
}

/* ended: its process has. */
static void launch_look_closely(struct proc *proc, bool ended)
{
	struct engine *engine = proc->engine;
	struct launch *launch = proc->launch;
	int r;

	if (launch == NULL || launch->start == NULL)
		return;
	r = spawn_look(launch->start, ended, &launch->error);
	if (r == -EINPROGRESS)
		return;
	if (r < 0 && launch->error.stage == SPAWN_STAGE_CGROUP)
		return; /* begun once more when it has ended, which is now */
	launch_forget(launch);
	if (r < 0)
		return; /* told when it has ended, which is now */
	launch_check(launch);
	launch_done(proc);
	launch_started(engine, proc);
	launch_waiting(engine);
}

void launch_look(struct proc *proc)
{
	launch_look_closely(proc, false);
}

static void launch_progress(evutil_socket_t fd, short what, void *arg)
{
	struct proc *proc = arg;

	(void)fd;
	(void)what;
	if (!engine_turn_is_long(proc->engine))
		launch_look(proc);
}

bool launch_has_failed(struct proc *proc, bool leaving)
{
	struct engine *engine = proc->engine;
	struct launch *launch;

	launch_look_closely(proc, true);
	launch = proc->launch;
	if (launch == NULL)
		return false;
	if (launch->error.error == ECANCELED)
		launch->error.signal = proc->exit.value;
	launch_set_failure(proc, launch);
	launch_done(proc);
	if (!leaving)
		launch_failed(engine, proc);
	launch_waiting(engine);
	return !leaving;
}

/* A cgroup that cannot be joined (somebody removed it, say) is no reason to serve with a worker
 * less. */
static void launch_leave_cgroup(struct launch *launch)
{
	log_warning("%s: cannot join its cgroup: %s; it starts without one, and without the "
		    "limits that need one",
		    PROC_TEXT(launch->proc), strerror(launch->error.error));
	cgroups_leave(launch->proc);
	launch->error = (struct spawn_error){.stage = SPAWN_STAGE_NONE};
}

void launch_let_go(struct proc *proc)
{
	if (proc->launch == NULL || !proc->launch->counted)
		return;
	proc->launch->counted = false;
	proc->engine->launches--;
}

/* SIGKILL takes a moment, for one that is stuck in the kernel perhaps for ever: until then it keeps
 * its own part of our memory. */
void launch_drop(struct proc *proc)
{
	struct engine *engine = proc->engine;
	struct launch *launch = proc->launch;

	if (launch == NULL)
		return;
	if (launch->start != NULL) {
		proc_kill(proc);
		if (spawn_look(launch->start, true, &launch->error) == -EINPROGRESS) {
			launch_let_go(proc);
			launch_close(launch);
			launch_unwatch(launch);
			launch->next = engine->dropped;
			engine->dropped = launch;
			proc->launch = NULL;
			launch->proc = NULL;
			return;
		}
	}
	launch_done(proc);
}

void launch_sweep(struct engine *engine)
{
	struct launch **link = &engine->dropped;

	while (*link != NULL) {
		struct launch *launch = *link;

		if (spawn_look(launch->start, true, &launch->error) == -EINPROGRESS) {
			link = &launch->next;
			continue;
		}
		*link = launch->next;
		launch_free(launch);
	}
}

/* A process that we cannot watch must not live. */
static void launch_abandon(struct proc *proc)
{
	struct engine *engine = proc->engine;
	pid_t pid = proc->pid;

	launch_drop(proc);
	pids_remove(engine, pid);
	free(proc->failure);
	proc->failure = strdup("out of memory");
	orphans_sweep_soon(engine);
}

bool launch_again(struct proc *proc)
{
	struct engine *engine = proc->engine;
	struct launch *launch;
	pid_t pid;
	int pidfd;

	launch_look_closely(proc, true);
	launch = proc->launch;
	if (launch == NULL || launch->error.stage != SPAWN_STAGE_CGROUP ||
	    launch->error.error == ECANCELED)
		return false;
	proc_unwatch(proc);
	launch_leave_cgroup(launch);
	if (spawn_again(launch->start, &pid, &pidfd) < 0) {
		spawn_look(launch->start, true, &launch->error);
		launch_set_failure(proc, launch);
		launch_done(proc);
	} else if (proc_watch(proc, pid, pidfd) < 0) {
		launch_abandon(proc);
	} else {
		return true;
	}
	launch_failed(engine, proc);
	launch_waiting(engine);
	return true;
}

static int launch_watch(struct launch *launch, pid_t pid, int pidfd)
{
	struct proc *proc = launch->proc;
	int r = proc_watch(proc, pid, pidfd);

	if (r == 0 && launch->ready_read >= 0)
		r = proc_watch_ready(proc, TAKE_FD(launch->ready_read));
	if (r < 0)
		return r;
	if (spawn_fd(launch->start) < 0)
		return 0; /* it is known already */
	launch->event = event_new(proc->engine->base, spawn_fd(launch->start), EV_READ | EV_PERSIST,
				  launch_progress, proc);
	return launch->event != NULL && event_add(launch->event, NULL) == 0 ? 0 : -ENOMEM;
}

static int launch_begin(struct launch *launch, pid_t *ret_pid, int *ret_pidfd)
{
	struct spawn_spec *spec = &launch->spec;
	int r = spawn_begin(spec, &launch->start, ret_pid, ret_pidfd, &launch->error);

	if (r == 0 || launch->error.stage != SPAWN_STAGE_CGROUP)
		return r;
	launch_leave_cgroup(launch);
	spec->cgroup_fd = -1;
	return spawn_begin(spec, &launch->start, ret_pid, ret_pidfd, &launch->error);
}

static int launch_run(struct launch *launch)
{
	struct proc *proc = launch->proc;
	cleanup_free char *why = NULL;
	pid_t pid;
	int pidfd;
	int r = launch_prepare(launch, &why);

	if (r < 0) {
		proc->failure = why != NULL ? TAKE_PTR(why) : strdup(strerror(-r));
		proc->unlucky = true;
		return r;
	}
	r = launch_begin(launch, &pid, &pidfd);
	if (r < 0) {
		launch_set_failure(proc, launch);
		return r;
	}
	r = launch_watch(launch, pid, pidfd);
	if (r < 0)
		launch_abandon(proc);
	return r;
}

void launch_one(struct engine *engine, const struct worker_ref *ref)
{
	struct pool_runtime *runtime = &engine->pools[ref->pool];
	const struct worker *worker = pool_worker(&engine->model->pools[ref->pool], ref);
	struct launch *launch = NULL;
	struct version *version;
	struct proc *proc;

	if (worker == NULL || worker->spawned)
		return; /* no longer wanted */
	version = version_of(runtime, worker->generation);
	proc = version != NULL ? proc_new(engine, ref, worker->slot, version) : NULL;
	if (proc != NULL)
		launch = launch_new(proc);
	if (launch == NULL) {
		proc_free(proc);
		log_error("pool %s slot %u: out of memory, cannot start its worker", runtime->name,
			  worker->slot);
		engine_post_worker(engine, ref, WORKER_EVENT_SPAWN_FAILED, 0, false);
		return;
	}
	runtime->procs[ref->index] = proc;
	proc->launch = launch;
	evidence_started(proc);
	if (launch_run(launch) < 0) {
		launch_drop(proc);
		launch_failed(engine, proc);
		return;
	}
	launch_close(launch);
	runtime->starts++;
	engine_post_worker(engine, ref, WORKER_EVENT_SPAWNED, 0, false);
	if (engine_find_proc(engine, ref) == proc && proc->launch != NULL &&
	    proc->launch->event == NULL)
		launch_look(proc);
}
