/*
 * channel.h - what passes between the instance and a worker over channel.sock, beside its
 * NOTIFY_SOCKET: its sockets, when it is ready for them; why and until when it drains; what it has
 * in flight. handover-worker(7).
 */
#ifndef ENGINE_CHANNEL_H
#define ENGINE_CHANNEL_H

#include "engine/engine.h"

/* ---- channel_door.c ---- */

/* Opens channel.sock in the runtime directory. 0 or -errno, said in the log. */
int channels_new(struct engine *engine);
void channels_free(struct engine *engine);
/* Is channel.sock still what its path leads to? */
bool channels_are_there(const struct engine *engine);
/* Makes it anew; connections that there are stay. 0 or -errno. */
int channels_open_again(struct engine *engine);
/* A stop begins: all who are connected are told. */
void channels_lame_duck(struct engine *engine, usec_t left);

/* ---- channel.c ---- */

/* It has connected: takes fd over. 0 or -ENOMEM. */
int channel_open(struct proc *proc, int *fd);
/* Has the worker connected? */
bool channel_is_open(const struct proc *proc);
/* Heeds what it has said so far. It may be gone afterwards, and so may its channel. */
void channel_hear(struct proc *proc);
/* Takes text over. 0; -ENOTCONN; -EAGAIN: it does not read; -errno. */
int channel_say(struct proc *proc, char *text, const int *fds, size_t n);
/* The instance stops: the drain comes then. Harmless where there is no channel. */
void channel_lame_duck(struct proc *proc, usec_t deadline);
/* It is to drain; left: its budget. Harmless where there is no channel. */
void channel_drain(struct proc *proc, enum end_reason reason, usec_t left);
/* What it counts in its page. False: it has none. */
bool channel_inflight(const struct proc *proc, uint64_t *ret_inflight);
/* Closes it; accepts a proc without. */
void channel_close(struct proc *proc);

/* ---- channel_sockets.c: which sockets a worker has, and whether it has said so ---- */

/* Sends the sockets of its version. A worker that cannot be given them is killed. */
void channel_send_sockets(struct proc *proc);
/* Sends those of the transaction as well, to be accepted on from now on. */
void channel_send_others(struct proc *proc);
/* The same again: it has connected anew, and had not answered. */
void channel_send_again(struct proc *proc);
/* What it says of the set of that number: it has taken it; it had no descriptors left for it. */
void channel_taken(struct proc *proc, uint64_t set);
void channel_missed(struct proc *proc, uint64_t set);
/* Will those who serve in the pool say when they have taken other sockets? If not, says who in
 * why. */
bool channels_answer(struct engine *engine, uint32_t pool, struct buf *why);
/* The transaction's specification of that pool is the current one: its workers have its sockets,
 * and let go of the others. former: the one before. */
void channels_commit(struct engine *engine, uint32_t pool, const struct version *former);
/* It is not: whoever was sent its sockets is sent what it had before. */
void channels_undo(struct engine *engine);
/* One that still has to let go of sockets; NULL: nobody. */
const struct proc *channels_holder(const struct engine *engine);

/* ---- channel_json.c: the messages. Pure but for memory. ---- */

enum channel_kind {
	CHANNEL_NOTHING,
	CHANNEL_HELLO, /* answers */
	CHANNEL_READY,
	CHANNEL_STATUS,
	CHANNEL_INFLIGHT,
	CHANNEL_ACCEPTING, /* set */
	CHANNEL_AGAIN,	   /* set: it came without its descriptors */
};

struct channel_message {
	enum channel_kind kind;
	bool answers;
	uint64_t set;			/* 0: it names none */
	char status[NOTIFY_STATUS_MAX]; /* printable */
};

/* One message of a worker's. False: it cannot be understood; why says so in a few words. Kinds that
 * are not known are CHANNEL_NOTHING: a newer worker may say more than we know. */
bool channel_parse(const char *text, size_t len, struct channel_message *ret_message,
		   const char **ret_why);
/* What we say. NULL: no memory; caller frees. */
char *channel_text_sockets(const char *const *names, size_t n, uint64_t set);
char *channel_text_ask_page(void);
char *channel_text_lame_duck(usec_t deadline);
char *channel_text_drain(enum end_reason reason, usec_t deadline);

#endif
