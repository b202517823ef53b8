/* cgroups.c - each worker in a cgroup of its own, from its start to the removal. */
#include "engine/cgroups.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/parse.h"
#include "engine/events.h"
#include "engine/proc.h"
#include "system/proc.h"

/* Reading figures takes no longer at a time: everybody else waits meanwhile. */
#define CGROUPS_READ_MAX (10 * USEC_PER_MSEC)
/* At the end of the instance: SIGKILL takes no longer. */
#define CGROUPS_END_MAX (500 * USEC_PER_MSEC)
/* Processes left behind that are told of one by one. */
enum { CGROUPS_TELL_MAX = 8 };

/* One whose worker has gone, and whose last processes are about to. */
struct remnant {
	struct remnant *next;
	char name[];
};

struct cgroups {
	struct cgroup_tree tree; /* fd -1: there is none */
	char *reason;		 /* why there is none, or what is missing of it; NULL: nothing */
	struct remnant *remnants;
	int watch_fd; /* inotify: of the remnants only */
	struct event *watch_event;
	uint32_t next_pool, next_worker; /* where reading figures goes on */
};

static bool cgroups_are_there(const struct engine *engine)
{
	return engine->cgroups != NULL && engine->cgroups->tree.fd >= 0;
}

const struct cgroup_tree *cgroups_tree(const struct engine *engine, const char **ret_reason)
{
	const struct cgroups *cgroups = engine->cgroups;

	*ret_reason = cgroups->reason != NULL ? cgroups->reason : "";
	return cgroups_are_there(engine) ? &cgroups->tree : NULL;
}

/* ---- the end of a cgroup ---- */

/* Gone with it is also the watch. */
static bool cgroups_try_remove(struct engine *engine, const char *name)
{
	int r = cgroup_remove(&engine->cgroups->tree, name);

	if (r < 0 && r != -EBUSY)
		log_warning("cannot remove the cgroup %s/%s: %s; going on",
			    engine->cgroups->tree.path, name, strerror(-r));
	return r != -EBUSY;
}

void cgroups_sweep(struct engine *engine)
{
	struct remnant **link;

	if (!cgroups_are_there(engine))
		return;
	link = &engine->cgroups->remnants;
	while (*link != NULL) {
		struct remnant *remnant = *link;

		if (cgroups_try_remove(engine, remnant->name)) {
			*link = remnant->next;
			free(remnant);
		} else {
			link = &remnant->next;
		}
	}
}

/* "populated 0" in cgroup.events is what the watch is for. Where it cannot be had, the end of any
 * child makes us try again (the sweep of orphans). */
static void cgroups_watch(struct engine *engine, const char *name)
{
	struct cgroups *cgroups = engine->cgroups;
	size_t size = strlen(name) + 1;
	struct remnant *remnant = malloc(sizeof(*remnant) + size);
	cleanup_buf struct buf path = {0};

	if (remnant == NULL)
		return; /* the service manager removes it with the unit */
	memcpy(remnant->name, name, size);
	remnant->next = cgroups->remnants;
	cgroups->remnants = remnant;
	cgroup_events_path(&cgroups->tree, name, &path);
	if (!path.cut)
		inotify_add_watch(cgroups->watch_fd, path.data, IN_MODIFY);
	cgroups_sweep(engine); /* it may have become empty before we watched */
}

static void cgroups_drain(int fd)
{
	char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));

	while (read(fd, events, sizeof(events)) > 0)
		continue;
}

static void cgroups_changed(evutil_socket_t fd, short what, void *arg)
{
	(void)what;
	cgroups_drain(fd);
	cgroups_sweep(arg);
}

void cgroups_end(struct engine *engine)
{
	usec_t until = clock_now() + CGROUPS_END_MAX;

	if (!cgroups_are_there(engine))
		return;
	cgroups_sweep(engine);
	while (engine->cgroups->remnants != NULL && clock_now() < until) {
		struct pollfd pfd = {.fd = engine->cgroups->watch_fd, .events = POLLIN};

		poll(&pfd, 1, 10);
		cgroups_drain(engine->cgroups->watch_fd);
		cgroups_sweep(engine);
	}
}

/* ---- set-up ---- */

/* Of an instance that was here before: empty ones. What still has processes is not ours to end: the
 * unit says that they may outlive their master (KillMode=). */
static void cgroups_clean(const char *name, void *arg)
{
	const struct cgroup_tree *tree = arg;
	int r = cgroup_remove(tree, name);

	if (r == -EBUSY)
		log_warning("the cgroup %s/%s of an earlier run still has processes: leaving them "
			    "alone",
			    tree->path, name);
	else if (r < 0)
		log_warning("cannot remove the cgroup %s/%s of an earlier run: %s; going on",
			    tree->path, name, strerror(-r));
}

static void cgroups_add(struct buf *out, const char *separator, const char *text)
{
	buf_printf(out, "%s%s", out->len > 0 ? separator : "", text);
}

/* Which controllers are there, and what is missing. */
static void cgroups_tell(struct cgroups *cgroups, const char *refused)
{
	cleanup_buf struct buf has = {0}, lacks = {0};

	for (int n = 0; n < CGROUP_CONTROLLERS; n++)
		cgroups_add(cgroups->tree.has[n] ? &has : &lacks, ", ",
			    cgroup_controller_name((enum cgroup_controller)n));
	if (lacks.len > 0)
		buf_add_str(&lacks, " (no such controller)");
	if (!cgroups->tree.can_kill)
		cgroups_add(&lacks, ", ", "cgroup.kill (Linux before 5.14)");
	if (*refused != '\0')
		log_warning("%s: %s; going on without", cgroups->tree.path, refused);
	log_info("each worker gets a cgroup of its own below %s, with %s%s%s%s", cgroups->tree.path,
		 has.len > 0 ? "" : "no controller", buf_text(&has),
		 lacks.len > 0 ? "; missing: " : "", buf_text(&lacks));
	cgroups->reason = TAKE_PTR(lacks.data);
}

static int cgroups_set_up(struct engine *engine, const char *path)
{
	struct cgroups *cgroups = engine->cgroups;
	cleanup_buf struct buf why = {0};
	int r = cgroup_open(path, &cgroups->tree, &why);

	if (r < 0) {
		log_warning("workers get no cgroups of their own, although they could: %s",
			    buf_text(&why));
		cgroups->reason = TAKE_PTR(why.data);
		return 0;
	}
	cgroups->tree.fd = fd_park(cgroups->tree.fd);
	cgroups_tell(cgroups, buf_text(&why));
	cgroup_each(&cgroups->tree, cgroups_clean, &cgroups->tree);
	cgroups->watch_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (cgroups->watch_fd == -1) {
		log_warning("cannot watch cgroups: %s; they are removed a little later",
			    strerror(errno));
		return 0;
	}
	cgroups->watch_fd = fd_park(cgroups->watch_fd);
	cgroups->watch_event = event_new(engine->base, cgroups->watch_fd, EV_READ | EV_PERSIST,
					 cgroups_changed, engine);
	return cgroups->watch_event == NULL || event_add(cgroups->watch_event, NULL) == -1 ? -ENOMEM
											   : 0;
}

int cgroups_new(struct engine *engine)
{
	cleanup_buf struct buf why = {0};
	cleanup_free char *path = NULL;

	engine->cgroups = calloc(1, sizeof(*engine->cgroups));
	if (engine->cgroups == NULL)
		return -ENOMEM;
	engine->cgroups->tree.fd = engine->cgroups->watch_fd = -1;
	if (cgroup_find("", 0, &path, &why) == 0)
		return cgroups_set_up(engine, path);
	/* by hand or in a container nobody expects any: `handover status` says it there */
	if (systemd_is_manager_present())
		log_info("workers get no cgroups of their own: %s; they are ended by process "
			 "group, and their orphans by environment",
			 buf_text(&why));
	engine->cgroups->reason = TAKE_PTR(why.data);
	return 0;
}

void cgroups_free(struct engine *engine)
{
	struct cgroups *cgroups = engine->cgroups;

	if (cgroups == NULL)
		return;
	while (cgroups->remnants != NULL) {
		struct remnant *remnant = cgroups->remnants;

		cgroups->remnants = remnant->next;
		free(remnant);
	}
	if (cgroups->watch_event != NULL)
		event_free(cgroups->watch_event);
	fd_close(cgroups->watch_fd);
	cgroup_close(&cgroups->tree);
	free(cgroups->reason);
	free(cgroups);
	engine->cgroups = NULL;
}

/* ---- a worker ---- */

static void cgroups_limit(const struct proc *proc, const char *name,
			  enum cgroup_controller controller, uint64_t value)
{
	const struct cgroup_tree *tree = &proc->engine->cgroups->tree;
	int r =
	    value != 0 && tree->has[controller] ? cgroup_limit(tree, name, controller, value) : 0;

	if (r < 0)
		log_warning("%s: cannot limit %s in its cgroup: %s; it starts without that limit",
			    PROC_TEXT(proc), cgroup_controller_name(controller), strerror(-r));
}

int cgroups_enter(struct proc *proc)
{
	const struct pool_spec *spec = proc->version->spec;
	struct engine *engine = proc->engine;
	char name[CGROUP_NAME_MAX];
	int fd = -1, r;

	if (!cgroups_are_there(engine))
		return -1;
	r = cgroup_make(&engine->cgroups->tree, spec->name, proc->slot, proc->generation, name,
			&fd);
	if (r == 0) {
		proc->cgroup = malloc(sizeof(*proc->cgroup) + strlen(name) + 1);
		if (proc->cgroup == NULL) {
			r = -ENOMEM;
			cgroups_try_remove(engine, name);
			fd_close(fd);
		}
	}
	if (r < 0) {
		log_warning("%s: cannot make a cgroup in %s: %s; it starts without one, and "
			    "without the limits that need one",
			    PROC_TEXT(proc), engine->cgroups->tree.path, strerror(-r));
		return -1;
	}
	proc->cgroup->figures =
	    (struct cgroup_figures){CGROUP_UNKNOWN, CGROUP_UNKNOWN, CGROUP_UNKNOWN};
	strcpy(proc->cgroup->name, name);
	cgroups_limit(proc, name, CGROUP_MEMORY, spec->memory_max);
	cgroups_limit(proc, name, CGROUP_PIDS, spec->tasks_max);
	cgroups_limit(proc, name, CGROUP_CPU, spec->cpu_weight);
	return fd;
}

void cgroups_kill(const struct proc *proc)
{
	if (proc->cgroup != NULL)
		cgroup_kill(&proc->engine->cgroups->tree, proc->cgroup->name);
}

bool cgroups_has(const struct proc *proc, pid_t pid)
{
	return proc->cgroup != NULL &&
	       cgroup_has(&proc->engine->cgroups->tree, proc->cgroup->name, pid);
}

/* ---- its end ---- */

/* Was it the kernel that ended the worker, or one of its processes, for want of memory? */
static void cgroups_judge_oom(struct proc *proc)
{
	struct engine *engine = proc->engine;
	struct cgroup_oom oom = {0};

	proc->oom_known = cgroup_read_oom(&engine->cgroups->tree, proc->cgroup->name, &oom) == 0;
	if (!proc->oom_known || oom.kills == 0)
		return;
	engine->pools[proc->ref.pool].oom_kills += oom.kills;
	if (proc->exit.code == CLD_KILLED && proc->exit.value == SIGKILL && !proc->killed) {
		proc->oom = oom.own_limit > 0 ? PROC_OOM_OWN : PROC_OOM_ABOVE;
		return;
	}
	events_tell(engine,
		    HAPPENING("worker-oom", LOG_LEVEL_WARNING, .pool = proc->version->spec->name,
			      .slot = proc->slot, .generation = proc->generation, .pid = proc->pid),
		    "%s: the kernel had killed %llu of its processes: out of memory%s",
		    PROC_TEXT(proc), (unsigned long long)oom.kills,
		    oom.own_limit > 0 ? " in its cgroup (memory_max)" : "");
}

struct leftovers {
	struct proc *proc;
	unsigned told;
};

/* Its process group has SIGKILL already, and ended processes take a moment to go: neither is news.
 */
static int cgroups_leftover(pid_t pid, void *arg)
{
	struct leftovers *leftovers = arg;
	const struct proc *proc = leftovers->proc;
	struct proc_stat stat;

	if (pid == proc->pid || proc_read_stat(pid, &stat) < 0 || stat.pgrp == proc->pid ||
	    strchr("ZX", stat.state) != NULL)
		return 0;
	orphans_tell(proc->engine, pid, proc->version->spec->name, proc->slot, proc->generation);
	return ++leftovers->told == CGROUPS_TELL_MAX;
}

static void cgroups_kill_leftovers(struct proc *proc)
{
	const struct cgroup_tree *tree = &proc->engine->cgroups->tree;
	const char *name = proc->cgroup->name;
	struct leftovers leftovers = {.proc = proc};

	if (tree->can_kill) {
		cgroup_each_process(tree, name, cgroups_leftover, &leftovers);
		if (leftovers.told == CGROUPS_TELL_MAX)
			log_warning("%s left more behind: killing all in its cgroup",
				    PROC_TEXT(proc));
		cgroups_kill(proc);
	}
	cgroups_watch(proc->engine, name);
}

void cgroups_leave(struct proc *proc)
{
	struct engine *engine = proc->engine;
	struct cgroup_figures last;

	if (proc->cgroup == NULL)
		return;
	cgroup_read_figures(&engine->cgroups->tree, proc->cgroup->name, &last);
	if (last.cpu != CGROUP_UNKNOWN)
		engine->pools[proc->ref.pool].cpu_ended += last.cpu;
	cgroups_judge_oom(proc);
	if (!cgroups_try_remove(engine, proc->cgroup->name))
		cgroups_kill_leftovers(proc);
	free(TAKE_PTR(proc->cgroup));
}

/* ---- figures ---- */

/* The worker in the next place, of all pools in a ring; NULL: the place is empty. */
static struct proc *cgroups_next(struct engine *engine)
{
	struct cgroups *cgroups = engine->cgroups;
	struct pool_runtime *pool = &engine->pools[cgroups->next_pool];

	if (cgroups->next_worker < pool->n_procs)
		return pool->procs[cgroups->next_worker++];
	cgroups->next_worker = 0;
	cgroups->next_pool = (cgroups->next_pool + 1) % CORE_POOLS_MAX;
	return NULL;
}

void cgroups_refresh(struct engine *engine)
{
	usec_t until = clock_now() + CGROUPS_READ_MAX;
	size_t places = CORE_POOLS_MAX;

	if (!cgroups_are_there(engine))
		return;
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++)
		places += engine->pools[p].n_procs;
	for (; places > 0 && clock_now() < until; places--) {
		struct proc *proc = cgroups_next(engine);

		if (proc != NULL && proc->cgroup != NULL)
			cgroup_read_figures(&engine->cgroups->tree, proc->cgroup->name,
					    &proc->cgroup->figures);
	}
}

static void cgroups_count(uint64_t *sum, uint64_t figure)
{
	if (figure != CGROUP_UNKNOWN)
		*sum = *sum == CGROUP_UNKNOWN ? figure : *sum + figure;
}

void cgroups_sum(const struct engine *engine, uint32_t p, struct cgroup_figures *ret_sum)
{
	const struct pool_runtime *pool = &engine->pools[p];
	struct cgroup_figures sum = {CGROUP_UNKNOWN, CGROUP_UNKNOWN, CGROUP_UNKNOWN};

	for (uint32_t n = 0; n < pool->n_procs; n++) {
		const struct proc *proc = pool->procs[n];

		if (proc == NULL || proc->cgroup == NULL)
			continue;
		cgroups_count(&sum.memory, proc->cgroup->figures.memory);
		cgroups_count(&sum.tasks, proc->cgroup->figures.tasks);
		cgroups_count(&sum.cpu, proc->cgroup->figures.cpu);
	}
	if (cgroups_are_there(engine))
		cgroups_count(&sum.cpu, pool->cpu_ended);
	*ret_sum = sum;
}
