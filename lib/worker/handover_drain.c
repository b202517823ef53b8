/* handover_drain.c - what the worker is told: lame duck, and drain with its reason and deadline. */
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "worker/handover_internal.h"

/* Who is told of signals: handlers get no argument. */
static _Atomic(struct handover *) handler_of;
static atomic_ullong handled; /* bits of the signals that are ours */

static uint64_t time_until(uint64_t deadline)
{
	uint64_t now;

	if (deadline == UINT64_MAX)
		return HANDOVER_FOREVER;
	now = worker_now();
	return deadline > now ? deadline - now : 0;
}

void drain_lame_duck(struct handover *handover, uint64_t deadline)
{
	atomic_store(&handover->lame_deadline, deadline);
	if (atomic_exchange(&handover->lame, true))
		return;
	worker_raise(handover->lame_fd);
	worker_tell(handover, HANDOVER_LAME_DUCK);
}

void drain_begin(struct handover *handover, enum handover_reason reason, uint64_t deadline)
{
	/* what a signal made us guess is over, now that it is told */
	if (atomic_load(&handover->reason) == HANDOVER_REASON_SIGNAL ||
	    deadline < atomic_load(&handover->deadline))
		atomic_store(&handover->deadline, deadline);
	atomic_store(&handover->reason, (int)reason);
	if (!atomic_exchange(&handover->draining, true))
		worker_raise(handover->drain_fd);
	drain_notice(handover);
}

void drain_notice(struct handover *handover)
{
	const unsigned told = 1u << 31; /* once is enough */

	if (!atomic_load(&handover->draining) || (handover->untold & told) != 0)
		return;
	handover->untold |= told;
	handover->connect_at = UINT64_MAX; /* a new master would have nothing to say to us */
	worker_tell(handover, HANDOVER_DRAIN);
}

/* Safe in signal handlers. budget: UINT64_MAX where none is known. */
static void drain_by_signal(struct handover *handover, uint64_t budget)
{
	uint64_t none = UINT64_MAX;
	int no_reason = HANDOVER_REASON_NONE;

	if (budget != UINT64_MAX)
		atomic_compare_exchange_strong(&handover->deadline, &none, worker_now() + budget);
	atomic_compare_exchange_strong(&handover->reason, &no_reason, HANDOVER_REASON_SIGNAL);
	if (atomic_exchange(&handover->draining, true))
		return;
	worker_raise(handover->drain_fd);
	worker_raise(handover->wake);
}

PUBLIC void handover_drain(struct handover *handover)
{
	if (handover != NULL)
		drain_by_signal(handover, handover->budget);
}

/* The master's signal has the budget with it, in milliseconds. */
static void on_signal(int sig, siginfo_t *info, void *context)
{
	struct handover *handover = atomic_load(&handler_of);

	(void)sig;
	(void)context;
	/* a forked child's signal is not its parent's */
	if (handover == NULL || getpid() != handover->pid)
		return;
	if (info->si_code == SI_QUEUE && info->si_value.sival_int > 0)
		drain_by_signal(handover, (uint64_t)info->si_value.sival_int * 1000);
	else
		drain_by_signal(handover, handover->budget);
}

PUBLIC int handover_handle_signal(struct handover *handover, int sig)
{
	struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};

	if (handover == NULL)
		return 0;
	if (sig < 1 || sig > 64)
		return -EINVAL;
	sigemptyset(&action.sa_mask);
	atomic_store(&handler_of, handover);
	if (sigaction(sig, &action, NULL) == -1)
		return -errno;
	atomic_fetch_or(&handled, 1ull << (sig - 1));
	return 0;
}

void drain_forget_signals(struct handover *handover)
{
	unsigned long long signals = atomic_exchange(&handled, 0);

	(void)handover;
	for (int sig = 1; sig <= 64; sig++)
		if ((signals & 1ull << (sig - 1)) != 0)
			signal(sig, SIG_DFL);
	atomic_store(&handler_of, NULL);
}

PUBLIC int handover_lame_duck_fd(struct handover *handover)
{
	return handover == NULL ? -1 : handover->lame_fd;
}

PUBLIC int handover_drain_fd(struct handover *handover)
{
	return handover == NULL ? -1 : handover->drain_fd;
}

PUBLIC int handover_is_lame_duck(struct handover *handover)
{
	return handover != NULL && atomic_load(&handover->lame);
}

PUBLIC int handover_is_draining(struct handover *handover)
{
	return handover != NULL && atomic_load(&handover->draining);
}

PUBLIC enum handover_reason handover_drain_reason(struct handover *handover)
{
	if (handover == NULL)
		return HANDOVER_REASON_NONE;
	return (enum handover_reason)atomic_load(&handover->reason);
}

PUBLIC uint64_t handover_time_left(struct handover *handover)
{
	if (handover == NULL)
		return HANDOVER_FOREVER;
	return time_until(atomic_load(&handover->deadline));
}

PUBLIC uint64_t handover_drain_timeout(struct handover *handover)
{
	return handover == NULL ? HANDOVER_FOREVER : handover->budget;
}
