/* handover_internal.h - what the files of libhandover share. Nothing of it is seen outside. */
#ifndef WORKER_HANDOVER_INTERNAL_H
#define WORKER_HANDOVER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#include "worker/handover.h"

/* What is public is marked here, so that the header stays free of it. */
#define PUBLIC __attribute__((visibility("default")))

enum {
	WORKER_MESSAGE_MAX = 16 * 1024,
	WORKER_SOCKETS_MAX = 253, /* SCM_MAX_FD */
	WORKER_CELLS = 64,
};

/* ---- handover_parse.c: messages of the master. Pure. ---- */

enum worker_kind {
	WORKER_NOTHING,
	WORKER_SOCKETS,
	WORKER_LAME_DUCK,
	WORKER_DRAIN,
	WORKER_PAGE, /* to be sent again */
};

struct worker_message {
	enum worker_kind kind;
	enum handover_reason reason;
	uint64_t deadline; /* monotonic; UINT64_MAX: none */
	uint64_t set;	   /* number of the sockets; 0: the master asks for no answer */
	size_t n_names;
	const char *names[WORKER_SOCKETS_MAX]; /* in text */
	char text[WORKER_MESSAGE_MAX];
};

/* True: it is understood, or of a kind that is not known (WORKER_NOTHING). */
bool worker_parse(const char *text, size_t len, struct worker_message *message);

/* ---- the state ---- */

struct worker_cell {
	_Atomic int64_t count;
	char padding[56];
};

struct worker_socket {
	char *name;
	int fd; /* -1: given away */
	uint64_t cookie;
};

typedef void worker_callback(struct handover *handover, enum handover_event event, uint64_t left,
			     void *arg);

struct handover {
	/* set by handover_open() and never changed */
	unsigned flags;
	pid_t pid;
	struct worker_cell *cells;
	int page;
	int notify; /* -1: nobody listens */
	struct sockaddr_un notify_address;
	socklen_t notify_len;
	uint64_t watchdog; /* half of what is allowed; 0: none */
	uint64_t budget;
	struct sockaddr_un channel_address; /* empty path: none */
	int io;				    /* epoll: the channel, and the timer */
	int loop;			    /* epoll: io and wake; the program's */
	int wake;			    /* eventfd: there is something for dispatch */
	int timer;			    /* timerfd: connect again, feed the watchdog */
	int arrived, lame_fd, drain_fd;	    /* eventfds: readable for ever from then on */
	int quit;			    /* eventfd: the thread is to end */
	pthread_t thread;
	bool has_thread;

	/* without the lock */
	_Atomic uint64_t pinged;
	_Atomic int reason; /* enum handover_reason */
	_Atomic uint64_t deadline;
	_Atomic uint64_t lame_deadline; /* UINT64_MAX: no lame duck */
	atomic_bool lame, draining;

	pthread_mutex_t lock; /* for all that follows */
	int channel;	      /* -1: not connected */
	uint64_t connected, connect_at, connect_pause;
	bool is_ready;
	bool complete;	    /* all sockets are known */
	uint64_t set;	    /* that has come; 0: none, or it was answered */
	uint64_t cut;	    /* came without all of its descriptors; 0: none */
	uint64_t answer_at; /* when the answer to either is due; UINT64_MAX: never */
	struct worker_socket *sockets;
	size_t n_sockets;
	struct worker_socket *stored; /* what a former worker had kept */
	size_t n_stored;
	worker_callback *callback;
	void *callback_arg;
	unsigned untold; /* bits of enum handover_event that the callback has to hear of */
	struct worker_message message;
	char text[WORKER_MESSAGE_MAX];
};

/* ---- handover.c ---- */
uint64_t worker_now(void);
/* A whole number within [1, max] in the environment; 0: there is none. */
uint64_t worker_environment(const char *name, uint64_t max);
/* Arms the timer for what is next. Lock held. */
void worker_arm(struct handover *handover);
/* Takes what came over the channel and what time brought. Lock held. */
void worker_pump(struct handover *handover);
/* Makes an eventfd readable; keeps errno, and is safe in signal handlers. */
void worker_raise(int fd);
/* The callback is to hear of it. Lock held. */
void worker_tell(struct handover *handover, enum handover_event event);

/* ---- handover_channel.c ---- */
/* Finds it in the environment. 0 or -errno. */
int channel_find(struct handover *handover);
/* The address that NAME in the environment holds ("@": abstract). 0: none; 1; -EINVAL. */
int channel_address(const char *text, struct sockaddr_un *ret_address, socklen_t *ret_len);
/* These with the lock held. Connects if that is due; reads what is there; says that it is ready. */
void channel_connect(struct handover *handover);
void channel_read(struct handover *handover);
int channel_say_ready(struct handover *handover);
/* Says what has become of the sockets that came, if that is due. */
void channel_answer(struct handover *handover);

/* ---- handover_sockets.c ---- */
/* Takes inherited ones over, and what was kept for us. 0 or -errno. */
int sockets_inherit(struct handover *handover);
/* A set that came: takes the descriptors over, whatever happens. Lock held. */
void sockets_set(struct handover *handover, const struct worker_message *message, int *fds,
		 size_t n_fds);
void sockets_free(struct handover *handover);
/* Gives the first of that name away (NULL: of any). 0, -ENOENT, or -EALREADY: it was given away. */
int sockets_take(struct worker_socket *list, size_t n, const char *name, int *ret_fd);
void sockets_free_list(struct worker_socket **list, size_t *n);

/* ---- handover_notify.c ---- */
int notify_find(struct handover *handover);
/* Feeds the watchdog if it is time. When it is time again; UINT64_MAX: never. */
uint64_t notify_feed(struct handover *handover);
/* Says text; fd (-1: none) goes along. 0 or -errno. */
int notify_send(const struct handover *handover, int flags, const char *text, size_t len, int fd);

/* ---- handover_page.c ---- */
int page_new(struct handover *handover);
void page_free(struct handover *handover);

/* ---- handover_drain.c ---- */
void drain_lame_duck(struct handover *handover, uint64_t deadline);
/* Lock held. A drain can be told of again: what is known better, or earlier, counts. */
void drain_begin(struct handover *handover, enum handover_reason reason, uint64_t deadline);
/* What handover_drain() noted without the lock. Lock held. */
void drain_notice(struct handover *handover);
void drain_forget_signals(struct handover *handover);

#endif
