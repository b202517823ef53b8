/* steering.c - several TCP sockets at one address: which of them get new connections. */
#include "engine/steering.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/parse.h"
#include "engine/channel.h"
#include "engine/proc.h"
#include "engine/sockets.h"

/* ---- those at one address, in the kernel's order ---- */

static bool steering_is_with(const struct engine_socket *socket, const struct engine_socket *other)
{
	const struct listener *a = &socket->listener, *b = &other->listener;

	return socket->reuseport && other->reuseport && a->address_len == b->address_len &&
	       memcmp(&a->address, &b->address, a->address_len) == 0;
}

/* The next one of the list that is grouped with socket, from `from` on. */
static struct engine_socket *steering_next(struct engine_socket *from,
					   const struct engine_socket *socket)
{
	while (from != NULL && !(from->grouped && steering_is_with(from, socket)))
		from = from->next;
	return from;
}

#define STEERING_EACH(mate, engine, socket)                                           \
	for (struct engine_socket *mate = steering_next((engine)->sockets, (socket)); \
	     mate != NULL; mate = steering_next(mate->next, (socket)))

static uint32_t steering_count(const struct engine *engine, const struct engine_socket *socket)
{
	uint32_t n = 0;

	STEERING_EACH(mate, engine, socket)
	n++;
	return n;
}

bool steering_has(const struct engine *engine, const struct listener_spec *spec)
{
	for (const struct engine_socket *socket = engine->sockets; socket != NULL;
	     socket = socket->next)
		if (socket->reuseport && listener_is_at(&socket->listener, spec))
			return true;
	return false;
}

struct engine_socket **steering_place(struct engine *engine, const struct engine_socket *socket)
{
	struct engine_socket **place = &engine->sockets;

	for (struct engine_socket **link = &engine->sockets; *link != NULL; link = &(*link)->next)
		if (steering_is_with(*link, socket))
			place = &(*link)->next;
	return place;
}

void steering_joins(struct engine *engine, struct engine_socket *socket)
{
	bool lost = false;

	if (!socket->reuseport || socket->grouped || socket->listener.fd < 0)
		return;
	STEERING_EACH(mate, engine, socket)
	lost = lost || mate->order_lost;
	socket->group_index = steering_count(engine, socket);
	socket->order_lost = lost;
	socket->grouped = socket->steering_due = true;
	socket->steered_to = false;
	engine->grouped++;
}

/* The last one takes its place. */
static void steering_forget(struct engine *engine, struct engine_socket *socket)
{
	uint32_t last;

	socket->grouped = false;
	engine->grouped--;
	last = steering_count(engine, socket);
	STEERING_EACH(mate, engine, socket)
	{
		mate->steering_due = true;
		if (mate->group_index == last)
			mate->group_index = socket->group_index;
	}
}

/* ---- who gets new connections ---- */

static bool steering_is_serving(const struct engine *engine, const struct proc *proc)
{
	const struct worker *worker =
	    pool_worker(&engine->model->pools[proc->ref.pool], &proc->ref);

	return worker != NULL && worker->state == WORKER_SERVING;
}

static void steering_mark_served(struct engine *engine)
{
	for (struct engine_socket *socket = engine->sockets; socket != NULL; socket = socket->next)
		socket->served = false;
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++)
		for (uint32_t n = 0; n < engine->pools[p].n_procs; n++) {
			const struct proc *proc = engine->pools[p].procs[n];

			if (proc == NULL || !steering_is_serving(engine, proc))
				continue;
			for (size_t s = 0; s < proc->version->spec->n_sockets; s++) {
				struct engine_socket *socket =
				    sockets_of(proc->version, s, proc->slot);

				if (socket != NULL)
					socket->served = true;
			}
		}
}

/* Best where a worker serves; where none does, clients wait at all slots that stay. */
enum steering_choice { STEER_SERVED, STEER_STAYING, STEER_ANY };

static bool steering_is_chosen(const struct engine_socket *socket, enum steering_choice choice)
{
	switch (choice) {
	case STEER_SERVED:
		return socket->served && !socket->closing;
	case STEER_STAYING:
		return !socket->closing;
	case STEER_ANY:
		break;
	}
	return true;
}

static enum steering_choice steering_choose(const struct engine *engine,
					    const struct engine_socket *socket)
{
	enum steering_choice choice = STEER_ANY;

	STEERING_EACH(mate, engine, socket)
	for (enum steering_choice c = STEER_SERVED; c < choice; c++)
		if (steering_is_chosen(mate, c))
			choice = c;
	return choice;
}

static int steering_compare(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Without the one with the index except, unless there is no other. */
static void steering_apply(struct engine *engine, const struct engine_socket *socket,
			   uint32_t except)
{
	cleanup_free uint32_t *indices =
	    calloc(steering_count(engine, socket) + 1, sizeof(*indices));
	size_t n = 0;
	int r;

	if (indices == NULL)
		return; /* with the next change */
	STEERING_EACH(mate, engine, socket)
	if (mate->steered_to && mate->group_index != except)
		indices[n++] = mate->group_index;
	if (n == 0)
		return;
	qsort(indices, n, sizeof(*indices), steering_compare);
	r = listener_steer(&socket->listener, indices, n);
	if (r < 0) {
		log_warning("socket %s: new connections cannot be kept away from slots without a "
			    "worker (%s): the kernel gives each slot its share",
			    socket->name, strerror(-r));
		listener_steer_to_all(&socket->listener);
	}
}

static void steering_update_group(struct engine *engine, struct engine_socket *socket)
{
	enum steering_choice choice = steering_choose(engine, socket);
	bool due = false;

	STEERING_EACH(mate, engine, socket)
	{
		bool chosen = steering_is_chosen(mate, choice);

		due = due || mate->steering_due || mate->steered_to != chosen;
		mate->steered_to = chosen;
		mate->steering_due = false;
	}
	if (due && !socket->order_lost)
		steering_apply(engine, socket, UINT32_MAX);
}

void steering_update(struct engine *engine)
{
	if (engine->grouped == 0 || engine->refusing)
		return;
	steering_mark_served(engine);
	for (struct engine_socket *socket = engine->sockets; socket != NULL; socket = socket->next)
		if (socket->grouped && socket->group_index == 0)
			steering_update_group(engine, socket);
}

void steering_leaves(struct engine *engine, struct engine_socket *socket)
{
	uint32_t n = socket->grouped ? steering_count(engine, socket) : 0;

	if (n > 1 && socket->group_index != n - 1 && !socket->order_lost)
		steering_apply(engine, socket, n - 1);
	if (n > 0)
		steering_forget(engine, socket);
}

bool steering_refuse(struct engine *engine, struct engine_socket *socket)
{
	if (!socket->grouped)
		return false;
	STEERING_EACH(mate, engine, socket)
	if (!mate->closing) {
		steering_update(engine);
		return true;
	}
	STEERING_EACH(mate, engine, socket)
	listener_refuse(&mate->listener);
	return true;
}

/* ---- somebody shut some of them down ---- */

/*
 * Of one we know what the kernel did. Of two or more it depends on which was the first, unless
 * hardly any are left: then nothing is steered any more, and the kernel chooses among all.
 */
void steering_lost_some(struct engine *engine, struct engine_socket *socket)
{
	uint32_t dead = 0, left;
	bool lost;

	if (!socket->grouped)
		return;
	for (struct engine_socket *mate = engine->sockets; mate != NULL; mate = mate->next)
		if (mate->grouped && steering_is_with(mate, socket) &&
		    !listener_is_alive(&mate->listener)) {
			steering_forget(engine, mate);
			dead++;
		}
	left = steering_count(engine, socket);
	lost = dead > 1 && left > 1;
	if (lost)
		log_warning("socket %s: %u of its slots' sockets were shut down at once: from now "
			    "on new connections are not kept away from slots without a worker, "
			    "until the instance is restarted",
			    socket->name, dead);
	STEERING_EACH(mate, engine, socket)
	{
		mate->order_lost = lost || (mate->order_lost && left > 1);
		if (lost)
			listener_steer_to_all(&mate->listener);
	}
}

/* ---- the last worker of a slot ---- */

/* Handshakes that had begun get this long to end; then a queue is looked at until it is found empty
 * twice, */
#define STEERING_HOLD_MIN  (100 * USEC_PER_MSEC)
#define STEERING_HOLD_LOOK (20 * USEC_PER_MSEC)
/* and for this long, if its worker does not accept. */
#define STEERING_HOLD_MAX (2 * USEC_PER_SEC)

/* A socket of its slot that nobody else will have; NULL: none (any more). */
static struct engine_socket *steering_going(const struct proc *proc, struct engine_socket *after)
{
	bool found = after == NULL;

	for (size_t s = 0; s < proc->version->spec->n_sockets; s++) {
		struct engine_socket *socket = sockets_of(proc->version, s, proc->slot);

		if (found && socket != NULL && socket->grouped &&
		    !sockets_is_used(proc->engine, socket))
			return socket;
		found = found || socket == after;
	}
	return NULL;
}

bool steering_holds_drain(struct proc *proc, const struct order *order)
{
	if (proc->engine->refusing || order->from != WORKER_SERVING ||
	    order->reason == END_OWN_WISH || steering_going(proc, NULL) == NULL)
		return false;
	proc->waits_to_drain = true;
	proc->waiting_signal = 0;
	proc->waiting_reason = order->reason;
	proc->waiting_since = clock_now();
	proc->waiting_empty = 0;
	return true;
}

bool steering_holds_signal(struct proc *proc, const struct order *order)
{
	const struct worker *worker =
	    pool_worker(&proc->engine->model->pools[proc->ref.pool], &proc->ref);

	if (!proc->waits_to_drain || worker == NULL || worker->state != WORKER_DRAINING)
		return false;
	proc->waiting_signal = order->sig;
	proc->waiting_value = order->value;
	engine_arm(proc->engine->steering_event, STEERING_HOLD_LOOK);
	return true;
}

static bool steering_is_empty(const struct proc *proc)
{
	for (struct engine_socket *socket = steering_going(proc, NULL); socket != NULL;
	     socket = steering_going(proc, socket))
		if (listener_has_queue(&socket->listener))
			return false;
	return true;
}

static void steering_release(struct proc *proc, const struct worker *worker)
{
	usec_t now = clock_now();
	int r;

	proc->waits_to_drain = false;
	if (worker == NULL || worker->state != WORKER_DRAINING)
		return; /* it has gone, or is told something stronger */
	channel_drain(proc, proc->waiting_reason, usec_sub(worker->deadline, now));
	r = proc_signal(proc, proc->waiting_signal, proc->waiting_value);
	if (r < 0 && r != -ESRCH)
		log_warning(
		    "%s: cannot be told to drain: %s; it is killed at the end of its budget",
		    PROC_TEXT(proc), strerror(-r));
}

/* True: it waits on. */
static bool steering_look_at(struct proc *proc)
{
	const struct worker *worker =
	    pool_worker(&proc->engine->model->pools[proc->ref.pool], &proc->ref);
	usec_t waited = usec_sub(clock_now(), proc->waiting_since);
	bool due = proc->engine->refusing || proc->ended || worker == NULL ||
		   worker->state != WORKER_DRAINING;

	proc->waiting_empty = steering_is_empty(proc) ? proc->waiting_empty + 1 : 0;
	if (!due && waited >= STEERING_HOLD_MAX)
		log_warning("%s has accepted nobody who waits at its slot for %s; it is told to "
			    "drain all the same, and who still waits there when it ends is lost",
			    PROC_TEXT(proc), DURATION_TEXT(waited));
	else if (!due && (waited < STEERING_HOLD_MIN || proc->waiting_empty < 2))
		return true;
	steering_release(proc, worker);
	return false;
}

void steering_look(evutil_socket_t fd, short what, void *arg)
{
	struct engine *engine = arg;
	bool again = false;

	(void)fd;
	(void)what;
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++)
		for (uint32_t n = 0; n < engine->pools[p].n_procs; n++) {
			struct proc *proc = engine->pools[p].procs[n];

			if (proc != NULL && proc->waits_to_drain && steering_look_at(proc))
				again = true;
		}
	if (again)
		engine_arm(engine->steering_event, STEERING_HOLD_LOOK);
}
