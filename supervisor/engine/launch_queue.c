/* launch_queue.c - which start is next: in slices, so many at once as descriptors allow. */
#include "engine/launch_internal.h"

#include <stdlib.h>

#include "base/fd.h"
#include "engine/versions.h"

/* A turn of the loop spends no more than this on starting: the next one belongs to everybody. */
#define LAUNCH_SLICE (3 * USEC_PER_MSEC)
/* Starts on their way at once: each takes descriptors and memory until its program runs. */
enum {
	LAUNCH_MOST = 64,
	/* what one takes while others are on their way, beside a duplicate of each socket; and some
	 * for everybody else */
	LAUNCH_FDS = 32,
};
/* One that hangs for longer than this (a dead network file system) holds up no others. */
#define LAUNCH_PATIENCE (500 * USEC_PER_MSEC)

void launch_queue(struct engine *engine, const struct worker_ref *ref)
{
	if (engine->spawn_n == engine->spawn_size) {
		size_t size = engine->spawn_size == 0 ? 64 : 2 * engine->spawn_size;
		struct worker_ref *bigger = realloc(engine->spawns, size * sizeof(*bigger));

		if (bigger == NULL) {
			log_error("out of memory: a worker of pool %s waits for its start, trying "
				  "again at its start_timeout",
				  engine->pools[ref->pool].name);
			return;
		}
		engine->spawns = bigger;
		engine->spawn_size = size;
	}
	engine->spawns[engine->spawn_n++] = *ref;
}

/*
 * May the next one begin? Near RLIMIT_NOFILE fewer are on their way at once: what is short because
 * of the others is no reason to fail, but to wait for them. With none on its way it may always.
 */
static bool launch_may(const struct engine *engine)
{
	const struct version *version = NULL;
	const struct worker_ref *ref;
	const struct worker *worker;
	unsigned needed = LAUNCH_FDS;

	if (engine->spawn_n == 0 || engine->launches >= LAUNCH_MOST)
		return false;
	if (engine->launches == 0)
		return true;
	ref = &engine->spawns[engine->spawn_first];
	worker = pool_worker(&engine->model->pools[ref->pool], ref);
	if (worker != NULL)
		version = version_of(&engine->pools[ref->pool], worker->generation);
	if (version != NULL)
		needed += (unsigned)launch_inherited(version->spec);
	return fd_count_free(needed) == needed;
}

/* Those that wait, wait for one that is on its way: but not for ever. */
static void launch_be_patient(struct engine *engine)
{
	bool waits = engine->spawn_n > 0 && engine->launches > 0;

	if (!waits)
		engine_arm(engine->patience, USEC_INFINITY);
	else if (!evtimer_pending(engine->patience, NULL))
		engine_arm(engine->patience, LAUNCH_PATIENCE);
}

static void launch_some(struct engine *engine)
{
	usec_t until;
	bool more;

	if (engine->launching || engine->stepping)
		return;
	if (!launch_may(engine)) {
		launch_be_patient(engine);
		return;
	}
	engine->launching = true;
	until = clock_now() + LAUNCH_SLICE;
	do {
		struct worker_ref ref = engine->spawns[engine->spawn_first++];

		if (engine->spawn_first == engine->spawn_n)
			engine->spawn_first = engine->spawn_n = 0;
		launch_one(engine, &ref);
		more = launch_may(engine);
	} while (more && clock_now() < until);
	engine->launching = false;
	/* where as many as may be are on their way, the next that is done goes on */
	engine_arm(engine->slice, more ? 0 : USEC_INFINITY);
	launch_be_patient(engine);
}

/* Called after each fact, of which a turn of the loop may have hundreds: only one of them starts
 * workers. */
void launch_waiting(struct engine *engine)
{
	if (!evtimer_pending(engine->slice, NULL))
		launch_some(engine);
}

void launch_slice(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	launch_some(arg);
}

void launch_lose_patience(evutil_socket_t fd, short what, void *arg)
{
	struct engine *engine = arg;
	usec_t latest =
	    usec_sub(clock_now(), LAUNCH_PATIENCE / 2); /* the timer ran since the first */

	(void)fd;
	(void)what;
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++)
		for (uint32_t n = 0; n < engine->pools[p].n_procs; n++) {
			struct proc *proc = engine->pools[p].procs[n];

			if (proc != NULL && proc->spawned_at <= latest)
				launch_let_go(proc);
		}
	launch_some(engine);
}
