/* handover.c - opening and closing, dispatch, and the thread of those that have no event loop. */
#include "worker/handover.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "worker/handover_internal.h"

#define BUDGET_MAX UINT64_C(604800000000) /* a week */

static atomic_flag is_open = ATOMIC_FLAG_INIT;

uint64_t worker_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t worker_environment(const char *name, uint64_t max)
{
	const char *text = getenv(name);
	uint64_t value = 0;

	if (text == NULL || text[0] == '\0' || strlen(text) > 19 ||
	    strspn(text, "0123456789") != strlen(text))
		return 0;
	for (; *text != '\0'; text++)
		value = value * 10 + (uint64_t)(*text - '0');
	return value <= max ? value : 0;
}

void worker_raise(int fd)
{
	int saved = errno;

	(void)!write(fd, &(uint64_t){1}, sizeof(uint64_t)); /* full: it is readable already */
	errno = saved;
}

void worker_tell(struct handover *handover, enum handover_event event)
{
	handover->untold |= 1u << event;
	worker_raise(handover->wake);
}

/* ---- what comes ---- */

void worker_arm(struct handover *handover)
{
	uint64_t at = notify_feed(handover);
	struct itimerspec spec = {.it_value.tv_sec = 0};

	if (handover->channel == -1 && handover->connect_at < at)
		at = handover->connect_at;
	if (handover->channel != -1 && handover->answer_at < at)
		at = handover->answer_at;
	if (at != UINT64_MAX) {
		spec.it_value.tv_sec = (time_t)(at / 1000000);
		spec.it_value.tv_nsec = (long)(at % 1000000) * 1000 + 1; /* 0 would be "never" */
	}
	timerfd_settime(handover->timer, TFD_TIMER_ABSTIME, &spec, NULL);
}

void worker_pump(struct handover *handover)
{
	uint64_t count;

	(void)!read(handover->timer, &count, sizeof(count));
	channel_connect(handover);
	channel_read(handover);
	channel_answer(handover);
	worker_arm(handover);
}

/* How long it still is, for the callback. */
static uint64_t event_left(struct handover *handover, enum handover_event event)
{
	uint64_t deadline, now = worker_now();

	if (event == HANDOVER_SOCKETS)
		return HANDOVER_FOREVER;
	deadline = event == HANDOVER_DRAIN ? atomic_load(&handover->deadline)
					   : atomic_load(&handover->lame_deadline);
	return deadline == UINT64_MAX ? HANDOVER_FOREVER : deadline > now ? deadline - now : 0;
}

/* The callback has had its sockets, and has let go of those that it is to. */
static void answer_sockets(struct handover *handover, uint64_t set)
{
	pthread_mutex_lock(&handover->lock);
	if (handover->set == set && handover->cut == 0) { /* no others have come since */
		handover->answer_at = 0;
		channel_answer(handover);
		worker_arm(handover);
	}
	pthread_mutex_unlock(&handover->lock);
}

PUBLIC int handover_dispatch(struct handover *handover)
{
	static const enum handover_event events[] = {HANDOVER_SOCKETS, HANDOVER_LAME_DUCK,
						     HANDOVER_DRAIN};
	worker_callback *callback;
	unsigned untold = 0;
	uint64_t count, set;
	void *arg;

	if (handover == NULL)
		return 0;
	pthread_mutex_lock(&handover->lock);
	worker_pump(handover); /* before the signal: it may know why */
	drain_notice(handover);
	/* what was noticed until here is told below; a signal at this very moment is looked for
	 * after */
	(void)!read(handover->wake, &count, sizeof(count));
	drain_notice(handover);
	callback = handover->callback;
	arg = handover->callback_arg;
	set = handover->set;
	if (callback != NULL) {
		untold = handover->untold;
		for (size_t n = 0; n < sizeof(events) / sizeof(events[0]); n++)
			handover->untold &= ~(1u << events[n]);
	}
	pthread_mutex_unlock(&handover->lock);
	for (size_t n = 0; n < sizeof(events) / sizeof(events[0]); n++)
		if ((untold & 1u << events[n]) != 0)
			callback(handover, events[n], event_left(handover, events[n]), arg);
	if ((untold & 1u << HANDOVER_SOCKETS) != 0 && set != 0)
		answer_sockets(handover, set);
	return 0;
}

PUBLIC int handover_fd(struct handover *handover)
{
	return handover == NULL ? -1 : handover->loop;
}

PUBLIC void handover_set_callback(struct handover *handover,
				  void (*callback)(struct handover *handover,
						   enum handover_event event, uint64_t left,
						   void *arg),
				  void *arg)
{
	if (handover == NULL)
		return;
	pthread_mutex_lock(&handover->lock);
	handover->callback = callback;
	handover->callback_arg = arg;
	pthread_mutex_unlock(&handover->lock);
	worker_raise(handover->wake); /* something may have happened before */
}

static void *thread_run(void *arg)
{
	struct handover *handover = arg;
	struct pollfd fds[2] = {{.fd = handover->loop, .events = POLLIN},
				{.fd = handover->quit, .events = POLLIN}};

	pthread_setname_np(pthread_self(), "handover");
	while (fds[1].revents == 0) {
		handover_dispatch(handover);
		while (poll(fds, 2, -1) == -1 && errno == EINTR)
			continue;
	}
	return NULL;
}

/* ---- opening ---- */

static int thread_start(struct handover *handover)
{
	sigset_t all, before;
	int r;

	handover->quit = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (handover->quit == -1)
		return -errno;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&handover->thread, NULL, thread_run, handover);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	handover->has_thread = r == 0;
	return -r;
}

static int open_event(int *ret_fd)
{
	*ret_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return *ret_fd == -1 ? -errno : 0;
}

static int watch(int set, int fd)
{
	return epoll_ctl(set, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN}) == -1
		   ? -errno
		   : 0;
}

static int open_descriptors(struct handover *handover)
{
	int *const events[] = {&handover->wake, &handover->arrived, &handover->lame_fd,
			       &handover->drain_fd};
	int r = 0;

	for (size_t n = 0; r == 0 && n < sizeof(events) / sizeof(events[0]); n++)
		r = open_event(events[n]);
	if (r < 0)
		return r;
	handover->io = epoll_create1(EPOLL_CLOEXEC);
	handover->loop = epoll_create1(EPOLL_CLOEXEC);
	handover->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (handover->io == -1 || handover->loop == -1 || handover->timer == -1)
		return -errno;
	r = watch(handover->io, handover->timer);
	if (r == 0)
		r = watch(handover->loop, handover->io);
	return r == 0 ? watch(handover->loop, handover->wake) : r;
}

static void close_descriptors(struct handover *handover)
{
	const int fds[] = {handover->notify,  handover->channel, handover->io,
			   handover->loop,    handover->wake,	 handover->timer,
			   handover->arrived, handover->lame_fd, handover->drain_fd,
			   handover->quit};

	for (size_t n = 0; n < sizeof(fds) / sizeof(fds[0]); n++)
		if (fds[n] != -1)
			close(fds[n]);
}

static void release(struct handover *handover)
{
	page_free(handover);
	sockets_free(handover);
	sockets_free_list(&handover->stored, &handover->n_stored);
	close_descriptors(handover);
	pthread_mutex_destroy(&handover->lock);
	free(handover);
	atomic_flag_clear(&is_open);
}

static bool is_supervised(void)
{
	static const char *const names[] = {"NOTIFY_SOCKET", "HANDOVER_CHANNEL"};

	for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++)
		if (getenv(names[n]) != NULL)
			return true;
	return worker_environment("LISTEN_PID", INT32_MAX) == (uint64_t)getpid();
}

static int prepare(struct handover *handover)
{
	int r = channel_find(handover);

	if (r == 0)
		r = notify_find(handover);
	if (r == 0)
		r = open_descriptors(handover);
	if (r == 0)
		r = page_new(handover);
	if (r == 0)
		r = sockets_inherit(handover);
	if (r < 0)
		return r;
	/* the first ping is not too early */
	atomic_store(&handover->pinged, worker_now() - handover->watchdog);
	worker_pump(handover);
	return (handover->flags & HANDOVER_THREAD) != 0 ? thread_start(handover) : 0;
}

static struct handover *allocate(unsigned flags)
{
	struct handover *handover = calloc(1, sizeof(*handover));

	if (handover == NULL)
		return NULL;
	handover->flags = flags;
	handover->pid = getpid();
	handover->notify = handover->channel = handover->io = handover->loop = handover->wake =
	    handover->timer = handover->arrived = handover->lame_fd = handover->drain_fd =
		handover->quit = handover->page = -1;
	handover->deadline = handover->lame_deadline = UINT64_MAX;
	handover->budget = worker_environment("HANDOVER_DRAIN_TIMEOUT_USEC", BUDGET_MAX);
	if (handover->budget == 0)
		handover->budget = HANDOVER_FOREVER;
	pthread_mutex_init(&handover->lock, NULL);
	return handover;
}

PUBLIC int handover_open(unsigned flags, struct handover **ret_handover)
{
	struct handover *handover;
	int r;

	if ((flags & ~(unsigned)(HANDOVER_THREAD | HANDOVER_WATCHDOG)) != 0 ||
	    flags == (HANDOVER_THREAD | HANDOVER_WATCHDOG))
		return -EINVAL;
	if (!is_supervised()) {
		*ret_handover = NULL;
		return 0;
	}
	if (atomic_flag_test_and_set(&is_open))
		return -EALREADY;
	handover = allocate(flags);
	if (handover == NULL) {
		atomic_flag_clear(&is_open);
		return -ENOMEM;
	}
	r = prepare(handover);
	if (r < 0) {
		/* what it adopted stays open, as it was */
		for (size_t n = 0; n < handover->n_sockets; n++)
			handover->sockets[n].fd = -1;
		release(handover);
		return r;
	}
	*ret_handover = handover;
	return 0;
}

PUBLIC void handover_close(struct handover *handover)
{
	if (handover == NULL)
		return;
	if (handover->has_thread) {
		worker_raise(handover->quit);
		pthread_join(handover->thread, NULL);
	}
	drain_forget_signals(handover);
	release(handover);
}
