/*
 * handover.h - for programs that run as workers of handoverd(8), or as a service of systemd.
 * handover-worker(7) describes what passes between the two; this library speaks it.
 *
 *	struct handover *h;
 *	int fd;
 *
 *	if (handover_open(HANDOVER_THREAD, &h) < 0) ...
 *	handover_handle_signal(h, SIGTERM);
 *	... warm up ...
 *	handover_ready(h, "serving");
 *	if (handover_socket(h, "web", 60000000, &fd) < 0) ...
 *	... poll fd and handover_drain_fd(h); handover_begin(h) and handover_end(h) around each
 *request ... handover_close(h);
 *
 * What holds for all functions:
 *
 * - Errors are returned as negative numbers of errno(3). Outputs (ret_...) are written on success
 *   only. Nothing is ever printed.
 * - Times are in microseconds.
 * - A struct handover may be used by any number of threads at the same time, except for
 *   handover_close(). A process has one at a time.
 * - Not under handoverd or systemd the handle is NULL. All functions take NULL, do nothing and say
 *0; those that have something to return say what they do then.
 * - Every descriptor that the library opens is close-on-exec. It changes no variable of the
 *   environment, no signal but one that handover_handle_signal() names, and no flag of a shared
 *   socket but O_NONBLOCK, which it sets and never clears.
 * - After fork() a child may call handover_begin() and handover_end(), which count for both, and
 *   nothing else.
 */
#ifndef HANDOVER_H
#define HANDOVER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct handover;

/* "It takes as long as it takes", and "there is no end". */
#define HANDOVER_FOREVER UINT64_MAX

enum {
	/* A thread of the library's own listens and runs the callback: for programs without an
	 * event loop. It has all signals blocked. */
	HANDOVER_THREAD = 1 << 0,
	/* handover_dispatch() feeds the watchdog whenever it is time: for event loops, where a loop
	 * that hangs is a worker that hangs. Not with HANDOVER_THREAD, whose thread never hangs. */
	HANDOVER_WATCHDOG = 1 << 1,
};

/* ---- the beginning and the end ---- */

/*
 * Takes the inherited sockets over and connects to the channel; waits for nobody. *ret_handover is
 * NULL where nothing in the environment says that somebody supervises this process. 0; -EINVAL:
 * flags, or an address in the environment that is none; -EALREADY: there is one already; -EBADF:
 * LISTEN_FDS counts descriptors that are not open; another -errno.
 */
int handover_open(unsigned flags, struct handover **ret_handover);
/*
 * Ends the thread, closes everything but the descriptors that handover_socket() gave away, and
 * gives signals their default action back. No other thread may use the handle any more; not to be
 * called by a callback. The process may go on, and goes without a master.
 */
void handover_close(struct handover *handover);

/* ---- sockets ---- */

/*
 * The listening socket of that name (NULL: the first that is left), which is the caller's from then
 * on. It is non-blocking and shared with others: never shutdown() it. Inherited ones are there from
 * the beginning. With `handoff = channel` they come once this worker, and all that start with it,
 * are ready: say handover_ready() first, which is right in both cases. Waits for at most timeout
 * (0: not at all).
 *
 * 0; -ETIMEDOUT: they have not come yet; -ENOENT: there is none of that name (so with a NULL
 * handle); -EALREADY: it was given away; -ESHUTDOWN: they have not come, and this worker is to
 * drain; -errno.
 */
int handover_socket(struct handover *handover, const char *name, uint64_t timeout, int *ret_fd);
/* 1: fd is a socket that belongs to this worker, also one that was given away; 0: it is not one, or
 * not any more: after a reload that has moved a name to another address, there is another socket of
 * that name. */
int handover_has_listener(struct handover *handover, int fd);
/* 1: a socket of that name belongs to this worker, given away or not; 0: it does not (any more: the
 * configuration was changed), or they have not come yet. */
int handover_has_socket(struct handover *handover, const char *name);
/* The name of the n-th socket, from 0, into name, cut off after size - 1 bytes. Its length;
 * -ENOENT: there are not so many, or they have not come yet. */
int handover_socket_name(struct handover *handover, size_t n, char *name, size_t size);

/*
 * The last moments of a listening socket: accepts whoever is in its queue, until it is empty or
 * limit is over, and closes it. accepted() is called with each connection (non-blocking,
 * close-on-exec), which is its own to close; NULL: they are closed. Needs no handle. How many there
 * were; -errno of accept(2) if it failed at the first, and the socket is closed all the same.
 */
int handover_finish_listener(int listener, uint64_t limit, void (*accepted)(int fd, void *arg),
			     void *arg);

/* ---- what outlives the worker ---- */

enum {
	/* Kept also when it is dead: a pipe whose other end is closed, a connection that has ended.
	 * Without it that is noticed, and it is dropped. */
	HANDOVER_KEEP_DEAD = 1 << 0,
};

/*
 * The master keeps a copy of fd, for the next worker in this one's place: after a reload, a restart
 * or a crash. fd stays the caller's. Names are printable ASCII without colons, 1 to 255 characters;
 * several descriptors may have one, and one that is kept already is not kept twice. How many there
 * can be says fd_store_max of the pool: what is more is dropped, and the master logs that. Waits if
 * the master is busy. 0; -EINVAL: flags or name; -EBADF: fd; -errno.
 */
int handover_store(struct handover *handover, const char *name, int fd, unsigned flags);
/* What is kept under that name is not any more. 0 or -errno. */
int handover_unstore(struct handover *handover, const char *name);
/*
 * What a former worker had kept under that name (NULL: the first that is left): the caller's from
 * then on, and still kept. Of several of one name, each call gives another. 0; -ENOENT: there is
 * none, or none left. What is not asked for is closed by handover_close().
 */
int handover_stored(struct handover *handover, const char *name, int *ret_fd);
/* The name of the n-th, from 0, given away or not: as handover_socket_name(). */
int handover_stored_name(struct handover *handover, size_t n, char *name, size_t size);

/* ---- what the worker says ---- */

/* It serves, or (handoff = channel) would if it had its sockets. status as in handover_status(), or
 * NULL. Waits if the master is busy. 0 or -errno. */
int handover_ready(struct handover *handover, const char *status);
/* One line for people: `handover status` shows it, and the log when it has to be killed. At most
 * 500 bytes count. 0; -EAGAIN: the master is busy, this one is lost; -errno. */
int handover_status(struct handover *handover, const char *status);
/* It goes by its own wish: it is replaced, and has its drain_timeout to end. 0 or -errno. */
int handover_stopping(struct handover *handover);
/* Asks for a deadline (of its start or of its drain) not before that time from now. How much of it
 * is granted depends on drain_extend_max and is not told: handover_time_left() stays. 0 or -errno.
 */
int handover_extend(struct handover *handover, uint64_t usec);
/* "I live", where a watchdog watches. May be called often: most calls send nothing. 0 or -errno. */
int handover_watchdog(struct handover *handover);
/* How often handover_watchdog() has to be called: half of what the watchdog allows. 0: none
 * watches. */
uint64_t handover_watchdog_interval(struct handover *handover);

/* ---- what is in flight ---- */

/*
 * A request begins, and has ended: in any thread, also in different ones. Lock-free, and safe in
 * signal handlers: an addition in memory that the master reads when somebody asks.
 */
void handover_begin(struct handover *handover);
void handover_end(struct handover *handover);
/* How many have begun and not ended, in this process and children that it forked. NULL: 0. */
uint64_t handover_inflight(struct handover *handover);

/* ---- what the worker is told ---- */

enum handover_event {
	/* Sockets have come: the first ones, or another set after a reload that changed them
	 * without changing the program. Then those that are no longer of the set
	 * (handover_has_listener()) are to be closed, best with handover_finish_listener(). While a
	 * name moves to another address there are two of that name: both are to be served. The
	 * master is told that the worker accepts when the callback returns. */
	HANDOVER_SOCKETS = 1,
	/* The instance stops: health checks should fail from now on. Serve on until the drain. */
	HANDOVER_LAME_DUCK,
	/* Take no new work, finish what is there, exit. */
	HANDOVER_DRAIN,
};

enum handover_reason {
	HANDOVER_REASON_NONE,	/* it does not drain */
	HANDOVER_REASON_SIGNAL, /* it got its drain signal, and no channel says more */
	HANDOVER_REASON_RELOAD, /* for these a successor serves: leave health checks as they are */
	HANDOVER_REASON_RESTART,
	HANDOVER_REASON_RECYCLE,
	HANDOVER_REASON_SCALE,	 /* its siblings serve on */
	HANDOVER_REASON_STOP,	 /* the instance stops */
	HANDOVER_REASON_REMOVED, /* the pool was taken out of the configuration */
	HANDOVER_REASON_UNDO,	 /* the reload that started it has failed */
	HANDOVER_REASON_OTHER,	 /* a word that this version does not know */
};

/*
 * Readable when there is something for handover_dispatch(): for poll(2), epoll(7), libevent. It
 * belongs to the library. Without meaning with HANDOVER_THREAD. -1: NULL.
 */
int handover_fd(struct handover *handover);
/* Takes what has come, connects again where that is due, and runs the callback; never waits. 0 or
 * -errno. */
int handover_dispatch(struct handover *handover);
/*
 * callback (NULL: none) is called by handover_dispatch(), or in the library's thread, once for the
 * lame duck, once for the drain, and for each set of sockets. left: the time until the drain (lame
 * duck) or until the end (drain). What happened before it was set is told, too. It may call
 * everything but handover_close().
 */
void handover_set_callback(struct handover *handover,
			   void (*callback)(struct handover *handover, enum handover_event event,
					    uint64_t left, void *arg),
			   void *arg);
/*
 * Readable from the lame duck, or from the drain on, for ever: any number of threads may poll them.
 * Nobody may read or close them. They follow what handover_dispatch(), the library's thread, or
 * handover_drain() has noticed. -1: NULL.
 */
int handover_lame_duck_fd(struct handover *handover);
int handover_drain_fd(struct handover *handover);

/* These are safe in signal handlers. 1: yes, 0: no. */
int handover_is_lame_duck(struct handover *handover);
int handover_is_draining(struct handover *handover);
enum handover_reason handover_drain_reason(struct handover *handover);
/* Until the master's deadline: what is left then is killed. Stop hard when a fifth of it is left,
 * and exit 200 ms before its end. HANDOVER_FOREVER: it does not drain. */
uint64_t handover_time_left(struct handover *handover);
/* The budget of a drain as it was when this process started. HANDOVER_FOREVER: not known. */
uint64_t handover_drain_timeout(struct handover *handover);

/* The program has got its drain signal, by a handler of its own. Safe in signal handlers. */
void handover_drain(struct handover *handover);
/* Has the library catch a drain signal (SIGTERM): it does what handover_drain() does, and system
 * calls are restarted. 0 or -errno of sigaction(2). */
int handover_handle_signal(struct handover *handover, int sig);

#ifdef __cplusplus
}
#endif

#endif
