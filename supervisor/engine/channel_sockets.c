/* channel_sockets.c - which sockets a worker is sent over its channel, and what it answers. */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "engine/channel.h"
#include "engine/proc.h"
#include "engine/sockets.h"
#include "engine/versions.h"
#include "system/channel.h"

struct set {
	size_t n;
	const char *names[CHANNEL_DESCRIPTORS_MAX];
	int fds[CHANNEL_DESCRIPTORS_MAX];
};

/* Those of version that other (may be NULL) has not. */
static int set_add(struct set *set, const struct version *version, const struct version *other,
		   uint32_t slot)
{
	for (size_t n = 0; n < version->spec->n_sockets; n++) {
		const struct engine_socket *socket = sockets_of(version, n, slot);

		if (other != NULL && version_has_socket(other, &version->sockets[n]))
			continue;
		if (socket == NULL || socket->listener.fd < 0)
			return -EBADF;
		if (set->n == CHANNEL_DESCRIPTORS_MAX)
			return -E2BIG;
		set->names[set->n] = version->spec->sockets[n];
		set->fds[set->n++] = socket->listener.fd;
	}
	return 0;
}

/* What is being left out comes first: where a name has moved to another address, the new one is the
 * last of that name. */
static int set_send(struct proc *proc)
{
	const struct version *next = proc->engine->pools[proc->ref.pool].next;
	struct set set = {.n = 0};
	int r = 0;

	if (proc->both)
		r = set_add(&set, proc->version, next, proc->slot);
	if (r == 0)
		r = set_add(&set, proc->both ? next : proc->version, NULL, proc->slot);
	return r == 0 ? channel_say(proc, channel_text_sockets(set.names, set.n, proc->set),
				    set.fds, set.n)
		      : r;
}

static int set_send_new(struct proc *proc, bool both)
{
	int r;

	proc->both = both;
	proc->set++;
	proc->asked = proc->answers;
	r = set_send(proc);
	if (r == 0)
		log_debug("%s was sent its sockets (%llu)", PROC_TEXT(proc),
			  (unsigned long long)proc->set);
	return r;
}

void channel_send_sockets(struct proc *proc)
{
	int r = set_send_new(proc, false);

	if (r == 0)
		return;
	log_error("%s cannot be given its sockets over its channel: %s; killing it",
		  PROC_TEXT(proc), strerror(-r));
	proc_kill(proc);
}

/* It serves: that it cannot be told of other sockets is no reason to end it. */
static void tell(struct proc *proc, bool both)
{
	int r = set_send_new(proc, both);

	if (r < 0)
		log_warning("%s cannot be told of its sockets over its channel: %s; they are sent "
			    "when it connects again",
			    PROC_TEXT(proc), strerror(-r));
}

void channel_send_others(struct proc *proc)
{
	const struct version *next = proc->engine->pools[proc->ref.pool].next;

	if (next == NULL)
		return;
	for (size_t n = 0; n < next->spec->n_sockets; n++) {
		struct engine_socket *socket = sockets_of(next, n, proc->slot);

		if (socket != NULL)
			socket->told = true;
	}
	tell(proc, true);
}

void channel_send_again(struct proc *proc)
{
	tell(proc, proc->both);
}

/* ---- answers ---- */

void channel_missed(struct proc *proc, uint64_t set)
{
	int r;

	if (set != proc->set || !proc->asked)
		return;
	r = set_send(proc);
	if (complaint_is_due(&proc->missed))
		log_warning("%s had no descriptors left for its sockets: %s (%llu so far)",
			    PROC_TEXT(proc), r == 0 ? "sending them again" : strerror(-r),
			    (unsigned long long)proc->missed.count);
}

void channel_taken(struct proc *proc, uint64_t set)
{
	struct engine *engine = proc->engine;

	if (set != proc->set || !proc->asked)
		return;
	proc->asked = false;
	sockets_look_at_workers(engine);
	engine_post_worker(engine, &proc->ref, WORKER_EVENT_ACCEPTING, 0, false);
}

/* ---- all of a pool ---- */

static const struct worker *worker_of(const struct engine *engine, const struct proc *proc)
{
	return pool_worker(&engine->model->pools[proc->ref.pool], &proc->ref);
}

/* One that was sent sockets, and is not on its way out. */
static bool has_sockets(const struct engine *engine, const struct proc *proc)
{
	const struct worker *worker = proc != NULL ? worker_of(engine, proc) : NULL;

	return worker != NULL && !worker_is_leaving(worker) && proc->set > 0 && !proc->ended;
}

bool channels_answer(struct engine *engine, uint32_t p, struct buf *why)
{
	const struct pool_runtime *runtime = &engine->pools[p];
	const struct pool *pool = &engine->model->pools[p];

	if (runtime->current->spec->handoff != HANDOFF_CHANNEL || pool->state != POOL_ACTIVE ||
	    pool->restoring > 0)
		return false;
	for (uint32_t n = 0; n < runtime->n_procs; n++) {
		const struct proc *proc = runtime->procs[n];

		if (!has_sockets(engine, proc) || (proc->answers && channel_is_open(proc)))
			continue;
		buf_printf(why, "; slot %u pid %d %s: replacing the workers", proc->slot,
			   (int)proc->pid,
			   channel_is_open(proc) ? "does not answer over its channel"
						 : "has no channel now");
		return false;
	}
	return true;
}

void channels_commit(struct engine *engine, uint32_t p, const struct version *former)
{
	const struct pool_runtime *runtime = &engine->pools[p];
	struct version *current = runtime->current;
	bool leaves_some = version_lacks_sockets(current, former);

	for (uint32_t n = 0; n < runtime->n_procs; n++) {
		struct proc *proc = runtime->procs[n];
		const struct worker *worker = proc != NULL ? worker_of(engine, proc) : NULL;

		/* not the version itself: settings that took effect at once made it another one */
		if (worker == NULL || worker_is_leaving(worker) ||
		    proc->generation != former->generation)
			continue;
		version_unref(proc->version);
		proc->version = version_ref(current);
		if (has_sockets(engine, proc) && (leaves_some || !proc->both))
			tell(proc, false);
		proc->both = false;
	}
}

void channels_undo(struct engine *engine)
{
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++)
		for (uint32_t n = 0; n < engine->pools[p].n_procs; n++) {
			struct proc *proc = engine->pools[p].procs[n];

			if (proc == NULL || !proc->both)
				continue;
			proc->both = false;
			if (has_sockets(engine, proc))
				tell(proc, false);
		}
}

const struct proc *channels_holder(const struct engine *engine)
{
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++)
		for (uint32_t n = 0; n < engine->pools[p].n_procs; n++) {
			const struct proc *proc = engine->pools[p].procs[n];

			if (has_sockets(engine, proc) && proc->asked)
				return proc;
		}
	return NULL;
}
